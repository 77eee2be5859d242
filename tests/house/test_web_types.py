"""The pages' types and words: JSDoc types hold by the TypeScript compiler where it is installed; both languages say everything."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "web" / "static"
OPTIONS = {
    "allowJs": True, "checkJs": True, "noEmit": True, "strict": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler",
    "lib": ["es2023", "dom", "dom.iterable"], "noUncheckedIndexedAccess": True, "noUnusedLocals": True, "types": [],
}  # fmt: skip
SPOKEN = re.compile(r"""\bt\(\s*"([^"]+)\"""")
MADE = re.compile(r"""\bt\(`([a-z]+\.)\$\{""")


def test_types_hold(tmp_path: Path) -> None:
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("no TypeScript compiler (npm install --global typescript)")
    config = tmp_path / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": OPTIONS, "include": [str(STATIC / "**" / "*.js")]}))
    done = subprocess.run([compiler, "-p", str(config)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout


def words(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((STATIC / "locales" / f"{language}.json").read_text())
    return found


def test_both_languages_say_the_same_things_with_the_same_places() -> None:
    chinese, english = words("zh-CN"), words("en")
    assert list(chinese) == list(english)
    for key, text in chinese.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), key


def test_every_word_that_a_page_speaks_is_there() -> None:
    known = words("en")
    spoken = {key for file in STATIC.rglob("*.js") for key in SPOKEN.findall(file.read_text())}
    groups = {group for file in STATIC.rglob("*.js") for group in MADE.findall(file.read_text())}
    assert len(spoken) > 100
    assert spoken <= set(known), spoken - set(known)
    assert all(any(key.startswith(group) for key in known) for group in groups)


def test_pages_load_nothing_from_elsewhere_and_make_no_markup_of_text() -> None:
    for file in [*STATIC.rglob("*.js"), *STATIC.rglob("*.html"), *STATIC.rglob("*.css")]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file.name
