"""Grade an enterprise: a pure function of its events, a rule set and a day.

Guarantees: the order in which events arrive does not matter; a further violation, or more points for one, never gives a better grade;
an event whose appeal was upheld counts on no day. Integers only, so that everybody reckons alike; bounded: 10 000 events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from protocol.crediting.model import Award, Counted, Cycle, Event, Grading, Left, Limit, Part, Points, RuleSet, Test
from protocol.errors import MalformedError

MAX_EVENTS = 10_000
MILLION = 10**6


@dataclass(frozen=True, slots=True)
class _Known:
    """An event with its item's part resolved; `until`: the first day on which it counts no more; windows look at all before `gone`."""

    event: Event
    day: date
    until: date | None
    gone: date | None
    points: int
    tags: frozenset[str]

    def counts(self, day: date) -> bool:
        return self.day <= day and (self.until is None or day < self.until)

    def within(self, day: date, days: int) -> bool:
        """Tell whether it lies in a window that ends on a day."""
        return day - timedelta(days=days) < self.day <= day and (self.gone is None or day < self.gone)


def grade(events: Iterable[Event], rules: RuleSet, day: str) -> Grading:
    """Grade on a day; raise MalformedError for a day that is none, an event twice, or more events than are reckoned with."""
    at, listed = _date(day, "day"), sorted(events, key=lambda one: (one.day, len(one.id), one.id))
    if len(listed) > MAX_EVENTS or len({one.id for one in listed}) != len(listed):
        raise MalformedError(f"more than {MAX_EVENTS}, or one stands there twice", where="events")
    known, left = _sorted_out(listed, rules, at)
    parts = _base(known, rules, at)
    found = max((part.grade for part in parts), key=rules.ranks.__getitem__)
    awards = [_award(award, known, rules, at) for award in rules.awards if award.above == found]
    given = [part for part in awards if part is not None]
    won = min((part.grade for part in given if part.kind == "award"), key=rules.ranks.__getitem__, default=found)
    counted = tuple(Counted(one.event.id, one.event.item, one.points, _cycle_of(rules, one.day, at)) for one in known if one.counts(at))
    points = None if rules.points is None else _points(known, rules.points, at)[0]
    return Grading(rules.name, day, won, points, counted, tuple(left), (*parts, *given), rules.sanctions[won])


def _sorted_out(events: Sequence[Event], rules: RuleSet, at: date) -> tuple[list[_Known], list[Left]]:
    known, left = [], []
    for event in events:
        one = _resolve(event, rules)
        if event.appeal == "upheld" or one is None:
            left.append(Left(event.id, "upheld" if event.appeal == "upheld" else "unknown"))
            continue
        known.append(one)
        if not one.counts(at):
            left.append(Left(event.id, "later" if at < one.day else "expired"))
    return known, left


def _resolve(event: Event, rules: RuleSet) -> _Known | None:
    day, item = _date(event.day, f"event {event.id[:40]}"), rules.items.get(event.item)
    if item is None:
        return None
    gone = None if event.expires is None else _date(event.expires, f"event {event.id[:40]}")
    until = gone if gone is not None or item.lasts_days is None else day + timedelta(days=item.lasts_days)
    taken = item.points if event.points is None else event.points
    points = 0 if rules.points is None else taken
    return _Known(event, day, until, gone, points, frozenset(item.tags))


def _base(known: Sequence[_Known], rules: RuleSet, at: date) -> list[Part]:
    """Give every part that bounds the grade from above; the worst of them is the grade before awards."""
    parts = [Part("start", "", rules.start)] if rules.points is None else _by_points(known, rules.points, at)
    for one in known:
        holds = rules.items[one.event.item].holds
        if holds is not None and one.counts(at):
            parts.append(Part("item", one.event.item, holds))
    for limit in rules.limits:
        figures = _beyond(limit, known, at)
        if figures is not None and limit.grade is not None:
            parts.append(Part("limit", limit.key, limit.grade, figures))
    return parts


def _by_points(known: Sequence[_Known], points: Points, at: date) -> list[Part]:
    left, last, this = _points(known, points, at)
    band = next((name for name, least in points.bands if left >= least), points.bands[-1][0])
    parts = [Part("points", "", band, (("start", points.start), ("last", last), ("this", this), ("left", left)))]
    begin = _cycle(points, at, back=1)
    if not any(one.event.item == points.registered and one.counts(at) and one.day <= begin for one in known):
        parts.append(Part("newcomer", "", points.newcomer))
    return parts


