"""Join the sources of `verify.html` and `draw.html`, each into one file: `python -m storage.verifier_page.assembly [draw] > verify.html`.

Guarantees: concatenation only - imports and the word `export` are taken off, each source stays readable as it is; the page's
policy lets run what is inside it, by hash, and nothing else: no network, no frames, no evaluation of text.
"""

import base64
import hashlib
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from protocol.errors import StorageError

# in the order of need: a name is defined before what uses it
MODULES = (
    "bytes", "cbor", "trees", "keys", "records", "notes", "files", "media", "examination", "reckoning", "dating", "verdict", "words",
    "page",
)  # fmt: skip
DRAW_MODULES = ("bytes", "cbor", "trees", "keys", "records", "notes", "vrf", "chance", "draw", "drawwords", "drawpage")
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |let |class |function |async function )", re.MULTILINE)
_NAME = re.compile(r"^(?:const|let|class|function|async function)\*? (\w+)", re.MULTILINE)
_NAMESPACE = re.compile(r"^import \* as (\w+) from \"\./(\w+)\.js\";\n", re.MULTILINE)


@cache
def page() -> bytes:
    """Give `verify.html`; raise StorageError when a source cannot be read."""
    return _page("page.html", MODULES)


@cache
def draw_page() -> bytes:
    """Give `draw.html`, which makes a published draw again; raise StorageError when a source cannot be read."""
    return _page("draw.html", DRAW_MODULES)


def _page(template: str, modules: Sequence[str]) -> bytes:
    style, script = _read("page.css"), _script(modules)
    allowed = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    parts = {"policy": allowed, "style": style, "script": script}
    return re.sub(r"\{(policy|style|script)\}", lambda found: parts[found[1]], _read(template)).encode()


def _script(modules: Sequence[str]) -> str:
    out = ['"use strict";\n(() => {\n']
    known: dict[str, str] = {}
    for module in modules:
        source = _read(f"{module}.js")
        spaces = {name for name, _ in _NAMESPACE.findall(source)}
        source = _EXPORT.sub("", _IMPORT.sub("", source))
        for space in spaces:  # `files.X` is plain `X` once all stand in one file
            source = re.sub(rf"\b{space}\.(?=[A-Za-z])", "", source)
        for name in _NAME.findall(source):
            if known.setdefault(name, module) != module:
                raise StorageError(f"{name} is defined in {known[name]} too", where=f"{module}.js")
        out.append(f"// ==== {module}.js ====\n{source}")
    return "\n".join([*out, "})();\n"])


def _read(name: str) -> str:
    path = Path(__file__).with_name(name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot read a source of the page: {error.strerror}", where=str(path)) from error
    if "</script" in text.lower() and not name.endswith(".html"):
        raise StorageError("would end the script it stands in", where=name)
    return text


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def main() -> None:
    """Write a page to standard output."""
    sys.stdout.buffer.write(draw_page() if sys.argv[1:] == ["draw"] else page())


if __name__ == "__main__":
    main()
