"""Kinds of the group apps, v1."""

from __future__ import annotations

from dabbawala.api import (
    object_meta,
    preparation,
    stateful_set_rules,
    workload_columns,
    workload_defaults,
    workload_validation,
)
from dabbawala.api.kind import Kind, Scale

_SCHEMA = "io.k8s.api.apps.v1."
_NOTHING_SCHEDULED = {
    "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
}  # fmt: skip

DEPLOYMENT = Kind(
    group="apps", version="v1", kind="Deployment", plural="deployments", short_names=("deploy",), categories=("all",),
    subresources=frozenset({"status", "scale"}), scale=Scale(), schema=_SCHEMA + "Deployment",
    columns=workload_columns.DEPLOYMENT, default=workload_defaults.deployment,
    prepare=preparation.status_apart({}), validate=object_meta.validate(workload_validation.deployment),
)  # fmt: skip
REPLICA_SET = Kind(
    group="apps", version="v1", kind="ReplicaSet", plural="replicasets", short_names=("rs",), categories=("all",),
    subresources=frozenset({"status", "scale"}), scale=Scale(), schema=_SCHEMA + "ReplicaSet",
    selectable_fields={"status.replicas": ".status.replicas"},
    columns=workload_columns.REPLICA_SET, default=workload_defaults.replica_set,
    prepare=preparation.status_apart({"replicas": 0}), validate=object_meta.validate(workload_validation.replica_set),
)  # fmt: skip
DAEMON_SET = Kind(
    group="apps", version="v1", kind="DaemonSet", plural="daemonsets", short_names=("ds",), categories=("all",),
    subresources=frozenset({"status"}), schema=_SCHEMA + "DaemonSet",
    columns=workload_columns.DAEMON_SET, default=workload_defaults.daemon_set,
    prepare=preparation.status_apart(_NOTHING_SCHEDULED), validate=object_meta.validate(workload_validation.daemon_set),
)  # fmt: skip
STATEFUL_SET = Kind(
    group="apps", version="v1", kind="StatefulSet", plural="statefulsets", short_names=("sts",), categories=("all",),
    subresources=frozenset({"status", "scale"}), scale=Scale(), schema=_SCHEMA + "StatefulSet",
    columns=workload_columns.STATEFUL_SET, default=stateful_set_rules.default,
    prepare=preparation.status_apart({"replicas": 0, "availableReplicas": 0}),
    validate=object_meta.validate(stateful_set_rules.stateful_set),
)  # fmt: skip
CONTROLLER_REVISION = Kind(
    group="apps", version="v1", kind="ControllerRevision", plural="controllerrevisions",
    schema=_SCHEMA + "ControllerRevision", columns=workload_columns.CONTROLLER_REVISION,
    validate=object_meta.validate(stateful_set_rules.controller_revision),
)  # fmt: skip

KINDS = (DEPLOYMENT, REPLICA_SET, DAEMON_SET, STATEFUL_SET, CONTROLLER_REVISION)
