"""The phone's rules in a real Chromium against the hub's own: conditions, values, what is asked, what stands, what is missing."""

import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, async_playwright

from hub.inspection.procedures.shipped_files import shipped_procedures
from protocol import sheets
from protocol.errors import MalformedError
from protocol.procedures import answers as judged
from protocol.procedures import completeness, conditions
from protocol.procedures.answers import Answer
from protocol.procedures.model import ATTACHED, Item, Procedure
from protocol.procedures.reading import value_of
from tests.browser.test_verifier_page import FLAGS

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
STATIC = Path(__file__).parents[2] / "web" / "static"
HOME = "http://localhost:9"
HASHES = tuple(f"{number:064x}" for number in range(40))
PARTS = {"container": ["TGHU1234567", "MSKU7654321"], "sample": ["S-1"], "package": ["P-1", "P-2"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(chromium: Path) -> AsyncIterator[Page]:
    """Give a page that can import the phone's modules, as files, without a hub."""

    async def give(route: Route) -> None:
        path = route.request.url.removeprefix(HOME)
        if path == "/":
            await route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            await route.fulfill(body=(STATIC / path.removeprefix("/static/")).read_text(), content_type="text/javascript")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        made = await (await browser.new_context()).new_page()
        await made.route("**/*", give)
        await made.goto(f"{HOME}/")
        yield made
        await browser.close()


async def ask(page: Page, module: str, body: str, given: Any) -> Any:
    """Run a function's body in the page with `m` (a module of the phone) and `given`."""
    return await page.evaluate(f"async (given) => {{ const m = await import('/static/work/{module}.js'); {body} }}", given)


def condition(chance: random.Random, depth: int = 0) -> str:
    if depth < 4 and chance.random() < 0.45:
        how = chance.choice((" and ", " or "))
        inner = how.join(condition(chance, depth + 1) for _ in range(chance.randint(2, 3)))
        return chance.choice((f"({inner})", f"not ({inner})"))
    name = chance.choice(("state", "count", "kinds", "a-b"))
    literals = ("'x'", "'yes'", '"no"', "1", "2.50", "-3", "'2.5'", "'2.500000'", "007", "'1e3'")
    if chance.random() < 0.3:
        return f"{name} in ({', '.join(chance.choices(literals, k=chance.randint(1, 3)))})"
    return f"{name} {chance.choice(('=', '!=', '<', '<=', '>', '>='))}{chance.choice(('', ' '))}{chance.choice(literals)}"


def spoiled(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text))
    return chance.choice(
        (text[:at], text[:at] + text[at + 1 :], f"{text[:at]}{chance.choice(('é', '(', ')', ' and ', '$', '=', 'not '))}{text[at:]}")
    )


def held(text: str, given: dict[str, Any]) -> bool | None:
    try:
        return conditions.holds(conditions.parse(text), given)
    except MalformedError:
        return None


async def test_conditions_hold_as_the_hub_says_and_are_refused_where_it_refuses(page: Page) -> None:
    chance = random.Random(7)
    values = ("x", "yes", "no", "1", "1.0", "2.5", "-3", "999999999999999.999999", "abc", ["x", "yes"], ["no"], True)
    cases = []
    for number in range(3000):
        text = condition(chance)
        text = spoiled(chance, text) if number % 3 == 0 else text
        cases.append((text, {name: chance.choice(values) for name in ("state", "count", "kinds", "a-b") if chance.random() < 0.8}))
    cases += [
        ("(" * 21 + "a = 1" + ")" * 21, {}),
        ("not " * 30 + "a = 1", {}),
        (f"a = '{'é' * 995}'", {"a": "é"}),
        (f"a = '{'é' * 994}'", {"a": "é"}),
    ]
    expected = [held(text, given) for text, given in cases]
    body = """return given.map(([text, answers]) => {
      try { return m.holds(m.parse(text), new Map(Object.entries(answers))); } catch (error) { return null; }
    });"""
    found = await ask(page, "conditions", body, cases)
    assert [case for case, one, other in zip(cases, expected, found, strict=True) if one is not other] == []
    assert expected.count(True) > 500 and expected.count(False) > 500 and expected.count(None) > 300


def value_for(chance: random.Random, item: Item) -> Any:
    if item.type in ("choice", "multi"):
        keys = [option.key for option in item.options]
        return chance.choice(keys) if item.type == "choice" else sorted(chance.sample(keys, chance.randint(1, len(keys))))
    if item.type == "number":
        return (item.least or "0") if chance.random() < 0.5 else (item.most or "7")
    if item.type in ATTACHED:
        return chance.sample(HASHES, chance.randint(1, 3))
    given: dict[str, Any] = {
        "text": "外观完好 ok", "barcode": "TGHU1234567", "date-time": "2026-02-28T23:59:59+08:00",
        "gps": {"latitude": 1, "longitude": -2, "accuracy_m": 3},
        "signature": chance.choice(({"drawn": HASHES[0], "name": "李"}, {"refused": "no time"})),
    }  # fmt: skip
    return given[item.type]


def answered(chance: random.Random, procedure: Procedure) -> tuple[Answer, ...]:
    found: list[Answer] = []
    share = chance.random()
    for section in procedure.sections:
        for at in [""] if section.per is None else [*PARTS.get(section.per, []), "X-9"]:
            for item in section.items:
                for _ in range(chance.choice((1, 1, 2))):
                    if chance.random() > share:
                        continue
                    earlier = [one.id for one in found if chance.random() < 0.5 and (one.place == (item.key, at) or chance.random() < 0.02)]
                    name = f"{chance.getrandbits(128):032x}/{len(found)}"
                    found.append(Answer(name, item.key, at, value_for(chance, item), 0, 0, tuple(earlier[:50])))
    chance.shuffle(found)
    return tuple(found)


def facts_for(chance: random.Random, procedure: Procedure) -> completeness.Facts:
    answers = answered(chance, procedure)
    held = tuple(
        completeness.Held(step.key, record.key, chance.randint(1, 3), chance.choice(("log", "box", "hub")), chance.random() < 0.9,
                          chance.choice((0, 0, 5, 9999)), chance.random() < 0.7)
        for step in procedure.steps for record in step.records if chance.random() < 0.6
    )  # fmt: skip
    roles = ("lead", "assistant", "owner")
    covers = frozenset(one.id for one in answers if chance.random() < 0.95)
    signed = tuple(completeness.Signed(role, covers) for role in roles if chance.random() < 0.6)
    return completeness.Facts(answers, frozenset(chance.sample(HASHES, 35)), held, signed, PARTS, roles)


def said(procedure: Procedure, facts: completeness.Facts) -> dict[str, Any]:
    stands = judged.standing(facts.answers)
    parts = facts.parts or {}
    return {
        "stands": sorted([item, at, [one.id for one in some], judged.in_conflict(some)] for (item, at), some in stands.items()),
        "asked": [[section.key, item.key, at] for section, item, at in judged.asked(procedure, stands, parts)],
        "rest": [[item.key, at] for item, at in judged.rest(procedure, stands, parts)],
        "digest": judged.digest(facts.answers).hex(),
        "failing": sorted(one.id for one in judged.failing(procedure, facts.answers)),
        "missing": [asdict(one) for one in completeness.missing(procedure, facts)],
        "meter": list(completeness.meter(procedure, facts)),
    }


JUDGE = """
const c = await import('/static/work/completeness.js');
return Promise.all(given.map(async ({procedure, facts}) => {
  facts.blobs = new Set(facts.blobs);
  const stands = m.standing(facts.answers);
  const meter = c.meter(procedure, facts);
  return {
    stands: [...stands].map(([place, some]) => [...place.split('\\n'), some.map((one) => one.id), m.inConflict(some)]),
    asked: m.asked(procedure, stands, facts.parts).map(({section, item, at}) => [section.key, item.key, at]),
    rest: m.rest(procedure, stands, facts.parts).map(({item, at}) => [item.key, at]),
    digest: await m.digest(facts.answers),
    failing: facts.answers.filter((one) => m.isFailing(procedure, one)).map((one) => one.id),
    missing: c.missing(procedure, facts),
    meter: [meter.have, meter.want],
  };
}));
"""


async def test_what_is_asked_stands_and_is_missing_is_what_the_hub_says(page: Page) -> None:
    chance = random.Random(11)
    cases = [(procedure, facts_for(chance, procedure)) for procedure in shipped_procedures() for _ in range(6)]
    given = [
        {
            "procedure": value_of(procedure),
            "facts": {
                "answers": [asdict(one) for one in facts.answers], "blobs": sorted(facts.blobs), "parts": PARTS, "roles": facts.roles,
                "held": [asdict(one) for one in facts.held],
                "signed": [{"role": one.role, "covers": sorted(one.covers)} for one in facts.signed],
            },
        }
        for procedure, facts in cases
    ]  # fmt: skip
    found = await ask(page, "answers", JUDGE, given)
    for (procedure, facts), one in zip(cases, found, strict=True):
        one["stands"].sort()
        one["failing"].sort()
        for name, value in said(procedure, facts).items():
            assert one[name] == value, (procedure.key, name)


WRONG: tuple[Any, ...] = (
    None, 5, "", " ", "x", "1", "-0", "01", "1.5", "1.55", "1.5555555", "1e3", "٣", "1000000001", "-61",
    [], ["x"], [HASHES[0], HASHES[0]], list(HASHES), [HASHES[1]], ["no", "yes"], ["yes", "no"],
    {}, {"refused": ""}, {"refused": " ok "}, {"drawn": "x", "name": "n"}, {"drawn": HASHES[1], "name": "n"},
    {"drawn": HASHES[1], "name": "n", "more": 1}, {"latitude": 1, "longitude": 2, "accuracy_m": -3},
    {"latitude": 90_000_001, "longitude": 2, "accuracy_m": 3}, {"latitude": 1, "longitude": 2, "accuracy_m": 3},
    "2026-02-29T00:00:00Z", "2024-02-29T23:59:59+08:00", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "0000-01-01T00:00:00Z",
    "2026-01-01T24:00:00Z", "a\u0085", "\ufeff", "\u0085", "\u3000", "a" * 200, "a" * 201, "𠀀" * 200, "a\tb", "x" * 4000, "x" * 4001,
    "yes", "conforms",
)  # fmt: skip


def allowed(item: Item, value: Any) -> bool:
    try:
        judged.check_value(item, value)
    except MalformedError:
        return False
    return True


async def test_values_are_taken_and_refused_as_the_hub_does(page: Page) -> None:
    items = [item for procedure in shipped_procedures() for _, item in procedure.items.values()]
    items = list({(item.type, item.places, item.least, item.most, item.options): item for item in items}.values())
    chance = random.Random(3)
    cases = [(item, value) for item in items for value in (*WRONG, *(value_for(chance, item) for _ in range(3)))]
    given = [(asdict(replace(item, when=None)), value) for item, value in cases]
    cleaned = [({name: one for name, one in item.items() if one is not None}, value) for item, value in given]
    found = await ask(page, "answers", "return given.map(([item, value]) => m.faultOf(item, value) === null);", cleaned)
    expected = [allowed(item, value) for item, value in cases]
    different = [
        (item.type, item.key, value, one) for (item, value), one, other in zip(cases, expected, found, strict=True) if one != other
    ]
    assert [case for case in different if case[2] != "٣"] == []  # digits of other scripts: the phone is stricter
    assert expected.count(True) > 200


async def test_canonical_json_is_the_hubs(page: Page) -> None:
    value = {"b": [1, True, None, 'é\u2028\u007f\n\t\\"\u0001'], "a": {"\ue000": 1, "𠀀": 2, "z": -5}, "": []}
    found = await ask(page, "canonical", "return m.canonical(given);", value)
    assert found.encode() == sheets.encode(value)


async def test_forms_of_ten_thousand_items_are_judged_in_a_moment(page: Page) -> None:
    items = [{"key": f"i{number}", "type": "text", "zh": "问", "en": "q", "required": True} for number in range(10_000)]
    steps = [{"key": "s", "zh": "步", "en": "s", "starts": {}, "ends": {}, "records": []}]
    procedure = {"steps": steps, "sections": [{"key": "all", "zh": "全", "en": "all", "step": "s", "items": items}]}
    answers = [
        {"id": f"{number:032x}/0", "item": f"i{number}", "at": "", "value": "x", "replaces": [], "way": "asked"} for number in range(9_000)
    ]
    body = """
      const c = await import('/static/work/completeness.js');
      const facts = {answers: given.answers, blobs: new Set(), held: [], signed: [], parts: {}, roles: []};
      return c.missing(given.procedure, facts).length;"""
    assert await ask(page, "answers", body, {"procedure": procedure, "answers": answers}) == 1000


async def test_a_film_of_any_length_is_hashed_in_pieces(page: Page) -> None:
    sizes = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 70_001]
    body = """return Promise.all(given.map(async (size) => {
      const blob = new Blob([Uint8Array.from({length: size}, (_, at) => (at * 7 + size) % 251)]);
      return [await m.hashOf(blob), await m.hashInPieces(blob, () => {}, 77), await m.hashInPieces(blob)];
    }));"""
    for size, found in zip(sizes, await ask(page, "hashing", body, sizes), strict=True):
        expected = hashlib.sha256(bytes((at * 7 + size) % 251 for at in range(size))).hexdigest()
        assert found == [expected] * 3, size
