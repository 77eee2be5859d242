"""Targeting rules, screening and procedures over the API: two logins, live checking, dry run, YAML and spreadsheets, who reaches what."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.inspection.procedures.shipped_files import shipped_text
from tests.inspection_parts import arriving_soon
from tests.web_parts import Face, open_face, password_of

API = "/api/v1"
RULE = {"title": "泰国榴莲", "title_en": "durian of Thailand", "owner": "chen.min", "when": "any goods (origin = 'TH')", "effect": "lane",
        "lane": "red", "start": "2020-01-01"}  # fmt: skip
AREA = {"origin": "TH", "hs": ["0810"], "disease": "实蝇", "disease_en": "fruit fly", "measure": "refuse", "start": "2020-01-01"}


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        await opened.hub.procedures.publish_shipped()
        yield opened


@pytest.fixture
async def chen(face: Face) -> httpx.AsyncClient:
    return await face.login("chen.min")


async def lodged(face: Face) -> str:
    number = (await face.hub.declarations.lodge(arriving_soon(face.clock), "trader.wu")).number
    while await face.hub.screening.go_on():
        pass
    return number


async def test_an_expression_is_checked_as_it_is_typed(chen: httpx.AsyncClient) -> None:
    sound = await chen.post(f"{API}/rules/check", json={"when": RULE["when"]})
    assert sound.json() == {"reads": True, "at": None, "en": None, "zh": None}
    broken = (await chen.post(f"{API}/rules/check", json={"when": "any ships (x = 1)"})).json()
    assert (broken["reads"], broken["at"]) == (False, 5)
    assert "goods" in broken["en"] and "第 5 个字符" in broken["zh"]
    fields = (await chen.get(f"{API}/rules/fields")).json()
    assert {"name": "voyage.arrival", "kind": "day", "zh": "到港日期", "en": "day of arrival"} in fields["fields"]
    assert {one["name"] for one in fields["lists"]["goods"]} >= {"hs", "origin", "kind", "waste"}


async def test_a_rule_goes_through_two_logins_and_a_declaration_is_screened_red_by_it(face: Face, chen: httpx.AsyncClient) -> None:
    before = await lodged(face)
    dry = (await chen.post(f"{API}/rules/dry-run", json={"rule": RULE, "days": 30})).json()
    assert (dry["looked_at"], dry["hits"], dry["listed"][0]["declaration"]) == (1, 1, before)
    made = await chen.post(f"{API}/rules/th-durian", json={"rule": RULE, "reason": "intelligence"})
    assert (made.status_code, made.json()["state"], made.json()["version"]) == (201, "proposed", 1)
    mine = await chen.post(f"{API}/rules/th-durian/1/decision", json={"accept": True, "reason": "mine"}, headers={"accept-language": "zh"})
    assert mine.status_code == 409 and "不能由提出人本人批准" in mine.json()["error"]["what"]
    zhou = await face.login("zhou.jun")
    approved = (await zhou.post(f"{API}/rules/th-durian/1/decision", json={"accept": True, "reason": "agreed"})).json()
    assert (approved["state"], approved["in_force"]) == ("approved", True)
    assert [(one["act"], one["by"]) for one in approved["acts"]] == [("proposed", "chen.min"), ("approved", "zhou.jun")]
    form = arriving_soon(face.clock, reference="SIM-2", bill="SIMU00000002")
    number = (await face.hub.declarations.lodge(form, "trader.wu")).number
    while await face.hub.screening.go_on():
        pass
    found = (await chen.get(f"{API}/screening/{number}")).json()
    assert (found["risk"]["lane"], found["stands"], found["rule"]) == ("red", True, "screening/1")
    assert [(one["key"], one["version"]) for one in found["rules"]] == [("th-durian", 1)]
    assert {part["name"] for part in found["risk"]["parts"]} >= {"history", "credit", "documents", "lateness"}
    assert (await chen.get(f"{API}/screening/{before}")).json()["risk"]["lane"] != "red"
    away = {"second": "zhou.jun", "second_password": "wrong", "reason": "over"}
    assert (await chen.post(f"{API}/rules/th-durian/1/withdrawal", json=away)).status_code == 403
    away["second_password"] = password_of("zhou.jun")
    gone = (await chen.post(f"{API}/rules/th-durian/1/withdrawal", json=away)).json()
    assert (gone["state"], gone["in_force"], gone["acts"][-1]["second"]) == ("withdrawn", False, "zhou.jun")


async def test_every_fault_of_a_rule_comes_in_one_answer(chen: httpx.AsyncClient) -> None:
    wrong = RULE | {"when": "any ships (x = 1)", "start": "tomorrow", "colour": "red"}
    answer = await chen.post(f"{API}/rules/th-durian", json={"rule": wrong, "reason": "x"})
    assert answer.status_code == 400
    assert {one["path"] for one in answer.json()["error"]["faults"]} == {"when", "start", "colour"}
    listed = (await chen.get(f"{API}/rules")).json()
    assert (listed["rules"], listed["score_version"], listed["score"]["verified"]) == ([], 0, False)


async def test_what_waits_for_a_person_is_decided_by_one(face: Face, chen: httpx.AsyncClient) -> None:
    await face.hub.references.put("area", "th-ban", AREA, "admin")
    number = await lodged(face)
    left = (await chen.get(f"{API}/screening")).json()
    assert [one["declaration"] for one in left["left"]] == [number] and "th-ban" in left["left"][0]["reasons"][0]["zh"]
    inspector = await face.login("li.wei")
    done = await inspector.post(f"{API}/screening/{number}/decision", json={"accept": False, "reason": "banned"})
    assert done.json() == {"declaration": number, "state": "rejected"}
    assert (await chen.get(f"{API}/screening")).json()["left"] == []
    assert (await chen.get(f"{API}/screening/{number}")).status_code == 404


async def test_who_reaches_what(face: Face) -> None:
    inspector, trader = await face.login("li.wei"), await face.login("shen.mao")
    assert (await inspector.get(f"{API}/rules")).status_code == 403
    assert (await inspector.get(f"{API}/procedures")).status_code == 200
    assert (await inspector.post(f"{API}/procedures", json={"text": "", "reason": "x"})).status_code == 403
    for path in ("rules", "screening", "procedures", "procedures/scheme"):
        assert (await trader.get(f"{API}/{path}")).status_code == 403


async def test_procedures_are_listed_with_what_they_ask(chen: httpx.AsyncClient) -> None:
    found = (await chen.get(f"{API}/procedures")).json()["procedures"]
    assert [one["number"] for one in found] == list(range(1, 15))
    fruit = next(one for one in found if one["key"] == "fruit")
    assert fruit["counts"]["items"] >= 40 and fruit["counts"]["unverified"] > 0 and not fruit["verified"]
    assert [(one["version"], one["in_force"], one["acts"][0]["rule"]) for one in fruit["versions"]] == [(1, True, "shipped/1")]
    detail = (await chen.get(f"{API}/procedures/fruit/1")).json()
    by_hash = (await chen.get(f"{API}/procedures/by-hash/{detail['sha256']}")).json()
    assert by_hash == detail["procedure"] and "榴莲" not in detail["yaml"] and "果园" in detail["yaml"]
    scheme = (await chen.get(f"{API}/procedures/scheme")).json()
    assert [len(scheme[name]) for name in ("rules", "ways", "violations")] == [3, 6, 20]
    assert (await chen.get(f"{API}/procedures/fruit/9")).status_code == 404


async def test_a_procedure_is_checked_proposed_and_published(face: Face, chen: httpx.AsyncClient) -> None:
    text = (await chen.get(f"{API}/procedures/fruit/1")).json()["yaml"]
    shown = (await chen.post(f"{API}/procedures/check", json={"text": text})).json()
    assert (shown["reads"], shown["version"], shown["next_version"]) == (True, 1, 2)
    line = text[: text.index("effective:")].count("\n") + 1
    ask = {"text": text.replace("effective: '2026-01-01'", "effective: tomorrow").replace("effective: 2026-01-01", "effective: tomorrow")}
    broken = (await chen.post(f"{API}/procedures/check", json=ask, headers={"accept-language": "zh-CN"})).json()
    assert (broken["reads"], broken["line"]) == (False, line) and "须为日期" in broken["what"]
    short = shipped_text("07-fruit.yaml").decode().replace("version: 1", "version: 2")
    made = await chen.post(f"{API}/procedures", json={"text": short, "reason": "try"})
    assert (made.status_code, made.json()["state"]) == (201, "proposed")
    assert (await chen.post(f"{API}/procedures/fruit/2/decision", json={"accept": True, "reason": "mine"})).status_code == 409
    zhou = await face.login("zhou.jun")
    assert (await zhou.post(f"{API}/procedures/fruit/2/decision", json={"accept": True, "reason": "agreed"})).json()["state"] == "published"
    fruit = next(one for one in (await chen.get(f"{API}/procedures")).json()["procedures"] if one["key"] == "fruit")
    assert [(one["version"], one["in_force"]) for one in fruit["versions"]] == [(1, False), (2, True)]
    away = {"second": "zhou.jun", "second_password": password_of("zhou.jun"), "reason": "a fault in it"}
    assert (await chen.post(f"{API}/procedures/fruit/2/withdrawal", json=away)).json()["state"] == "withdrawn"


async def test_a_spreadsheet_of_forms_goes_out_and_comes_back(chen: httpx.AsyncClient) -> None:
    pytest.importorskip("pyxform")
    sheet = await chen.get(f"{API}/procedures/scrap/1/xlsform")
    assert sheet.status_code == 200 and sheet.content[:2] == b"PK"
    back: Any = (await chen.post(f"{API}/procedures/scrap/1/xlsform?effective=2027-01-01", content=sheet.content)).json()
    assert back["faults"] == [] and "version: 2" in back["text"]
    checked = (await chen.post(f"{API}/procedures/check", json={"text": back["text"]})).json()
    assert (checked["reads"], checked["key"], checked["version"]) == (True, "scrap", 2)
    wrong = await chen.post(f"{API}/procedures/scrap/1/xlsform?effective=2027-01-01", content=b"no spreadsheet")
    assert wrong.status_code == 400
