"""Exported encoders give the encoder's embeddings in onnxruntime and as torch programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from tests.rounding import rounding
from tscl.cli.app import app
from tscl.encoders import ENCODERS
from tscl.encoders.base import Encoder
from tscl.errors import InputError
from tscl.estimators import ContrastiveClassifier, ContrastiveTransformer
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.evaluation.clinical.fitted import FittedClassifier
from tscl.evaluation.probes.classifiers import fit_partial
from tscl.saving import export
from tscl.saving.encoder import save_encoder
from tscl.saving.export import export_encoder
from tscl.seeding import seeded

SMALL = {
    "dilated": {"hidden_dims": 8, "depth": 2},
    "cost": {"hidden_dims": 8, "depth": 2, "kernels": [1, 4]},
    "tcn": {"hidden_dims": 8, "depth": 2},
    "lstm": {"hidden_dims": 8, "depth": 1},
    "transformer": {"hidden_dims": 8, "depth": 1, "heads": 2},
    "informer": {"hidden_dims": 8, "depth": 1, "heads": 2},
    "resnet1d": {"widths": [6, 8], "strides": [1, 2], "stem_layers": 3},
    "inception_time": {"filters": 3, "depth": 3, "kernels": [5, 9], "stem_stride": 3},
    "eegnet": {"filters": 2, "kernel_size": 8, "pool1": 2, "pool2": 3},
    "experts": {"backbone": "tcn", "backbone_params": {"hidden_dims": 8, "depth": 1}},
}


def build(name: str, **params) -> Encoder:
    with seeded(0):
        made = ENCODERS.build(name, input_dims=2, output_dims=4, **(SMALL[name] | params))
    return made.eval()


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"informer"}))
def test_onnxruntime_gives_the_encoder_s_embeddings(tmp_path, name):
    """Also for other numbers of samples and steps and with missing values, as the file declares."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder = build(name)
    made = export_encoder(encoder, tmp_path / "e.onnx", length=8)
    assert made.dynamic == ("batch", "time")
    session = onnxruntime.InferenceSession(str(made.path))
    time = "steps" if encoder.stride > 1 else "time"
    assert session.get_inputs()[0].shape == ["batch", "time", 2]
    assert session.get_outputs()[0].shape == ["batch", time, 4]
    for batch, steps in ((1, 8), (7, 30), (3, 5)):
        x = np.random.default_rng(1).normal(size=(batch, steps, 2)).astype(np.float32)
        x[-1, 2, 0] = np.nan
        found = session.run(["embeddings"], {"x": x})[0]
        with torch.no_grad():
            wanted = encoder(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["encoder"] == name


class OfOneLength(Encoder):
    """Weighs every step by a weight of its own, so that the steps are fixed."""

    name = "of_one_length"
    input_dims, output_dims, causal, receptive_field = 2, 2, False, 8

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0, 1, 8))

    def forward(self, x, mask=None):
        return torch.nan_to_num(x) * self.weight[:, None]


