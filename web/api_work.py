"""Work on site: a phone's key, the tasks of a person, signed acts and their proofs, tickets for recorders; dispatch, and what is missing.

Guarantees: an inspector reaches the tasks that they are or were on, a supervisor or administrator looks at all and acts in none.
"""

import io
import os
from collections.abc import Sequence

import segno
from fastapi import APIRouter, Query

from hub.app import Hub
from hub.inspection.fieldwork.acts import Envelope, Shown
from hub.inspection.fieldwork.completeness import missing_of
from hub.inspection.fieldwork.keys import CertifiedKey
from hub.inspection.fieldwork.tables import inspectors_of
from hub.inspection.fieldwork.worksite import Listed, Whole
from hub.inspection.supervision.tables import Told
from hub.values import PairingState
from protocol.issuance import decode_bytes, encode_bytes
from protocol.procedures.completeness import Missing
from protocol.procedures.conduct import Entered, Signature
from protocol.sheets import SALT_BYTES
from web import shaping
from web import work_schemas as schemas
from web.guards import INSPECTOR, Anyone, Caller, Inspecting, Overseeing, Supervisor, TheHub

router = APIRouter(tags=["work"])
SHOWN_GOODS = 500


@router.post("/work/keys", status_code=201, summary="Have a phone's key certified")
async def certify(ask: schemas.KeyAsk, caller: Inspecting, hub: TheHub) -> schemas.KeyAnswer:
    """Certify a P-256 key of a phone for the caller for some hours; once more for the same key it lasts longer."""
    issued = await hub.fieldwork.keys.issue(caller.person, decode_bytes(ask.spki, "spki"), ask.device)
    return schemas.KeyAnswer(key_id=issued.key_id, certificate=encode_bytes(issued.certificate), until_ms=shaping.ms(issued.until_ns))


@router.get("/work/keys", summary="List the keys of one's own phones")
async def list_keys(caller: Inspecting, hub: TheHub) -> schemas.KeysAnswer:
    """Give the caller's keys, newest first."""
    return _keys(await hub.fieldwork.keys.list(caller.person))


@router.get("/people/{name}/keys", summary="List the keys of somebody's phones")
async def list_keys_of(name: str, caller: Overseeing, hub: TheHub) -> schemas.KeysAnswer:
    """Give a person's keys, newest first: for whoever has to end that of a lost phone."""
    return _keys(await hub.fieldwork.keys.list(name))


@router.post("/work/keys/{key_id}/revoke", status_code=204, summary="End a phone's key before its time")
async def revoke_key(key_id: str, ask: schemas.RevokeAsk, caller: Anyone, hub: TheHub) -> None:
    """End one's own key; a supervisor or administrator ends anybody's. All other logins of its person end, too.

    Whoever holds a lost phone could have another key certified while it is logged in.
    """
    person = await hub.fieldwork.keys.revoke(key_id, caller.person, ask.reason, own_only=caller.role == INSPECTOR)
    if person is not None:
        await hub.access.end_sessions(person, caller.person, keep=caller.key)


@router.get("/work", summary="List the tasks on which one works")
async def list_work(caller: Anyone, hub: TheHub) -> schemas.WorkAnswer:
    """Give open tasks with their completeness meters; a supervisor or administrator sees everybody's."""
    person = str(caller.person)
    found = await hub.fieldwork.site.list(None if _oversees(caller) else person, person)
    return schemas.WorkAnswer(tasks=[_listed(one) for one in found])


@router.get("/work/{task}", summary="Get a task with all that a phone needs")
async def get_work(task: str, caller: Anyone, hub: TheHub) -> schemas.WorkTaskAnswer:
    """Give procedure, declaration, acts, files, signatures, what is missing, and what supervisors said."""
    whole = await hub.fieldwork.site.show(task, str(caller.person), oversees=_oversees(caller))
    return _whole(whole, hub)


@router.post("/work/{task}/acts", summary="Hand in a signed act")
async def act(task: str, ask: schemas.ActAsk, caller: Inspecting, hub: TheHub) -> schemas.TakenAnswer:
    """Take an act that a phone signed; sent again, it is the same one."""
    taken = await hub.fieldwork.acts.take(task, Envelope(ask.act, ask.key_id, ask.signature, ask.sent_ms), str(caller.person))
    return schemas.TakenAnswer(id=taken.id, state="in-hub", position=taken.position, hub_ms=shaping.ms(taken.hub_ns))


