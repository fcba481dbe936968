"""Kinds of the group policy, v1. Evictions are written to the pods they concern (`pods/eviction`)."""

from __future__ import annotations

from dabbawala.api import object_meta, preparation, workload_columns, workload_validation
from dabbawala.api.kind import Kind

_NOTHING_COUNTED = {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}

POD_DISRUPTION_BUDGET = Kind(
    group="policy", version="v1", kind="PodDisruptionBudget", plural="poddisruptionbudgets", short_names=("pdb",),
    subresources=frozenset({"status"}), schema="io.k8s.api.policy.v1.PodDisruptionBudget",
    columns=workload_columns.POD_DISRUPTION_BUDGET, prepare=preparation.status_apart(_NOTHING_COUNTED),
    validate=object_meta.validate(workload_validation.pod_disruption_budget),
)  # fmt: skip

KINDS = (POD_DISRUPTION_BUDGET,)
