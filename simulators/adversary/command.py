"""Run one attack on a copy of what it is given: the command `portwitness-sim attack`."""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from protocol.errors import PortwitnessError, RefusedError
from simulators.adversary.attacks import TARGETS, Attack, Strike
from simulators.adversary.catalogue import ATTACKS, find
from simulators.adversary.noise import endure
from simulators.adversary.stages import make_stage
from storage.verify import read_trust

EXAMPLE = """example:
  portwitness-sim attack --stage stage
  portwitness-sim attack edit-pixels stage/bundle --out attacked --seed 7
  portwitness-verify attacked --trust stage/trust.json
  portwitness-sim attack --noise 10000
  portwitness-sim attack --list --json | jq '.[].name'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("name", nargs="?", metavar="NAME", help="the attack")
    parser.add_argument("target", nargs="?", type=Path, metavar="TARGET", help="what it is made on, a part of a stage; it stays as it is")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the attacked copy goes; must not be there yet")
    parser.add_argument("--seed", type=int, default=1, help="of its dice (default: 1)")
    parser.add_argument("--list", action="store_true", help="list all attacks, their targets and what their authors own")
    parser.add_argument("--stage", type=Path, metavar="DIR", help="make a stage: evidence to attack, with the loot of each level")
    parser.add_argument("--noise", type=int, metavar="CASES", help="damage a bundle by chance so often; fail when one passes as valid")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(args: argparse.Namespace) -> int:
    """Run one attack, make a stage, or list all; give the exit code."""
    try:
        if args.list:
            sys.stdout.write(listing(as_json=args.json) + "\n")
        elif args.stage is not None:
            sys.stdout.write(f"{make_stage(args.stage, args.seed)}\n")
        elif args.noise is not None:
            return noise(args.noise, args.seed)
        elif args.name is None or args.target is None or args.out is None:
            raise RefusedError("give NAME, TARGET and --out; or --list; or --stage", where="attack")
        else:
            sys.stdout.write(f"{strike(find(args.name), args.target, args.out, args.seed)}\n")
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim attack: {error}\n")
        return 1
    return 0


def noise(cases: int, seed: int) -> int:
    """Damage a bundle by chance so often, say what came of it; give the exit code."""
    with tempfile.TemporaryDirectory(prefix="portwitness-noise-") as folder:
        stage = make_stage(Path(folder), seed)
        tally = endure(stage / "bundle", read_trust(stage / "trust.json"), cases, seed)
    sys.stdout.write(f"{tally}\n" + "".join(f"case {number}: {kind} of {place} passed\n" for number, kind, place in tally.false))
    return 1 if tally.false else 0


def listing(*, as_json: bool) -> str:
    """Give all attacks, a line each, or as JSON."""
    if as_json:
        rows = [{"name": one.name, "target": one.target, "owns": one.level, "does": one.sentence} for one in ATTACKS]
        return json.dumps(rows, ensure_ascii=False, indent=1)
    return "\n".join(f"{one.name:24} {one.target:7} {one.level:20} {one.sentence}" for one in ATTACKS)


def strike(attack: Attack, target: Path, out: Path, seed: int) -> Path:
    """Make an attack on a copy of `target`; give where it is.

    Raises RefusedError when `out` is there, MalformedError when the target is not what the attack is made on.
    """
    if out.exists():
        raise RefusedError("is there already", where=str(out))
    if not target.is_dir():
        raise RefusedError(f"is no folder; {attack.name} is made on {TARGETS[attack.target]}", where=str(target))
    if attack.target == "day":
        out.mkdir(parents=True)
        attack.act(Strike(out, target, random.Random(seed)))  # noqa: S311 - repeatable by seed, no secret
        return next(path for path in out.iterdir() if path.name.startswith("case-") and path.is_dir())
    shutil.copytree(target, out)
    attack.act(Strike(out, target.parent, random.Random(seed)))  # noqa: S311 - repeatable by seed, no secret
    return out
