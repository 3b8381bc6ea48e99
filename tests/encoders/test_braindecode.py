"""Networks of braindecode as encoders; skipped where braindecode cannot be imported."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import nn

from tscl.encoders import ENCODERS, Encoder, braindecode_models
from tscl.encoders import braindecode as adapter
from tscl.errors import ConfigError, InputError, MissingExtraError
from tscl.inference import encode
from tscl.methods import METHODS
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.seeding import seeded, torch_generator


def _importable() -> str:
    try:
        braindecode_models()
    except (MissingExtraError, InputError) as error:
        return str(error)
    return ""


REASON = _importable()
needs_braindecode = pytest.mark.skipif(bool(REASON), reason=REASON or "braindecode is here")

# embeddings and dimensions of 250 steps: steps of a convolution, a flat vector, tokens
SHAPES = {
    "EEGNet": (7, 16),
    "ShallowFBCSPNet": (11, 40),
    "EEGConformer": (1, 32),
    "ATCNet": (1, 32),
    "EEGNeX": (1, 64),
    "BrainModule": (250, 320),
}


def _build(model: str, **params: Any) -> Encoder:
    with seeded(0):
        return ENCODERS.build(
            "braindecode",
            input_dims=4,
            model=model,
            n_times=250,
            sampling_rate=125,
            model_params=params,
        )


@needs_braindecode
@pytest.mark.parametrize("model", sorted(SHAPES))
def test_embeddings_are_what_the_classifier_is_given(model: str, tmp_path) -> None:
    encoder = _build(model).eval()
    x = torch.randn(3, 250, 4, generator=torch.Generator().manual_seed(0))
    out = encoder(x)
    assert out.shape == (3, *SHAPES[model]) == (3, encoder.output_length(250), encoder.output_dims)
    sizes = {"n_chans": 4, "n_times": 250, "n_outputs": 2, "sfreq": 125}
    with seeded(0):  # the whole network with the same weights
        whole = adapter._build(model, braindecode_models()[model], sizes, {}).eval()
    given: list[torch.Tensor] = []
    heads = whole.final_layer
    if not isinstance(heads, nn.ModuleList):
        heads.register_forward_pre_hook(lambda _, args: given.append(args[0]))
        whole(x.transpose(1, 2))
        assert torch.equal(given[0].flatten().sort().values, out.flatten().sort().values)
    torch.testing.assert_close(encoder(x[1:2]), out[1:2], rtol=1e-4, atol=1e-5)
    save_encoder(tmp_path, encoder)
    twin, _ = load_encoder(tmp_path)
    assert torch.equal(twin(x), out)
    assert twin.config() == encoder.config()


@needs_braindecode
def test_missing_values_and_masks_hide_the_input() -> None:
    encoder = _build("ShallowFBCSPNet").eval()
    x = torch.randn(2, 250, 4)
    lost = x.clone()
    lost[0, :, 1] = torch.nan
    assert torch.equal(encoder(lost), encoder(torch.nan_to_num(lost)))
    keep = torch.ones(2, 250, dtype=torch.bool)
    keep[1, 100:150] = False
    hidden = x.clone()
    hidden[1, 100:150] = 0.0
    assert torch.equal(encoder(x, keep), encoder(hidden))
    with pytest.raises(InputError, match="latent is not known"):
        encoder(x, torch.ones(2, 250, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="built for 250"):
        encoder(x[:, :200])


@needs_braindecode
def test_it_trains_in_a_method_and_encodes() -> None:
    from tests.methods.test_baselines_contract import planted

    with seeded(0):
        encoder = ENCODERS.build(
            "braindecode",
            input_dims=3,
            model="EEGNet",
            n_times=128,
            model_params={"activation": "GELU", "kernel_length": 16},
        )
        method = METHODS.build("simclr", encoder=encoder, projection_dims=4)
    assert any(isinstance(part, nn.GELU) for part in encoder.modules())
    batch = planted(t=128)
    method.losses(batch, "encoder", torch_generator(0))["loss"].backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert encode(encoder, batch.x, pooling="mean+max").shape == (16, 2 * encoder.output_dims)


@needs_braindecode
@pytest.mark.parametrize(
    ("model", "params", "match"),
    [
        ("EEGNett", {}, "did you mean 'EEGNet'"),
        ("EEGNet", {"kernel_lenght": 8}, "did you mean 'kernel_length'"),
        ("EEGNet", {"n_outputs": 3}, "EEGNet.n_outputs"),
        ("EEGNet", {"activation": "os.system"}, "torch.nn"),
        ("EEGNet", {"activation": "Parameter"}, "torch.nn"),
        ("EEGNet", {"drop_prob": 7.0}, "EEGNet"),
    ],
)
def test_bad_arguments_are_named(model: str, params: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        _build(model, **params)


@pytest.mark.parametrize(
    ("field", "value"), [("n_times", 0), ("sampling_rate", 0.0), ("input_dims", 1.5)]
)
def test_bad_numbers_are_named(field: str, value: float) -> None:
    sizes = {"input_dims": 4, "n_times": 250, "model": "EEGNet", field: value}
    with pytest.raises(InputError, match=field):
        ENCODERS.build("braindecode", **sizes)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(ImportError("no"), MissingExtraError), (OSError("libtorchaudio.so"), InputError)],
)
def test_without_braindecode_the_remedy_is_named(
    raised: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str, *args: Any) -> Any:
        raise raised

    monkeypatch.setattr(importlib, "import_module", fails)
    with pytest.raises(expected, match="braindecode"):
        ENCODERS.build("braindecode", input_dims=4, model="EEGNet", n_times=250)
