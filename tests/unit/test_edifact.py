"""EDIFACT against a library of others, against published layouts, and against itself by chance."""

import warnings
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydifact.segmentcollection import Interchange as TheirInterchange

from protocol.edifact.answers import Complaint, Control, read_complaint, read_control, write_complaint, write_control
from protocol.edifact.boxes import BoxMove, is_minute, read_boxes, write_boxes
from protocol.edifact.interchange import (
    COUNTS,
    DUPLICATE,
    MISSING,
    OUT_OF_PLACE,
    REFERENCES,
    Envelope,
    Message,
    read_interchange,
    write_interchange,
)
from protocol.edifact.orders import Order, read_order, write_order
from protocol.edifact.profiles import STANDARD_PROFILE, Profile, profile_value, read_profile
from protocol.edifact.syntax import Segment, Separators, join, segment, split
from protocol.errors import MalformedError, PortwitnessError

ENVELOPE = Envelope("DCT", "CIQDYW", "42", ("261124", "1510"))
GATE_OUT = (
    "UNH+3+CODECO:D:95B:UN:ITG14'BGM+36+GO2609030007+9'TDT+1++3+31+DCT:172:20+++LB12345:146'NAD+CF+COS:160:166'"
    "EQD+CN+CSQU3054383+45R1:102:5++3+5'RFF+ABT:210000126000123456'DTM+7:202609031510:203'LOC+165+CNDLC:139:6:DCT:TER:ZZZ'"
    "SEL+CIQ778899+AC+1'CNT+16:1'UNT+11+3'"
)
RELEASE = Order(
    "R2609030002",
    "release",
    "202609031402",
    "D-20261124-0000001",
    "210100",
    ("CSQU3054383",),
    "SIMU2609000001",
    "EVIDENCE ROOT SHA256:9f2c",
)


def wrapped(body: str, count: int = 1, reference: str = "42", head: str = "UNA:+.? '") -> bytes:
    return f"{head}UNB+UNOC:3+DCT+CIQDYW+261124:1510+42'{body}UNZ+{count}+{reference}'".encode("iso8859-1")


def codes(data: bytes) -> list[tuple[str, int | None]]:
    return [(fault.code, fault.message) for fault in read_interchange(data).faults]


def test_a_gate_message_is_read() -> None:
    found = read_interchange(wrapped(GATE_OUT))
    assert found.faults == () and found.is_whole
    ((_, message),) = found.sound()
    assert read_boxes(message) == (
        BoxMove(
            document="GO2609030007",
            event="gate-out",
            container="CSQU3054383",
            at="202609031510",
            declaration="210000126000123456",
            carrier="LB12345",
            seals=("CIQ778899",),
            place="CNDLC",
        ),
    )


def test_an_order_comes_back_and_a_library_of_others_reads_it() -> None:
    data = write_interchange(ENVELOPE, [write_order(RELEASE, "5")])
    found = read_interchange(data)
    assert found.faults == ()
    assert read_order(found.messages[0]) == RELEASE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for descriptions of segments that it does not bring
        (message,) = TheirInterchange.from_str(data.decode("iso8859-1")).get_messages()
    mine = [(one.tag, [list(each) if len(each) > 1 else each[0] for each in one.elements]) for one in found.messages[0].segments]
    assert [(one.tag, one.elements) for one in message.segments] == mine


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("UNT+11+3", "UNT+12+3", [(COUNTS, 0)]),
        ("UNT+11+3", "UNT+11+4", [(REFERENCES, 0)]),
        ("UNT+11+3'", "", [(MISSING, 0)]),
        ("UNT+11+3", "UNT", [(COUNTS, 0), (REFERENCES, 0)]),
        ("UNH+3+", "UNH++", [(MISSING, 0), (REFERENCES, 0)]),
        ("UNZ+1+42", "UNZ+2+42", [(COUNTS, None)]),
        ("UNZ+1+42", "UNZ+1+43", [(REFERENCES, None)]),
        ("UNZ+1+42'", "", [(MISSING, None)]),
        ("UNH+3+", "XYZ+1'UNH+3+", [(OUT_OF_PLACE, None)]),
        ("UNZ+1+42'", "UNZ+1+42'UNZ+1+42'", [(OUT_OF_PLACE, None)]),
        ("UNZ+1+42", f"{GATE_OUT}UNZ+2+42", [(DUPLICATE, 1)]),
    ],
)
def test_every_wrong_count_and_reference_is_named(old: str, new: str, expected: list[tuple[str, int | None]]) -> None:
    text = wrapped(GATE_OUT).decode("iso8859-1")
    assert old in text
    data = text.replace(old, new).encode("iso8859-1")
    assert codes(data) == expected
    found = read_interchange(data)
    assert all(str(fault) for fault in found.faults)
    assert (found.sound() == []) == (len(expected) > 0 and (expected[0][1] in (0, None)))


