"""What a pod needs beside itself: ConfigMaps, Secrets, its account, its claims, its classes; and who needs a thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.world import TYPE, World

_ENV = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
_ENV_FROM = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
_CLASSES = {"priorityClassName": "PriorityClass", "runtimeClassName": "RuntimeClass"}


def references(spec: Mapping[str, Any]) -> list[Object]:
    """What a pod's spec refers to: `kind`, `name`, `key` (empty for all of it), `optional`, and `field` below the
    spec."""
    return list(_of_pod(spec))


def _of_pod(spec: Mapping[str, Any]) -> Iterator[Object]:
    for group in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            yield from _of_container(container, f"containers[{container.get('name')}]")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, f"volumes[{volume.get('name')}]")
    for secret in spec.get("imagePullSecrets") or ():
        yield _reference("Secret", secret, "imagePullSecrets")
    if spec.get("serviceAccountName"):
        yield _reference("ServiceAccount", {"name": spec["serviceAccountName"]}, "serviceAccountName")
    for field, kind in _CLASSES.items():
        if spec.get(field):
            yield _reference(kind, {"name": spec[field]}, field)


def _of_container(container: Mapping[str, Any], field: str) -> Iterator[Object]:
    for entry in container.get("env") or ():
        for source, kind in _ENV.items():
            chosen = (entry.get("valueFrom") or {}).get(source)
            if chosen:
                yield _reference(kind, chosen, f"{field}.env[{entry.get('name')}]", chosen.get("key") or "")
    for entry in container.get("envFrom") or ():
        for source, kind in _ENV_FROM.items():
            if entry.get(source):
                yield _reference(kind, entry[source], f"{field}.envFrom")


def _of_volume(volume: Mapping[str, Any], field: str) -> Iterator[Object]:
    claim = volume.get("persistentVolumeClaim")
    if claim:
        yield _reference("PersistentVolumeClaim", {"name": claim.get("claimName")}, field)
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        yield from _of_files("ConfigMap", source.get("configMap"), field)
        secret = source.get("secret")
        yield from _of_files("Secret", secret and {"name": secret.get("secretName"), **secret}, field)
    publishing = (volume.get("csi") or {}).get("nodePublishSecretRef")
    if publishing:
        yield _reference("Secret", publishing, field)


def _of_files(kind: str, source: Mapping[str, Any] | None, field: str) -> Iterator[Object]:
    if not source:
        return
    items = source.get("items")
    for key in [item.get("key") or "" for item in items] if items else [""]:
        yield _reference(kind, source, field, key)


def _reference(kind: str, source: Mapping[str, Any], field: str, key: str = "") -> Object:
    optional = bool(source.get("optional"))
    return {"kind": kind, "name": source.get("name") or "", "key": key, "optional": optional, "field": field}


def used(world: World, kind: str, namespace: str, name: str) -> bool:
    """Whether a pod, an account, an Ingress, a Gateway or a custom resource of the namespace names the object."""
    return (kind, namespace, name) in world.once("used", lambda: set(_used(world)))


def _used(world: World) -> Iterator[tuple[str, str, str]]:
    for pod in world.pods_in():
        for found in references(pod.spec):
            yield found["kind"], pod.namespace, found["name"]
    for account in world.items("ServiceAccount"):
        obj = account.object
        for secret in (*(obj.get("imagePullSecrets") or ()), *(obj.get("secrets") or ())):
            yield "Secret", account.namespace, secret.get("name") or ""
    for item in world.inventory:
        if item.kind not in _WITHOUT_NAMES:
            yield from _named(item.object.get("spec"), item.namespace)


_WITHOUT_NAMES = frozenset({
    "Pod", "ReplicaSet", "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "Event", "EndpointSlice",
    "Endpoints", "Lease", "NetworkPolicy", "ControllerRevision",
})  # fmt: skip
_SECRET_FIELDS = frozenset({"secretName", "credentialName", "secret"})
_NAME_FIELDS = {"secretRef": "Secret", "configMapRef": "ConfigMap", "secretKeyRef": "Secret"}


def _named(found: Any, namespace: str) -> Iterator[tuple[str, str, str]]:
    """Names in any spec that by their field are those of Secrets and ConfigMaps."""
    if isinstance(found, list):
        for value in found:
            yield from _named(value, namespace)
    if not isinstance(found, dict):
        return
    for field, value in found.items():
        if isinstance(value, str) and field in _SECRET_FIELDS:
            yield "Secret", namespace, value
        elif isinstance(value, dict) and (field in _NAME_FIELDS or field.endswith(("SecretRef", "secret"))):
            yield _NAME_FIELDS.get(field, "Secret"), str(value.get("namespace") or namespace), str(value.get("name"))
        yield from _named(value, namespace)


FUNCTIONS = (
    Function("references", ("dyn",), "list<dyn>", references),
    Function("used", (TYPE, "string", "string", "string"), "bool", used, receiver=True),
)
