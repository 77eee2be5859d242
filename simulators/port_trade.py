"""Found the trade of a running port: reference data, traders and partners with logins, a policy for draws - as an administrator does it.

Guarantees: all of it goes by the hub's public API; what is there already stays as it is.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from protocol.drawing.policy import PARTS, Policy
from protocol.errors import RefusedError
from simulators.people.api import HubApi
from simulators.people.cargo import COMMODITIES, Firm
from simulators.reference_data import TERMINAL, bay, goods_kinds, partners

TRADER_FIRM = Firm("91210200MA0SIM001X", "大连示范果品有限公司", ("fruit", "general"))
SEEN_ALWAYS = "fruit"  # goods of this kind are inspected whenever a draw meets them, so that a demonstration shows an inspection
RARELY = PARTS // 100  # all others: at least one of a hundred
SELDOM = 50  # risk and credit weigh so much less than the shipped policy proposes: a demonstration shows goods that go directly, too


async def found_trade(
    api: HubApi, cameras: dict[str, list[str]], inspectors: dict[str, str], terminal: str, second: tuple[str, str]
) -> None:
    """Put reference data and a draw policy in place.

    `cameras` by bay; `inspectors` with their names; `terminal`: where its notices are posted to; `second`: name and password of who agrees
    with the policy.
    """
    await put(api, "enterprise", TRADER_FIRM.code, {"name": TRADER_FIRM.name, "kinds": ["importer"]})
    for key, value in goods_kinds().items():
        await put(api, "goods", key, value)
    for origin in sorted({origin for one in COMMODITIES for origin in one.origins}):
        await put(api, "origin", origin, {"name": origin, "name_en": origin})
    for name, streams in cameras.items():
        await put(api, "bay", name, bay(name, streams))
    for name, display in inspectors.items():
        await put(api, "inspector", name, {"display": display, "qualifications": sorted(goods_kinds())})
    for key, value in partners().items():
        await put(api, "partner", key, value | ({"address": terminal} if key == TERMINAL else {}))
    await set_policy(api, second, "演示 for the demonstration")


async def put(api: HubApi, category: str, key: str, value: dict[str, Any]) -> None:
    """Set an entry, unless it stands so already."""
    try:
        await api.call("PUT", f"/references/{category}/{quote(key)}", {"form": value, "reason": "演示 for the demonstration"})
    except RefusedError as error:
        if "is as it stands" not in error.what:
            raise


async def set_policy(api: HubApi, second: tuple[str, str], reason: str) -> None:
    """Set a policy by which one kind of goods is always inspected and the others rarely, by two persons."""
    shown = await api.call("GET", "/draws/policy")
    proposed = Policy.parse(shown["text"].encode())
    lanes = {name: replace(lane, weight=lane.weight // SELDOM, floor=min(lane.floor, RARELY)) for name, lane in proposed.lanes.items()}
    grades = {name: part // SELDOM for name, part in proposed.grades.items()}
    wanted = replace(proposed, rate=RARELY, strata={SEEN_ALWAYS: PARTS}, lanes=lanes, grades=grades, answer_s=30)
    if not shown["in_force"] or shown["text"] != wanted.encode().decode():
        vouched = {"second": second[0], "second_password": second[1]}
        await api.call("POST", "/draws/policy", {"text": wanted.encode().decode(), "reason": reason} | vouched)
