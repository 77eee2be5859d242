"""Feed a real hub: blobs over mutual TLS against a bare sha256 + write + fsync loop, records against bare Ed25519 verification.

Blobs: the hub and the bare loop on core 0, the client on core 1, the same disk; the hub decrypts, hashes, writes, flushes, renames,
commits and acknowledges each blob of 5 MB. Records: heartbeats of two boxes' own journals with a seal after every 255, in batches of 256,
each box one batch at a time; a short journal before tells the hub of a backlog, so that its checkers run. The time runs from the first
batch to the last receipt (verified, committed, in the published port log, both proofs sent). The hub and its checkers may use all
cores (`record_cores`: how many they used) and share them with the senders; they are compared with verification of the same
signatures on one thread (`record_ratio`) and on all cores, measured before and after.

    python -m benchmarks.ingest --json
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import queue
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.processes import LOAD_CORE, PROGRAM_CORE, note, pin, role_on, scratch, usage
from edge.journal import Box, Entry, Journal
from protocol import canonical, kinds, messages, topics
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS
from protocol.records import read
from protocol.signatures import PublicKey
from simulators.port import BoxPlace, Port, PortPlan
from storage.clock import SystemClock
from storage.keys import load_p256
from storage.spool import Spool

BLOB_BYTES = 5_000_000
BLOBS = 80
SENDERS = 2
BOXES = 2
RECORDS = 20_480  # of each box
WARM_RECORDS = 2_048
PER_SEAL = 256
PER_BATCH = messages.MAX_BATCH_RECORDS
BLOB_GOAL, RECORD_GOAL = 0.5, 0.7


class Client:
    """A box's connection to the hub's device port."""

    def __init__(self, place: BoxPlace) -> None:
        keys = place.state / "keys"
        facts = json.loads((keys / "box.json").read_text())
        address = urlsplit(facts["hub_device_url"])
        context = ssl.create_default_context(cafile=str(keys / "chain.pem"))
        context.load_cert_chain(keys / "tls.pem", keys / "tls.key")
        self._connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=60)

    def put(self, name: str, data: bytes) -> None:
        self._connection.request("PUT", f"{topics.PATH_BLOBS}/{name}", body=data, headers={"Content-Type": "application/octet-stream"})
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:300])
        messages.expect(messages.StoredBlobs, body)

    def post(self, message: bytes) -> list[messages.Message]:
        self._connection.request("POST", topics.PATH_JOURNAL, body=message, headers={"Content-Type": "application/cbor"})
        return self._mail()

    def mail(self, wait_s: int) -> list[messages.Message]:
        self._connection.request("GET", f"{topics.PATH_MAIL}?wait={wait_s}")
        return self._mail()

    def _mail(self) -> list[messages.Message]:
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:300])
        return [messages.decode(each) for each in canonical.decode(body, limit=1 << 26)] if body else []


# ------------------------------------------------------------------------------------------------------------ blobs


def send_blobs(place: BoxPlace) -> float:
    """Send all blobs over a few connections, their records first; give MB/s."""
    named = {hashlib.sha256(each).digest(): each for each in [os.urandom(BLOB_BYTES) for _ in range(BLOBS)]}
    waiting: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    for sha256, each in named.items():
        waiting.put((sha256.hex(), each))
    clients = [Client(place) for _ in range(SENDERS)]
    epoch, records = write_segments(place, list(named))
    clients[0].post(messages.encode(messages.JournalBatch(place.name, epoch, 0, tuple(records))))
    clients[1].mail(0)
    faults: list[BaseException] = []

    def send(client: Client) -> None:
        try:
            while True:
                client.put(*waiting.get_nowait())
        except queue.Empty:
            return
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=send, args=(client,)) for client in clients]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return BLOBS * BLOB_BYTES / 1e6 / (time.monotonic() - began)


def write_segments(place: BoxPlace, blobs: list[bytes]) -> tuple[int, list[bytes]]:
    """Write an epoch with a segment record for each blob; give its number and its records."""
    now = SystemClock().now()
    with opened_journal(place) as (journal, first):
        stream = f"{place.name}/bench-{journal.epoch}"
        entries = [Entry(stream, kinds.Recording("started", "benchmark", "rtsp", 0))]
        for number, sha256 in enumerate(blobs):
            at = number * SECOND_NS
            body = kinds.Segment(
                number=number, sha256=sha256, size=BLOB_BYTES, mono_from=now.mono_ns + at, mono_to=now.mono_ns + at + SECOND_NS,
                wall_from=now.wall_ns + at, run=0, media_from=0, frames=25, config=bytes(32), state="live",
            )  # fmt: skip
            entries.append(Entry(stream, body))
        return journal.epoch, first + [signed.data for signed in journal.append(entries, seal="interval")]


def bare_loop(folder: Path) -> dict[str, float]:
    """Hash, write and flush the same amount; give MB/s."""
    data = [os.urandom(BLOB_BYTES) for _ in range(BLOBS)]
    began = time.monotonic()
    for each in data:
        path = folder / f"bare-{hashlib.sha256(each).hexdigest()}"
        with path.open("wb", buffering=0) as out:
            out.write(each)
            os.fsync(out.fileno())
    took = time.monotonic() - began
    for path in folder.glob("bare-*"):
        path.unlink()
    return {"mb_s": BLOBS * BLOB_BYTES / 1e6 / took}


# ---------------------------------------------------------------------------------------------------------- records


@contextmanager
def opened_journal(place: BoxPlace) -> Iterator[tuple[Journal, list[bytes]]]:
    """Begin a new epoch of the box's own journal; give it and its first records."""
    spool = Spool(place.state / "spool.db")
    spool.open()
    try:
        box = Box(BoxId(place.name), load_p256(place.state / "keys" / "identity.key"), os.urandom(16), "benchmark")
        journal = Journal(spool, box, SystemClock())
        journal.start()
        yield journal, [row.data for row in spool.records(journal.epoch, 0, journal.size)]
    finally:
        spool.close()


