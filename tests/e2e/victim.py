"""A cluster that is there to be hurt: a pod behind a node port, visitors of it, and ways to kill its parts."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba

NODE_PORT = 31874
IMAGE = "killweb:v1"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
WEB = Path(__file__).with_name("testdata") / "web"


@dataclass(frozen=True)
class Victim:
    """A running cluster with a pod `web` behind a node port, and who we are to its API server."""

    dabba: Dabba
    context: ssl.SSLContext
    port: int

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=10)
        try:
            connection.request(
                method, path, body and json.dumps(body), {"content-type": "application/json", "connection": "close"}
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        code, found = self.ask("GET", path)
        assert code == 200, found
        return found

    def pod(self, name: str = "web") -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"{PODS}/{name}")
        return found

    def container(self, pod: str = "web") -> dict[str, Any]:
        """The status of the pod's only container."""
        found: dict[str, Any] = self.pod(pod)["status"]["containerStatuses"][0]
        return found

    def kill_control_plane(self) -> None:
        os.kill(clusters.control_plane(self.dabba), signal.SIGKILL)


def credentials(dabba: Dabba) -> tuple[ssl.SSLContext, int]:
    config = yaml.safe_load(dabba.kubeconfig().read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    pem = dabba.home / "user.pem"
    pem.write_bytes(b"\n".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    context.load_cert_chain(pem)
    return context, int(cluster["server"].rsplit(":", 1)[1])


def is_ready(victim: Victim, pod: str = "web") -> bool:
    conditions = victim.pod(pod).get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@contextmanager
def running() -> Iterator[Victim]:
    """A cluster of one node with its pod Ready and its Service answering."""
    with clusters.private() as dabba:
        dabba("image", "build", str(WEB), "-t", IMAGE)
        dabba("up", "--nodes", "1", "--scrape-interval", "1")
        made = Victim(dabba, *credentials(dabba))
        start_web(made)
        yield made


def start_web(victim: Victim) -> None:
    until("the namespace is usable", lambda: victim.ask("GET", f"{CONFIG_MAPS}/kube-root-ca.crt")[0] == 200)
    create_pod(victim, "web", app="web")
    create_service(victim, "web", NODE_PORT)
    until("the pod is Ready", lambda: is_ready(victim))
    until("its Service answers", lambda: fetch() == "")


def create_pod(victim: Victim, name: str, app: str) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    container = {"name": "web", "image": IMAGE, "imagePullPolicy": "Never", "readinessProbe": probe}
    create(victim, "pods", "Pod", {"name": name, "labels": {"app": app}}, {"containers": [container]})


def create_service(victim: Victim, app: str, node_port: int) -> None:
    port = {"port": 80, "targetPort": 8080, "nodePort": node_port}
    create(
        victim, "services", "Service", {"name": app}, {"type": "NodePort", "selector": {"app": app}, "ports": [port]}
    )


def create(victim: Victim, plural: str, kind: str, metadata: dict[str, Any], spec: dict[str, Any]) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    code, answer = victim.ask("POST", f"/api/v1/namespaces/default/{plural}", body)
    assert code == 201, answer


def fetch(port: int = NODE_PORT) -> str:
    """Ask a pod through the edge, on a new connection; what went wrong, or nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return "" if answer.status == 200 else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


class Visitors:
    """A small load on the pod for as long as the block lasts, paced, not closed."""

    def __init__(self) -> None:
        self.sent = 0
        self.failures: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            wrong = fetch()
            self.sent += 1
            if wrong:
                self.failures.append(wrong)


def kill_and_await_successor(victim: Victim, word: str) -> None:
    before = clusters.processes(victim.dabba, word)
    assert before, f"no process of {word}"
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def succeeded() -> bool:
        now = clusters.processes(victim.dabba, word)
        return bool(now) and not set(before) & set(now)

    until(f"another {word}", succeeded)