def test_one_wrong_message_leaves_the_others() -> None:
    wrong = GATE_OUT.replace("UNH+3", "UNH+4").replace("UNT+11+3", "UNT+10+4")
    found = read_interchange(wrapped(GATE_OUT + wrong, 2))
    assert [at for at, _ in found.sound()] == [0]
    _, answer = write_control(found, "43", ("261124", "1511"))
    assert [one.elements for one in answer.segments if one.tag == "UCM"] == [
        (("3",), ("CODECO", "D", "95B", "UN", "ITG14"), ("7",)),
        (("4",), ("CODECO", "D", "95B", "UN", "ITG14"), ("4",), (COUNTS,), ("UNT",)),
    ]
    envelope, refusal = write_control(read_interchange(wrapped(GATE_OUT, 7)), "43", ("261124", "1511"))
    assert refusal.segments[0].elements == (("42",), ("DCT",), ("CIQDYW",), ("4",), (COUNTS,), ("UNZ",))
    assert read_control(refusal) == Control("42", True, COUNTS)
    assert read_control(answer).messages == (("3", False, None), ("4", True, COUNTS))
    assert read_interchange(write_interchange(envelope, [refusal])).faults == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin with UNB"),
        (b"<xml/>", "does not begin with UNB"),
        (b"UNA++++++", "no service string advice"),
        (b"UNA:+.  '", "names no release character"),
        (b"UNB+UNOX:3+A+B+1:1+1'", "character set 'UNOX'"),
        (b"UNB+UNOC:9+A+B+1:1+1'", "version '9'"),
        (b"UNB+UNOC:3+A++1:1+1'", "names no recipient"),
        (b"UNB+UNOA:3+A+B+1:1+1'UNZ+0+1'lower", "character 'l' is not of"),
        ("UNB+UNOC:3+A+B+1:1+1'FTX+丂'".encode("gb18030"), "character"),
        (b"UNB+UNOW:3+A+B+1:1+1'FTX+" + b"\xff'", "byte"),
        (b"UNB+UNOC:3+A+B+1:1+1'FTX+?x'", "releases nothing"),
        (b"UNB+UNOC:3+A+B+1:1+1'FTX+x?", "releases nothing"),
        (b"UNB+UNOC:3+A+B+1:1+1'FTX+x", "ends within a segment"),
        (b"UNB+UNOC:3+A+B+1:1+1''", "has no tag"),
        (b"UNB+UNOC:3+A+B+1:1+1'UN:1+x'", "has no tag"),
        (b"UNB+UNOC:3+A+B+1:1+1'FTX+\x00'", "character"),
        (bytes(9_000_000), "at most"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read_interchange(data)


letters = st.text(st.characters(codec="iso8859-1", exclude_categories=["Cc"]), max_size=12)
elements = st.lists(st.lists(letters, min_size=1, max_size=3).map(tuple), max_size=4).map(tuple)
segments = st.builds(Segment, st.sampled_from(["BGM", "DTM", "FTX", "RFF"]), elements)


def trimmed(one: Segment) -> Segment:
    """Take off what writing leaves out: empty components and elements at an end."""
    found = [list(each) for each in one.elements]
    for each in found:
        while len(each) > 1 and not each[-1]:
            each.pop()
    while found and found[-1] == [""]:
        found.pop()
    return Segment(one.tag, tuple(tuple(each) for each in found))


@given(st.lists(st.lists(segments, max_size=5), max_size=4), st.sampled_from([Separators(), Separators("|", "#", ",", "!", "~")]))
def test_what_is_written_reads_the_same(bodies: list[list[Segment]], separators: Separators) -> None:
    messages = [Message(str(at), ("CODECO", "D", "95B", "UN"), tuple(body)) for at, body in enumerate(bodies)]
    found = read_interchange(write_interchange(ENVELOPE, messages, separators))
    assert found.faults == ()
    assert found.envelope == ENVELOPE
    assert [[trimmed(one) for one in message.segments] for message in found.messages] == [[trimmed(one) for one in body] for body in bodies]


@given(st.binary(max_size=300) | st.text("UNABHTZ+:?'16\n", max_size=200).map(str.encode))
def test_no_junk_breaks_the_reader(junk: bytes) -> None:
    for data in (junk, b"UNB+UNOC:3+A+B+1:1+1'" + junk):
        try:
            found = read_interchange(data)
        except PortwitnessError:
            continue
        assert found.envelope.sender


@given(st.integers(0, 400), st.integers(0, 7))
def test_a_flipped_bit_is_named_or_seen_in_what_is_read(at: int, bit: int) -> None:
    data = bytearray(wrapped(GATE_OUT))
    at %= len(data)
    data[at] ^= 1 << bit
    try:
        found = read_interchange(bytes(data))
    except PortwitnessError:
        return
    whole = read_interchange(wrapped(GATE_OUT))
    assert found.faults or found != whole or bytes(data[at : at + 1]) in b"\r\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("CSQU3054383", "CSQU3054384"), "check digit"),
        (("CNT+16:1", "CNT+16:2"), "CNT says 2 boxes, there are 1"),
        (("BGM+36", "BGM+98"), "none of 34, 36"),
        (("DTM+7:202609031510:203", "DTM+7:2026090315:203"), "no time"),
        (("CODECO", "COARRI"), "BGM '36'"),
        (("CODECO", "BAPLIE"), "not agreed"),
        (("CNT+16:1'UNT+11", "UNT+10"), "no control total"),
        (("202609031510", "202602301510"), "no time"),
        (("BGM+36+", "RFF+36+"), "no BGM"),
    ],
)
def test_a_gate_message_that_says_less_is_refused(change: tuple[str, str], said: str) -> None:
    ((_, message),) = read_interchange(wrapped(GATE_OUT.replace(*change))).sound()
    with pytest.raises(MalformedError, match=said):
        read_boxes(message)


