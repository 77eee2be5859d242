"""Tell OpenAPI what the documents look like that are read by the inspection's own readers, which name every fault at once."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from hub.inspection.catalogue import CATEGORIES
from hub.inspection.forms import Form

_MODELS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("DeclarationForm", Form),
    *((f"Reference{kind.__name__}", kind) for kind in CATEGORIES.values()),
)
_PLACE = "#/components/schemas/"
_REF = _PLACE + "{model}"


def body_of(component: str, **beside: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON schema
    """Describe a request's body: a component alone, or as `form` with what stands beside it."""
    schema: dict[str, Any] = {"$ref": f"{_PLACE}{component}"}
    if beside:
        schema = {"type": "object", "properties": {"form": schema, **beside}, "required": ["form"], "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def entry_form(category: str) -> dict[str, Any]:
    """Give the JSON schema of an entry of a category, whole in itself."""
    return CATEGORIES[category].model_json_schema()


def components() -> dict[str, Any]:
    """Give the schemas of declarations and of reference data, by name."""
    found: dict[str, Any] = {}
    for name, model in _MODELS:
        schema = model.model_json_schema(ref_template=_REF)
        found |= schema.pop("$defs", {})
        found[name] = schema
    found["ReferenceEntry"] = {"anyOf": [{"$ref": f"{_PLACE}Reference{kind.__name__}"} for kind in CATEGORIES.values()]}
    return dict(sorted(found.items()))


def describe(app: FastAPI) -> None:
    """Add them to what an application says of itself."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in components().items():
            schemas.setdefault(name, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
