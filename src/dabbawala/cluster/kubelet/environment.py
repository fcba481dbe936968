"""The environment variables of a container. Pure, given the objects it refers to.

Order, later ones win: the Services of the namespace, envFrom, env; in env each may use those before it by `$(NAME)`.
Source: pkg/kubelet makeEnvironmentVariables, pkg/kubelet/envvars.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import downward, pod_spec
from dabbawala.cluster.kubelet.expansion import expand

_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class ConfigError(Exception):
    """A variable that cannot be made: the container waits with CreateContainerConfigError and this message."""


class Reference(NamedTuple):
    """A ConfigMap or Secret of the pod's namespace."""

    kind: Literal["configmap", "secret"]
    name: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What a pod's containers refer to, as last read. An object that is not there is not in `objects`."""

    objects: Mapping[Reference, Object] = field(default_factory=dict)
    services: tuple[Object, ...] = ()


def references(item: Object) -> Iterator[Reference]:
    """The objects the container's environment needs."""
    for source in item.get("envFrom") or ():
        for kind, name in (("configmap", "configMapRef"), ("secret", "secretRef")):
            if source.get(name):
                yield Reference(kind, source[name]["name"])  # type: ignore[arg-type]  # the pair above is literal
    for variable in item.get("env") or ():
        origin = variable.get("valueFrom") or {}
        if origin.get("configMapKeyRef"):
            yield Reference("configmap", origin["configMapKeyRef"]["name"])
        if origin.get("secretKeyRef"):
            yield Reference("secret", origin["secretKeyRef"]["name"])


def variables(pod: Mapping[str, Any], item: Object, sources: Sources, place: downward.Place) -> dict[str, str]:
    """Raises ConfigError for a missing object or key that is not optional."""
    links = dict(service_links(pod, sources.services))
    found = dict(links)
    for source in item.get("envFrom") or ():
        found.update(_from_object(pod, source, sources))
    own: dict[str, str] = dict(found)
    for variable in item.get("env") or ():
        value = _value(pod, item, variable, own, sources, place)
        if value is not None:
            own[variable["name"]] = value
    return own


def _from_object(pod: Mapping[str, Any], source: Object, sources: Sources) -> Iterator[tuple[str, str]]:
    kind: Literal["configmap", "secret"] = "configmap" if source.get("configMapRef") else "secret"
    wanted = source.get("configMapRef") or source.get("secretRef") or {}
    found = sources.objects.get(Reference(kind, wanted.get("name", "")))
    if found is None:
        if not wanted.get("optional"):
            raise ConfigError(f'{kind} "{wanted.get("name")}" not found')
        return
    prefix = source.get("prefix") or ""
    for key in sorted(content(found)):
        if _ENV_NAME.fullmatch(prefix + key):
            yield prefix + key, content(found)[key].decode(errors="replace")


def _value(
    pod: Mapping[str, Any], item: Object, variable: Object, own: Mapping[str, str], sources: Sources,
    place: downward.Place,
) -> str | None:  # fmt: skip
    origin = variable.get("valueFrom")
    if not origin:
        return expand(variable.get("value") or "", own)
    try:
        if origin.get("fieldRef"):
            return downward.field(pod, origin["fieldRef"]["fieldPath"], place)
        if origin.get("resourceFieldRef"):
            ref = origin["resourceFieldRef"]
            holder = pod_spec.container(pod, ref.get("containerName") or item["name"]) or item
            return downward.resource(holder, ref["resource"], str(ref.get("divisor") or ""), place)
    except downward.BadField as bad:
        raise ConfigError(str(bad)) from bad
    if origin.get("configMapKeyRef"):
        return _key(pod, Reference("configmap", origin["configMapKeyRef"]["name"]), origin["configMapKeyRef"], sources)
    return _key(pod, Reference("secret", origin["secretKeyRef"]["name"]), origin["secretKeyRef"], sources)


def _key(pod: Mapping[str, Any], reference: Reference, wanted: Object, sources: Sources) -> str | None:
    found = sources.objects.get(reference)
    if found is None:
        if wanted.get("optional"):
            return None
        raise ConfigError(f'{reference.kind} "{reference.name}" not found')
    data = content(found).get(wanted["key"])
    if data is None:
        if wanted.get("optional"):
            return None
        kind = "ConfigMap" if reference.kind == "configmap" else "Secret"
        raise ConfigError(f"couldn't find key {wanted['key']} in {kind} {meta.namespace(pod)}/{reference.name}")
    return data.decode(errors="replace")


def content(obj: Mapping[str, Any]) -> dict[str, bytes]:
    """The data of a ConfigMap or Secret, decoded."""
    if obj.get("kind") == "Secret" or "stringData" in obj or "type" in obj:
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    plain = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return plain | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


# --- Services --------------------------------------------------------------------------------------------------


def service_links(pod: Mapping[str, Any], services: Iterable[Object]) -> Iterator[tuple[str, str]]:
    """Variables that tell where Services are. Without enableServiceLinks only those of the API server's."""
    links = pod_spec.spec(pod).get("enableServiceLinks", True)
    for service in services:
        address = (service.get("spec") or {}).get("clusterIP")
        if not address or address == "None" or not (service.get("spec") or {}).get("ports"):
            continue
        master = meta.key(service) == ("default", "kubernetes")
        if master or (links and meta.namespace(service) == meta.namespace(pod)):
            yield from _link(service, address)


def _link(service: Object, address: str) -> Iterator[tuple[str, str]]:
    prefix = meta.name(service).upper().replace("-", "_").replace(".", "_")
    ports = service["spec"]["ports"]
    yield f"{prefix}_SERVICE_HOST", address
    yield f"{prefix}_SERVICE_PORT", str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            name = port["name"].upper().replace("-", "_").replace(".", "_")
            yield f"{prefix}_SERVICE_PORT_{name}", str(port["port"])
    for number, port in enumerate(ports):
        protocol = str(port.get("protocol") or "TCP")
        url = f"{protocol.lower()}://{address}:{port['port']}"
        if number == 0:
            yield f"{prefix}_PORT", url
        stem = f"{prefix}_PORT_{port['port']}_{protocol}"
        yield stem, url
        yield f"{stem}_PROTO", protocol.lower()
        yield f"{stem}_PORT", str(port["port"])
        yield f"{stem}_ADDR", address
