"""Check the hub's invariants on what is kept: journals and log (S3), blobs (S1), numbers (S2), receipts (S5), projections (S6), draws (S7),
messages (S8).

Guarantees: changes nothing; may run beside a hub that serves, since it looks at one state of the database; each problem says what
is wrong and where. Projections are compared with those of a scratch database into which all records are replayed.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, select

from hub.config import HubSettings
from hub.erasing import opening_of
from hub.exchange.messages_check import check_messages
from hub.inspection.draw_check import check_draws
from hub.inspection.fieldwork.act_check import check_acts
from hub.inspection.releasing.release_check import check_releases
from hub.inspection.rules_check import check_rules
from hub.inspection.sample_plans import check_plans
from hub.inspection.supervision.second_looks import check_rounds
from hub.projections import BOX_TABLES, HUB_TABLES, project_box, project_hub
from protocol import kinds
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.identifiers import BoxId, Issuer
from protocol.journals import Journal
from protocol.ledger import Ledger
from protocol.merkle import Frontier, inclusion_proof, verify_inclusion
from protocol.notes import ED25519, Checkpoint, NoteKey, SignedCheckpoint
from protocol.records import SignedRecord, read
from protocol.signatures import PublicKey
from storage.blobs import BlobStore, open_blobs
from storage.database import Database
from storage.keys import load_ed25519
from storage.logs import LogFolder, PortLog, reader
from storage.schema import blobs, concealed, derivations, disposals, identities, journals, leaves, log_state, records, seals

MAX_PROBLEMS = 1000
PAGE = 1000
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What was counted and what is wrong; nothing wrong: no problems."""

    journals: int
    records: int
    leaves: int
    blobs: int
    blob_bytes: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Published:
    """The log as others read it: its folder and the checkpoint that stood there before the check began."""

    folder: LogFolder
    note: bytes | None
    key: NoteKey


async def check_hub(settings: HubSettings, *, hash_blobs: bool = True, progress: Progress = lambda text: None) -> CheckAnswer:
    """Check everything under a hub's settings; raises UnavailableError and StorageError when it cannot be read at all."""
    key = await asyncio.to_thread(load_ed25519, settings.keys / "log.key")
    note_key = NoteKey(settings.log_origin, ED25519, key.public)
    folder = LogFolder(Path(settings.port.state) / "log")
    async with Database(settings.database_url, settings.database.busy_seconds) as database, open_blobs(settings.blob_url) as store:
        found: list[str] = []
        # Read before the database: what a serving hub publishes while this looks is not in the state this looks at.
        note = await asyncio.to_thread(folder.checkpoint)
        published = _Published(folder, note, note_key)
        counts = await database.read(lambda connection: _check_tables(connection, published, found, progress))
        progress("blobs")
        sizes = [item async for item in _check_blobs(database, store, found, hash_blobs=hash_blobs)]
    return CheckAnswer(*counts, len(sizes), sum(sizes), tuple(found[:MAX_PROBLEMS]))


def _check_tables(connection: Connection, published: _Published, found: list[str], progress: Progress) -> tuple[int, int, int]:
    progress("journals")
    epochs = connection.execute(select(journals).order_by(journals.c.box, journals.c.epoch)).all()
    for row in epochs:
        _collect(_check_journal(connection, row), found, f"{row.box} epoch {row.epoch}")
    progress("port log")
    size = _check_log(connection, published, found)
    progress("receipts")
    _collect(_check_seals(connection), found, "receipts")
    _collect(_check_numbers(connection), found, "segments")
    progress("projections")
    _check_projections(connection, found)
    progress("draws")
    _collect(check_draws(connection), found, "draws")
    _collect(check_acts(connection), found, "acts")
    _collect(check_plans(connection), found, "sampling plans")
    _collect(check_rounds(connection), found, "second looks")
    _collect(check_rules(connection), found, "rules")
    progress("releases")
    _collect(check_releases(connection), found, "releases")
    progress("messages")
    _collect(check_messages(connection), found, "messages")
    return len(epochs), sum(row.size for row in epochs), size


def _collect(problems: Iterator[str], found: list[str], where: str) -> None:
    try:
        found.extend(problems)
    except PortwitnessError as error:
        found.append(f"S3 {where}: {error}")


