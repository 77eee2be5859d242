"""Read a procedure as YAML says it, with its short forms, and write it as YAML.

Short forms: an item's type may be the name of a shipped set of options (`conformity`, `found`, `yes-no` ...), a step the name of a
shipped one, and what is required need not be said. Guarantees: nothing else is added or guessed; a fault names line and column.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from hub.inspection.procedures.yaml_text import Written, read_yaml
from protocol.errors import MalformedError
from protocol.procedures.model import TYPES, Procedure
from protocol.procedures.reading import PathError, read_procedure, value_of


def from_yaml(data: bytes, sets: Mapping[str, Any], steps: Mapping[str, Any]) -> Procedure:
    """Read a procedure; `sets`, `steps`: what short forms stand for. Raises MalformedError naming line and column."""
    found = read_yaml(data)
    try:
        return read_procedure(expanded(found.value, sets, steps))
    except PathError as error:
        raise MalformedError(f"{error.path}: {error.what}" if error.path else error.what, where=found.place(error.path)) from error


def to_yaml(procedure: Procedure) -> str:
    """Write a procedure, whole, without short forms."""
    text: str = yaml.safe_dump(value_of(procedure), allow_unicode=True, sort_keys=False, width=140)
    return text


def expanded(value: Any, sets: Mapping[str, Any], steps: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Replace short forms by what they stand for; leave all else as it is, for the reader to judge."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    if isinstance(made.get("steps"), list):
        made["steps"] = [steps.get(one, one) if isinstance(one, str) else one for one in made["steps"]]
    if isinstance(made.get("sections"), list):
        made["sections"] = [_section(one, sets) for one in made["sections"]]
    return made


def _section(section: Any, sets: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    items = section.get("items") if isinstance(section, dict) else None
    return section | {"items": [_item(one, sets) for one in items]} if isinstance(items, list) else section


def _item(item: Any, sets: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(item, dict):
        return item
    made: dict[str, Any] = {"required": True} | item
    kind = str(made.get("type"))
    if kind not in TYPES and kind in sets and "options" not in made:
        made |= {"type": "choice", "options": sets[kind]}
    return made


__all__ = ["Written", "expanded", "from_yaml", "to_yaml"]
