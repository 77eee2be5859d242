"""The program portwitness-hub as an administrator meets it: found, serve, stop, people, tokens, check; bad settings are named."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from protocol.identifiers import HubId, SiteId
from storage.authority import SiteAuthority
from storage.authority import run as authority
from storage.clock import SystemClock
from web.__main__ import main, parser

SETTINGS = """[port]
site = "dayaowan"
state = "{state}"
[browser]
port = 0
[device]
port = 0
[mqtt]
broker = "none"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text(SETTINGS.format(state=tmp_path / "state"))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_hub_is_founded_once_and_its_people_are_kept(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "init", "--config", config, "--json")
    founded = json.loads(out)
    assert code == 0
    assert len(founded["password"]) >= 20
    assert founded["log"].startswith("portwitness.port/dayaowan/hub-1+")
    code, _, err = run(capsys, "init", "--config", config)
    assert (code, "has people already" in err) == (2, True)
    code, out, _ = run(capsys, "user", "--config", config, "add", "li.wei", "--role", "inspector", "--json")
    assert (code, json.loads(out)["role"]) == (0, "inspector")
    code, out, _ = run(capsys, "user", "--config", config, "list", "--json")
    assert [one["name"] for one in json.loads(out)["people"]] == ["admin", "li.wei"]
    code, _, err = run(capsys, "user", "--config", config, "disable", "admin")
    assert (code, "last administrator" in err) == (2, True)
    code, out, _ = run(capsys, "token", "--config", config, "api", "admin", "--json")
    assert json.loads(out)["token"].startswith("pw_")


def test_it_serves_until_told_to_stop_and_then_checks_clean(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "init", "--config", config, "--json")
    password = json.loads(out)["password"]
    code, _, err = run(capsys, "serve", "--config", config)
    assert (code, "portwitness-ca server" in err) == (1, True)
    site_ca = SiteAuthority(tmp_path / "ca", SystemClock())
    site_ca.init(SiteId("dayaowan"))
    site_ca.server(HubId("hub-1"), ["127.0.0.1"], tmp_path / "state" / "keys")
    command = [sys.executable, "-m", "web", "serve", "--config", str(config), "--json"]
    log = tmp_path / "hub.log"
    with log.open("w") as told, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with httpx.Client(base_url=ready["browser_url"], trust_env=False) as client:
            assert client.get("/api/v1/status").json()["ready"] is True
            answer = client.post("/api/v1/session", json={"name": "admin", "password": password})
            assert answer.json()["role"] == "administrator"
            with client.stream("GET", "/api/v1/events") as events:  # an open line must not hold the stop up
                assert next(events.iter_lines()) == "retry: 2000"
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)), "a line came twice"
    capsys.readouterr()
    code, out, _ = run(capsys, "fsck", "--config", config, "--json")
    assert (code, json.loads(out)["problems"]) == (0, [])
    assert json.loads(out)["leaves"] >= 2


def test_bad_settings_are_named_with_their_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("port = 0", 'port = "ten"', 1))
    code, _, err = run(capsys, "serve", "--config", config)
    assert code == 2
    assert "hub.toml:5" in err
    code, _, err = run(capsys, "serve", "--config", config.parent / "none.toml")
    assert (code, "none.toml" in err) == (2, True)


def test_plain_http_stays_on_this_machine(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("[browser]", '[browser]\nhost = "0.0.0.0"'))
    code, _, err = run(capsys, "serve", "--config", config)
    assert (code, "without TLS" in err) == (2, True)


def test_each_command_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("serve", "init", "user", "token", "trust", "export", "fsck"):
        with pytest.raises(SystemExit) as ended:
            parser().parse_args([name, "--help"])
        assert ended.value.code == 0
        assert f"portwitness-hub {name} --config" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([], "name a task, or streams"),
        (["T-1", "--stream", "box-1/cam-1"], "name a task, or streams"),
        (["--stream", "box-1/cam-1"], "--from"),
        (["--stream", "box-1/cam-1", "--from", "yesterday", "--to", "now"], "is no time such as"),
        (["--stream", "box-1/cam-1", "--from", "2026-11-23T08:00:00", "--to", "2026-11-23T09:00:00"], "time zone"),
        (["--stream", "box-1/cam-1", "--from", "2026-11-23T08:00:00Z", "--to", "2026-11-23T09:00:00+01:00"], "must have ended"),
        (["--stream", "box-1/cam-1", "--from", "2020-11-23T08:00:00Z", "--to", "2020-11-23T09:00:00Z"], "never recorded"),
    ],
)
def test_an_export_that_is_asked_wrongly(config: Path, capsys: pytest.CaptureFixture[str], asked: list[str], reason: str) -> None:
    assert run(capsys, "init", "--config", config)[0] == 0
    ca = ("init", str(config.parent / "ca"), "--site", "dayaowan"), ("server", str(config.parent / "ca"), "--hub", "hub-1", "--out")
    for arguments in (ca[0], (*ca[1], str(config.parent / "state" / "keys"))):
        assert authority(arguments, io.StringIO(), io.StringIO(), SystemClock()) == 0
    code, _, err = run(capsys, "export", "--config", config, *asked)
    assert code == 2
    assert reason in err
