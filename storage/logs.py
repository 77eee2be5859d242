"""Keep append-only logs in the database and publish one as C2SP tiles on disk.

Guarantees: the database's commit is the truth and everything on disk can be made again from it; tiles and entry bundles are
flushed before the checkpoint that needs them; the published checkpoint never goes back. Box journals and the port log share
this code: leaf hashes stand in their own tables, and one hash per full tile is kept above them, so that a proof reads a few
hundred rows whatever the log's length.
"""

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Select, and_, insert, select

from protocol.errors import StorageError
from protocol.merkle import HASH_BYTES, NodeReader
from protocol.notes import SignedCheckpoint
from protocol.tiles import TILE_WIDTH, Tile, TileReader, encode_bundle, new_tiles, node_reader, parse_path, perfect_root, tiles_of
from storage.blobs import flush_folder
from storage.schema import leaves, records, tile_roots


@dataclass(frozen=True, slots=True)
class JournalLog:
    """The mirrored journal of one epoch of an issuer."""

    issuer: str
    epoch: int

    @property
    def name(self) -> str:
        """Give the name under which hashes of full tiles are kept."""
        return f"{self.issuer}/{self.epoch}"

    def hashes(self, start: int, end: int) -> Select[bytes]:
        """Give the query for leaf hashes [start, end) in order."""
        mine = and_(records.c.issuer == self.issuer, records.c.epoch == self.epoch)
        return select(records.c.leaf).where(mine, records.c.position >= start, records.c.position < end).order_by(records.c.position)

    def entries(self, connection: Connection, start: int, end: int) -> list[bytes]:
        """Give the leaves [start, end): signed records, whole."""
        mine = and_(records.c.issuer == self.issuer, records.c.epoch == self.epoch)
        query = select(records.c.data).where(mine, records.c.position >= start, records.c.position < end)
        return [bytes(data) for data in connection.execute(query.order_by(records.c.position)).scalars()]


@dataclass(frozen=True, slots=True)
class PortLog:
    """The hub's own log."""

    name: str = "port"

    def hashes(self, start: int, end: int) -> Select[bytes]:
        """Give the query for leaf hashes [start, end) in order."""
        return select(leaves.c.leaf).where(leaves.c.position >= start, leaves.c.position < end).order_by(leaves.c.position)

    def entries(self, connection: Connection, start: int, end: int) -> list[bytes]:
        """Give the leaves [start, end): signed records, whole."""
        return port_entries(connection, start, end)


Log = JournalLog | PortLog


def tile_reader(connection: Connection, log: Log) -> TileReader:
    """Give a reader of hash tiles; it remembers what it read, so keep it no longer than the transaction."""
    known: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        if (level, index) not in known:
            known[level, index] = b"".join(_tile_hashes(connection, log, level, index))
        return known[level, index]

    return read


def reader(connection: Connection, log: Log) -> NodeReader:
    """Give a node reader for proofs; keep it no longer than the transaction."""
    return node_reader(tile_reader(connection, log))


def _tile_hashes(connection: Connection, log: Log, level: int, index: int) -> Iterator[bytes]:
    start, end = index * TILE_WIDTH, (index + 1) * TILE_WIDTH
    if level == 0:
        query = log.hashes(start, end)
    else:
        mine = and_(tile_roots.c.log == log.name, tile_roots.c.level == level)
        query = select(tile_roots.c.hash).where(mine, tile_roots.c.index >= start, tile_roots.c.index < end).order_by(tile_roots.c.index)
    return (bytes(value) for value in connection.execute(query).scalars())


def keep_tile_roots(connection: Connection, log: Log, old: int, new: int, added: Sequence[bytes] = ()) -> None:
    """Keep the hash of every tile that a log grown from `old` to `new` leaves has filled; the leaves are there already.

    `added`: the leaf hashes from `old` on, where the caller has them; a tile that they fill alone is not read again.
    """
    level, first = 0, old
    while old // TILE_WIDTH < new // TILE_WIDTH:
        old, new = old // TILE_WIDTH, new // TILE_WIDTH
        for index in range(old, new):
            at = index * TILE_WIDTH - first
            known = list(added[at : at + TILE_WIDTH]) if level == 0 and at >= 0 else []
            root = perfect_root(known if len(known) == TILE_WIDTH else list(_tile_hashes(connection, log, level, index)))
            row = {"log": log.name, "level": level + 1, "index": index, "hash": root}
            connection.execute(insert(tile_roots).values(row))
        level += 1


def make_tile(connection: Connection, tile: Tile, log: Log | None = None) -> bytes:
    """Give the bytes of a tile or entry bundle of a log (None: the port log); raise StorageError when the log is not that long."""
    log = log or PortLog()
    if tile.level >= 0:
        data = tile_reader(connection, log)(tile.level, tile.index)[: tile.width * HASH_BYTES]
        found = len(data) // HASH_BYTES
    else:
        entries = log.entries(connection, tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width)
        data, found = encode_bundle(entries), len(entries)
    if found != tile.width:
        raise StorageError(f"the log has {found} of {tile.width} entries", where=tile.path())
    return data


