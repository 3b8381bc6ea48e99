from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from tests.evaluation.clinical.clinical_parts import TinyEncoder, cohort, thirds
from tscl.errors import InputError, NotFittedError
from tscl.evaluation.clinical.finetune import FineTuner, _batches


def _parts() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    data = cohort(12, 2, 4)
    split = thirds(data)
    return tuple((data.X[split[k]], data.label[split[k]]) for k in ("train", "valid", "test"))


def _encoder(seed: int = 0, **settings: float) -> TinyEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyEncoder(**settings)  # type: ignore[arg-type]


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("frozen", [False, True])
def test_finetuner_learns_a_planted_signal_and_leaves_the_encoder(frozen: bool) -> None:
    train, valid, test = _parts()
    encoder = _encoder()
    encoder.train()
    before = _state(encoder)
    tuner = FineTuner(encoder, 2, epochs=25, lr=3e-3, batch_size=16, frozen=frozen)
    assert tuner.fit(*train, valid) is tuner
    proba = tuner.predict_proba(test[0])
    assert proba.shape == (len(test[1]), 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert tuner.score(*test) > 0.9
    after = encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert encoder.training
    assert all(p.requires_grad for p in encoder.parameters())
    moved = tuner.network_.encoder.state_dict()
    same = all(torch.equal(before[name], moved[name]) for name in before)
    assert same is frozen


def test_finetuner_restores_the_first_best_epoch_by_validation_f1() -> None:
    train, valid, _ = _parts()
    noisy = valid[0], np.random.default_rng(0).permutation(valid[1])
    tuner = FineTuner(_encoder(), 2, epochs=12, lr=3e-3, batch_size=16).fit(*train, noisy)
    scores = [row["valid_f1"] for row in tuner.history_]
    assert len(set(scores)) > 1
    assert tuner.best_epoch_ == int(np.argmax(scores)) + 1
    now = f1_score(noisy[1], tuner.predict(noisy[0]), average="macro", zero_division=0)
    assert now == max(scores)
    short = FineTuner(_encoder(), 2, epochs=tuner.best_epoch_, lr=3e-3, batch_size=16)
    short.fit(*train)
    assert short.best_epoch_ == tuner.best_epoch_
    for name, value in short.network_.state_dict().items():
        torch.testing.assert_close(value, tuner.network_.state_dict()[name])


def test_finetuner_is_deterministic_and_restores_the_global_generator() -> None:
    train, valid, test = _parts()
    state = torch.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        torch.rand(3)  # the global state must not matter
        tuner = FineTuner(_encoder(), 2, epochs=3, batch_size=16, seed=seed).fit(*train, valid)
        runs.append(tuner.predict_proba(test[0]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    torch.set_rng_state(state)
    FineTuner(_encoder(), 2, epochs=1).fit(*train)
    assert torch.equal(state, torch.get_rng_state())


def test_finetuner_double_sigmoid_floor_of_the_loss() -> None:
    """Two sigmoids leave values in (1/2, sigmoid(1)), so cross entropy stays above 0.5843."""
    floor = math.log(1 + math.exp(0.5 - 1 / (1 + math.exp(-1))))
    assert floor == pytest.approx(0.5843, abs=5e-5)
    tuner = FineTuner(_encoder(), 2, double_sigmoid=True)
    target = np.array([0, 1])
    extreme = torch.tensor([[40.0, -40.0], [-40.0, 40.0]])
    assert tuner._loss(extreme, target).item() == pytest.approx(floor, abs=1e-6)
    plain = FineTuner(_encoder(), 2)
    assert plain._loss(extreme, target).item() == pytest.approx(0, abs=1e-6)
    train, valid, test = _parts()
    for one in (tuner, plain):
        one.set_params(epochs=25, lr=1e-2, batch_size=16).fit(*train, valid)
    assert min(row["loss"] for row in tuner.history_) > floor
    assert min(row["loss"] for row in plain.history_) < 0.3
    assert tuner.predict_proba(test[0]).max() <= math.exp(-floor) + 1e-6


def test_finetuner_few_samples_and_missing_class() -> None:
    train, valid, test = _parts()
    for n in (1, 2, 5):
        tuner = FineTuner(_encoder(), 3, epochs=2, batch_size=4).fit(
            train[0][:n], np.zeros(n, int), valid
        )
        proba = tuner.predict_proba(test[0])
        assert proba.shape[1] == 3
        assert np.isfinite(proba).all()


def test_finetuner_no_batch_of_one() -> None:
    for n in range(2, 30):
        sizes = [len(part) for part in _batches(np.arange(n), 4)]
        assert sum(sizes) == n
        assert min(sizes) > 1
    assert [len(part) for part in _batches(np.arange(1), 4)] == [1]


def test_finetuner_patience_stops_early() -> None:
    train, valid, _ = _parts()
    tuner = FineTuner(_encoder(), 2, epochs=60, lr=1e-2, batch_size=16, patience=2)
    tuner.fit(*train, valid)
    assert len(tuner.history_) < 60
    assert len(tuner.history_) == tuner.best_epoch_ + 2


def test_finetuner_head_is_the_papers() -> None:
    train, _, _ = _parts()
    tuner = FineTuner(_encoder(), 2, epochs=1).fit(*train)
    kinds = [type(layer).__name__ for layer in tuner.network_.head]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert tuner.network_.head[0].out_features == 128
    x = torch.from_numpy(train[0][:3])
    with torch.no_grad():
        embeddings = tuner.network_.encoder(x).max(dim=1).values
        torch.testing.assert_close(tuner.network_.embeddings(x), embeddings)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"y": [0, 1]}, "y"),
        ({"y": [0, 1, 2, 0]}, "y"),
        ({"y": [0.0, 1.0, 0.0, 1.0]}, "y"),
        ({"X": np.zeros((4, 8))}, "X"),
        ({"X": np.zeros((4, 8, 3))}, "X"),
        ({"X": np.full((4, 8, 2), np.inf)}, "X"),
        ({"lr": 0.0}, "lr"),
        ({"batch_size": 1}, "batch_size"),
        ({"n_classes": 1}, "n_classes"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_finetuner_bad_input(change: dict, field: str) -> None:
    given = {"X": np.zeros((4, 8, 2)), "y": np.array([0, 1, 0, 1]), "n_classes": 2, **change}
    X, y = given.pop("X"), given.pop("y")
    with pytest.raises(InputError) as error:
        FineTuner(_encoder(), **given).fit(X, y)
    assert error.value.field == field


def test_finetuner_not_fitted() -> None:
    with pytest.raises(NotFittedError):
        FineTuner(_encoder(), 2).predict(np.zeros((1, 8, 2)))


def test_mask_of_the_latent_and_dropout_of_the_logits_act_in_training_alone() -> None:
    seen: list[torch.Tensor | None] = []

    class Watching(TinyEncoder):
        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            seen.append(mask)
            return super().forward(x if mask is None else x * mask.unsqueeze(-1))

    train, _, test = _parts()
    tuner = FineTuner(Watching(), 2, epochs=1, latent_mask="binomial", logit_dropout=0.5)
    tuner.fit(*train)
    masks = [mask for mask in seen if mask is not None]
    assert len(masks) == len(seen) > 0
    assert 0.3 < float(torch.cat([m.flatten() for m in masks]).float().mean()) < 0.7
    seen.clear()
    first = tuner.predict_proba(test[0])
    assert seen
    assert all(mask is None for mask in seen)
    np.testing.assert_array_equal(first, tuner.predict_proba(test[0]))
    network = tuner.network_.train()
    with torch.no_grad():
        logits = network(torch.from_numpy(np.asarray(train[0], np.float32)))
    assert 0.3 < float((logits == 0).float().mean()) < 0.7
    with pytest.raises(InputError, match="latent_mask"):
        FineTuner(_encoder(), 2, latent_mask="half").fit(*train)
