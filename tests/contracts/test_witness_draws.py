"""A witness answers for a draw once per number, over real HTTP and over restarts, and only for what it cosigned itself."""

import io
import sqlite3
import subprocess
import sys
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.drawing import vrf
from protocol.drawing.asking import PATH, AskDraw
from protocol.drawing.selection import FIRST_CHAIN, alpha_of
from protocol.inspection_kinds import DrawCall, DrawClosing
from protocol.merkle import inclusion_proof, leaf_hash
from protocol.notes import parse_note, parse_signatures
from protocol.signatures import Ed25519Signer
from protocol.witnessing import AddCheckpoint
from storage.clock import SystemClock
from storage.witness import WitnessSettings, draw_seed, initialise, make_draw_key, open_state, run
from tests.draw_log_parts import ORIGIN, DrawLog
from tests.witness_parts import SmallLog, post, running_witness, settings_of

ROOT, POLICY = b"\1" * 32, b"\2" * 32


class Port:
    """A port log that asks a witness."""

    def __init__(self, folder: Path) -> None:
        self.log = DrawLog()
        self.small = SmallLog(ORIGIN, self.log.signer)
        self.settings: WitnessSettings = settings_of(folder, self.small.key)
        self.size = 0
        initialise(self.settings)
        self.key = bytes.fromhex(make_draw_key(self.settings))

    def close(self, number: int, root: bytes = ROOT) -> int:
        """Log a closing."""
        return self.log.add(DrawClosing(number, root, 9, 5, POLICY, FIRST_CHAIN), f"draw-{number:06d}", 5)

    async def ask(self, url: str, index: int) -> AskDraw:
        """Have the log cosigned and make the request for a closing."""
        self.small.leaves = [leaf_hash(one) for one in self.log.records]
        size = len(self.small.leaves)
        request: AddCheckpoint = self.small.request(self.size)
        answer = await post(url, request)
        assert answer.status_code == HTTPStatus.OK, answer.text
        self.size = size
        note = parse_note(request.checkpoint).with_signatures(parse_signatures(answer.content)).encode()
        return AskDraw(note, index, tuple(inclusion_proof(index, size, self.log.node)), self.log.records[index])


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path)


async def asked(url: str, request: AskDraw | bytes) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{url}{PATH}", content=request if isinstance(request, bytes) else request.encode())


async def test_one_answer_per_number_also_after_a_restart(port: Port) -> None:
    async with running_witness(port.settings) as (url, _):
        first = port.close(1)
        request = await port.ask(url, first)
        answer = await asked(url, request)
        alpha = alpha_of(1, ROOT, POLICY, FIRST_CHAIN)
        assert answer.status_code == HTTPStatus.OK
        vrf.verify(port.key, alpha, bytes.fromhex(answer.text.strip()))
    async with running_witness(port.settings) as (url, _):
        assert (await asked(url, request)).text == answer.text
        other = await port.ask(url, port.close(1, b"\3" * 32))
        assert (await asked(url, other)).status_code == HTTPStatus.CONFLICT
        later = await port.ask(url, port.close(5))
        assert (await asked(url, later)).status_code == HTTPStatus.OK
        earlier = await port.ask(url, port.close(4))
        assert (await asked(url, earlier)).status_code == HTTPStatus.CONFLICT
        assert (await asked(url, request)).text == answer.text


async def test_what_it_did_not_cosign_is_not_answered(port: Port) -> None:
    async with running_witness(port.settings) as (url, _):
        good = await port.ask(url, port.close(1))
        text = parse_note(good.checkpoint)
        bare = replace(good, checkpoint=type(text)(text.text, text.signatures[:1]).encode())
        spoiled = replace(good, checkpoint=good.checkpoint[:-4] + b"AAA\n")
        call = await port.ask(url, port.log.add(DrawCall(1, 5, POLICY, FIRST_CHAIN), "draw-000001", 5))
        foreign = DrawLog(signer=Ed25519Signer.of(Ed25519PrivateKey.generate()))
        foreign.add(DrawClosing(1, ROOT, 9, 5, POLICY, FIRST_CHAIN), "draw-000001", 5)
        cases: list[tuple[AskDraw | bytes, int]] = [
            (bare, HTTPStatus.UNPROCESSABLE_ENTITY),
            (spoiled, HTTPStatus.UNPROCESSABLE_ENTITY),
            (call, HTTPStatus.UNPROCESSABLE_ENTITY),
            (replace(good, index=good.index + 1), HTTPStatus.UNPROCESSABLE_ENTITY),
            (replace(good, record=foreign.records[0]), HTTPStatus.UNPROCESSABLE_ENTITY),
            (replace(good, checkpoint=foreign.note(1).encode()), HTTPStatus.FORBIDDEN),
            (b"{}", HTTPStatus.BAD_REQUEST),
            (b"\xff", HTTPStatus.BAD_REQUEST),
        ]
        for request, status in cases:
            found = await asked(url, request)
            assert found.status_code in (status, HTTPStatus.BAD_REQUEST), found.text
        assert (await asked(url, good)).status_code == HTTPStatus.OK


async def test_without_a_key_it_answers_for_none(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, SmallLog(ORIGIN).key)
    async with running_witness(settings) as (url, _):
        assert (await asked(url, b"{}")).status_code == HTTPStatus.NOT_FOUND
    assert draw_seed(settings) is None


def test_an_older_memory_is_brought_up(port: Port) -> None:
    path = port.settings.state / "witness.db"
    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE draws; PRAGMA user_version=1;")
    state = open_state(port.settings)
    state.open()
    assert state.answer_draw((ORIGIN, 3, b"a"), 1, lambda: b"pi") == b"pi"
    assert state.answer_draw((ORIGIN, 3, b"b"), 1, lambda: b"other") is None
    state.close()
    state.open()
    assert state.answer_draw((ORIGIN, 3, b"a"), 2, lambda: b"not made again") == b"pi"
    assert state.answer_draw((ORIGIN, 2, b"a"), 2, lambda: b"pi") is None
    state.close()


async def test_the_program_itself(port: Port, tmp_path: Path) -> None:
    config = tmp_path / "witness.toml"
    lines = [f'name = "{port.settings.name}"', f'state = "{port.settings.state}"', "[listen]", "port = 0", "[[logs]]"]
    config.write_text("\n".join([*lines, f'vkey = "{port.small.key.vkey()}"']) + "\n")
    out = io.StringIO()
    assert run(["draw-key", "--config", str(config)], out, io.StringIO(), SystemClock()) == 0
    assert out.getvalue().strip() == port.key.hex()
    arguments = [sys.executable, "-m", "storage.witness", "serve", "--config", str(config)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:  # noqa: ASYNC220 - it says one line at once  # noqa: ASYNC220 - it says one line at once
        try:
            assert program.stdout is not None
            url = program.stdout.readline().split('"')[3]
            answer = await asked(url, await port.ask(url, port.close(1)))
            vrf.verify(port.key, alpha_of(1, ROOT, POLICY, FIRST_CHAIN), bytes.fromhex(answer.text.strip()))
        finally:
            program.terminate()
            program.wait(10)
