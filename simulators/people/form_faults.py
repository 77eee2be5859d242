"""Spoil a sound declaration in one known way: what traders get wrong, with the ledger of what a hub has to name.

Guarantees: each fault changes a copy; the paths it names are all that is wrong afterwards, written as the hub writes them.
"""

import copy
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

Form = dict[str, Any]
Spoil = Callable[[Form, random.Random, date], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A form with one fault: its name, the form, and every path that a hub has to name."""

    fault: str
    form: Form
    paths: tuple[str, ...]


def _container(form: Form, draw: random.Random, _today: date) -> tuple[str, ...]:
    at = draw.randrange(len(form["containers"]))
    right = form["containers"][at]["number"]
    wrong = right[:10] + str((int(right[10]) + draw.randrange(1, 9)) % 10)
    form["containers"][at]["number"] = form["goods"][0]["containers"][at] = wrong
    return f"containers[{at}].number", f"goods[0].containers[{at}]"


def _unlisted(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"][0]["containers"] = [*form["goods"][0]["containers"], "CSQU3054383"]
    return (f"goods[0].containers[{len(form['goods'][0]['containers']) - 1}]",)


def _ship(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    right = form["voyage"]["imo"]
    form["voyage"]["imo"] = right[:6] + str((int(right[6]) + 1) % 10)
    return ("voyage.imo",)


def _tariff(form: Form, draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"][0]["hs"] = draw.choice(("7700000000", "08106", "0810.60.00", "9999999999"))
    return ("goods[0].hs",)


def _no_date(form: Form, draw: random.Random, _today: date) -> tuple[str, ...]:
    form["voyage"]["arrival"] = draw.choice(("2026-02-30", "26.11.2026", "soon", "2026-1-5"))
    return ("voyage.arrival",)


def _far(form: Form, _draw: random.Random, today: date) -> tuple[str, ...]:
    form["voyage"]["arrival"] = (today + timedelta(days=400)).isoformat()
    late = [at for at, one in enumerate(form["permits"]) if one.get("expires", "9") < form["voyage"]["arrival"]]
    return ("voyage.arrival", *(f"permits[{at}].expires" for at in late))


def _permit_future(form: Form, _draw: random.Random, today: date) -> tuple[str, ...]:
    form["permits"] = [_permit(issued=(today + timedelta(days=3)).isoformat(), expires=(today + timedelta(days=300)).isoformat())]
    return ("permits[0].issued", *_waste(form))


def _permit_expired(form: Form, _draw: random.Random, today: date) -> tuple[str, ...]:
    form["voyage"]["arrival"] = today.isoformat()
    days = (today - timedelta(days=90), today - timedelta(days=1))
    form["permits"] = [_permit(issued=days[0].isoformat(), expires=days[1].isoformat())]
    return ("permits[0].expires", *_waste(form))


def _permit_line(form: Form, _draw: random.Random, today: date) -> tuple[str, ...]:
    form["permits"] = [_permit(issued=(today - timedelta(days=9)).isoformat(), lines=[1, 9])]
    return ("permits[0].lines", *_waste(form))


def _permit(**changes: object) -> dict[str, Any]:
    return {"kind": "other", "number": "SIM-OT-00001", "issued": "2020-01-01", "lines": [1]} | changes


def _waste(form: Form) -> tuple[str, ...]:
    return ("goods[0].waste",) if form["goods"][0]["waste"] else ()


def _waste_alone(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"][0]["waste"], form["permits"] = True, []
    return ("goods[0].waste",)


def _currency(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"][0]["currency"] = None
    return ("goods[0].currency",)


def _rounded(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"][0]["weight_kg"] = 1843
    return ("goods[0].weight_kg",)


def _nothing(form: Form, draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"][0]["packages"] = draw.choice((0, -5, 10_000_001))
    return ("goods[0].packages",)


def _missing(form: Form, draw: random.Random, _today: date) -> tuple[str, ...]:
    name = draw.choice(("consignee", "bill", "destination", "trade"))
    del form[name]
    return (name,)


def _strange(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["priority"] = "please"
    return ("priority",)


def _twice(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["goods"] = [form["goods"][0], copy.deepcopy(form["goods"][0])]
    return ("goods[1].line", *(("goods[1].waste",) if form["goods"][0]["waste"] and not form["permits"] else ()))


def _control(form: Form, _draw: random.Random, _today: date) -> tuple[str, ...]:
    form["consignor"]["name"] += "\u0007"
    return ("consignor.name",)


FAULTS: Mapping[str, Spoil] = {
    "container check digit": _container,
    "container not listed": _unlisted,
    "ship number": _ship,
    "tariff code": _tariff,
    "no date": _no_date,
    "arrival far away": _far,
    "permit of the future": _permit_future,
    "permit expired": _permit_expired,
    "permit of no line": _permit_line,
    "waste without permit": _waste_alone,
    "value without currency": _currency,
    "weight as a number": _rounded,
    "impossible packages": _nothing,
    "field missing": _missing,
    "field unknown": _strange,
    "line twice": _twice,
    "control character": _control,
}


def spoil(form: Form, draw: random.Random, today: date, fault: str | None = None) -> Spoiled:
    """Spoil a copy of a form by a named fault, or by one that is drawn."""
    name = fault or draw.choice(sorted(FAULTS))
    spoiled = copy.deepcopy(form)
    return Spoiled(name, spoiled, FAULTS[name](spoiled, draw, today))
