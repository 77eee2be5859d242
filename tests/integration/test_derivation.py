"""Sub-clips and redacted copies from a serving hub: what they hold, what the shipped verifier says of them, what is refused."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.app import Hub
from hub.check import _check_projections, check_derived
from hub.derivation import Redaction, Stretch
from protocol import bundle, kinds
from protocol.derivation import SCALE, Proposal
from protocol.errors import ForbiddenError, MalformedError, RefusedError
from protocol.instants import SECOND_NS
from storage import sidecars
from storage.verify import run, verify
from tests.derivation_parts import CAMERA, FPS, HEIGHT, TASK, WIDTH, Filmed, ended, filmed, lumas
from tests.hub_parts import BOX, chunks, receipts_until, send

LEFT, TOP, RIGHT, BOTTOM = 2500, 2500, 6000, 7000
INSIDE = np.s_[HEIGHT * TOP // SCALE + 4 : HEIGHT * BOTTOM // SCALE - 4, WIDTH * LEFT // SCALE + 4 : WIDTH * RIGHT // SCALE - 4]


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Filmed]:
    async with filmed(tmp_path) as made:
        yield made


def area(until: int = 2500, way: Any = "black", first: int = 0) -> kinds.Area:
    return kinds.Area(((first, LEFT, TOP, RIGHT, BOTTOM),), until, way, "drawn", "chen.min")


async def redacted(port: Filmed, *areas: kinds.Area, **changes: Any) -> tuple[kinds.Derived, Path]:
    derivation = port.face.hub.derivation
    wish = Redaction(port.stretch(), areas, "muted", "a face", **changes)
    job = await ended(derivation, await derivation.redact(wish, "chen.min"))
    assert (job.state, job.what) == ("done", "")
    assert job.derived is not None
    made = await derivation.find(TASK, job.derived)
    return made.body, await derivation.path(made)


def verified(folder: Path, trust: Path, *arguments: str) -> tuple[int, str]:
    out, err = StringIO(), StringIO()
    case = next(one for one in folder.iterdir() if one.name.startswith("case-") and one.is_dir())
    status = run([str(case), "--trust", str(trust), *arguments], out, err)
    return status, out.getvalue() + err.getvalue()


async def unpacked(port: Filmed, excerpt: str, folder: Path) -> tuple[Path, Path]:
    return _unpack(await port.face.hub.excerpts.path(excerpt, "chen.min"), port.trust().encode(), folder)


def _unpack(package: Path, trust: bytes, folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    (folder / "trust.json").write_bytes(trust)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return next(one for one in folder.iterdir() if one.is_dir()), folder / "trust.json"


async def test_a_clip_over_two_segments_verifies_alone(port: Filmed, tmp_path: Path) -> None:
    before = len(await port.face.records("export"))
    excerpt = await port.face.hub.excerpts.clips(port.stretch(1.1, 3.2), "chen.min")
    assert len(await port.face.records("export")) == before + 1
    folder, trust = await unpacked(port, excerpt.excerpt, tmp_path / "out")
    index = json.loads((folder / "index.json").read_text())
    assert [row["segment"] for row in index["files"]] == [0, 1]
    assert not list(folder.rglob("data/video/*"))
    for row in index["files"]:
        arguments = ("--clip", str(folder / row["file"]), "--proof", str(folder / row["proof"]))
        status, text = await asyncio.to_thread(verified, folder, trust, *arguments, "--json")
        found = json.loads(text)
        assert (status, found["valid"], found["stream"], found["number"]) == (0, True, CAMERA, row["segment"]), text
        data = bytearray((folder / row["file"]).read_bytes())
        data[-100] ^= 1
        (folder / row["file"]).unlink()  # it may be a link to a blob
        (folder / row["file"]).write_bytes(data)
        assert (await asyncio.to_thread(verified, folder, trust, *arguments))[0] == 1
    with pytest.raises(ForbiddenError):
        await port.face.hub.excerpts.path(excerpt.excerpt, "zhou.jun")


@pytest.mark.parametrize("way", ["black", "blur"])
async def test_pixels_inside_are_destroyed_on_every_frame_and_outside_stay(port: Filmed, way: Any) -> None:
    body, path = await redacted(port, area(way=way))
    original = []
    for number, parent in enumerate(body.parents):
        blob = await port.face.hub.blobs.open(parent.sha256)
        original += [(2 * number + at / FPS - 0.5, luma) for at, (_, luma) in enumerate(lumas(blob))]
    shown = [(at, luma) for at, luma in original if -1 / FPS < at < 2.5]
    copied = lumas(path)
    assert len(copied) == body.frames == len(shown) == 63  # 2.5 s, and the picture that is shown as the stretch begins
    outside = np.ones((HEIGHT, WIDTH), dtype=bool)
    outside[HEIGHT * TOP // SCALE - 4 : HEIGHT * BOTTOM // SCALE + 4, WIDTH * LEFT // SCALE - 4 : WIDTH * RIGHT // SCALE + 4] = False
    for (_, old), (_, new) in zip(shown, copied, strict=True):
        assert np.abs(new - old)[outside].mean() < 3
        if way == "black":
            assert new[INSIDE].max() <= 24
        else:
            assert all(cell.std() < 5 for cell in cells(new)), "each cell is one colour"


def cells(luma: Any) -> list[Any]:
    """Give the insides of the 16 cells of a blurred area."""
    left, top, right, bottom = (edge * size // SCALE for edge, size in zip((LEFT, TOP, RIGHT, BOTTOM), (WIDTH, HEIGHT) * 2, strict=True))
    across, down = ([low + (high - low) * step // 4 for step in range(5)] for low, high in ((left, right), (top, bottom)))
    return [luma[y + 5 : y1 - 5, x + 5 : x1 - 5] for y, y1 in pairwise(down) for x, x1 in pairwise(across)]


async def test_an_area_counts_in_its_time_only(port: Filmed) -> None:
    _, path = await redacted(port, area(first=1000, until=1500))
    for at, luma in lumas(path):
        if 1.0 <= at < 1.5:
            assert luma[INSIDE].max() <= 24
        elif at < 0.95 or at > 1.5:
            assert luma[INSIDE].max() > 60


async def test_the_verifier_says_derived_never_original(port: Filmed, tmp_path: Path) -> None:
    body, path = await redacted(port, area())
    assert (await port.face.records("derived"))[-1] == body
    excerpt = await port.face.hub.excerpts.derived(TASK, body.sha256, "chen.min")
    folder, trust = await unpacked(port, excerpt.excerpt, tmp_path / "out")
    film = next(folder.glob("derived-*.mp4"))
    assert film.read_bytes() == path.read_bytes()
    if sidecars.is_available():
        [row] = json.loads((folder / "index.json").read_text())["files"]
        assert "notes" not in row
        manifest = (folder / row["c2pa"]).read_bytes()
        assert b"parentOf" in manifest and b"org.portwitness.derived" in manifest
    status, text = await asyncio.to_thread(verified, folder, trust, "--derived", str(film), "--json")
    found = json.loads(text)
    assert (status, found["valid"], found["original"], found["pixels"]) == (0, True, False, "changed by redaction")
    assert [one["segment"] for one in found["parents"]] == [0, 1]
    assert found["areas"][0]["points"] == [[0, LEFT, TOP, RIGHT, BOTTOM]]
    status, text = await asyncio.to_thread(verified, folder, trust, "--derived", str(film), "--lang", "zh")
    assert text.endswith("派生文件，来源已证实\n") and "有效\n" not in text.replace("派生", "")
    assert (await asyncio.to_thread(verified, folder, trust, "--clip", str(film)))[0] == 1  # it is no segment
    other = tmp_path / "other.mp4"
    other.write_bytes(film.read_bytes() + b"\0")
    status, text = await asyncio.to_thread(verified, folder, trust, "--derived", str(other))
    assert (status, "no derived record of the bundle names this file" in text) == (1, True)
    journal = next(folder.rglob("box-1-*.bin"))
    data = journal.read_bytes()
    journal.unlink()
    journal.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    assert (await asyncio.to_thread(verified, folder, trust, "--derived", str(film)))[0] == 1


async def test_a_tasks_export_lists_what_was_derived_from_it(port: Filmed) -> None:
    body, _ = await redacted(port, area())
    hub, box = port.face.hub, port.box
    assert await problems(hub) == []
    sent = len(box.written)
    _, data = box.segment(seconds=int((port.face.clock.now().wall_ns - box.wall_ns) / SECOND_NS) + 3)
    await hub.tasks.end(TASK, "chen.min")
    box.heartbeat()
    box.seal()
    await send(hub, box, sent)
    await hub.blobs.put(BOX, bundle.sha256(data), len(data), chunks(data))
    await receipts_until(hub, BOX, box.written[-1].record.position)
    folder = await hub.export.make(TASK, "chen.min")
    assert verify(folder, port.trust()).faults == ()
    assert f",derived,done,chen.min,{TASK}," in (await asyncio.to_thread((folder / bundle.CUSTODY).read_bytes)).decode()
    await hub.blobs.store.delete(body.sha256)
    assert await problems(hub) == [f"S1 derived file {body.sha256.hex()}: is missing or not what its record names"]


async def problems(hub: Hub) -> list[str]:
    """Check derived files (S1), and that replaying the records gives the tables (S6)."""
    found: list[str] = []
    await hub.core.database.read(lambda connection: _check_projections(connection, found))
    assert [size async for size in check_derived(hub.core.database, hub.blobs.store, found, hash_blobs=True)]
    return found


async def test_proposals_wait_for_a_person(port: Filmed) -> None:
    derivation = port.face.hub.derivation
    job = await ended(derivation, await derivation.propose(port.stretch(), "chen.min"))
    assert job.state == "done", job.what
    found = (Proposal(0, ((0, LEFT, TOP, RIGHT, BOTTOM),), 2500, "face"), Proposal(1, ((0, 0, 0, 900, 900),), 2500, "face"))
    derivation._jobs[job.job] = type(job)(job.job, "propose", job.stretch, job.by, "done", proposals=found)
    wish = Redaction(port.stretch(), (), "muted", "", proposals=job.job)
    with pytest.raises(RefusedError, match="2 proposals wait"):
        await derivation.redact(wish, "chen.min")
    derivation.decide(job.job, 0, accepted=True, by="zhou.jun")
    with pytest.raises(RefusedError, match="1 proposals wait"):
        await derivation.redact(wish, "chen.min")
    derivation.decide(job.job, 1, accepted=False, by="zhou.jun")
    body, path = await redacted(port, proposals=job.job)
    assert [(one.origin, one.by, one.points[0][1]) for one in body.areas] == [("proposed", "zhou.jun", LEFT)]
    assert all(luma[INSIDE].max() <= 24 and luma[:12, :24].max() > 24 for _, luma in lumas(path))
    with pytest.raises(ForbiddenError):
        derivation.decide(job.job, 2, accepted=True, by="chen.min")


async def test_a_job_is_cancelled_and_bad_orders_are_named(port: Filmed) -> None:
    derivation = port.face.hub.derivation
    job = await derivation.redact(Redaction(port.stretch(), (area(),), "kept", ""), "chen.min")
    assert (await derivation.cancel(job.job)).state == "cancelled"
    assert await derivation.made(TASK) == []
    stretch = port.stretch()
    for wish, error in (
        (Redaction(stretch, (), "muted", ""), RefusedError),
        (Redaction(stretch, (area(first=2500, until=2501),), "muted", ""), MalformedError),
        (Redaction(Stretch(TASK, CAMERA, stretch.end_ns, stretch.start_ns), (area(),), "muted", ""), RefusedError),
        (Redaction(Stretch(TASK, CAMERA, 1, 2), (area(until=1),), "muted", ""), RefusedError),
        (Redaction(Stretch(TASK, "box-1/cam-9", stretch.start_ns, stretch.end_ns), (area(),), "muted", ""), RefusedError),
        (Redaction(stretch, (kinds.Area(((0, 5, 5, 5, 9),), 10, "black", "drawn", "x"),), "muted", ""), MalformedError),
    ):
        with pytest.raises(error):
            await derivation.redact(wish, "chen.min")
