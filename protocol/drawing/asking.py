"""Ask a named witness for its answer to a draw, and judge such a request: one answer per log and draw number.

    POST /answer-draw   {"checkpoint": note, "index": n, "path": [base64], "record": base64}   the closing and its way to the checkpoint
    200 <proof in hex>   the answer, the same whenever the same pool is asked for again
    403 / 422            the log is not known, or did not sign; the closing is not under a checkpoint that this witness cosigned
    409                  this number, or a later one, was answered for another pool

Guarantees: pure; a witness answers only for what stands in a log that it cosigned itself, so the pool was fixed, and seen, before.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from protocol.drawing.selection import alpha_of
from protocol.errors import MalformedError, VerificationError
from protocol.inspection_kinds import DrawClosing
from protocol.merkle import HASH_BYTES, verify_inclusion
from protocol.notes import NoteKey, SignedCheckpoint, has_signed, verify_note
from protocol.records import read
from protocol.witnessing import Answer, refuse

PATH = "/answer-draw"


@dataclass(frozen=True, slots=True)
class AskDraw:
    """A request: the closing's record, its index and path, and the checkpoint with the witness's own cosignature."""

    checkpoint: bytes
    index: int
    path: tuple[bytes, ...]
    record: bytes

    def encode(self) -> bytes:
        """Give the request's body."""
        path = [base64.b64encode(one).decode() for one in self.path]
        value = {
            "checkpoint": self.checkpoint.decode(),
            "index": self.index,
            "path": path,
            "record": base64.b64encode(self.record).decode(),
        }
        return json.dumps(value, sort_keys=True).encode()

    @classmethod
    def parse(cls, data: bytes) -> "AskDraw":
        """Read a request's body; raise MalformedError."""
        try:
            value = json.loads(data)
            note, index, path, record = (value[name] for name in ("checkpoint", "index", "path", "record"))
            ask = cls(note.encode(), index, tuple(_bytes(one) for one in path), _bytes(record))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise MalformedError("not a checkpoint, an index, a path and a record", where="answer-draw") from error
        if type(index) is not int or len(ask.path) > 64 or any(len(one) != HASH_BYTES for one in ask.path):
            raise MalformedError("an index or a path that is none", where="answer-draw")
        return ask


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a witness is asked: the log, the draw's number, and the alpha."""

    origin: str
    number: int
    alpha: bytes


def judge_ask(ask: AskDraw, logs: Mapping[str, Sequence[NoteKey]], mine: Sequence[NoteKey]) -> Wanted | Answer:
    """Judge a request by the keys trusted per origin and the witness's own cosignature keys."""
    try:
        signed = SignedCheckpoint.parse(ask.checkpoint)
        closing = read(ask.record)
    except MalformedError as error:
        return refuse(HTTPStatus.BAD_REQUEST, str(error))
    checkpoint = signed.checkpoint
    keys = [key for key in logs.get(checkpoint.origin, ()) if has_signed(signed.note, key)]
    body = closing.record.body
    if not keys:
        return refuse(HTTPStatus.FORBIDDEN, "this log is not known here, or did not sign")
    if not isinstance(body, DrawClosing):
        return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "the record is no closing of a draw")
    try:
        signed.verify(keys[0], origin=checkpoint.origin)
        _check_own(signed, mine)
        closing.envelope.verify(keys[0].public)
        verify_inclusion(closing.leaf, ask.index, checkpoint.size, ask.path, checkpoint.root)
        return Wanted(checkpoint.origin, body.number, alpha_of(body.number, body.root, body.policy, body.chain))
    except (VerificationError, MalformedError) as error:
        return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def _check_own(signed: SignedCheckpoint, mine: Sequence[NoteKey]) -> None:
    own = [key for key in mine if has_signed(signed.note, key)]
    if not own:
        raise VerificationError("does not show a cosignature of this witness", where="checkpoint")
    for key in own:
        verify_note(signed.note, key)


def _bytes(text: Any) -> bytes:  # noqa: ANN401 - JSON
    return base64.b64decode(text, validate=True)
