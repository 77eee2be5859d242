"""Ask a running box how it does, through its door, and show it in a terminal."""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any

from edge.config import DoorSettings, EdgeSettings
from protocol.errors import MalformedError, RefusedError, UnavailableError

TIMEOUT_S = 5.0
MAX_BYTES = 1 << 20


def ask(settings: EdgeSettings) -> Mapping[str, Any]:
    """Give the status; raise RefusedError without a door, UnavailableError when nobody answers."""
    door = settings.door
    if door is None or not door.port:
        raise RefusedError("the box has no door with a fixed port: add [door] port to its settings", where="door.port")
    connection = _connect(door)
    try:
        connection.request("GET", "/status")
        answer = connection.getresponse()
        body = answer.read(MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"does not answer: {error}", where=f"{door.host}:{door.port}") from error
    finally:
        connection.close()
    try:
        found = json.loads(body)
    except ValueError as error:
        raise MalformedError("not JSON", where=f"{door.host}:{door.port}") from error
    if answer.status != 200 or not isinstance(found, dict):
        raise UnavailableError(f"answers {answer.status}", where=f"{door.host}:{door.port}")
    return found


def bring(settings: EdgeSettings, note: bytes) -> str:
    """Give a signed checkpoint to the running box; say which it took. Raises RefusedError when it does not."""
    found = json.loads(_exchange(settings, "POST", "/checkpoint", note))
    return str(found["taken"])


def head(settings: EdgeSettings) -> str:
    """Ask the running box for its newest sealed head, as text."""
    return _exchange(settings, "GET", "/head", None).decode()


def _exchange(settings: EdgeSettings, method: str, path: str, body: bytes | None) -> bytes:
    door = settings.door
    if door is None or not door.port:
        raise RefusedError("the box has no door with a fixed port: add [door] port to its settings", where="door.port")
    connection = _connect(door)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        data = answer.read(MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"does not answer: {error}", where=f"{door.host}:{door.port}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise RefusedError(_reason(data), where=f"{door.host}:{door.port}")
    return data


def _reason(data: bytes) -> str:
    try:
        error = json.loads(data)["error"]
        return f"{error['where']}: {error['what']}"
    except (ValueError, KeyError, TypeError):
        return "refused"


def _connect(door: DoorSettings) -> http.client.HTTPConnection:
    host = "127.0.0.1" if door.host in ("0.0.0.0", "::", "") else door.host  # noqa: S104 - compared, not bound
    if door.certificate is None:
        return http.client.HTTPConnection(host, door.port, timeout=TIMEOUT_S)
    context = ssl.create_default_context(cafile=str(door.certificate))
    context.check_hostname = False  # the door's own certificate is pinned, whatever name it carries
    return http.client.HTTPSConnection(host, door.port, timeout=TIMEOUT_S, context=context)


def show(status: Mapping[str, Any]) -> str:
    """Give the status as lines for people."""
    journal, backlog, disk, hub, clock = (status[key] for key in ("journal", "backlog", "disk", "hub", "clock"))
    lines = [
        f"{status['box']} at {status['site']}, epoch {status['epoch']}, {status['software']}",
        f"journal  {journal['size']} records, {journal['unreceipted']} without receipt",
        f"backlog  {backlog['records']} records, {backlog['segments']} segments, {backlog['bytes'] >> 20} MiB",
        f"disk     {disk['state']}, {disk['free_bytes'] >> 20} MiB free",
        f"hub      {hub['transport']}, {'connected' if hub['up'] else 'not connected'}{': ' + hub['reason'] if hub['reason'] else ''}",
        f"clock    {clock['sync']}, {clock['wall']}, offset to the hub {_offset(clock['hub_offset_ms'])}",
    ]
    certificate = status.get("certificate")
    if certificate:
        lines.append(f"TLS      {certificate['state']}, {certificate['detail']}")
    lines += [
        f"{each['source']:<12} {each['state']:<10} {each['bitrate'] / 1e6:5.1f} Mbit/s  lost {each['lost']}"
        f"  {each['task'] or ''} {each['detail']}"
        for each in status["sources"]
    ]
    return "\n".join([*lines, *(f"fault: {fault}" for fault in status["faults"])])


def _offset(milliseconds: int | None) -> str:
    return f"{milliseconds} ms" if milliseconds is not None else "not known yet"