@pytest.mark.parametrize("changes", [{"at": "2026-09-03"}, {"text": "x" * 351}, {"containers": ("CSQU3054380",)}])
def test_an_order_that_has_no_layout_is_refused(changes: dict[str, Any]) -> None:
    order = Order(**({name: getattr(RELEASE, name) for name in Order.__slots__} | changes))
    with pytest.raises(MalformedError):
        write_order(order, "1")


def test_segments_keep_what_is_released() -> None:
    text = "FTX+AHN+a?+b?:c??d?'e'"
    assert split(text) == [segment("FTX", "AHN", "a+b:c?d'e")]
    assert join(split(text)) == text


SAMPLES = {
    "COPRAR": "UNH+1+COPRAR:D:95B:UN:SMDG16'BGM+43+DO2609010001+9'TDT+20+055N+1++COS:172:20+++9074729:146:11:MV SIM DALIAN'"
    "LOC+11+CNDLC:139:6:DCT'DTM+132:202609010600:203'NAD+CA+COS:172:20'EQD+CN+CSQU3054383+45R1:102:5++3+5'RFF+BM:SIMU2609000001'"
    "LOC+9+AUMEL:139:6'LOC+11+CNDLC:139:6'MEA+AAE+VGM+KGM:26430'TMP+2+-018:CEL'SEL+SH123456+SH'CNT+16:1'UNT+15+1'",
    "COARRI": "UNH+2+COARRI:D:95B:UN:ITG12'BGM+44+DR2609010001+9'TDT+20+055N+1++COS:172:20+++9074729:146:11:MV SIM DALIAN'"
    "NAD+CF+COS:160:166'EQD+CN+CSQU3054383+45R1:102:5++3+5'RFF+BM:SIMU2609000001'DTM+203:202609010742:203'LOC+11+CNDLC:139:6'"
    "SEL+SH123456+SH+1'CNT+16:1'UNT+11+2'",
    "CODECO": GATE_OUT,
    "hold": "UNH+4+CUSRES:D:96B:UN'BGM+961+R2609010001+11'DTM+137:202609010815:203'LOC+22+210100:148:ZZZ'GIS+5:120:ZZZ'"
    "FTX+AHN+++CIQ INSPECTION - RANDOM DRAW 20260901-0815'RFF+ABT:210000126000123456'RFF+BM:SIMU2609000001'RFF+AAQ:CSQU3054383'UNT+10+4'",
    "release": "UNH+5+CUSRES:D:96B:UN'BGM+961+R2609030002+11'DTM+137:202609031402:203'LOC+22+210100:148:ZZZ'GIS+4:120:ZZZ'"
    "FTX+AHN+++EVIDENCE ROOT SHA256?:9f2c'RFF+ABT:210000126000123456'RFF+AAQ:CSQU3054383'UNT+9+5'",
    "APERAK": "UNH+7+APERAK:D:96B:UN'BGM+963+AP2609010003+27'DTM+137:202609010816:203'RFF+ACW:DR2609010001'NAD+MS+CIQDYW'ERC+12:ZZZ'"
    "FTX+AAO+++CONTAINER CHECK DIGIT INVALID'UNT+8+7'",
    "CONTRL": "UNH+8+CONTRL:2:2:UN'UCI+1+DCT+CIQDYW+4+29+UNZ'UCM+2+COARRI:D:95B:UN+4+29+UNT'UNT+4+8'",
}


