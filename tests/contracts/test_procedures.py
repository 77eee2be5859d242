"""Operating procedures at the hub, on SQLite and on PostgreSQL alike: shipped by rule, proposed and published by two, kept by hash."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from hub.app import Hub
from hub.check import check_hub
from hub.config import InspectionSettings
from hub.inspection.procedures.shipped_files import shipped_procedures, shipped_text, shipped_violations
from hub.inspection.published import document_of, procedure_of
from hub.inspection.violations import shipped_entries
from protocol.errors import MalformedError, RefusedError, StorageError
from protocol.inspection_kinds import Reference
from protocol.procedures.model import Procedure
from protocol.records import read
from protocol.rule_kinds import ProcedureAct
from protocol.signatures import Ed25519Signer
from storage.keys import create_ed25519
from storage.schema import procedure_documents
from tests.hub_parts import running_hub, settings_for


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def signer(tmp_path: Path) -> Ed25519Signer:
    (tmp_path / "keys").mkdir()
    return create_ed25519(tmp_path / "keys" / "log.key")


@pytest.fixture
async def hub(database_url: str, tmp_path: Path, signer: Ed25519Signer) -> AsyncIterator[Hub]:
    shipped = InspectionSettings(shipped=True, automatic=False)
    async with running_hub(settings_for(tmp_path, database_url, inspection=shipped), signer) as running:
        yield running


def later(key: str, **changes: Any) -> Procedure:
    return replace(next(one for one in shipped_procedures() if one.key == key), **({"version": 2} | changes))


async def test_the_shipped_ones_are_published_once_by_rule(hub: Hub) -> None:
    found = await hub.procedures.list()
    assert [one.procedure for one in found] == list(shipped_procedures())
    assert all(one.sha256 == hashlib.sha256(document_of(one.procedure)).digest() for one in found)
    catalogue = len(shipped_violations())
    laws = [read(await hub.log.leaf(index)).record.body for index in range(catalogue)]
    assert all(isinstance(body, Reference) and body.act == "set" for body in laws)
    bodies = [read(await hub.log.leaf(catalogue + index)).record.body for index in range(14)]
    assert all(isinstance(body, ProcedureAct) and (body.act, body.rule) == ("published", "shipped/1") for body in bodies)
    assert await hub.procedures.publish_shipped() == 0
    assert await hub.references.put_shipped("violation", shipped_entries()) == 0
    assert hub.log.published_size() == catalogue + 14
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_procedure_is_found_by_goods_by_key_and_by_the_reference_data(hub: Hub) -> None:
    assert (await hub.procedures.in_force("fruit", "2026-11-24")).key == "fruit"
    assert (await hub.procedures.in_force("vegetables", "2026-11-24")).key == "fruit"
    goods = {"name": "榴莲", "name_en": "durian", "hs": ["081060"], "qualification": "fruit", "procedure": "fruit", "base_rate_ppm": 50_000}
    await hub.references.put("goods", "durian", goods, "admin")
    found = await hub.procedures.in_force("durian", "2026-11-24")
    assert (found.key, found.version) == ("fruit", 1)
    with pytest.raises(RefusedError, match="has no procedure in force on 2025-12-31"):
        await hub.procedures.in_force("fruit", "2025-12-31")
    with pytest.raises(RefusedError, match="has no procedure"):
        await hub.procedures.in_force("aircraft", "2026-11-24")


async def test_two_persons_publish_and_a_running_task_keeps_its_version(hub: Hub) -> None:
    before = await hub.procedures.in_force("fruit", hub.procedures.today())
    new = later("fruit", effective="2026-01-01", zh="进境水果现场查验（修订）")
    assert (await hub.procedures.propose(new, "li.wei", "new rule")).state == "proposed"
    with pytest.raises(RefusedError, match="give it number 3"):
        await hub.procedures.propose(new, "wang.fang", "again")
    assert (await hub.procedures.in_force("fruit", hub.procedures.today())).version == 1
    with pytest.raises(RefusedError, match="somebody else must publish"):
        await hub.procedures.publish("fruit", 2, "li.wei", "good")
    version = await hub.procedures.publish("fruit", 2, "wang.fang", "read and agreed")
    assert (version.state, [one.act for one in version.done]) == ("published", ["proposed", "published"])
    assert version.effective == hub.procedures.today()  # what people publish is not in force before they did
    found = await hub.procedures.in_force("fruit", hub.procedures.today())
    assert (found.version, found.procedure) == (2, new)
    assert (await hub.procedures.in_force("fruit", "2026-01-05")).version == 1
    assert await hub.procedures.by_hash(before.sha256) == before.procedure
    with pytest.raises(RefusedError, match="is published, not proposed"):
        await hub.procedures.publish("fruit", 2, "wang.fang", "again")
    with pytest.raises(MalformedError, match="must be another"):
        await hub.procedures.withdraw("fruit", 2, "li.wei", "li.wei", "bad")
    await hub.procedures.withdraw("fruit", 2, "li.wei", "wang.fang", "a fault in it")
    assert (await hub.procedures.in_force("fruit", hub.procedures.today())).version == 1
    assert await hub.procedures.by_hash(found.sha256) == new
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_later_version_waits_for_its_day_and_ends_on_its_last(hub: Hub) -> None:
    await hub.procedures.propose(later("meat", effective="2099-01-01", until="2099-12-31"), "li.wei", "next year's")
    await hub.procedures.publish("meat", 2, "wang.fang", "agreed")
    days = ("2098-12-31", "2099-01-01", "2099-12-31", "2100-01-01")
    assert [(await hub.procedures.in_force("meat", day)).version for day in days] == [1, 2, 2, 1]


async def test_a_rejected_number_is_spent_and_strange_violations_are_refused(hub: Hub) -> None:
    await hub.procedures.propose(later("scrap"), "li.wei", "try")
    assert (await hub.procedures.reject("scrap", 2, "wang.fang", "no")).state == "rejected"
    with pytest.raises(RefusedError, match="give it number 3"):
        await hub.procedures.propose(later("scrap"), "li.wei", "try")
    section = later("scrap").sections[0]
    item = replace(section.items[0], violation="witchcraft")
    strange = later("scrap", version=3, sections=(replace(section, items=(item, *section.items[1:])),))
    with pytest.raises(MalformedError, match="witchcraft"):
        await hub.procedures.propose(strange, "li.wei", "try")
    with pytest.raises(RefusedError, match="is not known"):
        await hub.procedures.publish("scrap", 9, "wang.fang", "agreed")


def naming(version: int, violation: str) -> Procedure:
    section = later("scrap").sections[0]
    item = replace(section.items[0], violation=violation)
    return later("scrap", version=version, sections=(replace(section, items=(item, *section.items[1:])),))


async def test_the_catalogue_of_violations_is_the_ports_own(hub: Hub) -> None:
    law = shipped_entries()["soil"] | {"penalty": "退回", "penalty_en": "returned", "verified": True}
    await hub.references.put("violation", "soil", law, "li.wei", "read the law", after=1)
    new = law | {"name": "巫术", "name_en": "witchcraft"}
    await hub.references.put("violation", "witchcraft", new, "li.wei")
    await hub.references.retire("violation", "label", "li.wei", "not of this port")
    found = {one.key: one for one in await hub.procedures.violations()}
    assert found["soil"].verified and found["soil"].penalty == ("退回", "returned")
    assert found.keys() == (shipped_entries().keys() | {"witchcraft"}) - {"label"}
    assert (await hub.procedures.propose(naming(2, "witchcraft"), "li.wei", "try")).state == "proposed"
    with pytest.raises(MalformedError, match="the catalogue lacks: label"):
        await hub.procedures.propose(naming(3, "label"), "li.wei", "try")


async def test_yaml_is_read_with_its_place(hub: Hub) -> None:
    text = shipped_text("07-fruit.yaml")
    assert await hub.procedures.read(text) == shipped_procedures()[6]
    line = text[: text.index(b"effective: ")].count(b"\n") + 1
    with pytest.raises(MalformedError, match=f"line {line}, column 12.*is no day"):
        await hub.procedures.read(text.replace(b"effective: 2026-01-01", b"effective: tomorrow"))


async def test_a_document_that_was_changed_is_not_given(hub: Hub) -> None:
    found = await hub.procedures.in_force("fruit", "2026-11-24")
    await hub.core.database.write(lambda connection: connection.execute(update(procedure_documents).values(data=b"{}")))
    assert any("S6 procedure fruit version 1" in one for one in (await check_hub(hub.core.settings)).problems)
    with pytest.raises(StorageError, match="is not what its record binds"):
        await hub.core.database.read(lambda connection: procedure_of(connection, found.sha256))
