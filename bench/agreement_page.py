"""docs/guard-agreement.md: what `agreement.py` found, as a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agreement import Adjudicated, Compared, Entry

HEAD = """# Agreement with Checkov

Derived by `python bench/agreement.py --write`, which runs both over the same {files:,} manifests: every good and bad
case of every check, manifests as teams write them, and what this repository ships. Cases are written to be hard, so
that the shares below are lower than over manifests of an ordinary repository. Every disagreement is in one of the
classes of `bench/adjudicated.yaml`, which are expressions over the objects; the command fails when one is in none, and
when a class holds of objects that nobody disagrees about without saying why. Where one of the two finds something and
the other says nothing, that is a disagreement as well. Left out are objects of kinds that Checkov does not read, as a
Rollout or a backup's Schedule, and what one passes and the other was not asked.

Of {subjects:,} comparisons {agreed:,} agree ({share:.1%}). Of the {differing:,} that differ, ours is right in {ours:,},
Checkov in {checkov:,}, and {arguable:,} can be argued either way.
"""
RIGHT = {"ours": "ours", "checkov": "Checkov", "both-arguable": "either"}


def page(compared: Sequence[Compared], settled: Adjudicated, *, files: int) -> str:
    entries = settled.entries
    parts = [
        _head(compared, entries, files),
        "## Check by check",
        "Groups are compared as one. Those of Checkov's graph (`CKV2`) are compared by folder, all others by object.",
        _table(("Checkov", "Ours", "Compared", "Both fail", "Agree", "Differ"), map(_row, compared)),
        "## Who is right",
        _table(("Checkov", "We say", "Objects", "Right", "Why"), _classes(compared, entries)),
        "## Where Checkov was right",
        "What it found in our checks is mended, so that nothing of it is left in the table above.",
        _table(("Ours", "What"), settled.mended.items()),
        "## What only Checkov has",
        _table(("Check", "Why"), _reasons(settled.unpaired)),
    ]
    return "\n\n".join(parts) + "\n"


def _head(compared: Sequence[Compared], entries: Sequence[Entry], files: int) -> str:
    right = dict.fromkeys(RIGHT, 0)
    for each in compared:
        for place, count in each.covered.items():
            right[entries[place].right] += count
    subjects, differing = (sum(getattr(each, name) for each in compared) for name in ("subjects", "differing"))
    agreed = subjects - differing
    share = agreed / subjects
    counts = {"ours": right["ours"], "checkov": right["checkov"], "arguable": right["both-arguable"]}
    return HEAD.format(
        files=files, subjects=subjects, agreed=agreed, share=share, differing=differing, **counts
    ).strip()


def _row(each: Compared) -> tuple[str, ...]:
    names = (", ".join(names) for names in (each.group.checkov, each.group.ours))
    counts = (f"{each.subjects:,}", f"{each.agreed['failed']:,}", f"{each.share:.1%}", f"{each.differing:,}")
    return (*names, *counts)


def _classes(compared: Iterable[Compared], entries: Sequence[Entry]) -> Iterator[tuple[str, ...]]:
    for each in compared:
        for place, count in sorted(each.covered.items()):
            entry = entries[place]
            yield ", ".join(each.group.checkov), entry.says, str(count), RIGHT[entry.right], entry.reason


def _reasons(unpaired: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in unpaired.items():
        by_reason.setdefault(reason, []).append(name)
    return ((", ".join(names), reason) for reason, names in by_reason.items())


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = (" | ".join(text.replace("|", "\\|") for text in row) for row in rows)
    return "\n".join([f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}", *(f"| {line} |" for line in cells)])
