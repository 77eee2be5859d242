"""Show a box on one plain page: a light for each camera, the disk, the backlog, the hub, the clock and the keys; zh-CN or en."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Edge box", "边缘盒"),
    "sources": ("Cameras and recorders", "摄像机与执法记录仪"),
    "disk": ("Disk", "磁盘"),
    "backlog": ("Waiting for the hub", "待上传"),
    "hub": ("Hub", "中心"),
    "clock": ("Clock", "时钟"),
    "keys": ("Keys and trust", "密钥与信任"),
    "journal": ("Journal", "盒内日志"),
    "faults": ("Faults", "故障"),
    "recording": ("recording", "录制中"),
    "waiting": ("waiting", "等待中"),
    "lost": ("lost", "信号丢失"),
    "refused": ("refused", "已拒绝"),
    "stopped": ("stopped", "已停止"),
    "ok": ("ok", "正常"),
    "low": ("low", "空间不足"),
    "full": ("full", "已满"),
    "up": ("connected", "已连接"),
    "down": ("not connected", "未连接"),
    "synced": ("synchronized", "已同步"),
    "holdover": ("holdover", "守时"),
    "unsynced": ("not synchronized", "未同步"),
    "present": ("present", "齐备"),
    "absent": ("missing", "缺失"),
    "records": ("records", "条记录"),
    "segments": ("segments", "个分段"),
    "free": ("free", "可用"),
    "none": ("none", "无"),
    "carriers": ("Without a network", "无网络时"),
    "head": ("Newest sealed head, to show to the hub", "最新封印的树头,出示给中心"),
    "checkpoint": ("Checkpoint of the port log, brought by hand", "人工带来的总账检查点"),
    "take": ("Take", "接收"),
}
GREEN, YELLOW, RED, GREY = "#1a7f37", "#bf8700", "#cf222e", "#8c959f"
_COLOURS = {
    "recording": GREEN, "ok": GREEN, "up": GREEN, "synced": GREEN, "present": GREEN, "waiting": YELLOW, "low": YELLOW,
    "holdover": YELLOW, "unsynced": YELLOW, "down": YELLOW, "stopped": GREY,
}  # fmt: skip

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:1.5rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td{padding:.3rem .6rem;border-top:1px solid #d0d7de;vertical-align:top}
.light{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.5em}h2{font-size:1.05rem;margin:1.5rem 0 .3rem}"""


def render(status: Mapping[str, Any], language: str) -> str:
    """Give the page for a status."""

    def word(key: str) -> str:
        return WORDS[key][1 if language == "zh" else 0] if key in WORDS else key

    def row(name: str, state: str, detail: str) -> str:
        light = f'<span class="light" style="background:{_COLOURS.get(state, RED)}"></span>'
        return f"<tr><td>{escape(name)}</td><td>{light}{escape(word(state))}</td><td>{escape(detail)}</td></tr>"

    sources = [row(each["source"], each["state"], _source_detail(each)) for each in status["sources"]]
    clock, disk, backlog, journal = status["clock"], status["disk"], status["backlog"], status["journal"]
    offset = clock["hub_offset_ms"]
    waiting = f"{backlog['records']} {word('records')}, {backlog['segments']} {word('segments')}, {_mib(backlog['bytes'])}"
    box_rows = [
        row(word("disk"), disk["state"], f"{_mib(disk['free_bytes'])} {word('free')}"),
        row(word("hub"), "up" if status["hub"]["up"] else "down", f"{status['hub']['transport']} {status['hub']['reason']}".strip()),
        row(word("backlog"), "ok" if backlog["segments"] < 100 else "waiting", waiting),
        row(word("clock"), clock["sync"], clock["wall"] + ("" if offset is None else f" ({offset:+d} ms)")),
        row(word("keys"), "present" if status["trust"] else "absent", (status.get("certificate") or {}).get("detail", "")),
        row(word("journal"), "ok", f"{status['epoch']} / {journal['size']}"),
    ]
    title = f"{word('title')} {status['box']}"
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="30"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p><a href="/?lang=zh">中文</a> · <a href="/?lang=en">English</a></p>'
        f"<h2>{word('sources')}</h2><table>{''.join(sources)}</table><table>{''.join(box_rows)}</table>"
        f"<h2>{word('faults')}</h2>{_faults(status['faults'], word('none'))}"
        f'<h2>{word("carriers")}</h2><p>{word("head")} (<a href="/head">PWH1</a>)<br><img src="/head.svg" alt="{word("head")}"></p>'
        f'<form method="post" action="/checkpoint"><label>{word("checkpoint")}<br>'
        f'<textarea name="note" rows="6" cols="60" required></textarea></label><br><button>{word("take")}</button></form></body></html>'
    )


def _source_detail(each: Mapping[str, Any]) -> str:
    parts = [each["detail"], f"{each['bitrate'] / 1e6:.1f} Mbit/s" if each["bitrate"] else "", each["task"] or ""]
    return " · ".join(part for part in parts if part)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"


def _faults(faults: Sequence[str], none: str) -> str:
    if not faults:
        return f"<p>{none}</p>"
    return "<ul>" + "".join(f"<li>{escape(fault)}</li>" for fault in faults) + "</ul>"
