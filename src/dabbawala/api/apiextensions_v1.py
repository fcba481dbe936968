"""Kinds of the group apiextensions.k8s.io, v1."""

from __future__ import annotations

from dabbawala.api import apiextensions_rules, cells, object_meta
from dabbawala.api.kind import Kind

_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."

CUSTOM_RESOURCE_DEFINITION = Kind(
    group="apiextensions.k8s.io", version="v1", kind="CustomResourceDefinition", plural="customresourcedefinitions",
    short_names=("crd", "crds"), categories=("api-extensions",), namespaced=False,
    subresources=frozenset({"status"}), schema=_SCHEMA + "CustomResourceDefinition",
    columns=(cells.NAME, cells.CREATED_AT), default=apiextensions_rules.default, prepare=apiextensions_rules.prepare,
    validate=object_meta.validate(apiextensions_rules.validate, custom=True),
)  # fmt: skip

KINDS = (CUSTOM_RESOURCE_DEFINITION,)
