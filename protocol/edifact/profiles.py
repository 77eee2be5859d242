"""Say how a partner writes: character set, codes and places of fields that dialects of the same message fill differently.

Guarantees: what a profile does not say is refused by name, never guessed; a profile written down and read again is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from protocol.edifact.syntax import CHARSETS, ENCODINGS
from protocol.errors import MalformedError

EVENTS = ("gate-in", "gate-out", "discharged", "loaded", "to-discharge", "to-load")


def _codes(**events: str) -> Mapping[str, str]:
    return MappingProxyType({code.removeprefix("c"): event for code, event in events.items()})


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a message about boxes keeps its facts. `codes`: BGM 1001 to event; `time`, `place`: qualifiers of DTM and LOC.

    `carrier`: the element of TDT that names truck or ship; `header_time`: the time stands once, before the boxes.
    """

    codes: Mapping[str, str]
    time: str
    place: str
    carrier: int = 7
    header_time: bool = False


def _layouts() -> Mapping[str, Layout]:
    return MappingProxyType(
        {
            "CODECO": Layout(_codes(c34="gate-in", c36="gate-out"), time="7", place="165"),
            "COARRI": Layout(_codes(c44="discharged", c46="loaded", c98="discharged", c270="loaded"), time="203", place="11"),
            "COPRAR": Layout(_codes(c43="to-discharge", c45="to-load"), time="132", place="11", header_time=True),
        }
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """A partner's dialect. `encoding`: agreed in place of what the UNB names (gb18030, utf-8); `needs_total`: CNT 16 must be there."""

    name: str = "standard"
    charset: str = "UNOC"
    encoding: str | None = None
    declaration: str = "ABT"
    bill: str = "BM"
    needs_total: bool = True
    layouts: Mapping[str, Layout] = field(default_factory=_layouts)

    def layout(self, message: str) -> Layout:
        """Give the layout of a message; raise MalformedError when this partner has none."""
        found = self.layouts.get(message)
        if found is None:
            raise MalformedError(f"{message[:10]!r} is not agreed with this partner", where="edifact UNH")
        return found


STANDARD_PROFILE = Profile()
_LAYOUT_FIELDS = {one.name for one in fields(Layout)}


def read_profile(value: Mapping[str, Any]) -> Profile:
    """Read a profile as `profile_value` writes it; what is not said is as in the standard. Raises MalformedError naming the field."""
    known = {one.name for one in fields(Profile)}
    for name in value:
        if name not in known:
            raise MalformedError("is not a field of a profile", where=f"profile {str(name)[:40]}")
    made = {name: one for name, one in value.items() if name != "layouts"}
    for name, one in made.items():
        if not (isinstance(one, bool) if name == "needs_total" else isinstance(one, str) or (name == "encoding" and one is None)):
            raise MalformedError(f"{one!r} is not what stands there", where=f"profile {name}")
    layouts = dict(_layouts())
    for name, one in dict(value.get("layouts", {})).items():
        layouts[name] = _layout(str(name), one)
    profile = Profile(**made, layouts=MappingProxyType(layouts))
    if profile.charset not in CHARSETS:
        raise MalformedError(f"is none of {', '.join(CHARSETS)}", where="profile charset")
    if profile.encoding is not None and profile.encoding not in ENCODINGS:
        raise MalformedError(f"is none of {', '.join(ENCODINGS)}", where="profile encoding")
    return profile


def _layout(name: str, value: Any) -> Layout:  # noqa: ANN401 - JSON
    where = f"profile layout {name[:20]}"
    if not isinstance(value, Mapping) or not {"codes", "time", "place"} <= value.keys() <= _LAYOUT_FIELDS:
        raise MalformedError(f"has the fields {', '.join(sorted(_LAYOUT_FIELDS))}", where=where)
    codes = value["codes"]
    if not isinstance(codes, Mapping) or not all(isinstance(code, str) and event in EVENTS for code, event in codes.items()):
        raise MalformedError(f"codes lead to {', '.join(EVENTS)}", where=where)
    carrier = value.get("carrier", 7)
    if isinstance(carrier, bool) or not isinstance(carrier, int) or not 0 <= carrier <= 20:
        raise MalformedError("carrier is an element's place, 0 to 20", where=where)
    return Layout(MappingProxyType(dict(codes)), str(value["time"]), str(value["place"]), carrier, bool(value.get("header_time", False)))


def profile_value(profile: Profile) -> dict[str, Any]:
    """Give a profile as JSON values."""
    plain = {one.name: getattr(profile, one.name) for one in fields(Profile) if one.name != "layouts"}
    layouts = {
        name: {each.name: getattr(one, each.name) for each in fields(Layout)} | {"codes": dict(one.codes)}
        for name, one in profile.layouts.items()
    }
    return plain | {"layouts": layouts}
