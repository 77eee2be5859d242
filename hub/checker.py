"""Read records and check their signatures in a process of its own: `python -m hub.checker`, started by `hub.checkers`.

Guarantees: a record it lets pass parses as `protocol.records.read` demands, stands where it was said to stand, is neither boot
nor session, and its signature holds under the one key that was named, as does that of a seal's own checkpoint; it stops at the
first that does not and says nothing of it, so whoever asked judges that one itself. Knows no files, no network and no secret;
ends when its input ends, so it never outlives a hub that was killed.

A question and its answer are canonical CBOR behind four bytes of length.
"""

import signal
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from protocol import canonical
from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import Issuer
from protocol.journals import verify_seal
from protocol.kinds import Boot, Seal, Session
from protocol.merkle import HASH_BYTES
from protocol.records import SignedRecord, read
from protocol.signatures import PublicKey

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 1 << 22
_CLOCK_END = 1 << 63  # a time beyond has no place in an answer, nor in a row


class Question(NamedTuple):
    """Records that are said to follow position `first` of an issuer's epoch, signed by the session key `spki`."""

    issuer: Issuer
    epoch: int
    first: int
    spki: bytes
    records: Sequence[bytes]


class Head(NamedTuple):
    """What was read of a record that passed: enough to judge its place, and its row."""

    leaf: bytes
    root: bytes
    kind: str
    subject: str
    wall_ns: int
    mono_ns: int


def check(question: Question) -> list[Head]:
    """Give the heads of the records that pass, up to the first that does not."""
    heads: list[Head] = []
    try:
        key = PublicKey.from_spki(question.spki)
        for position, data in enumerate(question.records, question.first):
            signed = read(data)
            record = signed.record
            if (record.issuer, record.epoch, record.position) != (question.issuer, question.epoch, position) or not _plain(signed):
                break
            signed.envelope.verify(key)
            if isinstance(record.body, Seal):
                verify_seal(record.body, record.issuer.name, record.epoch, key)
            heads.append(Head(signed.leaf, record.root, record.kind, record.subject, record.at.wall_ns, record.at.mono_ns))
    except (MalformedError, VerificationError):
        return heads  # whoever asked finds the same fault, and names it
    return heads


def _plain(signed: SignedRecord) -> bool:
    """Tell whether the session key has to have signed it, and its times fit an answer."""
    at = signed.record.at
    return not isinstance(signed.record.body, Boot | Session) and -_CLOCK_END <= at.wall_ns < _CLOCK_END and at.mono_ns < _CLOCK_END


def encode_question(question: Question) -> bytes:
    """Give the bytes of a question."""
    return canonical.encode([str(question.issuer), question.epoch, question.first, question.spki, list(question.records)])


def decode_question(data: bytes) -> Question:
    """Read a question."""
    issuer, epoch, first, spki, records = canonical.decode_again(data)
    return Question(Issuer(issuer), epoch, first, spki, records)


def encode_heads(heads: Sequence[Head]) -> bytes:
    """Give the bytes of an answer: by columns, since it is read where time is dear."""
    leaves, roots = b"".join(head.leaf for head in heads), b"".join(head.root for head in heads)
    times = struct.pack(f"<{2 * len(heads)}q", *(head.wall_ns for head in heads), *(head.mono_ns for head in heads))
    return canonical.encode([leaves, roots, times, [head.kind for head in heads], [head.subject for head in heads]])


def decode_heads(data: bytes) -> list[Head]:
    """Read an answer; raise MalformedError when it is none."""
    try:
        leaves, roots, times, kinds, subjects = canonical.decode_again(data)
        count = len(kinds)
        clock = struct.unpack(f"<{2 * count}q", times)
        columns = (_hashes(leaves), _hashes(roots), kinds, subjects, clock[:count], clock[count:])
        return [Head(*row) for row in zip(*columns, strict=True)]
    except (struct.error, TypeError, ValueError) as error:
        raise MalformedError("not five columns of one length", where="answer of a checker") from error


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def frame(data: bytes) -> bytes:
    """Give `data` behind its length."""
    return LENGTH.pack(len(data)) + data


def answer(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer questions in order until the input ends."""
    while len(size := source.read(LENGTH.size)) == LENGTH.size:
        data = source.read(LENGTH.unpack(size)[0])
        sink.write(frame(encode_heads(check(decode_question(data)))))
        sink.flush()


def main() -> int:
    """Serve the hub that started this process; its end ends it, a signal to the whole group does not."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    try:
        answer(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
