"""Stories at the hub, on SQLite and on PostgreSQL alike: all that happened, each entry with its record, as of any moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, text

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.credit import CreditDraft
from hub.inspection.laboratory import Finding, SampleDraft
from hub.inspection.states import State
from hub.inspection.story.moments import as_of
from hub.inspection.story.sources import naming
from hub.inspection.story.stories import Story
from hub.lookups import covering_leaf
from hub.tasks import TaskDraft
from hub.timeline import Wish, timeline
from protocol.errors import RefusedError
from protocol.identifiers import Issuer
from protocol.instants import SECOND_NS, Interval
from protocol.merkle import leaf_hash, verify_inclusion
from protocol.notes import SignedCheckpoint
from storage.keys import create_ed25519
from storage.schema import declarants, sheets
from tests.contracts.test_draws import TWO, drawn, inspectors, policy_for, screen
from tests.hub_parts import BOX, TestBox, chunks, enrol, receipts_until, running_hub, send, settings_for, settled

TASK = "T-1"
STREAM = "box-1/cam-1"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path, database_url), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


async def dispatched(hub: Hub) -> str:
    """Bring a declaration through its draw to a task that names it; give its number."""
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    number = (await screen(hub, 1, "red"))[0]
    await drawn(hub)
    facts = (("declaration", number), ("procedure", "fruit"))
    await hub.declarations.step(number, State.HELD, {"why": "selected"}, rule="hold/1")
    await hub.tasks.open(TaskDraft(task=TASK, title="durians", cameras=(STREAM,), inspectors=("li.wei",), facts=facts), "chen.min")
    said = {"task": TASK, "procedure": "fruit", "procedure_version": 1}
    await hub.declarations.step(number, State.DISPATCHED, said, by="chen.min")
    return number


def seen(story: Story) -> list[tuple[str, str, str]]:
    return [(entry.lane, entry.kind, entry.act) for entry in story.entries]


async def test_a_task_tells_all_of_its_declaration_and_each_entry_is_proven(hub: Hub) -> None:
    number = await dispatched(hub)
    view = await hub.views.playback_started(TASK, "zhou.jun")
    await hub.views.ended(view)
    mark = await hub.supervision.annotate(TASK, (5, 9), "look at the seal", "chen.min", stream=STREAM)
    order = await hub.supervision.instruct(TASK, "photograph the seal", "chen.min")
    await hub.supervision.acknowledge(TASK, order, "li.wei")
    story = await hub.stories.task(TASK)
    assert story.declaration == number and story.tasks == (TASK,)
    for expected in (
        ("declaration", "declaration", "lodged"),
        ("screening", "step", "screened"),
        ("draw", "draw-call", ""),
        ("draw", "draw-closing", ""),
        ("draw", "draw-result", ""),
        ("draw", "step", "selected"),
        ("dispatch", "task", "opened"),
        ("dispatch", "step", "dispatched"),
        ("watching", "view", "watched"),
        ("supervision", "annotation", ""),
        ("supervision", "instruction", "given"),
        ("supervision", "instruction", "acknowledged"),
    ):
        assert seen(story).count(expected) == 1, expected
    assert [entry.from_ns for entry in story.entries] == sorted(entry.from_ns for entry in story.entries)
    marked = next(entry for entry in story.entries if entry.place.position == mark)
    assert (marked.from_ns, marked.to_ns, marked.who, marked.text, marked.stream) == (5, 9, "chen.min", "look at the seal", STREAM)
    await proven(hub, story)
    for entry in story.entries:
        place = entry.place
        assert (await hub.records.get(place.issuer, place.epoch, place.position)).kind in (entry.kind, "concealed")
    same = await hub.stories.declaration(number)
    assert {entry.place for entry in same.entries} <= {entry.place for entry in story.entries} | set()
    assert same.tasks == (TASK,)
    assert (same.stood.state, same.stood.task_state) == ("dispatched", "opened")
    assert {(rule.what, rule.version) for rule in same.stood.rules} >= {("draw", "1"), ("procedure fruit", "1"), ("draw-rules", "1")}
    assert (await check_hub(hub.core.settings)).problems == ()


async def proven(hub: Hub, story: Story) -> None:
    """Let each entry's leaf be in the newest checkpoint."""
    checkpoint = SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint
    for entry in story.entries:
        index = entry.place.log_index
        assert index is not None and index < story.moment.size
        leaf = await hub.log.leaf(index)
        verify_inclusion(leaf_hash(leaf), index, checkpoint.size, await hub.log.proof(index), checkpoint.root)


