"""How long a newcomer waits: start to API ready, to the first real pod Ready, to its Service answering on the host.

    python bench/startup.py [--rounds N]

Every round starts `dabba up` as a user does, in a new process; the clock begins before it. A program polls the API
server's port from the first moment, so "API ready" is when a request was answered, not when somebody said so. Fresh
starts make keys and state anew; restarts resume. The pod has no readiness probe (its period, a second at least, would
be what is measured): Ready means that its process runs; that it serves is the Service's answer. Then the idle control
plane is looked at for a while.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from private_cluster import PrivateCluster, distance, machine, median, private_cluster

from api import Door, door, free_port

DEADLINE_SECONDS = 60
POLL_SECONDS = 0.01
IDLE_SETTLE_SECONDS, IDLE_SECONDS = 5.0, 10.0
TARGETS = {"API ready": 0.5, "first pod Ready": 1.5, "Service answers": 2.0}
PROGRAM = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""
T = TypeVar("T")


def until(ask: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (answer := ask()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {DEADLINE_SECONDS} s")
        time.sleep(POLL_SECONDS)
    return answer


def answers(port: int) -> bool | None:
    """Whether HTTP on that port of this host says 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/")
        return True if connection.getresponse().status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def connected(port: int) -> bool | None:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return None
    return True


class Asking:
    """One connection to the API server: a poll must not cost the cores that it measures."""

    def __init__(self, at: Door) -> None:
        host, port = at.url.removeprefix("https://").split(":")
        self._connection = http.client.HTTPSConnection(host, int(port), context=at.context(), timeout=5)

    def __call__(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        """None for an object that is not there."""
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, path, sent, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300 and answer.status != 404:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text) if answer.status < 300 else None


def ready(pod: dict[str, Any] | None) -> bool | None:
    conditions = (pod or {}).get("status", {}).get("conditions", [])
    return True if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions) else None


def first_service(ask: Asking, node_port: int) -> None:
    container = {"name": "web", "image": "hello:1", "imagePullPolicy": "Never"}
    pod = {"metadata": {"name": "hello", "labels": {"app": "hello"}}, "spec": {"containers": [container]}}
    port = {"port": 80, "targetPort": 8080, "nodePort": node_port}
    service = {
        "metadata": {"name": "hello"},
        "spec": {"type": "NodePort", "selector": {"app": "hello"}, "ports": [port]},
    }
    ask("POST", "/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", **pod})
    ask("POST", "/api/v1/namespaces/default/services", {"apiVersion": "v1", "kind": "Service", **service})


def start(cluster: PrivateCluster, *, fresh: bool) -> dict[str, float]:
    """One start; on a fresh one the pod and its Service are created as soon as the API answers."""
    port, node_port = free_port(), 30000 + os.getpid() % 2700
    words = ["up", "--api-port", str(port), *(["--fresh"] if fresh else [])]
    began = time.monotonic()
    process = subprocess.Popen(cluster.command(*words), env=cluster.environment, stdout=subprocess.DEVNULL)
    until(lambda: connected(port))
    at = until(lambda: door(cluster) if cluster.kubeconfig.exists() else None)
    ask = Asking(Door(f"https://127.0.0.1:{port}", at.ca, at.pem))
    ask("GET", "/api")
    times = {"API ready": time.monotonic() - began}
    if fresh:
        until(lambda: ask("GET", "/api/v1/namespaces/default/serviceaccounts/default"))
        first_service(ask, node_port)
        until(lambda: ready(ask("GET", "/api/v1/namespaces/default/pods/hello")))
        times["first pod Ready"] = time.monotonic() - began
    until(lambda: answers(node_port))
    times["Service answers"] = time.monotonic() - began
    if process.wait():
        raise RuntimeError("dabba up failed")
    return times


def idle(cluster: PrivateCluster) -> tuple[float, float]:
    """MB resident and percent of one core of the control-plane process, when nothing happens."""
    pid = cluster.control_plane_pid
    time.sleep(IDLE_SETTLE_SECONDS)
    before = _cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    used = (_cpu_seconds(pid) - before) / IDLE_SECONDS * 100
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return resident, used


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def build_program(cluster: PrivateCluster) -> None:
    folder = cluster.home / "hello"
    folder.mkdir()
    (folder / "hello.py").write_text(PROGRAM)
    (folder / "Dockerfile").write_text(
        'FROM python:3-slim\nWORKDIR /app\nCOPY hello.py ./\nCMD ["python", "hello.py"]\n'
    )
    cluster.dabba("image", "build", str(folder), "-t", "hello:1")


def report(kind: str, rounds: list[dict[str, float]]) -> None:
    for step in rounds[0]:
        values = [times[step] for times in rounds]
        target = TARGETS.get(step)
        goal = f"target {target:.1f} s: {distance(median(values), target, more_is_better=False)}" if target else ""
        print(f"{kind:<8} {step:<18} median {median(values):5.2f} s  ({min(values):.2f}-{max(values):.2f})  {goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="fresh starts, and restarts")
    rounds = parser.parse_args().rounds
    print(machine())
    with private_cluster() as cluster:
        build_program(cluster)
        found: dict[str, list[dict[str, float]]] = {"fresh": [], "restart": []}
        for _ in range(rounds):
            for kind, times in found.items():
                times.append(start(cluster, fresh=kind == "fresh"))
                if not (kind == "restart" and len(times) == rounds):
                    cluster.dabba("down")
        for kind, times in found.items():
            report(kind, times)
        resident, used = idle(cluster)
    print(f"idle control plane: {resident:.0f} MB  target 120 MB: {distance(resident, 120, more_is_better=False)}")
    print(f"idle control plane: {used:.1f} % of a core  target 1 %: {distance(used, 1, more_is_better=False)}")


if __name__ == "__main__":
    main()
