"""N-HITS and PatchTST of neuralforecast as rows of the suite."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import ParameterGrid

from data_loaders.series.splits import ForecastSplit
from tscl.evaluation.forecasting.scores import HorizonResult, make_result, score

NEURAL = {"N-HITS": "NHITS", "PatchTST": "PatchTST"}
QUIET = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "devices": 1,
}
"""Arguments of its trainer."""


def available() -> bool:
    """Whether neuralforecast is installed (``pip install neuralforecast``); it brings its own
    trainer and Ray, so it is no dependency of the library."""
    return importlib.util.find_spec("neuralforecast") is not None


def neural_row(
    name: str,
    values: NDArray[np.floating],
    index: pd.DatetimeIndex,
    split: ForecastSplit,
    horizon: int,
    pasts: Sequence[int],
    settings: dict[str, Any],
    seed: int,
) -> tuple[HorizonResult, dict[str, Any]]:
    """A network of neuralforecast, its past and other arguments chosen on the validation part.

    Every choice is trained on the steps before the validation part and stopped by it; the one with
    the least error there forecasts every row of the test part without being fitted again, as all
    networks of the suite.

    Args:
        name: ``N-HITS`` or ``PatchTST``.
        values: (T, C) scaled targets; several are series of one network, told apart by nothing.
        index: (T,) times.
        split: the suite's parts.
        horizon: steps ahead.
        pasts: lengths of the past to choose from.
        settings: ``choices``, lists of further arguments to choose from, and the arguments of
            neuralforecast's class that are the same for all.
        seed: of weights and batches.

    Returns:
        Errors on the test part, and what was chosen.
    """
    from neuralforecast import NeuralForecast, models
    from neuralforecast.losses.pytorch import MSE

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    fixed = dict(settings)
    choices = {"input_size": list(pasts), **fixed.pop("choices", {})}
    frame = pd.concat(
        pd.DataFrame({"unique_id": f"{i:03}", "ds": index, "y": column})
        for i, column in enumerate(values.T)
    )
    test_size = len(values) - 1 - split.test.start
    best: tuple[float, dict[str, Any], pd.DataFrame] | None = None
    for chosen in ParameterGrid(choices):
        network = getattr(models, NEURAL[name])(
            h=horizon, loss=MSE(), random_seed=seed, **QUIET, **fixed, **chosen
        )
        runner = NeuralForecast([network], freq=index.freq or pd.infer_freq(index))
        forecasts = runner.cross_validation(
            frame,
            val_size=split.valid.stop - split.valid.start,
            test_size=test_size,
            n_windows=None,
            step_size=1,
            refit=False,
        )
        error = min(loss for _, loss in runner.models[0].valid_trajectories)
        if best is None or error < best[0]:
            best = float(error), chosen, forecasts
    assert best is not None
    error, chosen, forecasts = best
    forecasts = forecasts.sort_values(["unique_id", "cutoff", "ds"])
    table = forecasts[NEURAL[name]].to_numpy(np.float64).reshape(values.shape[1], -1, horizon)
    table = table.transpose(1, 2, 0)

    def predict(start: int, stop: int) -> NDArray[np.float64]:
        first = split.test.start
        return np.asarray(table[start - first : stop - first])

    sums = score(predict, values, split.test, horizon)
    result = make_result(horizon, sums, sums, split, None)
    return replace(result, valid_mse=error, valid_mae=float("nan")), chosen
