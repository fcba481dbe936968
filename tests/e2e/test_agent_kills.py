"""What a kill -9 of the node agent must not do: stop a pod, begin one twice, forget one, fail a request.

Pods come and go all the while, and the kill comes at a random instant, so that it meets an agent that has just begun a
pod, probes it, ends one, or rests. As in Kubernetes, a container that was only half begun may count one restart. The
soak run kills two hundred times, the ordinary run twenty.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from tests.e2e import clusters
from tests.e2e import victim as victims
from tests.e2e.clusters import until
from tests.e2e.victim import PODS, Victim, Visitors, fetch, is_ready, kill_and_await_successor

AGENT = "dabbawala.cluster.kubelet"
APP = "passing"
PORT = 31875
INSTANT_SECONDS_MAX = 3.0
SEED = 11


@pytest.fixture(scope="module")
def victim(process_pods: None) -> Iterator[Victim]:
    with victims.running() as made:
        victims.create_service(made, APP, PORT)
        yield made


def is_gone(victim: Victim, pod: str) -> bool:
    return victim.ask("GET", f"{PODS}/{pod}")[0] == 404


def end_pod(victim: Victim, pod: str) -> None:
    victim.ask("DELETE", f"{PODS}/{pod}", {"gracePeriodSeconds": 1})


def one_kill(victim: Victim, number: int, instant: float) -> int:
    """Begin a pod, end the one before, kill `instant` seconds later; returns the restarts that the new pod counts."""
    comes, goes = f"{APP}-{number}", f"{APP}-{number - 1}"
    victims.create_pod(victim, comes, APP)
    end_pod(victim, goes)
    threading.Event().wait(instant)
    kill_and_await_successor(victim, AGENT)
    until(f"{comes} is Ready", lambda: is_ready(victim, comes))
    until(f"{goes} is gone", lambda: is_gone(victim, goes))
    until("its Service answers", lambda: fetch(PORT) == "")
    restarts: int = victim.container(comes)["restartCount"]
    return restarts


def kill_often(victim: Victim, times: int) -> None:
    chance = random.Random(SEED)
    steady, running = victim.container(), len(clusters.processes(victim.dabba))
    with Visitors() as visitors:
        restarts = [one_kill(victim, number, chance.uniform(0, INSTANT_SECONDS_MAX)) for number in range(times)]
    end_pod(victim, f"{APP}-{times - 1}")
    until("the last pod is gone", lambda: is_gone(victim, f"{APP}-{times - 1}"))
    assert victim.container() == steady
    assert visitors.failures == []
    assert visitors.sent > times
    assert max(restarts) <= 1
    until("nothing of them is left", lambda: len(clusters.processes(victim.dabba)) <= running)
    print(f"{times} kills: {sum(restarts)} pods counted a restart; {visitors.sent} requests meanwhile, none failed")


@pytest.mark.timeout(300)
def test_twenty_kills_of_the_node_agent_stop_no_pod_and_forget_none(victim: Victim) -> None:
    kill_often(victim, 20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_of_the_node_agent_stop_no_pod_and_forget_none(victim: Victim) -> None:
    kill_often(victim, 200)
