"""Be the site's certificate authority: the program `portwitness-ca`, apart from the serving hub.

Guarantees: keys stay in its own folder; it checks itself what it signs (proof of possession, names, P-256) and whoever runs the
hub cannot make it sign unseen; what it signed is in its ledger. The root key is needed once, at `init`, and can then be moved
offline. Imports `protocol` and `storage` only.
"""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from protocol.certificates import (
    EXPORT_NS,
    IDENTITY_NS,
    ROOT_NS,
    SITE_CA_NS,
    TLS_NS,
    Authority,
    Certificate,
    Identity,
    Validity,
    encode_pem,
    issue_box,
    issue_crl,
    issue_exporter,
    issue_port,
    issue_root,
    issue_site_ca,
    parse_pem,
)
from protocol.drawing import vrf
from protocol.drawing.policy import check_token
from protocol.errors import MalformedError, PortwitnessError, RefusedError, StorageError, VerificationError
from protocol.identifiers import BoxId, HubId, SiteId
from protocol.instants import SECOND_NS, Clock, iso
from protocol.issuance import Issued, Request, decode_request
from protocol.notes import NoteKey
from protocol.policies import MAX_POLICY_BYTES, Log, Policy
from protocol.timestamps import parse_anchors
from protocol.trust import MAX_TRUST_BYTES, Trust
from storage.clock import SystemClock
from storage.files import read_file
from storage.hub_calls import HubCalls
from storage.keys import PUBLIC, create_p256, load_p256, replace_whole, write_new

