"""What networks trained on ETTh1 use and keep: receptive field, retention of trend, scale, period.

python recipes/e2e/analyses.py --into docs/results_e2e.md --figures docs/figures   (minutes)

Networks of study_etth1_patched.yaml at one horizon and seed. Every variable is encoded alone, so
the encoder also takes the single controlled series of tscl.evaluation.probes.retention.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from collect import rewrite
from torch import nn

from recipes.e2e.figures import receptive_field_figure, retention_figure
from tscl.evaluation.probes.retention import (
    FACTORS,
    network_embeddings,
    retention,
    window_embeddings,
)
from tscl.forecasters import ForecastNetwork
from tscl.forecasters.receptive_field import receptive_field
from tscl.forecasters.strategies import StrategyRun
from tscl.reporting.document import markdown_table
from tscl.runs.study.config import load_study
from tscl.runs.study.study import Study, cells_of, settings_of

RECIPE = Path(__file__).parent / "study_etth1_patched.yaml"
DAY = 24
WEIGHTS = {"untrained": None, "MSE only": 0.0, "end to end, lambda 0.1": 0.1, "contrast alone": 1.0}


def networks(overrides: list[str], horizon: int) -> tuple[dict[str, nn.Module], StrategyRun]:
    """The networks by name, and the run of the last one (its windows are those of all)."""
    config = load_study(RECIPE, [f"horizons=[{horizon}]", "seeds=[0]", "weights=[0.1]", *overrides])
    study = Study(config)
    cell = next(c for c in cells_of(config) if c.strategy == "end_to_end")
    trained: dict[str, nn.Module] = {}
    for name, weight in WEIGHTS.items():
        values = study.data.inputs[:, study.data.n_covariates :]
        run = StrategyRun(values, study.data.split, horizon, settings_of(config, cell))
        network = run.network()
        if weight is not None:
            stage = "pretrain" if weight == 1.0 else "train"
            network = run.train(network, weight, stage=stage)
        trained[name] = network.eval()
    return trained, run


def single(network: nn.Module) -> ForecastNetwork:
    """The network for one variable: the weights do not depend on the number of variables."""
    assert isinstance(network, ForecastNetwork)
    assert network.channel_independent
    univariate = ForecastNetwork(**(network.config() | {"channels": 1, "targets": [0]}))
    univariate.load_state_dict(network.state_dict())
    return univariate.eval()


def fields(trained: dict[str, nn.Module], run: StrategyRun) -> dict[str, np.ndarray]:
    """Influence (H, L) on test windows, one every 45 hours."""
    length = run.settings.length
    part = run.split.test
    at = np.arange(part.start, part.stop - run.horizon, 45)[:, None] + np.arange(1 - length, 1)
    past = torch.from_numpy(np.ascontiguousarray(run.values[at]))
    chosen = ("MSE only", "end to end, lambda 0.1")
    return {name: receptive_field(trained[name], past).numpy() for name in chosen}


def shares(influence: dict[str, np.ndarray]) -> str:
    """Share of influence of the last day, the week, and the hours of the day forecast."""
    lines = []
    for name, field in influence.items():
        horizon, length = field.shape
        lag = np.arange(1, horizon + 1)[:, None] + np.arange(length)[::-1]  # forecast minus past
        same = np.where(lag % DAY == 0, field, 0.0).sum(axis=1).mean()
        lines.append(
            {
                "network": name,
                "last value": f"{field[:, -1].mean():.3f}",
                "last 24 h": f"{field[:, -DAY:].sum(axis=1).mean():.3f}",
                "last 168 h": f"{field[:, -7 * DAY :].sum(axis=1).mean():.3f}",
                "same hour of earlier days": f"{same:.3f}",
                "the same, if all hours counted alike": f"{(lag % DAY == 0).mean():.3f}",
            }
        )
    return markdown_table(pd.DataFrame(lines), names=1)


def table(frame: pd.DataFrame) -> str:
    """R2 of each factor by encoder, mean and deviation over draws."""
    lines = []
    for encoder, group in frame.groupby("encoder", sort=False):
        row = {"encoder": encoder}
        for factor in FACTORS:
            values = group.loc[group["factor"] == factor, "r2"]
            row[factor] = f"{values.mean():.2f} ± {values.std():.2f}"
        lines.append(row)
    return markdown_table(pd.DataFrame(lines), names=1)


def main() -> None:
    """Train, analyse, and replace the blocks of the page, or print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--horizon", type=int, default=24)
    parser.add_argument("--set", "-s", action="append", default=[], help="as in tscl study")
    parser.add_argument("--series", type=int, default=400, help="controlled series a draw")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    trained, run = networks(options.set, options.horizon)
    influence = fields(trained, run)
    encoders = {name: network_embeddings(single(net), "mean") for name, net in trained.items()}
    kept = retention(
        encoders | {"raw window": window_embeddings}, n=options.series, length=run.settings.length
    )
    if options.figures:
        options.figures.mkdir(parents=True, exist_ok=True)
        for name, figure in (
            ("e2e_receptive_field", receptive_field_figure(influence, unit="hours")),
            ("e2e_retention", retention_figure(kept)),
        ):
            figure.savefig(options.figures / f"{name}.png", dpi=110, metadata={"Software": None})
    texts = {"receptive field": shares(influence), "retention": table(kept)}
    if options.into:
        rewrite(options.into, texts)
    else:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in texts.items()))


if __name__ == "__main__":
    main()
