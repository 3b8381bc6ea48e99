"""What harmonisation by the loss ``hsic`` costs: two sites of a generated ECG cohort.

A cohort of 64 patients a seed, half of each class at the second site, whose recordings have hum of
20 Hz in lead II and a gain of .7 in lead V2; the disease has twice its usual size. COMET's patient
level and views, with a level of the site; linear probes for the site and for the class are fitted
on the patients of pretraining and tested on the other half. Figures go to ``harmonisation.csv`` and
``harmonisation.png``:

    python recipes/comet/harmonisation.py runs/harmonisation
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_loaders.cohort.cohort import CohortConfig, load_cohort, make_cohort
from tscl.encoders import ENCODERS
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.methods import METHODS
from tscl.seeding import seeded
from tscl.training.data import ArraySource, RandomSampler
from tscl.training.settings import TrainSettings
from tscl.training.trainer import Trainer

SEEDS, WEIGHTS = range(5), (0.0, 2.0, 5.0, 20.0)
LEADS = [0, 1, 7, 8]  # I, II, V2, V3: the disease is in the chest
NAMES = {"site": "site", "class": "class (disease)"}


def hospital(home: Path, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Samples (n, T, 4), site and class of each, and its patient."""
    folder = home / f"cohort{seed}"
    if not folder.exists():
        size = CohortConfig(n_patients=64, trials_per_patient=4, seconds=4.0, disease_effect=2.0)
        make_cohort(folder, size, seed=seed)
    data = load_cohort(folder, verify=False)
    who, rng = data.patient_codes, np.random.default_rng(seed)
    owner = np.array([data.label[who == patient][0] for patient in range(who.max() + 1)])
    second = np.zeros(len(owner), int)
    for kind in (0, 1):
        own = rng.permutation(np.flatnonzero(owner == kind))
        second[own[: len(own) // 2]] = 1
    site, x = second[who], np.asarray(data.X, np.float32)[:, :, LEADS]
    time = np.arange(x.shape[1]) / 100
    hum = np.sin(2 * np.pi * 20 * time + rng.uniform(0, 6, (len(x), 1)))
    x[:, :, 1] += 0.3 * x[:, :, 1].std() * site[:, None] * hum
    x[:, :, 2] *= np.where(site == 1, 0.7, 1.0)[:, None]
    return x / x.std(axis=(0, 1)), {"site": site, "class": data.label}, who


def areas(home: Path, seed: int, weight: float) -> dict[str, float]:
    """AUROC of probes for site and class, by patients never seen."""
    x, labels, who = hospital(home, seed)
    order = np.random.default_rng(seed + 1000).permutation(who.max() + 1)
    fit = np.isin(who, order[: len(order) // 2])
    with seeded(seed, "weights"):
        encoder = ENCODERS.build(
            "dilated", input_dims=len(LEADS), output_dims=16, hidden_dims=16, depth=3
        )
        levels = [
            {"name": "views", "loss": "ntxent", "mask": "binomial"},
            {"name": "patient", "loss": "id", "weight": 0.5},
            {"name": "site", "loss": "hsic", "weight": weight},
        ]
        method = METHODS.build("comet", encoder=encoder, levels=levels)
    ids = {"site": labels["site"], "patient": who, "trial": who}
    source = ArraySource(x[fit], ids={name: one[fit].astype(np.int64) for name, one in ids.items()})
    settings = TrainSettings(max_epochs=10**6, max_steps=200, lr=3e-3, seed=seed)
    trained = Trainer(settings).fit(method, source, RandomSampler(int(fit.sum()), 128)).encoder
    z = [pooled_embeddings(trained, x[part], pooling="mean+log_std") for part in (fit, ~fit)]
    scores = {}
    for name, y in labels.items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(z[0], y[fit])
        said = pd.Series(probe.predict_proba(z[1])[:, 1]).groupby(who[~fit]).mean()
        truth = pd.Series(y[~fit]).groupby(who[~fit]).first()
        scores[name] = float(roc_auc_score(truth, said))
    return scores


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of means over seeds drawn with replacement."""
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def figure(table: pd.DataFrame) -> Figure:
    """AUROC of site and class against the weight of the level."""
    drawn = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = drawn.subplots()
    weights = sorted(table["weight"].unique())
    for (name, title), colour in zip(NAMES.items(), ("#c2410c", "#1b6ca8"), strict=True):
        values = [table.loc[table["weight"] == w, name].to_numpy() for w in weights]
        mean = np.array([one.mean() for one in values])
        low, high = np.array([interval(one) for one in values]).T
        bars = np.stack([mean - low, high - mean])
        axes.errorbar(range(len(weights)), mean, bars, color=colour, marker="o", label=title)
    axes.axhline(0.5, color="grey", lw=0.8, ls=":")
    axes.set_xticks(range(len(weights)), ["none", *(f"{w:g}" for w in weights[1:])])
    axes.set(xlabel="weight of the site level (hsic)", ylabel="AUROC by patient, not seen")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    return drawn


def main(home: Path) -> None:
    """All seeds and weights; those that are in the table already are not run again."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "harmonisation.csv"
    lines: list[dict[str, Any]] = []
    if path.exists():
        lines = [dict(line) for _, line in pd.read_csv(path).iterrows()]
    for seed in SEEDS:
        for weight in WEIGHTS:
            if not any((one["seed"], one["weight"]) == (seed, weight) for one in lines):
                lines.append({"seed": seed, "weight": weight, **areas(home, seed, weight)})
                pd.DataFrame(lines).to_csv(path, index=False, float_format="%.4f")
    table = pd.DataFrame(lines)
    figure(table).savefig(home / "harmonisation.png", dpi=110)
    for level, own in table.groupby("weight"):
        told = {name: (own[name].mean(), *interval(own[name].to_numpy())) for name in NAMES}
        print(level, {name: [round(x, 3) for x in one] for name, one in told.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
