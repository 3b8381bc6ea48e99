"""WFDB records to beats and windows."""
