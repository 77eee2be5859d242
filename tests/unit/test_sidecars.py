"""C2PA manifests beside segments: what the library trusts is looked at again, and what it cannot read is an error with a name."""

import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def alone(manifest: bytes, claim: sidecars.SegmentClaim = CLAIM, root: bytes | None = None, serial: int = SERIAL) -> str:
    """Judge a manifest without its video, as a verifier does that has the video's SHA-256 already."""
    return sidecars.check(None, manifest, claim, root=root if root is not None else ROOT.pem(), serial=serial)


def signed_by_hand(claims: Sequence[object], video: bytes = VIDEO, kind: str = sidecars.FORMAT, maker: sidecars.Maker = MAKER) -> bytes:
    """Sign a manifest that states whatever its signer likes."""
    definition = sidecars._definition(CLAIM) | {"format": kind}
    definition["assertions"] = [definition["assertions"][0], *({"label": sidecars.ASSERTION, "data": one} for one in claims)]
    mark = c2pa.Signer.from_callback(maker.signer.sign, c2pa.C2paSigningAlg.ES256, maker.chain.decode(), None)
    with mark, c2pa.Builder(json.dumps(definition), context=sidecars._context(maker.root)) as builder:
        builder.set_no_embed()
        return bytes(builder.sign(mark, kind, io.BytesIO(video), io.BytesIO()))


WHOLE = signed_by_hand([asdict(CLAIM)])


def test_a_manifest_alone_is_judged_by_all_but_its_boxes(video: Path) -> None:
    manifest = MAKER.make(video, CLAIM)
    assert alone(manifest) == ""
    for other in (replace(CLAIM, sha256="01" * 32), replace(CLAIM, number=8), replace(CLAIM, stream="x"), replace(CLAIM, usage="import")):
        with pytest.raises(VerificationError, match="another segment"):
            alone(manifest, other)
    with pytest.raises(VerificationError, match="another certificate"):
        alone(manifest, serial=14)
    with pytest.raises(VerificationError, match="untrusted"):
        alone(manifest, root=authority(200)[0].pem())


def test_a_manifest_must_state_its_segment_once_and_under_its_signature() -> None:
    told: dict[str, object] = dict(asdict(CLAIM))
    assert alone(signed_by_hand([told])) == ""
    without = {name: value for name, value in told.items() if name != "sha256"}
    for claims in ([], [without], [told, told | {"sha256": "01" * 32}], [told | {"sha256": "00" * 31}], [told | {"more": 1}]):
        with pytest.raises(VerificationError, match="another segment"):
            alone(signed_by_hand(claims))
    manifest = signed_by_hand([told])
    at = manifest.index(CLAIM.sha256.encode())
    with pytest.raises(VerificationError, match=r"assertion\.hashedURI\.mismatch"):
        alone(manifest[:at] + b"1" + manifest[at + 1 :], replace(CLAIM, sha256="1" + CLAIM.sha256[1:]))


def test_a_manifest_that_holds_no_hash_of_a_videos_boxes_is_refused() -> None:
    """One that states nothing but our SHA-256 would be a paper that no other validator could tie to the video."""
    picture = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
        "0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
    )
    with pytest.raises(VerificationError, match="no hash over a video's boxes"):
        alone(signed_by_hand([asdict(CLAIM)], picture, "image/png"))


def test_only_the_whole_check_sees_a_hash_over_other_boxes() -> None:
    """Whoever holds the export key can sign a hash of other boxes beside our SHA-256: the report says that it was not made again."""
    lying = signed_by_hand([asdict(CLAIM)], film(2))
    assert alone(lying) == ""
    with pytest.raises(VerificationError, match="bmffHash"):
        checked(lying)


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0), st.sampled_from([1, 4, 32, 128]))
def test_no_flipped_bit_is_good_alone_where_it_is_not_with_the_video(at: int, bit: int) -> None:
    """But in the hash over the boxes, which is said to be left, the two judge alike."""
    manifest = bytearray(WHOLE)
    manifest[at % len(WHOLE)] ^= bit
    verdicts = []
    for judge in (checked, alone):
        try:
            verdicts.append(judge(bytes(manifest)))
        except (VerificationError, MalformedError):
            verdicts.append("bad")
    assert verdicts[0] == verdicts[1]


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
        with pytest.raises((MalformedError, VerificationError)):
            alone(data)
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
    assert "not valid today" in alone(manifest, root=root.pem())
    with pytest.raises(VerificationError, match="another segment"):
        alone(manifest, replace(CLAIM, sha256="01" * 32), root=root.pem())


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
    for judge in (checked, alone):
        with pytest.raises(VerificationError, match="untrusted"):
            judge(manifest)