def write_journal(place: BoxPlace, count: int) -> tuple[int, list[bytes]]:
    """Write a new epoch of `count` heartbeats and seals; give its number and its records."""
    with opened_journal(place) as (journal, written):
        body = kinds.Heartbeat(tuple(kinds.OpenSegment(f"{place.name}/cam-{at}", 7, 1 << 20, bytes(32), 0, 1) for at in range(4)))
        while journal.size < count:
            beats = [Entry(place.name, body)] * (PER_SEAL - journal.size % PER_SEAL - 1)
            written += [signed.data for signed in journal.append(beats, seal="interval")]
        return journal.epoch, written


@dataclass(slots=True)
class Sender:
    """One box that sends a journal, batch by batch, each when the one before is answered."""

    place: BoxPlace
    client: Client
    epoch: int = 0
    records: list[bytes] = field(default_factory=list)
    batches: list[bytes] = field(default_factory=list)

    def write(self, count: int) -> None:
        """Write a new epoch, and forget what waits in the mail."""
        self.epoch, self.records = write_journal(self.place, count)
        self.batches = [
            messages.encode(messages.JournalBatch(self.place.name, self.epoch, first, tuple(self.records[first : first + PER_BATCH])))
            for first in range(0, len(self.records), PER_BATCH)
        ]
        while self.client.mail(0):
            pass

    def send(self) -> None:
        """Send the epoch and wait for its last receipt."""
        covered, deadline = 0, time.monotonic() + 300
        for batch in self.batches:
            answers = self.client.post(batch)
            refused = [each for each in answers if isinstance(each, messages.Resend)]
            assert not refused, refused
            covered = max(covered, self._covered(answers))
        while covered < len(self.records) - 1:
            covered = max(covered, self._covered(self.client.mail(5)))
            assert time.monotonic() < deadline, f"receipted {covered} of {len(self.records)}"

    def _covered(self, answers: list[messages.Message]) -> int:
        ends = [each.end for each in answers if isinstance(each, messages.Receipt) and each.epoch == self.epoch]
        return max(ends, default=0)


def send_records(senders: list[Sender]) -> float:
    """Send the journals of boxes side by side; give records per second from the first batch to the last receipt."""
    with ThreadPoolExecutor(len(senders)) as threads:
        began = time.monotonic()
        list(threads.map(Sender.send, senders))
        return sum(len(sender.records) for sender in senders) / (time.monotonic() - began)


def verify_records(parts: list[bytes]) -> dict[str, float]:
    """Verify the signatures of records one by one, on one thread and on all cores; give signatures per second."""
    key: PublicKey | None = None
    work: list[tuple[PublicKey, bytes, bytes]] = []
    for data in parts:
        signed = read(data)
        if isinstance(signed.record.body, kinds.Session):
            key = PublicKey.from_ed25519(signed.record.body.key)
        elif key is not None:
            work.append((key, signed.envelope.signature, signed.envelope.signed))

    def verify(some: list[tuple[PublicKey, bytes, bytes]]) -> None:
        for public, signature, text in some:
            public.verify(signature, text)

    began, cpu = time.monotonic(), time.process_time()
    verify(work)
    single, cpu_us = len(work) / (time.monotonic() - began), (time.process_time() - cpu) * 1e6 / len(work)
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        began = time.monotonic()
        list(threads.map(verify, [work[at::cores] for at in range(cores)]))
        return {"per_second": single, "cpu_us": cpu_us, "per_second_all_cores": len(work) / (time.monotonic() - began)}


# -------------------------------------------------------------------------------------------------------- measuring


