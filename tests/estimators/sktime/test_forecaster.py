"""What sktime's own checks of the forecaster leave out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from tscl.errors import ConfigError, InputError
from tscl.estimators.sktime.forecaster import SSCLForecaster

TINY = {
    "encoder": "dilated",
    "encoder_params": {"hidden_dims": 4, "depth": 1},
    "network_params": {"output_dims": 8, "decoder_dims": 8},
    "max_epochs": 2,
    "batch_size": 32,
    "lr": 1e-2,
}


def hours(n=120, index="datetime"):
    t = np.arange(n)
    times = {
        "datetime": pd.date_range("2020-01-01", periods=n, freq="h"),
        "period": pd.period_range("2020-01", periods=n, freq="M"),
        "range": pd.RangeIndex(n),
    }[index]
    noise = 0.1 * np.random.default_rng(0).standard_normal(n)
    return pd.Series(10 + np.sin(2 * np.pi * t / 12) + noise, index=times, name="load")


@pytest.mark.parametrize("index", ["datetime", "period", "range"])
def test_recursion_goes_on_beyond_the_trained_horizon(index):
    y = hours(index=index)
    model = SSCLForecaster(context_length=24, horizon=6, **TINY).fit(y)
    made = model.predict(fh=np.arange(1, 21))
    assert len(made) == 20
    assert np.isfinite(made.to_numpy()).all()
    wanted = model.predict(fh=[1, 6])
    np.testing.assert_allclose(wanted, made.iloc[[0, 5]])
    assert made.index[0] == (y.index[-1] + y.index.freq if index != "range" else 120)
    # the second round sees the first one's forecasts as its past
    longer = pd.concat([y, made.iloc[:6].rename("load")])
    model.update(longer.iloc[-6:], update_params=False)
    np.testing.assert_allclose(model.predict(fh=[1, 6]), made.iloc[[6, 11]], rtol=1e-4)


def test_learns_a_period_and_its_intervals_cover():
    y = hours(400)
    params = TINY | {"max_epochs": 8}
    model = SSCLForecaster(context_length=24, horizon=12, weight=0.1, **params).fit(y[:352])
    made = model.predict(fh=np.arange(1, 49))
    naive = y[:352].iloc[-1]
    assert np.mean((made - y[352:400]) ** 2) < 0.5 * np.mean((naive - y[352:400]) ** 2)
    bands = model.predict_interval(fh=np.arange(1, 13), coverage=[0.5, 0.9])
    inner = bands[("load", 0.5, "upper")] - bands[("load", 0.5, "lower")]
    outer = bands[("load", 0.9, "upper")] - bands[("load", 0.9, "lower")]
    assert (outer > inner).all()
    truth = y[352:364].to_numpy()
    inside = (truth >= bands[("load", 0.9, "lower")]) & (truth <= bands[("load", 0.9, "upper")])
    assert inside.mean() >= 0.6


def test_a_network_of_a_panel_serves_a_new_series_without_training():
    """Henon's map: 30 steps tell a network and a ridge nothing, a panel tells the network."""

    def henon(n: int, start: float, unit: float) -> pd.DataFrame:
        x = [start, 0.1]
        while len(x) < n + 100:
            x.append(1 - 1.4 * x[-1] ** 2 + 0.3 * x[-2])
        return unit * pd.DataFrame({"y": x[100:]})

    panel = {f"{i}": henon(200, 0.05 * i, 1.0 + i) for i in range(6)}
    new, known = henon(80, 0.47, 7.0), 30

    def error(model: SSCLForecaster) -> float:
        model.fit(new[:known])
        scaler = model.scalers_[next(iter(model.scalers_))]
        data = model._data(scaler.apply(new), np.zeros((len(new), 0), np.float32))
        origins = np.arange(known - 1, len(new) - 1)
        forecasts = model.head_.forecast(model.network_, data, origins)
        return float(np.square(forecasts - data.future(origins)).mean() / data.values.var())

    network = {"output_dims": 16, "decoder_dims": 16}
    settings = {"horizon": 1, "context_length": 4, "instance_norm": "none", "calendar": False}
    settings |= {"encoder": "tcn", "encoder_params": {"hidden_dims": 16, "depth": 2}}
    settings |= {"network_params": network, "max_epochs": 15, "lr": 1e-2, "finetune_epochs": 0}
    model = SSCLForecaster(**settings).pretrain(pd.concat(panel, names=["id", "time"]))
    before = {k: v.copy() for k, v in model.pretrained_["weights"].items()}
    assert error(model) < 0.1
    for name, value in model.network_.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert error(SSCLForecaster(**settings)) > 0.3
    assert error(SSCLForecaster(**settings, head="ridge")) > 0.3


