"""Boxes and alarms as they are now."""

from fastapi import APIRouter

from web import schemas, shaping
from web.guards import Overseeing, TheHub

router = APIRouter(tags=["devices"])


@router.get("/devices", summary="List boxes")
async def list_devices(caller: Overseeing, hub: TheHub) -> schemas.DevicesAnswer:
    """Give all boxes with their newest reports."""
    return schemas.DevicesAnswer(devices=[shaping.device(box) for box in await hub.devices.list()])


@router.get("/alarms", summary="List alarms")
async def list_alarms(caller: Overseeing, hub: TheHub, open_only: bool = True) -> schemas.AlarmsAnswer:
    """Give alarms, those that wait for a person unless asked for all."""
    return schemas.AlarmsAnswer(alarms=[shaping.alarm(found) for found in await hub.alarms.list(open_only=open_only)])


@router.post("/alarms/{alarm}/acknowledge", status_code=204, summary="Acknowledge an alarm")
async def acknowledge(alarm: int, caller: Overseeing, hub: TheHub) -> None:
    """Say that a person has seen it."""
    await hub.alarms.acknowledge(alarm, caller.person)