def test_a_file_declares_as_fixed_what_is_fixed(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    made = export_encoder(OfOneLength(), tmp_path / "e.onnx", length=8)
    assert made.dynamic == ("batch",)
    session = onnxruntime.InferenceSession(str(made.path))
    assert session.get_inputs()[0].shape == ["batch", 8, 2]
    assert session.get_outputs()[0].shape == ["batch", 8, 2]


@pytest.mark.parametrize("name", ["dilated", "resnet1d", "inception_time", "eegnet"])
def test_a_torch_program_gives_the_encoder_s_embeddings(tmp_path, name):
    encoder = build(name)
    made = export_encoder(encoder, tmp_path / "e.pt2", "torch-export", length=8)
    assert made.dynamic == ("batch", "time")
    run = torch.export.load(str(made.path)).module()
    x = torch.randn(5, 19, 2, generator=torch.Generator().manual_seed(0))
    atol = rounding([64] * 10, encoder(x).detach())
    torch.testing.assert_close(run(x), encoder(x), rtol=0, atol=atol)


def test_the_path_for_export_is_the_same_map_with_the_same_gradient():
    """The convolution used while tracing, in float64, causal or not, against the usual one."""
    from tscl.encoders.convolution import _one_convolution, shifted_conv

    draw = torch.Generator().manual_seed(0)
    for causal, kernel in ((True, 4), (False, 3)):
        x, w, b = (
            torch.randn(*shape, generator=draw, dtype=torch.float64)
            for shape in ((20, 3, 2), (kernel, 2, 5), (5,))
        )
        for dilation in (1, 4, 32):
            torch.testing.assert_close(
                _one_convolution(x, w, b, dilation, causal),
                shifted_conv(x, w, b, dilation=dilation, causal=causal),
            )


def test_an_encoder_that_draws_keys_at_random_is_refused(tmp_path):
    """ProbSparse attention: a file would draw other keys than the encoder."""
    with pytest.raises(InputError) as caught:
        export_encoder(build("informer"), tmp_path / "e.pt2", "torch-export", length=32)
    assert caught.value.field == "encoder"
    assert "informer" in str(caught.value)
    # torch 2.6 cannot trace a generator, later versions draw other keys
    assert "random" in str(caught.value) or "Generator" in str(caught.value)
    assert not (tmp_path / "e.pt2").exists()


class Branching(Encoder):
    """Depends on a value, which no graph can hold."""

    input_dims, output_dims, causal, receptive_field = 2, 2, True, 1

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, mask=None):
        return self.layer(x) if float(x[0, 0, 0]) > 0 else -self.layer(x)


def test_an_encoder_that_cannot_be_traced_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Branching.*cannot trace"):
        export_encoder(Branching(), tmp_path / "e.pt2", "torch-export")


def test_a_file_with_other_embeddings_is_not_handed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_torch_runner", lambda path: lambda x: np.zeros((2, 8, 4), "f4"))
    with pytest.raises(InputError, match="other embeddings"):
        export_encoder(build("dilated"), tmp_path / "e.pt2", "torch-export", length=8)
    assert not (tmp_path / "e.pt2").exists()


