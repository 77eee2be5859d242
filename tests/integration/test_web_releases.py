"""The release desk and the exchange over the API: who may do what, what is said to whom, and messages that survive a partner's silence."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.access import PersonDraft
from hub.check import check_hub
from hub.config import ExchangeSettings
from hub.exchange.delivering import GIVEN_UP
from simulators.partners.webhook import WebhookReceiver
from storage.clock import SystemClock
from storage.keys import create_ed25519
from tests.exchange_parts import CUSTOMS, TERMINAL, codeco, event, gate_out, know_partners, telling
from tests.release_parts import TO_DIRECT, TO_INSPECTING, evidence_in_log, find_again, lose, stand
from tests.web_parts import Face, open_face, password_of

API = "/api/v1"
NUMBER = "D-20261124-0000001"
QUICK = ExchangeSettings(attempts=3, retry_seconds=0.01, timeout_seconds=5)


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    (tmp_path / "keys").mkdir()
    async with open_face(tmp_path, create_ed25519(tmp_path / "keys" / "log.key"), exchange=QUICK) as opened:
        await know_partners(opened.hub)
        evidence_in_log(opened.hub)
        draft = PersonDraft("dct.desk", "partner", "DCT", password_of("dct.desk"), TERMINAL)
        await opened.hub.access.add(draft, "hub:hub-1")
        yield opened


async def post(client: Any, path: str, body: Any) -> tuple[int, Any]:
    answer = await client.post(f"{API}{path}", json=body)
    return answer.status_code, answer.json()


async def test_blocked_with_what_is_missing_then_approved(face: Face) -> None:
    await stand(face.hub, [NUMBER], TO_INSPECTING)
    await lose(face.hub, NUMBER)
    chen, li = await face.login("chen.min"), await face.login("li.wei")
    desk = (await chen.get(f"{API}/desk")).json()
    assert desk["ready"] == [] and [one["number"] for one in desk["blocked"]] == [NUMBER]
    block = desk["blocked"][0]["blocks"][0]
    assert (block["kind"], block["step"], block["key"], block["who"]) == ("record", "open", "video", ["li.wei", "wang.fang"])
    assert block["link"] == f"/desk/{NUMBER}"
    gate = (await li.get(f"{API}/declarations/{NUMBER}/gate")).json()
    assert "pass" in gate["verdicts"] and not gate["may_approve"] and not gate["may_override"]
    status, refused = await post(li, f"/declarations/{NUMBER}/evaluation", {"verdict": "pass", "reason": "fine"})
    assert status == 409 and "must-record" in refused["error"]["what"]
    await find_again(face.hub, NUMBER)
    status, done = await post(li, f"/declarations/{NUMBER}/evaluation", {"verdict": "pass", "reason": "fine", "findings": ["seal whole"]})
    assert (status, done["state"]) == (201, "passed")
    desk = (await chen.get(f"{API}/desk")).json()
    assert [one["number"] for one in desk["ready"]] == [NUMBER] and desk["ready"][0]["may_approve"]
    status, done = await post(chen, f"/declarations/{NUMBER}/release", {"reason": "agreed"})
    assert (status, done["state"]) == (201, "released")
    lines = (await chen.get(f"{API}/evidence/{done['root']}")).text
    assert lines.count("\n") == 2 + len(TO_INSPECTING) + 1
    gate = (await chen.get(f"{API}/declarations/{NUMBER}/gate")).json()
    assert [one["act"] for one in gate["acts"]] == ["released"] and gate["judgements"][0]["findings"] == ["seal whole"]
    assert gate["may_recall"] and gate["acts"][0]["by"] == "chen.min"


async def test_an_override_needs_the_second_supervisors_own_password(face: Face) -> None:
    await stand(face.hub, [NUMBER], TO_INSPECTING)
    await lose(face.hub, NUMBER)
    chen = await face.login("chen.min")
    ask = {"reason": "vaccines spoil", "second": "zhou.jun", "second_password": "guessed it wrongly"}
    path = f"/declarations/{NUMBER}/override"
    status, refused = await post(chen, path, ask)
    assert status == 403 and refused["error"]["where"] == "second_password"
    assert (await post(chen, path, ask | {"second": "chen.min", "second_password": password_of("chen.min")}))[0] == 400
    assert (await post(chen, path, ask | {"second": "admin", "second_password": password_of("admin")}))[0] == 403
    status, done = await post(chen, path, ask | {"second_password": password_of("zhou.jun")})
    assert (status, done["state"]) == (201, "released")
    shown = (await chen.get(f"{API}/desk")).json()["overridden"]
    assert [(one["by"], one["second"], one["reason"]) for one in shown] == [("chen.min", "zhou.jun", "vaccines spoil")]
    assert any("video" in text for text in shown[0]["against"])


async def test_a_partner_sends_and_sees_its_own_alone(face: Face) -> None:
    dct, admin = await face.login("dct.desk"), await face.login("admin")
    sent = await dct.post(f"{API}/exchange/messages", content=telling("T-1", event("DISC")), headers={"content-type": "application/json"})
    assert sent.status_code == 200 and sent.json()["events"][0]["outcome"] == "noted"
    bad = await dct.post(f"{API}/exchange/messages", content=b"{", headers={"content-type": "application/json"})
    assert bad.status_code == 422 and "is no JSON" in bad.json()["faults"][0]
    edifact = await dct.post(f"{API}/exchange/messages", content=codeco("7", gate_out()), headers={"content-type": "application/edifact"})
    assert edifact.status_code == 200 and "UCI+7" in edifact.json()["answers"][0]
    other = await dct.post(f"{API}/exchange/messages?partner={CUSTOMS}", content=b"{}")
    assert other.status_code == 403
    foreign = await admin.post(f"{API}/exchange/messages?partner={CUSTOMS}", content=telling("C-1", event("CUSI")))
    assert foreign.status_code == 200
    mine = (await dct.get(f"{API}/exchange/messages")).json()["messages"]
    assert {one["partner"] for one in mine} == {TERMINAL} and len(mine) == 4
    assert (await dct.get(f"{API}/exchange/messages/{foreign.json()['position']}")).status_code == 403
    detail = (await admin.get(f"{API}/exchange/messages/{bad.json()['position']}")).json()
    assert detail["text"] == "{" and detail["taken"]["faults"] == bad.json()["faults"]
    health = {one["partner"]: one for one in (await admin.get(f"{API}/exchange/partners")).json()["partners"]}
    assert (health[TERMINAL]["came"], health[TERMINAL]["rejected"], health[CUSTOMS]["kept"]) == (3, 1, 1)


async def delivered(face: Face, count: int, state: str = "delivered") -> list[Any]:
    """Wait until so many messages have left the queue."""
    async with face.hub.events.subscribe() as told, asyncio.timeout(60):
        while True:
            found = await face.hub.exchange.list(partner=TERMINAL, state=state)
            if len(found) >= count:
                return list(reversed(found))
            await anext(told)


async def test_messages_reach_the_partner_signed_in_order_and_once_by_their_key(face: Face) -> None:
    async with WebhookReceiver(face.hub.deliveries.key, SystemClock(), failing=2) as receiver:
        await face.hub.references.put("partner", TERMINAL, {"name": "DCT", "role": "terminal", "address": receiver.url}, "admin", "test")
        numbers = [f"D-20261124-{at:07d}" for at in range(5)]
        await stand(face.hub, numbers, TO_DIRECT)
        for number in numbers:
            await face.hub.releases.release_by_rule(number)
        found = await delivered(face, 5)
        assert [one.value["declarationReference"] for one in receiver.good()] == numbers
        assert {one.judged for one in receiver.deliveries} == {"good"}
        assert found[0].attempts == 3 and found[1].attempts == 1
        again = await face.hub.exchange.resend(found[0].position, "chen.min", "they lost it")
        assert again.state == "queued"
        await delivered(face, 5)
        assert receiver.deliveries[-1].judged == "again"


async def test_what_nobody_takes_is_given_up_and_sent_again_by_a_person(face: Face) -> None:
    async with WebhookReceiver(face.hub.deliveries.key, SystemClock(), mood="down") as receiver:
        await face.hub.references.put("partner", TERMINAL, {"name": "DCT", "role": "terminal", "address": receiver.url}, "admin", "test")
        await stand(face.hub, [NUMBER], TO_DIRECT)
        await face.hub.releases.release_by_rule(NUMBER)
        dead = (await delivered(face, 1, "dead"))[0]
        assert dead.attempts == QUICK.attempts and dead.fault == "answers 503"
        assert GIVEN_UP in {one.kind for one in await face.hub.alarms.list()}
        receiver.mood = "taking"
        chen = await face.login("chen.min")
        status, _ = await post(chen, f"/exchange/messages/{dead.position}/resend", {"reason": "their system is back"})
        assert status == 200
        await delivered(face, 1)
        assert [one.value["messageType"] for one in receiver.good()] == ["RELEASE"]
        status, refused = await post(chen, f"/exchange/messages/{dead.position - 1}/resend", {"reason": "x"})
        assert status == 404, refused


async def test_over_the_api_too_no_release_stands_beside_a_hold(face: Face) -> None:
    """A supervisor approves while customs holds, by its own account or by message; the check of the log finds no release beside a hold."""
    numbers = [f"D-20261124-{at:07d}" for at in range(60)]
    await stand(face.hub, numbers, TO_DIRECT)
    await face.hub.access.add(PersonDraft("c.desk", "partner", "C", password_of("c.desk"), CUSTOMS), "hub:hub-1")
    chen, customs = await face.bearer("chen.min"), await face.bearer("c.desk")

    async def approve(number: str, turns: int) -> int:
        for _ in range(turns):
            await asyncio.to_thread(int)
        return int((await chen.post(f"{API}/declarations/{number}/release", json={"reason": ""})).status_code)

    async def hold(number: str, by_message: bool) -> int:
        if by_message:
            told = telling(f"C-{number}", event("CUSI", declarationReference=number))
            return int((await customs.post(f"{API}/exchange/messages", content=told)).status_code)
        return int((await customs.post(f"{API}/declarations/{number}/holds", json={"reason": "papers"})).status_code)

    asked = [(approve(number, at % 5), hold(number, at % 2 == 0)) for at, number in enumerate(numbers)]
    answers = [await asyncio.gather(*pair) for pair in asked]
    assert {held for _, held in answers} <= {200, 201}
    assert {done for done, _ in answers} <= {201, 409}
    assert (await check_hub(face.hub.core.settings, hash_blobs=False)).problems == ()
