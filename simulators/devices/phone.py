"""Be an inspector's phone: a P-256 key that never leaves it, a clock of its own, a camera, and a chain of signed acts.

Guarantees: each act names the one before it by SHA-256, so that what a phone said cannot be thinned out; nothing of the product is used
but its public language. A phone may be wrong on purpose: a clock that is set back is `ahead_ms` below nought.
"""

import base64
import hashlib
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.signatures import P256Signer

Kind = Literal["answers", "rest", "signature", "pause", "resume", "hand-over", "step", "note", "swap"]
PICTURE_PX = 48
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


@dataclass(frozen=True, slots=True)
class SignedAct:
    """An act as it is sent: its text, the key that signed it, and the signature (r||s)."""

    id: str
    kind: Kind
    text: str
    key_id: str
    signature: bytes

    def body(self) -> dict[str, str]:
        """Give it as the JSON that is posted."""
        return {"act": self.text, "key_id": self.key_id, "signature": base64.b64encode(self.signature).decode("ascii")}


@dataclass(slots=True)
class Phone:
    """A phone of one inspector. `now_ms`: the true time; `ahead_ms`: how far its clock is from it; `key_id`: as the hub named its key."""

    signer: P256Signer
    draw: random.Random
    now_ms: Callable[[], int]
    ahead_ms: int = 0
    key_id: str = ""
    previous: str = ""
    seq: int = 0
    taken: list[SignedAct] = field(default_factory=list)

    @classmethod
    def of_seed(cls, seed: str, now_ms: Callable[[], int], ahead_ms: int = 0) -> "Phone":
        """Make the phone of a seed: the same one each time, for simulations only."""
        number = int.from_bytes(hashlib.sha512(f"phone {seed}".encode()).digest(), "big") % (_ORDER - 1) + 1
        signer = P256Signer.of(ec.derive_private_key(number, ec.SECP256R1()))
        return cls(signer, random.Random(f"phone {seed}"), now_ms, ahead_ms)  # noqa: S311 - repeatable by seed

    @property
    def spki(self) -> str:
        """Give its public key as it is sent for a certificate (base64 of DER)."""
        return base64.b64encode(self.signer.public.spki).decode("ascii")

    def clock_ms(self) -> int:
        """Read its clock."""
        return self.now_ms() + self.ahead_ms

    def act(self, task: str, procedure: str, kind: Kind, payload: Mapping[str, Any]) -> SignedAct:
        """Sign the next act of its chain; `procedure`: SHA-256 of the one that it goes by."""
        self.seq += 1
        name = self.draw.randbytes(16).hex()
        value = {
            "id": name,
            "task": task,
            "procedure": procedure,
            "kind": kind,
            "phone_ms": self.clock_ms(),
            "seq": self.seq,
            "previous": self.previous,
            "payload": dict(payload),
        }
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        self.previous = hashlib.sha256(text.encode()).hexdigest()
        made = SignedAct(name, kind, text, self.key_id, self.signer.sign(text.encode()))
        self.taken.append(made)
        return made

    def photograph(self) -> bytes:
        """Take a picture, unlike any other of this phone."""
        return picture(self.draw)


def picture(draw: random.Random) -> bytes:
    """Draw a small PNG: two colours with noise, so that no two are alike."""
    rows, (top, bottom) = [], (draw.randbytes(3), draw.randbytes(3))
    for y in range(PICTURE_PX):
        colour = bytes((a * (PICTURE_PX - y) + b * y) // PICTURE_PX for a, b in zip(top, bottom, strict=True))
        rows.append(b"\0" + colour * (PICTURE_PX - 1) + draw.randbytes(3))
    header = struct.pack(">IIBBBBB", PICTURE_PX, PICTURE_PX, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
