"""Kinds of the group node.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

RUNTIME_CLASS = Kind(
    group="node.k8s.io", version="v1", kind="RuntimeClass", plural="runtimeclasses", namespaced=False,
    schema="io.k8s.api.node.v1.RuntimeClass",
)  # fmt: skip

KINDS = (RUNTIME_CLASS,)
