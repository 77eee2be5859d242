"""The site CA puts the witness policy into every trust file it gives or signs."""

import io
import json
from pathlib import Path

import pytest

from protocol.errors import VerificationError
from protocol.notes import ED25519, Checkpoint, NoteKey, SignedCheckpoint, cosign, cosigner, sign_checkpoint
from protocol.trust import Trust, log_origin
from storage.authority import run
from storage.clock import SystemClock
from tests.hub_parts import log_signer


def ca(*arguments: object) -> dict[str, object]:
    out, err = io.StringIO(), io.StringIO()
    status = run([str(each) for each in arguments] + ["--json"], out, err, SystemClock())
    assert status == 0, err.getvalue()
    answer: dict[str, object] = json.loads(out.getvalue())
    return answer


def test_the_policy_of_the_authority_is_in_its_trust_files(tmp_path: Path) -> None:
    log, outside = log_signer(), log_signer()
    origin = log_origin("dayaowan", "hub-1")
    key = NoteKey(origin, ED25519, log.public)
    folder, file, out = tmp_path / "ca", tmp_path / "policy.txt", tmp_path / "trust.json"
    ca("init", folder, "--site", "dayaowan")
    ca("pin", folder, "--log", key.vkey())
    file.write_text(f"witness customs {cosigner('customs.example', outside.public).vkey()} https://w.example\nquorum customs\n")
    assert ca("witnesses", folder, "--policy", file) == {"witnesses": ["customs"], "quorum": "customs"}
    ca("trust", folder, "--hub", "hub-1", "--out", out)
    trust = Trust.parse(out.read_bytes())
    head = Checkpoint(origin, 3, bytes(32))
    with pytest.raises(VerificationError, match="no quorum"):
        trust.check_checkpoint(SignedCheckpoint.parse(sign_checkpoint(head, log)))
    by_customs = cosign(head.text(), "customs.example", outside, 9)
    assert trust.check_checkpoint(SignedCheckpoint.parse(sign_checkpoint(head, log, (by_customs,)))) is None


def test_a_policy_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    ca("init", tmp_path / "ca", "--site", "dayaowan")
    file = tmp_path / "policy.txt"
    file.write_text("quorum nobody\n")
    err = io.StringIO()
    assert run(["witnesses", str(tmp_path / "ca"), "--policy", str(file)], io.StringIO(), err, SystemClock()) == 1
    assert "policy line 1" in err.getvalue()
