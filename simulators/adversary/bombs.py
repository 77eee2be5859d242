"""Feed the verifier what should break or drown it: sizes that lie, deep nesting, endless lists, archives that swell, giant texts."""

import base64
import struct
import zipfile
from pathlib import Path

from protocol import bundle
from simulators.adversary.attacks import Attack, Strike, clip, verify
from simulators.adversary.bags import Bag
from storage.bundles import plain_entry

DEEP = 100_000
LONG = 20 << 20


def _media(strike: Strike, data: bytes) -> None:
    bag = Bag(strike.folder)
    bag.write(bag.first_video(), data)
    bag.rewrap()


def _put(strike: Strike, name: str, data: bytes) -> None:
    bag = Bag(strike.folder)
    bag.write(name, data)
    bag.rewrap()


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def box_size(strike: Strike) -> None:
    """A box in a segment that says it is 2^62 bytes long."""
    _media(strike, _box(b"ftyp", b"isom\x00\x00\x02\x00isom") + struct.pack(">I4sQ", 1, b"moov", 1 << 62))


def box_nesting(strike: Strike) -> None:
    """Boxes in a segment, each inside the last, a hundred thousand deep."""
    size = 8 * DEEP
    inner = b"".join(struct.pack(">I4s", size - 8 * at, b"moov" if at % 2 == 0 else b"trak") for at in range(DEEP))
    _media(strike, _box(b"ftyp", b"isom\x00\x00\x02\x00isom") + inner)


def sample_count(strike: Strike) -> None:
    """A track run that says it has four thousand million samples."""
    bag = Bag(strike.folder)
    name = bag.first_video()
    data = bytearray(bag.read(name))
    at = data.index(b"trun") + 8
    data[at : at + 4] = b"\xff\xff\xff\xff"
    bag.write(name, bytes(data))
    bag.rewrap()


def box_flood(strike: Strike) -> None:
    """A segment of two million empty boxes."""
    _media(strike, _box(b"ftyp", b"isom\x00\x00\x02\x00isom") + _box(b"free", b"") * 2_000_000)


