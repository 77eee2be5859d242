"""A box renews its TLS certificate by itself over real HTTPS: asked for, approved, tried, taken up; and what happens otherwise.

The first certificate was issued 59 days and a half ago by the authority's clock, so it became due half a day ago; nothing waits
for time to pass.
"""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from edge.__main__ import _identity
from edge.agent import Agent, Surroundings
from edge.config import CameraSettings, DiskSettings, EdgeSettings, HubSettings, LiveSettings
from edge.courier import Courier, HubAddress
from edge.renewal import ASK_S, LOOK_S, NEXT_KEY, REFUSED_S, RETRY_FIRST_S, RETRY_LIMIT_S, Renewal, join_pair, read_pair
from protocol.certificates import DAY_NS, Certificate, Identity
from protocol.identifiers import BoxId, SourceId
from protocol.instants import SECOND_NS, Instant, iso
from protocol.messages import BoxReport, encode
from protocol.trust import Trust
from storage.clock import SystemClock
from storage.hub_calls import HubCalls
from storage.schema import journals, tls_certificates
from tests.edge_program import MadeUpCamera
from tests.hub_parts import SITE
from tests.site_parts import Site, ask_mail, ca, running_site

ROOT = Path(__file__).parents[2]
BOX = BoxId("box-1")
LEFT = ("tls-next.key", "tls-next.csr", "tls-next.request", "tls-next.pem")


@dataclass
class ShiftedClock:
    """The machine's clock, some days away."""

    days: float
    real: SystemClock = field(default_factory=SystemClock)

    def now(self) -> Instant:
        now = self.real.now()
        return replace(now, wall_ns=now.wall_ns + int(self.days * DAY_NS))

    def monotonic_ns(self) -> int:
        return self.real.monotonic_ns()


@dataclass
class Dock:
    """An enrolled box beside its site."""

    site: Site
    keys: Path
    taken_up: int = 0

    def renewal(self, days: float = 0, url: str = "") -> Renewal:
        """Give what a box that just started makes."""
        address = self.courier().address
        trust = Trust.parse((self.keys / "trust.json").read_bytes())
        made = Renewal(self.keys, Identity(SITE, BOX), trust, replace(address, url=url or address.url), ShiftedClock(days), 0.66)
        made.taken_up = self.count
        return made

    def count(self) -> None:
        self.taken_up += 1

    def courier(self) -> Courier:
        return Courier(HubAddress(self.site.device_url, self.keys / "tls.pem", self.keys / "tls.pem", self.keys / "chain.pem"))

    def current(self) -> Certificate:
        """Give the certificate in place, after checking that its key is beside it."""
        ssl.create_default_context().load_cert_chain(self.keys / "tls.pem")
        return read_pair(self.keys / "tls.pem")

    async def waiting(self) -> list[str]:
        return [one.request.request for one in await self.site.hub.enrolment.list("waiting")]

    async def shut_out(self, certificate: Certificate) -> None:
        """Let the hub take a certificate no more, as when it has ended."""
        mine = update(tls_certificates).where(tls_certificates.c.fingerprint == bytes.fromhex(certificate.fingerprint))
        await self.site.hub.core.database.write(lambda connection: connection.execute(mine.values(revoked=True)))

    def left(self) -> list[str]:
        return [name for name in LEFT if (self.keys / name).exists()]


@pytest.fixture
async def dock(tmp_path: Path) -> AsyncIterator[Dock]:
    async with running_site(tmp_path) as site:
        token = await site.hub.enrolment.make_token(BOX, "admin")
        await site.enrol(site.plan(token.token), clock=ShiftedClock(-59.5))
        yield Dock(site, tmp_path / "box" / "keys")


def report() -> bytes:
    numbers = dict.fromkeys(("journal_size", "unsent_records", "unsent_blobs", "unsent_bytes", "unreceipted", "free_bytes"), 0)
    facts = {"box": BOX, "epoch": 1, "wall_ns": 1, "mono_ns": 1, "sync": "synced", "software": "0", "transport": "https"}
    return encode(BoxReport(**facts, **numbers, disk="ok", sources=()))  # type: ignore[arg-type]


