"""Kinds of the group rbac.authorization.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import names, object_meta, rbac_rules, workload_columns
from dabbawala.api.kind import Kind

GROUP = "rbac.authorization.k8s.io"
_SCHEMA = "io.k8s.api.rbac.v1."

ROLE = Kind(
    group=GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    schema=_SCHEMA + "Role",
    columns=workload_columns.ROLE,
    default=rbac_rules.default_role,
    validate=object_meta.validate(rbac_rules.role, name=names.path_segment),
)
ROLE_BINDING = Kind(
    group=GROUP, version="v1", kind="RoleBinding", plural="rolebindings", schema=_SCHEMA + "RoleBinding",
    columns=workload_columns.BINDING, default=rbac_rules.default_binding,
    validate=object_meta.validate(rbac_rules.role_binding, name=names.path_segment),
)  # fmt: skip
CLUSTER_ROLE = Kind(
    group=GROUP, version="v1", kind="ClusterRole", plural="clusterroles", namespaced=False,
    schema=_SCHEMA + "ClusterRole",
    columns=workload_columns.ROLE, default=rbac_rules.default_role,
    validate=object_meta.validate(rbac_rules.cluster_role, name=names.path_segment),
)  # fmt: skip
CLUSTER_ROLE_BINDING = Kind(
    group=GROUP, version="v1", kind="ClusterRoleBinding", plural="clusterrolebindings", namespaced=False,
    schema=_SCHEMA + "ClusterRoleBinding",
    columns=workload_columns.BINDING, default=rbac_rules.default_binding,
    validate=object_meta.validate(rbac_rules.cluster_role_binding, name=names.path_segment),
)  # fmt: skip

KINDS = (ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING)
