"""Call the hub's API with the standard library alone: what the site CA and a monitor need of it."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import MalformedError, RefusedError, UnavailableError

TIMEOUT_S = 30
MAX_ANSWER_BYTES = 20 << 20  # an entry bundle has up to 256 records of 64 KiB


@dataclass(frozen=True, slots=True)
class HubCalls:
    """The hub by its browser port's URL and an API token; `authority`: PEM file its certificate chains to."""

    url: str
    token: str
    authority: Path | None = None

    def waiting(self) -> list[dict[str, Any]]:
        """Give the enrolment requests that wait."""
        found = self._call("GET", "/api/v1/enrolments").get("enrolments", [])
        if not isinstance(found, list):
            raise MalformedError("no list of enrolments", where=self.url)
        return [one for one in found if isinstance(one, dict) and one.get("state") == "waiting"]

    def issue(self, request: str, certificates: str) -> None:
        """Hand over what was issued."""
        self._call("POST", f"/api/v1/enrolments/{_part(request)}/issue", {"certificates": certificates})

    def refuse(self, request: str, reason: str) -> None:
        """Refuse a request."""
        self._call("POST", f"/api/v1/enrolments/{_part(request)}/refuse", {"reason": reason})

    def revoke(self, box: str, reason: str) -> None:
        """Revoke a box."""
        self._call("POST", f"/api/v1/devices/{_part(box)}/revoke", {"reason": reason})

    def fetch(self, path: str) -> bytes:
        """Give the bytes under a path; raise UnavailableError when nobody answers, RefusedError with the hub's words."""
        return call_bytes(self._request("GET", path), self.authority)

    def post(self, path: str, value: object) -> None:
        """Hand in a JSON value; raises as `fetch`."""
        self._call("POST", path, value)

    def _call(self, method: str, path: str, value: object = None) -> dict[str, Any]:
        """Call; raise UnavailableError when nobody answers, RefusedError with the hub's words, MalformedError for nonsense."""
        return call_json(self._request(method, path, value), self.authority)

    def _request(self, method: str, path: str, value: object = None) -> urllib.request.Request:
        data = json.dumps(value).encode() if value is not None else None
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "*/*", "Accept-Language": "en", "Content-Type": "application/json"}
        return urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)  # noqa: S310 - `call_bytes` checks it


def call_json(request: urllib.request.Request, authority: Path | None) -> dict[str, Any]:
    """Send a request and give the JSON object that is answered; raises as `call_bytes`, and MalformedError for another answer."""
    data = call_bytes(request, authority)
    try:
        value = json.loads(data) if data else {}
    except ValueError as error:
        raise MalformedError("the answer is not JSON", where=request.full_url) from error
    if not isinstance(value, dict):
        raise MalformedError("the answer is no JSON object", where=request.full_url)
    return value


def call_bytes(request: urllib.request.Request, authority: Path | None) -> bytes:
    """Send a request, http or https only, and give what is answered.

    Raises UnavailableError when nobody answers, RefusedError with the hub's words, MalformedError for an answer that is too long.
    """
    if request.type not in ("http", "https"):
        raise MalformedError(f"{request.full_url[:80]!r} is no http(s) address", where="--hub")
    context = ssl.create_default_context(cafile=str(authority) if authority else None) if request.type == "https" else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read(MAX_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            text = _words(error.read(MAX_ANSWER_BYTES)) or error.reason
            kind = UnavailableError if error.code in (429, 502, 503, 504) else RefusedError
            raise kind(f"{error.code}: {text}", where=request.full_url) from error
    except (urllib.error.URLError, OSError, ssl.SSLError) as error:
        raise UnavailableError(f"no answer: {error}", where=request.full_url) from error
    if len(data) > MAX_ANSWER_BYTES:
        raise MalformedError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes", where=request.full_url)
    return data


def _words(data: bytes) -> str:
    try:
        value = json.loads(data)
    except ValueError:
        return ""
    error = value.get("error") if isinstance(value, dict) else None
    return f"{error.get('where', '')}: {error.get('what', '')}".strip(": ") if isinstance(error, dict) else ""


def _part(text: str) -> str:
    return urllib.parse.quote(text, safe="")
