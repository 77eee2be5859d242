"""Make what tests of credit need: events, written short."""

from typing import Any

from protocol.crediting.model import Event


def event(at: int, item: str, day: str, **changes: Any) -> Event:
    """Give an event; `facts` as a mapping."""
    facts = tuple(sorted(changes.pop("facts", {}).items()))
    return Event(str(at), item, day, facts=facts, **changes)


REGISTERED = event(1, "registered", "2020-01-01")
