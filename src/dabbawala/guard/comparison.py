"""Which questions a comparison with a server asks about the objects of files: those that a check has a word on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from dabbawala.guard import checks, requests, sources
from dabbawala.guard.checks import Check
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.parity import Question
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import DELETE, UPDATE, Request


class Asked(NamedTuple):
    """A question as it is written, and as the API server would hand it to policies."""

    question: Question
    request: Request


def questions(paths: Sequence[str], asked: Sequence[Check]) -> list[tuple[Check, list[Asked]]]:
    """By check: every object that it is about created, updated and deleted. Raises nothing for files that cannot be
    read: a scan says so."""
    every = list(_all(paths))
    found = []
    for check in asked:
        policy = CompiledPolicy.of(checks.parameter_free(check.document))
        about = [each for each in every if policy.matches(each.request)]
        if about:
            found.append((check, about))
    return found


def _all(paths: Sequence[str]) -> Iterator[Asked]:
    documents = [item for source in sources.find(paths) for item in source.read().documents if item.is_object]
    preparation = Preparation(document.object for document in documents)
    for document in documents:
        prepared = preparation.prepare(document)
        if prepared.object is None:
            continue
        written, made = document.object, requests.creating(prepared.object, prepared.resource)
        yield Asked(Question("CREATE", written), made)
        yield Asked(Question("UPDATE", written, written), replace(made, operation=UPDATE, old=made.object, memo={}))
        gone = replace(made, operation=DELETE, object=None, old=made.object, memo={})
        yield Asked(Question("DELETE", written, written), gone)
