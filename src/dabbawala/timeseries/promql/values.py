"""What an expression can be: a scalar, a string, an instant vector, a range vector."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dabbawala.timeseries.labels import Labels


class QueryError(ValueError):
    """A query that cannot be parsed or evaluated; the message is for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an instant vector; `time_ms` is the time of the sample it came from."""

    labels: Labels
    value: float
    time_ms: int


@dataclass(frozen=True, slots=True)
class Range:
    """One element of a range vector: samples in (start, end], oldest first."""

    labels: Labels
    samples: list[tuple[int, float]]
    start_ms: int
    end_ms: int


Vector = list[Element]
Matrix = list[Range]
Value = float | str | Vector | Matrix


def format_value(value: float) -> str:
    """As Prometheus prints a sample in JSON: shortest decimal, no exponent."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
