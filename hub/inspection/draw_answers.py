"""Ask the named keys for their answers to a closed draw: the hub's own key, and witnesses over HTTP.

Guarantees: nobody is asked before the closing stands in a published checkpoint, and a witness only with its own cosignature on it; an
answer counts once its proof holds; asking again, after a crash too, gives the same answer or none.
"""

import asyncio
import os
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
from sqlalchemy import Connection

from hub.core import Core
from protocol.drawing import vrf
from protocol.drawing.asking import PATH, AskDraw
from protocol.drawing.policy import Named, Policy
from protocol.errors import PortwitnessError, UnavailableError
from protocol.merkle import inclusion_proof
from protocol.notes import SignedCheckpoint
from storage.keys import read_secret_seed, write_new
from storage.logs import PortLog, port_entries, reader

DRAW_KEY = "draw.key"
MAX_ANSWER_BYTES = 1024
OWN = "hub"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of one key: its proof, or why there is none."""

    name: str
    pi: bytes | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """The way to the answers."""

    core: Core

    @property
    def path(self) -> Path:
        """Give where the hub's own seed is kept."""
        return self.core.settings.keys / DRAW_KEY

    def own_seed(self) -> bytes:
        """Give the seed of the hub's own key; make it when there is none. Raises StorageError."""
        if not self.path.exists():
            write_new(self.path, os.urandom(vrf.SEED_BYTES).hex().encode() + b"\n")
        return read_secret_seed(self.path)

    async def own_key(self) -> bytes:
        """Give the hub's own public key for draws."""
        return vrf.public_key(await asyncio.to_thread(self.own_seed))

    async def ask_all(self, policy: Policy, alpha: bytes, closing: int) -> list[Asked]:
        """Ask every named key, at once; in the policy's order."""
        return list(await asyncio.gather(*(self._ask(one, alpha, closing) for one in policy.witnesses)))

    async def _ask(self, named: Named, alpha: bytes, closing: int) -> Asked:
        try:
            if named.name == OWN:
                seed = await asyncio.to_thread(self.own_seed)
                pi = (await asyncio.to_thread(vrf.prove, seed, alpha)).pi
            else:
                pi = await self._witness(named.name, closing)
            await asyncio.to_thread(vrf.verify, named.key, alpha, pi)
        except PortwitnessError as error:
            return Asked(named.name, None, str(error))
        return Asked(named.name, pi)

    async def _witness(self, name: str, closing: int) -> bytes:
        witnesses = self.core.witnesses
        if witnesses is None:
            raise UnavailableError("has no witnesses", where="hub")
        url = next((one.url for one in witnesses.policy.witnesses if one.name == name), None)
        if url is None:
            raise UnavailableError("is no witness of this hub", where=name)
        note = await witnesses.cosigned_by(name)
        size = SignedCheckpoint.parse(note).checkpoint.size

        def make(connection: Connection) -> AskDraw:
            path = inclusion_proof(closing, size, reader(connection, PortLog()))
            return AskDraw(note, closing, tuple(path), port_entries(connection, closing, closing + 1)[0])

        request = await self.core.database.read(make)
        return await self._post(name, f"{url.rstrip('/')}{PATH}", request.encode())

    async def _post(self, name: str, url: str, body: bytes) -> bytes:
        """Ask once, bounded in time and size; raise UnavailableError."""
        limit_s = self.core.settings.witnessing.timeout_seconds
        try:
            async with asyncio.timeout(limit_s), httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(url, content=body)
                text = answer.content[:MAX_ANSWER_BYTES].decode("ascii", "replace").strip()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise UnavailableError(f"does not answer: {type(error).__name__}", where=f"witness {name}") from error
        if answer.status_code != HTTPStatus.OK:
            raise UnavailableError(f"answers {answer.status_code} {text[:200]}", where=f"witness {name}")
        try:
            return bytes.fromhex(text)
        except ValueError as error:
            raise UnavailableError("answers no proof", where=f"witness {name}") from error
