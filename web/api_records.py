"""Open a record and its proof; read the port log and the mirrored journals of boxes (each as C2SP tlog-tiles).

Guarantees: hashes are public, records are not. Entry bundles hold whole records, so only those who see every task get them; an
inspector opens the records of their own tasks alone, a trader those of the own declarations.
"""

from dataclasses import fields, is_dataclass
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from hub.app import Hub
from hub.belonging import piece_is_theirs
from hub.values import StoredRecord
from protocol import cose_receipts, kinds, records
from protocol.bundle import encode_hash_lines
from protocol.concealing import reveal
from protocol.errors import ForbiddenError, UnavailableError
from protocol.identifiers import Issuer
from protocol.inspection_kinds import Declaration, Hold, Step
from protocol.instants import Interval
from protocol.merkle import leaf_hash
from protocol.notes import SignedCheckpoint
from protocol.tiles import parse_path
from web import schemas, shaping
from web.guards import INSPECTOR, TRADER, Anyone, Caller, Overseeing, Reading, TheHub

router = APIRouter(tags=["records"])
TILES = {"Cache-Control": "public, max-age=31536000, immutable"}
ENTRIES = {"Cache-Control": "private, no-store"}


@router.get("/records/{issuer}/{epoch}/{position}", summary="Open a record")
async def open_record(issuer: str, epoch: int, position: int, caller: Reading, hub: TheHub) -> schemas.RecordAnswer:
    """Give a record's fields and bytes, and where the port log covers it.

    An inspector opens those of their tasks, a trader those of the own declarations.
    """
    stored = await hub.records.get(Issuer(issuer), epoch, position)
    if caller.role == INSPECTOR:
        await _check_theirs(stored, caller, hub)
    if caller.role == TRADER:
        await _check_declared(stored, caller, hub)
    return await _shape(stored, hub)


@router.get("/records/{issuer}/{epoch}/{position}/receipt", response_class=Response, summary="Get a COSE receipt")
async def receipt(issuer: str, epoch: int, position: int, _: Overseeing, hub: TheHub) -> Response:
    """Give the COSE receipt (RFC 9942) of a hub's record or of a box's seal, under the newest checkpoint."""
    return Response(await hub.journals.receipt(issuer, epoch, position), media_type=cose_receipts.MEDIA_TYPE, headers=ENTRIES)


async def _check_theirs(stored: StoredRecord, caller: Caller, hub: Hub) -> None:
    """Pass when a record is of one of an inspector's tasks; raise ForbiddenError otherwise."""
    record = records.read(stored.data).record
    body = record.body
    if isinstance(body, kinds.Task | kinds.Pairing):
        caller.need(await hub.tasks.get(record.subject))
    elif isinstance(body, kinds.Segment | kinds.Gap):
        wall = Interval(body.wall_from, body.wall_to)
        if not await hub.core.database.read(lambda connection: piece_is_theirs(connection, caller.person, record.subject, wall)):
            raise ForbiddenError("not of your tasks", where="record")
    else:
        raise ForbiddenError("only for supervisor, administrator", where="record")


async def _check_declared(stored: StoredRecord, caller: Caller, hub: Hub) -> None:
    """Pass when a record is of one of a trader's declarations; raise ForbiddenError otherwise."""
    record = records.read(stored.data).record
    if not isinstance(record.body, Declaration | Step | Hold):
        raise ForbiddenError("only for supervisor, administrator", where="record")
    caller.need_party((await hub.declarations.get(record.subject)).enterprise, "record")


async def _shape(stored: StoredRecord, hub: Hub) -> schemas.RecordAnswer:
    signed = records.read(stored.data)
    hidden = isinstance(signed.record.body, kinds.Concealed)
    record = (reveal(signed, stored.opening) if hidden and stored.opening is not None else signed).record
    proven = stored.receipted and stored.covered is not None
    checkpoint = await hub.log.checkpoint() if proven else None
    path = await hub.log.proof(stored.covered) if proven and stored.covered is not None else []
    size = SignedCheckpoint.parse(checkpoint).checkpoint.size if checkpoint is not None else None
    covering = await hub.log.leaf(stored.covered) if proven and stored.covered is not None else None
    return schemas.RecordAnswer(
        record=schemas.RecordPlace(issuer=stored.issuer, epoch=stored.epoch, position=stored.position),
        kind=record.kind,
        subject=record.subject,
        wall_ms=shaping.ms(stored.wall_ns),
        mono_ns=str(record.at.mono_ns),
        sync=record.at.sync,
        error_ms=record.at.error_ms,
        seen_size=record.seen.size if record.seen else None,
        body={field.name: _plain(getattr(record.body, field.name)) for field in fields(record.body)},
        data_hex=stored.data.hex(),
        opening_hex=stored.opening.hex() if stored.opening is not None else None,
        concealed=_concealment(stored) if hidden else None,
        erased_by=stored.erased,
        leaf=stored.leaf.hex(),
        state="logged" if stored.receipted else "persisted",
        log_index=stored.covered,
        log_size=size,
        log_leaf=leaf_hash(covering).hex() if covering is not None else None,
        path=[node.hex() for node in path],
        checkpoint=checkpoint.decode() if checkpoint is not None else None,
    )


