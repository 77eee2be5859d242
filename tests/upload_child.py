"""Run a hub that takes a file in parts from itself, says each part that was taken, and dies without warning after one of them.

python -m tests.upload_child STATE PARTS_BEFORE_DEATH
"""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from hub.app import open_hub
from hub.files import Manifest
from storage.clock import SystemClock
from storage.keys import load_ed25519
from tests.hub_parts import settings_for

PART = 100_000


async def upload(state: Path, left: int) -> None:
    data = (state / "photo").read_bytes()
    name = hashlib.sha256(data).digest()
    async with open_hub(settings_for(state), SystemClock(), load_ed25519(state / "keys" / "log.key")) as hub:
        found = await hub.files.announce("li.wei", Manifest(name, len(data), "photo.jpg", "photo"))
        print(found.have_bytes, flush=True)
        while found.state == "announced":
            found = await hub.files.put_part(
                "li.wei", name, found.have_bytes, _part(data[found.have_bytes : found.have_bytes + PART], left)
            )
            print(found.have_bytes, flush=True)
            left -= 1
        print(found.state, flush=True)


async def _part(data: bytes, left: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1000):
        if left == 0 and at > len(data) // 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield data[at : at + 1000]


if __name__ == "__main__":
    asyncio.run(upload(Path(sys.argv[1]), int(sys.argv[2])))
