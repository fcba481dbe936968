"""What `dabba guard scan` answers to a user: what it was asked and cannot do, and that nothing is never a pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dabbawala.cli.main import dabba
from dabbawala.guard import checks
from dabbawala.guard.frameworks import catalogue


def scan(*arguments: object) -> Result:
    return CliRunner().invoke(dabba, ["guard", "scan", *map(str, arguments)])


def test_a_folder_without_anything_to_scan_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    found = scan(tmp_path, "-o", "json", "-f", tmp_path / "out.json")
    assert found.exit_code == 2
    assert f"nothing was scanned: no file to scan is in {tmp_path}" in found.output
    assert (tmp_path / "out.json").exists()


@pytest.mark.parametrize("given", ["", "\n", "# what helm had to say\n", "---\n"])
def test_a_standard_input_without_any_object_is_no_pass(given: str) -> None:
    found = CliRunner().invoke(dabba, ["guard", "scan", "-"], input=given)
    assert found.exit_code == 2
    assert "nothing was scanned: the standard input has no object" in found.output


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("kind: Deployment\nmetadata: {name: web}\nspec: {}\n", "apiVersion"),
        ("apiVersion: apps/v1\nmetadata: {name: web}\nspec: {}\n", "kind"),
        ("apiVersion: ''\nkind: Pod\nmetadata: {name: web}\n", "apiVersion"),
    ],
)
def test_an_object_that_does_not_say_what_it_is_is_no_pass(tmp_path: Path, text: str, absent: str) -> None:
    (tmp_path / "web.yaml").write_text(f"# web\n{text}")
    for path in (tmp_path, tmp_path / "web.yaml"):
        found = scan(path)
        assert found.exit_code == 2, found.output
        assert f"the object has no {absent}" in found.output
        assert "web.yaml:2:1" in found.output


def test_values_and_metadata_of_other_tools_are_no_broken_objects(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("kind: Deployment\nreplicas: 2\n")
    (tmp_path / "index.yaml").write_text("apiVersion: v1\nentries: {}\n")
    assert scan(tmp_path).exit_code == 0


def test_the_password_in_a_repository_is_not_repeated(tmp_path: Path) -> None:
    source = "source: {repoURL: 'https://ci:s3cr@t@git.example.com/shop.git', path: k8s}"
    spec = f"  project: shop\n  {source}\n  destination: {{name: dc, namespace: shop}}\n"
    kind = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: shop, namespace: argocd}\n"
    (tmp_path / "shop.yaml").write_text(f"{kind}spec:\n{spec}")
    found = scan(tmp_path, "-c", "CD-01", "-c", "CD-06")
    assert "(https://git.example.com/shop.git at HEAD)" in found.output
    assert "a password in the address" in found.output
    assert "s3cr" not in found.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.yaml", "-n", "shop"], "add --live"),
        (["x.yaml", "-A"], "add --live"),
        (["x.yaml", "-n", "shop", "--with-cluster-policies"], "add --live"),
        (["x.yaml", "--context", "prod"], "--kubeconfig and --context name a cluster: add --live"),
        (["x.yaml", "--kubeconfig", "config"], "--kubeconfig and --context name a cluster: add --live"),
        (["--live", "--with-cluster-policies", "-e", "known.yaml"], "leave out --with-cluster-policies"),
        (["--live", "--kubernetes-version", "1.30"], "leave them out with a cluster"),
        (["--live", "-j", "2"], "leave them out with a cluster"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(arguments: list[str], said: str) -> None:
    found = scan(*arguments)
    assert found.exit_code == 2
    assert said in found.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--remove", "-o", "yaml"], "leave out --remove"),
        (["--static", "DIRECTORY", "--dry-run"], "--static writes files"),
        (["--static", "DIRECTORY", "--remove"], "--static writes files"),
        (["--static", "DIRECTORY", "-o", "yaml"], "leave out --remove and --static"),
    ],
)
def test_enforcing_does_nothing_where_it_was_asked_to_look_and_to_act(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    folder = tmp_path / "static"
    given = [str(folder) if word == "DIRECTORY" else word for word in arguments]
    found = CliRunner().invoke(dabba, ["guard", "enforce", *given])
    assert found.exit_code == 2
    assert said in found.output
    assert not folder.exists()


def test_parameters_that_cannot_be_read_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "parameters.yaml").write_text("data: [")
    given = ["--static", str(tmp_path / "static"), "--parameters", str(tmp_path / "parameters.yaml")]
    found = CliRunner().invoke(dabba, ["guard", "enforce", *given])
    assert found.exit_code == 2
    assert f"{tmp_path}/parameters.yaml:1:8 " in found.output
    assert "Correct the YAML at this place" in found.output


@pytest.mark.parametrize("command", ["checks", "frameworks"])
def test_a_list_that_a_program_reads_has_a_line_for_each_row(command: str) -> None:
    lines = CliRunner().invoke(dabba, ["guard", command]).output.splitlines()
    rows = checks.shipped() if command == "checks" else catalogue.shipped()
    assert [line.split()[0] for line in lines[1:]] == list(rows)
    assert not any(line.endswith(" ") for line in lines)
