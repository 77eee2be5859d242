"""Whole ways through a port in virtual time, from the declaration to where it ends; afterwards the log gives the same tables (S6)."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.inspection.draws import Draws
from hub.inspection.states import State
from protocol.drawing.policy import PARTS
from protocol.errors import RefusedError
from simulators.people.cargo import COMMODITIES, Cargo, Firm, Truth, cargo, firms
from simulators.port_day.acts import Port
from simulators.port_day.stage import ADMINISTRATOR, SUPERVISOR, Stage, open_stage

FIRMS = firms(random.Random(5))
CERTAIN = {"fruit": PARTS, "meat": PARTS}  # what is inspected whenever a draw meets it


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with open_stage(tmp_path, 7, FIRMS) as stage:
        await certain(stage.hub.draws)
        opened = Port.of(stage)
        yield opened
        assert await stage.check() == ()  # S1 to S8; S6: replaying the log gives the same tables
        assert opened.terminal.surprises == []


async def certain(draws: Draws) -> None:
    """Let a draw select fruit and meat always, all else hardly ever."""
    policy = replace(await draws.policy(), rate=1000, strata=CERTAIN)
    lanes = {name: replace(lane, floor=1000, weight=0) for name, lane in policy.lanes.items()}
    await draws.set_policy(replace(policy, lanes=lanes), ADMINISTRATOR, SUPERVISOR, "for the scenario")


def bring(kind: str, stage: Stage, truth: Truth | None = None, number: int = 1) -> Cargo:
    """Give a consignment of a kind of goods; all is as declared unless it is said otherwise."""
    known = Firm(FIRMS[0].code, FIRMS[0].name, (kind,))
    draw = random.Random(f"{kind} {number}")
    made = cargo(draw, known, stage.today, number)
    assert made.commodity in COMMODITIES
    return replace(made, truth=truth or Truth())


async def selected(port: Port, one: Cargo) -> str:
    """Lodge a consignment, have it drawn and held; give its number."""
    number = await port.lodge(one)
    assert await port.stage.draw() == [number]
    await port.by_rule()
    assert await port.state(number) is State.HELD
    return number


async def test_what_no_draw_selects_is_released_and_goes_out(port: Port) -> None:
    number = await port.lodge(bring("general", port.stage))
    assert await port.state(number) is State.SCREENED
    assert await port.stage.draw() == []
    assert await port.by_rule() == []
    assert await port.told(number) == ["RELEASE", "RELEASE"]  # in JSON and as CUSRES
    port.stage.clock.pass_s(3600)
    await port.move(number, "GTOT", "gate-1", expected="applied")
    assert await port.state(number) is State.GATE_OUT
    acts = [one.act for one in await port.stage.hub.declarations.history(number)]
    assert acts == ["lodged", "accepted", "screened", "direct-release", "release-approved", "released", "gate-out"]


async def test_a_truck_that_leaves_without_a_release_rings_and_counts(port: Port) -> None:
    number = await selected(port, bring("fruit", port.stage))
    await port.move(number, "GTOT", "gate-1", expected="illegal")
    assert await port.state(number) is State.HELD
    assert ("gate-out without release", number) in [(one.kind, one.subject) for one in await port.stage.hub.alarms.list()]
    with pytest.raises(RefusedError, match="may go to"):
        await port.stage.hub.releases.approve(number, SUPERVISOR, "it is gone anyway")
    assert await port.told(number) == ["HOLD", "HOLD"]


async def test_an_amendment_after_selection_changes_the_words_and_not_the_selection(port: Port) -> None:
    one = bring("fruit", port.stage)
    number = await selected(port, one)
    goods = [one.form["goods"][0] | {"hs": "8708999990", "name": "汽车零件 motor-car parts"}]
    declared = await port.stage.hub.declarations.amend(number, one.form | {"goods": goods}, "trader", "品名更正 other goods")
    assert (declared.state, declared.version, declared.selected, declared.held) == (State.HELD, 2, True, True)
    await port.screen()
    assert await port.stage.draw() == []
    await port.by_rule()
    assert await port.state(number) is State.HELD


async def test_two_persons_release_against_the_evidence_and_it_stands_there_for_ever(port: Port) -> None:
    number = await selected(port, bring("meat", port.stage))
    with pytest.raises(RefusedError, match="second person"):
        await port.stage.hub.releases.override(number, SUPERVISOR, SUPERVISOR, "urgent")
    await port.override(number, "活体须立即放行 perishable, by order")
    assert await port.state(number) is State.RELEASED
    assert ("release against the evidence", number) in [(one.kind, one.subject) for one in await port.stage.hub.alarms.list()]
    step = (await port.stage.hub.declarations.history(number))[-1]
    assert step.said is not None and step.said["second"] and step.said["against"]
    await port.move(number, "GTOT", "gate-1", expected="applied")
    assert await port.state(number) is State.GATE_OUT
