"""Lines of docs/determinism.md that no other test holds."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training import cases
from tscl.seeding import derive_seed, numpy_generator, torch_generator

ROOT = Path(__file__).resolve().parents[2]


def digest() -> str:
    made = cases.build("comet", 0.1)
    result = cases.fit(made)
    weights = b"".join(v.numpy().tobytes() for v in result.encoder.state_dict().values())
    return hashlib.sha256(weights).hexdigest()


def test_another_process_gives_the_same_bits():
    code = (
        "import torch; torch.set_num_threads(1); "
        "from tests.training.test_determinism import digest; print(digest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert done.stdout.split()[-1] == digest()
    finally:
        torch.set_num_threads(before)


def test_streams_are_pinned():
    assert derive_seed(0, "mask") == 7139340425434012302
    assert derive_seed(7, "batch", 3) == 2630384014461061088
    order = numpy_generator(1, "sampler", 2).permutation(8).tolist()
    assert order == [2, 1, 0, 5, 7, 4, 3, 6]
    drawn = torch.randint(1000, (4,), generator=torch_generator(1, "mask", 2)).tolist()
    assert drawn == [802, 145, 643, 308]


def test_other_thread_counts_are_close():
    """In float64, where Adam does not amplify rounding; see ``assert_equal_runs``."""
    before = torch.get_num_threads()
    losses = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            history = cases.fit(cases.build("simclr", 0.1).double()).history
            losses.append([row["loss"] for row in history])
    finally:
        torch.set_num_threads(before)
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_every_test_the_page_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/determinism.md").read_text())
    assert len(named) > 8
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text()
