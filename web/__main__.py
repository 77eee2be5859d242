"""Be the program `portwitness-hub`: found a hub, serve it, keep its people, export, check.

The composition root of the hub's side: it builds the hub by `hub/app.py`, puts the face on, and runs both ports in one loop.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from hub.access import ROLES, PersonDraft
from hub.app import Hub
from hub.check import check_hub
from hub.config import HubSettings, load
from hub.erasing import parse_place
from hub.export import TimeWish
from hub.founding import found, open_house, run_hub
from hub.inspection.rule_commands import add_rules, answer_rule
from protocol.errors import MalformedError, PortwitnessError, RefusedError, StorageError
from protocol.instants import MILLISECOND_NS
from web.browser_app import browser_app
from web.device_routes import DeviceRoutes
from web.serving import Listener, ServerKeys, check_listener, serving

# At INFO these tell each step: uvicorn of both ports, so that every line came twice, aioice of every candidate of every viewer.
TALKATIVE = ("uvicorn", "aioice", "aiortc", "httpx")
Answer = dict[str, Any]
Command = Callable[[HubSettings, argparse.Namespace], Coroutine[Any, Any, Answer]]
_EXAMPLE = """example:
  portwitness-hub init --config hub.toml                        # prints the first administrator's password, once
  portwitness-ca server ca/ --hub hub-1 --out hub-state/keys
  portwitness-hub serve --config hub.toml
"""


def browser_listener(settings: HubSettings) -> Listener:
    """Give the listener for people; raise MalformedError when only one of certificate and key is set."""
    browser = settings.browser
    if (browser.certificate is None) != (browser.key is None):
        raise MalformedError("certificate and key go together", where="browser")
    keys = ServerKeys(browser.certificate, browser.key) if browser.certificate and browser.key else None
    return Listener("browser port", browser.host, browser.port, keys)


def device_listener(settings: HubSettings) -> Listener:
    """Give the listener for boxes; raise StorageError when its certificates are not there."""
    device, folder = settings.device, settings.keys
    keys = ServerKeys(
        device.certificate or folder / "device.pem", device.key or folder / "device.key", device.authorities or folder / "site.pem"
    )
    for path in (keys.certificate, keys.key, keys.clients):
        if path is not None and not path.is_file():
            raise StorageError("is missing: make it with `portwitness-ca server`", where=str(path))
    return Listener("device port", device.host, device.port, keys)


async def run(hub: Hub, stop: asyncio.Event, ready: Callable[[str, str], None]) -> None:
    """Serve both ports until `stop` is set; `ready` gets their addresses."""
    settings = hub.core.settings
    people, boxes = browser_listener(settings), device_listener(settings)
    check_listener(people)
    closing = asyncio.Event()
    face = browser_app(hub, secure=people.keys is not None, closing=closing)
    routes = DeviceRoutes(hub, closing, settings.blobs.largest_mb * 1_000_000)
    async with serving(((face, people), (routes.app(), boxes))) as ports:
        ready(ports[0].url, ports[1].url)
        ended = [asyncio.ensure_future(stop.wait()), *(port.task for port in ports)]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        ended[0].cancel()
        closing.set()
        await face.state.watching.close()


def start_log() -> None:
    """Log to standard error; of libraries only what is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


