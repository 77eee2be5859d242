"""Say what is kept of enterprises, goods, origins, areas, bays, inspectors, partners and violations, and read it as an officer writes it.

Guarantees: what passes has one canonical reading, with every default written out; each fault names its place by path, in Chinese and
English; nothing of it is a measure of time of day: days are written 2026-11-24, and hold from their first to their last.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from hub.inspection.forms import Country, Day, FaultsError, Line, Name, Remark, faults_of
from protocol import sheets
from protocol.errors import MalformedError

_SOCIAL = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015: no I, O, S, V, Z
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STREAM = r"^[a-z0-9][a-z0-9-]{0,31}/[a-z0-9][a-z0-9-]{0,31}$"


def check_social_credit(code: str) -> None:
    """Check a unified social credit code; raise MalformedError saying what is wrong (GB 32100-2015, modulus 31)."""
    if len(code) != 18 or any(letter not in _SOCIAL for letter in code):
        raise MalformedError("has 18 digits and capitals without I, O, S, V and Z", where="social credit code")
    total = sum(_SOCIAL.index(letter) * pow(3, at, 31) for at, letter in enumerate(code[:17]))
    if _SOCIAL[-total % 31] != code[17]:
        raise MalformedError(f"check character {code[17]} is wrong, expected {_SOCIAL[-total % 31]}", where="social credit code")


def _social(text: str) -> str:
    try:
        check_social_credit(text)
    except MalformedError as error:
        raise PydanticCustomError("social", "{en}", {"en": error.what, "zh": "统一社会信用代码校验不通过（GB 32100）"}) from error
    return text


HsPrefix = Annotated[str, Field(pattern=r"^\d{2,10}$")]
PersonName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$")]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Microdegrees = Annotated[int, Field(ge=-180_000_000, le=180_000_000, strict=True)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def broken(self) -> str | None:
        """Say what is wrong across fields, None when all is well."""
        return None


class Enterprise(_Entry):
    """Who declares, sends, receives, carries or stores; its key is the code that declarations name it by."""

    name: Line
    name_en: Line | None = None
    kinds: Annotated[tuple[Literal["importer", "exporter", "agent", "carrier", "producer", "store"], ...], Field(min_length=1)]
    social: Annotated[str, AfterValidator(_social)] | None = None
    country: Country = "CN"
    contact: Line | None = None
    joint_list: bool = False  # of the joint punishment of dishonesty
    remark: Remark = ""


class GoodsKind(_Entry):
    """Goods that are inspected alike; its key names them, `hs` says which codes fall under it (the longest prefix counts)."""

    name: Line
    name_en: Line
    hs: Annotated[tuple[HsPrefix, ...], Field(min_length=1, max_length=500)]
    qualification: Name  # that an inspector of it must have
    procedure: Name  # key of the operating procedure
    base_rate_ppm: Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
    verified: bool = False  # whether the rate was read in its source
    legal: Remark = ""


class Origin(_Entry):
    """A country or region of origin; its key is the ISO 3166 code."""

    name: Line
    name_en: Line
    rate_ppm: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] | None = None  # of its own, where a rule sets one
    remark: Remark = ""


class Area(_Entry):
    """An epidemic or warning area: goods under `hs` from `origin` are looked at more closely while it holds."""

    origin: Country
    hs: Annotated[tuple[HsPrefix, ...], Field(min_length=1, max_length=500)]
    disease: Line
    disease_en: Line
    measure: Literal["warn", "inspect", "refuse"]
    start: Day
    end: Day | None = None
    legal: Remark = ""

    def broken(self) -> str | None:
        """Say that the end lies before the start."""
        return "ends before it starts" if self.end is not None and self.end < self.start else None


class Bay(_Entry):
    """A place where goods are opened: its cameras, and where it lies."""

    name: Line
    name_en: Line | None = None
    cameras: Annotated[tuple[Annotated[str, Field(pattern=_STREAM)], ...], Field(max_length=64)] = ()
    latitude: Microdegrees | None = None
    longitude: Microdegrees | None = None
    radius_m: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = None
    is_open: bool = True


class Recusal(_Entry):
    """Why somebody stays away from an enterprise's goods."""

    enterprise: Key
    reason: Line


