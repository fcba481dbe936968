"""The law of watching: after any changes of the files, what is known is what a new scan of them says."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from dabbawala.guard import checks, notices, scanning
from dabbawala.guard.engine import Engine
from dabbawala.guard.findings import Report
from dabbawala.guard.watching import Watched
from tests.guard import cases
from tests.guard.test_policies import NOW

CHECKS = list(checks.shipped().values())
ENGINE = Engine(CHECKS, now=NOW)
SPACES = ("shop", "pay")


def pool() -> list[dict[str, Any]]:
    """Objects of the cases of all checks of more than one object, where everything refers to everything."""
    own = [check.id for check in CHECKS if not check.native and check.id in cases.ids()]
    found = [obj for name in own for case in cases.read(name) for obj in case.objects]
    return sorted(found, key=lambda obj: orjson.dumps(obj, option=orjson.OPT_SORT_KEYS))


POOL = pool()
MEETING = ("NetworkPolicy", "Namespace", "Service", "Pod", "Deployment", "RoleBinding", "ClusterRoleBinding")


def same(watched: Watched, paths: list[str]) -> None:
    fresh = scanning.of_paths(paths, CHECKS, now=NOW, store=None)
    assert shown(watched.report()) == shown(fresh)
    assert watched.tally() == fresh.tally()


def shown(report: Report) -> dict[str, Any]:
    return {
        "findings": sorted(map(repr, report.findings)), "problems": sorted(map(repr, report.problems)),
        "passed": report.passed, "in": report.passed_in, "objects": report.objects, "files": report.files,
    }  # fmt: skip


class Folder:
    """Files that change at random."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.dice = random.Random(seed)
        self.crowding = self.dice.choice((0.3, 1.0))
        self.pool = [obj for obj in POOL if self.dice.random() < 0.5 or obj.get("kind") in MEETING]
        for _ in range(25):
            self.write()

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def change(self) -> set[Path] | None:
        """Change something; the files that were only written to, None where more may have changed."""
        act = self.dice.choice((self.write, self.rewrite, self.rewrite, self.remove, self.move, self.spoil))
        return act()

    def write(self) -> None:
        folder = self.root / self.dice.choice(("a", "b", "b/c"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.dice.randrange(60):02}.yaml").write_bytes(self.content())

    def content(self) -> bytes:
        found = [self.placed(self.dice.choice(self.pool)) for _ in range(self.dice.choice((1, 1, 1, 2, 3)))]
        return b"\n---\n".join(map(orjson.dumps, found)) + b"\n" * self.dice.randrange(3)

    def placed(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Elsewhere, and as somebody else: so things meet that did not."""
        made: dict[str, Any] = orjson.loads(orjson.dumps(obj))
        metadata = made.get("metadata") or {}
        if "namespace" in metadata and self.dice.random() < self.crowding:
            metadata["namespace"] = self.dice.choice(SPACES)
        if made.get("kind") == "Namespace" and self.dice.random() < self.crowding:
            metadata["name"] = self.dice.choice(SPACES)
        return made

    def rewrite(self) -> set[Path] | None:
        files = self.files()
        if not files:
            return None
        path = self.dice.choice(files)
        content = path.read_bytes()
        lines = b"# a comment more\n" + content
        path.write_bytes(self.dice.choice((self.content(), self.content(), content, lines)))
        return {path}

    def remove(self) -> None:
        files = self.files()
        if files:
            self.dice.choice(files).unlink()

    def move(self) -> None:
        files = self.files()
        if files:
            path = self.dice.choice(files)
            path.rename(path.with_name(f"{self.dice.randrange(60):02}.yaml"))

    def spoil(self) -> set[Path] | None:
        files = self.files()
        if not files:
            return None
        path = self.dice.choice(files)
        path.write_bytes(self.dice.choice((b"kind: [", b"\0", b"", b"- 1\n")))
        return {path}


def law(root: Path, seed: int, changes: int) -> None:
    folder = Folder(root, seed)
    paths = [str(root)]
    watched = Watched(paths, ENGINE, now=NOW)
    same(watched, paths)
    for _ in range(changes):
        watched.update(folder.change())
        same(watched, paths)


@pytest.mark.parametrize("seed", range(2))
def test_after_any_change_everything_is_as_a_new_scan_says(tmp_path: Path, seed: int) -> None:
    law(tmp_path, seed, 6)


def test_what_becomes_no_manifest_is_no_problem_to_a_watch_either(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    watched = Watched([str(tmp_path)], ENGINE, now=NOW)
    (tmp_path / "pod.yaml").write_text("- 1\n")
    watched.update({tmp_path / "pod.yaml"})
    same(watched, [str(tmp_path)])


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_after_very_many_changes_too(tmp_path: Path, seed: int) -> None:
    law(tmp_path, seed, 60)


POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers: [{name: web, image: "registry.example.com/web:1", securityContext: {privileged: PRIVILEGED}}]
"""


class Following:
    """`dabba guard scan --watch` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "dabbawala.cli.main", "guard", "scan", str(folder), "--watch", "-c", "WL-01"]
        own = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        environment = {**own, "XDG_CACHE_HOME": str(folder.parent / "cache")}
        # In the background of a shell interrupts are ignored, which the process would inherit.
        ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        signal.signal(signal.SIGINT, ignored)

    def until_summary(self) -> list[str]:
        """The lines up to the next summary."""
        assert self.process.stdout is not None
        found = []
        for line in self.process.stdout:
            found.append(line.rstrip())
            if re.search(" files?, ", line):
                break
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait()


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "pod.yaml").write_text(POD.replace("PRIVILEGED", "false"))
    made = Following(tmp_path / "files")
    yield made
    made.process.kill()
    made.process.wait()


def test_a_person_sees_what_each_change_brings_and_ends(tmp_path: Path, following: Following) -> None:
    pod, folder = tmp_path / "files" / "pod.yaml", tmp_path / "files" / "more"
    assert following.until_summary()[-1] == "1 file, 1 object, 1 check: nothing failed; 1 passed"
    pod.write_text(POD.replace("PRIVILEGED", "true"))
    new, summary = following.until_summary()
    assert new.startswith(f"+ {pod}:6:")
    assert "WL-01  Pod shop/web: container web is privileged" in new
    assert summary == "1 file, 1 object, 1 check: 1 critical; 0 passed"
    folder.mkdir()
    (tmp_path / "next.yaml").write_text(POD.replace("PRIVILEGED", "true").replace("web", "api"))
    (tmp_path / "next.yaml").rename(folder / "api.yaml")
    assert following.until_summary()[0].startswith(f"+ {folder / 'api.yaml'}:6:")
    pod.unlink()
    assert following.until_summary()[0].startswith(f"- {pod}:6:")
    assert following.end() == 1


def test_the_last_state_decides_the_exit_status(following: Following) -> None:
    following.until_summary()
    assert following.end() == 0


def test_where_the_kernel_gives_no_notice_one_looks_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(notices, "LOOK_AGAIN_SECONDS", 0.0)
    with notices.Notices() as given:
        given.follow([tmp_path])
        (tmp_path / "a").write_text("")
        (tmp_path / "a").write_text("b")
        assert given.wait() == ({tmp_path / "a"}, True)
        (tmp_path / "a").write_text("c")
        assert given.wait() == ({tmp_path / "a"}, False)
    assert given.wait() == (set(), True)


GRANTED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everything}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles, clusterrolebindings], verbs: ["*"]}]
"""


def test_what_is_worked_out_for_one_object_is_asked_again_for_all(tmp_path: Path) -> None:
    """Who can take over what is worked out when the first pod is asked about; it concerns the others too."""
    for name in ("web", "api", "db"):
        (tmp_path / f"{name}.yaml").write_text(POD.replace("PRIVILEGED", "false").replace("web", name))
    binding = tmp_path / "binding.yaml"
    paths = [str(tmp_path)]
    watched = Watched(paths, ENGINE, now=NOW)
    for text in (GRANTED, GRANTED.replace("default", "other"), GRANTED):
        binding.write_text(text)
        changed = watched.update()
        same(watched, paths)
    assert len({finding.subject.name for finding in changed.new} & {"web", "api", "db"}) == 3