_ROOT_KEY, _SITE_KEY = "root.key", "site.key"
_ROOT, _SITE = "root.pem", "site.pem"
_PORTS = ("device", "broker", "client")  # of the hub: for boxes, for the broker, and as the broker's client
_LEDGER, _PIN, _POLICY = "ledger.jsonl", "log.vkey", "policy.txt"
_EXPORT_KEY, _EXPORT, _EXPORTER = "export.key", "export.pem", "export certificate"
_IDENTITY, _TLS, _REVOKED = "identity certificate", "TLS certificate", "revoked"
_MAX_FILE = 1 << 20
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SiteAuthority:
    """The key store of one site's CA: a folder."""

    folder: Path
    clock: Clock

    def init(self, site: SiteId) -> Answer:
        """Make the root and the site CA; raise StorageError when there is one already."""
        root_key = create_p256(self.folder / _ROOT_KEY)
        site_key = create_p256(self.folder / _SITE_KEY)
        root = issue_root(root_key, site, self._validity(ROOT_NS))
        site_ca = issue_site_ca(site_key.public, site, Authority(root, root_key), self._validity(SITE_CA_NS))
        write_new(self.folder / _ROOT, root.pem(), PUBLIC)
        write_new(self.folder / _SITE, site_ca.pem(), PUBLIC)
        self._note("init", site_ca, site)
        return {"site": site, "root_sha256": root.fingerprint, "root_key": str(self.folder / _ROOT_KEY)}

    def server(self, hub: HubId, names: Sequence[str], out: Path) -> Answer:
        """Make keys and certificates of the hub's device port, of the broker, and of the hub as the broker's client."""
        authority, root = self._authority(), self._root()
        made = {}
        for name, hosts in zip(_PORTS, (names, names, ()), strict=True):
            key = create_p256(out / f"{name}.key")
            certificate = issue_port(key.public, hub, hosts, authority, self._validity(TLS_NS))
            write_new(out / f"{name}.pem", encode_pem([certificate, authority.certificate]), PUBLIC)
            self._note(f"{name} certificate", certificate, hub)
            made[name] = certificate.fingerprint
        if not (out / _EXPORT_KEY).exists():  # it lives longer than the certificates of ports
            made["export"] = self._exporter(hub, out)
        replace_whole(out / _SITE, encode_pem([authority.certificate, root]))
        return {"hub": hub, "folder": str(out), "certificates": made, "root_sha256": root.fingerprint}

    def exporter(self, hub: HubId, out: Path) -> Answer:
        """Make the key with which a hub signs its exports, and its certificate; an older one is put aside."""
        for name in (_EXPORT_KEY, _EXPORT):
            if (out / name).exists():
                (out / name).replace(out / f"{name}.old")
        return {"hub": hub, "folder": str(out), "export": self._exporter(hub, out)}

    def _exporter(self, hub: HubId, out: Path) -> str:
        authority, key = self._authority(), create_p256(out / _EXPORT_KEY)
        certificate = issue_exporter(key.public, authority.certificate.site, hub, authority, self._validity(EXPORT_NS))
        write_new(out / _EXPORT, encode_pem([certificate, authority.certificate]), PUBLIC)
        self._note(_EXPORTER, certificate, hub)
        return certificate.fingerprint

    def revoke_exporter(self, hub: HubId, reason: str) -> None:
        """Note that the export certificates of a hub count no more; raise RefusedError when none was issued since the last time."""
        acts = [line["act"] for line in self._ledger() if line["subject"] == hub and line["act"] in (_EXPORTER, _REVOKED)]
        if acts[-1:] != [_EXPORTER]:
            raise RefusedError("has no export certificate that counts in the ledger", where=f"hub {hub}")
        self._append({"at": iso(self.clock.now().wall_ns), "act": _REVOKED, "subject": hub, "reason": reason[:400]})

    def sign(self, request: Request, hub: HubId, log: NoteKey) -> Issued:
        """Check a box's request and issue its certificates; raise MalformedError or VerificationError when it is wrong."""
        authority, root = self._authority(), self._root()
        if request.identity.site != authority.certificate.site:
            raise RefusedError(f"this is the CA of {authority.certificate.site}", where=f"request of {request.identity.urn()}")
        signing, tls = request.check()
        if signing is None and self._last_act(request.identity) != _IDENTITY:
            raise RefusedError("no identity certificate of this box stands in the ledger, or it was revoked since", where="renewal")
        self._pin(log)
        identity = None
        if signing is not None:
            identity = issue_box(signing, request.identity, "records", authority, self._validity(IDENTITY_NS))
            self._note(_IDENTITY, identity, request.identity.urn())
        client = issue_box(tls, request.identity, "client", authority, self._validity(TLS_NS))
        self._note(_TLS, client, request.identity.urn())
        trust = Trust(request.identity.site, hub, root.fingerprint, log, policy=self._policy(log))
        return Issued(identity, client, authority.certificate, root, trust.sign(authority.signer))

    def trust(self, hub: HubId) -> Trust:
        """Give the trust file, once the hub's log key is pinned; raise StorageError before."""
        root = self._root()
        try:
            text = (self.folder / _PIN).read_text()
        except OSError as error:
            raise StorageError(
                "no log key is pinned yet: `portwitness-ca pin` with the log key that `portwitness-hub init` printed",
                where=str(self.folder / _PIN),
            ) from error
        log = NoteKey.parse(text)
        return Trust(root.site, hub, root.fingerprint, log, policy=self._policy(log))

    def keep_policy(self, data: bytes) -> Policy:
        """Keep the witness policy that goes into every trust file from now on; raise MalformedError when it is none."""
        policy = Policy.parse(data)
        replace_whole(self.folder / _POLICY, policy.encode())
        return policy

    def _policy(self, log: NoteKey) -> Policy | None:
        path = self.folder / _POLICY
        if not path.exists():
            return None
        policy = Policy.parse(read_file(path, MAX_POLICY_BYTES))
        return policy if policy.logs else replace(policy, logs=(Log(log),))

    def pin(self, log: NoteKey) -> Answer:
        """Pin the hub's log key; raise RefusedError when another is pinned."""
        self._pin(log)
        return {"log": log.vkey()}

    def revoke(self, box: BoxId, reason: str) -> None:
        """Note that the certificates of a box count no more; raise RefusedError when none was issued or all were revoked before."""
        identity = Identity(self._certificate(_SITE).site, box)
        if self._last_act(identity) != _IDENTITY:
            raise RefusedError("has no certificate that counts in the ledger", where=identity.urn())
        self._append({"at": iso(self.clock.now().wall_ns), "act": _REVOKED, "subject": identity.urn(), "reason": reason[:400]})

    def crl(self) -> bytes:
        """Give the signed list of revoked certificates (RFC 5280 §5, PEM): each that was issued to a box before its revocation."""
        authority, lines = self._authority(), self._ledger()
        found: dict[int, int] = {}
        for at, line in enumerate(lines):
            if line["act"] == _REVOKED:
                mine = (one for one in lines[:at] if one["subject"] == line["subject"] and one["act"] in (_IDENTITY, _TLS, _EXPORTER))
                for one in mine:
                    found.setdefault(int(one["serial"], 16), int(datetime.fromisoformat(line["at"]).timestamp()) * SECOND_NS)
        return issue_crl(authority, found, len(lines), self.clock.now().wall_ns)

    def _last_act(self, identity: Identity) -> str | None:
        """Give what happened to a box last: its identity was certified, or it was revoked."""
        acts = [line["act"] for line in self._ledger() if line["subject"] == identity.urn() and line["act"] in (_IDENTITY, _REVOKED)]
        return acts[-1] if acts else None

    def _pin(self, log: NoteKey) -> None:
        path = self.folder / _PIN
        if not path.exists():
            write_new(path, (log.vkey() + "\n").encode(), PUBLIC)
        elif path.read_text().strip() != log.vkey():
            raise RefusedError(f"another log key is pinned; if the hub's key changed on purpose, remove {path}", where="log key")

    def _authority(self) -> Authority:
        return Authority(self._certificate(_SITE), load_p256(self.folder / _SITE_KEY))

    def _root(self) -> Certificate:
        return self._certificate(_ROOT)

    def _certificate(self, name: str) -> Certificate:
        try:
            return parse_pem((self.folder / name).read_bytes())[0]
        except OSError as error:
            raise StorageError(
                f"cannot read it: {error.strerror} (run `portwitness-ca init` first)", where=str(self.folder / name)
            ) from error

    def _validity(self, length_ns: int) -> Validity:
        return Validity.backdated(self.clock.now().wall_ns, length_ns, secrets.randbits(158) | 1)

    def _note(self, act: str, certificate: Certificate, subject: str) -> None:
        """Append to the ledger, flushed, before the certificate leaves the house."""
        line = {
            "at": iso(self.clock.now().wall_ns),
            "act": act,
            "subject": subject,
            "serial": certificate.serial,
            "sha256": certificate.fingerprint,
            "not_after": iso(certificate.not_after_ns),
        }
        self._append(line)

    def _append(self, line: dict[str, str]) -> None:
        path = self.folder / _LEDGER
        known = path.read_bytes() if path.exists() else b""
        replace_whole(path, known + json.dumps(line).encode() + b"\n")

    def _ledger(self) -> list[dict[str, str]]:
        path = self.folder / _LEDGER
        try:
            return [dict(json.loads(line)) for line in path.read_text().splitlines()]
        except OSError as error:
            raise StorageError(f"cannot read it: {error.strerror} (run `portwitness-ca init` first)", where=str(path)) from error
        except ValueError as error:
            raise MalformedError("holds a line that is not JSON", where=str(path)) from error


