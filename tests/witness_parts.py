"""What the tests of witnesses share: a log made of leaves, its requests, and a witness on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.merkle import consistency_proof, leaf_hash, node_hash, root_at
from protocol.notes import ED25519, Checkpoint, NoteKey, sign_checkpoint
from protocol.signatures import Ed25519Signer
from protocol.witnessing import PATH, AddCheckpoint
from storage.clock import SystemClock
from storage.witness import LogSettings as WitnessedLog
from storage.witness import WitnessSettings, draw_seed, initialise, limits, open_state, signers
from storage.witness_server import Limits, Serving, Witness, serve

ORIGIN = "example.com/log"
NAME = "witness.example/w1"


@dataclass
class SmallLog:
    """A log in memory that can grow, and be forked."""

    origin: str = ORIGIN
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer.of(Ed25519PrivateKey.generate()))
    leaves: list[bytes] = field(default_factory=list)

    @property
    def key(self) -> NoteKey:
        return NoteKey(self.origin, ED25519, self.signer.public)

    def grow(self, count: int, salt: bytes = b"") -> "SmallLog":
        self.leaves += [leaf_hash(salt + bytes((len(self.leaves) + at) % 251 for at in range(4))) for _ in range(count)]
        return self

    def fork(self, size: int) -> "SmallLog":
        return SmallLog(self.origin, self.signer, self.leaves[:size])

    def node(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.leaves[index]
        return node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))

    def head(self, size: int | None = None) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(self.origin, size, root_at(size, self.node))

    def request(self, old: int, size: int | None = None) -> AddCheckpoint:
        size = len(self.leaves) if size is None else size
        proof = consistency_proof(old, size, self.node) if 0 < old <= size else []
        return AddCheckpoint(old, tuple(proof), sign_checkpoint(self.head(size), self.signer))


def settings_of(folder: Path, *logs: NoteKey, name: str = NAME) -> WitnessSettings:
    return WitnessSettings(name=name, state=folder / "state", logs=tuple(WitnessedLog(vkey=key.vkey()) for key in logs))


@asynccontextmanager
async def running_witness(settings: WitnessSettings, port: int = 0, bounds: Limits | None = None) -> AsyncIterator[tuple[str, Witness]]:
    """Run a witness on the loopback; its state is made when there is none."""
    if not settings.state.exists():
        await asyncio.to_thread(initialise, settings)
    witness = Witness(settings.name, signers(settings.state), settings.trusted(), open_state(settings), SystemClock(), draw_seed(settings))
    async with witness, serve(witness, Serving("127.0.0.1", port), bounds or limits(settings)) as url:
        yield url, witness


async def post(url: str, request: AddCheckpoint | bytes) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{url}{PATH}", content=request if isinstance(request, bytes) else request.encode())
