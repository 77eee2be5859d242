"""Renew this box's TLS certificate before it ends: new key made here, signed by the site CA through the hub, tried, then taken up.

Guarantees: `tls.pem` holds key and certificate together and is replaced whole, so a box killed at any moment comes back with a
pair that fits; the old pair stays until the hub has answered over the new one; a renewal that was interrupted goes on where it
stopped, with the same key; what fails is said, and tried again with growing pauses. The identity key is not touched.

Beside `tls.pem`, while a renewal is on its way: `tls-next.key`, `.csr`, `.request` (its name at the hub), `.pem` (the new pair).
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.courier import Answer, HubAddress, Line
from protocol.certificates import Certificate, Identity, encode_pem, make_request, parse_pem
from protocol.errors import (
    ForbiddenError,
    MalformedError,
    PortwitnessError,
    RefusedError,
    StorageError,
    UnavailableError,
    VerificationError,
)
from protocol.instants import SECOND_NS, Clock, iso
from protocol.issuance import Issued, Request, encode_bytes
from protocol.topics import PATH_RENEWALS
from protocol.trust import Trust
from storage.keys import PRIVATE, flush_folder, load_or_create_p256, load_p256, replace_whole, write_new

TLS_KEY, TLS = "tls.key", "tls.pem"  # the first key as it was made; key and certificate
NEXT_KEY, NEXT_CSR, NEXT_REQUEST, NEXT_PAIR = "tls-next.key", "tls-next.csr", "tls-next.request", "tls-next.pem"
LOOK_S = 3600.0  # while nothing is due: a wall clock may step
ASK_S = 60.0  # while the site CA has not decided
RETRY_FIRST_S = 30.0
RETRY_LIMIT_S = 3600.0
REFUSED_S = 6 * 3600.0  # a person said no
MAX_BYTES = 65_536

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the TLS certificate stands. `state`: valid, waiting (for the site CA), failed or ended; `until_ns`: its end."""

    state: str = "unknown"
    detail: str = ""
    until_ns: int | None = None

    def shown(self) -> dict[str, str | None]:
        """Give it as plain values."""
        return {"state": self.state, "detail": self.detail, "until": None if self.until_ns is None else iso(self.until_ns)}


