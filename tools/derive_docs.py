"""Derive docs/reference from the code: kinds, commands, metrics, settings, reasons, checks, and what checks may ask.

Nothing here is written twice: a kind's page is read off `KINDS`, a command's off click, the rest off the source's own
syntax tree. A test compares the committed pages with what this gives; `make docs` writes them.
"""

from __future__ import annotations

import ast
import inspect
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from dabbawala.api.kinds import KINDS
from dabbawala.cel.environment import Function
from dabbawala.cli import main as cli
from dabbawala.cluster.dataplane import mesh
from dabbawala.guard import checks, world
from dabbawala.guard.checks import Check
from dabbawala.guard.relations import dialect
from dabbawala.readiness.catalogue import CATEGORIES
from dabbawala.rollout import phases

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dabbawala"
FOLDER = ROOT / "docs" / "reference"
DERIVED = "<!-- Derived from the code by `make docs`; do not edit. -->"

LIMIT = re.compile(
    r"(?<=[A-Z])_(MAX|MIN|LIMIT|SECONDS|MS|BYTES|LINES|EVERY)$"
    r"|(?<=[A-Z])_(MAX|MIN|SECONDS)_"
    r"|^_?(MAX|MIN)_(?!INT)"
)
UNITS = {"SECONDS": "s", "MS": "ms", "BYTES": "bytes", "LINES": "lines"}
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Mult: operator.mul,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.LShift: lambda left, right: int(left) << int(right),
}
OWN_KEY = re.compile(r"(?:[a-z]+\.)?dabbawala\.dev/[A-Za-z-]*|prometheus\.io/[a-z]+")
METRIC = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
METRIC_TYPES = {"counter", "gauge", "histogram"}


@dataclass(frozen=True, slots=True)
class Module:
    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(SOURCE))


@cache
def modules(under: str = "") -> tuple[Module, ...]:
    return tuple(_parsed(path) for path in sorted((SOURCE / under).rglob("*.py")))


def module(name: str) -> Module:
    return _parsed(SOURCE / name)


def _parsed(path: Path) -> Module:
    text = path.read_text()
    return Module(path, text, ast.parse(text))


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", DERIVED, *parts]).rstrip() + "\n"


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    listed = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    head = list(headings)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in listed)]
    return "\n".join(lines)


