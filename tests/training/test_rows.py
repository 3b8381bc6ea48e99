"""Cutting batches between trials, and encoding rows part by part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import cases
from tscl.errors import InputError
from tscl.training.distributed import EncoderRows, cut_batch


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    parts=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_parts_hold_every_sample_once_and_whole_trials(sizes, parts, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    indices = np.random.default_rng(seed).permutation(len(groups))
    if len(indices) < parts:
        with pytest.raises(InputError):
            cut_batch(indices, parts, groups)
        return
    made = cut_batch(indices, parts, groups)
    assert len(made) == parts
    assert all(len(part) for part in made)
    assert sorted(np.concatenate(made)) == sorted(indices)
    if len(sizes) >= parts:
        where = [{int(g) for g in groups[part]} for part in made]
        assert sum(len(w) for w in where) == len(sizes)


def test_equal_trials_are_cut_into_equal_parts():
    groups = np.repeat(np.arange(8), 3)
    assert [len(p) for p in cut_batch(np.arange(24), 4, groups)] == [6, 6, 6, 6]
    assert [len(p) for p in cut_batch(np.arange(10), 3)] == [4, 3, 3]


def test_parts_give_the_gradient_of_the_whole_batch_in_evaluation_mode_too():
    """Recomputed rows run in the mode of the first computation, whatever the mode is by then."""
    encoder = cases.encoder(dropout=0.5).double()
    x = torch.from_numpy(cases.series(7)).double()
    encoder.eval()
    whole = encoder(x).square().sum()
    whole.backward()
    wanted = [p.grad.clone() for p in encoder.parameters()]
    encoder.zero_grad()
    with EncoderRows(encoder, 0, parts=3).shared(0):
        loss = encoder(x).square().sum()
    encoder.train()
    loss.backward()
    for p, grad in zip(encoder.parameters(), wanted, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-10, atol=1e-10)


def test_recomputed_dropout_is_that_of_the_first_pass():
    """With dropout, the gradient by finite differences of the same draws is the one computed."""
    encoder = cases.encoder(dropout=0.5).double().train()
    x = torch.from_numpy(cases.series(5)).double()
    rows = EncoderRows(encoder, 0, parts=2)

    def loss() -> torch.Tensor:
        with rows.shared(4):
            return encoder(x).square().mean()

    value = loss()
    value.backward()
    p = next(encoder.parameters())
    step = 1e-6
    with torch.no_grad():
        p.view(-1)[0] += step
        above = loss()
        p.view(-1)[0] -= 2 * step
        below = loss()
    slope = float((above - below) / (2 * step))
    assert slope == pytest.approx(float(p.grad.view(-1)[0]), rel=1e-5)


def test_parts_keep_less_memory_than_the_whole_batch():
    """Bytes saved for the backward pass, counted by hooks."""
    encoder = cases.encoder()
    x = torch.from_numpy(np.repeat(cases.series(8), 8, axis=0))

    def saved(parts: int) -> int:
        held: dict[int, int] = {}

        def pack(t: torch.Tensor) -> torch.Tensor:
            held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with (
            EncoderRows(encoder, 0, parts=parts).shared(0),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t),
        ):
            encoder(x).sum()
        return sum(held.values())

    assert saved(8) < saved(1) / 3


def test_the_encoder_is_itself_again_after_the_block():
    encoder = cases.encoder()
    before = dict(encoder.__dict__)
    with EncoderRows(encoder, 0, parts=2).shared(0):
        assert "forward" in encoder.__dict__
    assert set(encoder.__dict__) == set(before)
