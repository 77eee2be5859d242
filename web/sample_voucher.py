"""Print a sample's voucher: one page of A4 in Chinese or English, with its number as QR, what was taken, and who signed.

Guarantees: what people wrote is shown as text, never as markup; times are UTC and say so.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, Literal

from hub.inspection.laboratory import SampleFact
from protocol.instants import SECOND_NS

Language = Literal["zh-CN", "en"]
_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("抽（采）样凭证", "Sample voucher"),
    "number": ("样品编号", "Sample"),
    "declaration": ("报检单号", "Declaration"),
    "what": ("样品名称", "What"),
    "amount": ("数量", "Amount"),
    "line": ("货物项号", "Line of goods"),
    "box": ("取自箱号", "Container"),
    "packages": ("取自件号", "Packages"),
    "tests": ("检测项目", "Tests"),
    "laboratory": ("检测实验室", "Laboratory"),
    "cold": ("冷藏", "Kept cold"),
    "seal": ("封识号", "Seal"),
    "drawn": ("抽样时间", "Drawn at"),
    "sampler": ("抽样人", "Sampler"),
    "owner": ("货主或代理人", "Owner or agent"),
    "refused": ("拒签原因", "Signature refused"),
    "signature": ("签名凭据", "Signature"),
    "received": ("接收人及时间", "Received by, at"),
    "record": ("总账位置", "Place in the port log"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "erased": ("已删除", "erased"),
}
_STYLE = """
@page { size: A4; margin: 18mm }
body { font: 12pt/1.5 system-ui, "Noto Sans CJK SC", sans-serif; color: #000; background: #fff; max-width: 180mm;
margin: 8mm auto; padding: 0 4mm } header { display: flex; justify-content: space-between; align-items: flex-start; gap: 8mm }
h1 { font-size: 20pt; margin: 0 } table { width: 100%; border-collapse: collapse; margin-top: 6mm } th, td { border: 1px solid #000;
padding: 2.5mm 3mm; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { width: 34%; font-weight: 600; background: #f2f2f2 }
.sign td { height: 18mm } svg { flex: none } code { font-size: 10pt }
"""


def voucher(sample: SampleFact, qr_svg: str, site: str, language: Language) -> str:
    """Write the page; `qr_svg`: a picture of the number."""
    word = {name: words[0] if language == "zh-CN" else words[1] for name, words in _WORDS.items()}
    said: Mapping[str, Mapping[str, Any]] = {act.act: act.said or {} for act in sample.acts}
    drawn, sealed, received = (said.get(act, {}) for act in ("drawn", "sealed", "received"))
    signatures: Mapping[str, str] = drawn.get("signatures", {})
    rows = [
        ("declaration", sample.declaration),
        ("what", drawn.get("what") or word["erased"]),
        ("amount", f"{drawn.get('amount', '')} {drawn.get('unit', '')}"),
        ("line", drawn.get("line")),
        ("box", drawn.get("box")),
        ("packages", ", ".join(drawn.get("packages", ()))),
        ("tests", ", ".join(drawn.get("tests", ()))),
        ("laboratory", sample.laboratory),
        ("cold", word["yes" if drawn.get("cold") else "no"]),
        ("seal", sealed.get("seal")),
        ("drawn", _time(sample.drawn_ns)),
        ("record", sample.acts[0].position if sample.acts else None),
    ]
    signed = [
        ("sampler", f"{drawn.get('by', '')} {_reference(signatures.get('sampler'), word)}"),
        ("owner", f"{signatures.get('owner_name', '')} {_reference(signatures.get('owner'), word)}"),
        ("refused", signatures.get("refused")),
        ("received", f"{received.get('by', '')} {_received(sample)}"),
    ]
    lines = [_row(word[name], value) for name, value in rows]
    lines += [_row(word[name], value, "sign") for name, value in signed if name != "refused" or value]
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(word['title'])} {escape(sample.number)}</title><style>{_STYLE}</style>"
        f"<header><div><h1>{escape(word['title'])}</h1><p>{escape(site)}</p><p><strong>{escape(word['number'])}</strong> "
        f"<code>{escape(sample.number)}</code></p></div>{qr_svg}</header><table>{''.join(lines)}</table></html>"
    )


def _row(name: str, value: object, kind: str = "") -> str:
    text = "—" if value in (None, "") else str(value).strip() or "—"
    return f'<tr class="{kind}"><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'


def _reference(text: str | None, word: Mapping[str, str]) -> str:
    return f"({word['signature']}: {text})" if text else ""


def _received(sample: SampleFact) -> str:
    return next((_time(act.wall_ns) for act in sample.acts if act.act == "received"), "")


def _time(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns // SECOND_NS, UTC):%Y-%m-%d %H:%M:%S} UTC"
