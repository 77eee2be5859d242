"""Attack a box's state folder: its segment files, its spool, its whole disk set back to an older image."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from protocol.errors import MalformedError
from protocol.identifiers import BoxId
from protocol.merkle import Frontier, leaf_hash
from simulators.adversary.attacks import Attack, Sign, Strike

BOX = BoxId("box-1")


@contextmanager
def _spool(strike: Strike) -> Iterator[sqlite3.Connection]:
    path = strike.folder / "spool.db"
    if not path.is_file():
        raise MalformedError("holds no spool.db: is no box's state folder", where=str(strike.folder))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        yield database


def _files(strike: Strike) -> list[str]:
    return sorted(path.relative_to(strike.folder).as_posix() for path in (strike.folder / "segments").rglob("*.mp4"))


def edit_file(strike: Strike) -> None:
    """Change one bit of a segment's file on the box."""
    path = strike.folder / strike.draw.choice(_files(strike))
    data = bytearray(path.read_bytes())
    data[strike.draw.randrange(len(data))] ^= 1 << strike.draw.randrange(8)
    path.write_bytes(data)


def drop_file(strike: Strike) -> None:
    """Delete a segment's file on the box."""
    (strike.folder / strike.draw.choice(_files(strike))).unlink()


def swap_files(strike: Strike) -> None:
    """Exchange the files of two segments."""
    one, two = (strike.folder / name for name in _files(strike)[:2])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def edit_record(strike: Strike) -> None:
    """Change one bit of a record in the spool."""
    with _spool(strike) as spool:
        epoch, position, data = _some_record(spool, strike)
        spoilt = bytearray(data)
        spoilt[strike.draw.randrange(len(spoilt))] ^= 1 << strike.draw.randrange(8)
        spool.execute("UPDATE records SET data = ? WHERE epoch = ? AND position = ?", (bytes(spoilt), epoch, position))


def drop_record(strike: Strike) -> None:
    """Delete a record from the spool."""
    with _spool(strike) as spool:
        epoch, position, _ = _some_record(spool, strike)
        spool.execute("DELETE FROM records WHERE epoch = ? AND position = ?", (epoch, position))


def _some_record(spool: sqlite3.Connection, strike: Strike) -> tuple[int, int, bytes]:
    rows = spool.execute("SELECT epoch, position, data FROM records WHERE position > 2 ORDER BY epoch, position").fetchall()
    epoch, position, data = strike.draw.choice(rows[:-1])
    return int(epoch), int(position), bytes(data)


def cut_tail(strike: Strike) -> None:
    """Delete the last records with all that knows of them, so that the box itself is consistent."""
    with _spool(strike) as spool:
        epoch, size = spool.execute("SELECT epoch, size FROM epochs ORDER BY epoch DESC LIMIT 1").fetchone()
        keep = size // 2
        rows = spool.execute("SELECT data FROM records WHERE epoch = ? AND position < ? ORDER BY position", (epoch, keep)).fetchall()
        frontier = Frontier()
        for (data,) in rows:
            frontier.append(leaf_hash(bytes(data)))
        gone = spool.execute("SELECT stream, number FROM blobs WHERE epoch = ? AND position >= ?", (epoch, keep)).fetchall()
        for stream, number in gone:
            (strike.folder / "segments" / stream.partition("/")[2] / f"{number}.mp4").unlink(missing_ok=True)
            spool.execute("UPDATE streams SET next_number = min(next_number, ?) WHERE stream = ?", (number, stream))
        for table in ("records", "sessions", "blobs"):
            spool.execute(f"DELETE FROM {table} WHERE epoch = ? AND position >= ?", (epoch, keep))  # noqa: S608 - names of ours
        spool.execute("UPDATE epochs SET size = ?, frontier = ? WHERE epoch = ?", (keep, frontier.encode(), epoch))


def roll_back(strike: Strike) -> None:
    """Set the box's whole disk back to an image that was taken earlier."""
    image = strike.stage / "box-image"
    if not image.is_dir():
        raise MalformedError("no older image of the disk stands there", where=str(image))
    shutil.rmtree(strike.folder)
    shutil.copytree(image, strike.folder)


def wipe(strike: Strike) -> None:
    """Empty the box's disk, so that it begins again as if it were new."""
    for path in strike.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def fsck(reason: str) -> Sign:
    """Expect `portwitness-edge fsck` to say so."""
    return Sign("portwitness-edge fsck", reason)


def hub(reason: str) -> Sign:
    """Expect the hub to keep such a record, and to raise an alarm, when the box comes back."""
    return Sign("portwitness-hub, on contact", reason)


_AWAY = "until the next contact with the hub, a peer or a head carried by hand"
_OFF = "what the hub has already stored is not lost; what it has not is"

ATTACKS = (
    Attack("box-edit-file", "box", "the box", edit_file, (fsck("does not hash to its record"),)),
    Attack("box-drop-file", "box", "the box", drop_file, (fsck("its file is missing"),), _OFF),
    Attack("box-swap-files", "box", "the box", swap_files, (fsck("does not hash to its record"),)),
    Attack("box-edit-record", "box", "the box", edit_record, (fsck("S3 epoch"),)),
    Attack("box-drop-record", "box", "the box", drop_record, (fsck("S3 epoch"),)),
    Attack("box-cut-tail", "box", "the box", cut_tail, (hub("rollback"),), _AWAY),
    Attack("box-roll-back", "box", "the box", roll_back, (hub("rollback"),), _AWAY),
    Attack("box-wipe", "box", "the box", wipe, (hub("equivocation"),), _AWAY),
)
