"""Fine-tuning by name in the classifier and in the evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.estimators.tiny import classifier, waves
from tests.evaluation.clinical.clinical_parts import TinyEncoder, cohort, thirds
from tscl.errors import ConfigError, InputError
from tscl.estimators import ContrastiveClassifier
from tscl.evaluation.clinical.core_tuning import TUNERS, build_tuner
from tscl.evaluation.clinical.evaluate import evaluate_cells

X, CODES = waves(60, steps=50, channels=1, seed=3)
Y = np.array(["rising", "falling"])[CODES]
PARAMS = {"epochs": 25, "lr": 5e-3, "batch_size": 20, "hidden": 8}


def tuned(name: str, **changes: Any) -> ContrastiveClassifier:
    given = {"finetune": name, "finetune_params": PARAMS, "max_epochs": 1, "averaging": "none"}
    return classifier(**{**given, **changes})


@pytest.mark.parametrize("name", sorted(TUNERS))
def test_a_class_is_learned_that_one_embedding_frozen_does_not_hold(tmp_path, name):
    narrow = {"output_dims": 1, "hidden_dims": 8, "depth": 2}
    narrow = {"encoder_params": narrow, "pooling": "mean"}
    fresh, truth = waves(60, steps=50, channels=1, seed=4)
    truth = np.array(["rising", "falling"])[truth]
    model = tuned(name, **narrow).fit(X, Y)
    frozen = classifier(averaging="none", **narrow).fit(X, Y)
    assert model.score(fresh, truth) > 0.9
    assert frozen.score(fresh, truth) < 0.7
    proba = model.predict_proba(fresh)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-5)
    margin = model.decision_function(fresh)
    np.testing.assert_allclose(1 / (1 + np.exp(-margin)), proba[:, 1], rtol=1e-4)
    loaded = ContrastiveClassifier.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(fresh), proba)


def test_the_head_stands_on_the_embeddings_that_transform_gives():
    model = tuned("plain").fit(X, Y)
    again = build_tuner(
        classifier(averaging="none").fit(X, Y).transformer_.encoder_, 2, seed=0, **PARAMS
    )
    again.fit(model.transformer_.scaled(X), np.unique(Y, return_inverse=True)[1])
    expected = again.predict_proba(model.transformer_.scaled(X))
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"finetune": "coer"}, "core"),
        ({"finetune_params": {"epoch": 3}}, "epochs"),
        ({"finetune_params": {"rank_weight": 0.5}}, "no setting of core"),
        ({"finetune_params": {"seed": 3}}, "leave it out"),
        ({"finetune_params": {"temperature": -1}}, "temperature"),
        ({"finetune": None, "finetune_params": {"lr": 1.0}}, "name finetune"),
        ({"head": classifier()}, "leave it out"),
    ],
)
def test_what_cannot_be_is_named_before_training(given, message):
    with pytest.raises((InputError, ConfigError), match=message):
        tuned("core", **{"finetune_params": None, **given}).fit(X, Y)
    ragged = X.copy()
    ragged[3, 40:] = np.nan
    with pytest.raises(InputError, match="one length"):
        tuned("plain").fit(ragged, Y)


def test_the_evaluation_takes_the_name():
    data = cohort(12, 2, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = TinyEncoder()
    settings = {"epochs": 3, "lr": 3e-3, "batch_size": 16}
    given = {"protocols": ["full"], "fractions": [1.0], "seeds": [0], "pooling": "max+mean"}
    probas = {}
    for name in TUNERS:
        (cell,) = evaluate_cells(
            encoder, data, thirds(data), finetune={"name": name, **settings}, **given
        )
        probas[name] = cell.arrays["proba"]
    assert not np.allclose(probas["plain"], probas["core"])
    assert not np.allclose(probas["plain"], probas["rank"])
    with pytest.raises(InputError, match="leave head out"):
        evaluate_cells(encoder, data, thirds(data), finetune={"name": "core"}, protocols=["head"])
