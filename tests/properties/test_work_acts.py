"""What acts of phones amount to is the same in whatever order they arrive; reading is bounded, and every fault names its path."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.inspection.procedures.shipped_files import shipped_procedures
from protocol.errors import MalformedError
from protocol.procedures.acts import Act, Given, Moved, Reasoned, Subscribed, read_act, read_payload
from protocol.procedures.answers import Answer, digest, standing
from protocol.procedures.conduct import CLOCK_MS, Conduct, Entered, Link, chain_faults, clock_fault
from protocol.procedures.reading import PathError

FRUIT = next(one for one in shipped_procedures() if one.key == "fruit")
TEAM = ("li.wei", "zhao.lei")
MS = 1_000_000
OPENED_NS = 1_800_000_000_000 * MS


def act(number: int, kind: Any = "note", **changes: Any) -> Act:
    facts = {"id": f"{number:032x}", "task": "T-1", "procedure": "00" * 32, "kind": kind, "phone_ms": 1_800_000_000_000 + number}
    facts |= {"seq": number + 1, "previous": "", "payload": {}, "text_hash": f"{number:064x}"}
    return Act(**(facts | changes))


def entered(number: int, payload: Any, *, by: str = "li.wei", kind: Any = "note", position: int | None = None, **changes: Any) -> Entered:
    made = act(number, kind, **changes)
    return Entered(number if position is None else position, OPENED_NS + (number + 1) * MS, by, "ab" * 32, made, payload)


@st.composite
def conversations(draw: st.DrawFn) -> list[Entered]:
    """Draw answers of two phones to few questions, with replacements, signatures and steps between them."""
    made: list[Entered] = []
    answers: list[Answer] = []
    for number in range(draw(st.integers(1, 12))):
        what = draw(st.sampled_from(["answer", "answer", "answer", "signature", "step"]))
        by = draw(st.sampled_from(TEAM))
        if what == "answer":
            mine = [one.id for one in answers if one.item == "weather"]
            replaces = tuple(draw(st.lists(st.sampled_from(mine), unique=True, max_size=3))) if mine else ()
            one = Answer(f"{number:032x}/0", "weather", "", draw(st.sampled_from(["dry", "rain", "snow"])), 1, 1, replaces)
            answers.append(one)
            made.append(entered(number, Given((one,)), by=by, kind="answers"))
        elif what == "signature":
            covered = draw(st.lists(st.sampled_from(answers), unique=True)) if answers else []
            right = draw(st.booleans())
            said = digest(covered).hex() if right else "00" * 32
            payload = Subscribed("owner", frozenset(one.id for one in covered), said, "ff" * 32, None, "owner")
            made.append(entered(number, payload, by=by, kind="signature"))
        else:
            made.append(entered(number, Moved("opening", draw(st.sampled_from(["start", "end"])), ""), by=by, kind="step"))
    return made


@given(conversations(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing_that_stands(made: list[Entered], random: Any) -> None:
    shuffled = list(made)
    random.shuffle(shuffled)
    one, other = Conduct(tuple(made), TEAM, OPENED_NS), Conduct(tuple(shuffled), TEAM, OPENED_NS)
    assert standing(one.answers()) == standing(other.answers())
    assert {(each.act, each.fault) for each in one.signatures()} == {(each.act, each.fault) for each in other.signatures()}
    assert one.span("opening") == other.span("opening")
    assert one.people() == other.people()


@given(st.integers(1, 12), st.sets(st.integers(1, 12)), st.randoms(use_true_random=False))
def test_a_chain_names_exactly_what_is_missing(length: int, lost: set[int], random: Any) -> None:
    links, previous = [], ""
    for seq in range(1, length + 1):
        name = hashlib.sha256(f"{seq}".encode()).hexdigest()
        links.append(Link(f"a{seq}", "key", seq, previous, name))
        previous = name
    kept = [one for one in links if one.seq not in lost]
    random.shuffle(kept)
    faults = chain_faults(kept)
    expected = {f"a{seq}" for seq in range(2, length + 1) if seq not in lost and seq - 1 in lost}
    assert set(faults) == expected
    assert all("is not here" in text for text in faults.values())


def test_a_number_that_was_used_twice_and_a_forged_chain_are_named() -> None:
    first, second = Link("a", "k", 1, "", "11" * 32), Link("b", "k", 2, "11" * 32, "22" * 32)
    twin, stranger = Link("c", "k", 2, "11" * 32, "33" * 32), Link("d", "other", 1, "", "44" * 32)
    assert chain_faults([first, second, stranger]) == {}
    found = chain_faults([first, second, twin])
    assert set(found) == {"b", "c"} and all("2 times" in text for text in found.values())
    assert "names another" in chain_faults([first, Link("e", "k", 2, "99" * 32, "55" * 32)])["e"]
    assert "is the first" in chain_faults([Link("f", "k", 1, "99" * 32, "55" * 32)])["f"]


@given(st.integers(-(10**7), 10**7))
def test_a_clock_is_judged_by_what_it_says_at_sending(off_ms: int) -> None:
    hub_ms = OPENED_NS // MS + 3_600_000
    found = clock_fault(hub_ms + off_ms, hub_ms + off_ms, hub_ms * MS, OPENED_NS)
    assert found == (off_ms if abs(off_ms) > CLOCK_MS else None)
    assert clock_fault(hub_ms - 600_000, hub_ms, hub_ms * MS, OPENED_NS) is None  # it was away: late, not wrong


def test_without_that_only_what_cannot_be_is_known() -> None:
    hub_ms = OPENED_NS // MS + 3_600_000
    assert clock_fault(hub_ms + CLOCK_MS + 1, None, hub_ms * MS, OPENED_NS) == CLOCK_MS + 1
    assert clock_fault(OPENED_NS // MS - 86_400_000, None, hub_ms * MS, OPENED_NS) == -86_400_000
    assert clock_fault(hub_ms - 3_000_000, None, hub_ms * MS, OPENED_NS) is None


@given(st.integers(0, 10**14), st.one_of(st.none(), st.integers(-(10**9), 10**9)))
def test_a_moment_lies_between_the_opening_and_the_hub_whatever_the_phone_says(phone_ms: int, ahead_ms: int | None) -> None:
    one = Entered(1, OPENED_NS + 60_000 * MS, "li.wei", "ab", act(1, phone_ms=phone_ms), Reasoned("x"), ahead_ms)
    assert OPENED_NS <= Conduct((one,), TEAM, OPENED_NS).moment(one) <= one.hub_ns


TEXT = json.dumps(
    {
        "id": "0" * 32,
        "task": "T-1",
        "procedure": "0" * 64,
        "kind": "note",
        "phone_ms": 1,
        "seq": 1,
        "previous": "",
        "payload": {"text": "x"},
    }
)


@given(st.integers(0, len(TEXT)), st.text(max_size=8))
def test_damaged_acts_are_refused_or_read_never_anything_else(at: int, put: str) -> None:
    try:
        found = read_act(TEXT[:at] + put + TEXT[at + len(put) :])
        read_payload(found, FRUIT)
    except MalformedError:
        return
    assert found.kind in ("note", "pause", "resume") or found.payload


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"id": "x"}, "id"), ({"task": "a b"}, "task"), ({"kind": "dance"}, "kind"), ({"seq": 0}, "seq"), ({"seq": True}, "seq"),
        ({"previous": "x"}, "previous"), ({"payload": []}, "payload"), ({"more": 1}, "more"), ({"phone_ms": -1}, "phone_ms"),
    ],
)  # fmt: skip
def test_each_field_is_named(change: dict[str, Any], place: str) -> None:
    with pytest.raises(PathError) as caught:
        read_act(json.dumps(json.loads(TEXT) | change))
    assert caught.value.path == place


def test_a_name_twice_fractions_depth_and_length_are_refused() -> None:
    for text in (
        TEXT[:-1] + ', "seq": 2}',
        TEXT.replace('"seq": 1', '"seq": 1.0'),
        TEXT.replace("1,", "NaN,", 1),
        "[" * 100_000,
        "x" * (4 << 20),
    ):
        with pytest.raises(MalformedError):
            read_act(text)


def test_ten_thousand_answers_take_time_in_proportion() -> None:
    """Counted, not timed: reading looks at each answer once, and what stands is the last of each chain of replacements."""
    answers = [
        Answer(f"{number:032x}/0", "weather", "", "dry", 1, 1, (f"{number - 1:032x}/0",) if number else ()) for number in range(10_000)
    ]
    assert [one.id for one in standing(answers)["weather", ""]] == [f"{9999:032x}/0"]
