"""Gather the entries of a story from the tables of every part of the hub: each source gives what it knows of a subject.

Guarantees: a source looks only at what the log held at the size that it is given; each query is bounded and starts from an index.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from hub.inspection.fieldwork.tables import all_tasks_of
from hub.inspection.sheets import said
from hub.inspection.story.telling import Entry, Place, lane_of, of_act, read_sheets, spoken, told
from hub.lookups import covering_leaf
from protocol import kinds
from protocol.identifiers import Issuer
from protocol.records import read_again
from protocol.work_kinds import Work
from storage.conduct_schema import credit_appeals, credit_events, sample_acts, samples
from storage.exchange_schema import exchange_messages, port_events
from storage.schema import (
    bonds,
    concealed,
    declarants,
    declaration_steps,
    draw_acts,
    draws,
    records,
    second_looks,
    second_rounds,
    views,
)

MOST = 5000  # entries that one source gives
DRAW_RULE = "draw/"
_RECORD: tuple[Any, ...] = (records.c.position, records.c.kind, records.c.wall_ns, records.c.data)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a story is about, and how far its log reached: tasks, declarations, and the streams with the times they were linked."""

    hub: str
    tasks: tuple[str, ...]
    declarations: tuple[str, ...]
    size: int
    linked: tuple[tuple[str, int, int], ...] = ()  # stream, from, to


Source = Callable[[Connection, Asked], Iterable[Entry]]


