"""Ask the shipped programs about what an attack left, each by its own command line."""

import json
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from edge.fsck import check_box
from protocol import bundle
from protocol.identifiers import BoxId
from protocol.signatures import PublicKey
from storage import verify


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said: `caught` unless it called the evidence valid; `places` and `words` of its faults, and all it printed."""

    caught: bool
    words: tuple[str, ...]
    places: tuple[str, ...]
    text: str

    def says(self, reason: str, where: str = "") -> bool:
        """Tell whether one fault holds the reason at the place."""
        return any(reason in f"{place}: {word}" and where in place for place, word in zip(self.places, self.words, strict=True))


def ask_verify(path: Path, trust: Path, *more: str | Path) -> Answer:
    """Run `portwitness-verify` over a bundle."""
    out, err = StringIO(), StringIO()
    status = verify.run([str(path), "--trust", str(trust), "--json", *map(str, more)], out, err)
    return answer_of(out.getvalue(), status)


def answer_of(said: str, status: int) -> Answer:
    """Read what `portwitness-verify --json` printed."""
    found = json.loads(said)
    if "unreadable" in found:
        return Answer(True, (found["unreadable"]["what"],), (found["unreadable"]["where"],), said)
    faults = found["faults"]
    return Answer(status != 0, tuple(one["what"] for one in faults), tuple(one["file"] for one in faults), said)


def changed_video(before: Path, after: Path) -> Path:
    """Give the segment that an attack changed."""
    names = sorted(path.relative_to(after).as_posix() for path in after.rglob("*.mp4"))
    return next(after / name for name in names if bundle.parse_video(name) and (before / name).read_bytes() != (after / name).read_bytes())


def ask_fsck(state: Path, box: BoxId, identity: PublicKey) -> Answer:
    """Run the checks of `portwitness-edge fsck` over a box's folder."""
    faults = check_box(state, box, (identity,)).faults
    return Answer(bool(faults), tuple(faults), ("",) * len(faults), "\n".join(faults))
