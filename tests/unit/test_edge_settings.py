"""The settings of a box: examples that work, faults named by line."""

import json
from pathlib import Path

import pytest

from edge.__main__ import main
from edge.config import EXAMPLE, Enrolled, load
from protocol.errors import MalformedError, StorageError


def write(folder: Path, text: str) -> Path:
    path = folder / "edge.toml"
    path.write_text(text)
    return path


def test_the_example_of_the_help_is_read(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n")
    text = EXAMPLE.replace("/etc/portwitness/cam-1.password", str(tmp_path / "password"))
    found = load(write(tmp_path, text), {})
    assert (found.cameras[0].source, found.cameras[0].password, found.recorders[0].source) == ("cam-1", "geheim", "rec-1")
    assert found.capture.segment_seconds == 10
    assert found.door is not None and found.door.port == 8080


def test_the_environment_wins(tmp_path: Path) -> None:
    path = write(tmp_path, 'state = "/tmp/x"\n')
    assert load(path, {"PORTWITNESS_EDGE_CAPTURE_SEGMENT_SECONDS": "4"}).capture.segment_seconds == 4
    assert load(path, {}).door is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "state: missing"),
        (
            'state = "x"\n[capture]\nsegment_seconds = 1\n',
            "edge.toml:3: capture.segment_seconds: expected a number from 2 to 60 (s), got 1",
        ),
        ('state = "x"\n[disk]\nlow_mib = 5\n', "expected more than disk.full_mib (512), got 5"),
        ('state = "x"\n[[cameras]]\nsource = "Cam 1"\nurl = "rtsp://x"\n', "edge.toml:3"),
        (
            'state = "x"\n[[cameras]]\nsource = "a"\nurl = "x"\n[[recorders]]\nsource = "a"\ntoken_sha256 = "x"\n',
            "source 'a' is named twice",
        ),
        ('state = "x"\nstaet = 1\n', "did you mean state"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MalformedError) as caught:
        load(write(tmp_path, text), {})
    assert says in str(caught.value)


def test_what_enrolment_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "box.json"
    fields = {"box": "box-1", "site": "dayaowan", "hub_device_url": "https://h:1", "hub_mqtt_url": None}
    path.write_text(json.dumps(fields))
    assert Enrolled.load(path) == Enrolled(Enrolled.load(path).box, Enrolled.load(path).site, "https://h:1", None)
    path.write_text(json.dumps({**fields, "box": 7}))
    with pytest.raises(MalformedError, match="expected box"):
        Enrolled.load(path)
    path.write_text("[]")
    with pytest.raises(MalformedError, match="not an object"):
        Enrolled.load(path)
    path.write_text("{")
    with pytest.raises(MalformedError, match="not JSON"):
        Enrolled.load(path)
    with pytest.raises(StorageError):
        Enrolled.load(tmp_path / "nothing")


def test_the_program_says_what_is_wrong_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(tmp_path / "missing.toml")]) == 2
    assert "missing.toml: cannot read" in capsys.readouterr().err
    config = write(tmp_path, f'state = "{tmp_path / "state"}"\n')
    assert main(["run", "--config", str(config)]) == 2
    assert "box.json" in capsys.readouterr().err
    assert main(["status", "--config", str(config)]) == 2
    assert "door" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "status", "fsck", "enrol"])
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "example: portwitness-edge" in capsys.readouterr().out
