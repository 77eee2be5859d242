"""Declarations and reference data over the API: who reaches what, every fault at once, bodies made to harm, versions, holds."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.inspection.forms import FaultsError, read_form
from hub.inspection.states import State
from tests.inspection_parts import arriving_soon, plausible
from tests.web_parts import Face, open_face, password_of

API = "/api/v1"
CUSTOMS = {"name": "大连海关", "role": "customs", "may_hold": True}


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        yield opened


@pytest.fixture
async def trader(face: Face) -> httpx.AsyncClient:
    return await face.login("shen.mao")


def sound_form(face: Face, **changes: Any) -> dict[str, Any]:
    return arriving_soon(face.clock, **changes)


async def lodged(face: Face, client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post(f"{API}/declarations", json=sound_form(face, **changes))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def send(client: httpx.AsyncClient, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    answer = await client.post(f"{API}/declarations", content=body, headers={"content-type": kind})
    return answer.status_code, answer.json()["error"]["what"]


async def test_a_declaration_sent_twice_is_one_and_reads_as_written(face: Face, trader: httpx.AsyncClient) -> None:
    form = sound_form(face)
    first, again = await asyncio.gather(*(trader.post(f"{API}/declarations", json=form) for _ in range(2)))
    assert first.json() == again.json()
    assert (first.status_code, first.json()["state"], first.json()["version"]) == (201, "lodged", 1)
    number = first.json()["number"]
    read = (await trader.get(f"{API}/declarations/{number}/form")).json()
    assert {key: read["form"][key] for key in ("bill", "reference", "destination")} == {
        key: form[key] for key in ("bill", "reference", "destination")
    }
    assert read["form"]["goods"][0].items() >= form["goods"][0].items()
    assert (await trader.get(f"{API}/declarations")).json()["declarations"] == [first.json()]
    place = first.json()["record"]
    assert (await (await face.login("chen.min")).get(f"{API}/records/{place['issuer']}/0/{place['position']}")).status_code == 200


async def test_every_fault_is_named_at_once_in_the_askers_language(face: Face, trader: httpx.AsyncClient) -> None:
    form = sound_form(face, enterprise="4403960001", bill="!", trade="barter")
    form["goods"][0] |= {"hs": "08", "origin": "thai"}
    refused = await trader.post(f"{API}/declarations", json=form)
    assert refused.status_code == 400
    faults = {fault["path"]: fault for fault in refused.json()["error"]["faults"]}
    assert set(faults) == {"enterprise", "bill", "trade", "goods[0].hs", "goods[0].origin"}
    assert faults["enterprise"]["what"] == "is not 91210200MA0SIM001X, which you act for"
    checked = await trader.post(f"{API}/declarations/check", json=form, headers={"accept-language": "zh-CN"})
    assert checked.status_code == 200
    assert {fault["path"] for fault in checked.json()["faults"]} == set(faults)
    assert {fault["what"] for fault in checked.json()["faults"]} == {fault["zh"] for fault in faults.values()}
    assert (await trader.get(f"{API}/declarations")).json()["declarations"] == []
    assert (await trader.post(f"{API}/declarations/check", json=sound_form(face))).json() == {"faults": []}
    await lodged(face, trader)
    assert (await trader.post(f"{API}/declarations/check", json=sound_form(face))).json() == {"faults": []}  # the same one
    clash = (await trader.post(f"{API}/declarations/check", json=sound_form(face, bill="OTHER123"))).json()["faults"]
    assert [(fault["path"], fault["code"]) for fault in clash] == [("reference", "known")]


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"", "application/json", "cut off"),
        (b'{"reference": "R', "application/json", "cut off"),
        (b'{"a": 1}}', "application/json", "line 1, column 9"),
        ('{"remarks": "榴莲"}'.encode("gb18030"), "application/json", "not UTF-8 at byte 13"),
        (b"{}", "application/json; charset=GB2312", "written in GB2312"),
        (b"<x/>", "application/xml", "application/json"),
        (b'{"bill": "A", "bill": "B"}', "application/json", "'bill' twice"),
        (b'{"a": NaN}', "application/json", "NaN"),
        (b'{"a": ' + b"9" * 9000 + b"}", "application/json", "too long"),
        (b"[" * 50_000, "application/json", "nested too deeply"),
        (b"[]", "application/json", "is no JSON object"),
        (b"null", "application/json", "is no JSON object"),
        (b'{"a": 0.5}', "application/json", "float"),
        (b'{"a": "\\ud800"}', "application/json", "half a character"),
    ],
)
async def test_a_broken_body_is_refused_with_what_is_wrong(trader: httpx.AsyncClient, body: bytes, kind: str, said: str) -> None:
    status, what = await send(trader, body, kind)
    assert (status, said in what) == (400, True), what


async def test_a_form_of_ten_thousand_lines_is_taken_and_one_more_is_not(face: Face, trader: httpx.AsyncClient) -> None:
    form = sound_form(face)
    line = form["goods"][0]
    form["goods"] = [line | {"line": number} for number in range(1, 10_001)]
    assert (await trader.post(f"{API}/declarations", json=form)).status_code == 201
    form |= {"reference": "R-2", "goods": [*form["goods"], line | {"line": 10_001}]}
    refused = (await trader.post(f"{API}/declarations", json=form)).json()["error"]
    assert [fault["path"] for fault in refused["faults"]] == ["goods"]
    answer = await trader.post(f"{API}/declarations", content=b" " * (8 * 2**20 + 1), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_faults_by_the_thousand_take_no_longer_than_they_must() -> None:
    """Waste that no permit names, permits that name every line: once a product of both, it would take minutes."""
    form = plausible()
    form["goods"] = [form["goods"][0] | {"line": number, "waste": True, "name": "x", "containers": []} for number in range(1, 10_001)]
    form["permits"] = [form["permits"][0] | {"lines": list(range(20_000, 20_400))} for _ in range(450)]
    began = time.process_time()
    with pytest.raises(FaultsError) as caught:
        read_form(form, today=date(2026, 11, 24))
    assert time.process_time() - began < 20  # of CPU: 10^10 comparisons would take far longer on any machine
    assert len(caught.value.faults) == 500


async def test_a_trader_reaches_the_own_enterprise_alone(face: Face, trader: httpx.AsyncClient) -> None:
    number = (await lodged(face, trader))["number"]
    other = await face.login("gu.hai")
    assert (await other.get(f"{API}/declarations")).json()["declarations"] == []
    assert (await other.get(f"{API}/declarations", params={"enterprise": "91210200MA0SIM001X"})).json()["declarations"] == []
    for path in ("", "/form", "/history"):
        assert (await other.get(f"{API}/declarations/{number}{path}")).status_code == 403, path
        assert (await trader.get(f"{API}/declarations/{number}{path}")).status_code == 200, path
    assert (await other.get(f"{API}/declarations", params={"before": number})).status_code == 403
    form = sound_form(face)
    assert (await other.post(f"{API}/declarations/check", json=form, params={"number": number})).status_code == 403
    assert (await other.post(f"{API}/declarations/{number}/amendments", json={"form": form, "reason": "mine"})).status_code == 403
    assert (await other.post(f"{API}/declarations/{number}/withdrawal", json={"reason": "mine"})).status_code == 403
    assert (await trader.get(f"{API}/declarations/D-20000101-0000001")).status_code == 404


async def test_amendments_are_versions_and_two_windows_do_not_overwrite(face: Face, trader: httpx.AsyncClient) -> None:
    number = (await lodged(face, trader))["number"]
    path = f"{API}/declarations/{number}"
    ask = {"form": sound_form(face, contract="C-2"), "reason": "contract was missing", "after": 1}
    amended = await trader.post(f"{path}/amendments", json=ask)
    assert (amended.status_code, amended.json()["version"]) == (201, 2)
    late = await trader.post(f"{path}/amendments", json=ask | {"form": sound_form(face, contract="C-3")})
    assert late.status_code == 409
    assert "somebody amended it meanwhile" in late.json()["error"]["what"]
    wrong: list[Any] = [[], {"form": {}, "why": 1}, {"form": {}, "reason": 1}, {"form": {}, "reason": "r", "after": True}]
    for broken in wrong:
        assert (await trader.post(f"{path}/amendments", json=broken)).status_code == 400
    versions = [(await trader.get(f"{path}/form", params={"version": one})).json()["form"]["contract"] for one in (1, 2)]
    assert versions == [None, "C-2"]
    assert (await trader.get(f"{path}/form", params={"version": 9})).status_code == 404
    gone = await trader.post(f"{path}/withdrawal", json={"reason": "sold at sea"})
    assert gone.json()["state"] == "withdrawn"
    detail = (await trader.get(path)).json()
    assert (detail["may_amend"], detail["may_withdraw"]) == (False, False)
    steps = (await trader.get(f"{path}/history")).json()["steps"]
    assert [(one["act"], one["version"], one["by"], one["reason"]) for one in steps] == [
        ("lodged", 1, "shen.mao", None),
        ("amended", 2, "shen.mao", "contract was missing"),
        ("withdrawn", 2, "shen.mao", "sold at sea"),
    ]


async def test_a_trader_sees_decisions_and_not_what_the_rules_looked_at(face: Face, trader: httpx.AsyncClient) -> None:
    number = (await lodged(face, trader))["number"]
    await face.hub.declarations.step(number, State.ACCEPTED, {}, rule="accept/1")
    await face.hub.declarations.step(number, State.SCREENED, {"risk": {"total": 7}, "reason": "watched"}, by="chen.min")
    own = (await trader.get(f"{API}/declarations/{number}/history")).json()["steps"]
    assert [(one["act"], one["said"], one["by"], one["reason"]) for one in own[1:]] == [
        ("accepted", None, None, None),
        ("screened", None, None, None),
    ]
    port = (await (await face.login("chen.min")).get(f"{API}/declarations/{number}/history")).json()["steps"]
    assert port[2] | {"record": 0, "at_ms": 0} == {
        "record": 0, "kind": "step", "act": "screened", "version": None, "authority": None, "rule": None, "at_ms": 0, "by": "chen.min",
        "reason": "watched", "said": {"risk": {"total": 7}},
    }  # fmt: skip


async def test_pages_are_turned_without_gaps_and_filters_hold(face: Face, trader: httpx.AsyncClient) -> None:
    made = [(await lodged(face, trader, reference=f"R-{number}"))["number"] for number in range(7)]
    await face.hub.declarations.step(made[0], State.ACCEPTED, {})
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 3}
    while True:
        page = (await trader.get(f"{API}/declarations", params=params)).json()
        seen += [one["number"] for one in page["declarations"]]
        if page["next"] is None:
            break
        params["before"] = page["next"]
    assert seen == made[::-1]

    async def numbers(**wishes: str) -> list[str]:
        return [one["number"] for one in (await trader.get(f"{API}/declarations", params=wishes)).json()["declarations"]]

    assert await numbers(state="accepted") == made[:1]
    assert await numbers(begins="R-3") == [made[3]]
    assert await numbers(begins=made[2]) == [made[2]]
    assert await numbers(begins="%") == []
    assert (await trader.get(f"{API}/declarations", params={"state": "lost"})).status_code == 400


async def test_holds_are_placed_by_who_may_hold(face: Face, trader: httpx.AsyncClient) -> None:
    number = (await lodged(face, trader))["number"]
    customs, supervisor = await face.login("port.desk"), await face.login("chen.min")
    path, ask = f"{API}/declarations/{number}/holds", {"reason": "papers"}
    assert (await customs.post(path, json=ask)).status_code == 404  # nobody entered it yet
    await face.hub.references.put("partner", "customs-1", CUSTOMS | {"may_hold": False}, "admin")
    assert (await customs.post(path, json=ask)).status_code == 403
    await face.hub.references.put("partner", "customs-1", CUSTOMS, "admin")
    assert (await customs.post(path, json=ask | {"authority": "maritime"})).status_code == 403
    assert (await supervisor.post(path, json=ask)).status_code == 400
    placed = await customs.post(path, json=ask)
    assert (placed.status_code, placed.json()["holds"]) == (201, ["customs-1"])
    assert (await supervisor.post(path, json=ask | {"authority": "customs-1"})).status_code == 409
    assert [one["number"] for one in (await customs.get(f"{API}/holds")).json()["declarations"]] == [number]
    assert (await customs.get(f"{API}/declarations/{number}")).status_code == 403  # what it declares is not theirs to read
    await face.hub.declarations.step(number, State.ACCEPTED, {})
    await face.hub.declarations.step(number, State.SCREENED, {})
    await face.hub.declarations.step(number, State.DIRECT_RELEASE, {})
    onward = {one["to"]: one["obstacles"] for one in (await trader.get(f"{API}/declarations/{number}")).json()["onward"]}
    assert "customs-1 holds it" in onward["release-approved"]
    chinese = (await trader.get(f"{API}/declarations/{number}", params={"lang": "zh"})).json()["onward"]
    assert "customs-1 布控中，未解除前不能放行" in next(one["obstacles"] for one in chinese if one["to"] == "release-approved")
    away = {"reason": "by telephone", "authority": "customs-1"}
    assert (await supervisor.post(f"{path}/lift", json=away)).status_code == 400, "one person does not lift another authority's hold"
    for second, password in (("chen.min", password_of("chen.min")), ("zhou.jun", "wrong"), ("port.desk", password_of("port.desk"))):
        refused = await supervisor.post(f"{path}/lift", json=away | {"second": second, "second_password": password})
        assert refused.status_code in (400, 403)
    both = {"second": "zhou.jun", "second_password": password_of("zhou.jun")}
    lifted = await supervisor.post(f"{path}/lift", json=away | both)
    assert lifted.json()["holds"] == []
    entry = (await face.hub.declarations.history(number))[-1]
    assert entry.said is not None and (entry.said["by"], entry.said["second"]) == ("chen.min", "zhou.jun")
    await face.hub.declarations.hold(number, "targeting:stop", "rule", "by rule")
    by_rule = {"reason": "cleared up", "authority": "targeting:stop"} | both
    assert (await customs.post(f"{path}/lift", json=by_rule)).status_code == 403
    assert (await supervisor.post(f"{path}/lift", json=by_rule)).json()["holds"] == []
    assert (await customs.get(f"{API}/holds")).json()["declarations"] == []


async def test_a_file_that_is_not_here_yet_is_said_so(face: Face, trader: httpx.AsyncClient) -> None:
    data = b"%PDF-1.7 invoice"
    name = hashlib.sha256(data).hexdigest()
    attachment = {"name": "invoice.pdf", "kind": "invoice", "sha256": name, "size": len(data)}
    path = f"{API}/declarations/{(await lodged(face, trader, attachments=[attachment]))['number']}/form"
    assert (await trader.get(path)).json()["files"] == [attachment | {"state": "awaited"}]
    other, supervisor = await face.login("gu.hai"), await face.login("chen.min")
    for sender, seen in ((other, "awaited"), (trader, "here")):  # another's file of this hash tells the trader nothing
        await sender.post(f"{API}/files", json={"sha256": name, "size": len(data), "name": "a.pdf", "kind": "document"})
        assert (await sender.put(f"{API}/files/{name}", content=data)).json()["state"] == "stored"
        assert (await trader.get(path)).json()["files"][0]["state"] == seen
    assert (await supervisor.get(path)).json()["files"][0]["state"] == "here"


async def test_reference_data_is_kept_in_versions_by_administrators(face: Face) -> None:
    admin, supervisor = await face.login("admin"), await face.login("chen.min")
    categories = (await supervisor.get(f"{API}/references")).json()["categories"]
    assert [one["name"] for one in categories] == [
        "enterprise",
        "goods",
        "origin",
        "area",
        "notice",
        "bay",
        "inspector",
        "partner",
        "violation",
    ]
    assert categories[5]["form"]["properties"]["radius_m"]
    path = f"{API}/references/bay/b-1"
    faulty = await admin.put(path, json={"form": {"name": "", "radius_m": 0, "x": 1}, "reason": "new", "after": 0})
    assert faulty.status_code == 400
    assert {fault["path"] for fault in faulty.json()["error"]["faults"]} == {"name", "radius_m", "x"}
    made = await admin.put(path, json={"form": {"name": "一号位"}, "reason": "new", "after": 0})
    assert (made.status_code, made.json()["version"], made.json()["value"]["radius_m"]) == (200, 1, None)
    late = await admin.put(path, json={"form": {"name": "二号位"}, "reason": "again", "after": 0})
    assert (late.status_code, "stands at version 1" in late.json()["error"]["what"]) == (409, True)
    assert (await supervisor.put(path, json={"form": {"name": "二号位"}, "reason": "x"})).status_code == 403
    assert (await supervisor.get(path)).json() == made.json()
    assert (await admin.post(f"{path}/retirement", json={"reason": "built over"})).json()["retired"] is True
    assert (await supervisor.get(f"{API}/references/bay")).json()["entries"] == []
    assert [one["key"] for one in (await supervisor.get(f"{API}/references/bay", params={"retired": "true"})).json()["entries"]] == ["b-1"]
    history = (await supervisor.get(f"{path}/history")).json()["entries"]
    assert [(one["version"], one["by"], one["reason"], one["retired"]) for one in history] == [
        (1, "admin", "new", False),
        (2, "admin", "built over", True),
    ]
    assert (await supervisor.get(f"{API}/references/nothing")).status_code == 400


async def test_openapi_says_what_a_form_is_made_of(face: Face) -> None:
    document = (await face.client().get(f"{API}/openapi.json")).json()
    body = document["paths"][f"{API}/declarations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/DeclarationForm"}
    schemas = document["components"]["schemas"]
    assert schemas["DeclarationForm"]["properties"]["goods"]["items"] == {"$ref": "#/components/schemas/Goods"}
    wanted = {part.split("/")[-1] for part in json.dumps(document).split('"') if part.startswith("#/components/schemas/")}
    assert wanted <= set(schemas)
