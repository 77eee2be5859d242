"""Make the golden bytes from fixed keys and values; the same every time. `python -m tests.golden_making` writes them anew.

ES256 signatures are random, so the boot and session records that a P-256 key signs are not among them.
"""

import sys
from pathlib import Path
from typing import Any

from protocol import bundle, canonical, clearing_kinds, exchange_kinds, kinds, messages
from protocol import conduct_kinds as conduct
from protocol import inspection_kinds as inspection
from protocol import rule_kinds as ruling
from protocol import supervision_kinds as supervision
from protocol import work_kinds as working
from protocol.identifiers import HubId, Issuer, SiteId, StreamId
from protocol.instants import Instant
from protocol.merkle import leaf_hash
from protocol.mp4 import read_tracks
from protocol.notes import ED25519, Checkpoint, NoteKey, cosign, sign_checkpoint
from protocol.records import Record, Seen
from protocol.sample_proofs import prove
from protocol.samples import tree_of
from protocol.tiles import encode_bundle
from protocol.trust import Trust, log_origin
from simulators.evidence import fixed_ed25519
from simulators.films import Film, film

FOLDER = Path(__file__).parent / "golden" / "bytes"
HASH = bytes(range(32))
STREAM = "box-1/cam-1"
DECLARATION = "D-20261124-0000001"
SIGNER = fixed_ed25519(7)
FILM = film(1, Film(seconds=2, reorders=True))
AT = Instant(1_795_000_000_123_456_789, 42_000_000_000, "holdover", 12)

