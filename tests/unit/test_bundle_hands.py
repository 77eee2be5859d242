"""Files of a bundle hash the same on threads and in processes, in few and many shares; a file that goes away is named by both."""

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from protocol.errors import StorageError
from storage import bundles
from storage.bundles import Member, hash_all, processes, threads


def members_in(folder: Path, count: int) -> dict[str, Member]:
    chosen, found = random.Random(7), {}
    for number in range(count):
        path = folder / f"{number}.mp4"
        path.write_bytes(chosen.randbytes(chosen.randrange(1, 40_000)))
        found[path.name] = Member(path.name, path, 0, path.stat().st_size)
    return found


@pytest.mark.parametrize("hands", [threads, processes])
@pytest.mark.parametrize("count", [0, 1, 150])
def test_every_file_is_hashed_once_with_its_marks(tmp_path: Path, hands: Callable[[], Executor], count: int) -> None:
    members = members_in(tmp_path, count)
    marks = {name: (0, member.size // 2, member.size, member.size + 1) for name, member in members.items()}
    done: list[int] = []
    found = hash_all(members, {"small": b"bytes"}, marks, done.append, rooted=list(members)[:20], hands=hands)
    assert found.pop("small").sha256 == hashlib.sha256(b"bytes").digest()
    assert sum(done) == sum(member.size for member in members.values())
    assert found.keys() == members.keys()
    for name, member in members.items():
        data = member.path.read_bytes()
        assert (found[name].size, found[name].sha256) == (member.size, hashlib.sha256(data).digest())
        half = member.size // 2
        assert found[name].prefixes == {at: hashlib.sha256(data[:at]).digest() for at in {0, half, member.size}}
        assert isinstance(found[name].samples, str) is (name in list(members)[:20])  # random bytes are no film, and it says so


@pytest.mark.parametrize("hands", [threads, processes])
def test_a_file_that_is_gone_is_named(tmp_path: Path, hands: Callable[[], Executor]) -> None:
    members = members_in(tmp_path, 2 * bundles.SHARE_FILES)
    (tmp_path / "100.mp4").unlink()
    with pytest.raises(StorageError, match=r"100\.mp4"):
        hash_all(members, {}, {}, lambda count: None, hands=hands)
