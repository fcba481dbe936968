"""Kinds of the group networking.istio.io: v1 is stored; v1beta1 and v1alpha3 are the same objects under older names.

Source: the CustomResourceDefinitions of Istio, of which all three versions share one schema.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from dabbawala.api import cells, custom_schemas, object_meta, preparation
from dabbawala.api.kind import Column, Kind
from dabbawala.apimachinery.meta import Object

GROUP = "networking.istio.io"
_CATEGORIES = ("istio-io", "networking-istio-io")
_FILE = "istio_networking_v1"

VIRTUAL_SERVICE = Kind(
    group=GROUP, version="v1", kind="VirtualService", plural="virtualservices", short_names=("vs",),
    categories=_CATEGORIES, subresources=frozenset({"status"}), custom=True,
    open_api=partial(custom_schemas.open_api, _FILE, "VirtualService"),
    columns=(
        cells.NAME,
        Column("Gateways", path=".spec.gateways", description="The gateways that should apply these routes"),
        Column("Hosts", path=".spec.hosts", description="The destination hosts of the traffic"),
        cells.AGE,
    ),
    prepare=preparation.status_apart(None), validate=object_meta.validate(custom=True),
)  # fmt: skip
DESTINATION_RULE = Kind(
    group=GROUP, version="v1", kind="DestinationRule", plural="destinationrules", short_names=("dr",),
    categories=_CATEGORIES, subresources=frozenset({"status"}), custom=True,
    open_api=partial(custom_schemas.open_api, _FILE, "DestinationRule"),
    columns=(
        cells.NAME,
        Column("Host", path=".spec.host", description="The name of a service from the service registry"),
        cells.AGE,
    ),
    prepare=preparation.status_apart(None), validate=object_meta.validate(custom=True),
)  # fmt: skip


def _relabelled(api_version: str) -> Callable[[Object], Object]:
    return lambda obj: {**obj, "apiVersion": api_version}


def _older(kind: Kind, version: str) -> Kind:
    return replace(
        kind,
        version=version,
        stored_as=kind,
        to_stored=_relabelled(kind.api_version),
        from_stored=_relabelled(f"{GROUP}/{version}"),
    )


KINDS = (
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    *(_older(kind, version) for version in ("v1beta1", "v1alpha3") for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)),
)
