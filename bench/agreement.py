"""Where our verdicts and Checkov's differ, over more than 500 manifests, and who is right each time.

    python bench/agreement.py [--checkov ENVIRONMENT] [--list CKV_K8S_N] [--write]

Checks are paired by the anchors that ours carry; those that cover several of the other side are compared as a group,
which fails when any of it fails. They are compared object by object, and checks of Checkov's graph folder by folder.
Where one finds something and the other says nothing they disagree; objects of kinds that Checkov does not read at all
are left out.
`adjudicated.yaml` says in writing what each disagreement is. Exit status: 1 when one is not covered, when an entry
covers nothing, when it is true of objects that nobody disagrees about without saying why, or when Checkov has a check
that is neither paired nor explained. --write derives docs/guard-agreement.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import agreement_corpus
import peers
import yaml
from agreement_page import page

from dabbawala.apimachinery import meta
from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.program import Program
from dabbawala.guard import checks, scanning
from dabbawala.guard.checks import Check
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Report, Status
from dabbawala.guard.sources import find
from dabbawala.guard.world import World

HERE = Path(__file__).parent
ADJUDICATED = HERE / "adjudicated.yaml"
PAGE = HERE.parent / "docs" / "guard-agreement.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEAST_MANIFESTS = 500
SHOWN = 40
SILENT = "silent"
"""What a scanner says that was not asked, or does not tell: a disagreement where the other one finds something."""
VARIABLES = Environment(
    {
        "object": "dyn", "objects": "list<dyn>", "pod": "dyn", "containers": "list<dyn>", "debuggers": "list<dyn>",
        "rules": "list<dyn>",
    }
)  # fmt: skip
"""What an entry's expression may name: the object and its pod as they were written, all objects of the folder as they
would be stored, containers with those that only initialize, and ephemeral ones, and the rules
of a role."""
Object = dict[str, Any]
Said = Mapping[str, str]
"""What one scanner says of one object, by check: passed, failed or unknown."""


@dataclass(frozen=True)
class Group:
    """Checks that look for the same on both sides. Those of the graph are compared by folder."""

    checkov: tuple[str, ...]
    ours: tuple[str, ...]

    @property
    def graph(self) -> bool:
        return self.checkov[0].startswith("CKV2")


@dataclass(frozen=True)
class Subject:
    """An object, or for checks of the graph a folder, and what both say of it. `objects` are all of the folder."""

    name: str
    object: Object
    objects: tuple[Object, ...]
    ours: Said
    theirs: Said

    @cached_property
    def variables(self) -> Object:
        pod = _pod(self.object)
        containers = [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
        debuggers = pod.get("ephemeralContainers") or []
        known = {"object": self.object, "objects": list(self.objects)}
        rules = self.object.get("rules") or []
        return {**known, "pod": pod, "containers": containers, "debuggers": debuggers, "rules": rules}


@dataclass(frozen=True)
class Entry:
    """A class of disagreements and who is right about it. `agrees` tells why its expression may hold of objects that
    nobody disagrees about."""

    checkov: str
    ours: str
    says: str
    when: str
    right: str
    reason: str
    agrees: str = ""

    @cached_property
    def program(self) -> Program:
        return VARIABLES.compile(self.when)

    def holds(self, subject: Subject) -> bool:
        try:
            return self.program.evaluate(subject.variables) is True
        except EvaluationError as wrong:
            raise SystemExit(f"{self.checkov}: {self.when}: {wrong} ({subject.name})") from wrong


@dataclass
class Compared:
    """What came of a group. `agreed` counts by verdict; `covered` has the disagreements by the place of their entry."""

    group: Group
    agreed: Counter[str] = field(default_factory=Counter)
    covered: Counter[int] = field(default_factory=Counter)
    uncovered: list[tuple[Subject, str, str]] = field(default_factory=list)
    overlaps: Counter[int] = field(default_factory=Counter)

    @property
    def subjects(self) -> int:
        return sum(self.agreed.values()) + self.differing

    @property
    def differing(self) -> int:
        return sum(self.covered.values()) + len(self.uncovered)

    @property
    def share(self) -> float:
        return sum(self.agreed.values()) / self.subjects if self.subjects else 1.0


def groups(known: Iterable[Check]) -> list[Group]:
    """Checks of Kubernetes joined by anchors, directly or through others."""
    found: list[tuple[set[str], set[str]]] = []
    for check in known:
        theirs = {anchor.id for anchor in check.anchors if anchor.tool == "checkov" and "_K8S_" in anchor.id}
        ours = {check.id}
        if not theirs:
            continue
        for group in [group for group in found if group[0] & theirs]:
            found.remove(group)
            theirs, ours = theirs | group[0], ours | group[1]
        found.append((theirs, ours))
    made = (Group(tuple(sorted(theirs, key=_number)), tuple(sorted(ours, key=checks.order))) for theirs, ours in found)
    return sorted(made, key=lambda group: _number(group.checkov[0]))


def _number(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition("_")
    return kind, int(number)


def theirs(corpus: Path, given: str) -> dict[str, dict[str, Said]]:
    """What Checkov says: by file and object."""
    python = peers.environment("checkov", given) / "bin" / "python"
    command = [str(python), str(HERE / "agreement_peer.py"), str(corpus)]
    found: dict[str, dict[str, Said]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def subjects(corpus: Path, engine: Engine, said: Mapping[str, Mapping[str, Said]], *, graph: bool) -> Iterator[Subject]:
    for folder in sorted({path.parent for path in corpus.rglob("*.yaml")}):
        yield from (_whole if graph else _each)(corpus, folder, engine, said)


def _each(corpus: Path, folder: Path, engine: Engine, said: Mapping[str, Mapping[str, Said]]) -> Iterator[Subject]:
    """Of kinds that Checkov reads; about one of these that it says nothing of, it is silent."""
    read = {name.partition(".")[0] for objects in said.values() for name in objects}
    world = _world(folder, whole=False)
    objects = tuple(item.object for item in world.inventory)
    for document, judgement in scanning.judgements(world, engine):
        if document is None:
            continue
        obj, place = document.object, Path(document.place("").file).relative_to(corpus)
        found = said.get(str(place), {}).get(_resource(obj), {})
        if obj["kind"] in read:
            yield Subject(f"{place} {_resource(obj)}", obj, objects, _verdicts([judgement]), found)


def _whole(corpus: Path, folder: Path, engine: Engine, said: Mapping[str, Mapping[str, Said]]) -> Iterator[Subject]:
    world = _world(folder, whole=True)
    ours = _verdicts(judgement for _, judgement in scanning.judgements(world, engine))
    found: dict[str, str] = {}
    for path in folder.glob("*.yaml"):
        for verdicts in said.get(str(path.relative_to(corpus)), {}).values():
            found |= {check: word for check, word in verdicts.items() if found.get(check) != "failed"}
    objects = tuple(item.object for item in world.inventory)
    yield Subject(str(folder.relative_to(corpus)), {}, objects, ours, found)


def _world(folder: Path, *, whole: bool) -> World:
    """A folder that is compared as one is the whole world, as it is to Checkov."""
    documents = [
        document for source in find([str(folder)]) for document in source.read().documents if document.is_object
    ]
    return World(scanning.inventory_of(documents, Report()), now=NOW, whole=whole)


def _resource(obj: Object) -> str:
    """As Checkov names it."""
    return f"{obj['kind']}.{meta.namespace(obj) or 'default'}.{meta.name(obj)}"


def _pod(obj: Object) -> Object:
    """The specification of a workload's pod; nothing for other objects."""
    found: Any = obj.get("spec") or {}
    if obj.get("kind") != "Pod":
        for name in (
            ("jobTemplate", "spec", "template", "spec") if obj.get("kind") == "CronJob" else ("template", "spec")
        ):
            found = (found or {}).get(name) or {}
    return found if isinstance(found, dict) else {}


