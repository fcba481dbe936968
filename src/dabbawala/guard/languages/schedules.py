"""Cron expressions, their time zones, and what comments say of them: `0 2 * * *  # 2 AM IST`.

Pure. Source: robfig/cron v3 (CRON_TZ=), Kubernetes CronJob (timeZone; without one the controller's, which is UTC).
"""

from __future__ import annotations

import re
from typing import Any

from dabbawala.apimachinery.meta import Object

MINUTES_A_DAY = 24 * 60

_ZONED = re.compile(r"(?:CRON_TZ|TZ)=(\S+)\s+(.*)")
_DESCRIPTORS = frozenset(("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"))
_EVERY = re.compile(r"@every\s+(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+")
_NAMES = {
    3: ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
    4: ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"),
}
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_PART = re.compile(r"(\*|\?|[A-Za-z]{3}|\d+)(?:-([A-Za-z]{3}|\d+))?(?:/(\d+))?")
_OFFSETS = {"IST": 330, "UTC": 0, "GMT": 0, "SGT": 480, "EST": -300, "PST": -480, "CET": 60, "JST": 540}
_ZONES = {"Asia/Kolkata": "IST", "Asia/Calcutta": "IST", "Etc/UTC": "UTC", "UTC": "UTC", "Asia/Singapore": "SGT"}
_CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2})(?::(\d{2}))?\s*([AaPp]\.?[Mm]\.?)?(?![\d:%])\s*(IST|UTC|GMT|SGT|EST|PST|CET|JST)?\b"
)


def parse(expression: Any, *, seconds: bool = False) -> Object:
    """`error`, `zone` and whether the schedule is at one time of the day (`minute` of the day, else -1)."""
    text = expression if isinstance(expression, str) else ""
    zoned = _ZONED.fullmatch(text.strip())
    zone, rest = (zoned[1], zoned[2]) if zoned is not None else ("", text.strip())
    if rest in _DESCRIPTORS or _EVERY.fullmatch(rest):
        return {"error": "", "zone": zone, "minute": 0 if rest in ("@daily", "@midnight") else -1}
    fields = rest.split()
    if seconds and len(fields) == 6:
        fields = fields[1:]
    elif seconds:
        return _wrong(f"it has {len(fields)} fields, and must have six: the first are the seconds", zone)
    if len(fields) != 5:
        return _wrong(f"it has {len(fields)} fields, and must have five", zone)
    for index, field in enumerate(fields):
        fault = _fault(field, index)
        if fault:
            return _wrong(fault, zone)
    at = int(fields[1]) * 60 + int(fields[0]) if fields[0].isdigit() and fields[1].isdigit() else -1
    return {"error": "", "zone": zone, "minute": at}


def _wrong(message: str, zone: str) -> Object:
    return {"error": message, "zone": zone, "minute": -1}


def _fault(field: str, index: int) -> str:
    low, high = _BOUNDS[index]
    for part in field.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            return f"{part!r} is no {_FIELDS[index]}"
        numbers = [_number(word, index) for word in found.groups()[:2] if word not in (None, "*", "?")]
        if any(number is None or not low <= number <= high for number in numbers):
            return f"{part!r} is no {_FIELDS[index]}: it goes from {low} to {high}"
        if len(numbers) == 2 and (numbers[0] or 0) > (numbers[1] or 0):
            return f"{part!r} begins after its end"
        if found[3] is not None and int(found[3]) == 0:
            return f"{part!r} has a step of 0"
    return ""


def _number(word: str | None, index: int) -> int | None:
    text = (word or "").upper()
    if text.isdigit():
        return int(text)
    names = _NAMES.get(index, ())
    return names.index(text) + (1 if index == 3 else 0) if text in names else None


def contradiction(expression: Any, zone: str, comment: str) -> str:
    """What a comment says of the time of day, where the schedule is at another one: `2 AM IST` beside `0 2 * * *` that
    runs in UTC. Empty where they agree, or one of them says nothing definite."""
    parsed = parse(expression)
    times = [found for found in _CLOCK.finditer(comment) if found[3] or found[2] or found[4]]
    if parsed["minute"] < 0 or len(times) != 1:
        return ""
    hour, minute = int(times[0][1]), int(times[0][2] or 0)
    half, named = (times[0][3] or "").replace(".", "").lower(), times[0][4] or ""
    if hour > (12 if half else 23) or minute > 59:
        return ""
    hour = hour % 12 + (12 if half == "pm" else 0) if half else hour
    own = zone or parsed["zone"]
    runs_in = _ZONES.get(own, "" if own else "UTC")
    shift = _OFFSETS[runs_in] - _OFFSETS[named] if named and runs_in in _OFFSETS else 0
    if (parsed["minute"] - shift) % MINUTES_A_DAY == hour * 60 + minute:
        return ""
    return times[0].group().strip()
