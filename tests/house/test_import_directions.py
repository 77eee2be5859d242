"""Who may import whom among our folders: the readable truth beside the import-linter contracts of pyproject.toml."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "protocol": set(),
    "storage": {"protocol"},
    "firmware_adapters": {"protocol"},
    "edge": {"protocol", "storage", "firmware_adapters"},
    "hub": {"protocol", "storage", "firmware_adapters.webrtc"},
    "web": {"protocol", "hub"},
    "simulators": {"protocol", "storage", "firmware_adapters", "edge", "hub"},
    "simulators/devices": {"protocol", "simulators.devices"},
}


def _imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module in MAY_IMPORT else {node.module}
    return {name for name in names if name.split(".")[0] in MAY_IMPORT}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_inwards(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    allowed = MAY_IMPORT[folder] | ({folder} if "/" not in folder else set())
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in sorted(_imported(file))
        if not any(name == one or name.startswith(f"{one}.") for one in allowed)
    ]
    assert len(files) > 1, f"{folder} has no files"
    assert not wrong
