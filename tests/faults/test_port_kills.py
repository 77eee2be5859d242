"""Kill -9 in the middle of an inspection: nothing acknowledged is lost, nothing comes twice, what is lost is signed."""

import random
from pathlib import Path

import pytest

from simulators.port import BROKER, Port, PortPlan, Transport, find_broker
from simulators.rehearsal import Script, rehearse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
needs_broker = [pytest.mark.broker, pytest.mark.skipif(find_broker() is None, reason="mosquitto is not installed")]
SEED = random.SystemRandom().randrange(10**6)  # another run, another moment and box; the failure names it


@pytest.mark.parametrize(
    ("victim", "transport"),
    [
        pytest.param("hub", "mqtt", marks=needs_broker),
        pytest.param(BROKER, "mqtt", marks=needs_broker),
        pytest.param("hub", "https"),
        pytest.param("any box", "https"),
    ],
)
async def test_what_was_acknowledged_survives(victim: str, transport: Transport, tmp_path: Path, port_footage: Path) -> None:
    draw = random.Random(SEED)
    name = draw.choice(["box-1", "box-2"]) if victim == "any box" else victim
    plan = PortPlan(
        tmp_path / "port", transport, footage_folder=port_footage, cameras_per_box=1, size=(320, 240), kbit=300, segment_seconds=3
    )
    script = Script(seconds=12, victims=(name,), cut_at=draw.uniform(0.2, 0.8), watches=False)
    async with Port(plan, say=print) as port:
        findings = await rehearse(port, script, print)
    assert findings.faults == [], f"seed {SEED}: {name} killed at {script.cut_at:.2f}"
    assert findings.verdict.verified
    if not name.startswith("box"):
        assert findings.verdict.unexplained_ms == 0
        assert findings.verdict.gaps == 0  # recording depends on neither hub nor broker
        assert findings.verdict.coverage_percent == 100.0
