"""What the documentation says is what the programs do: reference pages, settings, commands, glossary, links, examples."""

import dataclasses
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocol import kinds, messages, settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATE = DOCS / "reference" / "generate.py"
PAGES = (
    "records.md",
    "declaration-states.md",
    "settings.md",
    "commands.md",
    "asyncapi.yaml",
    "exchange-asyncapi.yaml",
    "openapi.json",
    "../adversary-matrix.md",
)
SCHEMAS = (("edge.config", "EdgeSettings"), ("hub.config", "HubSettings"), ("storage.witness", "WitnessSettings"))
EXAMPLES = (
    ("edge.toml", "edge.config", "EdgeSettings"),
    ("hub.toml", "hub.config", "HubSettings"),
    ("witness.toml", "storage.witness", "WitnessSettings"),
)
ROOMS = ("edge", "hub", "firmware_adapters", "protocol", "storage", "web", "simulators")


def _schema(module: str, name: str) -> tuple[type[Any], str]:
    config = importlib.import_module(module)
    return getattr(config, name), config.PREFIX


@pytest.mark.parametrize("page", PAGES)
def test_reference_pages_are_what_the_sources_say(page: str) -> None:
    done = subprocess.run([sys.executable, GENERATE, "--check", page], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "name"), SCHEMAS)
def test_every_setting_says_what_it_does(module: str, name: str) -> None:
    rows = settings.describe(*_schema(module, name))
    silent = [row.key for row in rows if len(row.doc.split()) < 2 or row.doc[-1] not in ".?"]
    assert len(rows) > 10
    assert not silent


@pytest.mark.parametrize(("module", "name"), SCHEMAS)
def test_secrets_are_marked(module: str, name: str) -> None:
    rows = settings.describe(*_schema(module, name))
    bare = [row.key for row in rows if re.search(r"password$|secret$|token$", row.key) and not row.secret]
    assert not bare


@pytest.mark.parametrize(("file", "module", "name"), EXAMPLES)
def test_example_settings_are_accepted(file: str, module: str, name: str) -> None:
    schema, prefix = _schema(module, name)
    text = (ROOT / "deploy" / file).read_text()
    made = settings.read(schema, text, file=file, environ={}, prefix=prefix, read_secret=lambda path: f"from {path}")
    assert dataclasses.is_dataclass(made)


def test_every_command_has_an_example() -> None:
    page = (DOCS / "reference" / "commands.md").read_text()
    sections = re.split(r"^### ", page, flags=re.MULTILINE)
    programs = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert len(programs) == len(re.findall(r'^    "portwitness-', GENERATE.read_text(), re.MULTILINE))
    silent = [section.split("\n")[0] for section in programs if "example" not in section.lower()]
    silent += [section.split("\n")[0] for section in sections[1:] if "usage:" not in section]
    assert not silent


def _glossary() -> list[list[str]]:
    rows = [line.strip("|").split("|") for line in (DOCS / "glossary.md").read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if row[0].strip() != "English"]


def test_glossary_terms_in_code_exist() -> None:
    source = "\n".join(file.read_text() for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    named = [name for row in _glossary() for name in re.findall(r"`(\w+)`", row[3])]
    assert len(named) > 40
    assert not [name for name in named if not re.search(rf"\b{name}\b", source)]


def test_every_kind_of_record_and_message_is_in_the_glossary() -> None:
    text = " ".join(f"{row[0]} {row[3]}" for row in _glossary()).lower()
    spoken = {kind.replace("-", " ") for kind in kinds.KINDS} | {kind.replace("-", " ") for kind in messages.MESSAGES}
    missing = sorted(kind for kind in spoken if kind not in text.replace("-", " "))
    assert not missing


def test_every_term_has_one_chinese_word() -> None:
    rows = _glossary()
    english = [term for row in rows for term in row[0].split(", ")]
    assert len(english) == len(set(english))
    assert all(re.search(r"[\u4e00-\u9fff]", row[1]) and row[2] for row in rows)


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"), ROOT / "benchmarks" / "README.md"]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken


def test_decisions_state_their_status_first() -> None:
    for page in sorted((DOCS / "adr").glob("0*.md")):
        lines = [line for line in page.read_text().splitlines() if line]
        assert lines[0].startswith(f"# {page.name[:4]} "), page.name
        assert lines[1].startswith("Status: **"), page.name
        assert page.name in (DOCS / "adr" / "README.md").read_text()


def test_descriptions_are_readable_by_their_tools() -> None:
    document = json.loads((DOCS / "reference" / "openapi.json").read_text())
    assert document["openapi"].startswith("3.")
    assert any(path.startswith("/api/v1/tasks") for path in document["paths"])
