"""Make what is attacked: a port's day as bundle, other bundles to take from, a box's folder, a log, and the loot of each level.

    STAGE/
      bundle/  other/  impostor/     exported tasks: the one attacked, another day of the same port, an invented port of the same names
      trust.json  trust-witnessed.json      what a verifier has from outside; the second asks for an outside witness
      box/  log/                     a box's state folder (with an older image of its disk), a log of a few leaves
      loot/                          what each level of attacker owns
"""

import json
from dataclasses import replace
from pathlib import Path

from protocol.notes import COSIGNATURE, NoteKey
from simulators.adversary.days import WITNESS, DayPort, ImpostorPort, worked
from simulators.cases import Case, write_case
from simulators.evidence import MemoryPort, fixed_ed25519

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
    return folder


def _bundle(port: MemoryPort, folder: Path) -> Case:
    return write_case(port, folder)


def _loot(folder: Path, port: MemoryPort) -> None:
    """Keep the keys that the levels own: the log's, and the session key of each box's last epoch."""
    folder.mkdir(exist_ok=True)
    sessions = {name: box.session.key.private_bytes_raw().hex() for name, box in port.boxes.items()}
    keys = {"log": port.log.signer.key.private_bytes_raw().hex(), "sessions": sessions}
    (folder / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")
