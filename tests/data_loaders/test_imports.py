"""Importing the loaders is cheap: heavy packages are imported where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import data_loaders

HEAVY = ("torch", "mne", "sktime", "neurokit2", "matplotlib", "scipy", "sklearn", "wfdb")


@pytest.mark.parametrize(
    "code",
    [
        "import data_loaders",
        "import data_loaders; [getattr(data_loaders, name) for name in data_loaders.__all__]",
    ],
    ids=["package", "every public name"],
)
def test_a_fresh_process_holds_no_heavy_package(code):
    check = f"; import sys; print([one for one in {HEAVY!r} if one in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + check], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed():
    assert set(data_loaders.__all__) <= set(dir(data_loaders))
    for name in data_loaders.__all__:
        assert getattr(data_loaders, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'load_moon'"):
        _ = data_loaders.load_moon


def test_earlier_names_still_work_and_say_so():
    for old, new in (
        ("codes_to_frame", data_loaders.embeddings_to_frame),
        ("codes_to_xarray", data_loaders.embeddings_to_xarray),
    ):
        with pytest.warns(FutureWarning, match="is called embeddings_to"):
            assert getattr(data_loaders, old) is new
