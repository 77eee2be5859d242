"""Found a hub and keep house without serving: keys, first administrator, people, tokens.

Guarantees: nothing ships with a password; the first one is generated and given back once. What is changed here while the hub
serves elsewhere is staged in the same database and logged by the hub that serves.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.access import Access, PersonDraft
from hub.alarms import Alarms
from hub.app import Hub, open_hub
from hub.config import HubSettings
from hub.core import Core
from hub.enrolment import Enrolment
from hub.erasing import Erasing
from hub.events import Events
from hub.lockout import Lanes
from hub.sequencer import Sequencer
from protocol.errors import RefusedError
from storage.clock import SystemClock
from storage.database import Database
from storage.keys import load_ed25519, load_or_create_ed25519
from storage.logs import LogFolder

LOG_KEY = "log.key"


@dataclass(frozen=True, slots=True)
class House:
    """What can be done without serving."""

    core: Core
    access: Access
    enrolment: Enrolment
    erasing: Erasing


def run_hub(settings: HubSettings) -> AbstractAsyncContextManager[Hub]:
    """Open the hub with the machine's clock."""
    return open_hub(settings, SystemClock())


@asynccontextmanager
async def open_house(settings: HubSettings, *, create: bool = False) -> AsyncIterator[House]:
    """Open database and keys without writing the log; `create` makes a missing log key.

    Raises StorageError when there is no key, UnavailableError when the database does not answer.
    """
    path = settings.keys / LOG_KEY
    key = await asyncio.to_thread(load_or_create_ed25519 if create else load_ed25519, path)
    clock = SystemClock()
    async with Database(settings.database_url, settings.database.busy_seconds) as database:
        events = Events()
        sequencer = Sequencer(settings, clock, database, key, LogFolder(Path(settings.port.state) / "log"))
        core = Core(settings, clock, database, sequencer, Alarms(database, clock, events), events)
        yield House(core, Access(core, Lanes(clock)), Enrolment(core), Erasing(core))


async def found(settings: HubSettings, administrator: str) -> tuple[str, str]:
    """Make the log key and the first administrator; give the password and the log's verifier key.

    Raises RefusedError when there are people already.
    """
    async with open_house(settings, create=True) as house:
        if await house.access.people():
            raise RefusedError("this hub has people already; use `user`", where=str(settings.port.state))
        draft = PersonDraft(administrator, "administrator", administrator)
        _, password = await house.access.add(draft, str(house.core.issuer))
        assert password is not None
        return password, house.core.sequencer.vkey
