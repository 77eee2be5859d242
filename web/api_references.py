"""Reference data: what supervisors and administrators read, and administrators write; each change is a record with a reason."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from hub.app import Hub
from hub.inspection.catalogue import CATEGORIES, key_pattern
from hub.inspection.references import Kept
from web import declaration_schemas as schemas
from web import shaping
from web.form_schemas import body_of, entry_form
from web.guards import Administrator, Overseeing, TheHub
from web.reading import Document, version_of

router = APIRouter(prefix="/references", tags=["references"])
Category = Annotated[str, Path(max_length=40)]
Key = Annotated[str, Path(max_length=64)]
_VERSION = body_of("ReferenceEntry", reason={"type": "string"}, after={"type": "integer"})


@router.get("", summary="List the categories of reference data")
async def list_categories(caller: Overseeing, hub: TheHub) -> schemas.CategoriesAnswer:
    """Give each category with the JSON schema of its entries and how many are in use."""
    counts = {name: len(await hub.references.list(name)) for name in CATEGORIES}
    shapes = [
        schemas.CategoryShape(name=name, entries=counts[name], form=entry_form(name), key=key_pattern(name).pattern) for name in CATEGORIES
    ]
    return schemas.CategoriesAnswer(categories=shapes)


@router.get("/{category}", summary="List the entries of a category")
async def list_entries(
    category: Category,
    caller: Overseeing,
    hub: TheHub,
    retired: Annotated[bool, Query(description="those taken out of use, too")] = False,
) -> schemas.EntriesAnswer:
    """Give the entries by key, as they stand."""
    found = await hub.references.list(category, retired=retired)
    return schemas.EntriesAnswer(entries=[_kept(one, hub) for one in found])


@router.get("/{category}/{key}", summary="Get an entry")
async def get_entry(category: Category, key: Key, caller: Overseeing, hub: TheHub) -> schemas.KeptShape:
    """Give an entry in use as it stands."""
    return _kept(await hub.references.get(category, key), hub)


@router.put(
    "/{category}/{key}",
    summary="Set an entry",
    openapi_extra=body_of("ReferenceEntry", reason={"type": "string"}, after={"type": "integer"}),
)
async def put_entry(category: Category, key: Key, ask: Document, caller: Administrator, hub: TheHub) -> schemas.KeptShape:
    """Set an entry, whole: `{"form", "reason", "after": the version it was written from, 0 for a new one}`."""
    form, reason, after = version_of(ask)
    return _kept(await hub.references.put(category, key, form, caller.person, reason, after), hub)


@router.post("/{category}/{key}/retirement", status_code=201, summary="Take an entry out of use")
async def retire(category: Category, key: Key, ask: schemas.RetirementAsk, caller: Administrator, hub: TheHub) -> schemas.KeptShape:
    """Retire an entry: nothing new is decided by it, and it stays readable."""
    return _kept(await hub.references.retire(category, key, caller.person, ask.reason), hub)


@router.get("/{category}/{key}/history", summary="Get every version of an entry")
async def history(category: Category, key: Key, caller: Overseeing, hub: TheHub) -> schemas.EntriesAnswer:
    """Give every version, in order, with who changed it and why."""
    return schemas.EntriesAnswer(entries=[_kept(one, hub) for one in await hub.references.history(category, key)])


def _kept(found: Kept, hub: Hub) -> schemas.KeptShape:
    value: dict[str, Any] | None = None if found.value is None else found.value.model_dump(mode="json")
    return schemas.KeptShape(
        category=found.category,
        key=found.key,
        version=found.version,
        retired=found.retired,
        at_ms=shaping.ms(found.wall_ns),
        value=value,
        by=found.by,
        reason=found.reason,
        record=shaping.own_place(hub, found.position),
    )
