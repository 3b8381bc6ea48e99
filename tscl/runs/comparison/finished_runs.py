"""Finished runs read from their folders, and what differs between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from tscl.errors import CheckpointError, ConfigError
from tscl.runs.folder import RunFolder
from tscl.runs.forecasting.plot_data import PlotData
from tscl.saving.cells import read_cell
from tscl.saving.tensors import read_json

Kind = Literal["forecasting", "clinical", "study"]
History = list[dict[str, float]]
UNINTERESTING = ("name", "out")


@dataclass(frozen=True)
class ComparedRun:
    """One run as it stands in its folder; nothing is computed again.

    Attributes:
        label: short name, unlike that of every other run of the comparison.
        path: the folder. kind: of the job.
        config: the configuration, dotted key to value; empty when the folder holds none.
        started: when and with which versions it was run.
        table: tidy results, empty before evaluation: forecasting rows have ``method``,
            ``horizon``, ``mse``, ``mae``; clinical ones are those of ``table.csv``; a study's
            those of its cells.
        series: what was forecast, or the data set.
        histories, probes: training and validation curves by method (and fold).
        plots: kept embeddings and masks of a forecasting run, if any.
    """

    label: str
    path: Path
    kind: Kind
    config: dict[str, Any]
    started: dict[str, Any]
    table: pd.DataFrame
    series: str
    histories: dict[str, History] = field(default_factory=dict)
    probes: dict[str, History] = field(default_factory=dict)
    plots: PlotData | None = None

    @property
    def method(self) -> str:
        """Name of the configured method; empty for a study."""
        return str(self.config.get("method.name", ""))


def open_runs(paths: Sequence[Path]) -> list[ComparedRun]:
    """Read run folders and study folders, in the order given.

    Raises:
        ConfigError: no folder, a folder that holds no run, or one given twice.
        CheckpointError: damaged files.
    """
    if not paths:
        raise ConfigError("RUN", "none", "give at least one run folder")
    places = [path.resolve() for path in paths]
    for place, path in zip(places, paths, strict=True):
        if places.count(place) > 1:
            raise ConfigError("RUN", path, "give each run once")
    return [_open(path, label) for path, label in zip(places, short_names(places), strict=True)]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    for depth in range(1, max((len(p.parts) for p in paths), default=1) + 1):
        names = ["/".join(p.parts[-depth:]) for p in paths]
        if len(set(names)) == len(names):
            break
    return names


def _open(path: Path, label: str) -> ComparedRun:
    if (path / "config.yaml").is_file():
        folder = RunFolder(path)
        config = folder.config()
        values = config.model_dump(mode="json")
        kind: Kind = "clinical" if config.job == "clinical" else "forecasting"
        table, series = (_clinical if kind == "clinical" else _forecasting)(folder)
    elif (path / "cells").is_dir() or (path / "study.yaml").is_file():
        kind = "study"
        saved = path / "study.yaml"
        values = yaml.safe_load(saved.read_text(encoding="utf-8")) if saved.is_file() else {}
        section = values.get("data", {})
        series = str(section.get("dataset") or section.get("source", "unknown"))
        table = _study(path)
        return ComparedRun(label, path, kind, flat(values), {}, table, series)
    else:
        raise ConfigError(
            "RUN", path, "holds neither config.yaml of a run nor the cells of a study"
        )
    started = read_json(path / "run.json") if (path / "run.json").is_file() else {}
    tables = {
        kind_: {
            file.stem.removeprefix(f"{kind_}-"): rows
            for file in sorted(path.glob(f"{kind_}-*.csv"))
            if (rows := folder.history(file.stem.removeprefix(f"{kind_}-"), kind=kind_))
        }
        for kind_ in ("history", "probe")
    }
    return ComparedRun(
        label=label,
        path=path,
        kind=kind,
        config=flat(values),
        started=started,
        table=table,
        series=series,
        histories=tables["history"],
        probes=tables["probe"],
        plots=PlotData.load(path),
    )


def _forecasting(folder: RunFolder) -> tuple[pd.DataFrame, str]:
    if not (folder.path / "metrics.json").is_file():
        return pd.DataFrame(), "not evaluated"
    metrics = folder.metrics()
    try:
        rows = [
            {"method": method, **result}
            for method, results in metrics["results"].items()
            for result in results
        ]
        series, targets = str(metrics["series"]), ", ".join(metrics["targets"])
        return pd.DataFrame(rows), series if series == targets else f"{series} ({targets})"
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "metrics.json", folder.path, f"lacks {error}; evaluate the run again"
        ) from None


def _clinical(folder: RunFolder) -> tuple[pd.DataFrame, str]:
    path = folder.path / "table.csv"
    if not path.is_file():
        return pd.DataFrame(), "not evaluated"
    table = pd.read_csv(path)
    return table, ", ".join(dict.fromkeys(table["data"].astype(str)))


def _study(path: Path) -> pd.DataFrame:
    if (path / "study.parquet").is_file():
        return pd.read_parquet(path / "study.parquet")
    files = [read_cell(cell) for cell in sorted((path / "cells").glob("*.json"))]
    return pd.DataFrame([row for file in files for row in file.get("rows", [file])])


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys; an empty one stays a value."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def differences(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """One row a configuration key whose value differs, one column a run."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = []
    for key in keys:
        shown = [_text(run.config[key]) if key in run.config else "-" for run in runs]
        if key not in UNINTERESTING and len(set(shown)) > 1:
            rows.append(
                {"key": key, **{r.label: text for r, text in zip(runs, shown, strict=True)}}
            )
    return pd.DataFrame(rows)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def but_for_the_seed(runs: Iterable[ComparedRun]) -> list[list[ComparedRun]]:
    """Groups of two or more runs whose configurations differ in the seed only."""
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        rest = {k: v for k, v in run.config.items() if k not in (*UNINTERESTING, "seed")}
        groups.setdefault(json.dumps(rest, sort_keys=True), []).append(run)
    return [group for group in groups.values() if len(group) > 1]
