"""Give the story of a task or of a declaration, now or as of any moment."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from hub.core import Core
from hub.inspection.standings import standing_row
from hub.inspection.story.moments import AsOf, as_of
from hub.inspection.story.sources import MOST, SOURCES, Asked, declaration_of, tasks_of
from hub.inspection.story.standing import Stood, stood
from hub.inspection.story.telling import LANES, Entry
from hub.timeline import Wish, timeline
from hub.values import Timeline
from protocol.errors import RefusedError
from storage.schema import tasks

_ORDER = {lane: number for number, lane in enumerate(LANES)}


@dataclass(frozen=True, slots=True)
class Story:
    """What happened, in order of time; `cut`: there was more than is shown."""

    tasks: tuple[str, ...]
    declaration: str | None
    moment: AsOf
    stood: Stood
    entries: tuple[Entry, ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class Stories:
    """The stories of one port."""

    core: Core

    async def task(self, task: str, at_ns: int | None = None) -> Story:
        """Give a task's story with its declaration's; raise RefusedError when there is no such task, or was none then."""
        now_ns, published = self.core.clock.now().wall_ns, self.core.sequencer.published_size()
        hub = str(self.core.issuer)
        return await self.core.database.read(lambda connection: of_task(connection, hub, task, as_of(connection, published, at_ns, now_ns)))

    async def declaration(self, number: str, at_ns: int | None = None) -> Story:
        """Give a declaration's story with its tasks'; raise RefusedError when there is none of this number."""
        now_ns, published = self.core.clock.now().wall_ns, self.core.sequencer.published_size()
        hub = str(self.core.issuer)

        def read(connection: Connection) -> Story:
            return of_declaration(connection, hub, number, as_of(connection, published, at_ns, now_ns))

        return await self.core.database.read(read)

    async def lanes(self, task: str, at_ns: int | None = None, wish: Wish = Wish()) -> Timeline:  # noqa: B008 - frozen
        """Give a task's video lanes, now or as the log held them at a moment."""
        now_ns, published = self.core.clock.now().wall_ns, self.core.sequencer.published_size()

        def read(connection: Connection) -> Timeline:
            moment = as_of(connection, published, at_ns, now_ns)
            return timeline(connection, task, moment.at_ns, replace(wish, size=None if moment.is_now else moment.size))

        return await self.core.database.read(read)


def of_task(connection: Connection, hub: str, task: str, moment: AsOf) -> Story:
    """Give a task's story, in a transaction."""
    row = connection.execute(select(tasks).where(tasks.c.task == task)).first()
    if row is None or row.opened_at >= moment.size:
        raise RefusedError("is not known", where=f"task {task[:64]}")
    line = timeline(connection, task, moment.at_ns, Wish(None if moment.is_now else moment.size, detail="none"))
    linked = tuple((lane.stream, start, end) for lane in line.lanes for start, end in lane.stretches)
    declaration = declaration_of(connection, row.facts)
    asked = Asked(hub, (task,), () if declaration is None else (declaration,), moment.size, linked)
    return _story(connection, asked, declaration, moment)


def of_declaration(connection: Connection, hub: str, number: str, moment: AsOf) -> Story:
    """Give a declaration's story, in a transaction."""
    standing_row(connection, number)
    asked = Asked(hub, tasks_of(connection, number, moment.size), (number,), moment.size)
    return _story(connection, asked, number, moment)


def _story(connection: Connection, asked: Asked, declaration: str | None, moment: AsOf) -> Story:
    found: dict[tuple[str, int, int, bool], Entry] = {}
    for source in SOURCES.values():
        for entry in source(connection, asked):
            found.setdefault((entry.place.issuer, entry.place.epoch, entry.place.position, entry.lane == "photos"), entry)
    entries = sorted(found.values(), key=_time)
    task = asked.tasks[-1] if asked.tasks else None
    standing = stood(connection, task, declaration, moment.size)
    return Story(asked.tasks, declaration, moment, standing, tuple(entries[-MOST:]), len(entries) > MOST)


def _time(entry: Entry) -> tuple[int, int, int]:
    return entry.from_ns, entry.place.log_index or 0, _ORDER.get(entry.lane, 0)
