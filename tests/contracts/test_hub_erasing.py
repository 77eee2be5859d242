"""Personal data on a real hub, both databases: it enters the log concealed, is read by everybody who may, and can be erased alone."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update

from hub.access import PersonDraft
from hub.app import Hub, open_hub
from hub.archive import DatabasePort
from hub.check import check_hub
from hub.config import RetentionClassSettings
from hub.tasks import TaskDraft
from protocol import kinds
from protocol.concealing import reveal
from protocol.errors import ForbiddenError, MalformedError, RefusedError, VerificationError
from protocol.identifiers import TaskId
from protocol.merkle import leaf_hash, verify_inclusion
from protocol.notes import SignedCheckpoint
from protocol.reckoning import Scope
from protocol.records import read
from storage.keys import create_ed25519
from storage.schema import concealed, openings, views
from tests.hub_parts import SiteCa, opened_leaf, settings_for, settled
from tests.web_parts import ToldClock

TASK = "T-1"
NAME = "zhao.mingxuan"
CLASSES = (("routine", 183), ("inspection", 1096), ("personal", 30))


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@pytest.fixture(params=["sqlite", "postgresql"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path, clock: ToldClock) -> AsyncIterator[Hub]:
    url: str = "" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    classes = tuple(RetentionClassSettings(name=name, days=days) for name, days in CLASSES)
    settings = settings_for(tmp_path, url, retention_classes=classes)
    tmp_path.joinpath("keys").mkdir()
    async with open_hub(settings, clock, create_ed25519(tmp_path / "keys" / "log.key")) as made:
        await made.access.add(PersonDraft("admin", "administrator", "admin"), "hub:hub-1")
        await made.keeping.look()  # retention's own time begins
        await made.tasks.open(TaskDraft(task=TASK, title="A task"), "admin")
        yield made


async def watch(hub: Hub) -> tuple[int, int]:
    """Play the task to its end; give the leaves that say so."""
    view = await hub.views.playback_started(TASK, NAME)
    await hub.views.ended(view)
    size = hub.log.published_size()
    return size - 2, size - 1


async def rows(hub: Hub) -> list[tuple[int, int | None]]:
    query = select(concealed.c.position, concealed.c.disposal).order_by(concealed.c.position)
    return [(row.position, row.disposal) for row in await hub.core.database.read(lambda connection: connection.execute(query).all())]


async def problems(hub: Hub) -> tuple[str, ...]:
    await settled(hub)
    return (await check_hub(hub.core.settings)).problems


async def test_the_log_binds_what_it_does_not_hold(hub: Hub) -> None:
    started, _ = await watch(hub)
    data = await hub.log.leaf(started)
    outer = read(data).record
    assert isinstance(outer.body, kinds.Concealed)
    assert (outer.body.of, outer.subject, len(outer.body.commitment)) == ("view", TASK, 32)
    assert NAME.encode() not in data
    shown = await opened_leaf(hub, started)
    assert isinstance(shown.body, kinds.View)
    assert (shown.body.viewer, shown.at) == (NAME, outer.at)
    stored = await hub.records.get("hub:hub-1", 0, started)
    assert stored.opening is not None
    with pytest.raises(VerificationError, match="commitment"):
        reveal(read(data), stored.opening[:-1] + b"\0")
    assert await problems(hub) == ()


async def test_accesses_hide_even_whom_they_are_about(hub: Hub) -> None:
    await hub.access.add(PersonDraft(NAME, "inspector", "赵明轩"), "admin")
    await settled(hub)
    last = hub.log.published_size() - 1
    assert read(await hub.log.leaf(last)).record.subject == "hub:hub-1"
    assert (await opened_leaf(hub, last)).subject == NAME
    for path in (hub.core.settings.port.state / "log").rglob("*"):
        assert not path.is_file() or NAME.encode() not in path.read_bytes()


async def test_an_erased_body_leaves_tree_proofs_and_a_row(hub: Hub) -> None:
    places = await watch(hub)
    data = await hub.log.leaf(places[0])
    assert await hub.erasing.erase(places[0], "admin", "asked for, granted") == places
    await settled(hub)
    disposal = hub.log.published_size() - 1
    body = read(await hub.log.leaf(disposal)).record.body
    assert body == kinds.Disposal((), "asked for, granted", "admin", places)
    assert await hub.log.leaf(places[0]) == data
    head = SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint
    verify_inclusion(leaf_hash(data), places[0], head.size, await hub.log.proof(places[0]), head.root)
    assert [row for row in await rows(hub) if row[1] is not None] == [(place, disposal) for place in places]
    stored = await hub.records.get("hub:hub-1", 0, places[0])
    assert (stored.opening, stored.erased) == (None, disposal)
    assert await hub.core.database.read(lambda connection: connection.execute(select(views)).all()) == []
    assert await problems(hub) == ()
    with pytest.raises(RefusedError, match="was erased"):
        await hub.erasing.erase(places[0], "admin", "again")


async def test_erased_names_are_nowhere_in_the_files(hub: Hub) -> None:
    if hub.core.database.dialect != "sqlite":
        pytest.skip("PostgreSQL overwrites what was deleted by VACUUM, in its own time")
    places = await watch(hub)
    await hub.erasing.erase(places[0], "admin", "asked for")
    await settled(hub)
    await hub.core.database.settle()
    state = hub.core.settings.port.state
    with sqlite3.connect(state / "hub.db") as other:
        assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)
    held = [path.name for path in state.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()]
    assert held == []


async def test_who_may_not_and_what_must_stay(hub: Hub) -> None:
    places = await watch(hub)
    with pytest.raises(ForbiddenError, match="no administrator"):
        await hub.erasing.erase(places[0], NAME, "mine")
    with pytest.raises(MalformedError, match="reason"):
        await hub.erasing.erase(places[0], "admin", " ")
    with pytest.raises(RefusedError, match="no concealed body"):
        await hub.erasing.erase(9999, "admin", "none")
    open_view = await hub.views.playback_started(TASK, NAME)
    with pytest.raises(RefusedError, match="not ended"):
        await hub.erasing.erase(hub.log.published_size() - 1, "admin", "too soon")
    await hub.views.ended(open_view)
    await hub.keeping.decide(TASK, kinds.Keeping("held", "admin", "case 7"))
    with pytest.raises(RefusedError, match="legal hold"):
        await hub.erasing.erase(places[0], "admin", "held")
    await hub.keeping.decide(TASK, kinds.Keeping("freed", "admin", "case 7 is closed"))
    assert await hub.erasing.erase(places[0], "admin", "freed") == places


async def test_bodies_go_when_their_class_is_over_unless_held(hub: Hub, clock: ToldClock) -> None:
    places = await watch(hub)
    await hub.keeping.decide(TASK, kinds.Keeping("held", "admin", "case 7"))
    clock.pass_time(29 * 86_400)
    await hub.keeping.look()
    await settled(hub)
    assert all(disposal is None for _, disposal in await rows(hub))
    clock.pass_time(2 * 86_400)
    await hub.keeping.look()
    await settled(hub)
    gone = [position for position, disposal in await rows(hub) if disposal is not None]
    assert gone
    assert not set(places) & set(gone)
    await hub.keeping.decide(TASK, kinds.Keeping("freed", "admin", "closed"))
    await hub.keeping.look()
    await settled(hub)
    assert all(disposal is not None for _, disposal in await rows(hub))
    assert await problems(hub) == ()


async def test_a_body_that_vanishes_or_differs_is_a_fault(hub: Hub) -> None:
    started, ended = await watch(hub)

    def damage(connection: Connection) -> None:
        connection.execute(delete(openings).where(openings.c.position == started))
        connection.execute(update(openings).where(openings.c.position == ended).values(opening=bytes(64)))

    await hub.core.database.write(damage)
    found = await problems(hub)
    assert any(f"record {started}: its body is missing, and no record says why" in one for one in found)
    assert any(f"record {ended}: its body is not the one that the log binds" in one for one in found)


async def test_an_export_after_an_erasure_still_names_the_views_place(hub: Hub) -> None:
    places = await watch(hub)
    await hub.tasks.end(TASK, "admin")
    await hub.erasing.erase(places[0], "admin", "asked for")
    await settled(hub)
    disposal, site = hub.log.published_size() - 1, SiteCa()

    def ask(connection: Connection) -> list[int]:
        port = DatabasePort(connection, "hub:hub-1", (site.ca, site.root), lambda name: None)
        assert port.opening(places[0]) is None
        return port.custody_leaves(Scope(TaskId(TASK)))

    found = await hub.core.database.read(ask)
    assert {*places, disposal} <= set(found)
