"""The house itself, read from its syntax trees: modules and functions of one job, imports without a circle."""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path

import pytest

import karat as kt

SOURCE = Path(__file__).resolve().parents[1] / "src" / "karat"
MODULE_LINES, FUNCTION_LINES = 400, 60

LONG_MODULES: dict[str, int] = {}
"""Modules that are still longer, with their lines: this list only gets shorter, and its numbers smaller."""

LONG_FUNCTIONS: dict[str, int] = {}
"""Functions that are still longer, docstring apart."""

CIRCLES: list[set[str]] = []
"""Modules that still import each other in a circle, typing included."""

ROOMS = (
    "errors", "_core", "frames", "display", "moments", "predict", "censoring", "designs", "datasets", "estimate",
    "labels", "fieldwork", "annotate", "checks", "results", "regression", "effects", "grouped", "causal",
    "robustness", "sequential", "planning", "sites", "app", "cli",
)  # fmt: skip
"""Rooms from the ground up: each imports only from those before it, typing and imports inside functions included."""

UPWARDS = {
    ("designs.exchange", "fieldwork"), ("labels.quality.auditing", "regression"), ("results.without", "regression"),
}  # fmt: skip
"""Methods and functions that users look for lower down than the room that does the work, which is loaded on call."""

TREES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, decorators and docstring apart."""
    assert function.end_lineno is not None
    total = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        assert first.end_lineno is not None
        total -= first.end_lineno - first.lineno + 1
    return total


def test_modules_are_short():
    found = {name: len((SOURCE / name).read_text("utf-8").splitlines()) for name in TREES}
    long = {name: n for name, n in found.items() if n > LONG_MODULES.get(name, MODULE_LINES)}
    assert not long, f"look for the second job in {long}"
    done = [name for name in LONG_MODULES if found.get(name, 0) <= MODULE_LINES]
    assert not done, f"short or gone by now, take them from LONG_MODULES: {done}"


def test_functions_are_short():
    found = {
        f"{name}:{node.name}": lines_of(node)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and lines_of(node) > FUNCTION_LINES
    }
    long = {name: n for name, n in found.items() if n > LONG_FUNCTIONS.get(name, 0)}
    assert not long, f"look for the second job in {long}"
    done = [name for name in LONG_FUNCTIONS if name not in found]
    assert not done, f"short or gone by now, take them from LONG_FUNCTIONS: {done}"


def module_name(path: str) -> str:
    """Dotted name of a file, ``karat.designs`` for a package's ``__init__``."""
    parts = ["karat", *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in TREES}


def imports_of(path: str) -> set[str]:
    """Modules of karat that a file imports at module level, under ``TYPE_CHECKING`` too; not inside functions."""
    name = module_name(path)
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    out: set[str] = set()
    todo: list[ast.AST] = list(TREES[path].body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                out.add(inner if inner in NAMES else source)
        elif isinstance(node, ast.Import):
            out.update(alias.name for alias in node.names)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))
    return {found for found in out if found in NAMES and found != name}


def all_imports_of(path: str) -> set[str]:
    """Modules of karat that a file imports anywhere, by their dotted names without ``karat``."""
    name = module_name(path)
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    out = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = [*base, *([node.module] if node.module else [])]
            out |= {".".join([*source, alias.name][1:]) for alias in node.names}
    return out


def test_rooms_import_downwards_only():
    found = set()
    for path in TREES:
        name = module_name(path).removeprefix("karat.")
        room = name.split(".")[0]
        if room in ROOMS:
            above = set(ROOMS[ROOMS.index(room) + 1 :])
            found |= {(name, other.split(".")[0]) for other in all_imports_of(path) if other.split(".")[0] in above}
    assert found <= UPWARDS, "move what is shared down, or the module up"
    assert found >= UPWARDS, "no longer upwards, take it from UPWARDS"


def test_every_module_has_a_room():
    loose = {path for path in TREES if "/" not in path} - {"__init__.py", "_version.py", "errors.py"}
    assert not loose
    assert {path.split("/")[0] for path in TREES if "/" in path} <= set(ROOMS)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected parts of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    out: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            part = set(stack[at:])
            del stack[at:]
            if len(part) > 1:
                out.append(part)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return out


def test_no_circle_of_imports():
    found = circles({name: imports_of(path) for name, path in NAMES.items()})
    new = [sorted(part) for part in found if not any(part <= known for known in CIRCLES)]
    assert not new, f"import downwards only; these modules import each other: {new}"
    done = [sorted(known) for known in CIRCLES if not any(part <= known for part in found)]
    assert not done, f"no circle any more, take them from CIRCLES: {done}"


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, [{"b", "c"}]),
    ],
)
def test_circles_are_found(graph, expected):
    assert circles(graph) == expected


def entered_by(call) -> set[str]:
    """Files of karat whose code a call runs, the second time it is made."""
    found = set()

    def see(frame, event, _):
        if event == "call":
            found.add(frame.f_code.co_filename)

    call()
    before = sys.getprofile()
    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(before)
    root = str(Path(kt.__file__).parent) + os.sep
    return {Path(name.removeprefix(root)).as_posix() for name in found if name.startswith(root)}


def test_a_plain_fit_enters_the_files_that_contributing_names():
    corpus, _ = kt.datasets.simulate(400, seed=1)
    data = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=120).draw(corpus, seed=1), "hostile")
    data["outcome_llm"], data["outcome"] = (
        data["outcome"] + data["length"],
        data["outcome"].where(data["hostile"].notna()),
    )
    formula, surrogates = "outcome ~ length", {"outcome": "outcome_llm"}
    found = entered_by(lambda: kt.ols(formula, data, surrogates=surrogates, learner=None, seed=1))
    text = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    table = text[text.index("| step | files |") : text.index("Rooms, from the ground up")]
    assert found == set(re.findall(r"`([\w/]+\.py)`", table))


def test_slow_tests_are_tests():
    """`make test` leaves out what tests/slow.txt lists; a name that is no test any more would hide a new one."""
    for name in (SOURCE.parents[1] / "tests" / "slow.txt").read_text().split():
        file, test = name.split("::", 1)
        assert f"def {test.split('::')[-1]}(" in (SOURCE.parents[1] / file).read_text(), name
