"""The UCI EEG recordings in COMET's processed format, for uci_eeg_public.yaml.

    python recipes/comet/uci_processed.py ../shared/data/uci-eeg-alcoholism data/UCI

A row of a subject's feature file is one trial of a second; ids 1 to 10 are alcoholic subjects, 11
to 20 controls, in the order of their names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data_loaders import load_uci_eeg, save_processed


def main() -> None:
    """Read a folder, write a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder of the .npz files")
    parser.add_argument("target", type=Path, help="folder of the processed format")
    options = parser.parse_args()
    data = load_uci_eeg(options.source, window=256, overlap=0.0, channels="scalp")
    save_processed(data, options.target)
    print(f"{len(data.X)} trials of {len(set(data.patient.tolist()))} subjects: {options.target}")


if __name__ == "__main__":
    main()
