"""A hub is killed without warning at each point that matters: nothing acknowledged is lost, nothing is there twice."""

import functools
import itertools
import json
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from hub.check import check_hub
from protocol.merkle import consistency_proof, verify_consistency
from protocol.notes import ED25519, NoteKey, SignedCheckpoint
from protocol.signatures import P256Signer
from storage.database import Database
from storage.keys import create_ed25519, load_ed25519
from storage.logs import LogFolder, PortLog, reader
from tests.hub_child import POINTS
from tests.hub_parts import TestBox, settings_for

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 6


def identity_from(der: bytes) -> P256Signer:
    return P256Signer.of(load_der_private_key(der, None))  # type: ignore[arg-type]


def prepare(state: Path) -> None:
    """Write a journal of some batches, each with a segment and a seal, its blobs, and the hub's key."""
    (state / "keys").mkdir()
    create_ed25519(state / "keys" / "log.key")
    box, blobs, cuts = TestBox(), [], [0]
    box.boot()
    box.recording()
    for _ in range(ROUNDS):
        blobs.append(box.segment()[1])
        box.heartbeat()
        box.seal()
        cuts.append(len(box.written))
    batches = [box.batch(first, end) for first, end in itertools.pairwise(cuts)]
    der = box.identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (state / "journal").write_bytes(pickle.dumps((batches, blobs, functools.partial(identity_from, der))))


def run_child(state: Path, point: str, count: int) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "tests.hub_child", str(state), point, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode, [json.loads(line) for line in done.stdout.decode().splitlines()]


async def check_extends(state: Path, older: bytes, newer: bytes) -> None:
    """Check that one published checkpoint extends another, by a proof from the tables."""
    old, new = SignedCheckpoint.parse(older).checkpoint, SignedCheckpoint.parse(newer).checkpoint
    async with Database(settings_for(state).database_url) as database:
        proof = await database.read(lambda connection: consistency_proof(old.size, new.size, reader(connection, PortLog())))
    verify_consistency(old.size, old.root, new.size, new.root, proof)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("point", list(POINTS))
async def test_nothing_acknowledged_is_lost_and_nothing_is_twice(tmp_path: Path, point: str, count: int) -> None:
    prepare(tmp_path)
    code, before = run_child(tmp_path, point, count)
    assert code == -signal.SIGKILL
    published = LogFolder(tmp_path / "log").checkpoint()
    assert (await check_persisted(tmp_path)) >= max([line.get("persisted", 0) for line in before], default=0)
    code, after = run_child(tmp_path, "never", 0)
    assert code == 0
    newest = LogFolder(tmp_path / "log").checkpoint()
    assert newest is not None
    assert SignedCheckpoint.parse(newest).checkpoint.size == 1 + ROUNDS + await stored_records(tmp_path)
    key = NoteKey(settings_for(tmp_path).log_origin, ED25519, load_ed25519(tmp_path / "keys" / "log.key").public)
    for note in [*(line["checkpoint"].encode() for line in before + after if "checkpoint" in line), *([published] if published else [])]:
        SignedCheckpoint.parse(note).verify(key, origin=key.name)
        await check_extends(tmp_path, note, newest)
    answer = await check_hub(settings_for(tmp_path))
    assert answer.problems == ()
    stored = {name for line in before + after for name in line.get("stored", ())}
    assert len(stored) == ROUNDS
    assert answer.blobs == ROUNDS


async def check_persisted(state: Path) -> int:
    """Give how much of the journal is committed, read from outside."""
    async with Database(settings_for(state).database_url) as database:
        found = await database.read(lambda connection: connection.exec_driver_sql("SELECT max(size) FROM journals").scalar())
    return int(found or 0)


async def stored_records(state: Path) -> int:
    async with Database(settings_for(state).database_url) as database:
        text = "SELECT count(*) FROM records WHERE kind = 'stored'"
        return int(await database.read(lambda connection: connection.exec_driver_sql(text).scalar_one()))
