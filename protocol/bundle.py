"""Lay out an exported task, or streams over a time (证据包): names of files, manifests, ranges and proofs, as pure bytes.

    case-<task>/
      bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt  README.txt        transport (RFC 8493)
      data/evidence-sha256.txt                    the evidence, by hash; its own hash stands in the export record
      data/video/<box>/<source>/<number>.mp4      original bytes; .c2pa beside it: a C2PA manifest of the hub's export signer
      data/journals/<box>-<epoch>.bin, .range     a contiguous range of the box's records, and where it stands in its tree
      data/log/<index>.cose, .tlog-proof          leaves of the port log: task, orders, enrolment, seals, export
      data/log/<index>.opening                    salt and body of a leaf that holds but their hash (`protocol.concealing`)
      data/log/seen-<size>.consistency            that a checkpoint named by a box or stamped is of the same log
      data/log/seen-<size>.checkpoint             that checkpoint as it was published, with the times of those who cosigned it
      data/log/checkpoint                         the signed head that every proof leads to
      data/log/policy.txt                         which outside witnesses the hub asks for (c2sp.org/tlog-policy); a claim
      data/time/<index>.tsr, .txt                 the RFC 3161 token of a leaf as stock tools read it, and what it stamps
      data/trust/root.pem, site-ca.pem            claims, matched with trust from outside
      data/trust/export.pem, crl.pem, time-authorities.pem        more of them, where the hub has them
      data/task.json, custody.csv, clock.json     summaries, recomputed by the verifier
      verify.html                                 the verifier as a page; better taken from outside, like the trust file
      report.json, report.html, report.pdf        the verdict for people, made at export: derived, no evidence
    case-<task>.p7s                               CMS over tagmanifest-sha256.txt by the hub's export key
    case-<task>.tsr                               RFC 3161 token over the .p7s

Every format has one spelling only, so that no bit can be changed without it showing.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protocol import canonical
from protocol.errors import MalformedError
from protocol.identifiers import BoxId, StreamId
from protocol.instants import iso
from protocol.merkle import HASH_BYTES, Frontier

BAGIT = "bagit.txt"
BAG_INFO = "bag-info.txt"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
README = "README.txt"
EVIDENCE = "data/evidence-sha256.txt"
CHECKPOINT = "data/log/checkpoint"
ROOT = "data/trust/root.pem"
SITE_CA = "data/trust/site-ca.pem"
POLICY = "data/log/policy.txt"
EXPORTER = "data/trust/export.pem"
CRL = "data/trust/crl.pem"
TIME_AUTHORITIES = "data/trust/time-authorities.pem"
SUMMARY = "data/task.json"
CUSTODY = "data/custody.csv"
CLOCK = "data/clock.json"
FIXED = (BAGIT, BAG_INFO, MANIFEST, TAG_MANIFEST, README, EVIDENCE, CHECKPOINT, POLICY, ROOT, SITE_CA, SUMMARY, CUSTODY, CLOCK)
OPTIONAL = (EXPORTER, CRL, TIME_AUTHORITIES)
PAGE = "verify.html"
REPORT_JSON, REPORT_HTML, REPORT_PDF = "report.json", "report.html", "report.pdf"
READABLE = (PAGE, REPORT_JSON, REPORT_HTML, REPORT_PDF)  # made once the evidence is closed; tag files, where there are any
BESIDE = "../"  # before the names of files that stand beside the folder
BAGIT_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MAX_NAME = 160
MAX_RECORDS = 4_000_000
_PART = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
_NUMBER = r"(?:0|[1-9][0-9]{0,18})"
_VIDEO = re.compile(rf"data/video/({_PART})/({_PART})/({_NUMBER})\.mp4")
_SIDECAR = re.compile(rf"data/video/({_PART})/({_PART})/({_NUMBER})\.c2pa")
_TOKEN = re.compile(rf"data/time/({_NUMBER})\.(tsr|txt)")
_BESIDE = re.compile(r"\.\./[A-Za-z0-9](?:[A-Za-z0-9.-]{0,100}[A-Za-z0-9])?\.(p7s|tsr)")
_JOURNAL = re.compile(rf"data/journals/({_PART})-({_NUMBER})\.(bin|range)")
_LEAF = re.compile(rf"data/log/({_NUMBER})\.(cose|tlog-proof|opening)")
_SEEN = re.compile(rf"data/log/seen-({_NUMBER})\.consistency")
_NOTE = re.compile(rf"data/log/seen-({_NUMBER})\.checkpoint")
_LINE = re.compile(r"([0-9a-f]{64})  ([\x21-\x7e]{1,160})")
_PROOF_HEAD = "c2sp.org/tlog-proof@v1"


def video_name(stream: str, number: int) -> str:
    """Name a segment's file."""
    return f"data/video/{stream}/{number}.mp4"


