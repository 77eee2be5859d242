"""Make what is attacked: a port's day as bundle, other bundles to take from, a box's folder, a log, and the loot of each level.

STAGE/
  bundle/  other/  impostor/     exported tasks: the one attacked, another day of the same port, an invented port of the same names
  trust.json  trust-witnessed.json      what a verifier has from outside; the second asks for an outside witness
  box/  log/                     a box's state folder (with an older image of its disk), a log of a few leaves
  loot/                          what each level of attacker owns
"""

import asyncio
import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from edge.journal import Box, Entry, Journal
from protocol import kinds
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS, Instant
from protocol.notes import COSIGNATURE, NoteKey
from protocol.signatures import P256Signer
from simulators.adversary.days import WITNESS, DayPort, ImpostorPort, worked
from simulators.adversary.logs import make_log
from simulators.adversary.premises import make_hub
from simulators.cases import Case, write_case
from simulators.evidence import EPOCH_NS, MemoryPort, fixed_ed25519, fixed_p256, sample_fields
from simulators.films import Film, film
from storage.files import SegmentFolder
from storage.spool import BlobRow, Spool

OTHER_DAYS = 100


def make_stage(folder: Path, seed: int = 1) -> Path:
    """Make a stage; the same seed gives the same evidence. Raises StorageError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seed").write_text(str(seed))
    port = worked(DayPort(folder / ".blobs", seed=seed, witnessed=True))
    case = _bundle(port, folder / "bundle")
    (folder / "chain.pem").write_bytes(b"".join(one.pem() for one in port.chain))
    _bundle(worked(DayPort(folder / ".blobs", seed=seed + OTHER_DAYS, known=port.chain)), folder / "other")
    _bundle(worked(ImpostorPort(folder / ".blobs", seed=seed)), folder / "impostor")
    witness = NoteKey(WITNESS, COSIGNATURE, fixed_ed25519(7).public)
    (folder / "trust.json").write_bytes(case.trust.encode())
    (folder / "trust-witnessed.json").write_bytes(replace(case.trust, witnesses=(witness,), quorum=1).encode())
    _loot(folder / "loot", port)
    make_log(folder / "log", folder)
    make_box(folder)
    asyncio.run(make_hub(folder))
    shutil.rmtree(folder / ".blobs")
    return folder


def _bundle(port: MemoryPort, folder: Path) -> Case:
    return write_case(port, folder)


def _loot(folder: Path, port: MemoryPort) -> None:
    """Keep the keys that the levels own: the log's, and the session key of each box's last epoch."""
    folder.mkdir(exist_ok=True)
    sessions = {name: box.session.key.private_bytes_raw().hex() for name, box in port.boxes.items()}
    keys = {"log": port.log.signer.key.private_bytes_raw().hex(), "sessions": sessions}
    (folder / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")


@dataclass(slots=True)
class _Told:
    """A clock that stands still until it is moved."""

    mono_ns: int = 1000 * SECOND_NS

    def now(self) -> Instant:
        return Instant(EPOCH_NS + self.mono_ns, self.mono_ns, "synced", 5)

    def monotonic_ns(self) -> int:
        return self.mono_ns


def make_box(stage: Path) -> None:
    """Make a box's state folder with three recorded segments, and an image of its disk from before the last two."""
    state, clock = stage / "box", _Told()
    state.mkdir(parents=True)
    spool = Spool(state / "spool.db")
    spool.open()
    folder = SegmentFolder(state / "segments")
    journal = Journal(spool, Box(BoxId("box-1"), identity(), b"boot", "simulated"), clock)
    journal.start()
    journal.append([Entry("box-1/cam-1", kinds.Recording("started", "configured", "rtsp", 0, clock.mono_ns))])
    for number in range(4):
        _record(journal, folder, clock, number)
        if number == 1:
            spool.close()
            shutil.copytree(state, stage / "box-image")
            spool.open()
    journal.append([Entry("box-1/cam-1", kinds.Recording("stopped", "configured", "rtsp", 4, clock.mono_ns))], seal="shutdown")
    spool.close()


def identity() -> P256Signer:
    """Give the identity key of the stage's box."""
    return fixed_p256(10)


def _record(journal: Journal, folder: SegmentFolder, clock: _Told, number: int) -> None:
    start, data = clock.now(), film(1, Film(seconds=1, picture_bytes=40), number=number)
    file = folder.create("cam-1", number)
    file.append(data)
    file.flush()
    file.close()
    clock.mono_ns += 10 * SECOND_NS
    digest = hashlib.sha256(data).digest()
    body = kinds.Segment(
        number, digest, len(data), start.mono_ns, clock.mono_ns, start.wall_ns, 0, 0, 25, None, "live", **sample_fields(data)
    )
    row = BlobRow(digest, "box-1/cam-1", number, len(data), "[]", start.wall_ns, start.mono_ns)
    journal.append([Entry("box-1/cam-1", body, row)], seal="interval")
