"""Have the C2PA manifests of a verified bundle checked by the library, where it is installed; say where it is not.

Guarantees: the library sees only files that hash to the evidence manifest, and never decides that a bundle is valid: it can only
find more that is wrong. Without it, the manifests are covered by their hashes alone, and the report says so.
"""

import io
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from protocol import bundle
from protocol.certificates import parse_pem
from protocol.errors import PortwitnessError
from protocol.examination import Fault
from protocol.reckoning import Expectation, Piece
from protocol.verdict import Report
from storage import sidecars
from storage.bundles import Member, read_member, threads

MAX_VIDEO_BYTES = 256 << 20  # of one segment that the library is given


@dataclass(frozen=True, slots=True)
class _Order:
    """One manifest to be checked: what it must claim, where the files are, and under which root and certificate."""

    claim: sidecars.SegmentClaim
    video: Member
    manifest: Member
    root: bytes
    serial: int


def check_sidecars(
    report: Report, wanted: Expectation, members: dict[str, Member], hands: Callable[[], Executor] = threads, *, asked: bool = True
) -> Report:
    """Check the manifests that a report speaks of, on `hands`; give the report with what came of it."""
    names = [name for name in wanted.wanted if bundle.sidecar_name(name) in members]
    closing = report.closing
    if closing is None or not names or not report.valid or not closing.signature.startswith("ok"):
        return report
    by_hash = f"{len(names)} of {len(wanted.wanted)} here, checked by hash alone"
    if not asked or not sidecars.is_available():
        why = "c2pa-python is not installed" if asked else "the check was not asked for"
        reason = f"C2PA manifests: {why}; they are those that were exported, no C2PA validator judged them"
        return replace(report, closing=replace(closing, sidecars=by_hash), unchecked=(*report.unchecked, reason))
    root = read_member(members[bundle.ROOT])
    serial = parse_pem(read_member(members[bundle.EXPORTER]))[0].x509.serial_number
    orders = [_order(name, wanted.wanted[name], members, (root, serial)) for name in names]
    with hands() as pool:
        found = list(pool.map(_check, orders))
    faults = [fault for _, fault in found if fault is not None]
    open_ = sorted({what for what, _ in found if what})
    done = f"{len(names)} of {len(wanted.wanted)} here, checked by a C2PA validator"
    said = by_hash if open_ else f"{done}: {len(faults)} not valid" if faults else done
    return replace(
        report,
        valid=not faults,  # it was valid before
        faults=tuple(sorted({*report.faults, *faults}, key=lambda fault: (fault.file, fault.what))),
        unchecked=(*report.unchecked, *(f"C2PA manifests: {what}" for what in open_)),
        closing=replace(closing, sidecars=said),
    )


def _order(name: str, piece: Piece, members: dict[str, Member], anchor: tuple[bytes, int]) -> _Order:
    claim = sidecars.SegmentClaim(piece.stream, piece.body.number, piece.body.sha256.hex(), piece.usage)
    return _Order(claim, members[name], members[bundle.sidecar_name(name)], *anchor)


def _check(order: _Order) -> tuple[str, Fault | None]:
    """Check one manifest; give what stays unchecked, and what is wrong."""
    if order.video.size > MAX_VIDEO_BYTES:
        return f"segments over {MAX_VIDEO_BYTES >> 20} MiB are not read for them", None
    try:
        manifest, video = read_member(order.manifest, sidecars.MAX_SIDECAR_BYTES), io.BytesIO(read_member(order.video))
        return sidecars.check(video, manifest, order.claim, root=order.root, serial=order.serial), None
    except PortwitnessError as error:
        return "", Fault(order.manifest.name, str(error))