@dataclass(frozen=True, slots=True)
class Commands:
    """What each command does; each gives what is printed."""

    clock: Clock

    def init(self, options: argparse.Namespace) -> Answer:
        """Make root and site CA."""
        return self._store(options).init(SiteId(options.site))

    def server(self, options: argparse.Namespace) -> Answer:
        """Make the hub's certificates."""
        if options.replace:
            _set_aside(options.out)
        return self._store(options).server(HubId(options.hub), options.name or ["127.0.0.1", "localhost"], options.out)

    def exporter(self, options: argparse.Namespace) -> Answer:
        """Make the hub's export key and its certificate anew."""
        return self._store(options).exporter(HubId(options.hub), options.out)

    def pin(self, options: argparse.Namespace) -> Answer:
        """Pin the hub's log key."""
        return self._store(options).pin(NoteKey.parse(options.log))

    def witnesses(self, options: argparse.Namespace) -> Answer:
        """Keep the policy of outside witnesses that boxes and verifiers are given."""
        policy = self._store(options).keep_policy(read_file(options.policy, MAX_POLICY_BYTES))
        return {"witnesses": [witness.name for witness in policy.witnesses], "quorum": policy.quorum}

    def trust(self, options: argparse.Namespace) -> Answer:
        """Write the trust file."""
        trust = self._store(options).trust(HubId(options.hub))
        if options.time_authorities is not None:
            trust = replace(trust, time_authorities=parse_anchors(read_file(options.time_authorities, MAX_TRUST_BYTES)))
        if options.draw_key:
            trust = replace(trust, draw_keys=tuple(_draw_key(text) for text in options.draw_key))
        if options.out is not None:
            replace_whole(options.out, trust.encode())
        answer: Answer = json.loads(trust.encode())
        return answer

    def pending(self, options: argparse.Namespace) -> Answer:
        """List what waits at the hub."""
        return {"waiting": [_shown(one) for one in self._calls(options).waiting()]}

    def approve(self, options: argparse.Namespace) -> Answer:
        """Sign one waiting request, all with `all` or renewals alone with `renewals`, and hand the certificates to the hub."""
        calls, done, skipped = self._calls(options), [], []
        for one in calls.waiting():
            if options.request == one.get("request"):
                return {"approved": [self._approve(options, calls, one)], "skipped": []}
            if options.request == "all" or (options.request == "renewals" and one.get("identity_csr") is None):
                try:
                    done.append(self._approve(options, calls, one))
                except (RefusedError, MalformedError, VerificationError) as error:  # one bad request does not hold up the others
                    skipped.append({**_shown(one), "reason": str(error)})
        if options.request not in ("all", "renewals"):
            raise RefusedError("does not wait at the hub", where=f"request {options.request}")
        return {"approved": done, "skipped": skipped}

    def _approve(self, options: argparse.Namespace, calls: HubCalls, one: Answer) -> Answer:
        issued = self._sign(options, one)
        calls.issue(str(one["request"]), issued.encode())
        return {**_shown(one), "identity": issued.identity.fingerprint if issued.identity else None, "tls": issued.tls.fingerprint}

    def refuse(self, options: argparse.Namespace) -> Answer:
        """Refuse a waiting request."""
        self._calls(options).refuse(options.request, options.reason)
        return {"refused": options.request}

    def sign(self, options: argparse.Namespace) -> Answer:
        """Sign a request from a file, for a CA without network."""
        issued = self._sign(options, _read_json(options.request))
        text = {"request": _read_json(options.request).get("request"), "certificates": issued.encode()}
        replace_whole(options.out, (json.dumps(text) + "\n").encode())
        return {"request": text["request"], "out": str(options.out), "tls": issued.tls.fingerprint}

    def revoke(self, options: argparse.Namespace) -> Answer:
        """Have the hub revoke all certificates of a box; with the key store at hand, note it in the ledger, too."""
        self._calls(options).revoke(options.box, options.reason)
        if options.folder is not None:
            self._store(options).revoke(BoxId(options.box), options.reason)
            if options.crl is not None:
                replace_whole(options.crl, self._store(options).crl())
        return {"revoked": options.box, "crl": str(options.crl) if options.folder is not None and options.crl is not None else None}

    def crl(self, options: argparse.Namespace) -> Answer:
        """Write the list of revoked certificates for the broker; `--revoke` first notes boxes that were revoked at the hub's page."""
        store = self._store(options)
        for box in options.revoke or ():
            store.revoke(BoxId(box), options.reason)
        for hub in options.revoke_exporter or ():
            store.revoke_exporter(HubId(hub), options.reason)
        replace_whole(options.out, store.crl())
        return {"out": str(options.out), "revoked": options.revoke or []}

    def _sign(self, options: argparse.Namespace, one: Answer) -> Issued:
        log = NoteKey.parse(str(one.get("log", "")))
        return self._store(options).sign(decode_request(one), HubId(log.name.rpartition("/")[2]), log)

    def _store(self, options: argparse.Namespace) -> SiteAuthority:
        return SiteAuthority(options.folder, self.clock)

    def _calls(self, options: argparse.Namespace) -> HubCalls:
        return HubCalls(options.hub, options.token, options.ca_file)


