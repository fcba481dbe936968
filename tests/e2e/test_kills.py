"""What kill -9 must not do: lose an acknowledged write, stop a pod, fail a request.

A cluster of its own, because other tests would suffer. The soak run kills two hundred times, the ordinary run twenty.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba

NODE_PORT = 31874
WRITERS = 4
READY_AGAIN_SECONDS = 30.0
SEED = 7
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

    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/api/v1/namespaces/default/pods/web")
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


def web_is_ready(victim: Victim) -> bool:
    conditions = victim.pod().get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@pytest.fixture(scope="module")
def victim(process_pods: None) -> Iterator[Victim]:
    with clusters.private() as dabba:
        dabba("image", "build", str(WEB), "-t", "killweb:v1")
        dabba("up", "--nodes", "1", "--scrape-interval", "1")
        made = Victim(dabba, *credentials(dabba))
        start_web(made)
        yield made


def start_web(victim: Victim) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    container = {"name": "web", "image": "killweb:v1", "imagePullPolicy": "Never", "readinessProbe": probe}
    port = {"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}
    create(victim, "pods", "Pod", {"metadata": {"name": "web", "labels": {"app": "web"}}}, {"containers": [container]})
    spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": [port]}
    create(victim, "services", "Service", {"metadata": {"name": "web"}}, spec)
    until("the pod is Ready", lambda: web_is_ready(victim))
    until("its Service answers", lambda: fetch() == "")


def create(victim: Victim, plural: str, kind: str, head: dict[str, Any], spec: dict[str, Any]) -> None:
    path = f"/api/v1/namespaces/default/{plural}"
    until("the namespace is usable", lambda: victim.ask("GET", f"{CONFIG_MAPS}/kube-root-ca.crt")[0] == 200)
    code, answer = victim.ask("POST", path, {"apiVersion": "v1", "kind": kind, **head, "spec": spec})
    assert code == 201, answer


def fetch() -> str:
    """Ask the pod through the edge, on a new connection; what went wrong, or nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", NODE_PORT, timeout=5)
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


@dataclass
class Writer:
    """Creates, updates and deletes in a loop, and remembers what was acknowledged. Ends at the first broken answer."""

    victim: Victim
    name: str
    created: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    counter: int = 0
    acknowledged: int = 0
    refused: list[Any] = field(default_factory=list)

    def run(self, enough: threading.Event, most: int) -> None:
        context, port = self.victim.context, self.victim.port
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        try:
            while not self.refused:
                self._round(connection)
                if self.acknowledged >= most:
                    enough.set()
        except (OSError, http.client.HTTPException):
            enough.set()
        finally:
            connection.close()

    def _round(self, connection: http.client.HTTPSConnection) -> None:
        number = len(self.created)
        name = f"{self.name}-{number}"
        if self._send(connection, "POST", CONFIG_MAPS, configmap(name, number)):
            self.created.add(name)
        count = configmap(f"{self.name}-count", self.counter + 1)
        path = f"{CONFIG_MAPS}/{self.name}-count"
        done = self._send(connection, *(("PUT", path, count) if self.counter else ("POST", CONFIG_MAPS, count)))
        self.counter += done
        if number % 3 == 2:
            gone = f"{self.name}-{number - 1}"
            if self._send(connection, "DELETE", f"{CONFIG_MAPS}/{gone}", None):
                self.deleted.add(gone)

    def _send(self, connection: http.client.HTTPSConnection, method: str, path: str, body: object) -> bool:
        connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            self.refused.append((method, path, answer.status, text))
            return False
        self.acknowledged += 1
        return True

    def check(self, found: dict[str, str]) -> None:
        """Everything acknowledged is there. What was on its way when the kill came may be there or not."""
        assert not self.refused
        missing = self.created - self.deleted - set(found)
        maybe = {f"{self.name}-{len(self.created) - 2}"}  # a delete that was sent and not answered
        assert missing <= maybe, f"acknowledged and lost: {missing}"
        assert not self.deleted & set(found), "deleted and there again"
        assert int(found.get(f"{self.name}-count", 0)) in (self.counter, self.counter + 1)


def configmap(name: str, number: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}}


def one_kill(victim: Victim, number: int, chance: random.Random) -> float:
    """Write, kill at a random acknowledgement, start again; returns the seconds until `dabba up` said ready."""
    writers = [Writer(victim, f"k{number}-w{index}") for index in range(WRITERS)]
    enough = threading.Event()
    most = chance.randrange(1, 40)
    threads = [threading.Thread(target=writer.run, args=(enough, most)) for writer in writers]
    for thread in threads:
        thread.start()
    assert enough.wait(READY_AGAIN_SECONDS)
    victim.kill_control_plane()
    for thread in threads:
        thread.join()
    began = time.monotonic()
    victim.dabba("up")
    took = time.monotonic() - began
    listed = victim.get(CONFIG_MAPS)["items"]
    found = {each["metadata"]["name"]: each["data"].get("n", "") for each in listed}
    for writer in writers:
        writer.check(found)
    victim.ask("DELETE", CONFIG_MAPS)
    return took


