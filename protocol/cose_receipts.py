"""Write and check COSE receipts (RFC 9942): the log's signature over a root, with the path of one leaf to it.

A receipt is a tagged COSE_Sign1 whose payload, the root, is left out: who checks it rebuilds the root from the leaf and the path, so
it proves nothing about any other leaf. The format signs neither size nor index: what is proven is that the leaf stands in the tree with
this root; who wants to know where takes a tlog-proof, whose checkpoint names the size. Protected header: algorithm (1), key id (4), tree
algorithm RFC9162_SHA256 (395: 1). Unprotected header: verifiable data proofs (396) with one inclusion proof (-1) as [tree size, leaf
index, path].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from protocol.errors import MalformedError, VerificationError
from protocol.merkle import HASH_BYTES, root_from_inclusion
from protocol.signatures import KEY_ID_BYTES, PublicKey, Signer

MEDIA_TYPE = "application/cose"
MAX_BYTES = 8192
_TREE, _PROOFS, _INCLUSION, _RFC9162_SHA256 = 395, 396, -1, 1
_TAG = 18
_MAX_PATH = 64


@dataclass(frozen=True, slots=True)
class CoseReceipt:
    """A parsed receipt, not yet checked."""

    algorithm: int
    key_id: bytes
    size: int
    index: int
    path: tuple[bytes, ...]
    protected: bytes
    signature: bytes

    def verify(self, leaf: bytes, key: PublicKey) -> bytes:
        """Check that the log with `key` signed a tree that holds the leaf hash `leaf`; give the tree's root.

        Raises VerificationError when the path does not fit the tree, or the signature does not hold.
        """
        if key.algorithm != self.algorithm:
            raise VerificationError(f"signed with algorithm {self.algorithm}, the key is for {key.algorithm}", where="cose receipt")
        root = root_from_inclusion(leaf, self.index, self.size, self.path)
        key.verify(self.signature, _to_sign(self.protected, root))
        return root


def make_receipt(size: int, index: int, path: Sequence[bytes], root: bytes, signer: Signer) -> bytes:
    """Give the receipt of leaf `index` in the tree of `size` leaves with `root`."""
    public = signer.public
    protected = cbor2.dumps({1: public.algorithm, 4: public.key_id, _TREE: _RFC9162_SHA256}, canonical=True)
    proof = cbor2.dumps([size, index, list(path)], canonical=True)
    signature = signer.sign(_to_sign(protected, root))
    return cbor2.dumps(cbor2.CBORTag(_TAG, [protected, {_PROOFS: {_INCLUSION: [proof]}}, None, signature]), canonical=True)


def parse_receipt(data: bytes) -> CoseReceipt:
    """Read a receipt with one inclusion proof; raise MalformedError naming what is wrong. Nothing is checked yet."""
    message = _decode(data, "cose receipt")
    parts = message.value if isinstance(message, cbor2.CBORTag) and message.tag == _TAG else None
    if not isinstance(parts, list) or len(parts) != 4:
        raise MalformedError("not a tagged COSE_Sign1", where="cose receipt")
    protected, unprotected, payload, signature = parts
    if payload is not None:
        raise MalformedError("the payload is not left out", where="cose receipt")
    if not isinstance(protected, bytes) or not isinstance(signature, bytes):
        raise MalformedError("protected header or signature is no byte string", where="cose receipt")
    algorithm, key_id = _parse_protected(protected)
    size, index, path = _parse_proof(unprotected)
    return CoseReceipt(algorithm, key_id, size, index, path, protected, signature)


def _parse_protected(protected: bytes) -> tuple[int, bytes]:
    header = _decode(protected, "cose receipt.protected")
    if not isinstance(header, dict) or set(header) != {1, 4, _TREE} or header[_TREE] != _RFC9162_SHA256 or type(header[1]) is not int:
        raise MalformedError("is not {algorithm, key id, RFC9162_SHA256}", where="cose receipt.protected")
    key_id = header[4]
    if not isinstance(key_id, bytes) or len(key_id) != KEY_ID_BYTES:
        raise MalformedError(f"key id is not {KEY_ID_BYTES} bytes", where="cose receipt.protected")
    return header[1], key_id


def _parse_proof(unprotected: Any) -> tuple[int, int, tuple[bytes, ...]]:  # noqa: ANN401
    proofs = unprotected.get(_PROOFS) if isinstance(unprotected, dict) and len(unprotected) == 1 else None
    found = proofs.get(_INCLUSION) if isinstance(proofs, dict) and len(proofs) == 1 else None
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], bytes):
        raise MalformedError("holds not exactly one inclusion proof", where="cose receipt.unprotected")
    proof = _decode(found[0], "cose receipt.proof")
    if not isinstance(proof, list) or len(proof) != 3 or type(proof[0]) is not int or type(proof[1]) is not int:
        raise MalformedError("is not [size, index, path]", where="cose receipt.proof")
    size, index, path = proof
    if not isinstance(path, list) or len(path) > _MAX_PATH or not all(isinstance(node, bytes) and len(node) == HASH_BYTES for node in path):
        raise MalformedError("path is not a list of hashes", where="cose receipt.proof")
    return size, index, tuple(path)


def _decode(data: bytes, where: str) -> Any:  # noqa: ANN401
    """Decode canonical CBOR with any keys; no other spelling is taken."""
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where=where)
    try:
        value = cbor2.loads(data)
        same = cbor2.dumps(value, canonical=True) == data
    except (cbor2.CBORError, RecursionError, ValueError, OverflowError, TypeError, MemoryError) as error:
        raise MalformedError(f"not CBOR: {type(error).__name__}", where=where) from error
    if not same:
        raise MalformedError("not in canonical form, or bytes follow the value", where=where)
    return value


def _to_sign(protected: bytes, root: bytes) -> bytes:
    """Give the Sig_structure (RFC 9052 §4.4) with the root as the payload that travels apart."""
    return cbor2.dumps(["Signature1", protected, b"", root], canonical=True)
