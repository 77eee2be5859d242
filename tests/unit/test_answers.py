"""Answers: typed and bounded, never overwritten, order does not matter; what is missing is said with its reason."""

import hashlib
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.inspection.procedures.shipped_files import shipped_procedures
from protocol.errors import MalformedError
from protocol.procedures import model
from protocol.procedures.answers import Answer, asked, check_value, digest, failing, in_conflict, read_answers, read_rest, rest, standing
from protocol.procedures.completeness import Facts, Held, Signed, meter, missing
from protocol.procedures.model import Item
from protocol.procedures.reading import PathError, read_procedure, value_of

FRUIT = next(one for one in shipped_procedures() if one.key == "fruit")
FAILURE = next(one for one in shipped_procedures() if one.key == "failure")
BATCH = "0" * 32
PHOTO = hashlib.sha256(b"photo").hexdigest()
PARTS = {"container": ["CSQU3054383"]}


def said(item: str, value: Any, at: str = "", **changes: Any) -> dict[str, Any]:
    return {"item": item, "at": at, "value": value, "dwell_ms": 900, "phone_ms": 1_790_000_000_000} | changes


def sample(item: Item) -> Any:
    """Make an answer to any item, one that conforms where there is one."""
    conforming = item.conforming() or (item.options[0] if item.options else None)
    plain: dict[str, Any] = {
        "choice": conforming and conforming.key,
        "multi": conforming and [conforming.key],
        "number": item.least or "0",
        "text": "x",
        "barcode": "A1",
        "date-time": "2026-11-24T08:30:00+08:00",
        "gps": {"latitude": 38_990_000, "longitude": 121_880_000, "accuracy_m": 5},
        "signature": {"drawn": PHOTO, "name": "王芳"},
    }
    files = [hashlib.sha256(f"{item.key}{number}".encode()).hexdigest() for number in range(int(item.least or "1") or 1)]
    return plain.get(item.type, files)


def filled(procedure: model.Procedure, parts: dict[str, list[str]]) -> tuple[Answer, ...]:
    """Answer everything that is asked, until nothing new is."""
    answers: list[Answer] = []
    for turn in range(5):
        stands = standing(answers)
        new = [said(item.key, sample(item), at) for _, item, at in asked(procedure, stands, parts) if (item.key, at) not in stands]
        if not new:
            break
        answers += read_answers(procedure, f"{turn:032x}", new)
    return tuple(answers)


def files_of(answers: tuple[Answer, ...]) -> frozenset[str]:
    lists = [one.value for one in answers if isinstance(one.value, list)]
    return frozenset(name for names in lists for name in names) | {PHOTO}


def everything(procedure: model.Procedure, parts: dict[str, list[str]]) -> Facts:
    answers = filled(procedure, parts)
    held = tuple(Held(step.key, wanted.key, wanted.least, wanted.stored) for step in procedure.steps for wanted in step.records)
    signed = tuple(Signed(role, frozenset(one.id for one in answers)) for role in ("lead", "owner"))
    return Facts(answers, files_of(answers), held, signed, parts, ("lead", "owner"))


@pytest.mark.parametrize("procedure", shipped_procedures(), ids=lambda one: one.key)
def test_each_shipped_procedure_can_be_completed_and_misses_what_is_taken_away(procedure: model.Procedure) -> None:
    parts = {section.per: ["PART-1", "PART-2"] for section in procedure.sections if section.per}
    facts = everything(procedure, parts)
    assert missing(procedure, facts) == []
    assert meter(procedure, facts)[0] == meter(procedure, facts)[1] > 12
    for gone in range(0, len(facts.answers), 5):
        left = replace(facts, answers=facts.answers[:gone] + facts.answers[gone + 1 :])
        lost = facts.answers[gone]
        found = missing(procedure, left)
        section, item = procedure.items[lost.item]
        if item.required:
            assert (section.step, "item", item.key, lost.at, "not answered") in [(o.step, o.what, o.key, o.at, o.reason) for o in found]
    for record in facts.held:
        wanted = next(w for s in procedure.steps if s.key == record.step for w in s.records if w.key == record.key)
        found = missing(procedure, replace(facts, held=tuple(one for one in facts.held if one is not record)))
        blocks = wanted.need == "must" and wanted.when is None
        assert (
            [(one.step, one.key, one.reason) for one in found] == [(record.step, record.key, "not there")]
        ) == blocks or wanted.when is not None


