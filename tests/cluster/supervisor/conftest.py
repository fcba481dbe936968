"""Run folders hold unix sockets, whose paths must be shorter than pytest's own folders."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="s") as made:
        yield Path(made)
