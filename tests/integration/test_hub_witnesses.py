"""The port log before outside witnesses on real sockets: quorum, its loss and return, and hubs that are not the only one."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.config import HubSettings, WitnessingSettings
from hub.config import WitnessSettings as Outside
from hub.witnesses import read_policy
from protocol import kinds
from protocol.errors import MalformedError, RefusedError, UnavailableError, VerificationError
from protocol.merkle import verify_consistency
from protocol.messages import Beacon, Consistency, Prove, Receipt
from protocol.notes import COSIGNATURE, ED25519, Checkpoint, NoteKey, SignedCheckpoint
from protocol.policies import Policy
from protocol.records import Seen
from protocol.signatures import Ed25519Signer
from protocol.trust import Trust
from storage.logs import LogFolder
from storage.witness import WitnessSettings, initialise, open_state
from tests.hub_parts import BOX, SITE, TestBox, enrol, log_signer, mail, receipts_until, running_hub, send, settings_for, settled
from tests.witness_parts import SmallLog, running_witness, settings_of

ORIGIN = f"portwitness.port/{SITE}/hub-1"
FAST: dict[str, Any] = {"interval_ms": 20, "timeout_seconds": 2.0, "alarm_seconds": 0.3, "start_seconds": 0.2}


@dataclass
class Outsiders:
    """Three witnesses that can be started and stopped, each at an address of its own."""

    folder: Path
    signer: Ed25519Signer = field(default_factory=log_signer)
    ports: list[int] = field(default_factory=list)
    settings: list[WitnessSettings] = field(default_factory=list)
    vkeys: list[str] = field(default_factory=list)
    running: dict[int, AsyncExitStack] = field(default_factory=dict)

    def prepare(self) -> None:
        key = NoteKey(ORIGIN, ED25519, self.signer.public)
        for at in range(3):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports.append(probe.getsockname()[1])
            found = settings_of(self.folder / f"outside-{at}", key, name=f"outside-{at}.example")
            self.settings.append(found)
            self.vkeys.append(initialise(found)[0])

    async def start(self, *which: int) -> None:
        for at in which:
            stack = self.running[at] = AsyncExitStack()
            await stack.enter_async_context(running_witness(self.settings[at], self.ports[at]))

    async def stop(self, *which: int) -> None:
        for at in which:
            await self.running.pop(at).aclose()

    def listed(self) -> tuple[Outside, ...]:
        urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        return tuple(Outside(name=f"outside-{at}", url=urls[at], vkey=self.vkeys[at]) for at in range(3))

    def hub(self, folder: Path, quorum: int = 2, **changes: Any) -> HubSettings:
        return settings_for(folder, witnesses=self.listed(), witnessing=WitnessingSettings(quorum=quorum, **(FAST | changes)))

    def policy(self, folder: Path, quorum: int = 2) -> Policy:
        return read_policy(self.hub(folder, quorum), NoteKey(ORIGIN, ED25519, self.signer.public))

    def held(self, at: int) -> int:
        state = open_state(self.settings[at])
        state.open()
        try:
            return state.head(ORIGIN).size
        finally:
            state.close()


@pytest.fixture
async def outsiders(tmp_path: Path) -> AsyncIterator[Outsiders]:
    found = Outsiders(tmp_path)
    await asyncio.to_thread(found.prepare)
    yield found
    await found.stop(*list(found.running))


async def until(true: Callable[[], bool], what: str) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(what)


async def kinds_rung(hub: Hub) -> set[str]:
    return {alarm.kind for alarm in await hub.alarms.list()}


async def rung(hub: Hub, kind: str) -> None:
    """Wait for an alarm: it is kept a moment after the mode has changed."""
    async with asyncio.timeout(30):
        while kind not in await kinds_rung(hub):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def sealed_box(hub: Hub) -> AsyncIterator[TestBox]:
    """Give an enrolled box whose mail is being fetched, and that has sent one seal."""
    box = TestBox()
    await enrol(hub, box)
    box.boot()
    await mail(hub, BOX)
    box.heartbeat()
    box.seal()
    await send(hub, box)
    yield box


async def test_receipts_carry_a_quorum_and_the_checkpoint_is_published(outsiders: Outsiders, tmp_path: Path) -> None:
    await outsiders.start(0, 1, 2)
    async with running_hub(outsiders.hub(tmp_path / "hub"), outsiders.signer) as hub, sealed_box(hub) as box:
        policy = outsiders.policy(tmp_path)
        for receipt in await receipts_until(hub, BOX, 3):
            box.check(receipt, hub)
            assert len(policy.check(SignedCheckpoint.parse(receipt.checkpoint))) >= 2
        await settled(hub)
        await until(lambda: hub.witnesses.head.size == hub.log.published_size(), "not witnessed")
        assert policy.check(SignedCheckpoint.parse(await hub.log.checkpoint()))
        note = LogFolder(tmp_path / "hub" / "log").witnessed()
        assert note == hub.witnesses.head.note
        assert hub.witnesses.mode == "quorum"
        assert [fault for _, _, fault in hub.witnesses.states()] == ["", "", ""]
        assert not {"no quorum", "log stopped", "unwitnessed start"} & await kinds_rung(hub)


async def test_without_quorum_all_goes_on_and_final_receipts_follow_its_return(outsiders: Outsiders, tmp_path: Path) -> None:
    await outsiders.start(0, 1)
    async with running_hub(outsiders.hub(tmp_path / "hub"), outsiders.signer) as hub, sealed_box(hub) as box:
        policy = outsiders.policy(tmp_path)
        await receipts_until(hub, BOX, 3)
        await outsiders.stop(0)
        first = len(box.written)
        box.heartbeat()
        box.seal()
        await send(hub, box, first)
        signed = await hub.log.issue(kinds.View("started", "chen", "live", "v"), "box-1/cam-1")
        assert signed.record.position < hub.log.published_size()  # the log goes on
        await until(lambda: hub.witnesses.mode == "lost", "the loss is not told")
        await rung(hub, "no quorum")
        provisional = await receipts_until(hub, BOX, len(box.written) - 1)
        box.check(provisional[-1], hub)  # under the hub's signature: a blob may go
        with pytest.raises(VerificationError, match="no quorum"):
            policy.check(SignedCheckpoint.parse(provisional[-1].checkpoint))  # a record may not
        await outsiders.start(2)
        await until(lambda: hub.witnesses.mode == "quorum", "the quorum does not come back")
        final = await receipts_until(hub, BOX, len(box.written) - 1)
        box.check(final[-1], hub)
        assert policy.check(SignedCheckpoint.parse(final[-1].checkpoint))


async def test_final_receipts_that_were_not_fetched_follow_a_restart(outsiders: Outsiders, tmp_path: Path) -> None:
    settings = outsiders.hub(tmp_path / "hub")
    async with running_hub(settings, outsiders.signer) as hub, sealed_box(hub) as box:
        await until(lambda: hub.witnesses.mode == "lost", "the loss is not told")
        await rung(hub, "no quorum")
        assert "unwitnessed start" in await kinds_rung(hub)
        await receipts_until(hub, BOX, 3)
    await outsiders.start(1, 2)
    async with running_hub(settings, outsiders.signer) as hub:
        found = await receipts_until(hub, BOX, 3)
        box.check(found[-1], hub)
        assert outsiders.policy(tmp_path).check(SignedCheckpoint.parse(found[-1].checkpoint))


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


async def test_a_hub_restored_from_a_backup_signs_nothing(outsiders: Outsiders, tmp_path: Path) -> None:
    await outsiders.start(0, 1, 2)
    state, backup = tmp_path / "hub", tmp_path / "backup"
    async with running_hub(outsiders.hub(state), outsiders.signer) as hub:
        await enrol(hub, TestBox())
    await asyncio.to_thread(copy, state, backup)
    async with running_hub(outsiders.hub(state), outsiders.signer) as hub:
        await hub.log.issue(kinds.Access("later", "x"), "x")
        await until(lambda: hub.witnesses.head.size == hub.log.published_size(), "not witnessed")
    held = outsiders.held(0)
    async with running_hub(outsiders.hub(backup), outsiders.signer) as hub:
        before = hub.log.size
        with pytest.raises(RefusedError, match=f"saw {held} leaves"):
            await hub.log.issue(kinds.Access("other", "x"), "x")
        assert hub.log.size == before
        assert "log stopped" in await kinds_rung(hub)
    assert outsiders.held(0) == held


async def test_of_two_hubs_on_copies_only_one_gets_a_quorum(outsiders: Outsiders, tmp_path: Path) -> None:
    await outsiders.start(0, 1, 2)
    first_state, second_state = tmp_path / "hub", tmp_path / "double"
    async with running_hub(outsiders.hub(first_state), outsiders.signer) as hub:
        await enrol(hub, TestBox())
        await until(lambda: hub.witnesses.head.size == hub.log.published_size(), "not witnessed")
    await asyncio.to_thread(copy, first_state, second_state)
    one, two = outsiders.hub(first_state), outsiders.hub(second_state)
    async with running_hub(one, outsiders.signer) as first, running_hub(two, outsiders.signer) as second:
        for number in range(3):
            for hub in (first, second):
                if hub.witnesses.stopped is None:
                    issuing = hub.log.issue(kinds.Access(f"by {id(hub)}", f"{number}"), "x")
                    await asyncio.gather(issuing, return_exceptions=True)
        await until(lambda: None not in (first.witnesses.stopped, second.witnesses.stopped) or one_stopped(first, second), "both go on")
        stopped = first if first.witnesses.stopped is not None else second
        with pytest.raises(RefusedError):
            await stopped.log.issue(kinds.Access("more", "x"), "x")
        assert "log stopped" in await kinds_rung(stopped)
    # whatever was witnessed is one history
    heads = [
        SignedCheckpoint.parse(note).checkpoint for state in (first_state, second_state) if (note := LogFolder(state / "log").witnessed())
    ]
    by_size: dict[int, set[bytes]] = {}
    for head in heads:
        by_size.setdefault(head.size, set()).add(head.root)
    assert all(len(roots) == 1 for roots in by_size.values())


def one_stopped(*hubs: Hub) -> bool:
    return any(hub.witnesses.stopped is not None for hub in hubs)


async def test_a_paused_hub_wakes_and_signs_nothing(outsiders: Outsiders, tmp_path: Path) -> None:
    """Two hubs on one database: the one that slept finds its lease gone, however far the other has come."""
    await outsiders.start(0, 1, 2)
    settings = outsiders.hub(tmp_path / "hub")
    async with running_hub(settings, outsiders.signer) as first:
        await first.log.issue(kinds.Access("x", "x"), "x")
        await settled(first)
        asleep, awake = asyncio.Event(), asyncio.Event()

        async def pause(committed: Checkpoint) -> None:
            asleep.set()
            await awake.wait()

        first.log.guard = pause
        sleeping = asyncio.create_task(first.log.issue(kinds.Access("slept", "x"), "x"))
        await asleep.wait()
        async with running_hub(settings, outsiders.signer) as second:
            for number in range(3):
                await second.log.issue(kinds.Access(f"{number}", "x"), "x")
            await until(lambda: second.witnesses.head.size == second.log.published_size(), "not witnessed")
            size, root = second.log.published_size(), SignedCheckpoint.parse(await second.log.checkpoint()).checkpoint.root
            awake.set()
            with pytest.raises(RefusedError, match="another sequencer"):
                await sleeping
            note = LogFolder(tmp_path / "hub" / "log").checkpoint()
            assert note is not None
            assert SignedCheckpoint.parse(note).checkpoint == Checkpoint(ORIGIN, size, root)
            assert second.witnesses.stopped is None
            await second.log.issue(kinds.Access("goes on", "x"), "x")


async def test_a_hub_may_wait_for_witnesses_at_start(outsiders: Outsiders, tmp_path: Path) -> None:
    settings = outsiders.hub(tmp_path / "hub", start="wait")
    async with running_hub(settings, outsiders.signer) as hub:
        with pytest.raises(UnavailableError, match="0 of 3 witnesses answered, 2 must"):
            await hub.log.issue(kinds.Access("x", "x"), "x")
        assert hub.log.size == 0
        await outsiders.start(0)
        with pytest.raises(UnavailableError, match="1 of 3"):
            await hub.log.issue(kinds.Access("x", "x"), "x")
        await outsiders.start(2)
        for _ in range(20):
            try:
                await hub.log.issue(kinds.Access("x", "x"), "x")
                break
            except UnavailableError:
                continue
        assert hub.log.size > 0


async def test_a_witness_that_lies_is_not_counted(outsiders: Outsiders, tmp_path: Path) -> None:
    """Cosignatures of another key than the policy's are none."""
    await outsiders.start(0, 1)
    outsiders.vkeys[1] = NoteKey("outside-1.example", COSIGNATURE, SmallLog().signer.public).vkey()
    async with running_hub(outsiders.hub(tmp_path / "hub"), outsiders.signer) as hub:
        await hub.log.issue(kinds.Access("x", "x"), "x")
        await until(lambda: hub.witnesses.mode == "lost", "a stranger's cosignature counts")
        faults = {name: fault for name, _, fault in hub.witnesses.states()}
        assert "does not hold" in faults["outside-1"]
        assert hub.witnesses.head.size == 0