def _points(known: Sequence[_Known], points: Points, at: date) -> tuple[int, int, int]:
    """Give what is left, and what the last cycle and this one took: a fall counts at once, a rise waits for the cycle's end."""
    now, before = _cycle(points, at), _cycle(points, at, back=1)
    this = sum(one.points for one in known if one.counts(at) and now <= one.day)
    last = sum(one.points for one in known if one.counts(at) and before <= one.day < now)
    return points.start - max(this, last), last, this


def _cycle(points: Points, at: date, back: int = 0) -> date:
    """Give the first day of the cycle that a day is in, or of one before."""
    month, day = (int(text) for text in points.cycle.split("-"))
    begin = date(at.year, month, day)
    return date((at.year if begin <= at else at.year - 1) - back, month, day)


def _cycle_of(rules: RuleSet, day: date, at: date) -> Cycle:
    if rules.points is None:
        return ""
    if day >= _cycle(rules.points, at):
        return "this"
    return "last" if day >= _cycle(rules.points, at, back=1) else "before"


def _beyond(limit: Limit, known: Sequence[_Known], at: date) -> tuple[tuple[str, int], ...] | None:
    """Give the figures of a limit that is passed, None where it is not."""
    mine = [one for one in known if one.within(at, limit.days)]
    broker = any(_fact(one, "broker") for one in known if one.counts(at))
    if limit.party != "any" and (limit.party == "broker") != broker:
        return None
    figures: list[tuple[str, int]] = []
    for test in limit.tests:
        value = _figure(test, mine)
        if value is None or value <= test.above:
            return None
        figures += [(f"{test.of} {test.fact if test.of == 'sum' else test.tag}", value), ("above", test.above)]
    return tuple(figures)


def _figure(test: Test, mine: Sequence[_Known]) -> int | None:
    tagged = [one for one in mine if test.tag in one.tags]
    if test.of == "sum":
        return sum(_fact(one, test.fact) for one in tagged)
    if test.of == "count":
        return sum(test.fact is None or _fact(one, test.fact) > test.worth for one in tagged)
    whole = sum(_fact(one, test.fact) for one in mine)
    return -(-len(tagged) * MILLION // whole) if whole else None  # a share of an unknown number is not known


def _fact(one: _Known, name: str | None) -> int:
    return next((value for key, value in one.event.facts if key == name), 0)


def _award(award: Award, known: Sequence[_Known], rules: RuleSet, at: date) -> Part | None:
    """Give the award that stands by its newest decision, or why that is not enough; None where nothing was decided."""
    decided = [one for one in known if one.counts(at) and one.event.item in (award.granted, award.ended)]
    if not decided or decided[-1].event.item == award.ended:
        return None
    facts = dict(decided[-1].event.facts)
    for need in award.needs:
        if not need.least <= facts.get(need.fact, need.least - 1) <= need.most:
            figures = ((need.fact, facts.get(need.fact, 0)), ("least", need.least), ("most", need.most))
            return Part("award refused", need.fact, award.grade, figures)
    for limit in award.unless:
        figures_ = _beyond(limit, known, at)
        if figures_ is not None:
            return Part("award refused", limit.key, award.grade, figures_)
    if award.held_days and not _held(award, known, rules, at):
        return Part("award refused", "held", award.grade, (("days", award.held_days),))
    return Part("award", award.granted, award.grade)


def _held(award: Award, known: Sequence[_Known], rules: RuleSet, at: date) -> bool:
    """Tell whether the grade that an award stands on was held on every day before; it falls only on the day of an event or a cycle."""
    begin = at - timedelta(days=award.held_days)
    days = {begin} | {one.day for one in known if begin < one.day < at}
    if rules.points is not None:
        days |= {one for one in (_cycle(rules.points, at, back) for back in range(award.held_days // 365 + 2)) if begin < one < at}
    worst = rules.ranks[award.above]
    return all(max(rules.ranks[part.grade] for part in _base(known, rules, day)) <= worst for day in sorted(days))


def _date(text: str, where: str) -> date:
    try:
        found = date.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise MalformedError(f"{str(text)[:20]!r} is no date written as 2026-11-24", where=where) from error
    if len(text) != 10 or not date(1950, 1, 1) <= found <= date(2200, 1, 1):
        raise MalformedError(f"{text[:20]!r} is no date from 1950 to 2200, written as 2026-11-24", where=where)
    return found
