"""Say what is wrong with a procedure's text in the asker's language, and where: path, line and column."""

import re
from collections.abc import Mapping

from protocol.errors import MalformedError
from web.naming import Language

_PLACE = re.compile(r"line (\d+), column (\d+)")
_PATH = re.compile(r"([A-Za-z_][\w.\[\]-]*): (.*)", re.DOTALL)
_SENTENCES: Mapping[str, str] = {
    r"is no object": "不是对象",
    r"is missing": "缺少此项",
    r"is no line of .*": "须为一行文字，首尾无空格，不超过 500 字",
    r"is no key of .*|is no key": "须为小写字母、数字和连字符组成的编号",
    r"is neither true nor false": "须为 true 或 false",
    r"is no integer from (\S+) to (\S+)": r"须为 \1 至 \2 的整数",
    r"is none of (.*)": r"须为以下之一：\1",
    r"is no day written as .*": "须为日期，写作 2026-11-24",
    r"is no list of different words": "须为互不相同的词的列表",
    r"is no list of (\S+) to (\S+)": r"须为 \1 至 \2 项的列表",
    r"is not known here": "此处不接受这一项",
    r"lies before the day from which it is in force": "早于生效日期",
    r"goes with `per` only": "仅与 per 同时使用",
    r"an option that conforms is no finding": "表示符合的选项不能同时表示不符合",
    r"is no decimal number written as a text": "须为写成文字的小数",
    r"is no text": "不是文字",
    r"a choice has options, and nothing else has": "选择题须有选项，其他题型不得有选项",
    r"names an option twice": "选项重复",
    r"at most one option conforms": "最多一个选项表示符合",
    r"only numbers have it": "仅数字题可用",
    r"only numbers and files have limits": "仅数字与文件可设上下限",
    r"is below `least`": "小于下限",
    r"files are counted from 0 to 200": "文件数须为 0 至 200",
    r"names no step of this procedure": "没有这个环节",
    r"(\S+) is there before": r"\1 重复",
    r"has more than (\d+) items": r"超过 \1 个项目",
    r"(\S+) is no item that is asked once": r"\1 不是只询问一次的项目",
    r"(\S+) is no item before this one": r"\1 不是此前的项目",
    r"(\S+) is asked in another section, once for each": r"\1 在另一重复分组中询问",
    r"names violations that the catalogue lacks: (.*)": r"违法行为目录中没有：\1",
    r"(\d+) bytes, at most (\d+)": r"共 \1 字节，最多 \2 字节",
    r"is empty": "内容为空",
    r"is there twice": "重复出现",
    r"(?:anchors and aliases|tags) are not read here": "不支持锚点、别名与标签",
    r"nested deeper than (\d+)": r"嵌套超过 \1 层",
    r"(.*) at character (\d+)": r"条件第 \2 个字符处有误：\1",
}


def fault_of(error: MalformedError, language: Language) -> tuple[str, int | None, int | None]:
    """Give a sentence with its path, the line and the column."""
    place = _PLACE.search(error.where)
    line, column = (int(place[1]), int(place[2])) if place else (None, None)
    match = _PATH.fullmatch(error.what)
    path, what = (match[1], match[2]) if match else ("", error.what)
    if language != "en":
        what = next((found.expand(chinese) for found, chinese in _matches(what)), f"格式有误（{what}）")
    return f"{path}: {what}" if path else what, line, column


def _matches(what: str) -> "list[tuple[re.Match[str], str]]":
    found = ((re.fullmatch(pattern, what, re.DOTALL), chinese) for pattern, chinese in _SENTENCES.items())
    return [(match, chinese) for match, chinese in found if match]