async def test_renewed_taken_up_and_used_by_connections_that_stood_open(dock: Dock) -> None:
    old, renewal = dock.current(), dock.renewal()
    async with dock.courier() as courier:
        await courier.send("state", report())
        assert await renewal.step() == ASK_S
        assert renewal.standing.state == "waiting"
        assert dock.current() == old
        await dock.site.approve()
        assert await renewal.step() == 0
        new = dock.current()
        assert (new.public != old.public, new.not_after_ns > old.not_after_ns) == (True, True)
        assert (dock.taken_up, dock.left()) == (1, [])
        assert (dock.keys / "tls.pem").stat().st_mode & 0o777 == 0o600
        assert not (dock.keys / "tls.key").exists()
        await dock.shut_out(old)
        await courier.send("state", report())  # the kept connection is made anew by itself
    assert await renewal.step() == LOOK_S
    assert renewal.standing.state == "valid"
    assert await dock.waiting() == []


async def test_the_loop_does_it_alone_by_the_clock_it_is_given(dock: Dock) -> None:
    renewal, old, pauses = dock.renewal(-0.95), dock.current(), list[float]()
    done = asyncio.Event()
    clock = renewal.clock
    assert isinstance(clock, ShiftedClock)

    async def wait(seconds: float) -> None:
        """Let the clock run instead of waiting, and let the authority do its part when it is asked."""
        pauses.append(seconds)
        clock.days += seconds * SECOND_NS / DAY_NS
        if renewal.standing.state == "waiting":
            await dock.site.approve("renewals")
        if dock.taken_up:
            done.set()
            await asyncio.Event().wait()

    renewal.wait = wait
    running = asyncio.create_task(renewal.run())
    await asyncio.wait((running, asyncio.create_task(done.wait())), timeout=60, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert dock.current() != old
    assert pauses[-2:] == [ASK_S, 0]
    assert all(pause <= LOOK_S for pause in pauses)
    assert 10 <= len(pauses) <= 20  # an hourly look until it was due


async def test_a_recording_box_goes_on_through_its_renewal(dock: Dock, tmp_path: Path) -> None:
    old, first = dock.current(), dock.renewal()
    await first.step()  # asked by the process before, approved while the box was off
    await dock.site.approve()
    ledger = os.open(tmp_path / "ledger", os.O_WRONLY | os.O_CREAT, 0o600)
    settings = EdgeSettings(
        state=dock.keys.parent,
        disk=DiskSettings(full_mib=1, low_mib=2, ballast_mib=1),
        hub=HubSettings(transport="https", device_url=dock.site.device_url),
        live=LiveSettings(enabled=False),
        cameras=(CameraSettings(source=SourceId("cam-1"), url="rtsp://nowhere"),),
    )
    around = Surroundings(SystemClock(), bytes(16), lambda camera, _, clock: MadeUpCamera(camera.source, ledger, clock))
    agent = Agent(settings, _identity(settings), around)
    running = asyncio.create_task(agent.run())
    try:
        async with asyncio.timeout(30):
            while dock.current() == old:  # noqa: ASYNC110 - a file has no event to wait for
                await asyncio.sleep(0.02)
            await dock.shut_out(old)
            held = await journal_size(dock.site)
            while await journal_size(dock.site) < held + 3:  # noqa: ASYNC110 - a heartbeat a second
                await asyncio.sleep(0.05)
        status = await agent.status()
        assert status["certificate"] == {
            "state": "valid",
            "detail": f"until {iso(dock.current().not_after_ns)}",
            "until": iso(dock.current().not_after_ns),
        }
        assert status["faults"] == []
    finally:
        agent.stop()
        await running
        os.close(ledger)
    assert [alarm.kind for alarm in await dock.site.hub.alarms.list()] == []


async def journal_size(site: Site) -> int:
    query = select(journals.c.size).where(journals.c.box == BOX)
    return await site.hub.core.database.read(lambda connection: connection.execute(query).scalar() or 0)


async def test_nothing_is_asked_before_it_is_due(dock: Dock) -> None:
    assert await dock.renewal(-30).step() == LOOK_S
    assert (await dock.waiting(), dock.left()) == ([], [])


async def test_a_box_killed_at_any_change_of_its_keys_goes_on(dock: Dock) -> None:
    old, names, deaths = dock.current(), set[str](), 0
    for count in range(1, 40):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.renewal_child", str(dock.keys), dock.site.device_url, str(count), cwd=ROOT
        )
        ended = asyncio.create_task(child.wait())
        while not ended.done():
            waiting = await dock.waiting()
            names.update(waiting)
            if waiting:
                await dock.site.approve("renewals")
            await asyncio.wait((ended,), timeout=0.05)
        assert dock.current() is not None
        assert await asyncio.to_thread(ask_mail, dock.site, dock.keys) == 200
        if ended.result() == 0:
            break
        assert ended.result() == -signal.SIGKILL
        deaths += 1
    assert ended.result() == 0
    assert deaths >= 5
    assert dock.current() != old
    assert dock.left() == []
    assert 1 <= len(names) <= 2  # asked anew only where it died before it knew the request's name


