"""The end-to-end contrastive forecaster as an sktime estimator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon
from torch import nn

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError, is_number, is_whole
from tscl.estimators.inputs import draw_seed
from tscl.estimators.sktime.frames import (
    FrameScaler,
    Marks,
    Part,
    Stretch,
    check_covers,
    check_frequency,
    check_ids,
    check_index,
    check_missing,
    checked_parts,
    cutoff_with_freq,
    future_part,
    future_rows,
    horizon_steps,
    joined,
    panel_parts,
    until,
    with_freq,
)
from tscl.estimators.sktime.training import train_network
from tscl.forecasters.intervals import check_levels, window_codes
from tscl.forecasters.network import ForecastNetwork, check_network_params
from tscl.forecasters.windows import window_forecasts
from tscl.seeding import seeded


def check_forecaster(options: Mapping[str, Any]) -> None:
    """Raise ConfigError or InputError for a setting of the forecaster that cannot be used."""
    _check_numbers(options)
    _check_names(options)
    if options["intervals"] not in ("conformal", "quantile"):
        raise ConfigError("intervals", options["intervals"], "choose conformal or quantile")
    if options["quantile_levels"] is not None:
        check_quantiles(options["quantile_levels"])
    if not 0 <= options["weight"] < 1:
        raise InputError("weight", options["weight"], "choose lambda in [0, 1)")
    if not 0 <= options["valid_share"] < 1:
        raise InputError("valid_share", options["valid_share"], "choose a share in [0, 1)")
    if not 0 < options["lr"] < float("inf"):
        raise InputError("lr", options["lr"], "choose a learning rate above 0")


def check_quantiles(levels: Any) -> None:
    """Raise InputError for levels of the quantile head that are no levels."""
    try:
        check_levels(levels)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("levels", levels, "give numbers between 0 and 1, increasing") from error


def _check_numbers(options: Mapping[str, Any]) -> None:
    for name in ("context_length", "horizon"):
        if options[name] is not None:
            _whole(name, options[name], None)
    for name, low in (("max_epochs", 0), ("update_epochs", 0), ("patience", 0), ("batch_size", 1)):
        _whole(name, options[name], low)
    seed = options["random_state"]
    if seed is not None and not isinstance(seed, np.random.RandomState):
        _whole("random_state", seed, 0)
    for name in ("weight", "valid_share", "lr"):
        if not is_number(options[name]):
            raise InputError(name, repr(options[name]), "pass a number")


def _whole(name: str, value: Any, low: int | None) -> None:
    if not is_whole(value) or (low is not None and value < low):
        least = "" if low is None else f" of at least {low}"
        raise InputError(name, repr(value), f"pass a whole number{least}")


def _check_names(options: Mapping[str, Any]) -> None:
    if not isinstance(options["encoder"], str):
        raise ConfigError("encoder", repr(options["encoder"]), f"name one of {ENCODERS.names()}")
    for name in ("encoder_params", "network_params", "contrast_params"):
        given = options[name]
        if given is not None and not isinstance(given, Mapping):
            raise ConfigError(name, repr(given), "pass a dict of names and values")
    params = options["network_params"] or {}
    for name in ("encoder", "encoder_params", "horizon", "instance_norm"):
        if name in params:  # these are parameters of the forecaster itself
            remedy = f"pass {name}=... to the forecaster instead"
            raise ConfigError(f"network_params.{name}", params[name], remedy)
    check_network_params(params)


_TINY: dict[str, Any] = {
    "context_length": 3,
    "batch_size": 64,
    "max_epochs": 1,
    "calendar": False,
    "network_params": {"output_dims": 4, "decoder_dims": 0},
}
TEST_PARAMS = [
    _TINY
    | {
        "horizon": 2,
        "encoder": "tcn",
        "encoder_params": {"hidden_dims": 2, "depth": 1},
        "weight": 0.0,
    },
    _TINY
    | {
        "horizon": 1,
        "encoder": "transformer",
        "encoder_params": {"hidden_dims": 4, "depth": 1, "heads": 1, "ffn_dims": 4},
        "instance_norm": "standard",
        "intervals": "quantile",
    },
]
"""Two cheap sets for sktime's own checks."""


PANELS = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]


