"""Forecasting protocols: heads on embeddings, scores by horizon, baselines."""
