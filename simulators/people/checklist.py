"""Work a checklist as inspectors do - well, badly or dishonestly - and write down what was really done.

Guarantees: nothing is answered that is not asked; the same seed gives the same answers; `deeds` is the truth against which a hub's
suspicions are judged. Only the procedure itself is looked at, never the hub.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from protocol.procedures.answers import Answer, asked, digest, standing
from protocol.procedures.model import ATTACHED, Item, Procedure, Section
from simulators.devices.phone import Phone, SignedAct
from simulators.people.cargo import Truth

Style = Literal["well", "badly", "dishonestly"]
STYLES: tuple[Style, ...] = ("well", "badly", "dishonestly")
FAR_MICRODEGREES = 400_000  # some forty kilometres from the bay
BACK_MS = -26 * 3600 * 1000
_SEAL_ITEMS = ("seal-state",)
_PEST_WORDS = ("pest", "flies", "scale", "larvae", "insect")
_HIDDEN_WORDS = ("declared", "hidden", "contraband")
_MINDED = ("multi", "choice")
PHOTOS = 2  # of each thing: near and far


@dataclass(frozen=True, slots=True)
class Scene:
    """Where and on what it happens: the bay's place, the parts (boxes, samples) with their true seals, and what is true of the goods."""

    task: str
    procedure: Procedure
    sha256: str
    parts: Mapping[str, Sequence[str]]
    seals: Mapping[str, str] = field(default_factory=dict)
    latitude: int = 38_973_000
    longitude: int = 121_880_000
    truth: Truth = field(default_factory=Truth)
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done wrong on purpose or by neglect, and on what."""

    what: Literal["forgot", "too quick", "identical", "overlooked", "photo used again", "far from the bay", "clock set back"]
    item: str = ""
    at: str = ""


@dataclass(slots=True)
class Checklist:
    """A checklist in the hands of one inspector with one phone. `files`: what has to be at the hub, by SHA-256."""

    scene: Scene
    phone: Phone
    style: Style = "well"
    seed: int = 1
    pass_time: Callable[[int], None] = lambda _ms: None
    answers: list[Answer] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    deeds: list[Deed] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    _draw: random.Random = field(init=False)
    _old: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"checklist {self.seed} {self.style}")  # noqa: S311 - repeatable by seed, no secret
        self.phone.ahead_ms = BACK_MS if self.style == "dishonestly" else 0
        if self.phone.ahead_ms:
            self._deed("clock set back")

    @property
    def found(self) -> bool:
        """Tell whether anything was answered that speaks against release."""
        return any(_speaks_against(self.scene.procedure.items[one.item][1], one.value) for one in self.answers)

    def work(self) -> Iterator[SignedAct]:
        """Answer everything that is asked, section by section, each step from its start to its end; give the signed acts in order."""
        self._forget()
        step = ""
        while batch := self._next_section():
            now = self.scene.procedure.items[batch[0][0].key][0].step
            if now != step:
                if step:
                    yield self._step(step, "end")
                yield self._step(now, "start")
                step = now
            yield self._answer(batch)
        if step:
            yield self._step(step, "end")

    def _step(self, step: str, event: str) -> SignedAct:
        self.pass_time(500)
        return self.phone.act(self.scene.task, self.scene.sha256, "step", {"step": step, "event": event})

    def sign(self, role: str, name: str, phone: Phone | None = None) -> SignedAct:
        """Sign what stands, as lead, assistant or owner, on this phone or another one."""
        stands = [one for some in standing(self.answers).values() for one in some]
        drawn = self._photo("signature", "")
        payload = {"role": role, "covers": sorted(one.id for one in stands), "digest": digest(self.answers).hex()}
        return (phone or self.phone).act(self.scene.task, self.scene.sha256, "signature", payload | {"drawn": drawn, "name": name})

    # ------------------------------------------------------------------------------------------------------- what is asked

    def _next_section(self) -> list[tuple[Item, str]]:
        """Give the questions of the next section that has open ones."""
        stands = standing(self.answers)
        found: list[tuple[Item, str]] = []
        first: tuple[Section, str] | None = None
        for section, item, at in asked(self.scene.procedure, stands, self.parts()):
            if (item.key, at) in stands or item.key in self.forgotten or self._is_left_out(item):
                continue
            if first is not None and (section, at) != first:
                break
            first = (section, at)
            found.append((item, at))
        return found

    def parts(self) -> dict[str, Sequence[str]]:
        """Give the parts that are known, and one of each other kind, so that no section is asked of nothing."""
        kinds = {section.per for section in self.scene.procedure.sections if section.per}
        return {kind: self.scene.parts.get(kind) or (f"{kind}-1",) for kind in sorted(kinds)}

    def _is_left_out(self, item: Item) -> bool:
        return not item.required and item.type in (*ATTACHED, "signature")

    def _forget(self) -> None:
        if self.style != "badly":
            return
        must = [item.key for section in self.scene.procedure.sections for item in section.items if item.required and item.type == "photo"]
        if must:
            self.forgotten = {self._draw.choice(must)}
            self._deed("forgot", next(iter(self.forgotten)))

    # ---------------------------------------------------------------------------------------------------- what is answered

    def _answer(self, batch: Sequence[tuple[Item, str]]) -> SignedAct:
        rows, places = [], []
        for item, at in batch:
            dwell = self._dwell()
            self.pass_time(dwell)
            value = self._value(item, at)
            rows.append({"item": item.key, "at": at, "value": value, "dwell_ms": dwell, "phone_ms": self.phone.clock_ms(), "replaces": []})
            places.append((item.key, at))
        act = self.phone.act(self.scene.task, self.scene.sha256, "answers", {"answers": rows})
        for number, row in enumerate(rows):
            name = f"{act.id}/{number}"
            self.answers.append(Answer(name, row["item"], row["at"], row["value"], row["dwell_ms"], row["phone_ms"]))
        if self.style == "badly":
            self._deed("too quick", *places[0])
        return act

    def _dwell(self) -> int:
        return self._draw.randrange(40, 160) if self.style == "badly" else self._draw.randrange(1500, 14_000)

    def _value(self, item: Item, at: str) -> Any:  # noqa: ANN401 - JSON
        made: Mapping[str, Callable[[Item, str], Any]] = {
            "choice": self._choice,
            "multi": lambda item, at: [self._choice(item, at)],
            "number": self._number,
            "text": lambda item, at: f"{item.zh} {self._word()}",
            "barcode": self._barcode,
            "date-time": lambda item, at: f"{datetime.fromtimestamp(self.phone.clock_ms() // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "gps": self._place,
            "signature": lambda item, at: {"drawn": self._photo(item.key, at), "name": "货主 Owner"},
        }
        if item.type in ATTACHED:
            return [self._photo(item.key, at, number) for number in range(max(PHOTOS, int(Decimal(item.least or "1"))))]
        return made[item.type](item, at)

    def _word(self) -> str:
        words = ("正常 in order", "已核对 compared", "见照片 see photographs")
        return "如上 as above" if self.style == "badly" else self._draw.choice(words)

    def _choice(self, item: Item, at: str) -> str:
        wrong = next((option.key for option in item.options if option.fails), None)
        right = item.conforming() or next((option for option in item.options if not option.fails), item.options[0])
        is_wrong = wrong is not None and self._is_wrong(item, at)
        if is_wrong and self.style != "well":
            self._deed("overlooked", item.key, at)
        elif is_wrong and wrong is not None:
            return wrong
        if item.key.endswith("-sampled"):
            return "yes" if self.scene.sampled else "no"
        if item.key.endswith("-result") and self.style == "well" and self.found:
            return wrong or right.key
        return right.key

    def _is_wrong(self, item: Item, at: str) -> bool:
        truth, key = self.scene.truth, item.key
        if key in _SEAL_ITEMS:
            return truth.seal is not None and at == next(iter(self.scene.seals), at)
        if truth.pest and any(word in key for word in _PEST_WORDS):
            return True
        return truth.hidden and any(word in key for word in _HIDDEN_WORDS)

    def _number(self, item: Item, at: str) -> str:
        least = Decimal(item.least) if item.least is not None else Decimal(0)
        most = min(Decimal(item.most) if item.most is not None else Decimal(1000), least + 100)
        step = Decimal(1).scaleb(-item.places)
        if self.style == "badly":
            self._deed("identical", item.key, at)
            return format(least.quantize(step), "f")
        steps = int((most - least) / step)
        return format((least + step * self._draw.randrange(steps // 4 + 1)).quantize(step), "f")

    def _barcode(self, item: Item, at: str) -> str:
        if item.key == "container-number" and at:
            return at
        if item.key == "seal-number":
            return self.scene.truth.seal or self.scene.seals.get(at, "") or f"SH{self._draw.randrange(10**6):06d}"
        return f"PW{self._draw.randrange(10**6):06d}"

    def _place(self, item: Item, at: str) -> dict[str, int]:
        off = 0
        if self.style == "dishonestly":
            off = FAR_MICRODEGREES
            self._deed("far from the bay", item.key, at)
        near = self._draw.randrange(-60, 60)
        there = {"latitude": self.scene.latitude + near + off, "longitude": self.scene.longitude - near}
        return there | {"accuracy_m": self._draw.randrange(3, 12)}

    def _photo(self, item: str, at: str, number: int = 0) -> str:
        if self.style == "dishonestly" and number < len(self._old):
            self._deed("photo used again", item, at)
            return self._old[number]
        data = self.phone.photograph()
        name = hashlib.sha256(data).hexdigest()
        self.files[name] = data
        self._old.append(name)
        return name

    def _deed(self, what: Any, item: str = "", at: str = "") -> None:  # noqa: ANN401 - one of Deed's words
        self.deeds.append(Deed(what, item, at))


def _speaks_against(item: Item, value: Any) -> bool:  # noqa: ANN401 - JSON
    chosen = set(value) if isinstance(value, list) else {value} if isinstance(value, str) else set()
    return item.type in _MINDED and any(option.fails and option.key in chosen for option in item.options)
