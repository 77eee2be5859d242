"""Declarations at the hub, on SQLite and on PostgreSQL alike: taken once, amended in versions, held, stepped by guarded decisions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.declarations import Declarations
from hub.inspection.forms import FaultsError
from hub.inspection.states import Standing, State
from protocol.errors import MalformedError, RefusedError
from protocol.inspection_kinds import Declaration
from protocol.records import read
from storage.keys import create_ed25519
from storage.schema import sheets
from tests.hub_parts import running_hub, settings_for
from tests.inspection_parts import arriving_soon


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path, database_url), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


@pytest.fixture
def declarations(hub: Hub) -> Declarations:
    return Declarations(hub.core)


async def sound(hub: Hub) -> None:
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_declaration_is_taken_once_and_reads_as_it_was_written(hub: Hub, declarations: Declarations) -> None:
    form = arriving_soon(hub.core.clock)
    first, again = await asyncio.gather(declarations.lodge(form, "trader.wu"), declarations.lodge(form, "trader.wu"))
    assert again == first
    assert (first.state, first.version, first.reference) == (State.LODGED, 1, form["reference"])
    assert (await declarations.form(first.number)).bill == form["bill"]
    assert hub.log.published_size() == 1
    signed = read(await hub.log.leaf(0))
    assert isinstance(signed.record.body, Declaration) and signed.record.subject == first.number
    assert b"durian" not in signed.data and form["enterprise"].encode() not in signed.data
    with pytest.raises(RefusedError, match=f"names declaration {first.number} already"):
        await declarations.lodge(form | {"bill": "OTHER123"}, "trader.wu")
    with pytest.raises(FaultsError):
        await declarations.lodge(form | {"bill": "!"}, "trader.wu")
    await sound(hub)


async def test_numbers_are_in_order_and_none_is_given_twice(hub: Hub, declarations: Declarations) -> None:
    forms = [arriving_soon(hub.core.clock, reference=f"R-{number}") for number in range(40)]
    lodged = await asyncio.gather(*(declarations.lodge(form, "trader.wu") for form in forms))
    assert sorted(int(one.number.rsplit("-", 1)[1]) for one in lodged) == list(range(1, 41))
    newest = await declarations.list(limit=7)
    assert [one.number for one in newest] == sorted((one.number for one in lodged), reverse=True)[:7]
    older = await declarations.list(before_ns=min(one.lodged_ns for one in lodged))
    assert older == []
    assert len(await declarations.list(state=State.LODGED, enterprise=forms[0]["enterprise"])) == 40
    assert await declarations.list(enterprise="0000") == []


async def test_each_of_a_group_gets_its_own_answer(hub: Hub, declarations: Declarations) -> None:
    """Together they are one decision; what is wrong with one is said of that one alone."""
    first = await declarations.lodge(arriving_soon(hub.core.clock, reference="R-0"), "wu")
    forms = [arriving_soon(hub.core.clock, reference=f"R-{number % 20}") for number in range(40)]  # each twice, R-0 a third time
    forms += [arriving_soon(hub.core.clock, reference=f"R-{number}", bill="OTHER123") for number in range(3)]
    answers = await asyncio.gather(*(declarations.lodge(form, "wu") for form in forms), return_exceptions=True)
    taken = [one for one in answers[:40] if not isinstance(one, BaseException)]
    assert len(taken) == 40
    assert [one.number for one in taken[:20]] == [one.number for one in taken[20:]]
    assert taken[0] == first and len({one.number for one in taken}) == 20
    assert [type(one).__name__ for one in answers[40:]] == ["RefusedError"] * 3
    assert [await declarations.get(one.number) for one in taken] == taken
    assert hub.log.published_size() == 20
    only = await asyncio.gather(declarations.lodge(forms[40], "wu"), declarations.lodge(forms[41], "wu"), return_exceptions=True)
    assert [type(one).__name__ for one in only] == ["RefusedError"] * 2  # a group of nothing but refusals
    await sound(hub)


async def test_pages_follow_on_whatever_was_lodged_at_one_instant(hub: Hub, declarations: Declarations) -> None:
    forms = [arriving_soon(hub.core.clock, reference=f"R_{number}") for number in range(9)]
    numbers = sorted((one.number for one in await asyncio.gather(*(declarations.lodge(form, "wu") for form in forms))), reverse=True)
    seen: list[str] = []
    while page := await declarations.list(before=seen[-1] if seen else None, limit=4):
        seen += [one.number for one in page]
    assert sorted(seen, reverse=True) == numbers
    assert [one.reference for one in await declarations.list(begins="R_3")] == ["R_3"]
    assert await declarations.list(begins="R%") == []  # no pattern of the database's
    with pytest.raises(RefusedError, match="is not known"):
        await declarations.list(before="D-1")


async def test_a_check_takes_nothing_and_says_what_lodging_would(hub: Hub, declarations: Declarations) -> None:
    form = arriving_soon(hub.core.clock)
    assert await declarations.check(form, form["enterprise"]) == ()
    assert [fault.path for fault in await declarations.check(form | {"bill": "!"}, "4403960001")] == ["bill", "enterprise"]
    assert await declarations.list() == []
    number = (await declarations.lodge(form, "wu", form["enterprise"])).number
    assert [fault.path for fault in await declarations.check(form | {"bill": "OTHER123"})] == ["reference"]
    assert [fault.path for fault in await declarations.check(form | {"reference": "R-9"}, number=number)] == ["reference"]
    with pytest.raises(RefusedError, match="stands at version 1, not 2"):
        await declarations.amend(number, form, "wu", "again", after=2)
    await declarations.hold(number, "customs-1", "mo", "papers")
    await declarations.hold(number, "海关", "mo", "papers")
    for authority in ("customs-1", "海关"):
        assert [one.number for one in await declarations.held_by(authority)] == [number]
    assert await declarations.held_by("customs") == []
    await declarations.withdraw(number, "wu", "sold")
    with pytest.raises(RefusedError, match="no longer be amended"):
        await declarations.check(form, number=number)
    await sound(hub)


async def test_amendments_are_versions_and_never_unselect(hub: Hub, declarations: Declarations) -> None:
    form = arriving_soon(hub.core.clock)
    number = (await declarations.lodge(form, "trader.wu")).number
    amended = await declarations.amend(number, form | {"contract": "C-2"}, "trader.wu", "contract was missing")
    assert (amended.version, amended.state) == (2, State.LODGED)
    for to in (State.ACCEPTED, State.SCREENED, State.SELECTED, State.HELD):
        await declarations.step(number, to, {"why": "test"}, rule="test 1")
    late = await declarations.amend(number, form | {"contract": "C-3"}, "trader.wu", "again")
    assert (late.version, late.state, late.selected, late.held) == (3, State.HELD, True, True)
    assert [(await declarations.form(number, version)).contract for version in (1, 2, 3)] == [None, "C-2", "C-3"]
    with pytest.raises(RefusedError, match="enterprise"):
        await declarations.amend(number, form | {"enterprise": "91210200MA0SIM002X"}, "trader.wu", "swap")
    with pytest.raises(MalformedError, match="reason"):
        await declarations.amend(number, form, "trader.wu", " ")
    assert [(one.kind, one.act) for one in await declarations.history(number)] == [
        ("declaration", "lodged"),
        ("declaration", "amended"),
        ("step", "accepted"),
        ("step", "screened"),
        ("step", "selected"),
        ("step", "held"),
        ("declaration", "amended"),
    ]
    gone = await declarations.withdraw(number, "trader.wu", "sold at sea")
    assert (gone.state, gone.selected, gone.held) == (State.WITHDRAWN, True, True)
    with pytest.raises(RefusedError, match="no longer be amended"):
        await declarations.amend(number, form, "trader.wu", "late")
    await sound(hub)


async def test_a_guard_is_judged_where_the_step_enters_the_log(hub: Hub, declarations: Declarations) -> None:
    """A hold and an approval race by every order; the approval never stands behind a hold that came first."""
    for number in range(12):
        declared = await declarations.lodge(arriving_soon(hub.core.clock, reference=f"R-{number}"), "trader.wu")
        for to in (State.ACCEPTED, State.SCREENED, State.DIRECT_RELEASE):
            await declarations.step(declared.number, to, {})

        def direct(_connection: Connection, now: Standing) -> Standing:
            return replace(now, direct=True)

        approval = declarations.step(declared.number, State.RELEASE_APPROVED, {}, by="zhou", complete=direct)
        hold = declarations.hold(declared.number, "maritime", "mo.officer", "papers")
        asked: list[Any] = [approval, hold] if number % 2 else [hold, approval]
        answers = dict(zip(["first", "second"], await asyncio.gather(*asked, return_exceptions=True), strict=True))
        refused = [one for one in answers.values() if isinstance(one, RefusedError)]
        if number % 2:
            assert refused == []
        else:
            assert [one.what for one in refused] == ["maritime holds it"]
        with pytest.raises(RefusedError, match="holds it already"):
            await declarations.hold(declared.number, "maritime", "mo.officer", "papers")
        with pytest.raises(RefusedError, match="evidence gate alone"):
            await declarations.step(declared.number, State.RELEASED, {}, complete=direct)
        await declarations.hold(declared.number, "maritime", "mo.officer", "done", lift=True)
    await sound(hub)


async def test_erased_sheets_leave_the_standing_and_the_log(hub: Hub, declarations: Declarations) -> None:
    declared = await declarations.lodge(arriving_soon(hub.core.clock), "trader.wu")
    await hub.core.database.write(lambda connection: connection.execute(delete(sheets)))
    assert await declarations.get(declared.number) == declared
    assert [one.said for one in await declarations.history(declared.number)] == [None]
    with pytest.raises(RefusedError, match="erased"):
        await declarations.form(declared.number)
    await sound(hub)


async def test_what_is_not_known_or_not_written_well_is_refused(hub: Hub, declarations: Declarations) -> None:
    for number in ("", "D-1", "x" * 500, "D-20261124-0000001"):
        for attempt in (declarations.get(number), declarations.history(number), declarations.withdraw(number, "wu", "r")):
            with pytest.raises(RefusedError, match="is not known"):
                await attempt
    declared = await declarations.lodge(arriving_soon(hub.core.clock), "trader.wu")
    with pytest.raises(MalformedError, match="float"):
        await declarations.step(declared.number, State.ACCEPTED, {"score": 0.5})
    with pytest.raises(MalformedError, match="40 characters"):
        await declarations.hold(declared.number, "", "mo", "r")
    kept = await hub.core.database.read(lambda connection: connection.execute(select(sheets)).all())
    assert len(kept) == 1
