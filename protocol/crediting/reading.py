"""Read rule sets and events of credit from JSON values, strictly: each fault is named by its path.

Guarantees: a rule set that passes names only grades, items and tags that it has; every grade has its sanction, and a worse grade is never
treated better; points are never given back by an event; what is not known is refused.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from protocol import sheets
from protocol.crediting.grading import MAX_EVENTS
from protocol.crediting.model import (
    FORMAT,
    Award,
    Basis,
    Event,
    Grade,
    Grading,
    Item,
    Limit,
    Need,
    Points,
    RuleSet,
    Sanction,
    Test,
)
from protocol.errors import MalformedError
from protocol.procedures.reading import Node, PathError

DRAW_GRADES = ("AA", "A", "B", "C", "D")
MOST_POINTS = 10_000
MOST = 10**15
T = TypeVar("T")


def read_rules(value: Any) -> RuleSet:  # noqa: ANN401 - JSON
    """Read a rule set; raise PathError (a MalformedError) naming the first place that is wrong."""
    node = Node(value, "")
    node.one_of("format", (FORMAT,))
    grades = node.each("grades", _grade, (2, 10))
    names = [one.key for one in grades]
    items = node.each("items", _item, (1, 500))
    found = RuleSet(
        key=node.key("key"),
        version=node.count("version", 1, 10**6),
        zh=node.text("zh"),
        en=node.text("en"),
        effective=node.day("effective"),
        until=node.day("until", None),
        verified=node.flag("verified"),
        basis=node.each("basis", _basis, (0, 50)),
        grades=grades,
        start=node.one_of("start", names),
        items={one.key: one for one in items},
        sanctions={one.grade: one for one in node.each("sanctions", _sanction, (len(names), len(names)))},
        points=_inner(node, "points", _points),
        limits=node.each("limits", _limit, (0, 100), ()),
        awards=node.each("awards", _award, (0, 10), ()),
        ranks={key: rank for rank, key in enumerate(names)},
    )
    node.done()
    _once("grades", names)
    _once("items", [one.key for one in items])
    _check_names(found)
    _check_sanctions(found)
    return found


def parse_rules(data: bytes) -> RuleSet:
    """Read a rule set from its canonical JSON; raise MalformedError naming what is wrong."""
    return read_rules(sheets.decode(data))


def read_events(value: Any) -> tuple[Event, ...]:  # noqa: ANN401 - JSON
    """Read events: a list, or an object with `events`; one without `id` is known by its place. Raises PathError naming what is wrong."""
    found = value.get("events") if isinstance(value, dict) and set(value) == {"events"} else value
    if not isinstance(found, list):
        raise PathError("events", "is no list of events")
    numbered = [{"id": str(number)} | one if isinstance(one, dict) else one for number, one in enumerate(found, 1)]
    return _events(Node({"events": numbered}, ""))


def _events(node: Node) -> tuple[Event, ...]:
    found: tuple[Event, ...] = node.each("events", _event, (0, MAX_EVENTS))
    node.done()
    _once("events", [one.id for one in found])
    return found


def check_event(event: Event, rules: RuleSet) -> None:
    """Check that a rule set can take an event: its item is known and its points are the item's to give; raise MalformedError."""
    item = rules.items.get(event.item)
    if item is None:
        raise MalformedError(f"{event.item[:64]!r} is not in {rules.name}", where="item")
    most = item.points if item.most is None else item.most
    if event.points is not None and not item.points <= event.points <= most:
        raise MalformedError(f"{event.points} is not {item.points}" + (f" to {most}" if most > item.points else ""), where="points")
    if event.expires is not None and event.expires <= event.day:
        raise MalformedError("lies before the day on which it happened", where="expires")


def value_of(grading: Grading) -> dict[str, Any]:
    """Write a grading as JSON values."""
    sanction = grading.sanction
    return {
        "rules": grading.rules,
        "on": grading.day,
        "grade": grading.grade,
        "points": grading.points,
        "parts": [{"kind": one.kind, "key": one.key, "grade": one.grade, "figures": dict(one.figures)} for one in grading.parts],
        "counted": [{"id": one.id, "item": one.item, "points": one.points, "cycle": one.cycle} for one in grading.counted],
        "left": [{"id": one.id, "why": one.why} for one in grading.left],
        "sanction": {"rate_percent": sanction.rate_percent, "direct": sanction.direct, "joint_list": sanction.joint_list},
    }


def _inner(node: Node, name: str, read: Callable[[Node], T]) -> T | None:
    value = node.get(name, None)
    if value is None:
        return None
    inner = Node(value, node.at(name))
    found = read(inner)
    inner.done()
    return found


def _basis(node: Node) -> Basis:
    return Basis(node.text("zh"), node.text("en"), node.flag("verified"))


def _grade(node: Node) -> Grade:
    return Grade(_name(node, "key"), node.text("zh"), node.text("en"), node.one_of("draw", DRAW_GRADES))


def _name(node: Node, name: str) -> str:
    """Take a grade's name: a word, in capitals or not."""
    found: str = node.text(name)
    if len(found) > 32 or not found.replace("-", "a").isascii() or not found.replace("-", "a").isalnum():
        raise PathError(node.at(name), "is no word of letters, digits and hyphens")
    return found


def _item(node: Node) -> Item:
    legal = Node(node.get("legal"), node.at("legal"))
    found = Item(
        key=node.key("key"),
        zh=node.text("zh"),
        en=node.text("en"),
        legal_zh=legal.text("zh"),
        legal_en=legal.text("en"),
        tags=node.words("tags", None, ()),
        points=node.count("points", 0, MOST_POINTS, 0),
        most=node.count("most", 0, MOST_POINTS) if "most" in node.value else None,
        holds=node.text("holds", None),
        lasts_days=node.count("lasts_days", 1, 36_600) if "lasts_days" in node.value else None,
        verified=node.flag("verified", False),
    )
    legal.done()
    if found.most is not None and found.most < found.points:
        raise PathError(node.at("most"), "is less than `points`")
    return found