BODIES: dict[str, tuple[str, Any]] = {
    "boot": ("box-1", kinds.Boot(HASH[:16], "0.1.0", 3, 17, HASH, True)),
    "session": ("box-1", kinds.Session(HASH, 3_600_000_000_000, "live")),
    "recording": (STREAM, kinds.Recording("started", "configured", "rtsp", 7)),
    "segment": (STREAM, kinds.Segment(7, HASH, 5_000_000, 1, 10_000_000_001, AT.wall_ns, 2, 90_000, 250, HASH, "live", tasks=("T-1",))),
    "gap": (STREAM, kinds.Gap("camera lost", 10, 20, 1, 11, "no route", 25)),
    "heartbeat": ("box-1", kinds.Heartbeat((kinds.OpenSegment(STREAM, 8, 1000, HASH, 5, 6),))),
    "seal": ("box-1", kinds.Seal(b"note", (kinds.StreamHead(STREAM, 7), kinds.StreamHead("box-1/cam-2", None)), "interval")),
    "clock-step": ("box-1", kinds.ClockStep(5, 9, 4)),
    "box-state": ("box-1", kinds.BoxState("disk full", "0 bytes")),
    "disposal": ("box-1", kinds.Disposal((HASH,), "retention")),
    "task": ("T-1", kinds.Task("opened", "li.wei", "testport", "bay-1", "查验", ("li.wei",), (STREAM,), (("container", "TESU1234567"),))),
    "pairing": ("T-1", kinds.Pairing("paired", STREAM, "li.wei", HASH, 5, "wang.fang", "late")),
    "stored": ("box-1", kinds.Stored((HASH, HASH[::-1]))),
    "view": (STREAM, kinds.View("started", "li.wei", "live", "v1")),
    "export": ("T-1", kinds.Export("li.wei", HASH, 12)),
    "enrolment": ("box-1", kinds.Enrolment("issued", b"certificate", "admin")),
    "equivocation": ("box:box-1", kinds.Equivocation(0, 5, HASH, b"other")),
    "rollback": ("box-1", kinds.Rollback(2, 7, 9, b"boot", b"known", b"session")),
    "access": ("li.wei", kinds.Access("added", "admin", "inspector")),
    "time-token": ("portwitness.port/testport/hub-1", kinds.TimeToken(99, HASH, b"token", "tsa.example")),
    "audit-report": ("monitor", kinds.AuditReport("monitor", 99, HASH, 2, b"report")),
    "configuration": ("box-1", kinds.Configuration(bytes(range(32)), (("camera cam-1", "rtsp://10.0.0.8/main"),), True)),
    "keeping": ("T-1", kinds.Keeping("classed", "li.wei", "used as evidence", "evidence")),
    "derived": (
        "T-1",
        kinds.Derived(
            "redacted",
            HASH,
            1000,
            "li.wei",
            STREAM,
            10,
            20,
            (kinds.Parent(7, HASH, HASH[::-1], 3, 99),),
            (kinds.Area(((0, 1000, 2000, 3000, 4000),), 2000, "black", "drawn", "li.wei"),),
            "muted",
            50,
            (("libx264", "165"),),
            "face",
        ),
    ),
    "concealed": (STREAM, kinds.Concealed("view", HASH)),
    "port-checkpoint": ("portwitness.port/testport/hub-1", kinds.PortCheckpoint(b"note")),
    "fork": ("portwitness.port/testport/hub-1", kinds.Fork(b"known", b"other")),
    "declaration": (DECLARATION, inspection.Declaration("lodged", 1, "lodged", HASH)),
    "step": (DECLARATION, inspection.Step("selected", HASH, "draw/1")),
    "hold": (DECLARATION, inspection.Hold("placed", "customs", HASH)),
    "draw-policy": ("draw-rules/1", inspection.DrawPolicy(b"{}", HASH)),
    "draw-call": ("draw-000007", inspection.DrawCall(7, AT.wall_ns, HASH, HASH[::-1])),
    "draw-closing": ("draw-000007", inspection.DrawClosing(7, HASH, 100, 9, HASH, HASH[::-1])),
    "draw-result": (
        "draw-000007",
        inspection.DrawResult(7, (("customs", b"pi"),), ("port",), "drawn", HASH, 5, HASH[::-1], (("fruit/AU", 90, 5),)),
    ),
    "draw-act": ("draw-000007", inspection.DrawAct("refused", HASH)),
    "procedure": ("fruit", ruling.ProcedureAct("published", 2, HASH, "2026-12-01", HASH[::-1], "2027-11-30", "shipped/1")),
    "rule": ("durian-vietnam", ruling.RuleAct("proposed", 3, HASH)),
    "reference": ("bay/b-1", inspection.Reference("set", 2, HASH)),
    "annotation": ("T-1", supervision.Annotation(AT.wall_ns, AT.wall_ns + 5, HASH, STREAM, 77)),
    "instruction": ("T-1", supervision.Instruction("acknowledged", HASH, 78)),
    "second-round": ("draw-000007", supervision.SecondRound(7, "second-look/1", 50_000_000, HASH, 2, ("T-1", "T-2"))),
    "second-look": ("T-1", supervision.SecondLook("found", HASH, "findings")),
    "message-in": (
        "terminal-1",
        exchange_kinds.MessageIn(3, HASH, 412, "edifact", "000000000007", "taken", (("1", "CODECO", HASH[::-1], "taken"),)),
    ),
    "message-out": ("terminal-1", exchange_kinds.MessageOut(9, HASH, 620, "json", "HOLD", "queued", 99, DECLARATION)),
    "port-event": (DECLARATION, exchange_kinds.PortEvent(99, 0, "GTOT", "CSQU3054383", "illegal", "202611241530", DECLARATION, "gate-1")),
    "delivery": ("terminal-1", exchange_kinds.Delivery(99, "resent", 8, HASH)),
    "evaluation": (DECLARATION, clearing_kinds.Evaluation("pass", 120, HASH)),
    "release": (DECLARATION, clearing_kinds.Release("released", 121, HASH, 44, HASH[::-1], "release-rules/1")),
    "credit-event": (
        "91210200MA0SIM001X",
        conduct.CreditEvent("fine", "2026-11-20", HASH, "2031-11-20", 2, (("fine-yuan", 120_000),), "gate/1"),
    ),
    "appeal": ("91210200MA0SIM001X", conduct.Appeal(41, "upheld", HASH)),
    "rule-set": ("credit/ciq/2", conduct.RuleSet("credit", b"{}", HASH)),
    "sample": (f"{DECLARATION}-S01", conduct.Sample("reported", DECLARATION, HASH, "lab-1", True, "positive", HASH[::-1])),
    "device-key": (HASH.hex(), working.DeviceKey("issued", b"spki", HASH, AT.wall_ns)),
    "work": ("T-1", working.Work("answers", HASH[:16], HASH, 7, HASH[::-1], -93_600_000)),
    "system-note": (DECLARATION, working.SystemNote("temperature-log", HASH)),
    "ticket": ("T-1", working.Ticket(HASH[:16], AT.wall_ns, "li.wei")),
    "head-seen": ("box-1", kinds.HeadSeen(3, b"note", "li.wei", "code")),
}