def _set_aside(folder: Path) -> None:
    """Move the hub's old port keys and certificates away: they may still be needed when the new ones do not serve."""
    for name in _PORTS:
        for path in (folder / f"{name}.key", folder / f"{name}.pem"):
            if path.exists():
                path.replace(path.with_suffix(f"{path.suffix}.old"))


def _shown(one: Answer) -> Answer:
    return {key: one.get(key) for key in ("request", "site", "box", "known")}


def _read_json(path: Path) -> Answer:
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_FILE))
    except OSError as error:
        raise StorageError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise MalformedError("not JSON", where=str(path)) from error
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object", where=str(path))
    return value


_EPILOG = """examples:
  portwitness-ca init ca/ --site dayaowan
  portwitness-ca server ca/ --hub hub-1 --name 127.0.0.1 --name localhost --out hub-state/keys
  portwitness-ca pending --hub https://hub:8080 --token TOKEN
  portwitness-ca approve REQUEST --ca ca/ --hub https://hub:8080 --token TOKEN
  portwitness-ca sign request.json --ca ca/ --out issued.json        (without network)
  portwitness-ca witnesses ca/ --policy policy.txt                   (part of every trust file from then on)
  portwitness-ca trust ca/ --hub hub-1 --out trust.json              (for verifiers)

After `init`, move root.key offline: no other command needs it."""


