"""Amounts of resources as admission counts them: exact numbers that remember how they were written.

A sum is written as its first part was, so that messages and status say `1536Mi` and not 1610612736. What a pod takes is
the sum over its containers, or the most that any init container takes at its time, with sidecars counted throughout.
Source: apimachinery/pkg/api/resource (Quantity.Add), component-helpers/resource (PodRequests, PodLimits), KEP-753.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from dabbawala.apimachinery import quantity
from dabbawala.apimachinery.meta import Object


class Amount(NamedTuple):
    number: Decimal
    family: str = "decimal"

    def plus(self, other: Amount) -> Amount:
        return Amount(self.number + other.number, self.family if self.number else other.family)

    def minus(self, other: Amount) -> Amount:
        return Amount(self.number - other.number, self.family)

    def __str__(self) -> str:
        return quantity.format_quantity(self.number, self.family)


Amounts = Mapping[str, Amount]
NONE, ONE = Amount(Decimal(0)), Amount(Decimal(1))


def count(number: int) -> Amount:
    return Amount(Decimal(number))


def read(given: Mapping[str, Any] | None) -> dict[str, Amount]:
    """Quantities by name; what is no quantity is left for validation to name."""
    return {
        name: Amount(quantity.parse(value), quantity.family(value))
        for name, value in (given or {}).items()
        if quantity.is_valid(value)
    }


def total(parts: Iterable[Amounts]) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = found.get(name, NONE).plus(amount)
    return found


def most(left: Amounts, right: Amounts) -> dict[str, Amount]:
    return {name: max(left.get(name, NONE), right.get(name, NONE)) for name in {**left, **right}}


def written(amounts: Amounts) -> str:
    """`limits.cpu=1,pods=2`, as refusals have it."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def of_container(container: Object, field: str) -> dict[str, Amount]:
    """`field` is `requests` or `limits`."""
    return read((container.get("resources") or {}).get(field))


def of_pod(spec: Object, field: str, *, overhead: bool = True) -> dict[str, Amount]:
    """What a pod requests, or is limited to. Overhead is added to every request, and to limits that there are."""
    sidecars: dict[str, Amount] = {}
    peak: dict[str, Amount] = {}
    for container in spec.get("initContainers") or ():
        own = of_container(container, field)
        if container.get("restartPolicy") == "Always":
            sidecars = total((sidecars, own))
            peak = most(peak, sidecars)
        else:
            peak = most(peak, total((own, sidecars)))
    running = total([*(of_container(item, field) for item in spec.get("containers") or ()), sidecars])
    found = most(running, peak)
    beside = read(spec.get("overhead")) if overhead else {}
    if field == "limits":
        beside = {name: amount for name, amount in beside.items() if name in found}
    return total((found, beside))
