"""How much of its quotas one namespace uses, kept up to date object by object.

Pure. What is stored is `learned` and `forgotten`; what a write under way would add is `reserved` until it is stored or
refused, so that writes at the same time cannot share the last free place. An object counts once, by its uid: while it
is reserved by what was reserved, else by what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import amounts, quota_usage
from dabbawala.cluster.apiserver.amounts import NONE, Amount


class Charge(NamedTuple):
    """What one object adds: quota name -> resource name -> amount."""

    resource: str
    by_quota: Mapping[str, Mapping[str, Amount]]


@dataclass(slots=True)
class Quota:
    """One ResourceQuota and what is used of it."""

    name: str
    spec: Object
    hard: dict[str, Amount]
    terms: list[Object]
    used: dict[str, Amount]

    @classmethod
    def of(cls, obj: Object) -> Quota:
        spec = obj.get("spec") or {}
        hard = amounts.read(spec.get("hard"))
        return cls(meta.name(obj), spec, hard, quota_usage.scopes(spec), dict.fromkeys(hard, NONE))

    def is_about(self, resource: str, obj: Object) -> bool:
        return quota_usage.is_about(self.terms, resource, obj)

    def status(self) -> Object:
        """As the API shows it."""
        return {
            "hard": {name: str(amount) for name, amount in self.hard.items()},
            "used": {name: str(amount) for name, amount in self.used.items()},
        }


@dataclass(slots=True)
class Ledger:
    """The quotas of a namespace. `resources` are those whose objects count; `is_moved` says that what is used has
    changed since somebody last took that back."""

    quotas: list[Quota]
    resources: set[str] = field(init=False)
    is_moved: bool = True
    _stored: dict[str, Charge] = field(default_factory=dict)
    _reserved: dict[str, list[Charge]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quotas.sort(key=lambda quota: quota.name)
        self.resources = quota_usage.counted_by(name for quota in self.quotas for name in quota.hard)

    def spec(self, name: str) -> Object | None:
        return next((quota.spec for quota in self.quotas if quota.name == name), None)

    def charge(self, resource: str, obj: Object) -> Charge:
        """What the object counts for in the quotas that are about it."""
        usage = quota_usage.usage(resource, obj)
        about = [quota for quota in self.quotas if quota.is_about(resource, obj)]
        return Charge(
            resource,
            {quota.name: {name: usage[name] for name in quota.hard if name in usage} for quota in about},
        )

    def learn(self, uid: str, charge: Charge) -> None:
        before = self._counted(uid)
        self._stored[uid] = charge
        self._move(before, self._counted(uid))

    def forget(self, uid: str) -> None:
        before = self._counted(uid)
        self._stored.pop(uid, None)
        self._move(before, self._counted(uid))

    def reserve(self, uid: str, charge: Charge) -> None:
        before = self._counted(uid)
        self._reserved.setdefault(uid, []).append(charge)
        self._move(before, self._counted(uid))

    def release(self, uid: str, charge: Charge) -> None:
        before = self._counted(uid)
        held = self._reserved.get(uid, [])
        if charge in held:
            held.remove(charge)
        if not held:
            self._reserved.pop(uid, None)
        self._move(before, self._counted(uid))

    def added(self, uid: str, charge: Charge) -> Iterator[tuple[Quota, dict[str, Amount]]]:
        """For each quota concerned what the object would add to what it counts for now."""
        counted = self._counted(uid)
        for quota in self.quotas:
            wanted = charge.by_quota.get(quota.name)
            if wanted is not None:
                had = counted.by_quota.get(quota.name, {}) if counted else {}
                more = {name: amount.minus(had.get(name, NONE)) for name, amount in wanted.items()}
                yield quota, {name: amount for name, amount in more.items() if amount.number > 0}

    def _counted(self, uid: str) -> Charge | None:
        held = self._reserved.get(uid)
        return held[-1] if held else self._stored.get(uid)

    def _move(self, before: Charge | None, after: Charge | None) -> None:
        if before == after:
            return
        self.is_moved = True
        for quota in self.quotas:
            for name, amount in (before.by_quota.get(quota.name, {}) if before else {}).items():
                quota.used[name] = quota.used[name].minus(amount)
            for name, amount in (after.by_quota.get(quota.name, {}) if after else {}).items():
                quota.used[name] = quota.used[name].plus(amount)
