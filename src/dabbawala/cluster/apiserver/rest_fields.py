"""Fields against the kind's schema: unknown and duplicate ones, types, pruning. Source: fieldValidation, KEP-2885."""

from __future__ import annotations

from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.cluster.apiserver.core import Call


def strict(call: Call, obj: Object) -> None:
    """Drop what the schema does not know, in place, and say so as `fieldValidation` asks."""


def errors(kind: Kind, obj: Object) -> list[FieldError]:
    """Values of the wrong type or outside what the schema allows."""
    return []
