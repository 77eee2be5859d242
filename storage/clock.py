"""Read the real clock: the one place in Portwitness that does.

The sync state comes from the kernel (adjtimex, as chrony and systemd-timesyncd set it), so that it is known without asking
any daemon; a machine that does not say is `unsynced`.
"""

import ctypes
import ctypes.util
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from protocol.instants import Instant, SyncState

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5  # adjtimex return value: clock not synchronized
_MICROSECONDS_PER_MS = 1000


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SystemClock:
    """Read the machine's clocks."""

    def now(self) -> Instant:
        """Read wall, monotonic and sync state together."""
        state, error_ms = self.sync()
        return Instant(time.time_ns(), self.monotonic_ns(), state, error_ms)

    def monotonic_ns(self) -> int:
        """Read CLOCK_BOOTTIME, which also counts suspended time."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def sync(self) -> tuple[SyncState, int | None]:
        """Ask the kernel whether the wall clock is disciplined, and its error bound in ms."""
        libc = ctypes.CDLL(None, use_errno=True)
        timex = _Timex()
        answer = libc.adjtimex(ctypes.byref(timex))
        if answer < 0 or answer == _TIME_ERROR:
            return "unsynced", None
        return "synced", timex.maxerror // _MICROSECONDS_PER_MS + 1


def boot_id() -> str:
    """Give the id of this boot of the machine; where the kernel tells none, one of this call, so that boots never seem the same."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return uuid.uuid4().hex
