"""List every attack, and write the matrix of attack, detector and reason as a page."""

from collections.abc import Iterable

from protocol.errors import RefusedError
from simulators.adversary import bombs, boxes, closings, days, footage, forgeries, hubs, logs, papers
from simulators.adversary.attacks import LEVELS, TARGETS, Attack

ATTACKS: tuple[Attack, ...] = (
    *footage.ATTACKS,
    *papers.ATTACKS,
    *forgeries.ATTACKS,
    *days.ATTACKS,
    *closings.ATTACKS,
    *boxes.ATTACKS,
    *hubs.ATTACKS,
    *logs.ATTACKS,
    *bombs.ATTACKS,
)

# What no detector of this matrix can tell, whoever looks: it is said in every verdict, not hidden in a table.
EXCLUSIONS = (
    "A screen or a printed picture held before a camera: the recording of it is true. Imports are marked as imports by another key.",
    "What a player shows around the samples: overlays, aspect, rotation, colour.",
    "Loss before the box: what the network dropped is recorded as lost, not recovered.",
    "The last seconds before a box and every peer of it are destroyed at once: at most one part is unsealed, and labelled.",
    "A box of software alone whose disk is set back while it is cut off: seen at the next contact with the hub, or by a head that was "
    "carried out by hand.",
    "Footage forged with a stolen session key before its seal reaches any log: at most the key's hour.",
    "A stolen identity key until the theft is known: then only what was logged before it counts.",
    "Hub, boxes and every witness of the policy acting together; where the policy asks for no witness, hub and boxes alone.",
    "A hub that holds records back: boxes keep what has no receipt, the monitor counts how long; the delay itself is not undone.",
    "A copy that was encoded again: it has other samples, so it is unsigned, not proven false.",
    "A trust file that comes from whoever brings the bundle.",
)


_HEAD = "| attack | owns | what it does | detector | reason it gives | residual risk |\n|---|---|---|---|---|---|\n"


def find(name: str) -> Attack:
    """Give an attack by name; raise RefusedError when there is none."""
    found = next((one for one in ATTACKS if one.name == name), None)
    if found is None:
        raise RefusedError("is no attack: see portwitness-sim attack --list", where=name)
    return found


def page() -> str:
    """Give docs/adversary-matrix.md."""
    parts = [
        "# What an attacker can do, and what tells\n\nMade by `docs/reference/generate.py`; not edited by hand.\n\n"
        "Each attack is a program (`portwitness-sim attack NAME TARGET --out DIR`) that edits a copy; each row was run by the tests, the "
        "detector is a program that we ship, and the reason stands in its answer. A row without a residual risk has none that we know.\n\n"
        "| what the attacker owns | |\n|---|---|\n",
        *(f"| {level} | {text} |\n" for level, text in LEVELS.items()),
    ]
    for target, text in TARGETS.items():
        rows = [one for one in ATTACKS if one.target == target]
        if rows:
            parts.append(f"\n## On {text}\n\n{_HEAD}")
            parts += [line for one in rows for line in _lines(one)]
    parts.append("\n## Controls\n\nNone of these may ever fail; the tests run them beside the attacks.\n\n")
    parts += [
        "- the intact bundle, as folder and as zip file, with and without an outside witness in the trust file\n",
        "- each segment alone (`--clip`), byte for byte, remuxed by another program, and with other boxes around its samples\n",
        "- sub-clips and single pictures with their proofs, remuxed too\n",
        "- an intact box, an intact hub, an honest log before a witness\n",
    ]
    parts.append("\n## What nothing here can tell\n\n")
    parts += [f"- {text}\n" for text in EXCLUSIONS]
    return "".join(parts)


def _lines(attack: Attack) -> Iterable[str]:
    for number, sign in enumerate(attack.signs):
        head = (f"`{attack.name}`", attack.level, attack.sentence) if number == 0 else ("", "", "")
        cells = (*head, sign.detector, f"{sign.reason}", attack.residual if number == 0 else "")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