def test_pretraining_is_kept_by_fit():
    panel = pd.concat({"a": hours(80).to_frame(), "b": hours(90).to_frame() * 3}, names=["id", "t"])
    model = SSCLForecaster(context_length=24, horizon=6, **TINY | {"max_epochs": 1})
    model.pretrain(panel)
    kept = {k: v.copy() for k, v in model.pretrained_["weights"].items()}
    model.max_epochs = 0
    model.fit(hours())
    for name, value in model.network_.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), kept[name])
    with pytest.raises(InputError, match="pretrained on 1 variables"):
        model.fit(pd.concat([hours(), hours().rename("b")], axis=1))
    X = pd.DataFrame({"price": np.arange(len(panel)) * 1.0}, index=panel.index)
    fresh = SSCLForecaster(context_length=24, horizon=6, **TINY | {"max_epochs": 0})
    with_x = fresh.pretrain(panel, X=X).fit(hours(80), X=X.loc["a"])
    ahead = pd.date_range(hours(80).index[-1], periods=3, freq="h")[1:]
    assert len(with_x.predict(fh=[1, 2], X=pd.DataFrame({"price": 1.0}, index=ahead))) == 2


def test_errors_are_named():
    model = SSCLForecaster(context_length=24, horizon=6, **TINY)
    with pytest.raises(InputError, match="need 30"):
        model.fit(hours(29))
    y = hours()
    gap = y.drop(y.index[50])
    with pytest.raises(InputError, match="1 irregular steps"):
        SSCLForecaster(context_length=24, horizon=6, **TINY).fit(gap)
    X = pd.DataFrame({"price": np.arange(120.0)}, index=y.index)
    quick = TINY | {"max_epochs": 1}
    fitted = SSCLForecaster(context_length=24, horizon=6, **quick).fit(y, X=X)
    ahead = pd.date_range(y.index[-1], periods=4, freq="h")[1:]
    future = pd.DataFrame({"price": [1.0, 2.0, 3.0]}, index=ahead)
    assert len(fitted.predict(fh=[1, 2, 3], X=future)) == 3
    with pytest.raises(InputError, match="price"):
        fitted.predict(fh=[1, 2, 3])
    with pytest.raises(InputError, match="1 of 3 steps missing"):
        fitted.predict(fh=[1, 2, 3], X=future.iloc[[0, 2]])
    with pytest.raises(InputError, match="price"):
        fitted.predict(fh=[1, 2, 3], X=future.rename(columns={"price": "prize"}))


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("weight", {"weight": 1.0}),
        ("valid_share", {"valid_share": 1.0}),
        ("context_length, horizon", {"horizon": 0}),
        ("context_length, horizon", {"context_length": 0}),
        ("network_params.ouput_dims", {"network_params": {"ouput_dims": 8}}),
        ("network_params.channels", {"network_params": {"channels": 8}}),
        ("network_params.instance_norm", {"network_params": {"instance_norm": "none"}}),
        ("network_params.encoder", {"network_params": {"encoder": "tcn"}}),
        ("network_params", {"network_params": [1]}),
        ("output_dims", {"network_params": {"output_dims": "a"}}),
        ("patch", {"network_params": {"patch": 1.5}}),
        ("decoder_dims", {"network_params": {"decoder_dims": "a"}}),
        ("dropout", {"network_params": {"dropout": 2}}),
        ("context_length", {"context_length": 2.5}),
        ("context_length", {"context_length": "a"}),
        ("context_length", {"context_length": True}),
        ("horizon", {"horizon": "x"}),
        ("horizon", {"horizon": 2.5}),
        ("weight", {"weight": "x"}),
        ("weight", {"weight": None}),
        ("valid_share", {"valid_share": "x"}),
        ("encoder", {"encoder": 3}),
        ("encoder_params", {"encoder_params": 3}),
        ("contrast_params", {"contrast_params": 3}),
        ("max_epochs", {"max_epochs": 1.5}),
        ("max_epochs", {"max_epochs": -1}),
        ("update_epochs", {"update_epochs": -1}),
        ("update_epochs", {"update_epochs": 1.5}),
        ("patience", {"patience": "a"}),
        ("batch_size", {"batch_size": 1.5}),
        ("batch_size", {"batch_size": 0}),
        ("device", {"device": "tpu"}),
        ("lr", {"lr": "a"}),
        ("lr", {"lr": float("inf")}),
        ("levels", {"quantile_levels": 3}),
        ("levels", {"quantile_levels": ("a", "b")}),
        ("random_state", {"random_state": -1}),
        ("random_state", {"random_state": "a"}),
        ("random_state", {"random_state": 1.5}),
        ("random_state", {"random_state": True}),
    ],
)
def test_settings_that_cannot_be_used_are_named(field, setting):
    with pytest.raises((InputError, ConfigError), match=f"^{re.escape(field)}: "):
        SSCLForecaster(**{"context_length": 24, "horizon": 6} | TINY | setting).fit(hours())