def _concealment(stored: StoredRecord) -> Literal["shown", "erased", "missing"]:
    if stored.opening is not None:
        return "shown"
    return "erased" if stored.erased is not None else "missing"


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 else value


@router.get("/log/checkpoint", response_class=Response, summary="Get the newest checkpoint (public)")
async def checkpoint(hub: TheHub) -> Response:
    """Give the port log's newest signed checkpoint."""
    return Response(await hub.log.checkpoint(), media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@router.get("/log/witnessed", response_class=Response, summary="Get the newest witnessed checkpoint (public)")
async def witnessed(hub: TheHub) -> Response:
    """Give the newest checkpoint that a quorum of outside witnesses cosigned."""
    note = hub.witnesses.head.note
    if not note:
        raise UnavailableError("no checkpoint has a quorum yet", where="port log")
    return Response(note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@router.get("/log/vkey", response_class=Response, summary="Get the port log's verifier key (public)")
async def vkey(hub: TheHub) -> Response:
    """Give the key as text, to be compared with what the port publishes elsewhere."""
    return Response(f"{hub.log.vkey}\n", media_type="text/plain; charset=utf-8")


@router.get("/log/consistency/{old}/{new}", response_class=Response, summary="Get a consistency proof (public)")
async def consistency(old: int, new: int, hub: TheHub) -> Response:
    """Give the proof that the published log of `new` leaves extends that of `old`, a hash in base64 on each line."""
    return Response(encode_hash_lines(await hub.mail.prove(old, new)), media_type="text/plain; charset=utf-8")


@router.get("/log/tile/entries/{path:path}", response_class=Response, summary="Get an entry bundle")
async def entries(path: str, caller: Overseeing, hub: TheHub) -> Response:
    """Give an entry bundle of the port log: whole records, for those who see every task."""
    return Response(await hub.log.tile(f"tile/entries/{path}"), media_type="application/octet-stream", headers=ENTRIES)


@router.get("/log/tile/{path:path}", response_class=Response, summary="Get a tile (public)")
async def tile(path: str, hub: TheHub) -> Response:
    """Give a hash tile of the port log."""
    if parse_path(f"tile/{path}").level < 0:  # routes are matched in order; this must hold in any
        raise ForbiddenError("entry bundles are for supervisor, administrator", where="log/tile")
    return Response(await hub.log.tile(f"tile/{path}"), media_type="application/octet-stream", headers=TILES)


@router.get("/journals", summary="List the mirrored journals")
async def journals(_: Overseeing, hub: TheHub) -> list[schemas.JournalAnswer]:
    """Give each epoch of each box that is mirrored here, with what its newest seal covers."""
    return [schemas.JournalAnswer(box=each.box, epoch=each.epoch, size=each.size, sealed=each.sealed) for each in await hub.journals.list()]


@router.get("/journals/{box}/{epoch}/checkpoint", response_class=Response, summary="Get a journal's checkpoint (public)")
async def journal_checkpoint(box: str, epoch: int, hub: TheHub) -> Response:
    """Give the checkpoint that a box signed in its newest seal, with the hub's cosignature."""
    note = await hub.journals.checkpoint(box, epoch)
    return Response(note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@router.get("/journals/{box}/{epoch}/tile/entries/{path:path}", response_class=Response, summary="Get a journal's entry bundle")
async def journal_entries(box: str, epoch: int, path: str, _: Overseeing, hub: TheHub) -> Response:
    """Give an entry bundle of a journal: whole records, for those who see every task."""
    data = await hub.journals.tile(box, epoch, f"tile/entries/{path}")
    return Response(data, media_type="application/octet-stream", headers=ENTRIES)


@router.get("/journals/{box}/{epoch}/tile/{path:path}", response_class=Response, summary="Get a journal's tile (public)")
async def journal_tile(box: str, epoch: int, path: str, hub: TheHub) -> Response:
    """Give a hash tile of a journal."""
    if parse_path(f"tile/{path}").level < 0:  # routes are matched in order; this must hold in any
        raise ForbiddenError("entry bundles are for supervisor, administrator", where="journals/tile")
    return Response(await hub.journals.tile(box, epoch, f"tile/{path}"), media_type="application/octet-stream", headers=TILES)


@router.post("/heads", status_code=201, summary="Hand in a box's sealed head")
async def head(ask: schemas.HeadAsk, caller: Anyone, hub: TheHub) -> schemas.RecordPlace:
    """Log a signed head of a box's journal that was brought by hand; what it covers is known to have existed by then."""
    record = (await hub.carried.take(ask.head, caller.person, ask.way)).record
    return schemas.RecordPlace(issuer=str(record.issuer), epoch=record.epoch, position=record.position)


@router.post("/reports", status_code=201, summary="Hand in a monitor's report")
async def report(ask: schemas.ReportAsk, caller: Overseeing, hub: TheHub) -> schemas.RecordPlace:
    """Log a monitor's signed report; give its place in the log."""
    record = (await hub.reports.accept(bytes.fromhex(ask.report), caller.person)).record
    return schemas.RecordPlace(issuer=str(record.issuer), epoch=record.epoch, position=record.position)
