"""How a preview, and what was done, look in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from dabbawala.apimachinery import meta
from dabbawala.guard.enforcement import bundle
from dabbawala.guard.enforcement.plan import Act, Plan, Step
from dabbawala.guard.enforcement.preview import NAMES_MAX, Preview, Refusal
from dabbawala.guard.findings import Problem

LINES_MAX = 60
"""Lines of a preview, one for each check and namespace; and of what a dry run would do."""


def preview(found: Preview, problems: Iterable[Problem]) -> Iterator[str]:
    for problem in problems:
        yield f"not looked at: {problem.text}"
    subjects = {item.subject for item in found.refusals}
    yield f"{len(subjects)} of {found.judged} live objects would be refused if they were written again"
    places = list(found.by_place().items())
    rows = [_row(check, namespace, items) for (check, namespace), items in places[:LINES_MAX]]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for check, count, namespace, names in rows:
        yield f"  {check:<{widths[0]}}  {count:>{widths[1]}}  {namespace:<{widths[2]}}  {names}"
    if len(places) > LINES_MAX:
        yield f"  and {len(places) - LINES_MAX} more; `dabba guard scan --live` lists all"


def _row(check: str, namespace: str, items: list[Refusal]) -> tuple[str, str, str, str]:
    subjects = list(dict.fromkeys(f"{item.subject.kind} {item.subject.name}" for item in items))
    more = f", and {len(subjects) - NAMES_MAX} more" if len(subjects) > NAMES_MAX else ""
    return check, str(len(subjects)), namespace or "(cluster)", ", ".join(subjects[:NAMES_MAX]) + more


def intended(planned: Plan) -> Iterator[str]:
    """Of a dry run; what would be refused stands above and has to stay in sight."""
    changes = planned.changes
    yield from (f"would {step}" for step in changes[:LINES_MAX])
    if len(changes) > LINES_MAX:
        yield f"and {len(changes) - LINES_MAX} more"


def done(step: Step) -> str:
    stage = meta.annotations(step.object).get(bundle.STAGE)
    return f"{_DONE[step.act]} {step.object['kind']} {meta.name(step.object)}" + (f" ({stage})" if stage else "")


def summary(planned: Plan, *, dry_run: bool) -> str:
    counts = Counter(step.act for step in planned.steps)
    listed = ", ".join(f"{counts[act]} {'to ' + str(act) if dry_run else _DONE[act]}" for act in _DONE if counts[act])
    same = f"{counts[Act.UNCHANGED]} unchanged" if counts[Act.UNCHANGED] else ""
    return ", ".join(filter(None, (listed, same))) or "nothing to do"


_DONE = {Act.CREATE: "created", Act.UPDATE: "updated", Act.REMOVE: "removed"}
