"""Read the JSON documents that other people's systems send, which may be cut off, doubled, in a foreign charset or made to harm.

Guarantees: what passes has one meaning: UTF-8, no member given twice, no number that JSON does not have; every refusal says what is
wrong and where; time and memory are bounded by the size that `web.bounds` lets in.
"""

import asyncio
import json
import re
from typing import Annotated, Any

from fastapi import Depends, Request

from protocol.errors import MalformedError

_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
_BESIDE_THE_LOOP = 65_536  # bytes; what is shorter is read at once


async def json_of(request: Request) -> Any:  # noqa: ANN401 - JSON
    """Give a request's document; raise MalformedError saying why it is none."""
    kind = request.headers.get("content-type", "application/json")
    if not re.match(r"application/([\w.+-]+\+)?json\b", kind, re.IGNORECASE):
        raise MalformedError("is no JSON by its content type; send application/json", where="document")
    charset = _CHARSET.search(kind)
    if charset is not None and charset[1].lower() not in _UTF_8:
        raise MalformedError(f"is written in {charset[1][:20]}; send UTF-8", where="document")
    body = await request.body()
    return read_json(body) if len(body) < _BESIDE_THE_LOOP else await asyncio.to_thread(read_json, body)


def read_json(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """Read a document; raise MalformedError naming the place of what is wrong."""
    try:
        return json.loads(body.decode("utf-8", "strict"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise MalformedError(f"is not UTF-8 at byte {error.start}; another character set is not read", where="document") from error
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
            raise MalformedError(f"ends too early, in line {error.lineno}: it was cut off", where="document") from error
        raise MalformedError(f"is no JSON at line {error.lineno}, column {error.colno}", where="document") from error
    except RecursionError as error:
        raise MalformedError("is nested too deeply", where="document") from error
    except ValueError as error:  # a number of thousands of digits
        raise MalformedError("holds a number that is too long", where="document") from error


def version_of(ask: Any) -> tuple[Any, str, int | None]:  # noqa: ANN401 - JSON
    """Take a new version apart: `{"form", "reason", "after": the version it was written from}`; raise MalformedError for anything else."""
    if not isinstance(ask, dict) or not set(ask) <= {"form", "reason", "after"}:
        raise MalformedError("is no object of form, reason and after", where="document")
    reason, after = ask.get("reason", ""), ask.get("after")
    if not isinstance(reason, str):
        raise MalformedError("is no text", where="reason")
    if after is not None and (isinstance(after, bool) or not isinstance(after, int)):
        raise MalformedError("is no version", where="after")
    return ask.get("form"), reason, after


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedError(f"gives the member {twice[:60]!r} twice", where="document")
    return found


def _constant(text: str) -> float:
    raise MalformedError(f"holds {text}, which JSON does not have", where="document")


Document = Annotated[Any, Depends(json_of)]
