"""Let boxes in: one-time tokens, requests, what the site CA issued, revocation.

Guarantees: a token is kept as a hash, is good for one box and one request, and ends; the hub cannot mint a box - it takes
only what chains to the root in its key folder and matches the request; a box counts from the enrolment record on, and no
longer from the revocation record on; what a revoked box still asked for is refused, and its tokens end.

For `web` (all coroutines): make_token, ask, answer, list, issue, refuse, revoke, renew, check_tls, identities, trust.
"""

import asyncio
import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, select, update

from hub.core import Core
from hub.timestamps import read_anchors
from protocol import kinds
from protocol.certificates import Certificate, Identity, parse_pem
from protocol.errors import ForbiddenError, MalformedError, RefusedError, StorageError
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS
from protocol.issuance import Issued, Request, read_csr
from protocol.notes import NoteKey
from protocol.signatures import PublicKey
from protocol.trust import Trust
from storage.database import insert_new
from storage.schema import enrolment_requests, enrolment_tokens, identities, tls_certificates

TOKEN_S = 3600  # from the administrator's page to the box at the dock
MAX_WAITING = 1000  # first enrolments
REVOKED = "the box was revoked"
State = Literal["waiting", "issued", "refused"]


@dataclass(frozen=True, slots=True)
class BoxToken:
    """A one-time token: shown once, kept as a hash."""

    box: str
    token: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class EnrolmentState:
    """A request as administrators and the site CA see it."""

    request: Request
    state: State
    at_ns: int
    by: str | None
    reason: str
    known: bool  # the box is enrolled already: its key changes, or its TLS certificate is renewed
    log: str


@dataclass(frozen=True, slots=True)
class EnrolmentAnswer:
    """What a box is told about its request; the rest is None until it is issued."""

    state: State
    reason: str
    certificates: str | None
    device_url: str | None
    mqtt_url: str | None


