"""Encoders that come with the library: files, cards, and input that is brought into form."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.signal import resample_poly
from typer.testing import CliRunner

import tscl
from data_loaders import Recordings
from tscl.cli.app import app
from tscl.disk import sha256_of
from tscl.errors import InputError
from tscl.estimators.pretrained import HOME, load_pretrained, pretrained_names

NAMES = ("ecg-12lead", "ecg-1lead")
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def ecg(n=3, seconds=10.0, rate=500, channels=1, seed=0) -> np.ndarray:
    """Beats as narrow bumps at 60 to 100 a minute in mV, (n, steps, channels)."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    x = np.zeros((n, len(t), channels))
    for row in range(n):
        beats = np.arange(0.3, seconds, rng.uniform(0.6, 1.0))
        shape = sum(np.exp(-0.5 * ((t - b) / 0.015) ** 2) for b in beats)
        wave = sum(0.3 * np.exp(-0.5 * ((t - b - 0.25) / 0.05) ** 2) for b in beats)
        x[row] = shape[:, None] * rng.uniform(0.5, 1.5, channels)
        x[row] += wave[:, None] * rng.uniform(-1, 1, channels)
    return x


@pytest.fixture(scope="module")
def single():
    return load_pretrained("ecg-1lead")


@pytest.fixture(scope="module")
def twelve():
    return load_pretrained("ecg-12lead")


def near(a, b) -> float:
    """Largest distance between two sets of embeddings over the spread between signals."""
    return float(np.abs(a - b).max() / np.abs(a - a.mean(axis=0)).max())


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_whole_and_described(name):
    head = json.loads((HOME / name / "encoder.json").read_text(encoding="utf-8"))
    weights = HOME / name / head["weights"]
    assert sum(path.stat().st_size for path in weights.parent.iterdir()) < 2e6
    assert sha256_of(weights) == head["sha256"]
    card = load_pretrained(name).card
    assert {"name", "source", "licence", "attribution", "records"} <= set(card["data"])
    assert {"rate", "band", "leads", "standardize"} <= set(card["preprocessing"])
    assert (HOME.parents[1] / card["training"]["recipe"]).suffix == ".py"
    assert len(card["training"]["commit"]) == 40
    assert card["metrics"]


def test_names_and_commands():
    assert tuple(pretrained_names()) == NAMES
    listed = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["pretrained"]).output
    assert all(name in listed for name in NAMES)
    shown = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["pretrained", "ecg-1lead"]).output
    assert json.loads(shown) == tscl.load_pretrained("ecg-1lead").card
    with pytest.raises(InputError, match=r"name: got ecg-2lead; .*ecg-1"):
        load_pretrained("ecg-2lead")


def test_rate_and_unit_do_not_matter(single):
    x = ecg()
    z = single.embed(x, rate=500)
    assert z.shape == (3, single.encoder.output_dims)
    assert np.isfinite(z).all()
    lower = resample_poly(x, 1, 2, axis=1)
    assert near(z, single.embed(lower, rate=250)) < 0.05
    assert near(z, single.embed(1000 * x, rate=500, units="uV")) < 1e-3
    assert near(z, single.embed(list(x), rate=500)) < 1e-4
    assert near(z, single.embed(x[[1, 2, 0]], rate=500)) > 0.2


def test_recordings_bring_their_own_description(single):
    x = ecg()
    data = Recordings.from_arrays(x, 500.0, store="float32")
    z = single.embed(x, rate=500)
    assert near(z, single.embed(data)) < 1e-4
    ready = single.prepare(x, rate=500)
    assert (ready.sampling_rate, ready.lengths.tolist()) == (100.0, [1000] * 3)
    assert near(z, single.embed(ready)) < 1e-4
    with pytest.raises(InputError, match="recordings bring their own"):
        single.embed(data, rate=500)


def test_leads_are_put_in_order_and_limb_leads_computed(twelve):
    x = ecg(channels=12, seed=1)
    one, two = x[:, :, 0], x[:, :, 1]
    x[:, :, 2], x[:, :, 3] = two - one, -(one + two) / 2
    x[:, :, 4], x[:, :, 5] = one - two / 2, two - one / 2
    z = twelve.embed(x, rate=500, channels=LEADS)
    turned = [name.upper() for name in LEADS[::-1]]
    assert near(z, twelve.embed(x[:, :, ::-1], rate=500, channels=turned)) < 1e-4
    kept = [0, 1, *range(6, 12)]
    fewer = twelve.embed(x[:, :, kept], rate=500, channels=[LEADS[k] for k in kept])
    assert near(z, fewer) < 1e-3
    assert near(z, twelve.embed(x[:, :, ::-1], rate=500, channels=LEADS)) > 0.1


def test_single_lead_is_chosen_by_name(single):
    x = ecg(channels=3)
    z = single.embed(x[:, :, 1:2], rate=500)
    assert near(z, single.embed(x, rate=500, channels=["II", "I", "V1"])) < 1e-4
    with pytest.raises(InputError, match=r"lead ECG or I is missing.*pass the one lead alone"):
        single.embed(x, rate=500, channels=["II", "III", "V1"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rate": None}, "rate: got None; give the sampling rate"),
        ({"rate": 50}, "rate: got 50; give signals of at least 100 Hz"),
        ({"units": "adu"}, "units: got adu; give a unit of voltage"),
        ({"units": "V"}, r"signals\[0\]: .*; give units="),
        ({"channels": None}, "channels: got None; name the 12 channels"),
        ({"channels": LEADS[:11]}, "name each of the 12 channels once"),
        ({"channels": [*LEADS[:11], "V7"]}, "lead V6 is missing"),
    ],
)
def test_refused_by_name(twelve, change, match):
    options = {"rate": 500, "channels": LEADS, **change}
    with pytest.raises(InputError, match=match):
        twelve.embed(ecg(n=1, channels=12), **options)


def test_signals_that_cannot_be_used(single):
    flat, gap, short = ecg(n=1), ecg(n=1), ecg(n=1)[:, :300]
    flat[:] = 0.0
    gap[0, 1000:2000] = np.nan
    for x, match in ((flat, "flat"), (gap, "gap"), (short, "at least 1 s")):
        with pytest.raises(InputError, match=match):
            single.embed(x, rate=500)
    with pytest.raises(InputError, match="n_samples, n_timesteps, n_channels"):
        single.embed(ecg(n=1)[0], rate=500)
    with pytest.raises(InputError, match="at least one"):
        single.embed([], rate=500)
