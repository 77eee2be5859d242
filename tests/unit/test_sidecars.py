"""C2PA manifests beside segments: what the library trusts is looked at again, and what it cannot read is an error with a name."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.certificates import (
    EXPORT_NS,
    ROOT_NS,
    SITE_CA_NS,
    Authority,
    Certificate,
    Validity,
    encode_pem,
    issue_exporter,
    issue_root,
    issue_site_ca,
    parse_pem,
)
from protocol.errors import MalformedError, VerificationError
from protocol.instants import SECOND_NS
from simulators.evidence import HUB, SITE, fixed_p256
from simulators.films import film
from storage import sidecars
from storage.clock import SystemClock

c2pa = pytest.importorskip("c2pa")
CLAIM = sidecars.SegmentClaim("box-1/cam-1", 7, "00" * 32, "live")
VIDEO = film(1)
SERIAL = 13


def authority(seed: int, *, length_ns: int = EXPORT_NS) -> tuple[Certificate, sidecars.Maker]:
    """Give a root and whatever signs under it."""
    now = SystemClock().now().wall_ns
    root_key, site_key, key = (fixed_p256(seed + at) for at in range(3))
    root = issue_root(root_key, SITE, Validity.backdated(now, ROOT_NS, 11))
    site = issue_site_ca(site_key.public, SITE, Authority(root, root_key), Validity.backdated(now, SITE_CA_NS, 12))
    leaf = issue_exporter(key.public, SITE, HUB, Authority(site, site_key), Validity.backdated(now, length_ns, SERIAL))
    return root, sidecars.Maker(key, encode_pem((leaf, site)), root.pem())


ROOT, MAKER = authority(100)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "segment.mp4"
    path.write_bytes(VIDEO)
    return path


def checked(
    manifest: bytes, claim: sidecars.SegmentClaim = CLAIM, data: bytes = VIDEO, root: bytes | None = None, serial: int = SERIAL
) -> str:
    return sidecars.check(io.BytesIO(data), manifest, claim, root=root if root is not None else ROOT.pem(), serial=serial)


def test_a_manifest_is_of_its_segment_and_leaves_it_alone(video: Path) -> None:
    manifest = MAKER.make(video, CLAIM)
    assert video.read_bytes() == VIDEO
    assert checked(manifest) == ""
    assert len(manifest) < 20_000
    with pytest.raises(VerificationError, match="another segment"):
        checked(manifest, replace(CLAIM, number=8))
    with pytest.raises(VerificationError, match="another certificate"):
        checked(manifest, serial=14)
    with pytest.raises(VerificationError, match="bmffHash"):
        checked(manifest, data=VIDEO[:-1] + bytes([VIDEO[-1] ^ 1]))
    with pytest.raises(VerificationError, match="untrusted"):
        checked(manifest, root=authority(200)[0].pem())


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_manifest_with_a_flipped_byte_is_never_good(video: Path, at: float) -> None:
    manifest = bytearray(MAKER.make(video, CLAIM))
    manifest[int(at * len(manifest))] ^= 4
    try:
        left = checked(bytes(manifest))
    except (VerificationError, MalformedError):
        return
    assert left == "", "bytes that only pad a signature are covered by the evidence manifest"


def test_what_cannot_be_read_is_an_error_with_a_name(tmp_path: Path) -> None:
    for data in (b"", b"nothing", bytes(5000), VIDEO):
        with pytest.raises((MalformedError, VerificationError)):
            checked(data)
    with pytest.raises(MalformedError, match="at most"):
        checked(bytes(sidecars.MAX_SIDECAR_BYTES + 1))
    for bad in (b"", b"no film at all", VIDEO[:300]):
        (tmp_path / "bad.mp4").write_bytes(bad)
        with pytest.raises((MalformedError, VerificationError)):
            MAKER.make(tmp_path / "bad.mp4", CLAIM)


def test_an_ended_certificate_is_said_and_is_no_fault(video: Path) -> None:
    """A sidecar without a time-stamp is trusted while its signer's certificate lasts; what it was covered by stays."""
    root, ending = authority(300, length_ns=3 * SECOND_NS)
    manifest = ending.make(video, CLAIM)
    end_ns = parse_pem(ending.chain)[0].not_after_ns
    while SystemClock().now().wall_ns <= end_ns + SECOND_NS:
        time.sleep(0.1)
    assert "not valid today" in checked(manifest, root=root.pem())


def test_trusted_does_not_hide_a_bad_parent() -> None:
    """The library says Trusted of a manifest whose parent was signed by a stranger: the failure stands at the parent only."""
    stranger_root, stranger = authority(400)
    parent = io.BytesIO()
    context = sidecars._context(stranger_root.pem())
    mark = c2pa.Signer.from_callback(stranger.signer.sign, c2pa.C2paSigningAlg.ES256, stranger.chain.decode(), None)
    with mark, c2pa.Builder(json.dumps(sidecars._definition(CLAIM)), context=context) as builder:
        builder.sign(mark, sidecars.FORMAT, io.BytesIO(VIDEO), parent)
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
    definition = sidecars._definition(CLAIM)
    definition["assertions"][0]["data"]["actions"] = [opened]
    ours = sidecars._context(ROOT.pem())
    mark = c2pa.Signer.from_callback(MAKER.signer.sign, c2pa.C2paSigningAlg.ES256, MAKER.chain.decode(), None)
    with mark, c2pa.Builder(json.dumps(definition), context=ours) as builder:
        builder.set_no_embed()
        parent.seek(0)
        ingredient = {"title": "parent", "relationship": "parentOf", "label": "parent"}
        builder.add_ingredient(json.dumps(ingredient), sidecars.FORMAT, parent)
        manifest = bytes(builder.sign(mark, sidecars.FORMAT, io.BytesIO(VIDEO), io.BytesIO()))
    with c2pa.Reader(sidecars.FORMAT, io.BytesIO(VIDEO), manifest_data=manifest, context=ours) as reader:
        assert reader.get_validation_state() == "Trusted"
    with pytest.raises(VerificationError, match="untrusted"):
        checked(manifest)
