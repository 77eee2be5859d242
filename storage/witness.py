"""Witness other people's logs: the program `portwitness-witness`, for a party outside of their administration.

It speaks tlog-witness (c2sp.org/tlog-witness) over HTTP or HTTPS and cosigns a checkpoint only when it extends the one it
cosigned before, which it has flushed to disk before it answers. With a key for it, it answers for draws too: for one pool per
draw number. Needs `protocol` and `storage` alone, so that an outside party can read all it runs. Any log in the C2SP formats can
be named in its settings.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from protocol.drawing import vrf
from protocol.errors import MalformedError, PortwitnessError
from protocol.instants import Clock
from protocol.notes import ED25519, NoteKey, cosigner
from protocol.settings import read, setting
from protocol.signatures import MlDsa44Signer, Signer
from storage.clock import SystemClock
from storage.keys import create_ed25519, load_ed25519, read_secret_seed, write_new
from storage.witness_server import Limits, Serving, Witness, serve
from storage.witness_state import WitnessState, create

PREFIX = ""  # no environment: who runs a witness reads one file and knows all
_ED25519, _ML_DSA, _STATE, _DRAW = "witness.key", "witness-ml-dsa-44.key", "witness.db", "witness-draw.key"
_EPILOG = """examples:
  portwitness-witness init --config witness.toml          make keys and an empty memory; print the verifier keys
  portwitness-witness serve --config witness.toml
  portwitness-witness keys --config witness.toml          print the verifier keys again
  portwitness-witness forks --config witness.toml --json  print what a log signed against itself
  portwitness-witness draw-key --config witness.toml      answer for draws too: make the key for it, or print it again

witness.toml:
  name = "witness.customs.example"
  state = "witness-state"
  [[logs]]
  vkey = "portwitness.port/dayaowan/hub-1+1a2b3c4d+AQ..."

exit status: 0 done, 1 refused or failed"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """A log that this witness cosigns."""

    vkey: str = setting("The log's verifier key; its name is the log's origin. Several entries may name one origin.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where requests come in."""

    host: str = setting("Address to listen on.", default="127.0.0.1")
    port: int = setting("TCP port; 0 takes a free one.", default=8470, bounds=(0, 65_535))
    certificate: Path | None = setting("PEM certificate chain; none: plain HTTP, for a proxy in front or a closed network.", default=None)
    key: Path | None = setting("PEM key of that certificate.", default=None)
    connections: int = setting("Connections at a time; more are closed at once.", default=64, bounds=(1, 10_000))
    per_minute: int = setting("Requests a minute taken from one address.", default=600, bounds=(1, 1_000_000))
    idle_seconds: float = setting("A connection that says nothing is closed after this.", default=30.0, unit="s", bounds=(0.1, 3600))


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """All settings of a witness."""

    name: str = setting("The witness's name in its cosignatures: a URL without scheme.")
    state: Path = setting("Folder of keys and memory.", default=Path("witness-state"))
    listen: ListenSettings = ListenSettings()
    logs: tuple[LogSettings, ...] = setting("The logs to cosign.", default=())

    def __post_init__(self) -> None:
        trusted = self.trusted()
        if any(key.kind != ED25519 for keys in trusted.values() for key in keys):
            raise MalformedError("a log's key signs notes (type 1), this one cosigns", where="logs")

    def trusted(self) -> dict[str, tuple[NoteKey, ...]]:
        """Give the trusted keys per origin; raise MalformedError."""
        found: dict[str, tuple[NoteKey, ...]] = {}
        for log in self.logs:
            key = NoteKey.parse(log.vkey)
            found[key.name] = (*found.get(key.name, ()), key)
        return found


def load(path: Path) -> WitnessSettings:
    """Read a settings file; raise MalformedError naming file, line and what was expected."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedError("cannot be read", where=str(path)) from error
    return read(WitnessSettings, text, file=str(path), environ={}, prefix=PREFIX)


def signers(state: Path) -> tuple[Signer, ...]:
    """Give the witness's keys: Ed25519, and ML-DSA-44 where `init` could make one."""
    found: list[Signer] = [load_ed25519(state / _ED25519)]
    if (state / _ML_DSA).exists():
        found.append(MlDsa44Signer.of(read_secret_seed(state / _ML_DSA)))
    return tuple(found)


