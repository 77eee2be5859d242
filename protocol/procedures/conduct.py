"""Tell what the acts of an inspection amount to: whose turn it is, what is signed, when steps ran, what is odd about a phone's chain.

Guarantees: everything but roles and pauses, which go by the order of the log, is the same whatever the order in which acts arrived; a
phone's clock is shown and never orders anything: it places an act only inside what the log leaves open.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from protocol.instants import MILLISECOND_NS, Interval
from protocol.procedures.acts import Act, Given, HandedOver, Moved, Payload, Subscribed, Swapped
from protocol.procedures.answers import Answer, digest
from protocol.procedures.completeness import Signed

CLOCK_MS = 120_000  # a phone's clock that is off by more is said


@dataclass(frozen=True, slots=True)
class Entered:
    """An act in the log: its place, when the hub took it, who sent it by which phone, and what it says."""

    position: int
    hub_ns: int
    by: str
    key: str
    act: Act
    payload: Payload
    ahead_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature with what speaks against it; none: it counts."""

    act: str
    by: str
    given: Subscribed
    fault: Literal["", "answers not here", "other answers", "not their role", "refused"]

    @property
    def counts(self) -> bool:
        """Tell whether it counts; a refusal by the owner, with its reason, does."""
        return self.fault == "" or (self.fault == "refused" and self.given.role == "owner")


@dataclass(frozen=True, slots=True)
class Conduct:
    """The acts of one task, in the order of the log; `team`: who was drawn, lead first; `opened_ns`: when the task was."""

    acts: tuple[Entered, ...]
    team: tuple[str, ...]
    opened_ns: int

    def answers(self) -> tuple[Answer, ...]:
        """Give every answer that was given, replaced or not, with who gave it on which phone."""
        return tuple(
            Answer(one.id, one.item, one.at, one.value, one.dwell_ms, one.phone_ms, one.replaces, one.way, entered.by, entered.key)
            for entered in self.acts
            if isinstance(entered.payload, Given)
            for one in entered.payload.answers
        )

    def holders(self) -> dict[str, str]:
        """Give who is lead and who assistant now, by the hand-overs in the order of the log."""
        found = dict(zip(("lead", "assistant"), self.team, strict=False))
        for entered in self.acts:
            if isinstance(entered.payload, HandedOver):
                found = {role: entered.payload.to if holder == entered.by else holder for role, holder in found.items()}
        return found

    def people(self) -> frozenset[str]:
        """Give everyone who is or was on it."""
        return frozenset(self.team) | {one.payload.to for one in self.acts if isinstance(one.payload, HandedOver)}

    def signatures(self) -> list[Signature]:
        """Give every signature, each with what speaks against it."""
        known = {answer.id: answer for answer in self.answers()}
        holders = self.holders()
        return [
            Signature(one.act.id, one.by, one.payload, _fault(one.by, one.payload, known, holders))
            for one in self.acts
            if isinstance(one.payload, Subscribed)
        ]

    def signed(self) -> tuple[Signed, ...]:
        """Give the signatures that count, as completeness wants them."""
        return tuple(Signed(one.given.role, one.given.covers) for one in self.signatures() if one.counts)

    def paused(self) -> Entered | None:
        """Give the pause that lasts, by the order of the log; None while work goes on."""
        last = next((one for one in reversed(self.acts) if one.act.kind in ("pause", "resume")), None)
        return last if last is not None and last.act.kind == "pause" else None

    def pauses(self) -> list[Interval]:
        """Give the pauses that ended, by the moments of their acts; none begins before what its person had in the log already."""
        found, begun = [], None
        done: dict[str, int] = {}
        for one in self.acts:
            if one.act.kind == "pause" and begun is None:
                begun = max(self.moment(one), done.get(one.by, 0))
            elif one.act.kind == "resume" and begun is not None:
                found.append(Interval(begun, max(begun, self.moment(one))))
                begun = None
            done[one.by] = max(done.get(one.by, 0), self.moment(one))
        return found

    def moment(self, one: Entered) -> int:
        """Give the best guess of when an act was done: by the phone's clock, put right where it is known to be off.

        It is no earlier than the task's opening and no later than the hub's receipt: there it is bounded, whatever the phone says.
        """
        return self._moment(one, one.act.phone_ms)

    def _moment(self, one: Entered, phone_ms: int) -> int:
        claimed = phone_ms * MILLISECOND_NS - (one.ahead_ms or 0) * MILLISECOND_NS
        return one.hub_ns if not self.opened_ns <= claimed <= one.hub_ns else claimed

    def first_answer_ns(self, items: Collection[str]) -> int | None:
        """Give when the first answer to one of some items was given, by the clock of its phone as `moment` takes it; None before one."""
        found = []
        for entered in self.acts:
            if isinstance(entered.payload, Given):
                mine = [one.phone_ms for one in entered.payload.answers if one.item in items and not one.replaces]
                found += [self._moment(entered, min(mine))] if mine else []
        return min(found, default=None)

    def span(self, step: str) -> tuple[int, int | None] | None:
        """Give when a step ran, from its first start to its last end; the end None while a part of it still runs; None before."""
        moves = [one for one in self.acts if isinstance(one.payload, Moved) and one.payload.step == step]
        starts = [one for one in moves if isinstance(one.payload, Moved) and one.payload.event == "start"]
        ends = [one for one in moves if isinstance(one.payload, Moved) and one.payload.event == "end"]
        if not starts:
            return None
        start = min(self.moment(one) for one in starts)
        begun = {_part(one) for one in starts}
        if not begun <= {_part(one) for one in ends}:
            return start, None
        return start, max(start, *(self.moment(one) for one in ends))

    def swaps(self) -> list[Swapped]:
        """Give the recorders that were swapped."""
        return [one.payload for one in self.acts if isinstance(one.payload, Swapped)]

    def last_ns(self) -> int:
        """Give when the hub took the newest act; the task's opening before the first."""
        return max([self.opened_ns, *(one.hub_ns for one in self.acts)])


