"""How far apart two orders of summation in float32 may be, from the number of terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

UNIT = 2.0**-24  # largest relative rounding error of one operation in float32


def rounding(terms: Sequence[int], size: ArrayLike) -> float:
    """Largest error that sums in float32 of ``terms`` numbers, one after the other, leave.

    Every addition rounds by a relative error of up to ``UNIT``, independent and as often up as
    down. A sum of n terms then has an error of ``UNIT * sqrt(n / 2)`` of its own size in the
    worst order, one accumulator; any other order has less. Of a million such errors the largest
    is below seven deviations but once in a million.

    Args:
        terms: terms of the sums of each stage; a stage passes on the errors of the one before.
        size: values of the result; their root mean square is the size of the sums.
    """
    share = sum((n / 2) ** 0.5 for n in terms)
    values = np.asarray(size, np.float64)
    return 7.0 * UNIT * share * float(np.sqrt(np.mean(np.square(values))))
