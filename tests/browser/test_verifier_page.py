"""The verifier page from disk in a real Chromium, without a network: it says of every bundle what `portwitness-verify` says."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright

from hub.gathering import gather
from protocol import bundle, kinds
from protocol.identifiers import BoxId, StreamId
from protocol.instants import SECOND_NS
from protocol.notes import COSIGNATURE, NoteKey
from protocol.reckoning import Scope
from simulators.cases import SOURCES, TASK, Case, busy_port, write_case
from simulators.evidence import MemoryPort, fixed_ed25519
from simulators.films import film
from storage.bundles import write_zip
from storage.verifier_page import assembly
from storage.verifier_page.assembly import page
from storage.verify import report_json, verify
from tests.bundle_parts import names_of, replace_bytes, rewrap

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Bench:
    """A browser that may open the page's file and nothing else, and what it tried beside."""

    browser: Browser
    file: Path
    faults: list[str]
    asked: list[str]

    async def open(self, language: str = "en") -> Page:
        context = await self.browser.new_context(locale=language, viewport={"width": 1280, "height": 900}, offline=True)
        found = await context.new_page()
        found.on("pageerror", lambda error: self.faults.append(str(error)))
        found.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        found.on("request", lambda request: self.asked.append(request.url))
        await found.goto(self.file.as_uri())
        return found

    async def judge(self, where: Path, trust: Path, language: str = "en") -> tuple[str, dict[str, Any]]:
        """Let the page verify a bundle; give its state and its result."""
        found = await self.open(language)
        try:
            return await self.put(found, where, trust)
        finally:
            await found.context.close()

    async def put(self, found: Page, where: Path, trust: Path) -> tuple[str, dict[str, Any]]:
        await found.set_input_files("#zip" if where.suffix == ".zip" else "#folder", where)
        await found.set_input_files("#trust", trust)
        await found.click("#verify")
        await found.wait_for_selector(
            ", ".join(f"body[data-state={state}]" for state in ("valid", "invalid", "unreadable")), timeout=60_000
        )
        state = str(await found.evaluate("document.body.dataset.state"))
        return state, json.loads(await found.locator("#json").text_content() or "{}") if state != "unreadable" else {}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    port = busy_port(folder / "blobs", film=lambda number: film(number), late=True)
    port.certify_exports()
    port.issue(kinds.View("started", "chen.min", "playback", "v1", 'said "=1+1", twice'), TASK)
    return write_case(port, folder / f"case-{TASK}", report=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def bench(tmp_path: Path, browser: Browser) -> AsyncIterator[Bench]:
    file = tmp_path / "verify.html"
    file.write_bytes(page())
    found = Bench(browser, file, [], [])
    yield found
    assert found.faults == []
    assert all(url.startswith("file:") for url in found.asked)


def trust_file(case: Case, folder: Path) -> Path:
    file = folder / "trust.json"
    file.write_bytes(case.trust.encode())
    return file


def copy_of(case: Case, folder: Path) -> Path:
    for beside in case.folder.parent.glob(f"{case.folder.name}.*"):
        shutil.copy(beside, folder)
    return Path(shutil.copytree(case.folder, folder / case.folder.name))


def videos(folder: Path) -> list[str]:
    return [name for name in names_of(folder) if bundle.parse_video(name)]


def flip(folder: Path, name: str, at: float = 0.5) -> str:
    data = bytearray((folder / name).read_bytes())
    data[int(len(data) * at)] ^= 1
    replace_bytes(folder / name, bytes(data))
    return name


def leaf_of(case: Case, folder: Path, kind: type[Any]) -> int:
    shown = {found[0] for name in names_of(folder) if (found := bundle.parse_leaf(name))}
    return next(index for index in sorted(shown) if isinstance(case.port.log.entries[index].record.body, kind))


# Each alters the copy of a bundle, or the trust that is given, and names a file that has to be named.
Alteration = Callable[[Case, Path], tuple[Case, str]]


def _video_byte(case: Case, folder: Path) -> tuple[Case, str]:
    name = flip(folder, videos(folder)[1])
    rewrap(folder)
    return case, name


def _removed_file(case: Case, folder: Path) -> tuple[Case, str]:
    name = videos(folder)[2]
    (folder / name).unlink()
    return case, name


def _added_file(case: Case, folder: Path) -> tuple[Case, str]:
    (folder / "data/more.txt").write_bytes(b"more")
    rewrap(folder)
    return case, "data/more.txt"


def _record(case: Case, folder: Path) -> tuple[Case, str]:
    name = flip(folder, bundle.journal_name("box-1", 0), 0.7)
    rewrap(folder)
    return case, name


def _proof(case: Case, folder: Path) -> tuple[Case, str]:
    name = bundle.leaf_name(leaf_of(case, folder, kinds.Task), "tlog-proof")
    text = (folder / name).read_text().split("\n")
    text[2] = ("A" if text[2][0] != "A" else "B") + text[2][1:]
    replace_bytes(folder / name, "\n".join(text).encode())
    rewrap(folder)
    return case, name


def _checkpoint(case: Case, folder: Path) -> tuple[Case, str]:
    lines = (folder / bundle.CHECKPOINT).read_text().split("\n")
    lines[1] = str(int(lines[1]) + 1)
    replace_bytes(folder / bundle.CHECKPOINT, "\n".join(lines).encode())
    rewrap(folder)
    return case, bundle.CHECKPOINT


def _wrong_log_key(case: Case, folder: Path) -> tuple[Case, str]:
    log = replace(case.trust.log, public=fixed_ed25519(99).public)
    return replace(case, trust=replace(case.trust, log=log)), bundle.CHECKPOINT


def _wrong_root(case: Case, folder: Path) -> tuple[Case, str]:
    return replace(case, trust=replace(case.trust, root_sha256="0" * 64)), bundle.ROOT


def _swapped_segments(case: Case, folder: Path) -> tuple[Case, str]:
    one, two = videos(folder)[:2]
    first, second = (folder / one).read_bytes(), (folder / two).read_bytes()
    replace_bytes(folder / one, second)
    replace_bytes(folder / two, first)
    rewrap(folder)
    return case, one


def _cut_tail(case: Case, folder: Path) -> tuple[Case, str]:
    name = bundle.journal_name("box-1", 0)
    records = bundle.parse_records((folder / name).read_bytes())
    replace_bytes(folder / name, bundle.encode_records(records[: len(records) // 2]))
    rewrap(folder)
    return case, name


def _left_out_record(case: Case, folder: Path) -> tuple[Case, str]:
    name = bundle.journal_name("box-1", 0)
    records = bundle.parse_records((folder / name).read_bytes())
    replace_bytes(folder / name, bundle.encode_records([*records[:6], *records[7:]]))
    rewrap(folder)
    return case, name


def _certificate(case: Case, folder: Path) -> tuple[Case, str]:
    pem = (folder / bundle.SITE_CA).read_text().split("\n")
    middle = len(pem) // 2
    pem[middle] = pem[middle][:10] + ("A" if pem[middle][10] != "A" else "B") + pem[middle][11:]
    replace_bytes(folder / bundle.SITE_CA, "\n".join(pem).encode())
    rewrap(folder)
    return case, bundle.SITE_CA


def _manifest_line(case: Case, folder: Path) -> tuple[Case, str]:
    lines = (folder / bundle.MANIFEST).read_text().splitlines(keepends=True)
    replace_bytes(folder / bundle.MANIFEST, "".join(lines[1:]).encode())
    return case, bundle.MANIFEST


def _evidence_line(case: Case, folder: Path) -> tuple[Case, str]:
    lines = (folder / bundle.EVIDENCE).read_text().splitlines(keepends=True)
    replace_bytes(folder / bundle.EVIDENCE, "".join(lines[1:]).encode())
    rewrap(folder)
    return case, bundle.EVIDENCE


def _policy(case: Case, folder: Path) -> tuple[Case, str]:
    witness = NoteKey("customs.example/witness", COSIGNATURE, fixed_ed25519(77).public)
    return replace(case, trust=replace(case.trust, witnesses=(witness,), quorum=1)), bundle.CHECKPOINT


def _summary(case: Case, folder: Path) -> tuple[Case, str]:
    text = (folder / bundle.SUMMARY).read_text()
    replace_bytes(folder / bundle.SUMMARY, text.replace("Test inspection", "Best inspection").encode())
    rewrap(folder)
    return case, bundle.SUMMARY


def _custody(case: Case, folder: Path) -> tuple[Case, str]:
    text = (folder / bundle.CUSTODY).read_bytes()
    replace_bytes(folder / bundle.CUSTODY, text.replace(b"li.wei", b"xi.wei"))
    rewrap(folder)
    return case, bundle.CUSTODY


def _opening(case: Case, folder: Path) -> tuple[Case, str]:
    name = flip(folder, next(name for name in names_of(folder) if name.endswith(".opening")))
    rewrap(folder)
    return case, name


def _intact(case: Case, folder: Path) -> tuple[Case, str]:
    return case, ""


ALTERATIONS: list[Alteration] = [
    _intact, _video_byte, _removed_file, _added_file, _record, _proof, _checkpoint, _wrong_log_key, _wrong_root, _swapped_segments,
    _cut_tail, _left_out_record, _certificate, _manifest_line, _evidence_line, _policy, _summary, _custody, _opening,
]  # fmt: skip


@pytest.mark.parametrize("alter", ALTERATIONS, ids=lambda one: one.__name__.strip("_"))
async def test_page_and_program_say_the_same(case: Case, bench: Bench, tmp_path: Path, alter: Alteration) -> None:
    folder = copy_of(case, tmp_path)
    altered, named = alter(case, folder)
    state, found = await bench.judge(folder, trust_file(altered, tmp_path))
    told = report_json(await asyncio.to_thread(verify, folder, altered.trust))
    assert state == ("valid" if told["valid"] else "invalid")
    assert found["valid"] is (alter is _intact)
    files = {fault["file"] for fault in found["faults"]}
    if named:
        assert named in files
        assert named in {fault["file"] for fault in told["faults"]}
    ours = {one["file"]: (one["integrity"], one["samples"]) for one in found["segments"]}
    assert ours == {one["file"]: (one["integrity"], one["samples"]) for one in told["segments"]}
    assert [one["stream"] for one in found["streams"]] == [one["stream"] for one in told["streams"]]


def _left_out_segment(port: MemoryPort, folder: Path) -> Case:
    gathered = gather(port, TASK, port.trust())
    last = max((name for name in gathered.videos if "/rec-1/" in name), key=lambda name: gathered.videos[name][1].body.number)
    del gathered.videos[last]
    return write_case(port, folder, gathered=gathered)


def _left_out_epoch(port: MemoryPort, folder: Path) -> Case:
    gathered = gather(port, TASK, port.trust())
    dropped = gathered.exhibits.ranges[BoxId("box-2")].pop(0)
    for part in ("bin", "range"):
        del gathered.files[bundle.journal_name("box-2", dropped.epoch, part)]
    return write_case(port, folder, gathered=gathered)


def _second_end(port: MemoryPort, folder: Path) -> Case:
    gathered = gather(port, TASK, port.trust())
    again = port.end_task(TASK)
    gathered.indices.add(again.record.position)
    gathered.files[bundle.leaf_name(again.record.position)] = again.data
    return write_case(port, folder, gathered=gathered)


def _streams_over_a_time(port: MemoryPort, folder: Path) -> Case:
    end = port.now_ns - 30 * SECOND_NS
    return write_case(port, folder, Scope("R-1", (StreamId("box-1/cam-1"),), end - 40 * SECOND_NS, end))


def _revoked_before(port: MemoryPort, folder: Path) -> Case:
    enrolment = next(one.record for one in port.log.entries if isinstance(one.record.body, kinds.Enrolment))
    assert isinstance(enrolment.body, kinds.Enrolment)
    port.issue(kinds.Enrolment("revoked", enrolment.body.certificate, "admin", "stolen"), enrolment.subject)
    port.open_task("T-2", (f"{enrolment.subject}/cam-1",))
    port.record_for(30, SOURCES)
    port.end_task("T-2")
    port.record_for(20, SOURCES)
    return write_case(port, folder, "T-2")


@pytest.mark.parametrize(
    ("make", "valid"),
    [(_left_out_segment, False), (_left_out_epoch, False), (_second_end, False), (_revoked_before, False), (_streams_over_a_time, True)],
    ids=lambda one: one.__name__.strip("_") if callable(one) else "",
)
async def test_they_say_the_same_of_a_hostile_hub(
    bench: Bench, tmp_path: Path, make: Callable[[MemoryPort, Path], Case], valid: bool
) -> None:
    case = make(busy_port(tmp_path / "blobs"), tmp_path / "case")
    state, found = await bench.judge(case.folder, trust_file(case, tmp_path))
    told = report_json(await asyncio.to_thread(verify, case.folder, case.trust))
    assert (state == "valid", told["valid"]) == (valid, valid), (found["faults"], told["faults"])
    mine, theirs = ({fault["file"] for fault in one["faults"]} for one in (found, told))
    assert mine == theirs


async def test_an_intact_bundle_is_told_to_the_millisecond(case: Case, bench: Bench, tmp_path: Path) -> None:
    state, found = await bench.judge(case.folder, trust_file(case, tmp_path))
    told = report_json(await asyncio.to_thread(verify, case.folder, case.trust))
    assert state == "valid"
    assert found["task"] == told["task"] == TASK
    assert found["checkpoint"] == told["checkpoint"]
    for mine, theirs in zip(found["segments"], told["segments"], strict=True):
        assert mine["samples"] == "ok"
        assert [mine[end][bound] for end in ("start", "end") for bound in ("earliest", "latest", "claimed")] == [
            theirs[end][bound] for end in ("start", "end") for bound in ("earliest", "latest", "claimed")
        ]
    for mine, theirs in zip(found["streams"], told["streams"], strict=True):
        assert {name: mine[name] for name in ("percent", "recorded_ms", "gaps", "unexplained_ms")} == {
            name: theirs[name] for name in ("percent", "recorded_ms", "gaps", "unexplained_ms")
        }
    assert found["not_checked"]


async def test_a_zip_file_says_the_same_and_one_bit_of_it_shows(case: Case, bench: Bench, tmp_path: Path) -> None:
    zipped, trust = tmp_path / "bundle.zip", trust_file(case, tmp_path)
    write_zip(case.folder, zipped)
    assert (await bench.judge(zipped, trust))[0] == "valid"
    data = zipped.read_bytes()
    directory = data.rfind(b"PK\x05\x06")
    for at in (10, 20, len(data) // 2, len(data) // 3, directory - 1000, directory - 30, directory + 9, len(data) - 1):
        wrong = bytearray(data)
        wrong[at] ^= 4
        zipped.write_bytes(wrong)
        assert (await bench.judge(zipped, trust))[0] in ("invalid", "unreadable"), at


async def test_what_is_no_bundle_is_refused_with_a_reason(case: Case, bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "evil.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    found = await bench.open()
    assert (await bench.put(found, tmp_path / "evil.zip", trust_file(case, tmp_path)))[0] == "unreadable"
    assert "holds no file" in (await found.locator(".verdict").text_content() or "")
    (tmp_path / "other.json").write_text("{}")
    await found.reload()
    assert (await bench.put(found, case.folder, tmp_path / "other.json"))[0] == "unreadable"
    assert "is no trust file" in (await found.locator(".verdict").text_content() or "")


async def test_it_speaks_the_browsers_language_and_the_other(case: Case, bench: Bench, tmp_path: Path) -> None:
    found = await bench.open("zh-CN")
    await bench.put(found, case.folder, trust_file(case, tmp_path))
    assert "核验证据包" in (await found.locator("h1").text_content() or "")
    assert "未发现问题" in (await found.locator(".verdict").text_content() or "")
    await found.click("#language")
    assert "No fault was found" in (await found.locator(".verdict").text_content() or "")
    assert await found.evaluate("document.documentElement.lang") == "en"


async def test_the_page_can_ask_nothing_of_the_network(bench: Bench) -> None:
    found = await bench.open()
    refused = await found.evaluate("""async () => {
      const heard = [];
      document.addEventListener('securitypolicyviolation', event => heard.push(event.effectiveDirective));
      await fetch('http://127.0.0.1:9/').catch(() => 0);
      const image = new Image(); image.src = 'http://127.0.0.1:9/x.png';
      const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script);
      await new Promise(done => setTimeout(done, 200));
      return [heard.sort().join(), window.ran ?? 0];
    }""")
    assert refused == ["connect-src,img-src,script-src-elem", 0]
    assert any("Content Security Policy" in fault for fault in bench.faults)
    bench.faults.clear()
    bench.asked.clear()


async def test_its_plans_of_records_are_those_of_the_programs(browser: Browser) -> None:
    # the sources as modules, as an outside party reads them
    folder = Path(assembly.__file__).parent
    context = await browser.new_context()

    async def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        body = (folder / name).read_text() if name.endswith(".js") else ""
        await route.fulfill(body=body, content_type="text/javascript" if body else "text/html")

    await context.route("http://page.test/**", serve)
    found = await context.new_page()
    await found.goto("http://page.test/")
    plans = await found.evaluate("""async () => { const m = await import('http://page.test/records.js');
        return Object.fromEntries(m.knownKinds().map(kind => [kind, m.planOf(kind)])); }""")
    await context.close()
    assert plans == {kind: [[field.name, _may_be_absent(body, field)] for field in fields(body)] for kind, body in kinds.KINDS.items()}


def _may_be_absent(body: type[Any], field: Field[Any]) -> bool:
    return field.default is not MISSING or NoneType in get_args(get_type_hints(body)[field.name])
