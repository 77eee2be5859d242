"""Put the rules of the inspection on the command line: `portwitness-hub rules NAME ...`, the code that the hub decides by.

Guarantees: exit code 0 with an answer (a "no" is an answer), 1 when something could not be read, 2 for bad input with a named reason;
nothing is changed, no hub is needed. A part adds its commands by one function in `rule_commands`.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from hub.inspection.credit_commands import credit_commands
from hub.inspection.drawing_commands import drawing_commands
from hub.inspection.plan_commands import plan_commands
from hub.inspection.risk.commands import risk_commands
from hub.inspection.rule_asking import RuleCommand
from hub.inspection.sampling_commands import sampling_commands
from protocol.errors import MalformedError, PortwitnessError, RefusedError, VerificationError


def rule_commands() -> Sequence[RuleCommand]:
    """Give every rule command; a part appends its own here."""
    return (*sampling_commands(), *drawing_commands(), *credit_commands(), *plan_commands(), *risk_commands())


def add_rules(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `rules` and what is under it to a program's commands."""
    raw, about = argparse.RawDescriptionHelpFormatter, "ask a rule of the inspection by hand: the code that the hub decides by"
    listed = rule_commands()
    examples = "\n".join(f"  portwitness-hub {one.example}" for one in listed)
    parser = commands.add_parser("rules", help=about, description=about, epilog=f"examples:\n{examples}", formatter_class=raw)
    rules = parser.add_subparsers(dest="rule", required=True, metavar="RULE")
    for one in listed:
        epilog = f"example:\n  portwitness-hub {one.example}"
        each = rules.add_parser(one.name, help=one.about, description=one.about, epilog=epilog, formatter_class=raw)
        each.add_argument("--json", action="store_true", help="print the answer as one JSON object")
        each.add_argument("--lang", default="en", choices=("en", "zh"), help="language of the plain line (default: en)")
        one.arguments(each)


def answer_rule(options: argparse.Namespace) -> int:
    """Answer a parsed `rules` command on standard output; give the exit code."""
    command = next(one for one in rule_commands() if one.name == options.rule)
    try:
        answer = command.answer(options)
    except PortwitnessError as error:
        print(f"portwitness-hub rules {command.name}: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 2 if isinstance(error, MalformedError | RefusedError | VerificationError) else 1
    text = json.dumps(answer, ensure_ascii=False) if options.json else command.line(answer, options.lang)
    print(text)  # noqa: T201 - a command's answer
    return 0
