"""Kinds of the core group, v1."""

from __future__ import annotations

from dabbawala.api import (
    core_columns,
    core_rules,
    limit_range_rules,
    names,
    object_meta,
    pod_columns,
    pod_defaults,
    pod_validation,
    preparation,
    quota_rules,
    replication_rules,
    service_rules,
    storage_rules,
    workload_columns,
)
from dabbawala.api.kind import Kind, Scale

_SCHEMA = "io.k8s.api.core.v1."

NAMESPACE = Kind(
    group="", version="v1", kind="Namespace", plural="namespaces", short_names=("ns",), namespaced=False,
    subresources=frozenset({"status", "finalize"}), schema=_SCHEMA + "Namespace",
    selectable_fields={"status.phase": ".status.phase"},
    columns=core_columns.NAMESPACE, default=core_rules.default_namespace, prepare=core_rules.prepare_namespace,
    validate=object_meta.validate(core_rules.namespace, name=names.dns_label),
)  # fmt: skip
NODE = Kind(
    group="", version="v1", kind="Node", plural="nodes", short_names=("no",), namespaced=False,
    subresources=frozenset({"status", "proxy"}), schema=_SCHEMA + "Node",
    selectable_fields={"spec.unschedulable": ".spec.unschedulable"},
    columns=core_columns.NODE, prepare=preparation.node, validate=object_meta.validate(core_rules.node),
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
    columns=pod_columns.COLUMNS, default=pod_defaults.pod, prepare=preparation.pod,
    validate=object_meta.validate(pod_validation.pod),
)  # fmt: skip
SERVICE = Kind(
    group="", version="v1", kind="Service", plural="services", short_names=("svc",), categories=("all",),
    subresources=frozenset({"status", "proxy"}), schema=_SCHEMA + "Service",
    selectable_fields={"spec.clusterIP": ".spec.clusterIP", "spec.type": ".spec.type"},
    columns=core_columns.SERVICE, default=service_rules.default_service,
    prepare=preparation.status_apart({"loadBalancer": {}}),
    validate=object_meta.validate(service_rules.service, name=names.dns_1035_label),
)  # fmt: skip
ENDPOINTS = Kind(
    group="", version="v1", kind="Endpoints", plural="endpoints", singular="endpoints", short_names=("ep",),
    schema=_SCHEMA + "Endpoints",
    columns=core_columns.ENDPOINTS, default=service_rules.default_endpoints, validate=object_meta.validate(),
)  # fmt: skip
CONFIG_MAP = Kind(
    group="", version="v1", kind="ConfigMap", plural="configmaps", short_names=("cm",), schema=_SCHEMA + "ConfigMap",
    columns=core_columns.CONFIG_MAP, validate=object_meta.validate(core_rules.config_map),
)  # fmt: skip
SECRET = Kind(
    group="", version="v1", kind="Secret", plural="secrets", schema=_SCHEMA + "Secret",
    selectable_fields={"type": ".type"},
    columns=core_columns.SECRET, default=core_rules.default_secret, prepare=core_rules.prepare_secret,
    validate=object_meta.validate(core_rules.secret),
)  # fmt: skip
SERVICE_ACCOUNT = Kind(
    group="", version="v1", kind="ServiceAccount", plural="serviceaccounts", short_names=("sa",),
    subresources=frozenset({"token"}), schema=_SCHEMA + "ServiceAccount",
    columns=core_columns.SERVICE_ACCOUNT, validate=object_meta.validate(),
)  # fmt: skip
PERSISTENT_VOLUME = Kind(
    group="", version="v1", kind="PersistentVolume", plural="persistentvolumes", short_names=("pv",),
    namespaced=False, subresources=frozenset({"status"}), schema=_SCHEMA + "PersistentVolume",
    columns=core_columns.PERSISTENT_VOLUME, default=storage_rules.default_volume,
    prepare=storage_rules.prepare_pending, validate=object_meta.validate(storage_rules.volume),
)  # fmt: skip
PERSISTENT_VOLUME_CLAIM = Kind(
    group="", version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims", short_names=("pvc",),
    subresources=frozenset({"status"}), schema=_SCHEMA + "PersistentVolumeClaim",
    columns=core_columns.PERSISTENT_VOLUME_CLAIM, default=storage_rules.default_claim,
    prepare=storage_rules.prepare_pending, validate=object_meta.validate(storage_rules.claim),
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
    columns=core_columns.EVENT, validate=object_meta.validate(core_rules.event),
)  # fmt: skip
RESOURCE_QUOTA = Kind(
    group="", version="v1", kind="ResourceQuota", plural="resourcequotas", short_names=("quota",),
    subresources=frozenset({"status"}), schema=_SCHEMA + "ResourceQuota", columns=core_columns.RESOURCE_QUOTA,
    default=quota_rules.default, prepare=preparation.status_apart({}),
    validate=object_meta.validate(quota_rules.quota),
)  # fmt: skip
LIMIT_RANGE = Kind(
    group="", version="v1", kind="LimitRange", plural="limitranges", short_names=("limits",),
    schema=_SCHEMA + "LimitRange", columns=core_columns.LIMIT_RANGE, default=limit_range_rules.default,
    validate=object_meta.validate(limit_range_rules.limit_range),
)  # fmt: skip
REPLICATION_CONTROLLER = Kind(
    group="", version="v1", kind="ReplicationController", plural="replicationcontrollers", short_names=("rc",),
    categories=("all",), subresources=frozenset({"status", "scale"}), scale=Scale(),
    schema=_SCHEMA + "ReplicationController", selectable_fields={"status.replicas": ".status.replicas"},
    columns=workload_columns.REPLICATION_CONTROLLER, default=replication_rules.default_controller,
    prepare=preparation.status_apart({"replicas": 0}),
    validate=object_meta.validate(replication_rules.replication_controller),
)  # fmt: skip
POD_TEMPLATE = Kind(
    group="", version="v1", kind="PodTemplate", plural="podtemplates", schema=_SCHEMA + "PodTemplate",
    columns=workload_columns.POD_TEMPLATE, default=pod_defaults.template,
    validate=object_meta.validate(replication_rules.pod_template),
)  # fmt: skip

KINDS = (
    NAMESPACE, NODE, POD, SERVICE, ENDPOINTS, CONFIG_MAP, SECRET, SERVICE_ACCOUNT, PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM, EVENT, RESOURCE_QUOTA, LIMIT_RANGE, REPLICATION_CONTROLLER, POD_TEMPLATE,
)  # fmt: skip