def test_seeds_may_be_drawn():
    # the network's own forecast: a head chosen by validation may read lags alone, whatever the seed
    quick = {"context_length": 24, "horizon": 6} | TINY | {"max_epochs": 0, "head": "network"}

    def made(seed):
        return SSCLForecaster(**quick, random_state=seed).fit(hours()).predict([1, 2]).to_numpy()

    assert (made(None) != made(None)).any()
    state = np.random.RandomState
    np.testing.assert_array_equal(made(state(3)), made(state(3)))
    np.testing.assert_array_equal(made(np.int64(3)), made(3))
    fresh = SSCLForecaster(**quick | {"max_epochs": 1}, random_state=None).fit(hours(110))
    fresh.update(hours()[110:])  # trains on, from the seed drawn in fit
    assert fresh.random_state is None


def test_values_and_steps_that_cannot_be_used_are_named():
    quick = {"context_length": 24, "horizon": 6} | TINY | {"max_epochs": 0}
    y = hours()
    model = SSCLForecaster(**quick).fit(y)
    half = pd.DatetimeIndex([y.index[-1] + pd.Timedelta("90min")])
    with pytest.raises(InputError, match=r"fh: got 2020-01-06 00:30"):
        model.predict(fh=half)
    assert len(model.predict(fh=half + pd.Timedelta("30min"))) == 1
    infinite = y.copy()
    infinite.iloc[5] = np.inf
    with pytest.raises(InputError, match=r"y\['load'\]: got inf; at 2020-01-01 05:00"):
        SSCLForecaster(**quick).fit(infinite)
    X = pd.DataFrame({"price": infinite.to_numpy()}, index=y.index)
    with pytest.raises(InputError, match=r"X\['price'\]"):
        SSCLForecaster(**quick).fit(y, X=X)
    with pytest.raises(InputError, match="steps of 2"):
        SSCLForecaster(**quick).fit(y.set_axis(range(0, 240, 2)))
    with pytest.raises(InputError, match="variables of fit"):
        model.update(hours(125)[120:].rename("other"))


def panel(lengths=(("a", 90), ("b", 90), ("c", 90)), first=1.0):
    """Series of one period on different scales; ids are two levels."""
    made = {
        ("north", name): hours(n).to_frame() * first * 10**i for i, (name, n) in enumerate(lengths)
    }
    return pd.concat(made, names=["region", "id", "time"])


def test_one_network_for_a_hierarchy_forecasts_every_series_in_its_scale():
    y = panel()
    quick = TINY | {"max_epochs": 4, "weight": 0.1}
    model = SSCLForecaster(context_length=24, horizon=6, pooled=True, **quick).fit(y)
    made = model.predict(fh=np.arange(1, 9))
    assert made.index.names == ["region", "id", "time"]
    assert list(made.index.droplevel(-1).unique()) == [("north", x) for x in "abc"]
    parts = [made.xs(("north", name)).to_numpy() for name in "abc"]
    # the series are multiples of one another, and so are the forecasts of the one network
    np.testing.assert_allclose(parts[1], parts[0] * 10, rtol=1e-3)
    np.testing.assert_allclose(parts[2], parts[0] * 100, rtol=1e-3)
    bands = model.predict_interval(fh=[1, 8], coverage=[0.8])
    assert bands.shape == (6, 2)
    width = (bands.iloc[:, 1] - bands.iloc[:, 0]).to_numpy()
    np.testing.assert_allclose(width[2:4], width[:2] * 10, rtol=1e-3)
    assert (width > 0).all()
    # a network a series is the default
    single = SSCLForecaster(context_length=24, horizon=6, **quick | {"max_epochs": 0}).fit(y)
    assert single.forecasters_.shape[0] == 3
    # new values of known series move the cutoff
    later = panel((("a", 93), ("b", 93), ("c", 93)))
    fresh = later[~later.index.isin(y.index)]
    again = model.update(fresh, update_params=False).predict(fh=[1])
    assert again.index.get_level_values(-1).unique()[0] == later.index[-1][-1] + pd.Timedelta("1h")


