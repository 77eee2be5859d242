"""Read answers against a procedure, keep every one of them, and say which stand.

An answer names its item, the part it is about (`at`: a container, a sample; empty where asked once), its value, how long the question
was looked at, and which answers it replaces. Guarantees: an answer of another type, unit or size is refused by its path; nothing is
overwritten: two answers to one question both stand, and are a conflict while their values differ; what stands does not depend on the
order in which answers arrive; time is linear in their number.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from protocol import sheets
from protocol.errors import MalformedError
from protocol.procedures.conditions import holds
from protocol.procedures.model import ATTACHED, Item, Procedure, Section
from protocol.procedures.reading import Node, PathError

MAX_ANSWERS = 20_000
MAX_TEXT = 4000
MAX_DWELL_MS = 7 * 86_400_000
_ID = re.compile(r"[0-9a-f]{32}/\d{1,5}")
_AT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,39}")
_HASH = re.compile(r"[0-9a-f]{64}")
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,6})?")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
Place = tuple[str, str]
Parts = Mapping[str, Sequence[str]]
Way = Literal["asked", "rest"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `way`: asked for itself, or by the one act that the rest conforms; `by`: who, where that is still known."""

    id: str
    item: str
    at: str
    value: Any
    dwell_ms: int
    phone_ms: int
    replaces: tuple[str, ...] = ()
    way: Way = "asked"
    by: str = ""
    device: str = ""

    @property
    def place(self) -> Place:
        """Give the question that it answers."""
        return self.item, self.at


def read_answers(procedure: Procedure, batch: str, value: Any, way: Way = "asked") -> tuple[Answer, ...]:  # noqa: ANN401 - JSON
    """Read a batch of answers; `batch`: its id, 32 hex digits. Raises PathError naming the first answer that cannot be taken."""
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_ANSWERS:
        raise PathError("answers", f"is no list of 1 to {MAX_ANSWERS}")
    return tuple(_answer(procedure, f"{batch}/{number}", Node(one, f"answers[{number}]"), way) for number, one in enumerate(value))


