"""Laws of the kubelet's plan on random pods and random events: whatever happens, these hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import clock
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.actions import BeginStop, CreateSandbox, FinishDelete, Signal, StartContainer
from dabbawala.cluster.kubelet.memory import recall
from dabbawala.cluster.kubelet.plan import Settings, plan
from dabbawala.cluster.kubelet.pod_status import NodeFacts
from dabbawala.cluster.kubelet.runtimes.simulation import Paper
from tests.cluster.kubelet.pods import NOW, container, merge_status, pod

SETTINGS = Settings(NodeFacts("node-1", "10.42.1.1"))


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    policy = draw(st.sampled_from(["Always", "OnFailure", "Never"]))
    mains = [container(f"main{number}", lifecycle=draw(st.sampled_from(
        [{}, {"preStop": {"sleep": {"seconds": 1}}}, {"postStart": {"sleep": {"seconds": 1}}}]
    ))) for number in range(draw(st.integers(1, 3)))]  # fmt: skip
    inits = [container(f"init{number}", **draw(st.sampled_from([{}, {"restartPolicy": "Always"}])))
             for number in range(draw(st.integers(0, 3)))]  # fmt: skip
    made = pod(
        *mains, restartPolicy=policy, initContainers=inits, terminationGracePeriodSeconds=draw(st.integers(0, 9))
    )
    annotations = {}
    if draw(st.booleans()):
        annotations["simulated.dabbawala.dev/run-duration"] = f"{draw(st.integers(0, 20))}s"
        annotations["simulated.dabbawala.dev/exit-code"] = str(draw(st.integers(0, 1)))
    if draw(st.booleans()):
        annotations["simulated.dabbawala.dev/stop-delay"] = f"{draw(st.integers(0, 30))}s"
    made["metadata"]["annotations"] = annotations
    return made


@dataclass(slots=True)
class WatchedPaper(Paper):
    """A pod on paper of which every plan is looked at, also those in between."""

    look: Callable[[Any], None] = print

    def _perform(self, action: Any, told: Any) -> None:
        self.look(self.memory.observe())
        Paper._perform(self, action, told)


class Life:
    """One pod on paper, action by action, so that every plan on the way can be looked at."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.paper = WatchedPaper(obj, recall(obj, NOW, sandbox_alive=True), "10.128.0.1", NOW, self.check)
        self.pod = obj
        self.finished = False

    def look(self) -> None:
        for _ in range(8):
            observed = self.paper.memory.observe()
            self.check(observed)
            self.paper.pod = self.pod
            settled = self.paper.settle(SETTINGS)
            self.check(self.paper.memory.observe())
            self.finished = self.finished or settled.finish
            if settled.finish or settled.publish is None:
                return
            self.pod = merge_status(self.pod, settled.publish.changes)
        raise AssertionError("never rests")

    def check(self, observed: Any) -> None:
        """The laws of any single plan."""
        actions = plan(self.pod, observed, self.paper.now, SETTINGS).actions
        starts = [one.name for one in actions if isinstance(one, StartContainer)]
        stops = [one.name for one in actions if isinstance(one, BeginStop | Signal)]
        assert len(starts) == len(set(starts)), "a container is started twice"
        assert not set(starts) & set(stops), "a container is started and stopped at once"
        assert all(observed.running(name) is None for name in starts), "a running container is started"
        if starts:
            assert observed.sandbox is not None, "a container without a sandbox"
            assert observed.volumes.ready, "a container before its volumes"
        if self.pod["metadata"].get("deletionTimestamp") or pod_spec.is_terminal(self.pod):
            assert not starts, "something is started in a pod that leaves"
            assert not any(isinstance(one, CreateSandbox) for one in actions), "a sandbox for a pod that leaves"
        if any(isinstance(one, FinishDelete) for one in actions):
            assert not observed.any_running(), "deleted while something runs"
            assert observed.sandbox is None, "deleted before its sandbox"
        mains = {item["name"] for item in pod_spec.containers(self.pod)}
        if set(starts) & mains:
            for item in pod_spec.init_containers(self.pod):
                run = observed.last(item["name"])
                ended = run is not None and not run.is_running and run.exit_code == 0
                assert ended or pod_spec.is_sidecar(item), "an ordinary container before its init containers"

    def after(self, seconds: int) -> None:
        self.paper.now += timedelta(seconds=seconds)
        self.look()

    def delete(self) -> None:
        grace = pod_spec.grace_seconds(self.pod)
        deadline = clock.format_time(self.paper.now + timedelta(seconds=grace))
        marks = {"deletionTimestamp": deadline, "deletionGracePeriodSeconds": grace}
        self.pod = {**self.pod, "metadata": {**self.pod["metadata"], **marks}}

    def restart_agent(self) -> None:
        self.paper.memory = recall(self.pod, self.paper.now, sandbox_alive=True)


EVENTS = st.lists(st.one_of(st.integers(1, 400), st.just("restart agent")), max_size=12)


@settings(max_examples=150)
@given(pods(), EVENTS)
def test_whatever_happens_no_plan_breaks_a_law_and_a_deleted_pod_goes(obj: dict[str, Any], events: list[Any]) -> None:
    life = Life(obj)
    life.look()
    for event in events:
        if event == "restart agent":
            life.restart_agent()
            life.look()
        else:
            life.after(event)
        assert not life.finished
    life.delete()
    life.look()
    for _ in range(3 * 12):
        if life.finished:
            break
        life.after(1)
    assert life.finished, life.pod["status"]


@settings(max_examples=80)
@given(pods())
def test_a_pod_rests_once_nothing_happens(obj: dict[str, Any]) -> None:
    life = Life(obj)
    life.look()
    before = life.pod
    life.look()
    assert life.pod == before


@settings(max_examples=80)
@given(pods(), st.integers(1, 600))
def test_a_final_phase_stays(obj: dict[str, Any], seconds: int) -> None:
    life = Life(obj)
    life.look()
    phases = []
    for _ in range(6):
        life.after(seconds)
        phases.append(life.pod["status"]["phase"])
    for earlier, later in itertools.pairwise(phases):
        assert earlier not in ("Succeeded", "Failed") or later == earlier
