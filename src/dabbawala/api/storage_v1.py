"""Kinds of the group storage.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import object_meta, storage_rules, workload_columns
from dabbawala.api.kind import Kind

STORAGE_CLASS = Kind(
    group="storage.k8s.io", version="v1", kind="StorageClass", plural="storageclasses", short_names=("sc",),
    namespaced=False, schema="io.k8s.api.storage.v1.StorageClass",
    columns=workload_columns.STORAGE_CLASS, default=storage_rules.default_class,
    validate=object_meta.validate(storage_rules.storage_class),
)  # fmt: skip

KINDS = (STORAGE_CLASS,)
