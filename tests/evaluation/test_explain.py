"""Maps over time and channel: exact for a linear network, and where a signal was planted."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from tscl.errors import InputError, MissingExtraError
from tscl.estimators import ContrastiveClassifier
from tscl.evaluation.explain import explain

pytest.importorskip("captum")
PLACE, CHANNEL = slice(20, 28), 1


@pytest.fixture(scope="module")
def fitted() -> tuple[ContrastiveClassifier, np.ndarray]:
    """A fine-tuned classifier of noise with a wave in one place of one channel, and new series."""
    rng = np.random.default_rng(0)
    X = rng.normal(0, 0.5, (80, 48, 3)).astype(np.float32)
    y = np.arange(80) % 2
    X[y == 1, PLACE, CHANNEL] += 2 * np.sin(np.arange(8) * np.pi / 2)
    model = ContrastiveClassifier(
        "simclr",
        encoder_params={"output_dims": 12, "hidden_dims": 12, "depth": 2},
        max_epochs=1,
        batch_size=40,
        random_state=0,
        finetune="plain",
        finetune_params={"epochs": 30, "lr": 5e-3, "batch_size": 40},
    )
    model.fit(X[:60], np.array(["noise", "wave"])[y[:60]])
    assert model.score(X[60:], np.array(["noise", "wave"])[y[60:]]) > 0.9
    return model, X[60:][y[60:] == 1]


def test_a_planted_wave_is_found_in_time_and_channel(fitted) -> None:
    model, series = fitted
    for answer in model.explain(series[:4], target="wave", width=4):
        assert answer.probability > 0.5
        for name, level in answer.maps.items():
            inside = np.abs(level[16:32, CHANNEL]).sum() / np.abs(level).sum()
            assert inside > 0.5, name  # of 16 of 144 places, 11 %
            assert level[PLACE, CHANNEL].sum() > 0, name  # it speaks for the wave
            step, channel = np.unravel_index(level.argmax(), level.shape)
            assert channel == CHANNEL
            assert 18 <= step < 30


def test_other_weights_give_another_map(fitted) -> None:
    model, series = fitted
    (answer,) = model.explain(series[:1], target="wave", width=4)
    assert set(answer.sanity) == {"occlusion", "integrated gradients"}
    assert max(answer.sanity.values()) < 0.8
    (again,) = model.explain(series[:1], target="wave", width=4)
    for name, level in answer.maps.items():
        np.testing.assert_array_equal(level, again.maps[name])


def test_the_picture_has_a_panel_a_channel_and_a_map(fitted) -> None:
    model, series = fitted
    (answer,) = model.explain(series[:1])
    figure = answer.figure(series[0], 24.0, unit="mV", channels=["I", "II", "V1"], title="a17")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    assert panels[0].get_ylabel() == "I\n(mV)"
    assert panels[-1].get_xlabel() == "seconds"
    assert panels[0].lines[0].get_xdata()[-1] == pytest.approx(47 / 24)
    assert "a17, wave: probability" in figure.get_suptitle()
    few = answer.figure(series[0], 24.0, most=1)
    assert next(axes.get_ylabel() for axes in few.axes if axes.images) == "ch1"


def test_of_a_linear_network_the_path_integral_is_exact() -> None:
    """Integrated gradients add up to the probability less that of the flat line."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(20, 3), nn.Softmax(1))
    series = np.random.default_rng(0).normal(size=(10, 2))
    series[3:5, 1] = 0.0
    answer = explain(network, series, ["a", "b", "c"], target=2, steps=200)
    flat = np.tile(series.astype(np.float32).mean(axis=0), (10, 1))
    with torch.no_grad():
        proba = network(torch.tensor(np.stack([series, flat]), dtype=torch.float32))[:, 2]
    total = answer.maps["integrated gradients"].sum()
    assert total == pytest.approx(float(proba[0] - proba[1]), abs=1e-5)
    assert (answer.target, answer.probability) == ("c", pytest.approx(float(proba[0])))


def test_missing_values_get_no_share(fitted) -> None:
    model, series = fitted
    gap = series[:1].copy()
    gap[0, :10, 0] = np.nan
    (answer,) = model.explain(gap)
    for level in answer.maps.values():
        assert np.isfinite(level).all()
        assert np.abs(level).max() > 0
    assert not answer.maps["integrated gradients"][:10, 0].any()


def test_what_cannot_be_explained_is_named(fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    model, series = fitted
    with pytest.raises(InputError, match="target"):
        model.explain(series[:1], target="rain")
    with pytest.raises(InputError, match="width"):
        model.explain(series[:1], width=100)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match="explain"):
        model.explain(series[:1])
