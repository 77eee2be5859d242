"""Put into a finished bundle what people read: the verdict as JSON, HTML and PDF, and the page that verifies it anew.

Guarantees: the verdict is the verifier's own, over the very files that are given out, each video read and hashed; what it says is
derived and stands outside of the evidence, in the tag manifest. The signature over that manifest is made afterwards.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hub.report_blocks import Told, blocks
from hub.report_html import html_report
from hub.report_pdf import pdf_report
from hub.report_words import word
from protocol import bundle
from protocol.examination import Faults, examine
from protocol.reckoning import expect
from protocol.trust import Trust
from protocol.verdict import Hashed, Report, judge
from storage.bundles import Member, hash_all
from storage.verifier_page.assembly import page
from storage.verify import report_json

LATER = "the signature beside the folder, which is made after this report: portwitness-verify and openssl check it"


@dataclass(frozen=True, slots=True)
class Finished:
    """A bundle before it is signed: its files but the videos, and where the videos' bytes are."""

    files: Mapping[str, bytes]
    videos: Mapping[str, Path]
    trust: Trust


def with_report(found: Finished) -> dict[str, bytes]:
    """Give the files with report and page among them, the tag manifest made anew; raise StorageError when a video cannot be read."""
    told = _tell(found)
    name = word("title", chinese=False)
    title = f"Portwitness - {name} {told.report.task or ''}".strip()
    parts = [("zh-CN", blocks(told, chinese=True)), ("en", blocks(told, chinese=False))]
    made = {
        bundle.PAGE: page(),
        bundle.REPORT_JSON: (json.dumps(report_json(told.report), ensure_ascii=False, indent=1) + "\n").encode(),
        bundle.REPORT_HTML: html_report(title, parts),
        bundle.REPORT_PDF: pdf_report(title, parts),
    }
    files = {**found.files, **made}
    tags = bundle.parse_manifest(files[bundle.TAG_MANIFEST], bundle.TAG_MANIFEST)
    files[bundle.TAG_MANIFEST] = bundle.encode_manifest(tags | {name: bundle.sha256(data) for name, data in made.items()})
    return files


def _tell(found: Finished) -> Told:
    faults = Faults()
    exhibits = examine(found.files, found.trust, faults)
    wanted = expect(exhibits, faults)
    small = {name: data for name, data in found.files.items() if not bundle.is_large(name)}
    members = {name: Member(name, path, 0, path.stat().st_size) for name, path in found.videos.items()}
    hashed = hash_all(members, small, wanted.marks(), lambda _: None, wanted.rooted())
    hashed |= {name: Hashed(len(data), bundle.sha256(data)) for name, data in found.files.items() if name not in small}
    report = _before_signing(judge(exhibits, wanted, small, hashed, faults))
    return Told(report, wanted, exhibits, bundle.folder_name(report.task or ""))


def _before_signing(report: Report) -> Report:
    """Leave out what is said of files beside the folder: they do not exist yet."""
    faults = tuple(one for one in report.faults if not one.file.startswith(bundle.BESIDE))
    if report.closing is None or len(faults) == len(report.faults):
        return replace(report, faults=faults, valid=not faults)
    unchecked = tuple(one for one in report.unchecked if one not in report.closing.notes)
    later = f"{bundle.BESIDE}{bundle.folder_name(report.task or '')}.p7s"
    return replace(
        report, faults=faults, valid=not faults, unchecked=(*unchecked, LATER), closing=replace(report.closing, signature=later, notes=())
    )
