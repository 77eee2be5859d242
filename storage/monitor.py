"""Replay a hub's log from outside and report what is not as it must be: the program `portwitness-monitor`.

Runs under an account of its own with a read-only token; believes the hub nothing. It keeps how far it replayed in a file, so each
run costs what is new, and a hub that changed what was replayed before is found by the next root. The report is signed with the
monitor's own key, and handed to the hub as a leaf of its log. Imports `protocol` and `storage` only. Exit 0: nothing found; 1:
findings, each with its rule and place; 2: it could not be looked at.
"""

import argparse
import json
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import canonical
from protocol.audit import STATE_BYTES, Audit
from protocol.certificates import Certificate, parse_pem
from protocol.errors import MalformedError, PortwitnessError, RefusedError, VerificationError
from protocol.instants import Clock, iso
from protocol.notes import ED25519, Checkpoint, NoteKey, SignedCheckpoint
from protocol.signatures import Ed25519Signer, sign1
from protocol.tiles import TILE_WIDTH, Tile, decode_bundle
from protocol.trust import MAX_TRUST_BYTES, Trust
from storage.clock import SystemClock
from storage.files import make_folder, read_file
from storage.hub_calls import HubCalls
from storage.keys import load_or_create_ed25519, replace_whole

CLEAN, FOUND, UNREADABLE = 0, 1, 2
PROGRESS_LEAVES = 50_000
_EPILOG = """example:
  portwitness-monitor --hub https://hub.example:8080 --token-file token --trust trust.json --authorities site-chain.pem \\
      --state /var/lib/portwitness-monitor

run it daily (deploy/portwitness-monitor.timer). exit status: 0 nothing found, 1 findings, 2 it could not be looked at"""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reader:
    """What a monitor reads of a hub: the port log and the journals, in tiles."""

    calls: HubCalls

    def checkpoint(self) -> bytes:
        """Give the newest checkpoint."""
        return self.calls.fetch("/api/v1/log/checkpoint")

    def leaves(self, first: int, end: int) -> Iterator[list[bytes]]:
        """Give the port log's leaves, bundle by bundle."""
        return self._entries("/api/v1/log", first, end)

    def journal(self, box: str, epoch: int, first: int, end: int) -> Iterator[list[bytes]]:
        """Give a journal's records, bundle by bundle."""
        return self._entries(f"/api/v1/journals/{urllib.parse.quote(box, safe='')}/{epoch}", first, end)

    def report(self, report: bytes) -> None:
        """Hand in a signed report."""
        self.calls.post("/api/v1/reports", {"report": report.hex()})

    def _entries(self, log: str, first: int, end: int) -> Iterator[list[bytes]]:
        while first < end:
            index, skip = divmod(first, TILE_WIDTH)
            width = min(TILE_WIDTH, end - index * TILE_WIDTH)
            found = self._bundle(log, index, width)
            if len(found) < width:
                raise MalformedError(f"{len(found)} of {width} entries", where=f"{log} bundle {index}")
            yield found[skip:width]
            first = index * TILE_WIDTH + width

    def _bundle(self, log: str, index: int, width: int) -> list[bytes]:
        try:
            return decode_bundle(self.calls.fetch(f"{log}/{Tile(-1, index, width).path()}"))
        except RefusedError:
            if width == TILE_WIDTH:
                raise
            return decode_bundle(self.calls.fetch(f"{log}/{Tile(-1, index).path()}"))  # it filled up since, and the partial one went


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor: whom it reads, what it trusts, its own key and its state folder."""

    reader: Reader
    trust: Trust
    authorities: tuple[Certificate, ...]
    state: Path
    signer: Ed25519Signer
    clock: Clock

    def look(self, progress: Progress = lambda text: None) -> Audit:
        """Replay what is new; give the audit. Raises UnavailableError, RefusedError, VerificationError or MalformedError."""
        audit = self._load()
        before = audit.log.copy()
        head = self._head()
        if head.size < before.size:
            audit.find("S3", "port log", f"the checkpoint has {head.size} leaves, {before.size} were replayed: the log was rolled back")
            return audit
        self._take_log(audit, head, progress)
        for box, epoch, first, end in audit.waiting():
            progress(f"{box} epoch {epoch}: records {first} to {end}")
            self._take_journal(audit, box, epoch, (first, end))
        return audit

    def keep(self, audit: Audit) -> None:
        """Keep how far was replayed."""
        replace_whole(self._place, audit.encode(), 0o600)

    def report(self, audit: Audit) -> bytes:
        """Give the signed report: a COSE_Sign1 over a map of what was replayed and found."""
        facts = {"version": 1, "monitor": self.signer.public.fingerprint, "log": self.trust.log.name, "at": self.clock.now().wall_ns}
        return sign1(canonical.encode(facts | audit.summary()), self.signer)

    @property
    def _place(self) -> Path:
        return self.state / "monitor.state"

    def _load(self) -> Audit:
        if not self._place.exists():
            return Audit(self.trust, self.authorities)
        return Audit.decode(read_file(self._place, STATE_BYTES), self.trust, self.authorities)

    def _head(self) -> Checkpoint:
        signed = SignedCheckpoint.parse(self.reader.checkpoint())
        self.trust.check_checkpoint(signed)
        return signed.checkpoint

    def _take_log(self, audit: Audit, head: Checkpoint, progress: Progress) -> None:
        for entries in self.reader.leaves(audit.log.size, head.size):
            audit.take_leaves(entries)
            if audit.log.size % PROGRESS_LEAVES < TILE_WIDTH:
                progress(f"port log: {audit.log.size} of {head.size}")
        audit.check_head(head)

    def _take_journal(self, audit: Audit, box: str, epoch: int, place: tuple[int, int]) -> None:
        first, end = place
        parts = self.reader.journal(box, epoch, first, end)
        if first == 0 and end > 0:
            head = next(parts)
            tail = audit.tail_before(box, epoch, head[0])
            if tail is not None:
                rest = [entry for part in self.reader.journal(box, *tail) for entry in part]
                audit.take_journal(box, tail[0], rest)
            audit.take_journal(box, epoch, (entry for part in ([head], parts) for entries in part for entry in entries))
            return
        audit.take_journal(box, epoch, (entry for entries in parts for entry in entries))


def parser() -> argparse.ArgumentParser:
    """Give the command line."""
    made = argparse.ArgumentParser(
        prog="portwitness-monitor",
        description="Replay a hub's log and the journals under it, and report what is not as it must be.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--hub", metavar="URL", required=True, help="the hub's browser port")
    made.add_argument("--token-file", metavar="FILE", type=Path, required=True, help="API token of an auditor")
    made.add_argument("--trust", metavar="FILE", type=Path, required=True, help="trust file, from outside the hub")
    made.add_argument("--authorities", metavar="FILE", type=Path, required=True, help="root and site CA certificates (PEM), from outside")
    made.add_argument("--state", metavar="FOLDER", type=Path, required=True, help="where key and progress are kept")
    made.add_argument("--authority", metavar="FILE", type=Path, help="PEM file that the hub's TLS certificate chains to")
    made.add_argument("--no-report", action="store_true", help="look only; hand in nothing")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def run(arguments: Sequence[str] | None, clock: Clock) -> int:
    """Look once, report, print; give the exit status."""
    given = parser().parse_args(arguments)

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(text, file=sys.stderr)  # noqa: T201 - progress of long work

    try:
        monitor = _build(given, clock)
        audit = monitor.look(progress)
        report = monitor.report(audit)
        if not given.no_report:
            monitor.reader.report(report)
        monitor.keep(audit)
    except VerificationError as error:
        print(f"portwitness-monitor: {error}", file=sys.stderr)  # noqa: T201 - the program's word
        return FOUND
    except PortwitnessError as error:
        print(f"portwitness-monitor: {error}", file=sys.stderr)  # noqa: T201 - the program's word
        return UNREADABLE
    print(_text(monitor, audit, as_json=given.json))  # noqa: T201 - the program's result
    return FOUND if audit.findings else CLEAN


def _build(given: argparse.Namespace, clock: Clock) -> Monitor:
    make_folder(given.state)
    trust = Trust.parse(read_file(given.trust, MAX_TRUST_BYTES))
    authorities = tuple(parse_pem(read_file(given.authorities, 1 << 20)))
    token = read_file(given.token_file, 4096).decode("ascii", "replace").strip()
    signer = load_or_create_ed25519(given.state / "monitor.key")
    return Monitor(Reader(HubCalls(given.hub, token, given.authority)), trust, authorities, given.state, signer, clock)


def _text(monitor: Monitor, audit: Audit, *, as_json: bool) -> str:
    key = NoteKey(f"{monitor.trust.log.name}/monitor", ED25519, monitor.signer.public).vkey()
    if as_json:
        facts: dict[str, Any] = {"size": audit.log.size, "root": audit.log.root().hex(), "records": audit.records, "key": key}
        findings = [{"rule": one.rule, "where": one.where, "what": one.what} for one in audit.findings]
        return json.dumps(facts | {"findings": findings})
    lines = [f"{one}" for one in audit.findings]
    at = iso(monitor.clock.now().wall_ns)
    lines.append(f"{at} {audit.log.size} leaves, {len(audit.followed)} journals, {audit.records} records: {len(audit.findings)} findings")
    return "\n".join([*lines, f"monitor key {key}"])


def main() -> None:
    """Run the program."""
    sys.exit(run(None, SystemClock()))


if __name__ == "__main__":
    main()
