"""Files that are whole or not there, folders that are flushed, space that is watched."""

import errno
import os
from pathlib import Path

import pytest

from protocol.errors import DiskFullError, StorageError
from storage.files import Ballast, SegmentFolder, SpaceWatch, cut_file, free_bytes, make_folder, read_file, replace_file, set_aside


def test_a_replaced_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_faults_are_told_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        replace_file(tmp_path / "nowhere" / "state", b"x")
    with pytest.raises(StorageError, match="missing"):
        cut_file(tmp_path / "missing", 3)
    with pytest.raises(StorageError, match="missing"):
        read_file(tmp_path / "missing", 3)
    with pytest.raises(StorageError):
        free_bytes(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"1234")
    with pytest.raises(StorageError, match="more than 3 bytes"):
        read_file(tmp_path / "file", 3)
    with pytest.raises(StorageError):
        make_folder(tmp_path / "file" / "below")


def test_a_file_is_cut_and_never_grown(tmp_path: Path) -> None:
    path = tmp_path / "tail"
    path.write_bytes(b"123456")
    cut_file(path, 4)
    cut_file(path, 9)
    assert path.read_bytes() == b"1234"


def test_what_is_set_aside_keeps_every_version(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        path = tmp_path / "cam-1" / "7.mp4"
        make_folder(path.parent)
        path.write_bytes(content)
        set_aside(path, tmp_path / "quarantine")
    assert sorted(each.read_bytes() for each in (tmp_path / "quarantine").iterdir()) == [b"one", b"two"]


def test_segments_are_created_once(tmp_path: Path) -> None:
    folder = SegmentFolder(tmp_path / "segments")
    file = folder.create("cam-1", 0)
    file.append(b"abc")
    file.flush()
    file.cut(2)
    file.append(b"d")
    file.close()
    folder.sync_names(["cam-1"])
    assert folder.path("cam-1", 0).read_bytes() == b"abd"
    with pytest.raises(StorageError, match="exists"):
        folder.create("cam-1", 0)
    folder.remove("cam-1", 0)
    folder.remove("cam-1", 0)
    assert not folder.path("cam-1", 0).exists()


@pytest.mark.parametrize(("code", "family"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, StorageError)])
def test_no_space_is_told_apart(tmp_path: Path, code: int, family: type[StorageError]) -> None:
    def fail(fd: int, data: memoryview) -> int:
        raise OSError(code, os.strerror(code))

    file = SegmentFolder(tmp_path, fail).create("cam-1", 0)
    with pytest.raises(StorageError) as caught:
        file.append(b"x")
    assert type(caught.value) is family
    file.close()


def test_short_writes_are_continued(tmp_path: Path) -> None:
    file = SegmentFolder(tmp_path, lambda fd, data: os.write(fd, data[:3])).create("cam-1", 0)
    file.append(b"0123456789")
    file.close()
    assert (tmp_path / "cam-1" / "0.mp4").read_bytes() == b"0123456789"


def test_ballast_takes_real_space_and_gives_it_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1 << 20)
    assert ballast.hold() and ballast.hold()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 1 << 20
    assert ballast.release()
    assert not ballast.release()
    assert not Ballast(tmp_path / "huge", 1 << 60).hold()
    assert not (tmp_path / "huge").exists()


def test_space_is_judged_with_hysteresis(tmp_path: Path) -> None:
    free = iter([300, 150, 99, 150, 199, 200, 99, 1000])
    watch = SpaceWatch(tmp_path, 100, 200, lambda _: next(free))
    assert [watch.look() for _ in range(8)] == ["ok", "low", "full", "full", "full", "ok", "full", "ok"]
