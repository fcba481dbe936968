"""All that one look at a service has seen: a value that the 42 items are judged by, here or years later from a file.

What was asked for and not seen is part of it: kinds that the cluster does not serve, or that we may not list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, readiness_v1alpha1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest
from dabbawala.readiness import canonical, chain
from dabbawala.readiness.chain import Chain
from dabbawala.readiness.evidence import CLOCK_SKEW, Evidence
from dabbawala.readiness.judgement import PROMETHEUS, Proof
from dabbawala.readiness.signing import Trust

WORKLOADS = (argoproj_v1alpha1.ROLLOUT, apps_v1.DEPLOYMENT, apps_v1.STATEFUL_SET, apps_v1.DAEMON_SET)
ENDED = frozenset({"Succeeded", "Failed"})
ANNOTATION = "readiness.dabbawala.dev/"
"""Before the settings of a service: on its workload, or on the namespace for all of it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A question to Prometheus or to the API server's metrics, and its answer. `problem` says why there is none;
    without a problem and a value, nothing has been measured yet."""

    query: str
    value: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Observed:
    """`objects` by resource; `hidden` says of a resource why it could not be read; one in neither is not served.
    `rules` are the alerting rules that Prometheus has loaded; None where it does not say."""

    service: str
    namespace: str
    now: datetime
    objects: Mapping[str, Sequence[Object]]
    hidden: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    rules: Sequence[Object] | None = None
    trust: Trust = field(default_factory=Trust)

    # What was seen

    def all(self, kind: Kind) -> Sequence[Object]:
        return self.objects.get(kind.resource, ())

    def unseen(self, kind: Kind) -> str:
        """Why nothing is known of a kind; empty when it was listed."""
        if kind.resource in self.objects:
            return ""
        return self.hidden.get(kind.resource) or f"the cluster does not serve {kind.resource}"

    def proof(self, obj: Object) -> Proof:
        where = f"{obj.get('kind', 'object')} {meta.key(obj)}"
        return Proof(where, clock.format_time(self.now), canonical.digest(obj))

    def answer(self, name: str) -> Measurement:
        return self.measurements.get(name) or Measurement("", problem="not asked")

    def measured(self, name: str) -> Proof:
        found = self.answer(name)
        said = {"query": found.query, "value": repr(found.value)}
        return Proof(f"{found.query} = {found.value}", clock.format_time(self.now), canonical.digest(said), PROMETHEUS)

    # The service

    @cached_property
    def workload(self) -> Object | None:
        """The workload of that name, or the one that the Service of that name leads to."""
        for kind in WORKLOADS:
            for obj in self.all(kind):
                if meta.name(obj) == self.service and meta.namespace(obj) == self.namespace:
                    return obj
        doors = [item for item in self.all(core_v1.SERVICE) if meta.name(item) == self.service]
        return next((obj for door in doors for obj in _behind(self, door)), None)

    @cached_property
    def template(self) -> Object:
        return {} if self.workload is None else _template(self, self.workload)

    @cached_property
    def containers(self) -> list[Object]:
        return list((self.template.get("spec") or {}).get("containers") or ())

    @cached_property
    def pods(self) -> list[Object]:
        """The workload's pods that have not ended."""
        selector = _lender(self, self.workload or {}).get("selector")
        try:
            chosen = selectors.from_label_selector(selector if isinstance(selector, dict) else None)
        except BadRequest:
            return []
        return [
            pod
            for pod in self.all(core_v1.POD)
            if meta.namespace(pod) == self.namespace
            and chosen.matches(meta.labels(pod))
            and (pod.get("status") or {}).get("phase") not in ENDED
            and not meta.is_deleting(pod)
        ]

    @cached_property
    def ready_pods(self) -> list[Object]:
        return [pod for pod in self.pods if _is_ready(pod)]

    @cached_property
    def services(self) -> list[Object]:
        """The Services that lead to the workload's pods, or would; a rollout narrows a selector to one revision."""
        return [item for item in self.all(core_v1.SERVICE) if _leads_here(self, item)]

    # What people said of it

    def setting(self, name: str) -> str:
        """An annotation of the workload, or else of the namespace."""
        own = meta.annotations(self.workload or {}).get(ANNOTATION + name)
        return own or meta.annotations(self.home).get(ANNOTATION + name, "")

    def target(self, name: str, default: float) -> float:
        """A limit that an annotation sets. Raises ValueError for what is no number, or one that limits nothing."""
        found = float(self.setting(name) or default)
        if not 0 <= found < math.inf:
            raise ValueError(f"{name} is {found:g}")
        return found

    @cached_property
    def home(self) -> Object:
        """The namespace's object; empty when it was not seen."""
        return next((obj for obj in self.all(core_v1.NAMESPACE) if meta.name(obj) == self.namespace), {})

    @cached_property
    def chain(self) -> Chain:
        found = [Evidence.of(obj) for obj in self.all(readiness_v1alpha1.EVIDENCE)]
        return chain.of(found, self.service, self.namespace)


def is_recent(observed: Observed, moment: datetime, age_max: timedelta) -> bool:
    """Whether something was so lately. What says that it will be so was not seen."""
    return -CLOCK_SKEW <= observed.now - moment <= age_max


def _behind(observed: Observed, service: Object) -> list[Object]:
    """The workloads that a Service leads to; one without a selector leads to none that we know of."""
    wanted = (service.get("spec") or {}).get("selector") or {}
    if not wanted:
        return []
    chosen = selectors.from_labels(wanted)
    return [
        obj
        for kind in WORKLOADS
        for obj in observed.all(kind)
        if meta.namespace(obj) == observed.namespace and chosen.matches(meta.labels(_template(observed, obj)))
    ]


def _template(observed: Observed, workload: Object) -> Object:
    return _lender(observed, workload).get("template") or {}


def _lender(observed: Observed, workload: Object) -> Object:
    """The spec with the template and selector: a Rollout may borrow them from a Deployment."""
    spec = workload.get("spec") or {}
    lender = (spec.get("workloadRef") or {}).get("name")
    if lender and not spec.get("template"):
        found = [obj for obj in observed.all(apps_v1.DEPLOYMENT) if meta.name(obj) == lender]
        return (found[0].get("spec") or {}) if found else {}
    return spec


def _leads_here(observed: Observed, service: Object) -> bool:
    labels = meta.labels(observed.template)
    wanted = (service.get("spec") or {}).get("selector") or {}
    narrowed = {name: value for name, value in wanted.items() if not name.endswith("pod-template-hash")}
    if not narrowed or meta.namespace(service) != observed.namespace:
        return False
    return selectors.from_labels(narrowed).matches(labels)


def _is_ready(pod: Object) -> bool:
    states = (pod.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in states)
