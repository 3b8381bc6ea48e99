from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from data_loaders.series.splits import ForecastSplit
from data_loaders.splits.leakage import assert_parts_disjoint
from tscl.errors import InputError, LeakageError
from tscl.evaluation.forecasting import scores as forecast_rows
from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS
from tscl.evaluation.forecasting.protocol import forecast_protocol, predict_last

SPLIT = ForecastSplit(slice(0, 150), slice(150, 200), slice(200, 250))


def made(channels: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    data = np.cumsum(rng.normal(size=(260, channels)), axis=0).astype(np.float32) * 0.3
    embeddings = np.concatenate([np.tanh(data), rng.normal(size=(260, 5))], axis=1)
    return embeddings.astype(np.float32), data, rng.normal(size=(260, 3)).astype(np.float32)


def by_loops(
    embeddings: np.ndarray,
    data: np.ndarray,
    extra: np.ndarray,
    horizon: int,
    drop: int,
    *,
    residual: bool,
    window: int,
    relative: bool,
    standardize: bool,
) -> dict[str, Any]:
    """The protocol, row by row, with sklearn's ridge in float64."""

    def rows(part: slice, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        features, targets, last = [], [], []
        for t in range(first, part.stop):
            if t + horizon > part.stop - 1:
                break
            row = [float(v) for v in embeddings[t]] + [float(v) for v in extra[t]]
            for c in range(data.shape[1]):
                for lag in range(window - 1, -1, -1):
                    if relative and lag == 0:
                        continue
                    value = float(data[t - lag, c])
                    row.append(value - float(data[t, c]) if relative else value)
            features.append(row)
            targets.append([data[t + j].astype(np.float64) for j in range(1, horizon + 1)])
            last.append(data[t].astype(np.float64))
        return np.array(features), np.array(targets), np.array(last)

    parts = {
        "train": rows(SPLIT.train, max(drop, window - 1)),
        "valid": rows(SPLIT.valid, SPLIT.valid.start),
        "test": rows(SPLIT.test, SPLIT.test.start),
    }
    scaler = StandardScaler().fit(parts["train"][0])
    best: dict[str, Any] = {}
    for alpha in TS2VEC_ALPHAS:
        x, y, last = parts["train"]
        y = y - last[:, None] if residual else y
        model = Ridge(alpha=alpha).fit(
            scaler.transform(x) if standardize else x, y.reshape(len(y), -1)
        )
        scores = {}
        for name in ("valid", "test"):
            x, y, last = parts[name]
            flat = model.predict(scaler.transform(x) if standardize else x)
            guess = flat.reshape(y.shape) + (last[:, None] if residual else 0.0)
            scores[name] = (np.mean((guess - y) ** 2), np.mean(np.abs(guess - y)), guess, y)
        value = np.sqrt(scores["valid"][0]) + scores["valid"][1]
        if not best or value < best["value"]:
            best = {"value": value, "alpha": alpha, **scores, "n": len(parts["test"][0])}
    return best


@pytest.mark.parametrize("horizon", [1, 7, 40])
@pytest.mark.parametrize(
    ("residual", "window", "relative", "standardize"),
    [
        (False, 0, True, False),
        (True, 0, True, True),
        (True, 6, True, False),
        (False, 30, False, True),
    ],
)
def test_protocol_equals_loops_with_sklearn(
    monkeypatch: pytest.MonkeyPatch,
    horizon: int,
    residual: bool,
    window: int,
    relative: bool,
    standardize: bool,
) -> None:
    monkeypatch.setattr(forecast_rows, "BLOCK_BYTES", 20_000)
    embeddings, data, extra = made()
    embeddings[:15] = np.nan
    reference = by_loops(
        embeddings, data, extra, horizon, 20,
        residual=residual, window=window, relative=relative, standardize=standardize,
    )  # fmt: skip
    scale = np.array([2.0, 5.0])
    result = forecast_protocol(
        embeddings,
        data,
        SPLIT,
        [horizon],
        drop=20,
        extra_features=extra,
        residual=residual,
        window_features=window,
        relative_window=relative,
        standardize=standardize,
        scale=scale,
    )[0]
    assert result.alpha == reference["alpha"]
    assert result.n_test == reference["n"] == 50 - horizon
    mse, mae, guess, truth = reference["test"]
    np.testing.assert_allclose([result.mse, result.mae], [mse, mae], rtol=1e-8)
    np.testing.assert_allclose(
        [result.valid_mse, result.valid_mae], reference["valid"][:2], rtol=1e-8
    )
    raw = (guess - truth) * scale
    np.testing.assert_allclose(result.mse_raw, np.mean(raw**2), rtol=1e-8)
    np.testing.assert_allclose(result.mae_raw, np.mean(np.abs(raw)), rtol=1e-8)
    shown = predict_last(
        embeddings, data, SPLIT, horizon, origins=[200, 205], drop=20, extra_features=extra,
        residual=residual, window_features=window, relative_window=relative,
        standardize=standardize,
    )  # fmt: skip
    np.testing.assert_allclose(shown.forecast[0], guess[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(shown.truth[1], data[206 : 206 + horizon])


def test_rows_after_the_test_part_and_dropped_rows_do_not_count() -> None:
    embeddings, data, _ = made()
    before = forecast_protocol(embeddings, data, SPLIT, [5], drop=20)
    embeddings[:20] += 100
    embeddings[250:] += 100
    data[250:] += 100
    assert forecast_protocol(embeddings, data, SPLIT, [5], drop=20) == before


def test_test_part_does_not_choose() -> None:
    embeddings, data, _ = made()
    before = forecast_protocol(embeddings, data, SPLIT, [5], drop=20)[0]
    data[200:] *= -3
    after = forecast_protocol(embeddings, data, SPLIT, [5], drop=20)[0]
    assert (after.alpha, after.valid_mse) == (before.alpha, before.valid_mse)
    assert after.mse != before.mse


def test_residual_head_shifts_with_the_level() -> None:
    _, data, extra = made(1)
    options: dict[str, Any] = {"drop": 20, "residual": True, "window_features": 10}
    plain = forecast_protocol(None, data, SPLIT, [5], **options)[0]
    shifted = forecast_protocol(None, data + 64, SPLIT, [5], **options)[0]
    np.testing.assert_allclose(plain.mse, shifted.mse, rtol=1e-4)
    assert extra is not None


def test_forecast_beyond_the_end() -> None:
    embeddings, data, _ = made()
    shown = predict_last(embeddings, data, SPLIT, 5, origins=[259], drop=20)
    assert shown.forecast.shape == (1, 5, 2)
    assert np.isfinite(shown.forecast).all()
    assert np.isnan(shown.truth).all()
    default = predict_last(embeddings, data, SPLIT, 5, drop=20)
    assert default.origins.tolist() == [244]
    np.testing.assert_array_equal(default.truth[0], data[245:250])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"horizons": [50]}, "horizon: got 50; the valid part has 50 steps"),
        ({"horizons": []}, "at least one horizon"),
        ({"horizons": [0]}, "horizon"),
        ({"drop": 147}, "no training rows"),
        ({"drop": 10}, "embeddings: got 35 NaN .* first at step 10, column 0"),
        ({"window_features": -1}, "window_features"),
        ({"scale": [1.0]}, "scale"),
        ({"extra_features": np.zeros((9, 2))}, "extra_features"),
        ({"embeddings": np.zeros(260)}, "embeddings"),
        ({"embeddings": None}, "no features"),
        ({"split": ForecastSplit(slice(0, 150), slice(150, 200), slice(200, 261))}, "split.test"),
    ],
)
def test_bad_protocol_input(change: dict[str, Any], says: str) -> None:
    embeddings, data, _ = made()
    embeddings[:15] = np.nan
    embeddings[15:, :2] = 0
    arguments: dict[str, Any] = {
        "embeddings": embeddings, "data": data, "split": SPLIT, "horizons": [5], "drop": 20,
    }  # fmt: skip
    with pytest.raises(InputError, match=says):
        forecast_protocol(**(arguments | change))


