"""Risk: the exact bound against its oracle, parts that explain the total, lanes, and that nothing worse ever lowers them."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hub.inspection.catalogue import Area, GoodsKind, Notice
from hub.inspection.forms import Form
from hub.inspection.risk.bounds import MOST, PARTS, upper_bound
from hub.inspection.risk.fields import values_of
from hub.inspection.risk.language import Declared
from hub.inspection.risk.matching import (
    Known,
    areas_of,
    kind_finder,
    mismatches_of,
    notices_of,
    rules_of,
    shipper_of,
    triples_of,
)
from hub.inspection.risk.rule_documents import LANES, TargetRule, shipped_score
from hub.inspection.risk.scoring import AreaHit, History, Inputs, NoticeHit, RuleHit, lane_of, score
from protocol.errors import MalformedError
from tests.inspection_parts import plausible

RULES = shipped_score()
FRUIT = GoodsKind(name="水果", name_en="fruit", hs=("08", "0810"), qualification="fruit", procedure="fruit", base_rate_ppm=50_000)
DURIAN = FRUIT.model_copy(update={"name": "榴莲", "name_en": "durian", "hs": ("081060",)})
DAY = "2026-11-24"


def form(**changes: object) -> Form:
    return Form.model_validate(plausible(**changes))


def test_the_bound_is_that_of_the_beta_distribution() -> None:
    assert [round(upper_bound(*one) / PARTS, 4) for one in ((0, 0), (20, 3), (200, 2))] == [0.1459, 0.187, 0.0285]
    # for Beta(1, b) the point is 1 - 0.05^(1/b) in closed form: no other code is asked
    for passed in (0, 1, 7, 100, 981):
        x = Decimal(upper_bound(passed, 0)) / PARTS
        below = Decimal(upper_bound(passed, 0) - 1) / PARTS
        assert (1 - x) ** (19 + passed) <= Decimal("0.05") < (1 - below) ** (19 + passed)
    assert upper_bound(MOST, MOST) < PARTS
    for wrong in ((-1, 0), (3, 4), (MOST + 1, 0)):
        with pytest.raises(MalformedError):
            upper_bound(*wrong)


def test_a_score_is_explained_by_its_parts() -> None:
    found = score(Inputs([History("fruit", "TH", "siam", 20, 3)], "B", days_ahead=2), RULES)
    assert [part.name for part in found.parts] == ["history", "credit", "documents", "lateness"]
    assert found.parts[0].made_of == {"kind": "fruit", "origin": "TH", "shipper": "siam", "inspected": 20, "failed": 3, "considered": 1}
    assert found.parts[0].counts == upper_bound(20, 3) and found.parts[1].counts == 100_000_000
    left = (PARTS - upper_bound(20, 3)) * 900_000_000 // PARTS
    assert (found.total, found.scored, found.lane, found.forced) == (PARTS - left, "blue", "blue", ())
    assert found.worst == History("fruit", "TH", "siam", 20, 3)


def test_lanes_follow_the_total_and_what_forces_them() -> None:
    assert [lane_of(total, RULES) for total in (0, 199_999_999, 200_000_000, 350_000_000, 600_000_000, PARTS)] == [
        "green", "green", "blue", "yellow", "red", "red",
    ]  # fmt: skip
    good = Inputs([History("fruit", "TH", "siam", 400, 0)], "AA", days_ahead=3)
    assert score(good, RULES).lane == "green"
    lane = RuleHit("r", 1, "00", "lane", "yellow")
    assert score(replace(good, rules=[lane]), RULES).lane == "yellow"
    assert score(replace(good, rules=[lane, RuleHit("s", 1, "00", "hold")]), RULES).lane == "red"
    wanted: tuple[tuple[Any, Any, str], ...] = (
        *(("warn", "origin", "yellow"), ("inspect", "origin", "red"), ("refuse", "origin", "red"), ("inspect", "route", "blue")),
    )
    for measure, on, lane_then in wanted:
        assert score(replace(good, areas=[AreaHit("a", 1, measure, on)]), RULES).lane == lane_then, (measure, on)
    assert score(replace(good, joint_list=True), RULES).lane == "yellow"


histories = st.builds(lambda n, k: History("fruit", "TH", "siam", n, min(n, k)), st.integers(0, 60), st.integers(0, 60))
inputs = st.builds(
    Inputs,
    histories=st.lists(histories, max_size=3),
    grade=st.sampled_from(["AA", "A", "B", "C", "D"]),
    joint_list=st.booleans(),
    notices=st.lists(st.builds(NoticeHit, st.just("n"), st.just(1), st.integers(1, 100)), max_size=3),
    mismatches=st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6),
    areas=st.lists(
        st.builds(AreaHit, st.just("a"), st.just(1), st.sampled_from(["warn", "inspect", "refuse"]), st.sampled_from(["origin", "route"])),
        max_size=2,
    ),
    days_ahead=st.integers(-40, 40),
    rules=st.lists(
        st.one_of(
            st.builds(RuleHit, st.just("r"), st.just(1), st.just("00"), st.just("lane"), st.sampled_from(["red", "yellow", "blue"])),
            st.builds(RuleHit, st.just("r"), st.just(1), st.just("00"), st.just("weight"), st.none(), st.integers(1, 100)),
            st.builds(RuleHit, st.just("r"), st.just(1), st.just("00"), st.just("hold")),
        ),
        max_size=3,
    ),
)


def _worse_history(one: Inputs, at: int) -> Inputs:
    if not one.histories:
        return replace(one, histories=[History("fruit", "TH", "siam", 1, 1)])
    found = list(one.histories)
    old = found[at % len(found)]
    changed = (
        replace(old, inspected=old.inspected + 1, failed=old.failed + 1),
        replace(old, failed=min(old.inspected, old.failed + 1)),
        replace(old, inspected=max(old.failed, old.inspected - 1)),
    )
    found[at % len(found)] = changed[at % 3]
    return replace(one, histories=found)


GRADES: list[Any] = ["AA", "A", "B", "C", "D"]


@settings(deadline=None)
@given(inputs, st.integers(0, 1000), st.integers(0, 7))
def test_nothing_worse_ever_lowers_a_risk_or_a_lane(one: Inputs, at: int, way: int) -> None:
    assume(one.histories or way != 1)  # goods have a history each, be it empty: the first is no addition
    worse = (
        _worse_history(one, at),
        replace(one, histories=[*one.histories, History("z", "ZZ", "z", at % 50, at % 7 if at % 50 > 6 else 0)]),
        replace(one, grade=GRADES[min(4, GRADES.index(one.grade) + 1)]),
        replace(one, joint_list=True),
        replace(one, notices=[NoticeHit("m", 1, 1 + at % 100), *one.notices]),
        replace(one, mismatches=[*one.mismatches, "one more"]),
        replace(one, days_ahead=one.days_ahead - at % 9),
        replace(
            one,
            areas=[AreaHit("b", 1, ("warn", "inspect", "refuse")[at % 3], ("origin", "route")[at % 2]), *one.areas],
            rules=[RuleHit("q", 1, "00", ("lane", "weight", "hold")[at % 3], "blue", 1 + at % 100), *one.rules],
        ),
    )[way]
    before, after = score(one, RULES), score(worse, RULES)
    assert after.total >= before.total
    assert LANES.index(after.lane) >= LANES.index(before.lane)
    assert 0 <= before.total <= PARTS
    assert LANES.index(before.lane) >= LANES.index(before.scored)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_the_bound_rises_with_failures_and_falls_with_passes(inspected: int, failed: int) -> None:
    failed = min(inspected, failed)
    here = upper_bound(inspected, failed)
    assert upper_bound(inspected + 1, failed + 1) > here > upper_bound(inspected + 1, failed)


def test_reference_data_fits_by_line() -> None:
    kind_of = kind_finder({"fruit": FRUIT, "durian": DURIAN})
    assert [kind_of(code) for code in ("0810600000", "0810900000", "0203000000")] == ["durian", "fruit", None]
    assert triples_of(form(), kind_of) == [("durian", "TH", "siamorchardsco.,ltd.")]
    assert shipper_of(form(consignor={"name": "x", "country": "TH", "code": "TH0001"})) == "TH0001"
    area = Area(origin="TH", hs=("0810",), disease="实蝇", disease_en="fruit fly", measure="inspect", start="2026-11-01", end="2026-11-30")
    hits = areas_of(form(), {"th-fly": (3, area)}, DAY)
    assert hits == [AreaHit("th-fly", 3, "inspect", "origin"), AreaHit("th-fly", 3, "inspect", "route")]
    assert areas_of(form(), {"th-fly": (3, area)}, "2026-12-01") == []
    assert areas_of(form(), {"vn": (1, area.model_copy(update={"origin": "VN"}))}, DAY) == []
    notice = Notice(
        title="x", title_en="x", hs=("0810",), origins=("TH",), shippers=("SIAM Orchards Co., Ltd.",), weight=30, start="2026-01-01"
    )
    assert notices_of(form(), {"n-1": (2, notice)}, DAY) == [NoticeHit("n-1", 2, 30)]
    for changes in ({"hs": ("02",)}, {"origins": ("VN",)}, {"shippers": ("Other",)}, {"end": "2026-11-23"}):
        assert notices_of(form(), {"n-1": (2, notice.model_copy(update=changes))}, DAY) == []


def test_mismatches_are_named() -> None:
    known = Known(goods={}, areas={}, notices={}, rules={})
    kind_of = kind_finder({"durian": DURIAN})
    assert mismatches_of(form(), known, kind_of) == ["no-attachment"]
    bad = form(permits=[], consignor={"name": "x", "country": "VN"}, containers=[{"number": "CSQU3054383"}])
    found = mismatches_of(bad, replace(known, enterprise_known=False, bill_elsewhere=True, permits_elsewhere=("1",)), kind_finder({}))
    assert found == [
        "enterprise-unknown", "kind-unknown", "consignor-elsewhere", "plant-certificate", "permit-elsewhere", "bill-elsewhere",
        "seal-missing", "no-attachment",
    ]  # fmt: skip


def test_targeting_rules_hit_while_they_hold() -> None:
    when = "any goods (kind = 'durian' and origin = 'TH')"
    rule = TargetRule(
        title="泰国榴莲", title_en="durian of Thailand", owner="li.wei", when=when, effect="lane",
        lane="red", start="2026-11-01", end="2026-11-30",
    )  # fmt: skip
    declared = Declared(*values_of(form(), DAY, "B", kind_finder({"durian": DURIAN})))
    hits = rules_of({"th-durian": (4, rule)}, DAY, declared)
    assert hits == [RuleHit("th-durian", 4, rule.sha256().hex(), "lane", "red", None)]
    assert rules_of({"th-durian": (4, rule)}, "2026-12-01", declared) == []
