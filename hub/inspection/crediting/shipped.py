"""Read the rule sets of credit that ship with the hub.

Guarantees: each is read as strictly as one that people set; its canonical bytes are those that a record would hold.
"""

from functools import lru_cache
from importlib import resources

from hub.inspection.procedures.yaml_text import read_yaml
from protocol import sheets
from protocol.crediting.model import RuleSet
from protocol.crediting.reading import read_rules
from protocol.errors import MalformedError

KEYS = ("ciq", "customs")


def shipped_text(key: str) -> bytes:
    """Give a shipped rule set as it is written: YAML with its remarks."""
    return (resources.files("hub.inspection.crediting") / f"{key}.yaml").read_bytes()


@lru_cache(maxsize=8)
def shipped_document(key: str) -> bytes:
    """Give a shipped rule set in canonical JSON; raise MalformedError when there is none of this key."""
    if key not in KEYS:
        raise MalformedError(f"is none of {', '.join(KEYS)}", where="rule set")
    return sheets.encode(read_yaml(shipped_text(key)).value)


@lru_cache(maxsize=8)
def shipped_rules(key: str) -> RuleSet:
    """Read a shipped rule set; raise MalformedError when there is none of this key."""
    return read_rules(sheets.decode(shipped_document(key)))
