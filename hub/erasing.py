"""Erase the bodies of concealed records: by an administrator's word, or when their retention class says so.

Guarantees: the erasure is a record itself, and salt, body and all that was derived from them go in the transaction that logs it, so
that neither exists without the other; the tree and every proof stay whole; nothing that belongs to a task under legal hold goes, nor
a view that has not ended; both records of a view go together.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from hub.core import Core
from hub.sequencer import stage
from protocol import kinds
from protocol.concealing import reveal
from protocol.errors import ForbiddenError, MalformedError, RefusedError
from protocol.identifiers import Issuer
from protocol.records import SignedRecord, read
from protocol.retention import DAY_NS, RetentionClass
from storage.schema import bonds, concealed, keepings, openings, people, tasks, views

PERSONAL_CLASS = "personal"  # the retention class that bodies of concealed records are kept by, where the settings name it
AT_ONCE = 200  # bodies in one pass: a wrong class or clock cannot empty the body store in one go
ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Erasing:
    """The erasures of one hub; works beside a hub that serves, which logs what is asked here."""

    core: Core

    async def erase(self, position: int, by: str, reason: str) -> tuple[int, ...]:
        """Ask for the erasure of a record of this hub's log; give the leaves that go with it, once the log says so.

        Raises MalformedError without a reason, ForbiddenError when `by` is no administrator, RefusedError when the record has nothing
        to erase or must stay.
        """
        if not reason.strip():
            raise MalformedError("a reason is needed", where="erase.reason")

        def put(connection: Connection) -> tuple[int, ...]:
            _need_administrator(connection, by)
            found = _together(connection, position)
            held = held_because(connection, found)
            if held:
                raise RefusedError(held, where=f"record {position}")
            stage(connection, kinds.Disposal((), reason.strip(), by, found), str(self.core.hub_id), self.core.clock.now())
            return found

        done = await self.core.database.write(put)
        self.core.sequencer.wake()
        return done


def due(connection: Connection, classes: dict[str, RetentionClass], now_ns: int) -> tuple[int, ...]:
    """Give the concealed records whose class is over by retention's own time, oldest first and not many at once."""
    found = classes.get(PERSONAL_CLASS)
    if found is None or found.days is None:
        return ()
    old = and_(concealed.c.disposal.is_(None), concealed.c.wall_ns <= now_ns - found.days * DAY_NS)
    chosen: dict[int, None] = {}
    for position in connection.execute(select(concealed.c.position).where(old).order_by(concealed.c.wall_ns).limit(AT_ONCE)).scalars():
        try:
            together = _together(connection, position)
        except RefusedError:  # a view that is still open: it stays until it ends
            continue
        if not held_because(connection, together):
            chosen |= dict.fromkeys(together)
    return tuple(sorted(chosen))


def revealed(connection: Connection, data: bytes) -> SignedRecord:
    """Read a record of the hub with its body where that is kept: a concealed one without it stays as the log holds it."""
    signed = read(data)
    if not isinstance(signed.record.body, kinds.Concealed):
        return signed
    opening = opening_of(connection, signed.record.position)
    return signed if opening is None else reveal(signed, opening)


def opening_of(connection: Connection, position: int) -> bytes | None:
    """Give salt and body of a concealed record; None when it has none, or they were erased."""
    found = connection.execute(select(openings.c.opening).where(openings.c.position == position)).scalar()
    return None if found is None else bytes(found)


def _need_administrator(connection: Connection, by: str) -> None:
    row = connection.execute(select(people.c.role, people.c.disabled).where(people.c.name == by)).first()
    if row is None or row.disabled or row.role != ADMINISTRATOR:
        raise ForbiddenError(f"{by[:40]!r} is no administrator here", where="erase.by")


def _together(connection: Connection, position: int) -> tuple[int, ...]:
    """Give a concealed record with those that go with it; raise RefusedError when there is nothing to erase, or it must stay."""
    row = connection.execute(select(concealed).where(concealed.c.position == position)).first()
    if row is None:
        raise RefusedError("has no concealed body", where=f"record {position}")
    if row.disposal is not None:
        raise RefusedError(f"was erased, as record {row.disposal} says", where=f"record {position}")
    view = connection.execute(select(views.c.view).where(views.c.position == position)).scalar()
    if view is None:
        return (position,)
    both = connection.execute(select(views.c.position, views.c.state).where(views.c.view == view).order_by(views.c.position)).all()
    if not any(each.state == "ended" for each in both):
        raise RefusedError("the view has not ended", where=f"record {position}")
    return tuple(each.position for each in both)


def held_because(connection: Connection, positions: Iterable[int]) -> str:
    """Say why records must stay: a legal hold on the task watched, or on any task that their stream belongs to; empty when none."""
    query = select(concealed.c.subject).where(concealed.c.position.in_(list(positions)))
    subjects = set(connection.execute(query).scalars())
    held = list(connection.execute(select(keepings.c.task).where(keepings.c.held.is_(True))).scalars())
    for task in held:
        if task in subjects or subjects & _streams(connection, task):
            return f"legal hold on {task}"
    return ""


def _streams(connection: Connection, task: str) -> set[str]:
    cameras = connection.execute(select(tasks.c.cameras).where(tasks.c.task == task)).scalar()
    paired = connection.execute(select(bonds.c.stream).where(bonds.c.task == task)).scalars()
    return {*json.loads(cameras or "[]"), *paired}


def parse_place(text: str, issuer: Issuer) -> int:
    """Read which record is meant: its number in the log, or `issuer/0/number`; raise MalformedError."""
    number = text.removeprefix(f"{issuer}/0/")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise MalformedError(f"{text[:40]!r} is no record of this hub's log", where="erase.record")
    return int(number)


def erased(body: kinds.Body) -> Sequence[int]:
    """Give the leaves that a record erases."""
    return body.records or () if isinstance(body, kinds.Disposal) else ()
