"""Alter a written bundle as anybody can who holds it."""

from pathlib import Path

from protocol import bundle


def names_of(folder: Path) -> list[str]:
    """Give the names of all files of a bundle."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def replace_bytes(path: Path, data: bytes) -> None:
    """Give a file other bytes; it may share those it has with the original."""
    path.unlink()
    path.write_bytes(data)


def rewrap(folder: Path) -> None:
    """Make the outer manifests anew, which need no key."""
    payload = {name: bundle.sha256((folder / name).read_bytes()) for name in names_of(folder) if name.startswith("data/")}
    replace_bytes(folder / bundle.MANIFEST, bundle.encode_manifest(payload))
    tags = [name for name in names_of(folder) if not name.startswith("data/") and name != bundle.TAG_MANIFEST]
    hashes = {name: bundle.sha256((folder / name).read_bytes()) for name in tags}
    replace_bytes(folder / bundle.TAG_MANIFEST, bundle.encode_manifest(hashes))