def check_value(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    """Check that a value answers an item; raise MalformedError saying what is wrong with it."""
    _CHECKS[item.type](item, value)


def standing(answers: Iterable[Answer]) -> dict[Place, tuple[Answer, ...]]:
    """Give the answers that stand - replaced by none - by question; several where people or devices answered alike or apart."""
    known = tuple(answers)
    places = {answer.id: answer.place for answer in known}
    gone = {old for answer in known for old in answer.replaces if places.get(old) == answer.place and old != answer.id}
    found: dict[Place, list[Answer]] = {}
    for answer in sorted(known, key=lambda one: one.id):
        if answer.id not in gone:
            found.setdefault(answer.place, []).append(answer)
    return {place: tuple(some) for place, some in found.items()}


def in_conflict(answers: Sequence[Answer]) -> bool:
    """Tell whether answers that stand for one question differ."""
    return len({sheets.encode(answer.value) for answer in answers}) > 1


def asked(procedure: Procedure, stands: Mapping[Place, Sequence[Answer]], parts: Parts) -> list[tuple[Section, Item, str]]:
    """Give every question that is asked now, in order. `parts`: known containers, samples ... by what a section is repeated for."""
    found: list[tuple[Section, Item, str]] = []
    once: dict[str, Any] = {}
    for section in procedure.sections:
        for at in instances(section, stands, parts):
            inner = dict(once) if section.per else once
            for item in section.items:
                if item.when is None or holds(item.when, inner):
                    found.append((section, item, at))
                    given = stands.get((item.key, at), ())
                    if given and not in_conflict(given):
                        inner[item.key] = given[0].value
    return found


def rest(procedure: Procedure, stands: Mapping[Place, Sequence[Answer]], parts: Parts) -> list[tuple[Item, str]]:
    """Give the questions that "the rest conforms" would answer now: asked, not answered, with an option that conforms."""
    return [(item, at) for _, item, at in asked(procedure, stands, parts) if item.conforming() is not None and (item.key, at) not in stands]


def read_rest(procedure: Procedure, batch: str, value: Any) -> tuple[Answer, ...]:  # noqa: ANN401 - JSON
    """Read the act that the rest conforms: every question that it covers is named. Raises PathError where one has no such option."""
    answers = read_answers(procedure, batch, value, "rest")
    for number, answer in enumerate(answers):
        option = procedure.items[answer.item][1].conforming()
        if option is None or answer.value != option.key or answer.replaces:
            raise PathError(f"answers[{number}]", "is not covered by the act that the rest conforms")
    return answers


def digest(answers: Iterable[Answer]) -> bytes:
    """Give the hash that a signature of answers binds: SHA-256 over the canonical list of [id, item, at, value] of those that stand."""
    rows = [[one.id, one.item, one.at, one.value] for some in standing(answers).values() for one in some]
    return hashlib.sha256(sheets.encode(sorted(rows, key=lambda row: row[0]))).digest()


def failing(procedure: Procedure, answers: Iterable[Answer]) -> list[Answer]:
    """Give the answers that are findings: an option that fails, a refused signature."""
    return [answer for answer in answers if _fails(procedure.items[answer.item][1], answer.value)]


def beyond_limits(item: Item, value: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether a number lies beyond the limits of its item: a slip, that is refused."""
    if item.type != "number" or not isinstance(value, str):
        return False
    number = Decimal(value)
    return (item.least is not None and number < Decimal(item.least)) or (item.most is not None and number > Decimal(item.most))


def _fails(item: Item, value: Any) -> bool:  # noqa: ANN401 - JSON
    if item.type == "signature":
        return "refused" in value
    chosen = set(value) if isinstance(value, list) else {value} if isinstance(value, str) else set()
    return any(option.fails and option.key in chosen for option in item.options)


def instances(section: Section, stands: Mapping[Place, Sequence[Answer]], parts: Parts) -> list[str]:
    """Give the parts that a section is asked for; one empty name where it is asked once."""
    if section.per is None:
        return [""]
    keys = {item.key for item in section.items}
    found = dict.fromkeys(parts.get(section.per, ()))
    found |= dict.fromkeys(sorted({at for item, at in stands if item in keys and at}))
    return list(found)[: section.most]


def _answer(procedure: Procedure, identifier: str, node: Node, way: Way) -> Answer:
    item_key, at = node.key("item"), node.get("at", "")
    if item_key not in procedure.items:
        raise PathError(node.at("item"), "is no item of this procedure")
    section, item = procedure.items[item_key]
    if not isinstance(at, str) or (bool(at) != bool(section.per)) or (at and not _AT.fullmatch(at)):
        raise PathError(node.at("at"), "names the part that it is about" if section.per else "is asked once")
    value = node.get("value")
    try:
        check_value(item, value)
        sheets.encode(value)
    except MalformedError as error:
        raise PathError(node.at("value"), error.what) from error
    replaces = node.get("replaces", [])
    if not isinstance(replaces, list) or len(replaces) > 50 or not all(isinstance(one, str) and _ID.fullmatch(one) for one in replaces):
        raise PathError(node.at("replaces"), "is no list of answers")
    dwell, phone = node.count("dwell_ms", 0, MAX_DWELL_MS), node.count("phone_ms", 0, 10**14)
    node.done()
    return Answer(identifier, item_key, at, value, dwell, phone, tuple(replaces), way)


def _choice(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    if value not in [option.key for option in item.options]:
        raise MalformedError("is none of the options", where=item.key)


def _multi(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    known = {option.key for option in item.options}
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one in known for one in value):
        raise MalformedError("is no list of options", where=item.key)
    if value != sorted(set(value)):
        raise MalformedError("names its options once, in order of the alphabet", where=item.key)


def _number(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise MalformedError("is no decimal number written as a text", where=item.key)
    if len(value.partition(".")[2]) > item.places:
        raise MalformedError(f"has more than {item.places} decimals", where=item.key)
    if beyond_limits(item, value):
        raise MalformedError(f"lies beyond {item.least or ''} to {item.most or ''} {item.unit or ''}".strip(), where=item.key)


def _text(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(value, str) or not 0 < len(value.strip()) <= len(value) <= MAX_TEXT:
        raise MalformedError(f"is no text of 1 to {MAX_TEXT} characters", where=item.key)


def _code(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(value, str) or not 0 < len(value.strip()) == len(value) <= 200 or any(ord(one) < 32 for one in value):
        raise MalformedError("is no code of 1 to 200 characters", where=item.key)


def _date_time(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    try:
        if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
            raise ValueError(value)
        datetime.fromisoformat(value)
    except ValueError as error:
        raise MalformedError("is no time such as 2026-11-24T08:30:00+08:00", where=item.key) from error


def _files(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and _HASH.fullmatch(one) for one in value):
        raise MalformedError("is no list of files by SHA-256", where=item.key)
    if len(set(value)) != len(value) or len(value) > int(Decimal(item.most or "200")):
        raise MalformedError("names a file twice, or too many", where=item.key)


def _gps(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    wanted = {"latitude": 90_000_000, "longitude": 180_000_000, "accuracy_m": 1_000_000}
    if not isinstance(value, dict) or set(value) != set(wanted) or any(type(one) is not int for one in value.values()):
        raise MalformedError("is no place in millionths of a degree with its accuracy in metres", where=item.key)
    if any(abs(value[name]) > most for name, most in wanted.items()) or value["accuracy_m"] < 0:
        raise MalformedError("lies outside the Earth", where=item.key)


def _signature(item: Item, value: Any) -> None:  # noqa: ANN401 - JSON
    drawn = isinstance(value, dict) and set(value) == {"drawn", "name"} and _HASH.fullmatch(str(value["drawn"])) and _named(value["name"])
    refused = isinstance(value, dict) and set(value) == {"refused"} and _named(value["refused"])
    if not (drawn or refused):
        raise MalformedError("is neither a drawn signature with a name nor a refusal with its reason", where=item.key)


def _named(text: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(text, str) and 0 < len(text.strip()) <= len(text) <= 500


_CHECKS = {"choice": _choice, "multi": _multi, "number": _number, "text": _text, "barcode": _code, "date-time": _date_time, "gps": _gps,
           "signature": _signature} | dict.fromkeys(ATTACHED, _files)  # fmt: skip
