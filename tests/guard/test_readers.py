"""Several processes read what one reads, whatever the files hold; what happens to one of them is told."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from dabbawala.guard import documents, processes, readers
from dabbawala.guard.documents import Document
from dabbawala.guard.findings import Report
from dabbawala.guard.sources import FILE, STDIN_NAME, Entry

OURS = os.getpid()
POD = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: web\n    image: web:1\n"
SCRIPT = POD.format(name="script") + "    command: [sh, -c]\n    args:\n    - |\n      set -e\n      rm -rf $DIR\n"
LIST = {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "i"}}]}
FILES = {
    "broken.yaml": "apiVersion: v1\nkind: Pod\nmetadata: [\n",
    "config.json": json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ü"}, "data": {"a": "1"}}),
    "empty.yaml": "# nothing\n",
    "list.json": json.dumps(LIST),
    "long.yaml": POD.format(name="long") + "# a comment\n" * 2000 + "---\n" + POD.format(name="behind"),
    "many.yaml": POD.format(name="many") + "".join(f"  - {{name: c{number}}}\n" for number in range(100)),
    "other.json": '{"compilerOptions": {}}',
    "script.yaml": SCRIPT,
    "twice.yaml": POD.format(name="twice") + "kind: Pod\n",
    "two.yaml": POD.format(name="one") + "---\n" + POD.format(name="two"),
    "Dockerfile": "FROM scratch\nUSER root\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("a", "b", "c"):
        (tmp_path / part).mkdir()
        for name, text in FILES.items():
            (tmp_path / part / name).write_text(text)
    return tmp_path


def told(document: Document) -> tuple[Any, ...]:
    """All that can be asked of a document."""
    fields = ("metadata.name", "spec.containers[web].image", "spec.containers[c99]", "spec.instructions[1]", "data")
    places = [document.place(field) for field in fields]
    kind = document.kind, document.api_version, document.is_object
    about = document.file, document.index, document.row, *kind, document.faults
    return *about, document.object, document.source, places, list(map(document.placing(), fields))


def read(paths: list[str], jobs: int) -> tuple[list[tuple[Any, ...]], Report]:
    report = Report()
    return [told(document) for document in readers.read(paths, report, jobs)], report


@pytest.mark.parametrize("jobs", [2, 3, 7, 64])
def test_several_processes_read_what_one_reads(folder: Path, jobs: int) -> None:
    alone, together = read([str(folder)], 1), read([str(folder)], jobs)
    assert together == alone
    assert alone[1].files == 3 * len(FILES)
    assert {problem.code for problem in alone[1].problems} == {"yaml-syntax"}
    assert {about[3] for about in alone[0]} >= {"Pod", "ConfigMap", "ShellScript", "Dockerfile"}


def test_plain_files_are_not_read_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours: list[str] = []
    monkeypatch.setattr(readers.sources, "opened", lambda entry, opened=readers.sources.opened: (
        ours.append(entry.path.name), opened(entry))[1])  # fmt: skip
    entries = [Entry(folder / "a" / name, FILE, len(text), met=True) for name, text in FILES.items()]
    with processes.working([lambda: readers._work(entries)]) as (worker,):
        found = list(readers._received(worker, entries, readers.Heap(), Report()))
    assert [document.file for document in found].count(str(folder / "a" / "two.yaml")) == 2
    assert ours == ["broken.yaml", "list.json", "script.yaml", "twice.yaml", "Dockerfile"]


def test_shares_follow_each_other_and_are_about_as_large() -> None:
    entries = [Entry(Path(str(number)), FILE, number % 7 * 100) for number in range(1000)]
    for jobs in (1, 2, 3, 8):
        shares = readers.shares(entries, jobs)
        assert [entry for share in shares for entry in share] == entries
        sizes = [sum(entry.size for entry in share) for share in shares]
        assert max(sizes) - min(sizes) <= 2 * 600
    assert readers.shares([], 3) == [[]]
    assert readers.shares(entries[:1], 3) == [entries[:1]]


def test_a_few_files_are_read_by_one_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    assert read([str(folder)], 0) == read([str(folder)], 1)


def test_the_standard_input_is_read_where_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(folder / "a" / "two.yaml"), "-", str(folder / "a" / "many.yaml"), str(folder / "a" / "long.yaml")]
    for jobs in (1, 2, 4):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POD.format(name="in").encode())))
        found, report = read(paths, jobs)
        assert [Path(about[0]).name for about in found] == [
            "two.yaml", "two.yaml", STDIN_NAME, "many.yaml", "long.yaml", "long.yaml",
        ]  # fmt: skip
        assert report.files == 4


def _elsewhere(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A signal for every process that reads for this one."""
    really = documents.sent

    def sent(*given: Any) -> Any:
        if os.getpid() != OURS:
            os.kill(os.getpid(), number)
        return really(*given)

    monkeypatch.setattr(documents, "sent", sent)


def test_a_process_that_is_killed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _elsewhere(monkeypatch, signal.SIGKILL)
    with pytest.raises(processes.WorkerFailed, match="was ended by SIGKILL: too little memory, perhaps; use --jobs 1"):
        read([str(folder)], 3)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_interrupt_ends_all_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _elsewhere(monkeypatch, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        read([str(folder)], 3)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
