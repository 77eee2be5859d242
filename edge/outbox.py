"""Decide what to send next and when to send it again: the journal's order, the window, the patience.

Pure bookkeeping over what the spool says; it knows no transport. Guarantees: positions of an epoch go out in order, the oldest
epoch first; what is not acknowledged in time goes again from the last acknowledged position, ever more slowly; an epoch the
hub refuses waits until it is asked for again, and holds up no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.messages import MAX_BATCH_RECORDS, JournalBatch
from storage.spool import EpochRow, RecordRow

WINDOW_RECORDS = 2048
BATCH_BYTES = 512 << 10
ACK_FIRST_S = 5.0
ACK_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Want:
    """The next positions to send."""

    epoch: int
    first: int
    limit: int


@dataclass(slots=True)
class Outbox:
    """Cursors over the epochs that the hub does not have wholly. Times are seconds of any steady clock."""

    sent: dict[int, int] = field(default_factory=dict)
    patience_s: float = ACK_FIRST_S
    waiting_since: float | None = None

    def next(self, epochs: Sequence[EpochRow], now: float) -> Want | None:
        """Give what to send next; None while nothing is to be sent or the window is full."""
        if self.waiting_since is not None and now - self.waiting_since > self.patience_s:
            self.rewind(now)
        for row in epochs:
            if row.refused is not None:
                continue
            at = max(self.sent.get(row.epoch, row.persisted), row.persisted)
            room = row.persisted + WINDOW_RECORDS - at
            if at < row.size:
                return Want(row.epoch, at, min(MAX_BATCH_RECORDS, row.size - at, room)) if room > 0 else None
        return None

    def rewind(self, now: float) -> None:
        """Forget what was sent without an answer; the next answer may take longer."""
        self.sent.clear()
        self.waiting_since = None
        self.patience_s = min(self.patience_s * 2, ACK_LIMIT_S)

    def note_sent(self, epoch: int, end: int, now: float) -> None:
        """Remember that positions below `end` are on their way."""
        self.sent[epoch] = end
        if self.waiting_since is None:
            self.waiting_since = now

    def note_persisted(self, epoch: int, size: int, now: float) -> None:
        """Take an acknowledgement: patience begins anew."""
        self.patience_s = ACK_FIRST_S
        is_all = all(size >= end if known == epoch else False for known, end in self.sent.items())
        self.waiting_since = None if is_all else now
        if self.sent.get(epoch, 0) <= size:
            self.sent.pop(epoch, None)

    def note_resend(self, epoch: int, size: int) -> None:
        """Go back to a position that the hub asks for."""
        self.sent[epoch] = size
        self.waiting_since = None


def make_batch(box: str, want: Want, rows: Sequence[RecordRow]) -> JournalBatch:
    """Give as many of the rows as a batch may hold, at least one."""
    size = 0
    taken: list[bytes] = []
    for row in rows[: want.limit]:
        size += len(row.data)
        if taken and size > BATCH_BYTES:
            break
        taken.append(row.data)
    return JournalBatch(box, want.epoch, want.first, tuple(taken))
