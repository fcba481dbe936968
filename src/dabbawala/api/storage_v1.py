"""Kinds of the group storage.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

STORAGE_CLASS = Kind(
    group="storage.k8s.io", version="v1", kind="StorageClass", plural="storageclasses", short_names=("sc",),
    namespaced=False, schema="io.k8s.api.storage.v1.StorageClass",
)  # fmt: skip

KINDS = (STORAGE_CLASS,)
