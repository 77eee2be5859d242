"""No evidence, no release: the gate, its races, what two persons may do, what is recalled - on SQLite and on PostgreSQL alike."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from hub.app import Hub
from hub.check import check_hub
from hub.exchange.telling import HOLD
from hub.inspection.releasing.clearing import Cleared
from hub.inspection.releasing.following import DIFFER, ByRule
from hub.inspection.releasing.releasing import NOBODY_TO_TELL, OVERRIDDEN, RECALLED
from hub.inspection.states import State
from protocol import kinds
from protocol.clearing import parse_evidence
from protocol.clearing_kinds import Release
from protocol.edifact.interchange import read_interchange
from protocol.edifact.orders import read_order
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.inspection_kinds import Hold
from protocol.records import read, read_again
from storage.exchange_schema import evidence_lists
from storage.keys import create_ed25519
from storage.schema import records, standings
from tests.exchange_parts import CUSTOMS, TERMINAL, codeco, event, gate_out, know_partners, telling
from tests.hub_parts import running_hub, settings_for
from tests.inspection_parts import arriving_soon
from tests.release_parts import CHEN, LI, TO_DIRECT, TO_INSPECTING, TO_PASSED, ZHOU, evidence_in_log, find_again, lose, stand

NUMBER = "D-20261124-0000001"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path, database_url), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        await know_partners(running)
        evidence_in_log(running)
        yield running
        assert (await check_hub(running.core.settings)).problems == ()


async def told(hub: Hub) -> list[Any]:
    """Give what the terminal is told, in order."""
    sent = await hub.exchange.list(partner=TERMINAL, way="out")
    return [(one, await hub.exchange.raw(one.position)) for one in reversed(sent)]


async def selected(hub: Hub, form: dict[str, Any]) -> str:
    """Lodge a declaration and have it selected; give its number."""
    number = (await hub.declarations.lodge(form, "trader.wu")).number
    for to in (State.ACCEPTED, State.SCREENED, State.SELECTED):
        await hub.declarations.step(number, to, {}, rule="test/1")
    return number


async def test_the_way_from_selection_to_the_gate(hub: Hub) -> None:
    form = arriving_soon(hub.core.clock)
    number = await selected(hub, form)
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert await rule.go_on() == 1 and await rule.go_on() == 0
    assert (await hub.declarations.get(number)).held
    await hub.declarations.step(number, State.DISPATCHED, {}, rule="test/1")
    await hub.exchange.take(TERMINAL, telling("T-1", event("DROP", facilityCode="bay-1")), "application/json")
    for to in (State.PAIRED, State.INSPECTING):
        await hub.declarations.step(number, to, {}, rule="test/1")
    await lose(hub, number)
    with pytest.raises(RefusedError, match=r"open/video: break too long is missing"):
        await hub.releases.evaluate(number, "pass", LI, "all in order")
    await find_again(hub, number)
    assert (await hub.releases.evaluate(number, "pass", LI, "all in order", ["seal intact"])).state is State.PASSED
    assert await rule.go_on() == 0, "what an inspector passed needs another person"
    with pytest.raises(RefusedError, match=r"li\.wei was on the inspection"):
        await hub.releases.approve(number, LI)
    done = await hub.releases.approve(number, CHEN, "papers and pictures agree")
    assert done.state is State.RELEASED and done.root is not None
    assert (await hub.exchange.take(TERMINAL, codeco("9", gate_out()), "application/edifact")).events[0].outcome == "applied"
    assert (await hub.declarations.get(number)).state is State.GATE_OUT
    messages = [(one.about, one.form) for one, _ in await told(hub) if one.state != "answer"]
    assert messages == [("HOLD", "edifact"), ("HOLD", "json"), ("RELEASE", "edifact"), ("RELEASE", "json")]
    by_form = {(one.about, one.form): raw for one, raw in await told(hub)}
    said = json.loads(by_form["RELEASE", "json"])
    assert (said["statusCode"], said["equipmentReferences"], said["evidence"]["root"]) == ("4", ["CSQU3054383"], done.root.hex())
    order = read_order(read_interchange(by_form["RELEASE", "edifact"]).messages[0])
    assert order.status == "release" and done.root.hex().upper() in order.text and order.declaration == number
    assert read_order(read_interchange(by_form["HOLD", "edifact"]).messages[0]).status == "hold"


async def test_a_box_that_is_added_to_goods_on_hold_is_held_too(hub: Hub) -> None:
    form = arriving_soon(hub.core.clock)
    number = await selected(hub, form)
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert await rule.go_on() == 1
    more = with_box(form)
    await hub.declarations.amend(number, more, "trader.wu", "one box was forgotten")
    assert await rule.go_on() == 1 and await rule.go_on() == 0
    holds = [json.loads(raw) for one, raw in await told(hub) if (one.about, one.form) == ("HOLD", "json")]
    assert [one["equipmentReferences"] for one in holds] == [["CSQU3054383"], ["CSQU3054383", "MSCU6639870"]]
    await hub.declarations.amend(number, more, "trader.wu", "nothing new")
    assert await rule.go_on() == 0, "each box is told once"
    assert await ByRule(hub.core, hub.releases, automatic=True).go_on() == 0, "after a restart too"


def with_box(form: dict[str, Any], number: str = "MSCU6639870") -> dict[str, Any]:
    boxes = [*form["containers"], form["containers"][0] | {"number": number}]
    goods = [form["goods"][0] | {"containers": [box["number"] for box in boxes]}, *form["goods"][1:]]
    return form | {"containers": boxes, "goods": goods}


async def test_an_added_box_is_told_late_where_nobody_was_there_to_tell(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    form = arriving_soon(hub.core.clock)
    number = await selected(hub, form)
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert await rule.go_on() == 1
    terminal = await hub.references.get("partner", TERMINAL)
    await hub.references.retire("partner", TERMINAL, "admin", "test")
    await hub.declarations.amend(number, with_box(form), "trader.wu", "one box was forgotten")
    assert await rule.go_on() == 0
    assert [one.kind for one in await hub.alarms.list()] == [NOBODY_TO_TELL]
    assert terminal.value is not None
    await hub.references.put("partner", TERMINAL, terminal.value.model_dump(mode="json"), "admin", "back")
    monkeypatch.setattr("hub.inspection.releasing.following.AGAIN_NS", 0)
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert await rule.go_on() == 1 and await rule.go_on() == 0
    assert [one.about for one, _ in await told(hub) if one.form == "json"].count("HOLD") == 2


async def test_what_was_amended_without_a_hold_is_told_none_and_what_is_detained_stays_so(hub: Hub) -> None:
    free, detained = arriving_soon(hub.core.clock), arriving_soon(hub.core.clock, reference="R-2")
    rule = ByRule(hub.core, hub.releases, automatic=True)
    one = (await hub.declarations.lodge(free, "trader.wu")).number
    await hub.declarations.amend(one, with_box(free), "trader.wu", "one box was forgotten")
    for to in (State.ACCEPTED, State.SCREENED, State.DOC_CHECK, State.FAILED):
        await hub.declarations.step(one, to, {}, rule="test/1")
    assert await rule.go_on() == 0 and await told(hub) == []
    two = await selected(hub, detained)
    assert await rule.go_on() == 1
    for to in (State.DISPATCHED, State.POSITIONED, State.PAIRED, State.INSPECTING, State.FAILED, State.DETAINED):
        await hub.declarations.step(two, to, {}, rule="test/1")
    await hub.declarations.amend(two, with_box(detained), "trader.wu", "one box was forgotten")
    assert await rule.go_on() == 1
    assert [message.about for message, _ in await told(hub) if message.form == "json"] == ["HOLD", "DETAIN"]


async def test_the_root_of_a_release_can_be_computed_by_anybody(hub: Hub) -> None:
    await stand(hub, [NUMBER], TO_PASSED)
    done = await hub.releases.approve(NUMBER, CHEN)
    assert done.root is not None
    body = read(await hub.log.leaf(done.position)).record.body
    assert isinstance(body, Release) and body.root == done.root
    data = await hub.core.database.read(
        lambda connection: connection.execute(select(evidence_lists.c.data).where(evidence_lists.c.root == body.root)).scalar_one()
    )
    lines = parse_evidence(bytes(data), body.root)
    assert len(lines) == body.items == 1 + len(TO_PASSED)
    for line in lines:
        _, issuer, _, position, leaf = line.split(" ")
        assert issuer == "hub:hub-1" and read(await hub.log.leaf(int(position))).leaf.hex() == leaf
        assert int(position) < body.size
    with pytest.raises(VerificationError, match="its root is another"):
        parse_evidence(bytes(data), bytes(32))


async def test_nobody_else_makes_what_a_release_message_is_built_from(hub: Hub) -> None:
    with pytest.raises(RefusedError, match="made by the evidence gate alone"):
        Cleared(NUMBER, 7, bytes(32), ())
    await stand(hub, [NUMBER], TO_DIRECT)
    cleared: list[Cleared] = []

    def look(connection: Any) -> None:
        from hub.inspection.releasing.clearing import clear

        cleared.append(clear(connection, hub.log.size, NUMBER, hub.releases.sources))

    await hub.core.database.read(look)
    with pytest.raises(RefusedError, match="gate alone"):
        replace(cleared[0], number="D-2", made=None)
    with pytest.raises(RefusedError, match="evidence gate alone"):
        await hub.declarations.step(NUMBER, State.RELEASED, {}, rule="test/1")


async def test_verdicts_lead_to_their_steps_and_tell_the_port(hub: Hub) -> None:
    cases = {"treat": State.TREATMENT, "rectify": State.RECTIFY, "return": State.RETURN, "destroy": State.DESTROY, "detain": State.DETAINED}
    numbers = {verdict: f"D-20261124-{at:07d}" for at, verdict in enumerate([*cases, "case"])}
    await stand(hub, list(numbers.values()), TO_INSPECTING)
    for verdict, state in (cases | {"case": State.CASE_FILED}).items():
        assert (await hub.releases.evaluate(numbers[verdict], verdict, LI, "found")).state is state  # type: ignore[arg-type]
    assert {one.about for one, _ in await told(hub)} == {"TREAT", "RETURN", "DETAIN"}
    assert (await hub.releases.evaluate(numbers["treat"], "re-inspect", LI, "treated")).state is State.RE_INSPECT
    assert (await hub.releases.evaluate(numbers["detain"], "return", CHEN, "decided")).state is State.RETURN
    with pytest.raises(RefusedError, match="not to passed"):
        await hub.releases.evaluate(numbers["case"], "pass", LI, "no")
    with pytest.raises(MalformedError, match="reason"):
        await hub.releases.evaluate(numbers["case"], "return", LI, " ")
    assert (
        await hub.exchange.take(TERMINAL, telling("T-1", event("GTOT", declarationReference=numbers["return"])), "application/json")
    ).events[0].outcome == "applied"


async def test_what_misses_a_record_is_inspected_again_not_failed(hub: Hub) -> None:
    await stand(hub, [NUMBER], TO_INSPECTING)
    await lose(hub, NUMBER)
    with pytest.raises(RefusedError, match="missing"):
        await hub.releases.evaluate(NUMBER, "return", LI, "no film of the opening")
    assert (await hub.releases.evaluate(NUMBER, "re-inspect", LI, "no film of the opening")).state is State.RE_INSPECT


async def test_two_persons_answer_for_a_release_against_the_evidence(hub: Hub) -> None:
    await stand(hub, [NUMBER], TO_INSPECTING)
    await lose(hub, NUMBER)
    with pytest.raises(RefusedError, match="may go to"):
        await hub.releases.approve(NUMBER, CHEN)
    for persons, words in (((CHEN, CHEN), "second person"), ((CHEN, LI), "li.wei was on the inspection")):
        with pytest.raises(RefusedError, match=words):
            await hub.releases.override(NUMBER, *persons, "vaccines spoil")
    await hub.declarations.hold(NUMBER, "maritime", "mo", "papers")
    with pytest.raises(RefusedError, match="maritime holds it"):
        await hub.releases.override(NUMBER, CHEN, ZHOU, "vaccines spoil")
    await hub.declarations.hold(NUMBER, "maritime", "mo", "done", lift=True)
    done = await hub.releases.override(NUMBER, CHEN, ZHOU, "vaccines spoil")
    body = read(await hub.log.leaf(done.position)).record.body
    assert isinstance(body, Release) and body.act == "overridden"
    assert any(one.kind == OVERRIDDEN for one in await hub.alarms.list())
    said = json.loads([raw for one, raw in await told(hub) if one.form == "json"][-1])
    assert said["overridden"] is True and said["messageType"] == "RELEASE"
    assert await hub.releases.look_back(NUMBER) is None, "what they answered for is not recalled"
    await stand(hub, ["D-2"], TO_DIRECT)
    with pytest.raises(RefusedError, match="nothing stands against"):
        await hub.releases.override("D-2", CHEN, ZHOU, "why")


async def test_what_goes_bad_before_the_gate_is_recalled(hub: Hub) -> None:
    numbers = [f"D-20261124-{at:07d}" for at in range(3)]
    await stand(hub, numbers, TO_DIRECT)
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert await rule.go_on() == 3
    await lose(hub, numbers[0])
    await hub.exchange.take(CUSTOMS, telling("C-1", event("CUSI", declarationReference=numbers[1])), "application/json")
    rule._bad = True
    assert await rule.go_on() == 2
    assert [(await hub.declarations.get(number)).state for number in numbers] == [State.RECALLED, State.RECALLED, State.RELEASED]
    assert {one.subject for one in await hub.alarms.list() if one.kind == RECALLED} == set(numbers[:2])
    assert [one.about for one, _ in await told(hub)][-4:] == ["RECALL"] * 4
    late = await hub.exchange.take(TERMINAL, telling("T-9", event("GTOT", declarationReference=numbers[0])), "application/json")
    assert late.events[0].outcome == "illegal"
    await find_again(hub, numbers[0])
    assert (await hub.releases.approve(numbers[0], CHEN, "found")).state is State.RELEASED
    assert (await hub.releases.recall(numbers[2], "wrong lane", CHEN)).state is State.RECALLED
    refused = await hub.releases.refuse(numbers[2], CHEN, "look again")
    assert refused.state is State.RE_INSPECT


async def test_one_release_that_cannot_be_judged_keeps_no_other_from_being_recalled(hub: Hub) -> None:
    numbers = [f"D-20261124-{at:07d}" for at in range(1, 4)]
    await stand(hub, numbers, TO_PASSED)
    for number in numbers:
        await hub.releases.approve(number, CHEN)
        await lose(hub, number)
    change = update(standings).where(standings.c.declaration == numbers[0]).values(holds='["nobody"]')
    await hub.core.database.write(lambda connection: connection.execute(change))
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert await rule.go_on() == 2
    assert [(await hub.declarations.get(number)).state for number in numbers[1:]] == [State.RECALLED] * 2
    assert DIFFER in {one.kind for one in await hub.alarms.list()}
    change = update(standings).where(standings.c.declaration == numbers[0]).values(holds="[]")
    await hub.core.database.write(lambda connection: connection.execute(change))


async def test_what_waits_longest_is_tried_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.inspection.releasing.following.MOST", 2)
    numbers = [f"D-20261124-{at:07d}" for at in range(1, 6)]
    await stand(hub, numbers, TO_DIRECT)
    for number in numbers[:4]:
        await hub.declarations.hold(number, CUSTOMS, "chen", "test")
    rule = ByRule(hub.core, hub.releases, automatic=True)
    assert [await rule.go_on() for _ in range(3)] == [0, 0, 1], "what cannot go holds up nothing behind it"
    for number in numbers[:4]:
        await hub.declarations.hold(number, CUSTOMS, "chen", "test", lift=True)
    assert [await rule.go_on() for _ in range(3)] == [2, 2, 0]
    for number in numbers:
        await lose(hub, number)
    bad_last = ByRule(hub.core, hub.releases, automatic=True, _bad=False)
    assert await bad_last.go_on() == 2
    seen = set()
    for _ in range(3):
        bad_last._looked_back_ns = 0
        await bad_last.go_on()
        seen = {number for number in numbers if (await hub.declarations.get(number)).state is State.RECALLED}
    assert seen == set(numbers), "each is looked at in its turn"


async def test_what_two_persons_answered_for_by_name_is_not_recalled_for_it(hub: Hub) -> None:
    await stand(hub, [NUMBER], TO_PASSED)
    found = ["sample 1 has no report of the laboratory yet"]
    hub.releases.sources = replace(hub.releases.sources, laboratory=lambda _connection, _number: tuple(found))
    await hub.releases.override(NUMBER, CHEN, ZHOU, "perishable; the report is due tomorrow")
    assert await hub.releases.look_back(NUMBER) is None
    found[:] = ["the laboratory found sample 1 positive"]
    assert (await hub.releases.look_back(NUMBER)) is not None
    assert (await hub.declarations.get(NUMBER)).state is State.RECALLED


async def test_by_itself_the_hub_holds_releases_and_recalls(hub: Hub) -> None:
    async with ByRule(hub.core, hub.releases, automatic=True):
        await stand(hub, ["D-1"], TO_INSPECTING[:3])
        await stand(hub, ["D-2"], TO_DIRECT)
        await becomes(hub, "D-1", State.HELD)
        await becomes(hub, "D-2", State.RELEASED)
        await hub.declarations.hold("D-2", "maritime", "mo", "papers")
        await becomes(hub, "D-2", State.RECALLED)
    acts = [(one.declaration, one.about, one.form) for one, _ in await told(hub)]
    wanted = (("D-1", "HOLD"), ("D-2", "RECALL"), ("D-2", "RELEASE"))
    assert sorted(acts) == [(*act, form) for act in wanted for form in ("edifact", "json")]  # each once in each dialect
    assert acts[-1][1] == "RECALL"


async def becomes(hub: Hub, number: str, state: State) -> None:
    """Wait until a declaration stands somewhere; the hub tells of each that moves."""
    async with hub.events.subscribe() as moves, asyncio.timeout(60):
        while (await hub.declarations.get(number)).state is not state:
            await anext(moves)


async def test_without_anybody_to_tell_nothing_is_held(hub: Hub) -> None:
    await hub.references.retire("partner", TERMINAL, "admin", "test")
    await stand(hub, [NUMBER], TO_INSPECTING[:3])
    assert await ByRule(hub.core, hub.releases, automatic=True).go_on() == 0
    assert [one.kind for one in await hub.alarms.list()] == [NOBODY_TO_TELL]
    assert HOLD.gis == "5"


async def test_tables_that_were_changed_by_hand_stop_a_release(hub: Hub) -> None:
    await stand(hub, [NUMBER], TO_DIRECT)
    await hub.declarations.hold(NUMBER, "maritime", "mo", "papers")
    change = update(standings).where(standings.c.declaration == NUMBER)
    await hub.core.database.write(lambda connection: connection.execute(change.values(holds="[]")))
    with pytest.raises(VerificationError, match="the log says otherwise"):
        await hub.releases.approve(NUMBER, CHEN)
    await hub.core.database.write(lambda connection: connection.execute(change.values(holds='["maritime"]')))


# ----------------------------------------------------------------------------------------------------------------- races

ROUNDS = {"sqlite": 1000, "postgresql": 100}  # of each obstacle; a server of our own on two cores is slower, the code is the same


@pytest.mark.timeout(900)  # a thousand rounds and the check of the whole log, on a machine that does other things too
@pytest.mark.parametrize("obstacle", ["hold", "message", "gap"])
async def test_no_release_ever_stands_beside_an_obstacle(hub: Hub, obstacle: str) -> None:
    """A person's or a rule's release races a hold by hand, a hold by message, or a must-record that is withdrawn, in every order."""
    rounds = ROUNDS[hub.core.database.dialect]
    numbers = [f"D-20261124-{at:07d}" for at in range(rounds)]
    for at in range(0, rounds, 100):
        await stand(hub, numbers[at : at + 100 : 2], TO_DIRECT)
        await stand(hub, numbers[at + 1 : at + 100 : 2], TO_PASSED)
    chance = random.Random(obstacle)
    for at in range(0, rounds, 50):
        asked = [one for number in numbers[at : at + 50] for one in _race(hub, number, obstacle, chance)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        wrong = [one for one in answers if isinstance(one, BaseException) and not isinstance(one, RefusedError)]
        assert wrong == []
    released, stopped = await _order(hub, numbers)
    assert released and stopped, "both came first at times, or nothing was raced"


def _race(hub: Hub, number: str, obstacle: str, chance: random.Random) -> Sequence[Any]:
    by_rule = int(number[-1]) % 2 == 0 and chance.random() < 0.5
    release = hub.releases.release_by_rule(number) if by_rule else hub.releases.approve(number, CHEN)
    if obstacle == "hold":
        against: Any = hub.declarations.hold(number, "maritime", "mo", "papers")
    elif obstacle == "message":
        against = hub.exchange.take(CUSTOMS, telling(f"C-{number}", event("CUSI", declarationReference=number)), "application/json")
    else:
        against = lose(hub, number)
    first = asyncio.ensure_future(against) if chance.random() < 0.25 else None
    pair = [_after(first, release), against if first is None else first]
    chance.shuffle(pair)
    return pair


async def _after(first: "asyncio.Future[Any] | None", release: Any) -> None:
    """Begin once the obstacle stands, where it is told so: a message takes longer on its way than a release."""
    if first is not None:
        await asyncio.wait([first])
    await release


async def _order(hub: Hub, numbers: Sequence[str]) -> tuple[int, int]:
    """Follow the log: give how many were released and how many were not; fail where an obstacle stood before a release."""

    def rows(connection: Any) -> list[bytes]:
        mine = select(records.c.data).where(records.c.kind.in_((Hold.KIND, Release.KIND, kinds.Gap.KIND))).order_by(records.c.position)
        return [bytes(data) for data in connection.execute(mine).scalars()]

    stood: set[str] = set()
    released: set[str] = set()
    for data in await hub.core.database.read(rows):
        record = read_again(data).record
        if isinstance(record.body, Release):
            assert record.subject not in stood, f"{record.subject} was released beside an obstacle"
            released.add(record.subject)
        else:
            stood.add(record.subject)
    assert stood == set(numbers)
    return len(released), len(set(numbers) - released)
