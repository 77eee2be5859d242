"""Check the hub's releases against its log (S7): each names evidence that is there, and none stood beside an open hold.

Guarantees: changes nothing; reads the records in the log's own order, so that a table that was changed by hand shows.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from hub.inspection.releasing.tables import evidence
from hub.inspection.states import State
from protocol.clearing import parse_evidence
from protocol.clearing_kinds import Release
from protocol.errors import PortwitnessError
from protocol.inspection_kinds import Hold, Step
from protocol.records import Record, read_again
from storage.schema import records

PAGE = 1000
_KINDS = (Hold.KIND, Step.KIND, Release.KIND)


@dataclass(slots=True)
class _Walk:
    holds: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    released: dict[str, int] = field(default_factory=dict)  # steps that wait for the record of their release

    def take(self, connection: Connection, record: Record) -> Iterator[str]:
        body, number = record.body, record.subject
        waits = self.released.pop(number, None)
        if waits is not None and not (isinstance(body, Release) and record.position == waits + 1 and body.act != "recalled"):
            yield f"S7 declaration {number}: was released at {waits} without the record of a release behind it"
        if isinstance(body, Hold):
            (self.holds[number].add if body.state == "placed" else self.holds[number].discard)(body.authority)
        elif isinstance(body, Step) and body.state == State.RELEASED:
            self.released[number] = record.position
        elif isinstance(body, Release) and body.act != "recalled":
            if waits is None:
                yield f"S7 release {record.position} of {number}: no step stands before it"
            yield from self._release(connection, record, body)

    def _release(self, connection: Connection, record: Record, body: Release) -> Iterator[str]:
        where = f"S7 release {record.position} of {record.subject}"
        if self.holds[record.subject]:
            yield f"{where}: {', '.join(sorted(self.holds[record.subject]))} held it"
        data = evidence(connection, body.root)
        if data is None:
            yield f"{where}: the list of its evidence is missing"
            return
        try:
            lines = parse_evidence(data, body.root)
        except PortwitnessError as error:
            yield f"{where}: {error}"
            return
        if len(lines) != body.items:
            yield f"{where}: names {body.items} items of evidence, its list has {len(lines)}"


def check_releases(connection: Connection) -> Iterator[str]:
    """Give what is wrong with the releases, as the log tells them."""
    walk = _Walk()
    query = select(records.c.data).where(records.c.kind.in_(_KINDS)).order_by(records.c.position).execution_options(yield_per=PAGE)
    for data in connection.execute(query).scalars():
        yield from walk.take(connection, read_again(bytes(data)).record)
    for number, position in walk.released.items():
        yield f"S7 declaration {number}: was released at {position} without the record of a release behind it"
