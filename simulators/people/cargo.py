"""Say what simulated traders bring: goods that a port sees, enterprises, ships and boxes, each written as a declaration would.

Guarantees: the same seed gives the same cargo, field for field; a cargo is sound by the rules of its field (ISO 6346, IMO, HS, GB 32100);
`Truth` is what really lies in the boxes, which no declaration says. Nothing here knows a hub.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from simulators.people.containers import container_number

_SOCIAL = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015
DISCHARGE = "CNDLC"


@dataclass(frozen=True, slots=True)
class Commodity:
    """Goods of one tariff code. `kg`: of one package, from and to; `cents`: value of a kilogram; `permits`: what they come with."""

    kind: str
    hs: str
    name: str
    origins: tuple[str, ...]
    package: str
    kg: tuple[int, int]
    cents: tuple[int, int]
    permits: tuple[str, ...] = ()
    reefer: bool = False
    wood: bool = False
    waste: bool = False


COMMODITIES = (
    Commodity("fruit", "0810600000", "鲜榴莲 fresh durian", ("TH", "VN", "MY"), "CT", (14, 20), (350, 620),
              ("phytosanitary",), reefer=True),
    Commodity("fruit", "0803900000", "香蕉 bananas", ("EC", "PH"), "CT", (13, 18), (60, 90), ("phytosanitary",), reefer=True),
    Commodity("fruit", "0809290000", "车厘子 cherries", ("CL",), "CT", (5, 10), (700, 1400), ("phytosanitary",), reefer=True),
    Commodity("meat", "0202300090", "冻去骨牛肉 frozen boneless beef", ("BR", "AU", "UY"), "CT", (20, 28), (450, 800),
              ("veterinary", "quarantine permit"), reefer=True),
    Commodity("meat", "0303890090", "冻鱼 frozen fish", ("RU", "NO"), "CT", (10, 22), (150, 400), ("veterinary",), reefer=True),
    Commodity("scrap", "4707100000", "回收纸板 recovered board", ("US", "JP"), "BL", (800, 1100), (15, 25),
              ("import licence",), waste=True),
    Commodity("scrap", "7404000010", "铜废碎料 copper scrap", ("JP", "KR"), "BL", (700, 1200), (600, 900), ("import licence",), waste=True),
    Commodity("wood", "4407119099", "松木板材 pine boards", ("RU", "FI"), "BL", (900, 1500), (30, 60), ("phytosanitary",), wood=True),
    Commodity("general", "8708999990", "汽车零件 motor-car parts", ("DE", "JP"), "CS", (40, 400), (900, 4000), wood=True),
    Commodity("general", "8517130000", "智能手机 smartphones", ("VN", "KR"), "CT", (8, 15), (9000, 30000)),
)  # fmt: skip

_SHIPPERS = {
    "TH": "Siam Orchards Co., Ltd.", "VN": "Saigon Fruit Export JSC", "MY": "Pahang Agro Sdn. Bhd.", "EC": "Bananera del Pacifico S.A.",
    "PH": "Davao Plantations Inc.", "CL": "Frutas del Maipo S.A.", "BR": "Frigorifico Santa Rita Ltda.", "AU": "Darling Downs Beef Pty Ltd",
    "UY": "Frigorifico Rio Negro S.A.", "RU": "Primorye Sea Products OOO", "NO": "Lofoten Fisk AS", "US": "Gulf Recovered Fibre LLC",
    "JP": "Kobe Metals K.K.", "KR": "Busan Resource Co., Ltd.", "FI": "Karelia Timber Oy", "DE": "Rheinwerk Teile GmbH",
}  # fmt: skip
_PORTS = {
    "TH": "THLCH", "VN": "VNSGN", "MY": "MYPKG", "EC": "ECGYE", "PH": "PHDVO", "CL": "CLVAP", "BR": "BRSSZ", "AU": "AUBNE", "UY": "UYMVD",
    "RU": "RUVVO", "NO": "NOOSL", "US": "USHOU", "JP": "JPUKB", "KR": "KRPUS", "FI": "FIHEL", "DE": "DEHAM",
}  # fmt: skip
_FIRMS = ("大连示范果品有限公司", "辽东冷链贸易有限公司", "渤海再生资源有限公司", "北良木业有限公司", "金石滩国际贸易有限公司",
          "旅顺食品有限公司", "长兴岛供应链有限公司", "大窑湾报关有限公司")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Firm:
    """An enterprise that declares: its code (GB 32100), and which kinds of goods it brings. `honesty`: 0 cheats when it can, 100 never."""

    code: str
    name: str
    kinds: tuple[str, ...]
    honesty: int = 100

    def entry(self) -> dict[str, Any]:
        """Give it as reference data has it."""
        return {"name": self.name, "kinds": ["importer"], "social": self.code}


@dataclass(frozen=True, slots=True)
class Truth:
    """What really lies in the boxes of a declaration; everything false or empty: it is as declared.

    `pest`: live pests in the goods; `residue`: what only a laboratory finds; `hidden`: goods that are not declared; `seal`: the true
    number of the first box's seal, where it is another.
    """

    pest: bool = False
    residue: bool = False
    hidden: bool = False
    seal: str | None = None

    @property
    def is_clean(self) -> bool:
        """Tell whether all is as declared."""
        return not (self.pest or self.residue or self.hidden or self.seal)


@dataclass(frozen=True, slots=True)
class Cargo:
    """A consignment: what its trader would declare of it in good faith, and what is true."""

    commodity: Commodity
    firm: Firm
    form: dict[str, Any]
    truth: Truth = field(default_factory=Truth)

    @property
    def reference(self) -> str:
        """Give the trader's own name of it."""
        return str(self.form["reference"])

    @property
    def containers(self) -> list[str]:
        """Give the numbers of its boxes."""
        return [str(box["number"]) for box in self.form["containers"]]


