"""Pooling of embeddings for a contrastive term, and terms that cannot be built."""

from __future__ import annotations

import pytest
import torch

from tscl.errors import ConfigError, InputError
from tscl.methods.end_to_end.terms import build_contrast, pool_embeddings, two_views


def test_embeddings_are_pooled_as_their_name_says():
    embeddings = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    for name, values in {
        "mean": [[sum(embeddings[b, :, d].tolist()) / 5 for d in range(2)] for b in range(3)],
        "max": [[max(embeddings[b, :, d].tolist()) for d in range(2)] for b in range(3)],
        "last": [embeddings[b, 4].tolist() for b in range(3)],
    }.items():
        torch.testing.assert_close(pool_embeddings(embeddings, name, None), torch.tensor(values))
    seen = set()
    for seed in range(40):
        token = pool_embeddings(embeddings, "random", torch.Generator().manual_seed(seed))
        again = pool_embeddings(embeddings, "random", torch.Generator().manual_seed(seed))
        assert torch.equal(token, again)
        (place,) = [n for n in range(5) if torch.equal(token, embeddings[:, n])]
        seen.add(place)
    assert seen == set(range(5))
    with pytest.raises(ConfigError, match="mean"):
        pool_embeddings(embeddings, "meen", None)


def test_without_augmentation_both_views_are_the_windows():
    x = torch.ones(2, 3, 1)
    assert [one is x for one in two_views(None, x, None)] == [True, True]


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("hierarchica", {}, "hierarchical"),
        ("hierarchical", {"mask_rate": 1.0}, "mask_rate"),
        ("moco", {"pooling": "meen"}, "pooling.*mean"),
    ],
)
def test_terms_that_cannot_be_built_are_named(name, params, says):
    with pytest.raises((ConfigError, InputError), match=says):
        build_contrast(name, params)


def test_a_term_given_as_object_takes_no_parameters():
    term = build_contrast("hierarchical", {})
    assert build_contrast(term, {}) is term
    with pytest.raises(ConfigError, match="contrast_params"):
        build_contrast(term, {"mask_rate": 0.1})
