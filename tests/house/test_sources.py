"""Rules that every source file keeps: clocks, environment, third-party libraries, words, sizes."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("edge", "hub", "firmware_adapters", "protocol", "storage", "web", "simulators")
SOURCES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
ALL_PYTHON = SOURCES + sorted(file for folder in ("tests", "benchmarks", "docs") for file in (ROOT / folder).rglob("*.py"))
TEXTS = sorted(
    file
    for folder in (*ROOMS, "tests", "benchmarks", "docs", "deploy", "requirements", ".ci")
    for file in (ROOT / folder).rglob("*")
    if file.is_file() and file.suffix not in (".pyc", ".png", ".mp4", ".bin", ".woff2", ".ico") and "vendor" not in file.parts
) + [ROOT / name for name in ("README.md", "CHANGELOG.md", "NOTICE", "pyproject.toml", "run")]

CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "clock_gettime", "clock_gettime_ns"}
DATES = {"now", "utcnow", "today"}
CLOCK_READERS = {"storage/clock.py", "simulators/devices/clock.py"}
# who may speak a library; what is not listed may be spoken anywhere the import directions allow
SPEAKERS = {
    "aioice": ("firmware_adapters/webrtc", "simulators/"),
    "aiortc": ("firmware_adapters/webrtc", "simulators/"),
    "alembic": ("storage/database", "storage/migrations/"),
    "argon2": ("hub/access",),
    "av": ("firmware_adapters/", "edge/", "hub/redactor", "simulators/"),
    "cbor2": ("protocol/canonical", "protocol/cose_receipts"),  # receipts need a tag and a negative key
    "cv2": ("hub/redactor",),
    "fastapi": ("web/",),
    "paho": ("edge/bus", "hub/bus"),
    "pkcs11": ("storage/key_tokens",),
    "psycopg": ("storage/database",),
    "pydantic": ("web/", "hub/inspection/"),  # what people write in: forms and reference data
    "reportlab": ("hub/report_pdf",),
    "pylibsrtp": ("firmware_adapters/webrtc", "simulators/"),
    "segno": ("edge/carriers.py", "hub/", "web/"),
    "pyxform": ("hub/inspection/procedures/spreadsheets",),
    "openpyxl": ("hub/inspection/procedures/spreadsheets",),
    "yaml": ("hub/inspection/procedures/",),
    "sqlite3": ("storage/", "simulators/adversary/"),  # an attacker does not ask storage
    "sqlite_utils": ("storage/spool",),
}
LONGEST_FILE = 700  # lines; look hard at 500
LONGEST_FUNCTION = 80  # lines
FORBIDDEN = {
    "a note to oneself": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b"),
    "a path of one machine": re.compile(r"(?<![\w.$}>-])/(?:work(?!/(?:[{$<T]|keys))|root|home/(?!portwitness)\w+|Users)/"),
    "a package registry": re.compile(r"py" + r"pi\.org|pythonho" + r"sted|registry\.np" + r"mjs|--(?:extra-)?index" + r"-url"),
    "a work item": re.compile(r"\b[Ii]ssue[ -]?#?\d|\bpull request\b"),
}  # fmt: skip


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def _calls(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Give (object, attribute, line) of each `object.attribute`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder = node.value
            yield (holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")), node.attr, node.lineno


def test_every_room_has_files() -> None:
    assert {file.relative_to(ROOT).parts[0] for file in SOURCES} == set(ROOMS)


def test_every_module_says_what_it_guarantees() -> None:
    silent = [_name(file) for file in ALL_PYTHON if "versions" not in file.parts and not ast.get_docstring(_tree(file))]
    assert not silent


def test_only_the_clock_reads_the_clock() -> None:
    readers = [
        f"{_name(file)}:{line}: {holder}.{attribute}"
        for file in SOURCES
        if _name(file) not in CLOCK_READERS
        for holder, attribute, line in _calls(_tree(file))
        if (holder == "time" and attribute in CLOCKS) or (holder in ("datetime", "date") and attribute in DATES)
    ]
    borrowed = [
        f"{_name(file)}:{node.lineno}"
        for file in SOURCES
        if _name(file) not in CLOCK_READERS
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.ImportFrom) and node.module == "time" and any(alias.name in CLOCKS for alias in node.names)
    ]
    assert not readers + borrowed


def test_only_configuration_reads_the_environment() -> None:
    readers = [
        f"{_name(file)}:{line}"
        for file in SOURCES
        if file.name not in ("config.py", "__main__.py")
        for holder, attribute, line in _calls(_tree(file))
        if holder == "os" and attribute in ("environ", "getenv", "environb", "putenv")
    ]
    assert not readers


def test_each_library_has_its_speakers() -> None:
    strangers = []
    for file in SOURCES:
        for node in ast.walk(_tree(file)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for top in {name.split(".")[0] for name in names} & SPEAKERS.keys():
                if not _name(file).startswith(SPEAKERS[top]):
                    strangers.append(f"{_name(file)}:{getattr(node, 'lineno', 0)} speaks {top}")
    assert not strangers


def test_no_module_hides_one_of_the_standard_library() -> None:
    hidden = [_name(file) for file in SOURCES if file.stem in sys.stdlib_module_names - {"__init__", "__main__"}]
    assert not hidden


def test_each_of_our_names_has_one_owner() -> None:
    distributions = packages_distributions()  # an editable installation owns its names by a path and is not listed
    strangers = {room: set(distributions.get(room, [])) - {"portwitness"} for room in ROOMS}
    assert strangers == {room: set() for room in ROOMS}
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        assert spec is not None
        assert spec.origin == str(ROOT / room / "__init__.py")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_text_holds(what: str) -> None:
    found = []
    for file in TEXTS:
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if FORBIDDEN[what].search(line):
                found.append(f"{_name(file)}:{number}: {line.strip()[:100]}")
    assert not found


def test_files_and_functions_stay_readable() -> None:
    long = [
        f"{_name(file)}: {len(file.read_text().splitlines())} lines"
        for file in SOURCES
        if len(file.read_text().splitlines()) > LONGEST_FILE
    ]
    for file in SOURCES:
        for node in ast.walk(_tree(file) if "versions" not in file.parts else ast.Module([], [])):  # a migration is a list of tables
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{_name(file)}:{node.lineno}: {node.name} has {lines} lines")
    assert not long
