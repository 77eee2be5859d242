"""Carry the newest signed head of a box's journal by hand, as a file or a QR code, where no network reaches.

The text is `PWH1.` and base64url of canonical CBOR [1, box, epoch, note, session]: the checkpoint of the box's newest seal, and
the session record by which the identity key certified the key that signed it. Whoever knows the box's identity can check it
alone; once it stands in the port log, all that it covers is known to have existed then.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from protocol import canonical, kinds
from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import BoxId, Issuer
from protocol.journals import verify_seal
from protocol.notes import Checkpoint
from protocol.records import read
from protocol.signatures import PublicKey

PREFIX = "PWH1."
MAX_TEXT = 4096  # more than a QR code holds
_MAX_EPOCH = 2**53


@dataclass(frozen=True, slots=True)
class SealHead:
    """A head on its way: nothing is verified before `verify`."""

    box: BoxId
    epoch: int
    note: bytes
    session: bytes

    def encode(self) -> str:
        """Give the text that a QR code or a file holds."""
        data = canonical.encode([1, str(self.box), self.epoch, self.note, self.session])
        return PREFIX + base64.urlsafe_b64encode(data).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "SealHead":
        """Read the text; raise MalformedError when it is none, too long, or not in its only spelling."""
        text = text.strip()
        if len(text) > MAX_TEXT or not text.startswith(PREFIX):
            raise MalformedError(f"not {PREFIX} and at most {MAX_TEXT} characters", where="head")
        body = text.removeprefix(PREFIX)
        try:
            data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedError("not base64url", where="head") from error
        value = canonical.decode(data)
        if not isinstance(value, list) or [type(part) for part in value] != [int, str, int, bytes, bytes]:
            raise MalformedError("not [1, box, epoch, note, session]", where="head")
        version, box, epoch, note, session = value
        if version != 1 or not 0 <= epoch < _MAX_EPOCH:
            raise MalformedError("version or epoch is out of bounds", where="head")
        head = cls(BoxId(box), epoch, note, session)
        if head.encode() != text:
            raise MalformedError("not the only spelling of its head", where="head")
        return head

    def verify(self, identities: Sequence[PublicKey]) -> Checkpoint:
        """Check that one of the box's identities certified the key that signed the head; give it.

        Raises VerificationError, or MalformedError for a note or record that does not parse.
        """
        signed = read(self.session)
        record = signed.record
        if record.issuer != Issuer.of_box(self.box) or record.epoch != self.epoch or not isinstance(record.body, kinds.Session):
            raise VerificationError("its key is not certified for this journal", where="head.session")
        identity = next((one for one in identities if one.key_id == signed.envelope.key_id), None)
        if identity is None:
            raise VerificationError(f"key {signed.envelope.key_id.hex()} is no identity of {self.box}", where="head.session")
        signed.envelope.verify(identity)
        seal = kinds.Seal(self.note, (), "interval")
        return verify_seal(seal, self.box, self.epoch, PublicKey.from_ed25519(record.body.key))
