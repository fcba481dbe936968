"""Kinds of the group scheduling.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import object_meta, small_rules, workload_columns
from dabbawala.api.kind import Kind

PRIORITY_CLASS = Kind(
    group="scheduling.k8s.io", version="v1", kind="PriorityClass", plural="priorityclasses", short_names=("pc",),
    namespaced=False, schema="io.k8s.api.scheduling.v1.PriorityClass",
    columns=workload_columns.PRIORITY_CLASS, default=small_rules.default_priority_class,
    validate=object_meta.validate(small_rules.priority_class),
)  # fmt: skip

KINDS = (PRIORITY_CLASS,)
