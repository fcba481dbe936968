"""Kinds of the group batch, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

JOB = Kind(
    group="batch", version="v1", kind="Job", plural="jobs", categories=("all",),
    subresources=frozenset({"status"}), schema="io.k8s.api.batch.v1.Job",
    selectable_fields={"status.successful": ".status.succeeded"},
)  # fmt: skip

KINDS = (JOB,)