async def test_samples_and_credit_that_name_an_inspection_stand_in_its_story(hub: Hub) -> None:
    number = await dispatched(hub)
    for state in (State.POSITIONED, State.PAIRED, State.INSPECTING):
        await hub.declarations.step(number, state, {}, rule="test/1")
    await hub.references.put("partner", "lab-1", {"name": "技术中心", "role": "laboratory"}, "admin", "listed")
    sample = (await hub.laboratory.draw(number, SampleDraft("lab-1", "durian flesh", "2.5", "kg"), "li.wei")).number
    await hub.laboratory.seal(sample, "li.wei", "S-77")
    await hub.laboratory.hand_over(sample, "li.wei", "driver Sun")
    await hub.laboratory.receive(sample, "lab-1", "tech.he", sealed=True, fit=True)
    await hub.laboratory.report(sample, "lab-1", "tech.he", Finding("R-2", "positive", (("cadmium", "9 mg/kg"),), "cd" * 32))
    mine = select(declarants.c.enterprise).where(declarants.c.declaration == number)
    firm = await hub.core.database.read(lambda connection: connection.execute(mine).scalar_one())
    add = hub.credits.add
    by_task = await add(CreditDraft(firm, "false-declaration", "durian as apples", (f"record 7, task {TASK}",)), "chen.min")
    by_number = await add(CreditDraft(firm, "false-declaration", f"申报{number}不实"), "chen.min")
    later = await add(CreditDraft(firm, "false-declaration", "something else", (f"task {TASK}.2", f"declaration {number}0")), "chen.min")
    for event in (by_task, by_number, later):
        await hub.credits.appeal(event.position, "trader.wu", "not so")
    await hub.credits.decide(by_task.position, "zhou.jun", "weighed and seen", upheld=True)
    for story in (await hub.stories.declaration(number), await hub.stories.task(TASK)):
        acts = [(entry.act, entry.who) for entry in story.entries if entry.kind == "sample"]
        assert [act for act, _ in acts] == ["drawn", "sealed", "handed-over", "received", "reported"]
        assert acts[0][1] == "li.wei" and acts[-1][1] == "tech.he"
        told = [entry for entry in story.entries if entry.lane == "credit"]
        assert [entry.place.position for entry in told if entry.kind == "credit-event"] == [by_task.position, by_number.position]
        assert [(entry.act, dict(entry.facts)["event"]) for entry in told if entry.kind == "appeal"] == [
            ("filed", str(by_task.position)),
            ("filed", str(by_number.position)),
            ("upheld", str(by_task.position)),
        ]
        await proven(hub, story)
    full = await hub.stories.declaration(number)
    for entry in (one for one in full.entries if one.lane in ("samples", "credit") and one.place.position >= by_task.position):
        then = await hub.core.database.read(lambda connection, index=entry.place.position: newest_until(connection, index))  # type: ignore[misc]
        as_then = await hub.stories.declaration(number, then)
        assert entry in as_then.entries and max(one.place.position for one in as_then.entries) < as_then.moment.size
    before = await hub.stories.declaration(number, full.entries[0].from_ns)
    assert {entry.lane for entry in before.entries}.isdisjoint({"samples", "credit"})
    await hub.core.database.write(lambda connection: connection.execute(delete(sheets)))
    left = await hub.stories.declaration(number)
    assert [entry.act for entry in left.entries if entry.kind == "sample"][-1] == "reported"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("T-1", True),
        ("seen at T-1.", True),
        ("先看T-1再说", True),
        ("line\nT-1\n", True),
        ({"evidence": ["record 7", "task T-1"]}, True),
        ([("T-1", 5)], True),
        ({"T-1": 5}, True),
        ("T-1.2", False),
        ("T-10", False),
        ("AT-1", False),
        ("XT-1 and T-1-b", False),
        (None, False),
        (7, False),
    ],
)
def test_a_name_is_found_as_a_word_of_its_own(value: object, found: bool) -> None:
    assert naming(["T-1", "D-1"])(value) is found
    assert naming([])(value) is False


