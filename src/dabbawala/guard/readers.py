"""What the files of a scan hold, read in several processes where there are many.

A process that is forked reads a share of them and sends its objects as they are kept here, so that they need only be
put behind the others. What is not as plain as that is read once more by whoever asked: a file with a problem, with
scripts in it, or with a List. Charts, kustomizations and the standard input are read there alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from dabbawala.guard import documents, embedding, processes, sources
from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.findings import Problem, Report
from dabbawala.guard.heap import Heap
from dabbawala.guard.processes import Worker
from dabbawala.guard.sources import Entry

FAULTS = frozenset(("duplicate-key",))
"""Codes of problems with which a document can be read all the same."""

_BATCH = 256  # files that are sent at once


def read(paths: Iterable[str], report: Report, jobs: int = 1) -> list[Document]:
    """What checks can be asked about, packed, in the order of the files. Problems go into the report. `jobs` is the
    number of processes, 0 for as many as pay. Raises WorkerFailed."""
    heap, entries = Heap(), list(sources.listed(paths))
    first, *rest = shares(entries, jobs or processes.count(len(entries)))
    with processes.working([partial(_work, share) for share in rest]) as workers:
        found = [document for entry in first for document in _read(entry, heap, report)]
        for share, worker in zip(rest, workers, strict=True):
            found.extend(_received(worker, share, heap, report))
    return found


def shares(entries: Sequence[Entry], jobs: int) -> list[list[Entry]]:
    """What each process reads: one behind the other, so that their order stays, and about as many bytes each. None
    but the first is empty."""
    made: list[list[Entry]] = [[] for _ in range(jobs)]
    before, more = 0, sum(entry.size for entry in entries) + 1
    for entry in entries:
        made[before * jobs // more].append(entry)
        before += entry.size
    return [made[0], *filter(None, made[1:])]


def _read(entry: Entry, heap: Heap, report: Report) -> Iterator[Document]:
    report.files += 1
    for document in documents_of(sources.opened(entry).read(), report):
        document.pack(heap)
        yield document


def _work(share: Sequence[Entry]) -> Iterator[tuple[bytes, list[Any]]]:
    entries = iter(share)
    while batch := list(islice(entries, _BATCH)):
        heap = Heap()
        sent = [_sent(entry, heap) for entry in batch]
        yield heap.sent(), sent


def _sent(entry: Entry, heap: Heap) -> tuple[Any, ...] | None:
    """What a file holds, for the other process; None if that must read it."""
    if entry.kind != sources.FILE:
        return None
    report = Report()
    found = list(documents_of(sources.opened(entry).read(), report))
    return None if report.problems else documents.sent(found, heap)


def _received(worker: Worker, share: Sequence[Entry], heap: Heap, report: Report) -> Iterator[Document]:
    entries = iter(share)
    for data, batch in processes.received(worker):
        above = heap.take(data)
        for sent, entry in zip(batch, entries, strict=False):  # the batch ends first
            if sent is None:
                yield from _read(entry, heap, report)
            else:
                report.files += 1
                yield from documents.received(sent, str(entry.path), heap, above=above)


def documents_of(reading: Reading, report: Report) -> Iterator[Document]:
    """What checks can be asked about of a file: its objects, and what stands in them. Problems go into the report."""
    report.problems += _apart(reading)
    for document in reading.documents:
        report.problems += _halves(document)
        yield from embedding.documents_of(document)


def _halves(document: Document) -> Iterator[Problem]:
    """What has metadata as objects have, but does not say what it is: nobody can judge it, and it is no pass."""
    absent = [field for field in ("apiVersion", "kind") if not document.object.get(field)]
    if len(absent) == 1 and not document.is_object and isinstance(document.object.get("metadata"), dict):
        message = f"the object has no {absent[0]}, so that no server takes it and no check can be asked"
        yield Problem(document.place(""), "half-an-object", message, f"Write its {absent[0]}.")


def _apart(reading: Reading) -> Iterator[Problem]:
    """The problems of a file, without those that are faults of one of its documents."""
    for problem in reading.problems:
        before = [document for document in reading.documents if document.line <= problem.place.line]
        if problem.code in FAULTS and before:
            before[-1].faults.append(problem)
        else:
            yield problem
