"""Read and judge the small conditions by which one answer asks for another: `state = 'damaged' and (count > 2 or kind in ('a', 'b'))`.

    test    = name op literal | name "in" "(" literal {"," literal} ")"    op: = != < <= > >=    literal: 'text' or a decimal number

Guarantees: nothing is run but this table; length and depth are bounded, so that time is; a test of what was not answered is false;
numbers compare exactly. In a choice of several, `=` and `in` ask whether the option was chosen.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from protocol.expressions import Joined, Reader

MAX_LENGTH = 1000
Dialect = Literal["own", "xpath"]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<op><=|>=|!=|=|<|>)|(?P<mark>[(),])"
    r"|(?P<name>\$\{[a-z][a-z0-9_-]*\}|[a-z][a-z0-9_-]*))"
)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")  # digits as every reader has them
_WORDS = frozenset({"and", "or", "not", "in", "selected"})


@dataclass(frozen=True, slots=True)
class Test:
    """Compare an answer with a literal; several literals with `in`."""

    __test__ = False
    name: str
    op: str
    literals: tuple[str, ...]


Condition = Test | Joined[Test]


def parse(text: str, dialect: Dialect = "own") -> Condition:
    """Read a condition, ours or the part of XPath that spreadsheets of forms use; raise MalformedError with the place in the text."""
    return _Reader(text, dialect).read()


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
        chosen = answer if isinstance(answer, list | tuple) else (answer,)
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


class _Reader(Reader[Test]):
    """Reads the tests of one dialect."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.dialect = dialect
        super().__init__(text, _TOKEN, "condition", MAX_LENGTH)

    def test(self, depth: int) -> Condition:
        if self.dialect == "xpath" and self.word == "selected":
            return self._selected()
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
            more = " in" if self.dialect == "own" else ""
            raise self.fail(f"expected one of = != < <= > >={more}", f"此处应为 = != < <= > >={more} 之一")
        op = self.step()
        return Test(name, op, (self._literal(),))

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
            raise self.fail("expected the name of an item", "此处应为项目名")
        token = self.step()
        return token[2:-1].replace("_", "-") if wrapped else token

    def _literal(self) -> str:
        if self.kind not in ("text", "number"):
            raise self.fail("expected a text in quotes or a number", "此处应为带引号的文字或数字")
        token = self.step()
        return token[1:-1] if token[0] in "'\"" else token


__all__ = ["Condition", "Dialect", "Joined", "Test", "holds", "names", "parse", "written"]
