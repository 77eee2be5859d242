"""Write exported bundles; read them, a folder or a zip file, as untrusted input: bounded, every byte hashed once.

A zip file must be exactly what `write_zip` writes (entries stored one after another, no comments, no extra fields), so that
its size bounds what it holds and no bit of it can change unseen.
"""

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from protocol import bundle
from protocol.errors import MalformedError, StorageError
from protocol.mp4 import read_tracks
from protocol.samples import tree_of
from protocol.verdict import Hashed
from storage.files import sync_folder

MAX_FILES = 1_000_000
MAX_SMALL_BYTES = 512 << 20  # of one file that is read whole
MAX_SMALL_TOTAL = 2 << 30
MAX_SAMPLED_BYTES = 1 << 30  # of one file whose samples are read
READ_BYTES = 1 << 20
THREADS = 2
SHARE_FILES, SHARE_BYTES = 64, 24 << 20  # of files that one hand takes at a time
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_ZIP_MODE = (stat.S_IFREG | 0o644) << 16
_HEADER_BYTES = 30  # of a local file header before its name (APPNOTE 4.3.7)
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Member:
    """One file: where its bytes are."""

    name: str
    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read: files but videos, and the size and hash of all."""

    files: dict[str, bytes]
    hashed: dict[str, Hashed]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(os.strerror(error.errno) if error.errno else str(error), where=str(path)) from error


def list_bundle(path: Path) -> dict[str, Member]:
    """Give the files of a bundle by name, with what stands beside its folder (`../`).

    Raises StorageError when unreadable, MalformedError when it is no bundle at all.
    """
    with _reading(path):
        members = [*_walk(path), *_beside(path)] if path.is_dir() else _inside(list(_unzip(path)))
    found = {member.name: member for member in members}
    if not any(name in found for name in bundle.FIXED):
        raise MalformedError("holds no file of an evidence bundle", where=str(path))
    return found


def _inside(members: list[Member]) -> list[Member]:
    """Take the one folder of a zip file as the bundle, and the files next to it as beside it."""
    tops = {one.name.partition("/")[0] for one in members if "/" in one.name}
    if any(one.name == bundle.BAGIT for one in members) or len(tops) != 1:
        return members
    names = [one.name.partition("/")[2] if "/" in one.name else f"{bundle.BESIDE}{one.name}" for one in members]
    return [replace(one, name=name) for one, name in zip(members, names, strict=True)]


def _beside(folder: Path) -> Iterator[Member]:
    """Give the signature and the token beside a folder, which have its name."""
    whole = folder.resolve()
    for part in ("p7s", "tsr"):
        path = whole.parent / f"{whole.name}.{part}"
        if path.is_symlink() or path.exists():
            name = bundle.beside_name(whole.name, part)
            if path.is_symlink() or not path.is_file():
                raise MalformedError("is a link or a device, not a file", where=name)
            yield Member(name, path, 0, path.stat().st_size)


def _walk(root: Path) -> Iterator[Member]:
    count = 0
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                    continue
                _check_kind(entry, count, path.relative_to(root).as_posix())
                yield Member(path.relative_to(root).as_posix(), path, 0, entry.stat(follow_symlinks=False).st_size)


def _check_kind(entry: os.DirEntry[str], count: int, name: str) -> None:
    if count > MAX_FILES:
        raise MalformedError("more files than a bundle has", where=name)
    if not entry.is_file(follow_symlinks=False):
        raise MalformedError("is a link or a device, not a file", where=name)


def _unzip(path: Path) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            infos = archive.infolist()
            if len(infos) > MAX_FILES:
                raise MalformedError("more files than a bundle has", where=str(path))
            yield from _check_zip(infos, archive, file.fileno(), path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise MalformedError(f"not a readable zip file: {error}", where=str(path)) from error


def _check_zip(infos: Sequence[zipfile.ZipInfo], archive: zipfile.ZipFile, fd: int, path: Path) -> Iterator[Member]:
    at = 0
    names: set[str] = set()
    for info in infos:
        _check_entry(info, at, names)
        header = plain_entry(info.filename, info.file_size, info.CRC).FileHeader(zip64=info.file_size >= zipfile.ZIP64_LIMIT)
        if os.pread(fd, len(header), at) != header:
            raise MalformedError("its local header is not that of the directory", where=info.filename)
        yield Member(info.filename, path, at + len(header), info.file_size)
        at += len(header) + info.file_size
    if archive.comment or at != archive.start_dir:
        raise MalformedError("bytes stand between or behind the files", where=str(path))
    tail = os.pread(fd, os.fstat(fd).st_size - at, at) if os.fstat(fd).st_size - at < MAX_SMALL_BYTES else b""
    if tail != _directory(infos, at):
        raise MalformedError("its directory is not in its only spelling", where=str(path))


def _check_entry(info: zipfile.ZipInfo, at: int, names: set[str]) -> None:
    name = info.filename
    parts = name.split("/")
    if name != info.orig_filename or "\\" in name or len(name) > 2 * bundle.MAX_NAME or any(part in ("", ".", "..") for part in parts):
        raise MalformedError("is no name of a file in a bundle", where=name[:200])
    if name in names:
        raise MalformedError("stands in the zip file twice", where=name)
    names.add(name)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.header_offset != at:
        raise MalformedError("is compressed, or not where the file before it ends", where=name)


def plain_entry(name: str, size: int, crc: int) -> zipfile.ZipInfo:
    """Give the one way in which a bundle's file stands in a zip file."""
    info = zipfile.ZipInfo(name, ZIP_DATE)
    info.external_attr = _ZIP_MODE
    info.create_system = 3
    info.file_size = info.compress_size = size
    info.CRC = crc
    return info


