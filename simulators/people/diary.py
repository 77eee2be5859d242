"""Write down what a simulated person or task source did, one JSON object a line, flushed at once: the ground truth for tests."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from protocol.instants import Clock


@dataclass(slots=True)
class Diary:
    """Appends acts with the time they were done; keeps them in memory too. Without a path nothing is written."""

    clock: Clock
    who: str
    path: Path | None = None
    acts: list[dict[str, Any]] = field(default_factory=list)
    _file: TextIO | None = None

    def __enter__(self) -> Self:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def note(self, act: str, **facts: object) -> None:
        """Write one act."""
        line = {"wall_ns": self.clock.now().wall_ns, "who": self.who, "act": act, **facts}
        self.acts.append(line)
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
