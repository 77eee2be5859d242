"""Read a declaration as a trader writes it, and name everything that is wrong with it at once.

Guarantees: what passes has one canonical reading; nothing is guessed or mended; each fault names its place by path, in Chinese and
English; time and memory are bounded by the number and length of fields. Decimal numbers are texts, so that none is rounded.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from protocol import sheets
from protocol.errors import MalformedError, RefusedError
from protocol.goods import check_container, check_hs, check_imo

MAX_GOODS = 10_000
MAX_CONTAINERS = 2_000
MAX_FAULTS = 500  # named at once; beyond them the rest is counted
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DECIMAL = re.compile(r"(0|[1-9]\d{0,14})(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a path such as `goods[2].hs`; `en` and `zh` are whole sentences."""

    path: str
    code: str
    en: str
    zh: str


class FaultsError(RefusedError):
    """A form that cannot be taken, with all that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...], where: str) -> None:
        first = "; ".join(f"{fault.path}: {fault.en}" for fault in faults[:3])
        super().__init__(f"{len(faults)} faults: {first}", where=where)
        self.faults = faults


def _checked(check: Callable[[str], Any], code: str, chinese: str) -> AfterValidator:
    """Make a validator of a check that raises MalformedError."""

    def run(text: str) -> str:
        try:
            check(text)
        except MalformedError as error:
            raise PydanticCustomError(code, "{en}", {"en": error.what, "zh": chinese}) from error
        return text

    return AfterValidator(run)


def _date(text: str) -> str:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        date.fromisoformat(text)
    except ValueError as error:
        facts = {"en": "is no date written as 2026-11-24", "zh": "不是有效日期（写作 2026-11-24）"}
        raise PydanticCustomError("date", "{en}", facts) from error
    return text


def _amount(text: str) -> str:
    if not _DECIMAL.fullmatch(text) or Decimal(text) <= 0:
        facts = {"en": "is no number above 0 written as 1250.5", "zh": "不是大于 0 的数（写作 1250.5）"}
        raise PydanticCustomError("amount", "{en}", facts)
    return text


def _single_line(text: str) -> str:
    if text != text.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        facts = {"en": "begins or ends with a blank, or holds a control character", "zh": "首尾有空格或含有控制字符"}
        raise PydanticCustomError("text", "{en}", facts)
    return text


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_single_line)]
Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_single_line)]
Remark = Annotated[str, Field(max_length=2000)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Place = Annotated[str, Field(pattern=r"^[A-Z]{2}[A-Z2-9]{3}$")]  # UN/LOCODE
Day = Annotated[str, AfterValidator(_date)]
Amount = Annotated[str, Field(max_length=24), AfterValidator(_amount)]
Count = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Container = Annotated[str, Field(max_length=20), _checked(check_container, "container", "箱号校验不通过（ISO 6346）")]
Vessel = Annotated[str, Field(max_length=20), _checked(check_imo, "imo", "IMO 船舶编号校验不通过")]
HsCode = Annotated[str, Field(max_length=20), _checked(check_hs, "hs", "不是有效的商品编码（HS）")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Party(_Part):
    """Who sends or receives; `code`: the unified social credit code or another register's number."""

    name: Line
    country: Country
    code: Annotated[str, Field(pattern=r"^[0-9A-Z]{4,24}$")] | None = None
    address: Annotated[str, Field(max_length=400)] | None = None


class Voyage(_Part):
    """How it comes: the ship, its voyage, when and where it lands."""

    vessel: Line
    imo: Vessel
    voyage: Annotated[str, Field(pattern=r"^[A-Z0-9-]{1,17}$")]
    loading: Place
    discharge: Place
    arrival: Day


class Box(_Part):
    """A container with its seals."""

    number: Container
    type: Annotated[str, Field(pattern=r"^[0-9A-Z]{4}$")] | None = None  # ISO 6346 size and type
    seals: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    reefer: bool = False


class Permit(_Part):
    """A permit or certificate of another office; `lines`: of which goods."""

    kind: Literal["quarantine permit", "phytosanitary", "veterinary", "sanitary", "origin", "import licence", "other"]
    number: Name
    issued: Day
    expires: Day | None = None
    issuer: Line | None = None
    lines: Annotated[tuple[Count, ...], Field(max_length=MAX_GOODS)] = ()


class Goods(_Part):
    """A line of goods."""

    line: Count
    hs: HsCode
    name: Line
    origin: Country
    weight_kg: Amount
    packages: Count
    package_kind: Name
    quantity: Amount
    unit: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,3}$")]  # UN/ECE recommendation 20
    value: Amount | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    model: Line | None = None
    producer: Line | None = None
    wood_packaging: bool = False
    waste: bool = False
    containers: Annotated[tuple[Container, ...], Field(max_length=MAX_CONTAINERS)] = ()


class Attachment(_Part):
    """A file that was sent along, by its SHA-256."""

    name: Line
    kind: Name
    sha256: Sha256
    size: Annotated[int, Field(ge=1, le=200_000_000, strict=True)]


