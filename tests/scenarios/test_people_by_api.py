"""A simulated inspector and a laboratory at a hub's public API: a checklist worked to its end, a sample received and reported on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hub.access import PersonDraft
from hub.inspection.fieldwork.completeness import missing_of
from hub.inspection.states import State
from simulators.partners.laboratory import Bench, Laboratory
from simulators.people.api import HubApi
from simulators.people.diary import Diary
from simulators.people.inspector import Inspector
from simulators.people.site_work import SiteWork
from simulators.port_day.acts import Port
from simulators.port_day.inspecting import Inspection
from simulators.port_day.stage import open_stage, password_of
from simulators.reference_data import LABORATORY
from storage.clock import SystemClock
from tests.scenarios.test_declaration_to_gate import FIRMS, bring, certain, selected
from web.browser_app import browser_app


@dataclass
class Served:
    """A port in virtual time behind its public API, without a socket."""

    port: Port
    transport: httpx.ASGITransport

    @asynccontextmanager
    async def login(self, name: str) -> AsyncIterator[HubApi]:
        async with httpx.AsyncClient(transport=self.transport, base_url="http://hub.test") as client:
            api = HubApi(client)
            await api.login(name, password_of(name))
            yield api


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_stage(tmp_path, 7, FIRMS, SystemClock().now().wall_ns) as stage:
        await certain(stage.hub.draws)
        app = browser_app(stage.hub, secure=False, closing=asyncio.Event())
        yield Served(Port.of(stage), httpx.ASGITransport(app))
        await app.state.watching.close()
        assert await stage.check() == ()


async def begun(port: Port, kind: str) -> Inspection:
    inspection = Inspection(port, await selected(port, bring(kind, port.stage)))
    await inspection.dispatch()
    await inspection.position()
    await inspection.begin()
    return inspection


async def test_an_inspector_works_a_checklist_to_its_end_by_the_public_api(served: Served) -> None:
    inspection = await begun(served.port, "fruit")
    [task] = inspection.tasks
    lead, assistant = task.inspectors
    clock = served.port.stage.clock
    async with served.login(lead) as api, served.login(assistant) as second:
        with Diary(clock, lead) as diary:
            hands = await SiteWork.of(api, lead, clock)
            checklist = await hands.checklist(task.task)
            async for _act in hands.work(checklist):
                clock.pass_s(20)
            await hands.sign(checklist, "lead", lead)
            await (await SiteWork.of(second, assistant, clock)).sign(checklist, "assistant", assistant)
            await hands.sign(checklist, "owner", "agent")
            await Inspector(api, lead, diary).take(task.task)
    await inspection.finish()
    hub = served.port.stage.hub
    assert await hub.core.database.read(lambda connection: missing_of(connection, inspection.number)) == ()


async def test_what_an_inspector_does_dishonestly_is_in_the_diary(served: Served) -> None:
    inspection = await begun(served.port, "fruit")
    [task] = inspection.tasks
    lead = task.inspectors[0]
    async with served.login(lead) as api:
        with Diary(served.port.stage.clock, lead) as diary:
            await Inspector(api, lead, diary).work(task.task, "dishonestly", ["lead"], 0.0)
    wrong = {act["what"] for act in diary.acts if act["act"] == "did wrong"}
    assert wrong == {"clock set back", "far from the bay", "photo used again"}
    await inspection.finish()
    assert ("phone clock wrong", task.task) in {(one.kind, one.subject) for one in await served.port.stage.hub.alarms.list()}


async def test_a_laboratory_receives_and_reports_by_the_public_api(served: Served) -> None:
    inspection = await begun(served.port, "meat")
    [task] = inspection.tasks
    async for _pause_s in inspection.work(task):
        served.port.stage.clock.pass_s(20)
    sample = await inspection.sample()
    await inspection.finish()
    hub, clock = served.port.stage.hub, served.port.stage.clock
    await hub.access.add(PersonDraft("lab.head", "partner", "Lab", password_of("lab.head"), LABORATORY), "hub:hub-1")
    async with served.login("lab.head") as api:
        with Diary(clock, "lab") as diary:
            bench = Bench(api, Laboratory(), diary, clock, positive_percent=100, test_s=3600)
            assert await bench.look() == 1
            clock.pass_s(3601)
            assert await bench.look() == 0
    assert [act["act"] for act in diary.acts] == ["received", "reported"]
    assert (await hub.laboratory.get(sample)).verdict == "positive"
    assert await served.port.state(inspection.number) is State.LAB_PENDING
