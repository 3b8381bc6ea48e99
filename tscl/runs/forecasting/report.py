"""Table, figures and report of a forecasting run."""

from __future__ import annotations

import math
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.evaluation.forecasting.scores import COVERAGE
from tscl.methods.base import method_title
from tscl.reporting.document import Document
from tscl.runs.folder import RunFolder
from tscl.runs.forecasting.config import UNTRAINED
from tscl.runs.forecasting.figures import (
    COLOURS,
    comparison_figure,
    embedding_figure,
    forecast_figure,
    history_figure,
    mask_figure,
)
from tscl.runs.forecasting.plot_data import PlotData
from tscl.runs.forecasting.run import NO_ENCODER, TREES, ForecastingRun, Table, Trained


def label(name: str) -> str:
    """Name of a row as the table shows it."""
    return "untrained encoder" if name == UNTRAINED else method_title(name)


def table_frame(table: Table, metric: str = "mse") -> pd.DataFrame:
    """One row a method: the metric at every horizon and the mean over horizons."""
    rows: list[dict[str, Any]] = []
    for name, results in table.items():
        values = {f"{r.horizon}": float(getattr(r, metric)) for r in results}
        rows.append(
            {"method": label(name), **values, "mean": float(np.mean(list(values.values())))}
        )
    return pd.DataFrame(rows)


def shown(frame: pd.DataFrame, digits: int = 4) -> pd.DataFrame:
    """Numbers as text, the best of each column marked with a star.

    At least ``digits`` decimals, more where the smallest number would lose its third digit.
    """
    smallest = float(np.nanmin(frame.iloc[:, 1:].to_numpy(dtype=float)))
    if smallest > 0:
        digits = max(digits, 2 - math.floor(math.log10(smallest)))
    out = frame.copy().astype(object)
    for column in frame.columns[1:]:
        best = frame[column].min()
        out[column] = [
            f"{v:.{digits}f}" + ("*" if v == best else "") for v in frame[column].to_numpy()
        ]
    return out


def metrics_json(run: ForecastingRun, table: Table) -> dict[str, Any]:
    """What ``metrics.json`` holds."""
    return {
        "series": run.data.series.name,
        "seed": run.config.seed,
        "targets": list(run.data.series.targets),
        "encoding": {
            name: {"route": encoding.route, "window": encoding.window}
            for name, encoding in run.encoded.items()
        },
        "results": {name: [r.as_dict() for r in results] for name, results in table.items()},
        "costs": run.costs,
        "heads": {
            name: {str(h): row.facts for h, row in rows.items()} for name, rows in run.heads.items()
        },
        "mean": {
            name: {
                "mse": float(np.mean([r.mse for r in results])),
                "mae": float(np.mean([r.mae for r in results])),
            }
            for name, results in table.items()
        },
    }


def _sentence(main: str, table: Table) -> str:
    """The main row's test MSE, mean over horizons, against the best of the others."""
    means = {name: float(np.mean([r.mse for r in results])) for name, results in table.items()}
    horizons = ", ".join(str(r.horizon) for r in table[main])
    text = (
        f"{label(main)} has a test MSE of {means[main]:.4g}, mean over {horizons} steps ahead, in "
        "squared deviations of the training part"
    )
    others = {name: value for name, value in means.items() if name != main}
    if not others:
        return f"{text}."
    best = min(others, key=lambda name: others[name])
    word = "below" if means[main] < others[best] else "not below"
    return f"{text}: {word} the best other row, {label(best)} ({others[best]:.4g})."


def head_frame(run: ForecastingRun) -> pd.DataFrame:
    """What was chosen for every method and horizon."""
    rows = []
    for name, by_horizon in run.heads.items():
        for horizon, row in by_horizon.items():
            ridge = row.facts.get("ridge", {})
            trees = [k for k in ("boosting", "trees") if k in row.facts]
            sees = "embedding" * any(
                [ridge.get("embedding"), *(row.facts[k]["embedding"] for k in trees)]
            )
            rows.append(
                {
                    "method": label(name),
                    "horizon": horizon,
                    "past": row.facts["past"],
                    "head": row.facts["head"],
                    "ridge relative to": ridge.get("level", ""),
                    "beside lags and calendar": sees,
                    "held-out MSE": f"{row.result.valid_mse:.4g}",
                }
            )
    return pd.DataFrame(rows)


