"""The forecasting job."""
