"""Make the reference pages from what the programs themselves say: records, settings, commands, AsyncAPI, OpenAPI.

    python docs/reference/generate.py            write the pages
    python docs/reference/generate.py --check    write nothing; exit 1 and name the pages that differ

Guarantees: the same sources give the same bytes, on any machine.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from protocol import kinds, messages, port_messages, settings, topics

HERE = Path(__file__).parent
MADE = "Made by `docs/reference/generate.py`; not edited by hand.\n"
SCHEMAS = (
    ("portwitness-edge", "edge.config", "EdgeSettings"),
    ("portwitness-hub", "hub.config", "HubSettings"),
    ("portwitness-witness", "storage.witness", "WitnessSettings"),
)
PROGRAMS = {
    "portwitness-edge": "edge",
    "portwitness-hub": "web",
    "portwitness-ca": "storage.authority",
    "portwitness-sim": "simulators",
    "portwitness-verify": "storage.verify",
    "portwitness-verify draw": "storage.verify_draw",
    "portwitness-clip": "storage.clips",
    "portwitness-monitor": "storage.monitor",
    "portwitness-witness": "storage.witness",
}
CHANNELS: dict[str, tuple[str, tuple[type[Any], ...]]] = {
    "journal": ("Records of the box's journal, in order.", (messages.JournalBatch,)),
    "reply": ("Answers to commands, and claims of recorders.", (messages.Reply, messages.Claim, messages.Prove)),
    "state": ("Telemetry, retained; the broker's will says offline.", (messages.BoxReport,)),
    "ack": (
        "Acknowledgements, and what the port log shows.",
        (messages.Persisted, messages.StoredBlobs, messages.Receipt, messages.Resend, messages.Beacon, messages.Consistency),
    ),
    "cmd": ("Commands and refusals.", (messages.Pair, messages.EndTask, messages.Live, messages.Refusal)),
}


def records() -> str:
    """Give the page of record kinds and messages with their numbered fields."""
    head = (
        f"# Records and messages\n\n{MADE}\n"
        "A record is canonical CBOR in a COSE_Sign1. Its payload is a map with exactly these keys:\n\n"
        "| 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        "| version | kind | issuer | epoch | position | root of the issuer's tree before it | subject | wall ns | monotonic ns "
        "| [sync state, error ms or null] | newest hub checkpoint seen [size, root] or null | body |\n\n"
        "A body, and each message, is a map from field number to value. A field whose value is null is left out; unknown fields are "
        "refused.\n"
    )
    parts = [head, "\n## Kinds of records\n"]
    parts += [_fields_table(name, kind, 3) for name, kind in kinds.KINDS.items()]
    parts += ["\n## Nested values\n"]
    parts += [_fields_table(kind.__name__, kind, 3) for kind in (kinds.OpenSegment, kinds.StreamHead, messages.SourceState)]
    parts += ["\n## Messages\n\nA message is canonical CBOR `[name, version, fields]`, alike over MQTT and HTTPS.\n"]
    parts += [_fields_table(name, kind, 3) for name, kind in messages.MESSAGES.items()]
    return "".join(parts)


def settings_page() -> str:
    """Give the page of every setting of every program."""
    parts = [
        f"# Settings\n\n{MADE}\n"
        "Each program takes `--config FILE`, a TOML file. A variable in the environment overrides the file; a secret may be given as a "
        'file: `key_file = "/path"` or `<VARIABLE>_FILE=/path`. A list is given in the environment as `a,b` or as a TOML array, an '
        "array of tables as a TOML array. What is unknown or wrong is named with file, line and what was expected, and nothing starts.\n"
    ]
    for program, module, schema in SCHEMAS:
        config = importlib.import_module(module)
        parts.append(f"\n## {program}\n")
        for table, rows in _by_table(settings.describe(getattr(config, schema), config.PREFIX)):
            parts.append(f"\n### {f'[{table}]' if table else 'Top level'}\n\n")
            parts.append("| key | expected | default | meaning | variable |\n|---|---|---|---|---|\n")
            parts += [_setting_row(row) for row in rows]
    return "".join(parts)


def commands() -> str:
    """Give the page of every program's help."""
    parts = [f"# Commands\n\n{MADE}"]
    for program, module in PROGRAMS.items():
        text = _help(module)
        parts.append(f"\n## {program}\n\n```text\n{text}```\n")
        for name in _subcommands(text):
            inner = _help(module, name)
            parts.append(f"\n### {program} {name}\n\n```text\n{inner}```\n")
            for rule in _subcommands(inner) if name == "rules" else ():
                parts.append(f"\n### {program} {name} {rule}\n\n```text\n{_help(module, name, rule)}```\n")
    return "".join(parts)