def sidecar_name(video: str) -> str:
    """Name the C2PA manifest beside a segment's file."""
    return f"{video.removesuffix('.mp4')}.c2pa"


def token_name(index: int, part: str = "tsr") -> str:
    """Name the file of a leaf's time-stamp token (`tsr`), or of what it stamps (`txt`)."""
    return f"data/time/{index}.{part}"


def folder_name(task: str) -> str:
    """Name the bundle's folder."""
    return f"case-{task}"


def beside_name(folder: str, part: str) -> str:
    """Name the signature (`p7s`) beside a bundle's folder, or the token over it (`tsr`), as seen from inside the folder."""
    return f"{BESIDE}{folder}.{part}"


def journal_name(box: str, epoch: int, part: str = "bin") -> str:
    """Name a journal range's file (`bin` or `range`)."""
    return f"data/journals/{box}-{epoch}.{part}"


def leaf_name(index: int, part: str = "cose") -> str:
    """Name the file of a port log leaf (`cose`), of its proof (`tlog-proof`), or of what it conceals (`opening`)."""
    return f"data/log/{index}.{part}"


def seen_name(size: int) -> str:
    """Name the file of a consistency proof."""
    return f"data/log/seen-{size}.consistency"


def note_name(size: int) -> str:
    """Name the file of an earlier checkpoint."""
    return f"data/log/seen-{size}.checkpoint"


def parse_video(name: str) -> tuple[StreamId, int] | None:
    """Read a segment's file name; None when it is another."""
    found = _VIDEO.fullmatch(name)
    return (StreamId.of(found[1], found[2]), int(found[3])) if found else None


def parse_sidecar(name: str) -> str | None:
    """Give the video that a C2PA manifest stands beside; None when the name is another."""
    return f"{name.removesuffix('.c2pa')}.mp4" if _SIDECAR.fullmatch(name) else None


def parse_beside(name: str) -> str | None:
    """Tell `p7s` or `tsr` for a file beside the folder; None when it is another."""
    found = _BESIDE.fullmatch(name)
    return found[1] if found else None


def parse_journal(name: str) -> tuple[BoxId, int, str] | None:
    """Read a journal file's name; None when it is another."""
    found = _JOURNAL.fullmatch(name)
    return (BoxId(found[1]), int(found[2]), found[3]) if found else None


def parse_leaf(name: str) -> tuple[int, str] | None:
    """Read a leaf file's name; None when it is another."""
    found = _LEAF.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def parse_seen(name: str) -> int | None:
    """Read a consistency proof's name; None when it is another."""
    found = _SEEN.fullmatch(name)
    return int(found[1]) if found else None


def parse_note(name: str) -> int | None:
    """Read the name of an earlier checkpoint; None when it is another."""
    found = _NOTE.fullmatch(name)
    return int(found[1]) if found else None


def is_member(name: str) -> bool:
    """Tell whether a bundle may hold a file of this name."""
    patterns = (_VIDEO, _SIDECAR, _JOURNAL, _LEAF, _SEEN, _NOTE, _TOKEN, _BESIDE)
    return name in FIXED or name in OPTIONAL or name in READABLE or any(pattern.fullmatch(name) for pattern in patterns)


