"""Draw which finished tasks are looked at again, by the seed of a draw that nobody could know when they ended.

    pool  = SHA-256("portwitness/second-look/v1" || 0x00 || the tasks' names in the order of bytes, each with a line feed)
    score = first 8 bytes of SHA-256("portwitness/second-look/score/v1" || 0x00 || seed || task), big-endian
    drawn : score * 10^9 < parts * 2^64; where none is, the one of the least score

The pool of a draw's round: all tasks that ended in the log before the draw's pool closed and stood in no round of an earlier draw. A
draw has one round, so what is drawn follows from the log alone: nothing is left to whoever runs the hub but to do it.
"""

import hashlib
from collections.abc import Iterable, Sequence

from protocol.errors import MalformedError, VerificationError
from protocol.supervision_kinds import SecondRound

RULE = "second-look/1"
PARTS = 1_000_000_000
DEFAULT_PARTS = PARTS // 20  # one in twenty
MOST = 400  # drawn in one round: their names stand in the record
_POOL = b"portwitness/second-look/v1\0"
_SCORE = b"portwitness/second-look/score/v1\0"
_BITS = 64


def pool_hash(tasks: Iterable[str]) -> bytes:
    """Give the hash that binds a round's pool, whatever the order in which it is told."""
    return hashlib.sha256(_POOL + b"".join(name.encode() + b"\n" for name in sorted(set(tasks)))).digest()


def score(seed: bytes, task: str) -> int:
    """Give a task's number against which the rate is held."""
    return int.from_bytes(hashlib.sha256(_SCORE + seed + task.encode()).digest()[:8], "big")


def draw_round(seed: bytes, tasks: Sequence[str], parts: int = DEFAULT_PARTS) -> tuple[str, ...]:
    """Give the tasks to look at again, by name; of a pool with anything in it at least one, and at most the `MOST` least scores.

    Raises MalformedError for a rate that is none.
    """
    if not 0 <= parts <= PARTS:
        raise MalformedError(f"{parts} is no rate in parts of 10^9", where="second look")
    by_score = sorted(set(tasks), key=lambda name: (score(seed, name), name))
    drawn = [name for name in by_score if score(seed, name) * PARTS < parts << _BITS]
    return tuple(sorted((drawn or by_score[:1])[:MOST]))


def make_round(draw: int, seed: bytes, tasks: Sequence[str], parts: int = DEFAULT_PARTS) -> SecondRound:
    """Give a round's record."""
    return SecondRound(draw, RULE, parts, pool_hash(tasks), len(set(tasks)), draw_round(seed, tasks, parts))


def judge_round(said: SecondRound, seed: bytes, tasks: Sequence[str]) -> None:
    """Check a round against the draw's seed and the pool that the log gives; raise VerificationError naming what differs."""
    where = f"second looks of draw {said.draw}"
    if said.rule != RULE:
        raise VerificationError(f"is drawn by {said.rule[:40]}, known is {RULE}", where=where)
    expected = make_round(said.draw, seed, tasks, said.parts)
    if (said.pool, said.size) != (expected.pool, expected.size):
        raise VerificationError(f"names a pool of {said.size}, the log gives another of {expected.size}", where=where)
    if said.chosen != expected.chosen:
        raise VerificationError("names other tasks than the seed gives", where=where)
