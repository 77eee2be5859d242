"""Give the reference data of a simulated port: kinds of goods, partners, bays; the same for a running port and for one in virtual time."""

from collections.abc import Mapping
from typing import Any

TERMINAL, CUSTOMS, LABORATORY = "dct", "customs", "lab-dalian"
BAY_PLACE: Mapping[str, int] = {"latitude": 38_973_000, "longitude": 121_880_000, "radius_m": 150}
_GOODS = {
    "fruit": ("水果", "Fruit", ("08",), "fruit", 50_000),
    "meat": ("肉类水产", "Meat and fish", ("02", "03"), "meat", 50_000),
    "scrap": ("再生原料", "Recovered materials", ("4707", "7404"), "scrap", 100_000),
    "wood": ("木材", "Wood", ("44",), "wood-packaging", 50_000),
    "general": ("一般货物", "General cargo", ("84", "85", "87"), "wood-packaging", 20_000),
}


def goods_kinds() -> dict[str, dict[str, Any]]:
    """Give the kinds of goods, with the procedure and the qualification that each asks for."""
    return {
        key: {"name": name, "name_en": english, "hs": list(hs), "qualification": key, "procedure": procedure, "base_rate_ppm": rate}
        for key, (name, english, hs, procedure, rate) in _GOODS.items()
    }


def bay(name: str, cameras: list[str]) -> dict[str, Any]:
    """Give a bay with its cameras, at the port's place."""
    return {"name": f"查验位 {name}", "name_en": f"Bay {name}", "cameras": cameras, **BAY_PLACE}


def partners() -> dict[str, dict[str, Any]]:
    """Give the systems that messages go to and come from."""
    return {
        TERMINAL: {"name": "大窑湾码头 Dayaowan Terminal", "role": "terminal", "ways": ["json", "edifact"], "edifact_id": "DCT"},
        CUSTOMS: {"name": "海关 Customs", "role": "customs", "ways": ["json", "edifact"], "edifact_id": "CUSTOMS", "may_hold": True},
        LABORATORY: {"name": "大连实验室 Dalian Laboratory", "role": "laboratory", "ways": ["json"]},
    }
