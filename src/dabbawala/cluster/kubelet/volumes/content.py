"""The files of a volume that is made from API objects: configMap, secret, downwardAPI, projected. Pure.

Source: pkg/volume/{configmap,secret,downwardapi,projected} collectData, pkg/volume/volume_linux.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import downward, pod_spec
from dabbawala.cluster.kubelet.environment import Reference, Sources, content

DEFAULT_MODE = 0o644


class VolumeError(Exception):
    """A volume that cannot be put in place (yet); the message is for the pod's event."""


class File(NamedTuple):
    """`owner` and `group` are ids, -1 for the node agent's own."""

    data: bytes
    mode: int
    owner: int = -1
    group: int = -1


Files = dict[str, File]


class TokenRequest(NamedTuple):
    """A service account token that a projected volume asks for. Empty audience: the API server's own."""

    audience: str
    expiration_seconds: int


@dataclass(frozen=True, slots=True)
class Materials:
    """All that the files of a pod's volumes are made of."""

    sources: Sources
    place: downward.Place
    tokens: Mapping[TokenRequest, bytes]


def is_made_of_objects(volume: Object) -> bool:
    return any(volume.get(kind) is not None for kind in ("configMap", "secret", "downwardAPI", "projected"))


def references(volume: Object) -> Iterator[Reference]:
    """The ConfigMaps and Secrets the volume needs."""
    for projection in _projections(volume):
        if projection.get("configMap"):
            yield Reference("configmap", _name(projection["configMap"]))
        if projection.get("secret"):
            yield Reference("secret", _name(projection["secret"]))


def tokens(volume: Object) -> Iterator[TokenRequest]:
    for projection in _projections(volume):
        if projection.get("serviceAccountToken"):
            yield _token(projection["serviceAccountToken"])


def files(pod: Mapping[str, Any], volume: Object, materials: Materials) -> Files:
    """Path below the volume -> file. Raises VolumeError for what is missing and not optional."""
    mode = _default_mode(volume)
    found: Files = {}
    for projection in _projections(volume):
        found.update(_project(pod, projection, mode, materials))
    group = pod_spec.security_context(pod).get("fsGroup")
    if group is None:
        return found
    return {path: file._replace(mode=file.mode | 0o440, group=int(group)) for path, file in found.items()}


def _only_user(pod: Mapping[str, Any]) -> int | None:
    """The user that all containers run as, if each says so and it is the same. Source: pkg/volume/util FsUserFrom."""
    default = pod_spec.security_context(pod).get("runAsUser")
    users = set()
    for item in pod_spec.all_containers(pod):
        own = (item.get("securityContext") or {}).get("runAsUser")
        users.add(default if own is None else own)
    return users.pop() if len(users) == 1 else None


def _token_file(pod: Mapping[str, Any], token: bytes, mode: int) -> File:
    """Closed to all but the user, or with fsGroup the group, that needs it; open where the pod does not say who."""
    user = _only_user(pod)
    closed = user is not None or pod_spec.security_context(pod).get("fsGroup") is not None
    return File(token, 0o600 if closed else mode, -1 if user is None else int(user))


def _projections(volume: Object) -> list[Object]:
    if volume.get("projected") is not None:
        return list(volume["projected"].get("sources") or ())
    return [volume]


def _default_mode(volume: Object) -> int:
    for kind in ("projected", "configMap", "secret", "downwardAPI"):
        if volume.get(kind) is not None:
            mode = volume[kind].get("defaultMode")
            return DEFAULT_MODE if mode is None else int(mode)
    return DEFAULT_MODE


def _name(source: Object) -> str:
    return str(source.get("name") or source.get("secretName") or "")


def _token(source: Object) -> TokenRequest:
    return TokenRequest(str(source.get("audience") or ""), int(source.get("expirationSeconds") or 3600))


def _project(pod: Mapping[str, Any], projection: Object, mode: int, materials: Materials) -> Files:
    if projection.get("configMap") is not None:
        return _object_files(pod, "ConfigMap", projection["configMap"], mode, materials)
    if projection.get("secret") is not None:
        return _object_files(pod, "Secret", projection["secret"], mode, materials)
    if projection.get("downwardAPI") is not None:
        return _downward_files(pod, projection["downwardAPI"], mode, materials.place)
    if projection.get("serviceAccountToken") is not None:
        source = projection["serviceAccountToken"]
        return {source["path"]: _token_file(pod, materials.tokens[_token(source)], mode)}
    raise VolumeError(f"a projected source of kind {', '.join(projection)} is not supported here")


def _object_files(pod: Mapping[str, Any], kind: str, source: Object, mode: int, materials: Materials) -> Files:
    name = _name(source)
    reference = Reference("configmap" if kind == "ConfigMap" else "secret", name)
    found = materials.sources.objects.get(reference)
    if found is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'{reference.kind} "{name}" not found')
    data = content(found)
    if not source.get("items"):
        return {key: File(value, mode) for key, value in data.items()}
    chosen: Files = {}
    for item in source["items"]:
        value = data.get(item["key"])
        if value is not None:
            own = item.get("mode")
            chosen[item["path"]] = File(value, mode if own is None else int(own))
        elif not source.get("optional"):
            where = f"{meta.namespace(pod)}/{name}"
            raise VolumeError(f"references non-existent {reference.kind} key: {item['key']} in {where}")
    return chosen


def _downward_files(pod: Mapping[str, Any], source: Object, mode: int, place: downward.Place) -> Files:
    made: Files = {}
    for item in source.get("items") or ():
        own = item.get("mode")
        text = _downward_text(pod, item, place)
        made[item["path"]] = File(text.encode(), mode if own is None else int(own))
    return made


def _downward_text(pod: Mapping[str, Any], item: Object, place: downward.Place) -> str:
    try:
        if item.get("fieldRef"):
            return downward.field(pod, item["fieldRef"]["fieldPath"], place)
        ref = item["resourceFieldRef"]
        holder = pod_spec.container(pod, str(ref.get("containerName"))) or {}
        return downward.resource(holder, ref["resource"], str(ref.get("divisor") or ""), place)
    except downward.BadField as bad:
        raise VolumeError(str(bad)) from bad
