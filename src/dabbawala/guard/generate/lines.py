"""JSON lines, as logs are written: one object a line, read one by one, none longer than it may be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate.faults import at_line

LINE_BYTES_MAX = 4 << 20
"""An event with the bodies of its request and response is smaller: the API server takes 3 MiB."""


def objects(file: str, lines: Iterable[bytes]) -> Iterator[tuple[int, Object]]:
    """The objects and their lines, from 1; empty lines are none. Raises BadInput."""
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_BYTES_MAX:
            remedy = "Check that the log has one JSON object a line."
            raise at_line(file, number, f"the line is longer than {LINE_BYTES_MAX:,} bytes", remedy)
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError as wrong:
            remedy = "Give a log of one JSON object a line, and cut off a last line that is not complete."
            raise at_line(file, number, f"the line is no JSON: {wrong}", remedy) from None
        if not isinstance(found, dict):
            raise at_line(file, number, "the line is no JSON object", "Give a log of one JSON object a line.")
        yield number, found
