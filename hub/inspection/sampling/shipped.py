"""Read the rules of sampling that ship with the hub, as strictly as those that people set."""

from functools import lru_cache
from importlib import resources

from hub.inspection.procedures.yaml_text import read_yaml
from protocol import sheets
from protocol.sampling.plan_rules import read_sampling_rules
from protocol.sampling.plans import SamplingRules

KEY = "goods"


@lru_cache(maxsize=1)
def shipped_document() -> bytes:
    """Give the shipped rules in canonical JSON."""
    return sheets.encode(read_yaml((resources.files("hub.inspection.sampling") / f"{KEY}.yaml").read_bytes()).value)


@lru_cache(maxsize=64)
def sampling_rules(document: bytes | None) -> SamplingRules:
    """Read rules of sampling; None: the shipped ones. Raises MalformedError naming what is wrong."""
    return read_sampling_rules(sheets.decode(shipped_document() if document is None else document))