@router.get("/work/{task}/acts", summary="List a task's acts beyond a place of the log")
async def list_acts(
    task: str, caller: Anyone, hub: TheHub, after: int = Query(default=-1, ge=-1, le=2**53, description="`last` of the answer before")
) -> schemas.ActsAnswer:
    """Give the acts of all phones, so that each sees the others'."""
    await hub.fieldwork.site.need(task, str(caller.person), oversees=_oversees(caller))
    found = await hub.fieldwork.acts.list(task, after)
    return schemas.ActsAnswer(acts=[_act(one, hub) for one in found], last=max([after, *(one.position for one in found)]))


@router.get("/work/{task}/proof/{act_id}", summary="Prove that an act is in the log")
async def proof(task: str, act_id: str, caller: Anyone, hub: TheHub) -> schemas.ProofAnswer:
    """Give the record of an act, what it binds, and its path to a published checkpoint."""
    await hub.fieldwork.site.need(task, str(caller.person), oversees=_oversees(caller))
    found = await hub.fieldwork.site.proof(task, act_id)
    return schemas.ProofAnswer(
        index=found.index,
        record=encode_bytes(found.record),
        salt=None if found.salt is None else encode_bytes(found.salt),
        sheet=None if found.sheet is None else encode_bytes(found.sheet),
        path=[encode_bytes(one) for one in found.path],
        checkpoint=found.checkpoint.decode(),
    )


@router.post("/work/{task}/ticket", status_code=201, summary="Give a ticket for a recorder")
async def ticket(task: str, caller: Inspecting, hub: TheHub) -> schemas.TicketAnswer:
    """Give a ticket that a box takes without asking the hub: for one recorder, for five minutes at most."""
    given = await hub.fieldwork.tickets.give(task, str(caller.person), oversees=_oversees(caller))
    drawn = io.BytesIO()
    segno.make(given.text, error="l", micro=False).save(drawn, kind="svg", border=4, scale=3)
    return schemas.TicketAnswer(ticket=given.text, until_ms=shaping.ms(given.until_ns), qr_svg=drawn.getvalue().decode())


@router.post("/declarations/{number}/dispatch", status_code=201, summary="Send inspectors to a held declaration")
async def dispatch(number: str, ask: schemas.DispatchAsk, caller: Supervisor, hub: TheHub) -> schemas.DispatchAnswer:
    """Open the tasks of a held declaration at a bay: a task for each procedure that its goods ask for."""
    first = await hub.dispatch.dispatch(number, ask.bay, caller.person)
    return schemas.DispatchAnswer(task=first.task, tasks=[first.task, *await hub.dispatch.others_of(first.task)])


@router.get("/declarations/{number}/missing", summary="Get what is missing of a declaration's inspection")
async def get_missing(number: str, caller: Anyone, hub: TheHub) -> schemas.MissingAnswer:
    """Give what stands between a declaration and its release, as far as evidence goes, and who is on the inspection."""
    read = hub.core.database.read
    found = await read(lambda connection: missing_of(connection, number))
    people = await read(lambda connection: inspectors_of(connection, number))
    return schemas.MissingAnswer(missing=[_missing(one) for one in found], inspectors=sorted(people))


@router.post("/declarations/{number}/system-notes", status_code=201, summary="Keep what a system told of a declaration")
async def note(number: str, ask: schemas.SystemNoteAsk, caller: Overseeing, hub: TheHub) -> schemas.PlacedAnswer:
    """Keep an automatic record - a temperature log, a weight, a track - that a must-record of a procedure asks for (W6)."""
    salt = os.urandom(SALT_BYTES)
    return schemas.PlacedAnswer(position=await hub.fieldwork.site.note(number, ask.key, ask.source, ask.told, caller.person, salt))


def _keys(found: Sequence[CertifiedKey]) -> schemas.KeysAnswer:
    keys = [
        schemas.KnownKey(key_id=one.key_id, device=one.device, state=one.state, until_ms=shaping.ms(one.until_ns), position=one.position)
        for one in found
    ]
    return schemas.KeysAnswer(keys=keys)


