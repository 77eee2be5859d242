"""What can go wrong with a simulated camera, and when.

Kinds, and what `value` means:
- `refuse`: every request gets 503, sessions end; `offline`: nobody listens at all (all cameras of the farm);
- `unauthorized`: every request gets 401, sessions end; `close`: connections break once, at the beginning;
- `stall`: no packets while the connection stays and answers; `slow`: packets leave `value` seconds late (0.4);
- `loss`: each packet is left out with the chance `value` (0.05); `garbage`: random bytes between the packets;
- `resolution`, `bframes`: other footage (half size; with B-frames) from the next picture on;
- `restart`: timestamps jump, once; `skew`: the device's clock runs `value` parts per million fast (200);
- `step`: the device's clock is set `value` seconds ahead (3600); `no_reports`: no sender reports.
"""

from dataclasses import dataclass
from typing import Final

from protocol.errors import MalformedError

KINDS: Final = {
    "refuse": 0.0, "offline": 0.0, "unauthorized": 0.0, "close": 0.0, "stall": 0.0, "slow": 0.4, "loss": 0.05, "garbage": 0.0,
    "resolution": 0.0, "bframes": 0.0, "restart": 0.0, "skew": 200.0, "step": 3600.0, "no_reports": 0.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one camera (`cam` None: all), `at_s` after the farm's start, for `seconds`."""

    kind: str
    cam: int | None = None
    at_s: float = 0.0
    seconds: float = 5.0
    value: float = 0.0

    @property
    def strength(self) -> float:
        """Return the value, or the kind's usual one."""
        return self.value or KINDS[self.kind]


def read_fault(text: str) -> Fault:
    """Read `cam=1,at=12,kind=stall,seconds=8[,value=0.1]`; `cam` may be `all`.

    Raises MalformedError naming what was expected.
    """
    given: dict[str, str] = {}
    for item in text.split(","):
        name, sign, value = item.partition("=")
        if not sign or name not in ("cam", "at", "kind", "seconds", "value") or name in given:
            raise MalformedError(f"{item!r}: expected cam=, at=, kind=, seconds=, value= once each, with commas between", where="--fault")
        given[name] = value
    kind = given.get("kind", "")
    if kind not in KINDS:
        raise MalformedError(f"kind {kind!r}: expected one of {', '.join(KINDS)}", where="--fault")
    try:
        cam = None if given.get("cam", "all") == "all" else int(given["cam"])
        numbers = [float(given.get(name, usual)) for name, usual in (("at", "0"), ("seconds", "5"), ("value", "0"))]
    except ValueError as error:
        raise MalformedError(f"{text!r}: expected numbers for cam, at, seconds and value", where="--fault") from error
    if min(numbers) < 0 or (cam is not None and cam < 0):
        raise MalformedError(f"{text!r}: expected numbers of 0 or more", where="--fault")
    if kind == "offline" and cam is not None:
        raise MalformedError("offline is for cam=all: the cameras share one port", where="--fault")
    return Fault(kind, cam, *numbers)
