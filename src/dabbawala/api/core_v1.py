"""Kinds of the core group, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

_SCHEMA = "io.k8s.api.core.v1."

NAMESPACE = Kind(
    group="", version="v1", kind="Namespace", plural="namespaces", short_names=("ns",), namespaced=False,
    subresources=frozenset({"status", "finalize"}), schema=_SCHEMA + "Namespace",
    selectable_fields={"status.phase": ".status.phase"},
)  # fmt: skip
NODE = Kind(
    group="", version="v1", kind="Node", plural="nodes", short_names=("no",), namespaced=False,
    subresources=frozenset({"status", "proxy"}), schema=_SCHEMA + "Node",
    selectable_fields={"spec.unschedulable": ".spec.unschedulable"},
)  # fmt: skip
POD = Kind(
    group="", version="v1", kind="Pod", plural="pods", short_names=("po",), categories=("all",),
    subresources=frozenset({
        "attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status",
    }),
    schema=_SCHEMA + "Pod",
    selectable_fields={
        "spec.nodeName": ".spec.nodeName",
        "spec.restartPolicy": ".spec.restartPolicy",
        "spec.schedulerName": ".spec.schedulerName",
        "spec.serviceAccountName": ".spec.serviceAccountName",
        "spec.hostNetwork": ".spec.hostNetwork",
        "status.phase": ".status.phase",
        "status.podIP": ".status.podIP",
        "status.nominatedNodeName": ".status.nominatedNodeName",
    },
)  # fmt: skip
SERVICE = Kind(
    group="", version="v1", kind="Service", plural="services", short_names=("svc",), categories=("all",),
    subresources=frozenset({"status", "proxy"}), schema=_SCHEMA + "Service",
    selectable_fields={"spec.clusterIP": ".spec.clusterIP", "spec.type": ".spec.type"},
)  # fmt: skip
ENDPOINTS = Kind(
    group="", version="v1", kind="Endpoints", plural="endpoints", singular="endpoints", short_names=("ep",),
    schema=_SCHEMA + "Endpoints",
)  # fmt: skip
CONFIG_MAP = Kind(
    group="", version="v1", kind="ConfigMap", plural="configmaps", short_names=("cm",), schema=_SCHEMA + "ConfigMap",
)  # fmt: skip
SECRET = Kind(
    group="", version="v1", kind="Secret", plural="secrets", schema=_SCHEMA + "Secret",
    selectable_fields={"type": ".type"},
)  # fmt: skip
SERVICE_ACCOUNT = Kind(
    group="", version="v1", kind="ServiceAccount", plural="serviceaccounts", short_names=("sa",),
    subresources=frozenset({"token"}), schema=_SCHEMA + "ServiceAccount",
)  # fmt: skip
PERSISTENT_VOLUME = Kind(
    group="", version="v1", kind="PersistentVolume", plural="persistentvolumes", short_names=("pv",),
    namespaced=False, subresources=frozenset({"status"}), schema=_SCHEMA + "PersistentVolume",
)  # fmt: skip
PERSISTENT_VOLUME_CLAIM = Kind(
    group="", version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims", short_names=("pvc",),
    subresources=frozenset({"status"}), schema=_SCHEMA + "PersistentVolumeClaim",
)  # fmt: skip
EVENT = Kind(
    group="", version="v1", kind="Event", plural="events", short_names=("ev",), schema=_SCHEMA + "Event",
    selectable_fields={
        "involvedObject.kind": ".involvedObject.kind",
        "involvedObject.namespace": ".involvedObject.namespace",
        "involvedObject.name": ".involvedObject.name",
        "involvedObject.uid": ".involvedObject.uid",
        "involvedObject.apiVersion": ".involvedObject.apiVersion",
        "involvedObject.resourceVersion": ".involvedObject.resourceVersion",
        "involvedObject.fieldPath": ".involvedObject.fieldPath",
        "reason": ".reason",
        "reportingComponent": ".reportingComponent",
        "source": ".source.component",
        "type": ".type",
    },
)  # fmt: skip

KINDS = (
    NAMESPACE, NODE, POD, SERVICE, ENDPOINTS, CONFIG_MAP, SECRET, SERVICE_ACCOUNT, PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM, EVENT,
)  # fmt: skip