def kill_often(victim: Victim, times: int) -> None:
    chance = random.Random(SEED)
    before = victim.pod()["status"]["containerStatuses"][0]
    with Visitors() as visitors:
        waits = sorted(one_kill(victim, number, chance) for number in range(times))
    assert visitors.failures == []
    assert visitors.sent > times
    after = victim.pod()["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], before["restartCount"])
    print(f"{times} kills: ready again after {waits[len(waits) // 2]:.2f} s (median), {waits[-1]:.2f} s (longest);")
    print(f"{visitors.sent} requests through the edge meanwhile, none failed")
    assert waits[-1] < READY_AGAIN_SECONDS


@pytest.mark.timeout(300)
def test_twenty_kills_of_the_control_plane_lose_nothing_acknowledged_and_fail_no_request(victim: Victim) -> None:
    kill_often(victim, 20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_of_the_control_plane_lose_nothing_acknowledged(victim: Victim) -> None:
    kill_often(victim, 200)


def kill_and_await_successor(victim: Victim, word: str) -> None:
    before = clusters.processes(victim.dabba, word)
    assert before, f"no process of {word}"
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def succeeded() -> bool:
        now = clusters.processes(victim.dabba, word)
        return bool(now) and not set(before) & set(now)

    until(f"another {word}", succeeded)


def lease_time(victim: Victim) -> str:
    found: str = victim.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1")["spec"][
        "renewTime"
    ]
    return found


def test_a_killed_node_agent_finds_its_pods_again_as_they_were(victim: Victim) -> None:
    before = victim.pod()["status"]["containerStatuses"][0]
    with Visitors() as visitors:
        for _ in range(3):
            reported = lease_time(victim)
            kill_and_await_successor(victim, "dabbawala.cluster.kubelet")
            until("the new agent reports", lambda reported=reported: lease_time(victim) != reported)
            until("the pod is Ready", lambda: web_is_ready(victim))
    after = victim.pod()["status"]["containerStatuses"][0]
    assert after == before
    assert visitors.failures == []


def test_an_envoy_of_a_node_that_is_killed_again_and_again_comes_back_with_the_same_routes(victim: Victim) -> None:
    for _ in range(3):
        kill_and_await_successor(victim, "nodes/node-1/envoy.json")
        until("the Service answers again", lambda: fetch() == "")


def test_a_killed_edge_is_started_again_and_serves_the_same_ports(victim: Victim) -> None:
    kill_and_await_successor(victim, "edge/envoy.json")
    until("the Service answers again", lambda: fetch() == "")


RESOLVE = "import socket; print(socket.gethostbyname('web.default.svc.cluster.local'))"
ASK_API = """
import ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
trusted = ssl.create_default_context(cafile=folder + "ca.crt")
asked = urllib.request.Request("https://kubernetes.default.svc/api")
asked.add_header("Authorization", "Bearer " + open(folder + "token").read())
print(urllib.request.urlopen(asked, context=trusted, timeout=5).status)
"""


def cluster_ip(victim: Victim) -> str:
    found: str = victim.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    return found


def test_a_killed_netd_is_started_again_and_names_resolve(victim: Victim) -> None:
    kill_and_await_successor(victim, "dabba-netd")
    until("the name resolves in the pod", lambda: cluster_ip(victim) in in_pod(victim, RESOLVE))


def test_a_cluster_that_was_taken_down_serves_again_with_names_and_the_api_in_its_pods(victim: Victim) -> None:
    victim.dabba("down")
    victim.dabba("up")
    until("the Service answers again", lambda: fetch() == "")
    until("the name resolves in the pod", lambda: cluster_ip(victim) in in_pod(victim, RESOLVE))
    until("the API answers in the pod", lambda: "200" in in_pod(victim, ASK_API))
    proxied = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query=up"
    until("monitoring has scraped", lambda: has_results(*victim.ask("GET", proxied)))


def has_results(code: int, answer: Any) -> bool:
    return code == 200 and bool(answer["data"]["result"])


def in_pod(victim: Victim, program: str) -> str:
    from tests.kubectl import Kubectl, unpack

    folder = victim.dabba.home / "bin"
    folder.mkdir(exist_ok=True)
    binary = folder / "kubectl"
    if not binary.exists():
        unpack(folder)
    kubectl = Kubectl(binary, victim.dabba.kubeconfig(), victim.dabba.home)
    return kubectl.run("exec", "web", "--", "python3", "-c", program).out
