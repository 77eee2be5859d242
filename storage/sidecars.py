"""Make and check C2PA manifests beside segments, by the optional library c2pa-python: `python -m storage.sidecars KEY CHAIN AUTHORITIES`.

Guarantees: a segment's bytes are only read; a manifest is handed out only after it was read back and found trusted under our root;
the network is never used. "Trusted" of a manifest hides what is wrong with its parents, so every result in it is walked. As a
program it answers questions from its input, one at a time, and ends when its input ends: a native library's crash is not its
caller's. One question: a JSON line; one answer: a JSON line and, if it says so, as many bytes.
"""

import importlib.util
import io
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from protocol.certificates import parse_pem
from protocol.errors import MalformedError, PortwitnessError, StorageError, UnavailableError, VerificationError
from protocol.signatures import Signer
from storage.keys import load_p256

LIBRARY = "c2pa"
FORMAT = "video/mp4"
ALONE = "application/c2pa"  # a manifest without what it is of
ASSERTION = "org.portwitness.segment"
MAX_SIDECAR_BYTES = 1 << 20
MAX_LINE_BYTES = 65_536
SPOOL_BYTES = 64 << 20
_CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
_EXPIRED = "signingCredential.expired"
_BOXES = "assertion.bmffHash.mismatch"  # C2PA's own hash over the boxes of a video is not that of the bytes that were given
_SIGNED = {"signingCredential.trusted", "claimSignature.validated"}
_ENDED = {_EXPIRED, "signingCredential.untrusted", "claimSignature.outsideValidity"}  # told of a certificate that is not valid today


@dataclass(frozen=True, slots=True)
class SegmentClaim:
    """What a manifest says of a segment: the same that its record says. `usage`: live or import."""

    stream: str
    number: int
    sha256: str
    usage: str

    @property
    def title(self) -> str:
        """Give the manifest's title."""
        return f"{self.stream}/{self.number}"


def is_available() -> bool:
    """Tell whether the library is installed."""
    return importlib.util.find_spec(LIBRARY) is not None


def _library() -> Any:  # noqa: ANN401 - the library has no types
    if not is_available():
        raise UnavailableError("c2pa-python is not installed", where=LIBRARY)
    return importlib.import_module(LIBRARY)


