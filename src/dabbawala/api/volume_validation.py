"""Validation of volumes. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dabbawala.api import container_validation, names
from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object

_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_FILE_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
)  # fmt: skip
_PROJECTIONS = ("clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret", "serviceAccountToken")


def volumes(given: Iterable[Object], path: str) -> Errors:
    listed = [(f"{path}[{index}]", volume) for index, volume in enumerate(given)]
    yield from check.unique((f"{where}.name", volume.get("name")) for where, volume in listed)
    for where, volume in listed:
        yield from check.named(volume.get("name"), names.dns_label, f"{where}.name")
        sources = [field for field, value in volume.items() if field != "name" and value is not None]
        if not sources:
            yield status.required(where, "must specify a volume type")
        for extra in sources[1:]:
            yield status.forbidden(f"{where}.{extra}", "may not specify more than 1 volume type")
        for field in sources:
            if field in _SOURCES:
                yield from _SOURCES[field](volume[field], f"{where}.{field}")


def _host_path(source: Object, path: str) -> Errors:
    target = source.get("path") or ""
    if not target:
        yield status.required(f"{path}.path")
    elif ".." in target.split("/"):
        yield status.invalid(f"{path}.path", target, "must not contain '..'")
    if source.get("type", "") not in _HOST_PATH_TYPES:
        yield status.not_supported(f"{path}.type", source["type"], _HOST_PATH_TYPES)


def _secret(source: Object, path: str) -> Errors:
    if not source.get("secretName"):
        yield status.required(f"{path}.secretName")
    yield from _files(source, path)


def _config_map(source: Object, path: str) -> Errors:
    if not source.get("name"):
        yield status.required(f"{path}.name")
    yield from _files(source, path)


def _files(source: Object, path: str) -> Errors:
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        yield status.invalid(f"{path}.defaultMode", mode, "must be a number between 0 and 0777 (octal), both inclusive")
    for index, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{index}]"
        if not item.get("key"):
            yield status.required(f"{where}.key")
        yield from _item_path(item, where)


def _item_path(item: Object, path: str) -> Errors:
    if not item.get("path"):
        yield status.required(f"{path}.path")
    yield from container_validation.relative_path(item.get("path"), f"{path}.path")


def _downward(source: Object, path: str) -> Errors:
    for index, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{index}]"
        yield from _item_path(item, where)
        field = (item.get("fieldRef") or {}).get("fieldPath") or ""
        if item.get("fieldRef") is not None and item.get("resourceFieldRef") is not None:
            yield status.invalid(where, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
        elif item.get("fieldRef") is None and item.get("resourceFieldRef") is None:
            yield status.required(where, "one of fieldRef and resourceFieldRef is required")
        elif field and not field.startswith(container_validation.KEYED_FIELDS) and field not in _FILE_FIELDS:
            yield status.not_supported(f"{where}.fieldRef.fieldPath", field, _FILE_FIELDS)


def _claim(source: Object, path: str) -> Errors:
    if not source.get("claimName"):
        yield status.required(f"{path}.claimName")


def _empty_dir(source: Object, path: str) -> Errors:
    if source.get("sizeLimit") is not None:
        yield from check.amount(source["sizeLimit"], f"{path}.sizeLimit")


def _projected(source: Object, path: str) -> Errors:
    for index, projection in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        chosen = [field for field in _PROJECTIONS if projection.get(field) is not None]
        if not chosen:
            yield status.required(where, "must specify a volume type")
        for extra in chosen[1:]:
            yield status.forbidden(f"{where}.{extra}", "may not specify more than 1 volume type")
        for field in chosen:
            yield from _PROJECTION_CHECKS.get(field, _files)(projection[field], f"{where}.{field}")


def _token(source: Object, path: str) -> Errors:
    seconds = source.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        yield status.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if not source.get("path"):
        yield status.required(f"{path}.path")


_SOURCES: Mapping[str, Callable[[Object, str], Errors]] = {
    "hostPath": _host_path,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "persistentVolumeClaim": _claim,
    "emptyDir": _empty_dir,
    "projected": _projected,
}
_PROJECTION_CHECKS: Mapping[str, Callable[[Object, str], Errors]] = {
    "configMap": _config_map,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
}
