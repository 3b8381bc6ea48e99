"""``tscl list``, ``tscl doctor``, ``--version``, and folders that cannot be read."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import tscl
from tscl.cli.app import app
from tscl.encoders import ENCODERS
from tscl.losses import LOSSES
from tscl.methods import METHODS
from tscl.pooling import POOLS
from tscl.saving import card as versions


def said(*words: str, code: int = 0) -> str:
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


def test_version():
    assert said("--version") == f"tscl {tscl.__version__}\n"


def test_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "tscl", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tscl {tscl.__version__}\n"


def test_everything_with_a_name_is_listed_once():
    lines = dict(line.split(": ", 1) for line in said("list").splitlines())
    assert lines["method"].split(", ") == METHODS.names()
    assert lines["encoder"].split(", ") == ENCODERS.names()
    assert lines["loss"].split(", ") == LOSSES.names()
    assert lines["pooling"].split(", ") == list(POOLS)
    assert "hierarchical" in lines["contrast"]
    for word in ("loss", "losses"):
        assert said("list", word) == f"loss: {lines['loss']}\n"


def test_a_name_shows_its_arguments_in_every_kind_that_has_it():
    tcn = said("list", "tcn")
    assert tcn.startswith("encoder tcn: Linear layer, latent mask, depth causal blocks")
    for key, parameter in ENCODERS.parameters("tcn").items():
        empty = parameter.default is parameter.empty
        assert f"  {key} {'(no default)' if empty else f'= {parameter.default!r}'}\n" in tcn
    both = said("list", "byol")
    assert "loss byol: " in both
    assert "contrast byol: " in both
    assert "did you mean 'infonce'" in said("list", "infonc", code=2)


def test_doctor_tells_which_extras_are_there(monkeypatch):
    needs = [
        "numpy>=1",
        'torch>=2; extra == "one"',
        "no-such-package>=3 ; extra == 'two'",
        'torch>=2; extra == "two"',
        'pytest>=8; extra == "dev"',
    ]
    monkeypatch.setattr(versions.importlib.metadata, "requires", lambda name: needs)
    assert versions.extras() == {"one": [], "two": ["no-such-package"]}
    told = said("doctor")
    assert "extra one: installed" in told
    assert "extra two: missing no-such-package (pip install 'tscl[two]')" in told
    assert f"torch: {importlib.metadata.version('torch')}" in told


@pytest.mark.parametrize("words", [["run", "-c", "clinical", "--data"], ["data", "describe"]])
def test_folders_that_are_missing_or_unknown_are_named(tmp_path, words):
    missing = said(*words, str(tmp_path / "nothing"), code=2)
    assert "nothing; no such folder" in missing
    (tmp_path / "empty").mkdir()
    unknown = said(*words, str(tmp_path / "empty"), code=2)
    assert "mitbih" in unknown
    assert "unknown" not in unknown
