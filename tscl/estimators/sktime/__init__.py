"""Forecasters and transformers after sktime's extension contract."""
