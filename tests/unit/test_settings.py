"""A setting that is wrong is named with file, line, key, what was expected and what was given."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import settings, toml_lines
from protocol.errors import MalformedError
from protocol.identifiers import BoxId
from protocol.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    segment_seconds: float = setting("Length at which a segment is cut.", default=10.0, unit="s", bounds=(2, 60))
    queue_units: int = setting("Units kept for a slow disk.", default=512, bounds=(1, None))
    flush: bool = setting("Flush each part.", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    name: BoxId = setting("Its name.")
    url: str = setting("Where it is.")
    password: str | None = setting("Its password.", default=None, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    url: str = setting("Where it is.")
    low: int = setting("Low mark.", default=1)
    high: int = setting("High mark.", default=2)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise MalformedError("low is above high", where="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    state: Path = setting("Where state is kept.")
    transport: Literal["mqtt", "https"] = setting("How records travel.", default="https")
    names: tuple[str, ...] = setting("Names.", default=())
    capture: Capture
    broker: Broker | None = None
    cameras: tuple[Camera, ...] = setting("The cameras.", default=())


GOOD = """
state = "/var/lib/example"  # [not a table]
names = [
  "a", "] = 1",
  "b",
]
[capture]
segment_seconds = 6
text.more = 1

[[cameras]]
name = "cam-1"
url = "rtsp://one"

