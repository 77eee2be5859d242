"""Edit a bundle's folder as somebody does who knows its layout: read, write, take away, and re-make every manifest without a key."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from protocol import bundle
from protocol.errors import MalformedError


@dataclass(frozen=True, slots=True)
class Bag:
    """A bundle's folder."""

    folder: Path

    def names(self) -> list[str]:
        """Give the names of all files."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        """Read a file."""
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Put a file in the place of another; the other's bytes stay where they are linked elsewhere."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def drop(self, name: str) -> None:
        """Take a file away."""
        (self.folder / name).unlink()

    def videos(self, stream: str = "") -> list[str]:
        """Give the names of segments in their order, of one stream or of all."""
        found = [(parsed, name) for name in self.names() if (parsed := bundle.parse_video(name))]
        return [name for (whose, _), name in sorted(found) if not stream or whose == stream]

    def journals(self) -> list[str]:
        """Give the names of the journals' records."""
        return [name for name in self.names() if (parsed := bundle.parse_journal(name)) and parsed[2] == "bin"]

    def first_video(self, stream: str = "box-1/cam-1") -> str:
        """Give a segment in the middle of a stream; raise MalformedError when there is none."""
        found = self.videos(stream) or self.videos()
        if len(found) < 2:
            raise MalformedError("holds too few segments to attack", where=str(self.folder))
        return found[len(found) // 2]

    def rewrap(self) -> None:
        """Re-make all manifests that need no key: what is listed is what is there."""
        listed = bundle.parse_manifest(self.read(bundle.EVIDENCE), bundle.EVIDENCE)
        kept = {name for name in listed if (self.folder / name).is_file()}
        kept |= {name for name in self.names() if bundle.parse_video(name) or bundle.parse_journal(name)}
        self.write(bundle.EVIDENCE, self._manifest(kept))
        self.write(bundle.MANIFEST, self._manifest({name for name in self.names() if name.startswith("data/")}))
        tags = {name for name in self.names() if not name.startswith("data/") and name != bundle.TAG_MANIFEST}
        self.write(bundle.TAG_MANIFEST, self._manifest(tags))

    def _manifest(self, names: set[str]) -> bytes:
        return bundle.encode_manifest({name: hashlib.sha256(self.read(name)).digest() for name in names})
