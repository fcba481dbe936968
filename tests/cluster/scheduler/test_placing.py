"""Which node a pod gets, and in which words it is told that it gets none."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.scheduler.needs import class_of, needs_of
from dabbawala.cluster.scheduler.plan import Decision, place_class
from dabbawala.cluster.scheduler.snapshot import Snapshot, placed
from dabbawala.cluster.scheduler.volumes import NONE, Volumes

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def node(name: str, *, cpu: str = "4", pods: str = "110", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    status = {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}}
    return {"metadata": {"name": name, "labels": {HOST: name, **(labels or {})}}, "spec": spec, "status": status}


def pod(name: str, *, cpu: str = "1", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}, **spec.pop("container", {})}
    metadata = {"name": name, "namespace": "shop", "uid": name, "labels": labels or {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def snapshot(*nodes: Object) -> Snapshot:
    made = Snapshot()
    for item in nodes:
        made.set_node(item)
    return made


def place(world: Snapshot, *pods: Object, volumes: Volumes = NONE) -> list[Decision]:
    return place_class(pods, needs_of(pods[0]), volumes, world)


def message(world: Snapshot, item: Object) -> str:
    (decision,) = place(world, item)
    assert not decision.node
    return decision.message


def test_the_message_counts_nodes_by_reason_in_kubernetes_words() -> None:
    taint = {"key": "team", "value": "pay", "effect": "NoSchedule"}
    world = snapshot(node("a"), node("b"), node("c", taints=[taint]), node("d", unschedulable=True))
    assert message(world, pod("big", cpu="5")).startswith(
        "0/4 nodes are available: 1 node(s) had untolerated taint {team: pay}, 1 node(s) were unschedulable, "
        "2 Insufficient cpu. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
    )


def test_without_nodes_the_message_says_so() -> None:
    assert message(snapshot(), pod("p")) == "no nodes available to schedule pods"


def test_a_node_that_lacks_two_resources_is_counted_under_both() -> None:
    world = snapshot(node("a", cpu="1", pods="0"))
    assert "1 Insufficient cpu, 1 Too many pods" in message(world, pod("p", cpu="2"))


def test_replicas_spread_over_equal_nodes() -> None:
    world = snapshot(*(node(name) for name in "abc"))
    chosen = [decision.node for decision in place(world, *(pod(f"p{n}") for n in range(6)))]
    assert sorted(chosen) == ["a", "a", "b", "b", "c", "c"]


def test_pods_that_do_not_fit_any_more_share_one_message() -> None:
    world = snapshot(node("a", cpu="2"))
    decisions = place(world, *(pod(f"p{n}") for n in range(4)))
    assert [decision.node for decision in decisions] == ["a", "a", "", ""]
    assert decisions[2].message == decisions[3].message


def test_required_affinity_and_selectors_keep_pods_off_other_nodes() -> None:
    world = snapshot(node("a", labels={"disk": "ssd"}), node("b"))
    assert place(world, pod("p", nodeSelector={"disk": "ssd"}))[0].node == "a"
    assert "2 node(s) didn't match Pod's node affinity/selector" in message(world, pod("q", nodeSelector={"disk": "x"}))


def test_preferred_affinity_outweighs_free_room() -> None:
    world = snapshot(node("a", cpu="64"), node("b", labels={"fast": "yes"}))
    term = {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "preference": term}]}
    assert place(world, pod("p", affinity={"nodeAffinity": preferred}))[0].node == "b"


def test_tolerated_taints_do_not_matter_and_soft_ones_are_avoided() -> None:
    soft = {"key": "old", "effect": "PreferNoSchedule"}
    hard = {"key": "team", "value": "pay", "effect": "NoSchedule"}
    world = snapshot(node("a", taints=[soft]), node("b", taints=[hard]))
    toleration = {"key": "team", "operator": "Equal", "value": "pay"}
    assert place(world, pod("p", tolerations=[toleration]))[0].node == "b"
    assert place(world, pod("q"))[0].node == "a"


def test_host_ports_are_taken_once() -> None:
    ports = {"ports": [{"containerPort": 80, "hostPort": 80}]}
    world = snapshot(node("a"))
    assert place(world, pod("p", container=ports))[0].node == "a"
    assert "didn't have free ports for the requested pod ports" in message(world, pod("q", container=ports))


def anti(app: str, topology: str = HOST) -> Object:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": topology}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_anti_affinity_puts_one_on_each_node_and_guards_those_that_are_there() -> None:
    world = snapshot(node("a"), node("b"))
    decisions = place(world, *(pod(f"p{n}", affinity=anti("web")) for n in range(3)))
    assert sorted(decision.node for decision in decisions) == ["", "a", "b"]
    assert "2 node(s) didn't match pod anti-affinity rules" in decisions[-1].message or (
        "2 node(s) didn't satisfy existing pods anti-affinity rules" in decisions[-1].message
    )
    assert "2 node(s) didn't satisfy existing pods anti-affinity rules" in message(world, pod("plain"))


def test_the_first_of_a_group_that_wants_its_own_company_may_go_anywhere() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": ZONE}
    together = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    world = snapshot(*(node(name, labels={ZONE: zone}) for name, zone in (("a", "1"), ("b", "1"), ("c", "2"))))
    decisions = place(world, *(pod(f"p{n}", affinity=together) for n in range(4)))
    zones = {"1" if decision.node in "ab" else "2" for decision in decisions}
    assert len(zones) == 1


def test_topology_spread_keeps_zones_even() -> None:
    world = snapshot(*(node(f"n{n}", cpu="64", labels={ZONE: "x" if n else "y"}) for n in range(4)))
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    decisions = place(world, *(pod(f"p{n}", topologySpreadConstraints=[constraint]) for n in range(8)))
    assert sum(decision.node == "n0" for decision in decisions) == 4


def test_a_claim_that_is_missing_stops_the_pod_on_every_node() -> None:
    world = snapshot(node("a"), node("b"))
    (decision,) = place(world, pod("p"), volumes=Volumes(problem='persistentvolumeclaim "data" not found'))
    assert decision.message == '0/2 nodes are available: 2 persistentvolumeclaim "data" not found.'


def test_a_more_important_pod_evicts_the_fewest_and_least_important() -> None:
    world = snapshot(node("a", cpu="2"), node("b", cpu="2"))
    for name, where, priority in (("low", "a", 1), ("mid", "a", 5), ("x", "b", 5), ("y", "b", 5)):
        world.place(placed(pod(name, priority=priority)), where)
    (decision,) = place(world, pod("vip", priority=100))
    assert decision.nominated == "a"
    assert [victim.uid for victim in decision.victims] == ["low"]


def test_room_made_for_a_nominated_pod_is_not_given_to_a_lesser_one() -> None:
    world = snapshot(node("a", cpu="2"))
    world.place(placed(pod("low", cpu="2", priority=1)), "a")
    place(world, pod("vip", cpu="2", priority=100))
    world.remove("low")
    assert not place(world, pod("late", cpu="1", priority=1))[0].node
    assert place(world, pod("vip", cpu="2", priority=100))[0].node == "a"


def test_while_victims_are_on_their_way_out_nobody_else_has_to_go() -> None:
    world = snapshot(node("a", cpu="1"), node("b", cpu="1"))
    leaving = pod("low", priority=1)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.place(placed(leaving), "a")
    world.place(placed(pod("other", priority=0)), "b")
    vip = pod("vip", priority=100)
    vip["status"] = {"nominatedNodeName": "a"}
    (decision,) = place(world, vip)
    assert decision.victims == ()
    assert decision.message.endswith("not eligible due to a terminating pod on the nominated node.")


def test_who_may_not_preempt_is_told_so() -> None:
    world = snapshot(node("a", cpu="1"))
    world.place(placed(pod("low", priority=1)), "a")
    text = message(world, pod("vip", priority=100, preemptionPolicy="Never"))
    assert text.endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_sidecars_and_init_containers_count_as_kubernetes_counts_them() -> None:
    def container(cpu: str, **more: str) -> Object:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1")],
        "initContainers": [container("500m", restartPolicy="Always"), container("3")],
        "overhead": {"cpu": "250m"},
    }
    assert needs_of({"metadata": {}, "spec": spec}).request.amounts["cpu"] == 3750


def test_a_runtime_class_adds_its_overhead_and_its_selector() -> None:
    runtime = {"overhead": {"podFixed": {"cpu": "1"}}, "scheduling": {"nodeSelector": {"runtime": "vm"}}}
    needs = needs_of(pod("p"), runtime)
    assert needs.request.amounts["cpu"] == 2000
    assert needs.nodes.labels == {"runtime": "vm"}


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    groups=st.lists(st.tuples(st.integers(100, 2000), st.integers(1, 12)), min_size=1, max_size=4),
)
def test_no_node_ever_holds_more_than_it_has_and_nobody_waits_while_there_is_room(
    sizes: list[int], groups: list[tuple[int, int]]
) -> None:
    world = snapshot(*(node(f"n{n}", cpu=str(size), pods="6") for n, size in enumerate(sizes)))
    for number, (cpu, count) in enumerate(groups):
        pods = [pod(f"g{number}-{n}", cpu=f"{cpu}m", labels={"group": str(number)}) for n in range(count)]
        assert len({class_of(item) for item in pods}) == 1
        decisions = place(world, *pods)
        for state in world.nodes():
            assert state.taken["cpu"] <= state.capacity["cpu"]
            assert len(state.pods) <= state.capacity["pods"]
        if any(not decision.node for decision in decisions):
            for state in world.nodes():
                full = len(state.pods) == state.capacity["pods"]
                assert full or state.taken["cpu"] + cpu > state.capacity["cpu"]
