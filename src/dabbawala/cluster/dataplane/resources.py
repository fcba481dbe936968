"""Envoy's resources as JSON, and the few wrappers that all of them need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]
TYPE_PREFIX = "type.googleapis.com/"

LISTENER = "envoy.config.listener.v3.Listener"
CLUSTER = "envoy.config.cluster.v3.Cluster"
ROUTES = "envoy.config.route.v3.RouteConfiguration"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"


def typed(type_: str, **fields: Any) -> Resource:
    """A message inside an Any."""
    return {"@type": TYPE_PREFIX + type_, **fields}


def extension(name: str, type_: str, **fields: Any) -> Resource:
    """An extension's name and its configuration."""
    return {"name": name, "typed_config": typed(type_, **fields)}


def file_source(path: str) -> Resource:
    """A resource in a file that is replaced by renaming. Each file is watched by itself, and not its folder: with a
    watch of the folder every change would make Envoy read every file in it again."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}


def socket_address(address: str, port: int, protocol: str = "TCP") -> Resource:
    return {"socket_address": {"protocol": protocol, "address": address, "port_value": port}}


def pipe(path: str) -> Resource:
    return {"pipe": {"path": path, "mode": 0o600}}


def seconds(value: float) -> str:
    """A protobuf Duration."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that one Envoy is to run, each kind by resource name."""

    listeners: Mapping[str, Resource] = field(default_factory=dict)
    clusters: Mapping[str, Resource] = field(default_factory=dict)
    routes: Mapping[str, Resource] = field(default_factory=dict)
    endpoints: Mapping[str, Resource] = field(default_factory=dict)
