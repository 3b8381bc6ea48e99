"""The wheel, installed in a clean environment, imports and answers on the command line.

The dependencies come from the environment of the tests by a path file; the project itself only
from the wheel (path files inside that folder, such as an editable install's, are not followed).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = [
    f"tscl/pretrained/{name}/encoder.{ending}"
    for name in ("ecg-1lead", "ecg-12lead")
    for ending in ("json", "safetensors")
]
NEEDED = ("tscl/py.typed", "data_loaders/py.typed", "tscl/runs/configs/demo.yaml", *WEIGHTS)


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("tscl", "data_loaders"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", ".", *options, "-w", "out", cwd=source)
    return next((source / "out").glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run(*pip, "--quiet", wheel, cwd=folder)
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_wheel_holds_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert set(NEEDED) <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tscl", "data_loaders"}
    metadata = next(name for name in names if name.endswith("/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "Requires-Python: >=3.11" in text
    for minor in (11, 12, 13):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}" in text


@pytest.mark.slow
def test_installed_wheel_imports_and_runs(clean):
    python, tscl = clean / "venv" / "bin" / "python", clean / "venv" / "bin" / "tscl"
    code = "import tscl, data_loaders; print(tscl.__file__, data_loaders.__file__)"
    for place in run(python, "-c", code, cwd=clean).split():
        assert Path(place).is_relative_to(clean / "venv")
    listed = run(tscl, "list", cwd=clean)
    for wanted in ("autotcl", "comet", "infonce", "tcn"):
        assert wanted in listed
    assert "torch" in run(tscl, "doctor", cwd=clean)
