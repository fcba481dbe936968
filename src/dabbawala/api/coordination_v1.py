"""Kinds of the group coordination.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import object_meta, small_rules, workload_columns
from dabbawala.api.kind import Kind

LEASE = Kind(
    group="coordination.k8s.io", version="v1", kind="Lease", plural="leases",
    schema="io.k8s.api.coordination.v1.Lease",
    columns=workload_columns.LEASE, validate=object_meta.validate(small_rules.lease),
)  # fmt: skip

KINDS = (LEASE,)
