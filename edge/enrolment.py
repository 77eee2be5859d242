"""Enrol this box: keys made here, certificates asked for with a one-time token, nothing believed but the root's fingerprint.

Guarantees: private keys never leave the box; what the hub answers counts only if it chains to the root whose fingerprint came
with the token, and names this box, this site and these keys; the log's key is taken from the trust file that the site CA signed.
A run that was interrupted goes on where it stopped; `box.json` is written last and says that all is there.
"""

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.renewal import TLS, TLS_KEY
from protocol.certificates import Identity, encode_pem, make_request
from protocol.errors import MalformedError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import BoxId, SiteId
from protocol.instants import SECOND_NS, Clock
from protocol.issuance import Issued, Request
from protocol.topics import PATH_ENROL
from protocol.trust import Trust
from storage.hub_calls import call_json
from storage.key_tokens import load_or_create_identity
from storage.keys import PRIVATE, replace_whole, write_new

IDENTITY_KEY, IDENTITY = "identity.key", "identity.pem"
CHAIN, TRUST, BOX = "chain.pem", "trust.json", "box.json"
POLL_S = 2.0
_MAX_FILE = 65_536


@dataclass(frozen=True, slots=True)
class EnrolmentPlan:
    """What the installer gives: who this box is, the hub's address, the token, the root's fingerprint, where keys go.

    `authority`: PEM file for the hub's browser port, when its certificate is not a public one.
    """

    box: BoxId
    site: SiteId
    hub: str
    token: str
    root_sha256: str
    state: Path
    authority: Path | None = None
    timeout_s: float = 3600.0
    identity: str = "file"  # where the identity key is made, as the setting keys.identity says

    @property
    def keys(self) -> Path:
        """Give the key folder."""
        return self.state / "keys"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who this box is, as `box.json` keeps it."""

    box: BoxId
    site: SiteId
    hub_id: str
    hub_device_url: str
    hub_mqtt_url: str | None
    log_vkey: str

    def encode(self) -> bytes:
        """Give the file."""
        fields = {
            "box": self.box,
            "site": self.site,
            "hub_id": self.hub_id,
            "hub_device_url": self.hub_device_url,
            "hub_mqtt_url": self.hub_mqtt_url,
            "log_vkey": self.log_vkey,
        }
        return (json.dumps(fields, indent=2) + "\n").encode()


def read_enrolled(state: Path) -> Enrolled:
    """Read `box.json`; raise StorageError when the box is not enrolled, MalformedError when the file is wrong."""
    path = state / "keys" / BOX
    fields = _read(path)
    try:
        device, mqtt, log, hub = fields["hub_device_url"], fields["hub_mqtt_url"], fields["log_vkey"], fields["hub_id"]
        return Enrolled(BoxId(fields["box"]), SiteId(fields["site"]), str(hub), str(device), None if mqtt is None else str(mqtt), str(log))
    except (KeyError, TypeError) as error:
        raise MalformedError(f"lacks {error}", where=str(path)) from error


def enrol(plan: EnrolmentPlan, clock: Clock, say: Callable[[str], None], wait: Callable[[float], object] | None = None) -> Enrolled:
    """Enrol the box; `say` takes a line on each step, `wait` pauses between questions.

    Raises RefusedError when refused or enrolled already, UnavailableError when nobody approved in time, VerificationError when the
    answer does not chain to the root.
    """
    if (plan.keys / BOX).exists():
        raise RefusedError("this box is enrolled already; use another state folder, or remove its keys", where=str(plan.keys / BOX))
    _check_address(plan.hub)
    request = _prepare(plan)
    named = _ask(plan, request)
    say(f"request {named} waits for approval (portwitness-ca approve {named} ...)")
    answer = _await(plan, named, clock, wait or threading.Event().wait)
    issued = Issued.parse(_text(answer, "certificates"))
    trust = issued.check(request, root_sha256=plan.root_sha256, at_ns=clock.now().wall_ns)
    enrolled = _keep(plan, issued, trust, answer)
    say(f"{enrolled.box} is enrolled at {enrolled.site} with {enrolled.hub_id}")
    return enrolled


def _check_address(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise RefusedError("a token goes over https only (plain http on this machine)", where=f"--hub {url[:120]}")


def _prepare(plan: EnrolmentPlan) -> Request:
    """Make or take up keys and requests: the same are sent again after an interruption."""
    identity = Identity(plan.site, plan.box)
    requests = []
    for key_name in (IDENTITY_KEY, TLS_KEY):
        setting = plan.identity if key_name == IDENTITY_KEY else "file"
        signer = load_or_create_identity(setting, plan.keys / key_name)
        path = (plan.keys / key_name).with_suffix(".csr")
        if not path.exists():
            write_new(path, make_request(signer, identity))
        requests.append(path.read_bytes())
    request = Request("", identity, requests[0], requests[1])
    request.check()
    return request


def _ask(plan: EnrolmentPlan, request: Request) -> str:
    value = {**request.encode(), "token": plan.token}
    del value["request"], value["site"]
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    url = f"{plan.hub.rstrip('/')}{PATH_ENROL}/requests"
    call = urllib.request.Request(url, json.dumps(value).encode(), headers, method="POST")  # noqa: S310 - checked
    return _text(call_json(call, plan.authority), "request")


def _await(plan: EnrolmentPlan, named: str, clock: Clock, wait: Callable[[float], object]) -> dict[str, Any]:
    """Ask until the request is decided."""
    query = urllib.parse.urlencode({"token": plan.token})
    url = f"{plan.hub.rstrip('/')}{PATH_ENROL}/requests/{urllib.parse.quote(named, safe='')}?{query}"
    end = clock.monotonic_ns() + int(plan.timeout_s * SECOND_NS)
    trouble = "nobody approved it"
    while clock.monotonic_ns() < end:
        try:
            answer = call_json(urllib.request.Request(url), plan.authority)  # noqa: S310 - checked
        except UnavailableError as error:
            answer, trouble = {"state": "waiting"}, str(error)
        if answer.get("state") == "issued":
            return answer
        if answer.get("state") == "refused":
            raise RefusedError(f"refused: {answer.get('reason') or 'no reason given'}", where=f"request {named}")
        wait(POLL_S)
    raise UnavailableError(f"{trouble} within {plan.timeout_s:.0f} s; run the same command again", where=f"request {named}")


def _keep(plan: EnrolmentPlan, issued: Issued, trust: Trust, answer: dict[str, Any]) -> Enrolled:
    if issued.identity is None:
        raise MalformedError("holds no identity certificate", where="issued certificates")
    mqtt = answer.get("hub_mqtt_url")
    device = _text(answer, "hub_device_url")
    enrolled = Enrolled(plan.box, plan.site, trust.hub, device, mqtt if isinstance(mqtt, str) else None, trust.log.vkey())
    replace_whole(plan.keys / IDENTITY, encode_pem([issued.identity, issued.site_ca]))
    pair = (plan.keys / TLS_KEY).read_bytes() + encode_pem([issued.tls, issued.site_ca])  # one file: a renewal replaces it whole
    replace_whole(plan.keys / TLS, pair, PRIVATE)
    replace_whole(plan.keys / CHAIN, encode_pem([issued.site_ca, issued.root]))
    replace_whole(plan.keys / TRUST, trust.encode())
    replace_whole(plan.keys / BOX, enrolled.encode())
    return enrolled


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"the hub's answer lacks {name}", where="enrolment")
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_FILE))
    except OSError as error:
        raise StorageError(f"this box is not enrolled ({error.strerror}); run `portwitness-edge enrol`", where=str(path)) from error
    except ValueError as error:
        raise MalformedError("not JSON", where=str(path)) from error
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object", where=str(path))
    return value
