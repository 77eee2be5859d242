"""Attack a hub's state folder, stopped: rows, blobs, and the whole log signed anew by its own key."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from protocol import kinds
from protocol.errors import MalformedError
from protocol.merkle import Frontier
from protocol.notes import Checkpoint, cosign, sign_checkpoint
from protocol.records import SignedRecord, read
from protocol.trust import log_origin
from simulators.adversary.attacks import Attack, Sign, Strike
from simulators.evidence import HUB, SITE
from storage.keys import load_ed25519


@contextmanager
def _database(strike: Strike) -> Iterator[sqlite3.Connection]:
    path = strike.folder / "hub.db"
    if not path.is_file():
        raise MalformedError("holds no hub.db: is no hub's state folder", where=str(strike.folder))
    with closing(sqlite3.connect(path)) as database, database:
        yield database


def edit_row(strike: Strike) -> None:
    """Change one bit of a box's record in the hub's database."""
    with _database(strike) as database:
        query = "SELECT issuer, epoch, position, data FROM records WHERE issuer LIKE 'box:%' AND kind = 'segment' ORDER BY position LIMIT 1"
        issuer, epoch, position, data = database.execute(query).fetchone()
        spoilt = bytearray(data)
        spoilt[strike.draw.randrange(len(spoilt))] ^= 1 << strike.draw.randrange(8)
        values = (bytes(spoilt), issuer, epoch, position)
        database.execute("UPDATE records SET data = ? WHERE issuer = ? AND epoch = ? AND position = ?", values)


def withhold_row(strike: Strike) -> None:
    """Delete a box's record from the hub's database and deny that it came."""
    with _database(strike) as database:
        query = "SELECT issuer, epoch, position FROM records WHERE issuer LIKE 'box:%' AND kind = 'segment' ORDER BY position LIMIT 1"
        database.execute("DELETE FROM records WHERE (issuer, epoch, position) = (?, ?, ?)", database.execute(query).fetchone())


def _blobs(strike: Strike) -> list[str]:
    found = (path for path in (strike.folder / "blobs").rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(path.relative_to(strike.folder).as_posix() for path in found)


def edit_blob(strike: Strike) -> None:
    """Change one bit of a stored video."""
    path = strike.folder / _blobs(strike)[0]
    data = bytearray(path.read_bytes())
    data[strike.draw.randrange(len(data))] ^= 1 << strike.draw.randrange(8)
    path.chmod(0o644)
    path.write_bytes(data)


def drop_blob(strike: Strike) -> None:
    """Delete a stored video."""
    (strike.folder / _blobs(strike)[0]).unlink()


def _relog(strike: Strike, change: Callable[[list[SignedRecord]], Sequence[SignedRecord]]) -> None:
    """Make the log anew in the database, as the holder of its key can, and forget what was published."""
    signer = load_ed25519(strike.folder / "keys/log.key")
    query = "SELECT r.data FROM leaves l JOIN records r ON (l.issuer, l.epoch, l.record_position) = (r.issuer, r.epoch, r.position)"
    with _database(strike) as database:
        entries = [read(data) for (data,) in database.execute(f"{query} ORDER BY l.position")]
        database.execute("DELETE FROM records WHERE issuer LIKE 'hub:%'")
        for table in ("leaves", "checkpoints"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
        frontier = Frontier()
        for entry in change(entries):
            place, record = frontier.size, entry.record
            if record.issuer.role == "hub":
                entry = replace(record, position=place, root=frontier.root()).sign(signer)
                record = entry.record
                row = (str(record.issuer), 0, place, entry.leaf, record.kind, record.subject, record.at.wall_ns, entry.data)
                database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            else:
                database.execute("UPDATE seals SET log_index = ? WHERE epoch = ? AND position = ?", (place, record.epoch, record.position))
            database.execute(
                "INSERT INTO leaves VALUES (?, ?, ?, ?, ?)", (place, entry.leaf, str(record.issuer), record.epoch, record.position)
            )
            frontier.append(entry.leaf)
        head = Checkpoint(log_origin(SITE, HUB), frontier.size, frontier.root())
        time = cosign(head.text(), f"{head.origin}/time", signer, entries[-1].record.at.wall_ns // 10**9 + 1)
        values = (head.size, head.root, frontier.encode(), sign_checkpoint(head, signer, (time,)))
        database.execute("UPDATE log_state SET size = ?, root = ?, frontier = ?, checkpoint = ?", values)
    shutil.rmtree(strike.folder / "log", ignore_errors=True)


def rewrite_log(strike: Strike) -> None:
    """Change what a logged record says, and sign the whole log anew."""

    def change(entries: list[SignedRecord]) -> list[SignedRecord]:
        at = next(at for at, one in enumerate(entries) if isinstance(one.record.body, kinds.Stored))
        forged = replace(entries[at].record, body=kinds.Stored((bytes(32),)))
        return [*entries[:at], replace(entries[at], record=forged), *entries[at + 1 :]]

    _relog(strike, change)


def roll_back_log(strike: Strike) -> None:
    """Restore the log to an earlier state and sign it."""
    _relog(strike, lambda entries: entries[:-3])


def rig_log_order(strike: Strike) -> None:
    """Move a box's enrolment behind all that the box sealed, and sign the whole log anew."""

    def change(entries: list[SignedRecord]) -> list[SignedRecord]:
        at = next(at for at, one in enumerate(entries) if isinstance(one.record.body, kinds.Enrolment))
        return [*entries[:at], *entries[at + 1 :], entries[at]]

    _relog(strike, change)


def fsck(reason: str) -> Sign:
    """Expect `portwitness-hub fsck` to say so."""
    return Sign("portwitness-hub fsck", reason)


def monitor(reason: str) -> Sign:
    """Expect `portwitness-monitor`, which looked at this hub before, to say so."""
    return Sign("portwitness-monitor", reason)


def newcomer(reason: str) -> Sign:
    """Expect a `portwitness-monitor` that never saw this hub before to say so."""
    return Sign("portwitness-monitor, first look", reason)


_DELAY = "the delay until a monitor looks; boxes keep what has no final receipt"

ATTACKS = (
    Attack("hub-edit-record", "hub", "the hub", edit_row, (fsck("S3"), newcomer("S3"))),
    Attack("hub-withhold-record", "hub", "the hub", withhold_row, (fsck("S3"), newcomer("")), _DELAY),
    Attack("hub-edit-blob", "hub", "the hub", edit_blob, (fsck("does not hash to its name"),)),
    Attack(
        "hub-drop-blob",
        "hub",
        "the hub",
        drop_blob,
        (fsck("is missing"),),
        "a video that only the hub had is lost; its record says what is missing",
    ),
    Attack("hub-rewrite-log", "hub", "the hub", rewrite_log, (monitor("has another root than what was replayed"),)),
    Attack("hub-roll-back-log", "hub", "the hub", roll_back_log, (monitor("rolled back"),)),
    Attack(
        "hub-rig-log-order", "hub", "the hub", rig_log_order, (monitor("another root"), newcomer("did not count when the log covered this"))
    ),
)
