"""Read a witness policy (c2sp.org/tlog-policy) and judge cosigned checkpoints by it: which outside parties have to agree.

A file names logs, witnesses, groups of k of n, and one quorum. Only outside parties count: a witness whose key is that of a
listed log is refused, so the log's own timestamp never helps a quorum. Names are opaque bytes (kept as text with surrogates);
keys of a kind that cannot be verified here are refused, never skipped.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol.errors import MalformedError, VerificationError
from protocol.notes import COSIGNATURES, ED25519, NoteKey, SignedCheckpoint, has_signed

MAX_POLICY_BYTES = 262_144
MAX_ENTRIES = 128  # logs, witnesses and groups, each
NONE = "none"
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_WHITE = re.compile(r"[ \t]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Log:
    """A log: its key, whose name is the log's origin, and where it is read."""

    key: NoteKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its name within the policy, its cosignature key, and where it is asked (its submission prefix)."""

    name: str
    key: NoteKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """At least `k` of the members, witnesses or groups, have to agree."""

    name: str
    k: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs, witnesses, groups and the quorum. Raises MalformedError when they do not fit each other."""

    logs: tuple[Log, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE

    def __post_init__(self) -> None:
        if max(len(self.logs), len(self.witnesses), len(self.groups)) > MAX_ENTRIES:
            raise MalformedError(f"more than {MAX_ENTRIES} logs, witnesses or groups", where="policy")
        keys = [log.key.public.spki for log in self.logs] + [witness.key.public.spki for witness in self.witnesses]
        if len(keys) != len(set(keys)):
            raise MalformedError("one key stands twice; a log cannot be its own witness", where="policy")
        if any(log.key.kind != ED25519 for log in self.logs) or any(witness.key.kind not in COSIGNATURES for witness in self.witnesses):
            raise MalformedError("a log's key must sign notes, a witness's must cosign", where="policy")
        self._check_names()

    def _check_names(self) -> None:
        known: set[str] = {NONE}
        used: set[str] = set()
        for name in [witness.name for witness in self.witnesses]:
            _define(name, known)
        for group in self.groups:
            if not 1 <= group.k <= len(group.members):
                raise MalformedError(f"{group.k} of {len(group.members)}", where=f"policy group {_shown(group.name)}")
            for member in group.members:
                if member == NONE or member not in known or member in used:
                    raise MalformedError(
                        f"member {_shown(member)} is not defined before, or is a member already", where=f"policy group {_shown(group.name)}"
                    )
                used.add(member)
            _define(group.name, known)
        if self.quorum not in known:
            raise MalformedError(f"{_shown(self.quorum)} is not defined", where="policy quorum")

    @classmethod
    def threshold(cls, k: int, witnesses: Iterable[Witness], logs: Iterable[Log] = ()) -> "Policy":
        """Give the policy that asks for `k` of these witnesses; 0: for none."""
        found = tuple(witnesses)
        if k == 0:
            return cls(tuple(logs), found)
        group = Group("quorum", k, tuple(witness.name for witness in found))
        return cls(tuple(logs), found, (group,), group.name)

    @classmethod
    def parse(cls, data: bytes) -> "Policy":
        """Read a policy file; raise MalformedError naming the line."""
        if len(data) > MAX_POLICY_BYTES:
            raise MalformedError(f"{len(data)} bytes, at most {MAX_POLICY_BYTES}", where="policy")
        if _FORBIDDEN.search(data):
            raise MalformedError("holds control characters", where="policy")
        reading = _Reading()
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            items = [item for item in _WHITE.split(line) if item]
            if items and not items[0].startswith("#"):
                reading.take(items, f"policy line {number}")
        if reading.quorum is None:
            raise MalformedError("names no quorum", where="policy")
        return cls(tuple(reading.logs), tuple(reading.witnesses), tuple(reading.groups), reading.quorum)

    def encode(self) -> bytes:
        """Give the policy file."""
        lines = [" ".join(["log", log.key.vkey(), *([log.url] if log.url else [])]) for log in self.logs]
        for witness in self.witnesses:
            lines.append(" ".join(["witness", witness.name, witness.key.vkey(), *([witness.url] if witness.url else [])]))
        lines += [" ".join(["group", group.name, str(group.k), *group.members]) for group in self.groups]
        return "".join(f"{line}\n" for line in [*lines, f"quorum {self.quorum}"]).encode("utf-8", "surrogateescape")

    @property
    def asks(self) -> bool:
        """Tell whether any cosignature is needed."""
        return self.quorum != NONE

    def is_met(self, agreed: Iterable[str]) -> bool:
        """Tell whether witnesses of these names are a quorum."""
        met = {*agreed, NONE}
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.k:
                met.add(group.name)
        return self.quorum in met

    @property
    def blocking(self) -> int:
        """Give how many witnesses at least one of every quorum is among: hearing that many is hearing what any quorum saw.

        For k of n that is n - k + 1; for nested groups all must be heard.
        """
        if not self.asks:
            return 0
        named = {witness.name for witness in self.witnesses}
        for group in self.groups:
            if group.name == self.quorum and set(group.members) == named:
                return len(named) - group.k + 1
        return len(named)

    def named(self, note: SignedCheckpoint) -> set[str]:
        """Give the witnesses whose cosignature a checkpoint shows; nothing is verified."""
        return {witness.name for witness in self.witnesses if has_signed(note.note, witness.key)}

    def agreed(self, signed: SignedCheckpoint) -> dict[str, int]:
        """Give the witnesses that cosigned, and when (Unix s); raise VerificationError when a cosignature does not hold."""
        found: dict[str, int] = {}
        for witness in self.witnesses:
            if has_signed(signed.note, witness.key):
                seconds = signed.verify(witness.key, origin=signed.checkpoint.origin)
                found[witness.name] = seconds or 0
        return found

    def check(self, signed: SignedCheckpoint) -> dict[str, int]:
        """Check a checkpoint: signed by a listed log (if any is listed), cosigned by a quorum; give who cosigned, and when.

        Raises VerificationError.
        """
        if self.logs:
            origin = signed.checkpoint.origin
            mine = [log.key for log in self.logs if log.key.name == origin]
            if not mine:
                raise VerificationError(f"{origin[:80]!r} is no log of the policy", where="checkpoint")
            for key in [key for key in mine if has_signed(signed.note, key)] or mine:
                signed.verify(key, origin=origin)
        agreed = self.agreed(signed)
        if not self.is_met(agreed):
            raise VerificationError(f"cosigned by {len(agreed)} witnesses, which are no quorum of the policy", where="checkpoint")
        return agreed


def _define(name: str, known: set[str]) -> None:
    if not name or name in known or any(character in " \t\n" for character in name):
        raise MalformedError(f"{_shown(name)} is no name, or is defined already", where="policy")
    known.add(name)


def _shown(name: str) -> str:
    return repr(name[:40])


@dataclass(slots=True)
class _Reading:
    """What was read of a file so far; names must be defined before they are used."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    known: set[str] = field(default_factory=lambda: {NONE})

    def take(self, items: list[str], where: str) -> None:
        word, rest = items[0], items[1:]
        if word == "log" and 1 <= len(rest) <= 2:
            self.logs.append(Log(_key(rest[0], where), *rest[1:]))
        elif word == "witness" and 2 <= len(rest) <= 3:
            self.witnesses.append(Witness(rest[0], _key(rest[1], where), *rest[2:]))
            self.known.add(rest[0])
        elif word == "group" and len(rest) >= 3:
            self._group(rest, where)
        elif word == "quorum" and len(rest) == 1 and self.quorum is None:
            self._refer(rest, where)
            self.quorum = rest[0]
        else:
            raise MalformedError(f"{_shown(word)} with {len(rest)} items is no line of a policy, or a second quorum", where=where)

    def _group(self, rest: list[str], where: str) -> None:
        name, many, members = rest[0], rest[1], tuple(rest[2:])
        self._refer(members, where)
        k = {"any": 1, "all": len(members)}.get(many) or (int(many) if _NUMBER.fullmatch(many) else 0)
        self.groups.append(Group(name, k, members))
        self.known.add(name)

    def _refer(self, names: Iterable[str], where: str) -> None:
        for name in names:
            if name not in self.known:
                raise MalformedError(f"{_shown(name)} is not defined before this line", where=where)


def _key(text: str, where: str) -> NoteKey:
    try:
        text.encode()
        return NoteKey.parse(text)
    except UnicodeEncodeError as error:
        raise MalformedError("key name is not UTF-8", where=where) from error
    except MalformedError as error:
        raise MalformedError(error.what, where=f"{where}: {error.where}") from error
