"""GitLab's job and the hooks of pre-commit do what they promise, run here as GitLab and pre-commit run them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
import yaml
from click.testing import CliRunner

from dabbawala.apimachinery.meta import Object
from dabbawala.cli.guard import guard
from dabbawala.guard import sources

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "integrations" / "gitlab" / "guard.gitlab-ci.yml"
PROGRAM = Path(sys.executable).with_name("dabba")
GOOD = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: green}
"""
BAD = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everybody}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
  - {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:authenticated"}
"""
BROKEN = "kind: [\n"
ESCALATES = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  hostPID: true   # to see the neighbours
  containers:
    - name: web
      image: registry.example.com/web:1
"""
HOOK_FIELDS = {
    "id", "name", "description", "entry", "language", "language_version", "args", "files", "exclude", "types",
    "types_or", "pass_filenames", "require_serial", "always_run", "stages", "verbose", "minimum_pre_commit_version",
}  # fmt: skip
"""What a hook may say. Source: pre-commit.com, Creating new hooks."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of git with a namespace's settings and what is no manifest."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "settings.yaml").write_text(GOOD)
    (tmp_path / "README.md").write_text("# Shop\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout


def hooks() -> dict[str, Object]:
    listed = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return {hook["id"]: hook for hook in listed}


def run_hook(name: str, repository: Path) -> subprocess.CompletedProcess[str]:
    """At the root of the repository, without names of files, with the programs of its environment first."""
    hook = hooks()[name]
    assert hook["pass_filenames"] is False
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    command = [*shlex.split(hook["entry"]), *hook["args"]]
    return subprocess.run(command, cwd=repository, env={**os.environ, "PATH": path}, capture_output=True, text=True)


def test_hooks_are_written_as_pre_commit_reads_them() -> None:
    for hook in hooks().values():
        assert {"id", "name", "entry", "language"} <= set(hook) <= HOOK_FIELDS
        assert hook["language"] == "python"
        assert set(hook.get("stages", ["pre-commit"])) <= {"pre-commit", "pre-push", "manual"}


def test_a_hook_begins_for_every_file_that_a_scan_reads(tmp_path: Path) -> None:
    names = {
        "a.yaml", "b.YML", "c.json", ".gitlab-ci.yml", "run.sh", "run.bash", "Dockerfile", "Dockerfile.prod",
        "Containerfile", "api.Dockerfile", "api.dockerfile", "main.py", "README.md", "notes.txt", "dockerfiles.py",
    }  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    read = {Path(source.file).name for source in sources.find([tmp_path])}
    assert {hook["files"] for hook in hooks().values()} == {hooks()["dabba-guard-scan"]["files"]}
    begins = re.compile(hooks()["dabba-guard-scan"]["files"])
    assert {name for name in names if begins.search(f"deploy/{name}")} == read
    assert names - read == {"main.py", "README.md", "notes.txt", "dockerfiles.py"}
    assert begins.search("charts/web/templates/_names.tpl")


@pytest.mark.parametrize(("text", "status"), [(GOOD, 0), (BAD, 1), (BROKEN, 2)])
def test_the_scanning_hook_lets_a_commit_pass_or_stops_it(repository: Path, text: str, status: int) -> None:
    (repository / "deploy" / "more.yaml").write_text(text)
    git(repository, "add", "-A")
    ran = run_hook("dabba-guard-scan", repository)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert ("deploy/more.yaml" in ran.stdout) is bool(status)
    assert git(repository, "status", "--porcelain", "--untracked-files=all").splitlines() == [
        "A  README.md", "A  deploy/more.yaml", "A  deploy/settings.yaml",
    ]  # fmt: skip


def test_the_repairing_hook_changes_files_for_the_next_commit_and_only_by_hand(repository: Path) -> None:
    (repository / "pod.yaml").write_text(ESCALATES)
    git(repository, "add", "-A")
    ran = run_hook("dabba-guard-fix", repository)
    assert "pod.yaml" in ran.stdout
    assert git(repository, "diff", "--name-only").split() == ["pod.yaml"]
    assert "hostPID: false   # to see the neighbours" in (repository / "pod.yaml").read_text()
    assert hooks()["dabba-guard-fix"]["stages"] == ["manual"]


def job() -> Object:
    found: Object = yaml.safe_load(TEMPLATE.read_text())["guard-scan"]
    return found


def run_job(repository: Path, **given: str) -> int:
    """The job's script as a runner's shell runs it, its own program in place of what `before_script` installs."""
    folder = repository / ".cache" / "guard" / "venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "dabba").symlink_to(PROGRAM)
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python").chmod(0o755)
    variables = {"CI_PROJECT_DIR": str(repository), **job()["variables"], **given}
    variables["GUARD_CACHE"] = variables["GUARD_CACHE"].replace("$CI_PROJECT_DIR", str(repository))
    command = ["bash", "-eo", "pipefail", "-c", "\n".join(job()["script"])]
    return subprocess.run(command, cwd=repository, env={**os.environ, **variables}, capture_output=True).returncode


@pytest.mark.parametrize(("text", "status", "failed"), [(GOOD, 0, "0"), (BAD, 1, "1"), (BROKEN, 2, "0")])
def test_the_job_ends_with_the_status_of_the_scan_and_leaves_all_reports(
    repository: Path, text: str, status: int, failed: str
) -> None:
    (repository / "deploy" / "more.yaml").write_text(text)
    assert run_job(repository, GUARD_PATHS="deploy", GUARD_OPTIONS="--check RBAC-01") == status
    kept = {path.name for path in (repository / "guard-reports").iterdir()}
    assert kept == {"junit.xml", "code-quality.json", "guard.sarif", "guard.json", "guard.html"}
    reports = job()["artifacts"]["reports"]
    assert ElementTree.parse(repository / reports["junit"]).getroot().get("failures") == failed
    issues = orjson.loads((repository / reports["codequality"]).read_bytes())
    assert [issue["location"]["path"] for issue in issues] == ["deploy/more.yaml"] * bool(status)


def test_the_job_keeps_what_makes_the_next_scan_quick_where_the_scan_does_not_read_it(repository: Path) -> None:
    assert run_job(repository) == 0
    (kept,) = job()["cache"]["paths"]
    assert list((repository / kept / "dabbawala").glob("guard-*.cache"))
    (repository / kept / "broken.yaml").write_text(BROKEN)
    assert not [source.file for source in sources.find([repository]) if ".cache" in source.file]


def test_the_job_installs_the_release_that_it_came_with() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert job()["variables"]["GUARD_PACKAGE"] == f"dabbawala=={version}"


def test_guard_has_nothing_to_say_of_its_own_job() -> None:
    done = CliRunner().invoke(guard, ["scan", str(TEMPLATE), "-o", "json"])
    found = orjson.loads(done.stdout)
    assert (done.exit_code, found["findings"], found["problems"]) == (0, [], [])
    asked = {check["id"] for check in found["checks"] if check["passed"]}
    assert {f"CI-{number:02}" for number in range(1, 11)} <= asked


@pytest.mark.parametrize("given", ["junit", "junit=", "=guard.xml", "xunit=guard.xml"])
def test_a_form_without_a_file_is_refused(repository: Path, given: str) -> None:
    done = CliRunner().invoke(guard, ["scan", str(repository), "--also", given])
    assert done.exit_code == 2
    assert "write FORM=FILE, such as junit=guard.xml" in done.output


@pytest.mark.parametrize("other", [("--framework", "rbi"), ("--watch",)])
def test_what_writes_no_findings_writes_none_as_well(repository: Path, other: tuple[str, ...]) -> None:
    done = CliRunner().invoke(guard, ["scan", str(repository), "--also", "junit=guard.xml", *other])
    assert done.exit_code == 2
    assert not Path("guard.xml").exists()
