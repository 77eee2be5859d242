"""Put the parts of work on site together: keys of phones, acts, what people see, tickets, and what goes on by itself."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from hub.core import Core
from hub.inspection.declarations import Declarations
from hub.inspection.fieldwork.acts import Acts
from hub.inspection.fieldwork.keys import DeviceKeys
from hub.inspection.fieldwork.progress import Progress
from hub.inspection.fieldwork.tickets import Tickets
from hub.inspection.fieldwork.worksite import Worksite
from protocol import kinds
from protocol.identifiers import BoxId
from protocol.records import SignedRecord


@dataclass(frozen=True, slots=True)
class Fieldwork:
    """The work on site of one port."""

    keys: DeviceKeys
    acts: Acts
    site: Worksite
    tickets: Tickets
    progress: Progress

    def accepted(self, box: BoxId, signed: tuple[SignedRecord, ...]) -> None:
        """Take note of what a box told: pairings bring a declaration on, and use tickets up."""
        pairings = tuple(one for one in signed if isinstance(one.record.body, kinds.Pairing))
        if pairings:
            self.progress.told(box, pairings)


async def open_fieldwork(core: Core, stack: AsyncExitStack) -> Fieldwork:
    """Build the parts and let run what goes on by itself."""
    tickets = Tickets(core)
    progress = await stack.enter_async_context(Progress(core, Declarations(core), tickets))
    return Fieldwork(DeviceKeys(core), Acts(core), Worksite(core), tickets, progress)