class Form(_Part):
    """A declaration as a trader writes it; `reference`: what the trader calls it, by which a second sending is known."""

    reference: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,64}$")]
    trade: Literal["import", "export", "transit"]
    enterprise: Annotated[str, Field(pattern=r"^[0-9A-Z]{4,24}$")]
    consignor: Party
    consignee: Party
    voyage: Voyage
    bill: Annotated[str, Field(pattern=r"^[A-Z0-9/-]{4,35}$")]
    contract: Name | None = None
    destination: Line
    purpose: Line | None = None
    containers: Annotated[tuple[Box, ...], Field(max_length=MAX_CONTAINERS)] = ()
    goods: Annotated[tuple[Goods, ...], Field(min_length=1, max_length=MAX_GOODS)]
    permits: Annotated[tuple[Permit, ...], Field(max_length=500)] = ()
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=200)] = ()
    remarks: Remark = ""

    def sheet(self) -> dict[str, Any]:
        """Give it as the value that the sheet binds: every field, in one spelling."""
        value: dict[str, Any] = self.model_dump(mode="json")
        return value


def read_form(value: Any, *, today: date, party: str | None = None) -> Form:  # noqa: ANN401
    """Read a form from JSON values; `today`: the port's day, by which dates are judged; `party`: the only enterprise that may write it.

    Raises FaultsError with everything that is wrong, MalformedError when it is no object at all.
    """
    if not isinstance(value, dict):
        raise MalformedError("is no JSON object", where="declaration")
    sheets.encode(value)  # bounds depth and size, refuses what has no canonical form
    form: Form | None = None
    found: list[Fault] = []
    sound: dict[str, Any] = value
    lost: frozenset[str] = frozenset()
    try:
        form = Form.model_validate(value)
    except ValidationError as error:
        found = list(faults_of(error))
        places = [one["loc"] for one in _true_ones(error.errors(include_url=False, include_input=False))]
        sound, lost = _pruned(value, places), frozenset(str(loc[0]) for loc in places if len(loc) == 1)
    found += _of_another(sound, party)
    found += list(islice(_across(sound, today, lost), MAX_FAULTS))
    if found or form is None:
        raise FaultsError(tuple(found), "declaration")
    return form


def _of_another(form: dict[str, Any], party: str | None) -> list[Fault]:
    written = form.get("enterprise", party)
    return (
        []
        if party in (None, written)
        else [Fault("enterprise", "party", f"is not {party}, which you act for", f"不是您所代表的企业 {party}")]
    )


def faults_of(error: ValidationError) -> tuple[Fault, ...]:
    """Give all that a form's reader found wrong; beyond 500 faults the rest is counted."""
    wrong = _true_ones(error.errors(include_url=False, include_input=False))
    found = [_fault(one) for one in wrong[:MAX_FAULTS]]
    if len(wrong) > MAX_FAULTS:
        more = len(wrong) - MAX_FAULTS
        found.append(Fault("", "more", f"{more} more faults are not listed", f"另有 {more} 处错误未列出"))
    return tuple(found)


_RULES: Mapping[str, tuple[str, str]] = {
    "missing": ("must be given", "必须填写"),
    "extra_forbidden": ("is not a field of a declaration", "不是报检单的项"),
    "string_type": ("is no text", "不是文字"),
    "int_type": ("is no whole number", "不是整数"),
    "bool_type": ("is neither yes nor no", "不是“是/否”"),
    "bool_parsing": ("is neither yes nor no", "不是“是/否”"),
    "string_too_long": ("has at most {max_length} characters", "最多 {max_length} 个字符"),
    "string_too_short": ("has at least {min_length} characters", "至少 {min_length} 个字符"),
    "string_pattern_mismatch": ("is not written as expected ({pattern})", "书写形式不符合要求（{pattern}）"),
    "too_long": ("has at most {max_length} entries", "最多 {max_length} 项"),
    "too_short": ("has at least {min_length} entries", "至少 {min_length} 项"),
    "literal_error": ("is not one of {expected}", "不是以下之一：{expected}"),
    "greater_than_equal": ("is {ge} or more", "不小于 {ge}"),
    "less_than_equal": ("is {le} or less", "不大于 {le}"),
}
_OTHER = ("has the wrong form", "形式不正确")


def _true_ones(wrong: list[Any]) -> list[Any]:
    """Leave out what only follows: a list seems too short when its entries are wrong."""
    within = {one["loc"][:length] for one in wrong for length in range(1, len(one["loc"]))}
    return [one for one in wrong if one["type"] != "too_short" or one["loc"] not in within]


def _fault(one: Any) -> Fault:  # noqa: ANN401
    facts = {name: str(fact) for name, fact in (one.get("ctx") or {}).items()}
    if "zh" in facts:
        return Fault(_path(one["loc"]), one["type"], facts["en"], facts["zh"])
    english, chinese = _RULES.get(one["type"], _OTHER)
    return Fault(_path(one["loc"]), one["type"], english.format(**facts), chinese.format(**facts))


