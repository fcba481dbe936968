"""CustomResourceDefinitions of kinds that are built in here, for clusters where they must be installed.

`manifests/crds/` and `manifests/guard/crds/` hold what this module makes; `python -m dabbawala.api.definitions
DIRECTORY` writes one of them anew, and a test says whether it has been forgotten. Pure, but for that command.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from dabbawala.api import argoproj_v1alpha1, custom_schemas, guard_v1alpha1, readiness_v1alpha1, wgpolicyk8s_v1alpha2
from dabbawala.api.kind import Column, Kind
from dabbawala.apimachinery.meta import Object

_WIDTH = 160
_HEADER = "# Derived: edit the kinds in dabbawala.api, then run `python -m dabbawala.api.definitions {directory}`.\n"
SHIPPED: Mapping[str, tuple[Kind, ...]] = {
    "manifests/crds": (*argoproj_v1alpha1.KINDS, *readiness_v1alpha1.KINDS),
    "manifests/guard/crds": (*guard_v1alpha1.KINDS, *wgpolicyk8s_v1alpha2.KINDS),
}
"""The kinds of each directory of the repository."""
# Columns that every custom resource has anyway, or that are computed and have no path.
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def definition(kind: Kind) -> Object:
    """The definition of a kind with one version."""
    assert kind.open_api is not None
    version: Object = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": custom_schemas.structural(kind.open_api())},
        "additionalPrinterColumns": [_column(column) for column in kind.columns if column.path] + [_AGE],
        "subresources": _subresources(kind),
    }
    names = {
        "kind": kind.kind,
        "listKind": kind.list_kind,
        "plural": kind.plural,
        "singular": kind.singular or kind.kind.lower(),
        "shortNames": list(kind.short_names),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _column(column: Column) -> Object:
    made: Object = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        made["description"] = column.description
    if column.priority:
        made["priority"] = column.priority
    return made


def _subresources(kind: Kind) -> Object:
    made: Object = {"status": {}} if "status" in kind.subresources else {}
    if kind.scale is not None:
        made["scale"] = {
            "specReplicasPath": kind.scale.spec_replicas,
            "statusReplicasPath": kind.scale.status_replicas,
            "labelSelectorPath": kind.scale.label_selector,
        }
    return made


class _Dumper(yaml.SafeDumper):
    """Never anchors: what is the same twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def files(directory: str = "manifests/crds") -> dict[str, str]:
    """File name -> YAML, one definition each, of a directory of SHIPPED."""
    return {
        f"{kind.resource}.yaml": _HEADER.format(directory=directory)
        + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=_WIDTH)
        for kind in SHIPPED[directory]
    }


def main(arguments: Sequence[str]) -> int:
    """Write the files of the directory named by the first argument, as seen from the repository."""
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files(arguments[0].rstrip("/")).items():
        (directory / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
