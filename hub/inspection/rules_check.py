"""Check what rules decided: each procedure stands under the hash that its records bind, and each screening comes out alike from its sheet.

Guarantees: changes nothing; a score is reckoned anew from the inputs that the sheet of its screening holds and the figures that it names;
what was erased is passed over, since then nobody can say.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from hub.inspection.published import procedure_of
from hub.inspection.risk.rule_documents import SCORE_KEY, ScoreRules, shipped_score
from hub.inspection.risk.scoring import AreaHit, History, Inputs, NoticeHit, RuleHit, score
from hub.inspection.rule_tables import rule_versions
from hub.inspection.sheets import said
from hub.inspection.states import State
from protocol.errors import PortwitnessError
from storage.schema import declaration_steps, procedure_acts


def check_rules(connection: Connection) -> Iterator[str]:
    """Give what is wrong with procedures and screenings."""
    for row in connection.execute(select(procedure_acts.c.key, procedure_acts.c.version, procedure_acts.c.sha256).distinct()).all():
        try:
            found = procedure_of(connection, bytes(row.sha256))
        except PortwitnessError as error:
            yield f"S6 procedure {row.key} version {row.version}: {error}"
            continue
        if (found.key, found.version) != (row.key, row.version):
            yield f"S6 procedure {row.key} version {row.version}: its document is of {found.key} version {found.version}"
    yield from _check_screenings(connection)


def _check_screenings(connection: Connection) -> Iterator[str]:
    figures = {0: shipped_score()}
    for one in rule_versions(connection, SCORE_KEY):
        if isinstance(one.document, ScoreRules):
            figures[one.version] = one.document
    steps = declaration_steps
    mine = select(steps.c.position, steps.c.declaration, steps.c.sheet).where(
        steps.c.kind == "step", steps.c.act == State.SCREENED.value, steps.c.rule.like("screening/%")
    )
    for row in connection.execute(mine.order_by(steps.c.position)).all():
        words = said(connection, bytes(row.sheet))
        try:
            wrong = words is not None and not _comes_out(words, figures)
        except (KeyError, TypeError, PortwitnessError):
            wrong = True
        if wrong:
            yield f"S7 {row.declaration}: its screening at leaf {row.position} does not come out of its inputs"


def _comes_out(words: Mapping[str, Any], figures: Mapping[int, ScoreRules]) -> bool:
    told, draw = words["risk"], words["draw"]
    rules = figures.get(told["rules_version"])
    if rules is None or rules.rules != told["rules"]:
        return True  # by figures that were erased, or that another version of this program shipped
    again = score(inputs_of(words), rules)
    return (again.total, again.lane) == (told["total"], told["lane"]) == (draw["risk"], draw["lane"])


def inputs_of(words: Mapping[str, Any]) -> Inputs:
    """Give what a screening looked at, as its sheet says."""
    parts = {part["name"]: part["made_of"] for part in words["risk"]["parts"]}
    return Inputs(
        histories=[History(**one) for one in words["histories"]],
        grade=parts["credit"]["grade"],
        joint_list=parts["credit"]["joint_list"],
        notices=[NoticeHit(**one) for one in words["notices"]],
        mismatches=parts["documents"]["found"],
        areas=[AreaHit(**one) for one in words["areas"]],
        days_ahead=parts["lateness"]["days_ahead"],
        rules=[RuleHit(**one) for one in words["rules"]],
    )
