"""The validation trials behind study_etth1_patched.yaml: one seed, ETTh1, MSE only, no test error.

python recipes/e2e/tune.py recipes/e2e/tuning.jsonl     (trials already in the file are kept)
python recipes/e2e/tune.py /tmp/again.jsonl --only DLinear
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tscl.forecasters.strategies import StrategyRun, StrategySettings
from tscl.runs.forecasting.config import DataSection
from tscl.runs.forecasting.data import prepare

SHORT: dict[str, Any] = {
    "length": 336,
    "max_epochs": 8,
    "steps_per_epoch": 150,
    "monitor_stride": 6,
    "patience": 4,
    "lr_schedule": "cosine",
}
PATCHED: dict[str, Any] = {
    "query": "reuse",
    "instance_norm": "last",
    "patch": 16,
    "channel_independent": True,
    "flatten": True,
    "output_dims": 32,
    "dropout": 0.2,
}


def linear(**changes: Any) -> dict[str, Any]:
    """DLinear."""
    return SHORT | {"backbone": "dlinear", "max_epochs": 12} | changes


def steps(**changes: Any) -> dict[str, Any]:
    """One token a step and all variables in a token, as in the paper, but small."""
    small = {"hidden_dims": 64, "depth": 2, "heads": 4, "ffn_dims": 64}
    network = {"output_dims": 64, "decoder_dims": 64, "instance_norm": "last"}
    own = {"length": 48, "max_epochs": 4, "backbone_params": small, "network_params": network}
    return SHORT | own | changes


def patches(network: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Patches as tokens, every variable alone."""
    inner = {"hidden_dims": 32, "depth": 2, "heads": 4, "ffn_dims": 64, "dropout": 0.1}
    own = {"backbone_params": inner, "network_params": PATCHED | (network or {})}
    return SHORT | own | changes


def wide(network: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Twice the width, constant learning rate."""
    inner = {"hidden_dims": 64, "depth": 2, "heads": 4, "ffn_dims": 128, "dropout": 0.2}
    own = {"backbone_params": inner, "lr_schedule": "constant", "patience": 3}
    return patches({"output_dims": 64} | (network or {})) | own | changes


PLAIN = {"hidden_dims": 32, "depth": 2, "heads": 4, "ffn_dims": 64, "dropout": 0.0}
CONSTANT = {"lr_schedule": "constant", "patience": 3, "max_epochs": 8}
RATE = {"lr": 3e-3}
# name: (horizon, calendar covariates, settings)
TRIALS: dict[str, tuple[int, bool, dict[str, Any]]] = {
    "token a step, calendar, past 48": (24, True, steps()),
    "token a step, past 48": (24, False, steps()),
    "patches of 16, all variables in a token": (24, False, patches({"channel_independent": False})),
    "patches of 16": (24, False, patches()),
    "patches of 16, linear path": (24, False, patches({"skip": "linear"})),
    "patches of 16, past 168": (24, False, patches(length=168)),
    "patches of 16, rate 3e-3": (24, False, patches(**RATE)),
    "patches of 24": (24, False, patches({"patch": 24})),
    "patches of 24, rate 3e-3, dropout in the head only": (
        24,
        False,
        patches({"patch": 24}, backbone_params=PLAIN, max_epochs=6, **RATE),
    ),
    "width 64, constant rate": (24, False, wide()),
    "width 64, constant rate, mean and deviation": (24, False, wide({"instance_norm": "standard"})),
    "width 64, constant rate 3e-4, mean and deviation": (
        24,
        False,
        wide({"instance_norm": "standard"}, lr=3e-4),
    ),
    "width 64, constant rate, mean and deviation, calendar": (
        24,
        True,
        wide({"instance_norm": "standard"}),
    ),
    "DLinear, past 48, constant rate": (24, False, linear(length=48, **CONSTANT)),
    "DLinear, constant rate": (24, False, linear(**CONSTANT)),
    "DLinear, constant rate 5e-3": (24, False, linear(lr=5e-3, **CONSTANT)),
    "DLinear": (24, False, linear()),
    "DLinear, rate 2e-3, half the steps": (24, False, linear(lr=2e-3, max_epochs=6)),
    "DLinear, rate 3e-4": (24, False, linear(lr=3e-4)),
    "DLinear, rate 1e-4": (24, False, linear(lr=1e-4)),
    "DLinear, a map for every variable": (
        24,
        False,
        linear(backbone_params={"individual": True}),
    ),
    "DLinear, horizon 168, half the steps": (168, False, linear(max_epochs=6)),
    "DLinear, horizon 168, rate 3e-4, half the steps": (168, False, linear(lr=3e-4, max_epochs=6)),
    "DLinear, horizon 168": (168, False, linear()),
}


def run_trial(name: str, source: str) -> dict[str, Any]:
    """Train one trial; its validation errors by epoch."""
    horizon, calendar, settings = TRIALS[name]
    section = DataSection(dataset="ett", path=source, features="M", covariates=calendar)
    data = prepare(section, [horizon])
    n = data.n_covariates
    run = StrategyRun(
        data.inputs[:, n:],
        data.split,
        horizon,
        StrategySettings(**settings),
        marks=data.inputs[:, :n],
    )
    run.train(run.network(), 0.0, stage="trial")
    curve = [round(row["score"], 4) for row in run.last.monitored]
    return {"trial": name, "horizon": horizon, "steps": run.steps, "curve": curve}


def main() -> None:
    """Run the trials that the file lacks and append a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", default="../shared/data/ETTh1.csv")
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    options = parser.parse_args()
    done = set()
    if options.out.is_file():
        done = {json.loads(line)["trial"] for line in options.out.read_text().splitlines()}
    for name in options.only:
        if name not in done:
            line = json.dumps(run_trial(name, options.source))
            with options.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
