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
from simulators.port_day.inspecting import Inspection
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


async def test_what_was_drawn_is_inspected_released_and_goes_out(port: Port) -> None:
    number = await selected(port, bring("fruit", port.stage))
    inspection = await Inspection(port, number).whole()
    assert not inspection.found
    await port.evaluate(number, "pass", "符合要求 conforms")
    lead = inspection.tasks[0].inspectors[0]
    with pytest.raises(RefusedError, match="was on the inspection"):
        await port.stage.hub.releases.approve(number, lead)
    await port.release(number)
    assert await port.told(number) == ["HOLD", "HOLD", "RELEASE", "RELEASE"]
    await port.move(number, "GTOT", "gate-1", expected="applied")
    acts = [one.act for one in await port.stage.hub.declarations.history(number)]
    assert acts == [
        "lodged", "accepted", "screened", "selected", "held", "dispatched", "positioned", "paired", "inspecting", "passed",
        "release-approved", "released", "gate-out",
    ]  # fmt: skip


async def test_without_video_nobody_releases_but_two_persons_against_the_evidence(port: Port) -> None:
    number = await selected(port, bring("meat", port.stage))
    await Inspection(port, number, unfilmed=True).whole()
    for verdict in ("pass", "return"):
        with pytest.raises(RefusedError, match="body-video"):
            await port.evaluate(number, verdict, "录像缺失 no video")
    with pytest.raises(RefusedError, match="may go to"):
        await port.release(number)
    await port.override(number, "鲜活货物，两人担责 perishable, two persons answer for it")
    said = (await port.stage.hub.declarations.history(number))[-1].said
    assert said is not None and any("body-video" in one for one in said["against"])
    assert ("release against the evidence", number) in [(one.kind, one.subject) for one in await port.stage.hub.alarms.list()]


async def test_what_was_forgotten_is_asked_for_while_the_box_is_open(port: Port) -> None:
    number = await selected(port, bring("fruit", port.stage))
    inspection = await Inspection(port, number, style="badly").whole()
    assert inspection.mended == 1
    await port.evaluate(number, "pass", "符合要求 conforms")
    assert await port.state(number) is State.PASSED


async def test_what_fails_goes_back(port: Port) -> None:
    number = await selected(port, bring("fruit", port.stage, Truth(hidden=True)))
    assert (await Inspection(port, number).whole()).found
    with pytest.raises(RefusedError, match="may go to"):
        await port.release(number)
    await port.evaluate(number, "return", "夹藏 goods that were not declared")
    assert await port.told(number) == ["HOLD", "HOLD", "RETURN", "RETURN"]
    await port.move(number, "GTOT", "gate-1", expected="applied")
    assert await port.state(number) is State.GATE_OUT
    assert "released" not in [one.act for one in await port.stage.hub.declarations.history(number)]


async def test_what_has_pests_is_treated_and_then_released(port: Port) -> None:
    number = await selected(port, bring("fruit", port.stage, Truth(pest=True)))
    assert (await Inspection(port, number).whole()).found
    await port.evaluate(number, "treat", "活体害虫 live pests")
    assert (await port.told(number))[-1] == "TREAT"
    with pytest.raises(RefusedError):
        await port.release(number)
    port.stage.clock.pass_s(6 * 3600)
    await port.evaluate(number, "pass", "处理合格 treated")
    await port.release(number)
    await port.move(number, "GTOT", "gate-1", expected="applied")
    assert await port.state(number) is State.GATE_OUT


async def test_nothing_is_released_against_a_positive_report_of_the_laboratory(port: Port) -> None:
    number = await selected(port, bring("meat", port.stage, Truth(residue=True)))
    await Inspection(port, number, sampled=True).whole()
    assert await port.state(number) is State.LAB_PENDING
    with pytest.raises(RefusedError):
        await port.evaluate(number, "pass", "too early")
    port.stage.clock.pass_s(8 * 3600)
    [report] = await port.test(number)
    assert report.result == "positive"
    assert "laboratory positive" in [one.kind for one in await port.stage.hub.alarms.list()]
    with pytest.raises(RefusedError):
        await port.evaluate(number, "pass", "in spite of it")
    await port.evaluate(number, "destroy", "检测不合格 residues")
    assert await port.state(number) is State.DESTROY


async def test_a_negative_report_lets_the_goods_go(port: Port) -> None:
    number = await selected(port, bring("meat", port.stage))
    await Inspection(port, number, sampled=True).whole()
    assert [report.result for report in await port.test(number)] == ["negative"]
    await port.evaluate(number, "pass", "检测合格 conforms")
    await port.release(number)
    assert await port.state(number) is State.RELEASED


async def test_an_appeal_that_is_won_gives_the_grade_back(port: Port) -> None:
    hub, number = port.stage.hub, await selected(port, bring("fruit", port.stage))
    day = port.stage.today.isoformat()
    before = await hub.credits.grade(FIRMS[0].code, day)
    await port.move(number, "GTOT", "gate-1", expected="illegal")
    facts = (await hub.credits.get(FIRMS[0].code, day)).facts
    assert len(facts) == len(port.cargoes[number].containers)
    assert await hub.credits.grade(FIRMS[0].code, day) != before
    for fact in facts:
        await hub.credits.appeal(fact.position, "shen.mao", "司机误驶 another firm's truck", party=FIRMS[0].code)
        with pytest.raises(RefusedError, match="whoever appealed"):
            await hub.credits.decide(fact.position, "shen.mao", "mine", upheld=True)
        await hub.credits.decide(fact.position, SUPERVISOR, "录像证实 the video shows it", upheld=True)
    assert await hub.credits.grade(FIRMS[0].code, day) == before
