"""Speak a hub's public JSON API as a person's browser or an outside system does: plain HTTP, no knowledge of its insides.

A login holds a session cookie and sends the CSRF token with each write; an outside system sends a bearer token instead. An
answer that is not a success is raised as the error it names.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from protocol.errors import (
    ForbiddenError,
    MalformedError,
    PortwitnessError,
    RefusedError,
    StorageError,
    UnavailableError,
    VerificationError,
)

API = "/api/v1"
TIMEOUT_S = 30.0
_KINDS: dict[str, type[PortwitnessError]] = {
    "malformed": MalformedError,
    "verification": VerificationError,
    "unavailable": UnavailableError,
    "refused": RefusedError,
    "forbidden": ForbiddenError,
    "storage": StorageError,
    "unauthenticated": ForbiddenError,
    "missing": RefusedError,
}


class FormError(RefusedError):
    """A form that the hub does not take, with all that it names as wrong: path, code and words of each."""

    def __init__(self, what: str, *, where: str, faults: list[dict[str, str]]) -> None:
        super().__init__(what, where=where)
        self.faults = faults


@dataclass(slots=True)
class HubApi:
    """One caller's conversation with a hub; made by `hub_api`."""

    client: httpx.AsyncClient
    csrf: str | None = None
    person: dict[str, Any] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Send one request below the API's root and give the JSON answered; raise the error that the hub names."""
        response = await self.send(method, path, body)
        return response.json() if response.content else None

    async def send(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Send one request and give the whole answer; raise the error that the hub names."""
        headers = {"X-CSRF-Token": self.csrf} if self.csrf and method != "GET" else {}
        try:
            response = await self.client.request(method, API + path, json=body, headers=headers)
        except httpx.TransportError as error:
            raise UnavailableError(f"{type(error).__name__}: {error}", where=f"{method} {path}") from error
        if not response.is_success:
            raise refusal(response)
        return response

    async def post_raw(self, path: str, data: bytes, content_type: str) -> Any:  # noqa: ANN401
        """Post bytes of any media type below the API's root and give the JSON answered, also of what was kept and rejected (422).

        Raises the error that the hub names.
        """
        return await self.send_raw("POST", path, data, content_type)

    async def send_raw(self, method: str, path: str, data: bytes, content_type: str) -> Any:  # noqa: ANN401
        """Send bytes of any media type and give the JSON answered; as `post_raw`."""
        headers = {"Content-Type": content_type} | ({"X-CSRF-Token": self.csrf} if self.csrf else {})
        try:
            response = await self.client.request(method, API + path, content=data, headers=headers)
        except httpx.TransportError as error:
            raise UnavailableError(f"{type(error).__name__}: {error}", where=f"{method} {path}") from error
        if not response.is_success and response.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
            raise refusal(response)
        return response.json() if response.content else None

    async def send_file(self, data: bytes, name: str, kind: str, about: str) -> str:
        """Announce a file and send what the hub has not of it; give its SHA-256 in hex."""
        sha256 = hashlib.sha256(data).hexdigest()
        ask = {"sha256": sha256, "size": len(data), "name": name, "kind": kind, "about": about}
        have = int((await self.call("POST", "/files", ask))["have_bytes"])
        if have < len(data):
            await self.send_raw("PUT", f"/files/{sha256}?offset={have}", data[have:], "application/octet-stream")
        return sha256

    async def login(self, name: str, password: str) -> None:
        """Log in with a name and a password; later writes carry the CSRF token."""
        answer = await self.call("POST", "/session", {"name": name, "password": password})
        self.csrf, self.person = str(answer["csrf"]), dict(answer)

    async def logout(self) -> None:
        """End the session."""
        await self.call("DELETE", "/session")
        self.csrf = None

    async def open_task(self, task: dict[str, Any]) -> dict[str, Any]:
        """Open a task and give it as the hub shows it."""
        return dict(await self.call("POST", "/tasks", task))

    async def task(self, task: str) -> dict[str, Any]:
        """Give a task as the hub shows it."""
        return dict(await self.call("GET", f"/tasks/{quote(task)}"))

    async def end_task(self, task: str) -> None:
        """End a task."""
        await self.call("POST", f"/tasks/{quote(task)}/end", {})

    async def timeline(self, task: str) -> dict[str, Any]:
        """Give a task's lanes."""
        return dict(await self.call("GET", f"/tasks/{quote(task)}/timeline"))

    async def code(self, task: str) -> str:
        """Ask for the short code by which a recorder pairs itself with the task."""
        return str((await self.call("GET", f"/tasks/{quote(task)}/code"))["code"])

    async def pair(self, task: str, stream: str) -> dict[str, Any]:
        """Pair a recorder's stream with a task by choosing it."""
        return dict(await self.call("POST", f"/tasks/{quote(task)}/pairings", {"stream": stream}) or {})

    async def unpair(self, task: str, stream: str) -> None:
        """Free a recorder's stream."""
        await self.call("DELETE", f"/tasks/{quote(task)}/pairings/{stream}")

    async def download(self, path: str, to: Path) -> None:
        """Save what a path below the API's root serves into a file."""
        await asyncio.to_thread(to.write_bytes, (await self.send("GET", path)).content)


@asynccontextmanager
async def hub_api(url: str, *, ca: Path | None = None, token: str | None = None) -> AsyncIterator[HubApi]:
    """Open a conversation with the hub at `url`, trusting the certificates in `ca` when it speaks TLS."""
    verify: Any = True
    if url.startswith("https:") and ca is not None:
        verify = await asyncio.to_thread(httpx.create_ssl_context, str(ca))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, verify=verify, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        yield HubApi(client)


async def claim_by_code(box_url: str, source: str, token: str, code: str) -> None:
    """Give a task's short code to the box as the recorder does; raise the error that the box names.

    Raises UnavailableError when the box does not answer.
    """
    async with httpx.AsyncClient(base_url=box_url, timeout=TIMEOUT_S, trust_env=False) as client:
        try:
            response = await client.post(f"/whip/{source}/pair", json={"code": code}, headers={"Authorization": f"Bearer {token}"})
        except httpx.TransportError as error:
            raise UnavailableError(f"{type(error).__name__}: {error}", where=box_url) from error
    if not response.is_success:
        raise refusal(response)


def refusal(response: httpx.Response) -> PortwitnessError:
    """Make the error that an answer names; one it does not name well is malformed (4xx) or unavailable (5xx)."""
    where = f"{response.request.method} {response.request.url.path}"
    try:
        error = response.json()["error"]
        if error.get("faults"):
            return FormError(str(error["what"]), where=where, faults=list(error["faults"]))
        return _KINDS[error["kind"]](str(error["what"]), where=f"{where} {error.get('where', '')}".strip())
    except (json.JSONDecodeError, KeyError, TypeError):
        family = UnavailableError if response.is_server_error else RefusedError
        return family(f"answered {response.status_code}: {response.text[:200]}", where=where)