def test_command_line_exports_a_model_of_a_run(tmp_path):
    save_encoder(tmp_path / "run/models/comet/fold0", build("dilated"))
    save_encoder(tmp_path / "run/models/ts2vec/fold0", build("dilated"))
    words = ["export", "--run", str(tmp_path / "run"), "--format", "torch-export", "--length", "8"]
    several = CliRunner().invoke(app, words)
    assert several.exit_code == 2
    assert "comet/fold0, ts2vec/fold0" in " ".join(several.output.split())
    out = tmp_path / "embeddings.pt2"
    done = CliRunner().invoke(app, [*words, "--model", "comet/fold0", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.is_file()
    assert "batch, time" in done.output
    wrong = CliRunner().invoke(app, [*words, "--model", "comet/fold0", "--out", "embeddings.onnx"])
    assert wrong.exit_code == 2
    assert json.loads((tmp_path / "run/models/comet/fold0/encoder.json").read_text())


@pytest.mark.parametrize("where", ["model", "model/transformer"])
def test_command_line_exports_the_encoder_of_a_saved_estimator(tmp_path, where):
    save_encoder(tmp_path / where, build("dilated"))
    words = ["export", "--run", str(tmp_path / "model"), "--format", "torch-export"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / where / "encoder.pt2").is_file()


def test_a_file_scales_its_input_when_told_how(tmp_path):
    encoder, mean, scale = build("tcn"), np.array([1000.0, -3.0]), np.array([50.0, 0.01])
    made = export_encoder(
        encoder, tmp_path / "e.pt2", "torch-export", length=8, mean=mean, scale=scale
    )
    z = torch.randn(5, 19, 2, generator=torch.Generator().manual_seed(0))
    raw = z * torch.from_numpy(scale).float() + torch.from_numpy(mean).float()
    extra = {"tscl.json": ""}
    run = torch.export.load(str(made.path), extra_files=extra).module()
    torch.testing.assert_close(run(raw), encoder(z), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(run(raw), encoder(raw), rtol=0.1)
    assert json.loads(extra["tscl.json"])["input"] == "in its own units"


@pytest.mark.parametrize(
    ("field", "value"),
    [("mean", [0.0]), ("mean", [0.0, np.nan]), ("scale", [1.0, 0.0]), ("scale", [[1.0, 1.0]])],
)
def test_a_scaling_that_does_not_fit_is_named(tmp_path, field, value):
    with pytest.raises(InputError, match=field):
        export_encoder(build("tcn"), tmp_path / "e.pt2", "torch-export", **{field: value})


@pytest.mark.parametrize("scale", ["train", "sample", "none"])
def test_an_exported_estimator_takes_series_as_it_does(tmp_path, scale):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    x = np.random.default_rng(0).normal(1000, 50, (12, 30, 2)).astype(np.float32)
    settings = {"encoder_params": {"output_dims": 4, "hidden_dims": 4, "depth": 2}, "max_epochs": 1}
    model = ContrastiveTransformer("simclr", encoder="tcn", scale=scale, batch_size=8, **settings)
    model.fit(x).save(tmp_path / "model")
    words = ["export", "--run", str(tmp_path / "model"), "--out", str(tmp_path / "e.onnx")]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert done.exit_code == 0, done.output
    own = "series standardised by channel" if scale == "sample" else "series in their own units"
    assert f"input: {'each ' if scale == 'sample' else ''}{own}" in done.output
    session = onnxruntime.InferenceSession(str(tmp_path / "e.onnx"))
    given = model.scaled(x) if scale == "sample" else x
    embeddings = session.run(["embeddings"], {"x": np.asarray(given, np.float32)})[0]
    wanted = model.encode(x)
    assert np.abs(embeddings - wanted).max() < 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("labels", [2, 3])
def test_a_classifiers_file_holds_pooling_and_head(tmp_path, labels):
    """Its probabilities are the estimator's own; the name says what the file is."""
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    y = np.asarray(["a", "b", "c"])[np.arange(18) % labels]
    x = (rng.normal(5, 1, (18, 30, 2)) * (1 + np.arange(18) % labels)[:, None, None]).astype("f4")
    small = {"output_dims": 4, "hidden_dims": 4, "depth": 2}
    model = ContrastiveClassifier("simclr", encoder_params=small, max_epochs=1, pooling="max+mean")
    model.fit(x, y).save(tmp_path / "model")
    done = CliRunner().invoke(app, ["export", "--run", str(tmp_path / "model"), "--length", "30"])
    assert done.exit_code == 0, done.output
    session = onnxruntime.InferenceSession(str(tmp_path / "model" / "classifier.onnx"))
    proba = session.run(["probabilities"], {"x": x})[0]
    np.testing.assert_allclose(proba, model.predict_proba(x), atol=2e-4)


def test_a_runs_classifier_is_exported_whole(tmp_path):
    encoder = build("dilated").eval()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 30, 2)).astype(np.float32), np.arange(20) % 2
    probe, _ = fit_partial(pooled_embeddings(encoder, x), y)
    fitted = FittedClassifier.of(encoder, probe, ("no", "yes"), card={"preprocessing": {}})
    fitted.save(tmp_path / "run" / "classifiers" / "simclr-fold0-partial-seed0")
    words = ["export", "--run", str(tmp_path / "run"), "--format", "torch-export"]
    words += ["--classifier", "simclr-fold0-partial-seed0", "-o", str(tmp_path / "c.pt2")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "probability" in done.output
    again = torch.export.load(str(tmp_path / "c.pt2")).module()
    np.testing.assert_allclose(again(torch.from_numpy(x)), fitted.predict_proba(x), atol=1e-5)
