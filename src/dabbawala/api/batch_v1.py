"""Kinds of the group batch, v1."""

from __future__ import annotations

from dabbawala.api import object_meta, preparation, workload_columns, workload_defaults, workload_validation
from dabbawala.api.kind import Kind

JOB = Kind(
    group="batch", version="v1", kind="Job", plural="jobs", categories=("all",),
    subresources=frozenset({"status"}), schema="io.k8s.api.batch.v1.Job",
    selectable_fields={"status.successful": ".status.succeeded"},
    columns=workload_columns.JOB, default=workload_defaults.job, prepare=preparation.job,
    validate=object_meta.validate(workload_validation.job),
)  # fmt: skip

KINDS = (JOB,)
