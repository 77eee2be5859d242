"""Say errors in the asker's language. English is what the code says; Chinese has a sentence for each kind and for what people meet."""

import re
from collections.abc import Mapping
from typing import Literal

Language = Literal["zh-CN", "en"]

_KINDS: Mapping[str, str] = {
    "malformed": "请求内容不符合要求",
    "refused": "规则不允许此操作",
    "forbidden": "没有权限",
    "unauthenticated": "请先登录",
    "missing": "没有找到",
    "unavailable": "暂时不可用，请稍后再试",
    "verification": "核验未通过",
    "storage": "存储出错",
}
_SENTENCES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), sentence)
    for pattern, sentence in (
        (r"name or password is wrong", "用户名或密码不正确"),
        (r"too many failures; try again in (\d+) s", r"失败次数过多，请在 \1 秒后再试"),
        (r"log in first", "请先登录"),
        (r"the token of this page is missing or old.*", "页面令牌缺失或已过期，请刷新页面"),
        (r"only for (.+)", r"只有以下角色可以：\1"),
        (r"not your task", "这不是您的任务"),
        (r"not a stream of your tasks", "该视频流不属于您的任务"),
        (r"a late pairing needs a second person", "补绑定需要第二人确认"),
        (r"a late pairing needs a reason", "补绑定需要填写原因"),
        (r"a (?:second )?password of the second person is needed", "需要第二人输入密码"),
        (r"the second person must be another", "第二人不能是本人"),
        (r"start a playback first.*", "请先开始回放（回放会留下记录）"),
        (r"field required", "缺少必填项"),
        (r"no such page", "没有这个地址"),
        (r"body of more than (\d+) bytes", r"内容超过 \1 字节"),
        (r"a password has at least (\d+) characters", r"密码至少 \1 个字符"),
        (r"the last administrator must stay", "必须保留至少一名管理员"),
        (r"is already known", "已存在"),
        (r"is not open", "任务未处于进行中"),
        (r"task is ended|has ended", "任务已结束"),
        (r"is not known|is not here|is not stored|no such .*", "没有找到"),
        (r"the box (\S+) is offline", r"边缘盒 \1 离线"),
        (r"the (?:camera|recorder) (\S+) gives no picture", r"\1 没有画面（信号丢失）"),
        (r"the (?:camera|recorder) (\S+) gives no picture: (.+)", r"\1 没有画面（信号丢失）：\2"),
        (r"the (?:camera|recorder) (\S+) is refused by the box", r"边缘盒拒绝了 \1 的码流"),
        (r"the (?:camera|recorder) (\S+) is refused by the box: (.+)", r"边缘盒拒绝了 \1 的码流：\2"),
        (r"the (?:camera|recorder) (\S+) is stopped(?:: .+)?", r"\1 已停止"),
        (r"the box did not publish a picture within (\S+) s", r"边缘盒在 \1 秒内没有送出画面"),
        (r"the box cannot publish: (.+)", r"边缘盒无法送出画面：\1"),
        (r"the stream reorders pictures \(B-frames\).*", "该码流含 B 帧，浏览器无法实时播放；录像不受影响"),
        (r"(\d+) viewers watch already", r"已有 \1 个画面在播放，达到上限"),
        (r"the viewer's login or role ended", "登录或角色已失效"),
        (r"not online|offline|does not answer", "设备不在线"),
        (r"already paired.*", "该记录仪已绑定"),
    )
)
_ROLES = {"supervisor": "督察", "inspector": "检务人员", "administrator": "管理员"}


def language_of(header: str | None, asked: str | None = None) -> Language:
    """Choose by `?lang=`, else by Accept-Language; Chinese when neither asks for English first."""
    first = (asked or (header or "").split(",", 1)[0]).strip().lower()
    return "en" if first.startswith("en") else "zh-CN"


def say(kind: str, what: str, language: Language) -> str:
    """Give the sentence for an error: exact where we have one, else the kind's sentence with the detail behind it."""
    if language == "en":
        return what
    for pattern, sentence in _SENTENCES:
        found = pattern.fullmatch(what)
        if found:
            return _roles(found.expand(sentence))
    for pattern, sentence in _SENTENCES:
        if pattern.groups == 0 and pattern.search(what):
            return f"{sentence}（{what}）"
    return f"{_KINDS.get(kind, kind)}（{what}）"


def _roles(text: str) -> str:
    for role, word in _ROLES.items():
        text = text.replace(role, word)
    return text