def from_records(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give every record of the hub whose subject is the task or the declaration."""
    rows: list[Row[Any]] = []
    for subject in (*asked.tasks, *asked.declarations):
        mine = records.c.subject == subject, records.c.epoch == 0, records.c.issuer == asked.hub, records.c.position < asked.size
        query = select(*_RECORD).where(*mine, records.c.kind != kinds.Concealed.KIND)
        rows += connection.execute(query.order_by(records.c.position).limit(MOST)).all()
    yield from _entries(connection, asked.hub, rows)


def _entries(connection: Connection, hub: str, rows: Iterable[Row[Any]]) -> Iterator[Entry]:
    """Make entries of rows of the hub's records, with what their sheets say."""
    found: list[tuple[Row[Any], Any]] = [(row, read_again(bytes(row.data)).record.body) for row in rows]
    bound = [getattr(body, "sheet", None) for _, body in found]
    sheets = read_sheets(connection, [one for one in bound if isinstance(one, bytes)])
    for row, body in found:
        entry = entry_of(hub, row, body, sheets)
        yield entry
        if entry.files:
            yield replace(entry, lane="photos")


def entry_of(hub: str, row: Row[Any], body: Any, sheets: Mapping[bytes, Any]) -> Entry:  # noqa: ANN401 - any body
    """Make an entry of a record of the hub: `row` has position, kind and wall_ns."""
    bound = getattr(body, "sheet", None)
    words = sheets.get(bound) if isinstance(bound, bytes) else None
    values = {field.name: getattr(body, field.name) for field in fields(body)}
    plain = {name: value for name, value in values.items() if not isinstance(value, bytes)}
    act = str(plain.pop("act", None) or plain.pop("state", None) or "")
    rule, stream = plain.pop("rule", None), plain.pop("stream", None)
    start, end = plain.pop("from_ns", row.wall_ns), plain.pop("to_ns", row.wall_ns)
    if "facts" in plain:
        plain["facts"] = dict(plain["facts"] or ())
    heard: dict[str, Any] = words if isinstance(words, dict) else {}
    files: tuple[str, ...] = ()
    if row.kind == Work.KIND:
        said_on_site, files = of_act(heard)
        heard = said_on_site | {"by": heard.get("by")}
    return Entry(
        start,
        end,
        lane_of(row.kind, act),
        row.kind,
        act,
        Place(hub, 0, row.position, row.position),
        **spoken(plain | heard),
        rule=rule,
        stream=stream,
        facts=told({name: value for name, value in (plain | heard).items() if name != "form"}),
        files=files,
        erased=isinstance(bound, bytes) and words is None,
    )


def from_draws(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give the draws that decided of a declaration, and what two persons changed of it."""
    steps = declaration_steps
    for number in asked.declarations:
        mine = steps.c.declaration == number, steps.c.rule.like(f"{DRAW_RULE}%"), steps.c.position < asked.size
        for sheet in connection.execute(select(steps.c.sheet).where(*mine).limit(MOST)).scalars():
            words = said(connection, bytes(sheet)) or {}
            if isinstance(words.get("draw"), int):
                yield from _of_draw(connection, asked, words["draw"], number)


def _of_draw(connection: Connection, asked: Asked, draw: int, declaration: str) -> Iterator[Entry]:
    row = connection.execute(select(draws).where(draws.c.number == draw)).first()
    if row is None:
        return
    places = [at for at in (row.called_at, row.closed_at, row.drawn_at) if at is not None and at < asked.size]
    yield from at_places(connection, asked.hub, places)
    acts = select(draw_acts.c.position, draw_acts.c.sheet).where(draw_acts.c.subject == row.name, draw_acts.c.position < asked.size)
    rows = connection.execute(acts.limit(MOST)).all()
    words = read_sheets(connection, [bytes(one.sheet) for one in rows])
    about = [one.position for one in rows if (words.get(bytes(one.sheet)) or {}).get("declaration") == declaration]
    yield from at_places(connection, asked.hub, about)


def at_places(connection: Connection, hub: str, places: Iterable[int]) -> Iterator[Entry]:
    """Give entries of the hub's records at these places of its log."""
    wanted = sorted(set(places))
    mine = records.c.issuer == hub, records.c.epoch == 0, records.c.position.in_(wanted)
    yield from _entries(connection, hub, connection.execute(select(*_RECORD).where(*mine)).all())


def from_boxes(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give the pairings of a task as the boxes' own records tell them, from when a seal in the log covers them."""
    for task in asked.tasks:
        for row in connection.execute(select(bonds).where(bonds.c.task == task).order_by(bonds.c.wall_ns).limit(MOST)):
            issuer = Issuer.of_box(row.box)
            covered = covering_leaf(connection, issuer, row.epoch, row.position)
            if covered is None or covered >= asked.size:
                continue
            place = Place(str(issuer), row.epoch, row.position, covered)
            start = row.wall_ns if row.late_from is None else row.late_from
            yield Entry(start, row.wall_ns, "dispatch", kinds.Pairing.KIND, row.state, place, row.by, stream=row.stream)


def from_views(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give who watched: playbacks of the task, and live views of its streams while they were linked to it."""
    for task in asked.tasks:
        mine = views.c.subject == task, views.c.position < asked.size
        yield from _views(asked, connection.execute(select(views).where(*mine).order_by(views.c.wall_ns).limit(MOST)).all())
    for stream, start, end in asked.linked:
        inside = views.c.subject == stream, views.c.wall_ns >= start, views.c.wall_ns < end, views.c.position < asked.size
        yield from _views(asked, connection.execute(select(views).where(*inside).order_by(views.c.wall_ns).limit(MOST)).all())


def _views(asked: Asked, rows: Iterable[Row[Any]]) -> Iterator[Entry]:
    """Join the two records of each view: from its start to its end, or to nowhere while it is open."""
    begun: dict[str, Row[Any]] = {}
    for row in rows:
        if row.state == "started":
            begun[row.view] = row
            continue
        start = begun.pop(row.view, row)
        yield _view(asked.hub, start, row)
    for row in begun.values():
        yield _view(asked.hub, row, row)


def _view(hub: str, start: Row[Any], end: Row[Any]) -> Entry:
    place = Place(hub, 0, start.position, start.position)
    stream = start.subject if start.way == "live" else None
    act = "watched" if end.state == "ended" else "watches"
    return Entry(start.wall_ns, end.wall_ns, "watching", "view", act, place, start.viewer, stream=stream, facts=(("way", start.way),))


def from_erased(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give what is left of concealed records of a task whose bodies were erased: their kind, time and place."""
    table = concealed
    for task in asked.tasks:
        mine = table.c.subject == task, table.c.disposal < asked.size, table.c.position < asked.size
        for row in connection.execute(select(table).where(*mine).order_by(table.c.wall_ns).limit(MOST)):
            place = Place(asked.hub, 0, row.position, row.position)
            yield Entry(row.wall_ns, row.wall_ns, lane_of(row.of, ""), row.of, "", place, erased=True)


def from_rounds(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give the round of second looks in which a task was drawn."""
    for task in asked.tasks:
        at = connection.execute(select(second_looks.c.drawn_at).where(second_looks.c.task == task)).scalar()
        if at is not None and at < asked.size:
            row = connection.execute(select(second_rounds).where(second_rounds.c.position == at)).first()
            facts = () if row is None else (("draw", str(row.draw)), ("size", str(row.size)))
            at_ns = row.wall_ns if row is not None else 0
            yield Entry(at_ns, at_ns, "supervision", "second-round", "drawn", Place(asked.hub, 0, at, at), facts=facts)


def from_messages(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give the messages that went out about a declaration, and those that came in and told an event of it."""
    table = exchange_messages
    places: set[int] = set()
    for number in asked.declarations:
        out = select(table.c.position).where(table.c.declaration == number, table.c.position < asked.size)
        told_by = select(port_events.c.message).where(port_events.c.declaration == number, port_events.c.message < asked.size)
        for query in (out.limit(MOST), told_by.limit(MOST)):
            places |= set(connection.execute(query).scalars())
    if places:
        yield from at_places(connection, asked.hub, places)


def from_samples(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give what was done with the samples of a declaration, from drawing them to the laboratory's report."""
    acts = sample_acts
    for number in asked.declarations:
        mine = samples.c.declaration == number, acts.c.position < asked.size
        query = select(acts.c.position).join(samples, samples.c.sample == acts.c.sample).where(*mine)
        yield from at_places(connection, asked.hub, connection.execute(query.order_by(acts.c.position).limit(MOST)).scalars())


def from_credit(connection: Connection, asked: Asked) -> Iterator[Entry]:
    """Give what is on the declarant's record that names the declaration or a task of it, and the appeals against that.

    One whose sheet was erased names nothing any more, and is found with its enterprise only.
    """
    named = naming((*asked.tasks, *asked.declarations))
    for number in asked.declarations:
        enterprise = connection.execute(select(declarants.c.enterprise).where(declarants.c.declaration == number)).scalar()
        if enterprise is None:
            continue
        events = _on_record(connection, credit_events, enterprise, asked.size)
        appeals = _on_record(connection, credit_appeals, enterprise, asked.size)
        words = read_sheets(connection, [bytes(row.sheet) for row in (*events, *appeals)])
        about = {row.position for row in events if named((words.get(bytes(row.sheet)), json.loads(row.facts)))}
        about |= {row.event for row in appeals if named(words.get(bytes(row.sheet)))}
        yield from at_places(connection, asked.hub, about | {row.position for row in appeals if row.event in about})


def _on_record(connection: Connection, table: Table, enterprise: str, size: int) -> Sequence[Row[Any]]:
    """Give the newest rows of an enterprise that a log of this size held."""
    mine = table.c.enterprise == enterprise, table.c.position < size
    return connection.execute(select(table).where(*mine).order_by(table.c.position.desc()).limit(MOST)).all()


def naming(names: Iterable[str]) -> Callable[[Any], bool]:
    """Give what tells whether a text, or one in a value, has one of the names as a word of its own: `T-1` is not in `T-1.2`."""
    words = "|".join(re.escape(name) for name in names)
    pattern = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-]|\.\w)", re.ASCII)

    def named(value: Any) -> bool:  # noqa: ANN401 - what a sheet says
        if isinstance(value, dict):
            return any(named(one) for pair in value.items() for one in pair)
        if isinstance(value, list | tuple):
            return any(named(one) for one in value)
        return isinstance(value, str) and bool(words) and pattern.search(value) is not None

    return named


SOURCES: dict[str, Source] = {
    "records": from_records,
    "draws": from_draws,
    "boxes": from_boxes,
    "views": from_views,
    "erased": from_erased,
    "rounds": from_rounds,
    "messages": from_messages,
    "samples": from_samples,
    "credit": from_credit,
}


def declaration_of(connection: Connection, facts: str) -> str | None:
    """Give the declaration that a task's facts (JSON) name."""
    return next((text for name, text in json.loads(facts) if name == "declaration"), None)


def tasks_of(connection: Connection, number: str, size: int) -> tuple[str, ...]:
    """Give the tasks of a declaration: those opened for it, and those that the sheets of its dispatches name."""
    steps = declaration_steps
    mine = steps.c.declaration == number, steps.c.kind == "step", steps.c.act == "dispatched", steps.c.position < size
    found: dict[str, None] = {}
    for sheet in connection.execute(select(steps.c.sheet).where(*mine).order_by(steps.c.position)).scalars():
        task = (said(connection, bytes(sheet)) or {}).get("task")
        if isinstance(task, str):
            found[task] = None
    opened = [one.task for one in all_tasks_of(connection, number) if one.position < size]
    return tuple(found | dict.fromkeys(opened))