def sample(name: str) -> Message:
    found = read_interchange(wrapped(SAMPLES[name]))
    assert found.faults == ()
    return found.messages[0]


def test_samples_of_every_message_are_read() -> None:
    (expected,) = read_boxes(sample("COPRAR"))
    assert (expected.event, expected.at, expected.carrier, expected.voyage) == ("to-discharge", "202609010600", "9074729", "055N")
    (landed,) = read_boxes(sample("COARRI"))
    assert (landed.event, landed.at, landed.bill, landed.seals) == ("discharged", "202609010742", "SIMU2609000001", ("SH123456",))
    assert (read_order(sample("hold")).status, read_order(sample("release")).text) == ("hold", "EVIDENCE ROOT SHA256:9f2c")
    assert read_complaint(sample("APERAK")).text == "CONTAINER CHECK DIGIT INVALID"
    assert read_control(sample("CONTRL")) == Control("1", True, "29", (("2", True, "29"),))


@pytest.mark.parametrize("name", ["hold", "release"])
def test_orders_are_written_byte_for_byte_as_the_samples(name: str) -> None:
    message = sample(name)
    data = write_interchange(ENVELOPE, [write_order(read_order(message), message.reference)])
    assert SAMPLES[name].encode() in data


def test_complaints_are_written_byte_for_byte_as_the_sample() -> None:
    message = sample("APERAK")
    data = write_interchange(ENVELOPE, [write_complaint(read_complaint(message), message.reference)])
    assert SAMPLES["APERAK"].encode() in data
    with pytest.raises(MalformedError, match="no time"):
        read_boxes(read_interchange(wrapped(SAMPLES["COARRI"].replace("DTM+203", "DTM+7"))).messages[0])
    with pytest.raises(MalformedError, match="names no document"):
        read_complaint(read_interchange(wrapped(SAMPLES["APERAK"].replace("RFF+ACW", "RFF+BM"))).messages[0])
    with pytest.raises(MalformedError, match="not YYYYMMDDhhmm"):
        write_complaint(Complaint("1", "2", "3", "tomorrow"), "1")


