"""An assessment for a person: clause by clause, with what speaks against it and what is still to be given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO

from dabbawala.guard.findings import Problem
from dabbawala.guard.frameworks.assessment import Assessment, ClauseResult, NamedResult, Seen, State, counts
from dabbawala.guard.frameworks.catalogue import Framework
from dabbawala.guard.outputs.as_terminal import PLAIN, Style

LABELS = {
    State.SUPPORTS: ("✔ supports", "green"),
    State.PARTIAL: ("◐ in part", "cyan"),
    State.FAILED: ("✖ failed", "red"),
    State.UNKNOWN: ("? unknown", "yellow"),
    State.NEEDS_EVIDENCE: ("○ evidence", "yellow"),
    State.NEEDS_ATTESTATION: ("○ attestation", "yellow"),
}
WORDS = {
    State.SUPPORTS: "supported",
    State.PARTIAL: "supported in part",
    State.FAILED: "failed",
    State.UNKNOWN: "unknown",
    State.NEEDS_EVIDENCE: "need evidence",
    State.NEEDS_ATTESTATION: "need an attestation",
}
NOTE = (
    "Supported is a clause for which the scan, or a dated record, supports evidence: direct checks passed over all "
    "that they looked at. Whether it is fulfilled is for an auditor to say."
)
LISTED_MAX = 5
"""Objects and declarations that are named of each clause; the other forms have all."""

_STATE, _CLAUSE = 15, 18


def write(found: Assessment, stream: IO[str], style: Style = PLAIN) -> None:
    stream.writelines(line + "\n" for line in lines(found, style))


def lines(found: Assessment, style: Style = PLAIN) -> Iterator[str]:
    for framework, results in found.frameworks:
        yield from _framework(framework, results, style)
    yield from _named(found.named, style)
    yield from _problems(found.report.problems, style)
    yield from style.wrapped(NOTE, 0)
    yield total("All", list(found.results))


def _framework(framework: Framework, results: Iterable[ClauseResult], style: Style) -> Iterator[str]:
    rows = list(results)
    yield style.paint(framework.title, "bold")
    yield f"  {framework.standing}"
    if not framework.whole:
        yield "  Not all clauses are here: those that a cluster or a record can show something about."
    for row in rows:
        yield from _clause(row, style)
    yield from (f"  {total(framework.name, rows)}", "")


def _clause(result: ClauseResult, style: Style) -> Iterator[str]:
    label, color = LABELS[result.state]
    about = result.clause
    indent = 2 + _STATE + _CLAUSE
    head, *more = style.wrapped(about.title, indent)
    yield f"  {style.paint(label.ljust(_STATE), color)}{about.id.ljust(_CLAUSE)}{head}"
    yield from (" " * indent + line for line in more)
    for text in _below(result):
        yield from (" " * indent + style.paint(line, "bright_black") for line in style.wrapped(text, indent))


def _below(result: ClauseResult) -> Iterator[str]:
    yield from _checks(result.seen)
    if result.against:
        named = ", ".join(str(subject) for subject in islice(result.against, LISTED_MAX))
        more = len(result.against) - LISTED_MAX
        yield f"failing: {named}" + (f" and {more} more" if more > 0 else "")
    if result.state in (State.NEEDS_EVIDENCE, State.NEEDS_ATTESTATION):
        yield f"to keep: {result.clause.keep}"
    yield from (f"counted: {record}" for record in result.records)
    yield from (f"not counted: {record}: {reason}" for record, reason in result.refused)


def _checks(seen: Sequence[Seen]) -> Iterator[str]:
    """Those that said something; the others are counted, but for direct ones, on which the state depends."""
    told = [each for each in seen if each.direct or each.said]
    quiet = len(seen) - len(told)
    parts = [_seen(each) for each in told] + ([f"{quiet} saw nothing or were not asked"] if quiet else [])
    if parts:
        yield "checks: " + ", ".join(parts)


def _seen(each: Seen) -> str:
    return f"{each.support.check} {each.support.control.strength} ({counted(each)})"


def counted(each: Seen) -> str:
    """What a check said of how many objects."""
    found = ((each.passed, "passed"), (each.failed, "failed"), (each.unknown, "unknown"), (each.excepted, "accepted"))
    words = ", ".join(f"{count} {word}" for count, word in found if count)
    return words or ("saw nothing" if each.asked else "not asked")


def _named(found: Iterable[NamedResult], style: Style) -> Iterator[str]:
    for flag, title in ((True, "Requirements of the regulator, in short"), (False, "Questions by name")):
        rows = [result for result in found if result.named.flag is flag]
        if rows:
            yield style.paint(title, "bold")
        for result in rows:
            label, color = LABELS[result.state]
            yield f"  {style.paint(label.ljust(_STATE), color)}{result.named.name}: {result.named.title}"
            for item in islice(result.declared, LISTED_MAX):
                text = f"declared: {item.setting} by {item.subject}" + (f" ({item.place})" if item.place.file else "")
                yield " " * (2 + _STATE) + style.paint(text, "bright_black")
        if rows and flag:
            whole = sum(result.state is State.SUPPORTS for result in rows)
            yield f"  {whole} of {len(rows)} are supported by evidence"
        if rows:
            yield ""


def _problems(problems: list[Problem], style: Style) -> Iterator[str]:
    if problems:
        yield style.paint("Could not be read", "bold")
    for item in problems:
        yield f"  {style.paint(str(item.place), '')}  {item.code}  {style.paint(item.text, '')}"
    if problems:
        yield ""


def total(name: str, rows: list[ClauseResult]) -> str:
    counted = (f"{count} {WORDS[state]}" for state, count in counts(rows).items() if count)
    return f"{name}: {len(rows)} {'clause' if len(rows) == 1 else 'clauses'}: {', '.join(counted)}"
