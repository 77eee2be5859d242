"""Write a procedure's sections as an XLSForm and read them back; steps, records and legal basis come from the version before.

Guarantees: what we write, pyxform takes, and we read back the same; of a form that cannot be taken every fault is named by sheet and
row; a default is refused, since nothing may be preselected; size is bounded before anything is unpacked. pyxform and openpyxl are
the extra `xlsform`: without them this says so, and YAML does the same.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from hub.inspection.forms import Fault, FaultsError
from protocol.errors import MalformedError, UnavailableError
from protocol.procedures import conditions
from protocol.procedures.model import Item, Procedure, Section
from protocol.procedures.reading import PathError, read_procedure, value_of

MAX_BYTES = 4 * 2**20
MAX_UNPACKED = 64 * 2**20
MAX_ROWS = 60_000
MAX_FAULTS = 200
ZH, EN = "label::中文 (zh)", "label::English (en)"
_SURVEY = (
    *("type", "name", ZH, EN, "required", "relevant", "constraint", "appearance", "pw_unit", "pw_places", "pw_least", "pw_most"),
    *("pw_violation", "pw_basis", "pw_verified", "pw_step", "pw_basic", "pw_per", "pw_repeats"),
)
_CHOICES = ("list_name", "name", ZH, EN, "pw_conforms", "pw_fails")
_OURS = {name: name for name in ("text", "audio", "video", "barcode")} | {"date-time": "dateTime", "photo": "image", "gps": "geopoint"}
_THEIRS = {name.lower(): kind for kind, name in _OURS.items()} | {"string": "text", "photo": "photo", "gps": "gps", "location": "gps"}
_BY_DEVICE = frozenset({"start", "end", "today", "deviceid", "username", "phonenumber", "audit"})  # we take them from login and device
_LIMITS = re.compile(r"\.\s*>=\s*(?P<least>-?[\d.]+)(?:\s+and\s+\.\s*<=\s*(?P<most>-?[\d.]+))?|\.\s*<=\s*(?P<only>-?[\d.]+)")
_REFUSED = ("default", "calculation", "trigger", "choice_filter", "repeat_count", "parameters", "read_only", "readonly")
Row = Mapping[str, str]


def to_xlsform(procedure: Procedure) -> bytes:
    """Write the sections of a procedure as an .xlsx; raise UnavailableError without the extra."""
    book = _library("openpyxl").Workbook()
    survey = book.active
    survey.title = "survey"
    survey.append(_SURVEY)
    choices = book.create_sheet("choices")
    choices.append(_CHOICES)
    settings = book.create_sheet("settings")
    settings.append(("form_title", "form_id", "version", "default_language"))
    settings.append((procedure.zh, procedure.key.replace("-", "_"), str(procedure.version), "中文 (zh)"))
    for section in procedure.sections:
        for row in _section_rows(section):
            survey.append([row.get(name, "") for name in _SURVEY])
        for item in section.items:
            for option in item.options:
                marks = ("yes" if option.conforms else "", "yes" if option.fails else "")
                choices.append((_list_name(item), option.key, option.zh, option.en, *marks))
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def from_xlsform(data: bytes, before: Procedure, version: int, effective: str) -> Procedure:
    """Read a new version of a procedure; `before` gives what a spreadsheet has no place for.

    Raises FaultsError naming every fault by sheet and row, MalformedError when it is no spreadsheet.
    """
    sheets = _open(data)
    reading = _Reading(before, _choices(sheets))
    reading.survey(sheets["survey"])
    reading.stop_on_faults()
    _ask_pyxform(data)
    value = value_of(before) | {"version": version, "effective": effective, "sections": reading.sections}
    value.pop("until", None)
    try:
        return read_procedure(value)
    except PathError as error:
        raise FaultsError((reading.fault_of(error),), "XLSForm") from error


@dataclass(slots=True)
class _Reading:
    """Goes down the survey sheet once; `rows`: path -> row."""

    before: Procedure
    choices: Mapping[str, list[dict[str, Any]]]
    sections: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _open: dict[str, Any] | None = None

    def survey(self, rows: Sequence[tuple[int, Row]]) -> None:
        for number, row in rows:
            kind = row.get("type", "").strip()
            if not kind and not row.get("name"):
                continue
            self._take(number, row, kind.lower().replace(" group", "_group").replace(" repeat", "_repeat"))
        if self._open is not None:
            self.blame(rows[-1][0] if rows else 1, "type", "a group is not ended", "分组没有结束")

    def _take(self, number: int, row: Row, kind: str) -> None:
        if kind in ("begin_group", "begin_repeat"):
            self._begin(number, row, kind == "begin_repeat")
        elif kind in ("end_group", "end_repeat"):
            if self._open is None:
                self.blame(number, "type", "ends a group that did not begin", "结束了未开始的分组")
            self._open = None
        elif kind not in _BY_DEVICE:
            self._item(number, row, row.get("type", "").strip())

    def _begin(self, number: int, row: Row, repeats: bool) -> None:
        if self._open is not None:
            self.blame(number, "type", "groups inside groups are not read", "不支持嵌套分组")
            return
        key = _key(row.get("name", "")).removeprefix("section-")
        known = next((section for section in self.before.sections if section.key == key), None)
        step = row.get("pw_step") or (known.step if known is not None else self.before.steps[0].key)
        section: dict[str, Any] = {"key": key, "zh": _label(row, "zh"), "en": _label(row, "en"), "step": step, "items": []}
        section["basic"] = row.get("pw_basic", "").lower() in ("yes", "true")
        if repeats:
            section |= {"per": row.get("pw_per") or (known.per if known is not None and known.per else "part")}
            section["most"] = self._count(number, "pw_repeats", row.get("pw_repeats") or "200")
        self.rows[f"sections[{len(self.sections)}]"] = number
        self.sections.append(section)
        self._open = section

    def _item(self, number: int, row: Row, kind: str) -> None:
        for name in _REFUSED:
            if row.get(name, "").strip():
                self.blame(number, name, f"`{name}` is not taken: nothing is preselected or computed", f"不接受 {name}：不得预选或自动计算")
        if self._open is None:
            rest = next((one for one in self.sections if one["key"] == "general"), None)
            if rest is None:
                self.rows[f"sections[{len(self.sections)}]"] = number
                rest = {"key": "general", "zh": "其他", "en": "General", "step": self.before.steps[0].key, "items": []}
                self.sections.append(rest)
            section = rest
        else:
            section = self._open
        item: dict[str, Any] = {"key": _key(row.get("name", "")), "zh": _label(row, "zh"), "en": _label(row, "en")}
        item["required"] = row.get("required", "").lower() in ("yes", "true", "true()")
        item |= self._type(number, row, kind)
        self._relevant(number, row, item)
        self._constraint(number, row, item)
        for name in ("violation", "basis", "unit", "least", "most"):
            if row.get(f"pw_{name}"):
                item[name] = row[f"pw_{name}"]
        if row.get("pw_places"):
            item["places"] = self._count(number, "pw_places", row["pw_places"])
        if row.get("pw_verified", "").lower() in ("no", "false"):
            item["verified"] = False
        at = next(place for place, one in enumerate(self.sections) if one is section)
        self.rows[f"sections[{at}].items[{len(section['items'])}]"] = number
        section["items"].append(item)

    def _type(self, number: int, row: Row, kind: str) -> dict[str, Any]:
        first, _, rest = kind.partition(" ")
        if first in ("select_one", "select_multiple"):
            name = rest.strip().split(" ")[0]
            if name not in self.choices:
                self.blame(number, "type", f"names no list of choices: {name[:40]}", f"选项列表不存在：{name[:40]}")
            return {"type": "choice" if first == "select_one" else "multi", "options": self.choices.get(name, [])}
        if first in ("integer", "decimal", "int"):
            return {"type": "number", "places": 3 if first == "decimal" else 0}
        if first == "image" and "signature" in row.get("appearance", ""):
            return {"type": "signature"}
        found = _THEIRS.get(first.lower())
        if found is None:
            self.blame(number, "type", f"type {first[:40]!r} is not read", f"不支持的题型：{first[:40]}")
        return {"type": found or "text"}

    def _relevant(self, number: int, row: Row, item: dict[str, Any]) -> None:
        if not row.get("relevant"):
            return
        try:
            item["when"] = conditions.written(conditions.parse(row["relevant"], "xpath"))
        except MalformedError as error:
            self.blame(
                number, "relevant", f"the condition cannot be read: {error.what}", "条件无法读取，仅支持比较、selected、and、or、not"
            )

    def _constraint(self, number: int, row: Row, item: dict[str, Any]) -> None:
        text = row.get("constraint", "").strip()
        if not text:
            return
        match = _LIMITS.fullmatch(text)
        if match is None or item["type"] != "number":
            self.blame(
                number, "constraint", "only limits of numbers are read, as `. >= 0 and . <= 10`", "仅支持数值上下限，如 . >= 0 and . <= 10"
            )
            return
        limits = {"least": match["least"], "most": match["most"] or match["only"]}
        item |= {name: limit for name, limit in limits.items() if limit is not None}

    def _count(self, number: int, column: str, text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 7:
            return int(text)
        self.blame(number, column, "is no whole number", "不是整数")
        return 1

    def blame(self, row: int, column: str, en: str, zh: str, sheet: str = "survey") -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(f"{sheet} row {row} {column}", "xlsform", en, zh))

    def stop_on_faults(self) -> None:
        if self.faults:
            raise FaultsError(tuple(self.faults), "XLSForm")

    def fault_of(self, error: PathError) -> Fault:
        path = error.path
        while path and path not in self.rows:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        place = f"survey row {self.rows[path]}" if path else "procedure"
        return Fault(f"{place} {error.path[len(path) :].lstrip('.')}".strip(), "procedure", error.what, "内容不符合规程格式")


def _section_rows(section: Section) -> Iterator[dict[str, str]]:
    kind = "repeat" if section.per else "group"
    head = {"type": f"begin_{kind}", "name": f"section_{_name(section.key)}", ZH: section.zh, EN: section.en, "pw_step": section.step}
    head |= {"pw_basic": "yes" if section.basic else ""}
    yield head | ({"pw_per": section.per, "pw_repeats": str(section.most)} if section.per else {})
    yield from map(_item_row, section.items)
    yield {"type": f"end_{kind}"}


def _item_row(item: Item) -> dict[str, str]:
    row = {"name": _name(item.key), ZH: item.zh, EN: item.en, "required": "yes" if item.required else "", "pw_unit": item.unit or ""}
    row |= {"pw_violation": item.violation or "", "pw_basis": item.basis or "", "pw_verified": "" if item.verified else "no"}
    if item.when is not None:
        row["relevant"] = conditions.written(item.when, "xpath")
    if item.type in ("choice", "multi"):
        return row | {"type": f"select_{'one' if item.type == 'choice' else 'multiple'} {_list_name(item)}"}
    if item.type == "signature":
        return row | {"type": "image", "appearance": "signature"}
    if item.type != "number":
        return row | {"type": _OURS[item.type], "pw_least": item.least or "", "pw_most": item.most or ""}
    limits = [f". {sign} {limit}" for sign, limit in ((">=", item.least), ("<=", item.most)) if limit is not None]
    return row | {"type": "decimal" if item.places else "integer", "constraint": " and ".join(limits), "pw_places": str(item.places)}


def _list_name(item: Item) -> str:
    return f"{_name(item.key)}_options"


def _name(key: str) -> str:
    return key.replace("-", "_")


def _key(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _label(row: Row, language: str) -> str:
    names = {"zh": (ZH, "label::zh", "label::中文", "label::Chinese (zh)"), "en": (EN, "label::en", "label::English")}[language]
    found = next((row[name] for name in (*names, "label") if row.get(name)), "")
    return found or next((text for name, text in row.items() if name.startswith("label") and text), row.get("name", ""))


def _choices(sheets: Mapping[str, Sequence[tuple[int, Row]]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for _, row in sheets.get("choices", ()):
        name = row.get("list_name") or row.get("list name") or ""
        if not name:
            continue
        option: dict[str, Any] = {"key": _key(row.get("name", "")), "zh": _label(row, "zh"), "en": _label(row, "en")}
        option |= {mark: True for mark in ("conforms", "fails") if row.get(f"pw_{mark}", "").lower() in ("yes", "true")}
        found.setdefault(name, []).append(option)
    return found


def _open(data: bytes) -> dict[str, list[tuple[int, Row]]]:
    """Read the sheets as rows of texts by column, with their numbers; raise MalformedError when it is no spreadsheet."""
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where="XLSForm")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
        if unpacked > MAX_UNPACKED:
            raise MalformedError(f"unpacks to {unpacked} bytes, at most {MAX_UNPACKED}", where="XLSForm")
        book = _library("openpyxl").load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = {sheet.title.lower(): list(_rows(sheet)) for sheet in book.worksheets}
        book.close()
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, IndexError, TypeError, AttributeError) as error:
        raise MalformedError(f"is no spreadsheet (.xlsx): {str(error)[:80]}", where="XLSForm") from error
    if "survey" not in sheets:
        raise MalformedError("has no sheet named survey", where="XLSForm")
    return sheets


def _rows(sheet: Any) -> Iterator[tuple[int, Row]]:  # noqa: ANN401 - the library has no types
    head: list[str] = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        if number > MAX_ROWS:
            raise MalformedError(f"has more than {MAX_ROWS} rows", where=f"XLSForm sheet {sheet.title[:31]}")
        texts = ["" if cell is None else str(cell).strip() for cell in cells]
        if not head:
            head = texts
        elif any(texts):
            yield number, {name: text for name, text in zip(head, texts, strict=False) if name and text}


def _ask_pyxform(data: bytes) -> None:
    """Have pyxform make a form of it: what other tools cannot read is not taken."""
    made: type[Exception] = _library("pyxform.errors").PyXFormError
    try:
        _library("pyxform.xls2xform").convert(io.BytesIO(data), file_type=".xlsx", validate=False)
    except made as error:
        fault = Fault("survey", "pyxform", str(error)[:300], f"表单工具不接受：{str(error)[:200]}")
        raise FaultsError((fault,), "XLSForm") from error


def _library(name: str) -> Any:  # noqa: ANN401 - a module without types
    try:
        return import_module(name)
    except ImportError as error:
        what = "needs the extra `xlsform` (pip install 'portwitness[xlsform]'); YAML works without"
        raise UnavailableError(what, where="XLSForm") from error