def port_entries(connection: Connection, start: int, end: int) -> list[bytes]:
    """Give the port log's leaves [start, end): signed records, whole."""
    same = and_(leaves.c.issuer == records.c.issuer, leaves.c.epoch == records.c.epoch, leaves.c.record_position == records.c.position)
    query = select(records.c.data).select_from(leaves.join(records, same)).where(leaves.c.position >= start, leaves.c.position < end)
    return [bytes(data) for data in connection.execute(query.order_by(leaves.c.position)).scalars()]


@dataclass(frozen=True, slots=True)
class LogFolder:
    """The published log: `<root>/checkpoint` and `<root>/tile/...` as in C2SP tlog-tiles; `<root>/witnessed`: with a quorum."""

    root: Path

    def checkpoint(self) -> bytes | None:
        """Give the published checkpoint, None before the first."""
        try:
            return (self.root / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None

    def published(self) -> int:
        """Give the size of the published checkpoint."""
        note = self.checkpoint()
        return SignedCheckpoint.parse(note).checkpoint.size if note is not None else 0

    def tile(self, path: str) -> bytes | None:
        """Give a tile's bytes, None when it is not on disk; raise MalformedError when `path` names no tile."""
        place = self.root / parse_path(path).path()  # parsed: cannot leave the folder
        try:
            return place.read_bytes()
        except FileNotFoundError:
            return None

    def witnessed(self) -> bytes | None:
        """Give the newest checkpoint that a quorum of witnesses cosigned, None before the first."""
        try:
            return (self.root / "witnessed").read_bytes()
        except FileNotFoundError:
            return None

    def publish_witnessed(self, checkpoint: bytes) -> None:
        """Put the newest witnessed checkpoint in place, flushed; raise StorageError when a larger one stands there."""
        before = self.witnessed()
        old = SignedCheckpoint.parse(before).checkpoint if before is not None else None
        new = SignedCheckpoint.parse(checkpoint).checkpoint
        if old and (old.size > new.size or (old.size == new.size and old.root != new.root)):
            raise StorageError(f"size {old.size} is witnessed, this is another tree of {new.size}", where=str(self.root))
        write_whole(self.root / "witnessed", checkpoint)

    def publish(self, connection: Connection, size: int, checkpoint: bytes) -> None:
        """Write what a log of `size` adds to what is published, flushed, and then its checkpoint.

        Raises StorageError when a larger checkpoint, or another one of this size, was published before: this database is not the
        one that published it.
        """
        before = self.checkpoint()
        old = SignedCheckpoint.parse(before).checkpoint if before is not None else None
        new = SignedCheckpoint.parse(checkpoint).checkpoint
        if new.size != size or (old and (old.size > size or (old.size == size and old.root != new.root))):
            published = f"size {old.size}" if old else "nothing"
            raise StorageError(f"{published} is published, this is another tree of {new.size}", where=str(self.root))
        self.write_tiles(connection, old.size if old else 0, size)
        write_whole(self.root / "checkpoint", checkpoint)

    def write_tiles(self, connection: Connection, old: int, new: int) -> None:
        """Write hash tiles and entry bundles of a log grown from `old` to `new`, flushed; drop partial ones that are now full."""
        read = tile_reader(connection, PortLog())
        for tile in new_tiles(old, new):
            data = read(tile.level, tile.index)[: tile.width * HASH_BYTES]
            if len(data) != tile.width * HASH_BYTES:
                raise StorageError("the database lacks leaves of its own log", where=tile.path())
            self._write(tile, data)
            if tile.level == 0:
                bundle = Tile(-1, tile.index, tile.width)
                self._write(bundle, make_tile(connection, bundle))

    def check(self, connection: Connection, size: int) -> Iterator[str]:
        """Name every tile on disk that is missing or differs from what the database gives."""
        for tile in tiles_of(size):
            for each in (tile, Tile(-1, tile.index, tile.width)) if tile.level == 0 else (tile,):
                if self.tile(each.path()) != make_tile(connection, each):
                    yield each.path()

    def _write(self, tile: Tile, data: bytes) -> None:
        write_whole(self.root / tile.path(), data)
        if tile.width == TILE_WIDTH:
            _drop_partials(self.root / f"{tile.path()}.p")


def _drop_partials(folder: Path) -> None:
    if folder.is_dir():
        for partial in folder.iterdir():
            partial.unlink()
        folder.rmdir()


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place whole and flushed, with its folders; raise StorageError when the disk refuses."""
    staged = path.parent / f".{uuid.uuid4().hex}"
    try:
        _make_folder(path.parent)
        with staged.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise StorageError(error.strerror or type(error).__name__, where=str(path)) from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_folder(folder.parent)
