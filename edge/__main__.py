"""The program of a box: `portwitness-edge run|enrol|status|fsck --config FILE`. The composition root; nobody imports it."""

import argparse
import asyncio
import ctypes
import json
import logging
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from edge.agent import Agent, Identity, Surroundings, make_rtsp_camera
from edge.config import EXAMPLE, EdgeSettings, Enrolled, load
from protocol.errors import PortwitnessError, StorageError
from protocol.identifiers import BoxId, SiteId
from protocol.notes import MAX_NOTE_BYTES
from protocol.trust import MAX_TRUST_BYTES, Trust
from storage.clock import SystemClock
from storage.files import read_file
from storage.key_tokens import load_identity

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # malloc.h
_PR_SET_DUMPABLE = 4  # linux/prctl.h
LARGE_BLOCK_BYTES = 256 << 10
TALKATIVE = ("aioice", "aiortc")  # at INFO they tell of every candidate of every live session: the box's own lines drown
EXIT_OK, EXIT_BAD, EXIT_INPUT = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the program; give its exit code: 0 well, 1 something is wrong, 2 unusable input."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "enrol":
            return _enrol(options)
        settings = load(options.config)
        start_log(settings)
        if options.command == "run":
            _keep_memory_small()
            keep_memory_private()
            boot_id = UUID(BOOT_ID.read_text().strip()).bytes
            asyncio.run(_run(Agent(settings, _identity(settings), Surroundings(SystemClock(), boot_id, make_rtsp_camera))))
            return EXIT_OK
        return _WORK[options.command](options, settings)
    except PortwitnessError as error:
        print(f"portwitness-edge: {error}", file=sys.stderr)
        return EXIT_INPUT


def _parser() -> argparse.ArgumentParser:
    file = EXAMPLE.replace("\n", "\n  ")
    example = f"example:\n  portwitness-edge run --config /etc/portwitness/edge.toml\n\na settings file:\n  {file}"
    parser = argparse.ArgumentParser(
        prog="portwitness-edge", description="Record, sign and forward at the dock.", epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter, fromfile_prefix_chars="@",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("run", "record until told to stop"),
        ("status", "show how a running box does (needs its door)"),
        ("fsck", "check the state folder of a box that does not run"),
        ("checkpoint-in", "give a checkpoint of the port log to a running box that has no network (needs its door)"),
        ("head", "show the newest sealed head of a running box, to carry to the hub (needs its door)"),
        ("enrol", "make keys and ask the hub for certificates"),
    ):
        more = _EXAMPLES.get(name, "")
        one = commands.add_parser(
            name, help=text, description=text.capitalize() + ".", epilog=f"example: portwitness-edge {name} --config edge.toml{more}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.add_argument("--config", type=Path, required=True, help="settings file (TOML)")
        if name != "run":
            one.add_argument("--json", action="store_true", help="print the result as JSON")
        if name == "checkpoint-in":
            one.add_argument("file", type=Path, metavar="FILE", help="the signed checkpoint, as the hub publishes it")
        if name == "enrol":
            one.add_argument("--hub", required=True, help="the hub's browser address, https://host:port")
            one.add_argument(
                "--token",
                required=True,
                help="one-time token from the administrator; `@FILE` reads it from a file, so that it is in no process list",
            )
            one.add_argument("--root", required=True, help="SHA-256 fingerprint of the site's root certificate, in hex")
            one.add_argument("--site", required=True, type=SiteId, help="name of the site")
            one.add_argument("--box", required=True, type=BoxId, help="name of this box")
            one.add_argument("--authority", type=Path, help="CA certificate of the hub's browser port, when it is not a public one")
            one.add_argument("--timeout", type=float, default=3600.0, help="how long to wait for the approval, in s (default 3600)")
    return parser


_EXAMPLES = {
    "checkpoint-in": " checkpoint.txt",
    "enrol": " --hub https://hub.port.example:8080 --token @token.txt \\\n    --root 5d1c... --site dayaowan --box box-1",
}


def _keep_memory_small() -> None:
    """Tell glibc to give large blocks back at once and not to keep an arena per thread; other libraries have no such call."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def keep_memory_private() -> None:
    """Let no crash write session keys to disk, and no process of the same account read them: no core dump, no ptrace."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        logging.getLogger(__name__).warning("the kernel does not keep this process from being dumped")


def start_log(settings: EdgeSettings) -> None:
    """Log to standard error; of libraries only what is wrong, unless everything is asked for."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING if settings.log_level == "info" else logging.NOTSET)


def _identity(settings: EdgeSettings) -> Identity:
    keys = settings.state / "keys"
    if not (keys / "box.json").exists():
        raise StorageError("is not enrolled yet: run `portwitness-edge enrol` first", where=str(keys / "box.json"))
    enrolled = Enrolled.load(keys / "box.json")
    trust_file = keys / "trust.json"
    trust = Trust.parse(read_file(trust_file, MAX_TRUST_BYTES)) if trust_file.exists() else None
    return Identity(enrolled, load_identity(settings.keys.identity, keys / "identity.key"), trust, keys)


async def _run(agent: Agent) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    await agent.run()


def _status(options: argparse.Namespace, settings: EdgeSettings) -> int:
    from edge.status import ask, show

    status = ask(settings)
    print(json.dumps(status, ensure_ascii=False, indent=2) if options.json else show(status))
    return EXIT_OK


def _bring(options: argparse.Namespace, settings: EdgeSettings) -> int:
    from edge.status import bring

    taken = bring(settings, read_file(options.file, MAX_NOTE_BYTES))
    print(json.dumps({"taken": taken}) if options.json else f"took {taken}")
    return EXIT_OK


def _head(options: argparse.Namespace, settings: EdgeSettings) -> int:
    from edge.status import head

    text = head(settings).strip()
    print(json.dumps({"head": text}) if options.json else text)
    return EXIT_OK


def _fsck(options: argparse.Namespace, settings: EdgeSettings) -> int:
    from edge.fsck import check_box

    identity = _identity(settings)
    found = check_box(settings.state, identity.enrolled.box, (identity.signer.public,))
    if options.json:
        print(json.dumps({"records": found.records, "segments": found.segments, "faults": found.faults}, ensure_ascii=False))
    else:
        print("\n".join([*found.faults, f"{found.records} records, {found.segments} segments, {len(found.faults)} faults"]))
    return EXIT_BAD if found.faults else EXIT_OK


def _enrol(options: argparse.Namespace) -> int:
    from edge.enrolment import EnrolmentPlan, enrol

    settings = load(options.config)
    plan = EnrolmentPlan(
        options.box, options.site, options.hub, options.token, options.root, settings.state, options.authority, options.timeout,
        settings.keys.identity,
    )  # fmt: skip
    enrolled = enrol(plan, SystemClock(), lambda line: print(line, file=sys.stderr))
    print(json.dumps(asdict(enrolled), indent=2) if options.json else f"{enrolled.box} is enrolled at {enrolled.site}")
    return EXIT_OK


_WORK: dict[str, Callable[[argparse.Namespace, EdgeSettings], int]] = {
    "status": _status, "fsck": _fsck, "checkpoint-in": _bring, "head": _head,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
