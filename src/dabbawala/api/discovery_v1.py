"""Kinds of the group discovery.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import object_meta, service_rules, workload_columns
from dabbawala.api.kind import Kind

ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io", version="v1", kind="EndpointSlice", plural="endpointslices",
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    columns=workload_columns.ENDPOINT_SLICE, default=service_rules.default_endpoint_slice,
    validate=object_meta.validate(service_rules.endpoint_slice),
)  # fmt: skip

KINDS = (ENDPOINT_SLICE,)
