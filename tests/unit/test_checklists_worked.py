"""Simulated inspectors and their phones: what they answer is taken, what they do wrong is written down, and a chain of acts holds."""

import base64
import hashlib
import json
from dataclasses import dataclass

import pytest

from hub.inspection.procedures.shipped_files import shipped_procedures
from protocol.procedures.answers import digest, read_answers
from protocol.procedures.completeness import Facts, Signed, missing
from protocol.procedures.model import Procedure
from protocol.signatures import PublicKey
from simulators.devices.phone import Phone
from simulators.people.cargo import Truth
from simulators.people.checklist import BACK_MS, STYLES, Checklist, Scene, Style

NOW_MS = 1_795_000_000_000
BOXES = {"container": ("CSQU3054383", "TGHU1234567")}
PROCEDURES = {one.key: one for one in shipped_procedures()}


@dataclass
class Time:
    """Time as the inspector lives through it."""

    ms: int = NOW_MS

    def pass_ms(self, ms: int) -> None:
        self.ms += ms


def checklist(procedure: Procedure, style: Style = "well", truth: Truth | None = None, seed: int = 1) -> Checklist:
    time = Time()
    scene = Scene("T-1", procedure, "ab" * 32, BOXES, {"CSQU3054383": "SH1"}, truth=truth or Truth())
    return Checklist(scene, Phone.of_seed("li.wei", lambda: time.ms), style, seed, time.pass_ms)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("key", sorted(PROCEDURES))
def test_every_procedure_is_worked_by_answers_that_it_takes(key: str, style: Style) -> None:
    procedure = PROCEDURES[key]
    mine, again = checklist(procedure, style), checklist(procedure, style)
    acts = list(mine.work())
    assert [act.text for act in acts] == [act.text for act in again.work()]
    steps = []
    for act in acts:
        value = json.loads(act.text)
        if act.kind == "step":
            steps.append((value["payload"]["step"], value["payload"]["event"]))
        else:
            read_answers(procedure, value["id"], value["payload"]["answers"])
    assert steps == [(step, event) for step in dict.fromkeys(step for step, _ in steps) for event in ("start", "end")]
    signature = json.loads(mine.sign("lead", "李伟").text)["payload"]
    assert signature["digest"] == digest(mine.answers).hex()
    signed = (Signed("lead", frozenset(signature["covers"])),)
    lacking = missing(procedure, Facts(tuple(mine.answers), frozenset(mine.files), (), signed, mine.parts(), ("lead",)))
    assert {one.key for one in lacking if one.what != "record"} == mine.forgotten


def test_who_works_well_finds_what_is_there_and_who_does_not_overlooks_it() -> None:
    truth = Truth(pest=True, seal="XX000001")
    good = checklist(PROCEDURES["fruit"], truth=truth)
    list(good.work())
    assert good.found and good.deeds == []
    values = {(one.item, one.at): one.value for one in good.answers}
    assert values["seal-state", "CSQU3054383"] != values["seal-state", "TGHU1234567"] == "intact"
    assert values["fruit-live-pests", ""] == "found" and values["fruit-result", ""] == "fail"
    assert len(values["fruit-key-photos", ""]) == 2
    for style in STYLES[1:]:
        poor = checklist(PROCEDURES["fruit"], style, truth)
        list(poor.work())
        assert not poor.found
        assert {deed.item for deed in poor.deeds if deed.what == "overlooked"} >= {"fruit-live-pests", "seal-state"}


def test_what_is_done_badly_or_dishonestly_is_written_down() -> None:
    bad = checklist(PROCEDURES["fruit"], "badly")
    list(bad.work())
    assert {deed.what for deed in bad.deeds} == {"forgot", "too quick", "identical"}
    assert max(one.dwell_ms for one in bad.answers) < 200 < min(one.dwell_ms for one in worked("well").answers)
    false = worked("dishonestly")
    assert {deed.what for deed in false.deeds} == {"clock set back", "far from the bay", "photo used again"}
    assert len(false.files) == 2 < len(worked("well").files)
    assert all(one.phone_ms < NOW_MS + BACK_MS + 3_600_000 for one in false.answers)
    spot = next(one.value for one in false.answers if one.item == "fruit-spot")
    assert abs(spot["latitude"] - false.scene.latitude) > 300_000


def worked(style: Style) -> Checklist:
    made = checklist(PROCEDURES["fruit"], style)
    list(made.work())
    return made


def test_acts_are_a_chain_under_the_phones_own_key() -> None:
    phone = worked("well").phone
    key = PublicKey.from_spki(base64.b64decode(phone.spki))
    before = ""
    for number, act in enumerate(phone.taken, 1):
        value = json.loads(act.text)
        assert (value["seq"], value["previous"]) == (number, before)
        before = hashlib.sha256(act.text.encode()).hexdigest()
        key.verify(act.signature, act.text.encode())
        assert act.body()["act"] == act.text
    assert phone.photograph().startswith(b"\x89PNG") and phone.photograph() != phone.photograph()
    assert Phone.of_seed("li.wei", lambda: 0).spki == phone.spki != Phone.of_seed("wang.fang", lambda: 0).spki
