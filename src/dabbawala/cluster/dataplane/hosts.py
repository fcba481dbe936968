"""Istio's host names: short, qualified by a namespace, or complete, and where they lead.

`web` means the Service of that name in the namespace of the object that says it; `web.shop`, `web.shop.svc` and
`web.shop.svc.cluster.local` name it from anywhere. `*` and `*.suffix` match hosts; they never lead to a destination.
Source: Istio VirtualService.hosts, Destination.host.
"""

from __future__ import annotations

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.cluster.dataplane.views import DOMAIN, Service


def resolve(host: str, namespace: str) -> ObjectKey | None:
    """The Service that a host names, seen from `namespace`; None for a wildcard or a host outside the cluster."""
    if not host or host.startswith("*"):
        return None
    for suffix in (f".{DOMAIN}", ".svc"):
        host = host.removesuffix(suffix)
    parts = host.split(".")
    match len(parts):
        case 1:
            return ObjectKey(namespace, parts[0])
        case 2:
            return ObjectKey(parts[1], parts[0])
        case _:
            return None


def matches(pattern: str, service: Service) -> bool:
    """Whether a host with a wildcard (`*`, `*.suffix`) covers the Service."""
    return service.host.endswith(pattern.removeprefix("*"))
