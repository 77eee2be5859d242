"""Read and judge expressions over a declaration: `any goods (hs starts '0810' and origin = 'TH') and voyage.arrival < '2026-12-01'`.

    test   = field op literal | field "in" "(" literals ")" | field "starts" literal or "(" literals ")" | field "contains" 'text'
           | field "is" "missing" | field "is" "given" | a yes/no field alone
           | ("any" | "all") list "(" expression ")" | "count" list [ "(" expression ")" ] op number
    op     = one of = != < <= > >=        literal: 'text', '2026-11-24' or a decimal number

Guarantees: nothing is run but this table over known fields; a comparison that cannot hold (a text with <, a day that is none) is named when
it is read, not when it is used; the work is bounded by length times items, since lists do not stand within lists; a test of what is not
given is false, and so is `all` over nothing; numbers compare exactly.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from hub.inspection.risk.fields import LISTS, TOP, Kind
from protocol.expressions import ExpressionError, Joined, Reader

MAX_LENGTH = 2000
MAX_LITERALS = 200
MAX_TESTS = 100
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?\d+(?:\.\d+)?)|(?P<op><=|>=|!=|=|<|>)|(?P<mark>[(),])"
    r"|(?P<name>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?))"
)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
_OPS = ("=", "!=", "<", "<=", ">", ">=")
_WORDS = frozenset({"and", "or", "not", "in", "is", "starts", "contains", "any", "all", "count", "missing", "given"})
Value = str | Decimal


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare a field with literals; `inner`: a field of the list's item, else of the declaration."""

    field: str
    inner: bool
    op: str
    literals: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Each:
    """Ask whether `any` or `all` of a list meet something, or compare how many do (`count`)."""

    how: Literal["any", "all", "count"]
    of: str
    inner: "Expression | None"
    op: str = ""
    number: Decimal = Decimal(0)


Expression = Compare | Each | Joined[Compare | Each]


@dataclass(frozen=True, slots=True)
class Declared:
    """What expressions look at: the declaration's own fields, and its lists. Days are texts, decimals Decimal, what is not given None."""

    top: Mapping[str, Any]
    lists: Mapping[str, Sequence[Mapping[str, Any]]]


@lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """Read an expression; raise ExpressionError with its place, in English and Chinese."""
    return _Reader(text).read()


def holds(expression: Expression, declared: Declared, item: Mapping[str, Any] | None = None) -> bool:
    """Tell whether an expression holds of a declaration."""
    if isinstance(expression, Joined):
        if expression.how == "not":
            return not holds(expression.parts[0], declared, item)
        found = (holds(part, declared, item) for part in expression.parts)
        return all(found) if expression.how == "and" else any(found)
    if isinstance(expression, Each):
        return _each(expression, declared)
    source = item if expression.inner and item is not None else declared.top
    value = source.get(expression.field)
    if expression.op in ("missing", "given"):
        return (value in (None, "", ())) == (expression.op == "missing")
    several = value if isinstance(value, tuple) else (value,)
    return any(_meets(one, expression.op, expression.literals) for one in several if one is not None)


def _each(each: Each, declared: Declared) -> bool:
    items = declared.lists[each.of]
    inner = each.inner
    met = (inner is None or holds(inner, declared, item) for item in items)
    if each.how == "any":
        return any(met)
    if each.how == "all":
        return bool(items) and all(met)
    return _ordered(Decimal(sum(met)), each.op, each.number)


def _meets(value: Any, op: str, literals: tuple[Value, ...]) -> bool:  # noqa: ANN401 - JSON
    if op == "true":
        return value is True
    if op == "in":
        return value in literals
    if op == "starts":
        return isinstance(value, str) and value.startswith(tuple(str(one) for one in literals))
    if op == "contains":
        return isinstance(value, str) and str(literals[0]).casefold() in value.casefold()
    return _ordered(value, op, literals[0])


def _ordered(left: Any, op: str, right: Any) -> bool:  # noqa: ANN401 - both of one type, by reading
    if op in ("=", "!="):
        return bool(left == right) == (op == "=")
    orders: Mapping[str, bool] = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return orders[op]


