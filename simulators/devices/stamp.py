"""Marks burned into pictures, so that a machine can read from pixels which frame it sees and when it was made.

Layout, the same for every size of picture (JavaScript may read it with the same arithmetic on a canvas):

- a block is a square of `B = height // 18` pixels, black for 0 and white for 1, on a grey margin;
- block `i` of row `r` has its upper left corner at `x = 4 + i * B`, `y = 4 + r * B`; read the middle of the block;
- a row has 20 blocks: a 16-bit word, lowest bit first, then a check of 4 bits, lowest bit first: the exclusive or of the word's
  four nibbles and of `10 ^ r`;
- row 0: index of the frame within its loop (live footage: its running number modulo 65536);
- rows 1, 2, 3 (live footage only): Unix time in ms when the frame was made, 48 bits, lowest word first.

Guarantees: reading a picture without marks, or with damaged ones, gives None (a wrong word passes with a chance of 1/16 a row).
"""

from typing import Any, Protocol

ROWS_PER_PICTURE = 18
WORD_BITS = 16
CHECK_BITS = 4
MARGIN = 4  # pixels
WHITE, BLACK, GREY = 235, 16, 126  # luma


class Picture(Protocol):
    """Rows of luma values: a numpy array, a list of bytes, anything with two indices and a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...  # noqa: ANN401 - numpy's rows have no narrower common type with bytes


def row_bits(word: int, row: int) -> list[int]:
    """Return the 20 bits of a row."""
    bits = [word >> at & 1 for at in range(WORD_BITS)]
    check = _check(word, row)
    return bits + [check >> at & 1 for at in range(CHECK_BITS)]


def clock_words(unix_ms: int) -> tuple[int, int, int]:
    """Return the three words of a 48-bit time."""
    return unix_ms & 0xFFFF, unix_ms >> 16 & 0xFFFF, unix_ms >> 32 & 0xFFFF


def read_stamp(gray: Picture) -> int | None:
    """Read the frame index, None when there is none."""
    return _read_row(gray, 0)


def read_clock(gray: Picture) -> int | None:
    """Read the Unix time in ms at which a live frame was made, None when there is none."""
    words = [_read_row(gray, row) for row in (1, 2, 3)]
    total = 0
    for at, word in enumerate(words):
        if word is None:
            return None
        total |= word << 16 * at
    return total


def _check(word: int, row: int) -> int:
    return (word ^ word >> 4 ^ word >> 8 ^ word >> 12) & 0xF ^ (10 ^ row)


def _read_row(gray: Picture, row: int) -> int | None:
    block = len(gray) // ROWS_PER_PICTURE
    y = MARGIN + row * block + block // 2
    if not block or len(gray[y]) < MARGIN + (WORD_BITS + CHECK_BITS) * block:
        return None
    value = 0
    for at in range(WORD_BITS + CHECK_BITS):
        x = MARGIN + at * block + block // 2
        if int(gray[y][x]) > GREY:
            value |= 1 << at
    word = value & 0xFFFF
    return word if value >> WORD_BITS == _check(word, row) else None
