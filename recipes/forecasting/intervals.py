"""Coverage of the intervals of ``SSCLForecaster()`` on the series of the suite.

    python -m recipes.forecasting.intervals recipes/forecasting/suite.yaml

Fitted once on the first four fifths; forecasts from up to 80 origins of the last fifth, every
origin with the truth before it. Prints, by data set and horizon, the share of steps inside the
intervals and their mean width in deviations of the first four fifths.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from recipes.forecasting.suite import Suite, load_suite
from tscl.estimators.sktime.forecaster import SSCLForecaster
from tscl.reporting.document import markdown_table

ORIGINS = 80


def coverage(y: pd.DataFrame, horizon: int, intervals: str, level: float) -> tuple[float, float]:
    """Share inside and width of the intervals of nominal ``level``.

    Args:
        y: the series, (T, 1).
        horizon: steps ahead.
        intervals: ``adaptive``, ``conformal`` or ``quantile``.
        level: nominal coverage.
    """
    stop = int(0.8 * len(y))
    model = SSCLForecaster(horizon=horizon, intervals=intervals, random_state=0)
    model.fit(y.iloc[:stop], fh=range(1, horizon + 1))
    deviation = float(y.iloc[:stop].std().iloc[0])
    origins = np.unique(np.linspace(stop, len(y) - horizon, ORIGINS).astype(int))
    inside, widths = [], []
    for before, origin in zip([stop, *origins], origins, strict=False):
        if origin > before:
            model.update(y.iloc[before:origin], update_params=False)
        bounds = model.predict_interval(coverage=[level]).to_numpy()
        truth = y.iloc[origin : origin + horizon, 0].to_numpy()
        inside.append((truth >= bounds[:, 0]) & (truth <= bounds[:, 1]))
        widths.append(bounds[:, 1] - bounds[:, 0])
    return float(np.mean(inside)), float(np.mean(widths)) / deviation


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--intervals", nargs="+", default=["conformal", "adaptive"])
    parser.add_argument("--level", type=float, default=0.9)
    options = parser.parse_args()
    suite = Suite(load_suite(options.config))
    lines = []
    for name in suite.names:
        section = suite.section(name)
        frame = pd.read_csv(section["path"], index_col="date", parse_dates=True)
        y = frame.asfreq(pd.infer_freq(frame.index))
        for horizon in suite.config["datasets"][name]["horizons"]:
            line = {"data": f"{name}, {horizon} steps"}
            for intervals in options.intervals:
                share, width = coverage(y, horizon, intervals, options.level)
                line[intervals] = f"{share:.2f} ({width:.2f})"
            print(line, flush=True)
            lines.append(line)
    print(markdown_table(pd.DataFrame(lines)))


if __name__ == "__main__":
    main()
