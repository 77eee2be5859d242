"""Certify the keys of phones for the persons who log in on them, for a day, and take that back.

Guarantees: issuance and revocation are records; a key is one person's for ever; whether it counts is judged by what the log says of it
at the place where its act enters. What a phone gets as its certificate is the signed record itself.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Row, select

from hub.core import Core
from hub.inspection.sheets import keep, said
from protocol.errors import ForbiddenError, MalformedError, RefusedError
from protocol.identifiers import PersonId
from protocol.instants import SECOND_NS
from protocol.sheets import SALT_BYTES, make_sheet
from protocol.signatures import ES256, PublicKey
from protocol.work_kinds import DeviceKey
from storage.fieldwork_schema import device_keys

MAX_DEVICE = 200
HOUR_NS = 3600 * SECOND_NS
MAX_KEYS = 50  # of one person that count at a time


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A key as its newest record says; `person` is None where its sheet was erased."""

    key_id: str
    spki: bytes
    person: str | None
    device: str
    state: Literal["issued", "revoked"]
    until_ns: int
    position: int

    def counts(self, now_ns: int) -> bool:
        """Tell whether it may sign now."""
        return self.state == "issued" and self.person is not None and now_ns < self.until_ns


@dataclass(frozen=True, slots=True)
class Issued:
    """A certified key with its certificate, the signed record that certifies it."""

    key_id: str
    certificate: bytes
    until_ns: int


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """The keys of phones that one port knows."""

    core: Core

    async def issue(self, person: str, spki: bytes, device: str) -> Issued:
        """Certify a key for a person; once more for its own person it lasts longer.

        Raises MalformedError for what is no P-256 key, RefusedError for another's key or a revoked one.
        """
        check_spki(spki)
        if not 0 < len(device.strip()) <= MAX_DEVICE:
            raise MalformedError(f"has 1 to {MAX_DEVICE} characters", where="device")
        name = hashlib.sha256(spki).hexdigest()
        until_ns = self.core.clock.now().wall_ns + self.core.settings.fieldwork.key_hours * HOUR_NS
        sheet = make_sheet({"person": str(PersonId(person)), "device": device.strip()}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, DeviceKey]:
            known = key_of(connection, name)
            if known is not None and known.person != person:
                raise RefusedError("is another person's", where="key")
            if known is not None and known.state == "revoked":
                raise RefusedError("was revoked: the phone has to make a new one", where="key")
            keep(connection, sheet)
            return name, DeviceKey("issued", spki, sheet.commitment, until_ns)

        signed = await self.core.sequencer.decide(decide)
        return Issued(name, signed.data, until_ns)

    async def revoke(self, key_id: str, by: str, reason: str, *, own_only: bool = False) -> str | None:
        """End a key before its time; give whose it was.

        Raises RefusedError when it is not known, ForbiddenError for another's where only one's own may be.
        """
        if not reason.strip() or len(reason) > 1000:
            raise MalformedError("a reason is needed", where="reason")

        def decide(connection: Connection, _size: int) -> tuple[str, DeviceKey]:
            known = key_of(connection, key_id)
            if known is None:
                raise RefusedError("is not known", where=f"key {key_id[:16]}")
            if own_only and known.person != by:
                raise ForbiddenError("is another person's", where="key")
            if known.state == "revoked":
                raise RefusedError("was revoked already", where=f"key {key_id[:16]}")
            sheet = make_sheet(
                {"person": known.person or "", "device": known.device, "by": by, "reason": reason.strip()}, os.urandom(SALT_BYTES)
            )
            keep(connection, sheet)
            return key_id, DeviceKey("revoked", known.spki, sheet.commitment)

        await self.core.sequencer.decide(decide)
        known = await self.get(key_id)
        return None if known is None else known.person

    async def get(self, key_id: str) -> CertifiedKey | None:
        """Give a key as its newest record says; None when it is not known."""
        return await self.core.database.read(lambda connection: key_of(connection, key_id))

    async def list(self, person: str) -> list[CertifiedKey]:
        """Give the keys of a person, newest first, each as it stands."""
        return await self.core.database.read(lambda connection: keys_of(connection, person))


def check_spki(spki: bytes) -> None:
    """Check that bytes are a P-256 key in DER; raise MalformedError."""
    if not 0 < len(spki) <= 200:
        raise MalformedError("is no P-256 key", where="spki")
    try:
        if len(PublicKey(ES256, spki).raw()) != 33:  # a compressed point of P-256
            raise MalformedError("is no P-256 key", where="spki")
    except (ValueError, TypeError) as error:
        raise MalformedError("is no P-256 key", where="spki") from error


def key_of(connection: Connection, key_id: str) -> CertifiedKey | None:
    """Give a key by what the log says of it now, in a transaction; None when it is not known."""
    try:
        name = bytes.fromhex(key_id)
    except ValueError:
        return None
    query = select(device_keys).where(device_keys.c.key == name).order_by(device_keys.c.position.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _key(connection, row)


def key_in_force(connection: Connection, key_id: str, person: str, now_ns: int) -> CertifiedKey:
    """Give a key that may sign for a person now; raise ForbiddenError saying why it may not."""
    known = key_of(connection, key_id)
    if known is None or known.person != person:
        raise ForbiddenError("is not certified for you: log in on this phone again", where="key_id")
    if known.state == "revoked":
        raise ForbiddenError("was revoked", where="key_id")
    if not known.counts(now_ns):
        raise ForbiddenError("has ended: have it certified again", where="key_id")
    return known


def keys_of(connection: Connection, person: str) -> list[CertifiedKey]:
    """Give the keys that were certified for a person, newest first."""
    rows = connection.execute(select(device_keys).order_by(device_keys.c.position.desc()).limit(5000)).all()
    newest: dict[bytes, Row[tuple[object, ...]]] = {}
    for row in rows:
        newest.setdefault(bytes(row.key), row)
    found = [_key(connection, row) for row in newest.values()]
    return [one for one in found if one.person == person][:MAX_KEYS]


def _key(connection: Connection, row: Row[tuple[object, ...]]) -> CertifiedKey:
    words = said(connection, bytes(row.sheet)) or {}
    until = row.until_ns if row.until_ns is not None else 0
    state: Literal["issued", "revoked"] = "revoked" if row.state == "revoked" else "issued"
    return CertifiedKey(bytes(row.key).hex(), bytes(row.spki), words.get("person"), words.get("device", ""), state, until, row.position)
