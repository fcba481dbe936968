"""The test's side of the driver: a sandbox that runs as whoever runs the tests, or, under root, as an ordinary user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dabbawala.cluster.sandbox
from dabbawala.cluster.sandbox import spec

ORDINARY_UID = 54321
AS_WHOEVER, AS_ORDINARY = "as-whoever-runs-the-tests", "as-an-ordinary-user"
# Only root can become somebody else; an ordinary user already is one.
USERS = (AS_WHOEVER, AS_ORDINARY) if os.getuid() == 0 else (AS_WHOEVER,)
_SYSTEM_PYTHON = "/usr/bin/python3"


class Driven:
    """A sandbox with one node, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], directory: Path, uid: int) -> None:
        self._process = process
        self.directory = directory
        self.uid = uid
        self._addresses = iter(range(2, 250))
        assert self._answer() == {"ready": True}

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the driver ended: see its stderr above"
        return json.loads(line)

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def pod(self, uid: str, **options: Any) -> spec.PodSpec:
        made = self._pod(uid, options)
        refused = self.ask(op="pod", pod=spec.to_json(made))
        assert not refused, refused
        return made

    def refusal(self, uid: str, **options: Any) -> Any:
        """Reason and message with which a pod is refused; empty when it is not."""
        return self.ask(op="pod", pod=spec.to_json(self._pod(uid, options)))

    def _pod(self, uid: str, options: dict[str, Any]) -> spec.PodSpec:
        address = f"10.42.1.{next(self._addresses)}"
        return spec.PodSpec(uid, "default", uid, "node-1", address, uid, f"{self.directory}/{uid}", **options)

    def start(self, uid: str, *argv: str, name: str = "main", **options: Any) -> Any:
        log_path = f"{self.directory}/{uid}/{name}.log"
        made = spec.ContainerSpec(name, argv, log_path=log_path, **options)
        return self.ask(op="container", uid=uid, container=spec.to_json(made))

    def run(self, uid: str, *argv: str, name: str = "main") -> tuple[int, str]:
        answer = self.ask(op="exec", uid=uid, container=name, argv=argv)
        return answer["code"], answer["output"]

    def shell(self, uid: str, script: str, name: str = "main") -> tuple[int, str]:
        return self.run(uid, "sh", "-c", script, name=name)


@contextlib.contextmanager
def driven(*, ordinary: bool) -> Iterator[Driven]:
    """Skips, with the reason, what this machine cannot show."""
    if ordinary and os.getuid() != 0:
        pytest.skip("only root can become another user")
    python = _SYSTEM_PYTHON if ordinary else sys.executable
    if ordinary:
        _check_python(python)
    directory = Path(tempfile.mkdtemp(prefix="dabba-"))
    try:
        directory.chmod(0o755)
        here = directory / "src"
        _copy_package(here)
        state = directory / "state"
        state.mkdir()
        user: dict[str, Any] = {}
        if ordinary:
            os.chown(state, ORDINARY_UID, ORDINARY_UID)
            user = {"user": ORDINARY_UID, "group": ORDINARY_UID, "extra_groups": []}
        process = subprocess.Popen(
            [python, "-u", str(here / "driver.py"), str(state / "run")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env={"PATH": os.defpath}, **user,
        )  # fmt: skip
        try:
            yield Driven(process, state, user.get("user", os.getuid()))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _check_python(python: str) -> None:
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not os.path.exists(python) or subprocess.run([python, "-c", code], check=False).returncode:
        pytest.skip(f"{python} is missing or older than 3.11, and another user may not be able to read this Python")


def _copy_package(to: Path) -> None:
    """The sandbox alone (it imports nothing else), where any user can read it."""
    package = to / "dabbawala" / "cluster"
    source = Path(dabbawala.cluster.sandbox.__file__).parent
    shutil.copytree(source, package / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    shutil.copy(Path(__file__).with_name("driver.py"), to / "driver.py")
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
