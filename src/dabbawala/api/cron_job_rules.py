"""Defaults and validation of CronJobs. Source: pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache

from dabbawala.api import cron_schedule, pod_defaults, workload_validation
from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object

MAX_NAME = 52
"""Bytes; the names of its Jobs add eleven."""
_CONCURRENCY = ("Allow", "Forbid", "Replace")


def default(obj: Object) -> None:
    """The Jobs to come get their own defaults when they are made; their pods' are filled in here already."""
    spec = obj.setdefault("spec", {})
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    job = spec.setdefault("jobTemplate", {})
    job.setdefault("metadata", {})
    pod_defaults.template(job.setdefault("spec", {}))


def cron_job(new: Object, old: Object | None) -> Errors:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    name = meta.name(new)
    if old is None and len(name.encode()) > MAX_NAME:
        yield status.invalid("metadata.name", name, f"must be no more than {MAX_NAME} characters")
    yield from _schedule(spec)
    yield from check.at_least(spec.get("startingDeadlineSeconds"), 0, "spec.startingDeadlineSeconds")
    zone = spec.get("timeZone")
    if zone is not None and zone != before.get("timeZone"):
        yield from _time_zone(zone)
    yield from check.one_of(spec.get("concurrencyPolicy"), _CONCURRENCY, "spec.concurrencyPolicy")
    yield from _job_template((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from check.at_least(spec.get(field), 0, f"spec.{field}")


def _schedule(spec: Object) -> Errors:
    text = spec.get("schedule") or ""
    if not text:
        yield status.required("spec.schedule")
        return
    if "TZ" in text:
        message = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield status.invalid("spec.schedule", text, message)
        return
    try:
        cron_schedule.parse(text)
    except cron_schedule.ScheduleError as error:
        yield status.invalid("spec.schedule", text, str(error))


def _time_zone(name: str) -> Errors:
    path = "spec.timeZone"
    if not name:
        yield status.invalid(path, name, "timeZone must be nil or non-empty string")
    elif name.lower() == "local":
        message = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield status.invalid(path, name, message)
    elif not _is_zone(name):
        yield status.invalid(path, name, f"unknown time zone {name}")


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _job_template(job: Object, path: str) -> Errors:
    if job.get("selector") is not None:
        yield check.invalid_json(f"{path}.selector", job["selector"], "`selector` will be auto-generated")
    if job.get("manualSelector"):
        yield status.not_supported(f"{path}.manualSelector", job["manualSelector"], ("nil", "false"))
    yield from workload_validation.job_spec(job, path)
