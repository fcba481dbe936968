"""The small tables of facts in `guard/data`: one row a line, fields apart by space, `#` begins a comment."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"


@lru_cache(maxsize=16)
def rows(file: str) -> tuple[tuple[str, ...], ...]:
    lines = (line.partition("#")[0].split() for line in (_DATA / file).read_text().splitlines())
    return tuple(tuple(fields) for fields in lines if fields)