def asyncapi() -> str:
    """Give the AsyncAPI 3 description of what passes through the broker."""
    site_and_box = {"site": {"description": "The port site."}, "box": {"description": "The box; the certificate's common name."}}
    channels = {
        name: {
            "address": f"v1/{{site}}/{{box}}/{name}",
            "description": text,
            "parameters": site_and_box,
            "messages": {kind.KIND: {"$ref": f"#/components/messages/{kind.KIND}"} for kind in spoken},
        }
        for name, (text, spoken) in CHANNELS.items()
    }
    operations = {
        f"{'receive' if name in topics.FROM_BOX else 'send'}-{name}": {
            "action": "receive" if name in topics.FROM_BOX else "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": {"mqtt": {"qos": 0 if name == "state" else 1, "retain": name == "state", "bindingVersion": "0.2.0"}},
        }
        for name in CHANNELS
    }
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Portwitness between boxes and hub",
            "version": str(messages.VERSION),
            "description": "As the hub sees it. A payload is canonical CBOR [name, version, fields]; fields are numbered.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cbor",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {name: _message(name, kind) for name, kind in messages.MESSAGES.items()}},
    }
    return f"# {MADE}" + "\n".join(_yaml(document, 0)) + "\n"


def exchange_asyncapi() -> str:
    """Give the AsyncAPI 3 description of messages with the port's other systems."""
    optional = ("declarationReference", "facilityCode", "transportReference", "eventID", "remark")
    texts = {name: {"type": "string"} for name in optional}
    event = {
        "type": "object",
        "required": ["equipmentEventTypeCode", "equipmentReference", "eventDateTime"],
        "additionalProperties": False,
        "properties": {
            "equipmentEventTypeCode": {"enum": sorted(port_messages.EVENTS)},
            "equipmentReference": {"type": "string", "description": "ISO 6346, with a right check digit"},
            "eventDateTime": {"type": "string", "format": "date-time"},
            "seals": {"type": "array", "items": {"type": "string"}},
            **texts,
        },
    }
    telling = {
        "type": "object",
        "required": ["messageID", "eventCount", "events"],
        "properties": {
            "messageID": {"type": "string"},
            "eventCount": {"type": "integer"},
            "messageDateTime": {"type": "string"},
            "events": {"type": "array", "items": event, "maxItems": port_messages.MAX_EVENTS},
        },
    }
    names = {
        "messageID": "string", "messageType": "string", "eventTypeCode": "string", "statusCode": "string", "declarationReference": "string",
        "equipmentReferences": "array", "transportDocumentReference": "string", "issuedDateTime": "string", "record": "integer",
        "text": "string", "evidence": "object", "overridden": "boolean",
    }  # fmt: skip
    notice = {"type": "object", "properties": {name: {"type": kind} for name, kind in names.items()}}
    sent = (port_messages.MESSAGE_HEADER, port_messages.TIME_HEADER, port_messages.SIGNATURE_HEADER, "Portwitness-About")
    headers = {name: {"type": "string"} for name in sent}
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "Portwitness and the port's other systems", "version": "1", "license": {"name": "Apache-2.0"}},
        "channels": {
            "messages": {"address": "/api/v1/exchange/messages", "messages": {"telling": {"$ref": "#/components/messages/telling"}}},
            "notices": {"address": "the partner's own", "messages": {"notice": {"$ref": "#/components/messages/notice"}}},
        },
        "operations": {
            "take": {"action": "receive", "channel": {"$ref": "#/channels/messages"}},
            "tell": {"action": "send", "channel": {"$ref": "#/channels/notices"}},
        },
        "components": {
            "messages": {
                "telling": {"contentType": "application/json", "payload": telling},
                "notice": {
                    "contentType": "application/json",
                    "headers": {"type": "object", "properties": headers},
                    "payload": notice,
                },
            }
        },
    }
    return f"# {MADE}" + "\n".join(_yaml(document, 0)) + "\n"


