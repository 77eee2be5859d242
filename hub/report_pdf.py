"""Write a bundle's report as PDF, the picture as vectors, both languages one after the other.

Chinese is set in STSong-Light, one of the fonts that PDF readers bring for Adobe's Asian collections: no font file is needed or passed
on, and the text in the file is searchable. Same input, same bytes.
"""

import io
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import CondPageBreak, Flowable, LongTable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from hub.report_blocks import Block, Heading, Items, Picture, Prose, Table, printable
from hub.report_html import COLOURS

_CHINESE, _LATIN, _CODE = "STSong-Light", "Helvetica", "Courier"
_PAGE = landscape(A4)
_MARGIN = 14 * mm
_WIDTH = _PAGE[0] - 2 * _MARGIN
_CELL = 6.6  # points of a table's text
_LINE = HexColor("#c9d3dc")


def pdf_report(title: str, parts: Sequence[tuple[str, Sequence[Block]]]) -> bytes:
    """Give the file; `parts` are (language tag, blocks)."""
    if _CHINESE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=_PAGE, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN, title=title, invariant=1
    )
    flow: list[Flowable] = []
    for _, blocks in parts:
        flow += [PageBreak()] if flow else []
        for block in blocks:
            flow += _flow(block)
    document.build(flow, onFirstPage=_number, onLaterPages=_number)
    return out.getvalue()


def _number(canvas: Any, document: Any) -> None:  # noqa: ANN401 - the library has no types
    canvas.setFont(_LATIN, 7)
    canvas.drawRightString(_PAGE[0] - _MARGIN, 8 * mm, str(document.page))


def _font(text: str) -> str:
    return _LATIN if all(ord(one) < 0x100 for one in text) else _CHINESE


def _prose(text: str, size: float, font: str | None = None, *, after: float = 3) -> Flowable:
    style = ParagraphStyle("prose", fontName=font or _font(text), fontSize=size, leading=size * 1.4, spaceAfter=after, wordWrap="CJK")
    return Paragraph(escape(printable(text)), style)


def _flow(block: Block) -> list[Flowable]:
    if isinstance(block, Heading):
        return [CondPageBreak(30 * mm), Spacer(1, 2 * mm), _prose(block.text, 15 if block.level == 1 else 11.5)]
    if isinstance(block, Prose):
        return [_prose(block.text, 9)]
    if isinstance(block, Items):
        font = _CODE if block.is_code else None
        return [_prose(line if block.is_code else f"- {line}", 8.5, font, after=1.5) for line in block.lines]
    return _table(block) if isinstance(block, Table) else [_picture(block), Spacer(1, 2 * mm)]


def _table(block: Table) -> list[Flowable]:
    if not block.rows:
        return []
    widths = [_WIDTH * share / sum(block.widths) for share in block.widths]
    cells = [[_fit(cell, width) for cell, width in zip(row, widths, strict=True)] for row in (block.heads, *block.rows)]
    chinese = [
        (column, row) for row, line in enumerate((block.heads, *block.rows)) for column, cell in enumerate(line) if _font(cell) != _LATIN
    ]
    style = [
        ("FONT", (0, 0), (-1, -1), _LATIN, _CELL), ("LEADING", (0, 0), (-1, -1), _CELL * 1.25), ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("BACKGROUND", (0, 0), (-1, 0), HexColor("#f3f6f9")), ("LINEBELOW", (0, 0), (-1, -1), 0.3, _LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), 2), ("TOPPADDING", (0, 0), (-1, -1), 1.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8), *(("FONTNAME", place, place, _CHINESE) for place in chinese),
    ]  # fmt: skip
    return [LongTable(cells, colWidths=widths, repeatRows=1, style=TableStyle(style), spaceAfter=4)]


def _fit(text: str, width: float) -> str:
    """Break a cell's text into lines that fit: faster than a paragraph per cell, of which there are thousands."""
    font, lines, line, used = _font(text), [], "", 0.0
    for one in printable(text).replace("\n", " "):
        wide = pdfmetrics.stringWidth(one, font, _CELL)
        if used + wide > width - 4.5 and line:
            cut = line.rfind(" ") + 1 or len(line)
            lines.append(line[:cut].rstrip())
            line = line[cut:]
            used = pdfmetrics.stringWidth(line, font, _CELL)
        line, used = line + one, used + wide
    return "\n".join([*lines, line])


def _picture(block: Picture) -> Drawing:
    lane, axis, name = 16.0, 14.0, 90.0
    height = axis + lane * len(block.lanes) + 20
    wide = _WIDTH - name - 4
    out = Drawing(_WIDTH, height)

    def text(x: float, y: float, words: str, anchor: str = "start") -> None:
        out.add(String(x, y, words, fontName=_font(words), fontSize=7.5, textAnchor=anchor))

    text(name, height - 9, block.start)
    text(_WIDTH - 4, height - 9, block.end, "end")
    for row, one in enumerate(block.lanes):
        y = height - axis - lane * (row + 1) + 3
        text(2, y + 3, one.stream)
        out.add(Rect(name, y, wide, lane - 5, fillColor=None, strokeColor=_LINE, strokeWidth=0.4))
        for bar in one.bars:
            colour, x = HexColor(COLOURS[bar.state]), name + bar.start * wide
            out.add(
                Rect(
                    x,
                    y,
                    max(0.7, (bar.end - bar.start) * wide),
                    lane - 5,
                    fillColor=colour,
                    strokeColor=HexColor("#ffffff"),
                    strokeWidth=0.3,
                )
            )
    for at, (state, words) in enumerate(block.legend):
        x = name + at * 105
        out.add(Rect(x, 3, 8, 8, fillColor=HexColor(COLOURS[state]), strokeColor=None))
        text(x + 12, 4, words)
    return out
