"""Decide what may be disposed of: retention classes as data, holds that beat them, and a clock that cannot be hurried.

Pure planning: the shell around it looks up facts, records the disposal, and only then removes bytes. Hashes, records and proofs
stay for ever; what goes is the bytes of a segment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError
from protocol.instants import SECOND_NS

DAY_NS = 86_400 * SECOND_NS
LARGEST_LEAP_NS = 3 * DAY_NS  # what a clock may have moved on while nothing of ours ran, without anybody's word


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """How long video of a sort is kept, and which rule says so; `days` None: for ever."""

    name: str
    days: int | None
    source: str


CLASSES = (
    RetentionClass("routine", 183, "公安机关现场执法视音频记录工作规定, art. 13: at least 6 months"),
    RetentionClass("inspection", 1096, "no rule found; 3 years, or as long as the case file"),
    RetentionClass("copy", 366, "import documents at the first establishment: 1 year"),
    RetentionClass("evidence", None, "used as evidence, obstruction, major incident, hard case: permanent (art. 13)"),
)
UNLINKED, LINKED = "routine", "inspection"


def check_classes(classes: Sequence[RetentionClass]) -> dict[str, RetentionClass]:
    """Give the classes by name; raise MalformedError when one is doubled, too short, or one that is always needed is missing."""
    found = {one.name: one for one in classes}
    if len(found) != len(classes):
        raise MalformedError("two classes have one name", where="retention.classes")
    for name in (UNLINKED, LINKED):
        if name not in found:
            raise MalformedError(f"there is no class {name!r}", where="retention.classes")
    for one in classes:
        if one.days is not None and one.days < 1:
            raise MalformedError(f"{one.days} days", where=f"retention.classes.{one.name}")
    return found


@dataclass(frozen=True, slots=True)
class Link:
    """A task that a segment belongs to."""

    task: str
    is_open: bool
    is_held: bool
    kept_as: str  # a class's name
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one segment's blob. `since_ns`: the later of its own end and its arrival, so a wrong clock keeps longer."""

    sha256: bytes
    size: int
    since_ns: int
    is_proven: bool  # stored, and its record is receipted
    is_held: bool = False
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a blob may go now; `until_ns` is the day it may, None never or not known; `reason` names the rule."""

    may_go: bool
    until_ns: int | None
    reason: str


def rule(kept: Kept, classes: dict[str, RetentionClass], now_ns: int) -> Ruling:
    """Rule on one blob: holds and open tasks beat every period, the longest of its classes counts, unproven video stays."""
    if kept.is_held or any(link.is_held for link in kept.links):
        held = next((link.task for link in kept.links if link.is_held), "the segment itself")
        return Ruling(False, None, f"legal hold on {held}")
    still = next((link.task for link in kept.links if link.is_open), None)
    if still is not None:
        return Ruling(False, None, f"task {still} is open")
    if not kept.is_proven:
        return Ruling(False, None, "its record is not receipted")
    names = {link.kept_as for link in kept.links} or {UNLINKED}
    unknown = sorted(names - classes.keys())
    if unknown:
        return Ruling(False, None, f"class {unknown[0]!r} is not known")
    found = [classes[name] for name in sorted(names)]
    lasting = next((one for one in found if one.days is None), None)
    if lasting is not None:
        return Ruling(False, None, f"class {lasting.name}: kept for ever")
    longest = max(found, key=_days)
    start = max([kept.since_ns, *(link.ended_ns for link in kept.links if link.ended_ns is not None)])
    until = start + _days(longest) * DAY_NS
    return Ruling(now_ns >= until, until, f"class {longest.name}: {longest.days} days")


def _days(one: RetentionClass) -> int:
    return one.days or 0


@dataclass(frozen=True, slots=True)
class Tick:
    """What retention goes by: its own time, beside the clocks it was read from. `boot`: which run of the machine or program."""

    time_ns: int
    wall_ns: int
    mono_ns: int
    boot: str


def advance(last: Tick | None, wall_ns: int, mono_ns: int, boot: str, vouched_ns: int | None = None) -> Tick:
    """Move retention's own time on, never faster than anybody vouches for, and never ahead of the wall clock.

    Inside one boot it moves with the monotonic clock; over a restart by the wall clock, but at most three days; further only up to
    `vouched_ns`, a time that an outside witness or time authority has signed. So a wall clock that jumps forward makes nothing due;
    one that jumps back takes this time with it, and video is kept longer until somebody vouches for the true time.
    """
    if last is None:
        return Tick(min(wall_ns, vouched_ns) if vouched_ns is not None else wall_ns, wall_ns, mono_ns, boot)
    passed = mono_ns - last.mono_ns if last.boot == boot else min(wall_ns - last.wall_ns, LARGEST_LEAP_NS)
    time_ns = max(last.time_ns + max(0, passed), vouched_ns if vouched_ns is not None else 0)
    return Tick(min(time_ns, wall_ns), wall_ns, mono_ns, boot)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass disposes of. `stopped`: why it takes less than is due, empty when it does not."""

    chosen: tuple[Kept, ...]
    stopped: str = ""


def plan(due: Iterable[Kept], held_bytes: int, share_percent: float, taken_bytes: int = 0) -> Plan:
    """Choose what goes in one pass: when more than `share_percent` of all that is held would go within a day, nothing goes.

    `taken_bytes`: what the day took already. So neither a wrong clock, a wrong class nor a wrong setting empties a store; a person has
    to confirm that much.
    """
    chosen = tuple(due)
    size = taken_bytes + sum(one.size for one in chosen)
    if chosen and held_bytes and 100 * size > share_percent * held_bytes:
        percent = 100 * size / held_bytes
        return Plan(
            (), f"{len(chosen)} blobs, {percent:.1f} % of all bytes, are due within a day; more than {share_percent:g} % asks for a person"
        )
    return Plan(chosen)
