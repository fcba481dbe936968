"""Small JSON files that say what happened: replaced whole, so that a reader sees the old or the new, never a part."""

from __future__ import annotations

import json
import os


def write(path: str, value: object) -> None:
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)
