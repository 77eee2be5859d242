"""A monitor replays a real hub over its API: nothing to find in an honest one, and every change of what it replayed is named."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvicorn

from protocol import kinds
from protocol.audit import Audit
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.identifiers import BoxId, HubId
from protocol.instants import SECOND_NS
from protocol.notes import ED25519, NoteKey
from protocol.signatures import open1
from protocol.trust import Trust
from storage.clock import SystemClock
from storage.hub_calls import HubCalls
from storage.keys import load_or_create_ed25519
from storage.monitor import Monitor, Reader, run
from tests.hub_parts import BOX, SITE, SiteCa, TestBox, enrol, log_signer, receipts_until, send, settled
from tests.web_parts import Face, open_face


@asynccontextmanager
async def served(face: Face) -> AsyncIterator[str]:
    """Serve a face on a real port, for programs that only speak HTTP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(face.app, log_config=None, access_log=False, lifespan="off"))
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@dataclass(frozen=True)
class Watch:
    face: Face
    monitor: Monitor
    authority: SiteCa

    async def started(self) -> TestBox:
        box = TestBox(epoch=0, wall_ns=SystemClock().now().wall_ns - 3600 * SECOND_NS)
        await enrol(self.face.hub, box, self.authority)
        box.boot()
        box.recording()
        await send(self.face.hub, box)
        return box


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watch]:
    async with open_face(folder / "hub") as face, served(face) as url:
        token = (await face.hub.access.make_token("chen.min", "monitor", 1, "admin")).token
        (folder / "token").write_text(token)
        authority = SiteCa()
        trust = Trust(SITE, HubId("hub-1"), authority.root.fingerprint, face.hub.log.key)
        (folder / "trust.json").write_bytes(trust.encode())
        (folder / "chain.pem").write_bytes(authority.root.pem() + authority.ca.pem())
        signer = load_or_create_ed25519(folder / "monitor.key")
        calls = HubCalls(url, token)
        yield Watch(face, Monitor(Reader(calls), trust, (authority.root, authority.ca), folder, signer, SystemClock()), authority)


async def record_some(face: Face, box: TestBox, rounds: int = 3) -> None:
    first = len(box.written)
    for _ in range(rounds):
        box.segment()
        box.heartbeat()
        box.seal()
    await send(face.hub, box, first)
    await receipts_until(face.hub, BOX, box.written[-1].record.position, box.epoch)
    await settled(face.hub)


async def look(monitor: Monitor) -> Audit:
    audit = await asyncio.to_thread(monitor.look)
    monitor.keep(audit)
    return audit


async def test_an_honest_hub_has_nothing_to_be_found_and_each_run_reads_only_what_is_new(tmp_path: Path) -> None:
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        box = await watch.started()
        await record_some(face, box)
        audit = await look(monitor)
        assert [str(one) for one in audit.findings] == []
        assert audit.records == face.hub.log.size + len(box.written)
        await record_some(face, box, 2)
        again = await look(monitor)
        assert again.findings == []
        assert 0 < again.records < audit.records
        report = monitor.report(again)
        open1(report).verify(monitor.signer.public)
        await asyncio.to_thread(monitor.reader.report, report)
        logged = (await face.records("audit-report"))[-1]
        assert isinstance(logged, kinds.AuditReport)
        assert (logged.by, logged.size, logged.root, logged.report) == ("chen.min", again.log.size, again.log.root(), report)
        assert (await look(monitor)).findings == []  # its own report is a leaf like others


async def test_the_program_says_what_it_found_and_hands_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        box = await watch.started()
        await record_some(face, box)
        url = monitor.reader.calls.url
        given = [
            "--hub",
            url,
            "--token-file",
            str(tmp_path / "token"),
            "--trust",
            str(tmp_path / "trust.json"),
            "--state",
            str(tmp_path / "s"),
        ]
        given += ["--authorities", str(tmp_path / "chain.pem")]
        assert await asyncio.to_thread(run, given, SystemClock()) == 0
        assert "0 findings" in capsys.readouterr().out
        box.pass_time(60)  # silent, and no word of it
        await record_some(face, box)
        assert await asyncio.to_thread(run, [*given, "--json"], SystemClock()) == 1
        told = capsys.readouterr().out
        assert '"heartbeat"' in told and '"S2"' in told
        assert any(alarm.kind == "monitor" for alarm in await face.hub.alarms.list())
        assert await asyncio.to_thread(run, [*given[:1], "http://127.0.0.1:9", *given[2:]], SystemClock()) == 2


