"""Read and write port messages with every count, reference, character and check digit checked, against pydifact, which checks none.

Both read the same interchange of gate messages from bytes, and write it again; ours also makes typed gate moves of it. One core, CPU time,
rounds in turn so that both meet the same machine.

    python -m benchmarks.edifact --json
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable

from pydifact.segmentcollection import Interchange as Theirs

from protocol.edifact.boxes import BoxMove, read_boxes, write_boxes
from protocol.edifact.interchange import Envelope, Interchange, read_interchange, write_interchange

GOAL = 1.0
ENVELOPE = Envelope("DCT", "CIQDYW", "42", ("261124", "1510"))


def gate_messages(count: int) -> bytes:
    """Give an interchange of gate messages, one box each."""
    move = BoxMove(
        "", "gate-out", "CSQU3054383", "202609031510", "D-20261124-0000001", "SIMU2609000001", "LB12345", None, ("CIQ778899",), "CNDLC"
    )
    messages = []
    for number in range(1, count + 1):
        one = BoxMove(f"GO{number:010d}", *(getattr(move, name) for name in BoxMove.__slots__[1:]))
        messages.append(write_boxes("CODECO", [one], str(number)))
    return write_interchange(ENVELOPE, messages)


def timed(work: Callable[[], object]) -> float:
    """Give the CPU seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def read_ours(data: bytes) -> Interchange:
    """Read with full checks, down to typed moves."""
    found = read_interchange(data)
    assert not found.faults
    for _, message in found.sound():
        read_boxes(message)
    return found


def read_theirs(data: bytes) -> Theirs:
    """Read as the library's own documentation does."""
    found = Theirs.from_str(data.decode("iso8859-1"))
    for _ in found.get_messages():
        pass
    return found


def main() -> int:
    """Measure; give 1 when the goal is missed."""
    parser = argparse.ArgumentParser(prog="./run bench edifact")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the library looks for descriptions of segments that it does not bring
    data = gate_messages(options.messages)
    ours, theirs = read_ours(data), read_theirs(data)
    rounds = [
        (
            timed(lambda: read_ours(data)),
            timed(lambda: read_theirs(data)),
            timed(lambda: write_interchange(ours.envelope, ours.messages)),
            timed(theirs.serialize),
        )
        for _ in range(options.rounds)
    ]
    rates = [options.messages / statistics.median(times) for times in zip(*rounds, strict=True)]
    result = {
        "bench": "edifact",
        "messages": options.messages,
        "bytes": len(data),
        "read_per_s": round(rates[0]),
        "pydifact_read_per_s": round(rates[1]),
        "read_ratio": round(rates[0] / rates[1], 2),
        "write_per_s": round(rates[2]),
        "pydifact_write_per_s": round(rates[3]),
        "write_ratio": round(rates[2] / rates[3], 2),
        "goal": GOAL,
    }
    print(json.dumps(result) if options.json else "\n".join(f"{name:22} {value}" for name, value in result.items()))
    return 0 if result["read_ratio"] >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