@dataclass(slots=True)
class Enrolment:
    """The hub's side of enrolment."""

    core: Core
    _issuing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def make_token(self, box: str, by: str) -> BoxToken:
        """Make a one-time token for a box; raise MalformedError for no box id."""
        secret = secrets.token_hex(24)  # typed on command lines: no leading dash
        expires = self.core.clock.now().wall_ns + TOKEN_S * SECOND_NS
        row = {"token": _hash(secret), "box": BoxId(box), "by": by, "expires_ns": expires, "request": None}
        await self.core.database.write(lambda connection: connection.execute(enrolment_tokens.insert().values(row)))
        return BoxToken(box, secret, expires)

    async def ask(self, token: str, box: str, identity_csr: str, tls_csr: str) -> str:
        """Take a box's request; give its name. The same again gives the same name.

        Raises ForbiddenError for a token that does not count, MalformedError and VerificationError for a wrong request.
        """
        named = secrets.token_hex(16)
        identity = Identity(self.core.site, BoxId(box))
        request = Request(named, identity, read_csr(identity_csr, "identity_csr"), read_csr(tls_csr, "tls_csr"))
        request.check()
        now = self.core.clock.now().wall_ns
        return await self.core.database.write(lambda connection: _take_request(connection, _hash(token), request, now))

    async def renew(self, box: str, tls_csr: str) -> str:
        """Take the request of an enrolled box, known by its certificate, for its next TLS certificate; give its name.

        A box has one waiting renewal: the same again gives the same name, another takes its place.
        """
        request = Request(secrets.token_hex(16), Identity(self.core.site, BoxId(box)), None, read_csr(tls_csr, "tls_csr"))
        request.check()
        now = self.core.clock.now().wall_ns

        def take(connection: Connection) -> str:
            before = _waiting_renewal(connection, request.identity.box)
            if before is not None and bytes(before.tls_csr) == request.tls_csr:
                return str(before.request)
            if before is not None:
                connection.execute(delete(enrolment_requests).where(enrolment_requests.c.request == before.request))
            _insert_request(connection, None, request, now)
            return request.request

        return await self.core.database.write(take)

    async def answer(self, request: str, token: str) -> EnrolmentAnswer:
        """Tell a box how its request stands; raise ForbiddenError when the token is not the request's."""
        return self._answer(await self._find(request, _hash(token)))

    async def renewed(self, request: str, box: str) -> EnrolmentAnswer:
        """Tell an enrolled box how its renewal stands; raise ForbiddenError when it is another's."""
        row = await self._find(request, None)
        if row.box != box:
            raise ForbiddenError("no such request", where="enrolment")
        return self._answer(row)

    async def list(self, state: State | None = None, limit: int = 200) -> "list[EnrolmentState]":
        """Give requests, newest first."""
        query = select(enrolment_requests).order_by(enrolment_requests.c.at_ns.desc()).limit(limit)
        if state is not None:
            query = query.where(enrolment_requests.c.state == state)

        def look(connection: Connection) -> "tuple[list[Row[Any]], set[str]]":
            counted = connection.execute(select(identities.c.box).where(identities.c.until.is_(None))).scalars()
            return list(connection.execute(query).all()), set(counted)

        rows, counted = await self.core.database.read(look)
        return [self._state(row, row.box in counted) for row in rows]

    async def issue(self, request: str, certificates: str, by: str) -> EnrolmentState:
        """Take what the site CA issued for a request; the box counts from the enrolment record that this logs.

        Raises VerificationError when it does not answer the request or does not chain to our root; RefusedError when decided.
        """
        issued = Issued.parse(certificates)
        async with self._issuing:
            row = await self._waiting(request)
            asked = self._request(row)
            if asked.identity_csr is None:
                await self._check_counts(asked.identity.box)
            trust = issued.check(asked, root_sha256=self.root_sha256(), at_ns=self.core.clock.now().wall_ns)
            self._check_trust(trust)
            if issued.identity is not None:
                await self._log_issue(issued.identity, asked.identity.box, by)
            text = certificates.encode()
            await self.core.database.write(lambda connection: _settle_issue(connection, row, issued.tls, text, by))
        done = await self._find(request, None)
        return self._state(done, known=True)

    async def refuse(self, request: str, reason: str, by: str) -> None:
        """Refuse a request; raise RefusedError when it was decided already."""
        await self._waiting(request)
        mine = update(enrolment_requests).where(enrolment_requests.c.request == request, enrolment_requests.c.state == "waiting")
        await self.core.database.write(lambda connection: connection.execute(mine.values(state="refused", reason=reason[:400], by=by)))

    async def revoke(self, box: str, reason: str, by: str) -> int:
        """Revoke all certificates of a box, and refuse what it asked for and nobody decided.

        Gives how many identities stopped counting. Raises RefusedError when it has none.
        """
        now = self.core.clock.now().wall_ns
        async with self._issuing:  # nothing is issued for it in between
            await self.core.database.write(lambda connection: _shut_out(connection, box, by, now))
            query = select(identities.c.certificate).where(identities.c.box == box, identities.c.until.is_(None))
            found = await self.core.database.read(lambda connection: [bytes(one) for one in connection.execute(query).scalars()])
            if not found:
                raise RefusedError(f"{box} has no identity that counts", where="enrolment")
            for certificate in found:
                await self.core.sequencer.issue(kinds.Enrolment("revoked", certificate, by, reason[:400]), box)
            return len(found)

    async def check_tls(self, certificate: Certificate) -> BoxId:
        """Give the box that may connect with this certificate; raise ForbiddenError naming why it may not."""
        mine = tls_certificates.c.fingerprint == bytes.fromhex(certificate.fingerprint)
        query = select(tls_certificates).where(mine)
        row = await self.core.database.read(lambda connection: connection.execute(query).first())
        identity = certificate.identity
        where = f"TLS certificate of {identity.box}"
        if row is None or row.box != identity.box or identity.site != self.core.site:
            raise ForbiddenError("was not issued through this hub", where=where)
        if row.revoked:
            raise ForbiddenError("was revoked", where=where)
        if self.core.clock.now().wall_ns > row.until_ns:
            raise ForbiddenError("has ended", where=where)
        return identity.box

    async def identities(self, box: str) -> tuple[PublicKey, ...]:
        """Give the identity keys of a box that count now."""
        query = select(identities.c.spki).where(identities.c.box == box, identities.c.until.is_(None))
        found = await self.core.database.read(lambda connection: [bytes(spki) for spki in connection.execute(query).scalars()])
        return tuple(PublicKey.from_spki(spki) for spki in found)

    def authorities(self) -> tuple[Certificate, ...]:
        """Give the site CA and root from the hub's key folder; raise StorageError when they are not there."""
        path = self.core.settings.device.authorities or self.core.settings.keys / "site.pem"
        try:
            return parse_pem(Path(path).read_bytes())
        except OSError as error:
            raise StorageError(f"cannot read the site's certificates: {error.strerror}", where=str(path)) from error

    def root_sha256(self) -> str:
        """Give the fingerprint of the root; raise StorageError when the key folder holds none."""
        found = [one for one in self.authorities() if one.x509.issuer == one.x509.subject]
        if len(found) != 1:
            raise StorageError(f"{len(found)} root certificates in site.pem, expected one", where="device.authorities")
        return found[0].fingerprint

    def trust(self) -> Trust:
        """Give this hub's trust file: what it claims, to be compared with what the port publishes."""
        witnesses = self.core.witnesses
        policy = witnesses.policy if witnesses is not None and witnesses.policy.asks else None
        anchors = read_anchors(self.core.settings)
        log = NoteKey.parse(self.core.sequencer.vkey)
        return Trust(self.core.site, self.core.hub_id, self.root_sha256(), log, policy=policy, time_authorities=anchors)

    # ------------------------------------------------------------------------------------------------------- details

    def _check_trust(self, trust: Trust) -> None:
        if trust.log.vkey() != self.core.sequencer.vkey or trust.hub != self.core.hub_id:
            raise MalformedError(f"the site CA signed for {trust.log.name}, whose key is not this hub's", where="trust")

    async def _check_counts(self, box: BoxId) -> None:
        """Raise RefusedError for a box without an identity that counts: a renewal does not bring a revoked box back."""
        if not await self.identities(box):
            raise RefusedError(f"{box} has no identity that counts", where="enrolment")

    async def _log_issue(self, certificate: Certificate, box: BoxId, by: str) -> None:
        query = select(identities.c.position).where(identities.c.certificate == certificate.der)
        if await self.core.database.read(lambda connection: connection.execute(query).first()) is None:  # logged before a crash
            await self.core.sequencer.issue(kinds.Enrolment("issued", certificate.der, by), box)

    async def _find(self, request: str, token: bytes | None) -> "Row[Any]":
        query = select(enrolment_requests).where(enrolment_requests.c.request == request)
        row = await self.core.database.read(lambda connection: connection.execute(query).first())
        if row is None or (token is not None and (row.token is None or not secrets.compare_digest(bytes(row.token), token))):
            raise ForbiddenError("no such request", where="enrolment")
        return row

    async def _waiting(self, request: str) -> "Row[Any]":
        row = await self._find(request, None)
        if row.state != "waiting":
            raise RefusedError(f"was {row.state} already", where=f"enrolment request {request}")
        return row

    def _request(self, row: "Row[Any]") -> Request:
        signing = bytes(row.identity_csr) if row.identity_csr is not None else None
        return Request(row.request, Identity(self.core.site, BoxId(row.box)), signing, bytes(row.tls_csr))

    def _state(self, row: "Row[Any]", known: bool) -> EnrolmentState:
        return EnrolmentState(self._request(row), row.state, row.at_ns, row.by, row.reason, known, self.core.sequencer.vkey)

    def _answer(self, row: "Row[Any]") -> EnrolmentAnswer:
        if row.state != "issued":
            return EnrolmentAnswer(row.state, row.reason, None, None, None)
        device, mqtt = self.core.settings.device, self.core.settings.mqtt
        device_url = device.public_url or f"https://{device.host}:{device.port}"
        mqtt_url = None if mqtt.broker == "none" else mqtt.public_url or f"mqtts://{mqtt.host}:{mqtt.port}"
        return EnrolmentAnswer("issued", "", bytes(row.certificates).decode(), device_url, mqtt_url)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _take_request(connection: Connection, token: bytes, request: Request, now_ns: int) -> str:
    row = connection.execute(select(enrolment_tokens).where(enrolment_tokens.c.token == token)).first()
    if row is None or row.box != request.identity.box:
        raise ForbiddenError("token is not known, or is for another box", where="enrolment")
    if row.request is not None:
        asked = connection.execute(select(enrolment_requests).where(enrolment_requests.c.request == row.request)).one()
        if bytes(asked.identity_csr) != request.identity_csr or bytes(asked.tls_csr) != request.tls_csr:
            raise ForbiddenError("token was used already, for other keys", where="enrolment")
        return str(row.request)
    if row.expires_ns < now_ns:
        raise ForbiddenError("token has ended; ask for a new one", where="enrolment")
    _check_room(connection)
    _insert_request(connection, token, request, now_ns)
    spent = update(enrolment_tokens).where(enrolment_tokens.c.token == token, enrolment_tokens.c.request.is_(None))
    connection.execute(spent.values(request=request.request))
    return request.request


