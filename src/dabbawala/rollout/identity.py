"""Which ReplicaSet is this template's: found by what it was made from, never by how somebody serialises it.

A set is the template's own when, in this order, it carries the digest of the template, its template is semantically
equal, or it carries a hash that Argo Rollouts would give the template (of either generation) and nothing contradicts
it. Only when nothing matches is a new hash minted. So no upgrade of this controller, of Kubernetes or of a library
ever redeploys anything. Source: Argo Rollouts, utils/replicaset and utils/hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import orjson

from dabbawala.api import pod_defaults
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import go_json, keys
from dabbawala.rollout.go_fields import TYPES, Field

DIGEST_VERSION = "v1"

MEANT_WHEN_EMPTY = frozenset({"storageClassName", "volumeAttributesClassName"})
"""Strings behind a pointer for which `""` is another wish than none: no class, rather than the default one."""


def digest(template: Object) -> str:
    """A digest of the template as the user wrote it, less what the API adds: `v1:` and 128 bits."""
    data = orjson.dumps(_written(template), option=orjson.OPT_SORT_KEYS)
    return f"{DIGEST_VERSION}:{hashlib.sha256(data).hexdigest()[:32]}"


def find(template: Object, sets: Sequence[Object], collisions: int) -> Object | None:
    """The set made from this template; of several, the one that most surely is."""
    wanted = digest(template)
    for found in sets:
        if meta.annotations(found).get(keys.TEMPLATE_DIGEST) == wanted:
            return found
    canonical = comparable(template, {})
    for found in sets:
        if comparable(found["spec"]["template"], ephemeral(found)) == canonical:
            return found
    hashes = go_json.hashes(template, collisions)
    for found in sets:
        carries = str(meta.annotations(found).get(keys.TEMPLATE_DIGEST, ""))
        if meta.labels(found).get(keys.HASH) in hashes and not carries.startswith(f"{DIGEST_VERSION}:"):
            return found
    return None


def mint(template: Object, collisions: int) -> str:
    """The hash of a set to be made."""
    return go_json.hashes(template, collisions)[0]


def ephemeral(replica_set: Object) -> Object:
    """Labels and annotations injected into the pods of a set while it plays a role."""
    text = meta.annotations(replica_set).get(keys.EPHEMERAL_METADATA)
    found: Object = orjson.loads(text) if text else {}
    return found


def comparable(template: Object, injected: Object) -> Object:
    """The template with API defaults, and without hash label, injected metadata and injected anti-affinity."""
    holder = {"template": deepcopy(_written(template))}
    pod_defaults.template(holder)
    result: Object = holder["template"]
    metadata = result.setdefault("metadata", {})
    for field in ("labels", "annotations"):
        extra = {keys.HASH, *(injected.get(field) or {})}
        kept = {name: value for name, value in (metadata.pop(field, None) or {}).items() if name not in extra}
        if kept:
            metadata[field] = kept
    _drop_anti_affinity(result.get("spec") or {})
    return _pruned(result, "PodTemplateSpec")


def _written(template: Object) -> Object:
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if v and k != "creationTimestamp"}
    return {"metadata": metadata, "spec": template.get("spec") or {}}


def _drop_anti_affinity(pod_spec: Object) -> None:
    terms = ((pod_spec.get("affinity") or {}).get("podAntiAffinity")) or {}
    for field, listed in list(terms.items()):
        kept = [term for term in listed if not _is_injected(term.get("podAffinityTerm", term))]
        terms[field] = kept


def _is_injected(term: Object) -> bool:
    expressions = (term.get("labelSelector") or {}).get("matchExpressions") or ()
    return any(item.get("key") == keys.HASH for item in expressions)


def _pruned(value: Object, type_: str) -> Object:
    """A struct without what means the same as its absence, once defaults are filled in. Maps are left as they are: an
    empty label is a label."""
    known = {field.name: field for field in TYPES[type_]}
    kept = {name: _typed(item, known[name].type) if name in known else item for name, item in value.items()}
    return {name: item for name, item in kept.items() if not _is_absent(item, known.get(name))}


def _typed(value: Any, type_: str) -> Any:
    if type_ not in TYPES:
        return value
    if isinstance(value, list):
        return [_typed(item, type_) for item in value]
    return _pruned(value, type_) if isinstance(value, dict) else value


def _is_absent(value: Any, field: Field | None) -> bool:
    """What Go would not write of a plain field, it writes of a pointer: `runAsUser: 0` is a wish, `hostPort: 0` none.
    An empty label selector selects everything and an absent one nothing."""
    if value is None:
        return True
    if field is None or (isinstance(value, (dict, list)) and field.type != "LabelSelector"):
        return value in ({}, [])
    if isinstance(value, str):
        return not value and field.name not in MEANT_WHEN_EMPTY
    return field.omits_zero and not value
