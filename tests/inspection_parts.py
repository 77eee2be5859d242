"""Make what tests of the inspection need: declarations that traders could write."""

from datetime import UTC, datetime, timedelta
from typing import Any

from protocol.instants import SECOND_NS, Clock


def plausible(**changes: Any) -> dict[str, Any]:
    """Give a sound declaration of a container of durians, arriving on 2026-11-26."""
    value: dict[str, Any] = {
        "reference": "SIM-2026-0001",
        "trade": "import",
        "enterprise": "91210200MA0SIM001X",
        "consignor": {"name": "Siam Orchards Co., Ltd.", "country": "TH"},
        "consignee": {"name": "大连示范果品有限公司", "country": "CN", "code": "91210200MA0SIM001X"},
        "voyage": {
            "vessel": "SIM DALIAN",
            "imo": "9074729",
            "voyage": "055N",
            "loading": "THLCH",
            "discharge": "CNDLC",
            "arrival": "2026-11-26",
        },
        "bill": "SIMU2609000001",
        "destination": "大连市",
        "containers": [{"number": "CSQU3054383", "type": "45R1", "seals": ["SH123456"], "reefer": True}],
        "goods": [
            {
                "line": 1,
                "hs": "0810600000",
                "name": "鲜榴莲 fresh durian",
                "origin": "TH",
                "weight_kg": "18432.5",
                "packages": 960,
                "package_kind": "CT",
                "quantity": "18432.5",
                "unit": "KGM",
                "value": "92162.5",
                "currency": "USD",
                "containers": ["CSQU3054383"],
            }
        ],
        "permits": [{"kind": "phytosanitary", "number": "TH-PC-4711", "issued": "2026-11-10", "expires": "2027-02-10", "lines": [1]}],
        "attachments": [],
        "remarks": "",
    }
    return value | changes


def arriving_soon(clock: Clock, **changes: Any) -> dict[str, Any]:
    """Give a sound declaration whose ship arrives two days from the clock's now."""
    today = datetime.fromtimestamp(clock.now().wall_ns // SECOND_NS, UTC).date()
    value = plausible(**changes)
    value["voyage"] = value["voyage"] | {"arrival": (today + timedelta(days=2)).isoformat()}
    dates = {"issued": (today - timedelta(days=10)).isoformat(), "expires": (today + timedelta(days=80)).isoformat()}
    value["permits"] = [permit | dates for permit in value["permits"]]
    return value
