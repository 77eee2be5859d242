"""Answer what gathering an export asks, from the hub's tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Select, func, select

from hub.bonds import ticket_pairings
from hub.erasing import opening_of
from hub.history import kept_checkpoints
from hub.timestamps import tokens_about
from protocol import kinds
from protocol.certificates import Certificate
from protocol.errors import StorageError
from protocol.identifiers import Issuer, StreamId
from protocol.merkle import NodeReader
from protocol.reckoning import Scope
from storage.fieldwork_schema import tickets
from storage.logs import JournalLog, PortLog, port_entries, reader
from storage.schema import (
    CUSTODY_KINDS,
    concealed,
    derivations,
    heads_seen,
    identities,
    journals,
    leaves,
    orders,
    records,
    seals,
    sessions,
    tasks,
    views,
)


@dataclass(frozen=True, slots=True)
class DatabasePort:
    """Answer `hub.gathering.Port` from the hub's tables; every question is a look-up by key."""

    connection: Connection
    issuer: str
    chain: tuple[Certificate, Certificate]
    find_blob: Callable[[bytes], Path | None]
    own: Mapping[str, bytes] = field(default_factory=dict)  # what the hub says of itself

    def task_leaves(self, task: str) -> list[int]:
        """Give the log indices of the task's opening, end, pairing orders and tickets."""
        row = self.connection.execute(select(tasks.c.opened_at, tasks.c.ended_at).where(tasks.c.task == task)).first()
        ordered = self.connection.execute(select(orders.c.position).where(orders.c.task == task)).scalars()
        shown = self.connection.execute(select(tickets.c.position).where(tickets.c.task == task)).scalars()
        return [*ordered, *shown, *(index for index in (row or ()) if index is not None)]

    def ticketed(self, task: str) -> frozenset[StreamId]:
        """Give the recorders that joined the task by a ticket, without an order."""
        return frozenset(StreamId(one.stream) for one in ticket_pairings(self.connection, task))

    def enrolment_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's enrolments and revocations."""
        rows = self.connection.execute(select(identities.c.position, identities.c.until).where(identities.c.box == box)).all()
        return [index for row in rows for index in row if index is not None]

    def leaf(self, index: int) -> bytes:
        """Give a leaf of the port log; raise StorageError when it is not there."""
        found = port_entries(self.connection, index, index + 1)
        if not found:
            raise StorageError(f"leaf {index} is missing", where="port log")
        return found[0]

    def opening(self, index: int) -> bytes | None:
        """Give salt and body of a concealed leaf."""
        return opening_of(self.connection, index)

    def hub_leaf_before(self, index: int) -> int | None:
        """Give the last `stored` record below `index`."""
        query = self._stored().where(leaves.c.position < index).order_by(leaves.c.position.desc()).limit(1)
        return self.connection.execute(query).scalar()

    def hub_leaf_after(self, index: int) -> int | None:
        """Give the first `stored` record above `index`."""
        query = self._stored().where(leaves.c.position > index).order_by(leaves.c.position).limit(1)
        return self.connection.execute(query).scalar()

    def _stored(self) -> Select[int]:
        same = (
            (leaves.c.issuer == records.c.issuer) & (leaves.c.epoch == records.c.epoch) & (leaves.c.record_position == records.c.position)
        )
        query = select(leaves.c.position).select_from(leaves.join(records, same))
        return query.where(leaves.c.issuer == self.issuer, records.c.kind == kinds.Stored.KIND)

    def head_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's heads that were brought by hand."""
        query = select(heads_seen.c.position).where(heads_seen.c.box == box).order_by(heads_seen.c.position)
        return list(self.connection.execute(query).scalars())

    def checkpoints(self, first: int, last: int) -> list[bytes]:
        """Give kept checkpoints by size."""
        return kept_checkpoints(self.connection, first, last)

    def tokens(self, first: int, last: int) -> list[tuple[int, int, bytes]]:
        """Give the tokens about these leaves."""
        return tokens_about(self.connection, first, last)

    def log_nodes(self) -> NodeReader:
        """Read the port log's tree."""
        return reader(self.connection, PortLog())

    def epochs(self, box: str) -> list[tuple[int, int]]:
        """Give (epoch, size) of a box's journals, in order."""
        query = select(journals.c.epoch, journals.c.size).where(journals.c.box == box).order_by(journals.c.epoch)
        return [(row.epoch, row.size) for row in self.connection.execute(query)]

    def first_after(self, box: str, epoch: int, wall_ns: int) -> int | None:
        """Give the first position whose wall time is later, by bisection: wall time runs forward but for rare steps."""
        size = next((size for known, size in self.epochs(box) if known == epoch), 0)
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            if self._wall(box, epoch, middle) > wall_ns:
                high = middle
            else:
                low = middle + 1
        return low if low < size else None

    def _wall(self, box: str, epoch: int, position: int) -> int:
        mine = (records.c.issuer == str(Issuer.of_box(box))) & (records.c.epoch == epoch) & (records.c.position == position)
        return int(self.connection.execute(select(records.c.wall_ns).where(mine)).scalar_one())

    def session_before(self, box: str, epoch: int, position: int) -> int | None:
        """Give the position of the newest session record below `position`."""
        mine = (sessions.c.box == box) & (sessions.c.epoch == epoch) & (sessions.c.position < position)
        return self.connection.execute(select(func.max(sessions.c.position)).where(mine)).scalar()

    def records(self, box: str, epoch: int, first: int, end: int) -> list[bytes]:
        """Give records [first, end) of a journal, as far as they are here."""
        mine = (records.c.issuer == str(Issuer.of_box(box))) & (records.c.epoch == epoch)
        query = select(records.c.data).where(mine, records.c.position >= first, records.c.position < end).order_by(records.c.position)
        return [bytes(data) for data in self.connection.execute(query).scalars()]

    def seals(self, box: str, epoch: int, first: int) -> list[tuple[int, int]]:
        """Give (position, log index) of the logged seals from `first` on, in order."""
        mine = (seals.c.box == box) & (seals.c.epoch == epoch) & (seals.c.position >= first)
        query = select(seals.c.position, seals.c.log_index).where(mine, seals.c.log_index.is_not(None)).order_by(seals.c.position)
        return [(row.position, row.log_index) for row in self.connection.execute(query)]

    def journal_nodes(self, box: str, epoch: int) -> NodeReader:
        """Read a journal's tree."""
        return reader(self.connection, JournalLog(str(Issuer.of_box(box)), epoch))

    def blob(self, sha256: bytes) -> Path | None:
        """Give the file of a stored blob."""
        return self.find_blob(sha256)

    def authorities(self) -> tuple[Certificate, Certificate]:
        """Give (site CA, root)."""
        return self.chain

    def claims(self) -> dict[str, bytes]:
        """Give what the hub says of itself."""
        return dict(self.own)

    def custody_leaves(self, scope: Scope) -> list[int]:
        """Give the log indices of playbacks and exports of a task, its keeping, and live views of its streams in its time."""
        subjects = [scope.subject, *scope.streams]
        ended = views.alias("ended")
        over = select(ended.c.view).where(ended.c.view == views.c.view, ended.c.state == "ended", ended.c.wall_ns < scope.start).exists()
        live = (views.c.way == "live") & (views.c.wall_ns <= scope.end) & ~over
        query = select(views.c.position).where(views.c.subject.in_(subjects), live | (views.c.way != "live"))
        found = set(self.connection.execute(query).scalars())
        # no word on the issuer: SQLite would then read all of the hub's records instead of the index
        about = select(records.c.issuer, records.c.position).where(records.c.subject == scope.subject, CUSTODY_KINDS)
        found |= {row.position for row in self.connection.execute(about) if row.issuer == self.issuer}
        made = select(derivations.c.position).where(derivations.c.task == scope.subject)
        return sorted(found | set(self.connection.execute(made).scalars()) | self._erased_views(scope))

    def _erased_views(self, scope: Scope) -> set[int]:
        """Give views whose bodies were erased, and the records that say so: their place in the log stays known."""
        mine = (concealed.c.subject == scope.subject) | (concealed.c.subject.in_(scope.streams) & (concealed.c.wall_ns <= scope.end))
        gone = (concealed.c.of == kinds.View.KIND) & concealed.c.disposal.is_not(None)
        rows = self.connection.execute(select(concealed.c.position, concealed.c.disposal).where(mine, gone))
        return {index for row in rows for index in row}