def openapi() -> str:
    """Give the OpenAPI description of the hub's web face."""
    build: Callable[..., Any] = importlib.import_module("web.browser_app").browser_app
    app = build(None, secure=True, closing=asyncio.Event())  # no route is called, so no hub is needed
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def adversary_matrix() -> str:
    """Give the page of attacks, their detectors and the reasons these give."""
    build: Callable[[], str] = importlib.import_module("simulators.adversary.catalogue").page
    return build()


def states() -> str:
    """Give the page of a declaration's states: the diagram, each step, and the guards."""
    machine = importlib.import_module("hub.inspection.states")
    chinese = json.loads((HERE.parents[1] / "web" / "static" / "locales" / "zh-CN.json").read_text())
    head = (
        f"# How a declaration moves\n\n{MADE}\nA step that stands in no row is refused, and so is one whose guard does not hold; both are "
        "judged in the transaction that logs it\n(`hub/inspection/states.py`). An amendment before selection leads back to "
        "`lodged`; after it a judged declaration is judged again, and what\nwas selected stays selected.\n\n```mermaid\n"
    )
    rows = [
        f"| `{state}` | {chinese[f'declared.{state}']} | {', '.join(f'`{to}`' for to in onward) or 'nothing'} |"
        for state, onward in machine.STEPS.items()
    ]
    kept = [f"| `{state}` | {'; '.join(sentences)} |" for state, sentences in machine.guards().items()]
    return (
        head
        + machine.diagram()
        + "```\n\n## Steps\n\n| from | 中文 | to |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n\n## Guards\n\nWhat may keep a declaration from a state. AUTHORITY, RECORD and PERSON stand for names.\n\n"
        + "| to | refused while |\n|---|---|\n"
        + "\n".join(kept)
        + "\n"
    )


PAGES: dict[str, Callable[[], str]] = {
    "records.md": records,
    "declaration-states.md": states,
    "settings.md": settings_page,
    "commands.md": commands,
    "asyncapi.yaml": asyncapi,
    "exchange-asyncapi.yaml": exchange_asyncapi,
    "openapi.json": openapi,
    "../adversary-matrix.md": adversary_matrix,
}


def _fields_table(name: str, kind: type[Any], level: int) -> str:
    hints = get_type_hints(kind)
    lines = [f"\n{'#' * level} `{name}`\n\n{_sentence(kind)}\n\n| | field | type |\n|---|---|---|\n"]
    for number, field in enumerate(dataclasses.fields(kind), 1):
        lines.append(f"| {number} | {field.name} | {_type(hints[field.name])} |\n")
    return "".join(lines)


def _sentence(kind: type[Any]) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def _type(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f'"{part}"' for part in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}" if parts[-1] is Ellipsis else f"[{', '.join(_type(part) for part in parts)}]"
    if parts:
        return f"{_type(next(part for part in parts if part is not type(None)))}, optional"
    name: str = hint.__name__
    return {"int": "integer", "str": "text", "bool": "boolean"}.get(name, name)


