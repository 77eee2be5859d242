"""A whole port on this machine, out of real programs: site CA, hub, boxes, cameras, a recorder, people.

Guarantees: everything is done as an administrator, a device or a person would do it - by the programs' command lines and the
hub's public API; all listeners are on 127.0.0.1; nothing is left running; each simulated device's ledger is in `ledgers/`.
"""

import asyncio
import hashlib
import json
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil

from protocol.errors import RefusedError
from protocol.identifiers import StreamId
from simulators.clips import fit_clip
from simulators.devices.footage import Synthetic, synthesize
from simulators.partners.webhook import WebhookReceiver
from simulators.people.api import HubApi, hub_api
from simulators.people.diary import Diary
from simulators.people.tasks import TaskPlan, TaskSource
from simulators.port_trade import TRADER_FIRM, found_trade
from simulators.programs import Programs, answers, listens, program, until
from simulators.reference_data import TERMINAL
from storage.clock import SystemClock

BROKER = "broker"
SITE, HUB, BAY = "dayaowan", "hub-1", "bay-1"
RECORDER = "recorder-1"
CAMERA_LOGIN = "viewer"
PEOPLE = (
    ("chen.min", "supervisor", "陈敏"),
    ("zhou.jun", "supervisor", "周军"),
    ("li.wei", "inspector", "李伟"),
    ("wang.fang", "inspector", "王芳"),
)
OUTSIDE = (("shen.mao", "trader", "沈茂", TRADER_FIRM.code), ("dct.gate", "partner", "码头闸口", TERMINAL))
STREAMS_S = 60.0
ENROL_S = 30.0
PAIRED_S = 15.0
Transport = Literal["mqtt", "https"]


@dataclass(frozen=True, slots=True)
class PortPlan:
    """What the port is like. `footage` empty: synthetic pictures of `size` at `kbit`."""

    state: Path
    transport: Transport
    browser_port: int = 0
    footage: tuple[Path, ...] = ()
    footage_folder: Path | None = None
    boxes: int = 2
    cameras_per_box: int = 2
    size: tuple[int, int] = (1280, 720)
    kbit: int = 1500
    segment_seconds: int = 10
    seed: int = 1

    @property
    def cache(self) -> Path:
        """Give where clips and synthetic footage are kept."""
        return self.footage_folder or self.state / "footage"


@dataclass(frozen=True, slots=True)
class Login:
    """A person's login, made for this port only."""

    name: str
    role: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BoxPlace:
    """Where a box is: its files, and the address at which its recorders publish."""

    name: str
    config: Path
    state: Path
    recorder_port: int
    recorder_token: str = field(repr=False)

    @property
    def recorder_url(self) -> str:
        """Give the address at which its recorders publish."""
        return f"http://127.0.0.1:{self.recorder_port}"

    @property
    def recorder(self) -> str:
        """Give the stream of its recorder."""
        return StreamId.of(self.name, RECORDER)


@dataclass(frozen=True, slots=True)
class Farm:
    """Simulated cameras in one process: its port and which streams they are, in order."""

    name: str
    port: int
    streams: list[str]


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports of one port site; they stay the same over restarts."""

    browser: int
    device: int
    mqtt: int
    recorders: dict[str, int]


def choose_ports(plan: PortPlan) -> Ports:
    """Take free ports for everything that listens; the browsers' one is as planned, if it is."""
    browser, device, mqtt, *doors = free_ports(3 + plan.boxes)
    return Ports(plan.browser_port or browser, device, mqtt, {f"box-{at + 1}": door for at, door in enumerate(doors)})


