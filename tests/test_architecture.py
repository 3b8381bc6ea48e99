"""Dependencies point one way, modules stay short, nothing prints, every config loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "tscl").rglob("*.py")) + sorted((ROOT / "data_loaders").rglob("*.py"))
BOTTOM = {"losses", "augmentations", "encoders", "masking", "pooling"}
FREE = {"disk", "errors", "registry", "seeding", "batch"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_layers(path):
    where = path.relative_to(ROOT).parts
    names = imports(path)
    if where[0] == "data_loaders":
        allowed = {"disk", "errors", "seeding"}
        assert {layer(n) for n in names if n.startswith("tscl")} <= allowed
        return
    if where[1].removesuffix(".py") in BOTTOM:
        own = {layer(n) for n in names if n.startswith("tscl.")}
        assert own <= BOTTOM | FREE
        outside = {n.split(".")[0] for n in names} - {"tscl"} - set(sys.stdlib_module_names)
        assert outside <= {"torch"}
    if where[1] == "methods":
        own = {layer(n) for n in names if n.startswith("tscl.")}
        assert own <= BOTTOM | FREE | {"methods"}
        assert not any(n.startswith("data_loaders") for n in names)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 440


def test_importing_the_package_is_light():
    code = (
        "import sys, tscl, tscl.cli.app; sys.exit(any(m in sys.modules for m in ('mne', 'sktime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "recipes").rglob("*.yaml"))
    + sorted((ROOT / "tscl/runs/configs").glob("*.yaml")),
    ids=lambda p: p.stem,
)
def test_recipes_are_valid(path):
    import yaml

    from tscl.runs.forecasting.config import load_config

    if (yaml.safe_load(path.read_text()) or {}).get("job", "forecasting") == "forecasting":
        load_config(path)
