"""Names of Envoy's resources, read off the API objects they stand for.

A name is `namespace_service_port[_subset]`. Neither namespaces nor Services may contain an underscore, so a name can
be taken apart again, which is how an Envoy's statistics become the mesh's metrics; and it is a file name, and has no
dot, which would end it in Envoy's statistics. A UDP port is written `udp-53`, because a TCP port may have its number.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from dabbawala.apimachinery.meta import ObjectKey

SEPARATOR = "_"
UDP_PREFIX = "udp-"


class Destination(NamedTuple):
    """What a cluster stands for; `subset` is empty for the whole Service."""

    service: ObjectKey
    port: int
    subset: str = ""
    udp: bool = False

    @property
    def cluster(self) -> str:
        """The cluster's name, and that of its file of endpoints."""
        port = f"{UDP_PREFIX}{self.port}" if self.udp else str(self.port)
        parts = [self.service.namespace, self.service.name, port]
        if self.subset:
            parts.append(_safe(self.subset))
        return SEPARATOR.join(parts)


def parse(cluster: str) -> Destination | None:
    """The destination with that cluster name; None for a name that is not ours."""
    parts = cluster.split(SEPARATOR, 3)
    if len(parts) < 3 or not parts[2].removeprefix(UDP_PREFIX).isdecimal():
        return None
    udp = parts[2].startswith(UDP_PREFIX)
    port = int(parts[2].removeprefix(UDP_PREFIX))
    return Destination(ObjectKey(parts[0], parts[1]), port, unquote(parts[3]) if len(parts) > 3 else "", udp)


def _safe(subset: str) -> str:
    """A subset is any text in Istio's schema; here it must neither leave the folder nor split a statistic."""
    return quote(subset, safe="").replace(".", "%2E").replace("~", "%7E")


def node_port_socket(number: int) -> str:
    """The file name of the pipe on which a node's Envoy takes what the edge accepts for a node port."""
    return f"port-{number}.sock"
