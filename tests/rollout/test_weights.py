"""What a weight means in pods: Argo's rule as a table, and laws on all other numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as any_

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import replicas, spec, weights
from dabbawala.rollout.replicas import Limits, Side
from dabbawala.rollout.weights import Counts

SPLITS = """
0 0 0 0/0     0 50 0 0/0     0 100 1 0/0    1 0 0 0/1     1 1 0 0/1      1 49 0 0/1    1 50 0 1/0    1 99 0 1/0
1 100 0 1/0   1 0 1 0/1      1 1 1 1/1      1 5 1 1/1     1 49 1 1/1     1 50 1 1/1    1 99 1 1/1    1 100 1 1/0
2 0 0 0/2     2 1 0 1/1      2 50 0 1/1     2 99 0 1/1    2 100 0 2/0    2 1 1 1/2     2 50 1 1/1    2 99 1 2/1
3 10 0 1/2    3 25 0 1/2     3 33 0 1/2     3 49 0 1/2    3 50 0 2/1     3 10 1 1/3    3 25 1 1/3    3 33 1 1/2
3 34 1 1/2    3 49 1 2/2     3 50 1 2/2     4 12 0 1/3    4 25 0 1/3     4 37 0 1/3    4 38 0 2/2    4 62 0 2/2
4 63 0 3/1    4 75 0 3/1     4 99 0 3/1     4 20 1 1/4    4 25 1 1/3     4 80 1 4/1    5 1 0 1/4     5 99 1 5/1
5 20 0 1/4    5 30 0 2/3     5 29 0 1/4     5 50 0 3/2    5 50 1 3/3     7 10 0 1/6    7 50 0 4/3    7 90 0 6/1
7 10 1 1/7    7 14 1 1/6     7 90 1 7/1     10 0 0 0/10   10 1 0 1/9     10 14 0 1/9   10 15 0 2/8   10 16 0 2/8
10 24 0 2/8   10 25 0 3/7    10 99 0 9/1    10 100 0 10/0 10 0 1 0/10    10 1 1 1/10   10 5 1 1/10   10 10 1 1/9
10 18 1 2/9   10 19 1 2/9    10 20 1 2/8    10 23 1 2/8   10 24 1 3/8    10 25 1 3/8   10 99 1 10/1  10 100 1 10/0
100 1 0 1/99  100 33 0 33/67 100 99 0 99/1  200 1 0 2/198 200 5 1 10/190 200 33 0 66/134 1000 5 0 50/950
1000 75 1 750/250 1000 1 1 10/990 999 50 0 500/499 999 50 1 500/500 3 99 0 2/1
"""
"""replicas weight surge canary/stable."""

MOVES = """
10 3 0 10/0 7/8 6/3 -> 6/7   10 2 0 2/8 10/10 0/0 -> 2/10   10 2 0 2/8 10/10 2/2 -> 2/8
10 2 0 3/7 10/10 0/0 -> 2/10   10 0 2 2/8 10/10 0/0 -> 0/8   10 0 2 3/7 10/10 0/0 -> 0/8
10 2 1 5/5 10/10 0/0 -> 2/9   10 1 1 0/10 10/10 1/1 -> 0/10   10 1 1 10/0 1/1 10/10 -> 10/0
1 1 0 1/1 1/1 0/0 -> 1/1   1 0 1 1/0 1/1 0/0 -> 0/0   1 0 1 1/0 0/0 0/0 -> 1/0
10 0 3 3/7 8/5 4/4 -> 3/7   10 1 0 10/0 10/2 10/8 -> 9/2   10 0 1 1/9 10/10 0/0 -> 0/9
10 0 1 1/9 9/9 0/0 -> 1/9   4 1 0 4/0 4/1 0/0 -> 1/4   4 1 0 4/0 4/1 1/1 -> 1/3
4 1 0 0/4 0/0 4/4 -> 4/1   4 1 0 0/4 1/0 4/4 -> 4/1   4 1 0 0/4 1/1 4/4 -> 3/1
4 4 4 4/0 4/4 0/0 -> 4/0   4 3 0 4/0 4/4 0/0 -> 3/4   3 0 2 2/1 3/3 0/0 -> 0/1
3 0 2 2/1 1/1 0/0 -> 2/1   5 1 0 5/0 5/5 0/0 -> 1/5   5 1 0 5/0 5/5 1/1 -> 1/4
5 1 0 5/0 4/4 1/1 -> 2/4   5 1 0 5/0 0/0 5/5 -> 5/0   5 2 1 3/3 5/5 0/0 -> 2/4
5 0 0 5/0 5/5 0/0 -> 0/5   6 2 0 3/3 6/6 2/0 -> 2/6
"""
"""replicas surge unavailable target(canary/stable) stable(spec/available) canary(spec/available) -> canary/stable."""


def pair(text: str) -> tuple[int, int]:
    left, right = text.split("/")
    return int(left), int(right)


def splits() -> list[tuple[int, int, int, tuple[int, int]]]:
    words = SPLITS.split()
    return [
        (int(words[at]), int(words[at + 1]), int(words[at + 2]), pair(words[at + 3])) for at in range(0, len(words), 4)
    ]


def moves() -> list[Any]:
    words = MOVES.split()
    rows = [words[at : at + 8] for at in range(0, len(words), 8)]
    return [(*map(int, row[:3]), pair(row[3]), pair(row[4]), pair(row[5]), pair(row[7])) for row in rows]


def test_the_tables_have_at_least_ninety_rows() -> None:
    assert len(splits()) + len(moves()) >= 120


@pytest.mark.parametrize(("count", "weight", "surge", "expected"), splits())
def test_a_weight_is_split_into_pods(count: int, weight: int, surge: int, expected: tuple[int, int]) -> None:
    assert weights.basic_counts(count, weight, surge) == expected


@pytest.mark.parametrize(("count", "surge", "unavailable", "target", "stable", "canary", "expected"), moves())
def test_pods_move_toward_a_split_within_bounds(
    count: int, surge: int, unavailable: int, target: Any, stable: Any, canary: Any, expected: Any
) -> None:
    limits = Limits(count, surge, unavailable)
    assert replicas.move(Counts(*target), Side(*canary), Side(*stable), [], limits) == expected


def test_other_sets_go_down_before_stable_or_canary_do() -> None:
    limits = Limits(10, 1, 0)
    others = [Side(3, 3)]
    assert replicas.move(Counts(3, 7), Side(0, 0), Side(1, 1), others, limits) == (1, 7)
    assert replicas.move(Counts(3, 7), Side(4, 2), Side(8, 6), others, Limits(10, 0, 1)) == (4, 8)
    assert replicas.shrink_others([Side(3, 3)], 5, Limits(4, 1, 0)) == [2]
    assert replicas.shrink_others([Side(3, 1), Side(2, 2)], 5, Limits(4, 1, 1)) == [0, 1]


sizes = any_.integers(0, 30)


@example(5, 90, 0)
@given(sizes, any_.integers(0, 100), any_.integers(0, 3))
def test_a_split_comes_as_near_as_any_other_and_erases_no_side(count: int, weight: int, surge: int) -> None:
    canary, stable = weights.basic_counts(count, weight, surge)
    assert canary >= 0
    assert stable >= 0
    assert canary + stable in ({count, count + 1} if surge else {count})
    if weight in (0, 100):
        assert (stable if weight else canary) == 0
    elif count + surge > 1 and count:
        assert canary > 0
        assert stable > 0


@given(any_.data(), sizes, any_.integers(0, 5), any_.integers(0, 5), any_.integers(0, 100))
def test_a_move_never_has_too_many_pods_nor_shrinks_below_what_must_be_available(
    data: any_.DataObject, count: int, surge: int, unavailable: int, weight: int
) -> None:
    limits = Limits(count, surge, min(unavailable, count) or (0 if surge else 1))
    target = weights.basic_counts(count, weight, surge)
    stable_spec = data.draw(any_.integers(0, limits.most))
    canary_spec = data.draw(any_.integers(0, limits.most - stable_spec))
    stable = Side(stable_spec, data.draw(any_.integers(0, stable_spec)))
    canary = Side(canary_spec, data.draw(any_.integers(0, canary_spec)))
    moved = replicas.move(target, canary, stable, [], limits)
    assert sum(moved) <= limits.most
    assert min(moved) >= 0
    rising = target.canary >= canary.spec
    before = canary.counted(by_spec=not rising) + stable.counted(by_spec=rising)
    lost = max(0, stable.spec - moved.stable) if rising else max(0, canary.spec - moved.canary)
    assert before - lost >= min(before, limits.fewest_available)


@given(sizes, any_.integers(0, 5), any_.integers(0, 5), any_.integers(0, 100))
def test_moves_reach_the_split_in_bounded_turns_when_pods_become_ready(
    count: int, surge: int, unavailable: int, weight: int
) -> None:
    limits = Limits(count, surge, min(unavailable, count) or (0 if surge else 1))
    target = weights.basic_counts(count, weight, surge)
    canary, stable = 0, count
    for _ in range(2 * count + 4):
        moved = replicas.move(target, Side(canary, canary), Side(stable, stable), [], limits)
        if moved == (canary, stable):
            break
        canary, stable = moved
    assert (canary, stable) == target


# Behind a router.


def routed(*steps: Object, replicas: int = 10, index: int = 0, **more: Any) -> Object:
    status = {"currentPodHash": "new", "stableRS": "old", "currentStepIndex": index, **more.pop("status", {})}
    canary = {"steps": list(steps), "trafficRouting": {"istio": {}}, **more}
    return {"spec": {"replicas": replicas, "strategy": {"canary": canary}}, "status": status}


ROUTED = [
    (routed({"setWeight": 10}), 100, (1, 10)),
    (routed({"setWeight": 5}), 100, (1, 10)),
    (routed({"setWeight": 25}), 100, (3, 10)),
    (routed({"setWeight": 33}), 100, (4, 10)),
    (routed({"setWeight": 99}), 100, (10, 10)),
    (routed({"setWeight": 100}), 100, (10, 10)),
    (routed({"setWeight": 5}, replicas=1000), 100, (50, 1000)),
    (routed({"setWeight": 5}, minPodsPerReplicaSet=2), 100, (2, 10)),
    (routed({"setWeight": 5}, minPodsPerReplicaSet=20), 100, (10, 10)),
    (routed({"pause": {}}, minPodsPerReplicaSet=2), 100, (0, 10)),
    (routed({"setCanaryScale": {"replicas": 9}}, replicas=1), 100, (9, 1)),
    (routed({"setCanaryScale": {"weight": 200}}, replicas=4), 100, (8, 4)),
    (routed({"setWeight": 20}, {"setCanaryScale": {"replicas": 7}}, index=1), 100, (7, 10)),
    (routed({"setCanaryScale": {"replicas": 7}}, {"setWeight": 20}, index=1), 100, (7, 10)),
    (routed({"setCanaryScale": {"replicas": 7}}, {"setCanaryScale": {"matchTrafficWeight": True}},
            {"setWeight": 20}, index=2), 100, (2, 10)),
    (routed({"setWeight": 20}, index=1), 100, (10, 10)),
    (routed({"setWeight": 20}, status={"promoteFull": True}), 100, (10, 10)),
    (routed({"setCanaryScale": {"replicas": 1}}, replicas=1, status={"abort": True}), 100, (0, 1)),
    (routed({"setCanaryScale": {"replicas": 1}}, replicas=1, status={"abort": True},
            abortScaleDownDelaySeconds=0), 100, (1, 1)),
    (routed({"setWeight": 10}, dynamicStableScale=True), 90, (1, 9)),
    (routed({"setWeight": 20}, dynamicStableScale=True), 90, (2, 9)),
    (routed({"setWeight": 60}, dynamicStableScale=True), 40, (6, 4)),
    (routed({"setWeight": 20}, dynamicStableScale=True, status={"abort": True}), 80, (2, 10)),
    (routed({"setWeight": 10}, dynamicStableScale=True, status={"abort": True}), 90, (1, 10)),
]  # fmt: skip


@pytest.mark.parametrize(("rollout", "actual_stable", "expected"), ROUTED)
def test_counts_behind_a_router(rollout: Object, actual_stable: int, expected: tuple[int, int]) -> None:
    assert weights.routed_counts(rollout, actual_stable) == expected


@pytest.mark.parametrize(
    ("value", "count", "up", "expected"),
    [("25%", 10, True, 3), ("25%", 10, False, 2), ("25", 10, True, 3), (2, 10, True, 2), ("0%", 10, True, 0)],
)
def test_shares_are_numbers_or_percentages(value: int | str, count: int, up: bool, expected: int) -> None:
    assert spec.share(value, count, up=up) == expected


def test_neither_surge_nor_unavailable_would_be_a_standstill() -> None:
    body = {"spec": {"replicas": 10, "strategy": {"canary": {"maxSurge": "0%", "maxUnavailable": "0%"}}}}
    assert spec.surge_and_unavailable(body) == (0, 1)


@pytest.mark.parametrize(
    ("text", "seconds"), [(30, 30), ("30", 30), ("30s", 30), ("10m", 600), ("1h30m", 5400), ("500ms", 0.5), (None, 0)]
)
def test_durations(text: int | str | None, seconds: float) -> None:
    assert spec.seconds(text) == seconds


@pytest.mark.parametrize("text", ["soon", "1.2.3s", pytest.param("1" * 200_000 + "!", id="long")])
def test_a_duration_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        spec.seconds(text)


@given(any_.lists(any_.integers(0, 100), min_size=1, max_size=6), any_.integers(0, 6))
def test_the_weight_of_a_step_is_the_last_one_set(values: list[int], index: int) -> None:
    steps: list[Object] = [{"setWeight": value} for value in values]
    rollout = routed(*steps, index=index)
    assert weights.set_weight(rollout) == (values[index] if index < len(values) else 100)
