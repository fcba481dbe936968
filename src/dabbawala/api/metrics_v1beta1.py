"""Kinds of the group metrics.k8s.io, v1beta1: what nodes and pods use now. Answered from measurements, never stored.

Source: k8s.io/metrics.
"""

from __future__ import annotations

from dabbawala.api.kind import Kind

GROUP = "metrics.k8s.io"

NODE_METRICS = Kind(
    group=GROUP, version="v1beta1", kind="NodeMetrics", plural="nodes", namespaced=False, verbs=("get", "list"),
)  # fmt: skip
POD_METRICS = Kind(
    group=GROUP, version="v1beta1", kind="PodMetrics", plural="pods", verbs=("get", "list"),
)  # fmt: skip

KINDS = (NODE_METRICS, POD_METRICS)
