"""Run independent jobs here, in processes, or on a Ray cluster; results come as they are ready."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Any, Generic, TypeVar

from tscl.errors import InputError, MissingExtraError, TSCLError

Job = TypeVar("Job")
Result = TypeVar("Result")
Work = Callable[[Any], Any]
"""Called with a job, gives its result; must survive pickling, as must jobs and results."""

_WORK: list[Work] = []


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


class Outcomes(Generic[Job, Result]):
    """Iterates over (job, result) in the order of completion; failures wait until the end."""

    def __init__(self, pairs: Iterator[tuple[Job, Result | BaseException]]) -> None:
        self._pairs = pairs

    def __iter__(self) -> Iterator[tuple[Job, Result]]:
        failures: list[tuple[object, BaseException]] = []
        for job, result in self._pairs:
            if isinstance(result, BaseException):
                failures.append((job, result))
            else:
                yield job, result
        if failures:
            raise JobsFailed(failures)


def run_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    ray: bool = False,
) -> Outcomes[Job, Result]:
    """Call ``work`` on every job; a job that raises does not stop the others.

    Args:
        work: pickled once a worker, so it may carry the data.
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
        return Outcomes(_on_ray(work, jobs, workers))
    if workers == 1 or len(jobs) < 2:
        return Outcomes(_here(work, jobs))
    return Outcomes(_in_processes(work, jobs, min(workers, len(jobs))))


def _here(work: Work, jobs: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for job in jobs:
        try:
            result = work(job)
        except Exception as error:
            result = error
        yield job, result


def _in_processes(work: Work, jobs: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_prepare, initargs=(work,)
    ) as pool:
        futures: dict[Future[Any], Any] = {pool.submit(_call, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                try:
                    result = future.result()
                except BrokenProcessPool:
                    result = ChildProcessError(
                        "a worker was killed (out of memory?); run again with fewer workers"
                    )
                except Exception as error:
                    result = error
                yield futures[future], result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(work: Work) -> None:
    """Set up a worker: one thread, the work, and an end with its parent's."""
    import torch

    torch.set_num_threads(1)
    _WORK[:] = [work]
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Wait for the parent's end, however it comes, and leave: nobody is left to take results."""
    connection.wait([sentinel])
    os._exit(1)


def _call(job: Any) -> Any:
    return _WORK[0](job)


def _on_ray(work: Work, jobs: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray") from None
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        shared = ray.put(work)
        remote = ray.remote(num_cpus=1, max_retries=1)(_apply)
        limit = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = list(jobs)
        running: dict[Any, Any] = {}
        while waiting or running:
            while waiting and len(running) < limit:
                job = waiting.pop(0)
                running[remote.remote(shared, job)] = job
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                job = running.pop(reference)
                try:
                    result = ray.get(reference)
                except Exception as error:
                    result = error
                yield job, result
    finally:
        if started:
            ray.shutdown()


def _apply(work: Work, job: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    return work(job)
