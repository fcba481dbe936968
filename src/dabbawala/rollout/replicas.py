"""Moving two sets of pods toward their counts in one turn, without ever having too many or too few.

Pure arithmetic on specs and availability; what is asked for comes from `weights`. Source: Argo Rollouts,
utils/replicaset/canary.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dabbawala.rollout.weights import Counts


@dataclass(frozen=True, slots=True)
class Side:
    """A set's pods: as asked for, available, and there (which is more than asked for while a set shrinks)."""

    spec: int
    available: int
    there: int = 0

    def counted(self, *, by_spec: bool) -> int:
        """What this side is sure to contribute. One that is shrinking already counts only what will remain."""
        return self.spec if by_spec or self.spec < self.available else self.available


@dataclass(frozen=True, slots=True)
class Limits:
    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def fewest_available(self) -> int:
        return self.replicas - self.unavailable


def move(target: Counts, canary: Side, stable: Side, others: Sequence[Side], limits: Limits) -> Counts:
    """The specs for this turn. Growth comes first and the stable side before the canary; nothing shrinks while
    other sets still have pods, for those go down first."""
    grown = _grow(target, canary, stable, others, limits)
    if any(side.spec > 0 for side in others):
        return grown
    rising = target.canary >= canary.spec
    sure = canary.counted(by_spec=not rising) + stable.counted(by_spec=rising)
    allowed = sure - limits.fewest_available
    if allowed <= 0:
        return grown
    drained, kept = (stable, canary) if rising else (canary, stable)
    goal, low = (target.stable, grown.stable) if rising else (target.canary, grown.canary)
    high = grown.canary if rising else grown.stable
    if drained.spec > goal:
        low = max(goal, drained.spec - allowed)
    low, high = _clamp(low, high, kept, limits)
    return Counts(high, low) if rising else Counts(low, high)


def _grow(target: Counts, canary: Side, stable: Side, others: Sequence[Side], limits: Limits) -> Counts:
    budget = limits.most - sum(max(side.spec, side.there) for side in (canary, stable, *others))
    more_stable = max(0, min(target.stable - stable.spec, budget))
    more_canary = max(0, min(target.canary - canary.spec, budget - more_stable))
    return Counts(canary.spec + more_canary, stable.spec + more_stable)


def _clamp(low: int, high: int, kept: Side, limits: Limits) -> tuple[int, int]:
    """`low` of the drained side and `high` of the kept side, with their sum within bounds: the excess comes off the
    kept side, unless too few pods would then be available; in that case off the drained one, as far as it may."""
    excess = low + high - limits.most
    if excess <= 0:
        return low, high
    if low + min(high - excess, kept.available) >= limits.fewest_available:
        return low, max(0, high - excess)
    spare = low - max(0, limits.fewest_available - kept.available)
    return low - min(excess, max(0, spare)), high


def shrink_others(others: Sequence[Side], available: int, limits: Limits) -> list[int]:
    """New specs of the sets that are neither new nor stable, given oldest first. Pods that are not available go at
    once and free of charge; the rest as far as enough pods remain available."""
    specs = [min(side.spec, side.available) for side in others]
    budget = available - limits.fewest_available
    for position, spec in enumerate(specs):
        taken = max(0, min(spec, budget))
        specs[position] -= taken
        budget -= taken
    return specs
