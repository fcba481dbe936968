"""The tools that benches measure against and compare with, each of the version named here, in an environment of its own
under build/peers: their dependencies are none of ours, and a bench that runs twice installs once."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HOME = Path(__file__).parents[1] / "build" / "peers"
PINS = {"checkov": "checkov==3.3.30"}


def environment(name: str, given: str = "") -> Path:
    """The folder of a peer's virtual environment, made when it is not there. `given` is one that somebody has already.
    Raises SystemExit where it cannot be installed."""
    if given:
        return Path(given)
    folder = HOME / PINS[name].replace("==", "-")
    done = folder / "installed"
    if not done.exists():
        print(f"installing {PINS[name]} under {folder.relative_to(HOME.parents[1])} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PINS[name]]
        if subprocess.run(pip, check=False).returncode:
            raise SystemExit(f"{PINS[name]} cannot be installed: see above")
        done.touch()
    return folder
