"""Have the C2PA manifests of a verified bundle checked by the library, where it is installed; say where it is not.

Guarantees: the library sees only files that hash to the evidence manifest, and never decides that a bundle is valid: it can only
find more that is wrong. Without it, the manifests are covered by their hashes alone, and the report says so.
"""

import io
from dataclasses import replace

from protocol import bundle
from protocol.certificates import Certificate, parse_pem
from protocol.errors import PortwitnessError
from protocol.examination import Fault
from protocol.reckoning import Expectation, Piece
from protocol.verdict import Report
from storage import sidecars
from storage.bundles import Member, read_member

MAX_VIDEO_BYTES = 256 << 20  # of one segment that the library is given


def check_sidecars(report: Report, wanted: Expectation, members: dict[str, Member]) -> Report:
    """Check the manifests that a report speaks of; give the report with what came of it."""
    names = [name for name in wanted.wanted if bundle.sidecar_name(name) in members]
    closing = report.closing
    if closing is None or not names or not report.valid or not closing.signature.startswith("ok"):
        return report
    by_hash = f"{len(names)} of {len(wanted.wanted)} here, checked by hash alone"
    if not sidecars.is_available():
        reason = "C2PA manifests: c2pa-python is not installed; they are those that were exported, no C2PA validator judged them"
        return replace(report, closing=replace(closing, sidecars=by_hash), unchecked=(*report.unchecked, reason))
    root = read_member(members[bundle.ROOT])
    exporter = parse_pem(read_member(members[bundle.EXPORTER]))[0]
    faults: list[Fault] = []
    open_ = sorted({what for name in names if (what := _check(name, wanted.wanted[name], members, (root, exporter), faults))})
    done = f"{len(names)} of {len(wanted.wanted)} here, checked by a C2PA validator"
    said = by_hash if open_ else f"{done}: {len(faults)} not valid" if faults else done
    return replace(
        report,
        valid=not faults,  # it was valid before
        faults=tuple(sorted({*report.faults, *faults}, key=lambda fault: (fault.file, fault.what))),
        unchecked=(*report.unchecked, *(f"C2PA manifests: {what}" for what in open_)),
        closing=replace(closing, sidecars=said),
    )


def _check(name: str, piece: Piece, members: dict[str, Member], anchor: tuple[bytes, Certificate], faults: list[Fault]) -> str:
    """Check one manifest; give what stays unchecked."""
    if members[name].size > MAX_VIDEO_BYTES:
        return f"segments over {MAX_VIDEO_BYTES >> 20} MiB are not read for them"
    sidecar = bundle.sidecar_name(name)
    claim = sidecars.SegmentClaim(piece.stream, piece.body.number, piece.body.sha256.hex(), piece.usage)
    root, exporter = anchor
    try:
        manifest, video = read_member(members[sidecar], sidecars.MAX_SIDECAR_BYTES), io.BytesIO(read_member(members[name]))
        return sidecars.check(video, manifest, claim, root=root, serial=exporter.x509.serial_number)
    except PortwitnessError as error:
        faults.append(Fault(sidecar, str(error)))
        return ""
