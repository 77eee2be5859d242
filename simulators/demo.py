"""The demonstration: a whole port on this machine to look at, or one way from declaration to gate-out without anybody looking (`--once`).

Guarantees: prints what it started and how to log in; with `--once` the last line of its output is one JSON object, and the exit
code is 0 only when all is well.
"""

import argparse
import asyncio
import contextlib
import fcntl
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from protocol.errors import PortwitnessError, RefusedError
from simulators.clearance import Clearance
from simulators.people.api import HubApi
from simulators.port import Port, PortPlan, Transport, find_broker, is_free
from simulators.rehearsal import Script, rehearse

ROOT = Path(__file__).resolve().parent.parent
FOOTAGE = ROOT.parent / "shared" / "video"
CLIPS = ("car-detection.mp4", "one-by-one-person-detection.mp4")
USUAL_PORT = 8080
STATUS_S = 1.0
ACT_S = 1.0  # between the acts of a checklist
EXAMPLE = """examples:
  portwitness-sim demo                         a port to look at; Ctrl-C ends it
  portwitness-sim demo --once                  from declaration to gate-out, with a power cut, exported and verified
  portwitness-sim demo --once --tamper         the same, the export spoiled by one bit: must end with 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim demo` understands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--once",
        action="store_true",
        help="from declaration to gate-out without anybody looking; the last line printed is its JSON verdict",
    )
    parser.add_argument(
        "--tamper", action="store_true", help="with --once: flip one bit of the export, so that the verifier must refuse it"
    )
    parser.add_argument("--seconds", type=float, default=62.0, help="with --once: length of the inspection (default 62)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the task's facts and the bit of --tamper (default 1)")
    parser.add_argument("--transport", choices=("mqtt", "https"), help="how records travel (default: mqtt where mosquitto is installed)")
    parser.add_argument("--port", type=int, help=f"port for browsers (default {USUAL_PORT} if free; any free one with --once)")
    parser.add_argument("--state", type=Path, default=ROOT / ".state" / "demo", metavar="DIR", help="where the port's state goes")
    parser.add_argument("--keep", action="store_true", help="keep the state afterwards")
    parser.add_argument("--synthetic", action="store_true", help="film synthetic pictures even where real footage is present")


def run(args: argparse.Namespace) -> int:
    """Run the demonstration; give the exit code."""
    try:
        return asyncio.run(_run(args))
    except (PortwitnessError, OSError) as error:
        _say(f"portwitness-sim demo: {error}")
        return 1


async def _run(args: argparse.Namespace) -> int:
    work = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel if work else sys.exit)
    with _alone(args.state):
        return await _perform(args)


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Hold a state folder for this demonstration alone; raise RefusedError while another one runs in it."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(f"{state.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                "another demonstration runs here; end it, or give this one its own folder by --state DIR", where=str(state)
            ) from error
        yield


async def _perform(args: argparse.Namespace) -> int:
    if args.state.exists():
        await asyncio.to_thread(shutil.rmtree, args.state)
    is_done = False
    try:
        async with Port(_plan(args), say=_say) as port:
            code = await (_once(port, args) if args.once else _show(port))
        is_done = code == 0 or args.tamper
        return code
    except asyncio.CancelledError:
        _say("stopped")
        is_done = True
        return 130 if args.once else 0
    finally:
        if is_done and not args.keep:
            await asyncio.to_thread(shutil.rmtree, args.state, ignore_errors=True)
        elif args.state.exists():
            _say(f"state and logs are in {args.state}")


def _plan(args: argparse.Namespace) -> PortPlan:
    transport: Transport = args.transport or ("mqtt" if find_broker() else "https")
    if transport == "https" and args.transport is None:
        _say("mosquitto is not installed: records travel by HTTPS")
    footage = tuple(FOOTAGE / clip for clip in CLIPS if (FOOTAGE / clip).exists()) if not args.synthetic else ()
    browser = args.port if args.port is not None else (USUAL_PORT if not args.once and is_free(USUAL_PORT) else 0)
    return PortPlan(args.state.absolute(), transport, browser, footage, seed=args.seed)


async def _once(port: Port, args: argparse.Namespace) -> int:
    findings = await rehearse(port, Script(seconds=args.seconds, tamper=args.tamper, seed=args.seed), _say)
    for each in findings.accounts:
        _say(
            f"{each.stream}: {each.recorded} of {each.sent} frames recorded ({each.percent:.2f} % of the time), "
            f"{each.in_gaps} in signed gaps, "
            f"{len(each.unexplained)} unexplained, {each.foreign} foreign, {each.twice} twice"
        )
    for fault in findings.faults:
        _say(f"NOT WELL: {fault}")
    sys.stdout.write(findings.line() + "\n")
    sys.stdout.flush()
    return 0 if findings.is_well else 1


async def _show(port: Port) -> int:
    async with port.supervisor() as supervisor:
        clearance = Clearance(port, _say, port.plan.seed)
        await port.await_streams(supervisor)
        await _through(port, clearance, supervisor)
        waiting = Clearance(port, _say, port.plan.seed + 1)
        task = await waiting.dispatched(supervisor)
        async with port.session_of(waiting.team[0]) as lead:
            await lead.pair(task, port.boxes[0].recorder)
        _tell(port, clearance, waiting)
        while True:
            for name in await port.revive():
                _say(f"\n{name} ended; it was started again")
            line = await _status(supervisor, task)
            sys.stderr.write(f"\r\033[K{line}" if sys.stderr.isatty() else f"{line}\n")
            sys.stderr.flush()
            await asyncio.sleep(STATUS_S if sys.stderr.isatty() else 10 * STATUS_S)


async def _through(port: Port, clearance: Clearance, supervisor: HubApi) -> None:
    """Take a consignment from its declaration to the gate, others beside it, and one that nobody released."""
    task = await clearance.dispatched(supervisor)
    stream = port.boxes[0].recorder
    async with port.session_of(clearance.team[0]) as lead:
        await lead.pair(task, stream)
        await port.await_paired(supervisor, task, stream)
        _say(f"{stream} paired with {task}; the checklist is worked")
        async for _act in clearance.work(task):
            await asyncio.sleep(ACT_S)
        await clearance.released(supervisor)
        await lead.unpair(task, stream)
    await supervisor.end_task(task)
    await clearance.stolen(supervisor)


def _tell(port: Port, done: Clearance, waiting: Clearance) -> None:
    """Say how to log in, and what there is to look at."""
    box = port.boxes[0]
    _say(f"\n  {port.url}\n")
    for login in port.logins:
        _say(f"  {login.role:<14} {login.name:<12} {login.password}")
    _say(
        f"""
  as chen.min (supervisor): the wall; {port.url}/declarations/{done.inspected} went from declaration to gate-out,
    {port.url}/tasks/{done.tasks[0]} tells it in one timeline; {port.url}/alarms rings for {done.stray}, which left without a release;
    {port.url}/desk waits for releases, {port.url}/exchange shows what the terminal was told, {port.url}/draws how it was drawn
  as {waiting.team[0]} (inspector, lead): {port.url}/work/{waiting.tasks[0]} is the checklist of {waiting.inspected}, which waits for you
  as shen.mao (trader): {port.url}/declarations are the enterprise's own; lodge another one
  as admin: people, rights, reference data

  Ctrl-C ends it all. Settings, state and logs of each program: {port.plan.state}; what is killed is started again
  to pair by code: free the recorder on the task's page, show a code there, and give it to the box:
    curl {box.recorder_url}/whip/recorder-1/pair -H 'Content-Type: application/json' \\
      -H "Authorization: Bearer $(cat {port.recorder_token[1:]})" -d '{{"code": "482913"}}'
"""
    )


async def _status(api: HubApi, task: str) -> str:
    with contextlib.suppress(PortwitnessError):
        shown = await api.timeline(task)
        devices = (await api.call("GET", "/devices"))["devices"]
        pieces = [piece for lane in shown["lanes"] for piece in lane["segments"]]
        verified = sum(1 for piece in pieces if piece["state"] == "verified")
        leaves = (await api.send("GET", "/log/checkpoint")).text.split("\n")[1]
        reports = [box["report"] for box in devices if box["report"]]
        backlog = sum(report["unsent_records"] + report["unsent_blobs"] for report in reports)
        declared = (await api.call("GET", "/declarations?limit=500"))["declarations"]
        out = sum(1 for one in declared if one["state"] == "gate-out")
        viewers = sum(stream.get("viewers", 0) for stream in (await api.call("GET", "/streams"))["streams"])
        online = sum(1 for box in devices if box["online"])
        return (
            f"{len(declared)} declarations ({out} out of the gate), {online} of {len(devices)} boxes online, "
            f"{len(pieces)} segments ({verified} verified), a log of {leaves} leaves, "
            f"backlog {backlog}, {viewers} live viewers"
        )
    return "the hub does not answer"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
