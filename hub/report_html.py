"""Write a bundle's report as one HTML file: no script, no network, the picture as inline SVG, both languages one after the other."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape as _escape

from hub.report_blocks import Block, Heading, Items, Picture, Prose, Table, printable

_STYLE = """
body { font: 14px/1.55 "Noto Sans SC", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #16202a; margin: 0; }
article { max-width: 1180px; margin: 0 auto; padding: 16px 24px; }
article + article { border-top: 6px solid #174d80; margin-top: 32px; }
h1 { font-size: 22px; } h2 { font-size: 17px; margin: 26px 0 6px; border-bottom: 1px solid #c9d3dc; }
table { border-collapse: collapse; width: 100%; font-size: 12px; margin: 8px 0; }
th, td { text-align: left; vertical-align: top; padding: 3px 8px; border-bottom: 1px solid #c9d3dc; overflow-wrap: break-word; }
td.short { white-space: nowrap; } td.long { overflow-wrap: anywhere; }
th { background: #f3f6f9; } pre { background: #f3f6f9; padding: 10px; white-space: pre-wrap; }
svg { width: 100%; height: auto; font-family: inherit; } nav { text-align: right; }
@media print { tr { break-inside: avoid; } article + article { break-before: page; } }
"""
COLOURS = {
    "verified": "#17743a", "recovered": "#6a8f1f", "failed": "#b3261e", "gap": "#c98a00", "idle": "#d5dde4", "unexplained": "#111111",
}  # fmt: skip
WIDTH, NAME, LANE, AXIS = 1100, 150, 26, 24


def escape(text: str) -> str:
    """Give a text as HTML may hold it."""
    return _escape(printable(text))


def html_report(title: str, parts: Sequence[tuple[str, Sequence[Block]]]) -> bytes:
    """Give the file; `parts` are (language tag, blocks)."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    links = " ".join(f'<a href="#{escape(lang)}">{escape(lang)}</a>' for lang, _ in parts)
    articles = "".join(
        f'<article lang="{escape(lang)}" id="{escape(lang)}"><nav>{links}</nav>{"".join(map(_block, blocks))}</article>\n'
        for lang, blocks in parts
    )
    head = f'<meta charset="utf-8"/><meta http-equiv="Content-Security-Policy" content="{policy}"/><title>{escape(title)}</title>'
    body = f"<style>{_STYLE}</style></head><body>\n{articles}</body></html>\n"
    return f'<!DOCTYPE html>\n<html lang="{escape(parts[0][0])}"><head>{head}{body}'.encode()


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>\n"
    if isinstance(block, Prose):
        return f"<p>{escape(block.text)}</p>\n"
    if isinstance(block, Items):
        if block.is_code:
            return f"<pre>{escape(chr(10).join(block.lines))}</pre>\n"
        return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in block.lines)}</ul>\n"
    return _table(block) if isinstance(block, Table) else _picture(block)


def _table(block: Table) -> str:
    if not block.rows:
        return ""
    head = "".join(f"<th>{escape(one)}</th>" for one in block.heads)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in block.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>\n"


def _cell(text: str) -> str:
    width = "short" if len(text) <= 26 else "long"
    return f'<td class="{width}">{escape(text)}</td>'


def _picture(block: Picture) -> str:
    height, wide = AXIS + LANE * len(block.lanes) + 34, WIDTH - NAME - 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">']
    out.append(f'<text x="{NAME}" y="15" font-size="11">{escape(block.start)}</text>')
    out.append(f'<text x="{WIDTH - 10}" y="15" font-size="11" text-anchor="end">{escape(block.end)}</text>')
    for row, lane in enumerate(block.lanes):
        y = AXIS + row * LANE
        out.append(f'<text x="4" y="{y + 16}" font-size="12">{escape(lane.stream)}</text>')
        out.append(f'<rect x="{NAME}" y="{y + 3}" width="{wide}" height="{LANE - 8}" fill="none" stroke="#c9d3dc"/>')
        for bar in lane.bars:
            x, width = NAME + bar.start * wide, max(1.0, (bar.end - bar.start) * wide)
            out.append(
                f'<rect x="{x:.2f}" y="{y + 3}" width="{width:.2f}" height="{LANE - 8}" fill="{COLOURS[bar.state]}" stroke="#fff" '
                f'stroke-width="0.6"><title>{escape(bar.hint)}</title></rect>'
            )
    for at, (state, text) in enumerate(block.legend):
        x, y = NAME + at * 150, height - 20
        out.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[state]}"/>')
        out.append(f'<text x="{x + 18}" y="{y + 10}" font-size="12">{escape(text)}</text>')
    return "".join([*out, "</svg>\n"])