def long_note(strike: Strike) -> None:
    """A checkpoint of twenty megabytes."""
    bag = Bag(strike.folder)
    bag.write(bundle.CHECKPOINT, bag.read(bundle.CHECKPOINT) + b"\xe2\x80\x94 a AAAAAAAA\n" * (LONG // 16))
    bag.rewrap()


def huge_log(strike: Strike) -> None:
    """A checkpoint over a log of 10^19 leaves."""
    bag = Bag(strike.folder)
    lines = bag.read(bundle.CHECKPOINT).split(b"\n")
    lines[1] = b"9999999999999999999"
    bag.write(bundle.CHECKPOINT, b"\n".join(lines))
    bag.rewrap()


def long_proof(strike: Strike) -> None:
    """A proof of a million hashes."""
    bag = Bag(strike.folder)
    name = next(name for name in bag.names() if name.endswith(".tlog-proof"))
    head, _, checkpoint = bag.read(name).partition(b"\n\n")
    line = base64.b64encode(bytes(32)) + b"\n"
    bag.write(name, head + b"\n" + line * 400_000 + b"\n" + checkpoint)
    bag.rewrap()


def deep_cbor(strike: Strike) -> None:
    """A journal's place as lists within lists, a hundred thousand deep."""
    _put(strike, bundle.journal_name("box-1", 0, "range"), b"\x81" * DEEP + b"\x00")


def huge_cbor(strike: Strike) -> None:
    """A journal's place that promises a text of 2^63 bytes."""
    _put(strike, bundle.journal_name("box-1", 0, "range"), b"\x85\x01\x00\x9b" + b"\x7f" + b"\xff" * 7)


def huge_place(strike: Strike) -> None:
    """A journal range that says it begins at record 2^62."""
    _put(strike, bundle.journal_name("box-1", 0, "range"), bundle.JournalRange(1 << 62, (bytes(32),), b"x").encode())


def endless_records(strike: Strike) -> None:
    """A journal of five million empty records."""
    _put(strike, bundle.journal_name("box-1", 0), bytes(4) * 5_000_000)


def giant_record(strike: Strike) -> None:
    """A journal whose first record says it has four thousand million bytes."""
    bag = Bag(strike.folder)
    name = bundle.journal_name("box-1", 0)
    bag.write(name, b"\xff\xff\xff\xff" + bag.read(name))
    bag.rewrap()


def giant_certificate(strike: Strike) -> None:
    """A root certificate of twenty megabytes."""
    text = base64.encodebytes(bytes(LONG // 2))
    _put(strike, bundle.ROOT, b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n")


def many_certificates(strike: Strike) -> None:
    """Ten thousand certificates where one belongs."""
    bag = Bag(strike.folder)
    bag.write(bundle.SITE_CA, bag.read(bundle.SITE_CA) * 10_000)
    bag.rewrap()


def endless_manifest(strike: Strike) -> None:
    """A manifest of two hundred thousand files that are not there."""
    lines = b"".join(b"0" * 64 + b"  data/video/box-1/cam-1/%d.mp4\n" % at for at in range(100_000, 300_000))
    bag = Bag(strike.folder)
    bag.write(bundle.MANIFEST, lines)


def many_files(strike: Strike) -> None:
    """Five thousand small files that do not belong there."""
    folder = strike.folder / "data/video/box-1/cam-9"
    folder.mkdir(parents=True)
    for at in range(5_000):
        (folder / f"{at}.mp4").write_bytes(b"")


def proof_bomb(strike: Strike) -> None:
    """A leaf whose proof says it stands at 10^18."""
    name = f"data/log/{10**18}"
    bag = Bag(strike.folder)
    bag.write(f"{name}.tlog-proof", b"c2sp.org/tlog-proof@v1\nindex 1000000000000000000\n\nx\n")
    bag.write(f"{name}.cose", b"\xd2\x84" + b"\x58\xff" * 1000)
    bag.rewrap()


def zip_bomb(strike: Strike) -> None:
    """A zip file of a few hundred kilobytes that swells to a thousand times that."""
    with _zip(strike) as archive:
        for number in range(8):
            archive.writestr(f"case/data/{number}", bytes(50 << 20), zipfile.ZIP_DEFLATED)
        archive.writestr("case/bagit.txt", bundle.BAGIT_TEXT)


def zip_entries(strike: Strike) -> None:
    """A zip file of twenty thousand empty entries."""
    with _zip(strike) as archive:
        for number in range(20_000):
            with archive.open(plain_entry(f"case/{number}", 0, 0), "w"):
                pass


def zip_path(strike: Strike) -> None:
    """A zip file whose entries lead out of its folder."""
    with _zip(strike) as archive:
        archive.writestr("case/../../../../tmp/evil", b"x")
        archive.writestr("bagit.txt", bundle.BAGIT_TEXT)


def zip_lie(strike: Strike) -> None:
    """A zip file whose directory gives other sizes than its entries."""
    with _zip(strike) as archive:
        archive.writestr("case/bagit.txt", bundle.BAGIT_TEXT)
    path = Path(strike.folder / "bundle.zip")
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 20 : at + 28] = b"\xf0\xff\xff\xff" * 2
    path.write_bytes(data)


def _zip(strike: Strike) -> zipfile.ZipFile:
    return zipfile.ZipFile(strike.folder / "bundle.zip", "w")


_FILE = "is not the file that its record names"

ATTACKS = (
    Attack("bomb-box-size", "bundle", "a copy", box_size, (verify(_FILE), clip("does not fit"))),
    Attack("bomb-box-nesting", "bundle", "a copy", box_nesting, (verify(_FILE), clip("mvhd: missing"))),
    Attack("bomb-sample-count", "bundle", "a copy", sample_count, (verify(_FILE), clip("samples"))),
    Attack("bomb-box-flood", "bundle", "a copy", box_flood, (verify(_FILE), clip("more than 100000 boxes"))),
    Attack("bomb-long-note", "bundle", "a copy", long_note, (verify("bytes, at most", bundle.CHECKPOINT),)),
    Attack("bomb-huge-log", "bundle", "a copy", huge_log, (verify("signature does not hold under key", bundle.CHECKPOINT),)),
    Attack("bomb-long-proof", "bundle", "a copy", long_proof, (verify("hashes, at most 64", ".tlog-proof"),)),
    Attack("bomb-leaf-number", "bundle", "a copy", proof_bomb, (verify("unprotected header is not empty", f"{10**18}"),)),
    Attack("bomb-deep-cbor", "bundle", "a copy", deep_cbor, (verify("not CBOR", ".range"),)),
    Attack("bomb-huge-cbor", "bundle", "a copy", huge_cbor, (verify("not CBOR", ".range"),)),
    Attack("bomb-huge-place", "bundle", "a copy", huge_place, (verify("cose: not a tagged COSE_Sign1", "box-1-0.bin"),)),
    Attack("bomb-endless-records", "bundle", "a copy", endless_records, (verify("a record too long", "box-1-0.bin"),)),
    Attack("bomb-giant-record", "bundle", "a copy", giant_record, (verify("a record too long", "box-1-0.bin"),)),
    Attack("bomb-giant-certificate", "bundle", "a copy", giant_certificate, (verify("bytes are too long", bundle.ROOT),)),
    Attack("bomb-many-certificates", "bundle", "a copy", many_certificates, (verify("bytes are too long", bundle.SITE_CA),)),
    Attack("bomb-endless-manifest", "bundle", "a copy", endless_manifest, (verify("lists it"),)),
    Attack("bomb-many-files", "bundle", "a copy", many_files, (verify("it was added"),)),
    Attack("bomb-zip", "zip", "a copy", zip_bomb, (verify("is compressed"),)),
    Attack("bomb-zip-entries", "zip", "a copy", zip_entries, (verify("holds no file of an evidence bundle"),)),
    Attack("bomb-zip-path", "zip", "a copy", zip_path, (verify("is no name of a file in a bundle"),)),
    Attack("bomb-zip-lie", "zip", "a copy", zip_lie, (verify("its local header is not that of the directory"),)),
)
