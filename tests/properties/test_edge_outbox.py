"""The outbox as a machine: whatever is lost, repeated or reordered, hub and box together hold everything, and nothing twice."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.journal import Entry
from edge.outbox import ACK_LIMIT_S, Outbox, make_batch
from protocol import kinds
from protocol.messages import JournalBatch, Message, Persisted, Resend
from tests.edge_parts import BOX, Place, TestHub


class OutboxMachine(RuleBasedStateMachine):
    """A box writes, sends, restarts; the line has its way with batches and answers; the hub may lose its newest commits."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(Path(self.folder.name))
        self.place.spool._read("PRAGMA synchronous = OFF")  # this machine cuts no power
        self.place.journal.start()
        self.hub = TestHub(self.place.identity.public)
        self.outbox = Outbox()
        self.now = 0.0
        self.to_hub: list[JournalBatch] = []
        self.to_box: list[Message] = []
        self.produced: dict[tuple[int, int], bytes] = {}
        self._note()

    def _note(self) -> None:
        for row in self.place.spool.epochs():
            for stored in self.place.spool.records(row.epoch, 0, 10_000):
                self.produced[row.epoch, stored.position] = stored.data

    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        self.place.clock.advance(1)
        self.place.journal.append([Entry(str(BOX), kinds.Heartbeat(()))] * count, seal="interval")
        self._note()

    @rule()
    def send(self) -> None:
        want = self.outbox.next(self.place.spool.epochs(), self.now)
        if want is not None:
            batch = make_batch(BOX, want, self.place.spool.records(want.epoch, want.first, want.limit))
            self.outbox.note_sent(want.epoch, want.first + len(batch.records), self.now)
            self.to_hub.append(batch)

    @precondition(lambda self: self.to_hub)
    @rule(data=st.data(), is_repeated=st.booleans(), is_lost=st.booleans())
    def carry(self, data: st.DataObject, is_repeated: bool, is_lost: bool) -> None:
        batch = self.to_hub.pop(data.draw(st.integers(0, len(self.to_hub) - 1)))
        if is_repeated:
            self.to_hub.append(batch)
        if not is_lost:
            self.to_box += [each for each in self.hub.take(batch) if isinstance(each, Persisted | Resend)]

    @precondition(lambda self: self.to_box)
    @rule(data=st.data(), is_lost=st.booleans())
    def answer(self, data: st.DataObject, is_lost: bool) -> None:
        message = self.to_box.pop(data.draw(st.integers(0, len(self.to_box) - 1)))
        if is_lost:
            return
        if isinstance(message, Persisted):
            known = next(row for row in self.place.spool.epochs() if row.epoch == message.epoch).persisted
            self.place.spool.set_persisted(message.epoch, max(known, message.size))
            self.outbox.note_persisted(message.epoch, max(known, message.size), self.now)
        elif isinstance(message, Resend):
            self.place.spool.set_persisted(message.epoch, message.size)
            self.outbox.note_resend(message.epoch, message.size)

    @rule(seconds=st.floats(0, 2 * ACK_LIMIT_S))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.place.restart()
        self.place.spool._read("PRAGMA synchronous = OFF")
        self.place.clock.advance(2)
        self.place.journal.start()
        self.outbox = Outbox()
        self._note()

    @invariant()
    def nothing_is_lost_and_nothing_twice(self) -> None:
        for (epoch, position), data in self.produced.items():
            mirror = self.hub.mirrors.get(epoch)
            has_hub = mirror is not None and position < len(mirror.records)
            assert not has_hub or (mirror is not None and mirror.records[position].data == data)
            row = self.place.spool.epochs()[epoch]
            assert has_hub or position >= row.persisted
            assert self.place.spool.records(epoch, position, 1)[0].data == data

    def teardown(self) -> None:
        """On a line that is whole again, everything arrives."""
        self.to_hub, self.to_box = [], []
        for _ in range(2000):
            self.now += 1
            self.send()
            while self.to_hub:
                self.to_box += [each for each in self.hub.take(self.to_hub.pop(0)) if isinstance(each, Persisted | Resend)]
            for message in self.to_box:
                if isinstance(message, Persisted):
                    self.place.spool.set_persisted(message.epoch, message.size)
                    self.outbox.note_persisted(message.epoch, message.size, self.now)
                elif isinstance(message, Resend):
                    self.outbox.note_resend(message.epoch, message.size)
            self.to_box = []
            if all(row.persisted == row.size for row in self.place.spool.epochs()):
                break
        assert sum(len(mirror.records) for mirror in self.hub.mirrors.values()) == len(self.produced)
        self.place.close()
        self.folder.cleanup()


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
