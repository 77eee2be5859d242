"""Acceptance and screening at the hub, on SQLite and on PostgreSQL alike: by rule, with every input, once, and again when amended."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select

from hub.app import Hub
from hub.check import check_hub
from hub.config import InspectionSettings
from hub.inspection.credit import CreditDraft
from hub.inspection.draw_pools import entry_of
from hub.inspection.risk.bounds import PARTS, upper_bound
from hub.inspection.risk.facts import facts_of, premises_of
from hub.inspection.risk.rule_documents import SCORE_KEY, shipped_score
from hub.inspection.risk.scoring import History, Inputs, score
from hub.inspection.states import State
from protocol.errors import MalformedError, RefusedError
from protocol.instants import SECOND_NS
from protocol.signatures import Ed25519Signer
from storage.keys import create_ed25519
from storage.schema import declaration_steps, sheets
from tests.hub_parts import running_hub, settings_for
from tests.inspection_parts import arriving_soon

FRUIT = {"name": "水果", "name_en": "fruit", "hs": ["08"], "qualification": "fruit", "procedure": "fruit", "base_rate_ppm": 50_000}
IMPORTER = {"name": "大连示范果品有限公司", "kinds": ["importer"]}
AREA = {"origin": "TH", "hs": ["0810"], "disease": "实蝇", "disease_en": "fruit fly", "measure": "inspect", "start": "2020-01-01"}
RULE = {"title": "泰国榴莲", "title_en": "durian of Thailand", "owner": "li.wei", "when": "any goods (origin = 'TH')", "effect": "lane",
        "lane": "red", "start": "2020-01-01"}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def signer(tmp_path: Path) -> Ed25519Signer:
    (tmp_path / "keys").mkdir()
    return create_ed25519(tmp_path / "keys" / "log.key")


@pytest.fixture
async def hub(database_url: str, tmp_path: Path, signer: Ed25519Signer) -> AsyncIterator[Hub]:
    async with running_hub(settings_for(tmp_path, database_url), signer) as running:
        yield running


async def known(hub: Hub) -> None:
    await hub.references.put("goods", "fruit", FRUIT, "admin")
    await hub.references.put("enterprise", "91210200MA0SIM001X", IMPORTER, "admin")


async def lodged(hub: Hub, at: int = 1, **changes: Any) -> str:
    form = arriving_soon(hub.core.clock, reference=f"SIM-{at}", bill=f"SIMU{at:08d}", **changes)
    form["permits"] = [one | {"number": f"TH-PC-{at}"} for one in form["permits"]]
    return (await hub.declarations.lodge(form, "trader.wu")).number


async def settle(hub: Hub) -> None:
    while await hub.screening.go_on():
        pass


async def state(hub: Hub, number: str) -> State:
    return (await hub.declarations.get(number)).state


async def sheet(hub: Hub, number: str) -> dict[str, Any]:
    found = await hub.screening.of(number)
    assert found.sheet is not None
    return dict(found.sheet)


async def in_force(hub: Hub, key: str, **changes: Any) -> None:
    found = await hub.rules.propose(key, RULE | changes, "li.wei", "intelligence")
    await hub.rules.approve(key, found.version, "wang.fang", "agreed")


async def test_a_declaration_is_accepted_and_screened_with_every_input(hub: Hub) -> None:
    await known(hub)
    number = await lodged(hub)
    await settle(hub)
    assert [entry.rule for entry in await hub.declarations.history(number)] == [None, "acceptance/1", "screening/1"]
    found = await sheet(hub, number)
    parts = {part["name"]: part for part in found["risk"]["parts"]}
    assert parts["history"]["counts"] == upper_bound(0, 0)
    assert parts["credit"]["made_of"] == {"grade": "B", "joint_list": False}
    assert parts["documents"]["made_of"] == {"found": ["no-attachment"]}
    assert parts["lateness"]["made_of"] == {"days_ahead": 2, "late": 0}
    again = score(Inputs([History(**one) for one in found["histories"]], "B", mismatches=["no-attachment"], days_ahead=2), shipped_score())
    assert (found["risk"]["total"], found["risk"]["lane"]) == (again.total, again.lane)  # from the sheet alone
    assert found["draw"] == {"stratum": "fruit", "lane": again.lane, "risk": again.total, "grade": "B", "needs": ["fruit"],
                             "parties": ["91210200MA0SIM001X"]}  # fmt: skip
    policy = await hub.draws.proposal()
    entry = entry_of(policy, number, found, 7, 8)
    assert (entry.stratum, entry.lane, entry.risk, entry.grade, entry.needs) == ("fruit", again.lane, again.total, "B", ("fruit",))
    assert found["risk"]["floor"] is None and found["risk"]["verified"] is False
    assert await hub.screening.go_on() == 0
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_past_findings_of_the_same_goods_origin_and_shipper_count(hub: Hub) -> None:
    await known(hub)
    for at, verdict in enumerate((State.PASSED, State.FAILED, State.PASSED), 10):
        number = await lodged(hub, at)
        await settle(hub)
        await hub.declarations.step(number, State.DOC_CHECK, {"reason": "test"}, by="li.wei")
        await hub.declarations.step(number, verdict, {"reason": "test"}, by="li.wei")
    other = await lodged(hub, 20, consignor={"name": "Another Grower", "country": "TH"})
    same = await lodged(hub, 21, consignor={"name": "SIAM orchards Co., Ltd.", "country": "TH"})
    await settle(hub)
    assert (await sheet(hub, other))["histories"][0]["inspected"] == 0
    found = (await sheet(hub, same))["histories"]
    assert [(one["kind"], one["inspected"], one["failed"]) for one in found] == [("fruit", 3, 1)]
    assert (await sheet(hub, same))["risk"]["parts"][0]["counts"] == upper_bound(3, 1)


async def test_areas_notices_and_the_joint_list_count_and_are_named(hub: Hub) -> None:
    await known(hub)
    await hub.references.put("enterprise", "91210200MA0SIM001X", IMPORTER | {"joint_list": True}, "admin")
    await hub.references.put("area", "th-fly", AREA, "admin")
    notice = {"title": "榴莲", "title_en": "durian", "hs": ["081060"], "weight": 30, "start": "2020-01-01"}
    await hub.references.put("notice", "n-7", notice, "admin")
    await hub.draws.set_policy(await hub.draws.proposal(), "admin", "chen.min", "first")
    number = await lodged(hub)
    await settle(hub)
    risk = (await sheet(hub, number))["risk"]
    assert {"area/th-fly", "route/th-fly", "notice/n-7"} <= {part["name"] for part in risk["parts"]}
    assert risk["lane"] == "red" and risk["forced"] == [{"lane": "red", "by": "area/th-fly"}]
    assert risk["floor"] == {"policy": "draw-rules/1", "least": 50_000_000, "national": 50_000_000, "certain": True, "grade": 10_000_000}


async def test_a_worse_credit_grade_counts_from_the_next_screening_on(hub: Hub) -> None:
    await known(hub)
    before = await lodged(hub)
    await settle(hub)
    await hub.credits.add(CreditDraft("91210200MA0SIM001X", "smuggling", "hidden behind durians"), None, "gate/1")
    number = await lodged(hub, 2)
    await settle(hub)
    first, second = await sheet(hub, before), await sheet(hub, number)
    assert (first["draw"]["grade"], second["draw"]["grade"]) == ("B", "D")
    assert second["risk"]["parts"][1]["counts"] == 4 * first["risk"]["parts"][1]["counts"]
    assert second["risk"]["total"] > first["risk"]["total"]


async def test_what_a_ban_forbids_is_left_to_a_person(hub: Hub) -> None:
    await known(hub)
    await hub.references.put("area", "th-ban", AREA | {"measure": "refuse"}, "admin")
    number, other = await lodged(hub), await lodged(hub, 2)
    await settle(hub)
    assert await state(hub, number) is State.LODGED
    left = await hub.screening.left()
    assert [one.declaration for one in left] == [number, other]
    assert "th-ban" in left[0].reasons[0].zh and "th-ban" in left[0].reasons[0].en
    with pytest.raises(MalformedError):
        await hub.screening.decide(number, accept=True, by="li.wei", reason=" ")
    await hub.screening.decide(number, accept=True, by="li.wei", reason="transit under seal")
    await hub.screening.decide(other, accept=False, by="li.wei", reason="banned")
    await settle(hub)
    assert (await state(hub, number), await state(hub, other)) == (State.SCREENED, State.REJECTED)
    assert (await sheet(hub, number))["risk"]["lane"] == "red"
    assert await hub.screening.left() == []


async def test_a_hard_rule_rejects_with_its_reason(hub: Hub) -> None:
    await known(hub)
    await hub.references.retire("enterprise", "91210200MA0SIM001X", "admin", "closed down")
    number = await lodged(hub)
    await settle(hub)
    last = (await hub.declarations.history(number))[-1]
    assert (last.act, last.rule) == ("rejected", "acceptance/1")
    assert last.said is not None and last.said["reasons"][0]["code"] == "enterprise"
    assert "no longer registered" in last.said["reason"] and "注销" in last.said["reason"]


async def test_an_amendment_is_screened_again(hub: Hub) -> None:
    await known(hub)
    number = await lodged(hub)
    await settle(hub)
    first = await hub.screening.of(number)
    assert first.stands
    form = arriving_soon(hub.core.clock, reference="SIM-1", consignor={"name": "x", "country": "VN"})
    await hub.declarations.amend(number, form, "trader.wu", "typed wrongly")
    assert not (await hub.screening.of(number)).stands
    await settle(hub)
    second = await hub.screening.of(number)
    assert second.stands and second.position > first.position
    assert "consignor-elsewhere" in (await sheet(hub, number))["risk"]["parts"][2]["made_of"]["found"]


async def test_a_version_that_was_amended_meanwhile_is_not_judged_by_the_old_one(hub: Hub) -> None:
    await known(hub)
    number = await lodged(hub)
    today = datetime.fromtimestamp(hub.core.clock.now().wall_ns // SECOND_NS, UTC).date().isoformat()

    def look(connection: Connection) -> Any:
        premises = premises_of(connection)
        return premises, facts_of(connection, premises, number, today)

    premises, facts = await hub.core.database.read(look)
    await hub.declarations.amend(number, arriving_soon(hub.core.clock, reference="SIM-1", remarks="x"), "trader.wu", "more")
    assert await hub.screening._judge(premises, facts)  # refused inside, and looked at again
    assert await state(hub, number) is State.LODGED
    await settle(hub)
    assert (await sheet(hub, number))["version"] == 2
    stale = replace(facts, version=2, state=State.ACCEPTED)
    with pytest.raises(RefusedError, match="stands at screened"):
        await hub.screening._step(stale, State.SCREENED, {}, "screening/1")


async def test_papers_that_others_use_too_are_mismatches(hub: Hub) -> None:
    await known(hub)
    await lodged(hub, 1)
    await settle(hub)
    form = arriving_soon(hub.core.clock, reference="SIM-9", bill="SIMU00000001", enterprise="2102600009")
    form["permits"] = [one | {"number": "TH-PC-1"} for one in form["permits"]]
    number = (await hub.declarations.lodge(form, "trader.li")).number
    await settle(hub)
    found = (await sheet(hub, number))["risk"]["parts"][2]["made_of"]["found"]
    assert {"bill-elsewhere", "permit-elsewhere", "enterprise-unknown"} <= set(found)


async def test_two_that_come_at_once_under_one_bill_see_each_other(hub: Hub) -> None:
    await known(hub)
    forms = [arriving_soon(hub.core.clock, reference=f"SIM-{at}", enterprise=f"210260000{at}") for at in range(2)]
    numbers = [(await hub.declarations.lodge(form, "trader.li")).number for form in forms]
    await settle(hub)
    for number in numbers:
        assert {"bill-elsewhere", "permit-elsewhere"} <= set((await sheet(hub, number))["risk"]["parts"][2]["made_of"]["found"])


async def test_two_persons_put_a_rule_in_force_and_it_sends_to_its_lane(hub: Hub) -> None:
    await known(hub)
    before = await lodged(hub)
    await settle(hub)
    proposed = await hub.rules.propose("th-durian", RULE, "li.wei", "intelligence")
    assert (proposed.state, proposed.version, proposed.proposer) == ("proposed", 1, "li.wei")
    assert (await hub.rules.in_force()).targets == {}
    with pytest.raises(RefusedError, match="somebody else must approve"):
        await hub.rules.approve("th-durian", 1, "li.wei", "mine")
    await hub.rules.approve("th-durian", 1, "wang.fang", "agreed")
    with pytest.raises(RefusedError, match="is approved, not proposed"):
        await hub.rules.reject("th-durian", 1, "chen.min", "late")
    number = await lodged(hub, 2)
    await settle(hub)
    found = await sheet(hub, number)
    assert [(one["key"], one["version"]) for one in found["rules"]] == [("th-durian", 1)]
    assert found["draw"]["lane"] == "red" and (await sheet(hub, before))["draw"]["lane"] != "red"
    with pytest.raises(MalformedError, match="another"):
        await hub.rules.withdraw("th-durian", 1, "li.wei", "li.wei", "over")
    await hub.rules.withdraw("th-durian", 1, "li.wei", "wang.fang", "over")
    third = await lodged(hub, 3)
    await settle(hub)
    assert (await sheet(hub, third))["rules"] == []
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_weights_add_and_holds_hold_until_lifted(hub: Hub) -> None:
    await known(hub)
    await in_force(hub, "heavy", effect="weight", lane=None, weight=50)
    await in_force(hub, "stop", effect="hold", lane=None)
    await in_force(hub, "other", when="any goods (origin = 'VN')")
    number = await lodged(hub)
    await settle(hub)
    found = await sheet(hub, number)
    assert [one["key"] for one in found["rules"]] == ["heavy", "stop"]
    assert next(part for part in found["risk"]["parts"] if part["name"] == "rule/heavy")["counts"] == PARTS // 2
    assert found["draw"]["lane"] == "red"
    assert (await hub.declarations.get(number)).holds == ("targeting:stop",)
    await hub.declarations.amend(number, arriving_soon(hub.core.clock, reference="SIM-1", remarks="x"), "trader.wu", "more")
    await settle(hub)  # it is held already: nothing is placed twice
    assert (await hub.declarations.get(number)).holds == ("targeting:stop",)
    assert await state(hub, number) is State.SCREENED


async def test_a_rule_is_tried_on_past_data_first(hub: Hub) -> None:
    await known(hub)
    numbers = [await lodged(hub, at) for at in range(3)]
    other = await lodged(hub, 5, consignor={"name": "x", "country": "VN"})
    await settle(hub)
    await hub.declarations.step(numbers[0], State.DOC_CHECK, {"reason": "t"}, by="li.wei")
    await hub.declarations.step(numbers[0], State.FAILED, {"reason": "t"}, by="li.wei")
    size = hub.log.published_size()
    found = await hub.rules.dry_run(RULE | {"when": "consignor.country = 'TH'", "start": "2099-01-01"}, 30)
    assert (found.looked_at, found.hits, found.failed, found.truncated) == (4, 3, 1, False)
    assert {one.declaration for one in found.listed} == set(numbers) and other not in {one.declaration for one in found.listed}
    assert sum(count for _, count in found.by_day) == 3
    assert hub.log.published_size() == size
    with pytest.raises(MalformedError):
        await hub.rules.dry_run(RULE, 0)


async def test_the_figures_of_the_score_are_set_by_two(hub: Hub) -> None:
    await known(hub)
    figures = shipped_score().model_dump(mode="json") | {"rules": "score-rules/2", "verified": True}
    figures["lanes"] = {"red": 3, "yellow": 2, "blue": 1}
    found = await hub.rules.propose(SCORE_KEY, figures, "li.wei", "the port's own")
    await hub.rules.approve(SCORE_KEY, found.version, "wang.fang", "agreed")
    number = await lodged(hub)
    await settle(hub)
    risk = (await sheet(hub, number))["risk"]
    assert (risk["lane"], risk["rules"], risk["rules_version"], risk["verified"]) == ("red", "score-rules/2", 1, True)


async def test_one_that_was_erased_holds_up_no_other(hub: Hub) -> None:
    await known(hub)
    first = await lodged(hub)
    entry = (await hub.declarations.history(first))[0]

    def erase(connection: Connection) -> None:
        row = connection.execute(select(declaration_steps.c.sheet).where(declaration_steps.c.position == entry.position)).one()
        connection.execute(delete(sheets).where(sheets.c.commitment == row.sheet))

    await hub.core.database.write(erase)
    second = await lodged(hub, 2)
    await settle(hub)
    assert (await state(hub, first), await state(hub, second)) == (State.LODGED, State.SCREENED)
    assert (await hub.screening.left())[0].declaration == first


async def test_a_screening_is_made_again_from_its_sheet_and_a_lie_is_found(hub: Hub) -> None:
    await known(hub)
    await in_force(hub, "heavy", effect="weight", lane=None, weight=50)
    await hub.references.put("area", "th-fly", AREA, "admin")
    number = await lodged(hub)
    await settle(hub)
    assert (await check_hub(hub.core.settings)).problems == ()
    words = await sheet(hub, number)
    words["draw"] = words["draw"] | {"lane": "green"}
    step = await hub.declarations.step(await lied(hub), State.SCREENED, words, rule="screening/1")
    assert [one for one in (await check_hub(hub.core.settings)).problems if step.number in one and "does not come out of its inputs" in one]


async def lied(hub: Hub) -> str:
    """Give a declaration that stands before its screening."""
    number = await lodged(hub, 9)
    await hub.declarations.step(number, State.ACCEPTED, {"reason": "t"}, by="li.wei")
    return number


async def test_it_goes_by_itself_and_once_over_a_restart(database_url: str, tmp_path: Path, signer: Ed25519Signer) -> None:
    automatic = InspectionSettings(shipped=False, automatic=True)
    async with running_hub(settings_for(tmp_path, database_url), signer) as hub:
        await known(hub)
        numbers = [await lodged(hub, at) for at in range(5)]
        await hub.declarations.step(numbers[0], State.ACCEPTED, {"reason": "t"}, by="li.wei")
    for _ in range(2):
        async with running_hub(settings_for(tmp_path, database_url, inspection=automatic), signer) as hub:
            async with asyncio.timeout(100):
                while {await state(hub, number) for number in numbers} != {State.SCREENED}:
                    await asyncio.gather(*(hub.screening.go_on() for _ in range(3)))
            rules = [[entry.rule for entry in await hub.declarations.history(number)] for number in numbers]
    assert rules == [[None, None, "screening/1"]] + [[None, "acceptance/1", "screening/1"]] * 4
