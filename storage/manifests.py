"""Have the C2PA manifests of a verified bundle checked by the library, where it is installed; say where it is not.

Guarantees: the library sees only files that hash to the evidence manifest, and never decides that a bundle is valid: it can only
find more that is wrong. Without it, the manifests are covered by their hashes alone, and the report says so.

A manifest is bound to its segment twice: by C2PA's own hash over the boxes of the video, and by the SHA-256 of the whole file, which it
states under the same signature. The latter was made for the records already, so by default the library is not given the videos: hashing
them once more by its rule takes as long as all the rest. The report then says that the former was not made again.
"""

import io
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Literal

from protocol import bundle
from protocol.certificates import parse_pem
from protocol.errors import PortwitnessError
from protocol.examination import Fault
from protocol.reckoning import Expectation, Piece
from protocol.verdict import Report
from storage import sidecars
from storage.bundles import Member, read_member, threads

Judged = Literal["by hash", "signed", "whole"]  # how far: by no C2PA validator; by one, but for the hash over the boxes; wholly
MAX_VIDEO_BYTES = 256 << 20  # of one segment that the library is given
_BY_SHA256 = ", each against the SHA-256 of its file"
BOXES_LEFT = "their own hash over the boxes of each video was not made again; --whole-c2pa does it"


@dataclass(frozen=True, slots=True)
class _Order:
    """One manifest to be checked: what it must claim, where the files are, and under which root and certificate.

    `video`: None when it is not to be read again.
    """

    claim: sidecars.SegmentClaim
    video: Member | None
    manifest: Member
    root: bytes
    serial: int


def check_sidecars(
    report: Report, wanted: Expectation, members: dict[str, Member], hands: Callable[[], Executor], judged: Judged
) -> Report:
    """Check the manifests that a report speaks of; videos are read on `hands`. Give the report with what came of it."""
    names = [name for name in wanted.wanted if bundle.sidecar_name(name) in members]
    closing = report.closing
    if closing is None or not names or not report.valid or not closing.signature.startswith("ok"):
        return report
    by_hash = f"{len(names)} of {len(wanted.wanted)} here, checked by hash alone"
    if judged == "by hash" or not sidecars.is_available():
        why = "the check was not asked for" if judged == "by hash" else "c2pa-python is not installed"
        reason = f"C2PA manifests: {why}; they are those that were exported, no C2PA validator judged them"
        return replace(report, closing=replace(closing, sidecars=by_hash), unchecked=(*report.unchecked, reason))
    root = read_member(members[bundle.ROOT])
    serial = parse_pem(read_member(members[bundle.EXPORTER]))[0].x509.serial_number
    is_whole = judged == "whole"
    orders = [_order(name, wanted.wanted[name], members, (root, serial), is_whole=is_whole) for name in names]
    with (hands if is_whole else threads)() as pool:  # a manifest alone is a millisecond's work, and outside the interpreter
        found = list(pool.map(_check, orders))
    faults = [fault for _, fault in found if fault is not None]
    open_ = sorted({what for what, _ in found if what})
    done = f"{len(names)} of {len(wanted.wanted)} here, checked by a C2PA validator{'' if is_whole else _BY_SHA256}"
    said = by_hash if open_ else f"{done}: {len(faults)} not valid" if faults else done
    open_ += [] if is_whole else [BOXES_LEFT]
    return replace(
        report,
        valid=not faults,  # it was valid before
        faults=tuple(sorted({*report.faults, *faults}, key=lambda fault: (fault.file, fault.what))),
        unchecked=(*report.unchecked, *(f"C2PA manifests: {what}" for what in open_)),
        closing=replace(closing, sidecars=said),
    )


def _order(name: str, piece: Piece, members: dict[str, Member], anchor: tuple[bytes, int], *, is_whole: bool) -> _Order:
    claim = sidecars.SegmentClaim(piece.stream, piece.body.number, piece.body.sha256.hex(), piece.usage)
    return _Order(claim, members[name] if is_whole else None, members[bundle.sidecar_name(name)], *anchor)


def _check(order: _Order) -> tuple[str, Fault | None]:
    """Check one manifest; give what stays unchecked, and what is wrong."""
    if order.video is not None and order.video.size > MAX_VIDEO_BYTES:
        return f"segments over {MAX_VIDEO_BYTES >> 20} MiB are not read for them", None
    try:
        manifest = read_member(order.manifest, sidecars.MAX_SIDECAR_BYTES)
        video = io.BytesIO(read_member(order.video)) if order.video is not None else None
        return sidecars.check(video, manifest, order.claim, root=order.root, serial=order.serial), None
    except PortwitnessError as error:
        return "", Fault(order.manifest.name, str(error))