[[cameras]]
name = "cam-2"
url = \"\"\"
[capture]
queue_units = 9\"\"\"
"""


def _read(text: str, environ: dict[str, str] | None = None) -> Example:
    secrets = {"/run/secret": "hidden\n"}

    def open_secret(path: str) -> str:
        if path not in secrets:
            raise FileNotFoundError(2, "No such file or directory", path)
        return secrets[path]

    return settings.read(Example, text, file="e.toml", environ=environ or {}, prefix="PW", read_secret=open_secret)


def _fault(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(MalformedError) as caught:
        _read(text, environ)
    return str(caught.value)


def test_values_and_defaults() -> None:
    made = _read(GOOD.replace("text.more = 1", "flush = false"))
    assert made.state == Path("/var/lib/example")
    assert made.names == ("a", "] = 1", "b")
    assert made.capture == Capture(segment_seconds=6.0, queue_units=512, flush=False)
    assert isinstance(made.capture.segment_seconds, float)
    assert [camera.name for camera in made.cameras] == ["cam-1", "cam-2"]
    assert made.cameras[1].url == "[capture]\nqueue_units = 9"
    assert made.broker is None
    assert made.transport == "https"


def test_lines_are_those_of_the_text() -> None:
    lines = toml_lines.find(GOOD)
    assert lines[("capture",)] == 7
    assert lines[("capture", "text", "more")] == 9
    assert lines[("cameras", 1, "url")] == 17
    assert toml_lines.line_of(lines, ("cameras", 0, "password")) == 11
    assert ("capture", "queue_units") not in lines


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("state='s'\n[capture]\nsegment_seconds='ten'", "e.toml:3: capture.segment_seconds: expected a number from 2 to 60 (s), got 'ten'"),
        ("state = 's'\n[capture]\nsegment_seconds = 61", "e.toml:3: capture.segment_seconds: expected a number from 2 to 60 (s), got 61"),
        ("state = 's'\n[capture]\nsegment_seconds = nan", "e.toml:3: capture.segment_seconds: expected a number from 2 to 60 (s), got nan"),
        ("state = 's'\n[capture]\nqueue_units = true", "e.toml:3: capture.queue_units: expected a whole number of at least 1, got True"),
        ("state = 's'\n[capture]\nqueue_unit = 4", "e.toml:3: capture.queue_unit: not a setting; did you mean queue_units?"),
        ("state = 's'\ncapture = 3", "e.toml:2: capture: expected a table, got 3"),
        ("state = 's'\ntransport = 'http'", "e.toml:2: transport: expected one of 'mqtt', 'https', got 'http'; did you mean https?"),
        ("state = 's'\nnames = ['a', 3]", "e.toml:2: names[1]: expected text, got 3"),
        ("[capture]\nflush = true", "e.toml: state: missing: expected a path, here or as PW_STATE"),
        ("state = 's'\n[[cameras]]\nname = 'a'\n[[cameras]]\nname = 'b'", "e.toml:2: cameras[0].url: missing: expected text"),
        ("state = 's'\n[broker]\nurl = 'b'\nhigh = 3\nlow = 4", "e.toml:5: broker.low: low is above high"),
        ("state = 's'\nstate = 't'", "e.toml:2: not TOML: Cannot overwrite a value"),
        ("state = 's", "e.toml:1: not TOML: Unterminated string"),
    ],
)  # fmt: skip
def test_faults_are_named(text: str, fault: str) -> None:
    got = _fault(text)
    assert got == fault or (fault.split(": not TOML")[0] + ": not TOML" in got and "not TOML" in fault)


def test_identifiers_are_checked() -> None:
    fault = _fault("state = 's'\n[[cameras]]\nurl = 'u'\nname = 'Cam 1'")
    assert fault.startswith("e.toml:4: cameras[0].name: expected a box id, got 'Cam 1'")


def test_environment_overrides_the_file() -> None:
    environ = {
        "PW_STATE": "/other",
        "PW_CAPTURE_SEGMENT_SECONDS": "4",
        "PW_NAMES": "x, y",
        "PW_BROKER_URL": "mqtt://b",
        "PW_CAMERAS": '[{name = "cam-9", url = "rtsp://nine"}]',
        "PW_CONFIG": "left to the program",
        "OTHER": "1",
    }
    made = _read("state = 's'\n[[cameras]]\nname = 'a'\nurl = 'u'", environ)
    assert made.state == Path("/other")
    assert made.capture.segment_seconds == 4
    assert made.names == ("x", "y")
    assert made.broker == Broker(url="mqtt://b")
    assert made.cameras == (Camera(name=BoxId("cam-9"), url="rtsp://nine"),)


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        (
            {"PW_CAPTURE_QUEUE_UNITS": "many"},
            "PW_CAPTURE_QUEUE_UNITS in the environment: expected a whole number of at least 1, got 'many'",
        ),
        ({"PW_CAPTURE_FLUSH": "yes"}, "PW_CAPTURE_FLUSH in the environment: expected true or false, got 'yes'"),
        ({"PW_CAPTURE_FLASH": "true"}, "PW_CAPTURE_FLASH in the environment: not a setting; did you mean PW_CAPTURE_FLUSH?"),
        ({"PW_CAMERAS": "[{name = 'a'"}, "PW_CAMERAS in the environment: expected an array of tables as a TOML array"),
        ({"PW_CAMERAS": "[{name = 'a'}]"}, "PW_CAMERAS in the environment: cameras[0].url: missing: expected text"),
    ],
)
def test_environment_faults_are_named(environ: dict[str, str], fault: str) -> None:
    assert fault in _fault("state = 's'", environ)


def test_secrets_come_from_files_and_are_not_repeated() -> None:
    camera = "state = 's'\n[[cameras]]\nname = 'a'\nurl = 'u'\n"
    assert _read(f"{camera}password_file = '/run/secret'").cameras[0].password == "hidden"
    assert _fault(f"{camera}password_file = '/none'") == (
        "e.toml:5: cameras[0].password_file: cannot read '/none': No such file or directory"
    )
    assert _fault(f"{camera}password_file = '/run/secret'\npassword = 'p'").endswith("given twice, as password and as password_file")
    fault = _fault(f"{camera}password = 987654")
    assert fault == "e.toml:5: cameras[0].password: expected text, got a value that is not shown"


def test_descriptions_name_every_setting() -> None:
    rows = settings.describe(Example, "PW")
    assert [row.key for row in rows] == [
        "state", "transport", "names", "capture.segment_seconds", "capture.queue_units", "capture.flush", "broker.url", "broker.low",
        "broker.high", "cameras", "cameras[].name", "cameras[].url", "cameras[].password",
    ]  # fmt: skip
    by_key = {row.key: row for row in rows}
    assert by_key["capture.segment_seconds"].variable == "PW_CAPTURE_SEGMENT_SECONDS"
    assert by_key["capture.segment_seconds"].default == "10.0"
    assert by_key["state"].default is None
    assert by_key["cameras[].password"].secret
    assert by_key["cameras[].password"].variable == ""


_keys = st.text("abcXYZ-_019", min_size=1, max_size=8)
_values = st.one_of(
    st.integers(-9, 9).map(str),
    st.text("ab [](){}#='", max_size=12).map(lambda text: '"' + text + '"'),
    st.text('ab \n[]{}#="', max_size=20).map(lambda text: "'''" + text + "'''"),
    st.lists(st.sampled_from(['"]"', "1", "[2, '#']", "{a = 1}"]), max_size=3).map(lambda items: "[\n" + ",\n# ]\n".join(items) + "\n]"),
)


@given(st.lists(st.tuples(_keys, st.lists(st.tuples(_keys, _values), max_size=4)), max_size=4))
def test_every_key_of_a_text_is_found(tables: list[tuple[str, list[tuple[str, str]]]]) -> None:
    text, expected = "", dict[tuple[str, ...], int]()
    for table in dict(tables):
        text += f"[{table}] # note = 1\n"
        expected[(table,)] = text.count("\n")
        for key, value in dict(dict(tables)[table]).items():
            expected[(table, key)] = text.count("\n") + 1
            text += f"{key} = {value}\n"
    tomllib.loads(text)
    found = toml_lines.find(text)
    assert {place: found.get(place, math.nan) for place in expected} == expected
