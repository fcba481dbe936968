"""The layers of ARCHITECTURE.md are a contract, kept by the linter without exceptions."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.house.source import ROOT


def test_the_import_contracts_are_kept() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]


def test_no_contract_has_an_exception() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert not [contract["name"] for contract in settings["contracts"] if contract.get("ignore_imports")]
