"""Name the MQTT topics and the device port's paths; the broker's access rules and the AsyncAPI file are made from these.

    v1/{site}/{box}/journal   box -> hub   JournalBatch, in order
    v1/{site}/{box}/reply     box -> hub   Reply, Claim
    v1/{site}/{box}/state     box -> hub   BoxReport, retained; the broker's will says offline
    v1/{site}/{box}/ack       hub -> box   Persisted, StoredBlobs, Receipt, Resend, Beacon
    v1/{site}/{box}/cmd       hub -> box   Pair, EndTask, Live, Refusal

The certificate's common name is the box id, so that a broker grants `v1/+/%u/...` and nothing else.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from protocol.errors import MalformedError
from protocol.identifiers import BoxId, SiteId

Channel = Literal["journal", "reply", "state", "ack", "cmd"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
FROM_BOX: tuple[Channel, ...] = ("journal", "reply", "state")
TO_BOX: tuple[Channel, ...] = ("ack", "cmd")

PATH_JOURNAL = "/device/v1/journal"  # POST JournalBatch, or Reply, or BoxReport -> array of messages waiting for the box
PATH_MAIL = "/device/v1/mail"  # GET ?wait=SECONDS -> array of messages waiting for the box (long poll)
PATH_BLOBS = "/device/v1/blobs"  # PUT {path}/{sha256 hex} -> StoredBlobs
PATH_RENEWALS = "/device/v1/renewals"  # POST a TLS certificate request -> its name; GET {path}/{name} -> how it stands
PATH_WHIP = "/device/v1/whip"  # POST {path}/{source} SDP offer -> SDP answer; DELETE the location
PATH_ENROL = "/enrol/v1"  # on the browser port, before a box has a certificate


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic by its parts."""

    site: SiteId
    box: BoxId
    channel: Channel

    def __str__(self) -> str:
        return f"v1/{self.site}/{self.box}/{self.channel}"

    @classmethod
    def parse(cls, text: str) -> "Topic":
        """Read a topic; raise MalformedError when it is none of ours."""
        parts = text.split("/")
        if len(parts) != 4 or parts[0] != "v1" or parts[3] not in CHANNELS:
            raise MalformedError(f"{text[:80]!r} is no topic", where="topic")
        return cls(SiteId(parts[1]), BoxId(parts[2]), parts[3])
