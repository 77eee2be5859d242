"""What tests of the exchange share: partners, their messages, and a hub that knows them."""

import json
from typing import Any

from hub.app import Hub
from protocol.edifact.boxes import BoxMove, write_boxes
from protocol.edifact.interchange import Envelope, Message, write_interchange

TERMINAL, CUSTOMS = "dct", "customs"
BOX = "CSQU3054383"


async def know_partners(hub: Hub, address: str | None = None, **changes: Any) -> None:
    """Put a terminal and a customs office into the reference data."""
    terminal = {"name": "Dalian Container Terminal", "role": "terminal", "ways": ["json", "edifact"], "edifact_id": "DCT"} | changes
    await hub.references.put("partner", TERMINAL, terminal | ({} if address is None else {"address": address}), "admin", "test")
    customs = {"name": "Customs", "role": "customs", "ways": ["json", "edifact"], "edifact_id": "CUSTOMS", "may_hold": True}
    await hub.references.put("partner", CUSTOMS, customs, "admin", "test")


def event(code: str, container: str = BOX, at: str = "2026-11-24T15:10:00+08:00", **more: Any) -> dict[str, Any]:
    """Give an event as partners write it."""
    return {"equipmentEventTypeCode": code, "equipmentReference": container, "eventDateTime": at} | more


def telling(reference: str, *events: dict[str, Any], **changes: Any) -> bytes:
    """Give a JSON message of events."""
    return json.dumps({"messageID": reference, "eventCount": len(events), "events": list(events)} | changes).encode()


def codeco(reference: str, *moves: BoxMove, sender: str = "DCT", recipient: str = "PORTWITNESS") -> bytes:
    """Give an interchange with one CODECO per move."""
    messages: list[Message] = [write_boxes("CODECO", [one], str(at + 1)) for at, one in enumerate(moves)]
    return write_interchange(Envelope(sender, recipient, reference, ("261124", "1510")), messages)


def gate_out(container: str = BOX, at: str = "202611241510", document: str = "GO1", **more: Any) -> BoxMove:
    """Give a move out through the gate."""
    return BoxMove(document, "gate-out", container, at, carrier="LB12345", **more)