class _Sink:
    """Takes what zipfile writes behind the entries."""

    def __init__(self, at: int) -> None:
        self.at, self.data = at, bytearray()

    def write(self, data: bytes) -> int:
        """Append."""
        self.data += data
        return len(data)

    def tell(self) -> int:
        """Give the position in the whole file."""
        return self.at + len(self.data)

    def flush(self) -> None:
        """Do nothing."""

    def seek(self, position: int, whence: int = 0) -> int:
        """Stay at the end: the directory is written there."""
        return self.tell()


def _directory(infos: Sequence[zipfile.ZipInfo], at: int) -> bytes:
    """Give the directory that the standard library writes for these entries."""
    sink = _Sink(at)
    with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]  # a file-like object of our own
        for info in infos:
            plain = plain_entry(info.filename, info.file_size, info.CRC)
            plain.header_offset = info.header_offset
            archive.filelist.append(plain)
            archive.NameToInfo[plain.filename] = plain
        archive.start_dir = at
        archive._didModify = True
    return bytes(sink.data)


def read_small(members: Mapping[str, Member]) -> dict[str, bytes]:
    """Read all files but videos, C2PA manifests and strangers; raise StorageError, or MalformedError when one is far too long."""
    out: dict[str, bytes] = {}
    total = 0
    for name, member in members.items():
        if not bundle.is_member(name) or bundle.is_large(name):
            continue
        total += member.size
        if member.size > MAX_SMALL_BYTES or total > MAX_SMALL_TOTAL:
            raise MalformedError(f"{member.size} bytes are more than such a file has", where=name)
        out[name] = read_member(member)
    return out


def read_member(member: Member, limit: int = MAX_SMALL_BYTES) -> bytes:
    """Read one file whole; raise StorageError, or MalformedError when it is longer than `limit`."""
    if member.size > limit:
        raise MalformedError(f"{member.size} bytes, at most {limit}", where=member.name)
    with _reading(member.path), member.path.open("rb") as file:
        file.seek(member.offset)
        return file.read(member.size)


