"""The error tree of Portwitness.

    PortwitnessError
    ├── MalformedError       bytes that do not parse: wrong syntax, wrong type, out of bounds
    ├── VerificationError    bytes that parse and are wrong: signature, hash, position, proof
    │   └── EquivocationError   two signed statements that cannot both stand
    ├── UnavailableError     a peer, a broker, a device or a disk that may come back: try again
    ├── RefusedError         a rule says no; trying again does not help
    │   └── ForbiddenError      the caller may not do this
    └── StorageError         durable state that cannot be read or written
        └── DiskFullError       no space: new video is refused, what was accepted stays

Every error names what was wrong and where; `where` is a path, a field or a position.
"""


class PortwitnessError(Exception):
    """Base of all errors raised on purpose."""

    def __init__(self, what: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.what = what
        self.where = where


class MalformedError(PortwitnessError):
    """Bytes that do not parse."""


class VerificationError(PortwitnessError):
    """Bytes that parse and are wrong."""


class EquivocationError(VerificationError):
    """Two signed statements of one issuer that cannot both stand."""


class UnavailableError(PortwitnessError):
    """Something that may come back: try again."""


class RefusedError(PortwitnessError):
    """A rule says no; trying again does not help."""


class ForbiddenError(RefusedError):
    """The caller may not do this."""


class StorageError(PortwitnessError):
    """Durable state that cannot be read or written."""


class DiskFullError(StorageError):
    """No space left for new video."""
