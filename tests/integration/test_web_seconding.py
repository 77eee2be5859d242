"""What two persons do at one desk: each route asks for the second person's own password, and takes no name alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from storage.keys import create_ed25519
from tests.contracts.test_draws import drawn, inspectors, screen
from tests.web_parts import Face, open_face, password_of

DRAWS = "/api/v1/draws"
EXCLUSION = {"kind": "inspector", "id": "li.wei", "reason": "related to the owner"}


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    (tmp_path / "keys").mkdir()
    async with open_face(tmp_path, create_ed25519(tmp_path / "keys" / "log.key")) as opened:
        yield opened


def by(name: str, password: str | None = None) -> dict[str, str]:
    return {"second": name, "second_password": password or password_of(name)}


async def error_of(client: Any, path: str, ask: dict[str, Any]) -> tuple[int, str]:
    answer = await client.post(path, json=ask)
    return answer.status_code, answer.json()["error"]["where"]


def test_every_route_that_names_a_second_person_asks_for_the_password(face: Face) -> None:
    shapes = {
        name.split("__")[-1]: one["properties"] for name, one in face.app.openapi()["components"]["schemas"].items() if "properties" in one
    }
    asked = {name for name, one in shapes.items() if name.endswith("Ask") and "second" in one}
    assert {"PolicyAsk", "ExclusionAsk", "RefusalAsk", "OverrideAsk", "PairAsk", "VoidAsk", "RulesAsk", "WithdrawalAsk"} <= asked
    assert {name for name in asked if "second_password" not in shapes[name]} == set()


async def test_a_draw_policy_takes_two_passwords(face: Face) -> None:
    admin = await face.login("admin")
    ask = {"text": (await admin.get(f"{DRAWS}/policy")).json()["text"], "reason": "first policy"}
    assert (await error_of(admin, f"{DRAWS}/policy", ask | {"second": "chen.min"}))[0] == 400
    assert await error_of(admin, f"{DRAWS}/policy", ask | by("admin")) == (400, "second")
    assert await error_of(admin, f"{DRAWS}/policy", ask | by("chen.min", "guessed")) == (403, "second_password")
    assert await error_of(admin, f"{DRAWS}/policy", ask | by("nobody")) == (403, "second_password")
    for name in ("li.wei", "shen.mao", "port.desk"):  # with their own right passwords
        assert await error_of(admin, f"{DRAWS}/policy", ask | by(name)) == (403, "second"), name
    await face.hub.access.change("chen.min", "admin", disabled=True)
    assert (await error_of(admin, f"{DRAWS}/policy", ask | by("chen.min")))[0] == 403
    assert not (await admin.get(f"{DRAWS}/policy")).json()["in_force"]
    assert (await admin.post(f"{DRAWS}/policy", json=ask | by("zhou.jun"))).status_code == 201
    assert (await admin.get(f"{DRAWS}/policy")).json()["in_force"]


async def test_what_two_persons_change_of_a_draw_takes_two_passwords(face: Face) -> None:
    await inspectors(face.hub)
    await face.hub.draws.set_policy(await face.hub.draws.proposal(), "admin", "zhou.jun", "first policy")
    number = (await screen(face.hub, 1, "red"))[0]
    draw = await drawn(face.hub)
    chen = await face.login("chen.min")
    team = await face.hub.draws.team(number)
    acts: dict[str, dict[str, Any]] = {
        f"{DRAWS}/exclusions": EXCLUSION,
        f"{DRAWS}/{draw.number}/refusals": {"declaration": number, "inspector": team[0], "reason": "ill"},
        f"{DRAWS}/{draw.number}/overrides": {"declaration": number, "members": list(team), "reason": "as agreed"},
    }
    for path, ask in acts.items():
        assert await error_of(chen, path, ask | by("zhou.jun", "guessed")) == (403, "second_password"), path
        assert await error_of(chen, path, ask | by("li.wei")) == (403, "second"), path
        answer = await chen.post(path, json=ask | by("zhou.jun"))
        assert answer.status_code == 201, answer.text
    acts_shown = (await chen.get(f"{DRAWS}/{draw.number}")).json()["acts"]
    assert [(one["act"], one["by"], one["second"]) for one in acts_shown] == [
        ("refused", "chen.min", "zhou.jun"),
        ("overridden", "chen.min", "zhou.jun"),
    ]


async def test_who_comes_from_outside_vouches_for_nothing(face: Face) -> None:
    """A late pairing is vouched for by whoever works here, not by an owner's own agent."""
    chen, task = await face.login("chen.min"), "T-1"
    assert (await chen.post("/api/v1/tasks", json={"task": task})).status_code == 201
    ask = {"stream": "box-1/recorder-1", "late_from_ms": 1.0, "reason": "forgotten"}
    assert await error_of(chen, f"/api/v1/tasks/{task}/pairings", ask | by("shen.mao")) == (403, "second")
    assert (await error_of(chen, f"/api/v1/tasks/{task}/pairings", ask | by("li.wei")))[0] not in (400, 403)