class SSCLForecaster(BaseForecaster):
    """Network trained on (1 - lambda) MSE + lambda contrast (arXiv 2306.12086).

    ``predict`` beyond the trained horizon feeds forecasts back. Prediction intervals are made so
    that they cover the held-out end of the series (the training windows when there are fewer than
    ten held-out ones; they are then too narrow), per variable and step; beyond the trained
    horizon those of its last step grow with the square root of the step. ``pretrain`` on a panel
    trains one network on all its series, and ``fit`` then goes on from its weights. A panel or
    hierarchy in ``fit`` gets one network a series, or one for all of them with ``pooled``.

    Parameters
    ----------
    context_length : int or None
        Steps of the past a forecast sees; None takes 48, or less when the series is short.
    horizon : int or None
        Steps forecast at once; None takes the largest of ``fh`` in ``fit`` (12 without), or less
        when the series is short.
    encoder : str
        Registered encoder. ``encoder_params``: its arguments.
    network_params : dict or None
        Further arguments of ForecastNetwork, such as ``{"output_dims": 64, "patch": 4}``.
    instance_norm : str
        ``none``, ``standard`` or ``last``: the window's own scale, undone on the forecast.
    contrast : str
        Contrast or loss by name. ``contrast_params``: its arguments.
    weight : float
        Lambda in [0, 1); 0 trains on the forecast error alone.
    max_epochs, patience, batch_size, lr :
        Training; stops after ``patience`` epochs without a better validation error.
    update_epochs : int
        Passes over the remembered series in ``update``.
    valid_share : float
        Share of the windows, the last ones, held out for early stopping and intervals.
    calendar : bool
        Calendar covariates for time-stamped series.
    intervals : str
        ``conformal``: split conformal, one symmetric width a step. ``quantile``: a quantile head
        on the window's code, so that the width follows the input, corrected in the same way.
    quantile_levels : tuple of float or None
        Levels of the quantile head; None takes .05 .1 .25 .5 .75 .9 .95.
    pooled : bool
        One network for all series of a panel or hierarchy, each in its own scale; the series must
        end at the same time.
    verbose : bool
        Show a progress bar.
    random_state : int, RandomState or None
        Seed of weights, batches and views, or what to draw it from; None takes a new one in
        every ``fit``.

    Examples
    --------
    >>> from sktime.datasets import load_airline
    >>> from tscl.estimators.sktime.forecaster import SSCLForecaster
    >>> model = SSCLForecaster(context_length=24, horizon=12, max_epochs=1, encoder="tcn")
    >>> forecast = model.fit(load_airline()).predict(fh=[1, 2, 24])
    >>> len(forecast)
    3
    """

    _config: ClassVar[dict[str, Any]] = {**BaseForecaster._config, "remember_data": True}
    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["tscl developers"],
        "maintainers": ["tscl developers"],
        "python_dependencies": ["torch"],
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:missing_values": False,
        "capability:non_contiguous_X": False,
        "capability:update": True,
        "capability:categorical_in_X": False,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "capability:pretrain": True,
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "requires-fh-in-fit": False,
        "X-y-must-have-same-index": True,
        "enforce_index_type": None,
    }

    network_: nn.Module

    def __init__(
        self,
        context_length: int | None = None,
        horizon: int | None = None,
        encoder: str = "transformer",
        encoder_params: dict[str, Any] | None = None,
        network_params: dict[str, Any] | None = None,
        instance_norm: str = "last",
        contrast: str = "hierarchical",
        contrast_params: dict[str, Any] | None = None,
        weight: float = 0.5,
        max_epochs: int = 20,
        patience: int = 5,
        batch_size: int = 16,
        lr: float = 1e-3,
        update_epochs: int = 1,
        valid_share: float = 0.2,
        calendar: bool = True,
        intervals: str = "conformal",
        quantile_levels: tuple[float, ...] | None = None,
        pooled: bool = False,
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.context_length = context_length
        self.horizon = horizon
        self.encoder = encoder
        self.encoder_params = encoder_params
        self.network_params = network_params
        self.instance_norm = instance_norm
        self.contrast = contrast
        self.contrast_params = contrast_params
        self.weight = weight
        self.max_epochs = max_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr
        self.update_epochs = update_epochs
        self.valid_share = valid_share
        self.calendar = calendar
        self.intervals = intervals
        self.quantile_levels = quantile_levels
        self.pooled = pooled
        self.verbose = verbose
        self.random_state = random_state
        with warnings.catch_warnings():
            # remember_data is set on purpose; sktime warns of its coming default all the same
            warnings.simplefilter("ignore", FutureWarning)
            super().__init__()
        if pooled:
            self.set_tags(y_inner_mtype=PANELS, X_inner_mtype=PANELS)

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle; the network goes as its configuration and weights."""
        state = self.__dict__.copy()
        network = state.pop("network_", None)
        if network is not None:
            state["_saved_network"] = (network.config(), network.state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_saved_network", None)
        self.__dict__.update(state)
        if saved is not None:
            network = ForecastNetwork(**saved[0])
            network.load_state_dict(saved[1])
            self.network_ = network.eval()

    def _check_X_y(self, X: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        check_frequency(y)
        try:
            return super()._check_X_y(X, y, *args, **kwargs)
        except ValueError:  # sktime does not say where
            check_missing("y", y)
            check_missing("X", X)
            check_covers(X, y)
            raise

    def _set_cutoff_from_y(self, y: Any) -> None:
        earlier = self.cutoff if self.is_fitted else None
        super()._set_cutoff_from_y(y)
        self._cutoff: pd.Index = cutoff_with_freq(self.cutoff, y, earlier)

    def _fit(self, y: pd.DataFrame, X: pd.DataFrame | None, fh: Any) -> SSCLForecaster:
        parts = checked_parts(y, X)
        check_forecaster(vars(self))
        self.seed_ = draw_seed(self.random_state)
        length, horizon = self._lengths(parts, fh)
        self.scalers_ = {key: FrameScaler.fit(one) for key, (one, _) in parts.items()}
        self.marks_ = Marks.fit_parts(list(parts.values()), calendar=self.calendar)
        network = self._network(y.shape[1], self.marks_.width, length, horizon)
        self.length_, self.horizon_ = length, horizon
        self.network_ = self._train(network, self._stretches(parts), self.max_epochs)
        return self

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> SSCLForecaster:
        known = self._y if self._y is not None else y
        check_ids("y", known, self.scalers_)
        if known.shape[1] != self.network_.channels:
            raise InputError(
                "y", [str(c) for c in known.columns], "update with the variables of fit"
            )
        columns = self.marks_.columns
        if X is None and columns and (self._X is None or not known.index.isin(self._X.index).all()):
            raise InputError("X", None, f"fitted with {list(columns)}; pass their new rows too")
        parts = checked_parts(known, self._covariates())
        shortest = min(len(one) for one, _ in parts.values())
        if update_params and self.update_epochs and shortest >= self.length_ + self.horizon_:
            self.network_ = self._train(self.network_, self._stretches(parts), self.update_epochs)
        return self

    def pretrain(self, y: Any, X: Any = None, fh: Any = None) -> SSCLForecaster:
        """Train on all series of a panel, with their covariates; ``fit`` goes on from there."""
        alone = self.get_tag("X_inner_mtype")
        self.set_tags(X_inner_mtype=PANELS)  # sktime takes a panel of y here, but would split X
        try:
            made: SSCLForecaster = super().pretrain(y, X=X, fh=fh)
        finally:
            self.set_tags(X_inner_mtype=alone)
        return made

    def _pretrain(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Any = None
    ) -> SSCLForecaster:
        parts = checked_parts(y, X)
        check_forecaster(vars(self))
        self.seed_ = draw_seed(self.random_state)
        earlier = getattr(self, "pretrained_", None)
        length, horizon = self._lengths(parts, fh) if earlier is None else earlier["lengths"]
        stretches = []
        for one, covariates in parts.values():
            marks = Marks.fit(one.index, covariates, calendar=self.calendar)
            values = FrameScaler.fit(one).apply(one)
            stretches.append((values, marks.make(one.index, covariates)))
        channels, width = stretches[0][0].shape[1], stretches[0][1].shape[1]
        network = self._network(channels, width, length, horizon)
        network = self._train(network, stretches, self.max_epochs)
        self.pretrained_ = {
            "config": network.config(),  # type: ignore[operator]
            "lengths": (length, horizon),
            "weights": {k: v.numpy().copy() for k, v in network.state_dict().items()},
        }
        return self

    def _stretches(self, parts: dict[Any, Part]) -> list[Stretch]:
        """Scaled values and covariates of every series."""
        return [
            (self.scalers_[key].apply(one), self.marks_.make(one.index, covariates))
            for key, (one, covariates) in parts.items()
        ]

    def _lengths(self, parts: dict[Any, Part], fh: Any) -> tuple[int, int]:
        """Context and horizon that fit the shortest series."""
        n_steps = min(len(one) for one, _ in parts.values())
        end = with_freq(next(iter(parts.values()))[0].index)[-1:]
        pretrained = getattr(self, "pretrained_", None)
        if pretrained is not None:
            length, horizon = pretrained["lengths"]
        else:
            horizon = 12 if self.horizon is None else self.horizon
            if self.horizon is None and fh is not None and fh.is_relative:
                horizon = max(1, int(np.max(horizon_steps(fh, end))))
            if self.horizon is None:
                horizon = min(horizon, max(1, n_steps // 4))
            length = self.context_length
            if length is None:
                length = min(48, max(1, n_steps - horizon - 8))
        if length < 1 or horizon < 1:
            raise InputError("context_length, horizon", (length, horizon), "use at least 1")
        if n_steps < length + horizon:
            raise InputError(
                "y",
                f"{n_steps} steps",
                f"context {length} and horizon {horizon} need {length + horizon}; "
                "pass more, or lower context_length or horizon",
            )
        return length, horizon

    def _network(self, channels: int, marks: int, length: int, horizon: int) -> nn.Module:
        pretrained = getattr(self, "pretrained_", None)
        if pretrained is not None:
            import torch

            config = pretrained["config"]
            if (config["channels"], config["marks"]) != (channels, marks):
                raise InputError(
                    "y, X",
                    (channels, marks),
                    f"pretrained on {config['channels']} variables and {config['marks']} "
                    "covariates (the calendar among them)",
                )
            network = ForecastNetwork(**config)
            network.load_state_dict(
                {k: torch.from_numpy(v.copy()) for k, v in pretrained["weights"].items()}
            )
            return network
        with seeded(self.seed_, "weights"):
            return ForecastNetwork(
                channels,
                horizon,
                marks=marks,
                encoder=self.encoder,
                encoder_params=self.encoder_params,
                input_length=length,
                instance_norm=self.instance_norm,  # type: ignore[arg-type]
                **(self.network_params or {}),
            )

    def _train(self, network: nn.Module, stretches: list[Stretch], epochs: int) -> nn.Module:
        trained, self.intervals_ = train_network(network, stretches, epochs, vars(self))
        return trained

    def _steps(self, fh: ForecastingHorizon) -> NDArray[np.int64]:
        """Relative steps of ``fh``, all ahead of the cutoff."""
        steps = horizon_steps(fh, self.cutoff)
        if len(steps) and steps.min() < 1:
            raise NotImplementedError("SSCLForecaster forecasts steps after the cutoff only")
        return steps

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None) -> pd.DataFrame:
        return self._join(
            {key: self._forecast(key, fh, X)[0] for key in self._known()},
            fh.to_absolute_index(self.cutoff),
            self._y.columns,
        )

    def _known(self) -> dict[Any, Part]:
        """The remembered series up to the cutoff, at which all must end."""
        return until(panel_parts(self._y, self._covariates()), self.cutoff[0])

    def _covariates(self) -> pd.DataFrame | None:
        """The remembered covariates, if the model takes any."""
        return None if self.marks_.columns is None else self._X

    def _join(
        self, made: dict[Any, NDArray[np.float64]], times: pd.Index, columns: pd.Index
    ) -> pd.DataFrame:
        """One frame of the values of every series at ``times``."""
        frames = {k: pd.DataFrame(v, index=times, columns=columns) for k, v in made.items()}
        return joined(frames, list(self._y.index.names))

    def _forecast(
        self, key: Any, fh: ForecastingHorizon, X: pd.DataFrame | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Forecast of one series at ``fh`` in its unit, and the code of every round's window."""
        check_ids("X", X, self.scalers_)
        steps = self._steps(fh)
        last = int(steps.max())
        y, past_x = self._known()[key]
        length, horizon, scaler = self.length_, self.horizon_, self.scalers_[key]
        if len(y) < length:
            raise InputError("y", f"{len(y)} steps", f"a forecast needs {length} of the past")
        check_index(y.index[-length:])
        n_rounds = -(-last // horizon)
        ahead = ForecastingHorizon(np.arange(1, n_rounds * horizon + 1), is_relative=True)
        times = ahead.to_absolute_index(self.cutoff)
        past_x = None if past_x is None else past_x.loc[y.index[-length:]]
        past = self.marks_.make(y.index[-length:], past_x)
        coming = None if self.marks_.columns is None else future_part(X, key)
        future = self.marks_.make(times, future_rows(coming, self.marks_.columns, times, last))
        both = np.concatenate([past, future])
        marks = both if both.shape[1] else None
        values = scaler.apply(y.iloc[-length:])
        origins = length - 1 + horizon * np.arange(n_rounds)
        for origin in origins:
            made = window_forecasts(self.network_, values, np.array([origin]), length, marks=marks)[
                0
            ]
            values = np.concatenate([values, made])
        codes = window_codes(self.network_, values, origins, length, marks=marks)
        return scaler.undo(values[length:][steps - 1]), codes

    def _predict_interval(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, coverage: list[float]
    ) -> pd.DataFrame:
        steps = self._steps(fh)
        names = self._get_varnames()
        columns = pd.MultiIndex.from_product([names, coverage, ["lower", "upper"]])
        rounds, at = np.divmod(steps - 1, self.horizon_)
        at = np.where(rounds > 0, self.horizon_ - 1, at)
        growth = np.sqrt(np.maximum(1.0, steps / self.horizon_))[:, None]
        made = {}
        for key in self._known():
            point, codes = self._forecast(key, fh, X)
            out = np.empty((len(steps), len(names), len(coverage), 2))
            for i, share in enumerate(coverage):
                for side, offset in enumerate(self.intervals_.bounds(share, codes)):
                    width = offset[rounds, at] * growth * self.scalers_[key].scale
                    out[:, :, i, side] = point + width
            made[key] = out.reshape(len(steps), -1)
        return self._join(made, fh.to_absolute_index(self.cutoff), columns)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Two cheap sets for sktime's own checks."""
        return deepcopy(TEST_PARAMS)
