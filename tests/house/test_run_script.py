"""The one door: `./run` is portable shell, says what it can do, and needs no address of any package source."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ("run", ".ci/run")
COMMANDS = ("setup", "demo", "test", "check", "bench", "soak", "clean")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "run", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_portable(script: str) -> None:
    assert (ROOT / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", ROOT / script], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_help_names_every_command() -> None:
    done = _run("help")
    assert done.returncode == 0
    assert all(re.search(rf"^  {command}\b", done.stdout, re.MULTILINE) for command in COMMANDS)


def test_an_unknown_command_is_named() -> None:
    done = _run("deom")
    assert done.returncode == 1
    assert "there is no command deom" in done.stderr


def test_every_requirement_is_pinned_with_hashes() -> None:
    for name in ("runtime", "test"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        pins = re.split(r"\n(?=[a-z0-9])", text)[1:]
        assert len(pins) > 50
        assert all(re.match(r"[a-z0-9.-]+==[^ ]+ ", pin) and "--hash=sha256:" in pin for pin in pins)
        assert "://" not in text


def test_tests_install_what_programs_install() -> None:
    runtime, test = (
        set(re.findall(r"^[a-z0-9.-]+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))
        for name in ("runtime", "test")
    )
    assert runtime <= test


def test_readme_begins_with_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    assert "./run demo" in first_screen
    assert "./run test" in first_screen
    assert "docs/pictures/wall.png" in first_screen
