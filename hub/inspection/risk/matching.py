"""Find what of the reference data and of the rules fits a declaration, and what in its papers does not: pure functions of values.

Guarantees: a notice or an area counts once however many lines fit; a mismatch is named once; the order of what is found is by key.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from hub.inspection.catalogue import Area, GoodsKind, Notice
from hub.inspection.forms import Form
from hub.inspection.risk.language import Declared, holds
from hub.inspection.risk.rule_documents import TargetRule
from hub.inspection.risk.scoring import AreaHit, NoticeHit, RuleHit

OTHER = "other"
_LIGHTEST, _HEAVIEST = Decimal("0.05"), Decimal(30_000)  # kg a package


@dataclass(frozen=True, slots=True)
class Known:
    """What the hub knows besides the form: reference data in use by key with versions, and what other declarations name too."""

    goods: Mapping[str, GoodsKind]
    areas: Mapping[str, tuple[int, Area]]
    notices: Mapping[str, tuple[int, Notice]]
    rules: Mapping[str, tuple[int, TargetRule]]
    enterprise_known: bool = True
    bill_elsewhere: bool = False
    permits_elsewhere: tuple[str, ...] = ()


def kind_finder(goods: Mapping[str, GoodsKind]) -> Callable[[str], str | None]:
    """Give what finds the kind of a tariff code: the longest prefix counts, of equal ones the first by key."""
    prefixes = sorted(((prefix, key) for key, kind in goods.items() for prefix in kind.hs), key=lambda one: (-len(one[0]), one[1]))
    found: dict[str, str | None] = {}

    def kind_of(hs: str) -> str | None:
        if hs not in found:
            found[hs] = next((key for prefix, key in prefixes if hs.startswith(prefix)), None)
        return found[hs]

    return kind_of


def shipper_of(form: Form) -> str:
    """Give by what a shipper is known: its code where there is one, else its name without case and blanks."""
    return form.consignor.code or "".join(form.consignor.name.casefold().split())


def areas_of(form: Form, areas: Mapping[str, tuple[int, Area]], day: str) -> list[AreaHit]:
    """Give the areas that goods come from, or were loaded in, while they hold."""
    found = []
    for key, (version, area) in sorted(areas.items()):
        if not (area.start <= day and (area.end is None or day <= area.end)):
            continue
        fits = [one for one in form.goods if one.hs.startswith(area.hs)]
        if any(one.origin == area.origin for one in fits):
            found.append(AreaHit(key, version, area.measure, "origin"))
        if fits and form.voyage.loading[:2] == area.origin:
            found.append(AreaHit(key, version, area.measure, "route"))
    return found


def notices_of(form: Form, notices: Mapping[str, tuple[int, Notice]], day: str) -> list[NoticeHit]:
    """Give the warning notices of which everything that is named fits one line of goods, while they hold."""
    shippers = {form.consignor.name.casefold()}
    found = []
    for key, (version, notice) in sorted(notices.items()):
        if not (notice.start <= day and (notice.end is None or day <= notice.end)):
            continue
        named = {one.casefold() for one in notice.shippers}
        for line in form.goods:
            senders = shippers | ({line.producer.casefold()} if line.producer else set())
            fits = (not notice.hs or line.hs.startswith(notice.hs)) and (not notice.origins or line.origin in notice.origins)
            if fits and (not named or senders & named):
                found.append(NoticeHit(key, version, notice.weight))
                break
    return found


def rules_of(rules: Mapping[str, tuple[int, TargetRule]], day: str, declared: Declared) -> list[RuleHit]:
    """Give the targeting rules in force on a day that fit what was declared."""
    return [
        RuleHit(key, version, rule.sha256().hex(), rule.effect, rule.lane, rule.weight)
        for key, (version, rule) in sorted(rules.items())
        if rule.on(day) and holds(rule.expression, declared)
    ]


_PLANTS, _ANIMALS = ("06", "07", "08"), ("01", "02", "03", "04", "05", "16")
MISMATCHES: Mapping[str, tuple[str, str]] = {  # name: (Chinese, English)
    "enterprise-unknown": ("申报企业未备案", "the declaring enterprise is not in the reference data"),
    "kind-unknown": ("有货物不属于任何货物类别", "goods fall under no kind of the reference data"),
    "consignor-elsewhere": ("发货人与原产国不同国", "the consignor is in another country than any origin"),
    "plant-certificate": ("植物类货物缺植物检疫证书", "plants without a phytosanitary certificate that names them"),
    "animal-certificate": ("动物类货物缺兽医卫生证书", "animal goods without a veterinary certificate that names them"),
    "permit-late": ("证书签发晚于到港", "a permit was issued after arrival"),
    "permit-elsewhere": ("许可或证书编号已被其他报检单使用", "a permit's number stands in another declaration too"),
    "bill-elsewhere": ("提单号已被其他报检单使用", "the bill of lading stands in another declaration too"),
    "seal-missing": ("集装箱未报封识号", "a container without a seal"),
    "no-container": ("货物未指明集装箱", "goods are in no container though there are containers"),
    "no-attachment": ("未附任何单证", "no document was sent along"),
    "heavy-packages": ("件均重量异常", "the mean weight of a package is out of the ordinary"),
}


def mismatches_of(form: Form, known: Known, kind_of: Callable[[str], str | None]) -> list[str]:
    """Give by name what in the papers does not fit together."""
    return [name for name, is_so in _mismatches(form, known, kind_of) if is_so]


def _mismatches(form: Form, known: Known, kind_of: Callable[[str], str | None]) -> Iterator[tuple[str, bool]]:
    yield "enterprise-unknown", not known.enterprise_known
    yield "kind-unknown", any(kind_of(one.hs) is None for one in form.goods)
    yield "consignor-elsewhere", all(one.origin != form.consignor.country for one in form.goods)
    yield "plant-certificate", _lacks(form, _PLANTS, "phytosanitary")
    yield "animal-certificate", _lacks(form, _ANIMALS, "veterinary")
    yield "permit-late", any(one.issued > form.voyage.arrival for one in form.permits)
    yield "permit-elsewhere", bool(known.permits_elsewhere)
    yield "bill-elsewhere", known.bill_elsewhere
    yield "seal-missing", any(not one.seals for one in form.containers)
    yield "no-container", bool(form.containers) and any(not one.containers for one in form.goods)
    yield "no-attachment", not form.attachments
    yield "heavy-packages", any(not _LIGHTEST <= Decimal(one.weight_kg) / one.packages <= _HEAVIEST for one in form.goods)


def _lacks(form: Form, chapters: tuple[str, ...], kind: str) -> bool:
    mine = {one.line for one in form.goods if one.hs[:2] in chapters}
    named = {line for one in form.permits if one.kind == kind for line in one.lines}
    general = any(one.kind == kind and not one.lines for one in form.permits)
    return bool(mine - named) and not general


def days_ahead(form: Form, lodged: str) -> int:
    """Give the days from lodging to arrival."""
    return (date.fromisoformat(form.voyage.arrival) - date.fromisoformat(lodged)).days


def triples_of(form: Form, kind_of: Callable[[str], str | None]) -> Sequence[tuple[str, str, str]]:
    """Give each kind of goods with its origin and shipper, once, in order."""
    shipper = shipper_of(form)
    return sorted({(kind_of(one.hs) or OTHER, one.origin, shipper) for one in form.goods})
