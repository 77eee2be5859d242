"""One inspection through real programs on both transports, from the lens to a verified bundle, judged by the ledgers."""

from pathlib import Path

import pytest

from simulators.exhibits import flip_a_bit, lanes_of
from simulators.port import Port, PortPlan, Transport, find_broker
from simulators.programs import program
from simulators.rehearsal import Script, rehearse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
needs_broker = [pytest.mark.broker, pytest.mark.skipif(find_broker() is None, reason="mosquitto is not installed")]


def small(state: Path, transport: Transport, footage: Path) -> PortPlan:
    return PortPlan(state, transport, footage_folder=footage, size=(320, 240), kbit=300, segment_seconds=4)


@pytest.mark.parametrize("transport", [pytest.param("https"), pytest.param("mqtt", marks=needs_broker)])
async def test_an_inspection_with_a_power_cut_is_whole_and_proven(transport: Transport, tmp_path: Path, port_footage: Path) -> None:
    async with Port(small(tmp_path / "port", transport, port_footage), say=print) as port:
        findings = await rehearse(port, Script(seconds=20), print)
        assert findings.faults == []
        verdict = findings.verdict
        assert verdict.verified
        assert verdict.receipts == verdict.segments >= 4 * 5  # four cameras and a recorder, 20 s in segments of 4 s, cut by a kill
        assert verdict.gaps >= 3  # two cameras and the recorder of the box that was killed
        assert 50 < verdict.coverage_percent < 100
        assert {each.stream for each in findings.accounts} == {*port.cameras, port.boxes[0].recorder}
        folder = next(path for path in (tmp_path / "port/bundle").iterdir() if path.is_dir())
        assert {lane.stream for lane in lanes_of(folder).values() if lane.pieces} == {*port.cameras, port.boxes[0].recorder}
        await _every_spoiled_bundle_is_refused(port, folder)


async def _every_spoiled_bundle_is_refused(port: Port, folder: Path) -> None:
    for seed in range(3):
        where = flip_a_bit(folder, seed)
        done = await port.programs.outcome(program("storage.verify", folder, "--trust", port.trust))
        assert done.code in (1, 2), where
        assert where.split(" ", 1)[0] in done.out + done.err, where
        assert flip_a_bit(folder, seed) == where  # the same seed flips it back
    assert (await port.programs.outcome(program("storage.verify", folder, "--trust", port.trust))).code == 0
