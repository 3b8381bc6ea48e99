"""Recipes on made recordings: classes named without a classifier, hits among the nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders import Recordings
from recipes.pretraining import ptbxl_paired, rerank
from recipes.pretraining.ptbxl_2285 import CLASSES


def made(n: int = 120) -> Recordings:
    """Twelve leads of noise around a wave whose frequency is the class, at 100 Hz."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % len(CLASSES)
    phase = rng.uniform(0, 6.3, (n, 1, 1))
    wave = np.sin(
        2 * np.pi * (1 + 2 * label[:, None, None]) * np.arange(300)[:, None] / 100 + phase
    )
    x = (wave + 0.2 * rng.normal(size=(n, 300, 12))).astype(np.float32)
    columns = pd.DataFrame(np.eye(len(CLASSES), dtype=int)[label], columns=list(CLASSES))
    columns.insert(0, "side", np.where(np.arange(n) % 3 == 0, "test", "train"))
    return Recordings.from_arrays(x, 100.0, label=np.zeros(n, int), columns=columns)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> Recordings:
    data = made()
    for module in (ptbxl_paired, rerank):
        monkeypatch.setattr(module, "load_ptbxl_2285", lambda *_: data)
    return data


@pytest.mark.usefixtures("recordings")
def test_classes_are_named_without_a_classifier() -> None:
    table = ptbxl_paired.run(Path("a"), Path("b"), seeds=1, epochs=8)
    mean = table.set_index("model")["mean"]
    assert len(mean) == 8
    assert mean["trained, codes, infonce, zero-shot"] > 0.9
    assert mean["untrained, codes, zero-shot"] < 0.8
    assert list(table.columns) == ["model", "seed", "mean", *CLASSES]


@pytest.mark.usefixtures("recordings")
def test_hits_among_the_nearest_are_counted() -> None:
    pytest.importorskip("dtaidistance")
    x, y, new, truth = rerank.ptbxl(Path("a"), Path("b"), n=60, queries=20)
    assert x.shape == (60, 150, 12)
    assert len(new) == len(truth) == 20
    share = rerank.precision((x, y, new, truth), seed=0, epochs=1)
    assert set(share) == {"pooled", "ranked again"}
    chance = rerank.precision((x, np.roll(y, 1), new, truth), seed=0, epochs=1)
    assert min(share.values()) > max(chance.values())