def _part(one: Entered) -> str:
    return one.payload.at if isinstance(one.payload, Moved) else ""


def _fault(
    by: str, given: Subscribed, known: Mapping[str, Answer], holders: Mapping[str, str]
) -> Literal["", "answers not here", "other answers", "not their role", "refused"]:
    if not given.covers <= known.keys():
        return "answers not here"
    if digest(known[one] for one in given.covers).hex() != given.digest:
        return "other answers"
    if given.role != "owner" and holders.get(given.role) != by:
        return "not their role"
    return "refused" if given.refused is not None else ""


@dataclass(frozen=True, slots=True)
class Link:
    """An act's place in its phone's chain, by what its text says."""

    act: str
    key: str
    seq: int
    previous: str
    text_hash: str


def chain_faults(links: Iterable[Link]) -> dict[str, str]:
    """Name what is odd about phones' chains, by act: one before it is missing, its number was used twice, it names another before it."""
    by_key: dict[str, list[Link]] = {}
    for link in links:
        by_key.setdefault(link.key, []).append(link)
    found: dict[str, str] = {}
    for chain in by_key.values():
        found |= _faults_of(chain)
    return found


def _faults_of(chain: Sequence[Link]) -> dict[str, str]:
    numbers: dict[int, list[Link]] = {}
    for link in chain:
        numbers.setdefault(link.seq, []).append(link)
    found: dict[str, str] = {}
    for link in chain:
        before = {one.text_hash for one in numbers.get(link.seq - 1, ())}
        if len(numbers[link.seq]) > 1:
            found[link.act] = f"number {link.seq} was used {len(numbers[link.seq])} times"
        elif link.seq > 1 and not before:
            found[link.act] = f"act {link.seq - 1} of this phone is not here"
        elif link.seq > 1 and link.previous not in before:
            found[link.act] = f"names another act than {link.seq - 1} as the one before"
        elif link.seq == 1 and link.previous:
            found[link.act] = "is the first, and names one before it"
    return found


def clock_fault(phone_ms: int, sent_ms: int | None, hub_ns: int, opened_ns: int) -> int | None:
    """Give how far a phone's clock is ahead (ms) where it is off by more than two minutes; None where nothing says so.

    `sent_ms`: its clock when it sent the act. Without it, only what cannot be is known: an act from the future, or from before its task.
    """
    hub_ms, opened_ms = hub_ns // MILLISECOND_NS, opened_ns // MILLISECOND_NS
    if sent_ms is not None:
        off = sent_ms - hub_ms
        return off if abs(off) > CLOCK_MS else None
    if phone_ms > hub_ms + CLOCK_MS:
        return phone_ms - hub_ms
    return phone_ms - opened_ms if phone_ms < opened_ms - CLOCK_MS else None
