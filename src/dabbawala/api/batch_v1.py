"""Kinds of the group batch, v1."""

from __future__ import annotations

from dabbawala.api import (
    cron_job_rules,
    object_meta,
    preparation,
    workload_columns,
    workload_defaults,
    workload_validation,
)
from dabbawala.api.kind import Kind

JOB = Kind(
    group="batch", version="v1", kind="Job", plural="jobs", categories=("all",),
    subresources=frozenset({"status"}), schema="io.k8s.api.batch.v1.Job",
    selectable_fields={"status.successful": ".status.succeeded"},
    columns=workload_columns.JOB, default=workload_defaults.job, prepare=preparation.job,
    validate=object_meta.validate(workload_validation.job),
)  # fmt: skip
CRON_JOB = Kind(
    group="batch", version="v1", kind="CronJob", plural="cronjobs", short_names=("cj",), categories=("all",),
    subresources=frozenset({"status"}), schema="io.k8s.api.batch.v1.CronJob",
    columns=workload_columns.CRON_JOB, default=cron_job_rules.default, prepare=preparation.status_apart({}),
    validate=object_meta.validate(cron_job_rules.cron_job),
)  # fmt: skip

KINDS = (JOB, CRON_JOB)
