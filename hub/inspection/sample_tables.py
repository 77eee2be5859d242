"""Keep what was done with each sample by its records, and where it stands.

Guarantees: rows depend on records alone, in the order of the log; erasing a sheet changes no state of a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from protocol.conduct_kinds import Sample
from protocol.errors import RefusedError
from protocol.records import Record
from storage.conduct_schema import sample_acts as acts
from storage.conduct_schema import samples
from storage.database import insert_new, upsert
from storage.schema import declaration_steps

Row = dict[str, Any]
_ANSWERED_BY = ("treatment", "rectify")  # steps of a declaration


@dataclass(frozen=True, slots=True)
class LabState:
    """What stands between a declaration and its passing, by numbers of samples.

    `open`: no report yet; `positive`: found positive and not treated since; `broken`: arrived with a broken seal or spoilt, and not given
    up yet.
    """

    open: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    def obstacles(self) -> list[str]:
        """Say why it cannot pass; nothing where no sample stands in the way."""
        found = [f"sample {one} has no report of the laboratory yet" for one in self.open]
        found += [f"the seal or the condition of sample {one} was not sound: draw another, or give it up" for one in self.broken]
        return found + [f"the laboratory found sample {one} positive" for one in self.positive]


def project_sample(connection: Connection, record: Record, body: Sample) -> None:
    """Insert a record's row and bring its sample up to date."""
    at = record.at.wall_ns
    row = {"position": record.position, "sample": record.subject, "declaration": body.declaration, "act": body.act}
    connection.execute(insert_new(connection, acts), [row | {"sheet": body.sheet, "wall_ns": at}])
    known = connection.execute(select(samples).where(samples.c.sample == record.subject)).mappings().first()
    upsert(connection, samples, folded(None if known is None else dict(known), record, body))


def folded(known: Row | None, record: Record, body: Sample) -> Row:
    """Give a sample's row after a record."""
    at = record.at.wall_ns
    first: Row = {"sample": record.subject, "declaration": body.declaration, "laboratory": None, "sound": None, "verdict": None}
    row = first | {"report": None, "drawn_ns": at} | (known or {})
    row |= {"state": body.act, "changed_ns": at, "position": record.position}
    given = {"laboratory": body.laboratory, "sound": body.sound, "verdict": body.verdict, "report": body.report}
    return row | {name: value for name, value in given.items() if value is not None}


def sample_row(connection: Connection, number: str) -> RowMapping:
    """Give a sample's row; raise RefusedError when there is none of this number."""
    row = connection.execute(select(samples).where(samples.c.sample == number)).mappings().first()
    if row is None:
        raise RefusedError("is not known", where=f"sample {number[:80]}")
    return row


def samples_of(connection: Connection, declaration: str) -> list[RowMapping]:
    """Give the samples of a declaration, by number."""
    return list(connection.execute(select(samples).where(samples.c.declaration == declaration).order_by(samples.c.sample)).mappings())


def act_rows(connection: Connection, number: str) -> Sequence[RowMapping]:
    """Give every act on a sample, in order."""
    return connection.execute(select(acts).where(acts.c.sample == number).order_by(acts.c.position)).mappings().all()


def lab_of(connection: Connection, declaration: str) -> LabState:
    """Give what the laboratory knows of a declaration's samples; those that were given up do not count.

    A positive one that was answered by treatment or rectification since stands no longer in the way.
    """
    steps = declaration_steps
    mine = (steps.c.declaration == declaration, steps.c.act.in_(_ANSWERED_BY))
    answered = connection.execute(select(func.max(steps.c.position)).where(*mine)).scalar() or 0
    rows = [row for row in samples_of(connection, declaration) if row["state"] != "voided"]
    broken = [row["sample"] for row in rows if row["sound"] is False]
    reported = [row for row in rows if row["state"] == "reported"]
    return LabState(
        tuple(row["sample"] for row in rows if row["state"] != "reported" and row["sample"] not in broken),
        tuple(row["sample"] for row in reported if row["verdict"] == "positive" and row["position"] > answered),
        tuple(broken),
        tuple(row["sample"] for row in reported if row["verdict"] == "negative"),
    )
