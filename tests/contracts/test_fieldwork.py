"""Work on site at the hub, on SQLite and on PostgreSQL alike: dispatched once, signed acts kept once, judged by the log alone."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from hub.check import check_hub
from hub.inspection.fieldwork.acts import Envelope
from hub.inspection.fieldwork.completeness import missing_of
from hub.inspection.states import State
from hub.tasks import TaskDraft
from protocol import kinds
from protocol.errors import ForbiddenError, MalformedError, RefusedError, VerificationError
from protocol.identifiers import PersonId, TaskId
from protocol.procedures.completeness import Missing
from protocol.records import read
from protocol.sheets import Sheet, open_sheet
from protocol.tickets import open_ticket
from protocol.work_kinds import DeviceKey, Work
from storage.fieldwork_schema import device_keys, work_acts
from storage.keys import create_ed25519
from tests.fieldwork_parts import (
    BAY,
    CAMERA,
    RECORDER,
    Ground,
    Worker,
    checklist,
    ground,
    lead_and_assistant,
    settings,
    upload,
)
from tests.hub_parts import BOX
from tests.release_parts import release_and_recall


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    (tmp_path / "keys").mkdir()
    async with ground(settings(tmp_path, database_url), create_ed25519(tmp_path / "keys" / "log.key")) as found:
        yield found


ONE = pytest.mark.parametrize("database_url", [""])  # what depends on no database runs on one


async def sound(site: Ground) -> None:
    assert (await check_hub(site.hub.core.settings)).problems == ()


async def missing(site: Ground) -> list[Missing]:
    return list(await site.hub.core.database.read(lambda connection: missing_of(connection, site.number)))


async def dispatched(site: Ground) -> tuple[str, Worker, Worker]:
    facts = await site.hub.dispatch.dispatch(site.number, BAY, "chen.min")
    lead, assistant = await lead_and_assistant(site)
    return facts.task, await site.phone(lead), await site.phone(assistant)


async def test_a_held_declaration_is_dispatched_once_with_its_procedure(site: Ground) -> None:
    assert [(one.step, one.reason) for one in await missing(site)] == [("dispatch", "not there")]
    with pytest.raises(RefusedError, match="is not known"):
        await site.hub.dispatch.dispatch(site.number, "b-9", "chen.min")
    answers = await asyncio.gather(*(site.hub.dispatch.dispatch(site.number, BAY, "chen.min") for _ in range(3)), return_exceptions=True)
    [facts] = [one for one in answers if not isinstance(one, BaseException)]
    assert all(isinstance(one, RefusedError) for one in answers if isinstance(one, BaseException))
    told = dict(facts.facts)
    published = await site.hub.procedures.in_force("fruit", "2026-12-01")
    assert (told["declaration"], told["procedure"], told["procedure-sha256"]) == (site.number, "fruit", published.sha256.hex())
    assert facts.cameras == (CAMERA,) and facts.bay == BAY
    assert facts.inspectors == await lead_and_assistant(site)
    assert (await site.hub.declarations.get(site.number)).state is State.DISPATCHED
    assert await site.hub.dispatch.task_of(site.number) == facts.task
    assert await site.hub.dispatch.inspectors_of(site.number) == set(facts.inspectors)
    assert {one.reason for one in await missing(site)} >= {"not answered", "not signed", "not there"}
    await sound(site)


@ONE
async def test_nobody_names_the_people_of_an_inspection_beforehand(site: Ground) -> None:
    mine = TaskDraft(task=TaskId(f"T{site.number[1:]}"), title="by hand", inspectors=(PersonId("zhou.jie"),))
    await site.hub.tasks.open(mine, "chen.min")
    facts = await site.hub.dispatch.dispatch(site.number, BAY, "chen.min")
    assert facts.task != mine.task and facts.inspectors == await lead_and_assistant(site)
    forged = replace(mine, task=TaskId("T-forged"), facts=tuple(facts.facts))
    with pytest.raises(RefusedError, match="opened by its dispatch"):
        await site.hub.tasks.open(forged, "chen.min")
    await sound(site)


@ONE
async def test_who_enters_what_a_system_told_does_not_approve_on_it(site: Ground) -> None:
    await dispatched(site)
    await site.hub.fieldwork.site.note(site.number, "temperature-log", "reefer", {"celsius": "-18"}, "chen.min", bytes(32))
    judged = await site.hub.releases.judged(site.number)
    assert "chen.min" in judged.standing.inspectors and "chen.min was on the inspection" in "; ".join(judged.against("chen.min"))
    assert "chen.min was on the inspection" not in "; ".join(judged.against("zhou.jie"))


async def test_an_act_is_taken_once_and_its_record_binds_what_was_signed(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    act = lead.phone.act(task, await lead.sha256(task), "note", {"text": "门封完好 seal looks sound"})
    first, *again = await asyncio.gather(*(lead.take(act, task) for _ in range(4)))
    assert all(one == first for one in again)
    proof = await site.hub.fieldwork.site.proof(task, act.id)
    body = read(proof.record).record.body
    assert isinstance(body, Work) and (body.act, body.seq, body.id.hex()) == ("note", 1, act.id)
    assert proof.salt is not None and proof.sheet is not None
    words = open_sheet(body.sheet, Sheet(proof.salt, proof.sheet))
    assert (words["act"], words["by"]) == (act.text, lead.person)
    assert base64.b64decode(words["signature"]) == act.signature
    assert lead.person.encode() not in proof.record and "门封".encode() not in proof.record
    changed = replace(act, text=act.text.replace("sound", "broken"))
    with pytest.raises(VerificationError):
        await lead.take(changed, task)
    other = json.loads(act.text) | {"payload": {"text": "another"}}
    text = json.dumps(other, separators=(",", ":"))
    with pytest.raises(RefusedError, match="another act has this id"):
        await lead.take(replace(act, text=text, signature=lead.phone.signer.sign(text.encode())), task)
    await sound(site)


@ONE
async def test_keys_are_judged_by_what_the_log_says_at_the_place(site: Ground) -> None:
    task, lead, assistant = await dispatched(site)
    keys, name = site.hub.fieldwork.keys, lead.phone.key_id
    issued = await keys.issue(lead.person, lead.phone.signer.public.spki, "again")
    record = read(issued.certificate).record
    assert isinstance(record.body, DeviceKey) and record.subject == name and lead.person.encode() not in issued.certificate
    with pytest.raises(RefusedError, match="another person's"):
        await keys.issue(assistant.person, lead.phone.signer.public.spki, "mine")
    stolen = lead.phone.act(task, await lead.sha256(task), "note", {"text": "x"})
    envelope = Envelope(stolen.text, stolen.key_id, base64.b64encode(stolen.signature).decode())
    with pytest.raises(ForbiddenError, match="not certified for you"):
        await site.hub.fieldwork.acts.take(task, envelope, assistant.person)
    await lead.take(stolen, task)
    site.clock.pass_time(25 * 3600)
    late = lead.phone.act(task, await lead.sha256(task), "note", {"text": "y"})
    with pytest.raises(ForbiddenError, match="has ended"):
        await lead.take(late, task)
    await keys.issue(lead.person, lead.phone.signer.public.spki, "logged in again")
    await lead.take(late, task)  # nothing is lost
    with pytest.raises(ForbiddenError, match="another person's"):
        await keys.revoke(name, assistant.person, "lost", own_only=True)
    await keys.revoke(name, lead.person, "lost it", own_only=True)
    with pytest.raises(ForbiddenError, match="was revoked"):
        await lead.act(task, "note", {"text": "z"})
    with pytest.raises(RefusedError, match="make a new one"):
        await keys.issue(lead.person, lead.phone.signer.public.spki, "found")
    assert [one.state for one in await keys.list(lead.person)] == ["revoked"]
    stranger = await site.phone("sun.yan")
    with pytest.raises(ForbiddenError, match="not your task"):
        await stranger.take(stranger.phone.act(task, await lead.sha256(task), "note", {"text": "x"}), task)
    for wrong in (b"", b"key", bytes(91)):
        with pytest.raises(MalformedError):
            await keys.issue(lead.person, wrong, "phone")
    await sound(site)


@ONE
async def test_wrong_acts_name_their_place_and_lose_nothing(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    name = await lead.sha256(task)
    good = {"item": "weather", "at": "", "value": "dry", "dwell_ms": 900, "phone_ms": site.now_ms(), "replaces": []}
    await lead.act(task, "answers", {"answers": [good]})
    cases: list[tuple[Any, Any, str]] = [
        ("answers", {"answers": [good, good | {"value": "hail"}]}, r"payload\.answers\[1\]\.value"),
        ("answers", {"answers": [good | {"item": "colour"}]}, r"payload\.answers\[0\]\.item"),
        ("rest", {"answers": [good]}, r"payload\.answers\[0\]"),
        ("signature", {"role": "boss", "covers": [], "digest": "00" * 32, "drawn": "00" * 32, "name": "x"}, r"payload\.role"),
        ("pause", {"reason": " "}, r"payload\.reason"),
        ("step", {"step": "lunch", "event": "start"}, r"payload\.step"),
        ("swap", {"from": "rec", "to": RECORDER, "reason": "flat"}, r"payload\.from"),
        ("note", {"text": "x", "more": 1}, r"payload\.more"),
    ]
    for kind, payload, place in cases:
        with pytest.raises(MalformedError, match=place):
            await lead.act(task, kind, payload, name)
    with pytest.raises(RefusedError, match="the task began with version 1"):
        await lead.act(task, "note", {"text": "x"}, "00" * 32)
    text = lead.phone.act(task, name, "note", {"text": "x"}).text.replace('"seq":', '"seq":1.5,"old":')
    with pytest.raises(MalformedError, match=r"holds 1\.5"):
        await site.hub.fieldwork.acts.take(task, Envelope(text, lead.phone.key_id, "AA=="), lead.person)
    with pytest.raises(MalformedError, match=r"sent to"):
        await lead.take(lead.phone.act("T-2", name, "note", {"text": "x"}), task)
    assert [one.kind for one in await site.hub.fieldwork.acts.list(task)] == ["answers"]
    await lead.act(task, "note", {"text": "goes on"})
    [_, note] = await site.hub.fieldwork.acts.list(task)
    assert "of this phone is not here" in note.chain  # what was refused left a hole, which is named
    await sound(site)


async def test_a_worked_checklist_with_video_lacks_nothing(site: Ground) -> None:
    task, lead, assistant = await dispatched(site)
    hub, box = site.hub, site.box
    await hub.declarations.step(site.number, State.POSITIONED, {}, rule="terminal/1")
    await hub.pairings.pair(task, RECORDER, lead.person)
    leaf = (await hub.core.database.read(_order_leaf))[0]
    box.wall_ns = site.clock.now().wall_ns
    box.boot()
    box.recording("rec-1", way="whip")
    box.recording("cam-1")
    box.add(kinds.Pairing("paired", RECORDER, lead.person, order=leaf), task)
    await site.bring()
    await site.reached(State.PAIRED)
    published = await hub.procedures.in_force("fruit", "2026-12-01")
    work = checklist(lead, task, published.procedure, published.sha256.hex(), pass_time=lambda ms: site.clock.pass_time(ms / 1000))
    await lead.act(task, "step", {"step": "opening", "event": "start"})
    started_ns = box.wall_ns
    acts = work.work()
    for act in acts:
        await lead.take(act, task)
    await site.reached(State.INSPECTING)
    await lead.act(task, "step", {"step": "opening", "event": "end"})
    reasons = {(one.what, one.key): one.reason for one in await missing(site)}
    assert reasons["record", "body-video"] == "not there" and reasons["record", "key-point-photos"] == "not stored"
    assert reasons["record", "temperature-log"] == "not there"  # the box is cooled
    for source in ("rec-1", "cam-1"):
        box.wall_ns, box.mono_ns = started_ns, box.mono_ns
        while box.wall_ns < site.clock.now().wall_ns:
            box.segment(source)
    await site.bring()
    await upload(hub, lead.person, work.files)
    await hub.fieldwork.site.note(site.number, "temperature-log", "reefer", {"celsius": "-18"}, "terminal", bytes(32))
    for role, worker in (("lead", lead), ("assistant", assistant), ("owner", lead)):
        work.phone = worker.phone
        await worker.take(work.sign(role, role), task)
    unsigned = {("signature", "lead"), ("signature", "assistant"), ("signature", "owner"), ("record", "both-signatures")}
    assert {(one.what, one.key) for one in await missing(site)} == unsigned  # their pictures are not here
    await upload(hub, lead.person, work.files)  # the drawn signatures
    assert await missing(site) == []
    whole = await hub.fieldwork.site.show(task, lead.person)
    assert whole.meter[0] == whole.meter[1] > 20
    assert whole.to_follow > 0 and whole.role == "lead"  # full video is safe on the box, and follows
    await release_and_recall(hub, site.number, lead.person)
    await sound(site)


def _order_leaf(connection: Connection) -> list[bytes]:
    return [bytes(row[0]) for row in connection.exec_driver_sql("SELECT leaf FROM orders ORDER BY position DESC")]


@ONE
async def test_two_phones_that_differ_both_stand_until_one_replaces(site: Ground) -> None:
    task, lead, assistant = await dispatched(site)

    def answer(value: str, *replaces: str, **more: str) -> dict[str, Any]:
        row = {"item": "weather", "at": "", "value": value, "dwell_ms": 1, "phone_ms": 1, "replaces": list(replaces)}
        return {"answers": [row | more]}

    one = await lead.act(task, "answers", answer("dry"))
    two = await assistant.act(task, "answers", answer("rain"))
    whole = await site.hub.fieldwork.site.show(task, lead.person)
    assert [(item, sorted(ids)) for item, _, ids in whole.conflicts] == [("weather", sorted([f"{one.id}/0", f"{two.id}/0"]))]
    assert any(gap.reason == "in conflict" for gap in whole.missing)
    covers = [f"{one.id}/0", f"{two.id}/0"]
    signed = {"role": "owner", "covers": covers, "digest": "00" * 32, "refused": "will not sign", "name": ""}
    await lead.act(task, "signature", signed)
    with pytest.raises(MalformedError, match="say why"):
        await assistant.act(task, "answers", answer("rain", *covers))
    await assistant.act(task, "answers", answer("rain", *covers, reason="it rained at 8"))
    whole = await site.hub.fieldwork.site.show(task, lead.person)
    assert whole.conflicts == [] and len(whole.acts) == 4  # nothing was taken away
    [signature] = whole.signatures
    assert signature.fault == "other answers" and not signature.counts
    await sound(site)


async def test_work_is_handed_over_paused_and_a_clock_that_is_wrong_is_said(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    for to, why in (
        ("sun.yan", "not qualified for fruit"),
        ("he.jun", "stays away"),
        ("nobody", "not known"),
        (lead.person, "is or was on"),
    ):
        with pytest.raises(RefusedError, match=why):
            await lead.act(task, "hand-over", {"to": to, "reason": "ill"})
    await site.hub.references.put("inspector", "wu.di", {"display": "wu.di", "qualifications": ["fruit"]}, "admin", "listed")
    heir = await site.phone("wu.di", ahead_ms=-26 * 3600 * 1000)
    with pytest.raises(ForbiddenError):
        await heir.take(heir.phone.act(task, await lead.sha256(task), "note", {"text": "x"}), task)
    await lead.act(task, "hand-over", {"to": "wu.di", "reason": "ill"})
    assert await site.hub.dispatch.inspectors_of(site.number) >= {lead.person, "wu.di"}
    assert (await site.hub.tasks.get(task)).inspectors[-1] == "wu.di" == (await site.hub.tasks.list())[0].inspectors[-1]
    await heir.act(task, "pause", {"reason": "thunder: crane stopped"})
    whole = await site.hub.fieldwork.site.show(task, "wu.di")
    assert whole.role == "lead" and whole.paused is not None and whole.paused.by == "wu.di"
    act = whole.acts[-1]
    assert act.ahead_ms is not None and act.ahead_ms < -120_000 and act.phone_ms is not None and act.hub_ns > act.phone_ms * 10**6
    assert any(alarm.kind == "phone clock wrong" for alarm in await site.hub.alarms.list())
    await heir.act(task, "resume", {})
    assert (await site.hub.fieldwork.site.show(task, "wu.di")).paused is None
    signed = {"role": "lead", "covers": [], "digest": "00" * 32, "refused": "no", "name": ""}
    with pytest.raises(RefusedError, match="you are not lead"):
        await lead.act(task, "signature", signed)
    await lead.act(task, "note", {"text": "on my way home"})  # who was on it may still say something
    listed = await site.hub.fieldwork.site.list("wu.di", "wu.di")
    assert [(one.task.task, one.role) for one in listed] == [(task, "lead")]
    await sound(site)


@ONE
async def test_a_form_of_ten_thousand_answers_is_one_act(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    rows = [
        {"item": "seal-state", "at": f"BOX{number:05d}", "value": "intact", "dwell_ms": 1, "phone_ms": site.now_ms(), "replaces": []}
        for number in range(10_000)
    ]
    taken = await lead.act(task, "answers", {"answers": rows})
    [act] = await site.hub.fieldwork.acts.list(task)
    assert (act.id, len(act.payload["answers"])) == (taken.id, 10_000)
    assert await chunks_are_not_needed(site, taken.id)


async def chunks_are_not_needed(site: Ground, act: str) -> bool:
    task = await site.hub.dispatch.task_of(site.number)
    assert task is not None
    return (await site.hub.fieldwork.site.proof(task, act)).sheet is not None


async def test_a_box_may_bind_a_recorder_by_a_ticket_and_tell_later(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    hub, box = site.hub, site.box
    with pytest.raises(ForbiddenError):
        await hub.fieldwork.tickets.give(task, "sun.yan")
    ticket = await hub.fieldwork.tickets.give(task, lead.person)
    found = open_ticket(ticket.text, hub.log.key, site.clock.now().wall_ns)
    assert (found.task, found.by) == (task, lead.person)
    await hub.declarations.step(site.number, State.POSITIONED, {}, rule="terminal/1")
    box.wall_ns = site.clock.now().wall_ns
    box.boot()
    box.recording("rec-1", way="whip")
    box.add(kinds.Pairing("paired", RECORDER, lead.person, order=found.leaf), task)
    await site.bring()
    await site.reached(State.PAIRED)
    [pairing] = (await hub.tasks.get(task)).pairings
    assert (pairing.stream, pairing.state, pairing.by, pairing.reason) == (RECORDER, "paired", lead.person, "by a ticket")
    with pytest.raises(RefusedError, match=f"is paired with task {task}"):
        await hub.tasks.open(TaskDraft(task="T-other", title="other"), "chen.min")
        await hub.pairings.pair("T-other", RECORDER, "chen.min")
    box.add(kinds.Pairing("paired", f"{BOX}/rec-2", lead.person, order=found.leaf), task)
    await site.bring()
    async with hub.events.subscribe() as told, asyncio.timeout(60):
        while not any(alarm.kind == "ticket used twice" for alarm in await hub.alarms.list()):
            await anext(told)
    await hub.pairings.unpair(task, RECORDER, lead.person)
    [first, _] = (await hub.tasks.get(task)).pairings
    assert first.ending
    await sound(site)


@ONE
async def test_video_that_stays_away_rings_after_its_time(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    hub, box = site.hub, site.box
    box.wall_ns = site.clock.now().wall_ns
    box.boot()
    box.recording("cam-1")
    await lead.act(task, "step", {"step": "opening", "event": "start"})
    for _ in range(3):
        box.segment("cam-1")
    site.clock.pass_time(30)
    await lead.act(task, "step", {"step": "opening", "event": "end"})
    await hub.tasks.end(task, "chen.min")
    await site.bring()
    assert await hub.fieldwork.progress.ring_overdue() == 0
    site.clock.pass_time(25 * 3600)
    assert await hub.fieldwork.progress.ring_overdue() == 1
    assert await hub.fieldwork.progress.ring_overdue() == 1
    assert [alarm.subject for alarm in await hub.alarms.list() if alarm.kind == "video overdue"] == [task]


@ONE
async def test_an_act_that_was_changed_behind_the_hub_is_found(site: Ground) -> None:
    task, lead, _ = await dispatched(site)
    first = await lead.act(task, "note", {"text": "one"})
    second = await lead.act(task, "note", {"text": "two"})
    await sound(site)
    mine = work_acts.c.position

    def swap(connection: Connection) -> None:
        sheets = {row.position: row.sheet for row in connection.execute(select(mine, work_acts.c.sheet))}
        for place, other in ((first.position, second.position), (second.position, first.position)):
            connection.execute(update(work_acts).where(mine == place).values(sheet=sheets[other]))

    await site.hub.core.database.write(swap)
    problems = (await check_hub(site.hub.core.settings)).problems
    assert sum("says something else than what was signed" in one for one in problems) == 2
    assert sum("differs from what its records say" in one for one in problems) == 2


@ONE
async def test_an_act_under_a_key_that_did_not_count_at_its_place_is_found(site: Ground) -> None:
    task, lead, assistant = await dispatched(site)
    taken = await lead.act(task, "note", {"text": "one"})
    other = bytes.fromhex(assistant.phone.key_id)

    def forge(connection: Connection) -> None:
        connection.execute(update(device_keys).where(device_keys.c.key != other).values(until_ns=1))

    await site.hub.core.database.write(forge)
    problems = (await check_hub(site.hub.core.settings)).problems
    assert any(f"at {taken.position}" in one and "not certified at its place" in one for one in problems)
