"""Manifests on disk: Rollouts and what they name, for commands that need no cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dabbawala.api import argoproj_v1alpha1, core_v1, istio_networking_v1, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.rollout import references, spec, traffic, validation
from dabbawala.rollout.analysis import templates
from dabbawala.rollout.observed import Observed, situate
from dabbawala.rollout.rehearsal import START

CARRIED = (
    core_v1.SERVICE,
    istio_networking_v1.VIRTUAL_SERVICE,
    istio_networking_v1.DESTINATION_RULE,
    argoproj_v1alpha1.ANALYSIS_TEMPLATE,
    argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE,
)


class Unreadable(Exception):
    """The file cannot be read as manifests; the message says where."""


@dataclass(slots=True)
class Manifests:
    """`others` are objects of the kinds that rollouts refer to."""

    rollouts: list[Object] = field(default_factory=list)
    others: list[tuple[Kind, Object]] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Object]:
        return [obj for found, obj in self.others if found is kind]


def read(paths: Iterable[Path], namespace: str = "default") -> Manifests:
    """All Rollouts, and what they may refer to, of these files; folders are read file by file. Raises Unreadable."""
    found = Manifests()
    for path in paths:
        files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        for file in files:
            _take(found, file, namespace)
    return found


def _take(found: Manifests, file: Path, namespace: str) -> None:
    try:
        documents = list(yaml.safe_load_all(file.read_text()))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise Unreadable(f"{file}: {wrong}") from wrong
    for document in documents:
        for obj in document.get("items", [document]) if isinstance(document, dict) else ():
            if not isinstance(obj, dict) or not obj.get("kind"):
                raise Unreadable(f"{file}: a document has no kind")
            _sort(found, obj, namespace)


def _sort(found: Manifests, obj: Object, namespace: str) -> None:
    kind = kinds.of(str(obj.get("apiVersion", "")), str(obj["kind"]))
    stored = kind.stored_as or kind if kind is not None else None
    metadata = dict(obj.get("metadata") or {})
    if kind is not None and kind.namespaced:
        metadata["namespace"] = metadata.get("namespace") or namespace
    placed = {**obj, "metadata": metadata}
    if stored is argoproj_v1alpha1.ROLLOUT:
        found.rollouts.append(placed)
    elif stored in CARRIED:
        found.others.append((stored, placed))


def errors(manifests: Manifests, rollout: Object) -> list[FieldError]:
    """What is wrong with the Rollout, and between it and what the files hold. What they do not hold may well be in the
    cluster, so an object that is not among them is no error here."""
    own = validation.validate(rollout)
    if own:
        return own
    world = observed(manifests, rollout)
    found = references.validate(situate(rollout, world, START))
    return [error for error in found if "not found" not in error.message]


def observed(manifests: Manifests, rollout: Object) -> Observed:
    space = meta.namespace(rollout)
    services = {meta.name(item): item for item in manifests.of(core_v1.SERVICE) if meta.namespace(item) == space}
    kinds_of_templates = (argoproj_v1alpha1.ANALYSIS_TEMPLATE, argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE)
    return Observed(
        services=services,
        virtual_services={meta.key(item): item for item in manifests.of(istio_networking_v1.VIRTUAL_SERVICE)},
        destination_rules={meta.key(item): item for item in manifests.of(istio_networking_v1.DESTINATION_RULE)},
        templates={(kind.kind, meta.name(item)): item for kind in kinds_of_templates for item in manifests.of(kind)},
    )


def completed(manifests: Manifests, rollout: Object) -> list[tuple[Kind, Object]]:
    """The other objects, with stand-ins for those that the Rollout names and the files do not hold."""
    world, space = observed(manifests, rollout), meta.namespace(rollout)
    made = list(manifests.others)
    labels = (spec.template(rollout).get("metadata") or {}).get("labels") or {}
    missing = sorted(set(spec.services(rollout).values()) - world.services.keys())
    made += ((core_v1.SERVICE, _object(core_v1.SERVICE, name, space, {"selector": dict(labels)})) for name in missing)
    routes = (item for item in traffic.references(rollout) if item.key not in world.virtual_services)
    made += (_route(rollout, reference) for reference in routes)
    made += _templates(rollout, world, space)
    return made


def _object(kind: Kind, name: str, namespace: str, body: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": body}


def _route(rollout: Object, reference: traffic.Reference) -> tuple[Kind, Object]:
    who = traffic.sides(rollout)
    sides = []
    for side, service, subset in (
        ("stable", who.stable_service, who.stable_subset),
        ("canary", who.canary_service, who.canary_subset),
    ):
        destination = {"host": "any", "subset": subset} if subset else {"host": service}
        sides.append({"destination": destination, "weight": 100 if side == "stable" else 0})
    routes = [{"name": name, "route": deepcopy(sides)} for name in reference.routes] or [{"route": sides}]
    kind = istio_networking_v1.VIRTUAL_SERVICE
    return kind, _object(kind, reference.key.name, reference.key.namespace, {"hosts": ["any"], "http": routes})


def _templates(rollout: Object, world: Observed, namespace: str) -> list[tuple[Kind, Object]]:
    assumed_once = {"count": 1, "provider": {"web": {"url": "http://assumed"}}}
    made: dict[tuple[str, str], tuple[Kind, Object]] = {}
    for _, analysis, _ in references.analyses(rollout):
        for reference in analysis.get("templates") or ():
            key = templates.reference_key(reference)
            if key in world.templates:
                continue
            kind = argoproj_v1alpha1.ANALYSIS_TEMPLATE
            if key[0] == templates.CLUSTER_TEMPLATE:
                kind = argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE
            metric = {"name": f"assumed-{key[1]}", **assumed_once}  # two of one name are refused in one analysis
            made[key] = kind, _object(kind, key[1], namespace if kind.namespaced else "", {"metrics": [metric]})
    return list(made.values())


def earlier(rollout: Object) -> Object:
    """A version of the Rollout that differs in nothing but the image, to plan an update from."""
    before = deepcopy(rollout)
    for container in before["spec"]["template"]["spec"].get("containers") or ():
        container["image"] = f"{container.get('image', '')}.before"
    return before


def assumed(manifests: Manifests, rollout: Object) -> Mapping[str, str]:
    """Names of objects that stand in for others, by kind."""
    known = {(kind.kind, meta.name(obj)) for kind, obj in manifests.others}
    made = [(kind.kind, meta.name(obj)) for kind, obj in completed(manifests, rollout)]
    return {name: kind for kind, name in made if (kind, name) not in known}