def newest_until(connection: Connection, index: int) -> int:
    """Give the newest time of the hub's records up to a leaf: what is staged meanwhile may stand before it and be younger."""
    query = text("SELECT max(wall_ns) FROM records WHERE epoch = 0 AND position <= :index")
    return int(connection.execute(query, {"index": index}).scalar_one())


async def test_as_of_a_moment_only_what_the_log_held_then_is_told(hub: Hub) -> None:
    number = await dispatched(hub)
    full = await hub.stories.declaration(number)
    for entry in full.entries:
        index = entry.place.log_index
        assert index is not None
        at_ns = await hub.core.database.read(lambda connection, index=index: newest_until(connection, index))  # type: ignore[misc]
        then = await hub.stories.declaration(number, at_ns)
        assert index < then.moment.size
        known = {one.place for one in full.entries if (one.place.log_index or 0) < then.moment.size}
        links = {one.place for one in full.entries if one.kind not in ("declaration", "step")}  # known by the step that names them
        assert {one.place for one in then.entries} - links == known - links and {one.place for one in then.entries} <= known
        if then.moment.checkpoint is not None:
            assert SignedCheckpoint.parse(then.moment.checkpoint).checkpoint.size <= then.moment.size
    lodged = full.entries[0]
    first = await hub.stories.declaration(number, lodged.from_ns)
    assert first.stood.state == "lodged" and first.tasks == () and "draw" not in {rule.what for rule in first.stood.rules}
    with pytest.raises(RefusedError, match="is not known"):
        await hub.stories.task(TASK, lodged.from_ns)
    before = await hub.stories.declaration(number, lodged.from_ns - 3600 * SECOND_NS)
    assert before.entries == () and before.stood.state is None


async def test_the_size_of_the_log_at_a_moment_is_found_by_its_checkpoints(hub: Hub) -> None:
    for number in range(3):
        await hub.tasks.open(TaskDraft(task=f"T-{number}", title="x"), "chen.min")
        await asyncio.sleep(1.0)  # kept checkpoints lie a second apart
    await settled(hub)
    published, now_ns = hub.log.published_size(), hub.core.clock.now().wall_ns

    def sizes(connection: Connection) -> list[int]:
        tasks = connection.execute(text("SELECT opened_at, opened_ns FROM tasks ORDER BY opened_at")).all()
        return [as_of(connection, published, row.opened_ns, now_ns).size - row.opened_at for row in tasks]

    assert await hub.core.database.read(sizes) == [1, 1, 1]
    assert (await hub.core.database.read(lambda connection: as_of(connection, published, None, now_ns))).size == published
    assert (await hub.core.database.read(lambda connection: as_of(connection, published, 1, now_ns))).size == 0


async def film(hub: Hub) -> TestBox:
    """Put three sealed segments with a gap, and an unsealed one, on the lane of a task."""
    box = TestBox()
    await enrol(hub, box)
    await hub.tasks.open(TaskDraft(task=TASK, title="durians", cameras=(STREAM,), inspectors=("li.wei",)), "chen.min")
    box.wall_ns = hub.core.clock.now().wall_ns
    box.boot()
    box.recording()
    pieces = [box.segment(), box.segment()]
    box.gap()
    pieces.append(box.segment())
    box.seal()
    await send(hub, box)
    await receipts_until(hub, BOX, box.written[-1].record.position)
    box.segment()
    await hub.ingest.accept(BOX, box.batch(len(box.written) - 1))
    for signed, data in pieces:
        await hub.blobs.put(BOX, signed.record.body.sha256, len(data), chunks(data))  # type: ignore[union-attr]
    return box


