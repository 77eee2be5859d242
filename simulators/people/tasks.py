"""Open and end inspection tasks at anybody's hub, as a port's system does: by the public API and a token or a login.

Guarantees: the same seed gives the same tasks, fact for fact; each act is in the diary after the hub confirmed it.
"""

import argparse
import asyncio
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol.errors import PortwitnessError
from protocol.identifiers import BayId, PersonId, StreamId, TaskId
from simulators.people.api import HubApi, hub_api
from simulators.people.containers import container_number
from simulators.people.diary import Diary
from storage.clock import SystemClock

EXAMPLE = """example:
  portwitness-sim tasks --hub http://127.0.0.1:8080 --login customs --password-file pw.txt \\
      --bay bay-1 --cameras box-1/cam-1 box-1/cam-2 --inspectors li.wei wang.fang --end-after 60 --json
"""
# Harmonized System codes with what they stand for: what an inspector meets on a dock.
_GOODS = (
    ("0207149000", "冻鸡块 / frozen chicken cuts"),
    ("0303890090", "冻鱼 / frozen fish"),
    ("0810500000", "猕猴桃 / kiwifruit"),
    ("1201901100", "黄大豆 / soya beans"),
    ("4407119099", "松木板材 / pine boards"),
    ("4707100000", "回收纸板 / recovered board"),
    ("8517130000", "智能手机 / smartphones"),
    ("8708999990", "汽车零件 / motor-car parts"),
)


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """Where the tasks of a source happen and who works on them."""

    bay: str
    cameras: tuple[str, ...]
    inspectors: tuple[str, ...]
    prefix: str = "T"

    def __post_init__(self) -> None:
        BayId(self.bay)
        for camera in self.cameras:
            StreamId(camera)
        for inspector in self.inspectors:
            PersonId(inspector)


@dataclass(slots=True)
class TaskSource:
    """Makes tasks by seed and asks the hub to open and end them."""

    api: HubApi
    plan: TaskPlan
    diary: Diary
    seed: int = 1
    opened: list[str] = field(default_factory=list)
    _draw: random.Random | None = None

    def next_task(self) -> dict[str, Any]:
        """Draw the next task; nothing is sent."""
        if self._draw is None:
            self._draw = random.Random(self.seed)  # noqa: S311 - repeatable by seed, no secret
        draw = self._draw
        code, goods = draw.choice(_GOODS)
        container = container_number(draw)
        number = TaskId(f"{self.plan.prefix}-{draw.randrange(10**6):06d}")
        facts = {
            "container": container,
            "hs_code": code,
            "goods": goods,
            "declaration": f"5349{draw.randrange(10**14):014d}",
            "packages": str(draw.randrange(1, 1200)),
            "gross_kg": str(draw.randrange(500, 28_000)),
        }
        return {
            "task": number,
            "title": f"{container} {goods}",
            "bay": self.plan.bay,
            "cameras": list(self.plan.cameras),
            "inspectors": list(self.plan.inspectors),
            "facts": facts,
        }

    async def open(self) -> dict[str, Any]:
        """Open the next task at the hub and give it."""
        task = self.next_task()
        await self.api.open_task(task)
        self.opened.append(task["task"])
        self.diary.note("opened", **task)
        return task

    async def end(self, task: str) -> None:
        """End a task at the hub."""
        await self.api.end_task(task)
        self.opened.remove(task)
        self.diary.note("ended", task=task)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim tasks` understands."""
    parser.epilog = EXAMPLE
    add_caller(parser)
    parser.add_argument("--bay", required=True, help="inspection bay, e.g. bay-1")
    parser.add_argument("--cameras", nargs="*", default=[], metavar="BOX/SOURCE", help="the bay's cameras")
    parser.add_argument("--inspectors", nargs="*", default=[], metavar="NAME", help="login names of the inspectors")
    parser.add_argument("--count", type=int, default=1, help="how many tasks (default 1)")
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="pause between openings (default 0)")
    parser.add_argument("--end-after", type=float, metavar="SECONDS", help="end each task so long after the last opening; else leave open")
    parser.add_argument("--prefix", default="T", help="first letters of the task ids (default T)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same tasks (default 1)")


def add_caller(parser: argparse.ArgumentParser) -> None:
    """Declare how a simulated person or system reaches a hub and what it writes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--hub", required=True, metavar="URL", help="the hub's browser address, e.g. http://127.0.0.1:8080")
    parser.add_argument("--ca", type=Path, help="PEM file of the authority to trust when the address is https")
    parser.add_argument("--token-file", type=Path, help="file with an API token (instead of a login)")
    parser.add_argument("--login", metavar="NAME", help="login name")
    parser.add_argument("--password-file", type=Path, help="file whose first line is the password")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="append what was done to this file, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON array")


def first_line(path: Path | None) -> str | None:
    """Read the first line of a file that holds a secret."""
    return None if path is None else path.read_text(encoding="utf-8").splitlines()[0].strip()


def show(diary: Diary, *, as_json: bool) -> None:
    """Print what was done."""
    if as_json:
        sys.stdout.write(json.dumps(diary.acts, ensure_ascii=False) + "\n")
        return
    for act in diary.acts:
        facts = " ".join(f"{key}={value}" for key, value in act.items() if key not in ("wall_ns", "who", "act", "facts"))
        sys.stdout.write(f"{act['who']} {act['act']} {facts}\n")


def run(args: argparse.Namespace) -> int:
    """Run `portwitness-sim tasks`; give the exit code."""
    try:
        diary = asyncio.run(_run(args))
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim tasks: {error}\n")
        return 1
    show(diary, as_json=args.json)
    return 0


async def _run(args: argparse.Namespace) -> Diary:
    plan = TaskPlan(args.bay, tuple(args.cameras), tuple(args.inspectors), args.prefix)
    token, password = first_line(args.token_file), first_line(args.password_file)
    with Diary(SystemClock(), args.login or "tasks", args.ledger) as diary:
        async with hub_api(args.hub, ca=args.ca, token=token) as api:
            if args.login:
                await api.login(args.login, password or "")
            source = TaskSource(api, plan, diary, args.seed)
            for number in range(args.count):
                if number and args.every:
                    await asyncio.sleep(args.every)
                await source.open()
            if args.end_after is not None:
                await asyncio.sleep(args.end_after)
                for task in list(source.opened):
                    await source.end(task)
        return diary
