"""Run a hub that feeds itself from a prepared journal, and die without warning at one named point.

    python -m tests.hub_child STATE POINT COUNT

Prints one JSON line for each thing that was acknowledged, flushed, as a box would have seen it.
"""

import asyncio
import hashlib
import json
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

import hub.ingest
import storage.blobs
import storage.logs
from hub.app import Hub, open_hub
from hub.sequencer import Sequencer
from protocol.errors import ForbiddenError
from protocol.messages import Persisted, Receipt, StoredBlobs, decode
from storage.clock import SystemClock
from storage.database import Database
from storage.keys import load_ed25519
from tests.hub_parts import BOX, TestBox, chunks, enrol, settings_for

POINTS: dict[str, tuple[Any, str, bool]] = {  # where, function, whether to die before it is done (else after)
    "before publication": (storage.logs.LogFolder, "publish", True),
    "after tiles, before the checkpoint": (storage.logs.LogFolder, "write_tiles", False),
    "after publication": (storage.logs.LogFolder, "publish", False),
    "before the log's commit": (Sequencer, "_advance", False),
    "before a journal's commit": (hub.ingest.Ingest, "_keep", False),
    "after any commit": (Database, "write_now", False),
    "before a blob's name": (storage.blobs._Incoming, "finish", False),
    "after a blob's name": (storage.blobs.DirectoryBlobs, "_finish", False),
}


def die_at(point: str, count: int) -> None:
    """Replace a function by itself and, at its `count`-th call, the end of this process."""
    owner, name, before = POINTS[point]
    real, calls = getattr(owner, name), iter(range(1, 1 << 30))

    def lethal(*given: Any, **named: Any) -> Any:
        last = next(calls) == count
        if last and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*given, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, lethal)


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


async def feed(state: Path) -> None:
    batches, blobs, certificate_of = pickle.loads((state / "journal").read_bytes())
    async with open_hub(settings_for(state), SystemClock(), load_ed25519(state / "keys" / "log.key")) as hub:
        try:
            await hub.ingest.accept(BOX, batches[0])
        except ForbiddenError:
            await enrol(hub, TestBox(identity=certificate_of()))
        covered = await listen(hub, 0)
        for at, batch in enumerate(batches):
            for answer in await hub.ingest.accept(BOX, batch):
                if isinstance(answer, Persisted):
                    say(persisted=answer.size)
            if at < len(blobs):
                name = hashlib.sha256(blobs[at]).digest()
                stored = await hub.blobs.put(BOX, name, len(blobs[at]), chunks(blobs[at]))
                say(stored=[each.hex() for each in stored.blobs])
            covered = max(covered, await listen(hub, 0.05))
        end = max(batch.first + len(batch.records) for batch in batches)
        while covered < end - 1:
            await hub.mail.repeat_receipts(BOX)  # one may have been handed over just before the end of the life before
            covered = max(covered, await listen(hub, 1.0))
        say(done=hub.log.published_size())


async def listen(hub: Hub, wait_s: float) -> int:
    """Say what mail brings; give the end of what is receipted by it."""
    covered = 0
    for data in await hub.mail.take(BOX, wait_s):
        message = decode(data)
        if isinstance(message, Receipt):
            covered = max(covered, message.end)
            say(receipt=message.end, checkpoint=message.checkpoint.decode())
        elif isinstance(message, StoredBlobs):
            say(stored=[each.hex() for each in message.blobs])
    return covered


if __name__ == "__main__":
    if sys.argv[2] != "never":
        die_at(sys.argv[2], int(sys.argv[3]))
    asyncio.run(feed(Path(sys.argv[1])))
