"""Have outside parties cosign the port log: ask them at start, send each new checkpoint, tell when a quorum agreed.

Guarantees: the log is not signed on once a witness holds another history or a longer one than this hub - a hub that was restored
from a backup, doubled or paused is stopped and rings; a checkpoint counts as witnessed only with valid cosignatures of a quorum
of the policy, and is flushed before anybody is told; without quorum an alarm rings and nothing waits here but what needs it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Literal

import httpx
from sqlalchemy import Connection

from hub.alarms import Alarms
from hub.config import HubSettings
from protocol.errors import MalformedError, PortwitnessError, RefusedError, StorageError, UnavailableError, VerificationError
from protocol.instants import SECOND_NS, Clock
from protocol.merkle import consistency_proof
from protocol.notes import (
    ED25519,
    Checkpoint,
    NoteKey,
    Signature,
    SignedCheckpoint,
    has_signed,
    parse_note,
    parse_signatures,
    sign_checkpoint,
)
from protocol.policies import Log, Policy, Witness
from protocol.signatures import Ed25519Signer
from protocol.witnessing import PATH, AddCheckpoint, parse_conflict
from storage.database import Database
from storage.logs import LogFolder, PortLog, reader

MAX_ANSWER_BYTES = 65_536
ATTEMPTS = 4  # requests to one witness for one checkpoint: its size may be learned, and may move meanwhile
LATE_S = 0.2  # with a quorum, the other witnesses are waited for this much longer
RETRY_S = 1.0
MAX_POLICY_BYTES = 262_144
_LOG = logging.getLogger(__name__)

Mode = Literal["off", "quorum", "lost"]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint with the cosignatures of a quorum."""

    size: int
    note: bytes


Listener = Callable[[Witnessed], Awaitable[None]]


def read_policy(settings: HubSettings, log: NoteKey) -> Policy:
    """Give the policy that the settings name, by file or one by one; raise MalformedError.

    Only outside parties count: a witness with the log's key, or with a name below the log's, is refused.
    """
    path = settings.witnessing.policy
    if path is not None and settings.witnesses:
        raise MalformedError("given as a file and as a list", where="witnessing.policy")
    policy = _from_file(path) if path is not None else _from_list(settings, log)
    if policy.logs and log not in [one.key for one in policy.logs]:
        raise MalformedError(f"the policy does not list this hub's log {log.vkey()}", where="witnessing.policy")
    for witness in policy.witnesses:
        if witness.key.public == log.public or witness.key.name == log.name or witness.key.name.startswith(f"{log.name}/"):
            raise MalformedError(f"{witness.name} is of this hub, not an outside party", where="witnesses")
        if witness.url is None:
            raise MalformedError(f"{witness.name} has no address to be asked at", where="witnesses")
    if not policy.logs:
        policy = Policy((Log(log),), policy.witnesses, policy.groups, policy.quorum)
    return policy


