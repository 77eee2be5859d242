"""Credit at the hub, on SQLite and on PostgreSQL alike: events, appeals that another decides, rule sets by two, grades of any past day."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from hub.app import Hub, open_hub
from hub.check import check_hub
from hub.inspection.credit import ANSWER_DAYS, OVERDUE, CreditDraft, stage_credit
from hub.inspection.credit_tables import grade_on
from hub.inspection.crediting.shipped import shipped_document
from hub.inspection.states import State
from protocol import sheets
from protocol.conduct_kinds import CreditEvent
from protocol.errors import MalformedError, RefusedError
from protocol.records import read
from storage import schema
from storage.keys import create_ed25519
from tests.contracts.test_draws import TWO, drawn, inspectors, policy_for
from tests.hub_parts import settings_for, settled
from tests.inspection_parts import arriving_soon
from tests.web_parts import ToldClock

FIRM, OTHER = "91210200MA0SIM001X", "91210200MA0SIM002X"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@pytest.fixture
async def hub(database_url: str, tmp_path: Path, clock: ToldClock) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with open_hub(settings_for(tmp_path, database_url), clock, create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


async def sound(hub: Hub) -> None:
    await settled(hub)
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_what_is_on_record_lowers_the_grade_and_a_won_appeal_gives_it_back(hub: Hub) -> None:
    credit = hub.credits
    await credit.add(CreditDraft(FIRM, "registered", "entered", day="2020-01-01"), "chen.min")
    assert (await credit.grade(FIRM)).ciq == "A"
    found = await credit.add(CreditDraft(FIRM, "false-declaration", "durian declared as apples", ("record:7",)), "chen.min")
    grades = await credit.grade(FIRM)
    assert (grades.ciq, grades.customs, grades.draw, grades.direct) == ("C", "regular", "C", False)
    assert grades.rules == ("ciq/1", "customs/1") and grades.rate_percent == 200 and not grades.joint_list
    assert (await credit.grade(OTHER)).ciq == "B"
    for who, why in (("trader.wu", "no open appeal"),):
        with pytest.raises(RefusedError, match=why):
            await credit.decide(found.position, who, "no", upheld=True)
    with pytest.raises(RefusedError, match="another enterprise"):
        await credit.appeal(found.position, "trader.li", "mine", party=OTHER)
    files = [{"name": "invoice.pdf", "sha256": "ab" * 32}]
    filed = await credit.appeal(found.position, "trader.wu", "they were apples", files, party=FIRM)
    assert filed.appeal == "filed" and filed.due_ns is not None
    assert filed.appeals[0].said == {"by": "trader.wu", "reason": "they were apples", "files": files}
    with pytest.raises(RefusedError, match="has an open appeal"):
        await credit.appeal(found.position, "trader.wu", "again", party=FIRM)
    assert (await credit.grade(FIRM)).ciq == "C"  # it counts until it is decided
    with pytest.raises(RefusedError, match="by the same person"):
        await credit.decide(found.position, "chen.min", "no", upheld=False)
    with pytest.raises(RefusedError, match="whoever appealed"):
        await credit.decide(found.position, "trader.wu", "yes", upheld=True)
    results = await asyncio.gather(
        *(credit.decide(found.position, "zhou.jun", "weighed and seen", upheld=True) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(one, RefusedError) for one in results) == 2
    standing = await credit.get(FIRM)
    assert standing.grades.ciq == "A" and [one.appeal for one in standing.facts] == ["none", "upheld"]
    assert [one.why for one in standing.gradings["ciq"].left] == ["upheld"]
    with pytest.raises(RefusedError, match="counts no more"):
        await credit.appeal(found.position, "trader.wu", "again", party=FIRM)
    await sound(hub)


async def test_the_same_event_is_put_on_record_once(hub: Hub) -> None:
    draft = CreditDraft(FIRM, "false-declaration", "oranges were apples", ("declaration D-1",))
    results = await asyncio.gather(*(hub.credits.add(draft, "chen.min") for _ in range(3)), return_exceptions=True)
    refused = [one for one in results if isinstance(one, RefusedError)]
    assert len(refused) == 2 and "on record already" in str(refused[0])
    await hub.credits.add(CreditDraft(FIRM, "false-declaration", "oranges were apples", ("declaration D-2",)), "chen.min")
    assert len((await hub.credits.get(FIRM)).facts) == 2
    await sound(hub)


async def test_what_a_person_wrote_is_not_in_the_record_and_erasing_it_changes_no_grade(hub: Hub) -> None:
    await hub.credits.add(CreditDraft(FIRM, "smuggling", "hidden behind Zhang San's durians"), None, "gate/1")
    signed = read(await hub.log.leaf(hub.log.published_size() - 1))
    assert isinstance(signed.record.body, CreditEvent) and signed.record.body.rule == "gate/1"
    assert b"Zhang" not in signed.data and signed.record.subject == FIRM
    before = await hub.credits.grade(FIRM)
    assert before.customs == "severe" and before.joint_list and before.draw == "D"
    await hub.core.database.write(lambda connection: connection.execute(delete(schema.sheets)))
    assert await hub.credits.grade(FIRM) == before
    assert (await hub.credits.get(FIRM)).facts[0].said is None
    await sound(hub)


async def test_a_past_day_reads_as_is_known_now_and_as_it_was_known_then(hub: Hub, clock: ToldClock) -> None:
    credit = hub.credits
    await credit.add(CreditDraft(FIRM, "registered", "entered", day="2019-01-01"), "chen.min")
    before = credit.today()
    clock.pass_time(2 * 86_400)
    found = await credit.add(CreditDraft(FIRM, "false-declaration", "found out later", day=before), "chen.min")
    day_of_it = credit.today()
    clock.pass_time(2 * 86_400)
    await credit.appeal(found.position, "trader.wu", "no", party=FIRM)
    await credit.decide(found.position, "zhou.jun", "yes", upheld=True)

    async def ciq(day: str, *, as_known: bool) -> str:
        return (await credit.get(FIRM, day, as_known=as_known)).grades.ciq

    assert [await ciq(day, as_known=True) for day in (before, day_of_it, credit.today())] == ["A", "C", "A"]
    assert [await ciq(day, as_known=False) for day in (before, day_of_it, credit.today())] == ["A", "A", "A"]


async def test_an_appeal_that_waits_too_long_rings_once_and_is_over_when_decided(hub: Hub, clock: ToldClock) -> None:
    found = await hub.credits.add(CreditDraft(FIRM, "label", "none"), "chen.min")
    await hub.credits.appeal(found.position, "trader.wu", "no", party=FIRM)
    clock.pass_time(ANSWER_DAYS * 86_400 - 60)
    assert list(await hub.credits.look()) == []
    clock.pass_time(120)
    for _ in range(2):
        assert list(await hub.credits.look()) == [found.position]
    rung = [one for one in await hub.alarms.list() if one.kind == OVERDUE]
    assert [(one.subject, one.count) for one in rung] == [(str(found.position), 1)]
    await hub.credits.decide(found.position, "zhou.jun", "late, but no", upheld=False)
    assert [one for one in await hub.alarms.list() if one.kind == OVERDUE] == []
    assert list(await hub.credits.look()) == []


async def test_rule_sets_are_set_by_two_persons_and_past_days_keep_theirs(hub: Hub) -> None:
    credit = hub.credits
    value = sheets.decode(shipped_document("ciq"))
    value |= {"version": 2, "effective": credit.today()}
    value["points"]["bands"][0]["least"] = 101  # nobody is good any more
    document = sheets.encode(value)
    with pytest.raises(RefusedError, match="second person"):
        await credit.set_rules(document, "admin", "admin", "stricter")
    with pytest.raises(RefusedError, match="next version is 2"):
        await credit.set_rules(sheets.encode(value | {"version": 5}), "admin", "chen.min", "stricter")
    with pytest.raises(MalformedError):
        await credit.set_rules(document[:-1], "admin", "chen.min", "stricter")
    await credit.add(CreditDraft(FIRM, "registered", "entered", day="2019-01-01"), "chen.min")
    assert (await credit.grade(FIRM)).ciq == "A"
    await credit.set_rules(document, "admin", "chen.min", "stricter")
    rules, known = await credit.rules("ciq")
    assert rules.version == 2 and [(one.version, one.effective) for one in known] == [(2, credit.today())]
    assert (await credit.grade(FIRM)).ciq == "B"
    assert (await credit.get(FIRM, "2025-12-01")).grades.rules == ("ciq/1", "customs/1")
    await sound(hub)


async def test_other_parts_put_events_on_record_in_their_own_transaction(hub: Hub) -> None:
    at = hub.core.clock.now()

    def enter(connection: Connection) -> None:
        stage_credit(connection, CreditDraft(FIRM, "gate-out-without-release", "CODECO 36", ("message:9",)), at, "gate/1")

    await hub.core.database.write(enter)
    hub.log.wake()
    await settled(hub)
    grades = await hub.core.database.read(lambda connection: grade_on(connection, FIRM, hub.credits.today()))
    assert (grades.ciq, grades.customs, grades.draw) == ("C", "dishonest", "C")
    listed = await hub.credits.list()
    assert [(one.enterprise, one.events, one.open, one.grades) for one in listed] == [(FIRM, 1, 0, grades)]
    assert {item.key for item in await hub.credits.items()} >= {"gate-out-without-release", "smuggling", "aa-granted"}
    await sound(hub)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"item": "nothing"}, "item"),
        ({"enterprise": "a b"}, "enterprise"),
        ({"detail": " "}, "detail"),
        ({"day": "2999-01-01"}, "future"),
        ({"day": "2020-02-30"}, "day"),
        ({"points": 99}, "points"),
        ({"expires_day": "soon"}, "expires"),
        ({"expires_day": "2001-01-01"}, "expires"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_logged(hub: Hub, changes: dict[str, str], named: str) -> None:
    size = hub.log.size
    draft = CreditDraft(**({"enterprise": FIRM, "item": "goods-unfit", "detail": "x"} | changes))  # type: ignore[arg-type]
    with pytest.raises(MalformedError, match=named):
        await hub.credits.add(draft, "chen.min")
    assert hub.log.size == size


async def test_a_grade_that_bars_it_is_never_released_without_a_check(hub: Hub) -> None:
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    numbers = {}
    for at, grade in enumerate("AADDAADD"):
        one = await hub.declarations.lodge(arriving_soon(hub.core.clock, reference=f"R-{at}"), "trader.wu")
        inputs = {"stratum": "fruit/TH", "lane": "green", "risk": 0, "grade": grade, "needs": ["fruit"], "parties": []}
        await hub.declarations.step(one.number, State.ACCEPTED, {}, by="li.wei")
        await hub.declarations.step(one.number, State.SCREENED, {"draw": inputs}, rule="screening/1")
        numbers[one.number] = grade
    await drawn(hub)
    stands = {number: (await hub.declarations.get(number)).state for number in numbers}
    for number, grade in numbers.items():
        expected = {State.SELECTED, State.DOC_CHECK if grade in "CD" else State.DIRECT_RELEASE}
        assert stands[number] in expected, (grade, stands[number])
