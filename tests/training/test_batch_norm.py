"""Batch norm in the encoder: averaged weights, parts of a batch, several processes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from tests.training.cases import CHANNELS, fit, source
from tscl.encoders import ENCODERS
from tscl.encoders.strided import BatchNorm
from tscl.errors import ConfigError, InputError
from tscl.methods import METHODS
from tscl.methods.base import Method
from tscl.seeding import seeded
from tscl.training.selection import batch_norms, estimate_norms

SMALL = {"widths": [6, 8], "strides": [1, 2]}


def build(name: str = "simclr", norm: str = "batch", **params) -> Method:
    with seeded(0):
        encoder = ENCODERS.build("resnet1d", input_dims=CHANNELS, norm=norm, **SMALL)
        return METHODS.build(name, encoder=encoder, **params)


def figures(encoder: torch.nn.Module) -> list[torch.Tensor]:
    return [f for n in batch_norms(encoder) for f in (n.running_mean, n.running_var)]


def batch_figures(encoder: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Mean and variance of what each batch norm is given, layer by layer, by hooks."""
    seen: list[torch.Tensor] = []

    def look(_, given):
        h = given[0].double()
        seen.extend([h.mean(dim=(0, 2, 3)), h.var(dim=(0, 2, 3), correction=1)])

    hooks = [n.register_forward_pre_hook(look) for n in batch_norms(encoder)]
    with torch.no_grad():
        encoder.train()(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("averaging", ["swa", "ema"])
def test_averaged_weights_get_running_figures_of_their_own(averaging: str) -> None:
    """Not those of the trained weights, and those of the data under the averaged weights."""
    method = build()
    data = source()
    data.crop = None
    result = fit(method, averaging=averaging, ema_decay=0.7, max_epochs=4)
    whole = torch.from_numpy(data.x[:, : data.x.shape[1] - 4])
    wanted = batch_figures(copy.deepcopy(result.encoder), whole)
    measured = figures(result.encoder)
    trained = figures(method.encoder)
    assert len(measured) == len(wanted) > 0
    off = [float((a - b).abs().mean()) for a, b in zip(measured, wanted, strict=True)]
    off_trained = [float((a - b).abs().mean()) for a, b in zip(trained, wanted, strict=True)]
    assert sum(off) < 0.3 * sum(off_trained)


def test_estimated_figures_are_the_mean_over_batches() -> None:
    encoder = build().encoder.eval()
    before = copy.deepcopy(encoder)
    batches = [source().batch(part, torch.Generator()) for part in np.array_split(np.arange(22), 2)]
    estimate_norms(encoder, iter(batches))
    each = [batch_figures(copy.deepcopy(before), batch.x) for batch in batches]
    for measured, one, two in zip(figures(encoder), *each, strict=True):
        torch.testing.assert_close(measured.double(), (one + two) / 2, rtol=1e-4, atol=1e-5)
    assert not any(part.training for part in encoder.modules())
    assert all(norm.momentum == 0.1 for norm in batch_norms(encoder))
    for mine, theirs in zip(encoder.parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_resume_gives_the_same_figures(tmp_path) -> None:
    whole = fit(build(), averaging="swa")
    fit(build(), averaging="swa", checkpoints=tmp_path, max_steps=2)
    rest = fit(build(), averaging="swa", checkpoints=tmp_path, resume=True)
    for a, b in zip(figures(whole.encoder), figures(rest.encoder), strict=True):
        assert torch.equal(a, b)


def test_resume_with_weights_of_another_memory_layout_is_bit_equal(tmp_path) -> None:
    """A user's channels-last module: the optimiser's moments come back in that layout."""

    def channels_last() -> Method:
        return build().to(memory_format=torch.channels_last)

    whole = fit(channels_last(), averaging="none")
    fit(channels_last(), averaging="none", checkpoints=tmp_path, max_steps=2)
    rest = fit(channels_last(), averaging="none", checkpoints=tmp_path, resume=True)
    assert not whole.encoder.blocks[1].conv2.weight.is_contiguous()
    for a, b in zip(whole.encoder.parameters(), rest.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_monitor_sees_measured_figures_and_the_best_keep_theirs() -> None:
    seen = []

    def monitor(encoder) -> float:
        seen.append([f.clone() for f in figures(encoder)])
        return float(len(seen))  # the first is the best

    result = fit(build(), averaging="swa", monitor=monitor, max_epochs=3)
    assert len(seen) == 3
    for kept, first, last in zip(figures(result.encoder), seen[0], seen[-1], strict=True):
        assert torch.equal(kept, first)
        assert not torch.equal(kept, last)


def test_parts_of_a_batch_are_refused_with_a_true_remedy() -> None:
    options = {"cache_gradients": True, "accumulate": 2}
    with pytest.raises(InputError, match="norm='group'") as caught:
        fit(build(), **options)
    assert caught.value.field == "cache_gradients"
    assert fit(build(norm="group"), **options).steps > 0
    with pytest.raises(ConfigError, match="norm='group'"):
        build("comet", micro_batch=4)
    build("comet", norm="group", micro_batch=4)


def test_gradient_caching_with_group_norm_is_that_of_the_whole_batch() -> None:
    kwargs = {"max_steps": 3, "averaging": "none"}
    whole = fit(build(norm="group"), **kwargs)
    parts = fit(build(norm="group"), cache_gradients=True, accumulate=2, **kwargs)
    for a, b in zip(whole.encoder.parameters(), parts.encoder.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_single_value_takes_the_running_figures() -> None:
    norm = BatchNorm(3)
    norm.running_mean.fill_(2.0)
    x = torch.full((1, 3, 1, 1), 5.0)
    out = norm.train()(x)
    torch.testing.assert_close(out, torch.full_like(out, 3.0), rtol=1e-4, atol=1e-4)
    assert float(norm.running_mean[0]) == 2.0
