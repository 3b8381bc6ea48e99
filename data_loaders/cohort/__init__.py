"""Generated patients, written as real WFDB and EDF files."""
