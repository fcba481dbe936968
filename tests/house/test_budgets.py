"""Code that stays readable: the budgets of size that the house keeps."""

from __future__ import annotations

import ast
import statistics

from tests.house.source import length, modules

FUNCTION_MEDIAN_MAX, FUNCTION_P95_MAX, FUNCTION_MAX = 10, 50, 70
FILE_MAX, FILE_USUAL = 600, 400
FILES_OVER_USUAL_PERCENT_MAX = 10
METHODS_MAX = 15
PARAMETERS_MAX = 6
NAMES_THAT_SAY_NOTHING = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "base",
    "manager",
    "handler",
    "service",
}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{m.name}:{f.lineno} {f.name} {length(f)}"
        for m in modules()
        for f in m.functions()
        if length(f) > FUNCTION_MAX
    ]
    assert not long


def test_most_functions_are_short() -> None:
    lengths = sorted(length(function) for module in modules() for function in module.functions())
    assert statistics.median(lengths) <= FUNCTION_MEDIAN_MAX
    assert lengths[int(len(lengths) * 0.95)] <= FUNCTION_P95_MAX


def test_a_file_has_one_subject() -> None:
    over = [f"{module.name}: {module.lines}" for module in modules() if module.lines > FILE_MAX]
    assert not over
    usual = [f"{module.name}: {module.lines}" for module in modules() if module.lines > FILE_USUAL]
    assert len(usual) <= len(modules()) * FILES_OVER_USUAL_PERCENT_MAX / 100, usual


def test_no_class_does_everything() -> None:
    large = []
    for module in modules():
        for node in module.classes():
            methods = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
            if methods > METHODS_MAX:
                large.append(f"{module.name}:{node.lineno} {node.name}: {methods} methods")
    assert not large


def test_signatures_can_be_remembered() -> None:
    wide = []
    for module in modules():
        for function in module.functions():
            arguments = function.args
            positional = [a for a in (*arguments.posonlyargs, *arguments.args) if a.arg not in ("self", "cls")]
            count = len(positional) + len(arguments.kwonlyargs)
            if count > PARAMETERS_MAX:
                wide.append(f"{module.name}:{function.lineno} {function.name}: {count} parameters")
    assert not wide


def test_names_say_what_is_inside() -> None:
    vague = [module.name for module in modules() if module.path.stem in NAMES_THAT_SAY_NOTHING]
    vague += [m.name for m in modules() if NAMES_THAT_SAY_NOTHING & set(m.path.parts[-4:-1])]
    assert not vague


def test_every_module_says_what_it_models() -> None:
    silent = [module.name for module in modules() if module.text.strip() and ast.get_docstring(module.tree) is None]
    assert not silent


def test_a_package_file_holds_no_code() -> None:
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    busy = [
        module.name
        for module in modules()
        if module.path.name == "__init__.py" and any(not isinstance(node, allowed) for node in module.tree.body)
    ]
    assert not busy


def test_every_type_ignore_has_its_reason_beside_it_or_above() -> None:
    """One reason may stand for several like it in a file; a file without any has given none."""
    silent = []
    for module in modules():
        lines = [line for line in module.text.splitlines() if "# type: ignore" in line]
        if lines and not any(
            line.split("# type: ignore", 1)[1].partition("]")[2].strip().startswith("#") for line in lines
        ):
            silent.append(module.name)
    assert not silent
