"""The language of checks of more than one object: CEL with `inventory`, and everything that may be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from dabbawala.cel.environment import Function
from dabbawala.cel.errors import EvaluationError
from dabbawala.guard import world
from dabbawala.guard.relations import (
    analyses,
    audit_policy,
    backups,
    certificates,
    contents,
    control_plane,
    exposed,
    identities,
    images,
    mesh,
    monitors,
    nodes,
    presence,
    reachability,
    references,
    regions,
    routes,
    selecting,
    serving,
    settings,
    storage,
    support,
    texts,
    values,
    writing,
    zones,
)
from dabbawala.guard.relations.readable import BROKEN
from dabbawala.policy.expressions import Dialect

SUBJECTS = (
    world, selecting, presence, references, zones, serving, routes, reachability, exposed, mesh, identities,
    certificates, storage, regions, nodes, support, backups, control_plane, audit_policy, settings, contents, writing,
    texts, analyses, monitors, images, values,
)  # fmt: skip
"""In the order in which docs/guard-checks.md tells of them."""


def _answering(function: Function) -> Function:
    """Objects of kinds that nobody declared may have any shape: what cannot be answered about one of them is an error
    of that one check and object."""
    call: Callable[..., Any] = function.call

    @wraps(call)
    def answer(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except BROKEN as wrong:
            raise EvaluationError(f"{function.name}: {wrong}") from wrong

    return replace(function, call=answer)


FUNCTIONS = tuple(_answering(function) for subject in SUBJECTS for function in subject.FUNCTIONS)
DIALECT = Dialect(functions=FUNCTIONS, variables=(("inventory", world.TYPE),))
"""Of checks that only a scanner can ask."""
