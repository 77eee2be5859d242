"""Show a witness and a box another log than before: forks, rollbacks, lying proofs, all signed by the log's own key or another."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import bundle
from protocol.merkle import consistency_proof, leaf_hash, root_at
from protocol.notes import Checkpoint, sign_checkpoint
from protocol.signatures import Ed25519Signer
from protocol.witnessing import AddCheckpoint
from simulators.adversary.attacks import Attack, Sign, Strike
from simulators.evidence import nodes_of

ORIGIN = "portwitness.example/adversary"
HELD = 7  # leaves that witness and box have seen
REQUEST = "add-checkpoint"


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log in a folder: its leaves' bytes, and the key from the loot."""

    folder: Path
    signer: Ed25519Signer
    entries: tuple[bytes, ...]

    @classmethod
    def read(cls, folder: Path, stage: Path) -> "LogFile":
        """Read a log; its key stands among the loot."""
        keys = json.loads((stage / "loot/keys.json").read_text())
        signer = Ed25519Signer.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["log"])))
        return cls(folder, signer, tuple(bundle.parse_records((folder / "leaves.bin").read_bytes())))

    def request(self, old: int, entries: Sequence[bytes], proof: Sequence[bytes] | None = None) -> AddCheckpoint:
        """Give a witness' request for a tree of these entries."""
        nodes = nodes_of([leaf_hash(entry) for entry in entries])
        head = Checkpoint(ORIGIN, len(entries), root_at(len(entries), nodes))
        if proof is None:
            proof = consistency_proof(old, len(entries), nodes) if 0 < old <= len(entries) else []
        return AddCheckpoint(old, tuple(proof), sign_checkpoint(head, self.signer))

    def write(self, request: AddCheckpoint) -> None:
        """Leave the request that a witness shall be asked."""
        (self.folder / REQUEST).write_bytes(request.encode())


def make_log(folder: Path, stage: Path) -> LogFile:
    """Make a log of a few leaves, and the request by which witness and box come to hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaves.bin").write_bytes(bundle.encode_records(b"leaf %d" % at for at in range(HELD)))
    made = LogFile.read(folder, stage)
    made.write(made.request(0, made.entries))
    return made


def _log(strike: Strike) -> LogFile:
    return LogFile.read(strike.folder, strike.stage)


def _more(count: int, word: bytes = b"later") -> tuple[bytes, ...]:
    return tuple(b"%s %d" % (word, at) for at in range(count))


def fork(strike: Strike) -> None:
    """Sign another tree of the size that was shown before."""
    log = _log(strike)
    log.write(log.request(HELD, (*log.entries[:-2], *_more(2, b"other"))))


def fork_and_grow(strike: Strike) -> None:
    """Sign a longer tree that leaves out what was shown before, with the best proof there is."""
    log = _log(strike)
    log.write(log.request(HELD, (*log.entries[:-2], *_more(6, b"other"))))


def roll_back(strike: Strike) -> None:
    """Sign a shorter log than was shown before, as after a restored backup."""
    log = _log(strike)
    log.write(log.request(HELD - 3, log.entries[: HELD - 3]))


def rig_order(strike: Strike) -> None:
    """Exchange two leaves that were shown before, and grow."""
    log = _log(strike)
    entries = list(log.entries)
    entries[2], entries[3] = entries[3], entries[2]
    log.write(log.request(HELD, (*entries, *_more(3))))


def lie(strike: Strike) -> None:
    """Grow rightly and show a proof with one bit changed."""
    log = _log(strike)
    good = log.request(HELD, (*log.entries, *_more(5)))
    spoilt = bytes((good.proof[0][0] ^ 1,)) + good.proof[0][1:]
    log.write(log.request(HELD, (*log.entries, *_more(5)), (spoilt, *good.proof[1:])))


def withhold_proof(strike: Strike) -> None:
    """Grow rightly and show no proof."""
    log = _log(strike)
    log.write(log.request(HELD, (*log.entries, *_more(5)), ()))


def _signs(witness: str, pin: str) -> tuple[Sign, ...]:
    found = (Sign("portwitness-witness", witness),)
    return (*found, Sign("portwitness-edge, pinned checkpoint", pin)) if pin else found


_ALL = "all witnesses of the policy and the box acting together with the hub"

ATTACKS = (
    Attack("fork-log", "log", "the hub", fork, _signs("409, kept as proof", "two trees of 7"), _ALL),
    Attack("fork-log-and-grow", "log", "the hub", fork_and_grow, _signs("422", "consistency proof"), _ALL),
    Attack("roll-back-log", "log", "the hub", roll_back, _signs("409", ""), _ALL),
    Attack("rig-log-order", "log", "the hub", rig_order, _signs("422", "consistency proof"), _ALL),
    Attack("lie-about-log", "log", "the hub", lie, _signs("422", "consistency proof"), _ALL),
    Attack(
        "withhold-log-proof",
        "log",
        "the hub",
        withhold_proof,
        _signs("422", "consistency proof"),
        "a delay: nothing is cosigned or believed meanwhile",
    ),
)