def test_non_finite_targets_and_origins() -> None:
    embeddings, data, _ = made()
    with pytest.raises(InputError, match="origins: got 260"):
        predict_last(embeddings, data, SPLIT, 5, origins=[260], drop=20)
    data[70, 1] = np.inf
    with pytest.raises(
        InputError, match=r"data: got 1 NaN or infinite values, .* step 70, column 1"
    ):
        forecast_protocol(embeddings, data, SPLIT, [5], drop=20)


def test_overlapping_parts_are_leakage() -> None:
    class Overlap:
        train, valid, test = slice(0, 150), slice(149, 200), slice(200, 250)

    embeddings, data, _ = made()
    with pytest.raises(LeakageError, match="train/valid: got 1 shared time step entries"):
        forecast_protocol(embeddings, data, Overlap(), [5], drop=20)
    assert_parts_disjoint(train=np.arange(3), test=[3, 4], other=slice(5, 9))
    with pytest.raises(LeakageError, match=r"a/c: got 1 shared patient entries \(p7\)"):
        assert_parts_disjoint("patient", a=["p1", "p7"], b=["p2"], c=["p7"])
    with pytest.raises(InputError):
        assert_parts_disjoint(train=slice(None, 3))


def test_one_ridge_for_series_that_each_forecast_their_own_column() -> None:
    rng = np.random.default_rng(3)
    data = rng.normal(size=(400, 3)).astype(np.float32)
    embeddings = rng.normal(size=(3, 400, 5)).astype(np.float32)
    embeddings[:, :-1, 0] = data[1:].T  # the step to come, in every series' first feature
    parts = ForecastSplit(slice(0, 240), slice(240, 320), slice(320, 400))
    (result,) = forecast_protocol(embeddings, data, parts, [2], drop=10, alphas=[0.1, 1.0])
    best = None
    for alpha in (0.1, 1.0):
        rows, wanted = [], []
        for i in range(3):
            steps = range(10, 240 - 2)
            rows += [embeddings[i, t] for t in steps]
            wanted += [data[t + 1 : t + 3, i] for t in steps]
        model = Ridge(alpha=alpha).fit(np.asarray(rows, float), np.asarray(wanted, float))

        def errors(part: slice, model: Ridge = model) -> np.ndarray:
            out = [
                model.predict(embeddings[i, [t]].astype(float))[0] - data[t + 1 : t + 3, i]
                for i in range(3)
                for t in range(part.start, part.stop - 2)
            ]
            return np.asarray(out)

        held = errors(parts.valid)
        value = np.sqrt((held**2).mean()) + np.abs(held).mean()
        if best is None or value < best[0]:
            best = value, alpha, errors(parts.test)
    assert result.alpha == best[1]
    assert result.mse == pytest.approx((best[2] ** 2).mean(), rel=1e-6)
    assert result.mae == pytest.approx(np.abs(best[2]).mean(), rel=1e-6)
    assert len(result.variables) == 3
    with pytest.raises(InputError, match="one series for each of 3"):
        forecast_protocol(embeddings[:2], data, parts, [2])
