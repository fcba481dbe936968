"""Small JSON files that say what happened: replaced whole, so that a reader sees the old or the new, never a part."""

from __future__ import annotations

import json
import os
import sys


def note(path: str, value: object) -> None:
    """Write it if possible. Whoever keeps others alive must not end because a disk is full."""
    try:
        write(path, value)
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror or error}; not on record\n")
        sys.stderr.flush()


def write(path: str, value: object) -> None:
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)
