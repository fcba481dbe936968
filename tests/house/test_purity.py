"""Plans and translations decide; they read no clock, draw no lots and touch nothing. One module reads time."""

from __future__ import annotations

import ast

from tests.house.source import Module, modules

PURE = {"plan.py", "translate.py"}
IMPURE_IMPORTS = {
    "asyncio", "os", "random", "secrets", "socket", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
    "pathlib", "aiohttp", "sqlite3", "dabbawala.client", "dabbawala.cluster.store", "dabbawala.reconcile.apply",
    "dabbawala.reconcile.informer",
}  # fmt: skip
CLOCK_READS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}
TIME_READERS = {
    "src/dabbawala/apimachinery/clock.py",
    "src/dabbawala/demo/load.py",  # the load generator measures; it never decides
}
OUTSIDE_THE_PRODUCTS_CLOCK = ("src/dabbawala/cluster/sandbox/", "workloads/")


def imported(module: Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def clock_reads(module: Module) -> list[str]:
    return [
        f"{module.name}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCK_READS
    ]


def test_a_plan_imports_nothing_that_acts() -> None:
    acting = {}
    for module in modules():
        if module.path.name in PURE and (found := imported(module) & IMPURE_IMPORTS):
            acting[module.name] = found
    assert not acting


def test_a_plan_is_not_async() -> None:
    waiting = [
        m.name
        for m in modules()
        if m.path.name in PURE
        for n in ast.walk(m.tree)
        if isinstance(n, ast.AsyncFunctionDef)
    ]
    assert not waiting


def test_only_the_clock_reads_time() -> None:
    readers = [
        read
        for module in modules()
        if module.name not in TIME_READERS and not module.name.startswith(OUTSIDE_THE_PRODUCTS_CLOCK)
        for read in clock_reads(module)
    ]
    assert not readers


def test_nothing_happens_at_import() -> None:
    """Module level holds definitions, imports and constants; calls that act stand inside functions."""
    acting = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in module.tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert not acting
