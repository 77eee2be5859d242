"""Draws at the hub, on SQLite and on PostgreSQL alike: called, closed, asked, drawn, stepped, published, and never made again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from hub.app import Hub
from hub.check import check_hub
from hub.config import WitnessingSettings, WitnessSettings
from hub.inspection.draws import Draws, DrawState
from hub.inspection.states import State
from protocol.drawing.judging import Judgement, judge
from protocol.drawing.policy import PARTS, Lane, Named, Policy
from protocol.drawing.pool import pool_root
from protocol.drawing.published import DrawBundle
from protocol.errors import RefusedError, VerificationError
from protocol.inspection_kinds import DrawClosing
from protocol.instants import SECOND_NS
from protocol.notes import ED25519, NoteKey, cosigner
from protocol.trust import Trust
from storage.keys import create_ed25519
from storage.schema import draw_documents, draws
from storage.witness import initialise, make_draw_key, signers
from tests.hub_parts import running_hub, settings_for
from tests.inspection_parts import arriving_soon
from tests.witness_parts import running_witness
from tests.witness_parts import settings_of as witness_settings_of

AHEAD_NS = SECOND_NS // 4
TWO = ("wang.fang", "chen.jie", "as agreed")
LANES = {"green": Lane(PARTS // 100, PARTS // 10), "yellow": Lane(PARTS // 50, PARTS // 2), "red": Lane(PARTS // 20, 0, certain=True)}


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


async def policy_for(hub: Hub, *more: Named, **changes: Any) -> Policy:
    """Make a policy with the hub's own key and others."""
    named = (Named("hub", await hub.draws.answers.own_key()), *more)
    policy = Policy("draw-rules/1", hub.log.origin, named, len(named), 1, PARTS // 5, {}, LANES, {"A": 0, "D": PARTS // 3})
    return replace(policy, **changes)


async def screen(hub: Hub, count: int, lane: str = "green", first: int = 0) -> list[str]:
    """Bring declarations to where they are drawn."""
    numbers = []
    for at in range(first, first + count):
        one = await hub.declarations.lodge(arriving_soon(hub.core.clock, reference=f"R-{at:04d}"), "trader.wu")
        await rescreen(hub, one.number, lane)
        numbers.append(one.number)
    return numbers


async def rescreen(hub: Hub, number: str, lane: str = "green") -> None:
    inputs = {"stratum": "fruit/TH", "lane": lane, "risk": PARTS // 10, "grade": "A", "needs": ["fruit"], "parties": ["E-1"]}
    await hub.declarations.step(number, State.ACCEPTED, {}, by="li.wei")
    await hub.declarations.step(number, State.SCREENED, {"draw": inputs}, rule="test/1")


async def inspectors(hub: Hub) -> None:
    for name, able, away in (
        ("li.wei", ["fruit"], []),
        ("zhao.lei", ["fruit", "meat"], []),
        ("sun.yan", ["meat"], []),
        ("he.jun", ["fruit"], ["E-1"]),
    ):
        recusals = [{"enterprise": one, "reason": "kin"} for one in away]
        value = {"display": name, "qualifications": able, "recusals": recusals}
        await hub.references.put("inspector", name, value, "admin", "listed")


async def drawn(hub: Hub) -> DrawState:
    """Call a draw and wait until it is over and every declaration has taken its step."""
    called = await hub.draws.call(hub.core.clock.now().wall_ns + AHEAD_NS)
    async with asyncio.timeout(20):
        while (await hub.draws.get(called.number)).drawn_at is None:
            await hub.draws.go_on()
            await asyncio.sleep(0.05)
    await hub.draws.go_on()
    return await hub.draws.get(called.number)


async def until_closing(hub: Hub, closes_ns: int) -> None:
    """Wait for the closing time."""
    left_ns = closes_ns - hub.core.clock.now().wall_ns
    await asyncio.sleep(max(left_ns, 0) / SECOND_NS + 0.01)


def trust_of(hub: Hub, **more: Any) -> Trust:
    return replace(Trust(hub.core.site, hub.core.hub_id, "0" * 64, hub.log.key), **more)


async def judged(hub: Hub, number: int) -> Judgement:
    return judge(DrawBundle.parse(await hub.draws.bundle(number)), trust_of(hub))


async def test_a_draw_selects_steps_and_is_published(hub: Hub) -> None:
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    numbers = await screen(hub, 6) + await screen(hub, 2, "red", 6)
    found = await drawn(hub)
    assert (found.state, found.entries, found.inspectors) == ("drawn", 8, 4)
    said = await judged(hub, found.number)
    selected = {one.id: set(one.members) for one in said.final}
    assert set(numbers[6:]) <= set(selected)
    assert all(members == {"li.wei", "zhao.lei"} for members in selected.values())
    for number in numbers:
        state = (await hub.declarations.get(number)).state
        assert state is (State.SELECTED if number in selected else State.DIRECT_RELEASE)
    step = (await hub.declarations.history(numbers[6]))[-1]
    assert step.rule == "draw/1" and step.said is not None and set(step.said["inspectors"]) == {"li.wei", "zhao.lei"}
    await screen(hub, 3, "red", 20)
    again = await drawn(hub)
    later = await judged(hub, again.number)
    loads = {one.id: one.load for one in later.pool.inspectors}
    assert (loads["li.wei"], loads["zhao.lei"], loads["sun.yan"]) == (len(selected), len(selected), 0)
    assert len(later.pool.entries) == 3
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_an_amendment_never_unselects_and_what_was_not_selected_is_drawn_anew(hub: Hub) -> None:
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    (certain,) = await screen(hub, 1, "red")
    called = await hub.draws.call(hub.core.clock.now().wall_ns + AHEAD_NS)
    await until_closing(hub, called.closes_ns)
    with suppress(RefusedError):  # it closed by itself
        await hub.draws._close(called.number)
    form = arriving_soon(hub.core.clock, reference="R-0000", remarks="other wording")
    if (await hub.declarations.get(certain)).state is State.SCREENED:
        await hub.declarations.amend(certain, form, "trader.wu", "wording")
        await rescreen(hub, certain, "green")
    async with asyncio.timeout(20):
        while (await hub.declarations.get(certain)).state is not State.SELECTED:
            await hub.draws.go_on()
            await asyncio.sleep(0.02)
    await hub.declarations.amend(certain, form | {"remarks": "once more"}, "trader.wu", "wording")
    assert (await hub.declarations.get(certain)).selected


async def test_only_one_draw_at_a_time_and_only_with_policy_and_time_ahead(hub: Hub) -> None:
    now_ns = hub.core.clock.now().wall_ns
    with pytest.raises(RefusedError, match="none was set"):
        await hub.draws.call(now_ns + 60 * SECOND_NS)
    with pytest.raises(RefusedError, match="second person"):
        await hub.draws.set_policy(await policy_for(hub), "li.wei", "li.wei", "x")
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    found = await asyncio.gather(*(hub.draws.call(now_ns + 60 * SECOND_NS) for _ in range(3)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["DrawState", "RefusedError", "RefusedError"]
    with pytest.raises(RefusedError, match="is not over"):
        await hub.draws.bundle(1)


async def test_exclusions_refusals_and_overrides_are_shown_for_ever(hub: Hub) -> None:
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    kept, out = await screen(hub, 2, "red")
    await hub.draws.exclude("declaration", out, *TWO)
    found = await drawn(hub)
    first = await judged(hub, found.number)
    assert [one.id for one in first.teams] == [kept] and [one.id for one in first.pool.left] == [out]
    lead = first.teams[0].members[0]
    with pytest.raises(VerificationError, match="was not drawn"):
        await hub.draws.refuse(found.number, kept, "sun.yan", *TWO)
    await hub.draws.refuse(found.number, kept, lead, *TWO)
    assert lead not in (await judged(hub, found.number)).final[0].members
    assert await hub.draws.team(kept) == (await judged(hub, found.number)).final[0].members
    await hub.draws.override(found.number, kept, ["sun.yan", "li.wei"], *TWO)
    last = await judged(hub, found.number)
    assert last.final[0].members == ("sun.yan", "li.wei")
    assert [one.act for one in last.acts] == ["excluded", "refused", "overridden"]
    assert await hub.draws.team(kept) == ("sun.yan", "li.wei") and await hub.draws.team(out) == ()
    await hub.draws.exclude("declaration", out, *TWO, readmit=True)
    again = await judged(hub, (await drawn(hub)).number)
    assert [one.id for one in again.teams] == [out]
    assert {one.id: one.load for one in again.pool.inspectors}["sun.yan"] == 1
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_silent_key_makes_the_draw_fall_back(hub: Hub) -> None:
    await hub.draws.set_policy(
        await policy_for(hub, Named("customs", bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))), *TWO
    )
    numbers = await screen(hub, 3)
    found = await drawn(hub)
    said = await judged(hub, found.number)
    assert (found.state, said.missing, said.fallen_back) == ("fallen back", ("customs",), True)
    assert [one.id for one in said.final] == numbers
    assert any(alarm.kind == "draw answers missing" for alarm in await hub.alarms.list())


async def test_witnesses_answer_for_the_port_and_a_second_pool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    signer = create_ed25519(tmp_path / "keys" / "log.key")
    settings = settings_for(tmp_path, "")
    witness = witness_settings_of(tmp_path / "customs", NoteKey(settings.log_origin, ED25519, signer.public))
    initialise(witness)
    key = bytes.fromhex(make_draw_key(witness))
    vkey = cosigner(witness.name, signers(witness.state)[0].public).vkey()
    async with running_witness(witness) as (url, _):
        settings = replace(
            settings, witnesses=(WitnessSettings(name="customs", url=url, vkey=vkey),), witnessing=WitnessingSettings(quorum=1)
        )
        async with running_hub(settings, signer) as hub:
            await hub.draws.set_policy(await policy_for(hub, Named("customs", key), answer_s=60), *TWO)
            await screen(hub, 4)
            found = await drawn(hub)
            trust = trust_of(hub, draw_keys=(("customs", key),))
            said = judge(DrawBundle.parse(await hub.draws.bundle(found.number)), trust)
            assert said.answered == ("hub", "customs") and len(said.unchecked) == 2
            row = (await hub.draws.list())[0]
            body = DrawClosing(1, b"\7" * 32, 4, 0, said.policy.hash, bytes(32))
            other = await hub.log.issue(body, "draw-000001")
            with pytest.raises(Exception, match="answered for another pool"):
                await hub.draws.answers._witness("customs", other.record.position)
            assert row.number == 1


async def test_a_draw_goes_on_after_a_stop_at_any_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").mkdir()
    signer = create_ed25519(tmp_path / "keys" / "log.key")
    settings = settings_for(tmp_path, "")
    stops = ("_close", "_keep_closing", "_draw", "_step_all")
    async with running_hub(settings, signer) as hub:
        await hub.draws.set_policy(await policy_for(hub), *TWO)
        await screen(hub, 3, "red")
        await hub.draws.call(hub.core.clock.now().wall_ns + 2 * SECOND_NS)
    seen = set()

    async def idle(_: Draws) -> None:
        await asyncio.Event().wait()

    for stop in stops:
        with monkeypatch.context() as patched:
            whole = getattr(Draws, stop)

            async def halted(self: Draws, *given: Any, whole: Any = whole) -> None:
                await whole(self, *given)
                raise VerificationError("power cut", where="test")

            patched.setattr(Draws, stop, halted)
            patched.setattr(Draws, "_run", idle)
            async with running_hub(settings, signer) as hub:
                await until_closing(hub, (await hub.draws.get(1)).closes_ns)
                with pytest.raises(VerificationError, match="power cut"):
                    await hub.draws.go_on()
                state = await hub.draws.get(1)
                if state.drawn_at is not None:
                    seen.add((await judged(hub, 1)).seed)
    async with running_hub(settings, signer) as hub:
        await hub.draws.go_on()
        assert {one.state for one in await hub.declarations.list()} == {State.SELECTED}
        assert seen == {(await judged(hub, 1)).seed}
        assert len(await hub.draws.list()) == 1
        assert (await check_hub(hub.core.settings)).problems == ()


async def test_the_check_names_pools_that_leave_out_or_add(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    settings = settings_for(tmp_path, "")
    async with running_hub(settings, create_ed25519(tmp_path / "keys" / "log.key")) as hub:
        await hub.draws.set_policy(await policy_for(hub), *TWO)
        first, second = await screen(hub, 2)
        await hub.declarations.hold(second, "maritime", "wang.fang", "papers")
        found = await drawn(hub)
        assert found.entries == 2
        pool = (await judged(hub, 1)).pool
        short = replace(pool, entries=pool.entries[1:])
        steered = pool_root(short.lines())

        def steer(connection: Connection) -> None:
            connection.execute(insert(draw_documents).values(name=steered, data="\n".join(short.lines()).encode()))
            connection.execute(update(draws).values(root=steered, entries=1))

        assert (await check_hub(settings)).problems == ()
        await hub.core.database.write(steer)
        problems = "\n".join((await check_hub(settings)).problems)
        assert f"declaration {first} was screened in time and is not in the pool" in problems
        assert "S7 draw-000001" in problems and "S6" in problems
        await hub.log.issue(DrawClosing(1, steered, 1, 0, (await hub.draws.policy()).hash, bytes(32)), "draw-000001")
        assert "2 records of draw-closing" in "\n".join((await check_hub(settings)).problems)


async def test_an_override_selects_what_was_not_drawn_and_unselects_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path, ""), create_ed25519(tmp_path / "keys" / "log.key")) as hub:
        await inspectors(hub)
        lanes = LANES | {"green": Lane(1, 0)}
        await hub.draws.set_policy(await policy_for(hub, rate=1, lanes=lanes), *TWO)
        (free,) = await screen(hub, 1)
        (kept,) = await screen(hub, 1, "red", 1)
        found = await drawn(hub)
        assert (await hub.declarations.get(free)).state is State.DIRECT_RELEASE
        await hub.draws.override(found.number, free, ["li.wei", "sun.yan"], *TWO)
        await hub.draws.override(found.number, kept, [], *TWO)
        assert [(await hub.declarations.get(one)).state for one in (free, kept)] == [State.SELECTED, State.SELECTED]
        assert await hub.draws.team(free) == ("li.wei", "sun.yan") and await hub.draws.team(kept) == ()
        assert [one.id for one in (await judged(hub, found.number)).final] == [free]