def test_nothing_answered_misses_everything_required() -> None:
    found = missing(FRUIT, Facts(parts=PARTS, roles=("lead", "assistant", "owner")))
    musts = [wanted for step in FRUIT.steps for wanted in step.records if wanted.need == "must" and wanted.when is None]
    always = [item for _, item in FRUIT.items.values() if item.required and item.when is None]
    assert len([one for one in found if one.what == "record"]) == len(musts)
    assert len([one for one in found if one.what == "item"]) == len(always)
    assert [one.key for one in found if one.what == "signature"] == ["lead", "assistant", "owner"]
    assert meter(FRUIT, Facts(parts=PARTS))[0] == 0
    nowhere = missing(FRUIT, Facts())
    assert ("fruit-box", "not answered") in [(one.key, one.reason) for one in nowhere]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verified": False}, "not verified"),
        ({"stored": "log"}, "not stored"),
        ({"gap_s": 11, "explained": True}, "break too long"),
        ({"gap_s": 10}, "break not explained"),
        ({"gap_s": 10, "explained": True}, None),
        ({"stored": "hub"}, None),
    ],
)
def test_a_must_record_counts_only_as_its_procedure_says(change: dict[str, Any], reason: str | None) -> None:
    facts = everything(FRUIT, PARTS)
    held = tuple(replace(one, **change) if one.key == "body-video" else one for one in facts.held)
    found = [(one.key, one.reason) for one in missing(FRUIT, replace(facts, held=held))]
    assert found == ([] if reason is None else [("body-video", reason)])


def test_a_record_that_hangs_on_an_answer_is_wanted_only_then() -> None:
    facts = everything(FAILURE, {})
    without = replace(facts, held=tuple(one for one in facts.held if one.key != "hearing"))
    answers = tuple(replace(one, value="no") if one.item == "hearing-held" else one for one in facts.answers)
    signed = without.signed
    assert ("hearing", "not there") in [(one.key, one.reason) for one in missing(FAILURE, without)]
    assert missing(FAILURE, replace(without, answers=answers, signed=signed)) == []


def test_files_count_when_the_hub_has_them() -> None:
    facts = everything(FRUIT, PARTS)
    photos = next(one for one in facts.answers if one.item == "fruit-key-photos")
    fewer = replace(facts, blobs=facts.blobs - {photos.value[0]})
    assert [(one.key, one.reason, one.have, one.want) for one in missing(FRUIT, fewer)] == [
        ("fruit-key-photos", "file not at the hub", 1, 2)
    ]


def test_two_devices_answers_both_stay_and_a_later_one_may_replace_them() -> None:
    mine = read_answers(FRUIT, "a" * 32, [said("weather", "dry")])
    theirs = read_answers(FRUIT, "b" * 32, [said("weather", "rain")])
    both = standing([*mine, *theirs])[("weather", "")]
    assert {one.value for one in both} == {"dry", "rain"} and in_conflict(both)
    reasons = [one.reason for one in missing(FRUIT, Facts((*mine, *theirs), parts=PARTS)) if one.key == "weather"]
    assert reasons == ["in conflict"]
    settled = read_answers(FRUIT, "c" * 32, [said("weather", "rain", replaces=[one.id for one in both])])
    assert [one.id for one in standing([*mine, *theirs, *settled])[("weather", "")]] == [settled[0].id]
    alike = read_answers(FRUIT, "d" * 32, [said("weather", "dry")])
    assert not in_conflict(standing([*mine, *alike])[("weather", "")])