async def test_a_refusal_is_said_and_the_old_certificate_stays(dock: Dock) -> None:
    renewal, old = dock.renewal(), dock.current()
    await renewal.step()
    asked = await dock.waiting()
    key = (dock.keys / NEXT_KEY).read_bytes()
    calls = HubCalls(dock.site.people_url, dock.site.api_token)
    await asyncio.to_thread(calls.refuse, asked[0], "box is to be scrapped")
    assert await renewal.step() == REFUSED_S
    assert renewal.standing.state == "failed"
    assert "box is to be scrapped" in renewal.standing.detail
    assert (dock.current(), dock.left(), dock.taken_up) == (old, [], 0)
    assert await renewal.step() == ASK_S
    assert await dock.waiting() != asked
    assert (dock.keys / NEXT_KEY).read_bytes() != key


async def test_a_hub_that_is_away_is_asked_again_with_growing_pauses(dock: Dock, free_port: int) -> None:
    renewal, old = dock.renewal(url=f"https://127.0.0.1:{free_port}"), dock.current()
    pauses = [await renewal.step() for _ in range(10)]
    assert pauses[:3] == [RETRY_FIRST_S, 2 * RETRY_FIRST_S, 4 * RETRY_FIRST_S]
    assert pauses[-1] == RETRY_LIMIT_S
    assert renewal.standing.state == "failed"
    assert "tried again in 3600 s" in renewal.standing.detail
    assert dock.current() == old
    again = dock.renewal()  # the hub is back
    await again.step()
    await dock.site.approve()
    assert await again.step() == 0


async def test_an_ended_certificate_is_called_ended(dock: Dock, free_port: int) -> None:
    renewal = dock.renewal(60, url=f"https://127.0.0.1:{free_port}")
    await renewal.step()
    assert renewal.standing.state == "ended"
    assert "enrol it anew" in renewal.standing.detail


async def test_a_new_pair_that_the_hub_does_not_take_is_not_taken_up(dock: Dock) -> None:
    renewal, old = dock.renewal(), dock.current()
    await renewal.step()
    answer = await dock.site.approve()
    issued = bytes.fromhex(answer["approved"][0]["tls"])
    mine = update(tls_certificates).where(tls_certificates.c.fingerprint == issued)
    await dock.site.hub.core.database.write(lambda connection: connection.execute(mine.values(revoked=True)))
    await renewal.step()
    assert renewal.standing.state == "failed"
    assert (dock.current(), dock.taken_up) == (old, 0)


async def test_what_chains_to_another_root_is_not_taken_up(dock: Dock) -> None:
    renewal, old = dock.renewal(), dock.current()
    await renewal.step()
    await dock.site.approve()
    renewal.trust = replace(renewal.trust, root_sha256="0" * 64)
    await renewal.step()
    assert "fingerprint" in renewal.standing.detail
    assert dock.current() == old


async def test_approving_renewals_lets_no_new_box_in(dock: Dock, tmp_path: Path) -> None:
    token = await dock.site.hub.enrolment.make_token("box-2", "admin")
    plan = dock.site.plan(token.token, box=BoxId("box-2"), state=tmp_path / "second")
    running = await dock.site.begin(plan)
    await dock.renewal().step()
    answer = await dock.site.approve("renewals")
    assert [one["box"] for one in answer["approved"]] == ["box-1"]
    assert len(await dock.waiting()) == 1
    await dock.site.approve()
    assert (await running).box == "box-2"


async def test_the_authority_renews_only_what_its_own_ledger_knows(dock: Dock, tmp_path: Path) -> None:
    await dock.renewal().step()
    ledger = Path(dock.site.ca_folder) / "ledger.jsonl"
    known = ledger.read_bytes()
    ledger.write_bytes(b"".join(line + b"\n" for line in known.splitlines() if b"identity certificate" not in line))
    answer = await dock.site.approve("renewals")
    assert answer["approved"] == []
    assert "no identity certificate" in answer["skipped"][0]["reason"]
    ledger.write_bytes(known)
    revoking = ("revoke", BOX, "--reason", "stolen", "--ca", dock.site.ca_folder, *dock.site.reached)
    assert (await asyncio.to_thread(ca, *revoking))["revoked"] == BOX
    assert (await dock.site.approve("renewals"))["approved"] == []


def test_a_pair_in_two_files_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "tls.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    for _ in range(2):
        join_pair(tmp_path)
        assert (tmp_path / "tls.pem").read_bytes() == b"-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n"
    join_pair(tmp_path / "empty")
