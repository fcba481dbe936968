"""Timestamps and durations to the nanosecond, as Go keeps them; a timestamp remembers the offset it was written in.

Source: cel-go's common/types/timestamp.go and duration.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.values import LARGEST_INT, SMALLEST_INT, signature

_PARSED = 1024  # texts whose values are kept
_SECOND = 1_000_000_000  # nanoseconds
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": _SECOND, "m": 60 * _SECOND}
_UNITS["h"] = 3600 * _SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62135596800, 253402300799  # seconds of the years 1 to 9999
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_WRITTEN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


class Duration:
    """A span of time, at most about 292 years."""

    __slots__ = ("nanoseconds",)
    cel_type = "google.protobuf.Duration"

    def __init__(self, nanoseconds: int) -> None:
        if not SMALLEST_INT <= nanoseconds <= LARGEST_INT:
            raise EvaluationError("duration overflow")
        self.nanoseconds = nanoseconds

    @property
    def cel_order(self) -> int:
        return self.nanoseconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and other.nanoseconds == self.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __repr__(self) -> str:
        return f'duration("{self.cel_string()}")'

    def cel_int(self) -> int:
        return self.nanoseconds

    def cel_string(self) -> str:
        """Seconds, in the fewest digits of the double that they are."""
        seconds = f"{self.nanoseconds / _SECOND:.9f}".rstrip("0").rstrip(".")
        return f"{'0' if seconds == '-0' else seconds}s"

    def cel_negate(self) -> Duration:
        return Duration(-self.nanoseconds)

    def cel_add(self, other: Any) -> Any:
        if isinstance(other, Duration):
            return Duration(self.nanoseconds + other.nanoseconds)
        if isinstance(other, Timestamp):
            return other.cel_add(self)
        raise EvaluationError("no such overload")

    def cel_subtract(self, other: Any) -> Duration:
        if isinstance(other, Duration):
            return Duration(self.nanoseconds - other.nanoseconds)
        raise EvaluationError("no such overload")


class Timestamp:
    """An instant of the years 1 to 9999. `offset` is of the zone that it was written in, in seconds."""

    __slots__ = ("nanoseconds", "offset")
    cel_type = "google.protobuf.Timestamp"

    def __init__(self, nanoseconds: int, offset: int = 0) -> None:
        if not _FIRST <= nanoseconds // _SECOND <= _LAST:
            raise EvaluationError("timestamp overflow")
        self.nanoseconds, self.offset = nanoseconds, offset

    @property
    def cel_order(self) -> int:
        return self.nanoseconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and other.nanoseconds == self.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __repr__(self) -> str:
        return f'timestamp("{self.cel_string()}")'

    def at(self, zone: tzinfo) -> datetime:
        """The wall clock of a zone, without what is below a second."""
        return (_EPOCH + timedelta(seconds=self.nanoseconds // _SECOND)).astimezone(zone)

    def cel_int(self) -> int:
        return self.nanoseconds // _SECOND

    def cel_string(self) -> str:
        shown = self.at(timezone(timedelta(seconds=self.offset)))
        fraction = f".{self.nanoseconds % _SECOND:09d}".rstrip("0").rstrip(".")
        minutes = abs(self.offset) // 60
        zone = f"{'-' if self.offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}" if self.offset else "Z"
        return f"{shown.year:04d}{shown:-%m-%dT%H:%M:%S}{fraction}{zone}"

    def cel_add(self, other: Any) -> Timestamp:
        if isinstance(other, Duration):
            return Timestamp(self.nanoseconds + other.nanoseconds, self.offset)
        raise EvaluationError("no such overload")

    def cel_subtract(self, other: Any) -> Any:
        if isinstance(other, Duration):
            return Timestamp(self.nanoseconds - other.nanoseconds, self.offset)
        if isinstance(other, Timestamp):
            return Duration(self.nanoseconds - other.nanoseconds)
        raise EvaluationError("no such overload")


def to_duration(value: Any) -> Duration:
    if type(value) is Duration:
        return value
    if type(value) is int:
        return Duration(value)
    if type(value) is str:
        return _parse_duration(value)
    raise signature("duration", value)


@lru_cache(maxsize=_PARSED)
def _parse_duration(text: str) -> Duration:
    sign, rest = (-1 if text[:1] == "-" else 1), text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None or not (part[1] or part[2]):
            break
        unit, fraction = _UNITS[part[3]], part[2] or ""
        total += int(part[1] or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        at = part.end()
    if at != len(rest) or not rest or len(text) > 128:
        raise EvaluationError(f'time: invalid duration "{text[:128]}"')
    return Duration(sign * total)


def to_timestamp(value: Any) -> Timestamp:
    if type(value) is Timestamp:
        return value
    if type(value) is int:
        return Timestamp(value * _SECOND)
    if type(value) is not str:
        raise signature("timestamp", value)
    return _parse_timestamp(value)


@lru_cache(maxsize=_PARSED)
def _parse_timestamp(value: str) -> Timestamp:
    found = _WRITTEN.fullmatch(value)
    try:
        if found is None:
            raise ValueError(value)
        year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
        plain = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise EvaluationError(f'parsing time "{value[:128]}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None
    offset = (int(found[9]) * 3600 + int(found[10]) * 60) * (-1 if found[8] == "-" else 1) if found[8] else 0
    fraction = int((found[7] or "0")[:9].ljust(9, "0"))
    return Timestamp((int((plain - _EPOCH).total_seconds()) - offset) * _SECOND + fraction, offset)


def _zone(name: Any) -> tzinfo:
    found = _OFFSET.fullmatch(name)
    if found is not None:
        minutes = int(found[2]) * 60 + int(found[3])
        return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    if name in ("", "UTC"):
        return UTC
    from zoneinfo import ZoneInfo  # few expressions name a place

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise EvaluationError(f"unknown time zone {name}") from None


def _getter(name: str, of_time: Callable[[datetime], int], span: int = 0) -> Callable[..., int]:
    """A function on timestamps, with a zone or without; with `span` also on durations, in that many nanoseconds."""

    def get(value: Any, *zone: Any) -> int:
        if type(value) is Duration and span and not zone:
            whole = abs(value.nanoseconds) // span
            return -whole if value.nanoseconds < 0 else whole
        if type(value) is not Timestamp or any(type(one) is not str for one in zone):
            raise signature(name, value, *zone)
        if name == "getMilliseconds":
            return value.nanoseconds % _SECOND // 1_000_000
        return of_time(value.at(_zone(zone[0]) if zone else UTC))

    return get


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "duration": to_duration,
    "timestamp": to_timestamp,
    "getFullYear": _getter("getFullYear", lambda time: time.year),
    "getMonth": _getter("getMonth", lambda time: time.month - 1),
    "getDayOfYear": _getter("getDayOfYear", lambda time: time.timetuple().tm_yday - 1),
    "getDayOfMonth": _getter("getDayOfMonth", lambda time: time.day - 1),
    "getDate": _getter("getDate", lambda time: time.day),
    "getDayOfWeek": _getter("getDayOfWeek", lambda time: time.isoweekday() % 7),
    "getHours": _getter("getHours", lambda time: time.hour, 3600 * _SECOND),
    "getMinutes": _getter("getMinutes", lambda time: time.minute, 60 * _SECOND),
    "getSeconds": _getter("getSeconds", lambda time: time.second, _SECOND),
    "getMilliseconds": _getter("getMilliseconds", lambda time: 0, 1_000_000),
}
