"""Samples at the hub, on SQLite and on PostgreSQL alike: planned by the draw's seed, followed to the laboratory, in the way of passing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.laboratory import BROKEN, POSITIVE, Finding, SampleDraft
from hub.inspection.sample_plans import before_of, planned
from hub.inspection.sampling.shipped import shipped_document
from hub.inspection.sheets import keep, said
from hub.inspection.states import State
from protocol import sheets
from protocol.errors import RefusedError
from storage.keys import create_ed25519
from storage.schema import declaration_steps as steps
from tests.contracts.test_draws import TWO, drawn, inspectors, policy_for, screen
from tests.fieldwork_parts import BAY, ground, lead_and_assistant, settings
from tests.hub_parts import running_hub, settings_for, settled
from tests.inspection_parts import arriving_soon

LAB = "lab-1"
ON_SITE = (State.SELECTED, State.HELD, State.DISPATCHED, State.POSITIONED, State.PAIRED, State.INSPECTING)
DRAFT = SampleDraft(LAB, "durian flesh", "2.5", "kg", 1, "CSQU3054383", ("7", "31"), ("residues",), True, {"sampler": "act:1"})
NEGATIVE = Finding("R-1", "negative", (("cadmium", "0.01 mg/kg"),), "ab" * 32)
POSITIVE_FINDING = Finding("R-2", "positive", (("cadmium", "9 mg/kg"),), "cd" * 32, "above GB 2762")


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


async def on_site(hub: Hub, reference: str = "R-1") -> str:
    """Bring a declaration to where its goods are inspected, and the laboratory into the reference data."""
    if not any(one.key == LAB for one in await hub.references.list("partner")):
        await hub.references.put("partner", LAB, {"name": "技术中心", "role": "laboratory"}, "admin", "listed")
    number = (await hub.declarations.lodge(arriving_soon(hub.core.clock, reference=reference), "trader.wu")).number
    for state in (State.ACCEPTED, State.SCREENED, *ON_SITE):
        await hub.declarations.step(number, state, {}, rule="test/1")
    return number


async def at_laboratory(hub: Hub, number: str) -> str:
    sample = (await hub.laboratory.draw(number, DRAFT, "li.wei")).number
    await hub.laboratory.seal(sample, "li.wei", "S-77")
    await hub.laboratory.hand_over(sample, "li.wei", "driver Sun")
    return sample


async def falsify(hub: Hub, number: str) -> None:
    """Let another box stand in the plan that is kept, with a sheet and a row that bind it: as a hub would that steers what is opened."""

    def change(connection: Connection) -> None:
        mine = (steps.c.declaration == number, steps.c.act == State.SELECTED.value)
        row = connection.execute(select(steps).where(*mine)).one()
        words = said(connection, bytes(row.sheet))
        assert words is not None
        words["plan"]["boxes"] = ["MSKU0000009"]
        other = sheets.make_sheet(words, bytes(32))
        keep(connection, other)
        connection.execute(update(steps).where(*mine).values(sheet=other.commitment))

    await hub.core.database.write(change)


async def state_of(hub: Hub, number: str) -> State:
    return (await hub.declarations.get(number)).state


async def test_a_sample_goes_from_the_goods_to_its_report_and_the_declaration_with_it(hub: Hub) -> None:
    number, lab = await on_site(hub), hub.laboratory
    first = await lab.draw(number, DRAFT, "li.wei")
    second = await lab.draw(number, DRAFT, "li.wei")
    assert (first.number, second.number) == (f"{number}-S01", f"{number}-S02")
    assert await state_of(hub, number) is State.SAMPLED
    for one in (first.number, second.number):
        with pytest.raises(RefusedError, match="must be sealed"):
            await lab.hand_over(one, "li.wei", "driver Sun")
        await lab.seal(one, "li.wei", f"seal of {one}")
        assert await state_of(hub, number) is State.SAMPLED
        await lab.hand_over(one, "li.wei", "driver Sun", "cold box 4 °C")
    assert await state_of(hub, number) is State.LAB_PENDING
    assert (await lab.state(number)).open == (first.number, second.number)
    with pytest.raises(RefusedError, match="must be received before it is reported"):
        await lab.report(first.number, LAB, "lab.he", NEGATIVE)
    with pytest.raises(RefusedError, match="another laboratory"):
        await lab.receive(first.number, "lab-2", "lab.he", sealed=True, fit=True)
    with pytest.raises(RefusedError, match="no report of the laboratory yet"):
        await hub.declarations.step(number, State.PASSED, {}, by="zhou.jun")
    for one in (first.number, second.number):
        await lab.receive(one, LAB, "lab.he", sealed=True, fit=True)
        done = await lab.report(one, LAB, "lab.he", NEGATIVE)
    assert (done.state, done.verdict, done.report) == ("reported", "negative", "ab" * 32)
    assert [one.act for one in done.acts] == ["drawn", "sealed", "handed-over", "received", "reported"]
    assert (await lab.state(number)).obstacles() == []
    await hub.declarations.step(number, State.PASSED, {}, by="zhou.jun")
    assert len(await lab.list(declaration=number)) == len(await lab.list(laboratory=LAB)) == 2
    await settled(hub)
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_positive_sample_bars_passing_and_rings(hub: Hub) -> None:
    number, lab = await on_site(hub), hub.laboratory
    sample = await at_laboratory(hub, number)
    await lab.receive(sample, LAB, "lab.he", sealed=True, fit=True)
    await lab.report(sample, LAB, "lab.he", POSITIVE_FINDING)
    with pytest.raises(RefusedError, match=f"found sample {sample} positive"):
        await hub.declarations.step(number, State.PASSED, {}, by="zhou.jun")
    with pytest.raises(RefusedError, match="is reported"):
        await lab.void(sample, "chen.min", "zhou.jun", "we do not like it")
    assert [(one.kind, one.subject) for one in await hub.alarms.list()] == [(POSITIVE, sample)]
    await hub.declarations.step(number, State.TREATMENT, {}, by="zhou.jun")
    assert (await lab.state(number)).obstacles() == []  # treated since
    await hub.declarations.step(number, State.PASSED, {}, by="zhou.jun")


async def test_a_broken_seal_is_a_finding_until_two_persons_give_the_sample_up(hub: Hub) -> None:
    number, lab = await on_site(hub), hub.laboratory
    sample = await at_laboratory(hub, number)
    await lab.receive(sample, LAB, "lab.he", sealed=False, fit=True)
    assert [(one.kind, one.subject) for one in await hub.alarms.list()] == [(BROKEN, sample)]
    assert (await lab.state(number)).broken == (sample,)
    with pytest.raises(RefusedError, match="did not arrive sound"):
        await lab.report(sample, LAB, "lab.he", NEGATIVE)
    with pytest.raises(RefusedError, match="not sound"):
        await hub.declarations.step(number, State.PASSED, {}, by="zhou.jun")
    with pytest.raises(RefusedError, match="second person"):
        await lab.void(sample, "chen.min", "chen.min", "broken")
    await lab.void(sample, "chen.min", "zhou.jun", "broken on the way")
    assert (await lab.state(number)).obstacles() == []


async def test_samples_are_drawn_in_an_inspection_only_and_numbered_once(hub: Hub) -> None:
    number = await on_site(hub)
    found = await asyncio.gather(*(hub.laboratory.draw(number, DRAFT, "li.wei") for _ in range(10)))
    assert sorted(one.number for one in found) == [f"{number}-S{at:02d}" for at in range(1, 11)]
    with pytest.raises(RefusedError, match="no laboratory"):
        await hub.laboratory.draw(number, SampleDraft("terminal-1", "x", "1", "kg"), "li.wei")
    for one in found:
        await hub.laboratory.void(one.number, "chen.min", "zhou.jun", "by mistake")
    assert await state_of(hub, number) is State.INSPECTING
    other = (await hub.declarations.lodge(arriving_soon(hub.core.clock, reference="R-2"), "trader.wu")).number
    with pytest.raises(RefusedError, match="while it is inspected"):
        await hub.laboratory.draw(other, DRAFT, "li.wei")


async def test_the_plan_is_kept_with_the_selection_and_an_amendment_changes_nothing_of_it(hub: Hub) -> None:
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    number = (await screen(hub, 1, "red"))[0]
    state = await drawn(hub)
    plan = await hub.laboratory.plan(number)
    assert plan is not None and state.closed_at is not None
    assert (plan["boxes"], plan["amended"], plan["before"]) == (["CSQU3054383"], False, state.closed_at)
    lot = plan["lots"][0]
    assert (lot["rule"], lot["lot"], lot["n"], lot["severity"], lot["laboratory"]) == ("fruit", 960, 57, "normal", True)
    assert len(lot["lines"][0]["packages"]["CSQU3054383"]) == 57
    form = arriving_soon(hub.core.clock, reference="R-0000")
    form["goods"] = [form["goods"][0] | {"packages": 5}]
    await hub.declarations.amend(number, form, "trader.wu", "we counted again")
    now = await hub.laboratory.plan(number)
    assert now == {**plan, "amended": True}
    closed_at = state.closed_at
    again = await hub.core.database.read(
        lambda connection: planned(connection, number, before_of(connection, closed_at), bytes.fromhex(plan["seed"]))
    )
    assert again == {name: value for name, value in plan.items() if name != "amended"}
    await settled(hub)
    assert (await check_hub(hub.core.settings)).problems == ()
    await falsify(hub, number)
    assert ["the plan of its sampling, kept at" in one for one in (await check_hub(hub.core.settings)).problems].count(True) == 1
    assert await hub.laboratory.plan((await screen(hub, 1, first=5))[0]) is None
    with pytest.raises(RefusedError, match="not on this inspection"):
        for step in ON_SITE[1:]:
            await hub.declarations.step(number, step, {}, rule="test/1")
        await hub.references.put("partner", LAB, {"name": "技术中心", "role": "laboratory"}, "admin", "listed")
        await hub.laboratory.draw(number, DRAFT, "sun.yan")


async def test_samples_are_taken_by_who_is_on_the_inspection_also_by_who_took_it_over(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    async with ground(settings(tmp_path), create_ed25519(tmp_path / "keys" / "log.key")) as site:
        lab, number = site.hub.laboratory, site.number
        await site.hub.references.put("partner", LAB, {"name": "技术中心", "role": "laboratory"}, "admin", "listed")
        await site.hub.references.put("inspector", "wu.di", {"display": "wu.di", "qualifications": ["fruit"]}, "admin", "listed")
        task = (await site.hub.dispatch.dispatch(number, BAY, "chen.min")).task
        for step in ON_SITE[3:]:
            await site.hub.declarations.step(number, step, {}, rule="test/1")
        lead, assistant = await lead_and_assistant(site)
        with pytest.raises(RefusedError, match="not on this inspection"):
            await lab.draw(number, DRAFT, "wu.di")
        await (await site.phone(lead)).act(task, "hand-over", {"to": "wu.di", "reason": "ill"})
        sample, other = (await lab.draw(number, DRAFT, "wu.di")).number, (await lab.draw(number, DRAFT, assistant)).number
        with pytest.raises(RefusedError, match="not on this inspection"):
            await lab.seal(sample, "sun.yan", "S-1")
        await lab.seal(sample, "wu.di", "S-1")
        with pytest.raises(RefusedError, match="not on this inspection"):
            await lab.hand_over(sample, "chen.min", "driver Sun")
        await lab.hand_over(sample, lead, "driver Sun")
        await lab.seal(other, "chen.min", "S-2", oversees=True)
        assert (await lab.hand_over(other, "chen.min", "driver Sun", oversees=True)).state == "handed-over"
        assert await state_of(site.hub, number) is State.LAB_PENDING


async def test_earlier_verdicts_decide_what_the_next_consignment_is_tested_for(hub: Hub) -> None:
    async def shares(number: str) -> tuple[int, str, bool]:
        lot = await hub.core.database.read(
            lambda connection: planned(connection, number, before_of(connection, hub.log.size), bytes(32))["lots"][0]
        )
        return lot["share_ppm"], lot["severity"], lot["parts"]["held"]

    last = await on_site(hub, "R-last")
    assert await shares(last) == (1_000_000, "normal", False)
    for at in range(10):
        number = await on_site(hub, f"R-{at}")
        await hub.declarations.step(number, State.PASSED, {}, by="zhou.jun")
    assert await shares(last) == (500_000, "normal", False)  # ten in a row lead one level on
    number = await on_site(hub, "R-bad")
    await hub.declarations.step(number, State.FAILED, {}, by="zhou.jun")
    assert await shares(last) == (1_000_000, "normal", True)  # and all is tested until it is lived down


async def test_rules_of_sampling_are_set_by_two_and_hold_from_then_on(hub: Hub) -> None:
    lab = hub.laboratory
    value = sheets.decode(shipped_document()) | {"version": 2, "effective": "2026-01-01"}
    value["rules"][0]["method"]["rate"] = "0.5%"
    with pytest.raises(RefusedError, match="second person"):
        await lab.set_rules(sheets.encode(value), "admin", "admin", "stricter")
    with pytest.raises(RefusedError, match="next version is 2"):
        await lab.set_rules(sheets.encode(value | {"version": 1}), "admin", "chen.min", "stricter")
    await lab.set_rules(sheets.encode(value), "admin", "chen.min", "stricter")
    text, known = await lab.rules()
    assert text == sheets.encode(value) and [one.version for one in known] == [2]
    number = await on_site(hub)
    plan = await lab.plan(number)
    assert plan is not None and (plan["rules"], plan["lots"][0]["n"]) == ("goods/2", 506)
    await settled(hub)
    assert (await check_hub(hub.core.settings)).problems == ()