class Inspector(_Entry):
    """Somebody who inspects; the key is the name they log in by. `absences`: days off duty, as first and last."""

    display: Line
    qualifications: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    on_duty: bool = True
    absences: Annotated[tuple[tuple[Day, Day], ...], Field(max_length=200)] = ()
    recusals: Annotated[tuple[Recusal, ...], Field(max_length=200)] = ()

    def broken(self) -> str | None:
        """Say that an absence ends before it starts."""
        return next((f"absence {first} ends before it starts" for first, last in self.absences if last < first), None)

    def serves(self, day: str) -> bool:
        """Tell whether somebody is on duty on a day."""
        return self.on_duty and not any(first <= day <= last for first, last in self.absences)


class Partner(_Entry):
    """Who sends and gets messages: terminal, carrier, customs, laboratory. `key`: its Ed25519 key, in hex, where it signs."""

    name: Line
    role: Literal["terminal", "carrier", "customs", "laboratory", "agent", "other"]
    ways: Annotated[tuple[Literal["json", "edifact"], ...], Field(min_length=1)] = ("json",)
    profile: Name = "plain"  # the dialect of its EDIFACT
    edifact_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,35}$")] | None = None
    address: Annotated[str, Field(max_length=400, pattern=r"^https?://")] | None = None  # where its messages are posted to
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    may_hold: bool = False  # whether it is an authority that may hold goods


class Notice(_Entry):
    """A warning notice: what to look for in which goods, from where, of whom, while it holds."""

    title: Line
    title_en: Line
    hs: Annotated[tuple[HsPrefix, ...], Field(max_length=500)] = ()
    origins: Annotated[tuple[Country, ...], Field(max_length=250)] = ()
    shippers: Annotated[tuple[Line, ...], Field(max_length=200)] = ()
    weight: Annotated[int, Field(ge=1, le=100, strict=True)]  # percent that it adds to a risk at most
    start: Day
    end: Day | None = None
    legal: Remark = ""

    def broken(self) -> str | None:
        """Say that it names nothing, or ends before it starts."""
        if not (self.hs or self.origins or self.shippers):
            return "names no goods, no origin and no shipper"
        return "ends before it starts" if self.end is not None and self.end < self.start else None


class Violation(_Entry):
    """What breaks the law: what forbids it and what it costs; `verified` once somebody has read the law."""

    name: Line
    name_en: Line
    legal: Remark
    legal_en: Remark
    penalty: Remark
    penalty_en: Remark
    verified: bool = False


CATEGORIES: Mapping[str, type[_Entry]] = {
    "enterprise": Enterprise,
    "goods": GoodsKind,
    "origin": Origin,
    "area": Area,
    "notice": Notice,
    "bay": Bay,
    "inspector": Inspector,
    "partner": Partner,
    "violation": Violation,
}
Entry = Enterprise | GoodsKind | Origin | Area | Notice | Bay | Inspector | Partner | Violation
_KEYS: Mapping[str, re.Pattern[str]] = {
    "origin": re.compile(r"[A-Z]{2}"),
    "enterprise": re.compile(r"[0-9A-Z]{4,24}"),
    "inspector": re.compile(r"[a-z0-9][a-z0-9.-]{0,39}"),
}


def key_pattern(category: str) -> re.Pattern[str]:
    """Give what keys of a category look like."""
    return _KEYS.get(category, _KEY)


def check_key(category: str, key: str) -> None:
    """Check a category and a key; raise MalformedError naming what is wrong."""
    if category not in CATEGORIES:
        raise MalformedError(f"is none of {', '.join(CATEGORIES)}", where=f"category {category[:40]!r}")
    if not key_pattern(category).fullmatch(key):
        raise MalformedError("is no key of this category", where=f"{category} {key[:64]!r}")


def read_entry(category: str, key: str, value: Any) -> Entry:  # noqa: ANN401 - JSON
    """Read an entry from JSON values; raise FaultsError with everything that is wrong, MalformedError when it is no object."""
    check_key(category, key)
    where = f"{category} {key}"
    if not isinstance(value, dict):
        raise MalformedError("is no JSON object", where=where)
    sheets.encode(value)  # bounds depth and size, refuses what has no canonical form
    try:
        found = CATEGORIES[category].model_validate(value)
    except ValidationError as error:
        raise FaultsError(faults_of(error), where) from error
    broken = found.broken()
    if broken is not None:
        raise MalformedError(broken, where=where)
    return found  # type: ignore[return-value]  # CATEGORIES names the members of Entry
