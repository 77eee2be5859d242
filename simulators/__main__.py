"""The program `portwitness-sim`: devices, people and a whole port, each usable alone from the command line.

Each subcommand is a module with `add_arguments(parser)` and `run(args)`, loaded only when it is asked for.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "camera": ("simulators.devices.camera", "be one or many RTSP cameras"),
    "recorder": ("simulators.devices.recorder", "be a body-worn recorder that publishes by WHIP"),
    "tasks": ("simulators.people.tasks", "open and end tasks at a hub, as a port's system does"),
    "inspector": ("simulators.people.inspector", "be an inspector who pairs a recorder and works a checklist, well or not"),
    "trader": ("simulators.people.trader", "be the traders of a port: declarations, plausible and faulty"),
    "terminal": ("simulators.partners.terminal", "be a port's terminal: arrivals, positions, gate moves, also wrong ones"),
    "laboratory": ("simulators.partners.laboratory", "be a laboratory that receives samples and reports on them"),
    "webhook": ("simulators.partners.webhook", "be a partner's system that takes a hub's signed notices"),
    "time-authority": ("simulators.partners.time_authority", "be a time authority (RFC 3161) by the openssl of this machine"),
    "attack": ("simulators.adversary.command", "attack a copy of evidence, of a box, a hub or a log"),
    "day": ("simulators.port_day.command", "play a port's day in virtual time and count what came of it"),
    "demo": ("simulators.demo", "run a whole port on this machine"),
}
EPILOG = """example:
  portwitness-sim demo
  portwitness-sim tasks --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one simulator; give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="portwitness-sim",
        description=__doc__.splitlines()[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    asked = next((word for word in arguments if word in COMMANDS), None)
    for name, (_, sentence) in COMMANDS.items():
        sub = parsers.add_parser(name, help=sentence, description=sentence[0].upper() + sentence[1:] + ".")
        sub.formatter_class = argparse.RawDescriptionHelpFormatter
        if name == asked:
            importlib.import_module(COMMANDS[name][0]).add_arguments(sub)
    args = parser.parse_args(arguments)
    return int(importlib.import_module(COMMANDS[args.command][0]).run(args))


if __name__ == "__main__":
    sys.exit(main())
