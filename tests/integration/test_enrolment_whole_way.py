"""A box's whole way in and out: CA made, box enrolled by token, evidence sent, task exported, bundle verified with the box's trust."""

import asyncio
import base64
import hashlib
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.enrolment import read_enrolled
from hub.tasks import TaskDraft
from protocol.certificates import Identity, make_request, parse_pem
from protocol.errors import ForbiddenError, RefusedError, UnavailableError, VerificationError
from protocol.identifiers import BoxId, SiteId, TaskId
from protocol.notes import NoteKey
from storage.clock import SystemClock
from storage.keys import create_ed25519, create_p256, load_p256
from storage.verify import read_trust, verify
from tests.hub_parts import SITE, TestBox, chunks, receipts_until, send
from tests.site_parts import Site, ask_mail, ca, ca_refuses, running_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


async def test_from_token_to_verified_bundle(site: Site) -> None:
    token = await site.hub.enrolment.make_token("box-1", "admin")
    enrolled = await site.enrol(site.plan(token.token))
    keys = site.folder / "box" / "keys"
    assert enrolled == read_enrolled(site.folder / "box")
    assert (enrolled.hub_id, enrolled.log_vkey) == ("hub-1", site.hub.log.vkey)
    assert [path.name for path in keys.iterdir() if path.stat().st_mode & 0o077 and path.suffix == ".key"] == []
    assert await asyncio.to_thread(ask_mail, site, keys) == 200
    box = TestBox(BoxId("box-1"), identity=load_p256(keys / "identity.key"), wall_ns=SystemClock().now().wall_ns - 5_000_000_000)
    assert await site.hub.enrolment.identities("box-1") == (box.identity.public,)

    box.boot()
    box.recording()
    await site.hub.tasks.open(TaskDraft(task="T-1", title="whole way", cameras=("box-1/cam-1",)), "admin")
    box.wall_ns = min(box.wall_ns, SystemClock().now().wall_ns - 1_000_000_000)
    blobs = [box.segment()[1] for _ in range(3)]
    await site.hub.tasks.end("T-1", "admin")
    box.seal("task")
    await send(site.hub, box)
    await receipts_until(site.hub, box.box, len(box.written) - 1)
    with pytest.raises(UnavailableError, match="has not arrived"):
        await site.hub.export.make(TaskId("T-1"), "admin")
    for blob in blobs:
        await site.hub.blobs.put(BoxId("box-1"), hashlib.sha256(blob).digest(), len(blob), chunks(blob))
    folder = await site.hub.export.make("T-1", "admin")
    report = await asyncio.to_thread(verify, folder, read_trust(keys / "trust.json"))
    assert report.faults == ()
    assert report.valid
    assert len(report.segments) == 1  # the task ended at once: one segment overlaps it
    zipped = await asyncio.to_thread(verify, folder.parent / "bundle.zip", read_trust(keys / "trust.json"))
    assert zipped == report


class TestRefusals:
    async def test_a_token_is_for_one_box_and_one_request(self, site: Site, tmp_path: Path) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        csrs = [make_request(create_p256(tmp_path / f"{n}.key"), Identity(SITE, BoxId("box-1"))) for n in range(4)]
        other = make_request(create_p256(tmp_path / "other.key"), Identity(SITE, BoxId("box-2")))
        text = [base64.b64encode(csr).decode() for csr in csrs]
        ask = site.hub.enrolment.ask
        with pytest.raises(ForbiddenError):
            await ask("wrong", "box-1", text[0], text[1])
        with pytest.raises(VerificationError, match="names"):
            await ask(token, "box-1", base64.b64encode(other).decode(), text[1])
        with pytest.raises(VerificationError, match="one key"):
            await ask(token, "box-1", text[0], text[0])
        first = await ask(token, "box-1", text[0], text[1])
        assert await ask(token, "box-1", text[0], text[1]) == first
        with pytest.raises(ForbiddenError, match="used already"):
            await ask(token, "box-1", text[2], text[3])
        with pytest.raises(ForbiddenError):
            await site.hub.enrolment.answer(first, "another token")
        assert (await site.hub.enrolment.answer(first, token)).state == "waiting"

    async def test_a_refused_box_is_told_why(self, site: Site) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        running = await site.begin(site.plan(token))
        waiting = await site.hub.enrolment.list("waiting")
        reached = ("--hub", site.people_url, "--token", site.api_token)
        await asyncio.to_thread(ca, "refuse", waiting[0].request.request, "--reason", "not ordered", *reached)
        with pytest.raises(RefusedError, match="not ordered"):
            await running

    async def test_a_wrong_root_fingerprint_stops_the_box(self, site: Site) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        with pytest.raises(VerificationError, match="fingerprint"):
            await site.enrol(site.plan(token, root_sha256="0" * 64))
        assert not (site.folder / "box" / "keys" / "box.json").exists()

    async def test_a_strangers_ca_is_refused_by_the_hub(self, site: Site, tmp_path: Path) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        running = await site.begin(site.plan(token))
        waiting = await site.hub.enrolment.list("waiting")
        ca("init", str(tmp_path / "stranger"), "--site", SITE)
        name = waiting[0].request.request
        arguments = ("approve", name, "--ca", str(tmp_path / "stranger"), "--hub", site.people_url, "--token", site.api_token)
        assert "fingerprint" in await asyncio.to_thread(ca_refuses, *arguments)
        await site.approve(name)
        assert (await running).box == "box-1"

    async def test_revoked_means_out(self, site: Site) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        await site.enrol(site.plan(token))
        keys = site.folder / "box" / "keys"
        assert await asyncio.to_thread(ask_mail, site, keys) == 200
        await asyncio.to_thread(ca, "revoke", "box-1", "--reason", "stolen", "--hub", site.people_url, "--token", site.api_token)
        assert await asyncio.to_thread(ask_mail, site, keys) == 403
        assert await site.hub.enrolment.identities("box-1") == ()

    async def test_the_signing_certificate_opens_no_connection(self, site: Site) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        await site.enrol(site.plan(token))
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.to_thread(ask_mail, site, site.folder / "box" / "keys", "identity")

    async def test_an_enrolled_box_does_not_enrol_again(self, site: Site) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        await site.enrol(site.plan(token))
        with pytest.raises(RefusedError, match="enrolled already"):
            await site.enrol(site.plan(token))

    async def test_a_token_does_not_go_over_plain_http(self, site: Site) -> None:
        with pytest.raises(RefusedError, match="https"):
            await site.enrol(site.plan("x", hub="http://192.0.2.1:80"))

    async def test_another_log_key_is_not_signed(self, site: Site, tmp_path: Path) -> None:
        ca("pin", site.ca_folder, "--log", site.hub.log.vkey)
        other = create_ed25519(tmp_path / "other.key")
        vkey = NoteKey(site.hub.log.origin, 1, other.public).vkey()
        assert "another log key is pinned" in await asyncio.to_thread(ca_refuses, "pin", site.ca_folder, "--log", vkey)

    async def test_signing_without_network(self, site: Site, tmp_path: Path) -> None:
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        running = await site.begin(site.plan(token))
        waiting = await site.hub.enrolment.list("waiting")
        request = tmp_path / "request.json"
        request.write_text(json.dumps({**waiting[0].request.encode(), "log": waiting[0].log}))
        ca("sign", str(request), "--ca", site.ca_folder, "--out", str(tmp_path / "issued.json"))
        issued = json.loads((tmp_path / "issued.json").read_text())
        await site.hub.enrolment.issue(issued["request"], issued["certificates"], "admin")
        assert (await running).site == SiteId(SITE)


