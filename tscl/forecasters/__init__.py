"""End-to-end forecasters: networks, windows, training strategies."""

from tscl.forecasters.informer import InformerForecaster
from tscl.forecasters.intervals import ConformalIntervals, QuantileHead, QuantileIntervals
from tscl.forecasters.network import ForecastNetwork
from tscl.forecasters.simple_networks import DLinear, patch_transformer
from tscl.forecasters.strategies import STRATEGIES, StrategySettings, run_strategy
from tscl.forecasters.windows import WindowSource, window_forecasts

__all__ = [
    "STRATEGIES",
    "ConformalIntervals",
    "DLinear",
    "ForecastNetwork",
    "InformerForecaster",
    "QuantileHead",
    "QuantileIntervals",
    "StrategySettings",
    "WindowSource",
    "patch_transformer",
    "run_strategy",
    "window_forecasts",
]
