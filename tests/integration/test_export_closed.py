"""A serving hub closes its exports: export key, time authority, C2PA manifests; where one of them fails, it says so and exports."""

import asyncio
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.app import Hub
from hub.config import TimeAuthoritySettings
from hub.export import MAX_LENGTH_NS, TimeWish
from hub.tasks import TaskDraft
from protocol import bundle, timestamps
from protocol.certificates import EXPORT_NS, Validity, encode_pem, issue_crl, issue_exporter
from protocol.errors import MalformedError, RefusedError
from protocol.instants import SECOND_NS
from protocol.notes import NoteKey
from protocol.trust import Trust
from simulators.films import Film, film
from simulators.partners.time_authority import TimeAuthority
from storage import sidecars
from storage.clock import SystemClock
from storage.keys import create_ed25519, create_p256
from storage.verify import report_json, verify
from tests.hub_parts import SITE, SiteCa, TestBox, chunks, enrol, running_hub, send, settings_for, settled

TASK = "T-20261123-0001"
CAMERA = "box-1/cam-1"


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[TimeAuthority]:
    async with TimeAuthority(tmp_path / "tsa") as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> SiteCa:
    """Give the hub its certificates, an export key and a list of revoked certificates."""
    site, keys = SiteCa(), tmp_path / "keys"
    keys.mkdir()
    (keys / "site.pem").write_bytes(encode_pem((site.ca, site.root)))
    key = create_p256(keys / "export.key")
    leaf = issue_exporter(key.public, SITE, "hub-1", site.authority, Validity.backdated(site.now_ns, EXPORT_NS, 77))
    (keys / "export.pem").write_bytes(encode_pem((leaf, site.ca)))
    (keys / "crl.pem").write_bytes(issue_crl(site.authority, {5: site.now_ns}, 1, site.now_ns))
    return site


@pytest.fixture
async def hub(tmp_path: Path, authority: TimeAuthority, site: SiteCa) -> AsyncIterator[Hub]:
    stamps = TimeAuthoritySettings(urls=(authority.url,), anchors=authority.root, timeout_seconds=5)
    settings = replace(settings_for(tmp_path, ""), time_authority=stamps)
    async with running_hub(settings, create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


async def recorded(hub: Hub, site: SiteCa, number: int = 3) -> TestBox:
    """Let a box record a task of one second, within three."""
    box = TestBox(wall_ns=SystemClock().now().wall_ns - 3 * SECOND_NS)
    await enrol(hub, box, site)
    box.boot()
    box.recording()
    first = 0
    for at in range(number):
        data = film(at, Film(seconds=1), number=at)
        box.segment(data=data, seconds=1)
        if at == 1:
            await hub.tasks.open(TaskDraft(task=TASK, title="Container 1", cameras=(CAMERA,)), "chen")
            await hub.tasks.end(TASK, "chen")
        box.seal()
        await send(hub, box, first)
        first = len(box.written)
        await hub.blobs.put(box.box, hashlib.sha256(data).digest(), len(data), chunks(data))
    await settled(hub)
    return box


def trust_of(hub: Hub, site: SiteCa, authority: TimeAuthority) -> Trust:
    anchors = timestamps.parse_anchors(authority.root.read_bytes())
    return Trust(SITE, hub.core.hub_id, site.root.fingerprint, NoteKey.parse(hub.log.vkey), time_authorities=anchors)


def wish_of(box: TestBox) -> TimeWish:
    """Ask for a second in the middle of what the box recorded, however long ago that is by now."""
    return TimeWish((CAMERA,), box.wall_ns - 5 * SECOND_NS // 2, box.wall_ns - 3 * SECOND_NS // 2)


async def test_a_closed_export_is_whole_and_says_so(hub: Hub, site: SiteCa, authority: TimeAuthority) -> None:
    box = await recorded(hub, site)
    folder = await hub.export.make_time(wish_of(box), "chen")
    report = verify(folder, trust_of(hub, site, authority))
    assert report.faults == ()
    closing = report_json(report)["export"]
    assert closing["signature"].startswith("ok, hub-1")
    assert closing["time_stamp"].startswith("ok, ")
    assert (folder / bundle.CRL).exists()
    state = await hub.export.get(folder.parent.name)
    if sidecars.is_available():
        assert state.notes == ()
        assert closing["c2pa"].endswith("checked by a C2PA validator, each against the SHA-256 of its file")
        assert len(list(folder.rglob("*.c2pa"))) == len(report.segments) > 0
    for line in (folder / bundle.README).read_text().splitlines():
        if line.startswith(("    openssl", "    sha256sum")):
            done = await asyncio.to_thread(subprocess.run, line, shell=True, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (line, done.stderr)
    assert verify(folder.parent / "bundle.zip", trust_of(hub, site, authority)).valid
    told = json.loads((folder / bundle.REPORT_JSON).read_text())
    assert (told["valid"], told["faults"]) == (True, [])
    assert all((folder / name).is_file() for name in bundle.READABLE)


async def test_a_time_authority_that_fails_is_named_and_holds_up_no_export(hub: Hub, site: SiteCa, authority: TimeAuthority) -> None:
    box = await recorded(hub, site)
    authority.mood = "refusing"
    folder = await hub.export.make_time(wish_of(box), "chen")
    state = await hub.export.get(folder.parent.name)
    assert any("time-stamp over the signature is not present" in note for note in state.notes)
    assert not list(folder.parent.glob("*.tsr"))
    report = verify(folder, trust_of(hub, site, authority))
    assert report.valid
    assert report_json(report)["export"]["time_stamp"] == "not present"


async def test_without_a_key_that_counts_the_export_is_made_without_signature(hub: Hub, site: SiteCa, authority: TimeAuthority) -> None:
    box = await recorded(hub, site)
    keys = hub.core.settings.keys
    (keys / "export.pem").write_bytes(site.box(box.box, create_p256(keys / "other.key")).pem())
    for reason in ("does not count", "no export key"):
        folder = await hub.export.make_time(wish_of(box), "chen")
        state = await hub.export.get(folder.parent.name)
        assert [reason in note for note in state.notes] == [True]
        report = verify(folder, trust_of(hub, site, authority))
        assert report.valid
        assert report_json(report)["export"]["signature"] == "not present"
        (keys / "export.key").unlink(missing_ok=True)


async def test_a_time_that_cannot_be_exported_is_refused(hub: Hub, site: SiteCa) -> None:
    await recorded(hub, site)
    now = SystemClock().now().wall_ns
    for wish, reason in (
        (TimeWish((), now - 2, now - 1), "streams"),
        (TimeWish((CAMERA,), now - SECOND_NS, now + 3600 * SECOND_NS), "must have ended"),
        (TimeWish((CAMERA,), now - MAX_LENGTH_NS - 2, now - 1), "at most"),
        (TimeWish(("box-1/cam-9",), now - 2, now - 1), "never recorded"),
    ):
        with pytest.raises(RefusedError, match=reason):
            await hub.export.start_time(wish, "chen")
    with pytest.raises(MalformedError):
        await hub.export.start_time(TimeWish(("no stream",), now - 2, now - 1), "chen")
