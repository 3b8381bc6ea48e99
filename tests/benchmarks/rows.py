"""What a benchmark hands back: rows of one table, each a reference and this library in one run.

Every ``bench_*.py`` has ``main(argv=None) -> list[Row]``: it times the reference and this library
in the same run, prints what it likes, and returns its rows. Time is processor time of one thread
(:func:`seconds`), which other work on the machine hardly changes. With ``argv=[]`` it runs
at the sizes of the benchmarks page. ``run_all.py`` calls every one and writes the page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TypedDict


class Row(TypedDict):
    """One line of the table.

    ``what`` is timed, with its sizes; ``against`` names the reference; ``reference`` and ``here``
    are in ``unit`` (``s`` or ``GiB``); ``ratio`` is reference / here, so above one this library is
    the faster or the smaller one.
    """

    what: str
    against: str
    unit: str
    reference: float
    here: float
    ratio: float


def row(what: str, *, against: str, reference: float, here: float, unit: str = "s") -> Row:
    """A row with its ratio."""
    return {
        "what": what,
        "against": against,
        "unit": unit,
        "reference": reference,
        "here": here,
        "ratio": reference / here,
    }


def seconds(run: Callable[[], object]) -> float:
    """Processor seconds of this process for one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def show(rows: Sequence[Row]) -> list[Row]:
    """Print the rows and return them."""
    for one in rows:
        sys.stdout.write(
            f"{one['what']}: {one['here']:.4g} {one['unit']} against {one['reference']:.4g} "
            f"({one['against']}), ratio {one['ratio']:.3g}\n"
        )
    sys.stdout.flush()
    return list(rows)
