"""Describe the JSON about files that people send in parts; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas import Shape


class FileAsk(Shape):
    """What a file will be, before its first byte."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=1, le=2**40, strict=True)]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Literal["photo", "audio", "video", "signature", "document"]
    about: Annotated[str, Field(max_length=200)] = ""


class FileAnswer(Shape):
    """A file as it stands: send the next part from `have_bytes` on, until it is `stored`."""

    sha256: str
    size: int
    name: str
    kind: str
    about: str
    state: Literal["announced", "stored", "disposed"]
    have_bytes: int