async def test_lanes_as_of_a_moment_hold_what_seals_in_the_log_covered(hub: Hub) -> None:
    box = await film(hub)
    now = (await hub.stories.lanes(TASK)).lanes[0]
    assert (len(now.segments), len(now.gaps)) == (4, 1)
    assert {piece.state for piece in now.segments[:3]} == {"verified"} and now.segments[3].state == "pending"
    await settled(hub)
    later = hub.core.clock.now().wall_ns
    then = (await hub.stories.lanes(TASK, later - 1)).lanes[0]
    assert [piece.number for piece in then.segments] == [0, 1, 2]
    assert {piece.state for piece in then.segments} == {"verified"}
    sealed = await hub.core.database.read(lambda connection: covering_leaf(connection, Issuer.of_box(box.box), 1, 3))
    assert sealed is not None

    def early(connection: Connection, size: int) -> int:
        return len(timeline(connection, TASK, later, Wish(size, detail="pieces")).lanes[0].segments)

    assert await hub.core.database.read(lambda connection: early(connection, sealed)) == 0
    assert await hub.core.database.read(lambda connection: early(connection, sealed + 1)) == 3


async def test_hours_add_up_to_the_pieces_and_a_stretch_shows_its_own(hub: Hub) -> None:
    box = await film(hub)
    lane = (await hub.stories.lanes(TASK, None, Wish(detail="spans"))).lanes[0]
    pieces = (await hub.stories.lanes(TASK, None, Wish(detail="pieces"))).lanes[0]
    assert lane.segments == () and lane.gaps == ()
    assert sum(hour.recorded_ns for hour in lane.spans) == sum(piece.wall_to - piece.wall_from for piece in pieces.segments)
    assert sum(hour.gap_ns for hour in lane.spans) == sum(gap.wall_to - gap.wall_from for gap in pieces.gaps)
    assert sum(hour.pieces for hour in lane.spans) == len(pieces.segments) + len(pieces.gaps)
    first = pieces.segments[0]
    part = await hub.stories.lanes(TASK, None, Wish(within=Interval(first.wall_from, first.wall_to)))
    assert [piece.number for piece in part.lanes[0].segments] == [0] and part.detail == "pieces"
    assert box.written
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_erased_sheets_leave_entries_and_places(hub: Hub) -> None:
    number = await dispatched(hub)
    before = await hub.stories.declaration(number)
    await hub.core.database.write(lambda connection: connection.execute(delete(sheets)))
    after = await hub.stories.declaration(number)
    lodged = after.entries[0]
    assert lodged.erased and lodged.who is None and lodged.text == ""
    assert lodged == replace(before.entries[0], erased=True, who=None, text="", facts=lodged.facts)


@pytest.mark.parametrize("question", ["subject", "seals", "hours", "views", "samples", "credit", "appeals"])
async def test_what_a_story_asks_is_answered_by_an_index(hub: Hub, question: str) -> None:
    asked = {
        "subject": "SELECT position FROM records WHERE subject = 'T-1' AND epoch = 0 AND issuer = 'hub:hub-1' AND position < 9",
        "seals": "SELECT position FROM seals WHERE box = 'b' AND epoch = 1 AND log_index < 5 ORDER BY log_index DESC LIMIT 1",
        "hours": "SELECT hour FROM stream_hours WHERE stream = 's' AND hour >= 1 AND hour <= 9 ORDER BY hour",
        "views": "SELECT view FROM views WHERE subject = 's' AND wall_ns >= 1 AND wall_ns < 9",
        "samples": "SELECT sample_acts.position FROM sample_acts JOIN samples ON samples.sample = sample_acts.sample"
        " WHERE samples.declaration = 'D' AND sample_acts.position < 9 ORDER BY sample_acts.position",
        "credit": "SELECT sheet FROM credit_events WHERE enterprise = 'E' AND position < 9 ORDER BY position DESC LIMIT 5",
        "appeals": "SELECT sheet FROM credit_appeals WHERE enterprise = 'E' AND position < 9 ORDER BY position DESC LIMIT 5",
    }[question]

    def plan(connection: Connection) -> str:
        if connection.dialect.name == "sqlite":
            return "\n".join(str(row) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {asked}")))
        connection.execute(text("SET LOCAL enable_seqscan = off"))  # an empty table is read whole whatever its indexes
        return "\n".join(str(row) for row in connection.execute(text(f"EXPLAIN {asked}")))

    found = await hub.core.database.read(plan)
    wanted = {"subject": "records_subject", "seals": "seals_logged", "views": "views_subject", "samples": "samples_declaration"}.get(
        question
    )
    assert "SCAN" not in found and "Seq Scan" not in found, found
    assert wanted is None or wanted in found or "postgresql" in hub.core.settings.database_url, found