def _oversees(caller: Caller) -> bool:
    return caller.role != INSPECTOR


def _listed(one: Listed) -> schemas.WorkTask:
    return schemas.WorkTask.model_validate(
        {
            "task": one.task.task,
            "title": one.task.title,
            "declaration": one.task.declaration,
            "declaration_state": one.declaration_state,
            "bay": one.task.bay,
            "state": one.task.state,
            "role": one.role,
            "have": one.have,
            "want": one.want,
            "procedure": one.task.procedure,
            "changed_ms": shaping.ms(one.changed_ns),
        }
    )


def _act(one: Shown, hub: Hub) -> schemas.ActShape:
    return schemas.ActShape(
        id=one.id,
        kind=one.kind,
        by=one.by,
        key_id=one.key_id,
        seq=one.seq,
        phone_ms=one.phone_ms,
        hub_ms=shaping.ms(one.hub_ns),
        position=one.position,
        state="verified" if one.position < hub.log.published_size() else "in-hub",
        ahead_ms=one.ahead_ms,
        chain=one.chain,
        payload=one.payload,
    )


def _missing(one: Missing) -> schemas.MissingShape:
    return schemas.MissingShape(step=one.step, what=one.what, key=one.key, at=one.at, reason=one.reason, have=one.have, want=one.want)


def _extract(number: str, whole: Whole) -> dict[str, object]:
    """Give of a declaration what is needed at the box: no more than that."""
    form = whole.form
    names = ("reference", "trade", "enterprise", "consignor", "consignee", "voyage", "bill", "containers", "permits", "remarks")
    goods = form.get("goods", ())
    return {"number": number, **{name: form[name] for name in names if name in form}, "goods": list(goods[:SHOWN_GOODS])} | {
        "goods_count": len(goods)
    }


def _whole(whole: Whole, hub: Hub) -> schemas.WorkTaskAnswer:
    task, paused = whole.task, whole.paused
    have, want = whole.meter
    return schemas.WorkTaskAnswer.model_validate(
        {
            "task": task.task,
            "title": task.title,
            "state": task.state,
            "role": whole.role,
            "team": list(task.team),
            "bay": task.bay,
            "opened_ms": shaping.ms(task.opened_ns),
            "declaration": _extract(task.declaration, whole),
            "procedure": dict(whole.procedure),
            "procedure_sha256": task.sha256.hex(),
            "parts": {name: list(parts) for name, parts in whole.parts.items()},
            "open": [{"container": one.container, "packages": list(one.packages)} for one in whole.open],
            "acts": [_act(one, hub) for one in whole.acts],
            "files": dict(whole.files),
            "pairings": [_pairing(one) for one in whole.pairings],
            "signatures": [_signature(one) for one in whole.signatures],
            "missing": [_missing(one) for one in whole.missing],
            "have": have,
            "want": want,
            "instructions": [_instruction(one) for one in whole.instructions],
            "paused": None if paused is None else _pause(paused),
            "conflicts": [{"item": item, "at": at, "answers": list(answers)} for item, at, answers in whole.conflicts],
            "to_follow": whole.to_follow,
            "together": list(whole.together),
        }
    )


def _pairing(one: PairingState) -> dict[str, object]:
    began, ended = shaping.ms_or_none(one.effective_ns), shaping.ms_or_none(one.ended_ns)
    return {"stream": one.stream, "state": one.state, "by": one.by, "from_ms": began, "to_ms": ended}


def _signature(one: Signature) -> dict[str, object]:
    given = {"role": one.given.role, "name": one.given.name, "drawn": one.given.drawn, "refused": one.given.refused}
    return given | {"act": one.act, "by": one.by, "covers": sorted(one.given.covers), "fault": one.fault, "counts": one.counts}


def _instruction(one: Told) -> dict[str, object]:
    read = {"read_by": one.read_by, "read_ms": shaping.ms_or_none(one.read_ns)}
    return {"position": one.position, "at_ms": shaping.ms(one.at_ns), "by": one.by, "text": one.text, **read}


def _pause(one: Entered) -> dict[str, object]:
    return {"act": one.act.id, "by": one.by, "reason": one.act.payload.get("reason", ""), "hub_ms": shaping.ms(one.hub_ns)}
