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

DIGEST_VERSION = "v1"


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
    pruned: Object = _pruned(result)
    return pruned


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


def _pruned(value: Any) -> Any:
    """Without what is empty: absent, `{}` and `[]` mean the same in a template once defaults are filled in."""
    if isinstance(value, dict):
        kept = {name: _pruned(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [], None, "", False)}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value