def _draw_key(text: str) -> tuple[str, bytes]:
    """Read NAME=HEX; raise MalformedError for what is no key."""
    name, _, key = text.partition("=")
    try:
        data = bytes.fromhex(key)
    except ValueError as error:
        raise MalformedError("is no key in hex", where=f"--draw-key {name[:64]}") from error
    vrf.check_key(data)
    return check_token(name, "--draw-key"), data


def parser() -> argparse.ArgumentParser:
    """Give the command line of `portwitness-ca`."""
    made = argparse.ArgumentParser(
        prog="portwitness-ca",
        description="The site's certificate authority, apart from the serving hub.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = _command(commands, "init", "make root and site CA", "portwitness-ca init ca/ --site dayaowan")
    init.add_argument("folder", type=Path, help="folder of the key store")
    init.add_argument("--site", required=True, help="site id")
    server = _command(commands, "server", "make the hub's port certificates", "portwitness-ca server ca/ --hub hub-1 --out hub-state/keys")
    server.add_argument("folder", type=Path, help="folder of the key store")
    server.add_argument("--hub", required=True, help="hub id")
    server.add_argument("--name", action="append", help="DNS name or address of the hub; repeatable (default: 127.0.0.1, localhost)")
    server.add_argument("--out", type=Path, required=True, help="the hub's key folder")
    server.add_argument(
        "--replace", action="store_true", help="replace keys and certificates that are there: other names, or before their end"
    )
    exporter = _command(
        commands, "exporter", "make the hub's export key anew", "portwitness-ca exporter ca/ --hub hub-1 --out hub-state/keys"
    )
    exporter.add_argument("folder", type=Path, help="folder of the key store")
    exporter.add_argument("--hub", required=True, help="hub id")
    exporter.add_argument("--out", type=Path, required=True, help="the hub's key folder; an older key there is put aside")
    pin = _command(commands, "pin", "pin the hub's log key", "portwitness-ca pin ca/ --log portwitness.port/dayaowan/hub-1+...")
    pin.add_argument("folder", type=Path, help="folder of the key store")
    pin.add_argument("--log", required=True, help="the log's verifier key (vkey)")
    witnesses = _command(commands, "witnesses", "keep the witness policy", "portwitness-ca witnesses ca/ --policy policy.txt")
    witnesses.add_argument("folder", type=Path, help="folder of the key store")
    witnesses.add_argument("--policy", type=Path, required=True, help="C2SP tlog-policy file; part of every trust file from now on")
    trust = _command(commands, "trust", "write the trust file for verifiers", "portwitness-ca trust ca/ --hub hub-1 --out trust.json")
    trust.add_argument("folder", type=Path, help="folder of the key store")
    trust.add_argument("--hub", required=True, help="hub id")
    trust.add_argument("--out", type=Path, help="where to write it")
    trust.add_argument("--time-authorities", type=Path, help="PEM certificates that RFC 3161 tokens must lead to")
    trust.add_argument("--draw-key", action="append", metavar="NAME=HEX", help="a party's public key that answers for draws; repeatable")
    _hub_commands(commands)
    crl = _command(commands, "crl", "write the list of revoked certificates", "portwitness-ca crl ca/ --out hub-state/keys/crl.pem")
    crl.add_argument("folder", type=Path, help="folder of the key store")
    crl.add_argument("--out", type=Path, required=True, help="where to write it: crl.pem in the hub's key folder")
    crl.add_argument("--revoke", action="append", metavar="BOX", help="box that was revoked at the hub's page; repeatable")
    crl.add_argument("--revoke-exporter", action="append", metavar="HUB", help="hub whose export key counts no more; repeatable")
    crl.add_argument("--reason", default="revoked at the hub", help="why; kept in the ledger")
    sign = _command(commands, "sign", "sign a request from a file", "portwitness-ca sign request.json --ca ca/ --out issued.json")
    sign.add_argument("request", type=Path, help="request as the hub lists it (JSON)")
    sign.add_argument("--ca", dest="folder", type=Path, required=True, help="folder of the key store")
    sign.add_argument("--out", type=Path, required=True, help="where to write what was issued")
    return made


def _hub_commands(commands: Any) -> None:  # noqa: ANN401 - argparse keeps this type to itself
    example = "--hub https://hub:8080 --token TOKEN"
    _add_hub(_command(commands, "pending", "list the requests that wait", f"portwitness-ca pending {example}"))
    approve = _command(commands, "approve", "sign a waiting request", f"portwitness-ca approve REQUEST --ca ca/ {example}")
    approve.add_argument("request", help="name of the request, `all`, or `renewals`: TLS certificates of boxes in the ledger, for a timer")
    approve.add_argument("--ca", dest="folder", type=Path, required=True, help="folder of the key store")
    refuse = _command(commands, "refuse", "refuse a waiting request", f"portwitness-ca refuse REQUEST --reason unknown {example}")
    refuse.add_argument("request", help="name of the request")
    refuse.add_argument("--reason", default="refused by the site CA", help="what the box is told")
    revoke = _command(commands, "revoke", "revoke a box", f"portwitness-ca revoke box-1 --reason stolen {example}")
    revoke.add_argument("box", help="box id")
    revoke.add_argument("--reason", required=True, help="why; it becomes part of the record")
    revoke.add_argument("--ca", dest="folder", type=Path, help="folder of the key store: note it in the ledger")
    revoke.add_argument("--crl", type=Path, metavar="FILE", help="with --ca: write the list of revoked certificates there")
    for command in (approve, refuse, revoke):
        _add_hub(command)


def _command(commands: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:  # noqa: ANN401
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def _add_hub(command: argparse.ArgumentParser) -> None:
    command.add_argument("--hub", required=True, metavar="URL", help="the hub's browser port")
    command.add_argument(
        "--token", required=True, help="API token of an administrator; `@FILE` reads it from a file, so that it is in no process list"
    )
    command.add_argument("--ca-file", type=Path, help="PEM file of the authority of the hub's browser port, when it is not a public one")


def run(arguments: Sequence[str] | None, out: TextIO, err: TextIO, clock: Clock) -> int:
    """Run the program with these streams; give the exit status: 0 done, 1 refused or failed."""
    options = parser().parse_args(arguments)
    act: Callable[[argparse.Namespace], Answer] = getattr(Commands(clock), options.command)
    try:
        answer = act(options)
    except PortwitnessError as error:
        err.write(f"portwitness-ca: {error}\n")
        return 1
    if options.json:
        out.write(json.dumps(answer, ensure_ascii=False) + "\n")
    else:
        out.write(
            "".join(
                f"{key}: {json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value}\n"
                for key, value in answer.items()
            )
        )
    return 0


def main() -> None:
    """Run `portwitness-ca`."""
    sys.exit(run(None, sys.stdout, sys.stderr, SystemClock()))


if __name__ == "__main__":
    main()