def coverage_frame(table: Table) -> pd.DataFrame:
    """One row a method: coverage and width at every horizon."""
    rows = [
        {"method": label(name)}
        | {
            str(r.horizon): "" if r.coverage is None else f"{r.coverage:.2f} (width {r.width:.3g})"
            for r in results
        }
        for name, results in table.items()
    ]
    return pd.DataFrame(rows)


def cost_frame(run: ForecastingRun) -> pd.DataFrame:
    """One row a method: seconds to train and to score all horizons, parameters of its encoder."""
    frame = pd.DataFrame({label(name): cost for name, cost in run.costs.items()}).T
    digits = {"seconds to train": 1, "seconds to score": 1, "parameters": 0}
    for name in frame.columns:
        frame[name] = ["" if pd.isna(v) else f"{v:,.{digits[name]}f}" for v in frame[name]]
    frame = frame[[name for name in digits if name in frame.columns]]
    return frame.rename_axis("method").reset_index()


def write_report(run: ForecastingRun, trained: list[Trained], table: Table) -> Path:
    """Write metrics, figures and the report; returns the path of the Markdown file.

    Args:
        run: with data, folder and embeddings.
        trained: methods that were trained in it.
        table: results of all rows.
    """
    config, data = run.config, run.data
    folder: RunFolder = run.folder
    folder.write_metrics(metrics_json(run, table))
    document = Document(folder.path, f"{config.name}: {config.method.name} on {data.series.name}")
    document.paragraph(f"{_sentence(config.method.name, table)} {folder.cost()}")
    known = "" if data.known is None else f", known ahead {', '.join(data.known.columns)}"
    bounds = {k: (p.start, p.stop) for k, p in data.split.parts()}
    by_horizon = {label(n): {r.horizon: r.mse for r in rs} for n, rs in table.items()}
    colours = dict(zip(by_horizon, cycle(COLOURS), strict=False))
    figure = comparison_figure(by_horizon, colours=colours, metric="test MSE")
    tested = ", ".join(f"{r.n_test} at {r.horizon}" for r in table[config.method.name])
    document.figure(
        "comparison",
        figure,
        f"Test MSE by horizon in steps, scaled units. Windows tested by horizon: {tested}.",
    )
    _forecast_part(run, table, colours, document)
    document.paragraph(
        f"{len(data.series)} steps ({data.series.freq or 'no regular step'}), targets "
        f"{', '.join(data.series.targets)}{known}; training steps {bounds['train'][0]} to "
        f"{bounds['train'][1]}, validation to {bounds['valid'][1]}, test to {bounds['test'][1]}. "
        f"Seed {config.seed}. Penalties and epochs were chosen on validation only."
    )
    ways: dict[str, list[str]] = {}
    for name, embeddings in run.encoded.items():
        how = {
            "sliding": f"windows of {embeddings.window} past steps, last position only",
            "chunked": "one causal pass in chunks",
            "full": "one causal pass",
        }[embeddings.route]
        ways.setdefault(how, []).append(label(name))
    for how, names in ways.items():
        document.paragraph(f"Encoded by {how}: {', '.join(names)}.")
    _table_part(run, table, document)
    _mask_part(run, trained, document)
    kept = plot_data(run, trained)
    kept.save(folder.path)
    names = [n for n in (config.method.name, UNTRAINED) if n in kept.facts["embeddings"]]
    if names:
        panels = {label(n): {**kept.embedding(n), **kept.facts["embeddings"][n]} for n in names}
        document.heading("Embeddings")
        document.figure(
            "embedding",
            embedding_figure(panels, unit=data.series.targets[-1]),
            "First two principal components of the standardised embeddings of the test part",
        )
    histories = {label(t.name): t.history for t in trained if t.history}
    if histories:
        document.heading("Training")
        document.figure("history", history_figure(histories), "Loss terms by training step")
    document.heading("Configuration")
    document.code(config.to_yaml(), summary="config.yaml")
    markdown, _ = document.write()
    return markdown


