"""Jobs in processes and on Ray: all results, failures at the end, nobody left after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from joblib.parallel import ThreadingBackend

from tscl.errors import InputError, MissingExtraError
from tscl.runs.workers import JobsFailed, run_jobs

ROOT = Path(__file__).resolve().parents[2]


class Divide:
    """Work that carries data and fails on some jobs."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __call__(self, job: int) -> float:
        if job == 99:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.number / job


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_job_does_not_stop_the_others(workers):
    seen = {}
    with pytest.raises(JobsFailed, match="0: ZeroDivisionError") as caught:
        for job, result in run_jobs(Divide(12.0), [1, 0, 2, 3], workers=workers):
            seen[job] = result
    assert seen == {1: 12.0, 2: 6.0, 3: 4.0}
    assert len(caught.value.failures) == 1


def test_a_killed_worker_is_reported():
    with pytest.raises(JobsFailed, match="fewer workers"):
        dict(run_jobs(Divide(12.0), [99, 99], workers=2))


PARENT = """
import sys, time
sys.path[:0] = [{root!r}]
from tests.runs.test_workers import Sleep
from tscl.runs.workers import run_jobs
if __name__ == "__main__":
    list(run_jobs(Sleep({folder!r}), [1, 2], workers=2))
"""


class Sleep:
    """Work that tells its process and never ends."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, job: int) -> None:
        (Path(self.folder) / f"{os.getpid()}.pid").touch()
        while True:
            time.sleep(60)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(root=str(ROOT), folder=str(tmp_path)))
    parent = subprocess.Popen([sys.executable, str(script)], cwd=ROOT)
    while len(pids := [int(p.stem) for p in tmp_path.glob("*.pid")]) < 2:
        assert parent.poll() is None, "ended by itself"
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 1800  # only a failure waits this long
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def fake_ray(monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    """The part of Ray's interface that is used; its joblib backend runs in threads."""

    class RayBackend(ThreadingBackend):
        def configure(self, n_jobs: int = 1, **kwargs: object) -> int:
            calls.append(f"{n_jobs} at a time")
            return super().configure(n_jobs, **kwargs)

    ray, backend = types.ModuleType("ray"), types.ModuleType("ray.util.joblib.ray_backend")
    ray.is_initialized = lambda: False
    ray.init = lambda **kwargs: calls.append("init")
    ray.shutdown = lambda: calls.append("shutdown")
    ray.cluster_resources = lambda: {"CPU": 2.0}
    backend.RayBackend = RayBackend
    for module in (ray, types.ModuleType("ray.util"), types.ModuleType("ray.util.joblib"), backend):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_ray_gets_every_job_at_most_so_many_at_a_time(monkeypatch):
    calls: list[str] = []
    fake_ray(monkeypatch, calls)
    seen = {}
    with pytest.raises(JobsFailed, match="ZeroDivisionError"):
        for job, result in run_jobs(Divide(12.0), [1, 0, 2, 3, 4], workers=0, ray=True):
            seen[job] = result
    assert seen == {1: 12.0, 2: 6.0, 3: 4.0, 4: 3.0}
    assert calls == ["init", "2 at a time", "shutdown"]


def test_missing_ray_and_bad_numbers_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"tscl\[ray\]"):
        list(run_jobs(Divide(1.0), [1], ray=True))
    for workers in (-1, 0):
        with pytest.raises(InputError, match="workers"):
            run_jobs(Divide(1.0), [1], workers=workers)


@pytest.mark.slow
def test_on_a_real_ray(monkeypatch):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = dict(run_jobs(Divide(12.0), [1, 2, 3], workers=2, ray=True))
    assert made == {1: 12.0, 2: 6.0, 3: 4.0}