def threads() -> Executor:
    """Give threads to hash on: they share the interpreter, which costs when samples are many."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="hash")


def processes() -> Executor:
    """Give a process for each core to hash on; only for a program that has no threads of its own, since they are forked."""
    return ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("fork"))


@dataclass(frozen=True, slots=True)
class _Order:
    """One file to hash: where to keep its running hash, and whether its sample tree is asked for."""

    member: Member
    marks: Sequence[int]
    is_rooted: bool


def hash_all(
    members: Mapping[str, Member],
    small: Mapping[str, bytes],
    marks: Mapping[str, Sequence[int]],
    progress: Callable[[int], None],
    rooted: Collection[str] = (),
    hands: Callable[[], Executor] = threads,
) -> dict[str, Hashed]:
    """Hash every file, videos with their prefixes at `marks`, on `hands`; `progress` takes bytes as they are done.

    `rooted` names the files whose sample trees are made as well. Raises StorageError.
    """
    hashed = {name: Hashed(len(data), bundle.sha256(data)) for name, data in small.items()}
    rest = [member for name, member in members.items() if name not in small]
    orders = [_Order(one, marks.get(one.name, ()), one.name in rooted and one.size <= MAX_SAMPLED_BYTES) for one in rest]
    shares = list(_shares(orders))
    if not shares:
        return hashed
    with (threads if len(shares) == 1 else hands)() as pool:
        for share, found in zip(shares, pool.map(_hash_share, shares), strict=True):
            hashed.update(found)
            progress(sum(order.member.size for order in share))
    return hashed


def _shares(orders: Sequence[_Order]) -> Iterator[list[_Order]]:
    """Part the files into shares that are worth handing over."""
    share: list[_Order] = []
    for order in orders:
        share.append(order)
        if len(share) == SHARE_FILES or sum(one.member.size for one in share) >= SHARE_BYTES:
            yield share
            share = []
    if share:
        yield share


def _hash_share(share: Sequence[_Order]) -> list[tuple[str, Hashed]]:
    """Hash some files with one buffer."""
    buffer = bytearray(max((order.member.size for order in share if order.is_rooted), default=0))
    return [
        (order.member.name, sample_file(order.member, order.marks, buffer) if order.is_rooted else hash_file(order.member, order.marks))
        for order in share
    ]


def sample_file(member: Member, marks: Sequence[int], buffer: bytearray) -> Hashed:
    """Hash a file as `hash_file` does and make its sample tree; `buffer` has room for it. Raises StorageError."""
    hashed = hash_file(member, marks, buffer)
    data = memoryview(buffer)[: hashed.size]
    try:
        tree = tree_of(data, read_tracks(data))
    except MalformedError as error:
        return replace(hashed, samples=str(error))
    finally:
        data.release()
    return replace(hashed, samples=(tree.root(), tree.starts()))


def hash_file(member: Member, marks: Sequence[int], whole: bytearray | None = None) -> Hashed:
    """Hash a file once, keeping the running hash at each mark inside it and, in `whole`, its bytes; raise StorageError."""
    digest = hashlib.sha256()
    prefixes: dict[int, bytes] = {}
    due = [mark for mark in sorted(set(marks)) if 0 <= mark <= member.size][::-1]
    buffer = memoryview(whole if whole is not None else bytearray(min(READ_BYTES, max(member.size, 1))))
    at = 0
    with _reading(member.path), buffer:
        fd = os.open(member.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            while True:
                while due and due[-1] == at:
                    prefixes[due.pop()] = digest.digest()
                wanted = min(READ_BYTES, member.size - at, (due[-1] if due else member.size) - at)
                place = at if whole is not None else 0
                count = os.preadv(fd, [buffer[place : place + wanted]], member.offset + at) if wanted else 0
                if not count:
                    break
                digest.update(buffer[place : place + count])
                at += count
        finally:
            os.close(fd)
    return Hashed(at, digest.digest(), prefixes)


def write_folder(folder: Path, files: Mapping[str, bytes], videos: Mapping[str, tuple[Path, bytes]]) -> None:
    """Write a bundle's files, flushed; `videos` maps names to a stored blob and its SHA-256, which is checked while copying.

    Raises StorageError, also when a blob does not have its hash any more.
    """
    for name, data in files.items():
        _write(folder / name, data)
    for name, (source, digest) in videos.items():
        with _reading(source):
            size = source.stat().st_size
        found = hash_file(Member(name, source, 0, size), ())
        if found.sha256 != digest:
            raise StorageError("the stored blob does not hash to its name any more", where=str(source))
        _link(source, folder / name)
    for path in sorted({(folder / name).parent for name in (*files, *videos)}, reverse=True):
        sync_folder(path)


def _link(source: Path, target: Path) -> None:
    """Give a blob, which is never changed, a second name; copy it where that cannot be."""
    with _reading(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


def _write(path: Path, data: bytes) -> None:
    with _reading(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def write_beside(folder: Path, parts: Mapping[str, bytes]) -> None:
    """Write what stands beside a bundle's folder - `p7s`, `tsr` - flushed; raise StorageError."""
    for part, data in parts.items():
        _write(folder.parent / f"{folder.name}.{part}", data)
    if parts:
        sync_folder(folder.parent)


def write_zip(folder: Path, path: Path) -> None:
    """Write a bundle folder, and what stands beside it, as the one zip file there is of it, flushed; raise StorageError."""
    sources = {f"{folder.name}/{one.relative_to(folder).as_posix()}": one for one in folder.rglob("*") if one.is_file()}
    beside = (folder.parent / f"{folder.name}.{part}" for part in ("p7s", "tsr"))
    sources |= {one.name: one for one in beside if one.is_file()}
    with _reading(path), path.open("w+b") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, path_ in sorted(sources.items()):
                entry = plain_entry(name, path_.stat().st_size, 0)
                with archive.open(entry, "w") as target, path_.open("rb") as source:
                    shutil.copyfileobj(source, target, READ_BYTES)
        file.flush()
        os.fsync(file.fileno())
