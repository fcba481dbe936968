"""Kinds of the group coordination.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

LEASE = Kind(
    group="coordination.k8s.io", version="v1", kind="Lease", plural="leases",
    schema="io.k8s.api.coordination.v1.Lease",
)  # fmt: skip

KINDS = (LEASE,)
