"""Judge what is missing of an inspection from the leaves of the log and the stored files, inside the transaction that asks.

Guarantees: pure over what it reads - acts, files that `stored` records name, segments under logged seals, what systems told - and no
clock; each lookup is one of an index. A photograph counts once it is at the hub, full video once it is safe on the box.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from hub.files import at_hub
from hub.inspection.fieldwork.acts import conduct_of, files_of
from hub.inspection.fieldwork.footage import Film
from hub.inspection.fieldwork.tables import SiteTask, acts_of, forms_of, notes_of, site_task, tasks_of, used_elsewhere
from hub.inspection.published import procedure_of
from hub.inspection.standings import standing_row
from hub.inspection.states import State
from protocol.instants import Interval
from protocol.procedures.answers import Answer, standing
from protocol.procedures.completeness import Facts, Held, Missing, Signed, meter, missing
from protocol.procedures.conduct import Conduct
from protocol.procedures.model import ATTACHED, Procedure, Step, Wanted
from storage.schema import declaration_steps

BOTH_SIGNATURES = "both-signatures"
SIGNED_ACTS = "signed-acts"
TEMPERATURE = "temperature-log"
OF_THE_DRAW = frozenset({"pool-root", "seed-proof", "exclusions", "overrides"})
OF_ACCEPTANCE = frozenset({"acceptor-time"})
_FILE_WAYS = {"W2": "photo", "W3": "audio"}
UNDISPATCHED = Missing("dispatch", "record", "task", "", "not there")


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of one task: its procedure, its acts, the facts for the judgement, and pieces of video that are to follow."""

    task: SiteTask
    procedure: Procedure
    conduct: Conduct
    facts: Facts
    to_follow: int
    unread: int = 0  # acts in the log whose signed text is not kept: nobody knows what they said, so nothing is complete

    def missing(self) -> list[Missing]:
        """Give what is missing."""
        lost = [
            Missing(
                self.procedure.steps[0].key,
                "record",
                SIGNED_ACTS,
                "",
                "not verified",
                len(self.conduct.acts),
                len(self.conduct.acts) + self.unread,
            )
        ]
        return (lost if self.unread else []) + missing(self.procedure, self.facts)

    def meter(self) -> tuple[int, int]:
        """Give how much is there of how much is wanted."""
        return meter(self.procedure, self.facts)


def missing_of(connection: Connection, number: str) -> tuple[Missing, ...]:
    """Give what is missing of a declaration's inspection; nothing where none is asked for."""
    tasks = tasks_of(connection, number)
    if not tasks:
        return (UNDISPATCHED,) if standing_row(connection, number)["selected"] else ()
    return tuple(one for judged in judge_all(connection, tasks) for one in judged.missing())


def judge_all(connection: Connection, tasks: Sequence[SiteTask]) -> list[Judged]:
    """Judge the tasks of one dispatch together: a recorder that is paired to one of them films for all."""
    if not tasks:
        return []
    film, number = Film.of(connection, tasks), tasks[0].declaration
    forms = forms_of(connection, number)
    boxes = tuple(box for form in forms for box in form.get("containers", ()))
    known = _Known(number, bool(forms), boxes, _told(connection, number))
    return [_judge(connection, task, film, known) for task in tasks]