def free_ports(count: int) -> list[int]:
    """Take free TCP ports of this machine; they are held together, so that no two are the same."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def is_free(port: int) -> bool:
    """Tell whether a TCP port of this machine can be bound."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_broker() -> str | None:
    """Give the mosquitto program of this machine, if there is one."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _film(plan: PortPlan) -> list[Path]:
    if plan.footage:
        return [fit_clip(path, plan.cache) for path in plan.footage]
    width, height = plan.size
    folder = plan.cache / f"synthetic-{width}x{height}-{plan.kbit}"
    synthesize(Synthetic(width, height, kbit=plan.kbit), folder)
    return sorted(folder.glob("*.mp4"))[:1]


class Port:
    """A running port; use it as an async context manager."""

    def __init__(self, plan: PortPlan, *, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.programs = Programs(plan.state / "logs", plan.state)
        self.boxes: list[BoxPlace] = []
        self.logins: list[Login] = []
        self.url = ""
        self.receiver = WebhookReceiver(b"", SystemClock())
        self._say = say
        self._stack = AsyncExitStack()
        self._clips: list[Path] = []
        self._ports = Ports(0, 0, 0, {})
        self._root = ""
        self._secret = secrets.token_hex(12)
        self._farms: list[Farm] = []

    @property
    def cameras(self) -> list[str]:
        """Give the streams of all cameras."""
        per_box = range(1, self.plan.cameras_per_box + 1)
        return [StreamId.of(f"box-{box}", f"cam-{number}") for box in range(1, self.plan.boxes + 1) for number in per_box]

    @property
    def ledgers(self) -> Path:
        """Give the folder of the simulated devices' ledgers."""
        return self.plan.state / "ledgers"

    @property
    def trust(self) -> Path:
        """Give the trust file for verifiers, which comes from the CA and not from the hub."""
        return self.plan.state / "trust.json"

    @property
    def _ca(self) -> Path:
        return self.plan.state / "ca"

    @property
    def _hub_config(self) -> Path:
        return self.plan.state / "hub.toml"

    @property
    def recorder_ledger(self) -> Path:
        """Give the recorder's ledger."""
        return self.ledgers / "recorder.jsonl"

    async def __aenter__(self) -> Self:
        await self.programs.__aenter__()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            await self.programs.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()
        await self.programs.close()

    async def _start(self) -> None:
        plan = self.plan
        self._ports = choose_ports(plan)
        self.ledgers.mkdir(parents=True, exist_ok=True)
        self._clips = await asyncio.to_thread(_film, plan)
        await self._found_site()
        await self._start_hub()
        self._say(f"hub at {self.url}, records by {plan.transport.upper()}")
        await self._add_people()
        await self._start_cameras()
        for box in range(1, plan.boxes + 1):
            await self._start_box(f"box-{box}")
        await self._start_recorder()
        self._say(f"{plan.boxes} boxes, {len(self.cameras)} cameras, recorder {self.boxes[0].recorder}")

    # ------------------------------------------------------------------ site, hub, boxes

    async def _found_site(self) -> None:
        """Make the site CA, the hub's certificates and the hub's state, as an administrator does once."""
        state = self.plan.state
        founded = json.loads(await self.programs.must(program("storage.authority", "init", self._ca, "--site", SITE, "--json")))
        self._root = str(founded["root_sha256"])
        await self.programs.must(program("storage.authority", "server", self._ca, "--hub", HUB, "--out", state / "hub/keys"))
        self._hub_config.write_text(self._hub_settings(), encoding="utf-8")
        made = json.loads(await self.programs.must(program("web", "init", "--config", self._hub_config, "--json")))
        self.logins.append(Login(made["administrator"], "administrator", made["password"]))

    def _hub_settings(self) -> str:
        ports, state = self._ports, self.plan.state
        broker = "spawn" if self.plan.transport == "mqtt" else "none"
        return (
            f'[port]\nsite = "{SITE}"\nid = "{HUB}"\nstate = "{state / "hub"}"\n\n'
            f"[browser]\nport = {ports.browser}\n\n[device]\nport = {ports.device}\n\n"
            f'[mqtt]\nbroker = "{broker}"\nport = {ports.mqtt}\n\n[live]\nhosts = ["127.0.0.1"]\n'
        )

    async def _start_hub(self) -> None:
        self.url = f"http://127.0.0.1:{self._ports.browser}"
        await self.programs.start("hub", program("web", "serve", "--config", self._hub_config), answers(f"{self.url}/api/v1/status"))

    async def _start_box(self, name: str) -> None:
        """Enrol a box with a one-time token, have the CA approve it, and start it."""
        box = BoxPlace(name, self.plan.state / f"{name}.toml", self.plan.state / name, self._ports.recorders[name], secrets.token_hex(24))
        box.config.touch(mode=0o600)
        box.config.write_text(self._box_settings(box), encoding="utf-8")
        async with self.session("administrator") as administrator:
            token = (await administrator.call("POST", "/enrolments/tokens", {"box": name}))["token"]
            enrolling = asyncio.create_task(
                self.programs.must(
                    program(
                        "edge",
                        "enrol",
                        "--config",
                        box.config,
                        "--hub",
                        self.url,
                        "--token",
                        self._told(f"{name}.token", token),
                        "--box",
                        name,
                        "--site",
                        SITE,
                        "--root",
                        self._root,
                    )
                )
            )
            try:
                await self._approve(administrator, name, enrolling)
                await enrolling
            finally:
                enrolling.cancel()
        await self.programs.start(name, program("edge", "run", "--config", box.config), listens(box.recorder_port))
        self.boxes.append(box)

    async def _approve(self, administrator: HubApi, name: str, enrolling: asyncio.Task[str]) -> None:
        async def is_waiting() -> bool:
            if enrolling.done():
                return True
            asked = (await administrator.call("GET", "/enrolments"))["enrolments"]
            return any(one["box"] == name and one["state"] == "waiting" for one in asked)

        await until(is_waiting, limit_s=ENROL_S, what=f"request of {name}")
        if not enrolling.done():
            ask = {"person": self.logins[0].name, "label": f"site CA, for {name}", "days": 1}
            token = (await administrator.call("POST", "/tokens", ask))["token"]
            await self.programs.must(
                program(
                    "storage.authority", "approve", "all", "--ca", self._ca, "--hub", self.url, "--token", self._told("ca.token", token)
                )
            )
            await self.programs.must(program("storage.authority", "trust", self._ca, "--hub", HUB, "--out", self.trust))

    def _box_settings(self, box: BoxPlace) -> str:
        plan = self.plan
        cameras = "".join(
            f'\n[[cameras]]\nsource = "{StreamId(stream).source}"\nurl = "{self._camera_url(stream)}"\n'
            f'username = "{CAMERA_LOGIN}"\npassword = "{self._secret}"\n'
            for stream in self.cameras
            if StreamId(stream).box == box.name
        )
        digest = hashlib.sha256(box.recorder_token.encode()).hexdigest()
        recorder = f'\n[[recorders]]\nsource = "{RECORDER}"\ntoken_sha256 = "{digest}"\n' if not self.boxes else ""
        return (
            f'state = "{box.state}"\n\n[capture]\nsegment_seconds = {plan.segment_seconds}\n\n[hub]\ntransport = "{plan.transport}"\n\n'
            f'[live]\nhosts = ["127.0.0.1"]\n\n[door]\nport = {box.recorder_port}\n{cameras}{recorder}'
        )

    # ------------------------------------------------------------------ devices

    async def _start_cameras(self) -> None:
        shared = [self.cameras[at :: len(self._clips)] for at in range(len(self._clips))]
        ports = free_ports(len(shared))
        for number, (streams, port) in enumerate(zip(shared, ports, strict=True)):
            self._farms.append(Farm(f"cameras-{number + 1}", port, streams))
        await asyncio.gather(*(self._start_farm(farm, number) for number, farm in enumerate(self._farms)))

    async def _start_farm(self, farm: Farm, number: int) -> None:
        command = program(
            "simulators", "camera", "--cameras", len(farm.streams), "--port", farm.port,
            "--auth", self._told("cameras.login", f"{CAMERA_LOGIN}:{self._secret}"),
            "--footage", self._clips[number], "--ledger", self.ledgers / f"{farm.name}.jsonl",
        )  # fmt: skip
        await self.programs.start(farm.name, command, listens(farm.port))

    def _camera_url(self, stream: str) -> str:
        farm = next(farm for farm in self._farms if stream in farm.streams)
        return f"rtsp://127.0.0.1:{farm.port}/cam/{farm.streams.index(stream)}"

    def camera_ledger(self, stream: str) -> tuple[Path, int]:
        """Give a camera's ledger and its number in it."""
        farm = next(farm for farm in self._farms if stream in farm.streams)
        return self.ledgers / f"{farm.name}.jsonl", farm.streams.index(stream)

    async def _start_recorder(self) -> None:
        box = self.boxes[0]
        command = program(
            "simulators", "recorder", "--whip", f"{box.recorder_url}/whip/{RECORDER}", "--token", self.recorder_token, "--reconnect",
            "--footage", self._clips[-1], "--ledger", self.recorder_ledger,
        )  # fmt: skip
        await self.programs.start("recorder", command)

    @property
    def recorder_token(self) -> str:
        """Give the argument that names the recorder's token without saying it: @FILE."""
        return self._told("recorder.token", self.boxes[0].recorder_token)

    def _told(self, name: str, secret: str) -> str:
        """Keep a secret in a file of this user's alone, and give the argument that names it: command lines can be read by anybody."""
        path = self.plan.state / name
        path.touch(mode=0o600)
        path.write_text(secret, encoding="utf-8")
        return f"@{path}"

    async def revive(self) -> list[str]:
        """Start again what ended by itself or was killed, as a service manager would; give the names."""
        ended = [name for name, each in self.programs.running.items() if not each.is_running]
        for name in ended:
            await self.programs.launch(name)
        return ended

    async def stop_devices(self) -> None:
        """Stop cameras and recorder, so that their ledgers are complete."""
        await asyncio.gather(*(self.programs.stop(name) for name in ["recorder", *(farm.name for farm in self._farms)]))

    # ------------------------------------------------------------------ people

    async def _add_people(self) -> None:
        async with self.session("administrator") as administrator:
            for name, role, display in PEOPLE:
                added = await administrator.call("POST", "/people", {"name": name, "role": role, "display": display})
                self.logins.append(Login(name, role, added["password"]))
            inspectors = {name: display for name, role, display in PEOPLE if role == "inspector"}
            await self._open_terminal(administrator)
            second = self.logins[1]
            await found_trade(administrator, {BAY: self.cameras}, inspectors, self.receiver.url, (second.name, second.password))
            for name, role, display, party in OUTSIDE:
                ask = {"name": name, "role": role, "display": display, "party": party}
                self.logins.append(Login(name, role, (await administrator.call("POST", "/people", ask))["password"]))

    @asynccontextmanager
    async def session(self, role: str) -> AsyncIterator[HubApi]:
        """Log in as the first person of a role."""
        login = next(login for login in self.logins if login.role == role)
        async with self.session_of(login.name) as api:
            yield api

    @asynccontextmanager
    async def session_of(self, name: str) -> AsyncIterator[HubApi]:
        """Log in as a person."""
        login = next(login for login in self.logins if login.name == name)
        async with hub_api(self.url) as api:
            await api.login(login.name, login.password)
            yield api

    async def _open_terminal(self, administrator: HubApi) -> None:
        """Open the terminal's own system, which takes the hub's notices under the key that the hub shows."""
        key = str((await administrator.call("GET", "/exchange/key"))["key"])
        self.receiver = await self._stack.enter_async_context(WebhookReceiver(bytes.fromhex(key), SystemClock()))

    def supervisor(self) -> AbstractAsyncContextManager[HubApi]:
        """Log in as the supervisor."""
        return self.session("supervisor")

    def inspector(self) -> AbstractAsyncContextManager[HubApi]:
        """Log in as the first inspector."""
        return self.session("inspector")

    async def open_task(self, supervisor: HubApi) -> str:
        """Open a task with both inspectors in the bay of all cameras, once these are recorded; give its id."""
        await self.await_streams(supervisor)
        inspectors = tuple(login.name for login in self.logins if login.role == "inspector")
        with Diary(SystemClock(), "tasks", self.ledgers / "tasks.jsonl") as diary:
            source = TaskSource(supervisor, TaskPlan(BAY, tuple(self.cameras), inspectors), diary, self.plan.seed)
            return str((await source.open())["task"])

    async def await_streams(self, api: HubApi) -> None:
        """Wait until all cameras and the recorder are being recorded."""
        wanted = {*self.cameras, self.boxes[0].recorder}

        async def all_record() -> bool:
            streams = (await api.call("GET", "/streams"))["streams"]
            return wanted <= {stream["stream"] for stream in streams if stream["state"] == "recording"}

        await until(all_record, limit_s=STREAMS_S, what=f"recording of {', '.join(sorted(wanted))}")

    async def await_paired(self, api: HubApi, task: str, stream: str) -> None:
        """Wait until the box has signed that the recorder is paired."""

        async def is_paired() -> bool:
            return any(bond["stream"] == stream and bond["state"] == "paired" for bond in (await api.task(task))["paired"])

        await until(is_paired, limit_s=PAIRED_S, what=f"pairing of {stream}")

    # ------------------------------------------------------------------ faults

    async def cut_power(self, name: str) -> None:
        """Kill a program (`hub`, `broker`, `box-1` ...) without warning and wait until it is back."""
        if name == BROKER:
            await self._kill_broker()
        else:
            await self.programs.kill(name)
            await self.programs.restart(name)

    async def _kill_broker(self) -> None:
        hub = self.programs.running["hub"].process
        children = psutil.Process(hub.pid).children(recursive=True) if hub is not None else []
        brokers = [child for child in children if "mosquitto" in child.name()]
        if not brokers:
            raise RefusedError("the hub runs no broker", where=BROKER)
        for broker in brokers:
            broker.kill()
        await until(listens(self._ports.mqtt), limit_s=STREAMS_S, what="a new broker")

    async def check(self) -> list[str]:
        """Stop hub and boxes and check the invariants of what is on their disks; give what does not hold."""
        faults = []
        checks = [(box.name, program("edge", "fsck", "--config", box.config)) for box in self.boxes]
        checks.append(("hub", program("web", "fsck", "--config", self._hub_config)))
        for name, command in checks:
            ended = await self.programs.stop(name)
            if ended != 0:
                faults.append(f"{name} ended with code {ended} when asked to stop: {self.programs.running[name].tail()[-500:]}")
            found = await self.programs.outcome(command)
            if found.code != 0:
                faults.append(f"fsck of {name}: {(found.out + found.err).strip()[-1000:]}")
        return faults