async def test_a_power_cut_leaves_a_tail_that_the_next_boot_vouches_for(tmp_path: Path) -> None:
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        box = await watch.started()
        await record_some(face, box)
        first = len(box.written)
        box.segment()
        box.heartbeat()  # never sealed
        await send(face.hub, box, first)
        assert (await look(monitor)).findings == []
        end_ns = box.wall_ns
        after = TestBox(
            identity=box.identity, session=box.session, epoch=box.epoch + 1, wall_ns=end_ns + 5 * SECOND_NS, numbers=dict(box.numbers)
        )
        after.boot(before=box)
        after.add(kinds.Gap("restart", end_ns, after.wall_ns, None, after.mono_ns), "box-1/cam-1")
        await send(face.hub, after)
        await record_some(face, after)
        audit = await look(monitor)
        assert [str(one) for one in audit.findings] == []
        assert audit.followed["box-1", box.epoch].journal.frontier.size == len(box.written)


async def test_a_hub_that_rewrites_what_was_replayed_is_found(tmp_path: Path) -> None:
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        box = await watch.started()
        await record_some(face, box)
        assert (await look(monitor)).findings == []
        with sqlite3.connect(tmp_path / "hub" / "hub.db") as other:  # its operator swaps two of a journal's records
            rows = other.execute("SELECT data FROM records WHERE issuer = 'box:box-1' AND kind = 'segment' ORDER BY position").fetchall()
            other.execute("UPDATE records SET data = ? WHERE issuer = 'box:box-1' AND kind = 'segment' AND position = 3", rows[1])
        assert (await look(monitor)).findings == []  # replayed before: what it knows still leads to the newest root
        fresh = replace(monitor, state=tmp_path / "fresh")
        (tmp_path / "fresh").mkdir()
        found = [str(one) for one in (await asyncio.to_thread(fresh.look)).findings]
        assert any("box-1 epoch 0 position 3" in one for one in found)


async def test_a_hub_that_shows_an_older_or_another_log_is_found(tmp_path: Path) -> None:
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        box = await watch.started()
        await record_some(face, box)
        audit = await look(monitor)
        audit.log.append(bytes(32))  # as if one more leaf had been shown before
        monitor.keep(audit)
        found = [str(one) for one in (await asyncio.to_thread(monitor.look)).findings]
        assert any("rolled back" in one for one in found)
        other = replace(monitor.trust, log=NoteKey(monitor.trust.log.name, ED25519, log_signer().public))
        with pytest.raises(VerificationError):
            await asyncio.to_thread(replace(monitor, trust=other).look)


async def test_a_silent_enrolment_by_the_operator_is_found(tmp_path: Path) -> None:
    """A box that the site's authority never certified counts for nothing, whatever the hub logs."""
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        await enrol(face.hub, TestBox(box=BoxId("box-9")), SiteCa())
        found = [str(one) for one in (await look(monitor)).findings]
        assert any(one.startswith("keys") and "box-9" in one for one in found)


async def test_the_hub_takes_only_reports_about_its_own_log(tmp_path: Path) -> None:
    async with watched(tmp_path) as watch:
        face, monitor = watch.face, watch.monitor
        await watch.started()
        audit = await look(monitor)
        reports = face.hub.reports
        with pytest.raises(MalformedError):
            await reports.accept(b"rubbish", "chen.min")
        audit.log.hashes[0] = bytes(32)
        with pytest.raises(RefusedError, match="another tree"):
            await reports.accept(monitor.report(audit), "chen.min")
        assert any(alarm.kind == "monitor" for alarm in await face.hub.alarms.list())
        audit.log.size = 10_000
        with pytest.raises(VerificationError, match="10000 leaves"):
            await reports.accept(monitor.report(audit), "chen.min")


def test_state_that_is_none_is_named(tmp_path: Path) -> None:
    for data in (b"", b"\xa0", b"\xa1\x67version\x02"):
        with pytest.raises(MalformedError):
            Audit.decode(data, None, ())  # type: ignore[arg-type]
