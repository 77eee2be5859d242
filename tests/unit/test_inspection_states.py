"""The steps of a declaration: every way leads to the archive, and none around a guard."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.inspection.states import (
    BEFORE_SELECTION,
    STEPS,
    Standing,
    State,
    after_amendment,
    can_amend,
    check_step,
    diagram,
    guards,
    obstacles,
)
from protocol.errors import RefusedError

states = st.sampled_from(list(State))
standings = st.builds(
    Standing,
    states,
    selected=st.booleans(),
    held=st.booleans(),
    holds=st.frozensets(st.sampled_from(["customs", "maritime"])),
    missing=st.lists(st.sampled_from(["seal photo", "raw record sheet"]), max_size=2).map(tuple),
    inspectors=st.frozensets(st.sampled_from(["li", "wang"])),
    direct=st.booleans(),
    verdict=st.sampled_from([None, State.PASSED, State.FAILED]),
)


def reached_from(start: State) -> set[State]:
    found, todo = {start}, [start]
    while todo:
        for to in STEPS[todo.pop()]:
            if to not in found:
                found.add(to)
                todo.append(to)
    return found


def test_every_state_is_reached_and_leads_to_the_archive() -> None:
    assert set(STEPS) == set(State)
    assert reached_from(State.LODGED) == set(State)
    assert all(State.ARCHIVED in reached_from(state) for state in State)


def test_no_way_leads_out_of_the_gate_but_through_release_or_return() -> None:
    before = {state for state in State if State.GATE_OUT in STEPS[state]}
    assert before == {State.RELEASED, State.RETURN}
    assert {state for state in State if State.RELEASED in STEPS[state]} == {State.RELEASE_APPROVED}


@given(standings, st.sampled_from([State.RELEASE_APPROVED, State.RELEASED]), st.sampled_from([None, "li", "zhou"]))
def test_nothing_is_released_while_something_is_missing(now: Standing, to: State, by: str | None) -> None:
    try:
        check_step(now, to, by)
    except RefusedError:
        return
    assert now.missing == () and now.holds == frozenset()
    assert by not in now.inspectors
    assert now.verdict is State.PASSED or (now.direct and not now.selected)


@given(standings, states, states)
def test_only_steps_of_the_table_are_taken(now: Standing, to: State, other: State) -> None:
    if to not in STEPS[now.state]:
        with pytest.raises(RefusedError, match=rf"stands at {now.state}"):
            check_step(now, to)
    assert obstacles(replace(now, state=other), to) == obstacles(now, to)  # guards look at facts, not at where it stands


@given(standings)
def test_an_amendment_never_unselects(now: Standing) -> None:
    try:
        then = after_amendment(now)
    except RefusedError:
        ended = {"released", "gate-out", "follow-up", "archived", "rejected", "withdrawn", "return", "destroy", "case-filed"}
        assert now.state.value in ended
        return
    if now.selected or now.state not in BEFORE_SELECTION:
        assert then not in BEFORE_SELECTION or then is now.state
    else:
        assert then is State.LODGED


@pytest.mark.parametrize("state", [State.INSPECTING, State.LAB_PENDING])
def test_what_cannot_be_judged_for_want_of_records_is_inspected_again(state: State) -> None:
    now = Standing(state, selected=True, held=True, missing=("opening/video",))
    for verdict in (State.PASSED, State.FAILED):
        with pytest.raises(RefusedError, match="opening/video is missing"):
            check_step(now, verdict, "li")
    check_step(now, State.RE_INSPECT, "li")


def test_reasons_name_everything_at_once() -> None:
    now = Standing(State.PASSED, True, True, frozenset({"customs"}), ("seal photo",), frozenset({"li"}), verdict=State.FAILED)
    assert obstacles(now, State.RELEASE_APPROVED, "li") == [
        "must-record seal photo is missing or not verified",
        "customs holds it",
        "it was selected, and no evaluation has passed it",
        "li was on the inspection: somebody else must approve",
    ]


def test_the_diagram_names_every_step() -> None:
    drawn = diagram().splitlines()
    assert len(drawn) == len(set(drawn)) == 2 + sum(map(len, STEPS.values())) + 1


def test_what_the_reference_says_of_guards_is_what_they_say() -> None:
    told = guards()
    assert set(told) == {
        State.POSITIONED, State.DISPATCHED, State.DIRECT_RELEASE, State.PASSED, State.FAILED, State.RELEASE_APPROVED, State.RELEASED,
    }  # fmt: skip
    assert "AUTHORITY holds it" in told[State.RELEASED]
    assert any("PERSON was on the inspection" in sentence for sentence in told[State.RELEASE_APPROVED])


@given(standings)
def test_what_is_told_as_amendable_is(now: Standing) -> None:
    if can_amend(now.state):
        assert after_amendment(now) in State
    else:
        with pytest.raises(RefusedError, match="no longer be amended"):
            after_amendment(now)