async def test_a_policy_file_with_groups_is_asked_and_told(outsiders: Outsiders, tmp_path: Path) -> None:
    await outsiders.start(0, 1, 2)
    lines = [
        f"witness w{at} {vkey} http://127.0.0.1:{port}/"
        for at, (vkey, port) in enumerate(zip(outsiders.vkeys, outsiders.ports, strict=True))
    ]
    log = NoteKey(ORIGIN, ED25519, outsiders.signer.public)
    file = tmp_path / "policy.txt"
    file.write_text("\n".join([f"log {log.vkey()}", *lines, "group some any w1 w2", "group both all w0 some", "quorum both", ""]))
    settings = settings_for(tmp_path / "hub", witnessing=WitnessingSettings(policy=file, **FAST))
    async with running_hub(settings, outsiders.signer) as hub:
        signed = await hub.log.issue(kinds.Access("x", "x"), "x")
        note = await hub.witnesses.over(signed.record.position, b"")
        trust = Trust(SITE, hub.core.hub_id, "ab" * 32, log, policy=Policy.parse(file.read_bytes()))
        trust.check_checkpoint(SignedCheckpoint.parse(note))
        await outsiders.stop(0)
        signed = await hub.log.issue(kinds.Access("y", "y"), "y")
        assert await hub.witnesses.over(signed.record.position, b"fallback") == b"fallback"


