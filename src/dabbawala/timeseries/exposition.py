"""The Prometheus text format, read. One pass, line by line; a line that cannot be read fails the whole page, naming
the line, because half a page of metrics is a wrong answer. Source: Prometheus exposition formats, text format 0.0.4 and
the parts of OpenMetrics 1.0 that differ (`# EOF`, exemplars, timestamps in seconds)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dabbawala.timeseries import labels

LINE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\s*(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}))?\s+(\S+)(?:\s+(-?[0-9.eE+]+))?\s*$'
)
LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*|"[^"]*")\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|$)')
ESCAPE = re.compile(r"\\(.)")
ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class BadExposition(ValueError):
    """A page of metrics that cannot be read; the message names the line."""


class Sample(NamedTuple):
    labels: labels.Labels
    value: float
    timestamp_ms: int | None


def parse(text: str, *, open_metrics: bool = False) -> Iterator[Sample]:
    """All samples of a page, in order. Raises BadExposition."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line[0] == "#" or line.isspace():
            continue
        if open_metrics:
            line = line.split(" # ", 1)[0]
        found = LINE.match(line)
        if found is None:
            raise BadExposition(f"line {number}: {line[:120]!r} is not `name{{labels}} value [timestamp]`")
        name, braces, value, stamp = found.groups()
        pairs = _labels(braces[1:-1], number) if braces else []
        yield Sample(labels.make([(labels.NAME, name), *pairs]), _number(value, number), _time(stamp, open_metrics))


def _labels(text: str, line: int) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        found = LABEL.match(text, position)
        if found is None:
            raise BadExposition(f"line {line}: cannot read the labels from {text[position : position + 60]!r} on")
        value = found[2]
        pairs.append((found[1].strip('"'), ESCAPE.sub(_unescape, value) if "\\" in value else value))
        position = found.end()
    return pairs


def _unescape(found: re.Match[str]) -> str:
    return ESCAPES.get(found[1], found[0])


def _number(text: str, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadExposition(f"line {line}: value {text!r} is not a number") from None


def _time(text: str | None, open_metrics: bool) -> int | None:
    if text is None:
        return None
    return int(float(text) * 1000) if open_metrics else int(float(text))
