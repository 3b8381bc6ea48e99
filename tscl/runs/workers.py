"""Run independent jobs here, in processes, or on a Ray cluster; results come as they are ready."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config, register_parallel_backend
from joblib.externals.loky.process_executor import TerminatedWorkerError

from tscl.errors import InputError, MissingExtraError, TSCLError
from tscl.saving.cells import C, CellFiles

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[str, int, int], None]
"""Called with a cell's title, how many cells are done, and how many there are."""

_STREAM: dict[str, Any] = {
    "return_as": "generator_unordered",
    "batch_size": 1,
    # arrays travel with the job: a mapped file would be read-only, and of one machine
    "max_nbytes": None,
}


class JobsFailed(TSCLError, RuntimeError):
    """Some jobs raised; the others are done. Names each with its error."""

    def __init__(self, failures: Sequence[tuple[object, BaseException]]) -> None:
        self.failures = list(failures)
        lines = [f"{job}: {type(e).__name__}: {e}" for job, e in self.failures[:5]]
        more = len(self.failures) - len(lines)
        tail = f"; and {more} more" if more else ""
        super().__init__(
            f"{len(self.failures)} jobs failed, the others are kept: " + "; ".join(lines) + tail
        )


def run_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    ray: bool = False,
) -> Iterator[tuple[Job, Result]]:
    """Call ``work`` on every job and give (job, result) in the order of completion.

    A job that raises does not stop the others: failures wait until the end.

    Args:
        work: pickled, so it may carry the data.
        jobs: what to call it with.
        workers: processes, each with one thread; 1 runs here. With ``ray`` at most so many
            tasks of one processor at a time (0: as many as the cluster has).
        ray: use Ray: the cluster of ``RAY_ADDRESS`` when set, else this machine. Results come
            back to this process, so the workers need no shared folder.

    Raises:
        InputError: a negative number of workers.
        MissingExtraError: Ray is not installed.
        JobsFailed: at the end of the iteration, when jobs raised.
    """
    if workers < 0 or (workers == 0 and not ray):
        raise InputError("workers", workers, "use 1 or more")
    if ray:
        return _results(jobs, _on_ray(work, jobs, workers))
    if workers == 1 or len(jobs) < 2:
        return _results(jobs, (_attempt(work, number, job) for number, job in enumerate(jobs)))
    return _results(jobs, _in_processes(work, jobs, min(workers, len(jobs))))


def run_cells(
    files: CellFiles[C],
    compute: Callable[[C], Any],
    write: Callable[[C, Any], Any],
    *,
    workers: int = 1,
    ray: bool = False,
    report: Report | None = None,
) -> int:
    """Compute the cells that have no file yet and write each as it is ready.

    Args:
        files: of the study.
        compute: gives the values of a cell; in the workers.
        write: writes them; in this process.
        workers: see :func:`run_jobs`.
        ray: see :func:`run_jobs`.
        report: called after every cell.

    Returns:
        The number of cells that were missing.

    Raises:
        JobsFailed: at the end, when cells failed; all others are written.
    """
    missing = files.missing()
    total, done = len(files.cells), len(files.cells) - len(missing)
    for cell, values in run_jobs(compute, missing, workers=workers, ray=ray):
        write(cell, values)
        done += 1
        if report is not None:
            report(cell.title, done, total)
    return len(missing)


def _attempt(work: Callable[[Any], Any], number: int, job: Any) -> tuple[int, Any]:
    """The job's number with its result, or with the error it raised."""
    try:
        return number, work(job)
    except Exception as error:
        return number, error


def _results(jobs: Sequence[Any], attempts: Iterator[tuple[int, Any]]) -> Iterator[tuple[Any, Any]]:
    failures: list[tuple[object, BaseException]] = []
    for number, result in attempts:
        if isinstance(result, BaseException):
            failures.append((jobs[number], result))
        else:
            yield jobs[number], result
    if failures:
        raise JobsFailed(failures)


def _in_processes(
    work: Callable[[Any], Any], jobs: Sequence[Any], workers: int
) -> Iterator[tuple[int, Any]]:
    pool = Parallel(
        n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
    )
    left = set(range(len(jobs)))
    try:
        tasks = (delayed(_in_worker)(os.getpid(), work, n, job) for n, job in enumerate(jobs))
        for number, result in pool(tasks):
            left.discard(number)
            yield number, result
    except TerminatedWorkerError:
        for number in sorted(left):
            yield (
                number,
                ChildProcessError(
                    "a worker was killed (out of memory?); run again with fewer workers"
                ),
            )


def _in_worker(parent: int, work: Callable[[Any], Any], number: int, job: Any) -> tuple[int, Any]:
    """A job in a process of its own: one thread, and an end with its parent's."""
    if not any(thread.name == "end with parent" for thread in threading.enumerate()):
        threading.Thread(
            target=_end_with, args=(parent,), name="end with parent", daemon=True
        ).start()
    return _on_one_thread(work, number, job)


def _end_with(parent: int) -> None:
    """Leave when the parent has ended, however it did: nobody is left to take results."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _on_ray(
    work: Callable[[Any], Any], jobs: Sequence[Any], workers: int
) -> Iterator[tuple[int, Any]]:
    try:
        import ray
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError:
        raise MissingExtraError("ray", "ray") from None

    class Streaming(RayBackend):  # type: ignore[misc]
        """Joblib asks before it hands out results one by one; Ray's pool can."""

        supports_return_generator = True

    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        register_parallel_backend("tscl ray", Streaming)
        with parallel_config("tscl ray"):
            pool = Parallel(n_jobs=count, **_STREAM)
            yield from pool(
                delayed(_on_one_thread)(work, number, job) for number, job in enumerate(jobs)
            )
    finally:
        if started:
            ray.shutdown()


def _on_one_thread(work: Callable[[Any], Any], number: int, job: Any) -> tuple[int, Any]:
    import torch

    torch.set_num_threads(1)
    return _attempt(work, number, job)
