"""Be a port's terminal at anybody's hub: tell arrivals, positions and gate moves, in JSON and EDIFACT; also what is wrong or not allowed.

Guarantees: the same seed gives the same messages; each is in the diary beside what a sound hub answers; a box goes out unreleased only
when that is asked for, and is then written down as such.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

from protocol.errors import MalformedError, PortwitnessError
from protocol.instants import MILLISECOND_NS
from simulators.partners.port_moves import FAULTS, Event, Fault, Move, Pen, Sending, Way
from simulators.people.api import HubApi, hub_api
from simulators.people.diary import Diary
from simulators.people.tasks import add_caller, first_line, show
from storage.clock import SystemClock

EXAMPLE = """examples:
  portwitness-sim terminal --hub http://127.0.0.1:8080 --token-file token.txt --boxes CSQU3054383 --events DISC,DROP --bay bay-1
  portwitness-sim terminal --hub http://127.0.0.1:8080 --token-file token.txt --boxes CSQU3054383 --events GTOT --way edifact --twice --json
"""


class Gate(Protocol):
    """Where a partner's messages are handed in."""

    async def post(self, sending: Sending) -> dict[str, Any]:
        """Hand in a message; give what became of it: outcome, again, and per event its outcome."""


@dataclass(frozen=True, slots=True)
class HubGate:
    """The exchange of a hub's public API."""

    api: HubApi

    async def post(self, sending: Sending) -> dict[str, Any]:
        """Hand in a message."""
        return dict(await self.api.post_raw("/exchange/messages", sending.raw, sending.content_type))


@dataclass(slots=True)
class Terminal:
    """Tells a hub what happens to boxes. `tricks`: of a hundred messages so many are wrong in form, and so many sent twice."""

    gate: Gate
    pen: Pen
    diary: Diary
    seed: int = 1
    tricks: int = 0
    surprises: list[str] = field(default_factory=list)
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"terminal {self.seed}")  # noqa: S311 - repeatable by seed, no secret

    async def tell(self, moves: Sequence[Move], way: Way | None = None, *, expected: Sequence[str] = (), note: str = "") -> list[str]:
        """Tell moves; give the outcome of each event. `expected`: outcomes of a sound hub; now and then something goes wrong first."""
        ways: tuple[Way, Way] = ("json", "edifact")
        chosen = way if way is not None else self._draw.choice(ways)
        if self._draw.randrange(100) < self.tricks:
            await self.spoil(moves[:1], chosen, self._draw.choice(FAULTS))  # of several messages the others would stand
        sending = self.pen.write(moves, chosen)
        outcomes = await self.send(sending, moves, note)
        if expected and outcomes != list(expected):
            self.surprises.append(f"{sending.reference} {note}: {', '.join(outcomes) or 'nothing'}, expected {', '.join(expected)}")
        if self._draw.randrange(100) < self.tricks:
            await self.repeat(sending, moves)
        return outcomes

    async def spoil(self, moves: Sequence[Move], way: Way, fault: Fault) -> None:
        """Tell moves in a message that is wrong in one way: a sound hub takes none of it."""
        await self.send(self.pen.write(moves, way, fault), moves, fault)

    async def repeat(self, sending: Sending, moves: Sequence[Move]) -> None:
        """Send a message once more, byte for byte: a sound hub answers as before and changes nothing."""
        answer = await self.gate.post(sending)
        self._note(sending, moves, answer, "sent twice")
        if not answer.get("again"):
            self.surprises.append(f"{sending.reference} was sent twice and handled twice")

    async def send(self, sending: Sending, moves: Sequence[Move], note: str = "") -> list[str]:
        """Send a written message; give the outcome of each event."""
        answer = await self.gate.post(sending)
        self._note(sending, moves, answer, note)
        if answer["outcome"] != sending.expected:
            self.surprises.append(f"{sending.reference} {sending.fault or note}: {answer['outcome']}, expected {sending.expected}")
        return [str(event["outcome"]) for event in answer["events"]]

    def _note(self, sending: Sending, moves: Sequence[Move], answer: dict[str, Any], note: str) -> None:
        boxes = [f"{move.event} {move.container}" for move in moves]
        told = {"way": sending.way, "fault": sending.fault, "outcome": answer["outcome"], "expected": sending.expected}
        outcomes = [event["outcome"] for event in answer["events"]]
        self.diary.note("told", reference=sending.reference, moves=boxes, note=note, events=outcomes, **told)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim terminal` understands."""
    parser.epilog = EXAMPLE
    add_caller(parser)
    parser.add_argument("--boxes", nargs="+", required=True, metavar="CONTAINER", help="containers that move")
    parser.add_argument("--events", default="DISC,GTOT", help=f"what happens to each, in order: {', '.join(get_args(Event))}")
    parser.add_argument("--declaration", help="declaration that the driver shows")
    parser.add_argument("--bay", help="bay that a box is set down in (DROP)")
    parser.add_argument("--seals", nargs="*", default=[], metavar="SEAL", help="seals as read at the gate")
    parser.add_argument("--way", choices=("json", "edifact"), default="json", help="how it is told (default json)")
    parser.add_argument("--late", type=float, default=0.0, metavar="SECONDS", help="so long ago it happened (default 0)")
    parser.add_argument("--fault", choices=FAULTS, help="send it wrong in this way instead")
    parser.add_argument("--twice", action="store_true", help="send each message twice")
    parser.add_argument("--sender", default="DCT", help="EDIFACT identification (default DCT)")
    parser.add_argument("--recipient", default="PORTWITNESS", help="the hub's EDIFACT identification (default PORTWITNESS)")
    parser.add_argument("--seed", type=int, help="first part of message references (default: of the clock)")


def run(args: argparse.Namespace) -> int:
    """Run `portwitness-sim terminal`; give the exit code: 1 where the hub answers otherwise than a sound one."""
    try:
        diary, surprises = asyncio.run(_run(args))
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim terminal: {error}\n")
        return 1
    show(diary, as_json=args.json)
    for one in surprises:
        sys.stderr.write(f"portwitness-sim terminal: {one}\n")
    return 1 if surprises else 0


async def _run(args: argparse.Namespace) -> tuple[Diary, list[str]]:
    clock = SystemClock()
    at_ms = clock.now().wall_ns // MILLISECOND_NS
    events = [_event(text) for text in args.events.split(",")]
    seed = args.seed if args.seed is not None else at_ms % 10_000
    with Diary(clock, args.login or "terminal", args.ledger) as diary:
        async with hub_api(args.hub, ca=args.ca, token=first_line(args.token_file)) as api:
            if args.login:
                await api.login(args.login, first_line(args.password_file) or "")
            terminal = Terminal(HubGate(api), Pen(args.sender, args.recipient, seed), diary)
            for event in events:
                for box in args.boxes:
                    place = args.bay if event == "DROP" else None
                    move = Move(event, box, at_ms - round(args.late * 1000), args.declaration, place, tuple(args.seals))
                    await _tell(terminal, move, args)
    return diary, terminal.surprises


async def _tell(terminal: Terminal, move: Move, args: argparse.Namespace) -> None:
    if args.fault:
        return await terminal.spoil([move], args.way, args.fault)
    sending = terminal.pen.write([move], args.way)
    await terminal.send(sending, [move])
    if args.twice:
        await terminal.repeat(sending, [move])


def _event(text: str) -> Event:
    for name in get_args(Event):
        if text.strip() == name:
            found: Event = name
            return found
    raise MalformedError(f"{text[:10]!r} is none of {', '.join(get_args(Event))}", where="--events")