def _by_table(rows: tuple[settings.Row, ...]) -> Iterator[tuple[str, list[settings.Row]]]:
    tables: dict[str, list[settings.Row]] = {}
    for row in rows:
        table, _, _ = row.key.rpartition(".")
        tables.setdefault(f"[{table.removesuffix('[]')}]" if table.endswith("[]") else table, []).append(row)
    yield from tables.items()


def _setting_row(row: settings.Row) -> str:
    cells = (
        f"`{row.key.rpartition('.')[2]}`",
        row.expected,
        "must be given" if row.default is None else f"`{row.default}`",
        row.doc + (" Secret." if row.secret else ""),
        f"`{row.variable}`" if row.variable else "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _help(module: str, *words: str) -> str:
    """Give what a program says of itself, asked in this process: starting one for each of some seventy commands takes a minute."""
    program = importlib.import_module(module)
    if hasattr(program, "__path__"):
        program = importlib.import_module(f"{module}.__main__")
    said, before = io.StringIO(), sys.argv
    sys.argv = ["python -m " + module, *words, "--help"]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            program.main()
        status = None
    except SystemExit as ended:
        status = ended.code
    finally:
        sys.argv = before
    if status != 0:
        raise SystemExit(f"{module} {' '.join(words)} --help failed:\n{said.getvalue()}")
    return "\n".join(line.rstrip() for line in said.getvalue().splitlines()) + "\n"


def _subcommands(text: str) -> list[str]:
    """Give the names that argparse lists under its positional arguments, indented by four."""
    listed = text.partition("positional arguments:")[2].partition("\noptions:")[0]
    return [line.split()[0] for line in listed.splitlines() if line.startswith("    ") and line[4:5].strip() and line[4].islower()]


def _message(name: str, kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    fields = {
        str(number): {"title": field.name, **_json_type(hints[field.name])} for number, field in enumerate(dataclasses.fields(kind), 1)
    }
    required = [str(number) for number, field in enumerate(dataclasses.fields(kind), 1) if field.default is dataclasses.MISSING]
    payload = {
        "type": "array",
        "items": [{"const": name}, {"const": messages.VERSION}, {"type": "object", "properties": fields, "required": required}],
    }
    return {"name": name, "title": kind.__name__, "summary": _sentence(kind).splitlines()[0], "payload": payload}


def _json_type(hint: Any) -> dict[str, Any]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is tuple:
        return {"type": "array", "items": _json_type(parts[0])}
    if parts:
        return _json_type(next(part for part in parts if part is not type(None)))
    if hint is bytes:
        return {"type": "string", "contentEncoding": "binary"}
    return {"type": {int: "integer", str: "string", bool: "boolean"}.get(hint, "object")}


def _yaml(value: dict[str, Any], depth: int) -> Iterator[str]:
    """Write maps as YAML blocks and all else as JSON, which is YAML too."""
    for key, item in value.items():
        name = f"{'  ' * depth}{json.dumps(key) if not key.replace('-', '').isalpha() else key}:"
        if isinstance(item, dict) and item and depth < 6:
            yield name
            yield from _yaml(item, depth + 1)
        else:
            yield f"{name} {json.dumps(item, ensure_ascii=False)}"


def main() -> int:
    """Write or check the pages; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; name the pages that differ")
    parser.add_argument("pages", nargs="*", help=f"of {', '.join(PAGES)}; all when none is named")
    args = parser.parse_args()
    os.environ |= {"COLUMNS": "110", "NO_COLOR": "1", "PYTHON_COLORS": "0"}  # what programs say of themselves is as wide everywhere
    stale = []
    for name in args.pages or PAGES:
        path, text = HERE / name, PAGES[name]()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not args.check:
                path.write_text(text)
                print(f"wrote {path}")
    if args.check and stale:
        print(f"differs from the sources: {', '.join(stale)}; run python docs/reference/generate.py")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
