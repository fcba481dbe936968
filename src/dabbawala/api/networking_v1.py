"""Kinds of the group networking.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import ingress_rules, network_policy_rules, networking_columns, object_meta, preparation
from dabbawala.api.kind import Kind

GROUP = "networking.k8s.io"
_SCHEMA = "io.k8s.api.networking.v1."

NETWORK_POLICY = Kind(
    group=GROUP, version="v1", kind="NetworkPolicy", plural="networkpolicies", short_names=("netpol",),
    schema=_SCHEMA + "NetworkPolicy", columns=networking_columns.NETWORK_POLICY,
    default=network_policy_rules.default, validate=object_meta.validate(network_policy_rules.network_policy),
)  # fmt: skip
INGRESS = Kind(
    group=GROUP, version="v1", kind="Ingress", plural="ingresses", short_names=("ing",),
    subresources=frozenset({"status"}), schema=_SCHEMA + "Ingress", columns=networking_columns.INGRESS,
    prepare=preparation.status_apart({"loadBalancer": {}}), validate=object_meta.validate(ingress_rules.ingress),
)  # fmt: skip
INGRESS_CLASS = Kind(
    group=GROUP, version="v1", kind="IngressClass", plural="ingressclasses", namespaced=False,
    schema=_SCHEMA + "IngressClass", columns=networking_columns.INGRESS_CLASS,
    default=ingress_rules.default_class, validate=object_meta.validate(ingress_rules.ingress_class),
)  # fmt: skip

KINDS = (NETWORK_POLICY, INGRESS, INGRESS_CLASS)
