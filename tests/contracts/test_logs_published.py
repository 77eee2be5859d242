"""The published port log, read as an outsider would: files only, judged by pymerkle."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion
from scitt_cose.receipt import verify_receipt

from hub.app import Hub
from protocol import kinds
from protocol.cose_receipts import parse_receipt
from protocol.errors import MalformedError, RefusedError, StorageError, VerificationError
from protocol.merkle import leaf_hash, root_of
from protocol.notes import COSIGNATURE, ED25519, NoteKey, SignedCheckpoint, sign_checkpoint
from protocol.records import read
from protocol.tiles import TILE_WIDTH, Tile, decode_bundle, tiles_of
from storage.logs import JournalLog, LogFolder, reader, tile_reader
from tests.hub_parts import SITE, TestBox, enrol, log_signer, receipts_until, running_hub, send, settings_for, settled


@pytest.fixture(params=["sqlite", "postgresql"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hub]:
    url: str = "" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    async with running_hub(settings_for(tmp_path, url), log_signer()) as running:
        yield running


async def fill(hub: Hub, views: int) -> None:
    """Log many small records at once."""
    body = kinds.Access("noted", "chen")  # not an open view: the next start would log its end
    await asyncio.gather(*(hub.log.issue(body, "chen") for _ in range(views)))


def files_of(hub: Hub) -> Path:
    return Path(hub.core.settings.port.state) / "log"


def entries_in(folder: Path, size: int) -> list[bytes]:
    """Read all entries from the published bundles."""
    bundles = [Tile(-1, at // TILE_WIDTH, min(TILE_WIDTH, size - at)) for at in range(0, size, TILE_WIDTH)]
    return [entry for bundle in bundles for entry in decode_bundle((folder / bundle.path()).read_bytes())]


async def test_outsiders_rebuild_the_same_tree_from_the_published_files(hub: Hub) -> None:
    await fill(hub, 3)
    small = SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint
    await fill(hub, 2 * TILE_WIDTH + 30)
    folder = files_of(hub)
    note = (folder / "checkpoint").read_bytes()
    assert note == await hub.log.checkpoint()
    signed = SignedCheckpoint.parse(note)
    origin = f"portwitness.port/{SITE}/hub-1"
    assert signed.verify(hub.log.key, origin=origin) is None
    clock = NoteKey(f"{origin}/time", COSIGNATURE, hub.log.signer.public)
    seconds = signed.verify(clock, origin=origin)
    assert seconds is not None
    head = signed.checkpoint
    tree = InmemoryTree(algorithm="sha256")
    entries = entries_in(folder, head.size)
    for entry in entries:
        tree.append_entry(entry)
    assert (tree.get_size(), tree.get_root()) == (head.size, head.root)
    proof = tree.prove_consistency(small.size, head.size)
    verify_consistency(small.root, head.root, proof)
    for index in (0, TILE_WIDTH - 1, TILE_WIDTH, head.size - 1):
        verify_inclusion(leaf_hash(entries[index]), head.root, tree.prove_inclusion(index + 1, head.size))
        record = read(entries[index]).record
        assert (record.position, str(record.issuer)) == (index, "hub:hub-1")
        assert record.root == tree.get_root(index)
    for tile in tiles_of(head.size):
        assert await hub.log.tile(tile.path()) == (folder / tile.path()).read_bytes()
    assert not (folder / "tile/0/000.p").exists()  # a full tile leaves no partial ones behind


async def test_tiles_that_were_lost_are_made_again_and_others_are_refused(hub: Hub) -> None:
    await fill(hub, 5)
    folder = files_of(hub)
    path = Tile(0, 0, 5).path()
    data = (folder / path).read_bytes()
    (folder / path).unlink()
    assert await hub.log.tile(path) == data
    with pytest.raises(StorageError):
        await hub.log.tile(Tile(0, 7).path())
    for bad in ("tile/0/../../hub.db", "tile/0/000.p/0", "checkpoint", "tile/9/000"):
        with pytest.raises(MalformedError):
            await hub.log.tile(bad)
    for outside in (-1, 5, 10**9):
        with pytest.raises(MalformedError):
            await hub.log.proof(outside)
        with pytest.raises(MalformedError):
            await hub.log.leaf(outside)


async def test_a_journal_is_read_as_a_log_of_its_own(hub: Hub) -> None:
    box = TestBox()
    await enrol(hub, box)
    box.boot()
    for _ in range(2 * TILE_WIDTH + 9):
        box.heartbeat()
    await send(hub, box)
    log = JournalLog("box:box-1", 1)
    oracle = InmemoryTree(algorithm="sha256")
    for signed in box.written:
        oracle.append_entry(signed.data)
    top = await hub.core.database.read(lambda connection: tile_reader(connection, log)(1, 0))
    assert top == oracle.get_root(TILE_WIDTH) + root_of([signed.leaf for signed in box.written[TILE_WIDTH : 2 * TILE_WIDTH]])
    node = await hub.core.database.read(lambda connection: reader(connection, log)(9, 0))
    assert node == oracle.get_root(2 * TILE_WIDTH)


async def test_a_sealed_journal_is_served_in_tiles_under_the_checkpoint_of_its_box(hub: Hub) -> None:
    box = TestBox()
    await enrol(hub, box)
    box.boot()
    with pytest.raises(RefusedError, match="no seal"):
        await hub.journals.checkpoint("box-1", 1)
    for _ in range(TILE_WIDTH + 40):
        box.heartbeat()
    box.seal()
    sealed = len(box.written) - 1
    box.heartbeat()  # above the seal: not shown
    await send(hub, box)
    await receipts_until(hub, box.box, sealed)
    signed = SignedCheckpoint.parse(await hub.journals.checkpoint("box-1", 1))
    name = "portwitness.box/box-1/1"
    signed.verify(NoteKey(name, ED25519, box.session.public), origin=name)
    assert signed.verify(NoteKey(f"{hub.log.origin}/time", COSIGNATURE, hub.log.signer.public), origin=name) is not None
    head, oracle = signed.checkpoint, InmemoryTree(algorithm="sha256")
    for at in range(0, sealed, TILE_WIDTH):
        path = Tile(-1, at // TILE_WIDTH, min(TILE_WIDTH, sealed - at)).path()
        for entry in decode_bundle(await hub.journals.tile("box-1", 1, path)):
            oracle.append_entry(entry)
    assert (head.size, head.root) == (sealed, oracle.get_root()) and head.size == oracle.get_size()
    first = await hub.journals.tile("box-1", 1, Tile(0, 0).path())
    assert first == b"".join(leaf_hash(each.data) for each in box.written[:TILE_WIDTH])
    assert await hub.journals.tile("box-1", 1, Tile(1, 0, 1).path()) == oracle.get_root(TILE_WIDTH)
    for beyond in (Tile(0, 1, sealed - TILE_WIDTH + 1), Tile(-1, 1, sealed - TILE_WIDTH + 1), Tile(1, 0, 2), Tile(2, 0, 1)):
        with pytest.raises(RefusedError, match="sealed journal"):
            await hub.journals.tile("box-1", 1, beyond.path())
    heads = [(each.box, each.epoch, each.size, each.sealed) for each in await hub.journals.list()]
    assert heads == [("box-1", 1, len(box.written), sealed)]


async def test_cose_receipts_hold_for_a_checker_of_others(hub: Hub) -> None:
    box = TestBox()
    await enrol(hub, box)
    box.boot()
    box.heartbeat()
    box.seal()
    await send(hub, box)
    await receipts_until(hub, box.box, len(box.written) - 1)
    await fill(hub, 5)
    await settled(hub)
    pem = hub.log.signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    seal = box.written[-1]
    leaves = [("hub:hub-1", 0, 0, await hub.log.leaf(0)), ("box:box-1", 1, len(box.written) - 1, seal.data)]
    for issuer, epoch, position, entry in leaves:
        receipt = await hub.journals.receipt(issuer, epoch, position)
        judged = verify_receipt(receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=pem)
        assert judged.ok, judged.errors
        root = parse_receipt(receipt).verify(leaf_hash(entry), hub.log.signer.public)
        assert judged.root == root.hex()
        assert root == SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint.root
        with pytest.raises(VerificationError):
            parse_receipt(receipt).verify(leaf_hash(entry + b"x"), hub.log.signer.public)
    with pytest.raises(MalformedError, match="below a seal"):
        await hub.journals.receipt("box:box-1", 1, 0)
    with pytest.raises(RefusedError, match="not here"):
        await hub.journals.receipt("hub:hub-1", 0, 10_000)


async def test_nothing_is_published_behind_what_was_published(hub: Hub, tmp_path: Path) -> None:
    await fill(hub, 3)
    folder = LogFolder(files_of(hub))
    older = SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint
    await fill(hub, 2)
    now = SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint
    database = hub.core.database
    back = sign_checkpoint(older, hub.log.signer)
    with pytest.raises(StorageError, match="is published"):
        await database.read(lambda connection: folder.publish(connection, older.size, back))
    fork = sign_checkpoint(type(now)(now.origin, now.size, bytes(32)), hub.log.signer)
    with pytest.raises(StorageError, match="another tree"):
        await database.read(lambda connection: folder.publish(connection, now.size, fork))
    assert folder.published() == now.size


async def test_a_second_sequencer_stops_the_first(tmp_path: Path) -> None:
    signer, settings = log_signer(), settings_for(tmp_path)
    async with running_hub(settings, signer) as first:
        await fill(first, 2)
        async with running_hub(settings, signer) as second:
            await fill(second, 1)
            with pytest.raises(RefusedError, match="another sequencer"):
                await first.log.issue(kinds.Access("late", "x"), "x")
            await fill(second, 1)
            assert second.log.published_size() == 4
            assert first.log.fault is not None


async def test_a_hub_with_an_older_database_does_not_publish(tmp_path: Path) -> None:
    signer = log_signer()
    async with running_hub(settings_for(tmp_path), signer) as hub:
        await fill(hub, 3)
    for name in ("hub.db", "hub.db-wal", "hub.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    async with running_hub(settings_for(tmp_path), signer) as hub:
        with pytest.raises(StorageError, match="is published"):
            await hub.log.issue(kinds.Access("again", "x"), "x")
    assert LogFolder(tmp_path / "log").published() == 3
