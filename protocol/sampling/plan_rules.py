"""Read rules of sampling from JSON values, strictly: each fault is named by its path.

Guarantees: rates are read as they are written, never through binary floats; a base rate is one of those that step; every goods falls under
a rule.
"""

from fractions import Fraction
from typing import Any

from protocol.errors import MalformedError
from protocol.procedures.reading import Node, PathError
from protocol.sampling.eu_rates import BaseRates, Minimum
from protocol.sampling.exact import read_fraction, read_share
from protocol.sampling.iso2859 import aql_index
from protocol.sampling.iso2859_tables import LEVELS
from protocol.sampling.plans import FORMAT, PPM, GoodsRule, Method, SamplingRules


def read_sampling_rules(value: Any) -> SamplingRules:  # noqa: ANN401 - JSON
    """Read rules of sampling; raise PathError (a MalformedError) naming the first place that is wrong."""
    node = Node(value, "")
    node.one_of("format", (FORMAT,))
    node.get("basis", None)
    found = SamplingRules(
        key=node.key("key"),
        version=node.count("version", 1, 10**6),
        zh=node.text("zh"),
        en=node.text("en"),
        effective=node.day("effective"),
        verified=node.flag("verified"),
        rules=node.each("rules", _rule, (1, 500)),
    )
    node.done()
    if len({one.key for one in found.rules}) != len(found.rules):
        raise PathError("rules", "name one twice")
    if [one.key for one in found.rules if not one.hs] != [found.rules[-1].key]:
        raise PathError("rules", "have not exactly one without `hs`, at the end, for all other goods")
    return found


def _rule(node: Node) -> GoodsRule:
    hs = node.get("hs", [])
    if not isinstance(hs, list) or not all(isinstance(one, str) and one.isdigit() and 2 <= len(one) <= 10 for one in hs):
        raise PathError(node.at("hs"), "is no list of prefixes of 2 to 10 digits, written as texts")
    base = node.count("base_ppm", 1, PPM)
    if Fraction(base, PPM) not in BaseRates().rates:
        raise PathError(node.at("base_ppm"), "is none of the base rates 1, 5, 15, 30 and 100 %")
    inner = Node(node.get("method"), node.at("method"))
    found = GoodsRule(
        key=node.key("key"),
        zh=node.text("zh"),
        en=node.text("en"),
        hs=tuple(hs),
        method=_method(inner),
        boxes_ppm=node.count("boxes_ppm", 0, PPM),
        boxes_least=node.count("boxes_least", 1, 2000),
        base_ppm=base,
        verified=node.flag("verified", False),
    )
    inner.done()
    return found


def _method(node: Node) -> Method:
    kind = node.one_of("kind", ("ispm31", "iso2859", "share"))
    try:
        if kind == "ispm31":
            confidence = read_fraction(node.text("confidence"), node.at("confidence"))
            return Method("ispm31", read_share(node.text("rate"), node.at("rate")), confidence)
        if kind == "iso2859":
            aql = node.text("aql")
            aql_index(aql)
            return Method("iso2859", level=node.one_of("level", list(LEVELS)), aql=aql, may_reduce=node.flag("may_reduce", False))
        share, least = read_share(node.text("share"), node.at("share")), node.count("least", 1, 10**6)
        most = node.count("most", least, 10**6) if "most" in node.value else None
        return Method("share", minimum=Minimum(share, least, most, node.flag("verified", False), node.text("source", "site")))
    except PathError:
        raise
    except MalformedError as error:
        raise PathError(node.path, str(error)) from error
