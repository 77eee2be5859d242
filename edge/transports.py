"""What carries messages between box and hub; the outbox does not care which."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from protocol.topics import Channel

Inbox = Callable[[bytes], None]
"""Takes one encoded message from the hub; called on the event loop."""

MAX_ANSWER_BYTES = 4 << 20


class Transport(Protocol):
    """Carries records, replies and reports to the hub, and everything else back."""

    @property
    def name(self) -> str:
        """Give `mqtt` or `https`."""

    @property
    def is_up(self) -> bool:
        """Tell whether the other side answered lately."""

    @property
    def last_error(self) -> str:
        """Say why it did not, empty when nothing failed yet."""

    async def run(self, inbox: Inbox) -> None:
        """Stay connected and hand over what comes, until cancelled."""

    def refresh(self) -> None:
        """Make connections anew with the key and certificate that are in place now; nothing that was sent is lost."""

    async def send(self, channel: Channel, message: bytes) -> None:
        """Send one message; raise UnavailableError when it did not arrive, RefusedError when it is not wanted."""


class BlobDoor(Protocol):
    """Takes blobs by their hash."""

    async def put(self, sha256: bytes, path: Path, size: int) -> bytes:
        """Upload a file and give the hub's encoded answer.

        Raises UnavailableError to try again, RefusedError when this blob is not wanted as it is, StorageError for our own file.
        """
