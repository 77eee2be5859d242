"""Two ports bring their checkpoints to a national hub over HTTP: every record is provable up to it, and no port has two histories there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hub.config import NationalPortSettings, NationalSettings, PortSettings
from protocol import kinds
from protocol.errors import MalformedError, PortwitnessError, RefusedError, UnavailableError, VerificationError
from protocol.identifiers import HubId, SiteId
from protocol.nation import NationalProof, verify_chain, verify_national
from protocol.notes import Checkpoint, NoteKey, SignedCheckpoint, sign_checkpoint
from protocol.records import read
from protocol.signatures import Ed25519Signer
from protocol.trust import log_origin
from protocol.witnessing import PATH, AddCheckpoint, parse_conflict
from storage.clock import SystemClock
from storage.keys import create_ed25519, load_ed25519
from tests.hub_parts import TestBox, enrol, receipts_until, send, settled
from tests.integration.test_monitor import served
from tests.web_parts import Face, open_face

NAMES = ("dayaowan", "yantian")


@dataclass
class Country:
    nation: Face
    ports: list[Face]
    keys: list[Ed25519Signer]
    url: str

    @property
    def key(self) -> NoteKey:
        return self.nation.hub.log.key

    async def ask(self, request: AddCheckpoint) -> tuple[int, bytes]:
        answer = await self.nation.client().post(f"/api/v1/national{PATH}", content=request.encode())
        return answer.status_code, answer.content

    async def alarms(self) -> list[str]:
        return [alarm.kind for alarm in await self.nation.hub.alarms.list()]


def key_in(state: Path) -> Ed25519Signer:
    state.joinpath("keys").mkdir(parents=True)
    return create_ed25519(state / "keys" / "log.key")


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    states = [tmp_path / name for name in NAMES]
    keys = [key_in(state) for state in states]
    vkeys = [NoteKey(log_origin(SiteId(name), HubId("hub-1")), 1, key.public).vkey() for name, key in zip(NAMES, keys, strict=True)]
    ports = tuple(NationalPortSettings(vkey=vkey) for vkey in vkeys)
    top = tmp_path / "nation"
    place = PortSettings(site=SiteId("nation"), state=top)
    async with AsyncExitStack() as stack:
        nation = await stack.enter_async_context(open_face(top, port=place, national=NationalSettings(ports=ports)))
        url = f"{await stack.enter_async_context(served(nation))}/api/v1"
        up = NationalSettings(url=url, vkey=nation.hub.log.vkey, every_minutes=1440)
        faces = []
        for name, state, key in zip(NAMES, states, keys, strict=True):
            own = PortSettings(site=SiteId(name), state=state)
            faces.append(await stack.enter_async_context(open_face(state, port=own, national=up, signer=key)))
        yield Country(nation, faces, keys, url)


async def record_some(face: Face) -> TestBox:
    """Have a box record a little and seal it into the port's log."""
    box = TestBox(wall_ns=SystemClock().now().wall_ns)
    await enrol(face.hub, box)
    box.boot()
    box.recording()
    for _ in range(5):
        box.segment()
    box.seal()
    await send(face.hub, box)
    await receipts_until(face.hub, box.box, box.written[-1].record.position)
    await settled(face.hub)
    return box


async def test_a_record_is_proven_up_to_the_national_log(country: Country) -> None:
    for face in country.ports:
        box = await record_some(face)
        shown = await face.hub.nation.push()
        assert shown is not None
        for position in range(len(box.written) - 1):
            chain = await face.hub.nation.chain(box.box, box.epoch, position)
            if position < 2:  # boot and session are signed by the identity key
                continue
            found = verify_chain(chain, box.session.public, face.hub.log.key, country.key)
            assert found.port.checkpoint.origin == face.hub.log.origin
            assert found.national.origin == country.key.name
        for other in (replace(chain, path=()), replace(chain, record=box.written[2].data), replace(chain, seal=chain.record)):
            with pytest.raises(PortwitnessError):
                verify_chain(other, box.session.public, face.hub.log.key, country.key)
        answer = await face.client().get("/api/v1/log/national")
        assert NationalProof.parse(answer.content) == shown
    first, second = (face.hub.nation.shown() for face in country.ports)
    assert first is not None
    assert second is not None
    assert first.index != second.index
    with pytest.raises(VerificationError):  # one port's proof is no other's
        verify_national(country.ports[0].hub.nation.newest or NationalProof(b"", None), country.ports[1].hub.log.key, country.key)  # type: ignore[arg-type]


async def test_each_push_extends_the_last_and_the_same_one_adds_no_leaf(country: Country) -> None:
    port = country.ports[0]
    await record_some(port)
    first = await port.hub.nation.push()
    size = country.nation.hub.log.size
    again = await port.hub.nation.push()
    assert first is not None
    assert again is not None
    assert again.record == first.record
    assert country.nation.hub.log.size == size
    await port.hub.log.issue(kinds.Stored((bytes(32),)), "box-1")
    later = await port.hub.nation.push()
    assert later is not None
    assert later.record != first.record
    (port.hub.log.folder.root / "national.tlog-proof").unlink()
    port.hub.nation.newest = None  # forgotten: the size that is held there is learned by a 409
    assert (await port.hub.nation.push()) is not None
    assert await country.alarms() == []


