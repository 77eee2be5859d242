"""Run a hub that takes signed acts from itself, says each that it answered, and dies without warning at one named call.

    python -m tests.work_child STATE POINT COUNT

The acts are those of STATE/acts.json, in order: all that were said before are sent again first, as a phone does.
"""

import asyncio
import json
import sys
from pathlib import Path

from hub.app import open_hub
from hub.inspection.fieldwork.acts import Envelope
from storage.clock import SystemClock
from storage.keys import load_ed25519
from tests.fieldwork_parts import settings
from tests.hub_child import die_at


async def work(state: Path) -> None:
    told = json.loads((state / "acts.json").read_text())
    async with open_hub(settings(state), SystemClock(), load_ed25519(state / "keys" / "log.key")) as hub:
        for one in told["acts"]:
            taken = await hub.fieldwork.acts.take(told["task"], Envelope(one["act"], one["key_id"], one["signature"]), told["by"])
            print(json.dumps({"id": taken.id, "position": taken.position}), flush=True)


if __name__ == "__main__":
    if sys.argv[2] != "never":
        die_at(sys.argv[2], int(sys.argv[3]))
    asyncio.run(work(Path(sys.argv[1])))
