"""A hub is killed in the middle of an upload: what it said it had is there, the sender goes on from there, and the whole counts once."""

import hashlib
import random
import signal
import subprocess
import sys
from pathlib import Path

from hub.check import check_hub
from storage.keys import create_ed25519
from tests.hub_parts import settings_for

ROOT = Path(__file__).parent.parent.parent


def run(state: Path, left: int) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "tests.upload_child", str(state), str(left)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode().split()


async def test_an_upload_goes_on_where_a_killed_hub_left_it(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    create_ed25519(tmp_path / "keys" / "log.key")
    data = random.Random(8).randbytes(450_000)
    (tmp_path / "photo").write_bytes(data)
    code, said = run(tmp_path, 2)
    assert (code, said) == (-signal.SIGKILL, ["0", "100000", "200000"])
    code, said = run(tmp_path, 1)
    assert (code, said) == (-signal.SIGKILL, ["200000", "300000"])
    code, said = run(tmp_path, -1)
    assert (code, said) == (0, ["300000", "400000", "450000", "stored"])
    assert (await check_hub(settings_for(tmp_path))).problems == ()
    name = hashlib.sha256(data).hexdigest()
    assert (tmp_path / "blobs" / name[:2] / name).read_bytes() == data
    assert list((tmp_path / "incoming-files").iterdir()) == []
