"""Forecasting series: tables, time axes, splits and named sets."""