async def test_a_forked_port_is_refused_kept_and_rung_for(country: Country) -> None:
    port, key = country.ports[0], country.keys[0]
    await record_some(port)
    await port.hub.nation.push()
    held = await country.nation.hub.ports.held(port.hub.log.origin)
    other = sign_checkpoint(Checkpoint(port.hub.log.origin, held.head.size, bytes(32)), key)
    assert (await country.ask(AddCheckpoint(held.head.size, (), other)))[0] == 409
    assert (await country.ask(AddCheckpoint(held.head.size, (), other)))[0] == 409  # told once
    await settled(country.nation.hub)
    bodies = [read(await country.nation.hub.log.leaf(index)).record.body for index in range(country.nation.hub.log.size)]
    (fork,) = [body for body in bodies if isinstance(body, kinds.Fork)]
    known, shown = SignedCheckpoint.parse(fork.known), SignedCheckpoint.parse(fork.other)
    for note in (known, shown):
        note.verify(port.hub.log.key, origin=port.hub.log.origin)
    assert known.checkpoint.size == shown.checkpoint.size
    assert known.checkpoint.root != shown.checkpoint.root
    assert await country.alarms() == ["port log forked"]
    longer = sign_checkpoint(Checkpoint(port.hub.log.origin, held.head.size + 3, bytes(32)), key)
    assert (await country.ask(AddCheckpoint(held.head.size, (bytes(32),), longer)))[0] == 422
    assert set(await country.alarms()) == {"port log forked", "port log unproven"}
    assert await country.nation.hub.ports.held(port.hub.log.origin) == held


async def test_what_is_no_port_checkpoint_is_answered_as_a_witness_does(country: Country) -> None:
    port, key = country.ports[0], country.keys[0]
    await record_some(port)
    note = port.hub.log.checkpoint_now()
    unknown = sign_checkpoint(Checkpoint("portwitness.port/elsewhere/hub-1", 1, bytes(32)), key)
    forged = sign_checkpoint(Checkpoint(port.hub.log.origin, 1, bytes(32)), country.keys[1])
    assert (await country.ask(AddCheckpoint(0, (), unknown)))[0] == 404
    assert (await country.ask(AddCheckpoint(0, (), forged)))[0] == 403
    status, body = await country.ask(AddCheckpoint(1, (bytes(32),), note))
    assert (status, parse_conflict(body)) == (409, 0)
    for rubbish in (b"", b"old x\n\n", b"old 0\n\n" + b"x" * 100, note):
        answer = await country.nation.client().post(f"/api/v1/national{PATH}", content=rubbish)
        assert answer.status_code == 400
    assert (await country.nation.client().post(f"/api/v1/national{PATH}", content=bytes(200_000))).status_code == 413
    assert await country.alarms() == []


async def test_a_port_trusts_no_answer_that_does_not_hold(country: Country) -> None:
    port = country.ports[0]
    await record_some(port)
    settings = port.hub.core.settings
    other = NoteKey(country.key.name, 1, country.keys[1].public).vkey()
    port.hub.nation.core = replace(port.hub.core, settings=replace(settings, national=replace(settings.national, vkey=other)))
    with pytest.raises(VerificationError):
        await port.hub.nation.push()
    assert port.hub.nation.newest is None
    gone = replace(settings.national, url="http://127.0.0.1:9/api/v1")
    port.hub.nation.core = replace(port.hub.core, settings=replace(settings, national=gone))
    with pytest.raises(UnavailableError):
        await port.hub.nation.push()


async def test_an_old_copy_of_a_port_is_told_so(country: Country, tmp_path: Path) -> None:
    port = country.ports[0]
    await record_some(port)
    await port.hub.nation.push()
    state = tmp_path / "copy"
    state.joinpath("keys").mkdir(parents=True)
    own = replace(port.hub.core.settings, port=PortSettings(site=SiteId(NAMES[0]), state=state))
    async with open_face(state, port=own.port, national=own.national, signer=load_ed25519(tmp_path / NAMES[0] / "keys" / "log.key")) as old:
        await settled(old.hub)
        with pytest.raises(RefusedError, match="old copy"):
            await old.hub.nation.push()


@pytest.mark.parametrize("data", [b"", b"c2sp.org/tlog-proof@v1\n", b"c2sp.org/tlog-proof@v1\nextra !!\n", b"x" * 400_000])
def test_rubbish_is_no_national_proof(data: bytes) -> None:
    with pytest.raises(MalformedError):
        NationalProof.parse(data)


async def test_the_way_up_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="verifier key"):
        async with open_face(tmp_path, national=NationalSettings(url="http://127.0.0.1:9")):
            raise AssertionError("it opened")
