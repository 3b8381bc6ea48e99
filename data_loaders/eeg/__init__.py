"""EEG recordings to windows."""
