"""What generated policies would change in what is there, as a unified diff. Policies of namespaces that nothing was
generated for are nobody's business here. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.guard.generate.writing import Piece, render

_KEPT = ("apiVersion", "kind", "metadata", "spec")


def lines(present: Iterable[Object], pieces: Iterable[Piece]) -> Iterator[str]:
    """The lines of the diff, with their ends; none where nothing would change. What is there and was not generated is
    shown as removed, because it allows what nobody was seen to need."""
    new = {meta.key(piece.object): piece.object for piece in pieces}
    homes = {key.namespace for key in new}
    old = {meta.key(obj): obj for obj in present if meta.namespace(obj) in homes}
    for key in sorted({*old, *new}):
        yield from difflib.unified_diff(
            _text(old.get(key)), _text(new.get(key)), _file(key, "present"), _file(key, "generated")
        )


def _file(key: ObjectKey, side: str) -> str:
    return f"{side}/{key.namespace}/{key.name}"


def _text(obj: Object | None) -> list[str]:
    return [] if obj is None else render([Piece(_plain(obj), "")]).splitlines(keepends=True)[1:]


def _plain(obj: Object) -> Object:
    """Without what the server says of it, and in the order in which we write."""
    found = {name: obj[name] for name in _KEPT if name in obj}
    found["metadata"] = {name: obj["metadata"][name] for name in ("name", "namespace") if name in obj["metadata"]}
    spec = obj.get("spec") or {}
    order = ("podSelector", "policyTypes", "ingress", "egress")
    found["spec"] = {name: _ordered(spec[name]) for name in order if name in spec}
    return found


def _ordered(value: object) -> object:
    """A rule's fields in the order in which we write; which order is no difference."""
    if isinstance(value, dict):
        first = [name for name in ("namespaceSelector", "from", "to", "protocol") if name in value]
        return {name: _ordered(value[name]) for name in [*first, *sorted(set(value) - set(first))]}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
