"""Imports run one way and in no circle, nothing heavy starts cold, functions stay readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "tscl").rglob("*.py")) + sorted((ROOT / "data_loaders").rglob("*.py"))
LAYERS: tuple[set[str], ...] = (
    {"errors", "registry", "seeding", "disk", "masking", "pooling"},
    {"data_loaders"},
    {"losses", "encoders", "augmentations"},
    {"methods"},
    {"inference", "saving"},
    {"training", "evaluation", "reporting"},
    {"forecasters", "privacy"},
    {"estimators"},
    {"runs"},
    {"cli"},
    {"recipes"},
)
"""From the ground up; a package imports of its own layer and those below."""
TORCH_ONLY = {"losses", "encoders", "augmentations", "masking", "pooling"}
LONG_FUNCTIONS = {
    "tscl.forecasters.network.__init__": "keeps and checks every option of the network",
}
"""Functions of more than 60 lines, and why they are not cut."""


def name_of(path: Path) -> str:
    """The module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in [*LIBRARY, *sorted((ROOT / "recipes").rglob("*.py"))]}


def only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path: Path) -> set[str]:
    """Modules that a file imports, at its top or in a function; not those for types alone."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {one for one in inside if one in MODULES}
            found |= modules or {node.module}
        todo += [one for one in ast.iter_child_nodes(node) if not only_for_types(one)]
    return found


GRAPH = {name: imports(path) for name, path in MODULES.items()}


def package(module: str) -> str:
    """The part of a name that stands in LAYERS; empty for the packages' own ``__init__``."""
    parts = module.split(".")
    if parts[0] in ("recipes", "data_loaders"):
        return parts[0]
    return parts[1] if parts[0] == "tscl" and len(parts) > 1 else ""


def level(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if package(module) in names)


def ours(module: str) -> bool:
    return module.split(".")[0] in ("tscl", "data_loaders", "recipes")


@pytest.mark.parametrize("module", sorted(m for m in GRAPH if package(m) not in ("", "__main__")))
def test_imports_point_down(module):
    for name in GRAPH[module]:
        if ours(name) and package(name):
            assert level(name) <= level(module), f"{module} imports {name}"


def test_no_circles():
    """The package's own names are looked up when they are asked for, so ``tscl`` itself is out."""
    graph = {name: names & GRAPH.keys() - {"tscl"} for name, names in GRAPH.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(m for m in GRAPH if package(m) in TORCH_ONLY))
def test_networks_and_losses_need_torch_alone(module):
    outside = {name.split(".")[0] for name in GRAPH[module] if not ours(name)}
    assert outside - set(sys.stdlib_module_names) <= {"torch"}
    assert not any(name.startswith("data_loaders") for name in GRAPH[module])


@pytest.mark.parametrize("module", sorted(m for m in GRAPH if m.startswith("data_loaders")))
def test_loaders_know_no_torch_and_little_of_tscl(module):
    names = GRAPH[module]
    assert not any(name.split(".")[0] == "torch" for name in names)
    assert {package(n) for n in names if n.startswith("tscl")} <= {"disk", "errors", "seeding"}


def test_the_library_imports_no_recipe():
    for module, names in GRAPH.items():
        if not module.startswith("recipes"):
            assert not any(name.startswith("recipes") for name in names), module


def home_of(test: Path) -> Path | None:
    """The one folder of all that a test imports of its package, if there is one.

    A test that goes on from another of its folder stands beside it.
    """
    place = test.parent.relative_to(ROOT / "tests")
    top = () if place.parts[:1] in (("data_loaders",), ("recipes",)) else ("tscl",)
    package = ".".join((*top, *place.parts))
    inside = [m for m in imports(test) if m == package or m.startswith(f"{package}.")]
    folders = {MODULES[m].parent for m in inside if m in MODULES}
    beside = any(m.startswith(f"tests.{'.'.join(place.parts)}.test_") for m in imports(test))
    own = ROOT.joinpath(*top, place)
    return folders.pop() if len(folders) == 1 and own.is_dir() and not beside else None


def test_tests_stand_where_what_they_test_stands():
    """A test of one subfolder's files alone stands in that subfolder of the tests."""
    astray = []
    for path in sorted((ROOT / "tests").glob("*/**/test_*.py")):
        home = home_of(path)
        place = path.parent.relative_to(ROOT / "tests")
        if home is not None and home.relative_to(ROOT).parts[-len(place.parts) :] != place.parts:
            astray.append(f"{path.relative_to(ROOT)}: {home.relative_to(ROOT)}")
    assert astray == []


def test_few_modules_lie_loose():
    loose = {p.stem for p in (ROOT / "tscl").glob("*.py")} - {"__init__", "__main__"}
    assert len(loose) <= 8, sorted(loose)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short_or_say_why_not():
    long = {}
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > 60:
                long[f"{name_of(path)}.{node.name}"] = lines_of(node)
    assert long.keys() <= LONG_FUNCTIONS.keys(), long
    assert LONG_FUNCTIONS.keys() <= long.keys(), "a function of the list is short by now"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["run", "--help"]])
def test_the_command_line_starts_cold_without_anything_heavy(arguments):
    code = (
        "import sys\n"
        "from tscl.cli.app import app\n"
        f"try:\n    app({arguments!r})\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'mne', 'sktime'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "recipes").rglob("*.yaml"), *(ROOT / "tscl/runs/configs").glob("*.yaml")]),
    ids=lambda p: p.stem,
)
def test_recipes_are_valid(path, recwarn):
    from recipes.objectives.config import load_objectives
    from tscl.runs.config import read_values
    from tscl.runs.jobs import load_job
    from tscl.runs.study.config import load_study

    job = read_values(path).get("job", "forecasting")
    {"study": load_study, "objectives": load_objectives}.get(job, load_job)(path)
    assert not [one for one in recwarn if issubclass(one.category, FutureWarning)], "old keys"


def statements_of_checks(node: ast.stmt) -> int:
    """Statements of an ``if`` that does nothing but raise: itself and its body."""
    if not isinstance(node, ast.If) or node.orelse or not isinstance(node.body[-1], ast.Raise):
        return 0
    bare = all(isinstance(line, ast.Assign | ast.Raise) for line in node.body)
    return 1 + len(node.body) if bare else 0


@pytest.mark.parametrize(
    ("folder", "files", "most"),
    [("data_loaders", "*.py", 0.15), ("tscl", "config.py", 0.20)],
)
def test_checks_are_a_small_part_of_the_code(folder, files, most):
    nodes = [
        node
        for path in (ROOT / folder).rglob(files)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.stmt)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert sum(map(statements_of_checks, nodes)) / len(nodes) < most
