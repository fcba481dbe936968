"""The table that the nodes' DNS reads: every Service by `namespace/name`. Pure.

Headless Services list their endpoints (all of them with publishNotReadyAddresses, else those that are ready), others
their address. The format is the sandbox's; see its DESIGN.md. Source: Kubernetes DNS specification 1.1.0.
"""

from __future__ import annotations

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.cluster.dataplane.resources import Resource
from dabbawala.cluster.dataplane.views import Endpoint, Service
from dabbawala.cluster.dataplane.worlds import World


def table(world: World) -> Resource:
    named = [
        service
        for service in world.services.values()
        if service.cluster_ip or service.headless or service.external_name
    ]
    return {"services": {f"{each.key.namespace}/{each.key.name}": _entry(each) for each in sorted(named, key=_key)}}


def _key(service: Service) -> ObjectKey:
    return service.key


def _entry(service: Service) -> Resource:
    if service.external_name:
        return {"external_name": service.external_name}
    ports = [{"name": port.name, "port": port.number, "protocol": port.protocol} for port in service.ports]
    entry: Resource = {"ports": ports}
    if service.headless:
        entry["headless"] = True
    else:
        entry["cluster_ip"] = service.cluster_ip
    entry["endpoints"] = [_endpoint(end) for end in _published(service)]
    return entry


def _published(service: Service) -> list[Endpoint]:
    """A Service with an address needs only those endpoints that have a name of their own."""
    ready = [end for end in service.endpoints if end.ready or service.publish_not_ready]
    return [end for end in ready if service.headless or end.hostname]


def _endpoint(endpoint: Endpoint) -> Resource:
    return {"ip": endpoint.address, **({"hostname": endpoint.hostname} if endpoint.hostname else {})}
