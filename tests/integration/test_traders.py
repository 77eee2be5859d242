"""Simulated traders: what they bring is sound, what they spoil is named exactly, and a day of theirs is answered as expected."""

import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.catalogue import read_entry
from hub.inspection.forms import FaultsError, read_form
from protocol.errors import RefusedError
from protocol.goods import check_container, check_imo
from protocol.instants import SECOND_NS
from simulators.people.api import HubApi
from simulators.people.cargo import COMMODITIES, Firm, cargo, firms
from simulators.people.diary import Diary
from simulators.people.form_faults import FAULTS, spoil
from simulators.people.trader import HubDesk, Trader
from simulators.people.trading import STORIES, TradePlan, plan_trade, surprises
from storage.clock import SystemClock
from storage.keys import create_ed25519
from tests.hub_parts import running_hub, settings_for
from tests.web_parts import open_face, password_of

TODAY = date(2026, 11, 30)


@dataclass(frozen=True)
class Facade:
    """The desk of a hub in this process."""

    hub: Hub

    async def lodge(self, form: Mapping[str, Any]) -> str:
        return (await self.hub.declarations.lodge(form, "trader")).number

    async def amend(self, number: str, form: Mapping[str, Any], reason: str) -> str:
        return (await self.hub.declarations.amend(number, form, "trader", reason)).number

    async def withdraw(self, number: str, reason: str) -> str:
        return (await self.hub.declarations.withdraw(number, "trader", reason)).number


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


@pytest.mark.parametrize("seed", range(4))
def test_what_traders_bring_is_sound_and_what_they_spoil_is_named_exactly(seed: int) -> None:
    draw = random.Random(seed)
    for number, firm in enumerate(firms(draw)):
        read_entry("enterprise", firm.code, firm.entry())
        one = cargo(draw, firm, TODAY, number)
        read_form(one.form, today=TODAY)
        check_imo(one.form["voyage"]["imo"])
        assert [check_container(box) for box in one.containers] == one.containers
        for fault in FAULTS:
            spoiled = spoil(one.form, draw, TODAY, fault)
            with pytest.raises(FaultsError) as refused:
                read_form(spoiled.form, today=TODAY)
            assert sorted(each.path for each in refused.value.faults) == sorted(spoiled.paths), fault


def test_one_seed_gives_one_day_and_a_day_has_every_story() -> None:
    plan = TradePlan(TODAY, 300, 4)
    day = plan_trade(plan)
    assert day == plan_trade(plan) != plan_trade(TradePlan(TODAY, 300, 5))
    assert {act.story for act in day.acts} == set(STORIES)
    assert {one.commodity for one in day.cargoes.values()} == set(COMMODITIES)
    wrong = plan_trade(TradePlan(TODAY, 400, 4, stories={"wrong, then mended": 1}))
    assert {act.fault for act in wrong.acts} == {"", *FAULTS}
    assert [act.at_s for act in day.acts] == sorted(act.at_s for act in day.acts)
    truths = [one.truth for one in day.cargoes.values()]
    assert any(truth.pest for truth in truths) and any(truth.hidden for truth in truths) and any(truth.is_clean for truth in truths)


async def test_a_day_of_traders_is_answered_as_a_sound_hub_does(hub: Hub) -> None:
    today = datetime.fromtimestamp(SystemClock().now().wall_ns // SECOND_NS, UTC).date()
    stories = {"plain": 3, **{story: 2 for story in STORIES if story != "plain"}}
    day = plan_trade(TradePlan(today, 30, 3, stories=stories))
    with Diary(SystemClock(), "trader") as diary:
        trader = Trader(Facade(hub), diary)
        for act in day.acts:
            await trader.do(act)
    assert surprises(day.acts, diary.acts) == []
    assert {line["answer"] for line in diary.acts} == {"taken", "same", "refused"}
    assert len(set(trader.numbers.values())) == len(trader.numbers) == len(day.cargoes)
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_trader_reaches_a_hub_by_its_public_api(tmp_path: Path) -> None:
    today = datetime.fromtimestamp(SystemClock().now().wall_ns // SECOND_NS, UTC).date()
    async with open_face(tmp_path) as face:
        api = HubApi(face.client())
        await api.login("shen.mao", password_of("shen.mao"))
        firm = Firm(str(api.person["party"]), "示范果品", ("fruit", "scrap"))
        stories = {"wrong, then mended": 3, "reference used again": 1, "sent twice": 1, "amended": 1, "withdrawn": 1}
        day = plan_trade(TradePlan(today, 14, 6, (firm,), stories))
        with Diary(SystemClock(), "trader") as diary:
            trader = Trader(HubDesk(api), diary)
            for act in day.acts:
                await trader.do(act)
    assert surprises(day.acts, diary.acts) == []
    assert len(trader.numbers) == 14


async def test_a_hub_that_takes_what_is_wrong_is_named() -> None:
    class Credulous:
        async def lodge(self, form: Mapping[str, Any]) -> str:
            return f"D-{form.get('bill')}"

        async def amend(self, number: str, form: Mapping[str, Any], reason: str) -> str:
            raise RefusedError("no", where=number)

        async def withdraw(self, number: str, reason: str) -> str:
            raise RefusedError("no", where=number)

    day = plan_trade(TradePlan(TODAY, 20, 1, stories={"wrong, then mended": 1, "reference used again": 1}))
    with Diary(SystemClock(), "trader") as diary:
        trader = Trader(Credulous(), diary)
        for act in day.acts:
            await trader.do(act)
    wrong = [act for act in day.acts if act.expected == "refused"]
    assert len([one for one in surprises(day.acts, diary.acts) if "expected refused" in one]) == len(wrong)
    assert "were answered" in surprises(day.acts[1:], diary.acts)[0]