def test_an_answer_replaces_only_answers_to_its_own_question() -> None:
    weather = read_answers(FRUIT, "a" * 32, [said("weather", "dry")])
    other = read_answers(FRUIT, "b" * 32, [said("fruit-place", "x", replaces=[weather[0].id])])
    assert ("weather", "") in standing([*weather, *other])
    itself = read_answers(FRUIT, "c" * 32, [said("weather", "dry", replaces=[f"{'c' * 32}/0"])])
    assert ("weather", "") in standing(itself)


@given(st.randoms(use_true_random=False))
def test_what_stands_does_not_depend_on_the_order_of_arrival(chance: random.Random) -> None:
    answers: list[Answer] = []
    for number in range(12):
        before = [one.id for one in answers if one.item == "weather" and chance.random() < 0.4]
        answers += read_answers(FRUIT, f"{number:032x}", [said("weather", chance.choice(["dry", "rain"]), replaces=before)])
    shuffled = answers[:]
    chance.shuffle(shuffled)
    assert standing(shuffled) == standing(answers)
    assert digest(shuffled) == digest(answers)
    plainly = {one.id for one in answers} - {old for one in answers for old in one.replaces}
    assert {one.id for some in standing(answers).values() for one in some} == plainly


def test_a_signature_covers_what_stood_and_nothing_later() -> None:
    facts = everything(FRUIT, PARTS)
    weather = next(one for one in facts.answers if one.item == "weather")
    later = read_answers(FRUIT, "f" * 32, [said("weather", "rain", replaces=[weather.id])])
    found = missing(FRUIT, replace(facts, answers=(*facts.answers, *later)))
    assert {(one.key, one.reason) for one in found} == {
        ("lead", "signed before it was answered"),
        ("owner", "signed before it was answered"),
    }
    assert digest(facts.answers) != digest((*facts.answers, *later))


def test_branching_asks_only_what_follows() -> None:
    def keys(*answers: dict[str, Any]) -> set[str]:
        return {item.key for _, item, _ in asked(FRUIT, standing(read_answers(FRUIT, BATCH, list(answers))), PARTS)}

    assert "cut-result" not in keys(said("cut-fruit", "0")) and "cut-result" in keys(said("cut-fruit", "3"))
    assert "box-damage" in keys(said("box-state", "fails", "CSQU3054383")) and "box-damage" not in keys(said("weather", "dry"))


def test_repeated_sections_are_asked_for_every_part() -> None:
    parts = {"container": ["CSQU3054383", "CSQU3054404"]}
    found = [at for _, item, at in asked(FRUIT, {}, parts) if item.key == "container-number"]
    assert found == parts["container"]
    answers = read_answers(FRUIT, BATCH, [said("container-number", "X", "SPARE-1")])
    assert [at for _, item, at in asked(FRUIT, standing(answers), parts) if item.key == "container-number"] == [
        *parts["container"],
        "SPARE-1",
    ]


def test_the_rest_conforms_covers_only_what_can_conform_and_was_not_answered() -> None:
    answered = read_answers(FRUIT, BATCH, [said("fruit-soil", "found")])
    covered = rest(FRUIT, standing(answered), PARTS)
    assert ("fruit-soil", "") not in [(item.key, at) for item, at in covered]
    assert all(item.conforming() for item, _ in covered) and len(covered) > 15
    act = [said(item.key, option.key, at) for item, at in covered if (option := item.conforming()) is not None]
    assert {one.way for one in read_rest(FRUIT, "e" * 32, act)} == {"rest"}
    for wrong in (said("fruit-soil", "found"), said("fruit-place", "x"), said("fruit-soil", "none", replaces=[f"{BATCH}/0"])):
        with pytest.raises(PathError, match="not covered"):
            read_rest(FRUIT, "e" * 32, [wrong])


