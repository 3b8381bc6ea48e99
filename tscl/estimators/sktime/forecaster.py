"""The end-to-end contrastive forecaster as an sktime estimator."""

from __future__ import annotations

import sys
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
from tscl.errors import ConfigError, InputError, check_choice, is_number, is_whole
from tscl.estimators.inputs import draw_seed
from tscl.estimators.sktime.defaults import describe, network_settings, training_settings
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
    check_readable,
    checked_parts,
    cutoff_with_freq,
    future_part,
    future_rows,
    horizon_steps,
    joined,
    own_cutoff,
    panel_parts,
    until,
    with_freq,
)
from tscl.estimators.sktime.training import joined_data, train_network
from tscl.evaluation.forecasting.coverage import window_spread
from tscl.forecasters.choices import choose_past, held_out, past_candidates, season_lengths
from tscl.forecasters.direct_heads import HEADS
from tscl.forecasters.intervals import AdaptiveIntervals, check_levels, window_embeddings
from tscl.forecasters.network import ForecastNetwork, check_network_params
from tscl.forecasters.training import window_length
from tscl.forecasters.window_data import WindowData
from tscl.seeding import seeded
from tscl.training.settings import DEVICES

INTERVALS = ("adaptive", "conformal", "quantile")
MOST_NEW = 500
"""Windows since the last training whose errors adaptive intervals look back on."""
OPEN_NUMBERS: dict[str, int | None] = {
    "context_length": None,
    "horizon": None,
    "max_epochs": 0,
    "finetune_epochs": 0,
    "max_steps": 1,
    "batch_size": 1,
    "stride": 1,
    "valid_blocks": 1,
}
"""Whole numbers that may be left open (None), and their least value where it is checked here."""


def check_forecaster(options: Mapping[str, Any]) -> None:
    """Raise ConfigError or InputError for a setting of the forecaster that cannot be used."""
    _check_numbers(options)
    _check_names(options)
    for name, names in (("intervals", INTERVALS), ("head", HEADS), ("device", DEVICES)):
        check_choice(name, options[name], names, error=ConfigError)
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
    for name, least in OPEN_NUMBERS.items():
        if options[name] is not None:
            _whole(name, options[name], least)
    for name in ("update_epochs", "patience"):
        _whole(name, options[name], 0)
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
    if not isinstance(options["encoder"], str | None):
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
        "instance_norm": "last",
        "weight": 0.0,
        "head": "network",
    },
    _TINY
    | {
        "horizon": 1,
        "encoder": "transformer",
        "encoder_params": {"hidden_dims": 4, "depth": 1, "heads": 1, "ffn_dims": 4},
        "weight": 0.5,
        "instance_norm": "standard",
        "intervals": "quantile",
        "head": "ridge",
    },
]
"""Two cheap sets for sktime's own checks."""


PANELS = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]


