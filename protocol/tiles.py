"""Lay a log out in tiles (C2SP tlog-tiles): names of tiles and entry bundles, and the node reader over them.

A hash tile holds up to 256 hashes of level 8·L; a full tile is 8192 bytes. An entry bundle holds the same 256 leaves, each
behind a 16-bit length. The last tile of a level may be partial and is named by its width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protocol.errors import MalformedError
from protocol.merkle import HASH_BYTES, NodeReader, node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_ENTRY_BYTES = 65_535

TileReader = Callable[[int, int], bytes]
"""Give the bytes of hash tile (level, index), as wide as the log has it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile by level, index and width (1 to 256); level -1 is an entry bundle."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def path(self) -> str:
        """Give the tile's path below the log's prefix, e.g. `tile/0/x001/234.p/17`."""
        level = "entries" if self.level < 0 else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_spell(self.index)}{partial}"


def _spell(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def parse_path(path: str) -> Tile:
    """Read what `Tile.path` gives; raise MalformedError when it is no tile's name or not its only spelling."""
    head, _, rest = path.partition("/")
    level_text, _, rest = rest.partition("/")
    name, _, width_text = rest.partition(".p/")
    digits = name.replace("x", "").replace("/", "")
    numbers = (level_text if level_text != "entries" else "0", digits, width_text or "256")
    if head != "tile" or not all(text.isascii() and text.isdigit() and len(text) <= 18 for text in numbers):
        raise MalformedError(f"{path!r} names no tile", where="tile path")
    tile = Tile(-1 if level_text == "entries" else int(level_text), int(digits), int(numbers[2]))
    if tile.level > 5 or not 1 <= tile.width <= TILE_WIDTH or tile.path() != path:
        raise MalformedError(f"{path!r} names no tile", where="tile path")
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Give every hash tile of a log of `size`, level by level."""
    level = 0
    while size > 0:
        full, rest = divmod(size, TILE_WIDTH)
        for index in range(full):
            yield Tile(level, index)
        if rest:
            yield Tile(level, full, rest)
        size, level = full, level + 1


def new_tiles(old: int, new: int) -> Iterator[Tile]:
    """Give the hash tiles that a log grown from `old` to `new` has to write, partial ones included."""
    level = 0
    while new > old:
        for index in range(old // TILE_WIDTH, -(-new // TILE_WIDTH)):
            yield Tile(level, index, min(TILE_WIDTH, new - index * TILE_WIDTH))
        old, new, level = old // TILE_WIDTH, new // TILE_WIDTH, level + 1


def node_reader(read_tile: TileReader) -> NodeReader:
    """Give a node reader over tiles; a node inside a tile is recomputed, once, from at most 256 hashes."""
    known: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        if (level, index) not in known:
            known[level, index] = compute(level, index)
        return known[level, index]

    def compute(level: int, index: int) -> bytes:
        tile_level, inner = divmod(level, TILE_HEIGHT)
        first = index << inner
        tile_index, offset = divmod(first, TILE_WIDTH)
        data = read_tile(tile_level, tile_index)
        hashes = [data[at : at + HASH_BYTES] for at in range(offset * HASH_BYTES, (offset + (1 << inner)) * HASH_BYTES, HASH_BYTES)]
        if len(hashes[-1]) != HASH_BYTES:
            raise MalformedError(f"tile ({tile_level}, {tile_index}) is too short for node ({level}, {index})", where="tile")
        return perfect_root(hashes)

    return read


def perfect_root(hashes: list[bytes]) -> bytes:
    """Give the root over 2**n hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def encode_bundle(entries: list[bytes]) -> bytes:
    """Give the entry bundle of up to 256 leaves; raise MalformedError for an entry over 65 535 bytes."""
    for number, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_BYTES:
            raise MalformedError(f"{len(entry)} bytes, at most {MAX_ENTRY_BYTES}", where=f"entry {number}")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """Give the leaves of an entry bundle; raise MalformedError when it is cut or holds more than 256."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data) or len(data) - at < 2 or len(entries) == TILE_WIDTH:
            raise MalformedError(f"cut or overlong at byte {at}", where="entry bundle")
        entries.append(data[at + 2 : end])
        at = end
    return entries
