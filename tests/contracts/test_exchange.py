"""Messages with the port at the hub, on both databases alike: kept raw, numbered, handled once, waiting while they cannot be judged."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hub.app import Hub
from hub.check import check_hub
from hub.exchange.judging import ILLEGAL_GATE_OUT, NO_RIGHT, UNDECLARED
from hub.exchange.taking import CONFLICT
from hub.inspection.credit_tables import event_rows
from hub.inspection.declarations import Declared
from hub.inspection.releasing.asking import GATE_OUT_ITEM
from hub.inspection.states import State
from protocol.edifact.answers import read_complaint, read_control
from protocol.edifact.boxes import BoxMove
from protocol.edifact.interchange import Envelope, read_interchange, write_interchange
from protocol.edifact.orders import Order, write_order
from protocol.errors import RefusedError, VerificationError
from storage.keys import create_ed25519
from tests.exchange_parts import BOX, CUSTOMS, TERMINAL, codeco, event, gate_out, know_partners, telling
from tests.hub_parts import running_hub, settings_for, settled
from tests.inspection_parts import arriving_soon

JSON, EDIFACT = "application/json", "application/edifact"


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
        yield running
        assert (await check_hub(running.core.settings)).problems == ()


async def declared(hub: Hub, *steps: State, reference: str = "R-1", container: str = BOX) -> str:
    form = arriving_soon(hub.core.clock, reference=reference)
    form["containers"] = [form["containers"][0] | {"number": container}]
    form["goods"] = [form["goods"][0] | {"containers": [container]}]
    number = (await hub.declarations.lodge(form, "trader.wu")).number
    for to in steps:
        await hub.declarations.step(number, to, {"why": "test"}, rule="test/1")
    return number


TO_DISPATCHED = (State.ACCEPTED, State.SCREENED, State.SELECTED, State.HELD, State.DISPATCHED)


async def state_of(hub: Hub, number: str) -> State:
    return (await hub.declarations.get(number)).state


async def becomes(hub: Hub, number: str, wanted: Callable[[Declared], bool]) -> None:
    """Wait until a declaration stands as wanted; the hub tells of each message it takes and each kept event it judges."""
    async with hub.events.subscribe() as told, asyncio.timeout(60):
        if wanted(await hub.declarations.get(number)):
            return
        async for _ in told:
            if wanted(await hub.declarations.get(number)):
                return


async def alarms(hub: Hub) -> set[str]:
    return {one.kind for one in await hub.alarms.list()}


async def test_a_box_set_down_in_the_bay_is_positioned_and_sent_again_changes_nothing(hub: Hub) -> None:
    number = await declared(hub, *TO_DISPATCHED)
    raw = telling("TOS-1", event("DROP", facilityCode="bay-1"))
    first, again = await asyncio.gather(hub.exchange.take(TERMINAL, raw, JSON), hub.exchange.take(TERMINAL, raw, JSON))
    assert {first.again, again.again} == {False, True} and first.position == again.position
    assert [(one.event, one.outcome, one.declaration) for one in first.events] == [("DROP", "applied", number)]
    assert await state_of(hub, number) is State.POSITIONED
    assert await hub.exchange.raw(first.position) == raw
    assert [one.number for one in await hub.exchange.list(partner=TERMINAL)] == [1]


async def test_the_same_reference_with_other_content_is_refused_kept_and_rings(hub: Hub) -> None:
    await hub.exchange.take(TERMINAL, telling("TOS-1", event("DISC")), JSON)
    other = await hub.exchange.take(TERMINAL, telling("TOS-1", event("LOAD")), JSON)
    assert other.outcome == "rejected" and other.number == 2
    assert CONFLICT in await alarms(hub)
    both = await hub.exchange.take(TERMINAL, telling("TOS-1", event("DISC"), event("GTIN", eventID="new")), JSON)
    assert [unit[2] for unit in both.units] == ["repeated", "taken"]


async def test_what_comes_out_of_order_waits_and_takes_effect_later(hub: Hub) -> None:
    early = await hub.exchange.take(TERMINAL, telling("TOS-1", event("DROP", facilityCode="bay-1")), JSON)
    assert [one.outcome for one in early.events] == ["kept"]
    lift = await hub.exchange.take(CUSTOMS, telling("C-2", event("CUSR", at="2026-11-24T18:00:00Z")), JSON)
    assert [one.outcome for one in lift.events] == ["kept"]
    number = await declared(hub, *TO_DISPATCHED)
    await becomes(hub, number, lambda now: now.state is State.POSITIONED)
    held = await hub.exchange.take(CUSTOMS, telling("C-1", event("CUSI", at="2026-11-24T09:00:00Z")), JSON)
    assert [one.outcome for one in held.events] == ["applied"]
    await becomes(hub, number, lambda now: not now.holds)
    stale = await hub.exchange.take(CUSTOMS, telling("C-3", event("CUSI", at="2026-11-25T09:00:00Z")), JSON)
    assert [one.outcome for one in stale.events] == ["applied"]
    old = await hub.exchange.take(CUSTOMS, telling("C-4", event("CUSR", at="2026-11-25T08:00:00Z")), JSON)
    assert [one.outcome for one in old.events] == ["noted"]
    assert (await hub.declarations.get(number)).holds == (CUSTOMS,)


async def test_only_authorities_hold(hub: Hub) -> None:
    number = await declared(hub)
    tried = await hub.exchange.take(TERMINAL, telling("T-1", event("CUSI")), JSON)
    assert [one.outcome for one in tried.events] == ["refused"]
    assert (await hub.declarations.get(number)).holds == () and NO_RIGHT in await alarms(hub)
    order = Order("H1", "detain", "202611240900", number, "210100", (BOX,))
    raw = write_interchange(Envelope("CUSTOMS", "PORTWITNESS", "77", ("261124", "0900")), [write_order(order, "1")])
    assert [one.outcome for one in (await hub.exchange.take(CUSTOMS, raw, EDIFACT)).events] == ["applied"]
    assert (await hub.declarations.get(number)).holds == (CUSTOMS,)


async def test_a_gate_out_needs_a_release(hub: Hub) -> None:
    number = await declared(hub, *TO_DISPATCHED)
    taken = await hub.exchange.take(TERMINAL, codeco("1", gate_out()), EDIFACT)
    assert [(one.event, one.outcome, one.declaration) for one in taken.events] == [("GTOT", "illegal", number)]
    assert ILLEGAL_GATE_OUT in await alarms(hub) and await state_of(hub, number) is State.DISPATCHED
    await settled(hub)
    counted = await hub.core.database.read(lambda connection: event_rows(connection, "91210200MA0SIM001X"))
    assert [row["item"] for row in counted] == [GATE_OUT_ITEM]
    away = await hub.exchange.take(TERMINAL, codeco("2", gate_out("TEMU4701220")), EDIFACT)
    assert [one.outcome for one in away.events] == ["kept"] and UNDECLARED in await alarms(hub)


async def test_an_interchange_is_answered_by_its_counts(hub: Hub) -> None:
    sound = codeco("1", gate_out(), BoxMove("GI1", "gate-in", BOX, "202611241400"))
    taken = await hub.exchange.take(TERMINAL, sound, EDIFACT)
    control = read_control(read_interchange(taken.answers[0]).messages[0])
    assert (control.reference, control.rejected, [one[1] for one in control.messages]) == ("1", False, [False, False])
    counts = codeco("2", gate_out(), gate_out()).replace(b"UNT+7+2'", b"UNT+9+2'")
    half = await hub.exchange.take(TERMINAL, counts, EDIFACT)
    assert [unit[2] for unit in half.units] == ["taken", "rejected"] and "UNT says 9" in half.faults[0]
    digit = codeco("3", gate_out()).replace(BOX.encode(), b"CSQU3054384")
    told = await hub.exchange.take(TERMINAL, digit, EDIFACT)
    assert told.outcome == "rejected" and len(told.answers) == 2
    complaint = read_complaint(read_interchange(told.answers[1]).messages[0])
    assert complaint.document == "3/1" and "CHECK" in complaint.text.upper()
    again = await hub.exchange.take(TERMINAL, sound, EDIFACT)
    assert again.again and again.answers == taken.answers


BAD = (
    (b"", JSON, "is no JSON"),
    (b"{", JSON, "is no JSON"),
    (b'{"messageID": "\xff"}', JSON, "is no JSON"),
    (telling("T-1", event("GTOT"), eventCount=2), JSON, "says 2, there are 1"),
    (telling("T-1", event("GTOT", at="2026-11-24T15:10:00")), JSON, "no time zone"),
    (telling("T-1", event("GTOT", container="CSQU3054384")), JSON, "equipmentReference"),
    (telling("T-1", event("GTOT", unknown=1)), JSON, "unknown"),
    (b"<xml/>", "text/xml", "is not read here"),
    (codeco("9", gate_out())[:-20], EDIFACT, "ends within a segment"),
    (codeco("9", gate_out()).replace(b"UNZ+1+9", b"UNZ+2+9"), EDIFACT, "UNZ says 2"),
    (codeco("9", gate_out()).replace(b"UNZ+1+9", b"UNZ+1+8"), EDIFACT, "UNZ says '8'"),
    (codeco("9", gate_out()).replace(b"LB12345", "鲁B12345".encode()), EDIFACT, "is not of character set"),
    (codeco("9", gate_out(at="000001010000")), EDIFACT, "none that a clock shows"),
    (codeco("9", gate_out(), sender="OTHER"), EDIFACT, "UNB names sender"),
    (codeco("9", gate_out(), recipient="OTHER"), EDIFACT, "UNB names recipient"),
)


async def test_bad_input_is_refused_in_words_and_kept(hub: Hub) -> None:
    for number, (raw, kind, fault) in enumerate(BAD, 1):
        first = await hub.exchange.take(TERMINAL, raw, kind)
        assert (first.outcome, first.number, first.events) == ("rejected", number, ()), raw
        assert fault in " ".join(first.faults)
        assert await hub.exchange.raw(first.position) == raw
        again = await hub.exchange.take(TERMINAL, raw, kind)
        assert again.again and again.position == first.position
        assert fault in " ".join((await hub.exchange.shown(first.position)).faults)
    assert {one.state for one in await hub.exchange.list(partner=TERMINAL, way="in")} == {"rejected"}


async def test_strangers_and_unsigned_messages_of_a_signer_are_refused(hub: Hub) -> None:
    with pytest.raises(RefusedError, match="is not known"):
        await hub.exchange.take("nobody", b"{}", JSON)
    await hub.references.put("partner", "signer", {"name": "S", "role": "terminal", "key": "ab" * 32}, "admin", "test")
    with pytest.raises(VerificationError, match="not signed"):
        await hub.exchange.take("signer", telling("T-1", event("GTIN")), JSON)
