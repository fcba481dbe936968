"""How workloads and their budgets look in a table. Source: pkg/printers/internalversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from dabbawala.api import cells
from dabbawala.api.kind import Column
from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object

_JOB_STATES = (
    ("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)  # fmt: skip


def _count(field: str) -> Callable[[Object], object]:
    return lambda obj: cells.status(obj).get(field) or 0


def _desired(obj: Object) -> object:
    return cells.spec(obj).get("replicas") or 0


DEPLOYMENT = (
    cells.NAME,
    cells.column("Ready", lambda obj: f"{cells.status(obj).get('readyReplicas') or 0}/{_desired(obj)}"),
    cells.column("Up-to-date", _count("updatedReplicas")),
    cells.column("Available", _count("availableReplicas")),
    cells.AGE,
    cells.CONTAINERS,
    cells.IMAGES,
    cells.SELECTOR,
)
REPLICA_SET = (
    cells.NAME,
    cells.column("Desired", _desired, type="integer"),
    cells.column("Current", _count("replicas"), type="integer"),
    cells.column("Ready", _count("readyReplicas"), type="integer"),
    cells.AGE,
    cells.CONTAINERS,
    cells.IMAGES,
    cells.SELECTOR,
)


REPLICATION_CONTROLLER = (
    *REPLICA_SET[:-1],
    cells.column("Selector", lambda obj: cells.pairs(cells.spec(obj).get("selector")), wide=True),
)


def _templated(column: Column) -> Column:
    """A PodTemplate's column: it has its template where others have a spec, and shows it all."""
    read = column.read
    assert read is not None
    return replace(column, priority=0, read=lambda obj, now: read({"spec": obj}, now))


POD_TEMPLATE = (
    cells.NAME,
    _templated(cells.CONTAINERS),
    _templated(cells.IMAGES),
    cells.column("Pod Labels", lambda obj: cells.pairs(meta.labels(obj.get("template") or {}))),
)
STATEFUL_SET = (
    cells.NAME,
    cells.column("Ready", lambda obj: f"{cells.status(obj).get('readyReplicas') or 0}/{_desired(obj)}"),
    cells.AGE,
    cells.CONTAINERS,
    cells.IMAGES,
)


def _controller(obj: Object) -> str:
    owner = next((ref for ref in meta.owner_references(obj) if ref.get("controller")), None)
    if owner is None:
        return cells.NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind']}{'.' if group else ''}{group}".lower() + f"/{owner['name']}"


CONTROLLER_REVISION = (
    cells.NAME,
    cells.column("Controller", _controller),
    cells.column("Revision", lambda obj: obj.get("revision") or 0),
    cells.AGE,
)


def _node_selector(obj: Object) -> str:
    template = (cells.spec(obj).get("template") or {}).get("spec") or {}
    return cells.pairs(template.get("nodeSelector"))


DAEMON_SET = (
    cells.NAME,
    cells.column("Desired", _count("desiredNumberScheduled"), type="integer"),
    cells.column("Current", _count("currentNumberScheduled"), type="integer"),
    cells.column("Ready", _count("numberReady"), type="integer"),
    cells.column("Up-to-date", _count("updatedNumberScheduled"), type="integer"),
    cells.column("Available", _count("numberAvailable"), type="integer"),
    cells.column("Node Selector", _node_selector),
    cells.AGE,
    cells.CONTAINERS,
    cells.IMAGES,
    cells.SELECTOR,
)


def _job_status(job: Object) -> str:
    for condition in ("Complete", "Failed"):
        if conditions.is_true(job, condition):
            return condition
    if meta.is_deleting(job):
        return "Terminating"
    return next((shown for condition, shown in _JOB_STATES if conditions.is_true(job, condition)), "Running")


def _completions(job: Object) -> str:
    done, spec = cells.status(job).get("succeeded") or 0, cells.spec(job)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Object, now: datetime) -> str:
    state = cells.status(job)
    if not state.get("startTime"):
        return ""
    end = clock.parse_time(state["completionTime"]) if state.get("completionTime") else now
    return cells.human_duration((end - clock.parse_time(state["startTime"])).total_seconds())


JOB = (
    cells.NAME,
    cells.column("Status", _job_status),
    cells.column("Completions", _completions),
    Column("Duration", read=_job_duration),
    cells.AGE,
    cells.CONTAINERS,
    cells.IMAGES,
    cells.SELECTOR,
)


def _job_spec(obj: Object) -> Object:
    """A CronJob's Jobs, seen as one."""
    return {"spec": (cells.spec(obj).get("jobTemplate") or {}).get("spec") or {}}


