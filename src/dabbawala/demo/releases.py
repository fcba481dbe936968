"""The three releases of the demo, and how each is recognised in the cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A reference service: its folder under `workloads`, its Rollout, and its door on the host."""

    folder: str
    namespace: str
    rollout: str
    container: str
    image: str
    node_port: int
    authority: str
    first_version: str
    routes: tuple[tuple[str, str], ...]
    """The objects that carry traffic, as (kind, name); their acceptance by every node is what a switch waits for."""

    doors: tuple[str, ...]
    """Services whose requests Envoy counts as this service's traffic."""


@dataclass(frozen=True, slots=True)
class Release:
    service: Service
    version: str
    previous: str
    strategy: str
    expected: str


TATKAL = Service(
    folder="tatkal",
    namespace="railway-booking",
    rollout="tatkal-booking",
    container="tatkal",
    image="irctc/tatkal",
    node_port=30080,
    authority="tatkal-booking-service.railway-booking",
    first_version="v2.8.0",
    routes=(("Service", "tatkal-booking-service"),),
    doors=("tatkal-booking-service",),
)
CATALOG = Service(
    folder="catalog",
    namespace="ecommerce",
    rollout="product-search",
    container="catalog",
    image="shop/catalog",
    node_port=30090,
    authority="product-search.ecommerce",
    first_version="v3.3.0",
    routes=(("VirtualService", "product-search"),),
    doors=("product-search", "product-search-stable", "product-search-canary"),
)
SERVICES = (TATKAL, CATALOG)
RELEASES = (
    Release(TATKAL, "v2.9.0", "v2.8.0", "blue-green", "promoted"),
    Release(CATALOG, "v3.4.0", "v3.3.0", "canary", "promoted"),
    Release(CATALOG, "v3.4.1", "v3.4.0", "canary", "rolled-back"),
)
IMAGES = (
    (TATKAL, "v2.8.0"),
    (TATKAL, "v2.9.0"),
    (CATALOG, "v3.3.0"),
    (CATALOG, "v3.4.0"),
    (CATALOG, "v3.4.1"),
)