def _check_journal(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """Follow a mirrored journal from its first record, as a verifier would."""
    keys = select(identities.c.spki).where(identities.c.box == row.box)
    known = tuple(PublicKey.from_spki(bytes(spki)) for spki in connection.execute(keys).scalars())
    earlier = select(func.max(journals.c.counter)).where(journals.c.box == row.box, journals.c.epoch < row.epoch)
    journal = Journal(BoxId(row.box), row.epoch, known, counter=connection.execute(earlier).scalar())
    mine = and_(records.c.issuer == str(Issuer.of_box(row.box)), records.c.epoch == row.epoch)
    for record in connection.execute(select(records).where(mine).order_by(records.c.position).execution_options(yield_per=PAGE)):
        signed = read(bytes(record.data))
        journal.append(signed)
        if signed.leaf != bytes(record.leaf):
            yield f"S3 {row.box} epoch {row.epoch} position {record.position}: leaf hash is not that of the record"
    if journal.frontier.size != row.size or journal.frontier.encode() != bytes(row.frontier) or journal.sealed != row.sealed:
        yield f"S3 {row.box} epoch {row.epoch}: {journal.frontier.size} records are here, its state says {row.size}"


def _check_log(connection: Connection, published: _Published, found: list[str]) -> int:
    state = connection.execute(select(log_state)).first()
    if state is None:
        return 0
    frontier = Frontier()
    same = and_(leaves.c.issuer == records.c.issuer, leaves.c.epoch == records.c.epoch, leaves.c.record_position == records.c.position)
    query = select(leaves.c.position, leaves.c.leaf, records.c.data).select_from(leaves.outerjoin(records, same))
    for row in connection.execute(query.order_by(leaves.c.position).execution_options(yield_per=PAGE)):
        if row.position != frontier.size or row.data is None or read(bytes(row.data)).leaf != bytes(row.leaf):
            found.append(f"S3 port log: leaf {row.position} is out of place or not that of its record")
            return int(state.size)
        frontier.append(bytes(row.leaf))
    if frontier.size != state.size or frontier.root() != bytes(state.root):
        found.append(f"S3 port log: {frontier.size} leaves are here, its state says {state.size}")
    if state.size:
        _check_published(connection, state, published, found)
    return int(state.size)


def _check_published(connection: Connection, state: Row[Any], kept: _Published, found: list[str]) -> None:
    try:
        _signed(bytes(state.checkpoint), kept.key, (state.size, bytes(state.root)))
        if kept.note is None:
            raise VerificationError("nothing is published", where="checkpoint")
        published = _signed(kept.note, kept.key, None)
        if published.size > state.size:
            raise VerificationError(f"size {published.size} is published, {state.size} is committed", where="checkpoint")
        found.extend(f"S3 port log: {path} is missing or differs" for path in kept.folder.check(connection, published.size))
    except PortwitnessError as error:
        found.append(f"S3 port log: {error}")


def _signed(note: bytes, key: NoteKey, expected: tuple[int, bytes] | None) -> Checkpoint:
    signed = SignedCheckpoint.parse(note)
    signed.verify(key, origin=key.name)
    if expected is not None and (signed.checkpoint.size, signed.checkpoint.root) != expected:
        raise VerificationError("is not that of the committed log", where="checkpoint")
    return signed.checkpoint


def _check_seals(connection: Connection) -> Iterator[str]:
    """Prove each logged seal against the newest root."""
    state = connection.execute(select(log_state)).first()
    if state is None:
        return
    read_node = reader(connection, PortLog())
    columns = (seals.c.box, seals.c.epoch, seals.c.position, seals.c.log_index, leaves.c.leaf, leaves.c.issuer, leaves.c.record_position)
    query = select(*columns).select_from(seals.join(leaves, seals.c.log_index == leaves.c.position)).order_by(seals.c.log_index)
    for row in connection.execute(query).all():
        where = f"{row.box} epoch {row.epoch} seal {row.position}"
        if (row.issuer, row.record_position) != (str(Issuer.of_box(row.box)), row.position):
            yield f"S5 {where}: leaf {row.log_index} is another record"
        path = inclusion_proof(row.log_index, state.size, read_node)
        try:
            verify_inclusion(bytes(row.leaf), row.log_index, state.size, path, bytes(state.root))
        except VerificationError as error:
            yield f"S5 {where}: {error}"


def _check_numbers(connection: Connection) -> Iterator[str]:
    """Keep the account of every stream: numbers without holes, segments and gaps without hole or overlap."""
    told = records.c.kind.in_([kinds.Recording.KIND, kinds.Segment.KIND, kinds.Gap.KIND])
    query = select(records.c.data).where(told).order_by(records.c.issuer, records.c.epoch, records.c.position)
    ledger = Ledger()
    for data in connection.execute(query.execution_options(yield_per=PAGE)).scalars():
        for fault in ledger.take(read(bytes(data)).record):
            yield f"S2 {fault}"


def _check_projections(connection: Connection, found: list[str]) -> None:
    """Replay all records into a scratch database and compare."""
    with tempfile.TemporaryDirectory(prefix="portwitness-check-") as folder:
        scratch = Database(f"sqlite:///{folder}/scratch.db")
        scratch.open()
        try:
            scratch.write_now(lambda other: _replay(connection, other, found))
            for table in (*BOX_TABLES, *HUB_TABLES):
                found.extend(_differences(_rows(connection, table), scratch.read_now(_reader_of(table)), table))
        except PortwitnessError as error:
            found.append(f"S6 replay: {error}")
        finally:
            scratch.close()


def _replay(connection: Connection, scratch: Connection, found: list[str]) -> None:
    query = select(records.c.issuer, records.c.data).order_by(records.c.issuer, records.c.epoch, records.c.position)
    for row in connection.execute(query.execution_options(yield_per=PAGE)):
        signed = read(bytes(row.data))
        if signed.record.issuer.role == "hub":
            _replay_hub(connection, scratch, signed, found)
        else:
            project_box(scratch, [signed.record])


def _replay_hub(connection: Connection, scratch: Connection, signed: SignedRecord, found: list[str]) -> None:
    """Replay a record of the hub; a concealed one with its body, which must be the one it binds."""
    position = signed.record.position
    hidden = isinstance(signed.record.body, kinds.Concealed)
    opening = opening_of(connection, position) if hidden else None
    try:
        project_hub(scratch, signed, opening)
    except (VerificationError, MalformedError) as error:
        found.append(f"S6 record {position}: its body is not the one that the log binds: {error}")
    if hidden and opening is None and not _erasure(connection, position):
        found.append(f"S6 record {position}: its body is missing, and no record says why")


def _erasure(connection: Connection, position: int) -> bool:
    return connection.execute(select(concealed.c.disposal).where(concealed.c.position == position)).scalar() is not None


def _reader_of(table: Table) -> Callable[[Connection], dict[tuple[Any, ...], tuple[Any, ...]]]:
    return lambda connection: _rows(connection, table)


def _rows(connection: Connection, table: Table) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    keys = list(table.primary_key.columns)
    rows = connection.execute(select(table)).all()
    return {tuple(row._mapping[key] for key in keys): tuple(_plain(value) for value in row) for row in rows}


def _plain(value: Any) -> Any:  # noqa: ANN401
    return bytes(value) if isinstance(value, memoryview) else value


def _differences(held: dict[Any, Any], replayed: dict[Any, Any], table: Table) -> Iterator[str]:
    for key in sorted(held.keys() | replayed.keys(), key=str):
        if held.get(key) != replayed.get(key):
            yield f"S6 {table.name} {key}: differs from what its records say"


async def _check_blobs(database: Database, store: BlobStore, found: list[str], *, hash_blobs: bool) -> AsyncIterator[int]:
    query = select(blobs, disposals.c.position.label("disposal")).select_from(
        blobs.outerjoin(disposals, blobs.c.sha256 == disposals.c.sha256)
    )
    for row in await database.read(lambda connection: connection.execute(query.where(blobs.c.state != "refused")).all()):
        name = bytes(row.sha256)
        if row.state == "disposed":
            if row.disposal is None:
                found.append(f"S1 blob {name.hex()}: is gone, and no record says why")
            continue
        if row.state == "disposing":
            continue
        length = await store.head(name)
        if length != row.length:
            found.append(f"S1 blob {name.hex()}: {'is missing' if length is None else f'has {length} bytes'}, {row.length} were stored")
        elif hash_blobs and await _hash(store, name) != name:
            found.append(f"S1 blob {name.hex()}: does not hash to its name")
        yield row.length
    async for length in check_derived(database, store, found, hash_blobs=hash_blobs):
        yield length


async def check_derived(database: Database, store: BlobStore, found: list[str], *, hash_blobs: bool) -> AsyncIterator[int]:
    """Add to `found` the derived files that are not what their records name; give the sizes of all."""
    query = select(derivations.c.sha256, derivations.c.size).distinct()
    for row in await database.read(lambda connection: connection.execute(query).all()):
        name = bytes(row.sha256)
        length = await store.head(name)
        if length != row.size or (hash_blobs and await _hash(store, name) != name):
            found.append(f"S1 derived file {name.hex()}: is missing or not what its record names")
        yield row.size


async def _hash(store: BlobStore, name: bytes) -> bytes:
    counted = hashlib.sha256()
    async for part in store.read(name):
        await asyncio.to_thread(counted.update, part)
    return counted.digest()
