"""Check what closes a bundle: the hub's own claims, the signature beside its folder, the token over that.

The export record says which of them there are, and it is a leaf of the log: none can be taken away or put in unseen. What is not
there, or cannot be judged by the verifier's trust, is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol import bundle, cms, kinds, timestamps
from protocol.certificates import Certificate, check_crl, check_exporter, parse_pem
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.examination import Exhibits, Faults
from protocol.instants import SECOND_NS, iso
from protocol.policies import Policy
from protocol.records import SignedRecord

SKEW_NS = 60 * SECOND_NS  # between the hub's clock, by which it says when it signed, and the authority's
NOT_PRESENT = "not present"


@dataclass(frozen=True, slots=True)
class Closing:
    """How a bundle is closed: who exported it when (Unix ns), and what became of signature, token and C2PA manifests."""

    by: str
    at_ns: int
    signature: str = NOT_PRESENT
    time_stamp: str = NOT_PRESENT
    sidecars: str = NOT_PRESENT
    notes: tuple[str, ...] = ()


def check_closing(index: int | None, exhibits: Exhibits, files: Mapping[str, bytes], faults: Faults) -> Closing | None:
    """Check claims, signature and token of a bundle; `index` is the leaf of its export record."""
    notes: list[str] = []
    _check_policy(exhibits, files, faults, notes)
    _check_anchors(files, faults)
    record = exhibits.leaves[index] if index is not None else None
    if record is None or not isinstance(record.record.body, kinds.Export):
        return None
    body = record.record.body
    beside = _beside(body, files, record.record.subject, faults)
    signature = stamp = NOT_PRESENT
    signed_ns = 0
    leaf = _exporter(body, files, faults)
    if "p7s" in beside:
        with faults.of(beside["p7s"]):
            signature = "not valid"
            signed = _signature(record, leaf, files, beside["p7s"], exhibits)
            signature, signed_ns = _said(signed), signed.at_ns
    else:
        notes.append("a signature by the hub's export key over the whole bundle: not present")
    if "tsr" in beside and "p7s" in beside:
        with faults.of(beside["tsr"]):
            stamp = "not valid"
            stamp = _stamp((files[beside["tsr"]], files[beside["p7s"]]), signed_ns, exhibits, notes)
    elif not body.stamped:
        notes.append("a time authority's token over the whole bundle: not present")
    return Closing(body.by, record.record.at.wall_ns, signature, stamp, notes=tuple(notes))


def _check_policy(exhibits: Exhibits, files: Mapping[str, bytes], faults: Faults, notes: list[str]) -> None:
    if bundle.POLICY not in files:
        return  # told with the other files that must be there
    with faults.of(bundle.POLICY):
        policy = Policy.parse(files[bundle.POLICY])
        if policy.encode() != files[bundle.POLICY]:
            raise MalformedError("not the only spelling of its policy", where="policy")
        if exhibits.trust.log not in [one.key for one in policy.logs]:
            raise VerificationError("does not list the log's key", where="policy")
        known = {one.key for one in exhibits.trust.rule.witnesses}
        if known != {one.key for one in policy.witnesses}:
            notes.append(f"{bundle.POLICY} lists other witnesses than the trust file, which alone counts")


def _check_anchors(files: Mapping[str, bytes], faults: Faults) -> None:
    """Check that what claims to be certificates of time authorities is nothing else; they are not believed."""
    with faults.of(bundle.TIME_AUTHORITIES):
        pem = files.get(bundle.TIME_AUTHORITIES)
        if pem is not None and timestamps.encode_anchors(timestamps.parse_anchors(pem)).encode() != pem:
            raise MalformedError("holds more than certificates", where="time authorities")


def _beside(body: kinds.Export, files: Mapping[str, bytes], subject: str, faults: Faults) -> dict[str, str]:
    """Give the names of the files beside the folder by `p7s` and `tsr`; what is missing or too many is a fault."""
    found: dict[str, str] = {}
    promised = {"p7s": body.signer is not None, "tsr": bool(body.stamped)}
    for name in sorted(files):
        part = bundle.parse_beside(name)
        if part is not None and (not promised[part] or part in found):
            faults.add(name, "was added: the export record says nothing of it")
        elif part is not None:
            found[part] = name
    for part, is_promised in promised.items():
        if is_promised and part not in found:
            faults.add(bundle.beside_name(bundle.folder_name(subject), part), "missing: the export record says that it was made")
    return found


def _exporter(body: kinds.Export, files: Mapping[str, bytes], faults: Faults) -> Certificate | None:
    """Give the certificate that the export record names."""
    pem = files.get(bundle.EXPORTER)
    if pem is None:
        if body.signer is not None:
            faults.add(bundle.EXPORTER, "missing: the export record names it")
        return None
    leaf: Certificate | None = None
    with faults.of(bundle.EXPORTER):
        found = parse_pem(pem)
        if len(found) != 1 or found[0].pem() != pem:
            raise VerificationError("not exactly one certificate", where="certificates")
        if body.signer is None or bundle.sha256(found[0].der) != body.signer:
            raise VerificationError("is not the certificate that the export record names", where="certificates")
        leaf = found[0]
    return leaf


def _signature(record: SignedRecord, leaf: Certificate | None, files: Mapping[str, bytes], name: str, exhibits: Exhibits) -> cms.Signed:
    signed = cms.verify(files[name], files.get(bundle.TAG_MANIFEST, b""))
    others = [one for file in (bundle.SITE_CA, bundle.ROOT) for one in parse_pem(files.get(file, b""))]
    if leaf is None or signed.leaf.der != leaf.der or signed.authority.der != others[0].der:
        raise VerificationError("is signed under other certificates than those in the bundle", where="signature")
    trust = exhibits.trust
    check_exporter(signed.leaf, others, hub=trust.hub, root_sha256=trust.root_sha256, at_ns=signed.at_ns)
    if signed.at_ns < record.record.at.wall_ns // SECOND_NS * SECOND_NS:
        raise VerificationError(f"says it was made at {iso(signed.at_ns)}, before its export record", where="signature")
    crl = files.get(bundle.CRL)
    if crl is not None and signed.leaf.x509.serial_number in check_crl(crl, others, signed.at_ns):
        raise VerificationError("its certificate had been revoked", where="signature")
    return signed


def _said(signed: cms.Signed) -> str:
    return f"ok, {signed.leaf.common_name}, key certified until {iso(signed.leaf.not_after_ns)[:10]}, signed {iso(signed.at_ns)}"


def _stamp(beside: tuple[bytes, bytes], signed_ns: int, exhibits: Exhibits, notes: list[str]) -> str:
    response, signature = beside
    token = timestamps.open_response(response)
    if timestamps.as_response(token) != response:
        raise MalformedError("not the only spelling of its answer", where="timestamp")
    timestamps.check_spelling(token)
    try:
        stamp = timestamps.verify(token, signature, exhibits.trust.time_authorities)
    except PortwitnessError as error:
        if error.where != timestamps.CHAIN:
            raise
        notes.append("the time-stamp over the signature: the trust file does not name its time authority")
        return "not checked"
    if stamp.latest_ns + SKEW_NS < signed_ns:
        raise VerificationError("is older than the signature says it is", where="timestamp")
    return f"ok, {iso(stamp.time_ns)} by {stamp.signer}"
