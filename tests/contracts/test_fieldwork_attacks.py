"""What a dishonest inspector, trader or supervisor might try on site: nothing that is missing becomes complete by it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select

from hub.inspection.fieldwork.completeness import judge_task, missing_of
from hub.inspection.states import State
from hub.tasks import TaskDraft
from protocol import kinds
from protocol.errors import MalformedError, RefusedError
from protocol.procedures.completeness import Missing
from protocol.tickets import open_ticket
from storage.fieldwork_schema import work_acts
from storage.keys import create_ed25519
from storage.schema import sheets
from tests.fieldwork_parts import BAY, RECORDER, Ground, Worker, ground, hash_of, lead_and_assistant, settings, upload
from tests.inspection_parts import arriving_soon


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Ground]:
    (tmp_path / "keys").mkdir()
    async with ground(settings(tmp_path), create_ed25519(tmp_path / "keys" / "log.key")) as found:
        yield found


async def dispatched(site: Ground) -> tuple[str, Worker, Worker]:
    facts = await site.hub.dispatch.dispatch(site.number, BAY, "chen.min")
    lead, assistant = await lead_and_assistant(site)
    return facts.task, await site.phone(lead), await site.phone(assistant)


async def missing(site: Ground) -> list[Missing]:
    return list(await site.hub.core.database.read(lambda connection: missing_of(connection, site.number)))


def answer(site: Ground, item: str, value: Any, *replaces: str, at: str = "", **more: str) -> dict[str, Any]:
    row = {"item": item, "at": at, "value": value, "dwell_ms": 1, "phone_ms": site.now_ms(), "replaces": list(replaces)}
    return {"answers": [row | more]}


async def photo_item(site: Ground, task: str) -> tuple[str, str, str]:
    """Give an item of photographs that is asked once for each box, with the step that it stands in and its must-record."""
    judged = await site.hub.core.database.read(lambda connection: judge_task(connection, task))
    for section, item in judged.procedure.items.values():
        wanted = [one.key for step in judged.procedure.steps if step.key == section.step for one in step.records if one.way == "W2"]
        if item.type == "photo" and wanted:
            return item.key, "CSQU3054383" if section.per == "container" else "", wanted[0]
    raise AssertionError("no procedure without photographs")


async def test_a_box_that_an_amendment_drops_is_asked_for_all_the_same(site: Ground) -> None:
    assert any(one.key == "temperature-log" for one in await _missing_after_dispatch(site))
    boxes = {one.at for one in await missing(site)} - {""}
    form = arriving_soon(site.hub.core.clock)
    form = json.loads(json.dumps(form))
    box = form["containers"][0]
    box["number"], box["reefer"] = "MSKU6011672", False
    for line in form["goods"]:
        line["containers"] = ["MSKU6011672" for _ in line.get("containers", ())] or line.get("containers", [])
    await site.hub.declarations.amend(site.number, form, "trader.wu", "typed wrongly")
    after = await missing(site)
    assert {one.at for one in after} - {""} >= boxes | {"MSKU6011672"}
    assert any(one.key == "temperature-log" for one in after)


async def _missing_after_dispatch(site: Ground) -> list[Missing]:
    await dispatched(site)
    return await missing(site)


async def test_goods_that_an_amendment_renames_keep_their_procedure(site: Ground) -> None:
    form = arriving_soon(site.hub.core.clock)
    goods = [line | {"hs": "8708999990", "name": "motor-car parts"} for line in form["goods"]]
    await site.hub.declarations.amend(site.number, form | {"goods": goods}, "trader.wu", "other goods")
    facts = await site.hub.dispatch.dispatch(site.number, BAY, "chen.min")
    tasks = [facts.task, *await site.hub.dispatch.others_of(facts.task)]
    assert "fruit" in {dict((await site.hub.tasks.get(task)).facts)["procedure"] for task in tasks}


async def test_a_photograph_of_another_inspection_is_none_of_this_one(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    other = (await site.hub.declarations.lodge(arriving_soon(site.clock, reference="OTHER-1"), "trader.wu")).number
    facts = tuple((name, other if name == "declaration" else text) for name, text in (await site.hub.tasks.get(task)).facts)
    draft = TaskDraft(task="T-other", title="other", inspectors=(lead.person,), facts=facts)
    await site.hub.core.sequencer.issue(draft.body("chen.min", site.hub.core.site), "T-other")
    item, at, _ = await photo_item(site, task)
    old, new = b"an old picture", b"a new picture"
    await upload(site.hub, lead.person, {hash_of(old): old, hash_of(new): new})
    await lead.act("T-other", "answers", answer(site, item, [hash_of(old)], at=at))
    first = await lead.act(task, "answers", answer(site, item, [hash_of(old)], at=at))
    assert [one.reason for one in await missing(site) if (one.key, one.at) == (item, at)] == ["file of another inspection"]
    await lead.act(task, "answers", answer(site, item, [hash_of(new)], f"{first.id}/0", at=at))
    assert "file of another inspection" not in {one.reason for one in await missing(site)}
    await lead.act("T-other", "answers", answer(site, item, [hash_of(new)], at=at))
    assert "file of another inspection" not in {one.reason for one in await missing(site)}  # who showed it first keeps it


async def test_photographs_that_were_taken_back_do_not_count(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    item, at, record = await photo_item(site, task)
    files = {hash_of(data): data for data in (b"one", b"two", b"three", b"four")}
    await upload(site.hub, lead.person, files)
    many = await lead.act(task, "answers", answer(site, item, list(files), at=at))

    async def held() -> int:
        judged = await site.hub.core.database.read(lambda connection: judge_task(connection, task))
        return sum(one.count for one in judged.facts.held if one.key == record)

    assert await held() == 4
    await lead.act(task, "answers", answer(site, item, list(files)[:1], f"{many.id}/0", at=at))
    assert await held() == 1


async def test_a_task_is_handed_over_by_who_has_it_only(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    for name in ("wu.di", "gao.feng"):
        await site.hub.references.put("inspector", name, {"display": name, "qualifications": ["fruit"]}, "admin", "listed")
    await lead.act(task, "hand-over", {"to": "wu.di", "reason": "ill"})
    with pytest.raises(RefusedError, match="handed this task over before"):
        await lead.act(task, "hand-over", {"to": "gao.feng", "reason": "a friend"})
    assert "gao.feng" not in await site.hub.dispatch.inspectors_of(site.number)


async def test_what_somebody_else_answered_is_replaced_with_a_reason_only(site: Ground) -> None:
    task, lead, assistant = await dispatched(site)
    first = await lead.act(task, "answers", answer(site, "weather", "rain"))
    with pytest.raises(MalformedError, match="somebody else answered"):
        await assistant.act(task, "answers", answer(site, "weather", "dry", f"{first.id}/0"))
    await assistant.act(task, "answers", answer(site, "weather", "dry", f"{first.id}/0", reason="it stopped"))
    await lead.act(task, "answers", answer(site, "weather", "dry", f"{first.id}/0"))  # one's own, not signed yet


async def test_a_pause_does_not_begin_before_what_its_person_did(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    early = site.now_ms()
    site.clock.pass_time(600)
    noted = site.now_ms()
    await lead.act(task, "note", {"text": "still working"})
    lead.phone.ahead_ms = early - noted
    await lead.act(task, "pause", {"reason": "lunch, said afterwards"})
    lead.phone.ahead_ms = 0
    await lead.act(task, "resume", {})
    judged = await site.hub.core.database.read(lambda connection: judge_task(connection, task))
    [pause] = judged.conduct.pauses()
    assert pause.start >= noted * 10**6


async def test_a_wrong_clock_rings_once_for_a_phone(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    for number in range(3):
        act = lead.phone.act(task, await lead.sha256(task), "note", {"text": "x"})
        await lead.take(act, task, sent_ms=site.now_ms() + 600_000 + number * 5000)
    assert [one.count for one in await site.hub.alarms.list() if one.kind == "phone clock wrong"] == [3]


async def test_the_story_says_that_an_amendment_un_selects_nothing(site: Ground) -> None:
    await site.hub.declarations.amend(site.number, arriving_soon(site.hub.core.clock, remarks="x"), "trader.wu", "more")
    story = await site.hub.stories.declaration(site.number)
    assert story.stood.state == State.HELD.value == (await site.hub.declarations.get(site.number)).state.value


async def test_a_recorder_that_comes_late_leaves_a_break(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    hub, box = site.hub, site.box
    judged = await hub.core.database.read(lambda connection: judge_task(connection, task))
    step, record = next((step, one) for step in judged.procedure.steps for one in step.records if one.way == "W4" and one.need == "must")
    items = [item for section, item in judged.procedure.items.values() if section.step == step.key and item.type == "choice"]
    section = judged.procedure.items[items[0].key][0]
    at = "CSQU3054383" if section.per == "container" else ""
    box.wall_ns = site.clock.now().wall_ns
    box.boot()
    box.recording("rec-1", way="whip")
    for _ in range(3):
        box.segment("rec-1")  # of whatever was filmed before
    await lead.act(task, "answers", answer(site, items[0].key, items[0].options[0].key, at=at))
    site.clock.pass_time(900)
    await hub.declarations.step(site.number, State.POSITIONED, {}, rule="terminal/1")
    ticket = await hub.fieldwork.tickets.give(task, lead.person)
    box.wall_ns = site.clock.now().wall_ns
    box.add(kinds.Pairing("paired", RECORDER, lead.person, order=open_ticket(ticket.text, hub.log.key, box.wall_ns).leaf), task)
    box.segment("rec-1")
    site.clock.pass_time(4)
    await lead.act(task, "note", {"text": "all filmed"})
    await site.bring()
    await site.reached(State.PAIRED)
    found = {(one.step, one.key): one.reason for one in await missing(site)}
    assert found[step.key, record.key] in ("break too long", "break not explained")


async def test_an_answer_whose_text_is_gone_settles_no_conflict(site: Ground) -> None:
    task, lead, assistant = await dispatched(site)
    await lead.act(task, "answers", answer(site, "weather", "dry"))
    other = await assistant.act(task, "answers", answer(site, "weather", "rain"))
    assert "in conflict" in {one.reason for one in await missing(site)}

    def lose(connection: Connection) -> None:
        bound = select(work_acts.c.sheet).where(work_acts.c.position == other.position)
        connection.execute(delete(sheets).where(sheets.c.commitment.in_(bound)))

    await site.hub.core.database.write(lose)
    assert [(one.reason, one.have, one.want) for one in await missing(site) if one.key == "signed-acts"] == [("not verified", 1, 2)]
