"""What the tests of derived files share: a hub with a task of two filmed segments, and a look at the pixels of a film."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from edge.muxer import Muxer
from firmware_adapters.abilities import MediaUnit, TrackFormat
from hub.derivation import Derivation, Job, Stretch
from hub.tasks import TaskDraft
from protocol.certificates import EXPORT_NS, Validity, encode_pem, issue_exporter
from protocol.instants import SECOND_NS
from protocol.notes import NoteKey
from protocol.trust import Trust
from simulators.devices.footage import Footage, Synthetic, synthesize
from simulators.evidence import sample_fields
from storage.keys import create_p256
from tests.hub_parts import BOX, SITE, SiteCa, TestBox, chunks, enrol, receipts_until, send
from tests.web_parts import Face, open_face

TASK = "T-1"
CAMERA = "box-1/cam-1"
SECONDS = 2
FPS = 25
WIDTH, HEIGHT = 320, 180


@dataclass
class Filmed:
    """A hub with a task; `start_ns`: when its film begins, by the box's clock."""

    face: Face
    site: SiteCa
    start_ns: int
    box: TestBox

    def stretch(self, start_s: float = 0.5, end_s: float = 3.0) -> Stretch:
        return Stretch(TASK, CAMERA, self.start_ns + int(start_s * SECOND_NS), self.start_ns + int(end_s * SECOND_NS))

    def trust(self) -> Trust:
        return Trust(SITE, self.face.hub.core.hub_id, self.site.root.fingerprint, NoteKey.parse(self.face.hub.log.vkey))


@asynccontextmanager
async def filmed(state: Path, **changes: Any) -> AsyncIterator[Filmed]:
    site, keys = SiteCa(), state / "keys"
    keys.mkdir()
    (keys / "site.pem").write_bytes(encode_pem((site.ca, site.root)))
    key = create_p256(keys / "export.key")
    leaf = issue_exporter(key.public, SITE, "hub-1", site.authority, Validity.backdated(site.now_ns, EXPORT_NS, 77))
    (keys / "export.pem").write_bytes(encode_pem((leaf, site.ca)))
    plan = Synthetic(width=WIDTH, height=HEIGHT, fps=FPS, seconds=SECONDS, kbit=800, gop=FPS, **changes)
    async with open_face(state) as face:
        box = TestBox(wall_ns=face.clock.now().wall_ns)
        yield Filmed(face, site, await _record(face, site, await asyncio.to_thread(synthesize, plan, state / "footage"), box), box)


async def _record(face: Face, site: SiteCa, footage: Footage, box: TestBox) -> int:
    await face.hub.tasks.open(TaskDraft(task=TASK, title="kiwifruit", cameras=(CAMERA,), inspectors=("li.wei",)), "chen.min")
    box.wall_ns = face.clock.now().wall_ns
    await enrol(face.hub, box, site)
    began = box.wall_ns
    box.boot()
    box.recording()
    blobs = []
    for number, data in enumerate(segments(footage, 2)):
        blobs.append(box.segment(data=data, seconds=SECONDS, media_from=number * SECONDS * 90_000, **sample_fields(data)))
    box.heartbeat()
    box.seal()
    await send(face.hub, box)
    for signed, data in blobs:
        await face.hub.blobs.put(BOX, signed.record.body.sha256, len(data), chunks(data, 65_536))  # type: ignore[union-attr]
    await receipts_until(face.hub, BOX, box.written[-1].record.position)
    face.clock.pass_time(2 * SECONDS + 1)
    return began


def segments(footage: Footage, count: int) -> list[bytes]:
    """Make segments of one run as a box does: self-contained, decode times running on."""
    muxer = Muxer((TrackFormat(0, "h264", 90_000, (footage.sps, footage.pps)),))
    units = [
        MediaUnit(0, unit.nals, unit.pts + number * footage.duration, unit.is_key, 0)
        for number in range(count + 1)
        for unit in footage.units
    ]
    found, length = [], len(footage.units)
    for number in range(count):
        for unit in units[number * length : (number + 1) * length]:
            muxer.add(unit)
        part = muxer.take(final=True, following=units[(number + 1) * length])
        assert part is not None
        found.append(muxer.init + part.encode())
    return found


async def ended(derivation: Derivation, job: Job) -> Job:
    """Wait until a job has ended."""
    for _ in range(1500):
        found = derivation.get(job.job)
        if found.state not in ("waiting", "running"):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("the job does not end")


def lumas(path: Path) -> list[tuple[float, Any]]:
    """Give (seconds from the film's start, luma) of every frame of a film."""
    with av.open(str(path)) as film:
        return [(float(frame.time or 0.0), frame.to_ndarray(format="gray").astype(np.int16)) for frame in film.decode(video=0)]
