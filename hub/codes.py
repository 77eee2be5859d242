"""Give tasks their short pairing codes.

Guarantees: a code names one task, for minutes, also across a restart of the hub; the database holds no code, only its HMAC under
a key that is not in the database - a million values could be tried against a bare hash in a second.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select

from hub.core import Core
from hub.values import Code
from protocol.instants import SECOND_NS
from storage.schema import pairing_codes

CODE_DIGITS = 6
_PURPOSE = b"portwitness.codes/1"  # no note and no record begins like this: the log key signs nothing else by it


@dataclass(slots=True)
class Codes:
    """The codes that hold now; bounded by the number of open tasks, each of which gets a new one every half life."""

    core: Core
    _held: dict[bytes, tuple[str, int]] = field(default_factory=dict)  # HMAC: task, end on the monotonic clock
    _shown: dict[str, tuple[str, int]] = field(default_factory=dict)  # task: its newest code, end; not after a restart
    _givers: dict[bytes, str] = field(default_factory=dict)  # HMAC: to whom it was last shown; not after a restart
    _key: bytes = field(default=b"", repr=False)

    async def load(self) -> None:
        """Take up the codes that were given before a restart."""
        now = self.core.clock.now()
        rows = await self.core.database.read(lambda connection: connection.execute(select(pairing_codes)).all())
        for row in rows:
            left_ns = row.expires_ns - now.wall_ns
            if 0 < left_ns <= self._life_ns():  # a clock that was set back makes no code live longer
                self._held[bytes(row.digest)] = (row.task, now.mono_ns + left_ns)

    async def give(self, task: str, to: str = "") -> Code:
        """Give a task's code to a person: the one that still holds for a while, or a new one; the one before holds until its own end."""
        now = self.core.clock.now()
        self._held = {digest: (name, until) for digest, (name, until) in self._held.items() if until > now.mono_ns}
        self._shown = {name: (code, until) for name, (code, until) in self._shown.items() if until > now.mono_ns}
        code, until = self._shown.get(task, ("", 0))
        if until - now.mono_ns < self._life_ns() // 2:
            code, until = await self._make(task, now.mono_ns, now.wall_ns)
        self._givers = {digest: person for digest, person in self._givers.items() if digest in self._held}
        if to:
            self._givers[self._digest(code)] = to
        return Code(code, until - now.mono_ns + now.wall_ns)

    def task_of(self, code: str) -> str | None:
        """Give the task that a code names now."""
        task, until = self._held.get(self._digest(code), (None, 0))
        return task if until > self.core.clock.monotonic_ns() else None

    def giver_of(self, code: str) -> str:
        """Give the person to whom a code was last shown; empty when that is not known."""
        return self._givers.get(self._digest(code), "")

    async def drop(self, task: str) -> None:
        """End a task's codes."""
        self._shown.pop(task, None)
        self._held = {digest: (name, until) for digest, (name, until) in self._held.items() if name != task}
        await self.core.database.write(lambda connection: connection.execute(delete(pairing_codes).where(pairing_codes.c.task == task)))

    async def _make(self, task: str, mono_ns: int, wall_ns: int) -> tuple[str, int]:
        while (digest := self._digest(code := f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}")) in self._held:
            pass
        until = mono_ns + self._life_ns()
        self._held[digest], self._shown[task] = (task, until), (code, until)
        row = {"digest": digest, "task": task, "expires_ns": wall_ns + self._life_ns()}

        def keep(connection: Connection) -> None:
            ended = (pairing_codes.c.expires_ns <= wall_ns) | (pairing_codes.c.digest == digest)
            connection.execute(delete(pairing_codes).where(ended))
            connection.execute(insert(pairing_codes).values(row))

        await self.core.database.write(keep)
        return code, until

    def _life_ns(self) -> int:
        return self.core.settings.tasks.code_seconds * SECOND_NS

    def _digest(self, code: str) -> bytes:
        if not self._key:
            self._key = hashlib.sha256(self.core.sequencer.signer.sign(_PURPOSE)).digest()  # the same each time: RFC 8032
        return hmac.digest(self._key, code.encode(), "sha256")
