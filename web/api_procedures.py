"""Operating procedures: list, read, check, propose, publish, withdraw; as YAML and as spreadsheets of forms.

Guarantees: nobody publishes what they proposed; every version stays readable by its hash.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from hub.app import Hub
from hub.inspection.forms import FaultsError
from hub.inspection.procedures.shipped_files import Part, Violation, shipped_scheme
from hub.inspection.procedures.spreadsheets import from_xlsform, to_xlsform
from hub.inspection.procedures.writing import to_yaml
from hub.inspection.published import Done, Version
from protocol.errors import MalformedError
from protocol.instants import MILLISECOND_NS
from protocol.procedures.model import Procedure
from protocol.procedures.reading import value_of
from web import rule_schemas as schemas
from web.answering import language_of_request, shape_fault
from web.guards import OVERSEERS, Anyone, Overseeing, TheHub
from web.procedure_words import fault_of
from web.seconding import second_person

router = APIRouter(prefix="/procedures", tags=["procedures"])
Key = Annotated[str, Path(min_length=1, max_length=64)]
Number = Annotated[int, Path(ge=1, le=10**6)]
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@router.get("", summary="List operating procedures")
async def list_procedures(caller: Anyone, hub: TheHub) -> schemas.ProceduresAnswer:
    """Give every procedure with its versions, and how much the newest asks."""
    in_force = {one.key: one.version for one in await hub.procedures.list()}
    by_key: dict[str, list[Version]] = {}
    for one in await hub.procedures.versions():
        by_key.setdefault(one.key, []).append(one)
    shown = [await _procedure(hub, versions, in_force) for versions in by_key.values()]
    return schemas.ProceduresAnswer(procedures=sorted(shown, key=lambda one: (one.number, one.key)))


async def _procedure(hub: Hub, versions: list[Version], in_force: Mapping[str, int]) -> schemas.ProcedureShape:
    standing = next((one for one in versions if one.version == in_force.get(one.key)), versions[-1])
    found = await hub.procedures.by_hash(standing.sha256)
    return schemas.ProcedureShape(
        key=found.key,
        number=found.number,
        zh=found.zh,
        en=found.en,
        verified=found.verified,
        goods=list(found.goods),
        counts=_counts(found),
        versions=[_version(one, in_force) for one in versions],
    )


@router.get("/scheme", summary="Get the scheme, its rules, ways, devices, and violations")
async def get_scheme(caller: Anyone, hub: TheHub) -> schemas.SchemeAnswer:
    """Give what procedures refer to."""
    scheme = shipped_scheme()
    return schemas.SchemeAnswer(
        version=scheme.version,
        effective=scheme.effective,
        scheme=_part(scheme.scheme),
        rules=[_part(one) for one in scheme.rules],
        ways=[_part(one) for one in scheme.ways],
        devices=[_part(one) for one in scheme.devices],
        violations=[_violation(one) for one in await hub.procedures.violations()],
    )


@router.get("/by-hash/{sha256}", summary="Get a procedure by the hash of its canonical JSON")
async def get_by_hash(sha256: Sha256, caller: Anyone, hub: TheHub) -> dict[str, object]:
    """Give a procedure as a running task has it, in force or not."""
    return value_of(await hub.procedures.by_hash(bytes.fromhex(sha256)))


@router.post("/check", summary="Read a procedure without proposing it")
async def check(ask: schemas.ProcedureTextAsk, request: Request, caller: Overseeing, hub: TheHub) -> schemas.ProcedureCheck:
    """Tell whether a YAML text is a procedure, or what is wrong at which line and column."""
    try:
        found = await hub.procedures.read(ask.text.encode())
    except MalformedError as error:
        what, line, column = fault_of(error, language_of_request(request))
        return schemas.ProcedureCheck(reads=False, what=what, line=line, column=column)
    last = max((one.version for one in await hub.procedures.versions(found.key)), default=0)
    return schemas.ProcedureCheck(reads=True, key=found.key, version=found.version, next_version=last + 1, counts=_counts(found))


@router.post("", status_code=201, summary="Propose a version of a procedure")
async def propose(ask: schemas.ProcedureAsk, caller: Overseeing, hub: TheHub) -> schemas.VersionShape:
    """Log a proposal; another person decides about it."""
    procedure = await hub.procedures.read(ask.text.encode())
    return _version(await hub.procedures.propose(procedure, caller.person, ask.reason), {})


@router.get("/{key}/{version}", summary="Get a version of a procedure")
async def get_version(key: Key, version: Number, caller: Anyone, hub: TheHub) -> schemas.ProcedureDetail:
    """Give a version, whatever its state: as canonical JSON and as YAML."""
    found, procedure = await hub.procedures.get(key, version)
    in_force = {one.key: one.version for one in await hub.procedures.list()}
    shown = _version(found, in_force).model_dump()
    text = await asyncio.to_thread(to_yaml, procedure)
    return schemas.ProcedureDetail(**shown, counts=_counts(procedure), procedure=value_of(procedure), yaml=text)


@router.get("/{key}/{version}/xlsform", response_class=Response, summary="Fetch a version as a spreadsheet of forms")
async def get_xlsform(key: Key, version: Number, caller: Anyone, hub: TheHub) -> Response:
    """Give an XLSForm that other tools read; needs the extra `xlsform`."""
    _, procedure = await hub.procedures.get(key, version)
    headers = {"Content-Disposition": f'attachment; filename="{procedure.key}-{version}.xlsx"'}
    return Response(await asyncio.to_thread(to_xlsform, procedure), media_type=XLSX, headers=headers)


@router.post("/{key}/{version}/xlsform", summary="Make YAML of a spreadsheet of forms")
async def read_xlsform(
    key: Key,
    version: Number,
    request: Request,
    caller: Overseeing,
    hub: TheHub,
    effective: Annotated[str, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", description="the day from which it is to be in force")],
) -> schemas.YamlAnswer:
    """Read sections and items from an XLSForm; steps, records and legal basis come from this version. Nothing is kept."""
    _, before = await hub.procedures.get(key, version)
    last = max(one.version for one in await hub.procedures.versions(key))
    data = await request.body()
    try:
        found = await asyncio.to_thread(from_xlsform, data, before, last + 1, effective)
        return schemas.YamlAnswer(text=await asyncio.to_thread(to_yaml, found), faults=[])
    except FaultsError as error:
        language = language_of_request(request)
        return schemas.YamlAnswer(text=None, faults=[shape_fault(fault, language) for fault in error.faults])


@router.post("/{key}/{version}/decision", summary="Publish or reject a proposal")
async def decide(key: Key, version: Number, ask: schemas.DecisionAsk, caller: Overseeing, hub: TheHub) -> schemas.VersionShape:
    """Publish what another person proposed, or reject it."""
    act = hub.procedures.publish if ask.accept else hub.procedures.reject
    return _version(await act(key, version, caller.person, ask.reason), {})


@router.post("/{key}/{version}/withdrawal", summary="Withdraw a version of a procedure")
async def withdraw(
    key: Key, version: Number, ask: schemas.WithdrawalAsk, request: Request, caller: Overseeing, hub: TheHub
) -> schemas.VersionShape:
    """Take a version out of force, by two persons; what began with it goes on with it."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    return _version(await hub.procedures.withdraw(key, version, caller.person, second, ask.reason), {})


