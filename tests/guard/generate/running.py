"""The commands as a user runs them, and golden files.

Run with UPDATE_GOLDEN=1 in the environment, the tests write all expectations anew and remove those whose case is gone;
the diff is then what has changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from dabbawala.cli.guard_generate import generate
from dabbawala.guard import checks, scanning
from dabbawala.guard.findings import Report
from tests.guard.test_scenarios import NOW, store

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "golden"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(generate, [*arguments], input=text)


def generated(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(text) if found]


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text()


def scanned(text: str, folder: Path) -> Report:
    path = folder / "generated.yaml"
    path.write_text(text)
    return scanning.of_paths([str(path)], list(checks.shipped().values()), now=NOW, store=store())
