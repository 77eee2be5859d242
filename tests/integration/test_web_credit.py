"""Credit and samples over the API: who may, what each sees, and that one person alone decides nothing that takes two."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hub.inspection.crediting.shipped import shipped_document
from hub.inspection.laboratory import SampleDraft
from tests.contracts.test_laboratory import DRAFT, on_site
from tests.web_parts import Face, open_face, password_of, sha256

FIRM, OTHER = "91210200MA0SIM001X", "4403960001"
CREDIT, SAMPLES = "/api/v1/credit", "/api/v1/samples"


INVOICE = b"%PDF-1.7 invoice"


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as found:
        yield found


async def bring(client: httpx.AsyncClient, data: bytes) -> str:
    """Send a file as whoever asks; give its hash."""
    name = sha256(data)
    ask = {"sha256": name, "size": len(data), "name": "invoice.pdf", "kind": "document"}
    assert (await client.post("/api/v1/files", json=ask)).status_code == 200
    assert (await client.put(f"/api/v1/files/{name}", content=data)).json()["state"] == "stored"
    return name


async def test_an_event_lowers_the_grade_and_a_won_appeal_gives_it_back(face: Face) -> None:
    supervisor, second, trader, stranger = [await face.login(name) for name in ("chen.min", "zhou.jun", "shen.mao", "gu.hai")]
    registered = {"item": "registered", "detail": "entered", "day": "2020-01-01"}
    assert (await supervisor.post(f"{CREDIT}/{FIRM}/events", json=registered)).status_code == 201
    ask = {"item": "false-declaration", "detail": "durian declared as apples", "evidence": ["record:7"]}
    made = await supervisor.post(f"{CREDIT}/{FIRM}/events", json=ask)
    assert made.status_code == 201 and made.json()["by"] == "chen.min"
    place = made.json()["position"]
    mine = (await trader.get(f"{CREDIT}/{FIRM}")).json()
    assert (mine["grades"]["ciq"], mine["grades"]["direct"], mine["gradings"]["ciq"]["points"]) == ("C", False, 76)
    assert mine["events"][0]["by"] is None and mine["events"][0]["detail"] == "durian declared as apples"
    assert {"key": "false-declaration", "zh": "不如实申报", "en": "false declaration"} in mine["words"]
    assert (await stranger.get(f"{CREDIT}/{FIRM}")).status_code == 403
    assert (await trader.get(CREDIT)).status_code == 403
    assert (await trader.post(f"{CREDIT}/{FIRM}/events", json=ask)).status_code == 403
    files = [{"name": "invoice.pdf", "sha256": sha256(INVOICE)}]
    assert (await stranger.post(f"{CREDIT}/events/{place}/appeals", json={"reason": "mine"})).status_code == 409
    filed = await trader.post(f"{CREDIT}/events/{place}/appeals", json={"reason": "they were apples", "files": files})
    assert (
        filed.status_code == 201
        and filed.json()["due_ms"] is not None
        and filed.json()["appeals"][0]["files"] == [files[0] | {"here": False}]
    )
    assert await bring(stranger, INVOICE) == files[0]["sha256"]
    assert (await trader.get(f"{CREDIT}/{FIRM}")).json()["events"][0]["appeals"][0]["files"][0][
        "here"
    ] is False  # another's bytes prove nothing
    await bring(trader, INVOICE)
    shown = (await supervisor.get(f"{CREDIT}/{FIRM}")).json()["events"][0]["appeals"][0]
    assert shown["files"][0]["here"] is True
    assert (await supervisor.get(f"/api/v1/files/{files[0]['sha256']}/content")).content == INVOICE
    decision = {"upheld": True, "reason": "weighed and seen"}
    assert (await supervisor.post(f"{CREDIT}/events/{place}/decision", json=decision)).status_code == 409
    assert (await trader.post(f"{CREDIT}/events/{place}/decision", json=decision)).status_code == 403
    listed = (await second.get(CREDIT)).json()["enterprises"]
    assert [(one["enterprise"], one["grades"]["ciq"], one["open"]) for one in listed] == [(FIRM, "C", 1)]
    assert (await second.post(f"{CREDIT}/events/{place}/decision", json=decision)).status_code == 200
    after = (await trader.get(f"{CREDIT}/{FIRM}")).json()
    assert (after["grades"]["ciq"], after["events"][0]["appeal"]) == ("A", "upheld")
    assert after["events"][0]["appeals"][1]["by"] is None and after["gradings"]["ciq"]["left"] == [{"id": str(place), "why": "upheld"}]
    past = (await trader.get(f"{CREDIT}/{FIRM}", params={"on": "2021-05-01", "as_known": True})).json()
    assert past["events"] == [] and past["grades"]["ciq"] == "B"


async def test_rule_sets_are_read_by_all_and_set_by_two_passwords(face: Face) -> None:
    admin, trader = await face.login("admin"), await face.login("shen.mao")
    text = (await trader.get(f"{CREDIT}/rules/ciq")).json()["text"]
    assert text.encode() == shipped_document("ciq")
    assert len((await trader.get(f"{CREDIT}/items")).json()["items"]) > 20
    value = json.loads(text) | {"version": 2, "effective": "2026-01-01"}
    ask = {"text": json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")), "reason": "as the site decided"}
    for name, password, code in (("admin", "admin", 400), ("chen.min", "wrong", 403), ("shen.mao", "shen.mao", 403)):
        said = ask | {"second": name, "second_password": password_of(password)}
        assert (await admin.post(f"{CREDIT}/rules", json=said)).status_code == code, name
    said = ask | {"second": "chen.min", "second_password": password_of("chen.min")}
    assert (await trader.post(f"{CREDIT}/rules", json=said)).status_code == 403
    assert (await admin.post(f"{CREDIT}/rules", json=said)).status_code == 201
    assert (await admin.post(f"{CREDIT}/rules", json=said)).status_code == 409
    text = (await admin.get(f"{SAMPLES}/rules")).json()["text"]
    sampling = said | {"text": json.dumps(json.loads(text) | {"version": 2}, indent=1)}
    assert (await admin.post(f"{SAMPLES}/rules", json=sampling | {"text": "{"})).status_code == 400
    assert (await admin.post(f"{SAMPLES}/rules", json=sampling)).status_code == 201
    assert (await admin.get(f"{SAMPLES}/rules")).json()["name"] == "goods/2"
    found = (await admin.get(f"{CREDIT}/rules/ciq")).json()
    assert found["name"] == "ciq/2" and [one["version"] for one in found["sets"]] == [2]


async def test_a_sample_goes_to_the_laboratory_that_it_is_for_alone(face: Face) -> None:
    number = await on_site(face.hub)
    await face.hub.references.put("partner", "customs-1", {"name": "技术中心", "role": "laboratory"}, "admin", "listed")
    inspector, lab, supervisor = [await face.login(name) for name in ("li.wei", "port.desk", "chen.min")]
    ask = {"declaration": number, "laboratory": "customs-1", "what": "<b>durian</b>", "amount": "2.5", "unit": "kg", "packages": ["7"]}
    made = await inspector.post(SAMPLES, json=ask | {"signatures": {"sampler": "act:1", "refused": "owner left"}})
    assert made.status_code == 201, made.text
    sample = made.json()["number"]
    other = await face.hub.laboratory.draw(number, SampleDraft(DRAFT.laboratory, "x", "1", "kg"), "li.wei")
    assert [one["number"] for one in (await lab.get(SAMPLES)).json()["samples"]] == [sample]
    assert (await lab.get(f"{SAMPLES}/{other.number}")).status_code == 403
    assert (await lab.post(SAMPLES, json=ask)).status_code == 403
    assert (await inspector.post(f"{SAMPLES}/{sample}/seal", json={"seal": "S-77"})).json()["state"] == "sealed"
    assert (await inspector.post(f"{SAMPLES}/{sample}/hand-over", json={"to": "driver Sun"})).json()["state"] == "handed-over"
    assert (await lab.get(f"{SAMPLES}/{sample}")).json()["report_here"] is None
    told = {"number": "R-1", "verdict": "positive", "values": [["cadmium", "9 mg/kg"]], "sha256": await bring(lab, INVOICE)}
    assert (await lab.post(f"{SAMPLES}/{sample}/report", json=told)).status_code == 409
    receipt = {"sealed": True, "fit": True}
    assert (await inspector.post(f"{SAMPLES}/{sample}/receipt", json=receipt)).status_code == 403
    assert (await lab.post(f"{SAMPLES}/{sample}/receipt", json=receipt)).json()["sound"] is True
    assert (await lab.post(f"{SAMPLES}/{sample}/report", json=told)).json()["verdict"] == "positive"
    assert (await inspector.get(f"{SAMPLES}/{sample}")).json()["report_here"] is True
    plan = (await supervisor.get(f"{SAMPLES}/plans/{number}")).json()
    assert plan["state"]["positive"] == [sample] and plan["lots"][0]["n"] == 57 and plan["seed"] == ""
    assert (await lab.get(f"{SAMPLES}/plans/{number}")).status_code == 403
    for language, word in (("zh-CN", "抽（采）样凭证"), ("en", "Sample voucher")):
        page = await lab.get(f"{SAMPLES}/{sample}/voucher", params={"lang": language})
        assert word in page.text and "&lt;b&gt;durian" in page.text and "<svg" in page.text and "owner left" in page.text
    void = {"second": "zhou.jun", "reason": "lost", "second_password": "wrong password"}
    assert (await supervisor.post(f"{SAMPLES}/{other.number}/void", json=void)).status_code == 403
    void["second_password"] = password_of("zhou.jun")
    assert (await supervisor.post(f"{SAMPLES}/{other.number}/void", json=void)).json()["state"] == "voided"
