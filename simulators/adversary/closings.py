"""Attack what closes a bundle: the signature beside it, and the C2PA manifests beside its segments, by copy and by the hub itself."""

import importlib
import io
import json
from pathlib import Path
from typing import Any

from hub.gathering import Gathered, gather
from protocol import bundle
from protocol.certificates import ROOT_NS, SITE_CA_NS, Authority, Validity, issue_exporter, issue_root, issue_site_ca
from simulators.adversary.attacks import Attack, Strike, verify, whole_c2pa
from simulators.adversary.days import DayPort, chain_of, seed_of, worked
from simulators.cases import TASK, write_case
from simulators.evidence import EXPORT_KEY, HUB, SITE, fixed_p256
from storage import sidecars

FOLDER = f"case-{TASK}"


def _signed_day(strike: Strike) -> DayPort:
    port = DayPort(strike.folder / ".blobs", seed=seed_of(strike.stage), known=chain_of(strike.stage))
    worked(port)
    port.certify_exports()
    return port


def _beside(strike: Strike) -> Path:
    return strike.folder / bundle.beside_name(FOLDER, "p7s").removeprefix(bundle.BESIDE)


def _export(strike: Strike, port: DayPort, gathered: Gathered | None = None) -> None:
    write_case(port, strike.folder / FOLDER, gathered=gathered)


def strip_signature(strike: Strike) -> None:
    """Take away the export signature that stands beside a bundle."""
    _export(strike, _signed_day(strike))
    _beside(strike).unlink()


def swap_signature(strike: Strike) -> None:
    """Put the export signature of another bundle beside this one."""
    port = _signed_day(strike)
    other = strike.folder / "elsewhere"
    write_case(port, other / FOLDER)
    taken = (other / _beside(strike).name).read_bytes()
    _export(strike, port)
    _beside(strike).write_bytes(taken)


def edit_signature(strike: Strike) -> None:
    """Change one bit of the export signature."""
    _export(strike, _signed_day(strike))
    data = bytearray(_beside(strike).read_bytes())
    data[strike.draw.randrange(len(data))] ^= 1 << strike.draw.randrange(8)
    _beside(strike).write_bytes(data)


def _with_manifests(strike: Strike) -> tuple[DayPort, Gathered, sidecars.Maker]:
    port = _signed_day(strike)
    gathered = gather(port, TASK, port.trust())
    leaf = b"" if port.exporter is None else port.exporter.pem()
    maker = sidecars.Maker(EXPORT_KEY, leaf + port.chain[0].pem(), port.chain[1].pem())
    for name, (path, _) in sorted(gathered.videos.items())[:2]:
        gathered.files[bundle.sidecar_name(name)] = maker.make(path, _claim(gathered, name))
    return port, gathered, maker


def _claim(gathered: Gathered, name: str) -> sidecars.SegmentClaim:
    piece = gathered.videos[name][1]
    return sidecars.SegmentClaim(piece.stream, piece.body.number, piece.body.sha256.hex(), piece.usage)


def swap_manifests(strike: Strike) -> None:
    """The hub exports two segments with each other's C2PA manifest."""
    port, gathered, _ = _with_manifests(strike)
    one, two = (bundle.sidecar_name(name) for name in sorted(gathered.videos)[:2])
    gathered.files[one], gathered.files[two] = gathered.files[two], gathered.files[one]
    _export(strike, port, gathered)


def other_boxes(strike: Strike) -> None:
    """The hub signs a C2PA manifest that states a segment's SHA-256, and C2PA's own hash of another film."""
    port, gathered, maker = _with_manifests(strike)
    one, two = sorted(gathered.videos)[:2]
    lying = _manifest(maker, gathered.videos[two][0].read_bytes(), _definition(_claim(gathered, one)), None, beside=True)
    gathered.files[bundle.sidecar_name(one)] = lying
    _export(strike, port, gathered)