def social_code(draw: random.Random) -> str:
    """Draw a unified social credit code of Dalian with its check character (GB 32100-2015, modulus 31)."""
    first = "91210200MA" + "".join(draw.choice(_SOCIAL) for _ in range(7))
    total = sum(_SOCIAL.index(letter) * pow(3, at, 31) for at, letter in enumerate(first))
    return first + _SOCIAL[-total % 31]


def ship_number(draw: random.Random) -> str:
    """Draw an IMO number with its check digit."""
    first = str(draw.randrange(900_000, 999_999))
    return first + str(sum(int(digit) * weight for digit, weight in zip(first, range(7, 1, -1), strict=True)) % 10)


def firms(draw: random.Random, count: int = len(_FIRMS)) -> tuple[Firm, ...]:
    """Draw enterprises; each brings one or two kinds of goods, and most are honest."""
    kinds = sorted({one.kind for one in COMMODITIES})
    made = []
    for at in range(count):
        mine = tuple(sorted(draw.sample(kinds, 2)))
        name = _FIRMS[at % len(_FIRMS)] + ("" if at < len(_FIRMS) else str(at // len(_FIRMS) + 1))
        made.append(Firm(social_code(draw), name, mine, draw.choice((100, 100, 95, 80, 40))))
    return tuple(made)


def cargo(draw: random.Random, firm: Firm, today: date, number: int) -> Cargo:
    """Draw a consignment of a firm that arrives within a week; `number` makes its reference unlike any other."""
    goods = draw.choice([one for one in COMMODITIES if one.kind in firm.kinds])
    origin = draw.choice(goods.origins)
    boxes = [_box(draw, goods) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
    form = {
        "reference": f"SIM-{today:%Y%m%d}-{number:05d}",
        "trade": "import",
        "enterprise": firm.code,
        "consignor": {"name": _SHIPPERS[origin], "country": origin},
        "consignee": {"name": firm.name, "country": "CN", "code": firm.code},
        "voyage": {
            "vessel": draw.choice(("SIM DALIAN", "SIM LIAODONG", "SIM BOHAI", "SIM PIONEER")),
            "imo": ship_number(draw),
            "voyage": f"{draw.randrange(1, 199):03d}{draw.choice('NSEW')}",
            "loading": _PORTS[origin],
            "discharge": DISCHARGE,
            "arrival": (today + timedelta(days=draw.randrange(0, 7))).isoformat(),
        },
        "bill": f"SIMU{draw.randrange(10**10):010d}",
        "contract": f"C-{draw.randrange(10**6):06d}",
        "destination": draw.choice(("大连市", "沈阳市", "营口市", "北京市")),
        "containers": boxes,
        "goods": [_goods(draw, goods, origin, boxes)],
        "permits": [_permit(draw, kind, origin, today) for kind in goods.permits],
    }
    return Cargo(goods, firm, form, _truth(draw, goods, firm))


def _box(draw: random.Random, goods: Commodity) -> dict[str, Any]:
    kind = "45R1" if goods.reefer else draw.choice(("22G1", "42G1", "45G1"))
    return {"number": container_number(draw), "type": kind, "seals": [f"SH{draw.randrange(10**6):06d}"], "reefer": goods.reefer}


def _goods(draw: random.Random, goods: Commodity, origin: str, boxes: list[dict[str, Any]]) -> dict[str, Any]:
    packages = draw.randrange(300, 1100) if goods.kg[1] < 100 else draw.randrange(18, 24)
    grams = packages * draw.randrange(goods.kg[0] * 1000, goods.kg[1] * 1000, 100)
    weight = f"{grams // 1000}.{grams % 1000 // 100}"
    cents = grams // 1000 * draw.randrange(*goods.cents)
    return {
        "line": 1,
        "hs": goods.hs,
        "name": goods.name,
        "origin": origin,
        "weight_kg": weight,
        "packages": packages,
        "package_kind": goods.package,
        "quantity": weight,
        "unit": "KGM",
        "value": f"{cents // 100}.{cents % 100:02d}",
        "currency": "USD",
        "wood_packaging": goods.wood,
        "waste": goods.waste,
        "containers": [box["number"] for box in boxes],
    }


def _permit(draw: random.Random, kind: str, origin: str, today: date) -> dict[str, Any]:
    return {
        "kind": kind,
        "number": f"{origin}-{kind[:2].upper()}-{draw.randrange(10**5):05d}",
        "issued": (today - timedelta(days=draw.randrange(5, 40))).isoformat(),
        "expires": (today + timedelta(days=draw.randrange(60, 300))).isoformat(),
        "lines": [1],
    }


def _truth(draw: random.Random, goods: Commodity, firm: Firm) -> Truth:
    cheats = draw.randrange(100) >= firm.honesty
    living = goods.kind in ("fruit", "wood", "meat")
    return Truth(
        pest=goods.kind in ("fruit", "wood") and draw.randrange(100) < 8,
        residue=living and draw.randrange(100) < (30 if cheats else 4),
        hidden=cheats and draw.randrange(100) < 60,
        seal=f"XX{draw.randrange(10**6):06d}" if cheats and draw.randrange(100) < 30 else None,
    )
