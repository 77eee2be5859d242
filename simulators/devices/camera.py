"""The command line of the simulated cameras: `portwitness-sim camera`.

Guarantees: prints the cameras' addresses when they are ready, runs until its time is over or it is told to stop, and leaves a
complete ledger behind. Exit code 0, or 2 when what was asked for makes no sense.
"""

import argparse
import asyncio
import contextlib
import json
import re
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from protocol.errors import MalformedError, PortwitnessError, RefusedError
from simulators.devices.camera_farm import Farm, FarmPlan
from simulators.devices.camera_faults import KINDS, Fault, read_fault
from simulators.devices.footage import Footage, Synthetic, load, synthesize
from simulators.devices.ledger import LedgerWriter
from simulators.devices.rtsp_server import Guard

MAX_CAMERAS = 1024

EPILOG = f"""\
example:
  portwitness-sim camera --cameras 4 --port 8554 --footage synthetic --kbit 2000 --ledger cameras.jsonl \\
      --fault cam=1,at=12,kind=stall,seconds=8

The cameras are at rtsp://127.0.0.1:PORT/cam/0 and so on, over TCP and UDP.
Kinds of faults: {", ".join(KINDS)}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the cameras' options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--cameras", type=int, default=1, metavar="N", help="how many cameras (default 1)")
    parser.add_argument("--port", type=int, default=8554, help="TCP port on 127.0.0.1, 0 for any free one (default 8554)")
    parser.add_argument("--footage", default="synthetic", metavar="FILE|synthetic|live", help="an MP4 with H.264, made and looped, or live")
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="picture size of synthetic footage (default 1280x720)")
    parser.add_argument("--fps", type=int, default=25, help="pictures a second of synthetic footage (default 25)")
    parser.add_argument("--kbit", type=int, default=2000, help="bit rate of synthetic footage in kbit/s (default 2000)")
    parser.add_argument("--gop", type=int, default=50, help="pictures from keyframe to keyframe (default 50)")
    parser.add_argument("--loop", type=int, default=10, metavar="SECONDS", help="length of the synthetic loop (default 10)")
    parser.add_argument("--profile", default="main", choices=("baseline", "main", "high"), help="H.264 profile (default main)")
    parser.add_argument("--b-frames", type=int, default=0, metavar="N", help="B-frames in a row (default 0)")
    parser.add_argument("--audio", action="store_true", help="synthetic footage has an AAC tone")
    parser.add_argument("--auth", default="", metavar="USER:PASSWORD", help="ask for this login (digest); `@FILE` reads it from a file")
    parser.add_argument("--algorithm", default="MD5", choices=("MD5", "SHA-256"), help="digest algorithm (default MD5)")
    parser.add_argument(
        "--join", default="live", choices=("live", "idr"), help="first picture a client gets: the next, or the next keyframe"
    )
    parser.add_argument("--session-seconds", type=float, default=60.0, help="end sessions that are not kept alive (default 60)")
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC", help="cam=N|all,at=S,kind=KIND,seconds=S[,value=V]; repeat")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="write the ground truth here, as JSON lines")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep encoded synthetic footage here (default: a temporary folder)")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="N", help="stop after this time (default: run until told to stop)")
    parser.add_argument("--json", action="store_true", help="print one JSON object when ready and one at the end")


def run(args: argparse.Namespace) -> int:
    """Run the cameras as asked; return the exit code."""
    try:
        with contextlib.ExitStack() as held:
            cache = args.cache or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="portwitness-footage-")))
            plan = make_plan(args, cache)
            ledger = held.enter_context(LedgerWriter(args.ledger))
            asyncio.run(_serve(plan, ledger, args.seconds, as_json=args.json))
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim camera: {error}\n")
        return 2
    return 0


def make_plan(args: argparse.Namespace, cache: Path) -> FarmPlan:
    """Return the farm that the arguments describe.

    Raises MalformedError or RefusedError naming the option.
    """
    if not 1 <= args.cameras <= MAX_CAMERAS:
        raise RefusedError(f"expected 1 to {MAX_CAMERAS}", where="--cameras")
    faults = tuple(read_fault(text) for text in args.fault)
    for fault in faults:
        if fault.cam is not None and fault.cam >= args.cameras:
            raise RefusedError(f"camera {fault.cam} does not exist", where="--fault")
    synthetic = _synthetic(args)
    live = replace(synthetic, seconds=1, b_frames=0, has_audio=False) if args.footage == "live" else None
    is_made = args.footage in ("synthetic", "live")
    footage = synthesize(live or synthetic, cache) if is_made else load(Path(args.footage))
    user, _, password = args.auth.partition(":")
    return FarmPlan(
        footage,
        cameras=args.cameras,
        port=args.port,
        guard=Guard(user, password, (args.algorithm,)),
        faults=faults,
        alternatives=_alternatives(faults, synthetic, footage, cache),
        live=live,
        session_s=args.session_seconds,
        joins_at_key=args.join == "idr",
    )


def _synthetic(args: argparse.Namespace) -> Synthetic:
    size = re.fullmatch(r"(\d{2,4})x(\d{2,4})", args.size)
    if size is None:
        raise MalformedError(f"{args.size!r}: expected WIDTHxHEIGHT, as in 1280x720", where="--size")
    for name in ("fps", "kbit", "gop", "loop"):
        if getattr(args, name) < 1:
            raise RefusedError("expected 1 or more", where=f"--{name}")
    return Synthetic(int(size[1]), int(size[2]), args.fps, args.loop, args.kbit, args.gop, args.profile, args.b_frames, args.audio)


def _alternatives(faults: tuple[Fault, ...], synthetic: Synthetic, footage: Footage, cache: Path) -> dict[str, Footage]:
    width, height = (side // 4 * 2 for side in (footage.width, footage.height))
    plans = {
        "resolution": replace(synthetic, width=width, height=height, kbit=max(synthetic.kbit // 2, 100)),
        "bframes": replace(synthetic, width=footage.width, height=footage.height, b_frames=2, profile="main"),
    }
    wanted = {fault.kind for fault in faults}
    return {kind: synthesize(plan, cache) for kind, plan in plans.items() if kind in wanted}


async def _serve(plan: FarmPlan, ledger: LedgerWriter, seconds: float, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Farm(plan, ledger) as farm:
        urls = [farm.url(camera.number) for camera in farm.cameras]
        footage = plan.footage
        facts = {"ready": True, "port": farm.port, "urls": urls, "footage": footage.name, "fps": footage.fps}
        _say(
            facts if as_json else f"{len(urls)} cameras ready: {urls[0]} ... ({footage.width}x{footage.height}, {footage.fps:g} pictures/s)"
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds or None)
        sent = [camera.frames_sent for camera in farm.cameras]
    _say({"ready": False, "frames_sent": sent} if as_json else f"{sum(sent)} pictures sent")


def _say(what: object) -> None:
    sys.stdout.write((what if isinstance(what, str) else json.dumps(what)) + "\n")
    sys.stdout.flush()
