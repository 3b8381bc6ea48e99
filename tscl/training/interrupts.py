"""Ctrl-C and SIGTERM between steps: finish the step, save, then stop."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)
KINDS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupt_between_steps() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in the yielded list; the second of a kind raises at once."""
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number in asked:
            raise KeyboardInterrupt
        asked.append(number)

    with _handled(stop):
        yield asked


@contextmanager
def forwarded(processes: Sequence[int]) -> Iterator[None]:
    """Pass both signals on to ``processes`` as SIGTERM, and wait for them."""

    def forward(number: int, frame: FrameType | None) -> None:
        for process in processes:
            try:
                os.kill(process, signal.SIGTERM)
            except ProcessLookupError:
                continue

    with _handled(forward):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle both signals inside the block; outside the main thread they stay as they are."""
    previous: dict[int, Any] = {}
    try:
        for kind in KINDS:
            previous[kind] = signal.signal(kind, handler)
    except ValueError:
        logger.debug("signals stay as they are outside the main thread")
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
