"""Reference data at the hub, on SQLite and on PostgreSQL alike: set, changed in versions, retired, never lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.catalogue import Bay, Enterprise, Inspector, check_social_credit
from hub.inspection.forms import FaultsError
from hub.inspection.references import find
from protocol.errors import MalformedError, RefusedError
from protocol.records import read
from storage.keys import create_ed25519
from storage.schema import sheets
from tests.hub_parts import running_hub, settings_for, settled

IMPORTER = {"name": "大连鲜果进出口有限公司", "name_en": "Dalian Fresh Fruit", "kinds": ["importer"]}


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
        yield running


async def test_an_entry_is_set_changed_and_retired_with_its_history(hub: Hub) -> None:
    first = await hub.references.put("enterprise", "2102600001", IMPORTER, "li.wei", "registered")
    assert (first.version, first.retired, first.by, first.reason) == (1, False, "li.wei", "registered")
    assert first.value == Enterprise.model_validate(IMPORTER)
    with pytest.raises(RefusedError, match="is as it stands"):
        await hub.references.put("enterprise", "2102600001", IMPORTER, "li.wei")
    second = await hub.references.put("enterprise", "2102600001", IMPORTER | {"joint_list": True}, "li.wei", "court", after=1)
    assert second.version == 2
    with pytest.raises(RefusedError, match="stands at version 2, not 1"):
        await hub.references.put("enterprise", "2102600001", IMPORTER | {"remark": "x"}, "li.wei", after=1)
    third = await hub.references.retire("enterprise", "2102600001", "li.wei", "closed down")
    assert (third.version, third.retired) == (3, True)
    with pytest.raises(RefusedError, match="no longer in use"):
        await hub.references.get("enterprise", "2102600001")
    assert await hub.references.list("enterprise") == []
    assert [one.version for one in await hub.references.history("enterprise", "2102600001")] == [1, 2, 3]
    old = await hub.core.database.read(lambda connection: find(connection, "enterprise", "2102600001", before=second.position + 1))
    assert isinstance(old.value, Enterprise) and old.value.joint_list
    assert (await hub.references.put("enterprise", "2102600001", IMPORTER, "li.wei", "open again")).version == 4
    await settled(hub)
    leaves = [await hub.log.leaf(index) for index in range(hub.log.published_size())]
    assert [read(leaf).record.subject for leaf in leaves] == ["enterprise/2102600001"] * 4
    assert not any(b"li.wei" in leaf or "鲜果".encode() in leaf for leaf in leaves)
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_of_two_changes_at_once_none_is_lost(hub: Hub) -> None:
    await hub.references.put("bay", "bay-1", {"name": "一号台"}, "li.wei")
    changes = [hub.references.put("bay", "bay-1", {"name": f"台{at}"}, "li.wei", after=1) for at in range(4)]
    done = await asyncio.gather(*changes, return_exceptions=True)
    assert sum(not isinstance(one, Exception) for one in done) == 1
    assert all(isinstance(one, RefusedError) for one in done if isinstance(one, Exception))
    assert len(await hub.references.history("bay", "bay-1")) == 2


async def test_what_was_erased_leaves_its_version(hub: Hub) -> None:
    await hub.references.put("inspector", "he.yu", {"display": "何宇", "qualifications": ["fruit"]}, "admin")
    await hub.core.database.write(lambda connection: connection.execute(delete(sheets)))
    kept = await hub.references.get("inspector", "he.yu")
    assert (kept.value, kept.by, kept.version) == (None, None, 1)
    assert (await check_hub(hub.core.settings)).problems == ()


@pytest.mark.parametrize(
    ("category", "key", "value", "said"),
    [
        ("ship", "x", {}, "is none of enterprise"),
        ("origin", "cn", {"name": "中国", "name_en": "China"}, "is no key of this category"),
        ("bay", "b-1", [], "is no JSON object"),
        ("area", "a-1", {"origin": "BR", "hs": ["0207"], "disease": "禽流感", "disease_en": "flu", "measure": "warn", "start": "2026-02-02",
                         "end": "2026-02-01"}, "ends before it starts"),
        ("notice", "n-1", {"title": "x", "title_en": "x", "weight": 20, "start": "2026-02-02"}, "names no goods"),
        ("inspector", "he.yu", {"display": "x", "absences": [["2026-02-02", "2026-02-01"]]}, "ends before it starts"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused(hub: Hub, category: str, key: str, value: object, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        await hub.references.put(category, key, value, "li.wei")
    assert hub.log.published_size() == 0


async def test_every_fault_is_named_at_once(hub: Hub) -> None:
    wrong = {"name": " x", "kinds": ["thief"], "social": "91210200MA0000000X", "country": "china", "colour": "red"}
    with pytest.raises(FaultsError) as caught:
        await hub.references.put("enterprise", "2102600001", wrong, "li.wei")
    assert {fault.path for fault in caught.value.faults} == {"name", "kinds[0]", "social", "country", "colour"}
    assert all(fault.en and fault.zh for fault in caught.value.faults)


def test_social_credit_codes_have_a_check_character() -> None:
    check_social_credit("91350100M000100Y43")  # the example of GB 32100-2015
    for at in range(18):
        for letter in "0189AY":
            changed = "91350100M000100Y43"[:at] + letter + "91350100M000100Y43"[at + 1 :]
            if changed != "91350100M000100Y43":
                with pytest.raises(MalformedError):
                    check_social_credit(changed)


def test_who_is_away_does_not_serve() -> None:
    inspector = Inspector(display="何宇", absences=(("2026-11-20", "2026-11-22"),))
    assert [inspector.serves(day) for day in ("2026-11-19", "2026-11-20", "2026-11-22", "2026-11-23")] == [True, False, False, True]
    assert not Inspector(display="何宇", on_duty=False).serves("2026-11-19")
    assert Bay(name="台").is_open
