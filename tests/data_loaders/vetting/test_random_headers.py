"""Files with random headers, written from the specifications, are read as they were written."""

from __future__ import annotations

import pytest

from tests.data_loaders.random_headers import FORMATS, run


@pytest.mark.parametrize("name", FORMATS)
def test_physical_samples_are_those_written(name: str) -> None:
    if name == "SET":
        pytest.importorskip("pymatreader", reason="the eeglab extra is not installed")
    run(name, 50)
