"""How values look in a table: ages, label lists, ports. Source: pkg/printers and apimachinery/pkg/util/duration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from dabbawala.api.kind import Column
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object

NONE = "<none>"
UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human_duration(seconds: float) -> str:
    """`2m5s`, `3h`, `5d`: fewer digits the longer it is. Two seconds in the future are forgiven."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 2 * _MINUTE:
        return f"{max(total, 0)}s"
    hours, days = total // _HOUR, total // _DAY
    if total < 10 * _MINUTE:
        return _two(total // _MINUTE, "m", total % _MINUTE, "s")
    if total < 3 * _HOUR:
        return f"{total // _MINUTE}m"
    if hours < 8:
        return _two(hours, "h", total // _MINUTE % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 365 * 8 else f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def since(moment: object, now: datetime) -> str:
    """The age of a timestamp; `<unknown>` when there is none."""
    if not moment:
        return UNKNOWN
    return human_duration((now - clock.parse_time(str(moment))).total_seconds())


def age(obj: Object, now: datetime) -> str:
    return since(meta.metadata(obj).get("creationTimestamp"), now)


def joined(values: Iterable[object], separator: str = ",") -> str:
    return separator.join(str(value) for value in values) or NONE


def pairs(labels: Mapping[str, str] | None) -> str:
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def selector(given: Mapping[str, Any] | None) -> str:
    """A label selector as text, `app=web,tier in (a,b)`."""
    terms = [f"{key}={value}" for key, value in ((given or {}).get("matchLabels") or {}).items()]
    expressions = (given or {}).get("matchExpressions") or ()
    terms += [_term(item["key"], item["operator"], sorted(item.get("values") or ())) for item in expressions]
    return joined(sorted(terms))


def _term(key: str, operator: str, values: Iterable[str]) -> str:
    listed = f"({','.join(values)})"
    return {"In": f"{key} in {listed}", "NotIn": f"{key} notin {listed}", "Exists": key}.get(operator, f"!{key}")


def spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def status(obj: Object) -> Object:
    return obj.get("status") or {}


def text(read: Callable[[Object], object]) -> Callable[[Object, datetime], object]:
    """A cell that does not depend on the time."""
    return lambda obj, now: read(obj)


def column(title: str, read: Callable[[Object], object], *, type: str = "string", wide: bool = False) -> Column:
    return Column(title, type=type, priority=int(wide), read=text(read))


NAME = Column("Name", type="string", format="name", read=text(meta.name))
AGE = Column("Age", read=age)
CREATED_AT = Column("Created At", type="date", read=text(lambda obj: meta.metadata(obj).get("creationTimestamp")))


def _template(obj: Object) -> Object:
    return (spec(obj).get("template") or {}).get("spec") or {}


def _each_container(field: str) -> Callable[[Object], object]:
    return lambda obj: joined(item.get(field, "") for item in _template(obj).get("containers") or ())


CONTAINERS = column("Containers", _each_container("name"), wide=True)
IMAGES = column("Images", _each_container("image"), wide=True)
SELECTOR = column("Selector", lambda obj: selector(spec(obj).get("selector")), wide=True)
