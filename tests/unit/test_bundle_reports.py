"""What people read in a bundle: the verifier's own verdict, in both languages, self-contained, and never evidence."""

import json
import re
import xml.etree.ElementTree as ET
from io import BytesIO

import pytest
from pypdf import PdfReader

from hub.report_blocks import Block, Heading, Table, Told, blocks
from hub.report_html import html_report
from hub.report_pdf import pdf_report
from protocol import bundle
from protocol.examination import Faults, examine
from simulators.cases import TASK, Case, busy_port, write_case
from simulators.films import film
from storage.bundles import list_bundle, read_small
from storage.verifier_page.assembly import page
from storage.verify import look, report_json, verify
from tests.bundle_parts import replace_bytes, rewrap


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    port = busy_port(folder / "blobs", film=lambda number: film(number), late=True)
    port.certify_exports()
    return write_case(port, folder / f"case-{TASK}", report=True)


def read(case: Case, name: str) -> bytes:
    return (case.folder / name).read_bytes()


def test_the_bundle_with_its_report_is_valid(case: Case) -> None:
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert report.closing is not None
    assert report.closing.signature.startswith("ok")  # made over a tag manifest that lists the reports


def test_the_json_report_is_the_verifiers_own(case: Case) -> None:
    told, ours = json.loads(read(case, bundle.REPORT_JSON)), report_json(verify(case.folder, case.trust))
    same = ("task", "valid", "checkpoint", "faults", "segments", "streams")
    assert {name: told[name] for name in same} == {name: ours[name] for name in same}
    assert told["export"]["signature"] == bundle.beside_name(case.folder.name, "p7s")
    assert any("signature beside the folder" in line for line in told["not_checked"])


def test_the_html_report_is_well_formed_and_asks_for_nothing(case: Case) -> None:
    text = read(case, bundle.REPORT_HTML).decode()
    found = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=\s*\"(?!#)|url\(|<script|@import", text)
    articles = found.findall("./body/article")
    assert [one.get("lang") for one in articles] == ["zh-CN", "en"]
    assert len(found.findall(".//{http://www.w3.org/2000/svg}svg")) == 2
    for words in ("查验证据报告", "未证明的内容", "重启", "补绑定", "Evidence report", "What is not proven", "restart", "late pairing"):
        assert words in text, words
    for fact in (TASK, "TESU1234567", case.trust.root_sha256, case.trust.log.vkey(), "117000 ms", "3000 ms"):
        assert text.count(fact.replace("&", "&amp;")) >= 2, fact


def test_the_pdf_report_opens_and_holds_both_languages(case: Case) -> None:
    data = read(case, bundle.REPORT_PDF)
    text = "".join(one.extract_text() for one in PdfReader(BytesIO(data)).pages)
    plain = re.sub(r"\s", "", text)
    for words in ("查验证据报告", "未证明的内容", "覆盖情况", "Evidencereport", "Whatisnotproven", "portwitness-verify", TASK, "117000ms"):
        assert words in plain, words
    assert case.trust.root_sha256 in plain
    assert b"/JavaScript" not in data
    assert b"/URI" not in data


def test_the_page_is_the_one_we_ship(case: Case) -> None:
    assert read(case, bundle.PAGE) == page()


@pytest.mark.parametrize("name", bundle.READABLE)
def test_reports_are_no_evidence_but_their_change_shows(case: Case, name: str) -> None:
    data = read(case, name)
    assert name not in bundle.parse_manifest(read(case, bundle.EVIDENCE), bundle.EVIDENCE)
    assert name in bundle.parse_manifest(read(case, bundle.TAG_MANIFEST), bundle.TAG_MANIFEST)
    tags = read(case, bundle.TAG_MANIFEST)
    try:
        replace_bytes(case.folder / name, data + b" ")
        assert name in {fault.file for fault in verify(case.folder, case.trust).faults}
        rewrap(case.folder)  # whoever makes the manifests anew breaks the export signature over them
        assert any(fault.file.endswith(".p7s") for fault in verify(case.folder, case.trust).faults)
    finally:
        replace_bytes(case.folder / name, data)
        replace_bytes(case.folder / bundle.TAG_MANIFEST, tags)


def test_hostile_words_stay_words(case: Case) -> None:
    found = look(case.folder, case.trust)
    exhibits = examine(read_small(list_bundle(case.folder)), case.trust, Faults())
    told = Told(found.report, found.wanted, exhibits, case.folder.name)
    parts = [
        (
            "en",
            [Heading("<script>alert(1)</script>"), Table(("<b>", "&"), (("</td>", "\x00\x0b]]>"),), (1, 1)), *blocks(told, chinese=False)],
        )
    ]
    text = html_report("</title><script>", parts).decode()
    assert "<script" not in text
    ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert PdfReader(BytesIO(pdf_report("t", parts))).pages


def test_same_input_same_bytes() -> None:
    parts: list[tuple[str, list[Block]]] = [("en", [Heading("one"), Table(("a",), tuple((str(n),) for n in range(300)), (1,))])]
    assert pdf_report("t", parts) == pdf_report("t", parts)