def test_only_outside_parties_may_be_witnesses(outsiders: Outsiders, tmp_path: Path) -> None:
    log = NoteKey(ORIGIN, ED25519, outsiders.signer.public)
    own = NoteKey("customs.example", COSIGNATURE, outsiders.signer.public)
    below = NoteKey(f"{ORIGIN}/time", COSIGNATURE, SmallLog().signer.public)
    for bad in (own, below):
        listed = (Outside(name="w", url="http://127.0.0.1:1", vkey=bad.vkey()),)
        with pytest.raises(MalformedError, match=r"outside party|own witness"):
            read_policy(settings_for(tmp_path, witnesses=listed, witnessing=WitnessingSettings(quorum=1)), log)
    with pytest.raises(MalformedError, match="2 of 1"):
        one = outsiders.listed()[:1]
        read_policy(settings_for(tmp_path, witnesses=one, witnessing=WitnessingSettings(quorum=2)), log)


async def test_beacons_prove_that_the_log_only_grew(tmp_path: Path) -> None:
    async with running_hub(settings_for(tmp_path / "hub"), log_signer()) as hub, sealed_box(hub) as box:
        found = [message for message in await mail(hub, BOX, 1.0) if isinstance(message, Beacon)]
        for _ in range(3):
            first = len(box.written)
            box.heartbeat()
            box.seal()
            await send(hub, box, first)
            fetched: list[Any] = []
            while not any(isinstance(message, Receipt) and message.end >= len(box.written) - 1 for message in fetched):
                fetched += await mail(hub, BOX, 1.0)
            found += [message for message in fetched if isinstance(message, Beacon)]
        heads = [SignedCheckpoint.parse(beacon.checkpoint).checkpoint for beacon in found]
        assert len(found) >= 3
        for before, after, beacon in zip(heads, heads[1:], found[1:], strict=False):
            assert beacon.old == before.size
            verify_consistency(before.size, before.root, after.size, after.root, beacon.proof or ())
        answers = await hub.ingest.accept(BOX, Prove(BOX, heads[0].size, heads[-1].size))
        assert isinstance(answers[0], Consistency)
        verify_consistency(heads[0].size, heads[0].root, heads[-1].size, heads[-1].root, answers[0].proof)
        with pytest.raises(MalformedError, match="published log"):
            await hub.ingest.accept(BOX, Prove(BOX, 1, 10**6))


async def test_a_box_that_saw_more_than_the_hub_published_is_told(tmp_path: Path) -> None:
    async with running_hub(settings_for(tmp_path / "hub"), log_signer()) as hub:
        box = TestBox()
        await enrol(hub, box)
        box.boot()
        box.take(box.make(kinds.BoxState("disk", "ok"), str(BOX), seen=Seen(10_000, bytes(32))))
        await send(hub, box)
        for _ in range(200):
            if "log behind" in await kinds_rung(hub):
                break
            await asyncio.sleep(0.02)
        assert "log behind" in await kinds_rung(hub)
        await hub.log.issue(kinds.Access("x", "x"), "x")  # one box's word does not stop the port