def _verdicts(judgements: Iterable[Judgement]) -> Said:
    found: dict[str, str] = {}
    for judgement in judgements:
        found |= {check: "passed" for check in judgement.passed if check not in found}
        for finding in judgement.findings:
            word = "failed" if finding.status is Status.FAIL else "unknown"
            if found.get(finding.check.id) != "failed":
                found[finding.check.id] = word
    return found


def verdict(said: Said, names: Iterable[str]) -> str:
    """Of a group: failed when any of it failed; silent when nothing of it was asked."""
    words = {said[name] for name in names if name in said}
    return next((word for word in ("failed", "unknown", "passed") if word in words), SILENT)


def compare(group: Group, found: Iterable[Subject], entries: list[Entry]) -> Compared:
    about = [(place, entry) for place, entry in enumerate(entries) if entry.checkov in group.checkov]
    compared = Compared(group)
    for subject in found:
        ours, theirs = verdict(subject.ours, group.ours), verdict(subject.theirs, group.checkov)
        if "failed" not in (ours, theirs) and SILENT in (ours, theirs):
            continue
        if ours == theirs:
            compared.agreed[ours] += 1
            compared.overlaps.update(place for place, entry in about if entry.holds(subject))
            continue
        fitting = (place for place, entry in about if entry.says == ours and entry.holds(subject))
        place = next(fitting, None)
        if place is None:
            compared.uncovered.append((subject, ours, theirs))
        else:
            compared.covered[place] += 1
    return compared


