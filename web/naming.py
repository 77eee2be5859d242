"""Name what an error is about - a field of a form, a task, a box - in the asker's language; codes of ours name nothing to people."""

import re
from collections.abc import Mapping
from typing import Any, Literal

Language = Literal["zh-CN", "en"]

_FIELDS: Mapping[str, tuple[str, str]] = {
    "task": ("task number", "任务号"),
    "title": ("title", "名称"),
    "bay": ("bay", "查验位"),
    "cameras": ("cameras", "摄像机"),
    "inspectors": ("inspectors", "检务人员"),
    "facts": ("basic facts", "基本信息"),
    "name": ("user name", "用户名"),
    "person": ("person", "人员"),
    "display": ("name", "姓名"),
    "role": ("role", "角色"),
    "password": ("password", "密码"),
    "box": ("box name", "盒名"),
    "stream": ("recorder", "执法记录仪"),
    "late_from": ("reaches back to", "追溯到"),
    "late_from_ms": ("reaches back to", "追溯到"),
    "reason": ("reason", "理由"),
    "second": ("second person", "第二人"),
    "second_password": ("second person's password", "第二人密码"),
    "kept_as": ("retention class", "保存类别"),
    "label": ("label", "标签"),
    "party": ("party", "代表单位"),
    "authority": ("authority", "主管机关"),
    "reference": ("reference", "企业自编号"),
    "enterprise": ("enterprise", "申报企业"),
    "days": ("days", "天数"),
    "item": ("item", "条目"),
    "points": ("points", "分值"),
    "detail": ("what happened", "事实"),
    "evidence": ("evidence", "证据"),
    "expires": ("counts no more from", "失效日期"),
    "day": ("day", "日期"),
    "laboratory": ("laboratory", "检测实验室"),
    "seal": ("seal", "封识"),
    "certificates": ("certificates", "证书"),
}
_THINGS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), english, chinese)
    for pattern, english, chinese in (
        (r"task (\S+)", r"task \1", r"任务 \1"),
        (r"declaration (\S+)", r"declaration \1", r"报检单 \1"),
        (r"declaration", "the declaration", "报检单"),
        (r"document", "the document", "发送的内容"),
        (r"rule (\S+) version (\d+)", r"rule \1, version \2", r"规则 \1 第 \2 版"),
        (r"rule (\S+)", r"rule \1", r"规则 \1"),
        (r"procedure (\S+) version (\d+)", r"procedure \1, version \2", r"规程 \1 第 \2 版"),
        (r"procedure (\S+)", r"procedure \1", r"规程 \1"),
        (r"(enterprise|goods|origin|area|notice|bay|inspector|partner) (\S+)", r"\1 \2", r"条目 \2"),
        (r"credit event (\d+)", r"event \1", r"信用事件 \1"),
        (r"sample (\S+)", r"sample \1", r"样品 \1"),
        (r"laboratory (\S+)", r"laboratory \1", r"实验室 \1"),
        (r"rule set (\S+)", r"rule set \1", r"规则集 \1"),
        (r"box (\S+)", r"box \1", r"边缘盒 \1"),
        (r"export of (\S+)", r"export of \1", r"任务 \1 的导出"),
        (r"alarm (\d+)", r"alarm \1", r"告警 \1"),
        (r"enrolment request (\S+)", r"request \1", r"申请 \1"),
        (r"(?:box|hub|person):(\S+) epoch (\d+) position (\d+)", r"\1, epoch \2, position \3", r"\1 第 \2 启动周期，序位 \3"),
        (r"([a-z0-9-]+/[a-z0-9-]+)", r"\1", r"\1"),
    )
)
_RULES: Mapping[str, tuple[str, str]] = {
    "missing": ("must be given", "必须填写"),
    "extra_forbidden": ("is not a field of this request", "不是此请求的项"),
    "string_too_long": ("has at most {max_length} characters", "最多 {max_length} 个字符"),
    "string_too_short": ("has at least {min_length} characters", "至少 {min_length} 个字符"),
    "string_pattern_mismatch": ("is not written as expected", "书写形式不符合要求"),
    "too_long": ("has at most {max_length} entries", "最多 {max_length} 项"),
    "literal_error": ("is not one of the choices", "不在可选项之中"),
    "greater_than_equal": ("is {ge} or more", "不小于 {ge}"),
    "less_than_equal": ("is {le} or less", "不大于 {le}"),
    "json_invalid": ("the request is no valid JSON", "请求不是有效的 JSON"),
}
_OTHER_RULE = ("has the wrong form", "形式不正确")
# what an identifier looks like, by its noun: in words, not as a regular expression
_NAMES = ("lower-case letters, digits and hyphens, at most 32", "由小写字母、数字和连字符组成，最多 32 个字符")
_NOUNS: Mapping[str, tuple[str, str, str, str]] = {
    "task id": ("task number", "任务号", "letters, digits, dots and hyphens, at most 64", "由字母、数字、点和连字符组成，最多 64 个字符"),
    "person id": (
        "user name",
        "用户名",
        "lower-case letters, digits, dots, hyphens, at most 40",
        "由小写字母、数字、点和连字符组成，最多 40 个字符",
    ),
    "stream id": ("stream name", "视频流名", "written as box/source, e.g. box-1/cam-1", "写作 盒名/源名，例如 box-1/cam-1"),
    "box id": ("box name", "盒名", *_NAMES),
    "bay id": ("name of a bay", "查验位名", *_NAMES),
    "source id": ("source name", "视频源名", *_NAMES),
    "site id": ("site name", "场所名", *_NAMES),
    "hub id": ("hub name", "中心名", *_NAMES),
    "issuer": ("issuer", "签发者", "written as box:box-1, hub:hub-1", "写作 box:box-1、hub:hub-1"),
}
_NO_NAME = re.compile(r"['\"](.*)['\"] is not an? ([a-z ]+) \(expected .*\)", re.DOTALL)
SHOWN = 60  # characters of what was typed


def name_place(where: str, language: Language) -> str:
    """Name the field or thing that `where` stands for; nothing where it is a code of ours."""
    is_english = language == "en"
    for pattern, english, chinese in _THINGS:
        found = pattern.fullmatch(where)
        if found:
            return found.expand(english if is_english else chinese)
    field = next((part for part in reversed(where.split(".")) if part in _FIELDS), None)
    return "" if field is None else _FIELDS[field][0 if is_english else 1]


def say_rule(kind: str, limits: Mapping[str, Any], language: Language) -> str:
    """Say which rule of a form was broken: `kind` and `limits` as the schema tells them."""
    english, chinese = _RULES.get(kind, _OTHER_RULE)
    text = english if language == "en" else chinese
    return text.format_map({name: str(value) for name, value in limits.items()}) if "{" in text else text


def say_no_name(what: str, language: Language) -> str | None:
    """Say in words that something typed is no name of its sort; None when `what` says something else."""
    found = _NO_NAME.fullmatch(what)
    if found is None or found[2] not in _NOUNS:
        return None
    typed = found[1] if len(found[1]) <= SHOWN else f"{found[1][:SHOWN]}…"
    noun, chinese_noun, form, chinese_form = _NOUNS[found[2]]
    return f'"{typed}" is no {noun}: {form}' if language == "en" else f"“{typed}”不是{chinese_noun}：{chinese_form}"
