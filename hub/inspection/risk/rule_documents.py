"""Read what two persons put in force: targeting rules (布控), and the figures by which risk is scored.

Guarantees: what passes has one canonical reading; each fault names its place by path, in Chinese and English, that of an expression with
the character; a rule can only raise a lane or a risk, never lower it.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from hub.inspection.catalogue import PersonName
from hub.inspection.forms import Day, Fault, FaultsError, Line, Remark, faults_of
from hub.inspection.risk.language import Expression, parse
from protocol import sheets
from protocol.errors import MalformedError
from protocol.expressions import ExpressionError

SCORE_KEY = "risk-score"
Lane = Literal["red", "yellow", "blue", "green"]
LANES: tuple[Lane, ...] = ("green", "blue", "yellow", "red")  # from the mildest on
Grade = Literal["AA", "A", "B", "C", "D"]
GRADES: tuple[Grade, ...] = ("AA", "A", "B", "C", "D")  # from the best on
Parts = Annotated[int, Field(ge=0, le=10**9, strict=True)]
Component = Literal["history", "credit", "documents", "area", "route", "lateness"]


def _expression(text: str) -> str:
    try:
        parse(text)
    except ExpressionError as error:
        raise PydanticCustomError("expression", "{en}", {"en": error.what, "zh": error.zh, "at": error.at}) from error
    return text


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def sha256(self) -> bytes:
        """Give the SHA-256 of the canonical JSON."""
        return hashlib.sha256(sheets.encode(self.model_dump(mode="json"))).digest()


class TargetRule(_Document):
    """A targeting rule: declarations of which `when` holds go to a lane, weigh more, or are held, from `start` to `end`."""

    format: Literal["portwitness-target/1"] = "portwitness-target/1"
    title: Line
    title_en: Line
    owner: PersonName
    when: Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_expression)]
    effect: Literal["lane", "weight", "hold"]
    lane: Literal["red", "yellow", "blue"] | None = None
    weight: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None  # percent that it adds to a risk at most
    start: Day
    end: Day | None = None
    legal: Remark = ""

    @property
    def expression(self) -> Expression:
        """Give what it asks."""
        return parse(self.when)

    def on(self, day: str) -> bool:
        """Tell whether it holds on a day."""
        return self.start <= day and (self.end is None or day <= self.end)

    def broken(self) -> Fault | None:
        """Say what is wrong across fields."""
        if (self.effect == "lane") != (self.lane is not None):
            return Fault("lane", "effect", "goes with the effect `lane`, and only with it", "仅在效果为“通道”时填写，且必须填写")
        if (self.effect == "weight") != (self.weight is not None):
            return Fault("weight", "effect", "goes with the effect `weight`, and only with it", "仅在效果为“加权”时填写，且必须填写")
        if self.end is not None and self.end < self.start:
            return Fault("end", "order", "lies before the first day", "早于开始日期")
        return None


class ScoreRules(_Document):
    """The figures of a risk: weights of its parts, what a credit grade counts, and from which risk on a lane begins."""

    format: Literal["portwitness-score/1"] = "portwitness-score/1"
    rules: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9./-]{0,63}$")]
    verified: bool = False
    legal: Remark = ""
    weights: Mapping[Component, Parts]
    grades: Mapping[Grade, Parts]
    mismatches_full: Annotated[int, Field(ge=1, le=100, strict=True)]  # so many count in full
    days_ahead: Annotated[int, Field(ge=0, le=60, strict=True)]  # lodged so many days before arrival is in time
    days_full: Annotated[int, Field(ge=1, le=365, strict=True)]  # so many days late count in full
    lanes: Mapping[Literal["red", "yellow", "blue"], Parts]
    history_days: Annotated[int, Field(ge=1, le=36_500, strict=True)]

    def broken(self) -> Fault | None:
        """Say what is wrong across fields."""
        for name, wanted in (("weights", 6), ("grades", 5), ("lanes", 3)):
            if len(getattr(self, name)) != wanted:
                return Fault(name, "missing", "does not name them all", "未全部列出")
        order = [self.grades[grade] for grade in GRADES]
        if order != sorted(order):
            return Fault("grades", "order", "a worse grade counts less than a better one", "较差等级的分值不得低于较好等级")
        if not self.lanes["blue"] <= self.lanes["yellow"] <= self.lanes["red"]:
            return Fault("lanes", "order", "blue begins before yellow, and yellow before red", "通道界限须满足 蓝 ≤ 黄 ≤ 红")
        return None


Document = TargetRule | ScoreRules
_FORMATS: Mapping[str, type[TargetRule] | type[ScoreRules]] = {"portwitness-target/1": TargetRule, "portwitness-score/1": ScoreRules}


def read_rule(key: str, value: Any) -> Document:  # noqa: ANN401 - JSON
    """Read a rule; raise FaultsError with everything that is wrong, MalformedError when it is no object."""
    where = f"rule {key[:64]}"
    if not isinstance(value, dict):
        raise MalformedError("is no JSON object", where=where)
    sheets.encode(value)  # bounds depth and size, refuses what has no canonical form
    kind = _FORMATS.get(str(value.get("format", "portwitness-target/1")))
    if kind is None or (kind is ScoreRules) != (key == SCORE_KEY):
        fault = Fault("format", "format", f"{SCORE_KEY} holds the figures of the score, every other key a rule", "规则类型与编号不符")
        raise FaultsError((fault,), where)
    try:
        found = kind.model_validate(value)
    except ValidationError as error:
        raise FaultsError(faults_of(error), where) from error
    broken = found.broken()
    if broken is not None:
        raise FaultsError((broken,), where)
    return found


@lru_cache(maxsize=1)
def shipped_score() -> ScoreRules:
    """Give the figures that ship with the hub, while none were set."""
    text = (resources.files("hub.inspection.risk") / "score-rules.json").read_text("utf-8")
    found = read_rule(SCORE_KEY, json.loads(text))
    assert isinstance(found, ScoreRules)
    return found
