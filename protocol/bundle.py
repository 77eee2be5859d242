"""Lay out an exported task (证据包): names of files, manifests, journal ranges and proofs, as pure bytes.

    case-<task>/
      bagit.txt  manifest-sha256.txt  tagmanifest-sha256.txt  README.txt        transport: finds accidents (RFC 8493)
      data/evidence-sha256.txt                    the evidence, by hash; its own hash stands in the export record
      data/video/<box>/<source>/<number>.mp4      original bytes
      data/journals/<box>-<epoch>.bin, .range     a contiguous range of the box's records, and where it stands in its tree
      data/log/<index>.cose, .tlog-proof          leaves of the port log: task, orders, enrolment, seals, export
      data/log/seen-<size>.consistency            that a checkpoint named by a box or stamped is of the same log
      data/log/seen-<size>.checkpoint             that checkpoint as it was published, with the times of those who cosigned it
      data/log/checkpoint                         the signed head that every proof leads to
      data/trust/root.pem, site-ca.pem            claims, matched with trust from outside
      data/task.json                              a summary, recomputed by the verifier

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
from protocol.merkle import HASH_BYTES, Frontier

BAGIT = "bagit.txt"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
README = "README.txt"
EVIDENCE = "data/evidence-sha256.txt"
CHECKPOINT = "data/log/checkpoint"
ROOT = "data/trust/root.pem"
SITE_CA = "data/trust/site-ca.pem"
SUMMARY = "data/task.json"
FIXED = (BAGIT, MANIFEST, TAG_MANIFEST, README, EVIDENCE, CHECKPOINT, ROOT, SITE_CA, SUMMARY)
BAGIT_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MAX_NAME = 160
MAX_RECORDS = 4_000_000
_PART = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
_NUMBER = r"(?:0|[1-9][0-9]{0,18})"
_VIDEO = re.compile(rf"data/video/({_PART})/({_PART})/({_NUMBER})\.mp4")
_JOURNAL = re.compile(rf"data/journals/({_PART})-({_NUMBER})\.(bin|range)")
_LEAF = re.compile(rf"data/log/({_NUMBER})\.(cose|tlog-proof)")
_SEEN = re.compile(rf"data/log/seen-({_NUMBER})\.consistency")
_NOTE = re.compile(rf"data/log/seen-({_NUMBER})\.checkpoint")
_LINE = re.compile(r"([0-9a-f]{64})  ([\x21-\x7e]{1,160})")
_PROOF_HEAD = "c2sp.org/tlog-proof@v1"


def video_name(stream: str, number: int) -> str:
    """Name a segment's file."""
    return f"data/video/{stream}/{number}.mp4"


def journal_name(box: str, epoch: int, part: str = "bin") -> str:
    """Name a journal range's file (`bin` or `range`)."""
    return f"data/journals/{box}-{epoch}.{part}"


def leaf_name(index: int, part: str = "cose") -> str:
    """Name the file of a port log leaf (`cose`) or of its proof (`tlog-proof`)."""
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
    return name in FIXED or any(pattern.fullmatch(name) for pattern in (_VIDEO, _JOURNAL, _LEAF, _SEEN, _NOTE))


def is_evidence(name: str, export_index: int | None) -> bool:
    """Tell whether the evidence manifest lists this file: all that exists before the export record does."""
    if name in (ROOT, SITE_CA) or parse_video(name) or parse_journal(name) or parse_note(name) is not None:
        return True
    leaf = parse_leaf(name)
    return leaf is not None and leaf[1] == "cose" and leaf[0] != export_index


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


def readme(task: str) -> bytes:
    """Give README.txt: how to check the bundle, in Chinese and English."""
    return _README.format(task=task).encode()


def wrap(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Give bagit.txt, the two manifests and their names for `files`: hashes of everything under data/, and README.txt.

    `files` maps each name to the SHA-256 of its bytes.
    """
    payload = {name: digest for name, digest in files.items() if name.startswith("data/")}
    manifest = encode_manifest(payload)
    tags = {BAGIT: sha256(BAGIT_TEXT), MANIFEST: sha256(manifest), README: files[README]}
    return {BAGIT: BAGIT_TEXT, MANIFEST: manifest, TAG_MANIFEST: encode_manifest(tags)}


def sha256(data: bytes) -> bytes:
    """Hash bytes."""
    return hashlib.sha256(data).digest()


_README = """\
Portwitness - evidence of task {task}  /  查验任务 {task} 的证据包

如何核验
  1. 取得信任文件 trust.json。它必须来自本证据包之外(例如口岸公布的根证书指纹和总账公钥)。
  2. 运行: portwitness-verify 本文件夹 --trust trust.json   (无需网络;退出码 0 有效,1 无效,2 无法读取)
  3. 无需任何专用软件的初步检查: sha256sum -c manifest-sha256.txt  &&  sha256sum -c tagmanifest-sha256.txt
     该检查只能发现意外损坏,不能代替第 2 步。

How to verify
  1. Obtain trust.json. It must come from outside this bundle (for example the root fingerprint and log key the port publishes).
  2. Run: portwitness-verify THIS-FOLDER --trust trust.json   (no network; exit 0 valid, 1 not valid, 2 unreadable)
  3. A first look with stock tools: sha256sum -c manifest-sha256.txt && sha256sum -c tagmanifest-sha256.txt
     It finds accidents only and does not replace step 2.

data/video      视频分段原始字节 / original bytes of the segments
data/journals   执法盒日志的连续区间 / contiguous ranges of the boxes' journals
data/log        总账条目、证明和检查点 / port log leaves, proofs, checkpoint
data/task.json  摘要,由核验程序重新计算,本身不是证据 / a summary, recomputed by the verifier, no evidence itself
"""