def _version(one: Version, in_force: Mapping[str, int]) -> schemas.VersionShape:
    return schemas.VersionShape(
        key=one.key,
        version=one.version,
        state=one.state,
        in_force=in_force.get(one.key) == one.version,
        sha256=one.sha256.hex(),
        effective=one.effective,
        until=one.until,
        acts=[_act(each) for each in one.done],
    )


def _act(done: Done) -> schemas.ActShape:
    said = done.said or {}
    who = {name: said.get(name) for name in ("by", "second", "reason")}
    place = {"position": done.position, "at_ms": done.wall_ns / MILLISECOND_NS}
    return schemas.ActShape.model_validate({"act": done.act, "rule": done.rule, **place, **who})


def _counts(procedure: Procedure) -> schemas.CountsShape:
    items = [item for _, item in procedure.items.values()]
    records = [record for step in procedure.steps for record in step.records]
    read = [
        procedure.verified,
        *(one.verified for one in items),
        *(one.verified for one in records),
        *(one.verified for one in procedure.basis),
    ]
    must = sum(one.need == "must" for one in records)
    return schemas.CountsShape(items=len(items), must=must, may=len(records) - must, unverified=read.count(False))


def _part(one: Part) -> schemas.PartShape:
    return schemas.PartShape(key=one.key, zh=one.zh, en=one.en, verified=one.verified, parts=list(one.parts))


def _violation(one: Violation) -> schemas.ViolationShape:
    return schemas.ViolationShape(key=one.key, zh=one.zh, en=one.en, legal=one.legal, penalty=one.penalty, verified=one.verified)
