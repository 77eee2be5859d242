"""Hand out parts of a task that verify alone: sub-clips with their sample proofs, and derived files with their parents' records.

Guarantees: beside the clips or the derived file an excerpt holds an export without videos - the records of that stream and time, their
proofs and the checkpoint - so that `portwitness-verify` and the trust file judge it without the rest of the task; each one is made
for one person, and that it was made is an export record which is logged before the file exists. See docs/adr/0009 and 0015.

For `web`: clips(stretch, by) -> Excerpt; derived(task, sha256, by) -> Excerpt; path(excerpt, by) -> Path.
"""

import asyncio
import json
import secrets
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from hub import sealing
from hub.core import Core
from hub.derivation import Derivation, Made, Stretch
from hub.export import Export, TimeWish
from hub.values import LaneSegment
from protocol import bundle
from protocol.errors import ForbiddenError, RefusedError, StorageError
from protocol.identifiers import StreamId
from protocol.instants import iso
from storage import sidecars
from storage.bundles import write_beside, write_folder, write_zip
from storage.clips import MAX_CLIP_BYTES, PROOF_SUFFIX, make_clip
from storage.files import read_file

KEPT = 16  # excerpts that can still be fetched
INDEX = "index.json"
README = "README.txt"
_README = """This is a part of the recordings of {stream}, from {start} to {end} (by the clock of the box).

{what}
It verifies without the rest of its task, offline, with portwitness-verify and the trust file, which you must have from elsewhere.
Unpack this zip file, then in its folder:

{commands}
The folder case-{name} holds records and proofs, no videos of its own; index.json says what each file is.
"""
_CLIPS = "Each clip is cut out of one segment, not encoded again; its .samples file proves which part of that segment it is."
_DERIVED = "The video is a DERIVED file: areas of its pictures were destroyed and it was encoded anew. It is not the original recording."


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One that can be fetched, by whom it was made for."""

    excerpt: str
    name: str
    by: str
    size: int


@dataclass(slots=True)
class Excerpts:
    """The hub's excerpts. Use as an async context manager."""

    core: Core
    export: Export
    derivation: Derivation
    _known: dict[str, Excerpt] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one at a time: a clip's segments are held in memory

    async def __aenter__(self) -> "Excerpts":
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self.core.settings.port.state / "excerpts"

    async def clips(self, stretch: Stretch, by: str) -> Excerpt:
        """Cut a stretch out, a clip for each segment; raise as `Derivation.pieces` and `Export.start_time`."""
        pieces = await self.derivation.pieces(stretch)
        async with self._turn:
            made: dict[str, bytes] = {}
            rows = []
            for piece in pieces:
                path = await self.derivation.blobs.open(piece.sha256)
                files, row = await asyncio.to_thread(_clip, path, stretch, piece)
                made |= files
                rows += [row] if row else []
            if not rows:
                raise RefusedError("no picture lies in this stretch", where="time")
            commands = [f"--clip {row['file']} --proof {row['proof']}" for row in rows]
            return await self._pack(_Parts("clip", stretch, rows, commands, _CLIPS), made, {}, by)

    async def derived(self, task: str, sha256: bytes, by: str) -> Excerpt:
        """Pack a derived file with its parents' records; raise ForbiddenError when there is none, else as `Export.start_time`."""
        made = await self.derivation.find(task, sha256)
        name = f"derived-{made.index}.mp4"
        stretch = Stretch(task, made.body.stream, made.body.start_ns, made.body.end_ns)
        row: dict[str, Any] = {
            "file": name,
            "derived_record": made.index,
            "parents": [one.number for one in made.body.parents],
            "sha256": sha256.hex(),
        }
        async with self._turn:
            path = await self.derivation.path(made)
            manifest, note = await self._manifest(made, path)
            row |= {"c2pa": name.replace(".mp4", ".c2pa")} if manifest else {"notes": [note]}
            files = {name.replace(".mp4", ".c2pa"): manifest} if manifest else {}
            parts = _Parts("derived", stretch, [row], [f"--derived {name}"], _DERIVED)
            return await self._pack(parts, files, {name: (path, sha256)}, by, made)

    async def _manifest(self, made: Made, path: Path) -> tuple[bytes, str]:
        """Have the C2PA manifest of a derived file made, with parentOf, in a process of its own; without one give why."""
        keys, body = self.core.settings.keys, made.body
        if not (keys / sealing.KEY).exists() or not sidecars.is_available():
            return b"", "no export key, or c2pa-python is not installed: the C2PA manifest is not present"
        try:
            parents = [(f"{body.stream}/{one.number}", str(await self.derivation.blobs.open(one.sha256))) for one in body.parents]
        except StorageError as error:
            return b"", f"the C2PA manifest is not present: a parent {error.what}"
        claim = {"record": made.index, "sha256": body.sha256.hex(), "parents": [one.sha256.hex() for one in body.parents]}
        job = json.dumps({"video": str(path), "parents": parents, "claim": claim}).encode() + b"\n"
        authorities = self.core.settings.device.authorities or keys / "site.pem"
        order = ("-m", "storage.derived_manifests", str(keys / sealing.KEY), str(keys / sealing.CERTIFICATE), str(authorities))
        process = await asyncio.create_subprocess_exec(sys.executable, *order, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.timeout(sealing.PATIENCE_S):
                found, said = await process.communicate(job)
        except TimeoutError:
            return b"", "the C2PA manifest is not present: it took too long"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return (
            (found, "")
            if process.returncode == 0
            else (b"", f"the C2PA manifest is not present: {said.decode(errors='replace')[:300].strip()}")
        )

    async def path(self, excerpt: str, by: str) -> Path:
        """Give the zip file; raise ForbiddenError when there is none of this name for this person."""
        found = self._known.get(excerpt)
        if found is None or found.by != by:
            raise ForbiddenError("no such excerpt", where="excerpt")
        return self._folder / excerpt / f"{found.name}.zip"

    async def _pack(
        self, parts: "_Parts", files: Mapping[str, bytes], videos: Mapping[str, tuple[Path, bytes]], by: str, made: Made | None = None
    ) -> Excerpt:
        stretch = parts.stretch
        scope = TimeWish((stretch.stream,), stretch.start_ns, stretch.end_ns).scope(self.core.clock.now().wall_ns)
        gathered, records, beside = await self.export.records_only(scope, by, () if made is None else (made.index,))
        case, name = bundle.folder_name(gathered.task), f"{parts.kind}-{gathered.task}"
        texts = {INDEX: parts.index(case), README: parts.readme(case, gathered.task)}
        identifier = secrets.token_hex(8)
        place = self._folder / identifier

        def write() -> int:
            folder = place / name
            write_folder(folder, {**files, **texts}, videos)
            write_folder(folder / case, records, {})
            write_beside(folder / case, beside)
            write_zip(folder, place / f"{name}.zip")
            shutil.rmtree(folder)
            return (place / f"{name}.zip").stat().st_size

        self._known[identifier] = Excerpt(identifier, name, by, await asyncio.to_thread(write))
        while len(self._known) > KEPT:
            oldest = next(iter(self._known))
            self._known.pop(oldest)
            await asyncio.to_thread(shutil.rmtree, self._folder / oldest, ignore_errors=True)
        return self._known[identifier]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What stands in an excerpt beside its records."""

    kind: str
    stretch: Stretch
    rows: Sequence[Mapping[str, Any]]
    commands: Sequence[str]
    what: str

    def index(self, case: str) -> bytes:
        stretch = self.stretch
        value = {"kind": self.kind, "stream": stretch.stream, "from": iso(stretch.start_ns), "to": iso(stretch.end_ns), "records": case}
        return json.dumps(value | {"files": list(self.rows)}, indent=1).encode() + b"\n"

    def readme(self, case: str, name: str) -> bytes:
        stretch = self.stretch
        commands = "".join(f"  portwitness-verify {case} --trust trust.json {one}\n" for one in self.commands)
        times = {"start": iso(stretch.start_ns), "end": iso(stretch.end_ns)}
        return _README.format(stream=stretch.stream, what=self.what, commands=commands, name=name, **times).encode()


def _clip(path: Path, stretch: Stretch, piece: LaneSegment) -> tuple[dict[str, bytes], dict[str, Any] | None]:
    """Cut one segment; nothing when no picture of it lies in the stretch."""
    start, end = max(stretch.start_ns, piece.wall_from), min(stretch.end_ns, piece.wall_to)
    if end <= start:
        return {}, None
    clip = make_clip(
        read_file(path, MAX_CLIP_BYTES), StreamId(stretch.stream), piece.number, start - piece.wall_from, end - piece.wall_from
    )
    name = f"segment-{piece.number}.mp4"
    proof = f"segment-{piece.number}{PROOF_SUFFIX}"
    record = f"box:{piece.box}/{piece.epoch}/{piece.position}"
    row = {"file": name, "proof": proof, "segment": piece.number, "record": record, "asked": [iso(start), iso(end)]}
    return {name: clip.data, proof: clip.proof.encode()}, row
