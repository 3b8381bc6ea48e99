"""Forecasts of many series by the library's rows and by plain ones, a cell a file.

    python -m recipes.forecasting.suite recipes/forecasting/suite.yaml
    python -m recipes.forecasting.suite recipes/forecasting/suite.yaml --page docs/results_suite.md

A stopped run goes on where it was. ``--page`` writes the tables into a page from finished cells.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from data_loaders.series.splits import ForecastSplit
from recipes.forecasting.neural import NEURAL, available, neural_row
from recipes.forecasting.tables import LIBRARY, PLAIN, write_tables
from tscl.disk import atomic_file
from tscl.estimators.sktime.forecaster import SSCLForecaster
from tscl.evaluation.forecasting.baselines import seasonal_naive
from tscl.evaluation.forecasting.scores import ErrorSums, HorizonResult, make_result, score
from tscl.evaluation.forecasting.statistical import statistical_baseline
from tscl.forecasters.choices import held_out, past_candidates, season_lengths
from tscl.forecasters.simple_networks import DLinear, NLinear
from tscl.forecasters.training import train_forecaster
from tscl.forecasters.window_data import WindowData, thinned
from tscl.forecasters.windows import window_forecasts
from tscl.runs.forecasting.config import UNTRAINED, DataSection, check_config
from tscl.runs.forecasting.data import ForecastingData, direct_rows, load_series, prepare
from tscl.runs.forecasting.run import ForecastingRun
from tscl.runs.workers import run_cells
from tscl.saving.cells import CellFiles
from tscl.seeding import seeded
from tscl.training.settings import TrainSettings

Rows = dict[int, tuple[HorizonResult, dict[str, Any]]]
"""By horizon: errors, and what was chosen."""
ENCODERS = {"AutoTCL": "autotcl", "TS2Vec": "ts2vec", "untrained encoder": UNTRAINED}
LINEAR = ("DLinear", "NLinear")
ROWS = (*PLAIN[::-1], *LIBRARY[::-1])
SEEDED = ("AutoTCL", "TS2Vec", "end to end")


@dataclass(frozen=True)
class Cell:
    """One row on one data set, from one seed, at all horizons."""

    dataset: str
    row: str
    seed: int

    @property
    def title(self) -> str:
        """The cell in one word."""
        return f"{self.dataset}-{self.row}-s{self.seed}".replace(" ", "_").replace(",", "")


def wheel_series(name: str) -> pd.Series:
    """A series that comes in a wheel: ``solar`` of sktime, ``co2`` of statsmodels (gaps filled)."""
    if name == "solar":
        from sktime.datasets import load_solar

        series: pd.Series = load_solar(api_version=None)
        return series.tz_localize(None)
    from statsmodels.datasets import co2

    return co2.load_pandas().data["co2"].interpolate()


def load_suite(path: Path) -> dict[str, Any]:
    """The configuration of a file over that of its ``base``, its run checked for every data set."""
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    if "base" in config:
        config = load_suite(path.parent / config.pop("base")) | config
    for entry in config["datasets"].values():
        evaluate = config["run"]["evaluate"] | {"horizons": entry["horizons"]}
        check_config({**config["run"], "data": entry.get("data", {}), "evaluate": evaluate})
    return config


class Suite:
    """All cells of a configuration, in its folder."""

    def __init__(self, config: dict[str, Any], rows: Sequence[str] = ROWS) -> None:
        self.config, self.folder = config, Path(config["out"])
        self.names = [name for name in config["datasets"] if self._available(name)]
        cells = [
            Cell(name, row, seed)
            for name in self.names
            for row in rows
            for seed in (config["seeds"] if row in SEEDED else config["seeds"][:1])
        ]
        cells.sort(key=lambda cell: cell.seed)  # the first seed everywhere before the second
        self.files = CellFiles(self.folder, cells, self.facts)

    def _available(self, name: str) -> bool:
        path = self.config["datasets"][name].get("data", {}).get("path")
        if path is not None and not Path(path).is_file():
            print(f"{name} is left out: no file {path}", flush=True)
            return False
        return True

    def facts(self, cell: Cell) -> dict[str, Any]:
        """What the figures of a cell depend on."""
        parts = {"data": self.config["datasets"][cell.dataset], "seed": cell.seed, "row": cell.row}
        parts |= {name: self.config[name] for name in ("steps", "split")}
        if cell.row in ENCODERS:
            parts["run"] = self.config["run"]
        if cell.row in NEURAL:
            parts["neural"] = self.config["neural"][cell.row]
        return parts | ({"linear": self.config["linear"]} if cell.row in LINEAR else {})

    def section(self, name: str) -> dict[str, Any]:
        """The data section; a series of a wheel is written into the folder first."""
        entry = self.config["datasets"][name]
        path = self.folder / "data" / f"{name}.csv"
        if not path.is_file():
            if "wheel" in entry:
                frame = wheel_series(entry["wheel"]).to_frame("value")
            else:
                loaded = load_series(DataSection(**entry["data"]))
                frame = pd.DataFrame(
                    loaded.target_values, loaded.timestamps, [f"column {t}" for t in loaded.targets]
                )
            with atomic_file(path) as work:
                frame.iloc[-self.config["steps"] :].to_csv(work, index_label="date")
        return {
            "dataset": "csv",
            "path": str(path),
            "split": self.config["split"],
            "covariates": False,
            "input_form": "relative",
        }

    def run_config(self, name: str, seed: int, row: str) -> Any:
        """The forecasting run of a data set."""
        values = {"name": name, "seed": seed, "data": self.section(name), **self.config["run"]}
        values["out"] = str(self.folder / "runs" / f"{name}-{row}-s{seed}".replace(" ", "_"))
        horizons = self.config["datasets"][name]["horizons"]
        values["evaluate"] = {**values["evaluate"], "horizons": horizons}
        steps = len(self.data(name).series)
        crop = min(values["train"]["max_train_length"], max(32, int(0.6 * steps) // 4))
        values["train"] = {**values["train"], "max_train_length": crop}
        return check_config(values)

    def data(self, name: str) -> ForecastingData:
        """The prepared series."""
        horizons = self.config["datasets"][name]["horizons"]
        return prepare(DataSection(**self.section(name)), horizons)

    def compute(self, cell: Cell) -> dict[str, Any]:
        """Errors at every horizon, what was chosen, and seconds of processor."""
        began = time.process_time()
        rows = self._encoder(cell) if cell.row in ENCODERS else self._plain(cell)
        seconds = round(time.process_time() - began, 1)
        return {
            "dataset": cell.dataset,
            "row": cell.row,
            "seed": cell.seed,
            "seconds": seconds,
            "horizons": {
                str(h): {**result.as_dict(), "chosen": facts} for h, (result, facts) in rows.items()
            },
        }

    def _encoder(self, cell: Cell) -> Rows:
        config = self.run_config(cell.dataset, cell.seed, cell.row)
        run = ForecastingRun(config)
        name = ENCODERS[cell.row]
        run.evaluate([run.train(name, resume=True)])
        return {h: (row.result, row.facts) for h, row in run.heads[name].items()}

    def _plain(self, cell: Cell) -> Rows:
        data = self.data(cell.dataset)
        horizons = self.config["datasets"][cell.dataset]["horizons"]
        index = pd.DatetimeIndex(data.series.timestamps, freq=data.series.freq)
        seasons = season_lengths(index, data.targets[data.split.train])
        heads = {"gradient boosting on lags": "trees", "ridge on lags": "ridge"}
        heads["no encoder, same head"] = "auto"
        if cell.row in heads:
            rows = direct_rows(data, horizons, heads[cell.row])
            return {row.result.horizon: (row.result, row.facts) for row in rows}
        if cell.row == "seasonal naive":
            each = {
                season: seasonal_naive(data.targets, data.split, horizons, season=season)
                for season in seasons or (1,)
            }
            best = [
                min(((r[i], s) for s, r in each.items()), key=lambda pair: pair[0].valid_mse)
                for i in range(len(horizons))
            ]
            return {result.horizon: (result, {"season": season}) for result, season in best}
        if cell.row in ("AutoETS", "AutoTheta"):
            return _statistical(cell.row, data, horizons, seasons[0] if seasons else 1)
        if cell.row in NEURAL:
            return {
                h: neural_row(
                    cell.row,
                    data.targets,
                    index,
                    data.split,
                    h,
                    past_candidates(seasons, data.split.test.start, h)[-2:],
                    self.config["neural"][cell.row],
                    cell.seed,
                )
                for h in horizons
            }
        fit = self._end_to_end if cell.row == "end to end" else self._linear
        return {h: fit(cell, data, index, seasons, h) for h in horizons}

    def _end_to_end(
        self,
        cell: Cell,
        data: ForecastingData,
        index: pd.DatetimeIndex,
        seasons: tuple[int, ...],
        horizon: int,
    ) -> tuple[HorizonResult, dict[str, Any]]:
        """The sktime forecaster as it comes, fitted on everything before the test part."""
        y = pd.DataFrame(data.targets.astype(np.float64), index=index)
        model = SSCLForecaster(horizon=horizon, random_state=cell.seed)
        model.fit(y.iloc[: data.split.test.start])
        (scaler,) = model.scalers_.values()
        windows = model._data(scaler.apply(y), model.marks_.make(index, None))

        def predict(start: int, stop: int) -> NDArray[np.float64]:
            origins = np.arange(start, stop)
            forecasts = model.head_.forecast(model.network_, windows, origins)
            return np.asarray(scaler.undo(forecasts), np.float64)

        test = score(predict, data.targets, data.split.test, horizon)
        result = make_result(horizon, test, test, data.split, None)
        chosen = model.settings_
        valid = chosen["errors"][chosen["head"]] * float(np.mean(np.square(scaler.scale)))
        keep = ("context_length", "head", "errors", "instance_norm")
        facts = {k: chosen[k] for k in keep}
        return replace(result, valid_mse=float(valid), valid_mae=float("nan")), facts

    def _linear(
        self,
        cell: Cell,
        data: ForecastingData,
        index: pd.DatetimeIndex,
        seasons: tuple[int, ...],
        horizon: int,
    ) -> tuple[HorizonResult, dict[str, Any]]:
        """The past and the rate with the least error on the held-out windows."""
        stop, linear = data.split.test.start, self.config["linear"]
        values = data.targets[:stop]
        settings = TrainSettings(
            max_epochs=linear["max_epochs"],
            max_steps=linear["max_steps"],
            patience=linear["patience"],
            weight_decay=0.0,
            averaging="none",
            seed=cell.seed,
            accelerator="cpu",
        )
        best: tuple[float, int, float, nn.Module] | None = None
        for length in past_candidates(seasons, stop, horizon)[-2:]:
            windows = WindowData(values, None, length, horizon)
            train, held = held_out([stop], length, horizon, 0.2)
            some = thinned(held, 1500)
            for lr in linear["lrs"]:
                with seeded(cell.seed, "weights"):
                    network: nn.Module = (DLinear if cell.row == "DLinear" else NLinear)(
                        values.shape[1], horizon, length
                    )
                network = train_forecaster(
                    network,
                    windows,
                    train,
                    thinned(held, 500),
                    linear["batch_size"],
                    settings.replace(lr=lr),
                )
                error = 0.0
                if len(held):
                    forecasts = window_forecasts(network, values, some, length)
                    error = float(np.square(forecasts - windows.future(some)).mean())
                if best is None or error < best[0]:
                    best = (error, length, lr, network)
        assert best is not None
        error, length, lr, network = best

        def predict(start: int, stop: int) -> NDArray[np.float64]:
            origins = np.arange(start, stop)
            return window_forecasts(network, data.targets, origins, length).astype(np.float64)

        sums: ErrorSums = score(predict, data.targets, data.split.test, horizon)
        result = make_result(horizon, sums, sums, data.split, None)
        return replace(result, valid_mse=error, valid_mae=float("nan")), {"past": length, "lr": lr}


def _statistical(row: str, data: ForecastingData, horizons: list[int], season: int) -> Rows:
    """The form that is better on the validation part: left to itself, or with its season kept."""
    own = {"AutoETS": {"model": "ZZA"}, "AutoTheta": {"decomposition_type": "additive"}}
    name, split = row.replace("Auto", "auto_").lower(), data.split
    cut = int(0.8 * split.train.stop)
    earlier = ForecastSplit(slice(0, cut), slice(cut, split.train.stop), split.valid)
    fitted = []
    # AutoETS has no season above 24 steps
    for params in ({}, own[row]) if row == "AutoTheta" or season <= 24 else ({},):
        results, before = (
            statistical_baseline(name, data.targets, part, horizons, season=season, params=params)
            for part in (split, earlier)
        )
        fitted.append((results, [r.mse for r in before], params))
    rows = {}
    for i, horizon in enumerate(horizons):
        results, errors, params = min(fitted, key=lambda item: item[1][i])
        result = replace(results[i], valid_mse=errors[i])
        rows[horizon] = (result, {"season": season, "params": params})
    return rows


def main() -> None:
    """Run what is missing, or write the tables into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--rows", nargs="*", help="only these")
    parser.add_argument("--steps", type=int, help="in the place of the configuration's")
    parser.add_argument("--out", help="in the place of the configuration's")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--datasets", nargs="*", help="only these")
    parser.add_argument("--page", type=Path, help="write the tables of finished cells into it")
    options = parser.parse_args()
    config = load_suite(options.config)
    if options.datasets:
        config["datasets"] = {name: config["datasets"][name] for name in options.datasets}
    config |= {key: v for key in ("steps", "out") if (v := getattr(options, key)) is not None}
    rows = options.rows or ROWS
    if options.page is None and not available():
        print(f"left out without neuralforecast: {', '.join(NEURAL)}", flush=True)
        rows = [row for row in rows if row not in NEURAL]
    suite = Suite(config, rows)
    if options.page is not None:
        write_tables(suite.files.finished(), options.page, config.get("part"))
        return
    run_cells(
        suite.files,
        suite.compute,
        suite.files.write,
        workers=options.workers,
        report=lambda title, done, total: print(f"{done}/{total} {title}", flush=True),
    )


if __name__ == "__main__":
    main()
