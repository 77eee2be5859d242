"""Remove video that the hub has, when space is needed: by rule, oldest first, each removal a record.

Guarantees: only blobs that are stored and receipted and not linked to an open task; the record is durable before the file goes.
"""

import logging
from dataclasses import dataclass

from edge.journal import Entry
from edge.recorder import Recorder
from edge.worker import Worker
from protocol import kinds
from protocol.identifiers import StreamId
from storage.files import SegmentFolder
from storage.spool import BlobRow, Changes, Spool

AT_ONCE = 64

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Removal:
    """The rule over one box's spool."""

    spool: Spool
    folder: SegmentFolder
    recorder: Recorder
    records: Worker
    files: Worker

    async def make_room(self, open_tasks: set[str]) -> int:
        """Remove some blobs; give how many. Raises StorageError."""
        rows = await self.records.run(self.spool.removable_blobs, 4 * AT_ONCE)
        chosen = [row for row in rows if not open_tasks.intersection(row.task_names())][:AT_ONCE]
        if not chosen:
            return 0
        body = kinds.Disposal(tuple(row.sha256 for row in chosen), "space needed; stored and receipted at the hub")
        changes = Changes(removed=[(row.stream, row.number) for row in chosen])
        await self.recorder.record([Entry(str(self.recorder.box), body)], changes)
        await self.files.run(self._unlink, chosen)
        log.info("%d segments removed, the hub has them", len(chosen))
        return len(chosen)

    async def finish(self) -> None:
        """Remove what was recorded as removed before a power cut. Raises StorageError."""
        rows = await self.records.run(self.spool.removed_blobs, 4 * AT_ONCE)
        await self.files.run(self._unlink, rows)

    def _unlink(self, rows: list[BlobRow]) -> None:
        for row in rows:
            self.folder.remove(StreamId(row.stream).source, row.number)