def bad_parent(strike: Strike) -> None:
    """The hub signs a C2PA manifest whose parent was signed by a stranger: C2PA itself calls it trusted."""
    port, gathered, maker = _with_manifests(strike)
    name = sorted(gathered.videos)[0]
    video, claim = gathered.videos[name][0].read_bytes(), _claim(gathered, name)
    parent = _manifest(_stranger(port), video, _definition(claim), None)
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
    gathered.files[bundle.sidecar_name(name)] = _manifest(maker, video, _definition(claim, opened), parent, beside=True)
    _export(strike, port, gathered)


def _stranger(port: DayPort) -> sidecars.Maker:
    root_key, site_key, key = (fixed_p256(771 + at) for at in range(3))
    root = issue_root(root_key, SITE, Validity.backdated(port.now_ns, ROOT_NS, 21))
    site = issue_site_ca(site_key.public, SITE, Authority(root, root_key), Validity.backdated(port.now_ns, SITE_CA_NS, 22))
    leaf = issue_exporter(key.public, SITE, HUB, Authority(site, site_key), Validity.backdated(port.now_ns, ROOT_NS // 20, 23))
    return sidecars.Maker(key, leaf.pem() + site.pem(), root.pem())


def _definition(claim: sidecars.SegmentClaim, action: dict[str, Any] | None = None) -> dict[str, Any]:
    facts = {"stream": claim.stream, "number": claim.number, "sha256": claim.sha256, "usage": claim.usage}
    return {
        "claim_generator_info": [{"name": "Portwitness"}],
        "title": claim.title,
        "format": sidecars.FORMAT,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [action or {"action": "c2pa.created"}]}},
            {"label": sidecars.ASSERTION, "data": facts},
        ],
    }


def _manifest(maker: sidecars.Maker, video: bytes, definition: dict[str, Any], parent: bytes | None, *, beside: bool = False) -> bytes:
    """Sign a manifest by hand: beside the video, or inside it."""
    library = importlib.import_module(sidecars.LIBRARY)
    settings = {"version": 1, "verify": {"verify_after_sign": False}, "trust": {"trust_anchors": maker.root.decode()}}
    context = library.Context.from_dict(settings | {"builder": {"thumbnail": {"enabled": False}}})
    mark = library.Signer.from_callback(maker.signer.sign, library.C2paSigningAlg.ES256, maker.chain.decode(), None)
    made = io.BytesIO()
    with mark, library.Builder(json.dumps(definition), context=context) as builder:
        if beside:
            builder.set_no_embed()
        if parent is not None:
            ingredient = {"title": "parent", "relationship": "parentOf", "label": "parent"}
            builder.add_ingredient(json.dumps(ingredient), sidecars.FORMAT, io.BytesIO(parent))
        signed = bytes(builder.sign(mark, sidecars.FORMAT, io.BytesIO(video), made))
    return signed if beside else made.getvalue()


_C2PA = "a verifier without a C2PA library says that it did not judge the manifests; C2PA's own word stays Trusted"
_BOXES = "without `--whole-c2pa` the verifier says that this hash was not made again; the segment is the recorded one either way"

ATTACKS = (
    Attack("strip-signature", "day", "a copy", strip_signature, (verify("missing: the export record says that it was made", ".p7s"),)),
    Attack("swap-signature", "day", "a copy", swap_signature, (verify("is a signature over other bytes", ".p7s"),)),
    Attack("edit-signature", "day", "a copy", edit_signature, (verify("cms", ".p7s"),)),
    Attack("swap-manifests", "day", "the hub", swap_manifests, (verify("speaks of another segment", ".c2pa"),), _C2PA),
    Attack("other-boxes", "day", "the hub", other_boxes, (whole_c2pa("assertion.bmffHash.mismatch", ".c2pa"),), _BOXES),
    Attack("bad-parent", "day", "the hub", bad_parent, (verify("untrusted", ".c2pa"),), _C2PA),
)
