"""Be a laboratory: take samples, test them for a while, and report - positive where the goods really are, by seed now and then wrong.

As a command it works at anybody's hub by the public API, and draws by seed what it finds.

Guarantees: the same seed and sample give the same report; a report says what was asked, found and measured; nothing of a hub is needed.
"""

import argparse
import asyncio
import hashlib
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from protocol.errors import PortwitnessError
from protocol.instants import MILLISECOND_NS, Clock
from simulators.people.api import HubApi, hub_api
from simulators.people.cargo import Truth
from simulators.people.diary import Diary
from simulators.people.tasks import add_caller, first_line, show
from storage.clock import SystemClock

EXAMPLE = """example:
  portwitness-sim laboratory --hub http://127.0.0.1:8080 --login lab.head --password-file pw.txt --positive 10 --once --json
"""

Result = Literal["negative", "positive"]
HOUR_MS = 3_600_000
_TESTS: Mapping[str, tuple[str, str]] = {
    "fruit": ("实蝇 fruit flies", "residue of chlorpyrifos"),
    "meat": ("沙门氏菌 Salmonella", "residue of ractopamine"),
    "wood": ("松材线虫 pine wood nematode", "bark beetles"),
}
_OTHER = ("有害物质 harmful substances", "radioactivity")


@dataclass(frozen=True, slots=True)
class Report:
    """What a laboratory reports of a sample. `due_ms`: so long after it was received."""

    sample: str
    number: str
    result: Result
    due_ms: int
    tests: tuple[tuple[str, Result, str], ...]  # name, result, value

    def value(self) -> dict[str, object]:
        """Give it as JSON values."""
        tests = [{"test": name, "result": result, "value": value} for name, result, value in self.tests]
        return {"sample": self.sample, "report": self.number, "result": self.result, "tests": tests}

    def document(self) -> bytes:
        """Give the paper that goes with it."""
        lines = [f"检测报告 Test report {self.number}", f"样品 Sample {self.sample}", *(" ".join(one) for one in self.tests), self.result]
        return "\n".join(lines).encode()


@dataclass(slots=True)
class Laboratory:
    """A laboratory. `wrong_percent`: so many reports of a hundred say the opposite; `hours`: from and to, how long a test takes."""

    name: str = "lab-dalian"
    seed: int = 1
    wrong_percent: int = 0
    hours: tuple[int, int] = (2, 30)
    received: dict[str, str] = field(default_factory=dict)  # kind of goods, by sample

    def receive(self, sample: str, kind: str) -> None:
        """Take a sample over."""
        self.received[sample] = kind

    def test(self, sample: str, truth: Truth) -> Report:
        """Test a sample whose goods are truly so."""
        kind = self.received.get(sample, "")
        draw = random.Random(f"laboratory {self.seed} {sample}")  # noqa: S311 - repeatable by seed, no secret
        bad = truth.residue or (truth.pest and kind != "meat")
        if draw.randrange(100) < self.wrong_percent:
            bad = not bad
        names = _TESTS.get(kind, _OTHER)
        hit = draw.randrange(len(names)) if bad else -1
        tests = tuple(self._one(draw, name, is_hit=at == hit) for at, name in enumerate(names))
        number = f"R-{hashlib.sha256(f'{self.name} {sample}'.encode()).hexdigest()[:10].upper()}"
        return Report(sample, number, "positive" if bad else "negative", draw.randrange(*self.hours) * HOUR_MS, tests)

    def _one(self, draw: random.Random, name: str, *, is_hit: bool) -> tuple[str, Result, str]:
        value = f"0.{draw.randrange(20, 90)} mg/kg" if is_hit else f"< 0.0{draw.randrange(1, 9)} mg/kg"
        return name, "positive" if is_hit else "negative", value


@dataclass(slots=True)
class Bench:
    """A laboratory's work at a hub: what came is received at once, and reported on after `test_s`."""

    api: HubApi
    lab: Laboratory
    diary: Diary
    clock: Clock
    positive_percent: int = 5
    test_s: float = 0.0
    due: dict[str, int] = field(default_factory=dict)  # when a report is ready, Unix ms, by sample

    async def look(self) -> int:
        """Receive what came and report what is ready; give how many samples still wait."""
        now_ms = self.clock.now().wall_ns // MILLISECOND_NS
        for sample in (await self.api.call("GET", "/samples?limit=500"))["samples"]:
            number = str(sample["number"])
            if sample["state"] == "handed-over":
                await self.api.call("POST", f"/samples/{quote(number)}/receipt", {"sealed": True, "fit": True})
                self.diary.note("received", sample=number)
            if sample["state"] in ("handed-over", "received") and number not in self.due:
                self.lab.receive(number, "")
                self.due[number] = now_ms + round(self.test_s * 1000)
        for number in [one for one, at_ms in self.due.items() if at_ms <= now_ms]:
            await self._report(number)
            del self.due[number]
        return len(self.due)

    async def _report(self, number: str) -> None:
        draw = random.Random(f"bench {self.lab.seed} {number}")  # noqa: S311 - repeatable by seed, no secret
        report = self.lab.test(number, Truth(residue=draw.randrange(100) < self.positive_percent))
        values = [[name, value] for name, _, value in report.tests]
        paper = await self.api.send_file(report.document(), f"{report.number}.txt", "document", f"sample {number}")
        ask = {"number": report.number, "verdict": report.result, "values": values, "sha256": paper}
        await self.api.call("POST", f"/samples/{quote(number)}/report", ask)
        self.diary.note("reported", sample=number, result=report.result, report=report.number)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim laboratory` understands."""
    parser.epilog = EXAMPLE
    add_caller(parser)
    parser.add_argument("--positive", type=int, default=5, metavar="PERCENT", help="so many reports of 100 are positive (default 5)")
    parser.add_argument("--test", type=float, default=0.0, metavar="SECONDS", help="how long a test takes (default 0)")
    parser.add_argument("--once", action="store_true", help="end when nothing waits; else look every second until stopped")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same results (default 1)")


def run(args: argparse.Namespace) -> int:
    """Run `portwitness-sim laboratory`; give the exit code."""
    try:
        diary = asyncio.run(_run(args))
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim laboratory: {error}\n")
        return 1
    show(diary, as_json=args.json)
    return 0


async def _run(args: argparse.Namespace) -> Diary:
    clock = SystemClock()
    with Diary(clock, args.login or "laboratory", args.ledger) as diary:
        async with hub_api(args.hub, ca=args.ca, token=first_line(args.token_file)) as api:
            if args.login:
                await api.login(args.login, first_line(args.password_file) or "")
            bench = Bench(api, Laboratory(seed=args.seed), diary, clock, args.positive, args.test)
            while True:
                if not await bench.look() and args.once:
                    break
                await asyncio.sleep(1.0)
    return diary
