"""What a benchmark hands back: rows of one table, each a reference and this library in one run.

Every ``bench_*.py`` has ``main(argv=None) -> list[Row]``: it times the reference and this library
in the same process or minute, prints what it likes, and returns its rows. With ``argv=[]`` it runs
at the sizes of the benchmarks page. ``run_all.py`` calls every one and writes the page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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


def show(rows: Sequence[Row]) -> list[Row]:
    """Print the rows and return them."""
    for one in rows:
        sys.stdout.write(
            f"{one['what']}: {one['here']:.4g} {one['unit']} against {one['reference']:.4g} "
            f"({one['against']}), ratio {one['ratio']:.3g}\n"
        )
    sys.stdout.flush()
    return list(rows)