async def serve(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Serve until told to stop."""
    start_log()
    check_listener(browser_listener(settings))
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def ready(people: str, boxes: str) -> None:
        line = {"ready": True, "browser_url": people, "device_url": boxes}
        print(json.dumps(line) if options.json else f"ready: people at {people}, boxes at {boxes}", flush=True)

    async with run_hub(settings) as hub:
        await run(hub, stop, ready)
    return {"stopped": True}


async def init(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Make the hub's key, tables and first administrator."""
    password, vkey = await found(settings, options.administrator)
    return {"administrator": options.administrator, "password": password, "log": vkey, "keys": str(settings.keys)}


async def user(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Add, change or list people."""
    async with open_house(settings) as house:
        by = str(house.core.issuer)
        if options.act == "list":
            people = await house.access.people()
            return {"people": [{"name": one.name, "role": one.role, "party": one.party, "disabled": one.disabled} for one in people]}
        name = _need(options.name, "NAME")
        if options.act == "add":
            told = await asyncio.to_thread(_password_from, options.password_file)
            draft = PersonDraft(name, _need(options.role, "--role"), options.display, told, options.party)
            person, password = await house.access.add(draft, by)
            return {"name": person.name, "role": person.role, "party": person.party, "password": password}
        if options.act == "password":
            told = await asyncio.to_thread(_password_from, options.password_file)
            return {"name": name, "password": await house.access.set_password(name, by, told)}
        disabled = {"disable": True, "enable": False}.get(options.act)
        person = await house.access.change(name, by, role=options.role, party=options.party, disabled=disabled)
        return {"name": person.name, "role": person.role, "party": person.party, "disabled": person.disabled}


async def token(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Make an API token for a person, or a one-time enrolment token for a box."""
    async with open_house(settings) as house:
        by = str(house.core.issuer)
        if options.act == "box":
            made = await house.enrolment.make_token(options.name, by)
            return {"box": made.box, "token": made.token}
        api = await house.access.make_token(options.name, options.label, options.days, by)
        return {"person": api.person, "id": api.id, "token": api.token}


async def trust(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Give what this hub claims; compare it with what the port publishes."""
    async with open_house(settings) as house:
        return dict(json.loads(house.enrolment.trust().encode()))


async def export(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Export a task, or streams over a time, while no hub serves on this state."""
    if bool(options.task) == bool(options.stream):
        raise MalformedError("name a task, or streams by --stream", where="export")
    async with run_hub(settings) as hub:
        if options.task:
            folder = await hub.export.make(options.task, options.by)
        else:
            start, end = (_wall_ns(_need(getattr(options, name), f"--{name}"), name) for name in ("from", "to"))
            folder = await hub.export.make_time(TimeWish(tuple(options.stream), start, end), options.by)
        state = await hub.export.get(folder.parent.name)
        return {"task": state.task, "folder": str(folder), "bundle": str(folder.parent / "bundle.zip"), "notes": list(state.notes)}


def _wall_ns(text: str, name: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedError(f"{text[:40]!r} is no time such as 2026-11-23T08:00:00+08:00", where=f"--{name}") from error
    if at.tzinfo is None:
        raise MalformedError("names no time zone: write Z or +08:00 behind it", where=f"--{name}")
    return round(at.timestamp() * 1000) * MILLISECOND_NS


async def erase(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Have the salt and body of a concealed record erased: the hub that serves, or the next one to serve, logs it and does it."""
    async with open_house(settings) as house:
        position = parse_place(options.record, house.core.issuer)
        found = await house.erasing.erase(position, options.by, options.reason)
        return {"records": list(found), "by": options.by, "state": "erased with the hub's next checkpoint"}


async def fsck(settings: HubSettings, options: argparse.Namespace) -> Answer:
    """Check the hub's invariants; `problems` is empty when all is well."""

    def say(text: str) -> None:
        if not options.json:
            print(f"checking {text}", file=sys.stderr)

    answer = await check_hub(settings, hash_blobs=not options.quick, progress=say)
    return asdict(answer) | {"problems": list(answer.problems)}


def _need(value: str | None, name: str) -> Any:  # noqa: ANN401 - whatever the option's type
    if not value:
        raise MalformedError("is needed", where=name)
    return value


def _password_from(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except OSError as error:
        raise StorageError(f"cannot read it: {error.strerror}", where=str(path)) from error


_COMMANDS: dict[str, tuple[Command, str]] = {
    "serve": (serve, "serve people and boxes"),
    "init": (init, "make keys, tables and the first administrator"),
    "user": (user, "people: add, list, role, password, disable, enable"),
    "token": (token, "tokens: api (for a program), box (for an enrolment)"),
    "trust": (trust, "print this hub's trust file"),
    "export": (export, "export a task, or streams over a time, as a bundle that outsiders verify"),
    "erase": (erase, "erase the personal data of a record (an administrator's act, itself a record)"),
    "fsck": (fsck, "check journals, log, blobs and tables; exit 1 when something is wrong"),
}


def parser() -> argparse.ArgumentParser:
    """Give the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("portwitness-hub", description="The centre of Portwitness.", epilog=_EXAMPLE, formatter_class=raw)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {}
    for name, (_, about) in _COMMANDS.items():
        example = f"example:\n  portwitness-hub {_EXAMPLES[name]}"
        made[name] = commands.add_parser(name, help=about, description=about, epilog=example, formatter_class=raw)
        made[name].add_argument("--config", type=Path, required=True, metavar="FILE", help="settings (TOML)")
        made[name].add_argument("--json", action="store_true", help="print the result as one JSON object")
    made["init"].add_argument("--administrator", default="admin", metavar="NAME", help="name of the first administrator")
    people = made["user"]
    people.add_argument("act", choices=("list", "add", "role", "password", "disable", "enable"))
    people.add_argument("name", nargs="?", metavar="NAME")
    people.add_argument("--role", choices=ROLES)
    people.add_argument("--party", help="the enterprise or partner that a trader or a partner acts for, by its key in the reference data")
    people.add_argument("--display", default="", help="the name people read")
    people.add_argument("--password-file", type=Path, metavar="FILE", help="read the password from here; else one is generated")
    made["export"].add_argument("task", metavar="TASK", nargs="?", help="the task; without one, streams over a time")
    made["export"].add_argument("--stream", action="append", metavar="BOX/SOURCE", help="a stream to export; repeatable")
    made["export"].add_argument("--from", metavar="TIME", help="from when, e.g. 2026-11-23T08:00:00+08:00")
    made["export"].add_argument("--to", metavar="TIME", help="until when; it must have passed")
    made["export"].add_argument("--by", default="admin", metavar="PERSON", help="who exports: it is a record")
    made["erase"].add_argument("record", metavar="RECORD", help="its number in the port log, or issuer/0/number")
    made["erase"].add_argument("--by", required=True, metavar="PERSON", help="the administrator who answers for it")
    made["erase"].add_argument("--reason", required=True, help="why; it stays in the log for ever, so name nobody")
    made["fsck"].add_argument("--quick", action="store_true", help="do not hash every blob")
    tokens = made["token"]
    tokens.add_argument("act", choices=("api", "box"))
    tokens.add_argument("name", metavar="NAME", help="the person, or the box")
    tokens.add_argument("--label", default="command line")
    tokens.add_argument("--days", type=int, default=90)
    add_rules(commands)
    return top


_EXAMPLES = {
    "serve": "serve --config hub.toml",
    "init": "init --config hub.toml --administrator admin",
    "user": "user --config hub.toml add li.wei --role inspector --display 李伟",
    "token": "token --config hub.toml api admin --label ca --days 30",
    "trust": "trust --config hub.toml > trust.json",
    "export": "export --config hub.toml T-20261123-0001 --by chen.min",
    "erase": 'erase --config hub.toml 1234 --by admin --reason "request of 3 March, granted"',
    "fsck": "fsck --config hub.toml --json",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; give 0 when done, 1 when refused, 2 when the settings or the input are wrong."""
    options = parser().parse_args(arguments)
    if options.command == "rules":
        return answer_rule(options)
    try:
        answer = asyncio.run(_COMMANDS[options.command][0](_settings(options.config), options))
    except PortwitnessError as error:
        print(f"portwitness-hub: {error}", file=sys.stderr)
        return 2 if isinstance(error, MalformedError | RefusedError) else 1
    if options.json or options.command == "trust":
        print(json.dumps(answer, ensure_ascii=False))
    elif options.command != "serve":
        for key, value in answer.items():
            print(f"{key}: {value}")
    return 1 if answer.get("problems") else 0


def _settings(path: Path) -> HubSettings:
    try:
        return load(path)
    except OSError as error:
        raise MalformedError(f"cannot read it: {error.strerror}", where=str(path)) from error


if __name__ == "__main__":
    sys.exit(main())