def faults(compared: list[Compared], entries: list[Entry]) -> Iterator[str]:
    covered: Counter[int] = sum((each.covered for each in compared), Counter())
    overlaps: Counter[int] = sum((each.overlaps for each in compared), Counter())
    for each in compared:
        for subject, ours, theirs in each.uncovered:
            yield f"{'/'.join(each.group.checkov)}: ours {ours}, Checkov {theirs}: {subject.name}"
    for place, entry in enumerate(entries):
        if not covered[place]:
            yield f"{entry.checkov}: covers nothing: {entry.when}"
        if overlaps[place] and not entry.agrees:
            yield f"{entry.checkov}: holds of {overlaps[place]} objects that both agree about: {entry.when}"


@dataclass(frozen=True)
class Adjudicated:
    """What is settled in writing. `mended` tells by our check where Checkov was right, and what became of it;
    `unpaired` why only Checkov has a check."""

    entries: list[Entry]
    mended: dict[str, str]
    unpaired: dict[str, str]


def read(path: Path = ADJUDICATED) -> Adjudicated:
    written = yaml.safe_load(path.read_text())
    entries = [Entry(**entry) for entry in written["disagreements"]]
    return Adjudicated(entries, dict(written["mended"]), dict(written["unpaired"]))


def unexplained(said: Mapping[str, Mapping[str, Said]], paired: list[Group], unpaired: Mapping[str, str]) -> list[str]:
    known = {name for group in paired for name in group.checkov} | set(unpaired)
    asked = {check for objects in said.values() for verdicts in objects.values() for check in verdicts}
    return [f"{name}: neither paired with a check of ours nor explained" for name in sorted(asked - known, key=_number)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkov", default="", help="an environment that has it")
    parser.add_argument("--list", default="", help="show all disagreements about this check")
    parser.add_argument("--write", action="store_true", help="write docs/guard-agreement.md")
    asked = parser.parse_args()
    settled = read()
    entries = settled.entries
    paired = groups(checks.shipped().values())
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder).resolve()
        files = agreement_corpus.write(corpus)
        said = theirs(corpus, asked.checkov)
        compared = _compared(corpus, said, paired, entries)
    print(f"{files} manifests, {sum(len(objects) for objects in said.values())} objects\n")
    for each in compared:
        words = "/".join(each.group.checkov), "/".join(each.group.ours), each.subjects, each.share, each.differing
        print("{:32} {:18} {:5} objects {:8.2%} agree {:4} differ".format(*words))
    if asked.list:
        _show(compared, asked.list)
    found = [*faults(compared, entries), *unexplained(said, paired, settled.unpaired)]
    found += [] if files >= LEAST_MANIFESTS else [f"{files} manifests are too few"]
    print(*found[:SHOWN], *([f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else ()), sep="\n")
    if asked.write and not found:
        PAGE.write_text(page(compared, settled, files=files))
    return 1 if found else 0


def _compared(
    corpus: Path, said: Mapping[str, Mapping[str, Said]], paired: list[Group], entries: list[Entry]
) -> list[Compared]:
    chosen = {name for group in paired for name in group.ours}
    engine = Engine([check for check in checks.shipped().values() if check.id in chosen], now=NOW)
    found = {graph: list(subjects(corpus, engine, said, graph=graph)) for graph in (False, True)}
    return [compare(group, found[group.graph], entries) for group in paired]


def _show(compared: list[Compared], name: str) -> None:
    seen: dict[str, list[str]] = defaultdict(list)
    for each in compared:
        for subject, ours, theirs in each.uncovered if name in each.group.checkov else ():
            seen[f"ours {ours}, Checkov {theirs}"].append(f"{subject.name}\n    {json.dumps(subject.object)}")
    for words, names in seen.items():
        print(f"\n{words}: {len(names)}", *names, sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
