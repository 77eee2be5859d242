"""A box's pin: only heads of one log are known, whatever order they come in, and a fork leaves two signed checkpoints."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pins import KEPT, WAITING, Pins
from protocol.errors import EquivocationError, MalformedError, VerificationError
from protocol.merkle import consistency_proof
from protocol.messages import Consistency
from protocol.records import Seen
from tests.witness_parts import SmallLog

LOG = SmallLog().grow(70)


def seen(log: SmallLog, size: int) -> tuple[Seen, bytes]:
    return Seen(size, log.head(size).root), b"note %d" % size


def proof(log: SmallLog, sizes: tuple[int, int]) -> Consistency:
    return Consistency(*sizes, tuple(consistency_proof(*sizes, log.node)))


@given(st.lists(st.integers(1, 70), min_size=2, max_size=12, unique=True))
def test_heads_of_one_log_are_learned_in_any_order(sizes: list[int]) -> None:
    pins = Pins()
    for size in sizes:
        if not pins.knows(*seen(LOG, size)):
            assert pins.prove(proof(LOG, pins.wait(*seen(LOG, size)))) == seen(LOG, size)[0]
        assert pins.knows(*seen(LOG, size))
    assert pins.newest == seen(LOG, max(sizes))[0]
    assert pins.note() == seen(LOG, max(sizes))[1]


@given(st.integers(1, 69), st.integers(0, 68), st.data())
def test_heads_of_another_log_are_never_known(size: int, common: int, data: st.DataObject) -> None:
    common = min(common, size - 1)
    other = LOG.fork(common).grow(70 - common, b"other")
    pins = Pins()
    assert pins.knows(*seen(LOG, size))
    shown = data.draw(st.integers(common + 1, 70))
    if shown == size:
        with pytest.raises(EquivocationError):
            pins.knows(*seen(other, shown))
        assert pins.fork == (seen(LOG, size)[1], seen(other, shown)[1])
        return
    sizes = pins.wait(*seen(other, shown))
    for lie in (proof(other, sizes), proof(LOG, sizes), Consistency(*sizes, ())):
        with pytest.raises(VerificationError):
            pins.prove(lie)
    assert pins.newest == seen(LOG, size)[0]
    assert not pins.knows(*seen(other, shown))


def test_memory_is_bounded_and_the_newest_stays() -> None:
    pins = Pins()
    big = SmallLog().grow(KEPT + 60)
    assert pins.knows(*seen(big, KEPT + 60))
    order = list(range(1, KEPT + 60))
    random.Random(1).shuffle(order)
    for size in order:
        pins.prove(proof(big, pins.wait(*seen(big, size))))
    assert pins.knows(*seen(big, KEPT + 60))
    assert len(pins._heads) == KEPT
    for size in range(10_000, 10_000 + 2 * WAITING):
        pins.wait(Seen(size, bytes(32)), b"note")
    assert len(pins._waiting) == WAITING


def test_proofs_nobody_asked_for_count_for_nothing() -> None:
    pins = Pins()
    with pytest.raises(MalformedError):
        pins.wait(*seen(LOG, 5))
    assert pins.knows(*seen(LOG, 5))
    with pytest.raises(VerificationError, match="nobody waits"):
        pins.prove(proof(LOG, (5, 9)))
