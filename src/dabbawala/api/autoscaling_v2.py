"""Kinds of the group autoscaling, v2."""

from __future__ import annotations

from dabbawala.api import autoscaling_columns, autoscaling_rules, object_meta, preparation
from dabbawala.api.kind import Kind

HORIZONTAL_POD_AUTOSCALER = Kind(
    group="autoscaling", version="v2", kind="HorizontalPodAutoscaler", plural="horizontalpodautoscalers",
    short_names=("hpa",), categories=("all",), subresources=frozenset({"status"}),
    schema="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", columns=autoscaling_columns.AUTOSCALER,
    default=autoscaling_rules.default,
    prepare=preparation.status_apart({"desiredReplicas": 0}),
    validate=object_meta.validate(autoscaling_rules.autoscaler),
)  # fmt: skip

KINDS = (HORIZONTAL_POD_AUTOSCALER,)