class _Reader(Reader[Compare | Each]):
    """Reads the tests; `within`: the list whose items are being asked about."""

    def __init__(self, text: str) -> None:
        self.within, self.tests = "", 0
        super().__init__(text, _TOKEN, "expression", MAX_LENGTH)

    def test(self, depth: int) -> Expression:
        self.tests += 1
        if self.tests > MAX_TESTS:
            raise self.fail(f"more than {MAX_TESTS} tests", f"超过 {MAX_TESTS} 个条件")
        if self.is_word("any", "all", "count"):
            return self._each(depth)
        at = self.at - len(self.word) + 1
        name, inner, kind = self._field()
        if kind == "flag":
            if self.kind == "op":
                raise self.fail("a yes/no field stands alone, or after `not`", "是/否字段单独书写，或写在 not 之后")
            return Compare(name, inner, "true")
        if self.is_word("is"):
            self.step()
            if not self.is_word("missing", "given"):
                raise self.fail("expected `missing` or `given`", "此处应为 missing 或 given")
            return Compare(name, inner, self.step())
        return Compare(name, inner, *self._compared(name, kind, at))

    def _each(self, depth: int) -> Each:
        if self.within:
            raise self.fail("lists do not stand within lists", "不能在列表条件中再使用列表条件")
        how = self.step()
        if self.kind != "name" or self.word not in LISTS:
            known = ", ".join(LISTS)
            raise self.fail(f"expected one of the lists {known}", f"此处应为列表之一：{known}")
        of = self.step()
        inner: Expression | None = None
        if self.word == "(" or how != "count":
            self.within = of
            self.take("(")
            inner = self.either(depth + 1)
            self.take(")")
            self.within = ""
        if how != "count":
            return Each("any" if how == "any" else "all", of, inner)
        if self.kind != "op":
            raise self.fail(f"expected one of {' '.join(_OPS)}", f"此处应为 {' '.join(_OPS)} 之一")
        op = self.step()
        return Each("count", of, inner, op, Decimal(str(self._literal("number"))))

    def _field(self) -> tuple[str, bool, Kind]:
        if self.kind != "name" or self.word in _WORDS:
            raise self.fail("expected the name of a field", "此处应为字段名")
        mine = LISTS[self.within] if self.within else {}
        inner = self.word in mine
        found = mine.get(self.word) or TOP.get(self.word)
        if found is None:
            place = f" of {self.within}" if self.within else ""
            raise self.fail(f"{self.word!r} is no field{place} or of a declaration", f"没有名为 {self.word!r} 的字段")
        return self.step(), inner, found.kind

    def _compared(self, name: str, kind: Kind, at: int) -> tuple[str, tuple[Value, ...]]:
        if self.is_word("in", "starts", "contains"):
            op = self.step()
            if op != "in" and kind != "text":
                raise ExpressionError(f"`{op}` goes with texts, {name} is a {kind}", f"{name} 不是文字，不能用 {op}", at, self.where)
            if op == "in" or (op == "starts" and self.word == "("):
                return op, self._several(kind)
            return op, (self._literal(kind),)
        if self.kind != "op":
            more = "in is" + (" starts contains" if kind == "text" else "")
            raise self.fail(f"expected one of {' '.join(_OPS)} {more}", f"此处应为 {' '.join(_OPS)} {more} 之一")
        if kind == "text" and self.word not in ("=", "!="):
            raise self.fail(f"{name} is a text, which has no order", f"{name} 是文字，不能比较大小")
        op = self.step()
        return op, (self._literal(kind),)

    def _several(self, kind: Kind) -> tuple[Value, ...]:
        self.take("(")
        found = [self._literal(kind)]
        while self.word == ",":
            self.step()
            if len(found) == MAX_LITERALS:
                raise self.fail(f"more than {MAX_LITERALS} values", f"超过 {MAX_LITERALS} 个值")
            found.append(self._literal(kind))
        self.take(")")
        return tuple(found)

    def _literal(self, kind: Kind) -> Value:
        if kind == "number":
            if self.kind != "number" or not _NUMBER.fullmatch(self.word):
                raise self.fail("expected a number of at most 15 digits and 6 decimals", "此处应为数字（最多 15 位整数、6 位小数）")
            return Decimal(self.step())
        if self.kind != "text":
            raise self.fail("expected a text in quotes", "此处应为带引号的文字")
        if kind == "day" and not _is_day(self.word[1:-1]):
            raise self.fail("expected a day written as '2026-11-24'", "此处应为日期，写作 '2026-11-24'")
        return self.step()[1:-1]


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
