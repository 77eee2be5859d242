"""Close a bundle with the hub's export key: C2PA manifests beside the segments, CMS over the whole, a time authority's token on top.

Guarantees: all of it is extra - a hub without export key, library or authority exports as well and says in a line what is not
there; manifests are made one at a time in a process of their own, which a crash of the native library cannot leave, and each is
read back before it counts; nothing is written here.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from hub.core import Core
from hub.timestamps import fetch_token, read_anchors
from protocol import bundle, cms, timestamps
from protocol.certificates import Certificate, check_exporter, parse_pem
from protocol.errors import PortwitnessError, StorageError, UnavailableError
from protocol.reckoning import Piece
from protocol.signatures import P256Signer
from storage import sidecars
from storage.keys import load_p256

KEY, CERTIFICATE, CRL = "export.key", "export.pem", "crl.pem"
PATIENCE_S = 120.0  # for one segment, in a process that may have to start first
_PROGRAM = "storage.sidecars"


@dataclass(frozen=True, slots=True)
class ExportKey:
    """The hub's export key, its certificate and the site CA's."""

    signer: P256Signer
    leaf: Certificate
    authority: Certificate

    def sign(self, tag_manifest: bytes, at_ns: int) -> bytes:
        """Give the CMS signature over a bundle's tag manifest."""
        return cms.sign(tag_manifest, self.signer, self.leaf, self.authority, at_ns)


def load_key(core: Core, chain: tuple[Certificate, Certificate]) -> tuple[ExportKey | None, str]:
    """Read the export key; without one that counts now, give None and why. `chain`: site CA and root."""
    keys = core.settings.keys
    if not (keys / KEY).exists():
        return None, f"no export key ({KEY}; see `portwitness-ca exporter`): signature and C2PA manifests are not present"
    try:
        leaf = parse_pem((keys / CERTIFICATE).read_bytes())[0]
        signer = load_p256(keys / KEY)
        check_exporter(leaf, chain, hub=core.hub_id, root_sha256=chain[1].fingerprint, at_ns=core.clock.now().wall_ns)
        if leaf.public != signer.public:
            raise StorageError("is not the certificate of the export key", where=str(keys / CERTIFICATE))
    except OSError as error:
        return None, f"{keys / CERTIFICATE}: {error.strerror}: signature and C2PA manifests are not present"
    except PortwitnessError as error:
        return None, f"the export key does not count ({error}): signature and C2PA manifests are not present"
    return ExportKey(signer, leaf, chain[0]), ""


def claims(core: Core, key: ExportKey | None) -> dict[str, bytes]:
    """Give what the hub says of itself in a bundle: policy, certificate, revocation list, anchors; raise StorageError."""
    policy = core.witnesses.policy if core.witnesses is not None else None
    if policy is None:
        raise StorageError("no witness policy was read", where="export")
    found = {bundle.POLICY: policy.encode()}
    if key is not None:
        found[bundle.EXPORTER] = key.leaf.pem()
    crl = core.settings.keys / CRL
    if crl.is_file():
        found[bundle.CRL] = crl.read_bytes()
    if core.settings.time_authority.urls:
        found[bundle.TIME_AUTHORITIES] = timestamps.encode_anchors(read_anchors(core.settings)).encode()
    return found


async def stamp(core: Core, data: bytes) -> bytes:
    """Have the first time authority that answers stamp `data`; give its answer as stock tools read it.

    Raises UnavailableError naming what each said.
    """
    said: list[str] = []
    anchors = await asyncio.to_thread(read_anchors, core.settings)
    async with httpx.AsyncClient(timeout=core.settings.time_authority.timeout_seconds) as client:
        for url in core.settings.time_authority.urls:
            try:
                token, _ = await fetch_token(client, url, data, anchors)
                timestamps.check_spelling(token)
            except (PortwitnessError, httpx.HTTPError) as error:
                said.append(f"{url}: {str(error) or type(error).__name__}")
                continue
            return timestamps.as_response(token)
    raise UnavailableError("; ".join(said)[:400], where="time authorities")


async def make_sidecars(
    core: Core, authorities: Path, videos: Mapping[str, tuple[Path, Piece]], progress: Callable[[int], None]
) -> tuple[dict[str, bytes], str]:
    """Make the C2PA manifests of segments, by name; give them, and what is not there and why (empty: nothing).

    `progress` takes bytes of segments that are done.
    """
    if not sidecars.is_available():
        return {}, "c2pa-python is not installed: C2PA manifests are not present"
    made: dict[str, bytes] = {}
    lacking: list[str] = []
    keys = core.settings.keys
    async with _worker(keys / KEY, keys / CERTIFICATE, authorities) as worker:
        for name, (path, piece) in videos.items():
            claim = sidecars.SegmentClaim(piece.stream, piece.body.number, piece.body.sha256.hex(), piece.usage)
            try:
                made[bundle.sidecar_name(name)] = await worker.ask(path, claim)
            except UnavailableError as error:
                return made, f"{len(videos) - len(made)} of {len(videos)} C2PA manifests are not present: {error}"
            except StorageError as error:
                lacking.append(str(error))
            progress(piece.body.size)
    return made, f"{len(lacking)} of {len(videos)} C2PA manifests are not present: {lacking[0]}" if lacking else ""


@dataclass(frozen=True, slots=True)
class _Worker:
    process: asyncio.subprocess.Process

    async def ask(self, video: Path, claim: sidecars.SegmentClaim) -> bytes:
        """Have one manifest made; raise StorageError when this segment has none, UnavailableError when the process has ended."""
        source, sink = self.process.stdout, self.process.stdin
        if source is None or sink is None:
            raise UnavailableError("has no pipes", where=_PROGRAM)
        try:
            async with asyncio.timeout(PATIENCE_S):
                sink.write(json.dumps({"video": str(video), "claim": asdict(claim)}).encode() + b"\n")
                await sink.drain()
                answer = json.loads(await source.readuntil(b"\n"))
                data = await source.readexactly(answer["size"])
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise UnavailableError(f"ended or is silent ({type(error).__name__})", where=_PROGRAM) from error
        if not data:
            raise StorageError(str(answer["what"])[:300])
        return data


@asynccontextmanager
async def _worker(*arguments: Path) -> AsyncIterator[_Worker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _PROGRAM, *map(str, arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield _Worker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
