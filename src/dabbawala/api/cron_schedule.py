"""When a CronJob is due: the schedule language of cron, as robfig/cron reads it in its standard form.

Five fields (minute, hour, day of month, month, day of week) of lists, ranges, steps and names, or `@daily` and its kin,
or `@every 1h30m`. Days match when both day fields do if one of them is `*`, else when either does. What is wrong is
said in that library's words, because the API server's refusals carry them.
Source: robfig/cron v3, parser.go and spec.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

_YEARS_AHEAD = 5
"""A schedule that is due in none of the next five years (the 31st of February) is never due."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_EVERY = "@every "
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_MINUTE = timedelta(minutes=1)


class ScheduleError(ValueError):
    """The text is not a schedule."""


class _Bounds(NamedTuple):
    least: int
    most: int
    names: Mapping[str, int] = {}


_BOUNDS = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Bounds(0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


class _Field(NamedTuple):
    values: frozenset[int]
    is_star: bool


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed distance from one run to the next, at least a second."""

    period: timedelta

    def next_after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        return moment.astimezone(zone).replace(microsecond=0) + self.period


@dataclass(frozen=True, slots=True)
class Fields:
    """What the five fields allow."""

    minutes: _Field
    hours: _Field
    days: _Field
    months: _Field
    weekdays: _Field

    def next_after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first time later than `moment`, by the clocks of `zone`; None when there is none. An hour that clocks
        skip is not run, one that they repeat is run twice."""
        due = moment.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
        last = moment.year + _YEARS_AHEAD
        while (local := due.astimezone(zone)).year <= last:
            midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
            if local.month not in self.months.values:
                following = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
                due = following.astimezone(UTC)
            elif not self._is_day(local):
                due = (midnight + timedelta(days=1)).astimezone(UTC)
            elif local.hour not in self.hours.values:
                due += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minutes.values:
                due += _MINUTE
            else:
                return local
        return None

    def _is_day(self, local: datetime) -> bool:
        by_date = local.day in self.days.values
        by_weekday = local.isoweekday() % 7 in self.weekdays.values
        return by_date and by_weekday if self.days.is_star or self.weekdays.is_star else by_date or by_weekday


Schedule = Fields | Every


def parse(text: str) -> Schedule:
    """Raises ScheduleError."""
    if not text:
        raise ScheduleError("empty spec string")
    if text.startswith(_EVERY):
        return Every(_period(text.removeprefix(_EVERY)))
    if text.startswith("@"):
        if text not in _NAMED:
            raise ScheduleError(f"unrecognized descriptor: {text}")
        text = _NAMED[text]
    parts = text.split()
    if len(parts) != len(_BOUNDS):
        raise ScheduleError(f"expected exactly {len(_BOUNDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    return Fields(*(_field(part, bounds) for part, bounds in zip(parts, _BOUNDS, strict=True)))


def _field(text: str, bounds: _Bounds) -> _Field:
    found = [_range(part, bounds) for part in text.split(",") if part]
    return _Field(frozenset().union(*(item.values for item in found)), any(item.is_star for item in found))


def _range(text: str, bounds: _Bounds) -> _Field:
    span, *steps = text.split("/")
    low, *rest = span.split("-")
    star = low in ("*", "?")
    if star:
        start, end = bounds.least, bounds.most
    else:
        start = end = _number(low, bounds)
        if len(rest) > 1:
            raise ScheduleError(f"too many hyphens: {text}")
        if rest:
            end = _number(rest[0], bounds)
    if len(steps) > 1:
        raise ScheduleError(f"too many slashes: {text}")
    step = _whole(steps[0]) if steps else 1
    if steps and not rest:
        end = bounds.most  # N/step means from N on
    _check(text, bounds, start=start, end=end)
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return _Field(frozenset(range(start, end + 1, step)), star and step == 1)


def _check(text: str, bounds: _Bounds, *, start: int, end: int) -> None:
    if start < bounds.least:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({bounds.least}): {text}")
    if end > bounds.most:
        raise ScheduleError(f"end of range ({end}) above maximum ({bounds.most}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")


def _number(text: str, bounds: _Bounds) -> int:
    named = bounds.names.get(text.lower())
    return _whole(text) if named is None else named


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise ScheduleError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise ScheduleError(f"negative number ({number}) not allowed: {text}")
    return number


def _period(text: str) -> timedelta:
    """A Go duration, `1h30m`, in whole seconds."""
    bare = text.removeprefix("+")
    parts = _PART.findall(bare)
    if not parts or "".join(number + unit for number, unit in parts) != bare:
        raise ScheduleError(f'failed to parse duration {_EVERY}{text}: time: invalid duration "{text}"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return timedelta(seconds=max(int(seconds), 1))