def is_large(name: str) -> bool:
    """Tell whether a file is hashed where it lies and not read: videos, and the many manifests beside them."""
    return bool(_VIDEO.fullmatch(name) or _SIDECAR.fullmatch(name))


def is_evidence(name: str, export_index: int | None) -> bool:
    """Tell whether the evidence manifest lists this file: all that exists before the export record does."""
    if name in (ROOT, SITE_CA, POLICY, *OPTIONAL) or is_large(name) or parse_journal(name) or parse_note(name) is not None:
        return True
    leaf = parse_leaf(name)
    return leaf is not None and leaf[1] in ("cose", "opening") and leaf[0] != export_index


def encode_manifest(hashes: Mapping[str, bytes]) -> bytes:
    """Give `hash  name` lines in the order of names, as `sha256sum -c` reads them."""
    return "".join(f"{hashes[name].hex()}  {name}\n" for name in sorted(hashes)).encode()


def parse_manifest(data: bytes, where: str) -> dict[str, bytes]:
    """Read a manifest; raise MalformedError when it is not exactly what `encode_manifest` gives."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError("not ASCII", where=where) from error
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.split("\n")[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise MalformedError(f"line {number} is not `hash  name`", where=where)
        found[match[2]] = bytes.fromhex(match[1])
    if encode_manifest(found) != data:
        raise MalformedError("names are not in order or stand twice, or the last line has no end", where=where)
    return found


@dataclass(frozen=True, slots=True)
class JournalRange:
    """Where a range of a box's records stands: `left` are the subtrees before position `first` (RFC 6962).

    `session`: the session record in force at `first` (None when the range starts at 0), with `path`, its inclusion proof in the
    tree of the first `first` records.
    """

    first: int
    left: tuple[bytes, ...]
    session: bytes | None = None
    path: tuple[bytes, ...] = ()

    def frontier(self) -> Frontier:
        """Give the tree before the range; raise MalformedError when the number of hashes does not fit."""
        return Frontier.decode(self.first, b"".join(self.left))

    def encode(self) -> bytes:
        """Give the `.range` file."""
        return canonical.encode([1, self.first, list(self.left), self.session, list(self.path)])

    @classmethod
    def parse(cls, data: bytes) -> "JournalRange":
        """Read a `.range` file; raise MalformedError."""
        value = canonical.decode(data, limit=2 * canonical.MAX_BYTES)
        if not isinstance(value, list) or len(value) != 5 or type(value[0]) is not int or value[0] != 1:
            raise MalformedError("not [1, first, left, session, path]", where="range")
        _, first, left, session, path = value
        if type(first) is not int or first < 0 or not (session is None or type(session) is bytes):
            raise MalformedError("first or session has the wrong type", where="range")
        if (session is None) != (first == 0):
            raise MalformedError("a session record is given exactly when the range does not start at 0", where="range")
        return cls(first, _hashes(left), session, _hashes(path))


def _hashes(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > 128 or any(type(one) is not bytes or len(one) != HASH_BYTES for one in value):
        raise MalformedError("not a list of at most 128 hashes", where="range")
    return tuple(value)


def encode_records(records: Iterable[bytes]) -> bytes:
    """Give records in a row, each behind its length in 4 bytes, big-endian."""
    return b"".join(len(record).to_bytes(4, "big") + record for record in records)


def parse_records(data: bytes) -> list[bytes]:
    """Read what `encode_records` gave; raise MalformedError naming the byte where it is cut or too long."""
    out: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        end = at + 4 + size
        if len(data) - at < 4 or size > canonical.MAX_BYTES or end > len(data) or len(out) == MAX_RECORDS:
            raise MalformedError(f"cut, or a record too long, at byte {at}", where="records")
        out.append(data[at + 4 : end])
        at = end
    return out


@dataclass(frozen=True, slots=True)
class LogProof:
    """An inclusion proof as C2SP tlog-proof writes it: index, path, and the signed checkpoint it leads to."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Give the `.tlog-proof` file."""
        lines = [_PROOF_HEAD, f"index {self.index}", *(base64.b64encode(one).decode() for one in self.path), ""]
        return "\n".join(lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "LogProof":
        """Read a `.tlog-proof` file without extra data; raise MalformedError when it is none or not in its only spelling."""
        head, cut, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedError("not ASCII", where="tlog-proof") from error
        if not cut or len(lines) < 2 or lines[0] != _PROOF_HEAD or not re.fullmatch(rf"index {_NUMBER}", lines[1]):
            raise MalformedError("does not start with its name and index", where="tlog-proof")
        proof = cls(int(lines[1].removeprefix("index ")), parse_hash_lines(lines[2:]), checkpoint)
        if proof.encode() != data:
            raise MalformedError("not the only spelling of its proof", where="tlog-proof")
        return proof


def encode_hash_lines(hashes: Sequence[bytes]) -> bytes:
    """Give hashes in base64, a line each: the `.consistency` file."""
    return "".join(base64.b64encode(one).decode() + "\n" for one in hashes).encode()


def parse_consistency(data: bytes) -> tuple[bytes, ...]:
    """Read a `.consistency` file; raise MalformedError."""
    try:
        hashes = parse_hash_lines(data.decode("ascii").split("\n")[:-1])
    except UnicodeDecodeError as error:
        raise MalformedError("not ASCII", where="consistency") from error
    if encode_hash_lines(hashes) != data:
        raise MalformedError("not the only spelling of its proof", where="consistency")
    return hashes


def parse_hash_lines(lines: Sequence[str]) -> tuple[bytes, ...]:
    """Read base64 lines; raise MalformedError when there are over 64 or one is no hash."""
    if len(lines) > 64:
        raise MalformedError(f"{len(lines)} hashes, at most 64", where="proof")
    try:
        hashes = tuple(base64.b64decode(line, validate=True) for line in lines)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("not base64", where="proof") from error
    if any(len(one) != HASH_BYTES for one in hashes):
        raise MalformedError("a hash is not 32 bytes", where="proof")
    return hashes


@dataclass(frozen=True, slots=True)
class Bagging:
    """What bag-info.txt says of a bag: whose it is, of which day (Unix ns), and what it is about."""

    site: str
    hub: str
    at_ns: int
    subject: str

    def encode(self, sizes: Mapping[str, int]) -> bytes:
        """Give bag-info.txt (RFC 8493 §2.2.2); `sizes` has at least every file under data/."""
        payload = [size for name, size in sizes.items() if name.startswith("data/")]
        lines = [
            f"Source-Organization: Portwitness {self.site}",
            f"Bagging-Date: {iso(self.at_ns)[:10]}",
            f"Payload-Oxum: {sum(payload)}.{len(payload)}",
            f"External-Identifier: {self.subject}",
            f"Internal-Sender-Identifier: {self.hub}",
            "Bag-Software-Agent: Portwitness",
        ]
        return "".join(f"{line}\n" for line in lines).encode()


def wrap(files: Mapping[str, bytes], info: bytes) -> dict[str, bytes]:
    """Give bagit.txt, bag-info.txt (`info`), the two manifests and their names: hashes of all under data/, and of the tag files.

    `files` maps each name to the SHA-256 of its bytes.
    """
    payload = {name: digest for name, digest in files.items() if name.startswith("data/")}
    manifest = encode_manifest(payload)
    tags = {BAGIT: sha256(BAGIT_TEXT), BAG_INFO: sha256(info), MANIFEST: sha256(manifest), README: files[README]}
    tags |= {name: files[name] for name in READABLE if name in files}
    return {BAGIT: BAGIT_TEXT, BAG_INFO: info, MANIFEST: manifest, TAG_MANIFEST: encode_manifest(tags)}


def sha256(data: bytes) -> bytes:
    """Hash bytes."""
    return hashlib.sha256(data).digest()
