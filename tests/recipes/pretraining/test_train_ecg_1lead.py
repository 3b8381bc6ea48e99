"""The recipe from the challenge's files to a saved encoder."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders import load_cinc2017
from recipes.pretraining import train_ecg_1lead
from tests.data_loaders.wfdb_files import bumps
from tscl.evaluation.recordings import embed_recordings
from tscl.saving.encoder import load_encoder


@pytest.fixture
def root(tmp_path):
    """Six records as the challenge stores them: 16-bit values behind 24 bytes."""
    folder = tmp_path / "set" / "training"
    folder.mkdir(parents=True)
    for k in range(6):
        whole = np.rint(1000 * bumps(1, 12.0 + 4 * k, 300.0, 0.7 + 0.05 * k, k)[0]).astype("<i2")
        (folder / f"A{k}.mat").write_bytes(bytes(24) + whole.tobytes())
        check = int(whole.astype(np.int64).sum() + 32768) % 65536 - 32768
        (folder / f"A{k}.hea").write_text(
            f"A{k} 1 300 {len(whole)}\nA{k}.mat 16+24 1000/mV 16 0 {whole[0, 0]} {check} 0 ECG\n"
        )
    lines = [f"A{k},{'NA'[k % 2]}\n" for k in range(6)]
    (tmp_path / "set" / "REFERENCE.csv").write_text("".join(lines))
    return tmp_path / "set"


def test_the_saved_encoder_embeds_recordings(root, tmp_path):
    train_ecg_1lead.main(root, tmp_path / "out", epochs=1)
    encoder, card = load_encoder(tmp_path / "out" / "weights")
    assert card["data"]["records"] == 6
    assert card["training"]["settings"]["max_epochs"] == 1
    data = load_cinc2017(root, band=train_ecg_1lead.BAND).standardize()
    z = embed_recordings(encoder, data)
    assert z.shape == (6, 384 + 83)
    assert np.isfinite(z).all()
    assert (z.std(axis=0) > 0).mean() > 0.8
