"""Shared fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    """One thread a worker, so that parallel test workers do not fight over the cores."""
    torch.set_num_threads(int(os.environ.get("TSCL_TEST_THREADS", "1")))


@pytest.fixture(autouse=True)
def _same_threads(_threads: None) -> Iterator[None]:
    """Nothing leaves torch at another number of threads, as numba does: what follows would compute
    other bits, and on busy cores a hundred times slower."""
    before = torch.get_num_threads()
    yield
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == before


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the repository; tests that need it are skipped without it."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("real data folder ../shared/data is not here")
    return path
