"""Turn errors into answers: one body `{"error": {kind, what, where}}`, one status per kind, the asker's language."""

from collections.abc import Mapping

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hub.inspection.forms import Fault, FaultsError
from protocol.errors import (
    DiskFullError,
    ForbiddenError,
    MalformedError,
    PortwitnessError,
    RefusedError,
    StorageError,
    UnavailableError,
    VerificationError,
)
from web.naming import Language, name_place, say_rule
from web.schemas import ErrorAnswer, FaultShape
from web.wording import language_of, say

# The place of an error that says more than its class: who asks is not known, or what is asked for is not there.
SESSION = "session"
LOGIN = "login"
LOCKED = "login.locked"
MISSING = "missing"
_BY_PLACE: Mapping[str, tuple[str, int]] = {
    SESSION: ("unauthenticated", 401),
    LOGIN: ("unauthenticated", 401),
    LOCKED: ("refused", 429),
    MISSING: ("missing", 404),
    "body": ("malformed", 413),
}
_BY_CLASS: tuple[tuple[type[PortwitnessError], str, int], ...] = (
    (MalformedError, "malformed", 400),
    (VerificationError, "verification", 409),
    (ForbiddenError, "forbidden", 403),
    (RefusedError, "refused", 409),
    (UnavailableError, "unavailable", 503),
    (DiskFullError, "storage", 507),
    (StorageError, "storage", 503),
)
_MISSING_WORDS = ("is not known", "no such", "is not here", "is not stored")
API_ERRORS: dict[int | str, dict[str, object]] = {
    400: {"model": ErrorAnswer, "description": "Malformed request"},
    401: {"model": ErrorAnswer, "description": "Not logged in"},
    403: {"model": ErrorAnswer, "description": "Not allowed for this role or person"},
    404: {"model": ErrorAnswer, "description": "Not there"},
    409: {"model": ErrorAnswer, "description": "Refused by a rule, or verification failed"},
    503: {"model": ErrorAnswer, "description": "Try again later"},
}


def judge(error: PortwitnessError) -> tuple[str, int]:
    """Give an error's kind and HTTP status."""
    if error.where in _BY_PLACE and (error.where != LOGIN or isinstance(error, ForbiddenError)):
        return _BY_PLACE[error.where]
    if isinstance(error, RefusedError | StorageError) and any(word in error.what for word in _MISSING_WORDS):
        return "missing", 404
    for kind, name, status in _BY_CLASS:
        if isinstance(error, kind):
            return name, status
    return "unavailable", 500


def shape_fault(fault: Fault, language: Language) -> FaultShape:
    """Shape one fault of a form."""
    return FaultShape(path=fault.path, code=fault.code, what=fault.en if language == "en" else fault.zh, en=fault.en, zh=fault.zh)


def answer_faults(request: Request, error: FaultsError) -> JSONResponse:
    """Give everything that is wrong in a form, in one answer."""
    language = language_of_request(request)
    faults = [shape_fault(fault, language).model_dump() for fault in error.faults]
    one = f"{len(faults)} fault{'s' * (len(faults) > 1)} in the form" if language == "en" else f"填写内容有 {len(faults)} 处错误"
    body = {"kind": "malformed", "what": one, "where": error.where, "about": name_place(error.where, language), "faults": faults}
    return JSONResponse({"error": body}, 400)


def answer(request: Request, error: tuple[str, int, str], where: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Give the error answer; `error` is (kind, status, sentence)."""
    kind, status, what = error
    about = name_place(where, language_of_request(request))
    return JSONResponse({"error": {"kind": kind, "what": what, "where": where, "about": about}}, status, headers=headers)


async def on_portwitness_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of our tree."""
    if not isinstance(error, PortwitnessError):
        raise error
    if isinstance(error, FaultsError):
        return answer_faults(request, error)
    kind, status = judge(error)
    headers = {"Retry-After": "10"} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Session realm="portwitness"'
    return answer(request, (kind, status, say(kind, error.what, language_of_request(request))), error.where, headers)


async def on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose body or parameters do not fit the schema, naming the first field."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return answer(request, ("malformed", 400, say_rule(str(first["type"]), first.get("ctx", {}), language_of_request(request))), where)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what the router itself refuses: no such address, method not allowed."""
    if not isinstance(error, HTTPException):
        raise error
    kind = {404: "missing", 405: "refused", 403: "forbidden"}.get(error.status_code, "malformed")
    what = "no such page" if error.status_code == 404 else str(error.detail)
    what = say(kind, what, language_of_request(request))
    return answer(request, (kind, error.status_code, what), request.url.path[:80], error.headers)


def language_of_request(request: Request) -> Language:
    """Give the language a request asks for."""
    return language_of(request.headers.get("accept-language"), request.query_params.get("lang"))