def _points(node: Node) -> Points:
    found = Points(
        start=node.count("start", 0, MOST_POINTS),
        cycle=node.text("cycle"),
        bands=node.each("bands", _band, (1, 10)),
        newcomer=node.text("newcomer"),
        registered=node.key("registered"),
        verified=node.flag("verified", False),
    )
    month, _, day = found.cycle.partition("-")
    sound = len(found.cycle) == 5 and month.isdigit() and day.isdigit() and 1 <= int(month) <= 12 and 1 <= int(day) <= 28
    if not sound:
        raise PathError(node.at("cycle"), "is no month and day up to the 28th, written as 10-01")
    if any(one[1] <= other[1] for one, other in pairwise(found.bands)):
        raise PathError(node.at("bands"), "do not fall")
    return found


def _band(node: Node) -> tuple[str, int]:
    return node.text("grade"), node.count("least", -MOST_POINTS, MOST_POINTS)


def _limit(node: Node) -> Limit:
    return Limit(
        key=node.key("key"),
        zh=node.text("zh"),
        en=node.text("en"),
        days=node.count("days", 1, 36_600),
        tests=node.each("tests", _test, (1, 10)),
        grade=node.text("grade", None),
        party=node.one_of("party", ("any", "broker", "other"), "any"),
        verified=node.flag("verified", False),
    )


def _test(node: Node) -> Test:
    of = node.one_of("of", ("count", "sum", "share"))
    fact = node.key("fact", None)
    if of != "count" and fact is None:
        raise PathError(node.at("fact"), "is missing")
    return Test(of, node.key("tag"), node.count("above", 0, MOST), fact, node.count("worth", 0, MOST, 0))


def _need(node: Node) -> Need:
    return Need(node.key("fact"), node.count("least", 0, MOST), node.count("most", 0, MOST))


def _award(node: Node) -> Award:
    return Award(
        grade=node.text("grade"),
        above=node.text("above"),
        granted=node.key("granted"),
        ended=node.key("ended"),
        held_days=node.count("held_days", 0, 3_660, 0),
        needs=node.each("needs", _need, (0, 20), ()),
        unless=node.each("unless", _limit, (0, 20), ()),
    )


def _sanction(node: Node) -> Sanction:
    return Sanction(
        grade=node.text("grade"),
        rate_percent=node.count("rate_percent", 1, 10_000),  # never nought: a random floor stands in every grade
        direct=node.flag("direct"),
        joint_list=node.flag("joint_list"),
        zh=node.text("zh"),
        en=node.text("en"),
    )


def _event(node: Node) -> Event:
    facts = node.get("facts", {})
    if not isinstance(facts, dict) or len(facts) > 20:
        raise PathError(node.at("facts"), "is no object of at most 20 figures")
    inner = Node(facts, node.at("facts"))
    return Event(
        id=str(node.text("id")),
        item=node.key("item"),
        day=node.day("day"),
        expires=node.day("expires", None),
        points=node.count("points", 0, MOST_POINTS) if node.get("points", None) is not None else None,
        facts=tuple(sorted((str(name), inner.count(name, 0, MOST)) for name in facts)),
        appeal=node.one_of("appeal", ("none", "filed", "upheld", "rejected"), "none"),
    )


def _once(where: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise PathError(f"{where}[{number}]", f"{name[:64]} is there before")


def _check_names(rules: RuleSet) -> None:
    """Check that every grade and item that is named is one of the rule set."""
    named: list[tuple[str, str | None]] = [(f"items.{one.key}.holds", one.holds) for one in rules.items.values()]
    named += [(f"limits.{one.key}.grade", one.grade or "") for one in rules.limits]
    named += [(f"awards.{one.grade}", name) for one in rules.awards for name in (one.grade, one.above)]
    wanted = [item for one in rules.awards for item in (one.granted, one.ended)]
    if rules.points is not None:
        named += [("points.bands", grade) for grade, _ in rules.points.bands] + [("points.newcomer", rules.points.newcomer)]
        wanted.append(rules.points.registered)
    for where, grade in named:
        if grade is not None and grade not in rules.ranks:
            raise PathError(where, f"{grade[:32]!r} is no grade of this rule set")
    for item in wanted:
        if item not in rules.items:
            raise PathError("items", f"{item} is named and missing")
    tags = {tag for one in rules.items.values() for tag in one.tags}
    limits = (*rules.limits, *(limit for award in rules.awards for limit in award.unless))
    for tag in (test.tag for limit in limits for test in limit.tests):
        if tag not in tags:
            raise PathError("limits", f"no item has the tag {tag}")
    if rules.points is not None and [rules.ranks[name] for name, _ in rules.points.bands] != sorted(
        rules.ranks[name] for name, _ in rules.points.bands
    ):
        raise PathError("points.bands", "are not in the order of the grades")


def _check_sanctions(rules: RuleSet) -> None:
    if set(rules.sanctions) != set(rules.ranks):
        raise PathError("sanctions", "are not one for each grade")
    ordered = [rules.sanctions[one.key] for one in rules.grades]
    for better, worse in pairwise(ordered):
        if worse.rate_percent < better.rate_percent or worse.direct > better.direct or worse.joint_list < better.joint_list:
            raise PathError("sanctions", f"{worse.grade} is treated better than {better.grade}")
    draws = [DRAW_GRADES.index(one.draw) for one in rules.grades]
    if draws != sorted(draws):
        raise PathError("grades", "stand for grades of the draw in another order")
