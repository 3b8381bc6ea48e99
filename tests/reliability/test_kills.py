"""A few kills; the twenty are ``python tests/reliability/kill_and_resume.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.kill_and_resume import differences

SCRIPT = Path(__file__).with_name("kill_and_resume.py")
JOBS = ("forecasting run", "clinical run", "study", "save container")


@pytest.mark.slow
def test_killed_jobs_go_on_to_the_same_bits():
    command = [sys.executable, str(SCRIPT), "--fork", "--scale", "1", "--seed", "5", "--only"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
    done = subprocess.run(
        [*command, *JOBS], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal to the bit") == len(JOBS)


def test_the_comparison_sees_what_differs(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name / "deep").mkdir(parents=True)
        np.savez(tmp_path / name / "a.npz", y=np.arange(3))
        (tmp_path / name / "deep/b.json").write_text("{}")
        (tmp_path / name / "run.json").write_text(name)
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "cell.json").write_text('[\n {\n  "mse": 1.5,\n  "seconds": 2.0\n }\n]')
    (other / "cell.json").write_text('[\n {\n  "mse": 1.5\n }\n]')
    assert differences(one, other) == []
    np.savez(other / "a.npz", y=np.arange(3.0))
    (other / "deep/b.json").write_text("[]")
    (other / "c").write_text("")
    assert differences(one, other) == ["a.npz differs", "c is in one only", "deep/b.json differs"]
