"""Files that people send in parts: announce, send from an offset, ask how it stands, fetch.

A body is passed on as it comes; what came before a cut is kept. Inside roles may fetch every file, traders and partners their own.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse

from hub.access import PARTIES, Role
from hub.app import Hub
from hub.files import FileState, Manifest
from protocol.errors import MalformedError, UnavailableError
from web import file_schemas as schemas
from web.api_playback import hash_of
from web.guards import ALL_ROLES, Caller, TheHub, need_role

router = APIRouter(prefix="/files", tags=["files"])
STALL_S = 30.0
Sending = Annotated[Caller, Depends(need_role(*get_args(Role)))]
_TYPES: tuple[tuple[int, bytes, str], ...] = (  # by what the bytes are, never by what a name says; nothing that could run
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"%PDF-", "application/pdf"),
)


@router.post("", summary="Announce a file")
async def announce(ask: schemas.FileAsk, caller: Sending, hub: TheHub) -> schemas.FileAnswer:
    """Say size and SHA-256 of a file before its first byte; the answer says from where to send it. Announced again it is the same."""
    manifest = Manifest(hash_of(ask.sha256), ask.size, ask.name.strip(), ask.kind, ask.about.strip())
    return _shape(await hub.files.announce(owner_of(caller), manifest, trusted=caller.role in ALL_ROLES))


@router.put("/{sha256}", summary="Send a part of a file")
async def put_part(
    sha256: str, request: Request, caller: Sending, hub: TheHub, offset: Annotated[int, Query(ge=0, le=2**40)] = 0
) -> schemas.FileAnswer:
    """Take the bytes of the body from `offset` on. The whole counts once all of it hashes to its name."""
    return _shape(await hub.files.put_part(owner_of(caller), hash_of(sha256), offset, _pieces(request)))


@router.get("/{sha256}", summary="Get how a file stands")
async def get_file(sha256: str, caller: Sending, hub: TheHub) -> schemas.FileAnswer:
    """Tell how much of a file is here; of one's own first."""
    return _shape(await _seen(hub, caller, hash_of(sha256)))


@router.get("/{sha256}/content", response_class=FileResponse, summary="Fetch a stored file")
async def get_content(sha256: str, caller: Sending, hub: TheHub) -> FileResponse:
    """Give the bytes of a stored file."""
    seen = await _seen(hub, caller, hash_of(sha256))
    state, path = await hub.files.open(seen.sha256, None if caller.role in ALL_ROLES else owner_of(caller))
    kind = await asyncio.to_thread(_media_type, path)
    shown = "inline" if kind.startswith(("image/", "audio/", "video/")) else "attachment"
    headers = {"Cache-Control": "private, max-age=3600, immutable", "Vary": "Cookie, Authorization", "ETag": f'"{sha256}"'}
    return FileResponse(path, media_type=kind, filename=state.name, content_disposition_type=shown, headers=headers)


def owner_of(caller: Caller) -> str:
    """Give whose files those of a caller are: a trader's or partner's belong to the party, others to the person."""
    return f"party:{caller.party}" if caller.role in PARTIES else str(caller.person)


async def _seen(hub: Hub, caller: Caller, sha256: bytes) -> FileState:
    if caller.role in ALL_ROLES:
        return await hub.files.state(sha256)
    return await hub.files.state(sha256, owner_of(caller))


def _media_type(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    return next((kind for at, mark, kind in _TYPES if head[at : at + len(mark)] == mark), "application/octet-stream")


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Give a body as it comes; raise UnavailableError when the sender stalls, MalformedError when the connection is cut."""
    more = True
    while more:
        try:
            async with asyncio.timeout(STALL_S):
                message = await request.receive()
        except TimeoutError as error:
            raise UnavailableError(f"nothing came for {STALL_S:.0f} s", where="files") from error
        if message["type"] == "http.disconnect":
            raise MalformedError("was cut: what came is kept", where="files")
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk


def _shape(state: FileState) -> schemas.FileAnswer:
    return schemas.FileAnswer(
        sha256=state.sha256.hex(),
        size=state.size,
        name=state.name,
        kind=state.kind,
        about=state.about,
        state=state.state,
        have_bytes=state.have_bytes,
    )
