"""What tests of releases share: declarations that stand where a test begins, and evidence that lives in the log."""

import os
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, func, insert, select

from hub.app import Hub
from hub.inspection.releasing.clearing import Sources
from hub.inspection.releasing.following import ByRule
from hub.inspection.states import State
from protocol import kinds
from protocol.clearing import parse_evidence
from protocol.clearing_kinds import Evaluation
from protocol.errors import RefusedError
from protocol.inspection_kinds import Declaration, Step
from protocol.kinds import Body
from protocol.procedures.completeness import Missing
from storage.schema import declarants, records

TO_INSPECTING = (
    State.ACCEPTED,
    State.SCREENED,
    State.SELECTED,
    State.HELD,
    State.DISPATCHED,
    State.POSITIONED,
    State.PAIRED,
    State.INSPECTING,
)
TO_PASSED = (*TO_INSPECTING, State.PASSED)
TO_DIRECT = (State.ACCEPTED, State.SCREENED, State.DIRECT_RELEASE)
LI, WANG, CHEN, ZHOU = "li.wei", "wang.fang", "chen.min", "zhou.jie"


def gaps_of(connection: Connection, number: str) -> Sequence[Missing]:
    """Say that the overview video is missing while the log names more gaps than recordings of a declaration."""
    mine = select(records.c.kind, func.count()).where(records.c.subject == number, records.c.kind.in_(("gap", "box-state")))
    counts = {row[0]: row[1] for row in connection.execute(mine.group_by(records.c.kind)).all()}
    return [Missing("open", "record", "video", "", "break too long")] if counts.get("gap", 0) > counts.get("box-state", 0) else []


def evidence_in_log(hub: Hub) -> None:
    """Let the hub's gate ask the log itself, with Li and Wang on every inspection."""
    hub.releases.sources = Sources(missing=gaps_of, inspectors=lambda _connection, _number: frozenset({LI, WANG}))


async def lose(hub: Hub, number: str) -> None:
    """Log that a must-record is missing."""
    await hub.log.issue(kinds.Gap("camera lost", 1, 2, 1, 2), number)


async def find_again(hub: Hub, number: str) -> None:
    """Log that it is there after all."""
    await hub.log.issue(kinds.BoxState("found", "video"), number)


async def stand(hub: Hub, numbers: Sequence[str], steps: Sequence[State], judged_by: str | None = None) -> None:
    """Put declarations where a test begins, many in one transaction; their sheets count as erased."""

    def decide(connection: Connection, size: int) -> Sequence[tuple[str, Body]]:
        found: list[tuple[str, Body]] = []
        rows = [{"declaration": number, "enterprise": "91210200MA0SIM001X", "reference": number} for number in numbers]
        connection.execute(insert(declarants), rows)
        for number in numbers:
            found.append((number, Declaration("lodged", 1, State.LODGED, os.urandom(32))))
            if judged_by is not None and steps[-1] is State.PASSED:
                found += [(number, Step(to, os.urandom(32))) for to in steps[:-1]]
                found += [(number, Evaluation("pass", size, os.urandom(32))), (number, Step(steps[-1], os.urandom(32)))]
            else:
                found += [(number, Step(to, os.urandom(32))) for to in steps]
        return found

    await hub.log.decide_all(decide)


async def release_and_recall(hub: Hub, number: str, inspector: str) -> None:
    """Release what was worked on site, look at what the release rests on, and recall it when a box turns out to tell two stories."""
    await hub.releases.evaluate(number, "pass", inspector, "in order")
    with pytest.raises(RefusedError, match="was on the inspection"):
        await hub.releases.approve(number, inspector)
    done = await hub.releases.approve(number, CHEN)
    assert done.state is State.RELEASED and done.root is not None
    lines = parse_evidence(await hub.releases.evidence(done.root), done.root)
    video = [line.split(" ") for line in lines if line.startswith("record box:")]
    assert len(video) > 2 and sum(line.startswith("blob ") for line in lines) > 2
    assert sum(line.startswith("record hub:") for line in lines) > 20, "acts of the work on site are among it"
    _, issuer, epoch, position, leaf = video[0]
    assert await hub.releases.look_back(number) is None
    await hub.log.issue(kinds.Equivocation(int(epoch), int(position), bytes.fromhex(leaf), b"another story"), issuer)
    await ByRule(hub.core, hub.releases, automatic=True).go_on()
    assert (await hub.declarations.get(number)).state is State.RECALLED
    with pytest.raises(RefusedError, match="not verified"):
        await hub.releases.approve(number, CHEN)
