"""Read and judge the small conditions by which one answer asks for another: `state = 'damaged' and (count > 2 or kind in ('a', 'b'))`.

    either  = both {"or" both}          both = one {"and" one}          one = "not" one | "(" either ")" | test
    test    = name op literal | name "in" "(" literal {"," literal} ")"    op: = != < <= > >=    literal: 'text' or a decimal number

Guarantees: nothing is run but this table; length and depth are bounded, so that time is; a test of what was not answered is false;
numbers compare exactly. In a choice of several, `=` and `in` ask whether the option was chosen.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from protocol.errors import MalformedError

MAX_LENGTH = 1000
MAX_DEPTH = 20
Dialect = Literal["own", "xpath"]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?\d+(?:\.\d+)?)|(?P<op><=|>=|!=|=|<|>)|(?P<mark>[(),])"
    r"|(?P<name>\$\{[a-z][a-z0-9_-]*\}|[a-z][a-z0-9_-]*))"
)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
_WORDS = frozenset({"and", "or", "not", "in", "selected"})


@dataclass(frozen=True, slots=True)
class Test:
    """Compare an answer with a literal; several literals with `in`."""

    __test__ = False
    name: str
    op: str
    literals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """All ("and"), some ("or") or not the one ("not") of these hold."""

    how: Literal["and", "or", "not"]
    parts: "tuple[Condition, ...]"


Condition = Test | Joined


def parse(text: str, dialect: Dialect = "own") -> Condition:
    """Read a condition, ours or the part of XPath that spreadsheets of forms use; raise MalformedError with the place in the text."""
    if len(text) > MAX_LENGTH:
        raise MalformedError(f"has {len(text)} characters, at most {MAX_LENGTH}", where="condition")
    reader = _Reader(text, dialect)
    found = reader.either(0)
    reader.end()
    return found


def names(condition: Condition) -> Iterator[str]:
    """Give the names of the items that a condition asks about."""
    if isinstance(condition, Test):
        yield condition.name
    else:
        for part in condition.parts:
            yield from names(part)


def holds(condition: Condition, answers: Mapping[str, Any]) -> bool:
    """Tell whether a condition holds of answers by item."""
    if isinstance(condition, Test):
        return condition.name in answers and _compares(answers[condition.name], condition)
    if condition.how == "not":
        return not holds(condition.parts[0], answers)
    found = (holds(part, answers) for part in condition.parts)
    return all(found) if condition.how == "and" else any(found)


def written(condition: Condition, dialect: Dialect = "own") -> str:
    """Write a condition so that `parse` gives it back."""
    if isinstance(condition, Test):
        return _written_test(condition, dialect)
    if condition.how == "not":
        inner = written(condition.parts[0], dialect)
        return f"not({inner})" if dialect == "xpath" else f"not ({inner})"
    return f" {condition.how} ".join(_inner(part, dialect) for part in condition.parts)


def _inner(condition: Condition, dialect: Dialect) -> str:
    text = written(condition, dialect)
    return f"({text})" if isinstance(condition, Joined) and condition.how != "not" else text


def _written_test(test: Test, dialect: Dialect) -> str:
    literals = [one if _NUMBER.fullmatch(one) and test.op not in ("in", "=", "!=") else f"'{one}'" for one in test.literals]
    name = test.name if dialect == "own" else f"${{{test.name.replace('-', '_')}}}"
    if test.op != "in":
        return f"{name} {test.op} {literals[0]}"
    if dialect == "own":
        return f"{name} in ({', '.join(literals)})"
    chosen = " or ".join(f"selected({name}, {one})" for one in literals)
    return f"({chosen})" if len(literals) > 1 else chosen


def _compares(answer: Any, test: Test) -> bool:  # noqa: ANN401 - JSON
    if test.op in ("=", "in", "!="):
        chosen = set(answer) if isinstance(answer, list | tuple) else {answer}
        met = any(_same(one, literal) for one in chosen for literal in test.literals)
        return met if test.op != "!=" else not met
    left, right = _number(answer), _number(test.literals[0])
    if left is None or right is None:
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[test.op]


def _same(answer: Any, literal: str) -> bool:  # noqa: ANN401 - JSON
    if answer == literal:
        return True
    left, right = _number(answer), _number(literal)
    return left is not None and left == right


def _number(value: Any) -> Fraction | None:  # noqa: ANN401 - JSON
    return Fraction(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


class _Reader:
    """Reads tokens one by one, without going back."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text, self.dialect, self.at = text, dialect, 0
        self.kind, self.word = "", ""
        self.step()

    def fail(self, what: str) -> MalformedError:
        return MalformedError(f"{what} at character {self.at - len(self.word) + 1}", where="condition")

    def step(self) -> str:
        before = self.word
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            rest = self.text[self.at :].strip()
            self.at = len(self.text) - len(self.text[self.at :].lstrip())
            self.kind = self.word = ""
            if rest:
                raise self.fail(f"{rest[:12]!r} is not understood")
            return before
        self.at, self.kind, self.word = match.end(), str(match.lastgroup), match[str(match.lastgroup)]
        return before

    def end(self) -> None:
        if self.word:
            raise self.fail(f"{self.word!r} is one too many")

    def take(self, token: str) -> None:
        if self.word != token:
            raise self.fail(f"expected {token!r}")
        self.step()

    def either(self, depth: int) -> Condition:
        return self._joined("or", depth)

    def _joined(self, how: Literal["and", "or"], depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH}")
        parts = [self._one(depth) if how == "and" else self._joined("and", depth)]
        while self.kind == "name" and self.word == how:
            self.step()
            parts.append(self._one(depth) if how == "and" else self._joined("and", depth))
        return parts[0] if len(parts) == 1 else Joined(how, tuple(parts))

    def _one(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH}")
        if self.kind == "name" and self.word == "not":
            self.step()
            return Joined("not", (self._one(depth + 1),))
        if self.word == "(":
            self.step()
            found = self.either(depth + 1)
            self.take(")")
            return found
        if self.dialect == "xpath" and self.word == "selected":
            return self._selected()
        return self._test()

    def _selected(self) -> Condition:
        self.step()
        self.take("(")
        name = self._name()
        self.take(",")
        literal = self._literal()
        self.take(")")
        return Test(name, "in", (literal,))

    def _name(self) -> str:
        wrapped = self.word.startswith("${")
        if self.kind != "name" or wrapped != (self.dialect == "xpath") or self.word in _WORDS:
            raise self.fail("expected the name of an item")
        token = self.step()
        return token[2:-1].replace("_", "-") if wrapped else token

    def _literal(self) -> str:
        if self.kind not in ("text", "number"):
            raise self.fail("expected a text in quotes or a number")
        token = self.step()
        return token[1:-1] if token[0] in "'\"" else token

    def _test(self) -> Condition:
        name = self._name()
        if self.word == "in" and self.dialect == "own":
            self.step()
            self.take("(")
            literals = [self._literal()]
            while self.word == ",":
                self.step()
                literals.append(self._literal())
            self.take(")")
            return Test(name, "in", tuple(literals))
        if self.kind != "op":
            raise self.fail("expected one of = != < <= > >=" + (" in" if self.dialect == "own" else ""))
        op = self.step()
        return Test(name, op, (self._literal(),))