def initialise(settings: WitnessSettings) -> list[str]:
    """Make keys and an empty memory; give the verifier keys. Raises StorageError when any is there."""
    create(settings.state / _STATE)
    made: list[Signer] = [create_ed25519(settings.state / _ED25519)]
    seed = os.urandom(32)
    with suppress(MalformedError):  # this library or its OpenSSL has no ML-DSA: then Ed25519 alone
        lattice = MlDsa44Signer.of(seed)
        write_new(settings.state / _ML_DSA, seed.hex().encode() + b"\n")
        made.append(lattice)
    return [cosigner(settings.name, one.public).vkey() for one in made]


def draw_seed(settings: WitnessSettings) -> bytes | None:
    """Give the seed of the key that answers for draws; None where none was made."""
    path = settings.state / _DRAW
    return read_secret_seed(path) if path.exists() else None


def make_draw_key(settings: WitnessSettings) -> str:
    """Give the public key that answers for draws, in hex; make it when there is none. Raises StorageError."""
    if draw_seed(settings) is None:
        write_new(settings.state / _DRAW, os.urandom(vrf.SEED_BYTES).hex().encode() + b"\n")
    return vrf.public_key(draw_seed(settings) or b"").hex()


def open_state(settings: WitnessSettings) -> WitnessState:
    """Give the witness's memory, not opened yet."""
    return WitnessState(settings.state / _STATE)


def limits(settings: WitnessSettings) -> Limits:
    """Give the bounds on callers."""
    listen = settings.listen
    return Limits(listen.connections, listen.per_minute, listen.idle_seconds)


async def run_server(settings: WitnessSettings, clock: Clock, out: TextIO) -> None:
    """Serve until told to stop; say on `out` where."""
    witness = Witness(settings.name, signers(settings.state), settings.trusted(), open_state(settings), clock, draw_seed(settings))
    listen = settings.listen
    where = Serving(listen.host, listen.port, listen.certificate, listen.key)
    async with witness, serve(witness, where, limits(settings)) as url:
        out.write(json.dumps({"ready": url}) + "\n")
        out.flush()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


def parser() -> argparse.ArgumentParser:
    """Give the command line of `portwitness-witness`."""
    made = argparse.ArgumentParser(
        prog="portwitness-witness",
        description="Cosign the checkpoints of other people's logs, and only ever one history of each.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "init": "make keys and an empty memory",
        "serve": "answer logs until stopped",
        "keys": "print the verifier keys for policies",
        "forks": "print what a log signed against itself: pairs of checkpoints that cannot both stand",
        "draw-key": "print the public key that answers for draws, in hex; it is made when there is none",
    }
    for name, text in texts.items():
        example = f"example: portwitness-witness {name} --config witness.toml"
        command: Any = commands.add_parser(name, help=text, description=text, epilog=example)
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings file (TOML)")
        if name == "forks":
            command.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def run(arguments: Sequence[str] | None, out: TextIO, err: TextIO, clock: Clock) -> int:
    """Run the program with these streams; give the exit status."""
    options = parser().parse_args(arguments)
    try:
        settings = load(options.config)
        if options.command == "serve":
            asyncio.run(run_server(settings, clock, out))
        elif options.command == "forks":
            out.write(_forks(settings, as_json=options.json))
        elif options.command == "draw-key":
            out.write(f"{make_draw_key(settings)}\n")
        else:
            made = initialise(settings) if options.command == "init" else _keys(settings)
            out.write("".join(f"{vkey}\n" for vkey in made))
    except PortwitnessError as error:
        err.write(f"portwitness-witness: {error}\n")
        return 1
    return 0


def _keys(settings: WitnessSettings) -> list[str]:
    return [cosigner(settings.name, one.public).vkey() for one in signers(settings.state)]


def _forks(settings: WitnessSettings, *, as_json: bool) -> str:
    state = open_state(settings)
    state.open()
    try:
        found = state.forks()
    finally:
        state.close()
    if as_json:
        rows = [{"origin": one.origin, "at_s": one.at_s, "held": one.held.decode(), "shown": one.shown.decode()} for one in found]
        return json.dumps({"forks": rows}, ensure_ascii=False) + "\n"
    return "".join(f"{one.origin} at {one.at_s}\n{one.held.decode()}\n{one.shown.decode()}\n" for one in found)


def main() -> None:
    """Run `portwitness-witness`."""
    sys.exit(run(None, sys.stdout, sys.stderr, SystemClock()))


if __name__ == "__main__":
    main()
