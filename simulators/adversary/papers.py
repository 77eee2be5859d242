"""Take from, exchange and strip what stands in a bundle: attacks by whoever holds a copy, without any key, manifests re-made."""

import json
import shutil
from collections.abc import Callable, Iterator

from protocol import bundle, kinds
from protocol.identifiers import BoxId
from protocol.merkle import inclusion_proof
from protocol.records import SignedRecord, read
from simulators.adversary.attacks import Attack, Strike, verify
from simulators.adversary.bags import Bag
from simulators.evidence import nodes_of


def _records(bag: Bag, name: str) -> list[SignedRecord]:
    return [read(data) for data in bundle.parse_records(bag.read(name))]


def _seals(bag: Bag, box: str) -> Iterator[tuple[int, SignedRecord]]:
    """Give (leaf, seal) of a box's seals in the port log."""
    for name in bag.names():
        leaf = bundle.parse_leaf(name)
        if leaf and leaf[1] == "cose":
            signed = read(bag.read(name))
            if signed.record.issuer.role == "box" and signed.record.issuer.name == box:
                yield leaf[0], signed


def _drop_leaf(bag: Bag, index: int) -> None:
    for part in ("cose", "tlog-proof"):
        bag.drop(bundle.leaf_name(index, part))


def _drop_videos(bag: Bag, records: list[SignedRecord]) -> None:
    for signed in records:
        if isinstance(signed.record.body, kinds.Segment):
            name = bundle.video_name(signed.record.subject, signed.record.body.number)
            if (bag.folder / name).exists():
                bag.drop(name)


def drop_segment(strike: Strike) -> None:
    """Take one segment away and list it nowhere."""
    bag = Bag(strike.folder)
    bag.drop(bag.first_video())
    bag.rewrap()


def swap_segments(strike: Strike) -> None:
    """Exchange two segments of a stream."""
    bag = Bag(strike.folder)
    one, two = bag.videos("box-1/cam-1")[1:3]
    first, second = bag.read(one), bag.read(two)
    bag.write(one, second)
    bag.write(two, first)
    bag.rewrap()


def replay_segment(strike: Strike) -> None:
    """Show one segment again in the place of a later one."""
    bag = Bag(strike.folder)
    one, two = bag.videos("box-1/cam-1")[1:3]
    bag.write(two, bag.read(one))
    bag.rewrap()


def splice_session(strike: Strike) -> None:
    """Put in a segment that the same camera really recorded on another day."""
    bag, other = Bag(strike.folder), Bag(strike.stage / "other")
    name = bag.first_video()
    bag.write(name, other.read(other.first_video()))
    bag.rewrap()


def splice_journal(strike: Strike) -> None:
    """Put in a box's journal of another day, signed by that box, with its segments."""
    bag, other = Bag(strike.folder), Bag(strike.stage / "other")
    for part in ("bin", "range"):
        name = bundle.journal_name("box-1", 0, part)
        bag.write(name, other.read(name))
    for name in bag.videos("box-1/cam-1"):
        bag.drop(name)
    for name in other.videos("box-1/cam-1"):
        bag.write(name, other.read(name))
    bag.rewrap()


def splice_box(strike: Strike) -> None:
    """Show what another box's camera recorded as this camera's."""
    bag = Bag(strike.folder)
    name = bag.first_video()
    bag.write(name, bag.read(bag.first_video("box-2/cam-2")))
    bag.rewrap()


def cut_tail(strike: Strike) -> None:
    """End a box's journal at an earlier seal of its own, and take away the segments and seals behind it."""
    bag = Bag(strike.folder)
    name = bundle.journal_name("box-1", 0)
    found = _records(bag, name)
    seals = sorted(_seals(bag, "box-1"), key=lambda one: one[1].record.position)
    last = seals[-2][1].record.position
    end = next(at for at, one in enumerate(found) if one.record.position == last) + 1
    bag.write(name, bundle.encode_records(one.data for one in found[:end]))
    _drop_videos(bag, found[end:])
    _drop_leaf(bag, seals[-1][0])
    bag.rewrap()


def cut_head(strike: Strike) -> None:
    """Begin a box's journal later, in the middle of the task: proofs of its place can be made by anybody."""
    bag, box = Bag(strike.folder), "box-2"
    for name in [name for name in bag.names() if (parsed := bundle.parse_journal(name)) and parsed[:2] == (BoxId(box), 0)]:
        if name.endswith(".bin"):
            _drop_videos(bag, _records(bag, name))
        bag.drop(name)
    name = bundle.journal_name(box, 1)
    found = _records(bag, name)
    first = next(at for at, one in enumerate(found) if isinstance(one.record.body, kinds.Seal))
    session = next(at for at, one in enumerate(found) if isinstance(one.record.body, kinds.Session))
    nodes = nodes_of([one.leaf for one in found[:first]])
    place = bundle.JournalRange(
        first, tuple(_left(first, [one.leaf for one in found])), found[session].data, tuple(inclusion_proof(session, first, nodes))
    )
    bag.write(name, bundle.encode_records(one.data for one in found[first:]))
    bag.write(bundle.journal_name(box, 1, "range"), place.encode())
    _drop_videos(bag, found[:first])
    for index, seal in list(_seals(bag, box)):
        if (seal.record.epoch, seal.record.position) < (1, first):
            _drop_leaf(bag, index)
    bag.rewrap()


def _left(size: int, leaves: list[bytes]) -> Iterator[bytes]:
    nodes, at = nodes_of(leaves), 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            yield nodes(level, at >> level)
            at += 1 << level


