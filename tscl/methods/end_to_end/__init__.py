"""Forecast error and contrastive terms trained together."""
