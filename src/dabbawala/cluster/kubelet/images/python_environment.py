"""Python environments of images: made once for each set of requirements, then shared.

An environment is an ordinary venv that is moved to its final path inside the image, so the interpreter lines of its
scripts are written for that path. The interpreter itself is the host's, which every pod sees read-only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dabbawala.cluster.kubelet.images.dockerfile import BadDockerfile

INSTALL_SECONDS_MAX = 600
ERROR_LINES = 12


def here() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def interpreter(version: str) -> Path | None:
    """A Python of that version on this machine: ours, or the first on PATH. `3`, `3.11` and `3.11.4` are understood."""
    running = ".".join(str(part) for part in sys.version_info[:3])
    if f"{running}.".startswith(f"{version}."):
        return Path(getattr(sys, "_base_executable", sys.executable))
    found = shutil.which(f"python{'.'.join(version.split('.')[:2])}")
    return Path(found) if found and f"{_version(found)}.".startswith(f"{version}.") else None


def _version(python: str) -> str:
    """What a Python says of itself; empty when it does not run (a version manager's stub, for example)."""
    question = "import platform; print(platform.python_version())"
    try:
        said = subprocess.run([python, "-c", question], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()


def ensure(store: Path, version: str, installs: Sequence[tuple[str, ...]], final: str) -> Path:
    """The environment with these pip installs done, from the store or made now. Raises BadDockerfile."""
    python = interpreter(version)
    assert python is not None
    made = store / _digest(python, installs)
    if made.is_dir():
        return made
    store.mkdir(parents=True, exist_ok=True)
    building = store / f".building-{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    try:
        _call([str(python), "-m", "venv", "--without-pip", str(building)], "python -m venv")
        for install in installs:
            _pip(building, install)
        _rewrite_scripts(building, final)
        building.rename(made)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return made


def _digest(python: Path, installs: Sequence[tuple[str, ...]]) -> str:
    """Of the interpreter, the arguments, and the content of the files they name."""
    seen = hashlib.sha256(json.dumps([str(python.resolve()), python.stat().st_mtime]).encode())
    for install in installs:
        for word in install:
            path = Path(word)
            if not path.is_absolute():
                seen.update(word.encode() + b"\0")
                continue
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                seen.update(file.name.encode() + (file.read_bytes() if file.is_file() else b"") + b"\0")
    return seen.hexdigest()[:32]


def _pip(environment: Path, arguments: tuple[str, ...]) -> None:
    """Our own pip, acting on the other environment (pip --python)."""
    python = str(environment / "bin" / "python")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-warn-script-location"]
    _call([sys.executable, "-m", "pip", "--python", python, "install", *quiet, *arguments], "pip install")


def _call(command: list[str], what: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise BadDockerfile(
            f"{what} took longer than {INSTALL_SECONDS_MAX} s; is the package index reachable?"
        ) from None
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-ERROR_LINES:])
        raise BadDockerfile(f"{what} failed with status {done.returncode}:\n{said}")


def _rewrite_scripts(environment: Path, final: str) -> None:
    before, after = f"#!{environment}/bin/".encode(), f"#!{final}/bin/".encode()
    for script in (environment / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            text = script.read_bytes()
            if text.startswith(before):
                script.write_bytes(text.replace(before, after, 1))
