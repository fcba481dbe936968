"""What a path stands for: files, folders, charts, kustomizations, the standard input."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dabbawala.guard import charts, decoding, kustomize, rendering, sources
from dabbawala.guard.charts import Values
from dabbawala.guard.documents import Document
from dabbawala.guard.findings import Problem

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec:\n  containers: [{name: web, image: a}]\n"
WEB = """\
{{- if .Values.image }}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-web
spec:
  containers:
    - name: web
      image: {{ .Values.image | quote }}
      securityContext: {privileged: true}
    - name: proxy
      image: registry.example.com/proxy:1
      securityContext: {privileged: true}
{{- range .Values.extra }}
    - name: {{ . }}
      image: registry.example.com/{{ . }}
{{- end }}
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
"""


@pytest.fixture
def rendering_tools(tools: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", f"{tools['helm'].parent}{os.pathsep}/bin{os.pathsep}/usr/bin")
    rendering.tool.cache_clear()
    yield
    rendering.tool.cache_clear()


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rendering, "_WHEEL", "no-such-package")
    rendering.tool.cache_clear()
    yield
    rendering.tool.cache_clear()


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("image: registry.example.com/web:1\nextra: [log, metrics]\n")
    (folder / "templates" / "web.yaml").write_text(WEB)
    return folder


@pytest.fixture
def overlays(tmp_path: Path) -> Path:
    for folder, text in {
        "base": "resources: [pod.yaml]\n",
        "prod": "resources: [../base]\nnamePrefix: prod-\npatches:\n- path: patch.yaml\n",
        "test": "resources: [../base]\ncomponents: [../part]\n",
        "part": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -x\n",
    }.items():
        (tmp_path / "k" / folder).mkdir(parents=True)
        (tmp_path / "k" / folder / "kustomization.yaml").write_text(text)
    (tmp_path / "k" / "base" / "pod.yaml").write_text(POD.replace("NAME", "web"))
    patch = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {hostNetwork: true}\n"
    (tmp_path / "k" / "prod" / "patch.yaml").write_text(patch)
    return tmp_path / "k"


def names(*paths: Path) -> list[str]:
    return [Path(source.file).name for source in sources.find(paths)]


def read(*paths: Path, values: Values = charts.PLAIN) -> tuple[list[Document], list[Problem]]:
    readings = [source.read() for source in sources.find(paths, values=values)]
    return [one for reading in readings for one in reading.documents], [
        one for reading in readings for one in reading.problems
    ]


def problem(*paths: Path) -> Problem:
    found, problems = read(*paths)
    assert not found
    assert len(problems) == 1
    assert problems[0].remedy
    return problems[0]


def test_a_folder_is_read_by_name_without_what_is_not_its_own(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.JSON", "d.txt", ".git/e.yaml", "node_modules/f.yaml", "z/g.yaml", "z/h/i.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert names(tmp_path) == ["a.yaml", "b.yml", "c.JSON", "g.yaml", "i.yaml"]
    assert names(tmp_path / "d.txt", tmp_path / "z") == ["d.txt", "g.yaml", "i.yaml"]
    assert names(tmp_path / "a.yaml", tmp_path) == ["a.yaml", "b.yml", "c.JSON", "g.yaml", "i.yaml"]


def test_links_in_a_circle_end_and_lead_to_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{}")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again.yaml").symlink_to(tmp_path / "a.yaml")
    (tmp_path / "self.yaml").symlink_to(tmp_path / "self.yaml")
    found = list(sources.find([tmp_path]))
    assert [Path(source.file).name for source in found] == ["a.yaml", "self.yaml"]
    assert found[1].problems[0].code == "unreadable"


def test_what_cannot_be_read_is_a_problem_that_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert problem(tmp_path / "pipe.yaml").code == "not-a-file"
    assert problem(Path("/dev/null")).code == "not-a-file"
    assert problem(tmp_path / "absent.yaml").code == "unreadable"
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert "No such file" in problem(tmp_path / "gone.yaml").message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_the_right_to_read_it_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{}")
    (tmp_path / "a.yaml").chmod(0)
    assert "read access" in problem(tmp_path / "a.yaml").remedy


def test_a_name_that_is_not_utf_8_is_a_problem_that_any_report_can_show(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.yaml")).write_text(POD)
    (tmp_path / "café.yaml").write_text(POD)
    named, nameless = sources.find([tmp_path])
    assert not named.problems
    assert nameless.file == f"{tmp_path}/caf\\xe9.yaml"
    assert [problem.code for problem in nameless.problems] == ["name-not-utf-8"]
    assert nameless.problems[0].text == f"the name of {nameless.file} is not UTF-8. Rename it."


def test_a_file_that_is_too_large_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(decoding.FILE_BYTES_MAX + 1)
    assert problem(path).code == "too-large"


def test_folders_without_end_are_left_at_some_depth(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (sources.FOLDERS_DEEP_MAX + 3))
    deep.mkdir(parents=True)
    assert problem(tmp_path).code == "too-deep"


def test_the_standard_input_is_a_source() -> None:
    (source,) = sources.find(["-"], stdin=io.BytesIO(POD.encode()))
    reading = source.read()
    assert reading.documents[0].place("kind").file == sources.STDIN_NAME


@pytest.mark.usefixtures("rendering_tools")
def test_a_chart_is_rendered_and_its_lines_lead_back_to_its_templates(chart: Path) -> None:
    found, problems = read(chart.parent)
    assert not problems
    settings, pod = found
    template = str(chart / "templates" / "web.yaml")
    assert (settings.file, settings.place("metadata.name").line) == (template, 22)
    assert pod.object["metadata"]["name"] == "release-name-web"
    where = {
        "metadata.name": 5,
        "spec.containers[web].image": 9,
        "spec.containers[web].securityContext.privileged": 10,
        "spec.containers[proxy].image": 12,
        "spec.containers[proxy].securityContext": 13,
        "spec.hostNetwork": 6,
    }
    found_at = {path: (pod.place(path).file, pod.place(path).line, pod.place(path).rendered) for path in where}
    assert found_at == {path: (template, line, False) for path, line in where.items()}
    assert isinstance(pod.origin, charts.TemplateOrigin)
    assert pod.origin.values(pod, "spec.containers[web].image") == ("image",)
    assert pod.origin.values(pod, "spec.containers[proxy].image") == ()


@pytest.mark.usefixtures("rendering_tools")
def test_a_chart_whose_folder_is_called_like_an_option_is_a_chart(chart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = chart.rename(chart.parent / "--set=image=other")
    monkeypatch.chdir(chart.parent)
    found, problems = read(Path())
    assert not problems
    image = found[1].object["spec"]["containers"][0]["image"]
    assert (found[1].file, image) == (f"{odd.name}/templates/web.yaml", "registry.example.com/web:1")


@pytest.mark.usefixtures("rendering_tools")
def test_a_line_that_cannot_be_proven_is_a_rendered_line_and_says_so(chart: Path) -> None:
    (chart / "templates" / "web.yaml").write_text('{{ .Files.Get "pod.yaml" }}\n')
    (chart / "pod.yaml").write_text(POD.replace("NAME", "web"))
    (pod,), _ = read(chart)
    place = pod.place("spec.containers[web].image")
    assert place.rendered
    assert str(place) == f"{chart / 'templates' / 'web.yaml'} (rendered line {place.line})"
    assert pod.source_line(place.line).strip().startswith("containers:")


@pytest.mark.usefixtures("rendering_tools")
def test_a_chart_is_rendered_with_the_values_that_are_given(chart: Path) -> None:
    values = Values(release="prod", settings=("image=other", "extra=null"))
    (_, pod), _ = read(chart, values=values)
    assert pod.object["metadata"]["name"] == "prod-web"
    assert pod.object["spec"]["containers"][0]["image"] == "other"


@pytest.mark.usefixtures("rendering_tools")
@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ("kind: {{ .Values.image | nosuch }}\n", 1, "nosuch"),
        ("a: 1\nkind: {{ required \"need it\" .Values.none }}\n", 2, "need it"),
        ("a: 1\nb: 2\nkind: {{ .Values.none.at.all }}\n", 3, "nil pointer"),
        ("a: b\n c: d\n", 0, "mapping values"),
    ],
)  # fmt: skip
def test_what_helm_complains_about_is_a_problem_of_the_template(chart: Path, wrong: str, line: int, said: str) -> None:
    (chart / "templates" / "bad.yaml").write_text(wrong)
    found = problem(chart)
    assert (found.code, found.place.line) == ("helm", line)
    assert found.place.file == str(chart / "templates" / "bad.yaml")
    assert said in found.message


@pytest.mark.usefixtures("rendering_tools")
def test_missing_dependencies_are_named_with_the_command_that_brings_them(chart: Path) -> None:
    with (chart / "Chart.yaml").open("a") as file:
        file.write("dependencies: [{name: redis, version: 1.0.0, repository: https://charts.example.com}]\n")
    assert "helm dependency build" in problem(chart).remedy


@pytest.mark.usefixtures("rendering_tools")
def test_overlays_are_rendered_and_what_they_build_on_is_not_read_twice(overlays: Path) -> None:
    found, problems = read(overlays)
    assert not problems
    assert [item.object["metadata"]["name"] for item in found] == ["prod-web", "web-x"]
    assert all(not item.object["metadata"].get("annotations") for item in found)


@pytest.mark.usefixtures("rendering_tools")
def test_fields_of_an_overlay_lead_back_to_the_file_that_has_them(overlays: Path) -> None:
    (pod,), _ = read(overlays / "prod")
    image = pod.place("spec.containers[web].image")
    assert (Path(image.file).resolve(), image.line, image.rendered) == (overlays / "base" / "pod.yaml", 5, False)
    absent = pod.place("spec.hostPID")
    assert (Path(absent.file).name, absent.line) == ("pod.yaml", 4)
    patched = pod.place("spec.hostNetwork")
    assert (Path(patched.file).name, patched.rendered) == ("kustomization.yaml", True)


@pytest.mark.usefixtures("rendering_tools")
def test_what_kustomize_complains_about_is_a_problem_of_its_line(overlays: Path) -> None:
    (overlays / "base" / "pod.yaml").unlink()
    found = problem(overlays / "base")
    assert (found.code, found.place.file, found.place.line) == (
        "kustomize",
        str(overlays / "base/kustomization.yaml"),
        1,
    )
    (overlays / "base" / "kustomization.yaml").write_text("nothing: 1\nbad: [\n")
    broken = problem(overlays / "base")
    assert (broken.code, broken.place.line) == ("kustomize", 2)
    assert ".go:" not in broken.message


@pytest.mark.usefixtures("no_tools")
def test_without_the_tools_a_chart_says_what_to_install(chart: Path, overlays: Path) -> None:
    missing = problem(chart)
    assert (missing.code, missing.place.file) == ("helm-missing", str(chart))
    assert "Install helm" in missing.remedy
    assert problem(overlays / "prod").code == "kustomize-missing"


def test_a_program_is_stopped_in_time_with_all_it_started() -> None:
    started = rendering.run([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.2)
    assert "too long" in started.failure
    silent = rendering.run(["/bin/sh", "-c", "exec >&- 2>&-; sleep 60"], seconds=0.2)
    assert "too long" in silent.failure
    endless = rendering.run(["/bin/sh", "-c", "while :; do echo y; done"], most=1000)
    assert "more than 1,000 bytes" in endless.failure
    assert rendering.run(["/bin/sh", "-c", "echo wrong >&2; exit 3"]).failure == "wrong"
    assert rendering.run(["/no/such/program"]).failure
    assert rendering.run(["/bin/echo", "right"]).out == b"right\n"


def test_the_wheel_stands_in_where_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = rendering._from_wheel("helm")
    assert found is not None
    assert Path(found).stat().st_mode & stat.S_IXUSR
    assert rendering._from_wheel("helm") == found
    assert rendering._from_wheel("kustomize") is None


def test_a_kustomization_that_is_no_yaml_builds_on_nothing(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [1, {a: b}, ../x\n")
    assert list(kustomize.included(tmp_path)) == []
    assert not kustomize.is_component(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("playbook.yml", "- hosts: all\n"),
        ("tsconfig.json", '{"a": {} // JSON with comments\n}'),
        ("motd.yaml", "hello: {{ name }}{{ other }}: 1\n"),
    ],
)
def test_what_is_no_manifest_is_a_problem_only_where_it_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    (below,) = sources.find([tmp_path])
    assert below.read() == ([], [])
    (named,) = sources.find([tmp_path / name])
    assert named.read().problems


def test_what_says_that_it_is_an_object_is_a_problem_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- apiVersion: v1\n  kind: Pod\n")
    (found,) = sources.find([tmp_path])
    assert [problem.code for problem in found.read().problems] == ["not-an-object"]
