"""Run a hub that releases goods and tells a terminal, and die without warning at one named point.

python -m tests.exchange_child STATE URL POINT COUNT
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from hub.app import open_hub
from hub.config import ExchangeSettings
from hub.exchange.delivering import Delivering
from hub.inspection.states import State
from hub.sequencer import Sequencer
from protocol.errors import RefusedError
from storage.clock import SystemClock
from storage.keys import load_ed25519
from tests.exchange_parts import TERMINAL, event, know_partners, telling
from tests.hub_parts import settings_for
from tests.release_parts import TO_DIRECT, stand

NUMBERS = [f"D-20261124-{at:07d}" for at in range(4)]
POINTS: dict[str, tuple[Any, str]] = {
    "before the commit": (Sequencer, "_advance"),
    "between commit and delivery": (Delivering, "_post"),
    "between the partner's answer and its record": (Delivering, "_log"),
}


def die_at(point: str, count: int) -> None:
    """End this process where a function is called for the `count`-th time."""
    owner, name = POINTS[point]
    real, calls = getattr(owner, name), iter(range(1, 1 << 30))

    def lethal(*given: Any, **named: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)

    setattr(owner, name, lethal)


async def work(state: Path, url: str) -> None:
    """Release what is not released yet, take the terminal's word, and wait until all is told."""
    settings = settings_for(state, exchange=ExchangeSettings(retry_seconds=0.01))
    async with open_hub(settings, SystemClock(), load_ed25519(state / "keys" / "log.key")) as hub:
        try:
            await hub.exchange.partner(TERMINAL)
        except RefusedError:
            await know_partners(hub, url, ways=["json"])
        known = {one.number: one.state for one in await hub.declarations.list()}
        for number in NUMBERS:
            if number not in known:
                await stand(hub, [number], TO_DIRECT)
            if known.get(number) in (None, State.DIRECT_RELEASE):
                await hub.releases.release_by_rule(number)
            await hub.exchange.take(TERMINAL, telling(f"G-{number}", event("GTOT", declarationReference=number)), "application/json")
        async with hub.events.subscribe() as told:
            while await hub.exchange.list(state="queued"):
                await anext(told)


if __name__ == "__main__":
    if sys.argv[3] != "never":
        die_at(sys.argv[3], int(sys.argv[4]))
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
