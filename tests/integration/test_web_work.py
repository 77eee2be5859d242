"""Work on site over HTTP: a key, the tasks of a person, signed acts with refusals in both languages, proofs that verify, tickets."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.access import PersonDraft
from hub.config import InspectionSettings
from protocol.merkle import leaf_hash, verify_inclusion
from protocol.notes import SignedCheckpoint
from protocol.records import read
from protocol.tickets import open_ticket
from protocol.work_kinds import Work
from simulators.devices.phone import Phone
from tests.fieldwork_parts import BAY, held
from tests.web_parts import Face, open_face, password_of

API = "/api/v1"


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path, inspection=InspectionSettings(shipped=True, automatic=False)) as found:
        yield found


async def dispatched(face: Face) -> tuple[str, str, Any]:
    """Bring a declaration to its task; give its number, the task, and the client of its lead."""
    site = await held(face.hub, face.clock)
    supervisor = await face.login("chen.min")
    answer = await supervisor.post(f"{API}/declarations/{site.number}/dispatch", json={"bay": BAY})
    assert answer.status_code == 201, answer.text
    task = answer.json()["task"]
    assert answer.json()["tasks"] == [task]
    lead = (await face.hub.draws.team(site.number))[0]
    if await face.hub.access.person(lead) is None:
        await face.hub.access.add(PersonDraft(lead, "inspector", lead, password_of(lead)), "admin")
    return site.number, task, await face.login(lead)


async def phone_of(face: Face, client: Any, seed: str = "web") -> Phone:
    phone = Phone.of_seed(seed, lambda: face.clock.now().wall_ns // 10**6)
    answer = await client.post(f"{API}/work/keys", json={"spki": phone.spki, "device": "Pixel"})
    assert answer.status_code == 201, answer.text
    phone.key_id = answer.json()["key_id"]
    assert phone.key_id == hashlib.sha256(phone.signer.public.spki).hexdigest()
    assert read(base64.b64decode(answer.json()["certificate"])).record.kind == "device-key"
    return phone


async def test_a_phone_works_and_proves_what_it_said(face: Face) -> None:
    number, task, client = await dispatched(face)
    phone = await phone_of(face, client)
    [listed] = (await client.get(f"{API}/work")).json()["tasks"]
    assert (listed["task"], listed["declaration"], listed["role"], listed["procedure"]) == (task, number, "lead", "fruit")
    assert 0 <= listed["have"] < listed["want"]
    whole = (await client.get(f"{API}/work/{task}")).json()
    assert whole["procedure"]["key"] == "fruit" and whole["parts"] == {"container": ["CSQU3054383"]}
    assert [one["container"] for one in whole["open"]] == ["CSQU3054383"] and len(whole["open"][0]["packages"]) > 40
    assert whole["declaration"]["goods"][0]["hs"].startswith("08")
    row = {"item": "weather", "at": "", "value": "dry", "dwell_ms": 900, "phone_ms": phone.clock_ms(), "replaces": []}
    act = phone.act(task, whole["procedure_sha256"], "answers", {"answers": [row]})
    answer = await client.post(f"{API}/work/{task}/acts", json=act.body() | {"sent_ms": phone.clock_ms()})
    assert answer.status_code == 200 and answer.json()["state"] == "in-hub", answer.text
    assert (await client.post(f"{API}/work/{task}/acts", json=act.body())).json() == answer.json()
    acts = (await client.get(f"{API}/work/{task}/acts?after=-1")).json()
    assert [one["id"] for one in acts["acts"]] == [act.id] and acts["acts"][0]["state"] == "verified"
    assert (await client.get(f"{API}/work/{task}/acts?after={acts['last']}")).json() == {"acts": [], "last": acts["last"]}
    proof = (await client.get(f"{API}/work/{task}/proof/{act.id}")).json()
    record, sheet = base64.b64decode(proof["record"]), base64.b64decode(proof["sheet"])
    head = SignedCheckpoint.parse(proof["checkpoint"].encode())
    head.verify(face.hub.log.key, origin=face.hub.log.origin)
    path = [base64.b64decode(one) for one in proof["path"]]
    verify_inclusion(leaf_hash(record), proof["index"], head.checkpoint.size, path, head.checkpoint.root)
    body = read(record).record.body
    assert isinstance(body, Work)
    assert body.sheet == hashlib.sha256(b"portwitness/sheet/v1\0" + base64.b64decode(proof["salt"]) + sheet).digest()
    assert json.loads(sheet)["act"] == act.text


async def test_refusals_name_path_and_reason_in_both_languages(face: Face) -> None:
    _, task, client = await dispatched(face)
    phone = await phone_of(face, client)
    sha256 = (await client.get(f"{API}/work/{task}")).json()["procedure_sha256"]
    row = {"item": "weather", "at": "", "value": "hail", "dwell_ms": 900, "phone_ms": 1, "replaces": []}
    wrong = phone.act(task, sha256, "answers", {"answers": [row]})
    english = await client.post(f"{API}/work/{task}/acts", json=wrong.body())
    chinese = await client.post(f"{API}/work/{task}/acts", json=wrong.body(), headers={"accept-language": "zh-CN"})
    assert english.status_code == chinese.status_code == 400
    assert english.json()["error"]["where"] == "payload.answers[0].value" and "none of the options" in english.json()["error"]["what"]
    assert chinese.json()["error"]["what"] == "不在可选项之中"
    forged = wrong.body() | {"signature": base64.b64encode(bytes(64)).decode()}
    assert (await client.post(f"{API}/work/{task}/acts", json=forged)).status_code == 409
    other = phone.act(task, "00" * 32, "note", {"text": "x"})
    assert (await client.post(f"{API}/work/{task}/acts", json=other.body())).status_code == 409
    many = [row | {"value": "dry"}] * 20_001
    assert (
        await client.post(f"{API}/work/{task}/acts", json=phone.act(task, sha256, "answers", {"answers": many}).body())
    ).status_code == 400
    huge = {"act": "x" * (4 << 20), "key_id": "00" * 32, "signature": "AA=="}
    assert (await client.post(f"{API}/work/{task}/acts", json=huge)).status_code == 400
    assert (await client.get(f"{API}/work/{task}/acts")).json()["acts"] == []


async def test_who_is_not_on_it_sees_and_does_nothing_and_a_ticket_is_for_who_is(face: Face) -> None:
    number, task, client = await dispatched(face)
    stranger, supervisor, trader = await face.login("wang.fang"), await face.login("chen.min"), await face.login("shen.mao")
    for path in ("", "/acts", "/proof/" + "00" * 16):
        assert (await stranger.get(f"{API}/work/{task}{path}")).status_code == 403
        assert (await trader.get(f"{API}/work/{task}{path}")).status_code == 403
    assert (await stranger.post(f"{API}/work/{task}/ticket")).status_code == 403
    assert (await stranger.get(f"{API}/work")).json()["tasks"] == []
    assert [one["role"] for one in (await supervisor.get(f"{API}/work")).json()["tasks"]] == ["observer"]
    given = (await client.post(f"{API}/work/{task}/ticket")).json()
    assert open_ticket(given["ticket"], face.hub.log.key, face.clock.now().wall_ns).task == task
    assert given["qr_svg"].startswith("<?xml") or "<svg" in given["qr_svg"]
    lacks = (await supervisor.get(f"{API}/declarations/{number}/missing")).json()
    assert {"what": "signature", "key": "lead"}.items() <= next(one for one in lacks["missing"] if one["what"] == "signature").items()
    assert len(lacks["inspectors"]) == 2
    note = {"key": "temperature-log", "source": "reefer 7", "told": {"celsius": "-18.5"}}
    assert (await supervisor.post(f"{API}/declarations/{number}/system-notes", json=note)).status_code == 201
    after = (await supervisor.get(f"{API}/declarations/{number}/missing")).json()
    assert not any(one["key"] == "temperature-log" for one in after["missing"])


async def test_a_key_that_is_taken_back_logs_its_phone_out(face: Face) -> None:
    _, task, client = await dispatched(face)
    phone, supervisor = await phone_of(face, client), await face.login("chen.min")
    lead = (await client.get(f"{API}/session")).json()["person"]
    desk = await face.login(lead)
    assert (await desk.post(f"{API}/work/keys/{phone.key_id}/revoke", json={"reason": "left in the crane"})).status_code == 204
    assert (await desk.get(f"{API}/session")).status_code == 200
    again = Phone.of_seed("made anew by the thief", lambda: face.clock.now().wall_ns // 10**6)
    assert (await client.post(f"{API}/work/keys", json={"spki": again.spki, "device": "Pixel"})).status_code == 401
    other = await phone_of(face, desk, "the next")
    mine = (await desk.get(f"{API}/work/keys")).json()
    assert (await supervisor.get(f"{API}/people/{lead}/keys")).json() == mine
    assert {one["key_id"]: one["state"] for one in mine["keys"]} == {phone.key_id: "revoked", other.key_id: "issued"}
    assert (await supervisor.post(f"{API}/work/keys/{other.key_id}/revoke", json={"reason": "stolen"})).status_code == 204
    assert (await desk.get(f"{API}/work/{task}")).status_code == 401
    assert (await supervisor.get(f"{API}/session")).status_code == 200


async def test_no_task_of_an_inspection_is_opened_by_hand(face: Face) -> None:
    number, task, _ = await dispatched(face)
    supervisor = await face.login("chen.min")
    whole = (await supervisor.get(f"{API}/work/{task}")).json()
    facts = {"declaration": number, "procedure": "fruit", "procedure-sha256": whole["procedure_sha256"]}
    ask = {"task": "T-mine", "title": "mine", "cameras": ["box-1/cam-9"], "facts": facts}
    answer = await supervisor.post(f"{API}/tasks", json=ask)
    assert answer.status_code == 400 and "by a dispatch alone" in answer.json()["error"]["what"], answer.text
    assert (await supervisor.post(f"{API}/tasks", json=ask | {"facts": {"declaration": number}})).status_code == 201
    assert (await supervisor.get(f"{API}/work/{task}")).json()["together"] == []
