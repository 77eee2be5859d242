"""Say errors in the asker's language: English is what the code says, Chinese a sentence of its own. Neither shows raw patterns.

What has no Chinese sentence gets that of its kind alone: half a sentence of English helps nobody who does not read it.
"""

import re
from collections.abc import Mapping

from web.naming import Language, say_no_name

_KINDS: Mapping[str, str] = {
    "malformed": "请求内容不符合要求",
    "refused": "规则不允许此操作",
    "forbidden": "没有权限",
    "unauthenticated": "请先登录",
    "missing": "没有找到",
    "unavailable": "暂时不可用，请稍后再试",
    "verification": "验证未通过",
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
        (r"belongs to another party", "属于其他单位"),
        (r"partner (\S+) may not hold goods", r"单位 \1 无权布控"),
        (r"(\S+) holds it already", r"\1 已布控此报检单"),
        (r"(\S+) does not hold it", r"\1 没有布控此报检单"),
        (r"(\S+) holds it", r"\1 布控中，未解除前不能放行"),
        (r"stands at (\S+): it can no longer be amended", r"当前状态（\1）不能再修改"),
        (r"stands at (\S+); from there it may go to .*", r"当前状态（\1）不允许此操作"),
        (r"stands at version (\d+), not (\d+): .*", r"已有第 \1 版，您依据的是第 \2 版：已有人修改，请重新查看"),
        (r"no hold is in force: the port must hold it before a box is moved", "口岸尚未布控：调箱前须先布控"),
        (r"it was selected, and stays so", "已被抽中，不能取消"),
        (r"is on record already, with the same words and evidence", "已有完全相同的记录，不再重复计分"),
        (r"it was selected: the port alone can take it back", "已被抽中：只能由口岸撤销"),
        (r"it was selected: the port alone can take box (\S+) out of it", r"已被抽中：只能由口岸删去集装箱 \1"),
        (r"box (\S+) is held under declaration (\S+)", r"集装箱 \1 在报检单 \2 下布控中"),
        (r"it was selected, and no evaluation has passed it", "已被抽中，尚无合格评定"),
        (r"screening did not allow release without a check, and no evaluation has passed it", "未获准直接放行，也尚无合格评定"),
        (r"must-record (\S+) is missing or not verified", r"必录项 \1 缺失或未验证"),
        (r"(\S+) was on the inspection: somebody else must approve", r"\1 参加了查验，须由他人批准"),
        (r"names declaration (\S+) already; amend that one, or choose another", r"已用于报检单 \1；请修改该单，或另编一个"),
        (r"was (\S+) and cannot become (\S+)", r"原为 \1，不能改为 \2"),
        (r"was proposed by the same person: somebody else must (?:publish|approve) it", "不能由提出人本人批准，须由他人审核"),
        (
            r"is (?:proposed|published|approved|rejected|withdrawn), not (?:proposed|published|approved)",
            "当前状态不允许此操作，请刷新后再看",
        ),
        (r"version (\d+) is there already: give it number (\d+)", r"第 \1 版已存在，请编为第 \2 版"),
        (r"has no procedure in force on (\S+)", r"\1 没有现行的作业规程"),
        (r"needs the extra `xlsform`.*", "本机未安装电子表格支持（xlsform），请使用 YAML"),
        (r"is no spreadsheet \(\.xlsx\).*", "不是电子表格（.xlsx）"),
        (r"is as it stands", "没有任何变化"),
        (r"is not in use|is no longer in use", "已停用"),
        (r"is no key of this category", "键值形式不符合此类别的要求"),
        (r"is no JSON by its content type; send application/json", "内容类型不是 JSON，请发送 application/json"),
        (r"is written in (\S+); send UTF-8", r"字符集为 \1，请改用 UTF-8"),
        (r"is not UTF-8 at byte (\d+); .*", r"第 \1 字节起不是 UTF-8 编码"),
        (r"ends too early, in line (\d+): it was cut off", r"在第 \1 行中断，内容不完整"),
        (r"is no JSON at line (\d+), column (\d+)", r"第 \1 行第 \2 列不是有效的 JSON"),
        (r"is nested too deeply", "嵌套层数过多"),
        (r"holds a number that is too long", "含有过长的数字"),
        (r"gives the member (.+) twice", r"同一项 \1 出现两次"),
        (r"a reason has 1 to (\d+) characters", r"理由须为 1 至 \1 个字符"),
        (r"not your task", "这不是您的任务"),
        (r"not a stream of your tasks", "该视频流不属于您的任务"),
        (r"a late pairing needs a second person", "补绑定需要第二人确认"),
        (r"a late pairing needs a reason", "补绑定需要填写原因"),
        (r"a (?:second )?password of the second person is needed", "需要第二人输入密码"),
        (r"the second person's name or password is wrong", "第二人的用户名或密码不正确"),
        (r"a late pairing reaches back, this one starts in the future", "补绑定只能向前追溯，所填时间在将来"),
        (r"is paired with task (\S+) already; unpair it, then pair it late", r"已绑定到任务 \1；请先解除绑定，再补绑定"),
        (r"is paired with task (\S+) already", r"已绑定到任务 \1"),
        (r"is paired with task (\S+)", r"已绑定到任务 \1"),
        (r"is not paired with task (\S+)", r"没有绑定到任务 \1"),
        (r"is not enrolled", "尚未登记入网"),
        (r"(\d+) wrong codes; wait, or pair it on the task's page", r"任务短码输错 \1 次；请稍候，或在任务页上绑定"),
        (r"the code is not known or has ended", "任务短码不存在或已过期"),
        (r"has not ended; end it first", "任务尚未结束，请先结束任务"),
        (r"the journal of (\S+) does not reach the task yet", r"边缘盒 \1 的盒内日志还没有到达此任务的时间"),
        (r"the journal of (\S+) does not explain the whole task yet", r"边缘盒 \1 的盒内日志还不能说明整个任务"),
        (r"(\S+) segment (\d+) has not arrived yet", r"\1 的分段 \2 尚未到达"),
        (r"(.+) \(and (\d+) more\)", r"\1（另有 \2 项）"),
        (r"was opened before", "任务号已存在"),
        (r"more than (\d+) cameras, (\d+) inspectors or (\d+) facts", r"超过 \1 个摄像机、\2 名检务人员或 \3 项基本信息"),
        (r"texts have 1 to (\d+) characters", r"文字须为 1 至 \1 个字符"),
        (r"person (\S+) is already known", r"人员 \1 已存在"),
        (r"person (\S+) is not known", r"没有人员 \1"),
        (r"too many people log in now; try again", "同时登录的人太多，请稍后再试"),
        (r"no such open alarm", "没有这条待确认的告警"),
        (r"a reason is needed", "需要填写理由"),
        (r"no such export", "没有这个导出"),
        (r"was (?:issued|refused|waiting) already", "申请已经处理过"),
        (r"token is not known, or is for another box", "注册码不存在，或属于其他边缘盒"),
        (r"token has ended; ask for a new one", "注册码已过期，请重新生成"),
        (r"this view is another person's", "这是他人的观看"),
        (r"not of your tasks", "不属于您的任务"),
        (r"no checkpoint has a quorum yet", "还没有达到法定见证数的检查点"),
        (r"Method Not Allowed", "此地址不接受这种请求"),
        (r"the second person must be another", "第二人不能是本人"),
        (r"start a playback first.*", "请先开始回放（回放会留下记录）"),
        (r"no such page", "没有这个地址"),
        (r"choose a stretch of at most (\d+) minutes, from before to", r"请选择不超过 \1 分钟的一段，起点须早于终点"),
        (r"this stretch is not all of the task's", "所选时段不完全属于此任务"),
        (r"(\d+) segments lie in this stretch, expected 1 to (\d+)", r"所选时段内有 \1 个分段，应为 1 至 \2 个"),
        (r"(\d+) proposals wait for a person's word", r"还有 \1 条遮盖建议等待人工确认"),
        (r"these proposals are not finished, or of another stretch", "遮盖建议尚未完成，或属于另一时段"),
        (r"draw 1 to (\d+) areas with at most (\d+) points in all", r"请绘制 1 至 \1 个遮盖区域，共不超过 \2 个位置点"),
        (r"its times do not lie in the film", "遮盖区域的时间不在所选时段内"),
        (r"an area lies outside of the picture, or is empty", "遮盖区域超出画面或为空"),
        (r"its points are not in the order of time", "遮盖区域的位置点没有按时间排列"),
        (r"an area lies in no picture: its time falls into a gap", "遮盖区域所在时间没有画面（缺口）"),
        (r"no picture lies in this stretch", "所选时段内没有画面"),
        (r"(\d+) jobs wait already", r"已有 \1 个遮盖任务在等待"),
        (r"proposals need OpenCV, which is not installed here.*", "自动建议需要 OpenCV，本机没有安装"),
        (r"the size of the pictures changes on the way: choose a shorter stretch", "所选时段内画面尺寸有变化，请选择较短的时段"),
        (r"the sound changes its codec on the way: mute it", "所选时段内声音编码有变化，请选择静音"),
        (r"took too long and was stopped", "用时过长，已停止"),
        (r"the film cannot be decoded or encoded: (.+)", r"录像无法解码或编码：\1"),
        (r"segment (\d+) is (?:pending|failed|disposed)(?:: (.+))?", r"分段 \1 不可用：\2"),
        (r"pictures of (\d+) x (\d+) are too large", r"画面 \1 x \2 过大"),
        (r"body of more than (\d+) bytes, or too slow", r"内容超过 \1 字节，或传送过慢"),
        (r"(\d+) bytes are here, this part begins at (\d+): go on from (\d+)", r"已收到 \1 字节，此段从 \2 开始：请从 \3 继续"),
        (r"more than the (\d+) bytes announced", r"超过清单所报的 \1 字节"),
        (r"hashes to (\S+): it was thrown away, send it anew from 0", "文件内容与清单的摘要不符，已丢弃，请从头重传"),
        (r"was announced with (\d+) bytes, now with (\d+)", r"此前清单所报为 \1 字节，现为 \2 字节"),
        (r"(\d+) files of (\d+) bytes are announced and not whole yet; finish them first", r"有 \1 个文件（共 \2 字节）尚未传完，请先传完"),
        (r"(\d+) bytes came within a day, at most (\d+) MB are taken", r"一天内已收 \1 字节，上限 \2 MB"),
        (r"is not known: announce it first", "没有这个文件的清单，请先上报清单"),
        (r"is not whole yet", "文件尚未传完"),
        (r"is none of the options", "不在可选项之中"),
        (r"is no list of options", "须为选项列表"),
        (r"names its options once, in order of the alphabet", "选项须各列一次并按字母排序"),
        (r"is no decimal number written as a text", "不是以文本书写的十进制数"),
        (r"has more than (\d+) decimals", r"小数位超过 \1 位"),
        (r"lies beyond (.+)", r"超出允许范围 \1"),
        (r"is no text of 1 to (\d+) characters", r"须为 1 至 \1 个字符的文字"),
        (r"is no code of 1 to (\d+) characters", r"须为 1 至 \1 个字符的编码"),
        (r"is no list of files by SHA-256", "须为文件摘要列表"),
        (r"names a file twice, or too many", "文件重复或过多"),
        (r"is neither a drawn signature with a name nor a refusal with its reason", "须为带姓名的手写签名，或说明理由的拒签"),
        (r"is no item of this procedure", "本规程没有这一项"),
        (r"names the part that it is about", "须写明所指的箱或样品"),
        (r"is asked once", "此项只问一次"),
        (r"is no list of 1 to (\d+)", r"须为 1 至 \1 项的列表"),
        (r"is not covered by the act that the rest conforms", "不属于“其余符合”所涵盖的项"),
        (r"corrects an answer that was signed: say why", "更正已签名的答案须说明理由"),
        (r"replaces what somebody else answered: say why", "替换他人的答案须说明理由"),
        (r"is (\S+), the task began with version (\d+), (\S+)", r"规程版本不符：本任务始终使用第 \2 版"),
        (r"is not certified for you: log in on this phone again", "此设备密钥未签发给您，请在本机重新登录"),
        (r"has ended: have it certified again", "设备密钥已过期，请重新签发"),
        (r"was revoked(?:: the phone has to make a new one)?", "设备密钥已吊销，须更换新密钥"),
        (r"is another person's", "属于他人"),
        (r"another act has this id", "已有另一操作使用此编号"),
        (r"signature does not hold.*", "签名验证未通过"),
        (r"you are not (\S+) of this task", r"您不是本任务的 \1"),
        (r"you handed this task over before", "您此前已移交本任务"),
        (r"(\S+) is told by a dispatch alone", r"\1 只能由派单写入"),
        (r"(\S+) is or was on this task", r"\1 已在或曾在本任务中"),
        (r"(\S+) is not on duty", r"\1 不当班"),
        (r"(\S+) is not qualified for (.+)", r"\1 不具备资质：\2"),
        (r"(\S+) stays away from this enterprise's goods", r"\1 须回避该企业"),
        (r"nobody was drawn to inspect it", "尚未抽取检务人员"),
        (r"is not published yet", "尚未发布，请稍后再试"),
        (r"is no P-256 key", "不是有效的 P-256 密钥"),
        (r"was disposed of", "已按保存期限处置"),
        (r"was cut: what came is kept", "传送中断，已收到的部分保留"),
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
        (r"has an open appeal", "已有未决申诉"),
        (r"has no open appeal", "没有未决申诉"),
        (r"counts no more", "已不再计入"),
        (r"is on record of another enterprise", "该记录属于其他企业"),
        (r"was appealed against (\d+) times", r"已申诉 \1 次，不能再申诉"),
        (r"was put on record by the same person: somebody else must decide", "由同一人记录，须由他人决定"),
        (r"whoever appealed does not decide", "申诉人不能作出决定"),
        (r"only an enterprise appeals", "只有企业本身可以申诉"),
        (r"not your enterprise", "这不是您的企业"),
        (r"needs a second person", "需要第二人"),
        (r"the next version is (\d+), not (\d+)", r"下一版本号应为 \1，而不是 \2"),
        (r"lies before the day on which it happened", "早于发生日期"),
        (r"has 1 to (\d+) characters", r"须为 1 至 \1 个字符"),
        (r"stands at (\S+): samples are drawn while it is inspected", r"当前状态为 \1：只在查验过程中抽样"),
        (r"is not on this inspection", "不是此次查验的人员"),
        (r"is no laboratory among the partners", "协作单位中没有这个实验室"),
        (r"is for another laboratory", "该样品属于其他实验室"),
        (r"only for the laboratory itself", "只有该实验室可以操作"),
        (r"did not arrive sound: nothing can be reported on it", "到达时异常，不能出具报告"),
        (r"is (\S+): it must be (.+) before it is (\S+)", r"当前为 \1：须先 \2，才能 \3"),
        (r"sample (\S+) has no report of the laboratory yet", r"样品 \1 尚无检测报告"),
        (r"the seal or the condition of sample (\S+) was not sound: .*", r"样品 \1 封识破损或状态异常：请重新抽样，或作废"),
        (r"the laboratory found sample (\S+) positive", r"样品 \1 检测为阳性"),
        (r"is not known, or was not selected", "不存在，或未被抽中"),
        (r"already paired.*", "该记录仪已绑定"),
    )
)
_ROLES = {"supervisor": "督察", "inspector": "检务人员", "administrator": "系统管理员", "trader": "企业用户", "partner": "协作单位"}


