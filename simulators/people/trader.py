"""Be the traders of a port for a day at anybody's hub: lodge plausible and faulty declarations, send twice, mend, amend, withdraw.

Guarantees: the same seed and day give the same acts; each answer is in the diary beside what a sound hub answers, so that what differs
can be named; only what an outside system could send is sent.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Protocol
from urllib.parse import quote

from protocol.errors import MalformedError, PortwitnessError, RefusedError
from protocol.instants import SECOND_NS
from simulators.people.api import HubApi, hub_api
from simulators.people.cargo import Firm
from simulators.people.diary import Diary
from simulators.people.tasks import add_caller, first_line, show
from simulators.people.trading import Act, TradeDay, TradePlan, plan_trade, surprises
from storage.clock import SystemClock

EXAMPLE = """example:
  portwitness-sim trader --hub http://127.0.0.1:8080 --login wu.trader --password-file pw.txt --enterprise 91210200MA0SIM001X \\
      --count 20 --seed 7 --ledger trade.jsonl --json
"""


class TradeDesk(Protocol):
    """Where declarations are handed in; each call gives the declaration's number and raises what the hub refuses."""

    async def lodge(self, form: Mapping[str, Any]) -> str:
        """Hand in a declaration."""

    async def amend(self, number: str, form: Mapping[str, Any], reason: str) -> str:
        """Hand in a new version of it."""

    async def withdraw(self, number: str, reason: str) -> str:
        """Take it back."""


@dataclass(frozen=True, slots=True)
class HubDesk:
    """The desk of a hub's public API."""

    api: HubApi

    async def lodge(self, form: Mapping[str, Any]) -> str:
        """Hand in a declaration."""
        return str((await self.api.call("POST", "/declarations", dict(form)))["number"])

    async def amend(self, number: str, form: Mapping[str, Any], reason: str) -> str:
        """Hand in a new version of it."""
        body = {"form": dict(form), "reason": reason}
        return str((await self.api.call("POST", f"/declarations/{quote(number)}/amendments", body))["number"])

    async def withdraw(self, number: str, reason: str) -> str:
        """Take it back."""
        return str((await self.api.call("POST", f"/declarations/{quote(number)}/withdrawal", {"reason": reason}))["number"])


@dataclass(slots=True)
class Trader:
    """Does a day's acts at a desk, one by one."""

    desk: TradeDesk
    diary: Diary
    numbers: dict[str, str] = field(default_factory=dict)  # of the declarations that were taken, by reference

    async def do(self, act: Act) -> str:
        """Do an act; give the hub's answer: taken, same or refused. Raises what is no answer to it, such as a hub that is away."""
        paths: tuple[str, ...] = ()
        what, answer, before = "", "taken", self.numbers.get(act.reference)
        try:
            number = await self._send(act, before)
            answer = "same" if act.kind == "lodge" and number == before else "taken"
            self.numbers[act.reference] = number
        except RefusedError as error:
            answer, what, paths = "refused", error.what, named(error)
        told = {"fault": act.fault, "paths": list(paths), "what": what, "at_s": act.at_s, "story": act.story}
        self.diary.note(act.kind, reference=act.reference, number=self.numbers.get(act.reference), answer=answer, **told)
        return answer

    async def _send(self, act: Act, number: str | None) -> str:
        if act.kind == "lodge":
            return await self.desk.lodge(act.form)
        if number is None:
            raise RefusedError("was never taken", where=f"reference {act.reference}")
        if act.kind == "amend":
            return await self.desk.amend(number, act.form, act.reason)
        return await self.desk.withdraw(number, act.reason)


def named(error: RefusedError) -> tuple[str, ...]:
    """Give the paths of a form that a refusal names."""
    faults = getattr(error, "faults", ())
    return tuple(sorted(fault["path"] if isinstance(fault, dict) else fault.path for fault in faults)) or (error.where.rpartition(" ")[2],)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim trader` understands."""
    parser.epilog = EXAMPLE
    add_caller(parser)
    parser.add_argument(
        "--enterprise", action="append", default=[], metavar="CODE", help="declare for this enterprise (default: drawn ones)"
    )
    parser.add_argument("--kinds", default="fruit,meat,general", help="kinds of goods that it brings (default fruit,meat,general)")
    parser.add_argument("--count", type=int, default=10, help="how many consignments (default 10)")
    parser.add_argument(
        "--today", type=date.fromisoformat, metavar="DAY", help="the port's day, by which dates are chosen (default: today)"
    )
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="pause between acts (default 0)")
    parser.add_argument("--seed", type=int, default=1, help="same seed and day, same acts (default 1)")
    parser.add_argument("--plain", action="store_true", help="sound declarations only")


def run(args: argparse.Namespace) -> int:
    """Run `portwitness-sim trader`; give the exit code: 1 where the hub answers otherwise than a sound one."""
    try:
        diary, day = asyncio.run(_run(args))
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim trader: {error}\n")
        return 1
    show(diary, as_json=args.json)
    found = surprises(day.acts, diary.acts)
    for one in found:
        sys.stderr.write(f"portwitness-sim trader: {one}\n")
    return 1 if found else 0


async def _run(args: argparse.Namespace) -> tuple[Diary, TradeDay]:
    clock = SystemClock()
    today = args.today or datetime.fromtimestamp(clock.now().wall_ns // SECOND_NS, UTC).date()
    day = plan_trade(_plan(args, today))
    token, password = first_line(args.token_file), first_line(args.password_file)
    with Diary(clock, args.login or "trader", args.ledger) as diary:
        async with hub_api(args.hub, ca=args.ca, token=token) as api:
            if args.login:
                await api.login(args.login, password or "")
            trader = Trader(HubDesk(api), diary)
            for at, act in enumerate(day.acts):
                if at and args.every:
                    await asyncio.sleep(args.every)
                await trader.do(act)
    return diary, day


def _plan(args: argparse.Namespace, today: date) -> TradePlan:
    kinds = tuple(one for one in args.kinds.split(",") if one)
    if not kinds:
        raise MalformedError("names no kind of goods", where="--kinds")
    traders = tuple(Firm(code, f"企业 {code}", kinds) for code in args.enterprise)
    plan = TradePlan(today, args.count, args.seed, traders)
    return TradePlan(today, args.count, args.seed, traders, {"plain": 1}) if args.plain else plan
