"""Declarations: lodge, check, list, read in any version, amend, withdraw; other authorities' holds on them.

Guarantees: a trader reaches the declarations of the own enterprise alone, and of what the port decided sees the decision, not the
inputs of its rules; a partner holds and lifts in its own name alone, and only where the reference data says that it may; the port
lifts another's hold by two persons alone.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request

from hub.app import Hub
from hub.inspection.catalogue import Partner
from hub.inspection.declarations import Declared, Entry
from hub.inspection.forms import Attachment
from hub.inspection.screening import HOLDER
from hub.inspection.states import STEPS, Standing, State, can_amend, obstacles
from protocol.errors import ForbiddenError, MalformedError, RefusedError
from web import declaration_schemas as schemas
from web import shaping
from web.answering import language_of_request, shape_fault
from web.api_files import owner_of
from web.form_schemas import body_of
from web.guards import PARTNER, SUPERVISOR, TRADER, Caller, Holding, Partnering, TheHub, Trading
from web.reading import Document, version_of
from web.seconding import second_person
from web.wording import say

router = APIRouter(tags=["declarations"])
Number = Annotated[str, Path(min_length=1, max_length=64)]
Limit = Annotated[int, Query(ge=1, le=500)]
_SHOWN_TO_TRADERS = frozenset({State.REJECTED, State.FAILED, State.RECTIFY, State.TREATMENT, State.RETURN, State.DESTROY, State.DETAINED})


@router.post("/declarations", status_code=201, summary="Lodge a declaration", openapi_extra=body_of("DeclarationForm"))
async def lodge(form: Document, caller: Trading, hub: TheHub) -> schemas.DeclarationAnswer:
    """Take a declaration. The same one sent again is the same one; every fault is named at once."""
    return _declared(await hub.declarations.lodge(form, caller.person, caller.party), hub)


@router.post("/declarations/check", summary="Check a declaration without lodging it", openapi_extra=body_of("DeclarationForm"))
async def check(
    form: Document,
    request: Request,
    caller: Trading,
    hub: TheHub,
    number: Annotated[str | None, Query(max_length=64, description="as a new version of this one")] = None,
) -> schemas.CheckAnswer:
    """Name every fault, in the asker's language and in both; nothing is kept."""
    if number is not None:
        await _theirs(number, caller, hub)
    language = language_of_request(request)
    found = await hub.declarations.check(form, caller.party, number)
    return schemas.CheckAnswer(faults=[shape_fault(fault, language) for fault in found])


@router.get("/declarations", summary="List declarations")
async def list_declarations(
    caller: Trading, hub: TheHub, wishes: Annotated[schemas.DeclarationWishes, Query()]
) -> schemas.DeclarationsAnswer:
    """Give declarations, newest first; a trader sees those of the own enterprise."""
    if wishes.before is not None:
        await _theirs(wishes.before, caller, hub)
    found = await hub.declarations.list(
        state=None if wishes.state is None else State(wishes.state),
        enterprise=caller.party if caller.role == TRADER else wishes.enterprise,
        begins=wishes.begins,
        before=wishes.before,
        limit=wishes.limit,
    )
    more = found[-1].number if len(found) == wishes.limit else None
    return schemas.DeclarationsAnswer(declarations=[_declared(one, hub) for one in found], next=more)


@router.get("/declarations/{number}", summary="Get a declaration")
async def get(number: Number, request: Request, caller: Trading, hub: TheHub) -> schemas.DeclarationDetail:
    """Tell where a declaration stands, what may come next, and what stands in the way as far as its own records tell."""
    return _detail(await _theirs(number, caller, hub), caller, request, hub)


@router.get("/declarations/{number}/form", summary="Read a declaration in a version")
async def get_form(
    number: Number, caller: Trading, hub: TheHub, version: Annotated[int | None, Query(ge=1, le=10**6)] = None
) -> schemas.FormAnswer:
    """Give what was declared, now or in a version, and whether the files that it names are here."""
    declared = await _theirs(number, caller, hub)
    form = await hub.declarations.form(number, version)
    files = [await _file(one, caller, hub) for one in form.attachments]
    return schemas.FormAnswer(version=version or declared.version, form=form.sheet(), files=files)


@router.get("/declarations/{number}/history", summary="Get a declaration's history")
async def history(number: Number, caller: Trading, hub: TheHub) -> schemas.HistoryAnswer:
    """Give every record of a declaration, in order; each can be opened."""
    await _theirs(number, caller, hub)
    entries = await hub.declarations.history(number)
    return schemas.HistoryAnswer(number=number, steps=[_step(one, caller, hub) for one in entries])


@router.post(
    "/declarations/{number}/amendments",
    status_code=201,
    summary="Amend a declaration",
    openapi_extra=body_of("DeclarationForm", reason={"type": "string"}, after={"type": "integer"}),
)
async def amend(number: Number, ask: Document, caller: Trading, hub: TheHub) -> schemas.DeclarationAnswer:
    """Take a new version, whole: `{"form", "reason", "after": the version it was written from}`. Never un-selects."""
    await _theirs(number, caller, hub)
    form, reason, after = version_of(ask)
    return _declared(await hub.declarations.amend(number, form, caller.person, reason, after=after, party=caller.party), hub)


@router.post("/declarations/{number}/withdrawal", status_code=201, summary="Withdraw a declaration")
async def withdraw(number: Number, ask: schemas.WithdrawalAsk, caller: Trading, hub: TheHub) -> schemas.DeclarationAnswer:
    """Take a declaration back; a hold on its goods stays. What was selected, the port alone takes back."""
    await _theirs(number, caller, hub)
    return _declared(await hub.declarations.withdraw(number, caller.person, ask.reason, party=caller.party), hub)


