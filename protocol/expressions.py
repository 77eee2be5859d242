"""Read expressions that join tests by `and`, `or`, `not` and brackets; what a test is, each language says itself.

    either = both {"or" both}        both = one {"and" one}        one = "not" one | "(" either ")" | a test of the language

Guarantees: nothing is run but a reader's own table; the text is read once from left to right, length and depth are bounded, so that
time is; what cannot be read is named with its place, in English and Chinese.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from protocol.errors import MalformedError

MAX_DEPTH = 20
T = TypeVar("T")


class ExpressionError(MalformedError):
    """A text that is no expression; `at` counts characters from 1, `zh` says the same as `what`."""

    def __init__(self, en: str, zh: str, at: int, where: str) -> None:
        super().__init__(f"{en} at character {at}", where=where)
        self.at = at
        self.zh = f"第 {at} 个字符：{zh}"


@dataclass(frozen=True, slots=True)
class Joined(Generic[T]):
    """All ("and"), some ("or") or not the one ("not") of these hold."""

    how: Literal["and", "or", "not"]
    parts: "tuple[T | Joined[T], ...]"


class Reader(ABC, Generic[T]):
    """Reads tokens one by one, without going back. `token`: a pattern whose groups name the kinds of tokens; one of them is `name`."""

    def __init__(self, text: str, token: re.Pattern[str], where: str, max_length: int) -> None:
        self.text, self.token, self.where, self.at = text, token, where, 0
        self.kind, self.word = "", ""
        if len(text) > max_length:
            en, zh = f"has {len(text)} characters, at most {max_length}; it ends", f"共 {len(text)} 个字符，最多 {max_length} 个"
            raise ExpressionError(en, zh, max_length, where)
        self.step()

    def read(self) -> "T | Joined[T]":
        """Read the whole text; raise ExpressionError where it is none."""
        found = self.either(0)
        if self.word:
            raise self.fail(f"{self.word!r} is one too many", f"多余的 {self.word!r}")
        return found

    @abstractmethod
    def test(self, depth: int) -> "T | Joined[T]":
        """Read one test."""

    def fail(self, en: str, zh: str) -> ExpressionError:
        """Make the error about the token that stands here."""
        return ExpressionError(en, zh, self.at - len(self.word) + 1, self.where)

    def step(self) -> str:
        """Go on to the next token; give the one that stood here."""
        before = self.word
        match = self.token.match(self.text, self.at)
        if match is None:
            rest = self.text[self.at :].strip()
            self.at = len(self.text) - len(self.text[self.at :].lstrip())
            self.kind = self.word = ""
            if rest:
                raise self.fail(f"{rest[:12]!r} is not understood", f"无法识别 {rest[:12]!r}")
            return before
        self.at, self.kind, self.word = match.end(), str(match.lastgroup), match[str(match.lastgroup)]
        return before

    def take(self, token: str) -> None:
        """Go past a token that must stand here."""
        if self.word != token:
            raise self.fail(f"expected {token!r}", f"此处应为 {token!r}")
        self.step()

    def is_word(self, *words: str) -> bool:
        """Tell whether a bare word of these stands here."""
        return self.kind == "name" and self.word in words

    def either(self, depth: int) -> "T | Joined[T]":
        """Read what `or` joins."""
        return self._joined("or", depth)

    def _joined(self, how: Literal["and", "or"], depth: int) -> "T | Joined[T]":
        parts = [self._one(depth) if how == "and" else self._joined("and", depth)]
        while self.is_word(how):
            self.step()
            parts.append(self._one(depth) if how == "and" else self._joined("and", depth))
        return parts[0] if len(parts) == 1 else Joined(how, tuple(parts))

    def _one(self, depth: int) -> "T | Joined[T]":
        if depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH}", f"嵌套超过 {MAX_DEPTH} 层")
        if self.is_word("not"):
            self.step()
            return Joined("not", (self._one(depth + 1),))
        if self.word == "(" and self.kind == "mark":
            self.step()
            found = self.either(depth + 1)
            self.take(")")
            return found
        return self.test(depth)
