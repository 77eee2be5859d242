"""Bind what a release rests on: one root over its records and files, which anybody can compute again.

    record hub:hub-1 0 4711 <leaf hash>      a record, by its issuer, epoch, position and leaf hash in its log
    blob <SHA-256>                           a file that such a record names

The lines are ASCII, each once, in the order of their bytes; the root is that of an RFC 6962 tree whose leaves are the lines. Guarantees:
the same evidence gives the same root, whatever the order in which it was found; a line that is none is refused. Pure.
"""

import re
from collections.abc import Iterable

from protocol.errors import MalformedError, VerificationError
from protocol.merkle import EMPTY_ROOT, leaf_hash, root_of

MAX_LINES = 1_000_000
_LINE = re.compile(r"record [a-z]+:[A-Za-z0-9._-]{1,64} (0|[1-9][0-9]{0,18}) (0|[1-9][0-9]{0,18}) [0-9a-f]{64}|blob [0-9a-f]{64}")


def record_line(issuer: str, epoch: int, position: int, leaf: bytes) -> str:
    """Give the line of a record."""
    return _checked(f"record {issuer} {epoch} {position} {leaf.hex()}")


def blob_line(sha256: bytes) -> str:
    """Give the line of a file."""
    return _checked(f"blob {sha256.hex()}")


def evidence_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Give lines in their one order, each once; raise MalformedError for what is no line."""
    found = tuple(sorted({_checked(line) for line in lines}))
    if len(found) > MAX_LINES:
        raise MalformedError(f"{len(found)} lines, at most {MAX_LINES}", where="evidence")
    return found


def evidence_root(lines: Iterable[str]) -> bytes:
    """Give the root over evidence; that of no evidence at all is the empty tree's."""
    found = evidence_lines(lines)
    return root_of([leaf_hash(line.encode("ascii")) for line in found]) if found else EMPTY_ROOT


def encode_evidence(lines: Iterable[str]) -> bytes:
    """Write evidence as a file: a line each, in order."""
    return "".join(f"{line}\n" for line in evidence_lines(lines)).encode("ascii")


def parse_evidence(data: bytes, root: bytes) -> tuple[str, ...]:
    """Read such a file and check it against its root; raise MalformedError for another form, VerificationError for another root."""
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("is not ASCII", where="evidence") from error
    if lines.pop() != "" or evidence_lines(lines) != tuple(lines):
        raise MalformedError("its lines are not in order, or not each once", where="evidence")
    if evidence_root(lines) != root:
        raise VerificationError("its root is another", where="evidence")
    return tuple(lines)


def _checked(line: str) -> str:
    if not _LINE.fullmatch(line):
        raise MalformedError(f"{line[:60]!r} names no record and no file", where="evidence")
    return line