@router.get("/holds", summary="List what a partner holds")
async def list_holds(
    caller: Partnering, hub: TheHub, authority: Annotated[str | None, Query(max_length=40)] = None, limit: Limit = 100
) -> schemas.DeclarationsAnswer:
    """Give the declarations that an authority holds; a partner sees its own holds."""
    found = await hub.declarations.held_by(await _authority(caller, hub, authority), limit)
    return schemas.DeclarationsAnswer(declarations=[_declared(one, hub) for one in found], next=None)


@router.post("/declarations/{number}/holds", status_code=201, summary="Place another authority's hold")
async def place_hold(number: Number, ask: schemas.HoldAsk, caller: Holding, hub: TheHub) -> schemas.DeclarationAnswer:
    """Hold a declaration's goods for an authority: nothing is released until it is lifted."""
    return await _hold(number, ask, caller, hub, lift=False)


@router.post("/declarations/{number}/holds/lift", status_code=201, summary="Lift another authority's hold")
async def lift_hold(number: Number, ask: schemas.LiftAsk, request: Request, caller: Holding, hub: TheHub) -> schemas.DeclarationAnswer:
    """Lift an authority's hold: the authority itself, or two supervisors in its place; a targeting rule's, two supervisors."""
    if caller.role == PARTNER:
        return await _hold(number, ask, caller, hub, lift=True)
    if ask.second is None or ask.second_password is None:
        raise MalformedError("needs a second person", where="second")
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), (SUPERVISOR,))
    return await _hold(number, ask, caller, hub, lift=True, second=second)


async def _hold(
    number: str, ask: schemas.HoldAsk, caller: Caller, hub: Hub, *, lift: bool, second: str | None = None
) -> schemas.DeclarationAnswer:
    by_rule = lift and caller.role != PARTNER and (ask.authority or "").startswith(HOLDER)
    authority = str(ask.authority) if by_rule else await _authority(caller, hub, ask.authority)
    return _declared(await hub.declarations.hold(number, authority, caller.person, ask.reason, lift=lift, second=second), hub)


async def _authority(caller: Caller, hub: Hub, named: str | None) -> str:
    """Give the authority that somebody acts for; raise ForbiddenError when it may not hold."""
    key = named or caller.party
    if key is None:
        raise MalformedError("is needed", where="authority")
    if caller.role == PARTNER:
        caller.need_party(key, "authority")
    entry = (await hub.references.get("partner", key)).value
    if not isinstance(entry, Partner) or not entry.may_hold:
        raise ForbiddenError(f"partner {key} may not hold goods", where="authority")
    return key


async def _theirs(number: str, caller: Caller, hub: Hub) -> Declared:
    """Give a declaration; raise RefusedError when there is none, ForbiddenError when it is another enterprise's."""
    declared = await hub.declarations.get(number)
    caller.need_party(declared.enterprise, f"declaration {number}")
    return declared


async def _file(one: Attachment, caller: Caller, hub: Hub) -> schemas.FileShape:
    state: Literal["here", "awaited"] = "awaited"
    owner = owner_of(caller) if caller.role == TRADER else None  # what others sent is not told by its hash
    try:
        known = await hub.files.state(bytes.fromhex(one.sha256), owner)
        state = "here" if known.state == "stored" and known.size == one.size else "awaited"
    except RefusedError:
        pass  # nobody sent it yet
    return schemas.FileShape(name=one.name, kind=one.kind, sha256=one.sha256, size=one.size, state=state)


def _declared(found: Declared, hub: Hub) -> schemas.DeclarationAnswer:
    return schemas.DeclarationAnswer(**_facts(found, hub))


def _facts(found: Declared, hub: Hub) -> dict[str, Any]:
    return {
        "number": found.number,
        "state": found.state.value,
        "version": found.version,
        "selected": found.selected,
        "held": found.held,
        "holds": list(found.holds),
        "enterprise": found.enterprise,
        "reference": found.reference,
        "lodged_ms": shaping.ms(found.lodged_ns),
        "changed_ms": shaping.ms(found.changed_ns),
        "record": shaping.own_place(hub, found.position),
    }


def _detail(found: Declared, caller: Caller, request: Request, hub: Hub) -> schemas.DeclarationDetail:
    now = Standing(found.state, found.selected, found.held, frozenset(found.holds))
    language = language_of_request(request)
    onward = [
        schemas.OnwardShape(to=to.value, obstacles=[say("refused", what, language) for what in obstacles(now, to)])
        for to in STEPS[found.state]
    ]
    withdrawable = State.WITHDRAWN in STEPS[found.state] and not (caller.role == TRADER and found.selected)
    return schemas.DeclarationDetail(**_facts(found, hub), onward=onward, may_amend=can_amend(found.state), may_withdraw=withdrawable)


def _step(entry: Entry, caller: Caller, hub: Hub) -> schemas.StepAnswer:
    told = dict(entry.said or {})
    by, reason = told.pop("by", None), told.pop("reason", None)
    told.pop("form", None)  # has a route of its own
    said: dict[str, Any] | None = None if entry.said is None else told
    if caller.role == TRADER and entry.kind != "declaration":
        by, said = None, None
        reason = reason if entry.kind == "hold" or entry.act in _SHOWN_TO_TRADERS else None
    return schemas.StepAnswer(
        record=shaping.own_place(hub, entry.position),
        kind=entry.kind,  # type: ignore[arg-type]  # the kinds of records that are projected to it
        act=entry.act,
        version=entry.version,
        authority=entry.authority,
        rule=entry.rule,
        at_ms=shaping.ms(entry.wall_ns),
        by=by,
        reason=reason if isinstance(reason, str) or reason is None else str(reason),
        said=said,
    )
