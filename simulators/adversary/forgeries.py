"""Forge with what a box's owner has: the session key in use. Journals are written anew from the forged record on, seals too."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import bundle, kinds
from protocol.errors import MalformedError
from protocol.journals import origin
from protocol.notes import Checkpoint, sign_checkpoint
from protocol.records import Record, SignedRecord, read
from protocol.signatures import Ed25519Signer
from simulators.adversary.attacks import Attack, Strike, verify
from simulators.adversary.bags import Bag
from simulators.adversary.reels import Reel
from simulators.evidence import sample_fields

BOX = "box-1"


def session_key(strike: Strike) -> Ed25519Signer:
    """Give the stolen session key of the box."""
    keys = json.loads((strike.stage / "loot/keys.json").read_text())
    return Ed25519Signer.of(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["sessions"][BOX])))


def _rewrite(strike: Strike, edit: Callable[[list[Record]], list[Record]]) -> None:
    """Change the records of a journal range and sign anew all from the first change on."""
    bag, name = Bag(strike.folder), bundle.journal_name(BOX, 0)
    place = bundle.JournalRange.parse(bag.read(bundle.journal_name(BOX, 0, "range")))
    old = [read(data) for data in bundle.parse_records(bag.read(name))]
    frontier, signer = place.frontier(), session_key(strike)
    out: list[SignedRecord] = []
    is_forged = False
    for at, record in enumerate(edit([one.record for one in old])):
        is_forged = is_forged or at >= len(old) or record is not old[at].record
        signed = _sign(record, frontier.size, frontier.root(), signer) if is_forged else old[at]
        frontier.append(signed.leaf)
        out.append(signed)
    bag.write(name, bundle.encode_records(one.data for one in out))
    bag.rewrap()


def _sign(record: Record, position: int, root: bytes, signer: Ed25519Signer) -> SignedRecord:
    body = record.body
    if isinstance(body, kinds.Seal):
        body = replace(body, note=sign_checkpoint(Checkpoint(origin(record.issuer.name, record.epoch), position, root), signer))
    return replace(record, position=position, root=root, body=body).sign(signer)


def _segment(records: list[Record], number: int) -> int:
    return next(at for at, one in enumerate(records) if isinstance(one.body, kinds.Segment) and one.body.number == number)


def forge_past(strike: Strike) -> None:
    """Put other pictures into a segment that was sealed, and sign its record, all later ones and their seals anew."""
    bag = Bag(strike.folder)
    name = bag.first_video(f"{BOX}/cam-1")
    parsed = bundle.parse_video(name)
    if parsed is None:
        raise MalformedError("is no segment", where=name)
    reel = Reel.read(bag.read(name))
    for frame in reel.pictures.frames:
        frame.data = frame.data[:6] + bytes(len(frame.data) - 6)
    data = reel.encode()
    bag.write(name, data)

    def edit(records: list[Record]) -> list[Record]:
        at = _segment(records, parsed[1])
        facts = {"sha256": hashlib.sha256(data).digest(), "size": len(data), **sample_fields(data)}
        forged = replace(records[at].body, **facts)
        beats = [number for number, one in enumerate(records[:at]) if isinstance(one.body, kinds.Heartbeat)]
        half = len(data) // 2
        beat = records[beats[-1]].body
        if isinstance(beat, kinds.Heartbeat):
            bound = replace(beat.open[0], size=half, sha256=hashlib.sha256(data[:half]).digest())
            records = [*records[: beats[-1]], replace(records[beats[-1]], body=kinds.Heartbeat((bound,))), *records[beats[-1] + 1 :]]
        return [*records[:at], replace(records[at], body=forged), *records[at + 1 :]]

    _rewrite(strike, edit)


def forge_gap(strike: Strike) -> None:
    """Say that a segment was never recorded: a gap in its place, signed as the box signs."""
    bag = Bag(strike.folder)
    name = bag.first_video(f"{BOX}/cam-1")
    parsed = bundle.parse_video(name)
    bag.drop(name)

    def edit(records: list[Record]) -> list[Record]:
        at = _segment(records, parsed[1] if parsed else 0)
        body = records[at].body
        if not isinstance(body, kinds.Segment):
            raise MalformedError("is no segment", where=name)
        gap = kinds.Gap("camera lost", body.wall_from, body.wall_to, body.mono_from, body.mono_to)
        return [*records[:at], replace(records[at], body=gap), *records[at + 1 :]]

    _rewrite(strike, edit)


def forge_tail(strike: Strike) -> None:
    """Write a journal anew without its last minute, and seal it as if nothing had followed."""

    def edit(records: list[Record]) -> list[Record]:
        seals = [at for at, one in enumerate(records) if isinstance(one.body, kinds.Seal)]
        return [*records[: seals[-3]], replace(records[seals[-3]], at=records[-1].at)]

    _rewrite(strike, edit)


def forge_copy(strike: Strike) -> None:
    """Append a record in the box's name behind the journal's last seal."""

    def edit(records: list[Record]) -> list[Record]:
        last = records[-1]
        return [*records, replace(last, subject=BOX, body=kinds.BoxState("door", "was open"))]

    _rewrite(strike, edit)


def forge_without_key(strike: Strike) -> None:
    """Sign a forged record with a key of one's own."""
    bag, name = Bag(strike.folder), bundle.journal_name(BOX, 0)
    found = [read(data) for data in bundle.parse_records(bag.read(name))]
    mine = Ed25519Signer.of(ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"thief").digest()))
    at = len(found) // 2
    found[at] = replace(found[at].record, at=found[at + 1].record.at).sign(mine)
    bag.write(name, bundle.encode_records(one.data for one in found))
    bag.rewrap()


_HOUR = "what was never sealed into any log: at most the hour of the key, and only until the next seal is logged"
_LOGGED = "is in no journal range shown"

ATTACKS = (
    Attack("forge-past", "bundle", "the box", forge_past, (verify(_LOGGED),), _HOUR),
    Attack("forge-gap", "bundle", "the box", forge_gap, (verify(_LOGGED),), _HOUR),
    Attack("forge-tail", "bundle", "the box", forge_tail, (verify(_LOGGED),), _HOUR),
    Attack("forge-record", "bundle", "the box", forge_copy, (verify("does not end with a seal that the port log holds"),), _HOUR),
    Attack("forge-without-key", "bundle", "a copy", forge_without_key, (verify("signature does not hold under key"),)),
)
