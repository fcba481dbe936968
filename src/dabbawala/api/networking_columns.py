"""How network policies and ingresses look in a table. Source: pkg/printers/internalversion."""

from __future__ import annotations

from dabbawala.api import cells
from dabbawala.apimachinery.meta import Object

_HOSTS_SHOWN = 3

NETWORK_POLICY = (
    cells.NAME,
    cells.column("Pod-Selector", lambda obj: cells.selector(cells.spec(obj).get("podSelector"))),
    cells.AGE,
)


def _hosts(obj: Object) -> str:
    hosts = [rule["host"] for rule in cells.spec(obj).get("rules") or () if rule.get("host")]
    more = f" + {len(hosts) - _HOSTS_SHOWN} more..." if len(hosts) > _HOSTS_SHOWN else ""
    return (",".join(hosts[:_HOSTS_SHOWN]) or "*") + more


def _address(obj: Object) -> str:
    points = (cells.status(obj).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(point.get("ip") or point.get("hostname") or "" for point in points)


INGRESS = (
    cells.NAME,
    cells.column("Class", lambda obj: cells.spec(obj).get("ingressClassName") or cells.NONE),
    cells.column("Hosts", _hosts),
    cells.column("Address", _address),
    cells.column("Ports", lambda obj: "80, 443" if cells.spec(obj).get("tls") else "80"),
    cells.AGE,
)


def _parameters(obj: Object) -> str:
    given = cells.spec(obj).get("parameters")
    if not given:
        return cells.NONE
    group = f".{given['apiGroup']}" if given.get("apiGroup") else ""
    return f"{given.get('kind')}{group}/{given.get('name')}"


INGRESS_CLASS = (
    cells.NAME,
    cells.column("Controller", lambda obj: cells.spec(obj).get("controller")),
    cells.column("Parameters", _parameters),
    cells.AGE,
)