containers = st.sampled_from(["CSQU3054383", "MSKU9070323", "TEMU6079348"])
words = st.text("ABCDEFGHIJ0123456789 ?+:'", min_size=1, max_size=17).filter(lambda text: text.strip() == text)
minutes = st.datetimes().map(lambda at: f"{at:%Y%m%d%H%M}".rjust(12, "0"))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[BoxMove]]:
    name = draw(st.sampled_from(["CODECO", "COARRI", "COPRAR"]))
    layout = STANDARD_PROFILE.layout(name)
    document, carrier, voyage = draw(words), draw(st.none() | words), draw(st.none() | words)
    event, at = draw(st.sampled_from(sorted(set(layout.codes.values())))), draw(minutes)
    moves = [
        BoxMove(
            document=document,
            event=event,
            container=draw(containers),
            at=at if layout.header_time else draw(minutes),
            declaration=draw(st.none() | words),
            bill=draw(st.none() | words),
            carrier=carrier,
            voyage=voyage,
            seals=tuple(draw(st.lists(words, max_size=2))),
            place=draw(st.none() | words),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    return name, moves


@given(documents())
def test_boxes_that_are_written_read_the_same(document: tuple[str, list[BoxMove]]) -> None:
    name, moves = document
    found = read_interchange(write_interchange(ENVELOPE, [write_boxes(name, moves, "1")]))
    assert found.faults == ()
    assert list(read_boxes(found.messages[0])) == moves


@given(st.text("0123456789", min_size=12, max_size=12) | minutes)
def test_times_are_those_of_the_calendar(text: str) -> None:
    try:
        real = bool(datetime.strptime(f"{text}+0000", "%Y%m%d%H%M%z"))
    except ValueError:
        real = False
    assert is_minute(text) == (real or (text.startswith("0000") and is_minute(text)))


def test_one_document_has_boxes_of_one_kind() -> None:
    one = BoxMove("D1", "gate-in", "CSQU3054383", "202609031510")
    for moves in ([], [one, replace(one, document="D2")], [one, replace(one, event="gate-out")], [replace(one, event="loaded")]):
        with pytest.raises(MalformedError):
            write_boxes("CODECO", moves, "1")
    with pytest.raises(MalformedError, match="not YYYYMMDDhhmm"):
        write_boxes("CODECO", [replace(one, at=None)], "1")


GROUP = "UNG+CODECO+DCT+CIQDYW+261124:1510+G1+UN+D:95B'"


@pytest.mark.parametrize(
    ("body", "count", "expected"),
    [
        (f"{GROUP}{GATE_OUT}UNE+1+G1'", 1, []),
        (f"{GROUP}{GATE_OUT}UNE+1+G1'{GROUP.replace('G1', 'G2')}UNE+0+G2'", 2, []),
        (f"{GROUP}{GATE_OUT}UNE+2+G1'", 1, [COUNTS]),
        (f"{GROUP}{GATE_OUT}UNE+1+G2'", 1, [REFERENCES]),
        (f"{GROUP}{GATE_OUT}", 1, [MISSING]),
        (f"{GATE_OUT}UNE+1+G1'", 1, [OUT_OF_PLACE]),
        (f"{GROUP}UNE+0+G1'{GATE_OUT}", 1, [OUT_OF_PLACE]),
        (f"{GROUP}{GATE_OUT}UNE+1+G1'", 2, [COUNTS]),
    ],
)
def test_groups_have_counts_and_references_too(body: str, count: int, expected: list[str]) -> None:
    found = read_interchange(wrapped(body, count))
    assert [fault.code for fault in found.faults] == expected
    assert found.is_whole == (not expected)


def test_an_agreed_encoding_goes_before_what_the_envelope_says() -> None:
    order = replace(RELEASE, text="查验合格，准予放行")
    for encoding in ("gb18030", "utf-8"):
        data = write_interchange(ENVELOPE, [write_order(order, "5")], encoding=encoding)
        assert read_order(read_interchange(data, encoding).messages[0]) == order
    with pytest.raises(MalformedError, match="not of character set UNOC"):
        write_interchange(ENVELOPE, [write_order(order, "5")])
    with pytest.raises(MalformedError, match=r"segment \d+: byte \d+ is not of character set utf-8"):
        read_interchange(write_interchange(ENVELOPE, [write_order(order, "5")], encoding="gb18030"), "utf-8")


def test_faults_of_bytes_name_their_segment() -> None:
    head = b"UNB+UNOA:3+A+B+1:1+1'UNH+1+X:D'"
    for body, number in ((b"FTX+low?'er'", 3), (b"BGM+1'FTX+\xb9'", 4), (b"BGM+1'?", 4), (b"'", 3)):
        with pytest.raises(MalformedError, match=f"segment {number}: "):
            read_interchange(head + body)


def test_work_is_bounded() -> None:
    with pytest.raises(MalformedError, match="more than 1000 faults"):
        read_interchange(b"UNB+UNOC:3+A+B+1:1+1'" + b"AAA'" * 100_000)
    with pytest.raises(MalformedError, match="more than 500000 segments"):
        read_interchange(b"UNB+UNOC:3+A+B+1:1+1'" + b"AAA'" * 600_000)
    with pytest.raises(MalformedError, match="more than 10000 messages"):
        read_interchange(b"UNB+UNOC:3+A+B+1:1+1'" + b"UNH+1+X'" * 10_002)


def test_a_profile_is_read_as_it_is_written() -> None:
    told = {
        "name": "DCT",
        "encoding": "gb18030",
        "needs_total": False,
        "layouts": {"CODECO": {"codes": {"1": "gate-out"}, "time": "132", "place": "8"}},
    }
    profile = read_profile(told)
    assert profile.layout("CODECO").codes == {"1": "gate-out"}
    assert profile.layout("COARRI") == STANDARD_PROFILE.layout("COARRI")
    assert read_profile(profile_value(profile)) == profile
    assert read_profile({}) == Profile()
    changed = GATE_OUT.replace("BGM+36", "BGM+1").replace("DTM+7", "DTM+132").replace("CNT+16:1'UNT+11", "UNT+10")
    assert read_boxes(read_interchange(wrapped(changed)).messages[0], profile)[0].event == "gate-out"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"charset": "UNOX"}, "charset"),
        ({"encoding": "latin-9"}, "encoding"),
        ({"charset": 5}, "charset"),
        ({"needs_total": 1}, "needs_total"),
        ({"colour": "red"}, "colour"),
        ({"layouts": {"CODECO": {"codes": {}}}}, "CODECO"),
        ({"layouts": {"CODECO": {"codes": {"36": "gone"}, "time": "7", "place": "165"}}}, "CODECO"),
        ({"layouts": {"CODECO": {"codes": {"36": "gate-out"}, "time": "7", "place": "165", "carrier": 99}}}, "CODECO"),
    ],
)
def test_a_profile_that_says_nonsense_is_named(value: dict[str, Any], named: str) -> None:
    with pytest.raises(MalformedError, match=f"profile .*{named}"):
        read_profile(value)