def drop_record(strike: Strike) -> None:
    """Take one record out of a journal."""
    bag = Bag(strike.folder)
    name = bundle.journal_name("box-1", 0)
    found = _records(bag, name)
    del found[len(found) // 2]
    bag.write(name, bundle.encode_records(one.data for one in found))
    bag.rewrap()


def swap_records(strike: Strike) -> None:
    """Exchange two records of a journal."""
    bag = Bag(strike.folder)
    name = bundle.journal_name("box-1", 0)
    found = _records(bag, name)
    at = len(found) // 2
    found[at], found[at + 1] = found[at + 1], found[at]
    bag.write(name, bundle.encode_records(one.data for one in found))
    bag.rewrap()


def edit_text(strike: Strike) -> None:
    """Write another container number into the task's summary."""
    bag = Bag(strike.folder)
    summary = json.loads(bag.read(bundle.SUMMARY))
    summary["facts"]["container"] = "TESU7654321"
    bag.write(bundle.SUMMARY, (json.dumps(summary, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode())
    bag.rewrap()


def edit_statement(strike: Strike) -> None:
    """Write another container number into the hub's signed record of the task."""
    bag = Bag(strike.folder)
    for name in bag.names():
        if name.endswith(".cose") and b"TESU1234567" in bag.read(name):
            bag.write(name, bag.read(name).replace(b"TESU1234567", b"TESU7654321"))
    bag.rewrap()


def strip_proofs(strike: Strike) -> None:
    """Take away every proof that a record is in the port log."""
    _strip(strike, lambda name: name.endswith(".tlog-proof"))


def strip_records(strike: Strike) -> None:
    """Take away every journal and every record; leave the videos."""
    _strip(strike, lambda name: name.startswith(("data/journals/", "data/log/")))


def strip_times(strike: Strike) -> None:
    """Take away every earlier checkpoint and its proof, so that no time before the export is shown."""
    _strip(strike, lambda name: name.startswith("data/log/seen-"))


def strip_everything(strike: Strike) -> None:
    """Leave the videos alone, without a word about them."""
    bag = Bag(strike.folder)
    for name in bag.names():
        if not bundle.parse_video(name):
            bag.drop(name)


def _strip(strike: Strike, is_gone: Callable[[str], bool]) -> None:
    bag = Bag(strike.folder)
    for name in [name for name in bag.names() if is_gone(name)]:
        bag.drop(name)
    bag.rewrap()


def swap_roots(strike: Strike) -> None:
    """Bring certificates of another authority, in the hope that the bundle's own are believed."""
    bag, other = Bag(strike.folder), Bag(strike.stage / "impostor")
    for name in (bundle.ROOT, bundle.SITE_CA):
        bag.write(name, other.read(name))
    bag.rewrap()


def swap_bundle(strike: Strike) -> None:
    """Hand over a bundle of an invented port, whole and valid under its own keys."""
    shutil.rmtree(strike.folder)
    shutil.copytree(strike.stage / "impostor", strike.folder)


def add_file(strike: Strike) -> None:
    """Add a document to the evidence, and list it."""
    bag = Bag(strike.folder)
    bag.write("data/confession.pdf", b"%PDF-1.7\n")
    bag.rewrap()


_BARE = "videos alone prove nothing; who has the bundle can still judge each by --clip, who has the hub by its hash"
_PLACE = "is in no journal range shown"

ATTACKS = (
    Attack("drop-segment", "bundle", "a copy", drop_segment, (verify("missing: its record is in the journal"),)),
    Attack("swap-segments", "bundle", "a copy", swap_segments, (verify("is not the file that its record names"),)),
    Attack("replay-segment", "bundle", "a copy", replay_segment, (verify("is not the file that its record names"),)),
    Attack("splice-session", "bundle", "a copy", splice_session, (verify("is not the file that its record names"),)),
    Attack("splice-journal", "bundle", "a copy", splice_journal, (verify(_PLACE),)),
    Attack("splice-box", "bundle", "a copy", splice_box, (verify("is not the file that its record names"),)),
    Attack("cut-tail", "bundle", "a copy", cut_tail, (verify("belongs to the task until"),)),
    Attack("cut-head", "bundle", "a copy", cut_head, (verify("belongs to the task from"),)),
    Attack("drop-record", "bundle", "a copy", drop_record, (verify("expected position", "box-1-0.bin"),)),
    Attack("swap-records", "bundle", "a copy", swap_records, (verify("expected position", "box-1-0.bin"),)),
    Attack("edit-text", "bundle", "a copy", edit_text, (verify("is not what the records shown give", "data/task.json"),)),
    Attack("edit-statement", "bundle", "a copy", edit_statement, (verify("signature does not hold under key", ".cose"),)),
    Attack("strip-proofs", "bundle", "a copy", strip_proofs, (verify("missing", ".tlog-proof"),)),
    Attack("strip-records", "bundle", "a copy", strip_records, (verify("missing", "data/log/checkpoint"),)),
    Attack("strip-times", "bundle", "a copy", strip_times, (verify("is not the manifest that the export record names"),)),
    Attack("strip-everything", "bundle", "a copy", strip_everything, (verify("holds no file of an evidence bundle"),), _BARE),
    Attack(
        "swap-roots",
        "bundle",
        "a copy",
        swap_roots,
        (verify("is not the trusted root's"),),
        "who takes the root from the bundle itself is deceived",
    ),
    Attack(
        "swap-bundle",
        "bundle",
        "a copy",
        swap_bundle,
        (verify("is not the trusted root's"),),
        "who takes the trust file from the bundle's giver is deceived",
    ),
    Attack("add-file", "bundle", "a copy", add_file, (verify("it was added"),)),
)
