"""The witnesses' quorum of the trust file is judged at the checkpoint of a bundle, and cannot be stripped or feigned."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from protocol import bundle
from protocol.errors import MalformedError
from protocol.notes import Signature, SignedCheckpoint, cosign, cosigner, parse_note
from protocol.policies import Log, Policy, Witness
from protocol.signatures import MlDsa44Signer, Signer
from protocol.trust import Trust
from simulators.cases import TASK, Case, busy_port, write_case
from simulators.evidence import fixed_ed25519
from storage.verify import verify

SECONDS = 1_800_000_000


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("quorum")
    return write_case(busy_port(folder / "blobs"), folder / f"case-{TASK}")


def replace_bytes(path: Path, data: bytes) -> None:
    path.unlink()  # a copy may share its bytes with the original
    path.write_bytes(data)


def rewrap(folder: Path) -> None:
    """Make the bag's size and the outer manifests again, as anybody can."""
    sizes = [path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file()]
    info = (folder / bundle.BAG_INFO).read_text()
    replace_bytes(folder / bundle.BAG_INFO, re.sub(r"Payload-Oxum: \S+", f"Payload-Oxum: {sum(sizes)}.{len(sizes)}", info).encode())
    for listing in (bundle.MANIFEST, bundle.TAG_MANIFEST):
        names = bundle.parse_manifest((folder / listing).read_bytes(), listing)
        hashes = {name: bundle.sha256((folder / name).read_bytes()) for name in names}
        replace_bytes(folder / listing, bundle.encode_manifest(hashes))


def outsiders() -> dict[str, Signer]:
    found: dict[str, Signer] = {name: fixed_ed25519(seed) for name, seed in (("customs", 901), ("port", 902))}
    try:
        found["notary"] = MlDsa44Signer.of(bytes(range(32)))
    except MalformedError as error:
        pytest.skip(str(error))
    return found


def asking(case: Case, k: int = 2) -> Trust:
    """Give the case's trust with a policy of k of three, one of them with an ML-DSA-44 key."""
    witnesses = [Witness(name, cosigner(f"{name}.example", signer.public)) for name, signer in outsiders().items()]
    return replace(case.trust, policy=Policy.threshold(k, witnesses, (Log(case.trust.log),)))


def cosigned(case: Case, target: Path, *names: str, spoil: bool = False) -> Path:
    """Give a copy of the case under a checkpoint that these witnesses cosigned, each proof and outer manifest made again."""
    folder = Path(shutil.copytree(case.folder, target / case.folder.name))
    old = (folder / bundle.CHECKPOINT).read_bytes()
    text = SignedCheckpoint.parse(old).note.text
    signed = [cosign(text, f"{name}.example", signer, SECONDS) for name, signer in outsiders().items() if name in names]
    if spoil:
        signed = [Signature(one.name, one.hash, one.data[:-1] + bytes((one.data[-1] ^ 1,))) for one in signed]
    new = parse_note(old).with_signatures(signed).encode()
    replace_bytes(folder / bundle.CHECKPOINT, new)
    for path in sorted((folder / "data/log").glob("*.tlog-proof")):
        proof = bundle.LogProof.parse(path.read_bytes())
        replace_bytes(path, replace(proof, checkpoint=new).encode())
    rewrap(folder)
    return folder


@pytest.mark.parametrize("names", [("customs", "port"), ("port", "notary"), ("customs", "port", "notary")])
def test_a_bundle_with_a_quorum_is_valid(case: Case, tmp_path: Path, names: tuple[str, ...]) -> None:
    report = verify(cosigned(case, tmp_path, *names), asking(case))
    assert report.faults == ()
    assert not any(line.startswith("cosignatures of outside witnesses") for line in report.unchecked)


@pytest.mark.parametrize("names", [(), ("customs",), ("notary",)])
def test_a_bundle_without_a_quorum_is_not_valid(case: Case, tmp_path: Path, names: tuple[str, ...]) -> None:
    report = verify(cosigned(case, tmp_path, *names), asking(case))
    assert not report.valid
    assert any(fault.file == bundle.CHECKPOINT and "no quorum" in fault.what for fault in report.faults)
    assert verify(cosigned(case, tmp_path / "none", *names), case.trust).valid  # a trust file that asks for none


def test_a_spoilt_cosignature_is_no_quorum(case: Case, tmp_path: Path) -> None:
    report = verify(cosigned(case, tmp_path, "customs", "notary", spoil=True), asking(case, 1))
    assert not report.valid
    assert any(fault.file == bundle.CHECKPOINT for fault in report.faults)
