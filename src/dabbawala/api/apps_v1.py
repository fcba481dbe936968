"""Kinds of the group apps, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind, Scale

_SCHEMA = "io.k8s.api.apps.v1."

DEPLOYMENT = Kind(
    group="apps", version="v1", kind="Deployment", plural="deployments", short_names=("deploy",), categories=("all",),
    subresources=frozenset({"status", "scale"}), scale=Scale(), schema=_SCHEMA + "Deployment",
)  # fmt: skip
REPLICA_SET = Kind(
    group="apps", version="v1", kind="ReplicaSet", plural="replicasets", short_names=("rs",), categories=("all",),
    subresources=frozenset({"status", "scale"}), scale=Scale(), schema=_SCHEMA + "ReplicaSet",
    selectable_fields={"status.replicas": ".status.replicas"},
)  # fmt: skip
DAEMON_SET = Kind(
    group="apps", version="v1", kind="DaemonSet", plural="daemonsets", short_names=("ds",), categories=("all",),
    subresources=frozenset({"status"}), schema=_SCHEMA + "DaemonSet",
)  # fmt: skip

KINDS = (DEPLOYMENT, REPLICA_SET, DAEMON_SET)
