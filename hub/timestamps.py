"""Have outside time authorities stamp the port log's checkpoints (RFC 3161), and log their tokens.

Guarantees: nothing waits for an authority; one that fails is an alarm and is asked again; a token is verified against the
anchors of the settings before it is logged. Stamped is every checkpoint at the set interval while the log grows, and soon after a
task's end the one that covers the end and the seals that boxes wrote for it.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx
from sqlalchemy import Connection, select

from hub.config import HubSettings
from hub.core import Core
from hub.sequencer import Publication
from protocol import kinds, timestamps
from protocol.errors import MalformedError, PortwitnessError, StorageError, UnavailableError
from protocol.notes import SignedCheckpoint
from protocol.records import read
from storage.schema import time_tokens

SETTLE_S = 2.0  # the boxes of a task seal at about the same time: one token covers them all
PAUSE_FIRST_S = 5.0
PAUSE_LIMIT_S = 300.0
_LOG = logging.getLogger(__name__)
_QUERY = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}


@dataclass(slots=True)
class _Asked:
    """What is known of one authority: the log's size behind its last token, and when to try again."""

    url: str
    behind: int = 0
    failures: int = 0


@dataclass(slots=True)
class TimeStamps:
    """The stamping of the log. Use as an async context manager; `published` listens to the sequencer."""

    core: Core
    anchors: tuple[bytes, ...] = ()
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _events: list[asyncio.Event] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        urls = self.core.settings.time_authority.urls
        if urls:
            self.anchors = await asyncio.to_thread(read_anchors, self.core.settings)
            self._events = [asyncio.Event() for _ in urls]
            work = zip(urls, self._events, strict=True)
            self._tasks = [asyncio.create_task(self._keep(_Asked(url), due), name=f"time authority {url}") for url, due in work]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def published(self, publication: Publication) -> None:
        """Hear of what is published: the end of a task, and a box's seal for it, make a token due."""
        if self._events and (any(_is_end(signed.record.body) for signed in publication.records) or _sealed_task(publication)):
            for due in self._events:
                due.set()

    async def _keep(self, asked: _Asked, due: asyncio.Event) -> None:
        """Stamp when it is due, for ever."""
        period_s = self.core.settings.time_authority.every_minutes * 60
        async with httpx.AsyncClient(timeout=self.core.settings.time_authority.timeout_seconds) as client:
            while True:
                wait_s = period_s if not asked.failures else min(PAUSE_FIRST_S * 2 ** (asked.failures - 1), PAUSE_LIMIT_S, period_s)
                if await _within(due, wait_s):
                    await asyncio.sleep(SETTLE_S)
                due.clear()
                try:
                    await self._stamp(client, asked)
                    asked.failures = 0
                except (PortwitnessError, httpx.HTTPError) as error:  # supervision: an alarm, and tried again
                    asked.failures += 1
                    await self._alarm(asked.url, error)

    async def _alarm(self, url: str, error: Exception) -> None:
        _LOG.warning("time authority %s: %s", url, error)
        try:
            await self.core.alarms.ring("time authority", url[:128], str(error)[:200] or type(error).__name__)
        except (StorageError, UnavailableError) as failure:
            _LOG.error("alarm of a time authority: %s", failure)

    async def _stamp(self, client: httpx.AsyncClient, asked: _Asked) -> None:
        note = self.core.sequencer.checkpoint_now()
        if not note:
            return
        head = SignedCheckpoint.parse(note).checkpoint
        if head.size <= asked.behind:
            return  # nothing but its own last token is new
        token, stamp = await fetch_token(client, asked.url, timestamps.stamped_bytes(head), self.anchors)
        body = kinds.TimeToken(head.size, head.root, token, asked.url[:200])
        signed = await self.core.sequencer.issue(body, self.core.sequencer.origin[:128])
        asked.behind = signed.record.position + 1
        self.core.events.tell("time-token", size=head.size, authority=asked.url, signer=stamp.signer)


def read_anchors(settings: HubSettings) -> tuple[bytes, ...]:
    """Give the certificates that tokens are judged by, none where no authority is set; raise MalformedError or StorageError."""
    path = settings.time_authority.anchors
    if path is None:
        if settings.time_authority.urls:
            raise MalformedError("time authorities need the certificates they are judged by", where="time_authority.anchors")
        return ()
    try:
        return timestamps.parse_anchors(path.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error


async def fetch_token(client: httpx.AsyncClient, url: str, data: bytes, anchors: Sequence[bytes]) -> tuple[bytes, timestamps.Stamp]:
    """Have an authority stamp `data`; give the token, checked against the anchors, and what it says.

    Raises UnavailableError, MalformedError, RefusedError, VerificationError, and httpx's errors.
    """
    nonce = secrets.randbits(63)
    token = timestamps.open_response(await _ask(client, url, timestamps.request(data, nonce)))
    return token, timestamps.verify(token, data, anchors, nonce)


async def _ask(client: httpx.AsyncClient, url: str, query: bytes) -> bytes:
    """Send a request; raise UnavailableError for another answer than a token's, MalformedError for one that is too long."""
    body = bytearray()
    async with client.stream("POST", url, content=query, headers=_QUERY) as answer:
        if answer.status_code != 200:
            raise UnavailableError(f"answers {answer.status_code}", where=url)
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > timestamps.MAX_TOKEN_BYTES:
                raise MalformedError(f"answers more than {timestamps.MAX_TOKEN_BYTES} bytes", where=url)
    return bytes(body)


async def _within(happened: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await happened.wait()
    except TimeoutError:
        return False


def _is_end(body: kinds.Body) -> bool:
    return isinstance(body, kinds.Task) and body.state == "ended"


def _sealed_task(publication: Publication) -> bool:
    """Tell whether a seal that a box wrote for a task's end is now covered."""
    bodies = (read(receipt.seal).record.body for receipt in publication.receipts)
    return any(isinstance(body, kinds.Seal) and body.reason == "task" for body in bodies)


def tokens_about(connection: Connection, first: int, last: int) -> list[tuple[int, int, bytes]]:
    """Give (leaf, stamped size, its root) of the tokens in leaves [first, last], the last one before and two after."""
    place = time_tokens.c.position
    query = select(place, time_tokens.c.size, time_tokens.c.root)
    rows = [
        *connection.execute(query.where(place < first).order_by(place.desc()).limit(1)),
        *connection.execute(query.where(place >= first, place <= last).order_by(place)),
        *connection.execute(query.where(place > last).order_by(place).limit(2)),
    ]
    return [(row.position, row.size, bytes(row.root)) for row in rows]
