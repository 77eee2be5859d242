"""The stand-alone verifier of draws and the random function by hand: answers, exit codes, two languages."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.verify import run
from tests.draw_log_parts import Staging
from tests.unit.test_drawing_vrf import VECTORS
from web.__main__ import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Staging]:
    staging = Staging()
    bundle, trust = tmp_path / "draw.json", tmp_path / "trust.json"
    bundle.write_bytes(staging.make().encode())
    trust.write_bytes(staging.log.trust().encode())
    return bundle, trust, staging


def called(*arguments: Any) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = run(["draw", *map(str, arguments)], out, err)
    return status, out.getvalue(), err.getvalue()


def test_a_good_draw(files: tuple[Path, Path, Staging]) -> None:
    bundle, trust, staging = files
    number = staging.pool.entries[5].id
    status, out, _ = called(bundle, "--trust", trust, "--json", "--declaration", number)
    found = json.loads(out)
    assert (status, found["valid"], found["number"], found["seed"]) == (0, True, 1, staging.seed.hex())
    assert found["selected"] == {team.id: list(team.members) for team in staging.teams}
    assert found["declaration"]["total"] == staging.selection.drawn[5].parts.total
    english = called(bundle, "--trust", trust, "--declaration", number)
    chinese = called(bundle, "--trust", trust, "--lang", "zh", "--declaration", number)
    assert english[0] == chinese[0] == 0
    assert english[1].endswith("VALID\n") and chinese[1].endswith("有效\n") and "国家最低抽查率" in chinese[1]


def test_a_steered_draw_says_why(files: tuple[Path, Path, Staging]) -> None:
    bundle, trust, staging = files
    steered = staging.make()
    bundle.write_bytes(replace(steered, pool=steered.pool[:-1]).encode())
    status, out, _ = called(bundle, "--trust", trust, "--json")
    found = json.loads(out)
    assert (status, found["valid"], found["faults"][0]["where"]) == (1, False, "draw pool")
    status, out, _ = called(bundle, "--trust", trust, "--lang", "zh")
    assert status == 1 and out.endswith("无效\n")


def test_what_cannot_be_read(files: tuple[Path, Path, Staging], tmp_path: Path) -> None:
    bundle, trust, _ = files
    bundle.write_bytes(bundle.read_bytes()[:-5])
    for arguments in ((bundle, "--trust", trust), (tmp_path / "none", "--trust", trust), (trust, "--trust", tmp_path / "none")):
        assert called(*arguments)[0] == 2
        status, out, _ = called(*arguments, "--json")
        assert status == 2 and json.loads(out)["valid"] is False


@pytest.mark.parametrize(("seed", "key", "alpha", "pi", "beta"), VECTORS, ids=("16", "17", "18"))
def test_vrf_by_hand(seed: str, key: str, alpha: str, pi: str, beta: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "vrf", "prove", "--key", seed, "--alpha", alpha, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pi": pi, "beta": beta}
    file = tmp_path / "key.hex"
    file.write_text(f"{key}\n")
    assert main(["rules", "vrf", "verify", "--key-file", str(file), "--alpha", alpha, "--pi", pi, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"valid": True, "beta": beta}
    assert main(["rules", "vrf", "verify", "--key", key, "--alpha", f"{alpha}00", "--pi", pi, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is False


@pytest.mark.parametrize(
    "line", ["prove", "prove --key zz", "prove --key 00", "verify --key 00", "prove --key-file /none --key 00", "verify --key 00 --pi 00"]
)
def test_vrf_bad_input(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "vrf", *line.split(), "--json"]) == 2
    assert "portwitness-hub rules vrf:" in capsys.readouterr().err