def _context(root: bytes) -> Any:  # noqa: ANN401
    """Give the library's settings: our root is the only anchor, nothing is fetched."""
    verify = {"verify_trust": True, "verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False}
    settings = {"version": 1, "verify": verify, "trust": {"trust_anchors": root.decode("ascii")}}
    return _library().Context.from_dict(settings | {"builder": {"thumbnail": {"enabled": False}}})


def library_context(root: bytes) -> tuple[Any, Any]:
    """Give the library and its settings; raise UnavailableError when it is not installed."""
    return _library(), _context(root)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes manifests with the hub's export key; `chain`: its certificate and the site CA's, PEM; `root`: the anchor, PEM."""

    signer: Signer
    chain: bytes
    root: bytes

    def make(self, video: Path, claim: SegmentClaim) -> bytes:
        """Give the manifest of a segment, read back and found good; raise MalformedError when the library does not take the file."""
        library, context = _library(), _context(self.root)
        serial = parse_pem(self.chain)[0].x509.serial_number
        try:
            with video.open("rb") as source, tempfile.SpooledTemporaryFile(SPOOL_BYTES) as unused:
                mark = library.Signer.from_callback(self.signer.sign, library.C2paSigningAlg.ES256, self.chain.decode("ascii"), None)
                with mark, library.Builder(json.dumps(_definition(claim)), context=context) as builder:
                    builder.set_no_embed()
                    made = bytes(builder.sign(mark, FORMAT, source, unused))
                source.seek(0)
                check(source, made, claim, root=self.root, serial=serial)
        except library.C2paError as error:
            raise MalformedError(f"no C2PA manifest: {str(error)[:200]}", where=claim.title) from error
        except OSError as error:
            raise StorageError(str(error.strerror), where=str(video)) from error
        return made


def _definition(claim: SegmentClaim) -> dict[str, Any]:
    created = {"action": "c2pa.created"} | ({"digitalSourceType": _CAPTURE} if claim.usage == "live" else {})
    return {
        "claim_generator_info": [{"name": "Portwitness"}],
        "title": claim.title,
        "format": FORMAT,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": ASSERTION, "data": asdict(claim)},
        ],
    }


def check(video: BinaryIO | None, manifest: bytes, claim: SegmentClaim, *, root: bytes, serial: int) -> str:
    """Check a manifest against its segment under our root; give what stays unchecked, nothing when all is well.

    Without the video the library judges all but its own hash over the video's boxes; the caller has then found that the file has
    the SHA-256 of the claim, which the manifest must state under its signature. Raises VerificationError saying what is wrong,
    MalformedError when the library cannot read it.
    """
    library = _library()
    if len(manifest) > MAX_SIDECAR_BYTES:
        raise MalformedError(f"{len(manifest)} bytes, at most {MAX_SIDECAR_BYTES}", where="C2PA manifest")
    source, kind = (io.BytesIO(), ALONE) if video is None else (video, FORMAT)
    try:
        with library.Reader(kind, source, manifest_data=manifest, context=_context(root)) as reader:
            found, state = json.loads(reader.json()), reader.get_validation_state()
    except library.C2paError as error:
        raise MalformedError(f"not readable: {str(error)[:200]}", where="C2PA manifest") from error
    codes = sorted(failures(found))
    if video is None:
        codes, state = _without_boxes(found, codes)
    if _EXPIRED in codes and set(codes) <= _ENDED:
        _check_claim(found, claim, serial)
        return "its signer's certificate is not valid today, and it holds no time-stamp"
    if codes or state != "Trusted":
        raise VerificationError(f"{state}: {', '.join(sorted(set(codes)))[:300] or 'no reason given'}", where="C2PA manifest")
    _check_claim(found, claim, serial)
    return ""


def _without_boxes(found: dict[str, Any], codes: list[str]) -> tuple[list[str], str]:
    """Take away the one failure that a manifest must have when its video was not given; give the others, and its state but for that."""
    judged = found.get("validation_results", {}).get("activeManifest", {})
    if codes.count(_BOXES) != 1 or _BOXES not in {one.get("code") for one in judged.get("failure", [])}:
        raise VerificationError(f"holds no hash over a video's boxes: {', '.join(codes)[:300] or 'nothing'}", where="C2PA manifest")
    codes.remove(_BOXES)
    is_signed = {one.get("code") for one in judged.get("success", [])} >= _SIGNED
    return codes, "Trusted" if is_signed and not codes else "Invalid"


def failures(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Give every failure code anywhere in a report: of the manifest itself and of all its parents."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "failure" and isinstance(item, list):
                yield from (str(one.get("code", "unknown")) for one in item if isinstance(one, dict))
            else:
                yield from failures(item)
    elif isinstance(value, list):
        for item in value:
            yield from failures(item)


def _check_claim(found: dict[str, Any], claim: SegmentClaim, serial: int) -> None:
    """Check that the manifest is of this segment and signed under the certificate that the export record names."""
    active = found.get("manifests", {}).get(found.get("active_manifest"), {})
    said = [one.get("data") for one in active.get("assertions", []) if one.get("label") == ASSERTION]
    if said != [asdict(claim)]:
        raise VerificationError("speaks of another segment", where="C2PA manifest")
    if str(active.get("signature_info", {}).get("cert_serial_number")) != str(serial):
        raise VerificationError("is signed under another certificate than the export's", where="C2PA manifest")


# ------------------------------------------------------------------------------------------------------------- the program


def serve(maker: Maker, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer questions until there are no more."""
    while line := questions.readline(MAX_LINE_BYTES):
        asked = json.loads(line)
        made, what = b"", ""
        try:
            made = maker.make(Path(asked["video"]), SegmentClaim(**asked["claim"]))
        except PortwitnessError as error:
            what = str(error)
        answers.write(json.dumps({"size": len(made), "what": what}).encode() + b"\n" + made)
        answers.flush()


def main(arguments: list[str]) -> int:
    """Run the program; give 0 when the input ended, 1 when key, certificates or library are not there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it by ending its input
    key, chain, authorities = (Path(one) for one in arguments)
    try:
        maker = Maker(load_p256(key), chain.read_bytes(), parse_pem(authorities.read_bytes())[-1].pem())
        _library()
        serve(maker, sys.stdin.buffer, sys.stdout.buffer)
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"sidecars: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