def test_series_that_end_early_are_forecast_from_their_own_end():
    uneven = panel((("a", 90), ("b", 84), ("c", 90)))
    model = SSCLForecaster(context_length=24, horizon=6, pooled=True, **TINY).fit(uneven)
    made = model.predict(fh=[-2, 1, 9]).xs(("north", "b")).to_numpy()
    bands = model.predict_interval(fh=[1, 9], coverage=0.8)
    widths = bands.iloc[:, 1] - bands.iloc[:, 0]
    # the same from the end of b itself: the cutoff lies six steps later
    cut = uneven[uneven.index.get_level_values(-1) <= uneven.loc[("north", "b")].index[-1]]
    alone = model.clone().fit(uneven)
    alone._y, alone._cutoff = cut, cut.loc[("north", "b")].index[-1:]
    alone._cutoff = pd.DatetimeIndex(alone._cutoff, freq="h")
    wanted = alone.predict(fh=[4, 7, 15]).xs(("north", "b")).to_numpy()
    np.testing.assert_allclose(made, wanted, rtol=1e-5)
    assert (widths.xs(("north", "b")) > widths.xs(("north", "a")) * 10).all()  # b is ten times a


def test_a_series_that_fit_has_not_seen_is_forecast_in_its_own_scale():
    y = panel((("a", 90), ("b", 90)))
    model = SSCLForecaster(context_length=24, horizon=6, pooled=True, **TINY).fit(y)
    model.update(panel((("d", 90),)) * 7, update_params=False)
    made = model.predict(fh=[1, 2, 9])
    parts = [made.xs(("north", name)).to_numpy() for name in "ad"]
    np.testing.assert_allclose(parts[1], 7 * parts[0], rtol=1e-3)
    assert model.predict_interval(fh=[1], coverage=0.9).shape == (3, 2)


def test_errors_of_panels_are_named():
    y = panel()
    model = SSCLForecaster(context_length=24, horizon=6, pooled=True, **TINY | {"max_epochs": 0})
    model.fit(y)
    with pytest.raises(InputError, match="need 30"):
        model.clone().fit(panel((("a", 90), ("b", 29))))
    X = pd.DataFrame({"price": np.arange(len(y)) * 1.0}, index=y.index)
    with_x = model.clone().fit(y, X=X)
    ahead = pd.date_range("2020-01-01", periods=92, freq="h")[90:]
    future = pd.concat(
        {("north", n): pd.DataFrame({"price": [1.0, 2.0]}, index=ahead) for n in "abc"},
        names=["region", "id", "time"],
    )
    assert len(with_x.predict(fh=[1, 2], X=future)) == 6
    with pytest.raises(InputError, match="no rows of series north/b"):
        with_x.predict(fh=[1, 2], X=future.drop(("north", "b")))


def test_quantile_head_follows_the_spread_of_the_input():
    # the noise of the next steps is large where the wave stands high
    rng = np.random.default_rng(0)
    t = np.arange(700)
    wave = np.sin(2 * np.pi * t / 24)
    values = wave + (0.02 + 0.3 * (wave > 0)) * rng.normal(size=700)
    y = pd.Series(values, index=pd.date_range("2020-01-01", periods=700, freq="h"), name="load")
    params = TINY | {"max_epochs": 3, "weight": 0.0}
    model = SSCLForecaster(
        context_length=24, horizon=1, intervals="quantile", valid_share=0.3, **params
    ).fit(y[:600])
    widths, inside = [], []
    for stop in range(600, 648):
        model.update(y[stop - 1 : stop], update_params=False)
        band = model.predict_interval(fh=[1], coverage=0.8).to_numpy()[0]
        widths.append(band[1] - band[0])
        inside.append(band[0] <= y.iloc[stop] <= band[1])
    high = wave[600:648] > 0.2
    low = wave[600:648] < -0.2
    assert np.mean(np.array(widths)[high]) > 2 * np.mean(np.array(widths)[low])
    assert np.mean(inside) > 0.6
    quantiles = model.predict_quantiles(fh=[1], alpha=[0.1, 0.5, 0.99]).to_numpy()[0]
    assert (np.diff(quantiles) >= 0).all()
    with pytest.raises(ConfigError, match="quantile"):
        SSCLForecaster(intervals="quantiles").fit(y[:100])
    with pytest.raises(InputError, match="levels"):
        SSCLForecaster(intervals="quantile", quantile_levels=(0.9, 0.1)).fit(y[:100])
