"""What partners tell in JSON, what is signed to them, and the root of evidence: pure, strict, and alike for everybody."""

import hashlib
import json
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.clearing import blob_line, encode_evidence, evidence_root, parse_evidence, record_line
from protocol.errors import MalformedError, VerificationError
from protocol.port_messages import EVENTS, check_delivery, key_id, read_telling, sign_delivery, utc
from protocol.signatures import Ed25519Signer
from tests.exchange_parts import BOX, event, telling

SIGNER = Ed25519Signer.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_a_message_reads_as_it_was_written() -> None:
    raw = telling("T-1", event("GTOT", seals=["A1"], facilityCode="gate-1"), event("DROP", eventID="e2", at="2026-11-24T00:30:00Z"))
    first, second = read_telling(raw).events
    assert (first.event, first.container, first.at, first.seals, first.place) == ("GTOT", BOX, "2026-11-24T07:10:00Z", ("A1",), "gate-1")
    assert (second.reference, second.at) == ("e2", "2026-11-24T00:30:00Z")
    for code in EVENTS:
        assert read_telling(telling("T-2", event(code))).events[0].event == code


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"messageID": "a", "messageID": "b"}', "names a member twice"),
        (b"[]", "is no JSON object"),
        (telling("T-1"), "0 events"),
        (telling("bad id!", event("GTOT")), "messageID"),
        (telling("T-1", event("NONE")), "equipmentEventTypeCode"),
        (telling("T-1", event("GTOT", seals=["x" * 41])), "seals"),
        (telling("T-1", event("GTOT", eventID="1"), event("GTIN", eventID="1")), "used twice"),
        (telling("T-1", event("GTOT"), eventCount=True), "eventCount"),
        (telling("T-1", event("GTOT", at="yesterday")), "is no time"),
        (telling("T-1", event("GTOT", at="9999-12-31T23:59:59-14:00")), "is no time"),
        (b'{"messageID": NaN}', "NaN is no number"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_each_fault_is_named(raw: bytes, where: str) -> None:
    with pytest.raises(MalformedError, match=where):
        read_telling(raw)


@given(st.binary(max_size=300))
def test_no_bytes_do_harm(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        read_telling(raw)


@given(st.datetimes(timezones=st.timezones()))
def test_times_keep_their_instant(at: object) -> None:
    text = at.isoformat(timespec="seconds")  # type: ignore[attr-defined]
    try:
        found = utc(text, "at")
    except MalformedError:
        return  # year 1 or 9999 at the edge, or an offset with seconds
    assert utc(found, "at") == found and found.endswith("Z")


def test_a_delivery_is_checked_in_every_part() -> None:
    key, body = SIGNER.public.raw(), json.dumps({"a": 1}).encode()
    headers = sign_delivery(SIGNER, "dct/12", 1_800_000_000, body)
    assert check_delivery(key, headers, body, 1_800_000_100) == "dct/12"
    assert key_id(key) == hashlib.sha256(key).hexdigest()[:16] == headers["Portwitness-Signature"].split(" ")[1]
    twins = [
        (headers, body + b" ", 1_800_000_000),
        (headers, body, 1_800_000_301),
        (headers | {"Portwitness-Message": "dct/13"}, body, 1_800_000_000),
        (headers | {"Portwitness-Time": "1800000001"}, body, 1_800_000_000),
        (sign_delivery(Ed25519Signer.of(Ed25519PrivateKey.generate()), "dct/12", 1_800_000_000, body), body, 1_800_000_000),
    ]
    for changed, raw, now in twins:
        with pytest.raises(VerificationError):
            check_delivery(key, changed, raw, now)
    for broken in ({}, headers | {"Portwitness-Signature": "ed25519 x"}, headers | {"Portwitness-Time": "soon"}):
        with pytest.raises(MalformedError):
            check_delivery(key, broken, body, 1_800_000_000)


LINES = st.lists(st.integers(0, 10**6).map(lambda at: record_line("hub:hub-1", 0, at, at.to_bytes(32, "big"))), min_size=1, max_size=40)


@given(LINES, st.integers())
def test_the_same_evidence_has_the_same_root_in_any_order(lines: list[str], seed: int) -> None:
    shuffled = list(lines) + lines[:1]
    random.Random(seed).shuffle(shuffled)
    root = evidence_root(lines)
    assert evidence_root(shuffled) == root
    assert set(parse_evidence(encode_evidence(shuffled), root)) == set(lines)
    assert evidence_root([*lines, blob_line(bytes(32))]) != root


def test_a_root_is_that_of_the_published_rule() -> None:
    lines = sorted([blob_line(bytes(32)), record_line("box:box-1", 3, 7, bytes(range(32)))])
    left, right = (hashlib.sha256(b"\0" + line.encode()).digest() for line in lines)
    assert evidence_root(lines) == hashlib.sha256(b"\1" + left + right).digest()
    data = encode_evidence(lines)
    for broken in (data[:-1], data + data, data.upper(), b"blob 00\n", b"\xff\n"):
        with pytest.raises((MalformedError, VerificationError)):
            parse_evidence(broken, evidence_root(lines))