def _waiting_renewal(connection: Connection, box: str) -> "Row[Any] | None":
    mine = (enrolment_requests.c.box == box, enrolment_requests.c.token.is_(None), enrolment_requests.c.state == "waiting")
    return connection.execute(select(enrolment_requests).where(*mine)).first()


def _check_room(connection: Connection) -> None:
    """Refuse a first enrolment when too many wait; renewals have their own bound, one per box."""
    waiting = (enrolment_requests.c.state == "waiting", enrolment_requests.c.token.is_not(None))
    query = select(enrolment_requests.c.request).where(*waiting).limit(MAX_WAITING)
    if len(connection.execute(query).all()) >= MAX_WAITING:
        raise RefusedError(f"{MAX_WAITING} requests wait already", where="enrolment")


def _insert_request(connection: Connection, token: bytes | None, request: Request, now_ns: int) -> None:
    row = {"request": request.request, "box": request.identity.box, "token": token, "identity_csr": request.identity_csr}
    rest = {"tls_csr": request.tls_csr, "state": "waiting", "at_ns": now_ns, "reason": ""}
    connection.execute(enrolment_requests.insert().values(**row, **rest))


def _shut_out(connection: Connection, box: str, by: str, now_ns: int) -> None:
    """Close a box's TLS certificates, refuse its waiting requests, and end the tokens by which it could ask again."""
    connection.execute(update(tls_certificates).where(tls_certificates.c.box == box).values(revoked=True))
    waiting = update(enrolment_requests).where(enrolment_requests.c.box == box, enrolment_requests.c.state == "waiting")
    connection.execute(waiting.values(state="refused", reason=REVOKED, by=by))
    unspent = update(enrolment_tokens).where(enrolment_tokens.c.box == box, enrolment_tokens.c.request.is_(None))
    connection.execute(unspent.where(enrolment_tokens.c.expires_ns > now_ns).values(expires_ns=now_ns - 1))


def _settle_issue(connection: Connection, row: "Row[Any]", tls: Certificate, certificates: bytes, by: str) -> None:
    place = {"fingerprint": bytes.fromhex(tls.fingerprint), "box": row.box, "revoked": False}
    connection.execute(insert_new(connection, tls_certificates), [{**place, "since_ns": tls.not_before_ns, "until_ns": tls.not_after_ns}])
    mine = update(enrolment_requests).where(enrolment_requests.c.request == row.request)
    connection.execute(mine.values(state="issued", certificates=certificates, by=by))
