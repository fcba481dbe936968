"""Kinds of the group discovery.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api.kind import Kind

ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io", version="v1", kind="EndpointSlice", plural="endpointslices",
    schema="io.k8s.api.discovery.v1.EndpointSlice",
)  # fmt: skip

KINDS = (ENDPOINT_SLICE,)