def judge_task(connection: Connection, name: str) -> Judged:
    """Judge one task, with the recorders of those that were dispatched with it; raise RefusedError when there is none of this name."""
    task = site_task(connection, name)
    together = tasks_of(connection, task.declaration)
    tasks = together if any(one.task == name for one in together) else [task]
    return next(one for one in judge_all(connection, tasks) if one.task.task == name)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a declaration. `boxes`: those declared at its selection and since."""

    number: str
    is_readable: bool
    boxes: tuple[dict[str, Any], ...]
    told: frozenset[str]


def _told(connection: Connection, number: str) -> frozenset[str]:
    """Give the records of systems that are there, by their keys in procedures."""
    found = {row.key for row in notes_of(connection, number)}
    steps = declaration_steps
    acts = set(connection.execute(select(steps.c.act).where(steps.c.declaration == number)).scalars())
    found |= OF_THE_DRAW if State.SELECTED.value in acts else set()
    found |= OF_ACCEPTANCE if State.ACCEPTED.value in acts else set()
    return frozenset(found)


def _judge(connection: Connection, task: SiteTask, film: Film, known: _Known) -> Judged:
    procedure = procedure_of(connection, task.sha256)
    conduct = conduct_of(connection, task, procedure)
    answers = conduct.answers()
    drawn = {one.given.drawn for one in conduct.signatures() if one.given.drawn is not None}
    names = {name for one in answers for name in files_of(one)} | drawn
    elsewhere = used_elsewhere(connection, names, known.number)
    blobs = at_hub(connection, names - elsewhere)
    signed = tuple(
        Signed(one.given.role, one.given.covers)
        for one in conduct.signatures()
        if one.counts and (one.given.drawn is None or one.given.drawn in blobs)
    )
    boxes = tuple(dict.fromkeys(box["number"] for box in known.boxes))
    roles = ("lead", *(("assistant",) if len(task.team) > 1 else ()), "owner")
    judge = _Judge(procedure, conduct, film, known, answers, blobs, frozenset(one.role for one in signed))
    held, to_follow = judge.held()
    facts = Facts(answers, blobs, held, signed, {"container": boxes}, roles, elsewhere)
    return Judged(task, procedure, conduct, facts, to_follow, len(acts_of(connection, task.task)) - len(conduct.acts))


@dataclass(frozen=True, slots=True)
class _Judge:
    """Finds what is held of each record that a procedure wants."""

    procedure: Procedure
    conduct: Conduct
    film: Film
    known: _Known
    answers: tuple[Answer, ...]
    blobs: frozenset[str]
    signed: frozenset[str]

    def held(self) -> tuple[tuple[Held, ...], int]:
        found: list[Held] = []
        to_follow = 0
        for at, step in enumerate(self.procedure.steps):
            for wanted in step.records:
                if wanted.way in ("W4", "W5"):
                    piece, later = self._video(at, step, wanted)
                    found += piece
                    to_follow = max(to_follow, later)
                elif wanted.way == "W6":
                    found += [Held(step.key, wanted.key, 1)] if self._is_told(wanted.key) else []
                elif wanted.way in _FILE_WAYS:
                    found += self._files(step, wanted)
                elif self._is_written(step, wanted):
                    found.append(Held(step.key, wanted.key, 1, "hub"))
        return tuple(found), to_follow

    def _is_told(self, key: str) -> bool:
        if key == TEMPERATURE and not any(box.get("reefer") for box in self.known.boxes):
            return self.known.is_readable  # nothing that is cooled: no log there could be
        return key in self.known.told

    def _is_written(self, step: Step, wanted: Wanted) -> bool:
        if wanted.key == BOTH_SIGNATURES:
            return {"lead", "owner"} <= self.signed
        return any(section.step == step.key for section in map(self._section, self.answers))

    def _section(self, answer: Answer) -> Any:  # noqa: ANN401 - a section
        return self.procedure.items[answer.item][0]

    def _files(self, step: Step, wanted: Wanted) -> list[Held]:
        kind = _FILE_WAYS[wanted.way]
        names: set[str] = set()
        for answer in (one for given in standing(self.answers).values() for one in given):
            section, item = self.procedure.items[answer.item]
            if section.step == step.key and item.type in ATTACHED and item.type == kind:
                names.update(files_of(answer))
        here = len(names & self.blobs)
        found = [Held(step.key, wanted.key, here, "hub")] if here else []
        return found + ([Held(step.key, wanted.key, len(names) - here, "log")] if here < len(names) else [])

    def _video(self, at: int, step: Step, wanted: Wanted) -> tuple[list[Held], int]:
        linked = self.film.recorders if wanted.way == "W4" else self.film.cameras
        stretch = self._stretch(at, step)
        if not linked or stretch is None:
            return [], 0
        excused = [] if wanted.unbroken else self.conduct.pauses()
        found = self.film.judge(linked, stretch, excused, self.conduct.swaps())
        if not found.pieces:
            return [], 0
        one = Held(step.key, wanted.key, 1, found.stored, found.verified, found.break_s, found.explained)
        return [one], found.to_follow

    def _stretch(self, at: int, step: Step) -> Interval | None:
        """Give when a step ran: as it was said, else as the steps beside it leave it open; it began with its first answer at the latest."""
        if not self.conduct.acts:
            return None
        spans = [self.conduct.span(step.key) for step in self.procedure.steps]
        here, before = spans[at], spans[at - 1] if at else None
        after = next((one for one in spans[at + 1 :] if one is not None), None)
        first = self.film.first_ns if self.film.first_ns is not None else self.conduct.opened_ns
        last = max(self.conduct.moment(one) for one in self.conduct.acts)
        start = here[0] if here is not None else before[1] if before is not None and before[1] is not None else first
        begun = self.conduct.first_answer_ns({key for key, (section, _) in self.procedure.items.items() if section.step == step.key})
        start = start if begun is None else min(start, begun)
        end = here[1] if here is not None and here[1] is not None else after[0] if after is not None else last
        return Interval(start, max(start, end))
