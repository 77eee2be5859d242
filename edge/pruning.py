"""Forget journal records that the hub has for good, so that a box does not fill with its own past.

A record may go when a receipt with the witnesses' quorum covers it, the hub committed it, and it is older than the days it is kept
anyway - by the box's clock and by what the hub last said of its own, so that neither clock alone hurries anything. Guarantees: the
receipts stay (they are the proof), and of each epoch its boot and session records, the tree's frontier where the kept records begin,
and enough of its end for a recovery; a step forgets a bounded number, up to the end of a receipt, and is itself a record.
"""

import logging
from dataclasses import dataclass

from edge.journal import Entry
from edge.recorder import Recorder
from edge.worker import Worker
from protocol import kinds, messages
from protocol.instants import SECOND_NS
from protocol.merkle import Frontier
from protocol.messages import Receipt
from protocol.records import read
from storage.spool import EpochRow, ReceiptRow, Spool

FINAL = "final-"  # the fact, and the epoch: positions below are receipted with the witnesses' quorum
DAY_NS = 86_400 * SECOND_NS
STEP_RECORDS = 20_000  # a step holds the spool's thread for less than half a second
LEAST_RECORDS = 1_000  # a record of its own for less would be waste
KEPT_TAIL = 2_000  # of the newest epoch and of those with drafts: recovery looks for heartbeats, the page for the newest seal
STEP_RECEIPTS = 4_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """A step: the epoch, the position below which its records go, and the frontier there."""

    epoch: int
    end: int
    base: bytes


@dataclass(slots=True)
class Pruning:
    """The rule over one box's spool; `days`: how long records stay after they could go."""

    spool: Spool
    recorder: Recorder
    records: Worker
    days: int

    async def step(self, hub_wall_ns: int | None) -> int:
        """Forget what may go, a bounded number; give how many. `hub_wall_ns`: what the hub last said its clock shows.

        Raises StorageError.
        """
        if hub_wall_ns is None:
            return 0
        now_ns = min(self.recorder.clock.now().wall_ns, hub_wall_ns)
        found = await self.records.run(self._find, now_ns - self.days * DAY_NS)
        if found is None:
            return 0
        what = f"epoch {found.epoch}: records below position {found.end} went, receipted with the witnesses' quorum"
        await self.recorder.record([Entry(str(self.recorder.box), kinds.BoxState("journal pruned", what))])
        gone = await self.records.run(self.spool.prune, found.epoch, found.end, found.base)
        log.info("%s (%d records)", what, gone)
        return gone

    def _find(self, limit_ns: int) -> Pruned | None:
        """Find the oldest records that may go, sealed before an instant of the box's clock."""
        epochs = self.spool.epochs()
        open_epochs = {draft.epoch for draft in self.spool.drafts()} | {epochs[-1].epoch if epochs else -1}
        for row in epochs:
            tail = KEPT_TAIL if row.epoch in open_epochs else 0
            end = self._end(row, min(self._final(row.epoch), row.receipted, row.persisted, row.size - tail), limit_ns)
            if end - row.pruned >= (LEAST_RECORDS if tail else 1):
                return Pruned(row.epoch, end, self._base(row, end))
        return None

    def _final(self, epoch: int) -> int:
        fact = self.spool.fact(f"{FINAL}{epoch}")
        return int(fact) if fact is not None else 0

    def _end(self, row: EpochRow, most: int, limit_ns: int) -> int:
        """Give where the last receipt ends that is old enough, follows the one before, and ends at `most` at the latest."""
        end = row.pruned
        most = min(most, row.pruned + STEP_RECORDS)
        if most <= end:
            return end
        for receipt in self.spool.receipts(row.epoch, behind=end, limit=STEP_RECEIPTS):
            if receipt.end > most or receipt.first > end or _sealed_ns(receipt) > limit_ns:
                break
            end = receipt.end
        return end

    def _base(self, row: EpochRow, end: int) -> bytes:
        frontier = Frontier.decode(row.pruned, row.base)
        for leaf in self.spool.leaves(row.epoch, row.pruned, end):
            frontier.append(leaf)
        return frontier.encode()


def _sealed_ns(receipt: ReceiptRow) -> int:
    return read(messages.expect(Receipt, receipt.data).seal).record.at.wall_ns
