"""The JSON API over a real hub: every route for every role, the errors, the session's cookies, tasks from opening to playback."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hub_parts import BOX, TestBox, chunks, enrol, receipts_until, send
from tests.web_parts import Face, open_face, password_of, sha256
from web.guards import roles_of

TASK = "T-1"
API = "/api/v1"
ROLES = {"supervisor": "chen.min", "inspector": "li.wei", "administrator": "admin", "trader": "shen.mao", "partner": "port.desk"}
S, I, A, T, P = "supervisor", "inspector", "administrator", "trader", "partner"  # noqa: E741 - a table reads better with short names
EVERYBODY = (S, I, A)  # inside; who comes from outside reaches nothing that does not name them
KNOWN = (*EVERYBODY, T, P)
PUBLIC = ("anonymous", *KNOWN)
TWO = {"second": "zhou.jun", "second_password": "x", "reason": "x"}

# method, path, who may, body
TABLE: tuple[tuple[str, str, tuple[str, ...], Any], ...] = (
    ("GET", "/status", PUBLIC, None),
    ("GET", "/log/checkpoint", PUBLIC, None),
    ("GET", "/log/vkey", PUBLIC, None),
    ("GET", "/log/national", PUBLIC, None),
    ("POST", "/national/add-checkpoint", PUBLIC, None),
    ("GET", "/log/witnessed", PUBLIC, None),
    ("GET", "/log/consistency/{old}/{new}", PUBLIC, None),
    ("GET", "/log/tile/{path:path}", PUBLIC, None),
    ("GET", "/log/tile/entries/{path:path}", (S, A), None),
    ("POST", "/session", PUBLIC, {"name": "li.wei", "password": password_of("li.wei")}),
    ("GET", "/session", KNOWN, None),
    ("GET", "/tasks", EVERYBODY, None),
    ("POST", "/tasks", (S,), {"task": "T-2"}),
    ("GET", "/tasks/{task}", EVERYBODY, None),
    ("GET", "/tasks/{task}/timeline", EVERYBODY, None),
    ("GET", "/tasks/{task}/code", (S, I), None),
    ("POST", "/tasks/{task}/pairings", (S, I), {"stream": "box-1/recorder-1"}),
    ("DELETE", "/tasks/{task}/pairings/{box}/{source}", (S, I), None),
    ("POST", "/tasks/{task}/playbacks", EVERYBODY, None),
    ("DELETE", "/playbacks/{view}", EVERYBODY, None),
    ("GET", "/segments/{sha256}", EVERYBODY, None),
    ("POST", "/work/keys", (S, I), {"spki": "AA==", "device": "phone"}),
    ("GET", "/work/keys", (S, I), None),
    ("POST", "/work/keys/{key_id}/revoke", EVERYBODY, {"reason": "lost"}),
    ("GET", "/work", EVERYBODY, None),
    ("GET", "/work/{task}", EVERYBODY, None),
    ("POST", "/work/{task}/acts", (S, I), {"act": "{}", "key_id": "00" * 32, "signature": "AA=="}),
    ("GET", "/work/{task}/acts", EVERYBODY, None),
    ("GET", "/work/{task}/proof/{act_id}", EVERYBODY, None),
    ("POST", "/work/{task}/ticket", (S, I), None),
    ("POST", "/declarations/{number}/dispatch", (S,), {"bay": "b-1"}),
    ("GET", "/declarations/{number}/missing", EVERYBODY, None),
    ("POST", "/declarations/{number}/system-notes", (S, A), {"key": "temperature-log", "source": "logger", "told": {}}),
    ("POST", "/files", KNOWN, {"sha256": "00" * 32, "size": 5, "name": "a.jpg", "kind": "photo"}),
    ("PUT", "/files/{sha256}", KNOWN, None),
    ("GET", "/files/{sha256}", KNOWN, None),
    ("GET", "/files/{sha256}/content", KNOWN, None),
    ("POST", "/tasks/{task}/exports", (S,), None),
    ("POST", "/exports", (S,), {"streams": ["box-1/cam-1"], "from_ms": 1, "to_ms": 2}),
    ("GET", "/exports/{export}", (S, A), None),
    ("GET", "/exports/{export}/bundle.zip", (S, A), None),
    ("POST", "/tasks/{task}/clips", (S,), {"stream": "box-1/cam-1", "from_ms": 1, "to_ms": 2}),
    ("GET", "/excerpts/{excerpt}/excerpt.zip", (S,), None),
    ("POST", "/tasks/{task}/proposals", (S,), {"stream": "box-1/cam-1", "from_ms": 1, "to_ms": 2}),
    ("POST", "/tasks/{task}/redactions", (S,), {"stream": "box-1/cam-1", "from_ms": 1, "to_ms": 2}),
    ("GET", "/redactions/{job}", (S,), None),
    ("DELETE", "/redactions/{job}", (S,), None),
    ("POST", "/redactions/{job}/proposals/{number}", (S,), {"accepted": True}),
    ("GET", "/tasks/{task}/derived", (S,), None),
    ("POST", "/tasks/{task}/derived/{sha256}/excerpts", (S,), None),
    ("GET", "/draws", EVERYBODY, None),
    ("POST", "/draws", (S,), {"closes_ms": 1}),
    ("GET", "/draws/page", EVERYBODY, None),
    ("GET", "/draws/policy", EVERYBODY, None),
    ("POST", "/draws/policy", (A,), {"text": "{}"} | TWO),
    ("POST", "/draws/exclusions", (S,), {"kind": "inspector", "id": "i-1"} | TWO),
    ("GET", "/draws/{number}", EVERYBODY, None),
    ("GET", "/draws/{number}/bundle", EVERYBODY, None),
    ("POST", "/draws/{number}/refusals", (S,), {"declaration": "D-1", "inspector": "i-1"} | TWO),
    ("POST", "/draws/{number}/overrides", (S,), {"declaration": "D-1", "members": []} | TWO),
    ("GET", "/desk", (S, A), None),
    ("GET", "/declarations/{number}/gate", EVERYBODY, None),
    ("POST", "/declarations/{number}/evaluation", (S, I), {"verdict": "pass", "reason": "x"}),
    ("POST", "/declarations/{number}/release", (S,), {"reason": "x"}),
    ("POST", "/declarations/{number}/refusal", (S,), {"reason": "x"}),
    ("POST", "/declarations/{number}/override", (S,), TWO),
    ("POST", "/declarations/{number}/recall", (S,), {"reason": "x"}),
    ("POST", "/declarations/{number}/position", (S,), {"bay": "b-1", "reason": "x"}),
    ("GET", "/evidence/{root}", EVERYBODY, None),
    ("POST", "/exchange/messages", (P, A), {}),
    ("GET", "/exchange/messages", (P, S, A), None),
    ("GET", "/exchange/messages/{position}", (P, S, A), None),
    ("GET", "/exchange/messages/{position}/raw", (P, S, A), None),
    ("POST", "/exchange/messages/{position}/resend", (S, A), {"reason": "x"}),
    ("GET", "/exchange/partners", (S, A), None),
    ("GET", "/exchange/key", KNOWN, None),
    ("GET", "/streams", EVERYBODY, None),
    ("GET", "/live/ice", EVERYBODY, None),
    ("POST", "/streams/{box}/{source}/whep", EVERYBODY, "v=0"),
    ("GET", "/views/{view}", EVERYBODY, None),
    ("DELETE", "/views/{view}", EVERYBODY, None),
    ("GET", "/devices", (S, A), None),
    ("GET", "/alarms", (S, A), None),
    ("POST", "/alarms/{alarm}/acknowledge", (S, A), None),
    ("GET", "/records/{issuer}/{epoch}/{position}", (S, I, A, T), None),
    ("GET", "/records/{issuer}/{epoch}/{position}/receipt", (S, A), None),
    ("GET", "/journals", (S, A), None),
    ("GET", "/journals/{box}/{epoch}/checkpoint", PUBLIC, None),
    ("GET", "/journals/{box}/{epoch}/tile/{path:path}", PUBLIC, None),
    ("GET", "/journals/{box}/{epoch}/tile/entries/{path:path}", (S, A), None),
    ("POST", "/heads", EVERYBODY, {"head": "PWH1.0000"}),
    ("GET", "/tasks/{task}/keeping", EVERYBODY, None),
    ("POST", "/tasks/{task}/keeping", (S, A), {"state": "held", "reason": "case 7"}),
    ("POST", "/retention/confirm", (A,), {"reason": "checked"}),
    ("POST", "/reports", (S, A), {"report": "00"}),
    ("GET", "/people", (S, A), None),
    ("GET", "/people/rights", (S, A), None),
    ("GET", "/people/{name}/keys", (S, A), None),
    ("POST", "/people", (A,), {"name": "sun.li", "role": "inspector"}),
    ("PATCH", "/people/{name}", (A,), {"display": "x"}),
    ("GET", "/tokens", (A,), None),
    ("POST", "/tokens", (A,), {"person": "li.wei", "label": "x"}),
    ("DELETE", "/tokens/{token}", (A,), None),
    ("GET", "/enrolments", (A,), None),
    ("POST", "/enrolments/tokens", (A,), {"box": "box-9"}),
    ("POST", "/enrolments/{request}/issue", (A,), {"certificates": "x"}),
    ("POST", "/enrolments/{request}/refuse", (A,), {"reason": "no such box"}),
    ("POST", "/devices/{box}/revoke", (A,), {"reason": "it was stolen"}),
    ("GET", "/trust", EVERYBODY, None),
    ("POST", "/declarations", (T, S, A), {}),
    ("POST", "/declarations/check", (T, S, A), {}),
    ("GET", "/declarations", (T, S, A), None),
    ("GET", "/declarations/{number}", (T, S, A), None),
    ("GET", "/declarations/{number}/form", (T, S, A), None),
    ("GET", "/declarations/{number}/history", (T, S, A), None),
    ("POST", "/declarations/{number}/amendments", (T, S, A), {"form": {}, "reason": "x"}),
    ("POST", "/declarations/{number}/withdrawal", (T, S, A), {"reason": "x"}),
    ("POST", "/declarations/{number}/holds", (P, S), {"reason": "x", "authority": "customs-1"}),
    ("POST", "/declarations/{number}/holds/lift", (P, S), {"reason": "x", "authority": "customs-1"}),
    ("GET", "/holds", (P, A), None),
    ("GET", "/references", (S, A), None),
    ("GET", "/references/{category}", (S, A), None),
    ("GET", "/references/{category}/{key}", (S, A), None),
    ("PUT", "/references/{category}/{key}", (A,), {"form": {}, "reason": "x"}),
    ("POST", "/references/{category}/{key}/retirement", (A,), {"reason": "x"}),
    ("GET", "/references/{category}/{key}/history", (S, A), None),
    ("GET", "/tasks/{task}/story", EVERYBODY, None),
    ("GET", "/declarations/{number}/story", EVERYBODY, None),
    ("POST", "/tasks/{task}/annotations", (S,), {"from_ms": 1, "to_ms": 2, "text": "x"}),
    ("GET", "/tasks/{task}/instructions", EVERYBODY, None),
    ("POST", "/tasks/{task}/instructions", (S,), {"text": "x"}),
    ("POST", "/tasks/{task}/instructions/{position}/acknowledge", (S, I), None),
    ("GET", "/second-looks", EVERYBODY, None),
    ("POST", "/second-looks/{task}/assignment", (S,), {"to": "zhou.jun"}),
    ("POST", "/second-looks/{task}/result", (S, I), {"outcome": "confirmed", "text": "x"}),
    ("GET", "/badges", KNOWN, None),
    ("GET", "/board", EVERYBODY, None),
    ("GET", "/credit", (S, A), None),
    ("GET", "/credit/items", (S, A, T), None),
    ("GET", "/credit/rules/{key}", (S, A, T), None),
    ("POST", "/credit/rules", (A,), {"text": "x", "second": "wang.fang", "second_password": "x", "reason": "x"}),
    ("GET", "/credit/{enterprise}", (S, A, T), None),
    ("POST", "/credit/{enterprise}/events", (S,), {"item": "x", "detail": "x"}),
    ("POST", "/credit/events/{position}/appeals", (S, A, T), {"reason": "x"}),
    ("POST", "/credit/events/{position}/decision", (S,), {"upheld": True, "reason": "x"}),
    ("GET", "/procedures", EVERYBODY, None),
    ("POST", "/procedures", (S, A), {"text": "x", "reason": "x"}),
    ("GET", "/procedures/by-hash/{sha256}", EVERYBODY, None),
    ("POST", "/procedures/check", (S, A), {"text": "x"}),
    ("GET", "/procedures/scheme", EVERYBODY, None),
    ("GET", "/procedures/{key}/{version}", EVERYBODY, None),
    ("POST", "/procedures/{key}/{version}/decision", (S, A), {"accept": True, "reason": "x"}),
    ("POST", "/procedures/{key}/{version}/withdrawal", (S, A), {"second": "wang.fang", "second_password": "x", "reason": "x"}),
    ("GET", "/procedures/{key}/{version}/xlsform", EVERYBODY, None),
    ("POST", "/procedures/{key}/{version}/xlsform", (S, A), None),
    ("GET", "/rules", (S, A), None),
    ("POST", "/rules/check", (S, A), {"when": "x"}),
    ("POST", "/rules/dry-run", (S, A), {"rule": {}}),
    ("GET", "/rules/fields", (S, A), None),
    ("POST", "/rules/{key}", (S, A), {"rule": {}, "reason": "x"}),
    ("POST", "/rules/{key}/{version}/decision", (S, A), {"accept": True, "reason": "x"}),
    ("POST", "/rules/{key}/{version}/withdrawal", (S, A), {"second": "wang.fang", "second_password": "x", "reason": "x"}),
    ("GET", "/samples", (*EVERYBODY, P), None),
    ("POST", "/samples", (S, I), {"declaration": "x", "laboratory": "x", "what": "x", "amount": "1", "unit": "KGM"}),
    ("GET", "/samples/plans/{declaration}", EVERYBODY, None),
    ("GET", "/samples/rules", EVERYBODY, None),
    ("POST", "/samples/rules", (A,), {"text": "x", "second": "wang.fang", "second_password": "x", "reason": "x"}),
    ("GET", "/samples/{number}", (*EVERYBODY, P), None),
    ("POST", "/samples/{number}/hand-over", (S, I), {"to": "x"}),
    ("POST", "/samples/{number}/receipt", (A, P), {"sealed": True, "fit": True}),
    ("POST", "/samples/{number}/report", (A, P), {"number": "x", "verdict": "negative", "sha256": "00" * 32}),
    ("POST", "/samples/{number}/seal", (S, I), {"seal": "x"}),
    ("POST", "/samples/{number}/void", (S,), {"second": "wang.fang", "second_password": "x", "reason": "x"}),
    ("GET", "/samples/{number}/voucher", (*EVERYBODY, P), None),
    ("GET", "/screening", EVERYBODY, None),
    ("GET", "/screening/mismatches", EVERYBODY, None),
    ("GET", "/screening/{number}", EVERYBODY, None),
    ("POST", "/screening/{number}/decision", (S, I), {"accept": True, "reason": "x"}),
    ("GET", "/log/leaf/{index}", (S, A), None),
    ("POST", "/tasks/{task}/end", (S,), None),
    ("DELETE", "/session", KNOWN, None),
)
FOLLOWED = ("GET", "/events")  # never ends: has a test of its own
VALUES = {
    "{category}": "bay", "{key}": "b-1", "{version}": "1", "{enterprise}": "91210200MA0SIM001X", "{declaration}": "D-1",
    "{task}": TASK, "{box}": "box-1", "{source}": "recorder-1", "{view}": "none", "{sha256}": "00" * 32, "{export}": "0" * 16,
    "{alarm}": "1", "{issuer}": "hub:hub-1", "{epoch}": "0", "{position}": "0", "{name}": "wang.fang", "{token}": "none",
    "{request}": "none", "{excerpt}": "none", "{job}": "none", "{number}": "0", "{old}": "1", "{new}": "1", "{index}": "0",
    "{path:path}": "0/000.p/1",
    "{key_id}": "00" * 32, "{act_id}": "00" * 16,
}  # fmt: skip


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        yield opened


def address(path: str) -> str:
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return API + path


async def ask(client: httpx.AsyncClient, method: str, path: str, body: Any) -> httpx.Response:
    if isinstance(body, str):
        return await client.request(method, address(path), content=body, headers={"content-type": "application/sdp"})
    return await client.request(method, address(path), json=body)


def test_the_table_names_every_route(face: Face) -> None:
    paths = face.app.openapi()["paths"]
    routes = {(method.upper(), path.removeprefix(API)) for path, methods in paths.items() if path.startswith(API) for method in methods}
    table = {(method, path.replace(":path", "")) for method, path, _, _ in TABLE}
    assert routes == table | {FOLLOWED}


def test_every_route_names_its_roles_or_is_public(face: Face) -> None:
    """Who comes from outside reaches nothing that does not name them: what the table says is what the guards say."""
    table = {(method, path): roles for method, path, roles, _ in TABLE}
    found = {(method, route.path): roles_of(route) for route in face.app.state.routes for method in route.methods or ()}
    public = {place for place, roles in table.items() if roles == PUBLIC and place != ("GET", "/status")}
    assert {place for place, roles in found.items() if roles is None} == public | {("GET", "/session"), ("DELETE", "/session")}
    named = {place: set(roles) for place, roles in found.items() if roles is not None and place in table}
    assert named == {place: set(table[place]) for place in named}


@pytest.mark.parametrize("role", ["anonymous", *KNOWN])
async def test_every_route_for_every_role(face: Face, role: str) -> None:
    opener = await face.login("chen.min")
    assert (await opener.post(f"{API}/tasks", json={"task": TASK, "inspectors": ["li.wei"]})).status_code == 201
    client = face.client() if role == "anonymous" else await face.login(ROLES[role])
    for method, path, roles, body in TABLE:
        answer = await ask(client, method, path, body)
        place = f"{role} {method} {path}: {answer.status_code} {answer.text[:200]}"
        if role in roles:
            assert answer.status_code not in (401, 500), place
            assert "only for" not in answer.text or path.startswith(("/records", "/samples")), place  # refused by what it is about
            if path == "/session" and method == "POST":
                client = face.client() if role == "anonymous" else await face.login(ROLES[role])
        else:
            assert answer.status_code == (401 if role == "anonymous" else 403), place
            assert answer.json()["error"]["kind"] == ("unauthenticated" if role == "anonymous" else "forbidden"), place


async def test_a_write_by_cookie_needs_the_token_of_its_session(face: Face) -> None:
    client, other = await face.login("chen.min"), await face.login("chen.min")
    good = client.headers.pop("x-csrf-token")
    for header in (None, "", "0" * 64, other.headers["x-csrf-token"]):
        headers = {} if header is None else {"x-csrf-token": header}
        answer = await client.post(f"{API}/tasks", json={"task": "T-9"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["where"]) == (403, "csrf")
    jar = client.cookies.get("portwitness-csrf")
    client.cookies.set("portwitness-csrf", "f" * 64, domain="hub.test", path="/")
    client.cookies.delete("portwitness-csrf", domain="hub.test", path="/")
    assert (await client.post(f"{API}/tasks", json={"task": "T-9"}, headers={"x-csrf-token": good})).status_code == 403
    assert jar == good
    bearer = await face.bearer("chen.min")
    assert (await bearer.post(f"{API}/tasks", json={"task": "T-9"})).status_code == 201


async def test_cookies_and_headers_are_strict(face: Face) -> None:
    answer = await face.client().post(f"{API}/session", json={"name": "li.wei", "password": password_of("li.wei")})
    session, csrf = answer.headers.get_list("set-cookie")
    assert "HttpOnly" in session
    assert "SameSite=strict" in session
    assert "HttpOnly" not in csrf
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = (await face.client().get("/wall")).text
    assert "<style" not in page
    assert "http://" not in page
    assert "https://" not in page


async def test_errors_speak_the_language_asked_for_and_name_the_field(face: Face) -> None:
    client = await face.login("chen.min")
    wrong = {"task": "T-1", "cameras": ["box-1/cam-1"], "limit": 3}
    english = (await client.post(f"{API}/tasks", json=wrong)).json()["error"]
    assert english == {"kind": "malformed", "what": "is not a field of this request", "where": "limit", "about": ""}
    bad = await client.post(f"{API}/tasks", json={"task": "not a task"})
    assert bad.status_code == 400
    assert bad.json()["error"]["what"] == '"not a task" is no task number: letters, digits, dots and hyphens, at most 64'
    missing = await client.get(f"{API}/tasks/T-77", headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert missing.status_code == 404
    assert missing.json()["error"]["what"].startswith("没有找到")
    nowhere = await client.get(f"{API}/nothing?lang=zh")
    assert (nowhere.status_code, nowhere.json()["error"]["kind"]) == (404, "missing")
    login = await face.client().post(f"{API}/session", json={"name": "x", "password": "y"}, headers={"accept-language": "zh-CN"})
    assert (login.status_code, login.json()["error"]["what"]) == (401, "用户名或密码不正确")


async def test_lock_out_is_told_with_its_length(face: Face) -> None:
    client = face.client()
    for _ in range(3):
        await client.post(f"{API}/session", json={"name": "li.wei", "password": "wrong"})
    answer = await client.post(f"{API}/session", json={"name": "li.wei", "password": password_of("li.wei")})
    assert answer.status_code == 429
    assert "try again in" in answer.json()["error"]["what"]
    assert answer.headers["retry-after"]


async def test_a_body_out_of_bounds_is_refused(face: Face) -> None:
    client = await face.login("chen.min")
    answer = await client.post(f"{API}/tasks", content=b"{" + b" " * 200_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert (await client.post(f"{API}/tasks", content=b"{nonsense", headers={"content-type": "application/json"})).status_code == 400


async def test_an_inspector_sees_only_their_tasks(face: Face) -> None:
    opener, own, other = await face.login("chen.min"), await face.login("li.wei"), await face.login("wang.fang")
    await opener.post(f"{API}/tasks", json={"task": TASK, "inspectors": ["li.wei"], "cameras": ["box-1/cam-1"]})
    assert [task["task"] for task in (await own.get(f"{API}/tasks")).json()["tasks"]] == [TASK]
    assert (await other.get(f"{API}/tasks")).json()["tasks"] == []
    for path in ("", "/timeline", "/code"):
        assert (await other.get(f"{API}/tasks/{TASK}{path}")).status_code == 403
        assert (await own.get(f"{API}/tasks/{TASK}{path}")).status_code == 200
    for method, path in (("POST", "pairings"), ("POST", "playbacks")):
        assert (await other.request(method, f"{API}/tasks/{TASK}/{path}", json={"stream": "box-1/recorder-1"})).status_code == 403
    watch = await other.post(f"{API}/streams/box-1/cam-1/whep", content="v=0", headers={"content-type": "application/sdp"})
    assert watch.status_code == 403


async def test_a_late_pairing_needs_a_second_person_who_says_so(face: Face) -> None:
    client = await face.login("chen.min")
    opened = (await client.post(f"{API}/tasks", json={"task": TASK})).json()
    ask_late = {"stream": "box-1/recorder-1", "late_from_ms": opened["opened_ms"] + 1, "reason": "battery was changed"}
    path = f"{API}/tasks/{TASK}/pairings"
    for change, field in (
        ({}, "second"),
        ({"second": "chen.min", "second_password": password_of("chen.min")}, "second"),
        ({"second": "zhou.jun"}, "second_password"),
        ({"second": "zhou.jun", "second_password": password_of("zhou.jun"), "reason": " "}, "reason"),
    ):
        answer = await client.post(path, json=ask_late | change)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, field)
    wrong = await client.post(path, json=ask_late | {"second": "zhou.jun", "second_password": "wrong password"})
    assert (wrong.status_code, wrong.json()["error"]["where"]) == (403, "second_password")  # the asker's own login stands
    assert "second person's" in wrong.json()["error"]["what"]
    assert (await client.get(f"{API}/session")).status_code == 200
    assert (await face.records("pairing")) == []


async def test_the_code_has_a_picture_without_scripts(face: Face) -> None:
    client = await face.login("chen.min")
    await client.post(f"{API}/tasks", json={"task": TASK})
    answer = (await client.get(f"{API}/tasks/{TASK}/code")).json()
    assert answer["code"].isdigit()
    assert len(answer["code"]) == 6
    assert "<svg" in answer["qr_svg"]
    assert "script" not in answer["qr_svg"]


async def test_segments_play_only_inside_a_recorded_playback(face: Face) -> None:
    box = TestBox()
    await enrol(face.hub, box)
    box.wall_ns = face.clock.now().wall_ns
    client, other = await face.login("chen.min"), await face.login("zhou.jun")
    await client.post(f"{API}/tasks", json={"task": TASK, "cameras": ["box-1/cam-1"]})
    box.boot()
    box.recording()
    box.pass_time(0.2)
    record, data = box.segment(seconds=2)
    box.gap(seconds=1)
    box.seal()
    await send(face.hub, box)
    line = (await client.get(f"{API}/tasks/{TASK}/timeline")).json()
    assert line["lanes"][0]["segments"][0]["state"] == "pending"
    digest = record.record.body.sha256  # type: ignore[union-attr]
    await face.hub.blobs.put(BOX, digest, len(data), chunks(data))
    await receipts_until(face.hub, BOX, box.written[-1].record.position)
    face.clock.pass_time(3)
    lane = (await client.get(f"{API}/tasks/{TASK}/timeline")).json()["lanes"][0]
    assert [piece["state"] for piece in lane["segments"]] == ["verified"]
    assert [(piece["cause"], piece["record"]["position"]) for piece in lane["gaps"] if piece["record"]] == [("camera lost", 4)]
    path = f"{API}/segments/{sha256(data)}"
    refused = await client.get(path)
    assert (refused.status_code, refused.json()["error"]["where"]) == (403, "segment")
    view = (await client.post(f"{API}/tasks/{TASK}/playbacks")).json()["view"]
    whole = await client.get(path)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, data, "video/mp4")
    part = await client.get(path, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert (await other.get(path)).status_code == 403
    assert (await other.delete(f"{API}/playbacks/{view}")).status_code == 403
    assert (await client.delete(f"{API}/playbacks/{view}")).status_code == 204
    assert (await client.get(path)).status_code == 403
    told = [(body.state, body.viewer, body.way) for body in await face.records("view")]
    assert told == [("started", "chen.min", "playback"), ("ended", "chen.min", "playback")]


async def test_logging_out_ends_playbacks(face: Face) -> None:
    client = await face.login("chen.min")
    await client.post(f"{API}/tasks", json={"task": TASK})
    await client.post(f"{API}/tasks/{TASK}/playbacks")
    assert (await client.delete(f"{API}/session")).status_code == 204
    assert [body.state for body in await face.records("view")] == ["started", "ended"]
    assert (await client.get(f"{API}/tasks")).status_code == 401


async def test_a_record_is_opened_with_its_proof(face: Face) -> None:
    client = await face.login("chen.min")
    await client.post(f"{API}/tasks", json={"task": TASK, "facts": {"goods": "kiwifruit"}})
    checkpoint = (await client.get(f"{API}/log/checkpoint")).text
    size = int(checkpoint.split("\n")[1])
    found = [(await client.get(f"{API}/records/hub:hub-1/0/{index}")).json() for index in range(size)]
    task = next(one for one in found if one["kind"] == "task")
    assert task["body"]["facts"] == [["goods", "kiwifruit"]]
    assert task["state"] == "logged"
    assert task["log_leaf"] == task["leaf"]
    assert (task["log_index"], task["checkpoint"].split("\n")[0]) == (task["record"]["position"], checkpoint.split("\n")[0])
    assert (await client.get(f"{API}/records/hub:hub-1/0/9999")).status_code == 404
    inspector = await face.login("li.wei")
    access = next(one for one in found if one["kind"] == "access")
    place = access["record"]
    assert (await inspector.get(f"{API}/records/{place['issuer']}/{place['epoch']}/{place['position']}")).status_code == 403


async def test_openapi_describes_every_route_and_its_errors(face: Face) -> None:
    document = (await face.client().get(f"{API}/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            if path.startswith(API):
                assert operation["responses"]["403"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorAnswer"), (
                    method,
                    path,
                )