async def test_a_box_that_was_away_too_long_enrols_anew_and_sends_what_it_kept(site: Site) -> None:
    keys, wall = site.folder / "box" / "keys", SystemClock().now().wall_ns - 5_000_000_000
    token = (await site.hub.enrolment.make_token("box-1", "admin")).token
    await site.enrol(site.plan(token))
    before = TestBox(BoxId("box-1"), identity=load_p256(keys / "identity.key"), wall_ns=wall)
    before.boot()
    before.recording()
    before.segment()
    before.seal("shutdown")
    shutil.rmtree(keys)
    token = (await site.hub.enrolment.make_token("box-1", "admin")).token
    await site.enrol(site.plan(token))
    after = TestBox(BoxId("box-1"), epoch=2, identity=load_p256(keys / "identity.key"), wall_ns=wall)
    assert after.identity.public != before.identity.public
    after.boot(before)
    after.seal()
    for box in (before, after):
        await send(site.hub, box)
        await receipts_until(site.hub, box.box, len(box.written) - 1, box.epoch)
    assert await site.hub.alarms.list() == []


async def test_the_list_of_revoked_certificates_names_what_was_revoked_and_no_more(site: Site, tmp_path: Path) -> None:
    ca_folder, crl, places = Path(site.ca_folder), tmp_path / "crl.pem", []
    for number in range(2):  # enrolled, revoked, and enrolled anew
        token = (await site.hub.enrolment.make_token("box-1", "admin")).token
        await site.enrol(site.plan(token, state=tmp_path / f"box-{number}"))
        places.append(tmp_path / f"box-{number}" / "keys")
        if number == 0:
            revoking = ("revoke", "box-1", "--reason", "stolen", "--ca", site.ca_folder, "--crl", str(crl), *site.reached)
            assert (await asyncio.to_thread(ca, *revoking))["crl"] == str(crl)
            assert "no certificate that counts" in await asyncio.to_thread(
                ca_refuses, "crl", site.ca_folder, "--revoke", "box-1", "--out", str(crl)
            )
    await asyncio.to_thread(ca, "crl", site.ca_folder, "--out", str(crl))
    chain = ["-CAfile", str(ca_folder / "root.pem"), "-untrusted", str(ca_folder / "site.pem"), "-CRLfile", str(crl)]
    for place, words in ((places[0], "certificate revoked"), (places[1], "OK")):
        for name in ("tls.pem", "identity.pem"):
            command = ["openssl", "verify", *chain, "-crl_check", str(place / name)]
            done = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True)
            assert words in done.stdout + done.stderr


def test_the_ca_makes_what_openssl_accepts(tmp_path: Path) -> None:
    ca("init", str(tmp_path / "ca"), "--site", SITE)
    ca("server", str(tmp_path / "ca"), "--hub", "hub-1", "--name", "127.0.0.1", "--out", str(tmp_path / "keys"))
    leaf, _ = parse_pem((tmp_path / "keys/device.pem").read_bytes())
    assert "server" in leaf.usages
    chain = ["-CAfile", str(tmp_path / "ca/root.pem"), "-untrusted", str(tmp_path / "ca/site.pem"), "-x509_strict"]
    command = ["openssl", "verify", *chain, "-purpose", "sslserver", "-verify_ip", "127.0.0.1", str(tmp_path / "keys/device.pem")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    ledger = [json.loads(line) for line in (tmp_path / "ca/ledger.jsonl").read_text().splitlines()]
    assert [line["act"] for line in ledger] == ["init", *(f"{name} certificate" for name in ("device", "broker", "client", "export"))]
    assert "exists already" in ca_refuses("init", str(tmp_path / "ca"), "--site", SITE)
