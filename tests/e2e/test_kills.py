"""What kill -9 must not do: lose an acknowledged write, stop a pod, fail a request.

A cluster of its own, because other tests would suffer. The soak run kills two hundred times, the ordinary run twenty.
The node agent's turn is in `test_agent_kills.py`.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e import victim as victims
from tests.e2e.clusters import until
from tests.e2e.victim import CONFIG_MAPS, Victim, Visitors, fetch, kill_and_await_successor

WRITERS = 4
READY_AGAIN_SECONDS = 30.0
SEED = 7


@pytest.fixture(scope="module")
def victim(process_pods: None) -> Iterator[Victim]:
    with victims.running() as made:
        yield made


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
    before = victim.container()
    with Visitors() as visitors:
        waits = sorted(one_kill(victim, number, chance) for number in range(times))
    assert visitors.failures == []
    assert visitors.sent > times
    after = victim.container()
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
