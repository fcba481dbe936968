"""Kinds of the group node.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import object_meta, small_rules, workload_columns
from dabbawala.api.kind import Kind

RUNTIME_CLASS = Kind(
    group="node.k8s.io", version="v1", kind="RuntimeClass", plural="runtimeclasses", namespaced=False,
    schema="io.k8s.api.node.v1.RuntimeClass",
    columns=workload_columns.RUNTIME_CLASS, validate=object_meta.validate(small_rules.runtime_class),
)  # fmt: skip

KINDS = (RUNTIME_CLASS,)
