"""Kinds of the group policy, v1. Evictions are written to the pods they concern (`pods/eviction`)."""

from __future__ import annotations

from dabbawala.api.kind import Kind

POD_DISRUPTION_BUDGET = Kind(
    group="policy", version="v1", kind="PodDisruptionBudget", plural="poddisruptionbudgets", short_names=("pdb",),
    subresources=frozenset({"status"}), schema="io.k8s.api.policy.v1.PodDisruptionBudget",
)  # fmt: skip

KINDS = (POD_DISRUPTION_BUDGET,)
