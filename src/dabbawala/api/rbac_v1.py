"""Kinds of the group rbac.authorization.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

GROUP = "rbac.authorization.k8s.io"
_SCHEMA = "io.k8s.api.rbac.v1."

ROLE = Kind(group=GROUP, version="v1", kind="Role", plural="roles", schema=_SCHEMA + "Role")
ROLE_BINDING = Kind(
    group=GROUP, version="v1", kind="RoleBinding", plural="rolebindings", schema=_SCHEMA + "RoleBinding",
)  # fmt: skip
CLUSTER_ROLE = Kind(
    group=GROUP, version="v1", kind="ClusterRole", plural="clusterroles", namespaced=False,
    schema=_SCHEMA + "ClusterRole",
)  # fmt: skip
CLUSTER_ROLE_BINDING = Kind(
    group=GROUP, version="v1", kind="ClusterRoleBinding", plural="clusterrolebindings", namespaced=False,
    schema=_SCHEMA + "ClusterRoleBinding",
)  # fmt: skip

KINDS = (ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING)
