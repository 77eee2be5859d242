"""Make one exported task whose evidence has everything in it: two boxes, three streams, a pairing, a crash, a gap.

For tests, demonstrations and the training of those who verify: what was done is known exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hub.finishing import finish
from hub.gathering import Gathered, check_complete, gather
from hub.reporting import Finished, with_report
from protocol import bundle, cms, kinds
from protocol.instants import MILLISECOND_NS, SECOND_NS
from protocol.reckoning import Scope
from protocol.trust import Trust
from simulators.evidence import EPOCH_NS, EXPORT_KEY, MemoryPort, sample_fields
from storage.bundles import write_beside, write_folder

TASK = "T-20261118-0001"
SOURCES = {"box-1": ["cam-1"], "box-2": ["cam-2", "rec-1"]}
LOST_NS = 3 * SECOND_NS


@dataclass(slots=True)
class Case:
    """An exported task: its folder, the port it came from, and the trust to verify it with."""

    folder: Path
    port: MemoryPort
    trust: Trust


Stamper = Callable[[bytes], bytes]  # gives an authority's answer over these bytes


def write_case(
    port: MemoryPort,
    folder: Path,
    about: str | Scope = TASK,
    gathered: Gathered | None = None,
    stamper: Stamper | None = None,
    *,
    report: bool = False,
) -> Case:
    """Export a task (or streams over a time) of a port in memory to `folder`, signed where the port has an export key.

    `gathered` lets a hostile hub choose what to show; `report` adds report and page.
    """
    found = gathered if gathered is not None else gather(port, about, port.trust())
    if gathered is None:
        check_complete(found)
    body = kinds.Export("li.wei", bundle.sha256(found.manifest()), len(found.hashes()))
    if found.scope.streams:
        body = replace(body, streams=found.scope.streams, start_ns=found.scope.start, end_ns=found.scope.end)
    if port.exporter is not None:
        body = replace(body, signer=bundle.sha256(port.exporter.der), stamped=stamper is not None or None)
    record = port.issue(body, found.task)
    checkpoint = port.log.checkpoint(port.now_ns // SECOND_NS + 1)
    files = finish(port, found, record, checkpoint)
    if report:
        files = with_report(Finished(files, {name: path for name, (path, _) in found.videos.items()}, port.trust()))
    write_folder(folder, files, {name: (path, piece.body.sha256) for name, (path, piece) in found.videos.items()})
    if port.exporter is not None:
        signature = cms.sign(files[bundle.TAG_MANIFEST], EXPORT_KEY, port.exporter, port.chain[0], port.now_ns + SECOND_NS)
        write_beside(folder, {"p7s": signature} | ({"tsr": stamper(signature)} if stamper is not None else {}))
    return Case(folder, port, port.trust())


def busy_port(
    folder: Path,
    *,
    segment_bytes: int = 4096,
    minutes: int = 2,
    late: bool = False,
    film: Callable[[int], bytes] | None = None,
    start_ns: int = EPOCH_NS,
) -> MemoryPort:
    """Give a port that worked through one task."""
    port = MemoryPort(folder, segment_bytes=segment_bytes, film=film, now_ns=start_ns)
    work(port, minutes=minutes, late=late)
    return port


def work(port: MemoryPort, *, minutes: int = 2, late: bool = False) -> None:
    """Let a port work through one task: cameras of two boxes, a paired recorder, a crash of the second box in the middle."""
    port.found()
    for name, sources in SOURCES.items():
        box = port.enrol(name)
        for source in sources:
            box.write(kinds.Recording("started", "configured", "whip" if source == "rec-1" else "rtsp", 0), f"{name}/{source}")
    port.record_for(60, SOURCES)
    opened = port.now_ns + 100 * MILLISECOND_NS
    port.now_ns = opened
    port.open_task(TASK, ("box-1/cam-1", "box-2/cam-2"))
    port.pair(TASK, "box-2", "rec-1", late_from=opened - 25 * SECOND_NS if late else None)
    port.now_ns -= 100 * MILLISECOND_NS
    port.record_for(30 * minutes, SOURCES)
    crash(port)
    port.record_for(30 * minutes - 10, SOURCES)
    port.now_ns += 100 * MILLISECOND_NS
    port.pair(TASK, "box-2", "rec-1", "unpaired")
    port.end_task(TASK)
    port.now_ns -= 100 * MILLISECOND_NS
    port.record_for(20, SOURCES)


def crash(port: MemoryPort) -> None:
    """Kill box-2 five seconds into a segment; it comes back three seconds later and recovers what a heartbeat had bound."""
    box = port.boxes["box-2"]
    port.now_ns += 5 * SECOND_NS
    begun = port.now_ns - 5 * SECOND_NS
    parts = {source: port.video("box-2", source, box.numbers[source]) for source in SOURCES["box-2"]}
    for source, data in parts.items():
        box.segment(source, data, 5 * SECOND_NS, closing=False)
    mono = (begun - box.began_ns, port.now_ns - box.began_ns)
    old = box.epoch
    port.now_ns += LOST_NS
    box.boot()
    for source, data in parts.items():
        _recover(port, source, data, (begun, mono, old))
    port.now_ns += 2 * SECOND_NS
    for source in SOURCES["box-2"]:
        data = port.video("box-2", source, box.numbers[source])
        box.segment(source, data, 2 * SECOND_NS)
    box1 = port.boxes["box-1"]
    box1.segment("cam-1", port.video("box-1", "cam-1", box1.numbers["cam-1"]), 10 * SECOND_NS)
    box1.seal()
    box.seal()


def _recover(port: MemoryPort, source: str, data: bytes, place: tuple[int, tuple[int, int], int]) -> None:
    begun, mono, epoch = place
    box = port.boxes["box-2"]
    stream, number = f"box-2/{source}", box.numbers[source]
    box.numbers[source] = number + 1
    digest = bundle.sha256(data)
    port.store(digest, data)
    body = kinds.Segment(
        number, digest, len(data), mono[0], mono[1], begun, 0, 0, 125, None, "recovered", bound=len(data) // 2, epoch=epoch,
        **sample_fields(data),
    )  # fmt: skip
    box.write(body, stream)
    box.write(kinds.Gap("restart", begun + 5 * SECOND_NS, begun + 5 * SECOND_NS + LOST_NS), stream)
    box.write(kinds.Recording("started", "restart", "rtsp", number + 1), stream)
