"""Say by what settings a box runs, as a record at each start: what was recorded is judged by what was in force.

Guarantees: pure but for the one commit; no secret and no login in an address is ever in a record, nor in what is hashed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import urlsplit

from edge.config import EdgeSettings
from edge.journal import Entry, Journal
from protocol import canonical, kinds
from protocol.settings import About
from storage.spool import Changes, Spool

CONFIGURATION = "configuration"  # the fact that keeps the hash of the run before
_OF_NO_WEIGHT = ("state", "log_level", "door.", "live.", "hub.uploads", "recorders.")  # recorded by hash alone


def describe(settings: EdgeSettings, before: bytes | None) -> kinds.Configuration:
    """Give the record of these settings; `before`: the hash of those of the run before."""
    lines = tuple(_lines(settings, ""))
    digest = hashlib.sha256(canonical.encode([list(line) for line in lines])).digest()
    facts = [line for line in lines if not line[0].startswith(_OF_NO_WEIGHT) and not line[0].startswith("cameras.")]
    facts += [(f"camera {each.source}", _without_login(each.url)) for each in settings.cameras]
    facts += [(f"recorder {each.source}", "") for each in settings.recorders]
    return kinds.Configuration(digest, tuple(facts), before is not None and before != digest)


def record_configuration(journal: Journal, spool: Spool, settings: EdgeSettings) -> None:
    """Record by what the box runs from here on. Raises StorageError."""
    body = describe(settings, spool.fact(CONFIGURATION))
    journal.append([Entry(journal.box, body)], Changes(facts={CONFIGURATION: body.sha256}))


def _lines(value: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any setting
    if is_dataclass(value):
        for each in fields(value):
            about = each.metadata.get("about", About())
            if not about.secret:
                yield from _lines(getattr(value, each.name), f"{name}.{each.name}" if name else each.name)
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from _lines(item, f"{name}.{at}")
    elif value is not None:
        yield name, _without_login(str(value))


def _without_login(text: str) -> str:
    """Leave out the login of an address: rtsp://user:password@host/path is a form that cameras' manuals show."""
    if "://" not in text or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return "an address that cannot be read"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
