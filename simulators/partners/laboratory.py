"""Be a laboratory: take samples, test them for a while, and report - positive where the goods really are, by seed now and then wrong.

Guarantees: the same seed and sample give the same report; a report says what was asked, found and measured; nothing of a hub is needed.
"""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulators.people.cargo import Truth

Result = Literal["negative", "positive"]
HOUR_MS = 3_600_000
_TESTS: Mapping[str, tuple[str, str]] = {
    "fruit": ("实蝇 fruit flies", "residue of chlorpyrifos"),
    "meat": ("沙门氏菌 Salmonella", "residue of ractopamine"),
    "wood": ("松材线虫 pine wood nematode", "bark beetles"),
}
_OTHER = ("有害物质 harmful substances", "radioactivity")


@dataclass(frozen=True, slots=True)
class Report:
    """What a laboratory reports of a sample. `due_ms`: so long after it was received."""

    sample: str
    number: str
    result: Result
    due_ms: int
    tests: tuple[tuple[str, Result, str], ...]  # name, result, value

    def value(self) -> dict[str, object]:
        """Give it as JSON values."""
        tests = [{"test": name, "result": result, "value": value} for name, result, value in self.tests]
        return {"sample": self.sample, "report": self.number, "result": self.result, "tests": tests}

    def document(self) -> bytes:
        """Give the paper that goes with it."""
        lines = [f"检测报告 Test report {self.number}", f"样品 Sample {self.sample}", *(" ".join(one) for one in self.tests), self.result]
        return "\n".join(lines).encode()


@dataclass(slots=True)
class Laboratory:
    """A laboratory. `wrong_percent`: so many reports of a hundred say the opposite; `hours`: from and to, how long a test takes."""

    name: str = "lab-dalian"
    seed: int = 1
    wrong_percent: int = 0
    hours: tuple[int, int] = (2, 30)
    received: dict[str, str] = field(default_factory=dict)  # kind of goods, by sample

    def receive(self, sample: str, kind: str) -> None:
        """Take a sample over."""
        self.received[sample] = kind

    def test(self, sample: str, truth: Truth) -> Report:
        """Test a sample whose goods are truly so."""
        kind = self.received.get(sample, "")
        draw = random.Random(f"laboratory {self.seed} {sample}")  # noqa: S311 - repeatable by seed, no secret
        bad = truth.residue or (truth.pest and kind != "meat")
        if draw.randrange(100) < self.wrong_percent:
            bad = not bad
        names = _TESTS.get(kind, _OTHER)
        hit = draw.randrange(len(names)) if bad else -1
        tests = tuple(self._one(draw, name, is_hit=at == hit) for at, name in enumerate(names))
        number = f"R-{hashlib.sha256(f'{self.name} {sample}'.encode()).hexdigest()[:10].upper()}"
        return Report(sample, number, "positive" if bad else "negative", draw.randrange(*self.hours) * HOUR_MS, tests)

    def _one(self, draw: random.Random, name: str, *, is_hit: bool) -> tuple[str, Result, str]:
        value = f"0.{draw.randrange(20, 90)} mg/kg" if is_hit else f"< 0.0{draw.randrange(1, 9)} mg/kg"
        return name, "positive" if is_hit else "negative", value