def _path(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:200]


def _pruned(value: Any, wrong: list[tuple[int | str, ...]]) -> Any:  # noqa: ANN401
    """Give the form without what is wrong, so that rules across fields may still look at the rest."""
    drop: dict[int | str, list[tuple[int | str, ...]]] = {}
    for loc in wrong:
        if loc:
            drop.setdefault(loc[0], []).append(loc[1:])
    if isinstance(value, dict):
        return {key: _pruned(item, drop.get(key, [])) for key, item in value.items() if () not in drop.get(key, [])}
    if isinstance(value, list):
        return [None if () in drop.get(at, []) else _pruned(item, drop.get(at, [])) for at, item in enumerate(value)]
    return value


def _parts(value: Any, name: str) -> Iterator[tuple[int, dict[str, Any]]]:  # noqa: ANN401
    found = value.get(name) if isinstance(value, dict) else None
    for at, part in enumerate(found if isinstance(found, list) else ()):
        if isinstance(part, dict):
            yield at, part


def _across(form: dict[str, Any], today: date, lost: frozenset[str]) -> Iterator[Fault]:
    """Check what no field shows alone; a field that is wrong by itself is passed over, and so is what names a list in `lost`."""
    yield from _twice(form)
    yield from () if lost & {"goods", "containers"} else _boxes(form)
    yield from _dates(form, today)
    permitted = _permitted(form, "import licence", "quarantine permit")
    for at, goods in _parts(form, "goods"):
        if (goods.get("value") is None) != (goods.get("currency") is None):
            yield Fault(f"goods[{at}].currency", "value", "value and currency go together", "货值与币种须同时填写")
        if goods.get("waste") is True and goods.get("line") not in permitted and "permits" not in lost:
            yield Fault(
                f"goods[{at}].waste", "permit", "waste needs an import licence or a permit that names its line", "固体废物须有对应的许可证"
            )
    lines = {goods.get("line") for _, goods in _parts(form, "goods")}
    for at, permit in () if "goods" in lost else _parts(form, "permits"):
        for line in permit.get("lines") or ():
            if line is not None and line not in lines:
                yield Fault(f"permits[{at}].lines", "line", f"there is no line {line} of goods", f"没有第 {line} 项货物")


def _permitted(form: dict[str, Any], *kinds: str) -> set[Any]:
    return {line for _, permit in _parts(form, "permits") if permit.get("kind") in kinds for line in permit.get("lines") or ()}


def _twice(form: dict[str, Any]) -> Iterator[Fault]:
    for name, key, what, chinese in (
        ("goods", "line", "line number", "项号"),
        ("containers", "number", "container", "箱号"),
        ("attachments", "sha256", "file", "附件"),
    ):
        seen: set[Any] = set()
        for at, part in _parts(form, name):
            found = part.get(key)
            if found is not None and found in seen:
                yield Fault(f"{name}[{at}].{key}", "twice", f"the same {what} stands there twice", f"{chinese}重复")
            seen.add(found)


def _boxes(form: dict[str, Any]) -> Iterator[Fault]:
    known = {box.get("number") for _, box in _parts(form, "containers")}
    used: set[Any] = set()
    for at, goods in _parts(form, "goods"):
        for place, number in enumerate(goods.get("containers") or ()):
            used.add(number)
            if number is not None and number not in known:
                path = f"goods[{at}].containers[{place}]"
                yield Fault(path, "container", f"container {number} is not among the containers", f"箱号 {number} 不在集装箱列表中")
    if not used:
        return
    for at, box in _parts(form, "containers"):
        if box.get("number") is not None and box["number"] not in used:
            yield Fault(f"containers[{at}].number", "empty", "no goods are said to be in it", "没有货物申报在此箱内")


def _dates(form: dict[str, Any], today: date) -> Iterator[Fault]:
    voyage = form.get("voyage")
    text = voyage.get("arrival") if isinstance(voyage, dict) else None
    arrival = date.fromisoformat(text) if isinstance(text, str) else None
    if arrival is not None and not today - timedelta(days=366) <= arrival <= today + timedelta(days=366):
        yield Fault("voyage.arrival", "far", "lies more than a year away", "与今天相差超过一年")
    for at, permit in _parts(form, "permits"):
        issued, expires = permit.get("issued"), permit.get("expires")
        if isinstance(issued, str) and date.fromisoformat(issued) > today:
            yield Fault(f"permits[{at}].issued", "future", "lies in the future", "晚于今天")
        if not isinstance(expires, str):
            continue
        if isinstance(issued, str) and expires < issued:
            yield Fault(f"permits[{at}].expires", "order", "lies before it was issued", "早于签发日期")
        elif arrival is not None and date.fromisoformat(expires) < arrival:
            yield Fault(f"permits[{at}].expires", "expired", "ends before the goods arrive", "在货物到港前已失效")
