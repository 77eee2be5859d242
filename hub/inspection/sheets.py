"""Keep sheets beside the log and give them back.

Guarantees: a sheet is kept in the transaction that logs the record which binds it; what is given back is what was bound, or refused.
"""

from typing import Any

from sqlalchemy import Connection, select

from protocol.sheets import Sheet, open_sheet
from storage.database import insert_new
from storage.schema import sheets


def keep(connection: Connection, sheet: Sheet) -> None:
    """Keep a sheet, in the transaction that logs the record which binds it."""
    row = {"commitment": sheet.commitment, "salt": sheet.salt, "data": sheet.data}
    connection.execute(insert_new(connection, sheets), [row])


def said(connection: Connection, commitment: bytes) -> Any | None:  # noqa: ANN401 - JSON
    """Give what a sheet says; None where it was erased. Raises VerificationError when what is kept is not what was bound."""
    row = connection.execute(select(sheets).where(sheets.c.commitment == commitment)).first()
    return None if row is None else open_sheet(commitment, Sheet(bytes(row.salt), bytes(row.data)))
