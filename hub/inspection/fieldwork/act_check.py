"""Check the signed acts that the hub keeps against its log: each under the key that the log certified at its place, each as it was signed.

Guarantees: changes nothing; names an act whose signature does not hold, whose key did not count there, whose record says something else
than what was signed, or which stands there under a task or a procedure that is not its own. What was erased is passed over.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, select

from hub.inspection.fieldwork.tables import site_task
from hub.inspection.published import procedure_of
from hub.inspection.sheets import said
from protocol.errors import PortwitnessError, RefusedError, VerificationError
from protocol.procedures.acts import check_signature, read_act, read_payload
from storage.fieldwork_schema import device_keys, work_acts

PAGE = 500


def check_acts(connection: Connection) -> Iterator[str]:
    """Give what is wrong with the acts."""
    after = -1
    while rows := connection.execute(_page(after)).all():
        for row in rows:
            try:
                _check(connection, row)
            except PortwitnessError as error:
                yield f"S6 act {bytes(row.id).hex()} at {row.position}: {error}"
        after = rows[-1].position


def _page(after: int) -> Any:  # noqa: ANN401 - a query
    return select(work_acts).where(work_acts.c.position > after).order_by(work_acts.c.position).limit(PAGE)


def _check(connection: Connection, row: Row[Any]) -> None:
    words = said(connection, bytes(row.sheet))
    if words is None:
        return
    act = read_act(words["act"])
    told = (act.id, act.task, act.kind, act.seq, words["key_id"])
    if told != (bytes(row.id).hex(), row.task, row.act, row.seq, bytes(row.key).hex()):
        raise VerificationError("its record says something else than what was signed", where="act")
    task = site_task(connection, act.task)
    if act.procedure != task.sha256.hex():
        raise VerificationError("names another procedure than its task", where="procedure")
    read_payload(act, procedure_of(connection, task.sha256))
    check_signature(words["act"], _signature(words["signature"]), _key_at(connection, row, words["by"]))


def _key_at(connection: Connection, row: Row[Any], by: str) -> bytes:
    """Give the key of an act, if the log certified it for who sent the act at the act's place."""
    mine = (device_keys.c.key == row.key, device_keys.c.position < row.position)
    known = connection.execute(select(device_keys).where(*mine).order_by(device_keys.c.position.desc()).limit(1)).first()
    if known is None or known.state != "issued" or (known.until_ns is not None and row.wall_ns >= known.until_ns):
        raise RefusedError("its key was not certified at its place", where="key")
    words = said(connection, bytes(known.sheet))
    if words is not None and words["person"] != by:
        raise RefusedError("its key was certified for somebody else", where="key")
    return bytes(known.spki)


def _signature(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise VerificationError("is not base64", where="signature") from error
