"""Hold what a verifier trusts, given to it from outside of what it verifies.

The root's fingerprint, the port log's verifier key, and the witnesses: k of n keys (`witnesses`, `quorum`), or a whole policy
with groups (`policy`, the text of a c2sp.org/tlog-policy file); and, where there are any, the anchors of the time authorities
whose tokens count (`time_authorities`, PEM), and the keys that answer for draws (`draw_keys`, name to hex). As a file it is JSON with
exactly these keys; a site CA can sign it (`sign`), so that a box enrolled by the root's fingerprint alone learns the log's key from its
CA and not from the hub.
"""

import json
import re
from dataclasses import dataclass

from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import HubId, SiteId
from protocol.notes import COSIGNATURE, COSIGNATURES, ED25519, NoteKey, SignedCheckpoint, has_signed
from protocol.policies import Log, Policy, Witness
from protocol.signatures import PublicKey, Signer, open1, sign1
from protocol.timestamps import encode_anchors, parse_anchors

MAX_TRUST_BYTES = 131_072  # a policy of 32 witnesses with ML-DSA-44 keys
MAX_SECONDS = 2**34  # the year 2514
_KEYS = {"site", "hub", "root_sha256", "log", "witnesses", "quorum"}
_OPTIONAL = {"policy", "time_authorities", "draw_keys"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def log_origin(site: str, hub: str) -> str:
    """Give the origin line of a port log's checkpoints."""
    return f"portwitness.port/{site}/{hub}"


@dataclass(frozen=True, slots=True)
class Trust:
    """A site's root fingerprint, its hub's log key, and k of n witnesses whose cosignatures a checkpoint needs."""

    site: SiteId
    hub: HubId
    root_sha256: str
    log: NoteKey
    witnesses: tuple[NoteKey, ...] = ()
    quorum: int = 0
    policy: Policy | None = None
    time_authorities: tuple[bytes, ...] = ()  # DER anchors of RFC 3161 tokens
    draw_keys: tuple[tuple[str, bytes], ...] = ()  # VRF keys of the parties that answer for draws, by name

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.root_sha256):
            raise MalformedError("not 64 lower-case hex digits", where="trust.root_sha256")
        if self.log.kind != ED25519 or self.log.name != log_origin(self.site, self.hub):
            raise MalformedError(f"log key is of {self.log.name!r}, expected {log_origin(self.site, self.hub)!r}", where="trust.log")
        if any(witness.kind not in COSIGNATURES or witness.public == self.log.public for witness in self.witnesses):
            raise MalformedError("a witness key is not a cosignature key, or is the log's own", where="trust.witnesses")
        if self.policy is not None and (self.witnesses or self.quorum or self.log not in [log.key for log in self.policy.logs]):
            raise MalformedError("stands beside witnesses or a quorum, or does not list the log's key", where="trust.policy")
        if not 0 <= self.quorum <= len({witness.public.spki for witness in self.witnesses}):
            raise MalformedError(f"quorum {self.quorum} of {len(self.witnesses)} witnesses", where="trust.quorum")

    @property
    def rule(self) -> Policy:
        """Give the policy that checkpoints are judged by, however it was given."""
        if self.policy is not None:
            return self.policy
        distinct = {witness.public.spki: witness for witness in self.witnesses}.values()
        return Policy.threshold(self.quorum, (Witness(f"witness-{at}", key) for at, key in enumerate(distinct, 1)), (Log(self.log),))

    @property
    def clock(self) -> NoteKey:
        """Give the key of the hub's own timestamped cosignature."""
        return NoteKey(f"{self.log.name}/time", COSIGNATURE, self.log.public)

    @classmethod
    def parse(cls, data: bytes) -> "Trust":
        """Read a trust file; raise MalformedError naming the key that is wrong."""
        fields = _load(data)
        witnesses, quorum = fields["witnesses"], fields["quorum"]
        if not isinstance(witnesses, list) or len(witnesses) > 64:
            raise MalformedError("not a list of at most 64 keys", where="trust.witnesses")
        if type(quorum) is not int:
            raise MalformedError("not a whole number", where="trust.quorum")
        texts = {name: _text(fields[name], name) for name in ("site", "hub", "root_sha256", "log")}
        keys = tuple(NoteKey.parse(_text(witness, "witnesses")) for witness in witnesses)
        policy = Policy.parse(_text(fields["policy"], "policy").encode("utf-8", "replace")) if "policy" in fields else None
        site, hub = SiteId(texts["site"]), HubId(texts["hub"])
        pem = _text(fields["time_authorities"], "time_authorities") if "time_authorities" in fields else ""
        anchors = parse_anchors(pem.encode("utf-8", "replace")) if pem else ()
        return cls(site, hub, texts["root_sha256"].lower(), NoteKey.parse(texts["log"]), keys, quorum, policy, anchors, _draw_keys(fields))

    def encode(self) -> bytes:
        """Give the trust file."""
        fields = {
            "site": self.site,
            "hub": self.hub,
            "root_sha256": self.root_sha256,
            "log": self.log.vkey(),
            "witnesses": [witness.vkey() for witness in self.witnesses],
            "quorum": self.quorum,
        }
        if self.policy is not None:
            fields["policy"] = self.policy.encode().decode("utf-8", "replace")
        if self.time_authorities:
            fields["time_authorities"] = encode_anchors(self.time_authorities)
        if self.draw_keys:
            fields["draw_keys"] = {name: key.hex() for name, key in self.draw_keys}
        return (json.dumps(fields, indent=2) + "\n").encode()

    def sign(self, signer: Signer) -> bytes:
        """Give the trust file signed by a site CA."""
        return sign1(self.encode(), signer)

    @classmethod
    def verify(cls, data: bytes, authority: PublicKey) -> "Trust":
        """Read what `sign` gave; raise VerificationError when `authority` did not sign it."""
        envelope = open1(data)
        envelope.verify(authority)
        return cls.parse(envelope.payload)

    def check_checkpoint(self, signed: SignedCheckpoint) -> int | None:
        """Check the log's signature and the witnesses' quorum; give the hub's own time in Unix s, if it cosigned.

        Raises VerificationError.
        """
        signed.verify(self.log, origin=self.log.name)
        self.check_quorum(signed)
        seconds = signed.verify(self.clock, origin=self.log.name) if has_signed(signed.note, self.clock) else None
        if seconds is not None and seconds > MAX_SECONDS:
            raise VerificationError(f"cosigned at {seconds} s after 1970, which is no time", where="checkpoint")
        return seconds

    def check_quorum(self, signed: SignedCheckpoint) -> None:
        """Check the cosignatures of the witnesses and that they are a quorum; raise VerificationError."""
        agreed = self.rule.agreed(signed)
        if not self.rule.is_met(agreed):
            asked = f"the policy asks for {self.quorum}" if self.policy is None else "which are no quorum of the policy"
            raise VerificationError(f"cosigned by {len(agreed)} witnesses, {asked}", where="checkpoint")


def _load(data: bytes) -> dict[str, object]:
    if len(data) > MAX_TRUST_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_TRUST_BYTES}", where="trust")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON", where="trust") from error
    if not isinstance(fields, dict) or set(fields) - _OPTIONAL != _KEYS:
        raise MalformedError(f"keys are not exactly {', '.join(sorted(_KEYS))}", where="trust")
    return fields


def _draw_keys(fields: dict[str, object]) -> tuple[tuple[str, bytes], ...]:
    found = fields.get("draw_keys", {})
    if not isinstance(found, dict) or len(found) > 64:
        raise MalformedError("not an object of at most 64 names", where="trust.draw_keys")
    for name, key in found.items():
        if not isinstance(key, str) or not _SHA256.fullmatch(key):
            raise MalformedError(f"the key of {name[:64]} is not 64 lower-case hex digits", where="trust.draw_keys")
    return tuple((name, bytes.fromhex(key)) for name, key in found.items())


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedError("not text", where=f"trust.{name}")
    return value