@dataclass(slots=True)
class Renewal:
    """Keeps the pair in the key folder `address` names fresh. `share`: part of its life after which a certificate is renewed.

    `taken_up` is called once a new pair is in place: connections are to be made anew. `wait` pauses; a test's moves its clock.
    """

    keys: Path
    identity: Identity
    trust: Trust
    address: HubAddress
    clock: Clock
    share: float
    taken_up: Callable[[], None] = lambda: None
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep
    standing: Standing = field(default_factory=Standing)
    _retry_s: float = RETRY_FIRST_S

    async def run(self) -> None:
        """Look after the certificate until cancelled."""
        while True:
            await self.wait(await self.step())

    async def step(self) -> float:
        """Do what can be done now; give after how many seconds to look again."""
        try:
            pause_s = await self._advance()
        except RefusedError as error:
            return await self._put_off(error)
        except PortwitnessError as error:
            pause_s, self._retry_s = self._retry_s, min(2 * self._retry_s, RETRY_LIMIT_S)
            self._say_failed(error, pause_s)
        else:
            self._retry_s = RETRY_FIRST_S
        return pause_s

    async def _advance(self) -> float:
        current = await asyncio.to_thread(read_pair, self.keys / TLS)
        await asyncio.to_thread(self._forget_done, current)
        self.standing = Standing("valid", f"until {iso(current.not_after_ns)}", current.not_after_ns)
        left_ns = self._due_ns(current) - self.clock.now().wall_ns
        if left_ns > 0 and not (self.keys / NEXT_KEY).exists():
            return min(LOOK_S, left_ns / SECOND_NS + 1)
        request = await asyncio.to_thread(self._prepare)
        async with Line(self.address, "renewal") as line:
            found = await self._ask(line, request)
        if found is None:
            self.standing = replace(self.standing, state="waiting", detail="its renewal waits for the site CA (portwitness-ca approve)")
            return ASK_S
        await self._take_up(request, found)
        return 0.0

    def _due_ns(self, certificate: Certificate) -> int:
        start = certificate.not_before_ns
        return start + int((certificate.not_after_ns - start) * self.share)

    # -------------------------------------------------------------------------------------------- asking the hub

    def _prepare(self) -> Request:
        """Make or take up the next key and its request: a request is signed anew each time, so the same bytes are sent again."""
        signer = load_or_create_p256(self.keys / NEXT_KEY)
        path = self.keys / NEXT_CSR
        if not path.exists():
            write_new(path, make_request(signer, self.identity))
        request = Request("", self.identity, None, _read(path))
        _, public = request.check()
        if public != signer.public:
            raise VerificationError("is not for the key beside it", where=str(path))
        return request

    async def _ask(self, line: Line, request: Request) -> Issued | None:
        """Ask for the certificate; None while it waits. Raises RefusedError when the site CA said no."""
        kept = self.keys / NEXT_REQUEST
        if not kept.exists():
            body, headers = encode_bytes(request.tls_csr).encode(), {"Content-Type": "text/plain"}
            answer = await line.ask("POST", PATH_RENEWALS, body, headers)
            named = _text(_fields(answer.check(self.address.url)), "request")
            await asyncio.to_thread(replace_whole, kept, named.encode(), PRIVATE)
        fields = _fields((await line.ask("GET", self._path())).check(self.address.url))
        if fields.get("state") == "refused":
            raise RefusedError(f"refused: {fields.get('reason') or 'no reason given'}", where="renewal of the TLS certificate")
        return Issued.parse(_text(fields, "certificates")) if fields.get("state") == "issued" else None

    def _path(self) -> str:
        named = _read(self.keys / NEXT_REQUEST).decode("ascii", "replace")
        if not named.isalnum():
            raise MalformedError("is no name of a request", where=str(self.keys / NEXT_REQUEST))
        return f"{PATH_RENEWALS}/{named}"

    # -------------------------------------------------------------------------------------------- taking it up

    async def _take_up(self, request: Request, issued: Issued) -> None:
        """Check what was issued, try it with the hub, and only then put it in the place of the old."""
        trust = issued.check(request, root_sha256=self.trust.root_sha256, at_ns=self.clock.now().wall_ns)
        if trust.log.vkey() != self.trust.log.vkey():
            raise VerificationError(f"the site CA signed for another log key ({trust.log.vkey()})", where="renewal of the TLS certificate")
        staged = self.keys / NEXT_PAIR
        await asyncio.to_thread(write_pair, staged, _read(self.keys / NEXT_KEY), [issued.tls, issued.site_ca])
        async with Line(replace(self.address, certificate=staged, key=staged), "renewal") as line:
            (await line.ask("GET", self._path())).check(self.address.url)
        await asyncio.to_thread(self._install, issued.tls)
        self.standing = Standing("valid", f"until {iso(issued.tls.not_after_ns)}", issued.tls.not_after_ns)
        log.info("the TLS certificate is renewed until %s", iso(issued.tls.not_after_ns))
        self.taken_up()

    def _install(self, certificate: Certificate) -> None:
        (self.keys / NEXT_PAIR).replace(self.keys / TLS)
        flush_folder(self.keys)
        self._forget_done(certificate)

    def _forget_done(self, current: Certificate) -> None:
        """Remove what is left of a renewal whose certificate is in place, and the first key, which `tls.pem` holds no longer."""
        if (self.keys / NEXT_KEY).exists() and load_p256(self.keys / NEXT_KEY).public == current.public:
            self._forget()
        first = self.keys / TLS_KEY
        if first.exists() and load_p256(first).public != current.public:
            first.unlink()

    def _forget(self) -> None:
        for name in (NEXT_PAIR, NEXT_REQUEST, NEXT_CSR, NEXT_KEY):  # the key last: it says that a renewal is on its way
            (self.keys / name).unlink(missing_ok=True)
        flush_folder(self.keys)

    async def _put_off(self, error: RefusedError) -> float:
        """Give up this request: the next one begins with another key."""
        if isinstance(error, ForbiddenError):  # perhaps the hub has forgotten the request, not the box
            await asyncio.to_thread((self.keys / NEXT_REQUEST).unlink, missing_ok=True)
            pause_s, self._retry_s = self._retry_s, min(2 * self._retry_s, RETRY_LIMIT_S)
        else:
            await asyncio.to_thread(self._forget)
            pause_s = REFUSED_S
        self._say_failed(error, pause_s)
        return pause_s

    def _say_failed(self, error: PortwitnessError, pause_s: float) -> None:
        until, state, detail = self.standing.until_ns, "failed", f"not renewed: {error}; tried again in {pause_s:.0f} s"
        if until is not None and self.clock.now().wall_ns > until:
            state, detail = "ended", f"ended at {iso(until)}, the hub lets this box in no more: enrol it anew. Last: {error}"
        self.standing = Standing(state, detail, until)
        log.warning("TLS certificate: %s", detail)


def read_pair(path: Path) -> Certificate:
    """Read the certificate of a pair; raise StorageError or MalformedError."""
    return parse_pem(_read(path))[0]


def join_pair(keys: Path) -> None:
    """Make `tls.pem` hold its key too, where it stands in a file of its own; raise StorageError."""
    path = keys / TLS
    if path.exists() and b"PRIVATE KEY-----" not in _read(path):
        replace_whole(path, _read(keys / TLS_KEY) + _read(path), PRIVATE)


def write_pair(path: Path, key: bytes, chain: list[Certificate]) -> None:
    """Write key (PEM) and certificates as one file that only its owner reads; raise StorageError."""
    replace_whole(path, key + encode_pem(chain), PRIVATE)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise StorageError(f"cannot read: {error.strerror}", where=str(path)) from error


def _fields(answer: Answer) -> dict[str, object]:
    try:
        value = json.loads(answer.body)
    except ValueError as error:
        raise UnavailableError("the answer is not JSON", where="renewal") from error
    if not isinstance(value, dict):
        raise MalformedError("the answer is no JSON object", where="renewal")
    return value


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"the hub's answer lacks {name}", where="renewal")
    return value
