"""A cluster with a pod to attack and the detector beside it, as root or as somebody without a right."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.clusters import until
from tests.kubectl import Kubectl

BEGIN_SECONDS_MAX = 30.0
SHELL = "attacked/shell:v1"
COMMAND = ("-m", "dabbawala.cli.main", "guard", "runtime")
VICTIM = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "victim", "labels": {"app": "payment-service"}},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "keys", "secret": {"secretName": "keys"}}],
        "containers": [
            {
                "name": "main",
                "image": SHELL,
                "command": ["sh", "-c", "mkdir -p /var/log/app; echo line > /var/log/app/app.log; sleep infinity"],
                "volumeMounts": [{"name": "keys", "mountPath": "/etc/secrets"}],
            }
        ],
    },
}
KEYS = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"id_rsa": "no key"}}

Object = dict[str, Any]


@dataclass
class Detector:
    """The running command, and the alerts that it has written."""

    process: subprocess.Popen[str]
    alerts_file: Path
    printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.printed.append(line)

    def alerts(self) -> list[Object]:
        if not self.alerts_file.exists():
            return []
        return [json.loads(line) for line in self.alerts_file.read_text().splitlines()]

    def until(self, check: str, matches: Callable[[Object], object]) -> Object:
        """The alert of that check, once there is one that matches."""
        found: list[Object] = []

        def seen() -> bool:
            found[:] = [alert for alert in self.alerts() if check in alert["tags"] and matches(alert)]
            return bool(found)

        try:
            until(f"an alert of {check}", seen, seconds=15)
        except AssertionError as late:
            raise AssertionError(f"{late}\n" + "\n".join(alert["output"] for alert in self.alerts())) from None
        return found[0]

    def end(self) -> float:
        """End it as a service manager does, for who runs tests in the background ignores Ctrl-C; the CPU seconds that
        it took, its children's included."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.reader.join(5)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def detecting(
    python: Path, environment: Mapping[str, str], folder: Path, *options: str, uid: int | None = None
) -> Iterator[Detector]:
    """The command, once it watches."""
    target = folder / "alerts.json"
    argv: Sequence[str] = [str(python), *COMMAND, "--json-file", str(target), *options]
    somebody: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    process = subprocess.Popen(
        argv,
        env=dict(environment),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **somebody,
    )
    made = Detector(process, target)
    try:
        until(
            "the detector watches",
            lambda: any(line.startswith("watching") for line in made.printed) or process.poll() is not None,
            BEGIN_SECONDS_MAX,
        )
        assert process.poll() is None, "".join(made.printed)
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        made.reader.join(5)


def prepare(kubectl: Kubectl, *flags: str) -> None:
    """The pod, running."""
    kubectl(*flags, "wait", "--for=create", "serviceaccount/default", "--timeout=20s")
    kubectl(*flags, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [KEYS, VICTIM]}))
    kubectl(*flags, "wait", "--for=condition=Ready", "pod/victim", "--timeout=30s")


def environment(home: Path, kubeconfig: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "KUBECONFIG": str(kubeconfig)}
