"""Defaults, preparation and validation of the plain kinds of the core group: Namespace, Node, ConfigMap, Secret, Event.

Source: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation, pkg/registry/core.
"""

from __future__ import annotations

import base64
import binascii

from dabbawala.api import field_checks as check
from dabbawala.api import names, object_meta
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object

MAX_DATA_BYTES = 1024 * 1024
NAME_LABEL = "kubernetes.io/metadata.name"
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_IMMUTABLE = "field is immutable when `immutable` is set"
# Secret type -> data keys it must have.
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def default_namespace(obj: Object) -> None:
    name = meta.name(obj)
    if name:
        labels = obj["metadata"]["labels"] = obj["metadata"].get("labels") or {}
        labels.setdefault(NAME_LABEL, name)


def prepare_namespace(new: Object, old: Object | None) -> None:
    """A new namespace is Active and guarded by the finalizer that empties it; `finalize` alone takes that away."""
    if old is None:
        new["spec"] = {"finalizers": ["kubernetes"]}
        new["status"] = {"phase": "Active"}
    else:
        for field in ("spec", "status"):
            if field in old:
                new[field] = old[field]


def namespace(new: Object, old: Object | None) -> Errors:
    given = meta.labels(new).get(NAME_LABEL)
    if given is not None and given != meta.name(new):
        message = f"must match {meta.name(new)!r}"
        yield status.invalid(f"metadata.labels[{NAME_LABEL}]", given, message)


def node(new: Object, old: Object | None) -> Errors:
    seen: set[tuple[object, object]] = set()
    spec = new.get("spec") or {}
    for index, taint in enumerate(spec.get("taints") or ()):
        where = f"spec.taints[{index}]"
        yield from check.named(taint.get("key"), names.qualified_name, f"{where}.key")
        for message in names.label_value(taint.get("value") or ""):
            yield status.invalid(f"{where}.value", taint["value"], message)
        yield from check.one_of(taint.get("effect"), _TAINT_EFFECTS, f"{where}.effect")
        pair = (taint.get("key"), taint.get("effect"))
        if pair in seen:
            yield status.FieldError(where, "FieldValueDuplicate", f"Duplicate value: {check.shown(taint)}")
        seen.add(pair)
    before = ((old or {}).get("spec") or {}).get("podCIDR")
    if before and spec.get("podCIDR") != before:
        yield status.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')


def config_map(new: Object, old: Object | None) -> Errors:
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    size = 0
    for field, entries in (("data", data), ("binaryData", binary)):
        for key, value in entries.items():
            for message in names.config_key(key):
                yield status.invalid(f"{field}[{key}]", key, message)
            size += len(value)
    for key in data.keys() & binary.keys():
        yield status.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _too_large(size, "")
    yield from _frozen(new, old, ("data", "binaryData"))


def default_secret(obj: Object) -> None:
    obj["type"] = obj.get("type") or "Opaque"


def prepare_secret(new: Object, old: Object | None) -> None:
    """`stringData` is for writing only: it is folded into `data`."""
    plain = new.pop("stringData", None)
    if plain:
        data = dict(new.get("data") or {})
        data.update({key: base64.b64encode(value.encode()).decode() for key, value in plain.items()})
        new["data"] = data


def secret(new: Object, old: Object | None) -> Errors:
    size = 0
    data = new.get("data") or {}
    for key, value in data.items():
        for message in names.config_key(key):
            yield status.invalid(f"data[{key}]", key, message)
        try:
            size += len(base64.b64decode(value or "", validate=True))
        except (binascii.Error, ValueError):
            yield status.invalid(f"data[{key}]", "<secret contents redacted>", "must be base64")
    yield from _too_large(size, "data")
    yield from _secret_type(new, data)
    if old is not None:
        yield from object_meta.immutable(new.get("type"), old.get("type"), "type")
    yield from _frozen(new, old, ("data",))


def _secret_type(new: Object, data: Object) -> Errors:
    kind = new.get("type") or ""
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            yield status.required(f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        yield status.required("data[username]")
        yield status.required("data[password]")
    account = "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not meta.annotations(new).get(account):
        yield status.required(f"metadata.annotations[{account}]")


def _too_large(size: int, path: str) -> Errors:
    if size > MAX_DATA_BYTES:
        message = f"Too long: may not be more than {MAX_DATA_BYTES} bytes"
        yield status.FieldError(path, "FieldValueTooLong", message)


def _frozen(new: Object, old: Object | None, fields: tuple[str, ...]) -> Errors:
    """An immutable ConfigMap or Secret stays as it is, and stays immutable."""
    if old is None or not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield status.forbidden("immutable", _IMMUTABLE)
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield status.forbidden(field, _IMMUTABLE)


def event(new: Object, old: Object | None) -> Errors:
    involved = new.get("involvedObject") or {}
    home, about = meta.namespace(new), involved.get("namespace") or ""
    if about and about != home:
        yield status.invalid("involvedObject.namespace", about, "does not match event.namespace")
    if not about and home not in ("default", "", "kube-system"):
        yield status.invalid("involvedObject.namespace", about, "does not match event.namespace")
