"""Make the C2PA manifest of a derived file, with parentOf: `python -m storage.derived_manifests KEY CHAIN AUTHORITIES`.

Guarantees: as `storage.sidecars` - files are only read, nothing is fetched, and a manifest is given out only after it was read back,
found trusted under our root, and names the parent; one JSON job on standard input, the manifest's bytes on standard output, nothing
when there is none (why: on standard error). C2PA allows one parentOf; a file of several segments names the first so, and the others
as components.
"""

import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocol.certificates import parse_pem
from protocol.errors import MalformedError, PortwitnessError, StorageError, VerificationError
from storage.keys import load_p256
from storage.sidecars import FORMAT, MAX_SIDECAR_BYTES, SPOOL_BYTES, Maker, failures, library_context

ASSERTION = "org.portwitness.derived"
MAX_JOB_BYTES = 1 << 20


def make(maker: Maker, video: Path, parents: Sequence[tuple[str, Path]], claim: Mapping[str, Any]) -> bytes:
    """Give the manifest of a derived file; `parents` are titles and files of its segments, `claim` what its record says.

    Raises MalformedError when the library does not take a file, VerificationError when it does not find its own work good.
    """
    library, context = library_context(maker.root)
    try:
        mark = library.Signer.from_callback(maker.signer.sign, library.C2paSigningAlg.ES256, maker.chain.decode("ascii"), None)
        with mark, library.Builder(json.dumps(_definition(claim, parents)), context=context) as builder:
            builder.set_no_embed()
            for number, (title, path) in enumerate(parents):
                kind = "componentOf" if number else "parentOf"
                with path.open("rb") as source:
                    builder.add_ingredient(json.dumps({"title": title, "relationship": kind, "instance_id": title}), FORMAT, source)
            with video.open("rb") as source, tempfile.SpooledTemporaryFile(SPOOL_BYTES) as unused:
                made = bytes(builder.sign(mark, FORMAT, source, unused))
        with video.open("rb") as source, library.Reader(FORMAT, source, manifest_data=made, context=context) as reader:
            _check(json.loads(reader.json()), reader.get_validation_state(), [title for title, _ in parents])
    except library.C2paError as error:
        raise MalformedError(f"no C2PA manifest: {str(error)[:200]}", where="derived file") from error
    except OSError as error:
        raise StorageError(str(error.strerror), where=str(video)) from error
    if len(made) > MAX_SIDECAR_BYTES:
        raise MalformedError(f"{len(made)} bytes, at most {MAX_SIDECAR_BYTES}", where="C2PA manifest")
    return made


def _definition(claim: Mapping[str, Any], parents: Sequence[tuple[str, Path]]) -> dict[str, Any]:
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [parents[0][0]]}}
    placed = [{"action": "c2pa.placed", "parameters": {"ingredientIds": [title for title, _ in parents[1:]]}}] if parents[1:] else []
    redacted = {"action": "c2pa.edited", "description": "areas of the pictures were destroyed and the film was encoded anew"}
    return {
        "claim_generator_info": [{"name": "Portwitness"}],
        "title": "redacted copy",
        "format": FORMAT,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [opened, *placed, redacted]}},
            {"label": ASSERTION, "data": dict(claim)},
        ],
    }


def _check(found: dict[str, Any], state: str, titles: Sequence[str]) -> None:
    active = found.get("manifests", {}).get(found.get("active_manifest"), {})
    said = [(one.get("relationship"), one.get("title")) for one in active.get("ingredients", [])]
    codes = sorted(set(failures(found)))
    if codes or state != "Trusted":
        raise VerificationError(f"{state}: {', '.join(codes)[:300] or 'no reason given'}", where="C2PA manifest")
    if said != [("componentOf" if number else "parentOf", title) for number, title in enumerate(titles)]:
        raise VerificationError("does not name its parents", where="C2PA manifest")


def main(arguments: list[str]) -> int:
    """Run the program; give 0 when the manifest was made."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    key, chain, authorities = (Path(one) for one in arguments)
    try:
        job = json.loads(sys.stdin.buffer.readline(MAX_JOB_BYTES))
        maker = Maker(load_p256(key), chain.read_bytes(), parse_pem(authorities.read_bytes())[-1].pem())
        made = make(maker, Path(job["video"]), [(title, Path(path)) for title, path in job["parents"]], job["claim"])
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"derived_manifests: {error}\n")
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
