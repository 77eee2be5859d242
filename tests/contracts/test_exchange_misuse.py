"""What partners and traders might try with messages and boxes: none leaves unseen, no hold is lost, nothing counts twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.app import Hub
from hub.check import check_hub
from hub.exchange.judging import HELD_GATE_OUT, ILLEGAL_GATE_OUT, NO_TERMINAL, UNDECLARED
from hub.inspection.credit_tables import event_rows
from hub.inspection.states import State
from protocol.edifact.interchange import Envelope, read_interchange, write_interchange
from protocol.edifact.orders import Order, write_order
from protocol.errors import RefusedError
from storage.keys import create_ed25519
from tests.contracts.test_exchange import EDIFACT, JSON, TO_DISPATCHED, alarms, becomes, declared, state_of
from tests.exchange_parts import BOX, CUSTOMS, TERMINAL, codeco, event, gate_out, know_partners, telling
from tests.hub_parts import running_hub, settings_for, settled
from tests.inspection_parts import arriving_soon
from tests.release_parts import CHEN, TO_DIRECT, ZHOU

OTHER_BOX = "TEMU4701220"
FIRM = "91210200MA0SIM001X"


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


async def released(hub: Hub, reference: str, container: str) -> str:
    number = await declared(hub, *TO_DIRECT, reference=reference, container=container)
    assert (await hub.releases.approve(number, CHEN)).state is State.RELEASED
    return number


async def outcomes(hub: Hub, partner: str, raw: bytes, kind: str = JSON) -> list[tuple[str, str | None]]:
    return [(one.outcome, one.declaration) for one in (await hub.exchange.take(partner, raw, kind)).events]


async def counted(hub: Hub) -> int:
    await settled(hub)
    return len(await hub.core.database.read(lambda connection: event_rows(connection, FIRM)))


async def test_a_box_does_not_leave_under_the_number_of_another_declaration(hub: Hub) -> None:
    held = await declared(hub, *TO_DISPATCHED)
    free = await released(hub, "R-2", OTHER_BOX)
    raw = telling("T-1", event("GTOT", declarationReference=free))
    assert await outcomes(hub, TERMINAL, raw) == [("illegal", held)] and ILLEGAL_GATE_OUT in await alarms(hub)
    stranger = telling("T-2", event("GTOT", "MSKU6011672", declarationReference=free))
    assert (await outcomes(hub, TERMINAL, stranger))[0][0] == "kept" and UNDECLARED in await alarms(hub)
    assert await state_of(hub, free) is State.RELEASED
    assert await outcomes(hub, TERMINAL, telling("T-3", event("GTOT", OTHER_BOX, declarationReference=held))) == [("applied", free)]


async def test_a_box_declared_twice_is_not_freed_by_the_second_declaration(hub: Hub) -> None:
    second = await declared(hub, *TO_DIRECT, reference="R-2")
    free = await released(hub, "R-3", BOX)
    first = await declared(hub, *TO_DISPATCHED)
    with pytest.raises(RefusedError, match=f"box {BOX} is held under declaration {first}"):
        await hub.releases.approve(second, CHEN)
    with pytest.raises(RefusedError, match="is held under"):
        await hub.releases.release_by_rule(second)
    for at, shown in enumerate((None, free, second)):
        more = {} if shown is None else {"declarationReference": shown}
        assert await outcomes(hub, TERMINAL, telling(f"T-{at}", event("GTOT", **more))) == [("illegal", first)]
    done = await hub.releases.override(second, CHEN, ZHOU, "goods were moved into another box, customs agreed")
    assert done.state is State.RELEASED
    assert any("held under" in one for one in (await hub.releases.past(second)).acts[-1].against)


async def test_one_gate_out_counts_once_by_whatever_messages(hub: Hub) -> None:
    await declared(hub, *TO_DISPATCHED)
    await hub.exchange.take(TERMINAL, telling("T-1", event("GTOT")), JSON)
    await hub.exchange.take(TERMINAL, telling("T-2", event("GTOT"), event("GTOT", eventID="again")), JSON)
    await hub.exchange.take(TERMINAL, codeco("1", gate_out()), EDIFACT)
    assert await counted(hub) == 1
    back = telling("T-3", event("GTIN", at="2026-11-25T08:00:00Z"), event("GTOT", at="2026-11-25T09:00:00Z"))
    await hub.exchange.take(TERMINAL, back, JSON)
    assert await counted(hub) == 2, "it came back and left again"


async def test_a_box_that_comes_back_does_not_leave_under_what_is_over(hub: Hub) -> None:
    number = await released(hub, "R-1", BOX)
    assert await outcomes(hub, TERMINAL, telling("T-1", event("GTOT"))) == [("applied", number)]
    assert await outcomes(hub, TERMINAL, telling("T-2", event("GTOT"))) == [("noted", number)]
    assert UNDECLARED not in await alarms(hub)
    away = telling("T-3", event("GTIN", at="2026-11-29T08:00:00Z"), event("GTOT", at="2026-11-29T09:00:00Z"))
    assert [one for one, _ in await outcomes(hub, TERMINAL, away)] == ["noted", "illegal"]
    assert UNDECLARED in await alarms(hub)


async def test_leaving_beside_an_open_hold_rings(hub: Hub) -> None:
    number = await released(hub, "R-1", BOX)
    await hub.declarations.hold(number, CUSTOMS, "chen", "by telephone")
    assert await outcomes(hub, TERMINAL, telling("T-1", event("GTOT"))) == [("illegal", number)]
    assert HELD_GATE_OUT in await alarms(hub) and await state_of(hub, number) is not State.GATE_OUT


async def test_only_a_terminal_moves_boxes(hub: Hub) -> None:
    number = await declared(hub, *TO_DISPATCHED)
    for at, told in enumerate((event("DROP", facilityCode="bay-1"), event("GTOT"))):
        assert (await outcomes(hub, CUSTOMS, telling(f"C-{at}", told)))[0][0] == "refused"
    assert NO_TERMINAL in await alarms(hub) and await state_of(hub, number) is State.DISPATCHED


async def test_a_lift_that_waited_does_not_lift_a_hold_that_a_person_entered_later(hub: Hub) -> None:
    number = await declared(hub)
    early = telling("C-1", event("CUSR", at="2026-11-24T09:00:00Z"))
    waits = await hub.exchange.take(CUSTOMS, early, JSON)
    assert [one.outcome for one in waits.events] == ["kept"]
    await hub.declarations.hold(number, CUSTOMS, "chen", "by telephone")
    await hub.exchange.look_again(number)
    assert [one.outcome for one in (await hub.exchange.shown(waits.position)).events] == ["noted"]
    assert (await hub.declarations.get(number)).holds == (CUSTOMS,)
    lift = telling("C-2", event("CUSR", at="2099-01-01T00:00:00Z"))
    assert await outcomes(hub, CUSTOMS, lift) == [("applied", number)]
    same = telling("C-3", event("CUSR", at="2099-02-01T00:00:00Z"))
    assert await outcomes(hub, CUSTOMS, same) == [("kept", number)]
    await hub.exchange.take(CUSTOMS, telling("C-4", event("CUSI", at="2099-02-01T00:00:00Z")), JSON)
    await becomes(hub, number, lambda now: bool(now.holds))
    await hub.exchange.look_again(number)
    assert (await hub.declarations.get(number)).holds == (CUSTOMS,), "of one moment, the hold stands"


async def test_no_text_keeps_a_message_from_being_kept_and_answered(hub: Hub) -> None:
    number = await declared(hub)
    half = telling("T-1", event("DROP", facilityCode="bay-1", transportReference="@")).replace(b'"@"', b'"\\ud800"')
    taken = await hub.exchange.take(TERMINAL, half, JSON)
    assert taken.outcome == "rejected" and "no JSON" in taken.faults[0]
    order = write_order(Order("H1", "detain", "202611240900", number, "210100", (BOX,)), "一")
    raw = write_interchange(Envelope("CUSTOMS", "PORTWITNESS", "甲-77", ("261124", "0900"), charset="UNOY"), [order])
    held = await hub.exchange.take(CUSTOMS, raw, EDIFACT)
    assert held.outcome == "taken" and (await hub.declarations.get(number)).holds == (CUSTOMS,)
    answer = read_interchange(held.answers[0])
    assert answer.faults == () and answer.messages[0].segments[0].get(0) == "甲-77"


async def test_a_trader_does_not_take_what_was_selected_out_of_the_way(hub: Hub) -> None:
    form = arriving_soon(hub.core.clock, reference="R-1")
    form["containers"] = [form["containers"][0], form["containers"][0] | {"number": OTHER_BOX}]
    form["goods"] = [form["goods"][0] | {"containers": [BOX, OTHER_BOX]}]
    number = (await hub.declarations.lodge(form, "trader.wu", FIRM)).number
    for to in TO_DISPATCHED[:4]:
        await hub.declarations.step(number, to, {}, rule="test/1")
    with pytest.raises(RefusedError, match="the port alone can take it back"):
        await hub.declarations.withdraw(number, "trader.wu", "never mind", party=FIRM)
    less = form | {"containers": form["containers"][:1], "goods": [form["goods"][0] | {"containers": [BOX]}]}
    with pytest.raises(RefusedError, match=f"the port alone can take box {OTHER_BOX} out of it"):
        await hub.declarations.amend(number, less, "trader.wu", "a slip", party=FIRM)
    assert (await hub.declarations.amend(number, form | {"remarks": "late"}, "trader.wu", "a slip", party=FIRM)).version == 2
    assert (await hub.declarations.amend(number, less, "chen", "the trader showed the bill")).version == 3
    assert (await hub.declarations.withdraw(number, "chen", "sent back by sea")).state is State.WITHDRAWN
