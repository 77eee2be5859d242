"""Name the fields of a declaration that a targeting rule may ask about, and make their values of a form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from hub.inspection.forms import Form, Party

Kind = Literal["text", "number", "day", "flag"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its kind, and what it is called."""

    kind: Kind
    zh: str
    en: str


_PARTY: Mapping[str, tuple[str, str]] = {"name": ("名称", "name"), "country": ("国别", "country"), "code": ("代码", "code")}
TOP: Mapping[str, Field] = {
    "trade": Field("text", "贸易方向（import、export、transit）", "trade: import, export, transit"),
    "enterprise": Field("text", "申报企业代码", "code of the declaring enterprise"),
    "grade": Field("text", "信用等级（AA、A、B、C、D）", "credit grade: AA, A, B, C, D"),
    **{f"consignor.{name}": Field("text", f"发货人{zh}", f"consignor's {en}") for name, (zh, en) in _PARTY.items()},
    **{f"consignee.{name}": Field("text", f"收货人{zh}", f"consignee's {en}") for name, (zh, en) in _PARTY.items()},
    "voyage.vessel": Field("text", "船名", "vessel"),
    "voyage.imo": Field("text", "IMO编号", "IMO number"),
    "voyage.voyage": Field("text", "航次", "voyage"),
    "voyage.loading": Field("text", "装货港（UN/LOCODE）", "port of loading, UN/LOCODE"),
    "voyage.discharge": Field("text", "卸货港（UN/LOCODE）", "port of discharge, UN/LOCODE"),
    "voyage.arrival": Field("day", "到港日期", "day of arrival"),
    "lodged": Field("day", "申报日期", "day of lodging"),
    "days_ahead": Field("number", "申报早于到港的天数", "days from lodging to arrival"),
    "bill": Field("text", "提单号", "bill of lading"),
    "contract": Field("text", "合同号", "contract"),
    "destination": Field("text", "目的地", "destination"),
    "purpose": Field("text", "用途", "purpose"),
    "remarks": Field("text", "备注", "remarks"),
    "total_kg": Field("number", "总重量（千克）", "weight of all goods in kg"),
    "total_packages": Field("number", "总件数", "packages of all goods"),
}
LISTS: Mapping[str, Mapping[str, Field]] = {
    "goods": {
        "line": Field("number", "项号", "line number"),
        "hs": Field("text", "HS编码", "tariff code"),
        "kind": Field("text", "货物类别（基础资料）", "kind of goods of the reference data"),
        "name": Field("text", "品名", "name"),
        "origin": Field("text", "原产国", "origin"),
        "weight_kg": Field("number", "重量（千克）", "weight in kg"),
        "packages": Field("number", "件数", "packages"),
        "package_kind": Field("text", "包装种类", "kind of package"),
        "quantity": Field("number", "数量", "quantity"),
        "unit": Field("text", "单位", "unit"),
        "value": Field("number", "货值", "value"),
        "currency": Field("text", "币种", "currency"),
        "model": Field("text", "规格型号", "model"),
        "producer": Field("text", "生产企业", "producer"),
        "wood_packaging": Field("flag", "木质包装", "wood packaging"),
        "waste": Field("flag", "固体废物", "waste"),
    },
    "containers": {
        "number": Field("text", "箱号", "number"),
        "type": Field("text", "箱型", "size and type"),
        "seals": Field("text", "封识号", "seals"),
        "reefer": Field("flag", "冷藏箱", "refrigerated"),
    },
    "permits": {
        "kind": Field("text", "许可种类", "kind of permit"),
        "number": Field("text", "编号", "number"),
        "issued": Field("day", "签发日期", "day of issue"),
        "expires": Field("day", "失效日期", "last day"),
        "issuer": Field("text", "签发机构", "issuer"),
    },
    "parties": {
        "role": Field("text", "角色（consignor、consignee）", "role: consignor, consignee"),
        **{name: Field("text", zh, en) for name, (zh, en) in _PARTY.items()},
    },
    "attachments": {
        "name": Field("text", "文件名", "name"),
        "kind": Field("text", "种类", "kind"),
        "size": Field("number", "大小（字节）", "size in bytes"),
    },
}


def values_of(form: Form, lodged: str, grade: str, kind_of: Callable[[str], str | None]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a form's own fields and its lists, as expressions compare them."""
    goods = [_plain(one) | {"kind": kind_of(one.hs)} for one in form.goods]
    top = {
        "trade": form.trade,
        "enterprise": form.enterprise,
        "grade": grade,
        **{f"consignor.{name}": value for name, value in _party(form.consignor).items()},
        **{f"consignee.{name}": value for name, value in _party(form.consignee).items()},
        **{f"voyage.{name}": value for name, value in form.voyage.model_dump(mode="json").items()},
        "lodged": lodged,
        "days_ahead": Decimal((date.fromisoformat(form.voyage.arrival) - date.fromisoformat(lodged)).days),
        "bill": form.bill,
        "contract": form.contract,
        "destination": form.destination,
        "purpose": form.purpose,
        "remarks": form.remarks or None,
        "total_kg": sum((Decimal(one.weight_kg) for one in form.goods), Decimal(0)),
        "total_packages": Decimal(sum(one.packages for one in form.goods)),
    }
    lists = {
        "goods": goods,
        "containers": [_plain(one) for one in form.containers],
        "permits": [_plain(one) for one in form.permits],
        "attachments": [_plain(one) for one in form.attachments],
        "parties": [{"role": "consignor"} | _party(form.consignor), {"role": "consignee"} | _party(form.consignee)],
    }
    return top, lists


_DECIMALS = ("weight_kg", "quantity", "value")


def _party(party: Party) -> dict[str, Any]:
    return {"name": party.name, "country": party.country, "code": party.code}


def _plain(part: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a form
    found: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if (name in _DECIMALS and value is not None) or type(value) is int:
            value = Decimal(value)
        found[name] = value
    return found