async def compare(rounds: int) -> dict[str, Any]:
    """Measure both in turns at a hub with two boxes, whose places we take."""
    blobs, bare, records = [], [], []
    with scratch("ingest") as folder:
        async with Port(PortPlan(folder, "https", boxes=BOXES, cameras_per_box=1), say=note) as port:
            async with port.supervisor() as supervisor:
                await port.await_streams(supervisor)
            for box in port.boxes:
                await port.programs.stop(box.name)
            await port.stop_devices()
            hub = port.programs.running["hub"].process
            assert hub is not None
            place = json.dumps({"hub": hub.pid, "boxes": [(box.name, str(box.config), str(box.state)) for box in port.boxes]})
            for _ in range(rounds):
                pin(hub.pid, PROGRAM_CORE)
                note("blobs over mutual TLS")
                blobs.append(await asyncio.to_thread(role_on, LOAD_CORE, "benchmarks.ingest", "--role", "blobs", "--place", place))
                note("bare sha256 + write + fsync")
                bare.append(await asyncio.to_thread(role_on, PROGRAM_CORE, "benchmarks.ingest", "--role", "bare", "--place", str(folder)))
                pin(hub.pid, *range(os.cpu_count() or 1))
                note("records to their receipts")
                records.append(await asyncio.to_thread(role_on, None, "benchmarks.ingest", "--role", "records", "--place", place))
    return summary(blobs, bare, records)


def summary(blobs: list[dict[str, Any]], bare: list[dict[str, Any]], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the ratios of the means."""

    def mean(rows: list[dict[str, Any]], what: str) -> float:
        return sum(float(row[what]) for row in rows) / len(rows)

    result: dict[str, Any] = {"benchmark": "ingest", "blob_mb_s": round(mean(blobs, "mb_s"), 1), "bare_mb_s": round(mean(bare, "mb_s"), 1)}
    result["blob_ratio"] = round(mean(blobs, "mb_s") / mean(bare, "mb_s"), 3)
    for key in ("records_per_second", "records_per_second_one_box"):
        result[key] = round(mean(records, key), 1)
    for key in ("per_second", "per_second_all_cores"):
        result[f"verified_{key}"] = round(mean(records, key), 1)
    result["hub_cpu_us_per_record"] = round(mean(records, "hub_cpu_us_per_record"), 1)
    result["verify_cpu_us"] = round(mean(records, "cpu_us"), 1)
    result["cores"] = os.cpu_count()
    result["record_cores"] = round(mean(records, "hub_cpu_us_per_record") * mean(records, "records_per_second") / 1e6, 2)
    result["record_ratio"] = round(mean(records, "records_per_second") / mean(records, "per_second"), 3)
    result["record_ratio_one_box"] = round(mean(records, "records_per_second_one_box") / mean(records, "per_second"), 3)
    result["record_ratio_all_cores"] = round(mean(records, "records_per_second") / mean(records, "per_second_all_cores"), 3)
    result["record_ratio_per_used_core"] = round(result["verify_cpu_us"] / result["hub_cpu_us_per_record"], 3)
    result["ok"] = result["blob_ratio"] >= BLOB_GOAL and result["record_ratio"] >= RECORD_GOAL
    return result


def play(role: str, place: str) -> dict[str, float]:
    """Be one part of the benchmark."""
    if role == "bare":
        return bare_loop(Path(place))
    facts = json.loads(place)
    boxes = [BoxPlace(BoxId(name), Path(config), Path(state), 0, "") for name, config, state in facts["boxes"]]
    return {"mb_s": send_blobs(boxes[0])} if role == "blobs" else take_records(facts["hub"], boxes)


def take_records(hub: int, boxes: list[BoxPlace]) -> dict[str, float]:
    """Measure one box alone and all side by side, and bare verification before and after."""
    senders = [Sender(place, Client(place)) for place in boxes]
    for sender in senders:
        sender.write(WARM_RECORDS)
    send_records(senders)
    senders[0].write(RECORDS)
    alone = send_records(senders[:1])
    bare = [verify_records(senders[0].records)]
    for sender in senders:
        sender.write(RECORDS)
    before = usage(hub)
    rate = send_records(senders)
    cpu_us = (usage(hub).cpu_s - before.cpu_s) * 1e6 / (RECORDS * len(senders))
    bare.append(verify_records(senders[0].records))
    found = {"records_per_second": rate, "records_per_second_one_box": alone, "hub_cpu_us_per_record": cpu_us}
    return found | {key: sum(each[key] for each in bare) / len(bare) for key in bare[0]}


def main() -> int:
    """Measure, or be a part of a measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.ingest --json")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--role", choices=("blobs", "bare", "records"), help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        print(json.dumps(play(args.role, args.place)))
        return 0
    result = asyncio.run(compare(args.rounds))
    if not args.json:
        print(f"blobs    {result['blob_mb_s']:9.1f} MB/s  bare loop {result['bare_mb_s']:.1f} MB/s")
        print(f"records  {result['records_per_second']:9.1f} /s    bare verify {result['verified_per_second']:.1f} /s on one thread")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
