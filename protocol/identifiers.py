"""Name the things of a port by validated types, so that one kind of id is never taken for another.

Every identifier is a `str` that has passed its pattern: short, lower-case where machines name things, free of separators
that topics, paths and notes use.
"""

import re
from typing import ClassVar, Self

from protocol.errors import MalformedError

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"


class Identifier(str):
    """A string that matches its type's pattern."""

    __slots__ = ()
    pattern: ClassVar[re.Pattern[str]] = re.compile(_NAME)
    noun: ClassVar[str] = "identifier"

    def __new__(cls, text: str) -> Self:
        """Take `text` if it matches; raise MalformedError naming the type otherwise."""
        if not cls.pattern.fullmatch(text):
            raise MalformedError(f"{text!r} is not a {cls.noun} (expected {cls.pattern.pattern})", where=cls.noun)
        return super().__new__(cls, text)


class SiteId(Identifier):
    """A port site, e.g. `dayaowan`."""

    __slots__ = ()
    noun = "site id"


class ZoneName(Identifier):
    """A time zone of the IANA database, e.g. `Asia/Shanghai`; empty for none."""

    __slots__ = ()
    pattern = re.compile(r"(?:[A-Za-z]{1,14}(?:[/_+-][A-Za-z0-9_+-]{1,32}){0,3})?")
    noun = "time zone"


class BoxId(Identifier):
    """An edge box, e.g. `box-1`."""

    __slots__ = ()
    noun = "box id"


class HubId(Identifier):
    """A hub, e.g. `hub-1`."""

    __slots__ = ()
    noun = "hub id"


class SourceId(Identifier):
    """A camera or recorder by the name its box gives it, e.g. `cam-1`."""

    __slots__ = ()
    noun = "source id"


class BayId(Identifier):
    """An inspection bay (查验位)."""

    __slots__ = ()
    noun = "bay id"


class StreamId(Identifier):
    """A source at a box: `box-1/cam-1`."""

    __slots__ = ()
    pattern = re.compile(f"{_NAME}/{_NAME}")
    noun = "stream id"

    @classmethod
    def of(cls, box: str, source: str) -> "StreamId":
        """Join a box and a source."""
        return cls(f"{box}/{source}")

    @property
    def box(self) -> BoxId:
        """Give the box part."""
        return BoxId(self.split("/", 1)[0])

    @property
    def source(self) -> SourceId:
        """Give the source part."""
        return SourceId(self.split("/", 1)[1])


class TaskId(Identifier):
    """An inspection task (查验任务), e.g. `T-20261123-0001`."""

    __slots__ = ()
    pattern = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
    noun = "task id"


class PersonId(Identifier):
    """A person known to the hub, by login name."""

    __slots__ = ()
    pattern = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")
    noun = "person id"


class Issuer(Identifier):
    """Who issued a record: `box:box-1`, `hub:hub-1`, `person:li.wei`."""

    __slots__ = ()
    pattern = re.compile(r"(?:box|hub|person):[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")
    noun = "issuer"

    @classmethod
    def of_box(cls, box: str) -> "Issuer":
        """Name a box as issuer."""
        return cls(f"box:{box}")

    @classmethod
    def of_hub(cls, hub: str) -> "Issuer":
        """Name a hub as issuer."""
        return cls(f"hub:{hub}")

    @property
    def role(self) -> str:
        """Give `box`, `hub` or `person`."""
        return self.split(":", 1)[0]

    @property
    def name(self) -> str:
        """Give the name behind the role."""
        return self.split(":", 1)[1]
