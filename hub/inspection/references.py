"""Manage the reference data: enterprises, goods, origins, areas, notices, bays, inspectors, partners and violations, with their history.

Guarantees: each change is a record in the log with who and why; every version stays readable; a change that another overtook is
refused, not lost; what was decided by an entry can be looked up as it read then.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping

from hub.core import Core
from hub.inspection import entries
from hub.inspection.catalogue import CATEGORIES, Entry, check_key, read_entry
from hub.inspection.sheets import keep, said
from protocol.errors import MalformedError, RefusedError
from protocol.inspection_kinds import Reference
from protocol.kinds import Body
from protocol.sheets import SALT_BYTES, make_sheet

MAX_REASON = 1000
SHIPPED = "ships with the hub"


@dataclass(frozen=True, slots=True)
class Kept:
    """A version of an entry; `value` is None where its sheet was erased, and so are `by` and `reason`."""

    category: str
    key: str
    version: int
    retired: bool
    position: int
    wall_ns: int
    value: Entry | None
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class References:
    """The reference data of one port."""

    core: Core

    async def put(self, category: str, key: str, value: Any, by: str, reason: str = "", after: int | None = None) -> Kept:  # noqa: ANN401
        """Set an entry; `after`: the version that it was written from, None for whatever stands.

        Raises FaultsError with all that is wrong, RefusedError when nothing changes or another version stands.
        """
        entry = read_entry(category, key, value).model_dump(mode="json")
        sheet = make_sheet({"entry": entry, "by": by, "reason": _reason(reason)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Reference]:
            row = entries.newest(connection, category, key)
            _check_version(row, after, f"{category} {key}")
            now = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
            if now is not None and now.get("entry") == entry:
                raise RefusedError("is as it stands", where=f"{category} {key}")
            keep(connection, sheet)
            return f"{category}/{key}", Reference("set", 1 if row is None else row["version"] + 1, sheet.commitment)

        await self.core.sequencer.decide(decide)
        return await self._told(category, key)

    async def put_shipped(self, category: str, values: Mapping[str, Any]) -> int:
        """Set what ships with the hub and was never heard of here; give how many entries that were."""

        def missing(connection: Connection) -> list[str]:
            return [key for key in values if entries.newest(connection, category, key) is None]

        def decide(connection: Connection, _size: int) -> list[tuple[str, Body]]:
            named: list[tuple[str, Body]] = []
            for key in missing(connection):
                entry = read_entry(category, key, values[key]).model_dump(mode="json")
                words = {"entry": entry, "by": str(self.core.issuer), "reason": SHIPPED}
                sheet = make_sheet(words, os.urandom(SALT_BYTES))
                keep(connection, sheet)
                named.append((f"{category}/{key}", Reference("set", 1, sheet.commitment)))
            return named

        wanted = await self.core.database.read(missing)
        if wanted:
            await self.core.sequencer.decide_all(decide)
        return len(wanted)

    async def retire(self, category: str, key: str, by: str, reason: str) -> Kept:
        """Take an entry out of use; it stays readable. Raises RefusedError when it is not in use."""
        check_key(category, key)
        if not reason.strip():
            raise MalformedError("is needed", where="reason")
        sheet = make_sheet({"by": by, "reason": _reason(reason)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Reference]:
            row = entries.newest(connection, category, key)
            if row is None or row["retired"]:
                raise RefusedError("is not in use", where=f"{category} {key}")
            keep(connection, sheet)
            return f"{category}/{key}", Reference("retired", row["version"] + 1, sheet.commitment)

        await self.core.sequencer.decide(decide)
        return await self._told(category, key)

    async def get(self, category: str, key: str) -> Kept:
        """Give an entry as it stands; raise RefusedError when there is none, or it is retired."""
        check_key(category, key)
        return await self.core.database.read(lambda connection: find(connection, category, key))

    async def list(self, category: str, *, retired: bool = False) -> Sequence[Kept]:
        """Give the entries of a category that are in use, or were, by key; raise MalformedError when there is no such category."""
        if category not in CATEGORIES:
            raise MalformedError(f"is none of {', '.join(CATEGORIES)}", where=f"category {category[:40]!r}")
        return await self.core.database.read(lambda connection: in_use(connection, category, retired=retired))

    async def history(self, category: str, key: str) -> Sequence[Kept]:
        """Give every version of an entry, in order."""
        check_key(category, key)

        def read(connection: Connection) -> list[Kept]:
            return [_kept(connection, row) for row in entries.versions(connection, category, key)]

        return await self.core.database.read(read)

    async def _told(self, category: str, key: str) -> Kept:
        def read(connection: Connection) -> Kept:
            row = entries.newest(connection, category, key)
            assert row is not None
            return _kept(connection, row)

        found = await self.core.database.read(read)
        self.core.events.tell("reference", category=category, key=key, version=found.version)
        return found


def find(connection: Connection, category: str, key: str, *, before: int | None = None) -> Kept:
    """Give an entry in use, in a transaction; `before`: as the log of this size says. Raises RefusedError when there is none."""
    row = entries.newest(connection, category, key, before=before)
    if row is None or row["retired"]:
        raise RefusedError("is not known" if row is None else "is no longer in use", where=f"{category} {key[:64]}")
    return _kept(connection, row)


def in_use(connection: Connection, category: str, *, retired: bool = False) -> list[Kept]:
    """Give the entries of a category that are in use, in a transaction, by key; `retired`: those that no longer are, too."""
    return [_kept(connection, row) for row in entries.standing(connection, category, retired=retired)]


def _kept(connection: Connection, row: RowMapping) -> Kept:
    sheet: Mapping[str, Any] = said(connection, bytes(row["sheet"])) or {}
    value = read_entry(row["category"], row["key"], sheet["entry"]) if "entry" in sheet else None
    return Kept(
        row["category"],
        row["key"],
        row["version"],
        row["retired"],
        row["position"],
        row["wall_ns"],
        value,
        sheet.get("by"),
        sheet.get("reason"),
    )


def _check_version(row: RowMapping | None, after: int | None, where: str) -> None:
    stands = 0 if row is None else int(row["version"])
    if after is not None and after != stands:
        raise RefusedError(f"stands at version {stands}, not {after}: somebody changed it meanwhile; look again", where=where)


def _reason(text: str) -> str:
    if len(text) > MAX_REASON:
        raise MalformedError(f"has at most {MAX_REASON} characters", where="reason")
    return text.strip()
