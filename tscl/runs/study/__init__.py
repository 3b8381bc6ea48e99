"""Studies of strategies, backbones and horizons, and backtests."""
