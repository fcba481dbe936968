"""`dabba guard fix` writes what can be repaired, and says what it did, what it left, and what it could not do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dabbawala.cli.guard import guard
from dabbawala.guard.fix import files
from dabbawala.guard.fix.files import CannotWrite

BAD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  hostPID: true   # to see the neighbours
  containers:
    - name: web
      image: registry.example.com/web:1
"""
GOOD = BAD.replace("hostPID: true ", "hostPID: false ")
HOST_PID = ("--check", "WL-02")


def fix(*arguments: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(guard, ["fix", *map(str, arguments)], input=text)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "pod.yaml"
    path.write_text(BAD)
    return path


def test_a_file_is_repaired_in_place_and_keeps_its_mode(manifest: Path) -> None:
    manifest.chmod(0o640)
    result = fix(manifest, *HOST_PID)
    assert manifest.read_text() == GOOD
    assert manifest.stat().st_mode & 0o777 == 0o640
    assert os.listdir(manifest.parent) == ["pod.yaml"]
    assert result.exit_code == 0
    assert f"{manifest}\n      5  spec.hostPID: false  (WL-02)\n1 change in 1 file, 0 findings left\n" == result.stdout


def test_a_second_time_there_is_nothing_to_do(manifest: Path) -> None:
    fix(manifest, *HOST_PID)
    before = manifest.stat().st_mtime_ns
    result = fix(manifest, *HOST_PID)
    assert (result.exit_code, result.stdout) == (0, "0 changes in 0 files, 0 findings left\n")
    assert manifest.stat().st_mtime_ns == before


def test_what_needs_a_person_is_left_with_its_reason_and_the_status_says_so(manifest: Path) -> None:
    result = fix(manifest, *HOST_PID, "--check", "REL-06", "--check", "WL-27")
    assert result.exit_code == 1
    assert "REL-06 Liveness probe missing: Only the author knows" in result.stdout
    assert "WL-27 Root filesystem writable: risky, --risky makes the change. Programs that write" in result.stdout
    assert f"{manifest}:7:7  Pod shop/web" in result.stdout
    assert "readOnlyRootFilesystem" not in manifest.read_text()


def test_risky_changes_are_made_when_they_are_asked_for(manifest: Path) -> None:
    result = fix(manifest, "--check", "WL-27", "--risky")
    assert result.exit_code == 0
    assert manifest.read_text() == BAD + "      securityContext:\n        readOnlyRootFilesystem: true\n"


def test_a_diff_writes_nothing_and_can_be_applied(manifest: Path) -> None:
    manifest.write_text(BAD.rstrip("\n"))
    result = fix(manifest, "--diff", "--check", "WL-02", "--check", "WL-05")
    assert manifest.read_text() == BAD.rstrip("\n")
    assert "spec.hostPID: false" in result.stderr
    subprocess.run(["patch", "-p1", "-d", "/"], input=result.stdout, text=True, check=True, capture_output=True)
    assert manifest.read_text() == GOOD + "      securityContext:\n        allowPrivilegeEscalation: false"


def test_the_standard_input_goes_to_the_output() -> None:
    result = fix("-", *HOST_PID, text=BAD)
    assert (result.exit_code, result.stdout) == (0, GOOD)
    assert "<stdin>\n      5  spec.hostPID: false" in result.stderr
    assert fix("-", *HOST_PID, text=GOOD).stdout == GOOD
    assert fix("-", "other.yaml", text=BAD).exit_code == 2


def test_a_link_stays_a_link_and_what_it_leads_to_is_written(tmp_path: Path, manifest: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(manifest)
    assert fix(link, *HOST_PID).exit_code == 0
    assert link.is_symlink()
    assert manifest.read_text() == GOOD


def test_a_file_with_a_byte_order_mark_keeps_it(manifest: Path) -> None:
    manifest.write_bytes(b"\xef\xbb\xbf" + BAD.encode())
    assert fix(manifest, *HOST_PID).exit_code == 0
    assert manifest.read_bytes() == b"\xef\xbb\xbf" + GOOD.encode()


def test_a_file_in_another_encoding_is_left(manifest: Path) -> None:
    manifest.write_bytes(BAD.encode("utf-16"))
    result = fix(manifest, *HOST_PID)
    assert result.exit_code == 1
    assert "the file is not UTF-8; save it so" in result.stdout
    assert manifest.read_bytes() == BAD.encode("utf-16")


def test_an_exception_is_left_alone(tmp_path: Path, manifest: Path) -> None:
    exceptions = tmp_path / "exceptions"
    exceptions.mkdir()
    (exceptions / "agent.yaml").write_text(
        "apiVersion: guard.dabbawala.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: agent}\n"
        "spec: {checks: [WL-02], match: {names: [web]}, reason: node agent, owner: platform, ticket: SEC-1,"
        " expires: '2999-01-01'}\n"
    )
    result = fix(manifest, *HOST_PID, "--exceptions", exceptions)
    assert (result.exit_code, manifest.read_text()) == (0, BAD)


def test_what_cannot_be_read_makes_the_status_two_and_the_rest_is_repaired(tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [\n")
    result = fix(tmp_path, *HOST_PID)
    assert result.exit_code == 2
    assert "yaml-syntax" in result.stdout
    assert manifest.read_text() == GOOD


def test_a_folder_without_anything_to_repair_is_no_success(tmp_path: Path) -> None:
    done = fix(tmp_path)
    assert done.exit_code == 2
    assert f"no file to repair is in {tmp_path}" in done.output


def test_the_name_of_a_file_does_not_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2Jb.yaml").write_text("kind: [")
    done = fix(tmp_path)
    assert "\x1b" not in done.output
    assert "a\\x1b[2Jb.yaml:1:8" in done.output


def test_an_unknown_check_is_refused(manifest: Path) -> None:
    result = fix(manifest, "--check", "WL-99")
    assert result.exit_code == 2
    assert "there is no check 'WL-99'" in result.stderr


def test_a_file_that_somebody_else_changes_meanwhile_is_not_written(manifest: Path) -> None:
    read = manifest.read_bytes()
    manifest.write_text("theirs\n")
    with pytest.raises(CannotWrite, match="changed by somebody else"):
        files.replace(str(manifest), read, GOOD.encode())
    assert manifest.read_text() == "theirs\n"
    assert os.listdir(manifest.parent) == ["pod.yaml"]


def test_a_file_that_cannot_be_written_is_said_and_not_counted(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dabbawala.guard.fix.files.os.replace", full)
    result = fix(manifest, *HOST_PID)
    assert result.exit_code == 2
    assert f"{manifest} cannot be written: No space left on device" in result.stderr
    assert "0 changes in 0 files" in result.stdout
    assert os.listdir(manifest.parent) == ["pod.yaml"]


def test_what_is_rendered_is_left_and_its_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "overlay"
    folder.mkdir()
    (folder / "pod.yaml").write_text(BAD)
    (folder / "kustomization.yaml").write_text("resources: [pod.yaml]\n")
    monkeypatch.chdir(tmp_path)
    result = fix(folder, *HOST_PID)
    assert result.exit_code == 1, result.output
    assert "rendered from overlay/pod.yaml:5:3. Remove hostPID" in result.stdout
    assert (folder / "pod.yaml").read_text() == BAD


def test_of_a_chart_the_values_are_named_that_a_line_is_made_of(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text("hostPID: true\n")
    template = chart / "templates" / "pod.yaml"
    template.write_text(BAD.replace("hostPID: true ", "hostPID: {{ .Values.hostPID }} "))
    result = fix(chart, *HOST_PID)
    assert f"rendered from {template}:5:3, out of the chart's .Values.hostPID. Remove hostPID" in result.stdout
