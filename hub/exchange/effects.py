"""Gather the records of one decision: what it logs, in order, each seeing what those before it changed.

Guarantees: nothing is written but documents that the records bind and alarms of the same transaction; places in the log are known before
the records enter it, so that one may name another.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from hub.alarms import ring
from hub.exchange import tables
from hub.inspection.sheets import keep
from hub.inspection.standings import after, standing_of, standing_row
from hub.inspection.states import Standing, State
from protocol import kinds
from protocol.exchange_kinds import MessageOut
from protocol.inspection_kinds import Hold, Step
from protocol.sheets import SALT_BYTES, make_sheet


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that is to go to a partner, ready to be sent."""

    partner: str
    form: Any  # "json" or "edifact"
    about: str
    raw: bytes
    way: Any = "queued"  # or "answer"
    declaration: str | None = None


@dataclass(slots=True)
class Effects:
    """What one transaction logs. `size`: of the log before it; `now_ns`: the hub's time."""

    connection: Connection
    size: int
    now_ns: int
    named: list[tuple[str, kinds.Body]] = field(default_factory=list)
    alarms: list[tuple[str, str, str]] = field(default_factory=list)
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> int:
        """Give the place in the log that the next record will have."""
        return self.size + len(self.named)

    def add(self, subject: str, body: kinds.Body) -> int:
        """Log a record; give its place."""
        self.named.append((subject, body))
        return self.place - 1

    def row(self, number: str) -> dict[str, Any]:
        """Give where a declaration stands, with what was decided here; raise RefusedError when there is none."""
        if number not in self._rows:
            self._rows[number] = dict(standing_row(self.connection, number))
        return self._rows[number]

    def standing(self, number: str) -> Standing:
        """Give the same as guards look at it."""
        return standing_of(self.row(number))

    def step(self, number: str, to: State, said: Mapping[str, Any], rule: str | None = None) -> int:
        """Let a declaration take a step whose guard was checked."""
        body = Step(to, self.sheet(said), rule)
        self._rows[number] = self.row(number) | after(self.row(number), body)
        return self.add(number, body)

    def hold(self, number: str, authority: str, said: Mapping[str, Any], *, lift: bool = False) -> int:
        """Place or lift another authority's hold."""
        body = Hold("lifted" if lift else "placed", authority, self.sheet(said))
        self._rows[number] = self.row(number) | after(self.row(number), body)
        return self.add(number, body)

    def sheet(self, said: Mapping[str, Any]) -> bytes:
        """Keep a sheet; give what binds it."""
        made = make_sheet(dict(said), os.urandom(SALT_BYTES))
        keep(self.connection, made)
        return made.commitment

    def next_out(self, partner: str) -> int:
        """Give the number that the next message to a partner will have."""
        if partner not in self._numbers:
            self._numbers[partner] = tables.next_number(self.connection, partner, tables.OUT)
        return self._numbers[partner]

    def send(self, letter: Letter, cause: int) -> int:
        """Put a message into a partner's queue, in the same transaction as its cause."""
        number = self.next_out(letter.partner)
        self._numbers[letter.partner] = number + 1
        name = tables.keep_body(self.connection, letter.raw)
        body = MessageOut(number, name, len(letter.raw), letter.form, letter.about, letter.way, cause, letter.declaration)
        return self.add(letter.partner, body)

    def alarm(self, kind: str, subject: str, detail: str) -> None:
        """Ring an alarm with the records."""
        ring(self.connection, (kind, subject, detail[:900]), self.now_ns)
        self.alarms.append((kind, subject, detail[:900]))