def code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def first_paragraph(node: ast.Module | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")


# Kinds.


def kinds() -> str:
    rows = [
        (
            kind.kind,
            f"`{kind.api_version}`",
            f"`{kind.plural}`",
            code(kind.short_names),
            "namespace" if kind.namespaced else "cluster",
            code(sorted(kind.subresources)),
            ", ".join(column.name if not column.priority else f"({column.name})" for column in kind.columns),
            code(sorted(kind.selectable_fields)),
        )
        for kind in KINDS
    ]
    headings = (
        "Kind",
        "API version",
        "Resource",
        "Short",
        "Scope",
        "Subresources",
        "Columns (wide)",
        "Field selectors",
    )
    answered = code(kind.resource for kind in KINDS if not kind.is_stored)
    views = code(f"{kind.plural}.{kind.group}" for kind in KINDS if kind.stored_as)
    return page(
        "Kinds",
        "What the API server of the embedded cluster serves. Everything else is added with a CustomResourceDefinition. "
        "Every kind can be selected by `metadata.name` and `metadata.namespace` besides the fields named here.",
        table(headings, rows),
        f"Answered when asked and never stored: {answered}.",
        f"Other views of a stored kind: {views}.",
    )


# Commands.


def commands() -> str:
    parts = [text for name in cli.COMMANDS if (text := _command_of(name))]
    intro = "Exit status everywhere: 0 yes, 1 no, 2 could not tell. Every command has `-h` and `--help`."
    return page("Commands", intro, *parts)


def _command_of(name: str) -> str:
    context = click.Context(cli.dabba, info_name="dabba")
    command = cli.dabba.get_command(context, name)
    assert command is not None
    return "" if command.hidden else _command(command, f"dabba {name}", 2)


def _command(command: click.Command, name: str, level: int) -> str:
    arguments = " ".join(_metavar(p) for p in command.params if isinstance(p, click.Argument))
    parts = [f"{'#' * level} {name}", f"`{f'{name} {arguments}'.strip()}`" if arguments else "", _help(command)]
    options = [_option(p) for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        parts.append(table(("Option", "Meaning", "Default"), options))
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        found = ((word, command.get_command(context, word)) for word in command.list_commands(context))
        parts += [_command(inner, f"{name} {word}", level + 1) for word, inner in found if inner is not None]
    return "\n\n".join(part for part in parts if part)


def _metavar(parameter: click.Parameter) -> str:
    return parameter.make_metavar(click.Context(click.Command("dabba")))


def _help(command: click.Command) -> str:
    return inspect.cleandoc((command.help or "").replace("\b\n", ""))


def _option(option: click.Option) -> tuple[str, str, str]:
    value = "" if option.is_flag else f" {_metavar(option)}"
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    known = not option.is_flag and isinstance(option.default, str | int | float) and option.default != ""
    meaning, _, told = (option.help or "").partition("  [default: ")
    default = f"`{option.default}`" if known else "required" if option.required else told.rstrip("]")
    return names, meaning, default


# Metrics.


def metrics() -> str:
    renamed = {**mesh.RENAMED, **mesh.RENAMED_TCP}
    derived = [(f"`{ours}`", f"`{envoys}`") for envoys, ours in renamed.items()]
    destination = code(
        _text(key)
        for node in ast.walk(module("cluster/dataplane/mesh.py").tree)
        if isinstance(node, ast.FunctionDef) and node.name == "_labels"
        for inner in ast.walk(node)
        if isinstance(inner, ast.Dict)
        for key in inner.keys
        if key is not None
    )
    return page(
        "Metrics",
        "What is there without any program saying a word. How it gets there is in [Monitoring](../monitoring.md).",
        "## Of every scrape",
        "With the labels of the target.",
        table(("Metric",), [(f"`{name}`",) for name in _scraped()]),
        "## Of the mesh",
        f"Derived from the statistics of each node's Envoy, with the labels {destination}, and `response_code` or `le` "
        "where Envoy has them.",
        table(("Metric", "Read off"), derived),
        'Envoy\'s own statistics (`envoy_*`) are kept beside them, with `job="envoy"` and the `node`.',
        "## Of containers",
        "At each node agent's `/metrics/resource`, by `container`, `pod` and `namespace`.",
        table(("Metric", "Meaning"), _helps("cluster/kubelet/stats.py")),
        "## Of the API server",
        "At its `/metrics`, under Kubernetes' names and with its labels; `kubectl get --raw /metrics` shows them. A "
        "series of a policy ends with its binding.",
        table(("Metric", "Type"), _yielded("cluster/apiserver/metrics.py")),
        *_of_rollouts(),
        "## Of the runtime detector",
        "At the address of its `--listen`: what it saw, said and missed.",
        table(("Metric", "Type"), _yielded("guard/runtime/metrics.py")),
    )


def _scraped() -> list[str]:
    for node in ast.walk(module("cluster/monitoring/scrape.py").tree):
        if isinstance(node, ast.FunctionDef) and node.name == "_report":
            found = next(inner for inner in ast.walk(node) if isinstance(inner, ast.Dict))
            return [str(key.value) for key in found.keys if isinstance(key, ast.Constant)]
    raise AssertionError("the scraper reports nothing about a scrape")


def _of_rollouts() -> list[str]:
    intro = "The names that Argo Rollouts' dashboards and alerts use."
    return ["## Of rollouts", intro, table(("Metric", "Type"), _yielded("rollout/metrics.py"))]


def _helps(name: str) -> list[tuple[str, str]]:
    lines = re.findall(r"# HELP (\w+) ([^\"\n]+)", (SOURCE / name).read_text())
    return [(f"`{metric}`", meaning) for metric, meaning in lines]


def _yielded(name: str) -> list[tuple[str, str]]:
    """Samples are tuples that begin with a metric's name and its type; a histogram goes through `_histogram`."""
    found: dict[str, str] = {}
    for node in ast.walk(module(name).tree):
        if isinstance(node, ast.Tuple) and len(node.elts) > 2 and (metric := _text(node.elts[0])):
            if (type_ := _text(node.elts[1])) in METRIC_TYPES and METRIC.match(metric):
                found[metric] = type_
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_histogram":
            found[_text(node.args[0])] = "histogram"
    return [(f"`{metric}`", type_) for metric, type_ in sorted(found.items())]


def _text(node: ast.AST) -> str:
    """A string as written; what an f-string fills in stands in capitals, in angle brackets."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        words = re.findall(r"[A-Za-z]+", ast.unparse(node.value))
        return f"<{words[-1].upper() if words else '...'}>"
    return ""


# Settings.


def settings() -> str:
    options = module("cluster/supervisor/options.py")
    chosen = next(node for node in options.tree.body if isinstance(node, ast.ClassDef) and node.name == "Options")
    known = {name: value for name, value, _ in _constants(options)}
    fields = [
        (f"`{node.target.id}`", f"`{known.get(ast.unparse(node.value), ast.unparse(node.value))}`")
        for node in chosen.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    ]
    return page(
        "Settings",
        "What can be set, and the limits that cannot.",
        "## Of a cluster",
        "`options.json` in the cluster's data directory keeps what `dabba up` was started with. "
        f"{first_paragraph(chosen)}",
        table(("Setting", "Default"), fields),
        "## Environment",
        table(("Variable", "Read in"), _environment()),
        "## Labels and annotations",
        "Of our own, and of others where we obey them.",
        table(("Key", "Used in"), _keys()),
        "## Limits",
        "Every queue, retry, history, size and timeout has a named bound. These are constants of the code, "
        "not settings.",
        *_limits(),
    )


def _environment() -> list[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for each in modules():
        for node in ast.walk(each.tree) if "environ" in each.text else ():
            if name := _variable(node):
                found.setdefault(name, set()).add(each.name)
    return [(f"`{name}`", code(sorted(places))) for name, places in sorted(found.items())]


def _variable(node: ast.AST) -> str:
    """`environment.get("NAME")` or `os.environ["NAME"]`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        source, key = node.func.value, node.args[0]
    elif isinstance(node, ast.Subscript):
        source, key = node.value, node.slice
    else:
        return ""
    name = _text(key)
    return name if name.isupper() and ast.unparse(source) in ("environment", "os.environ") else ""


def _keys() -> list[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for each in modules():
        for node in ast.walk(each.tree) if OWN_KEY.search(each.text) else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for key in OWN_KEY.findall(node.value):
                    if not key.endswith("/"):
                        found.setdefault(key, set()).add(each.name)
    return [(f"`{key}`", code(sorted(places))) for key, places in sorted(found.items())]


def _limits() -> Iterator[str]:
    packages: dict[str, list[tuple[str, str, str, str]]] = {}
    for each in modules():
        parts = each.name.split("/")
        package = "/".join(parts[: 2 if parts[0] == "cluster" else 1]).removesuffix(".py")
        for name, value, meaning in _constants(each):
            if LIMIT.search(name):
                packages.setdefault(package, []).append((f"`{name}`", value, f"`{each.name}`", meaning))
    for package, rows in sorted(packages.items()):
        yield f"### {package}"
        yield table(("Limit", "Value", "Where", "Meaning"), rows)


def _constants(of: Module) -> list[tuple[str, str, str]]:
    """Numbers with a name at the head of a module: name, value with its unit, and the docstring below it, if any."""
    found = []
    for node, after in zip(of.tree.body, [*of.tree.body[1:], None], strict=True):
        if not isinstance(node, ast.Assign):
            continue
        meaning = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        for name, value in _pairs(node):
            number = _number(value)
            if number is not None:
                found.append((name, _shown(number, _unit(name)), str(meaning)))
    return found


def _shown(number: float, unit: str) -> str:
    for size, word in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if unit == "bytes" and number >= size and number % size == 0:
            return f"{number // size:,} {word}"
    text = f"{int(number):,}" if float(number).is_integer() else f"{number:g}"
    return f"{text} {unit}".strip()


def _pairs(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for name, part in zip(target.elts, value.elts, strict=True):
            if isinstance(name, ast.Name):
                yield name.id, part


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, int | float) and not isinstance(node.value, bool) else None
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = _number(node.left), _number(node.right)
        return None if left is None or right is None else OPERATORS[type(node.op)](left, right)
    return None


def _unit(name: str) -> str:
    return next((unit for word, unit in UNITS.items() if word in name.split("_")), "")


# Reasons.


def reasons() -> str:
    given = _given()
    parts = []
    for title, names in _sections():
        rows = [(f"`{text}`", " / ".join(sorted(given.get(name, ())))) for name, text in names if name in _spoken()]
        if rows:
            parts += [f"## {title}", table(("Reason", "What it says"), rows)]
    lives = [(row.number, row.phase, text) for row, text in _phases()]
    return page(
        "Reasons",
        "Every reason that a Rollout's events and conditions give, with the messages that go with it; what is "
        "filled in stands in angle brackets. They are Argo Rollouts' own.",
        *parts,
        "## Phases",
        "The first row that applies is the phase.",
        table(("Row", "Phase", "Message"), lives),
    )


def _sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    title, names = "", list[tuple[str, str]]()
    for line in (SOURCE / "rollout/reasons.py").read_text().splitlines():
        if line.startswith("# "):
            if names:
                yield title, names
            title, names = line.strip("# ."), []
        elif found := re.match(r'(\w+) = "(.+)"', line):
            names.append((found[1], found[2]))
    yield title, names


def _spoken() -> set[str]:
    text = "".join(path.read_text() for path in (SOURCE / "rollout").rglob("*.py"))
    return set(re.findall(r"reasons\.([A-Z_]+)", text))


def _given() -> dict[str, set[str]]:
    """Texts that stand beside a reason in the same call, as they are or under a local name."""
    found: dict[str, set[str]] = {}
    for each in modules("rollout"):
        for function in ast.walk(each.tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            local = _assigned(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    said = {text for arg in node.args for text in _texts(arg, local) if " " in text}
                    for name in filter(None, map(_reason, node.args)):
                        found.setdefault(name, set()).update(said)
    return found


def _assigned(function: ast.FunctionDef) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).extend(_texts(node.value))
    return found


def _reason(node: ast.expr) -> str:
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "reasons"
    return node.attr if named and isinstance(node, ast.Attribute) else ""


def _texts(node: ast.expr, local: dict[str, list[str]] | None = None) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, local), *_texts(node.orelse, local)]
    if isinstance(node, ast.Name):
        return (local or {}).get(node.id, [])
    text = _text(node)
    return [text] if text else []


def _phases() -> Iterator[tuple[phases.Row, str]]:
    functions = {node.name: node for node in module("rollout/phases.py").tree.body if isinstance(node, ast.FunctionDef)}
    for row in phases.TABLE:
        texts = [
            text
            for node in ast.walk(functions[row.test.__name__])
            if isinstance(node, ast.Return) and node.value is not None
            for text in _texts(node.value)
        ]
        yield row, " / ".join(dict.fromkeys(texts))


# What checks may ask ----------------------------------------------------------------------------------------------


def guard_functions() -> str:
    """The functions of checks of more than one object, subject by subject."""
    parts = ["# What checks may ask", DERIVED, "How a check is written is in [Writing a check](../guard-checks.md)."]
    for subject in dialect.SUBJECTS:
        lead = _plain(subject.__doc__).partition(".")[0]
        rows = [f"| `{_called(function)}` | {_plain(function.call.__doc__)} |" for function in subject.FUNCTIONS]
        parts.append("\n".join([f"{lead}.", "", "| Function | Gives |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _plain(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _called(function: Function) -> str:
    names = inspect.signature(function.call).parameters
    taken = [f"{name}: {kind}" for name, kind in zip(names, function.arguments, strict=True)]
    if not function.receiver:
        return f"{function.name}({', '.join(taken)}) → {function.result}"
    receiver = "inventory" if function.arguments[0] == world.TYPE else function.arguments[0]
    return f"{receiver}.{function.name}({', '.join(taken[1:])}) → {function.result}"


# Readiness.


def readiness() -> str:
    """The 42 items: what proves each, and what to do where it is missing."""
    parts = [
        "Critical items reject by themselves. Evidence is taken of the types and for the days that are named, where a "
        "cluster cannot show it. How all this is used is in [Readiness](../readiness.md)."
    ]
    for category in CATEGORIES:
        rows = [
            (
                f"`{item.id}`",
                item.title,
                item.severity,
                item.proof,
                f"{code(item.accepts)}, {item.days} days" if item.accepts else "",
                f"`{item.remedy}`",
            )
            for item in category.items
        ]
        headings = ("Item", "Asks", "Severity", "What proves it", "Evidence", "What to do")
        parts.append(f"## {category.title}\n\n{table(headings, rows)}")
    return page("Readiness", *parts)


def guard_checks() -> str:
    """All checks, area by area, with what they support evidence for."""
    areas: dict[str, list[Check]] = {}
    for check in checks.shipped().values():
        areas.setdefault(check.area, []).append(check)
    parts = [f"## {area.capitalize()}\n\n" + "\n\n".join(map(_checked, areas[area])) for area in sorted(areas)]
    native = sum(check.native for check in checks.shipped().values())
    return page(
        "Checks",
        f"{len(checks.shipped())} checks, {native} of them policies that any Kubernetes from 1.30 on enforces as they "
        "are. What a check supports evidence for, and how far, is in [Frameworks](../guard-frameworks.md); how one is "
        "written in [Writing a check](../guard-checks.md).",
        *parts,
    )


def _checked(check: Check) -> str:
    enforced = "enforceable" if check.native else "scan only"
    elsewhere = ", ".join(f"{anchor.tool} {anchor.id}" for anchor in check.anchors)
    rows = [f"- `{row.framework}/{row.clause}`, {row.strength}: {row.reason}" for row in check.controls]
    parts = [
        f"### {check.id}: {check.title}",
        f"**{check.severity}**, {enforced}. {_plain(check.rationale)}",
        f"What to do: {_plain(check.remedy)}",
        "\n".join(["Supports evidence for:", "", *rows]) if rows else "",
        f"The same elsewhere: {elsewhere}." if elsewhere else "",
    ]
    return "\n\n".join(part for part in parts if part)


PAGES: dict[str, Callable[[], str]] = {
    "kinds.md": kinds,
    "commands.md": commands,
    "metrics.md": metrics,
    "settings.md": settings,
    "reasons.md": reasons,
    "readiness.md": readiness,
    "checks.md": guard_checks,
    "guard-functions.md": guard_functions,
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, derive in PAGES.items():
        (FOLDER / name).write_text(derive())


if __name__ == "__main__":
    main()
