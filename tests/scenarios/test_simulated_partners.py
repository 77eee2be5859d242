"""A simulated terminal and a partner's webhook against a real hub in virtual time: said once, said wrong, not allowed, told and signed."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.inspection.states import State
from protocol.instants import MILLISECOND_NS
from simulators.partners.port_moves import FAULTS, Move, Pen, Sending
from simulators.partners.terminal import Terminal
from simulators.people.cargo import Cargo, cargo, firms
from simulators.people.diary import Diary
from simulators.port_day.course import Agenda
from simulators.port_day.stage import Stage, open_stage
from simulators.reference_data import TERMINAL


@dataclass(frozen=True)
class Desk:
    """The exchange of a hub in this process."""

    hub: Hub

    async def post(self, sending: Sending) -> dict[str, Any]:
        taken = await self.hub.exchange.take(TERMINAL, sending.raw, sending.content_type)
        return {"outcome": taken.outcome, "again": taken.again, "events": [{"outcome": one.outcome} for one in taken.events]}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, 5, FIRMS) as opened:
        yield opened


FIRMS = firms(random.Random(5))


def consignment(stage: Stage, number: int = 1) -> Cargo:
    return cargo(random.Random(f"consignment {number}"), FIRMS[0], stage.today, number)


async def test_what_a_terminal_says_is_answered_as_by_a_sound_hub(stage: Stage) -> None:
    one = consignment(stage)
    number = (await stage.hub.declarations.lodge(one.form, "trader")).number
    with Diary(stage.clock, "terminal") as diary:
        terminal = Terminal(Desk(stage.hub), Pen(), diary, seed=2)
        moves = [Move("DISC", box, stage.clock.now_ms()) for box in one.containers]
        assert await terminal.tell(moves, "edifact", expected=["noted"] * len(moves)) == ["noted"] * len(moves)
        for way in ("json", "edifact"):
            for fault in FAULTS:
                stage.clock.pass_s(1)
                await terminal.spoil([Move("GTOT", one.containers[0], stage.clock.now_ms(), number)], way, fault)
        sending = terminal.pen.write([Move("GTOT", one.containers[0], stage.clock.now_ms(), number)])
        assert await terminal.send(sending, []) == ["illegal"]
        await terminal.repeat(sending, [])
        assert terminal.surprises == []
    kinds = [alarm.kind for alarm in await stage.hub.alarms.list()]
    assert kinds.count("gate-out without release") == 1
    assert (await stage.hub.declarations.get(number)).state is not State.GATE_OUT
    assert await stage.check() == ()


async def test_courses_go_on_by_their_time_and_the_same_way_each_time(tmp_path: Path) -> None:
    log: list[tuple[str, int]] = []

    async def course(name: str, *pauses: float) -> AsyncIterator[float]:
        for pause in pauses:
            log.append((name, agenda.clock.now_ms() - agenda.clock.begins_ns // MILLISECOND_NS))
            yield pause
        log.append((name, agenda.clock.now_ms() - agenda.clock.begins_ns // MILLISECOND_NS))

    async with open_stage(tmp_path) as stage:
        agenda = Agenda(stage.clock)
        agenda.start(course("a", 5, 5))
        agenda.start(course("b", 2, 4), 1)
        await agenda.run()
    assert log == [("a", 0), ("b", 1000), ("b", 3000), ("a", 5000), ("b", 7000), ("a", 10000)]


async def test_boxes_record_in_virtual_time_and_every_second_is_accounted_for(stage: Stage) -> None:
    box = stage.boxes["box-1"]
    for _ in range(2):
        box.start("cam-1")
        stage.clock.pass_s(30)
        await box.cut()
        await box.lose(3)
        stage.clock.pass_s(4)
        await box.stop("cam-1")
        stage.clock.pass_s(4000)
    assert await stage.check() == ()
    streams = {one.stream: one for one in await stage.hub.devices.streams()}
    assert set(streams) == {"box-1/cam-1"}
