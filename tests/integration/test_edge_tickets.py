"""A recorder joins a task by a ticket while no hub is there: once, in time, under the hub that the site CA vouches for, or not at all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.orders import Orders
from protocol import kinds, messages
from protocol.errors import MalformedError, PortwitnessError, RefusedError, UnavailableError, VerificationError
from protocol.identifiers import HubId, Issuer, SourceId
from protocol.instants import SECOND_NS, Instant
from protocol.merkle import leaf_hash
from protocol.records import Record
from protocol.signatures import Ed25519Signer
from protocol.tickets import decode_ticket, encode_ticket
from protocol.work_kinds import Ticket
from tests.edge_parts import BOX, Desk, Inline, Place, TestHub

REC, OTHER = SourceId("rec-1"), SourceId("rec-2")


@dataclass
class Dock:
    """A box whose hub is away."""

    place: Place
    desk: Desk
    hub: TestHub
    orders: Orders

    def now_ns(self) -> int:
        return self.desk.recorder.clock.now().wall_ns

    def ticket(self, task: str = "T-1", nonce: int = 1, *, signer: Ed25519Signer | None = None, **changes: Any) -> str:
        at_ns = changes.pop("at_ns", self.now_ns())
        body = Ticket(bytes([nonce] * 16), changes.pop("until_ns", at_ns + 300 * SECOND_NS), "li.wei")
        facts: dict[str, Any] = {"issuer": Issuer.of_hub(HubId("hub-1")), "epoch": 0, "position": 7, "root": bytes(32), "subject": task}
        facts |= {"at": Instant(at_ns, 1, "synced", 1), "body": body} | changes
        return encode_ticket(Record(**facts).sign(signer or self.hub.signer).data)

    def pairings(self) -> list[kinds.Pairing]:
        return [body for _, body in self.place.bodies(kinds.Pairing) if isinstance(body, kinds.Pairing)]


@pytest.fixture
async def dock(tmp_path: Path) -> AsyncIterator[Dock]:
    place = Place(tmp_path)
    place.journal.start()
    desk, hub = Desk(place), TestHub(place.identity.public)

    async def away(_: messages.Message) -> None:
        raise UnavailableError("the hub is away")

    orders = Orders(
        BOX, desk.recorder, place.spool, Inline("inline"), hub.log_key, lambda source: "recorder" if source in (REC, OTHER) else None, away
    )
    yield Dock(place, desk, hub, orders)
    place.close()


async def test_a_ticket_binds_one_recorder_with_no_hub_and_the_journal_says_by_what(dock: Dock) -> None:
    text = dock.ticket()
    await dock.orders.claim(REC, text)
    await dock.orders.claim(REC, text)  # shown to the same recorder again: nothing more
    [body] = dock.pairings()
    assert (body.state, body.stream, body.by, body.order) == ("paired", "box-1/rec-1", "li.wei", leaf_hash(decode_ticket(text).data))
    assert dock.orders.tasks_of(REC) == ["T-1"]
    with pytest.raises(RefusedError, match="used before"):
        await dock.orders.claim(OTHER, text)
    with pytest.raises(RefusedError, match="paired to T-1"):
        await dock.orders.claim(REC, dock.ticket("T-2", 2))
    await dock.orders.claim(OTHER, dock.ticket(nonce=3))
    assert len(dock.pairings()) == 2


async def test_what_was_used_and_bound_is_known_after_a_restart(dock: Dock) -> None:
    text = dock.ticket()
    await dock.orders.claim(REC, text)
    again = Orders(BOX, dock.desk.recorder, dock.place.spool, Inline("x"), dock.hub.log_key, lambda _: "recorder", dock.orders.send)
    await again.load()
    assert again.tasks_of(REC) == ["T-1"]
    with pytest.raises(RefusedError, match="used before"):
        await again.claim(OTHER, text)


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"until_ns": 1}, VerificationError, "longer than five minutes"),
        ({"at_ns": -400}, RefusedError, "has ended"),
        ({"at_ns": 400}, RefusedError, "check the clock"),
        ({"issuer": Issuer.of_hub("hub-9")}, VerificationError, "another hub"),
        ({"issuer": Issuer.of_box("box-1")}, VerificationError, "issued by box"),
        ({"signer": Ed25519Signer.of(Ed25519PrivateKey.generate())}, VerificationError, "signature"),
        ({"body": kinds.BoxState("x")}, MalformedError, "of kind box-state"),
    ],
)
async def test_a_ticket_that_does_not_hold_binds_nothing(
    dock: Dock, wrong: dict[str, Any], error: type[PortwitnessError], why: str
) -> None:
    changes = dict(wrong)
    if "at_ns" in changes:
        changes["at_ns"] = dock.now_ns() + changes["at_ns"] * SECOND_NS
    with pytest.raises(error, match=why):
        await dock.orders.claim(REC, dock.ticket(**changes))
    assert dock.pairings() == []


async def test_a_ticket_that_was_changed_or_is_for_an_ended_task_binds_nothing(dock: Dock) -> None:
    text = dock.ticket()
    for at in range(5, len(text), 40):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(PortwitnessError):
            await dock.orders.claim(REC, changed)
    for cut in (text[:-4], "PWT1.", "PWT1.%%%", "PWT1." + "A" * 3000):
        with pytest.raises(PortwitnessError):
            await dock.orders.claim(REC, cut)
    with pytest.raises(RefusedError, match="no source"):
        await dock.orders.claim(SourceId("rec-9"), text)
    await dock.orders.claim(REC, text)
    with pytest.raises(UnavailableError):  # obeyed; only its reply has nobody to go to
        await dock.orders.obey(messages.EndTask("end:1", "T-1", dock.hub.ending("T-1")))
    assert [one.state for one in dock.pairings()] == ["paired", "unpaired"]
    with pytest.raises(RefusedError, match="T-1 has ended"):
        await dock.orders.claim(REC, dock.ticket(nonce=2))


async def test_a_box_without_the_log_key_takes_no_ticket(dock: Dock) -> None:
    dock.orders.log_key = None
    with pytest.raises(VerificationError, match="no log key"):
        await dock.orders.claim(REC, dock.ticket())