def _from_file(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            return Policy.parse(file.read(MAX_POLICY_BYTES + 1))
    except OSError as error:
        raise MalformedError(f"cannot read {path}: {error.strerror}", where="witnessing.policy") from error


def _from_list(settings: HubSettings, log: NoteKey) -> Policy:
    witnesses = [Witness(one.name, NoteKey.parse(one.vkey), one.url) for one in settings.witnesses]
    if settings.witnessing.quorum > len(witnesses):
        raise MalformedError(f"{settings.witnessing.quorum} of {len(witnesses)} witnesses", where="witnessing.quorum")
    return Policy.threshold(settings.witnessing.quorum, witnesses, (Log(log),))


@dataclass(slots=True)
class _Peer:
    """A witness, as far as we know it: the size it holds (None: never heard), and what is wrong with it."""

    witness: Witness
    size: int | None = None
    fault: str = ""
    visit: "asyncio.Task[tuple[Signature, ...]] | None" = None


@dataclass(slots=True)
class Witnesses:
    """The witnesses of the port log. Use as an async context manager."""

    settings: HubSettings
    clock: Clock
    database: Database
    alarms: Alarms
    folder: LogFolder
    signer: Ed25519Signer
    policy: Policy
    listeners: list[Listener] = field(default_factory=list)
    when_lost: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    stopped: str | None = None
    head: Witnessed = Witnessed(0, b"")
    _peers: list[_Peer] = field(default_factory=list)
    _published: tuple[int, bytes] = (0, b"")
    _since_ns: int | None = None  # since when something published has no quorum
    _told: dict[str, str] = field(default_factory=dict)  # boxes that saw more than we published; "" once rung
    _asked: bool = False
    _lost: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _kept: asyncio.Event = field(default_factory=asyncio.Event)
    _client: httpx.AsyncClient | None = None
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Witnesses":
        self._peers = [_Peer(witness) for witness in self.policy.witnesses]
        if self._peers:
            self._client = httpx.AsyncClient(timeout=self.settings.witnessing.timeout_seconds, trust_env=False)
            self.head = await asyncio.to_thread(self._load)
        self._task = asyncio.create_task(self._run(), name="witnesses")
        return self

    def vouched_ns(self) -> int | None:
        """Give a time that each witness of the newest quorum had reached when it cosigned (Unix ns); None without witnesses."""
        if not self.head.size:
            return None
        signed = SignedCheckpoint.parse(self.head.note)
        keys = [peer.witness.key for peer in self._peers if has_signed(signed.note, peer.witness.key)]
        times = [signed.verify(key, origin=signed.checkpoint.origin) for key in keys]
        return min((seconds for seconds in times if seconds is not None), default=0) * SECOND_NS or None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        tasks = [task for task in (self._task, *(peer.visit for peer in self._peers)) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    @property
    def key(self) -> NoteKey:
        """Give the log's key."""
        return NoteKey(self.settings.log_origin, ED25519, self.signer.public)

    @property
    def mode(self) -> Mode:
        """Tell how it stands: no quorum is asked for, there is one, or there has been none for longer than is borne."""
        if not self.policy.asks:
            return "off"
        return "lost" if self._lost else "quorum"

    def is_final(self, note: bytes) -> bool:
        """Tell whether a checkpoint of this hub shows the cosignatures of a quorum; they were verified when they came."""
        return not self.policy.asks or self.policy.is_met(self.policy.named(SignedCheckpoint.parse(note)))

    def states(self) -> list[tuple[str, int | None, str]]:
        """Give (name, size held, fault) of each witness."""
        return [(peer.witness.name, peer.size, peer.fault) for peer in self._peers]

    def published(self, size: int, note: bytes) -> None:
        """Hear of a published checkpoint."""
        self._published = (size, note)
        if self._since_ns is None and size > self.head.size:
            self._since_ns = self.clock.monotonic_ns()
        self._news.set()

    async def over(self, index: int, fallback: bytes) -> bytes:
        """Give a witnessed checkpoint that covers a published leaf; `fallback` when none comes in time."""
        until_ns = self.clock.monotonic_ns() + int(self.settings.witnessing.timeout_seconds * SECOND_NS)
        while self.mode == "quorum" and self.head.size <= index and (left_ns := until_ns - self.clock.monotonic_ns()) > 0:
            self._kept.clear()
            await _within(self._kept, left_ns / SECOND_NS)
        return self.head.note if self.head.size > index else fallback

    async def cosigned_by(self, name: str) -> bytes:
        """Give the newest published checkpoint with the cosignature of one witness; raise UnavailableError when it gives none."""
        peer = next((one for one in self._peers if one.witness.name == name), None)
        if peer is None or not self._published[0]:
            raise UnavailableError("is not asked by this hub, or nothing is published yet", where=f"witness {name}")
        note = self._published[1]
        signatures = await self._visit(peer, SignedCheckpoint.parse(note).checkpoint, note)
        shown = parse_note(note)
        return shown.with_signatures([one for one in signatures if one not in shown.signatures]).encode()

    # ---------------------------------------------------------------------------------------------------- before signing

    async def guard(self, committed: Checkpoint) -> None:
        """Let the sequencer sign on, or raise: RefusedError when a witness saw more or another log than ours.

        At start every witness is asked. When too few answer to know what any quorum saw, the setting decides: wait
        (UnavailableError), or go on after a while with an alarm.
        """
        if self.stopped is not None:
            raise RefusedError(self.stopped, where="port log")
        if self._asked or not self.policy.asks:
            return
        settings = self.settings.witnessing
        until_ns = self.clock.monotonic_ns() + int(settings.start_seconds * SECOND_NS)
        while not await self._ask(committed):
            if self.clock.monotonic_ns() >= until_ns:
                break
            await asyncio.sleep(min(RETRY_S, settings.start_seconds / 4))
        else:
            self._asked = True
            return
        heard = sum(peer.size is not None for peer in self._peers)
        what = f"{heard} of {len(self._peers)} witnesses answered, {self.policy.blocking} must, to know that this is no old copy"
        if settings.start == "wait":
            raise UnavailableError(what, where="witnesses")
        await self.alarms.ring("unwitnessed start", self.settings.log_origin, what)
        self._asked = True

    async def _ask(self, committed: Checkpoint) -> bool:
        """Ask all witnesses what they hold; tell whether enough answered. Raises RefusedError."""
        if committed.size < self.head.size:
            await self._stop(f"{self.head.size} leaves are cosigned in the log's folder, the database has {committed.size}")
        note = sign_checkpoint(committed, self.signer)
        visits = [self._visit(peer, committed, note) for peer in self._peers]
        await asyncio.gather(*visits, return_exceptions=True)
        if self.stopped is not None:
            raise RefusedError(self.stopped, where="port log")
        return sum(peer.size is not None for peer in self._peers) >= self.policy.blocking

    def seen_by(self, box: str, size: int, published: int) -> None:
        """Hear which checkpoint a box's record names: one that we never published is told, once per box.

        It does not stop the log: a box's word is no proof, and one stolen box must not stop a port.
        """
        if size > published and box not in self._told:
            self._told[box] = f"its records name {size} leaves of the port log, this hub published {published}: an old copy of the hub?"
            self._news.set()

    async def _stop(self, what: str) -> None:
        await self._halt(what)
        raise RefusedError(what, where="port log")

    async def _halt(self, what: str) -> None:
        self.stopped = what
        _LOG.error("port log: not signed on: %s", what)
        await self.alarms.ring("log stopped", self.settings.log_origin, what)

    # --------------------------------------------------------------------------------------------------------- the rounds

    async def _run(self) -> None:
        settings = self.settings.witnessing
        while True:
            await _within(self._news, RETRY_S)
            self._news.clear()
            try:
                if self._published[0] and (self._published[0] > self.head.size or self._lost) and self.stopped is None:
                    await self._round(*self._published)
                await self._watch()
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("witnesses: %s", error)
            await asyncio.sleep(settings.interval_ms / 1000)

    async def _round(self, size: int, note: bytes) -> None:
        """Send one checkpoint to every witness that is free; keep it when a quorum cosigned."""
        checkpoint = SignedCheckpoint.parse(note).checkpoint
        free = [peer for peer in self._peers if peer.visit is None or peer.visit.done()]
        for peer in free:
            peer.visit = asyncio.create_task(self._visit(peer, checkpoint, note), name=f"witness-{peer.witness.name}")
            peer.visit.add_done_callback(_retrieve)
        waiting = {peer.visit: peer for peer in free if peer.visit is not None}
        found: list[Signature] = []
        agreed: set[str] = set()
        timeout_s: float = self.settings.witnessing.timeout_seconds
        while waiting:
            done, _ = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                peer = waiting.pop(task)
                if task.exception() is None:
                    found += task.result()
                    agreed.add(peer.witness.name)
            if self.policy.is_met(agreed):
                timeout_s = LATE_S
        if self.policy.asks and self.policy.is_met(agreed) and self.stopped is None:
            await self._keep(Witnessed(size, parse_note(note).with_signatures(found).encode()))

    async def _keep(self, head: Witnessed) -> None:
        """Make a witnessed checkpoint known: on disk first."""
        await asyncio.to_thread(self.folder.publish_witnessed, head.note)
        self.head = head
        self._kept.set()
        if self._published[0] > head.size:
            self._since_ns = self.clock.monotonic_ns()
        else:
            self._since_ns = None
        if self._lost:
            self._lost = False
            self.alarms.events.tell("quorum", there=True)
        for listener in self.listeners:
            await listener(head)

    async def _watch(self) -> None:
        """Ring for boxes that saw more of the log, and when there has been no quorum for too long."""
        for box, what in list(self._told.items()):
            if what:
                await self.alarms.ring("log behind", box, what)
                self._told[box] = ""
        since_ns = self._since_ns
        if since_ns is None or self._lost or not self.policy.asks:
            return
        if self.clock.monotonic_ns() - since_ns < self.settings.witnessing.alarm_seconds * SECOND_NS:
            return
        self._lost = True
        faults = "; ".join(f"{peer.witness.name}: {peer.fault}" for peer in self._peers if peer.fault)
        await self.alarms.ring("no quorum", self.settings.log_origin, f"records get no final receipt ({faults})"[:900])
        self.alarms.events.tell("quorum", there=False)
        for tell in self.when_lost:
            await tell()

    # -------------------------------------------------------------------------------------------------------- one witness

    async def _visit(self, peer: _Peer, checkpoint: Checkpoint, note: bytes) -> tuple[Signature, ...]:
        """Bring one witness to a checkpoint; raise UnavailableError when it does not cosign, and stop the log when it holds another."""
        try:
            signatures = await self._bring(peer, checkpoint, note)
        except PortwitnessError as error:
            peer.fault = str(error)
            raise
        peer.fault = ""
        return signatures

    async def _bring(self, peer: _Peer, checkpoint: Checkpoint, note: bytes) -> tuple[Signature, ...]:
        name = peer.witness.name
        for _ in range(ATTEMPTS):
            old = min(peer.size or 0, checkpoint.size)
            proof = await self._proof(old, checkpoint)
            status, body = await self._post(peer.witness, AddCheckpoint(old, proof, note))
            if status == HTTPStatus.OK:
                signatures = _cosignatures(peer.witness, checkpoint, note, body)
                peer.size = checkpoint.size
                return signatures
            if status == HTTPStatus.CONFLICT:
                await self._learn(peer, checkpoint, old, parse_conflict(body))
            elif status == HTTPStatus.UNPROCESSABLE_ENTITY:
                await self._stop(f"witness {name} holds another tree of {old} leaves than this hub: the log was forked")
            else:
                words = body[:100].decode("utf-8", "replace").strip()
                raise UnavailableError(f"answers {status} {words}", where=f"witness {name}")
        raise UnavailableError("its size moves faster than it can be met", where=f"witness {name}")

    async def _learn(self, peer: _Peer, checkpoint: Checkpoint, old: int, held: int) -> None:
        """Take up the size that a witness says it holds."""
        name = peer.witness.name
        if held > checkpoint.size:
            peer.size = held
            await self._stop(
                f"witness {name} saw {held} leaves of this log, this hub has {checkpoint.size}: another copy of it signs, or did"
            )
        if held == old == checkpoint.size:
            await self._stop(f"witness {name} holds another tree of {held} leaves than this hub: the log was forked")
        if held == old:
            raise UnavailableError(f"refuses the size {held} that it names itself", where=f"witness {name}")
        peer.size = held

    async def _proof(self, old: int, checkpoint: Checkpoint) -> tuple[bytes, ...]:
        if old in (0, checkpoint.size):
            return ()

        return await self.database.read(lambda connection: prove(connection, old, checkpoint.size))

    async def _post(self, witness: Witness, request: AddCheckpoint) -> tuple[int, bytes]:
        """Ask once, bounded in time and size; raise UnavailableError."""
        if self._client is None or witness.url is None:
            raise UnavailableError("not started", where=f"witness {witness.name}")
        try:
            async with asyncio.timeout(self.settings.witnessing.timeout_seconds):
                url = f"{witness.url.rstrip('/')}{PATH}"
                async with self._client.stream("POST", url, content=request.encode()) as answer:
                    body = b""
                    async for chunk in answer.aiter_bytes():
                        body += chunk
                        if len(body) > MAX_ANSWER_BYTES:
                            raise UnavailableError(f"answers more than {MAX_ANSWER_BYTES} bytes", where=f"witness {witness.name}")
                    return answer.status_code, body
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise UnavailableError(f"does not answer: {type(error).__name__}", where=f"witness {witness.name}") from error

    def _load(self) -> Witnessed:
        """Read the newest witnessed checkpoint of an earlier run; raise StorageError when it is none of this log."""
        note = self.folder.witnessed()
        if note is None:
            return Witnessed(0, b"")
        try:
            signed = SignedCheckpoint.parse(note)
            signed.verify(self.key, origin=self.key.name)
        except (MalformedError, VerificationError) as error:
            raise StorageError(f"the witnessed checkpoint is not of this log: {error}", where=str(self.folder.root)) from error
        is_met = self.policy.is_met(self.policy.agreed(signed))  # by another policy it may not count any more
        return Witnessed(signed.checkpoint.size, note) if is_met else Witnessed(0, b"")


def _cosignatures(witness: Witness, checkpoint: Checkpoint, note: bytes, body: bytes) -> tuple[Signature, ...]:
    """Give the cosignature of a witness's key, verified; what other keys signed is ignored (tlog-witness)."""
    mine = tuple(one for one in parse_signatures(body) if one.name == witness.key.name and one.hash == witness.key.hash)
    try:
        SignedCheckpoint(checkpoint, parse_note(note).with_signatures(mine)).verify(witness.key, origin=checkpoint.origin)
    except (VerificationError, MalformedError) as error:
        raise UnavailableError(f"its cosignature does not hold: {error.what}", where=f"witness {witness.name}") from error
    return mine[:1]


def prove(connection: Connection, old: int, new: int) -> tuple[bytes, ...]:
    """Give the consistency proof between two sizes of the port log; raise MalformedError when it is not that long."""
    return tuple(consistency_proof(old, new, reader(connection, PortLog()))) if old else ()


def _retrieve(task: "asyncio.Task[tuple[Signature, ...]]") -> None:
    """Take notice of a visit that ends after its round: its fault is kept with the peer."""
    if not task.cancelled():
        task.exception()


async def _within(happened: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await happened.wait()
    except TimeoutError:
        return
