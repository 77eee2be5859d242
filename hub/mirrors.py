"""Keep what the hub holds of each box journal: the state to judge its next record, and what boot records say of heads.

Guarantees: a journal moves on by compare-and-swap on its size, so that two workers cannot both append, and only by keys that
count at the commit itself; a box that names another head than it sent is found out as soon as both are here.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from hub.judging import Judgement, Mirror
from protocol import kinds
from protocol.errors import UnavailableError
from protocol.identifiers import BoxId, Issuer
from protocol.journals import Journal
from protocol.merkle import Frontier, root_at
from protocol.signatures import PublicKey
from storage.database import upsert
from storage.logs import JournalLog, reader
from storage.schema import identities, journals, records, sessions


def held_records(connection: Connection, box: str, epoch: int, first: int, count: int) -> list[bytes]:
    """Give records of a box that are held, in order."""
    mine = and_(records.c.issuer == str(Issuer.of_box(box)), records.c.epoch == epoch)
    query = select(records.c.data).where(mine, records.c.position >= first, records.c.position < first + count)
    return [bytes(data) for data in connection.execute(query.order_by(records.c.position)).scalars()]


def identity_keys(connection: Connection, box: str) -> tuple[PublicKey, ...]:
    """Give the identity keys of a box that count; empty for a stranger and for a revoked box."""
    query = select(identities.c.spki).where(identities.c.box == box, identities.c.until.is_(None)).order_by(identities.c.position)
    return tuple(PublicKey.from_spki(bytes(spki)) for spki in connection.execute(query).scalars())


def session_keys(connection: Connection, box: str, epoch: int) -> list[PublicKey]:
    """Give every session key of an epoch."""
    query = select(sessions.c.key).where(sessions.c.box == box, sessions.c.epoch == epoch)
    return [PublicKey.from_ed25519(bytes(key)) for key in connection.execute(query).scalars()]


def load_mirror(connection: Connection, box: BoxId, epoch: int, keys: tuple[PublicKey, ...]) -> Mirror:
    """Give what is held of an epoch; an empty mirror when nothing is."""
    row = connection.execute(select(journals).where(journals.c.box == box, journals.c.epoch == epoch)).first()
    if row is None:
        earlier = select(func.max(journals.c.counter)).where(journals.c.box == box, journals.c.epoch < epoch)
        return Mirror(Journal(box, epoch, keys, counter=connection.execute(earlier).scalar()))
    journal = Journal(
        box=box,
        epoch=epoch,
        identities=keys,
        frontier=Frontier.decode(row.size, bytes(row.frontier)),
        session=PublicKey.from_ed25519(bytes(row.session)) if row.session is not None else None,
        session_until_ns=row.session_until_ns,
        last_mono_ns=row.last_mono_ns,
        sealed=row.sealed,
        usage=row.usage,
        counter=row.counter,
    )
    return Mirror(journal, bytes(row.sealed_frontier))


def keep_journal(connection: Connection, before: Mirror, judgement: Judgement) -> None:
    """Move the journal's row on by compare-and-swap on its size: another worker may have been faster.

    Raises UnavailableError then, and when other keys count by now than the run was judged by: it is judged again.
    """
    journal = judgement.mirror.journal
    if identity_keys(connection, journal.box) != journal.identities:
        raise UnavailableError("its identities changed meanwhile; send again", where=journal.box)
    row: dict[str, Any] = {
        "size": journal.frontier.size,
        "frontier": journal.frontier.encode(),
        "session": journal.session.raw() if journal.session else None,
        "session_until_ns": journal.session_until_ns,
        "last_mono_ns": journal.last_mono_ns,
        "sealed": journal.sealed,
        "usage": journal.usage,
        "counter": journal.counter,
        "sealed_frontier": judgement.mirror.sealed_frontier,
    }
    mine = and_(journals.c.box == journal.box, journals.c.epoch == journal.epoch)
    if before.size == 0:
        first = judgement.accepted[0].signed
        boot = first.record.body if first is not None else None
        if isinstance(boot, kinds.Boot):
            row |= {"previous_epoch": boot.previous_epoch, "previous_size": boot.previous_size, "previous_root": boot.previous_root}
        if connection.execute(select(journals.c.size).where(mine)).first() is not None:
            raise UnavailableError("another worker began this epoch", where=journal.box)
        upsert(connection, journals, {"box": journal.box, "epoch": journal.epoch, **row})
    elif connection.execute(update(journals).where(mine, journals.c.size == before.size).values(row)).rowcount != 1:
        raise UnavailableError("another worker moved this journal on", where=journal.box)


@dataclass(frozen=True, slots=True)
class HeadProblem:
    """What a boot record denies: `known` is the position of the denied record of `epoch`, None when none is at hand."""

    what: str
    boot_epoch: int
    epoch: int
    size: int
    held: int
    known: int | None


def head_problems(connection: Connection, box: str, epoch: int) -> list[HeadProblem]:
    """Compare what boot records name as the last head of the epoch before with what is held, as soon as both are there."""
    skips = (journals.c.epoch > epoch) & (func.coalesce(journals.c.previous_epoch, -1) < epoch)
    touched = (journals.c.epoch == epoch) | (journals.c.previous_epoch == epoch) | skips
    rows = connection.execute(select(journals).where(journals.c.box == box, touched)).all()
    found = (_head_problem(connection, box, row) or _skipped(connection, box, row) for row in rows)
    return [problem for problem in found if problem is not None]


def _head_problem(connection: Connection, box: str, boot: Any) -> HeadProblem | None:  # noqa: ANN401 - a row
    before = and_(journals.c.box == box, journals.c.epoch == boot.previous_epoch)
    held = connection.execute(select(journals.c.size).where(before)).scalar()
    if held is None or boot.previous_size is None or held < boot.previous_size:
        return None  # the tail of the epoch before may still come
    where = f"epoch {boot.previous_epoch}"
    place = (boot.epoch, boot.previous_epoch, boot.previous_size, held)
    if held > boot.previous_size:
        what = f"{where}: the box names {boot.previous_size} records, {held} are here: its disk lost a tail it had sent"
        return HeadProblem(what, *place, known=boot.previous_size)
    if (
        boot.previous_size
        and root_at(held, reader(connection, JournalLog(str(Issuer.of_box(box)), boot.previous_epoch))) != boot.previous_root
    ):
        return HeadProblem(f"{where}: the box names another tree of {held} than it sent", *place, known=None)
    return None


def _skipped(connection: Connection, box: str, boot: Any) -> HeadProblem | None:  # noqa: ANN401 - a row
    """Find an epoch between a boot and the one it says it follows: a disk image from before that epoch was started again."""
    after = -1 if boot.previous_epoch is None else boot.previous_epoch
    between = and_(journals.c.box == box, journals.c.epoch > after, journals.c.epoch < boot.epoch)
    row = connection.execute(select(journals.c.epoch, journals.c.size).where(between).order_by(journals.c.epoch)).first()
    if row is None:
        return None
    what = f"epoch {boot.epoch}: its boot does not know epoch {row.epoch}, which the box had sent"
    return HeadProblem(what, boot.epoch, row.epoch, 0, row.size, known=0)


def rollback_proof(connection: Connection, box: str, problem: HeadProblem) -> kinds.Rollback | None:
    """Give the records by which anybody can see that a boot denies what the box had signed; None when there are none to show."""
    if problem.known is None:
        return None
    newest = and_(sessions.c.box == box, sessions.c.epoch == problem.epoch, sessions.c.position <= max(problem.known, 1))
    session = connection.execute(select(func.max(sessions.c.position)).where(newest)).scalar()
    places = [(problem.boot_epoch, 0), (problem.epoch, problem.known), (problem.epoch, 1 if session is None else session)]
    found = [data for epoch, position in places for data in held_records(connection, box, epoch, position, 1)]
    return kinds.Rollback(problem.epoch, problem.size, problem.held, *found) if len(found) == len(places) else None