def _table_part(run: ForecastingRun, table: Table, document: Document) -> None:
    if run.heads:
        document.heading("Heads, chosen on windows held out before the test part")
        document.table(head_frame(run))
    for metric, heading in (("mse", "MSE"), ("mae", "MAE")):
        document.heading(f"{heading} on the test part, scaled units (* best)")
        document.table(shown(table_frame(table, metric)))
    if any(r.mase is not None for rs in table.values() for r in rs):
        document.heading("MASE: absolute error over the mean change by a season in training")
        document.table(shown(table_frame(table, "mase")))
    document.heading(f"Share of the test part inside {COVERAGE:.0%} intervals, and their width")
    document.table(coverage_frame(table))
    document.paragraph(
        "Symmetric intervals that begin with the errors of the validation part and follow those "
        "of the test part as they become known; about 300 windows; widths in scaled units."
    )
    document.heading("Cost: processor seconds and parameters of the encoder")
    document.table(cost_frame(run))


def plot_data(run: ForecastingRun, trained: list[Trained]) -> PlotData:
    """Embeddings of the test part with hour and value, and AutoTCL's mask, for later comparison."""
    kept, data = PlotData(), run.data
    test = data.split.test
    stamps = data.series.timestamps[test]
    marks: dict[str, NDArray[Any]] = {
        "time": stamps.to_numpy().astype("datetime64[ns]").astype(np.int64),
        "hour": np.asarray(stamps.hour, dtype=np.int64),
        "value": np.asarray(data.series.target_values[test, -1], dtype=np.float32),
    }
    unit = data.series.targets[-1]
    for item in trained:
        embeddings = np.nan_to_num(run.embeddings(item.name).embeddings[-1][test])
        kept.add_embedding(item.name, embeddings, marks, kind="steps", unit=unit)
        start, stop = _mask_span(run)
        openness = run.learned_mask(item, start, stop)
        if openness is not None:
            part = data.series.values[start:stop, -1]
            times = data.series.timestamps[start:stop].to_numpy()
            kept.add_mask(item.name, times, part, openness, data.series.columns[-1])
    return kept


def _mask_span(run: ForecastingRun) -> tuple[int, int]:
    """Steps the mask is shown over: the end of the test part."""
    stop = run.data.split.test.stop
    return max(0, stop - min(336, run.config.train.max_train_length)), stop


def _best_baseline(run: ForecastingRun, table: Table) -> list[str]:
    """The row without a trained encoder with the least mean error on the test part, if any."""
    rows = [name for name in table if name in (*run.baselines, NO_ENCODER, TREES)]
    return sorted(rows, key=lambda name: float(np.mean([r.mse for r in table[name]])))[:1]


def _forecast_part(
    run: ForecastingRun, table: Table, colours: dict[str, str], document: Document
) -> None:
    data, horizon = run.data, min(168, max(run.config.evaluate.horizons))
    if horizon not in run.config.evaluate.horizons:
        horizon = run.config.evaluate.horizons[-1]
    names = [n for n in run.names() if n in run.encoded]
    if not names:
        return
    names += _best_baseline(run, table)
    origin, inverse = data.split.test.stop - horizon - 1, data.target_scaler.inverse
    forecasts = {
        label(name): inverse(run.forecasts(name, horizon, np.array([origin]))[0])[:, -1]
        for name in names
    }
    truth = inverse(data.targets[origin + 1 : origin + 1 + horizon])[:, -1]
    start = max(0, origin - 2 * horizon)
    values = data.series.target_values[:, -1]
    document.figure(
        "forecast",
        forecast_figure(
            data.series.timestamps[start : origin + 1 + horizon].to_numpy(),
            values[start : origin + 1],
            truth,
            forecasts,
            colours=colours,
            unit=data.series.targets[-1],
            title=f"{horizon} steps ahead from the end of the test part",
        ),
        f"The last {horizon} steps of the test part, original units; "
        "with the baseline of the least test MSE",
    )


def _mask_part(run: ForecastingRun, trained: list[Trained], document: Document) -> None:
    data = run.data
    start, stop = _mask_span(run)
    for item in trained:
        openness = run.learned_mask(item, start, stop)
        if openness is None:
            continue
        values = data.series.values[start:stop, -1]
        document.heading("What the learned augmentation keeps")
        document.figure(
            "mask",
            mask_figure(
                data.series.timestamps[start:stop].to_numpy(),
                values,
                openness,
                unit=data.series.columns[-1],
            ),
            "Probability that h(x) keeps each step of the last channel (end of the test part)",
        )
