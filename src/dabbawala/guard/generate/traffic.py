"""Who talks to whom: the form into which graphs, metrics and flow logs are brought before policies are made of them.

An end is a selection of pods, a range of addresses, or anybody. Pods that were seen are told apart by their labels: of
those that have the same nothing can be allowed to one and not to the other, so they are one workload. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dabbawala.apimachinery.meta import Object

Labels = tuple[tuple[str, str], ...]
NAME_LABEL = "kubernetes.io/metadata.name"
TELLING = (
    ("app.kubernetes.io/name",), ("app.kubernetes.io/name", "app.kubernetes.io/instance"),
    ("app.kubernetes.io/name", "app.kubernetes.io/component"),
    ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"),
    ("app",), ("k8s-app",), ("name",),
)  # fmt: skip
"""Labels by which people tell workloads apart; the first of these that do so are what a policy selects by."""
PASSING = frozenset({
    "pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash", "pod-template-generation",
    "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "controller-uid", "job-name",
    "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
})  # fmt: skip
"""Labels that controllers give to a generation of pods, or to one: a policy by these would not outlive it."""


@dataclass(frozen=True, slots=True, order=True)
class Pods:
    """Pods of a namespace, or of those that have labels: with labels, and without others. No labels: all of them."""

    namespace: str = ""
    labels: Labels = ()
    without: tuple[str, ...] = ()
    namespace_labels: Labels = ()

    @property
    def selector(self) -> Object:
        """As a LabelSelector."""
        found: Object = {"matchLabels": dict(self.labels)} if self.labels else {}
        if self.without:
            found["matchExpressions"] = [{"key": key, "operator": "DoesNotExist"} for key in self.without]
        return found

    @property
    def namespaces(self) -> Object:
        """The LabelSelector of their namespaces."""
        return {"matchLabels": {NAME_LABEL: self.namespace} if self.namespace else dict(self.namespace_labels)}

    def __str__(self) -> str:
        home = self.namespace or ",".join(f"{key}={value}" for key, value in self.namespace_labels)
        told = ",".join([*(f"{key}={value}" for key, value in self.labels), *(f"!{key}" for key in self.without)])
        return f"{home}/{told or '*'}"


@dataclass(frozen=True, slots=True, order=True)
class Addresses:
    """A range, without parts of it."""

    cidr: str
    excepted: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.cidr


@dataclass(frozen=True, slots=True, order=True)
class Anybody:
    """Every pod and every address."""

    def __str__(self) -> str:
        return "anybody"


End = Pods | Addresses | Anybody


class Port(NamedTuple):
    """A pod's port, by number or, as containers may call it, by name."""

    protocol: str
    number: int | str

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


class Flow(NamedTuple):
    """One end may ask the other for a port; for any where it is None."""

    source: End
    destination: End
    port: Port | None


class Workload(NamedTuple):
    """Pods that were seen, and cannot be told apart."""

    namespace: str
    labels: Labels


def labelled(labels: Mapping[str, str]) -> Labels:
    """What stays of a pod's labels when it is replaced."""
    return tuple(sorted((key, value) for key, value in labels.items() if key not in PASSING))


def selections(workloads: Collection[Workload]) -> dict[Workload, Pods]:
    """For each of the workloads what selects it and no other of them."""
    homes: dict[str, list[Workload]] = {}
    for workload in workloads:
        homes.setdefault(workload.namespace, []).append(workload)
    found: dict[Workload, Pods] = {}
    for all_here in homes.values():
        by_label = _Index(all_here)
        found.update({workload: by_label.selection(workload) for workload in all_here})
    return found


class _Index:
    """The workloads of a namespace, by label."""

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self._all = frozenset(workloads)
        self._with: dict[tuple[str, str], set[Workload]] = {}
        for workload in self._all:
            for label in workload.labels:
                self._with.setdefault(label, set()).add(workload)

    def selection(self, workload: Workload) -> Pods:
        own = dict(workload.labels)
        for keys in TELLING:
            if all(key in own for key in keys):
                labels = tuple((key, own[key]) for key in keys)
                if self._having(labels) == {workload}:
                    return Pods(workload.namespace, labels)
        others = self._having(workload.labels) - {workload}
        return Pods(workload.namespace, workload.labels, _without(own, others))

    def _having(self, labels: Labels) -> frozenset[Workload]:
        found = self._all
        for label in labels:
            found = found & self._with[label]
        return found


def _without(own: Mapping[str, str], others: Iterable[Workload]) -> tuple[str, ...]:
    """Keys of which each of the others, that have all labels of our own and more, has one."""
    chosen: set[str] = set()
    for other in sorted(others):
        further = {key for key, _ in other.labels if key not in own}
        if not further & chosen:
            chosen.add(min(further))
    return tuple(sorted(chosen))