LATER: dict[str, tuple[str, Any]] = {  # the same kinds as they are written since; what was written before still reads
    "segment-lean": (STREAM, kinds.Segment(7, HASH, 5_000_000, 1, 10_000_000_001, AT.wall_ns, 2, 90_000, 250, None, "live",
                                           device_from=AT.wall_ns - 5, sample_root=HASH[::-1], starts=(14_700,))),
}  # fmt: skip

MESSAGES: tuple[Any, ...] = (
    messages.JournalBatch("box-1", 3, 10, (b"one", b"two")),
    messages.Persisted("box-1", 3, 12),
    messages.StoredBlobs("box-1", (HASH,)),
    messages.Receipt("box-1", 3, 0, 2, (), (HASH,), b"seal", 9, (HASH, HASH), b"checkpoint"),
    messages.Resend("box-1", 3, 10, "wrong root"),
    messages.Pair("c1", "T-1", "rec-1", "paired", "li.wei", b"order"),
    messages.EndTask("c2", "T-1", b"order"),
    messages.Live("c3", "cam-1", "start", "/device/v1/whip/cam-1"),
    messages.Reply("c1", True),
    messages.Claim("k1", "box-1", "rec-1", "123456"),
    messages.Refusal("k1", "no such code"),
    messages.BoxReport("box-1", 3, 1, 2, "synced", "0.1", "mqtt", 12, 0, 0, 0, 0, 10**10, "ok", (
        messages.SourceState("cam-1", "camera", "recording", "", 5, 4_000_000, 100, 0),)),
    messages.Beacon(b"checkpoint", 7),
    messages.Prove("box-1", 3, 9),
    messages.Consistency(3, 9, (HASH, HASH[::-1])),
)  # fmt: skip


def record(name: str) -> bytes:
    """Give the signed record of a kind."""
    subject, body = (BODIES | LATER)[name]
    return Record(Issuer.of_box("box-1"), 3, 10, HASH, subject, AT, body, Seen(99, HASH)).sign(SIGNER).data


def make() -> dict[str, bytes]:
    """Give all golden bytes by name."""
    origin = log_origin("testport", "hub-1")
    head = Checkpoint(origin, 20_852_163, HASH)
    checkpoint = sign_checkpoint(head, SIGNER, (cosign(head.text(), f"{origin}/time", SIGNER, 1_795_000_000),))
    key = NoteKey(origin, ED25519, SIGNER.public)
    found = {f"record-{name}": record(name) for name in BODIES | LATER}
    found |= {f"message-{one.KIND}": messages.encode(one) for one in MESSAGES}
    return found | {
        "vkey": key.vkey().encode(),
        "checkpoint": checkpoint,
        "tlog-proof": bundle.LogProof(73_894, (HASH, leaf_hash(b"")), checkpoint).encode(),
        "journal-range": bundle.JournalRange(5, (HASH, HASH[::-1]), b"session", (HASH,)).encode(),
        "sample-proof": prove(tree_of(FILM, read_tracks(FILM)), StreamId(STREAM), 7, {0: (7, 31), 1: (20, 60)}).encode(),
        "manifest": bundle.encode_manifest({"data/b": HASH, "data/a": HASH[::-1]}),
        "entry-bundle": encode_bundle([b"", b"one", b"x" * 300]),
        "trust": Trust(SiteId("testport"), HubId("hub-1"), HASH.hex(), key).encode(),
        "canonical": canonical.encode({"b": {1: None, 2: True, 300: -(2**63)}, "a": [2**64 - 1, b"\x00", "查验"], "bb": {}}),
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, data in make().items():
        (FOLDER / f"{name}.hex").write_text("\n".join(data.hex()[at : at + 128] for at in range(0, 2 * len(data), 128)) + "\n")
    sys.stdout.write(f"{len(make())} files in {FOLDER}\n")


if __name__ == "__main__":
    main()
