"""A person at a terminal, for the tests of a kubectl session: one namespace, commands, streams, a pty.

Everything goes through the real kubectl; nothing here knows the cluster in any other way.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.kubectl import Kubectl, Ran

TESTDATA = Path(__file__).parent / "testdata"
WEB, WEB_V2, SHELL = "session/web:v1", "session/web:v2", "session/shell:v1"
SECONDS_MAX = 20
POLL_SECONDS = 0.05
T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = SECONDS_MAX) -> T:
    """What `look` sees, as soon as it is true; the last thing it saw is in the failure."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
        time.sleep(POLL_SECONDS)
    return seen


@dataclass
class Stream:
    """A command that keeps running; what it prints is read as it comes."""

    process: subprocess.Popen[bytes]
    source: int
    sink: int
    seen: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.source, 65536):
                self.seen += data
        except OSError:  # a pty whose other side has gone
            pass

    @property
    def text(self) -> str:
        return self.seen.decode(errors="replace")

    def until(self, expected: str) -> str:
        """All that was printed so far, once `expected` is in it."""
        eventually(lambda: expected in self.text or (self.process.poll() is not None and self._ended(expected)))
        return self.text

    def _ended(self, expected: str) -> bool:
        self._reader.join(1)
        assert expected in self.text, f"ended with {self.process.returncode} before {expected!r}: {self.text}"
        return True

    def type(self, text: str) -> None:
        os.write(self.sink, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.sink, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def end(self) -> int:
        """Its exit status, and all its output read."""
        status = self.process.wait(SECONDS_MAX)
        self._reader.join(1)
        return status


@dataclass
class Session:
    """kubectl in one namespace."""

    kubectl: Kubectl
    namespace: str
    folder: Path

    def __call__(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        return self.kubectl("--namespace", self.namespace, *arguments, stdin=stdin, env=env)

    def run(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Ran:
        return self.kubectl.run("--namespace", self.namespace, *arguments, stdin=stdin, env=env)

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """What it says on standard error when it refuses."""
        ran = self.run(*arguments, stdin=stdin)
        assert ran.status != 0, str(ran)
        return ran.err

    def read(self, *what: str) -> Any:
        return json.loads(self("get", *what, "--output=json"))

    def names(self, *what: str) -> set[str]:
        return set(self("get", *what, "--output=name").split())

    def gone(self, *what: str) -> bool:
        return self("get", *what, "--output=name", "--ignore-not-found") == ""

    def file(self, name: str, *documents: dict[str, Any]) -> str:
        path = self.folder / name
        path.write_text("\n---\n".join(json.dumps(document) for document in documents))
        return str(path)

    def editor(self, *rewrites: str) -> dict[str, str]:
        """An environment whose editor is sed."""
        path = self.folder / "editor"
        path.write_text("#!/bin/sh\n" + "".join(f"sed -i '{one}' \"$1\"\n" for one in rewrites))
        path.chmod(0o755)
        return {"KUBE_EDITOR": str(path)}

    @contextmanager
    def streaming(self, *arguments: str, terminal: bool = False) -> Iterator[Stream]:
        """The command, running; interrupted as by Ctrl-C at the end if it has not ended by itself."""
        if terminal:
            ours, theirs = pty.openpty()
            source = sink = ours
            ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        else:
            (source, out), (inward, sink) = os.pipe(), os.pipe()
            ends = {"stdin": inward, "stdout": out, "stderr": out}
        argv = [str(self.kubectl.binary), "--namespace", self.namespace, *arguments]
        process = subprocess.Popen(argv, env=self.kubectl.environment, start_new_session=True, **ends)
        for fd in set(ends.values()):
            os.close(fd)
        try:
            yield Stream(process, source, sink)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for fd in {source, sink}:
                os.close(fd)


def deployment(name: str, image: str = WEB, replicas: int = 1, **spec: Any) -> dict[str, Any]:
    """A web server behind a readiness probe; one second is enough for it to stop."""
    container = {
        "name": "web",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
            **spec,
        },
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": SHELL, "command": list(command)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }
