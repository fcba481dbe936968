"""Pod templates: when two are the same, and the short hash that names what is made from one.

Two templates are the same when they differ in nothing but the hash label itself. A set made by another controller,
whose hash was computed in another way, is therefore recognised by its template and never replaced because of its
name. Source: pkg/controller/deployment/util (EqualIgnoreHash), apimachinery/pkg/util/rand (SafeEncodeString).
"""

from __future__ import annotations

import zlib

import orjson

from dabbawala.apimachinery.meta import Object

HASH_LABEL = "pod-template-hash"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Of names that are made up: it spells no words. Source: k8s.io/apimachinery/pkg/util/rand."""


def without_label(template: Object, label: str) -> Object:
    """The template without that label; `creationTimestamp: null` counts as absent."""
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if v and k != "creationTimestamp"}
    labels = {k: v for k, v in (metadata.pop("labels", None) or {}).items() if k != label}
    return {"metadata": {**metadata, **({"labels": labels} if labels else {})}, "spec": template.get("spec") or {}}


def equal(left: Object, right: Object, *, label: str = HASH_LABEL) -> bool:
    return without_label(left, label) == without_label(right, label)


def hash_of(template: Object, collisions: int = 0, *, label: str = HASH_LABEL) -> str:
    """32 bits of the canonical JSON and the collision count, in letters that spell no words."""
    data = orjson.dumps(without_label(template, label), option=orjson.OPT_SORT_KEYS) + str(collisions or "").encode()
    return "".join(ALPHABET[int(digit)] for digit in str(zlib.crc32(data)))
