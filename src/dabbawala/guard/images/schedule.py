"""When the next scan begins: every so often, or at a time of day in a time zone. Pure.

A time of day that a change of clocks skips is the first instant after it; one that comes twice is taken once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EVERY = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AT = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
LEAST_SECONDS = 60
"""Between scans."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every` is a time between beginnings; otherwise daily at `hour` and `minute` in `zone`."""

    every: timedelta | None = None
    hour: int = 0
    minute: int = 0
    zone: tzinfo = UTC

    def next(self, last: datetime) -> datetime:
        """The first instant after `last`."""
        if self.every is not None:
            return last + self.every
        local = last.astimezone(self.zone)
        for days in range(3):
            day = local.date() + timedelta(days=days)
            wanted = datetime(day.year, day.month, day.day, self.hour, self.minute, tzinfo=self.zone).astimezone(UTC)
            if wanted > last:
                return wanted
        raise AssertionError("some instant of the next three days is later than now")


def parse(every: str, at: str, zone: str) -> Schedule:
    """Of `24h` or of `02:00` in `Asia/Kolkata`. Raises ValueError with a sentence."""
    try:
        known = ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError) as wrong:
        raise ValueError(f"there is no time zone {zone!r}; write one such as Asia/Kolkata") from wrong
    if every:
        found = _EVERY.fullmatch(every)
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if seconds < LEAST_SECONDS:
            raise ValueError(f"{every!r}: write a time of at least {LEAST_SECONDS} seconds, such as 24h or 30m")
        return Schedule(timedelta(seconds=seconds), zone=known)
    clock = _AT.fullmatch(at)
    if clock is None:
        raise ValueError(f"{at!r} is no time of day; write one such as 02:00")
    return Schedule(None, int(clock[1]), int(clock[2]), known)
