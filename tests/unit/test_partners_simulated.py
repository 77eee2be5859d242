"""Simulated partners: a terminal's messages are right or wrong as they say, a webhook's judge is its own, a laboratory tells the truth."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from protocol.edifact.boxes import read_boxes
from protocol.edifact.interchange import read_interchange
from protocol.errors import MalformedError
from protocol.instants import Instant
from protocol.signatures import Ed25519Signer
from simulators.evidence import fixed_ed25519
from simulators.partners.laboratory import Laboratory
from simulators.partners.port_moves import FAULTS, Fault, Move, Pen, Sending, Way
from simulators.partners.terminal import Terminal
from simulators.partners.webhook import WebhookReceiver
from simulators.people.cargo import Truth
from simulators.people.diary import Diary

AT_MS = 1_795_000_000_000
BOXES = ("CSQU3054383", "TGHU1234567")


@dataclass(frozen=True)
class Told:
    wall_ns: int = AT_MS * 1_000_000

    def now(self) -> Instant:
        return Instant(self.wall_ns, 0)

    def monotonic_ns(self) -> int:
        return 0


def out(container: str = BOXES[0]) -> Move:
    return Move("GTOT", container, AT_MS, "D-20261124-0000001", "gate-1", ("SH000001",), "辽B12345")


def test_a_sound_message_reads_as_it_was_meant_in_both_ways() -> None:
    pen = Pen()
    value = json.loads(pen.write([out(), out(BOXES[1])]).raw)
    assert value["eventCount"] == len(value["events"]) == 2
    assert value["events"][1]["equipmentReference"] == BOXES[1]
    assert value["events"][0]["eventDateTime"].endswith("+08:00")
    move = Move("GTOT", BOXES[0], AT_MS, "D-20261124-0000001", "gate-1", ("SH000001",), "LB12345")
    read = read_interchange(pen.write([move, move], "edifact").raw)
    assert read.faults == () and len(read.messages) == 2
    [box] = read_boxes(read.messages[0])
    assert (box.event, box.container, box.declaration, box.seals) == ("gate-out", BOXES[0], "D-20261124-0000001", ("SH000001",))
    assert pen.write([Move("DROP", BOXES[0], AT_MS, place="bay-1")], "edifact").way == "json"
    assert Pen(seed=3).write([out()]).raw == Pen(seed=3).write([out()]).raw != Pen(seed=4).write([out()]).raw


@pytest.mark.parametrize("way", ["json", "edifact"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_spoiled_message_is_wrong_in_what_it_says_and_nothing_else(way: Way, fault: Fault) -> None:
    sending = Pen().write([Move("GTOT", BOXES[0], AT_MS)], way, fault)
    assert sending.expected == "rejected" and sending.fault
    if way == "edifact":
        assert _is_refused(sending.raw) or fault == "other partner"
    else:
        text = sending.raw.decode("utf-8", "replace")
        assert (fault == "truncated") != text.endswith("}")


def _is_refused(raw: bytes) -> bool:
    try:
        read = read_interchange(raw)
        boxes = [box for _, message in read.sound() for box in read_boxes(message)]
    except MalformedError:
        return True
    return not boxes


@dataclass
class Gate:
    """A hub that takes what is well formed, once; or one that takes everything, always."""

    sound: bool = True
    known: set[bytes] = field(default_factory=set)

    async def post(self, sending: Sending) -> dict[str, Any]:
        again = sending.raw in self.known and self.sound
        self.known.add(sending.raw)
        taken = not sending.fault or not self.sound
        return {"outcome": "taken" if taken else "rejected", "again": again, "events": [{"outcome": "applied"}] if taken else []}


async def test_a_terminal_notes_what_a_hub_does_otherwise_than_a_sound_one() -> None:
    for sound in (True, False):
        with Diary(Told(), "terminal") as diary:
            terminal = Terminal(Gate(sound), Pen(), diary, seed=2, tricks=50)
            for number in range(30):
                await terminal.tell([Move("GTOT", BOXES[0], AT_MS + number)], expected=["applied"])
        assert bool(terminal.surprises) != sound
        assert {act["note"] for act in diary.acts} >= {"", "sent twice", "truncated"}
    assert any("handled twice" in one for one in terminal.surprises)


KEY = fixed_ed25519(9)


def signed(body: bytes, message: str = "dct/1", signer: Ed25519Signer = KEY, seconds: int = AT_MS // 1000) -> dict[str, str]:
    text = f"portwitness/webhook/v1\n{message}\n{seconds}\n{hashlib.sha256(body).hexdigest()}\n".encode()
    name = hashlib.sha256(signer.public.raw()).hexdigest()[:16]
    signature = f"ed25519 {name} {base64.b64encode(signer.sign(text)).decode()}"
    told = {"portwitness-message": message, "portwitness-time": str(seconds), "portwitness-signature": signature}
    return told | {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "not signed"),
        (signed(b"other"), "does not hold"),
        (signed(b"{}", signer=fixed_ed25519(8)), "another key"),
        (signed(b"{}", seconds=AT_MS // 1000 - 301), "another time"),
        (signed(b"{}") | {"portwitness-message": "dct/2"}, "does not hold"),
        (signed(b"{}") | {"portwitness-signature": "ed25519 x !"}, "another key"),
    ],
)
async def test_what_is_not_signed_for_these_bytes_about_now_is_bad(headers: dict[str, str], why: str) -> None:
    receiver = WebhookReceiver(KEY.public.raw(), Told())
    assert await receiver.take(headers, b"{}") == 401
    assert why in receiver.deliveries[0].why


async def test_a_receiver_takes_once_and_answers_by_its_mood() -> None:
    body = b'{"messageType":"HOLD"}'
    async with WebhookReceiver(KEY.public.raw(), Told(), failing=1) as receiver, httpx.AsyncClient(trust_env=False) as client:
        answers = [(await client.post(receiver.url, content=body, headers=signed(body))).status_code for _ in range(3)]
        assert answers == [503, 200, 200]
        assert [one.judged for one in receiver.deliveries] == ["good", "again"]
        assert receiver.good()[0].value == {"messageType": "HOLD"}
        receiver.mood = "slow to confirm"
        other = b'{"messageType":"RELEASE"}'
        answers = [(await client.post(receiver.url, content=other, headers=signed(other, "dct/2"))).status_code for _ in range(2)]
        assert answers == [503, 200]
        assert (await client.post(receiver.url, content=other, headers=signed(other))).status_code == 401
        assert receiver.deliveries[-1].why == "the same message with other content"


def test_a_laboratory_finds_what_is_there_and_errs_as_often_as_it_is_told() -> None:
    lab = Laboratory(seed=1)
    for number in range(200):
        lab.receive(f"S-{number}", "fruit")
    assert lab.test("S-1", Truth(residue=True)).result == "positive"
    clean = lab.test("S-2", Truth())
    assert clean == lab.test("S-2", Truth()) and clean.result == "negative" and b"negative" in clean.document()
    assert [one["result"] for one in clean.value()["tests"]] == ["negative", "negative"]  # type: ignore[attr-defined]
    poor = Laboratory(seed=1, wrong_percent=20)
    wrong = sum(poor.test(f"S-{number}", Truth()).result == "positive" for number in range(200))
    assert 20 < wrong < 65
