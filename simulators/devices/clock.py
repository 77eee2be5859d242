"""The one place where simulated devices read the time of day and the monotonic clock.

Guarantees: nothing but the two readings; a device's own, wrong clock is made from them by whoever simulates it.
"""

import time


def wall_ns() -> int:
    """Return Unix time in ns."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Return a time in ns that never goes back."""
    return time.monotonic_ns()