def _of_jobs(column: Column) -> Column:
    read = column.read
    assert read is not None
    return replace(column, read=lambda obj, now: read(_job_spec(obj), now))


def _last_schedule(obj: Object, now: datetime) -> str:
    moment = cells.status(obj).get("lastScheduleTime")
    return cells.since(moment, now) if moment else cells.NONE


CRON_JOB = (
    cells.NAME,
    cells.column("Schedule", lambda obj: cells.spec(obj).get("schedule")),
    cells.column("Timezone", lambda obj: cells.spec(obj).get("timeZone") or cells.NONE),
    cells.column("Suspend", lambda obj: str(bool(cells.spec(obj).get("suspend")))),
    cells.column("Active", lambda obj: len(cells.status(obj).get("active") or ()), type="integer"),
    Column("Last Schedule", read=_last_schedule),
    cells.AGE,
    *(_of_jobs(column) for column in (cells.CONTAINERS, cells.IMAGES, cells.SELECTOR)),
)


def _bound(field: str) -> Callable[[Object], object]:
    def read(obj: Object) -> object:
        value = cells.spec(obj).get(field)
        return "N/A" if value is None else value

    return read


POD_DISRUPTION_BUDGET = (
    cells.NAME,
    cells.column("Min Available", _bound("minAvailable")),
    cells.column("Max Unavailable", _bound("maxUnavailable")),
    cells.column("Allowed Disruptions", _count("disruptionsAllowed"), type="integer"),
    cells.AGE,
)


def _slice_ports(obj: Object) -> str:
    return _shortened([str(port.get("port") or "*") for port in obj.get("ports") or ()], missing="<unset>")


def _slice_endpoints(obj: Object) -> str:
    listed = obj.get("endpoints") or ()
    return _shortened([address for item in listed for address in item.get("addresses") or ()], missing="<unset>")


def _shortened(values: list[str], *, missing: str) -> str:
    """The first three, and how many more."""
    if not values:
        return missing
    more = f" + {len(values) - 3} more..." if len(values) > 3 else ""
    return ",".join(values[:3]) + more


ENDPOINT_SLICE = (
    cells.NAME,
    cells.column("AddressType", lambda obj: obj.get("addressType")),
    cells.column("Ports", _slice_ports),
    cells.column("Endpoints", _slice_endpoints),
    cells.AGE,
)


def _storage_class_name(obj: Object) -> str:
    is_default = meta.annotations(obj).get("storageclass.kubernetes.io/is-default-class") == "true"
    return f"{meta.name(obj)} (default)" if is_default else meta.name(obj)


STORAGE_CLASS = (
    Column("Name", format="name", read=cells.text(_storage_class_name)),
    cells.column("Provisioner", lambda obj: obj.get("provisioner")),
    cells.column("ReclaimPolicy", lambda obj: obj.get("reclaimPolicy") or "Delete"),
    cells.column("VolumeBindingMode", lambda obj: obj.get("volumeBindingMode") or "Immediate"),
    cells.column("AllowVolumeExpansion", lambda obj: bool(obj.get("allowVolumeExpansion"))),
    cells.AGE,
)


def _role_ref(obj: Object) -> str:
    ref = obj.get("roleRef") or {}
    return f"{ref.get('kind')}/{ref.get('name')}"


def _subjects(kind: str) -> Callable[[Object], object]:
    def read(obj: Object) -> str:
        chosen = [subject for subject in obj.get("subjects") or () if subject.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{subject.get('namespace')}/{subject.get('name')}" for subject in chosen)
        return ", ".join(str(subject.get("name")) for subject in chosen)

    return read


BINDING = (
    cells.NAME,
    cells.column("Role", _role_ref),
    cells.AGE,
    cells.column("Users", _subjects("User"), wide=True),
    cells.column("Groups", _subjects("Group"), wide=True),
    cells.column("ServiceAccounts", _subjects("ServiceAccount"), wide=True),
)
ROLE = (cells.NAME, cells.CREATED_AT)
LEASE = (cells.NAME, cells.column("Holder", lambda obj: cells.spec(obj).get("holderIdentity") or ""), cells.AGE)
RUNTIME_CLASS = (cells.NAME, cells.column("Handler", lambda obj: obj.get("handler")), cells.AGE)
PRIORITY_CLASS = (
    cells.NAME,
    cells.column("Value", lambda obj: obj.get("value") or 0, type="integer"),
    cells.column("Global-Default", lambda obj: bool(obj.get("globalDefault")), type="boolean"),
    cells.AGE,
    cells.column("PreemptionPolicy", lambda obj: obj.get("preemptionPolicy") or ""),
)
