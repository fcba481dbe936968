"""The order in which pods get their turn."""

from __future__ import annotations

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.scheduler.waiting import FLUSH_AFTER, WaitingPods


def pod(name: str, *, priority: int = 0, image: str = "web:1") -> Object:
    metadata = {"name": name, "namespace": "shop", "uid": name}
    return {"metadata": metadata, "spec": {"priority": priority, "containers": [{"name": "c", "image": image}]}}


def names(batch: list[Object]) -> list[str]:
    return [meta.name(item) for item in batch]


def test_equal_pods_come_together_and_the_more_important_first() -> None:
    waiting = WaitingPods(VirtualClock())
    for item in (pod("a"), pod("b", image="db:1"), pod("c"), pod("vip", priority=10)):
        waiting.put(item)
    assert [names(waiting.take()) for _ in range(4)] == [["vip"], ["a", "c"], ["b"], []]


def test_a_pod_that_failed_is_parked_until_something_moves_and_its_back_off_is_over() -> None:
    clock = VirtualClock()
    waiting = WaitingPods(clock)
    waiting.put(pod("a"))
    (item,) = waiting.take()
    waiting.failed(item, moves=waiting.moves)
    clock.advance(5)
    assert waiting.take() == []
    waiting.move()
    assert names(waiting.take()) == ["a"]
    waiting.failed(item, moves=waiting.moves - 1)
    assert waiting.take() == [], "what moved during the attempt counts, but the back-off holds"
    clock.advance(2)
    assert names(waiting.take()) == ["a"]


def test_a_parked_pod_is_tried_again_after_a_while_even_if_nothing_happens() -> None:
    clock = VirtualClock()
    waiting = WaitingPods(clock)
    waiting.put(pod("a"))
    waiting.failed(waiting.take()[0], moves=waiting.moves)
    clock.advance(FLUSH_AFTER + 1)
    assert names(waiting.take()) == ["a"]


def test_a_changed_pod_leaves_the_car_park_and_a_forgotten_one_never_comes() -> None:
    waiting = WaitingPods(VirtualClock())
    waiting.put(pod("a"))
    waiting.put(pod("b"))
    for item in waiting.take():
        waiting.failed(item, moves=waiting.moves)
    waiting.put(pod("a", image="web:2"))
    waiting.forget("b")
    waiting.move()
    assert names(waiting.take()) == ["a"]
    assert len(waiting) == 1
