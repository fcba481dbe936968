"""Durations of Istio's objects ("1h30m", "250ms") as protobuf's ("5400s", "0.25s"). Source: Go time.ParseDuration."""

from __future__ import annotations

import re

from dabbawala.cluster.dataplane.resources import seconds

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
PART = re.compile(r"(?<![\d.])(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")


def protobuf(text: object, default: str) -> str:
    """`default` for what is absent or not a duration: one bad value must not cost an Envoy its whole file."""
    parsed = parse(str(text)) if text else None
    return default if parsed is None else seconds(parsed)


def parse(text: str) -> float | None:
    """Seconds; None for what is not a duration."""
    parts = list(PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return sum(float(part[1]) * UNITS[part[2]] for part in parts)
