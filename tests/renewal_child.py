"""Renew a box's TLS certificate, and die without warning before the given number of changes to the key folder is done.

    python -m tests.renewal_child STATE URL COUNT

Exits 0 once the new pair is in place and nothing is left of the renewal.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from edge.courier import HubAddress
from edge.renewal import NEXT_KEY, Renewal
from protocol.certificates import Identity
from protocol.identifiers import BoxId
from protocol.trust import Trust
from storage.clock import SystemClock
from tests.hub_parts import SITE

CHANGES = ("os.rename", "os.link", "os.remove")


def die_at(folder: str, count: int) -> None:
    """Kill this process before its change number `count` in the folder."""
    left = count

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in CHANGES and str(arguments[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heard)


async def renew(keys: Path, url: str) -> None:
    """Step until nothing is left to do."""
    trust = Trust.parse((keys / "trust.json").read_bytes())
    address = HubAddress(url, keys / "tls.pem", keys / "tls.pem", keys / "chain.pem")
    renewal = Renewal(keys, Identity(SITE, BoxId("box-1")), trust, address, SystemClock(), 0.66)
    while (await renewal.step()) < 3600 or (keys / NEXT_KEY).exists():
        assert renewal.standing.state in ("valid", "waiting"), renewal.standing
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[3]))
    asyncio.run(renew(Path(sys.argv[1]), sys.argv[2]))
