"""Identifiers, topics, instants and receipts: what is well formed is taken, all else is refused by name."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import messages
from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import BoxId, Issuer, PersonId, SiteId, StreamId, TaskId
from protocol.instants import iso
from protocol.merkle import inclusion_proof, range_proof
from protocol.messages import Receipt
from protocol.receipts import verify_receipt
from protocol.topics import CHANNELS, Topic
from simulators.evidence import MemoryPort, fixed_ed25519


@given(st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True))
def test_names_join_and_part_again(name: str) -> None:
    stream = StreamId.of(name, name)
    assert (stream.box, stream.source) == (name, name)
    assert (Issuer.of_box(name).role, Issuer.of_hub(name).name) == ("box", name)
    for channel in CHANNELS:
        topic = Topic(SiteId(name), BoxId(name), channel)
        assert Topic.parse(str(topic)) == topic


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a/b", "a" * 33, "a b", "a\n", "é", "../x", "a+b", "#"])
def test_wrong_names_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="box id"):
        BoxId(text)
    with pytest.raises(MalformedError):
        StreamId.of("box-1", text)


@pytest.mark.parametrize("text", ["", "/", "T/1", "T-1\n", "-T", ".", "x" * 65])
def test_wrong_task_ids_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="task id"):
        TaskId(text)


def test_wrong_issuers_topics_and_people_are_refused() -> None:
    for text in ("admin:x", "box:", "box:a:b", "person:LI"):
        with pytest.raises(MalformedError):
            Issuer(text)
    for text in ("v1/a/b", "v2/a/b/ack", "v1/a/b/secret", "v1/+/b/ack", "v1/a/#/ack", "v1/a/b/ack/c"):
        with pytest.raises(MalformedError):
            Topic.parse(text)
    with pytest.raises(MalformedError):
        PersonId("Li Wei")


def test_instants_are_shown_in_utc_with_milliseconds() -> None:
    assert iso(1_795_000_000_123_999_999) == "2026-11-18T11:06:40.123Z"
    assert iso(-1) == "1969-12-31T23:59:59.999Z"


def test_messages_of_another_kind_or_version_are_refused() -> None:
    data = messages.encode(messages.Persisted("box-1", 1, 2))
    assert messages.expect(messages.Persisted, data) == messages.Persisted("box-1", 1, 2)
    with pytest.raises(MalformedError, match="expected Resend"):
        messages.expect(messages.Resend, data)
    for wrong in (data.replace(b"persisted", b"persisten"), data.replace(b"persisted\x01", b"persisted\x02"), data[:-1], b""):
        with pytest.raises(MalformedError):
            messages.decode(wrong)
    with pytest.raises(MalformedError):
        messages.encode(messages.JournalBatch("box-1", 1, 0, tuple(bytes(60_000) for _ in range(20))))


class TestReceipts:
    @pytest.fixture
    def port(self, tmp_path: Path) -> MemoryPort:
        port = MemoryPort(tmp_path)
        port.found()
        port.enrol("box-1")
        port.record_for(30, {"box-1": ["cam-1"]})
        return port

    def receipt(self, port: MemoryPort) -> tuple[Receipt, list[bytes]]:
        box = port.boxes["box-1"]
        _, position, index = box.logged[-1]
        leaves = [one.leaf for one in box.journals[0]]
        left, right = range_proof(3, position, position, port.journal_nodes("box-1", 0))
        path = inclusion_proof(index, port.log.frontier.size, port.log_nodes())
        seal = box.journals[0][position].data
        checkpoint = port.log.checkpoint(1_795_000_000)
        return Receipt("box-1", 0, 3, position, tuple(left), tuple(right), seal, index, tuple(path), checkpoint), leaves[3:position]

    def test_a_true_receipt_holds(self, port: MemoryPort) -> None:
        receipt, leaves = self.receipt(port)
        found = verify_receipt(receipt, leaves, port.boxes["box-1"].session.public, port.trust().log)
        assert found.size == port.log.frontier.size

    def test_wrong_ones_do_not(self, port: MemoryPort) -> None:
        receipt, leaves = self.receipt(port)
        session, log = port.boxes["box-1"].session.public, port.trust().log
        other = fixed_ed25519(40)
        wrong = (
            (replace(receipt, log_index=receipt.log_index - 1), leaves, session),
            (replace(receipt, path=receipt.path[:-1]), leaves, session),
            (replace(receipt, left=receipt.left[:-1]), leaves, session),
            (replace(receipt, end=receipt.end - 1), leaves, session),
            (receipt, [*leaves[:-1], bytes(32)], session),
            (receipt, leaves, other.public),
            (replace(receipt, seal=port.boxes["box-1"].journals[0][3].data), leaves, session),
        )
        for one, covered, key in wrong:
            with pytest.raises(VerificationError):
                verify_receipt(one, covered, key, log)
        with pytest.raises(VerificationError):
            verify_receipt(receipt, leaves, session, replace(log, public=other.public))
