"""All penalties from one decomposition against one sklearn fit per penalty, as a ratio.

python -m tests.benchmarks.bench_ridge
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import Ridge

from tests.benchmarks.rows import Row, row, show
from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS, RidgePath

ROWS, NEW_ROWS, WIDTH, OUTPUTS = 7720, 2160, 320, 720


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Time both at the sizes of ETTh1, horizon 720, univariate, and compare predictions."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, WIDTH))
    y = x[:, :8] @ rng.normal(size=(8, OUTPUTS)) + rng.normal(size=(ROWS, OUTPUTS))
    new = rng.normal(size=(NEW_ROWS, WIDTH))
    start = time.process_time()
    reference = [Ridge(alpha=a).fit(x, y).predict(new) for a in TS2VEC_ALPHAS]
    middle = time.process_time()
    path = [p for _, p in RidgePath(TS2VEC_ALPHAS).fit(x, y).predict_path(new)]
    end = time.process_time()
    worst = max(float(np.abs(a - b).max()) for a, b in zip(reference, path, strict=True))
    sys.stdout.write(f"largest difference of a forecast {worst:.1e}\n")
    what = f"forecasts by {len(TS2VEC_ALPHAS)} ridge penalties, {ROWS} rows to {OUTPUTS} outputs"
    against = "one fit of scikit-learn a penalty"
    return show([row(what, against=against, reference=middle - start, here=end - middle)])


if __name__ == "__main__":
    main()