class SSCLForecaster(BaseForecaster):
    """Network trained on (1 - lambda) MSE + lambda contrast (arXiv 2306.12086), and heads on it.

    What is left open (None or ``auto``) is chosen by length, frequency and held-out windows, and
    stands in ``settings_``. ``predict`` beyond the trained horizon feeds forecasts back. Steps up
    to the cutoff are forecast one step ahead from the window before them, by a model that was
    trained on them; before the first whole window the first value stands in for the missing past.
    Prediction intervals are made so that they cover the held-out windows (the training windows
    when there are fewer than ten held-out ones; they are then too narrow), per variable and step;
    beyond the trained horizon those of its last step grow with the square root of the step.
    ``pretrain`` on a panel trains one network on all its series, and ``fit`` then goes on from its
    weights. A panel or hierarchy in ``fit`` gets one network a series, or one for all of them with
    ``pooled``.

    Parameters
    ----------
    context_length : int or None
        Steps of the past a forecast sees; None tries one and two days, weeks or years (as far as
        they are 2 to 400 steps) by a ridge on lags.
    horizon : int or None
        Steps forecast at once; None takes the largest of ``fh`` in ``fit`` (12 without), or less
        when the series is short.
    encoder : str or None
        Registered encoder; None is a small ``dilated`` one.
    encoder_params : dict or None
        Its arguments.
    network_params : dict or None
        Further arguments of ForecastNetwork, such as ``{"output_dims": 64, "patch": 4}``; None with
        no ``encoder`` is a small network on patches beside a linear map of the past.
    instance_norm : str
        ``none``, ``standard`` or ``last``: the window's own scale, undone on the forecast;
        ``auto`` takes what helps a ridge on lags.
    contrast : str
        Contrast or loss by name.
    contrast_params : dict or None
        Its arguments.
    weight : float
        Lambda in [0, 1); 0 trains on the forecast error alone.
    max_epochs : int or None
        Passes over the windows; None bounds training to about 800 steps.
    max_steps : int or None
        Optimiser steps at most.
    patience : int
        Stops after so many epochs without a better validation error.
    batch_size : int or None
        Windows of a step; None fits it to the length of the series.
    stride : int or None
        Steps between training windows; None chooses it.
    lr : float
        Learning rate.
    update_epochs : int
        Passes over the remembered series in ``update``.
    valid_share : float
        Share of the windows held out for early stopping, choices and intervals.
    valid_blocks : int or None
        Blocks they are taken from, each at the end of its part of the series; 1 takes the last
        windows, None up to five where they are long enough.
    finetune_epochs : int or None
        Passes of ``fit`` over the windows after ``pretrain``; 0 leaves the network as it is and
        fits the head alone, None takes ``max_epochs``.
    head : str
        ``network``: its own decoder. ``ridge`` and ``boosting`` (gradient boosting of what the
        ridge leaves over) see the window's lags, the covariates and the embedding together;
        ``trees`` is boosting of lags and covariates alone. ``auto``: the mean of
        all, with ridges of all candidate pasts, a linear map stopped early and the naive forecast,
        weighted by inverse held-out errors.
    calendar : bool
        Calendar covariates for time-stamped series.
    intervals : str
        ``adaptive``: conformal, in the window's own spread, with widths that follow the errors seen
        after ``fit`` up to the cutoff (adaptive conformal inference). ``conformal``:
        split conformal, one symmetric width a step. ``quantile``: a quantile head on the window's
        embedding, so that the width follows the input, corrected in the same way.
    quantile_levels : tuple of float or None
        Levels of the quantile head; None takes .05 .1 .25 .5 .75 .9 .95.
    pooled : bool
        One network for all series of a panel or hierarchy, each in its own scale. A series that
        ends early is forecast from its own end on; one that ``fit`` has not seen is taken up by
        ``update(..., update_params=False)``.
    device : str
        ``cpu``, ``cuda``, ``mps``, ``gpu`` or ``auto``: where the network is trained.
    verbose : bool
        Print what was chosen, and show a progress bar.
    random_state : int, RandomState or None
        Seed of weights, batches and views, or what to draw it from; None takes a new one in
        every ``fit``.

    Attributes
    ----------
    settings_ : dict
        Every setting in use, and the held-out errors it was chosen by.

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
        "capability:insample": True,
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
        encoder: str | None = None,
        encoder_params: dict[str, Any] | None = None,
        network_params: dict[str, Any] | None = None,
        instance_norm: str = "auto",
        contrast: str = "hierarchical",
        contrast_params: dict[str, Any] | None = None,
        weight: float = 0.0,
        max_epochs: int | None = None,
        max_steps: int | None = None,
        patience: int = 5,
        batch_size: int | None = None,
        stride: int | None = None,
        lr: float = 1e-3,
        update_epochs: int = 1,
        valid_share: float = 0.2,
        valid_blocks: int | None = None,
        finetune_epochs: int | None = None,
        head: str = "auto",
        calendar: bool = True,
        intervals: str = "adaptive",
        quantile_levels: tuple[float, ...] | None = None,
        pooled: bool = False,
        device: str = "cpu",
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
        self.max_steps = max_steps
        self.patience = patience
        self.batch_size = batch_size
        self.stride = stride
        self.lr = lr
        self.update_epochs = update_epochs
        self.valid_share = valid_share
        self.valid_blocks = valid_blocks
        self.finetune_epochs = finetune_epochs
        self.head = head
        self.calendar = calendar
        self.intervals = intervals
        self.quantile_levels = quantile_levels
        self.pooled = pooled
        self.device = device
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
        except (TypeError, ValueError):  # sktime does not say where
            for field, data in (("y", y), ("X", X)):
                if data is not None:
                    check_readable(field, data)
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
        self.scalers_ = {key: FrameScaler.fit(frame) for key, (frame, _) in parts.items()}
        self.marks_ = Marks.fit_parts(list(parts.values()), calendar=self.calendar)
        self._choose(parts, self._stretches(parts), fh)
        network = self._network(y.shape[1], self.marks_.width)
        epochs = self.settings_["max_epochs"]
        if getattr(self, "pretrained_", None) is not None and self.finetune_epochs is not None:
            epochs = self.settings_["max_epochs"] = self.finetune_epochs
        self.network_ = self._train(network, parts, epochs)
        return self

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> SSCLForecaster:
        known = self._y if self._y is not None else y
        if known.shape[1] != self.network_.channels:
            raise InputError(
                "y", [str(c) for c in known.columns], "update with the variables of fit"
            )
        columns = self.marks_.columns
        if X is None and columns and (self._X is None or not known.index.isin(self._X.index).all()):
            raise InputError("X", None, f"fitted with {list(columns)}; pass their new rows too")
        parts = checked_parts(known, self._covariates())
        for key in parts.keys() - self.scalers_.keys():  # a series that fit has not seen
            self.scalers_[key] = FrameScaler.fit(parts[key][0])
        shortest = min(len(frame) for frame, _ in parts.values())
        if update_params and self.update_epochs and shortest >= self.length_ + self.horizon_:
            self.network_ = self._train(self.network_, parts, self.update_epochs)
        return self

    def pretrain(self, y: Any, X: Any = None, fh: Any = None) -> SSCLForecaster:
        """Train on all series of a panel, with their covariates; ``fit`` goes on from there."""
        alone = self.get_tag("X_inner_mtype")
        self.set_tags(X_inner_mtype=PANELS)  # sktime takes a panel of y here, but would split X
        try:
            result: SSCLForecaster = super().pretrain(y, X=X, fh=fh)
        finally:
            self.set_tags(X_inner_mtype=alone)
        return result

    def _pretrain(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: Any = None
    ) -> SSCLForecaster:
        parts = checked_parts(y, X)
        check_forecaster(vars(self))
        self.seed_ = draw_seed(self.random_state)
        stretches = []
        for frame, covariates in parts.values():
            marks = Marks.fit(frame.index, covariates, calendar=self.calendar)
            values = FrameScaler.fit(frame).apply(frame)
            stretches.append((values, marks.make(frame.index, covariates)))
        channels, width = stretches[0][0].shape[1], stretches[0][1].shape[1]
        self._choose(parts, stretches, fh)
        network = self._network(channels, width)
        options = vars(self) | self.settings_ | {"head": "network", "n_known": 0}
        network = train_network(network, stretches, self.settings_["max_epochs"], options).network
        self.pretrained_ = {
            "config": network.config(),  # type: ignore[operator]
            "lengths": (self.settings_["context_length"], self.horizon_),
            "weights": {k: v.numpy().copy() for k, v in network.state_dict().items()},
        }
        return self

    def _stretches(self, parts: dict[Any, Part]) -> list[Stretch]:
        """Scaled values and covariates of every series."""
        return [
            (self.scalers_[key].apply(frame), self.marks_.make(frame.index, covariates))
            for key, (frame, covariates) in parts.items()
        ]

    def _choose(self, parts: dict[Any, Part], stretches: list[Stretch], fh: Any) -> None:
        """Set ``settings_``, ``length_`` and ``horizon_``: what was asked for, else what fits."""
        lengths = [len(frame) for frame, _ in parts.values()]
        n_steps, first = min(lengths), next(iter(parts.values()))[0]
        index = with_freq(first.index)
        seasons = season_lengths(index, first.to_numpy(np.float64))
        pretrained = getattr(self, "pretrained_", None)
        norm = self.instance_norm
        errors: dict[str, float] = {}
        if pretrained is not None:
            length, horizon = pretrained["lengths"]
            tried = [length]
            norm = pretrained["config"]["instance_norm"]
        else:
            horizon = self._asked_horizon(fh, index[-1:], n_steps)
            length = self.context_length
            tried = [length] if length is not None else past_candidates(seasons, n_steps, horizon)
            self._check_lengths(tried[0], horizon, n_steps)
            if len(tried) > 1 or norm == "auto":
                data = joined_data(stretches, max(tried), horizon)
                share, blocks = self.valid_share, self.valid_blocks
                length, fitting, past = choose_past(tried, data, lengths, share, blocks)
                norm = fitting if norm == "auto" else norm
                errors = {f"ridge on {steps} lags": error for steps, error in past.items()}
        self._check_lengths(length, horizon, n_steps)
        pasts = tuple(tried) if self.head == "auto" else (length,)
        self.length_, self.horizon_ = int(max(length, *pasts)), int(horizon)
        share, blocks = self.valid_share, self.valid_blocks
        n_windows = len(held_out(lengths, length, horizon, share, blocks)[0])
        open_network = self.encoder is None and not self.encoder_params
        small = network_settings(length, horizon, sum(lengths))
        self.settings_: dict[str, Any] = {
            "context_length": int(length),
            "pasts": pasts,
            "horizon": self.horizon_,
            "seasons": seasons,
            "encoder": self.encoder or small["encoder"],
            "encoder_params": small["encoder_params"] if open_network else self.encoder_params,
            "network_params": self.network_params,
            "instance_norm": "last" if norm == "auto" else norm,
            **training_settings(n_windows, vars(self)),
            "errors": errors,
        }
        if self.network_params is None and self.encoder is None:
            self.settings_["network_params"] = small["network_params"]

    def _asked_horizon(self, fh: Any, end: pd.Index, n_steps: int) -> int:
        """The horizon set, or that of ``fh``, or 12, as far as the series allows."""
        if self.horizon is not None:
            return self.horizon
        horizon = 12
        if fh is not None and fh.is_relative:
            horizon = max(1, int(np.max(horizon_steps(fh, end))))
        return min(horizon, max(1, n_steps // 4))

    @staticmethod
    def _check_lengths(length: int, horizon: int, n_steps: int) -> None:
        if length < 1 or horizon < 1:
            raise InputError("context_length, horizon", (length, horizon), "use at least 1")
        if n_steps < length + horizon:
            raise InputError(
                "y",
                f"{n_steps} steps",
                f"context {length} and horizon {horizon} need {length + horizon}; "
                "pass more, or lower context_length or horizon",
            )

    def _network(self, channels: int, marks: int) -> nn.Module:
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
                self.horizon_,
                marks=marks,
                encoder=self.settings_["encoder"],
                encoder_params=self.settings_["encoder_params"],
                input_length=self.settings_["context_length"],
                instance_norm=self.settings_["instance_norm"],
                **(self.settings_["network_params"] or {}),
            )

    def _train(self, network: nn.Module, parts: dict[Any, Part], epochs: int) -> nn.Module:
        """Train on the series; sets head, intervals, and up to where each series was seen."""
        known = {"head": self.head, "n_known": len(self.marks_.columns or ())}
        options = vars(self) | self.settings_ | known
        result = train_network(network, self._stretches(parts), epochs, options)
        self.head_, self.intervals_ = result.head, result.intervals
        self.settings_["errors"] |= result.head.errors
        self.settings_["head"] = result.head.kind
        self.seen_ = {key: len(frame) for key, (frame, _) in parts.items()}
        if self.verbose:
            sys.stderr.write(f"SSCLForecaster: {describe(self.settings_)}\n")
        return result.network

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None) -> pd.DataFrame:
        result = {}
        for key, (y, _) in self._known().items():
            _, behind = own_cutoff(y.index, self.cutoff)
            steps = horizon_steps(fh, self.cutoff) + behind
            values = np.empty((len(steps), self._y.shape[1]))
            ahead = steps > 0
            if ahead.any():
                values[ahead] = self._forecast(key, steps[ahead], X)[0]
            if not ahead.all():
                values[~ahead] = self._one_ahead(key, steps[~ahead])
            result[key] = values
        return self._join(result, fh.to_absolute_index(self.cutoff), self._y.columns)

    def _one_ahead(self, key: Any, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Forecasts of steps up to the series' end (0), each from the window that ends before."""
        y, X = self._known()[key]
        length, horizon = self.length_, self.horizon_
        at = len(y) - 1 + steps
        if at.min() < 0:
            raise InputError("fh", int(steps.min()), f"the series has {len(y)} steps")
        first = max(0, int(at.min()) - length)
        tail = y.iloc[first:]
        values = np.pad(self.scalers_[key].apply(tail), ((length, 0), (0, 0)), mode="edge")
        marks = self.marks_.make(tail.index, None if X is None else X.loc[tail.index])
        marks = np.pad(marks, ((length, horizon), (0, 0)), mode="edge")
        data = self._data(values, marks)
        forecasts = self.head_.forecast(self.network_, data, at - first + length - 1)
        return self.scalers_[key].undo(forecasts[:, 0])

    def _data(self, values: NDArray[np.float32], marks: NDArray[np.float32]) -> WindowData:
        known = marks if marks.shape[1] else None
        n_known, seasons = len(self.marks_.columns or ()), self.settings_["seasons"]
        length, horizon = self.length_, self.horizon_
        return WindowData(values, known, length, horizon, seasons, n_known=n_known)

    def _known(self) -> dict[Any, Part]:
        """The remembered series up to the cutoff."""
        return until(panel_parts(self._y, self._covariates()), self.cutoff[0])

    def _covariates(self) -> pd.DataFrame | None:
        """The remembered covariates, if the model takes any."""
        return None if self.marks_.columns is None else self._X

    def _join(
        self, result: dict[Any, NDArray[np.float64]], times: pd.Index, columns: pd.Index
    ) -> pd.DataFrame:
        """One frame of the values of every series at ``times``."""
        frames = {k: pd.DataFrame(v, index=times, columns=columns) for k, v in result.items()}
        return joined(frames, list(self._y.index.names))

    def _forecast(
        self, key: Any, steps: NDArray[np.int64], X: pd.DataFrame | None
    ) -> tuple[NDArray[np.float64], WindowData]:
        """Forecast of one series ``steps`` after its end in its unit, and all rounds' windows."""
        check_ids("X", X, self.scalers_)
        last = int(steps.max())
        y, past_x = self._known()[key]
        length, horizon, scaler = self.length_, self.horizon_, self.scalers_[key]
        if len(y) < length:
            raise InputError("y", f"{len(y)} steps", f"a forecast needs {length} of the past")
        check_index(y.index[-length:])
        n_rounds = -(-last // horizon)
        ahead = ForecastingHorizon(np.arange(1, n_rounds * horizon + 1), is_relative=True)
        times = ahead.to_absolute_index(own_cutoff(y.index, self.cutoff)[0])
        past_x = None if past_x is None else past_x.loc[y.index[-length:]]
        past = self.marks_.make(y.index[-length:], past_x)
        coming = None if self.marks_.columns is None else future_part(X, key)
        future = self.marks_.make(times, future_rows(coming, self.marks_.columns, times, last))
        marks = np.concatenate([past, future])
        values = scaler.apply(y.iloc[-length:])
        for origin in length - 1 + horizon * np.arange(n_rounds):
            data = self._data(values, marks)
            forecast = self.head_.forecast(self.network_, data, np.array([origin]))[0]
            values = np.concatenate([values, forecast])
        return scaler.undo(values[length:][steps - 1]), self._data(values, marks)

    def _predict_interval(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, coverage: list[float]
    ) -> pd.DataFrame:
        steps = horizon_steps(fh, self.cutoff)
        if len(steps) and steps.min() < 1:
            raise NotImplementedError("SSCLForecaster has intervals after the cutoff only")
        names = self._get_varnames()
        columns = pd.MultiIndex.from_product([names, coverage, ["lower", "upper"]])
        result = {}
        for key, (y, _) in self._known().items():
            own = steps + own_cutoff(y.index, self.cutoff)[1]
            rounds, at = np.divmod(own - 1, self.horizon_)
            at = np.where(rounds > 0, self.horizon_ - 1, at)
            growth = np.sqrt(np.maximum(1.0, own / self.horizon_))[:, None]
            point, data = self._forecast(key, own, X)
            origins = self.length_ - 1 + self.horizon_ * np.arange(int(rounds.max()) + 1)
            length = window_length(self.network_, data)
            embeddings = window_embeddings(
                self.network_, data.values, origins, length, marks=data.marks
            )
            unit = self.scalers_[key].scale
            intervals = self.intervals_
            if isinstance(intervals, AdaptiveIntervals):
                intervals = self._with_new_errors(key, intervals, data)
                unit = unit * window_spread(data.past(origins[:1]))[0]
            out = np.empty((len(steps), len(names), len(coverage), 2))
            for i, share in enumerate(coverage):
                for side, offset in enumerate(intervals.bounds(share, embeddings)):
                    out[:, :, i, side] = point + offset[rounds, at] * growth * unit
            result[key] = out.reshape(len(steps), -1)
        return self._join(result, fh.to_absolute_index(self.cutoff), columns)

    def _with_new_errors(
        self, key: Any, intervals: AdaptiveIntervals, ahead: WindowData
    ) -> AdaptiveIntervals:
        """The intervals after what came since the model was trained; ``ahead``: of the forecast."""
        y, X = self._known()[key]
        horizon, length = self.horizon_, self.length_
        first = max(self.seen_.get(key, 0) - 1, length - 1, len(y) - horizon - MOST_NEW)
        origins = np.arange(first, len(y) - 1)
        if not len(origins):
            return intervals
        tail = y.iloc[first - length + 1 :]
        coming = np.full((horizon, y.shape[1]), np.nan, np.float32)
        values = np.concatenate([self.scalers_[key].apply(tail), coming])
        marks = self.marks_.make(tail.index, None if X is None else X.loc[tail.index])
        if ahead.marks is not None:
            marks = np.concatenate([marks, ahead.marks[length : length + horizon]])
        data = self._data(values, marks)
        at = origins - first + length - 1
        errors = data.future(at) - self.head_.forecast(self.network_, data, at)
        return intervals.followed_by(errors, window_spread(data.past(at)))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Two cheap sets for sktime's own checks."""
        return deepcopy(TEST_PARAMS)