def language_of(header: str | None, asked: str | None = None) -> Language:
    """Choose by `?lang=`, else by Accept-Language; Chinese when neither asks for English first."""
    first = (asked or (header or "").split(",", 1)[0]).strip().lower()
    return "en" if first.startswith("en") else "zh-CN"


def say(kind: str, what: str, language: Language) -> str:
    """Give the sentence for an error: exact where we have one, else the kind's sentence with the detail behind it."""
    unnamed = say_no_name(what, language)
    if unnamed is not None or language == "en":
        return unnamed or what
    parts = [_sentence(part) or _loosely(part) for part in what.split("; ")]
    return _sentence(what) or "；".join(part for part in parts if part) or _KINDS.get(kind, _KINDS["unavailable"])


def _sentence(what: str) -> str | None:
    for pattern, sentence in _SENTENCES:
        found = pattern.fullmatch(what)
        if found:
            inner = _sentence(found[1]) if pattern.pattern.startswith("(.+) ") else None
            return _roles(f"{inner}（另有 {found[2]} 项）" if inner else found.expand(sentence))
    return None


def _loosely(what: str) -> str | None:
    return next((sentence for pattern, sentence in _SENTENCES if pattern.groups == 0 and pattern.search(what)), None)


def _roles(text: str) -> str:
    for role, word in _ROLES.items():
        text = text.replace(role, word)
    return text
