"""A whole site for tests: a hub with both its ports over real HTTPS, and its certificate authority run as the program it is."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

from edge.enrolment import Enrolled, EnrolmentPlan, enrol
from hub.access import PersonDraft
from hub.app import Hub, open_hub
from hub.config import BrowserSettings, DeviceSettings
from protocol.identifiers import BoxId
from protocol.instants import Clock
from protocol.topics import PATH_MAIL
from storage import authority
from storage.clock import SystemClock
from storage.keys import create_ed25519
from tests.hub_parts import SITE, settings_for
from web.__main__ import run as serve_ports


def ca(*arguments: str, clock: Clock | None = None) -> dict[str, Any]:
    """Run portwitness-ca; give what it printed."""
    out, err = StringIO(), StringIO()
    assert authority.run([*arguments, "--json"], out, err, clock or SystemClock()) == 0, err.getvalue()
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def ca_refuses(*arguments: str) -> str:
    out, err = StringIO(), StringIO()
    assert authority.run([*arguments], out, err, SystemClock()) == 1
    return err.getvalue()


@dataclass
class Site:
    """A running hub with both ports, and its CA."""

    hub: Hub
    folder: Path
    people_url: str
    device_url: str
    root_sha256: str
    api_token: str

    @property
    def ca_folder(self) -> str:
        return str(self.folder / "ca")

    def plan(self, token: str, **changes: Any) -> EnrolmentPlan:
        return replace(
            EnrolmentPlan(BoxId("box-1"), SITE, self.people_url, token, self.root_sha256, self.folder / "box", timeout_s=30), **changes
        )

    @property
    def reached(self) -> tuple[str, ...]:
        return ("--hub", self.people_url, "--token", self.api_token)

    async def approve(self, request: str = "all", clock: Clock | None = None) -> dict[str, Any]:
        return await asyncio.to_thread(ca, "approve", request, "--ca", self.ca_folder, *self.reached, clock=clock)

    async def begin(self, plan: EnrolmentPlan) -> "asyncio.Task[Enrolled]":
        """Enrol in a thread; give it once the request waits at the hub, or all is over."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def say(line: str) -> None:
            loop.call_soon_threadsafe(asked.set)

        running = asyncio.create_task(asyncio.to_thread(enrol, plan, SystemClock(), say, lambda seconds: Event().wait(0.02)))
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return running

    async def enrol(self, plan: EnrolmentPlan, clock: Clock | None = None) -> Enrolled:
        """Enrol while the CA, by its own clock, approves what waits."""
        running = await self.begin(plan)
        if not running.done():
            await self.approve(clock=clock)
        return await running


@asynccontextmanager
async def running_site(folder: Path, **changes: Any) -> AsyncIterator[Site]:
    state = folder / "state"
    made = ca("init", str(folder / "ca"), "--site", SITE)
    ca("server", str(folder / "ca"), "--hub", "hub-1", "--out", str(state / "keys"))
    log = create_ed25519(state / "keys" / "log.key")
    ports: dict[str, Any] = {"browser": BrowserSettings(port=0), "device": DeviceSettings(port=0), **changes}
    stop, ready = asyncio.Event(), asyncio.Queue[tuple[str, str]]()
    async with open_hub(settings_for(state, **ports), SystemClock(), log) as hub:
        serving = asyncio.create_task(serve_ports(hub, stop, lambda people, boxes: ready.put_nowait((people, boxes))))
        people, boxes = await asyncio.wait_for(ready.get(), 20)
        await hub.access.add(PersonDraft("admin", "administrator"), "hub:hub-1")
        token = await hub.access.make_token("admin", "ca", 1, "admin")
        try:
            yield Site(hub, folder, people, boxes, made["root_sha256"], token.token)
        finally:
            stop.set()
            await serving


def ask_mail(site: Site, keys: Path, certificate: str = "tls") -> int:
    """Ask the device port with a box's certificate; give the status."""
    context = ssl.create_default_context(cafile=str(keys / "chain.pem"))
    context.load_cert_chain(keys / f"{certificate}.pem", None if certificate == "tls" else keys / f"{certificate}.key")
    try:
        with urllib.request.urlopen(f"{site.device_url}{PATH_MAIL}?wait=0", context=context, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
