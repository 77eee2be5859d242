"""Hold the words of a bundle's report in Chinese and English; terms as in docs/glossary.md. What has no row is given as it is."""

from types import MappingProxyType

_WORDS = MappingProxyType({
    "title": ("查验证据报告", "Evidence report"),
    "no faults": (
        "导出时在核验范围内未发现问题。未证明的内容见下文。本结论逐段给出,不是一个总的“通过”。",
        "When this was exported, no fault was found in what was checked. What is not proven is listed below. The verdict is per segment.",
    ),
    "faults": ("导出时发现的问题", "Faults found when this was exported"),
    "derived": (
        "本报告由证据推导而成,本身不是证据:请用证据包之外取得的信任文件重新核验。",
        "This report is derived from the evidence and is none itself: verify the bundle anew, with a trust file from outside it.",
    ),
    "facts": ("任务与信任", "Task and trust"),
    "fact": ("项目", "fact"),
    "value": ("内容", "value"),
    "task": ("查验任务", "task"),
    "subject": ("名称", "title"),
    "bay": ("查验位", "bay"),
    "inspectors": ("检务人员", "inspectors"),
    "opened": ("开始", "opened"),
    "ended": ("结束", "ended"),
    "checkpoint": ("总账检查点(大小、时间)", "checkpoint of the port log (size, time)"),
    "exported": ("导出", "exported"),
    "signature": ("导出签名", "export signature"),
    "site": ("口岸 / 中心", "site / hub"),
    "root": ("根证书指纹 SHA-256", "root fingerprint SHA-256"),
    "log key": ("总账密钥", "log key"),
    "timeline": ("时间线", "Timeline"),
    "verified": ("已核验", "verified"),
    "recovered": ("断电后恢复", "recovered"),
    "failed": ("核验失败", "failed"),
    "gap": ("缺口(有原因)", "gap with its cause"),
    "idle": ("未录制", "not recording"),
    "unexplained": ("无说明", "unexplained"),
    "coverage": ("覆盖情况(精确到毫秒)", "Coverage to the millisecond"),
    "stream": ("视频流", "stream"),
    "period": ("录制时段", "recording periods"),
    "recorded": ("已录", "recorded"),
    "gaps": ("缺口", "gaps"),
    "share": ("已录比例", "recorded share"),
    "late": ("补绑定", "late pairing"),
    "from": ("自", "from"),
    "to": ("至", "to"),
    "length": ("时长", "length"),
    "cause": ("原因", "cause"),
    "segments": ("分段", "Segments"),
    "segments note": (
        "“不早于/不晚于”由总账检查点、见证和时间戳限定,不取决于边缘盒时钟。签名者:会话密钥标识,由边缘盒身份密钥认证。",
        "Not before and not after are bounded by checkpoints, witnesses and time-stamps, not by the box's clock. Signer: id of the "
        "session key, certified by the box's identity key.",
    ),
    "segment": ("分段", "segment"),
    "integrity": ("完整性", "integrity"),
    "samples": ("样本", "samples"),
    "origin": ("来源", "origin"),
    "completeness": ("完备性", "completeness"),
    "not before": ("不早于", "not before"),
    "not after": ("不晚于", "not after"),
    "width": ("区间宽", "width"),
    "signer": ("签名者", "signer"),
    "ok": ("完好", "ok"),
    "altered": ("被改动", "altered"),
    "missing": ("缺失", "missing"),
    "not recorded": ("未记录", "not recorded"),
    "whole": ("完整", "whole"),
    "live capture": ("实时采集", "live capture"),
    "imported": ("导入", "imported"),
    "unknown": ("未知", "unknown"),
    "custody": ("保管清单", "Custody"),
    "custody note": (
        "总账中所出示的操作记录(与 data/custody.csv 相同)。",
        "Acts by the leaves of the port log that are shown (as in data/custody.csv).",
    ),
    "leaf": ("条目", "leaf"),
    "time": ("中心时间", "hub time"),
    "record": ("记录", "record"),
    "act": ("操作", "act"),
    "person": ("人员", "person"),
    "about": ("对象", "about"),
    "detail": ("详情", "detail"),
    "unproven": ("未证明的内容", "What is not proven"),
    "verify": ("如何核验", "How to verify"),
    "verify note": (
        "信任文件 trust.json 必须来自证据包之外,其中的根证书指纹和总账密钥应与口岸公布的一致。",
        "The trust file trust.json must come from outside the bundle; compare its root fingerprint and log key with what the port "
            "publishes.",
    ),
    "page": (
        "或在浏览器中打开 verify.html(无需网络;请使用从证据包之外取得的一份)。",
        "Or open verify.html in a browser (no network; use a copy from outside the bundle).",
    ),
    "readme": ("仅用通用工具的核验命令见", "Commands for stock tools stand in"),
    "that the port log holds no further task, pairing or revocation record about this task or its boxes (ask an auditor of the log)": (
        "总账中没有关于该任务或其边缘盒的其他任务、绑定或吊销记录(请询问总账审计方)", "",
    ),
    "what the cameras were shown: a screen filmed by a camera is a true recording of a screen": (
        "摄像机前的场景本身:翻拍屏幕也是对屏幕的真实录像", "",
    ),
    "the picture itself: whether it decodes, and what it shows": ("画面本身:能否解码,以及拍到了什么", ""),
    "reports and pages that lie in the bundle for people, but for their hashes: they are derived and no evidence": (
        "证据包中供人阅读的报告和页面(只核对哈希):它们由证据推导而成,不是证据", "",
    ),
    "cosignatures of outside witnesses: the trust file asks for none, so the hub alone vouches for the log and its times": (
        "外部见证签名:未要求,总账及其时间仅由中心担保", "",
    ),
    "for some segments: their samples apart from their files (their records have no sample root)": (
        "部分分段:独立于文件的样本(其记录没有样本根)", "",
    ),
    "a signature by the hub's export key over the whole bundle: not present": ("中心导出密钥对整个证据包的签名:没有", ""),
    "a time authority's token over the whole bundle: not present": ("时间戳机构对整个证据包的时间戳:没有", ""),
    "not present": ("没有", ""),
    "the signature beside the folder, which is made after this report: portwitness-verify and openssl check it": (
        "文件夹旁的导出签名在本报告之后生成:请用 portwitness-verify 或 openssl 核验", "",
    ),
})  # fmt: skip
_CAUSES = MappingProxyType({
    "camera lost": "摄像机断开", "camera stalled": "摄像机停滞", "recorder lost": "记录仪断开", "frames lost": "丢帧",
    "disk full": "磁盘已满", "disk slow": "磁盘过慢", "restart": "重启", "bytes lost": "字节丢失", "clock step": "时钟跳变",
    "operator stop": "人工停止", "unsupported": "格式不支持", "starting": "启动中",
})  # fmt: skip


def word(text: str, *, chinese: bool) -> str:
    """Give a word or sentence in a language."""
    zh, en = _WORDS.get(text, (text, text))
    return zh if chinese else en or text


def cause(text: str, *, chinese: bool) -> str:
    """Give the cause of a gap in a language."""
    return _CAUSES.get(text, text) if chinese else text
