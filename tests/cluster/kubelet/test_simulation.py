"""Pods on paper: the production plan carried out without a process, on a clock that is moved by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.conditions import find
from dabbawala.cluster.kubelet.memory import recall
from dabbawala.cluster.kubelet.plan import Settings
from dabbawala.cluster.kubelet.pod_status import NodeFacts
from dabbawala.cluster.kubelet.runtimes.simulation import Paper, Settled
from tests.cluster.kubelet.pods import NOW, container, merge_status, pod

SETTINGS = Settings(NodeFacts("node-1", "10.42.1.1"))


class World:
    """One simulated pod and the API's copy of it."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.pod = obj
        self.memory = recall(obj, NOW, sandbox_alive=True)
        self.now = NOW
        self.writes = 0
        self.deleted = False
        self.wake: datetime | None = None
        self.look()

    def look(self) -> Settled:
        for _ in range(10):
            settled = Paper(self.pod, self.memory, "10.128.0.1", self.now).settle(SETTINGS)
            self.wake = settled.wake
            if settled.finish:
                self.deleted = True
                return settled
            if settled.publish is None:
                return settled
            self.writes += 1
            self.pod = merge_status(self.pod, settled.publish.changes)
        raise AssertionError("the pod's status never rests")

    def after(self, seconds: float) -> World:
        """Move time, looking whenever the pod asked to be looked at."""
        end = self.now + timedelta(seconds=seconds)
        while self.wake is not None and self.wake <= end:
            self.now = max(self.now, self.wake)
            self.look()
        self.now = end
        self.look()
        return self

    def forget(self) -> World:
        self.memory = recall(self.pod, self.now, sandbox_alive=True)
        return self

    def delete(self, grace: int = 30) -> World:
        deadline = clock.format_time(self.now + timedelta(seconds=grace))
        self.pod = {**self.pod, "metadata": {
            **self.pod["metadata"], "deletionTimestamp": deadline, "deletionGracePeriodSeconds": grace,
        }}  # fmt: skip
        self.look()
        return self

    @property
    def phase(self) -> str:
        return str(self.pod["status"]["phase"])

    def state(self, name: str = "web") -> dict[str, Any]:
        return dict(self.status_of(name)["state"])

    def status_of(self, name: str) -> dict[str, Any]:
        status = self.pod["status"]
        every = [*status.get("initContainerStatuses", []), *status["containerStatuses"]]
        return next(dict(one) for one in every if one["name"] == name)

    def condition(self, name: str) -> str:
        found = find(self.pod, name)
        return str(found["status"]) if found else "absent"


def test_a_bound_pod_becomes_ready_in_one_status_write() -> None:
    world = World(pod())
    assert (world.phase, world.writes) == ("Running", 1)
    assert world.condition("Ready") == "True"
    assert world.pod["status"]["podIP"] == "10.128.0.1"
    assert world.wake is None


def test_a_pod_that_rests_is_recalled_from_its_status_and_still_rests() -> None:
    world = World(pod()).forget()
    world.look()
    assert world.writes == 1


def test_readiness_waits_for_the_initial_delay() -> None:
    world = World(pod(container(readinessProbe={"initialDelaySeconds": 7})))
    assert world.condition("Ready") == "False"
    assert world.after(6).condition("Ready") == "False"
    assert world.after(1).condition("Ready") == "True"


def test_a_job_pod_succeeds_after_its_run() -> None:
    obj = pod(restartPolicy="Never")
    obj["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "j", "uid": "u", "controller": True}]
    world = World(obj)
    assert world.phase == "Running"
    assert world.after(1).phase == "Succeeded"
    assert world.state()["terminated"]["reason"] == "Completed"


def test_a_failing_pod_that_never_restarts_is_failed() -> None:
    obj = pod(restartPolicy="Never")
    obj["metadata"]["annotations"] = {
        "simulated.dabbawala.dev/run-duration": "2s",
        "simulated.dabbawala.dev/exit-code": "3",
    }
    world = World(obj).after(2)
    assert world.phase == "Failed"
    assert world.state()["terminated"]["exitCode"] == 3


def test_a_crashing_container_waits_twice_as_long_each_time_up_to_five_minutes() -> None:
    obj = pod()
    obj["metadata"]["annotations"] = {
        "simulated.dabbawala.dev/run-duration": "1s",
        "simulated.dabbawala.dev/exit-code": "1",
    }
    world = World(obj)
    restarts: list[float] = []
    for _ in range(9):
        count = world.status_of("web")["restartCount"]
        began = world.now
        while world.status_of("web")["restartCount"] == count:
            assert world.wake is not None
            world.after((world.wake - world.now).total_seconds())
        restarts.append((world.now - began).total_seconds())
    assert restarts == [1, 11, 21, 41, 81, 161, 301, 301, 301]


def test_a_crash_loop_shows_its_reason_and_its_last_state() -> None:
    obj = pod()
    obj["metadata"]["annotations"] = {"simulated.dabbawala.dev/run-duration": "1s"}
    world = World(obj).after(2.5)
    waiting = world.state()["waiting"]
    assert waiting["reason"] == "CrashLoopBackOff"
    assert waiting["message"] == "back-off 10s restarting failed container=web pod=web-1_default(uid-web-1)"
    assert world.status_of("web")["lastState"]["terminated"]["exitCode"] == 0
    assert world.phase == "Running"


def test_an_image_that_cannot_be_pulled_keeps_the_pod_pending() -> None:
    world = World(pod(container(image="webserver:404")))
    assert world.phase == "Pending"
    assert world.state()["waiting"]["reason"] == "ErrImagePull"
    assert world.after(11).state()["waiting"]["reason"] == "ImagePullBackOff"


def test_init_containers_run_in_order_before_the_others() -> None:
    world = World(pod(container(), initContainers=[container("one"), container("two")]))
    assert world.phase == "Running"
    assert world.state("one")["terminated"]["reason"] == "Completed"
    assert world.condition("Initialized") == "True"


def test_a_sidecar_keeps_running_and_ends_after_the_main_container() -> None:
    obj = pod(container(), restartPolicy="Never", initContainers=[container("mesh", restartPolicy="Always")])
    obj["metadata"]["annotations"] = {"simulated.dabbawala.dev/run-duration": "5s"}
    world = World(obj)
    assert "running" in world.state("mesh")
    world.after(5)
    assert world.phase == "Succeeded"
    assert "terminated" in world.state("mesh")


def test_a_deleted_pod_ends_and_gives_its_name_back() -> None:
    assert World(pod()).delete().deleted


def test_a_deleted_pod_that_is_slow_to_stop_is_killed_at_the_end_of_its_grace() -> None:
    obj = pod()
    obj["metadata"]["annotations"] = {"simulated.dabbawala.dev/stop-delay": "60s"}
    world = World(obj).delete(grace=10)
    assert not world.deleted
    assert world.condition("Ready") == "False"
    assert not world.after(9).deleted
    assert world.after(2).deleted


def test_a_pod_past_its_active_deadline_fails() -> None:
    world = World(pod(activeDeadlineSeconds=20))
    assert world.after(19).phase == "Running"
    assert world.after(1).phase == "Failed"
    assert world.pod["status"]["reason"] == "DeadlineExceeded"


def test_a_closed_readiness_gate_keeps_the_pod_unready_with_a_reason() -> None:
    world = World(pod(readinessGates=[{"conditionType": "example.com/ok"}]))
    found = find(world.pod, "Ready")
    assert found is not None
    assert found["reason"] == "ReadinessGatesNotReady"
    assert world.condition("ContainersReady") == "True"