def test_findings_are_told_apart() -> None:
    values = [said("fruit-soil", "found"), said("weather", "dry"), said("fruit-owner-signature", {"refused": "左"})]
    assert [one.item for one in failing(FRUIT, read_answers(FRUIT, BATCH, values))] == ["fruit-soil", "fruit-owner-signature"]


WRONG: list[tuple[str, Any]] = [
    ("weather", "sun"),
    ("weather", None),
    ("weather", ["dry"]),
    ("fruit-rot", 3),
    ("fruit-rot", "1.234"),
    ("fruit-rot", "101"),
    ("fruit-rot", "1e2"),
    ("fruit-rot", "01"),
    ("fruit-place", ""),
    ("fruit-place", " "),
    ("fruit-place", "x" * 4001),
    ("fruit-began", "2026-11-24 08:30"),
    ("fruit-began", "2026-13-24T08:30:00Z"),
    ("fruit-began", "2026-11-24T08:30:00"),
    ("fruit-key-photos", []),
    ("fruit-key-photos", ["x"]),
    ("fruit-key-photos", [PHOTO, PHOTO]),
    ("fruit-spot", {"latitude": 1.5, "longitude": 2, "accuracy_m": 3}),
    ("fruit-spot", {"latitude": 91_000_000, "longitude": 0, "accuracy_m": 1}),
    ("fruit-owner-signature", {"drawn": PHOTO}),
    ("fruit-owner-signature", {"refused": ""}),
    ("fruit-new-seal", "a\nb"),
    ("fruit-place", "\ud800"),
]


@pytest.mark.parametrize(("item", "value"), WRONG, ids=[f"{number} {item}" for number, (item, _) in enumerate(WRONG)])
def test_what_does_not_answer_its_item_is_refused_by_its_path(item: str, value: Any) -> None:
    with pytest.raises(PathError) as caught:
        read_answers(FRUIT, BATCH, [said("weather", "dry"), said(item, value)])
    assert caught.value.path == "answers[1].value"


def test_several_options_are_named_once_and_in_order() -> None:
    meat = next(one for one in shipped_procedures() if one.key == "meat")
    item = meat.items["sample-items"][1]
    check_value(item, ["disease", "microbes"])
    for wrong in (["microbes", "disease"], ["disease", "disease"], [], "disease", ["x"]):
        with pytest.raises(MalformedError):
            check_value(item, wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        said("nothing", "x"),
        said("weather", "dry", "PART"),
        said("container-number", "x"),
        said("weather", "dry", dwell_ms=-1),
        said("weather", "dry", x=1),
        said("weather", "dry", replaces=["x"]),
        said("weather", "dry", replaces="x"),
        said("container-number", "x", "../etc"),
        {"item": "weather"},
        [],
        None,
    ],
)
def test_what_is_no_answer_is_refused(wrong: Any) -> None:
    with pytest.raises(PathError):
        read_answers(FRUIT, BATCH, [wrong])


def test_forms_of_ten_thousand_items_are_read_answered_and_judged() -> None:
    value = value_of(FRUIT)
    items = [
        {"key": f"i{number}", "type": "number", "zh": "数", "en": "n", "required": True, "least": "0", "most": "9"}
        | ({"when": f"i{number - 1} > 3"} if number % 2 else {})
        for number in range(10_000)
    ]
    value["sections"] = [{"key": "one", "zh": "一", "en": "one", "step": "opening", "items": items}]
    big = read_procedure(value)
    answers = read_answers(big, BATCH, [said(f"i{number}", str(number % 10)) for number in range(10_000)])
    stands = standing(answers)
    expected = sum(1 for number in range(10_000) if number % 2 == 0 or (number - 1) % 10 > 3)
    assert len(asked(big, stands, {})) == expected
    assert [one for one in missing(big, Facts(answers)) if one.what == "item"] == []
    assert len([one for one in missing(big, Facts()) if one.what == "item"]) == 5_000
    with pytest.raises(PathError):
        read_answers(big, BATCH, [said("i1", "1")] * 20_001)
