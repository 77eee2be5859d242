"""Append to the log, verified and durable, against bare Ed25519 verification of the same signatures; size and check of one proof.

Two boxes' journals of heartbeats with a seal after every 255 go to a real hub in this process, its checkers beside it, until the last
receipt is there; verification alone runs on one thread before and after. Then the proof of a leaf - path, checkpoint, the log's and three
witnesses' signatures - is measured, and checked in full: leaf hash, path, and all four signatures. Its size in a log of 6.2 million leaves
is that of a path as long as such a log needs.

    python -m benchmarks.log --json
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.journals import Writer, bring, running_hub
from benchmarks.processes import scratch, usage
from hub.app import Hub
from protocol.bundle import LogProof
from protocol.merkle import leaf_hash, verify_inclusion
from protocol.notes import NoteKey, SignedCheckpoint, cosign, cosigner, parse_note
from protocol.signatures import Ed25519Signer, PublicKey, open1

RECORDS = 20_480  # of each box
WARM = 4_096
PER_SEAL = 256
BOXES, WITNESSES = 2, 3
GOAL, GOAL_BYTES, GOAL_CHECK_MS = 0.5, 2048, 1.0
LARGE = 6_220_000  # leaves: the goal on a proof's size is kept at this length, not at the benchmark's own


def write(writer: Writer, count: int) -> None:
    """Write heartbeats, with a seal behind every 255."""
    for number in range(1, count + 1):
        if number % PER_SEAL:
            writer.beat()
        else:
            writer.seal()


def verify(checks: list[tuple[PublicKey, bytes]]) -> float:
    """Verify signatures one by one, their envelopes parsed before; give them per second."""
    work = [(key, open1(data)) for key, data in checks]
    began = time.monotonic()
    for key, envelope in work:
        key.verify(envelope.signature, envelope.signed)
    return len(work) / (time.monotonic() - began)


async def appends(hub: Hub, writers: list[Writer]) -> dict[str, float]:
    """Give appends per second, and bare verification of the same records around it."""
    for writer in writers:
        writer.start(0)
        write(writer, WARM)
    await bring(hub, writers)
    for writer in writers:
        write(writer, RECORDS)
    checks = [check for writer in writers for check in writer.checks]
    before, cpu = verify(checks), usage(os.getpid()).cpu_s
    seconds = await bring(hub, writers)
    cpu = usage(os.getpid()).cpu_s - cpu
    bare = (before + verify(checks)) / 2
    rate = RECORDS * len(writers) / seconds
    return {"appends_per_second": rate, "verified_per_second": bare, "ratio": rate / bare, "cores_used": cpu / seconds}


async def proofs(hub: Hub, rounds: int) -> dict[str, float]:
    """Give size and check time of the proof of a leaf, with three witnesses' cosignatures."""
    index = hub.log.published_size() // 2
    note = parse_note(await hub.log.checkpoint())
    signers = [Ed25519Signer.of(Ed25519PrivateKey.generate()) for _ in range(WITNESSES)]
    names = [f"witness-{number}.example" for number in range(WITNESSES)]
    note = note.with_signatures(cosign(note.text, name, signer, 1_800_000_000) for name, signer in zip(names, signers, strict=True))
    keys = [hub.log.key, *(cosigner(name, signer.public) for name, signer in zip(names, signers, strict=True))]
    data, leaf = LogProof(index, tuple(await hub.log.proof(index)), note.encode()).encode(), await hub.log.leaf(index)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        check(data, leaf, keys)
        times.append((time.perf_counter() - began) * 1000)
    long = LogProof(LARGE - 1, (bytes(32),) * LARGE.bit_length(), note.encode()).encode()
    sizes = {"proof_bytes": len(data), "proof_bytes_large": len(long)}
    return {**sizes, "proof_check_ms": statistics.median(times), "proof_check_p95_ms": sorted(times)[int(rounds * 0.95)]}


def check(data: bytes, leaf: bytes, keys: list[NoteKey]) -> None:
    """Check one proof whole."""
    proof = LogProof.parse(data)
    signed = SignedCheckpoint.parse(proof.checkpoint)
    for key in keys:
        signed.verify(key, origin=keys[0].name)
    verify_inclusion(leaf_hash(leaf), proof.index, signed.checkpoint.size, proof.path, signed.checkpoint.root)


async def measure(rounds: int) -> dict[str, Any]:
    """Measure all of it; of appends the mean of rounds, each on a new hub."""
    load, found = os.getloadavg()[0], []
    for _ in range(rounds):
        with scratch("log") as folder:
            async with running_hub(folder, BOXES, 1) as (hub, writers):
                found.append(await appends(hub, writers) | await proofs(hub, 500) | {"log_size": hub.log.published_size()})
    result: dict[str, Any] = {"benchmark": "log", "cores": os.cpu_count(), "rounds": rounds, "load_before": round(load, 2)}
    result |= {name: round(statistics.mean(one[name] for one in found), 3) for name in found[0]}
    result["ratios"] = [round(one["ratio"], 3) for one in found]
    result["ok"] = result["ratio"] >= GOAL and result["proof_bytes_large"] <= GOAL_BYTES and result["proof_check_ms"] <= GOAL_CHECK_MS
    return result


def main() -> int:
    """Measure; give 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.log --json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    args = parser.parse_args()
    result = asyncio.run(measure(args.rounds))
    if not args.json:
        sizes = f"{result['proof_bytes']:.0f} B, {result['proof_bytes_large']:.0f} B in a log of {LARGE}"
        print(f"appends {result['appends_per_second']:.0f}/s, bare verification {result['verified_per_second']:.0f}/s on one thread")
        print(f"proof {sizes}, with {WITNESSES} witnesses; checked in {result['proof_check_ms']:.3f} ms")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
