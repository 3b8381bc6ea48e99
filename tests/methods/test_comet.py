"""COMET: levels, weights, shared views, memory options, and a planted patient effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.reference import comet as slow
from tests.reference import supervised_losses as supervised
from tscl.encoders import DilatedConvEncoder
from tscl.errors import ConfigError, InputError
from tscl.losses import LOSSES, ContrastiveLoss, SupCon
from tscl.methods import METHODS, COMETMethod, Level, default_levels
from tscl.methods.base import Batch
from tscl.seeding import randn, seeded, torch_generator

INSTANCE_LOSSES = [n for n in LOSSES.names() if issubclass(LOSSES.get(n), ContrastiveLoss)]
IDS = ("patient", "trial", "sample", "observation")


def encoder(dropout: float = 0.0, seed: int = 0) -> DilatedConvEncoder:
    with seeded(seed):
        return DilatedConvEncoder(2, 5, hidden_dims=4, depth=2, dropout=dropout).double()


def batch(n: int = 8, length: int = 12) -> Batch:
    x = randn((n, length, 2), torch_generator(1), torch.zeros((), dtype=torch.float64))
    index = torch.arange(n)
    ids = {"trial": index // 2, "patient": index // 4, "site": index % 3}
    return Batch(x=x, index=index, ids=ids)


def losses(method: COMETMethod, data: Batch | None = None, seed: int = 0) -> dict[str, Any]:
    with seeded(seed, "layers"):
        return dict(method.losses(data or batch(), "encoder", torch_generator(seed, "method")))


def gradients(method: COMETMethod, seed: int = 0) -> list[torch.Tensor]:
    method.zero_grad()
    with seeded(seed, "layers"):
        method.losses(batch(), "encoder", torch_generator(seed, "method"))["loss"].backward()
    found = [p.grad for p in method.parameters()]
    assert all(g is not None for g in found)
    return [g.clone() for g in found if g is not None]


def close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.allclose(x, y, atol=1e-10) for x, y in zip(a, b, strict=True))


def test_comet_is_registered() -> None:
    assert METHODS.get("comet") is COMETMethod


def test_terms_match_the_loops_without_masks_and_dropout() -> None:
    levels = [
        Level("patient", "id", weight=0.1),
        Level("trial", "id", weight=0.7),
        Level("sample", "sample", weight=0.1, exclude="trial"),
        Level("observation", "observation", weight=0.1),
    ]
    method, data = COMETMethod(encoder(), levels=levels), batch()
    z = method.encoder(data.x).detach().numpy()
    told = {
        "patient": slow.id_contrast(z, z, data.ids["patient"].tolist()),
        "trial": slow.id_contrast(z, z, data.ids["trial"].tolist()),
        "sample": slow.hierarchical(slow.sample, z, z, groups=data.ids["trial"].numpy()),
        "observation": slow.hierarchical(slow.observation, z, z),
    }
    seen = losses(method, data)
    assert list(seen) == ["loss", *IDS]
    for name, value in told.items():
        assert float(seen[name]) == pytest.approx(value, abs=1e-9)
    total = sum(level.weight * told[level.name] for level in levels)
    assert float(seen["loss"].detach()) == pytest.approx(total, abs=1e-9)


def test_weights_count_at_all_levels_unless_public() -> None:
    lambdas = (0.1, 0.7, 0.3, 0.2)
    seen = losses(COMETMethod(encoder(), lambdas=lambdas))
    total = sum(w * float(seen[name]) for w, name in zip(lambdas, IDS, strict=True))
    assert float(seen["loss"].detach()) == pytest.approx(total, abs=1e-9)
    seen = losses(COMETMethod(encoder(), lambdas=lambdas, public_weights=True))
    public = zip((1.0, 1.0, 0.3, 0.2), IDS, strict=True)
    total = sum(w * float(seen[name]) for w, name in public)
    assert float(seen["loss"].detach()) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("share", [True, False])
def test_number_of_encoder_passes(share: bool) -> None:
    calls: list[str] = []

    class Counted(DilatedConvEncoder):
        def _trunk(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            calls.append("pass")
            return super()._trunk(*args, **kwargs)

    counted = Counted(2, 5, hidden_dims=4, depth=2).double()
    losses(COMETMethod(counted, share_views=share))
    assert len(calls) == (3 if share else 8)
    calls.clear()
    losses(COMETMethod(counted, lambdas=(0, 0, 0.5, 0.5), share_views=share))
    assert len(calls) == (2 if share else 4)


def test_sharing_changes_nothing_when_views_are_deterministic() -> None:
    shared, apart = (COMETMethod(encoder(), share_views=share) for share in (True, False))
    for method in (shared, apart):
        method.levels = [Level(v.name, v.loss, mask="last") for v in method.levels]
    assert close(gradients(shared), gradients(apart))


def test_one_pass_gives_the_dropout_views_of_two_passes_to_the_bit() -> None:
    once, x = encoder(dropout=0.4), batch().x
    with seeded(5):
        told = [once(x), once(x)]
    with seeded(5):
        seen = once.dropout_views(x, 2)
    assert all(torch.equal(a, b) for a, b in zip(seen, told, strict=True))
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("other", [{"sequential": False}, {"tile": 10}])
def test_memory_options_give_the_same_gradient(other: dict[str, Any]) -> None:
    plain = COMETMethod(encoder(dropout=0.3))
    saving = COMETMethod(encoder(dropout=0.3), **other)
    assert float(losses(plain)["loss"].detach()) == pytest.approx(
        float(losses(saving)["loss"].detach()), abs=1e-12
    )
    assert close(gradients(plain), gradients(saving))


def test_micro_batches_give_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    assert close(
        gradients(COMETMethod(encoder())), gradients(COMETMethod(encoder(), micro_batch=3))
    )
    # with dropout: the second encoding repeats the draws of the first
    method = COMETMethod(encoder(dropout=0.3), micro_batch=3)
    recomputed = gradients(method)
    monkeypatch.setattr("tscl.methods.comet.checkpoint", lambda f, *args, **_: f(*args))
    assert close(recomputed, gradients(method))


def test_micro_batches_keep_no_activations() -> None:
    def kept(method: COMETMethod) -> int:
        sizes: dict[int, int] = {}

        def note(t: torch.Tensor) -> torch.Tensor:
            sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            losses(method)
        return sum(sizes.values())

    options: dict[str, Any] = {"lambdas": (0, 0, 0.5, 0.5), "sequential": False}
    small = kept(COMETMethod(encoder(), micro_batch=2, **options))
    assert small < 0.7 * kept(COMETMethod(encoder(), **options))


def test_scaled_loss_scales_the_settled_gradient() -> None:
    method = COMETMethod(encoder())
    told = gradients(method)
    method.zero_grad()
    (losses(method)["loss"] * 8.0).backward()
    assert close([p.grad / 8.0 for p in method.parameters() if p.grad is not None], told)


def test_no_gradient_is_computed_without_grad_mode() -> None:
    with torch.no_grad():
        assert not losses(COMETMethod(encoder()))["loss"].requires_grad


def test_a_fifth_level_is_configuration() -> None:
    levels: list[Any] = [
        *default_levels(),
        {"name": "device", "loss": "id", "id_column": "site", "weight": 0.5},
    ]
    four, five = losses(COMETMethod(encoder())), losses(COMETMethod(encoder(), levels=levels))
    assert list(five) == ["loss", *IDS, "device"]
    added = float(five["loss"].detach()) - float(four["loss"].detach())
    assert added == pytest.approx(0.5 * float(five["device"]), abs=1e-9)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_a_level_takes_any_instance_loss_by_name_or_object(pooling: str) -> None:
    """Its value is that of the loss on the pooled embeddings, with the id column as labels."""
    data = batch()
    by_name: dict[str, Any] = {
        "name": "site",
        "loss": "supcon",
        "weight": 0.5,
        "params": {"temperature": 0.3},
        "pooling": pooling,
    }
    by_object = {
        "name": "place",
        "loss": SupCon(0.3),
        "id_column": "site",
        "weight": 0.25,
        "pooling": pooling,
    }
    levels: list[Any] = [*default_levels(), by_name, by_object]
    method = COMETMethod(encoder(), levels=levels)
    four, six = losses(COMETMethod(encoder())), losses(method)
    z = method.encoder(data.x).detach()
    pooled = z.amax(1) if pooling == "max" else z.mean(1)
    views = torch.stack((pooled, pooled)).numpy()
    told = supervised.mean(supervised.supcon(views, data.ids["site"].tolist(), 0.3))
    assert float(six["site"]) == pytest.approx(told, abs=1e-9)
    assert float(six["place"]) == pytest.approx(told, abs=1e-9)
    added = float(six["loss"].detach()) - float(four["loss"].detach())
    assert added == pytest.approx(0.75 * told, abs=1e-9)


@pytest.mark.parametrize("name", INSTANCE_LOSSES)
def test_every_instance_loss_trains_as_a_level(name: str) -> None:
    """Gradients reach the encoder, also where another set of views settles the level's first."""
    needed = {"hydra": {"n_classes": 3, "dims": 5}, "adaptive_multi_head": {"dims": 5}}
    params = needed.get(name, {})
    entry = {"name": "site", "loss": name, "mask": "binomial", "params": params}
    level = Level(**entry, id_column="index" if name == "individual_temperature" else "site")
    rest = Level("observation", "observation", weight=0.0001)
    method = COMETMethod(encoder(), levels=[level, rest]).double()
    seen = losses(method)
    seen["loss"].backward()
    assert list(seen) == ["loss", "site", "observation"]
    grads = [p.grad for p in method.encoder.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in grads)
    alone = COMETMethod(encoder(), levels=[rest])
    only = gradients(alone)
    assert not close([g for g in grads if g is not None], only)


def test_state_and_parameters_of_a_levels_loss_are_kept_and_trained() -> None:
    queue = {"name": "q", "loss": "moco", "params": {"queue_size": 6}}
    predictor = {"name": "p", "loss": "byol", "params": {"dims": 5}, "mask": "binomial"}
    method = COMETMethod(encoder(), levels=[queue, predictor]).double()
    losses(method)["loss"].backward()
    kept = [n for n, p in method.named_parameters() if p.grad is not None and p.grad.any()]
    assert any("predictor" in n for n in kept)
    assert any(key.endswith("queue") for key in method.state_dict())
    other = COMETMethod(encoder(seed=1), levels=[queue, predictor]).double()
    other.load_state_dict(method.state_dict())
    assert float(losses(other)["loss"].detach()) == float(losses(method)["loss"].detach())


def test_a_level_without_its_column_is_named() -> None:
    level = Level("ward", "supcon")
    with pytest.raises(InputError, match="ward"):
        losses(COMETMethod(encoder(), levels=[level]))
    with pytest.raises(InputError, match="labels"):
        losses(COMETMethod(encoder(), levels=[Level("ward", "supcon", "labels")]))


def test_levels_of_weight_zero_are_left_out_and_need_no_ids() -> None:
    data = batch()
    bare = Batch(x=data.x, index=data.index)
    assert set(losses(COMETMethod(encoder(), lambdas=(0, 0, 0.5, 0.5)), bare)) == {
        "loss",
        "sample",
        "observation",
    }
    with pytest.raises(InputError, match="patient"):
        losses(COMETMethod(encoder()), bare)
    with pytest.raises(InputError, match="trial"):
        losses(COMETMethod(encoder(), lambdas=(0, 0, 1, 1), exclude="trial"), bare)


def test_batches_without_pairs_and_single_samples_stay_finite() -> None:
    for n in (1, 3):
        data = batch(n)
        lone = {"trial": torch.arange(n), "patient": torch.arange(n)}
        method = COMETMethod(encoder(0.1))
        seen = losses(method, Batch(x=data.x, index=data.index, ids=lone))
        seen["loss"].backward()
        assert float(seen["patient"]) == 0.0
        grads = [p.grad for p in method.parameters() if p.grad is not None]
        assert all(bool(torch.isfinite(g).all()) for g in grads)
    short = batch(4, length=1)
    assert bool(torch.isfinite(losses(COMETMethod(encoder()), short)["loss"]))


def test_augmentations_reach_the_id_levels_only() -> None:
    seen: list[int] = []

    class Note(torch.nn.Module):
        def forward(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            seen.append(len(x))
            return x + 0.1 * randn(x.shape, generator, x)

    plain = losses(COMETMethod(encoder()))
    noisy = losses(COMETMethod(encoder(), augmentations=Note()))
    assert len(seen) == 2
    assert float(noisy["patient"]) != pytest.approx(float(plain["patient"]), abs=1e-6)
    method = COMETMethod(encoder(), augmentations={"name": "jitter", "sigma": 0.1})
    assert bool(torch.isfinite(losses(method)["loss"]))


def test_losses_are_a_function_of_the_generator() -> None:
    method = COMETMethod(encoder(dropout=0.2))
    first, again, other = losses(method), losses(method), losses(method, seed=1)
    assert float(first["loss"].detach()) == float(again["loss"].detach())
    assert float(first["observation"]) != float(other["observation"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "a", "loss": "patients"}, "a.loss"),
        ({"name": "a", "loss": "supcn"}, "supcon"),
        ({"name": "a", "loss": torch.nn.Identity()}, "a.loss"),
        ({"name": "a", "loss": "supcon", "params": {"temprature": 1}}, "temperature"),
        ({"name": "a", "loss": SupCon(), "params": {"temperature": 1}}, "loss_params"),
        ({"name": "a", "loss": "hydra", "params": {"dims": 4}}, "n_classes"),
        ({"name": "a", "loss": "id", "colum": "x"}, "colum"),
        ({"name": "a"}, "loss"),
        ({"name": "a", "loss": "sample", "mask": "contiguous"}, "continuous"),
        ({"name": "a", "loss": "sample", "weight": -1.0}, "weight"),
        ({"name": "a", "loss": "sample", "weight": "high"}, "weight"),
        ({"name": "a", "loss": "observation", "exclude": "trial"}, "exclude"),
        ({"name": "a", "loss": "id", "params": {"temprature": 1}}, "temperature"),
        ({"name": "a", "loss": "sample", "params": {"temperature": 0}}, "temperature"),
        ({"name": "loss", "loss": "id"}, "name"),
        ({"name": "a", "loss": "id", "augment": True}, "augment"),
        ({"name": "a", "loss": "id", "weight": 0}, "weight above 0"),
    ],
)
def test_bad_levels_are_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        COMETMethod(encoder(), levels=[entry])


def test_bad_options_of_comet_are_named() -> None:
    with pytest.raises(ConfigError, match="lambdas"):
        COMETMethod(encoder(), lambdas=(1, 1, 1))
    with pytest.raises(ConfigError, match="micro_batch"):
        COMETMethod(encoder(), micro_batch=0)
    with pytest.raises(ConfigError, match="name of its own"):
        COMETMethod(encoder(), levels=[Level("a", "id"), Level("a", "sample")])
    with pytest.raises(ConfigError, match="levels"):
        COMETMethod(encoder(), levels=default_levels(), exclude="trial")


def planted(n_patients: int, per_patient: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A small offset of each patient on channel 1 beside large nuisance on channel 0."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), per_patient)
    x = 0.1 * rng.normal(size=(len(patient), 12, 2))
    x[:, :, 0] += 3.0 * rng.normal(size=(len(patient), 1))
    x[:, :, 1] += 0.4 * (patient - (n_patients - 1) / 2)[:, None]
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(patient)


def neighbour_accuracy(model: torch.nn.Module) -> float:
    """Share of held-out samples whose nearest training embedding is of their patient."""
    with torch.no_grad():
        embeddings = [
            torch.nn.functional.normalize(model(x).flatten(1), dim=1)
            for x, _ in (planted(5, 8, 0), planted(5, 8, 1))
        ]
    nearest = (embeddings[1] @ embeddings[0].T).argmax(dim=1)
    patient = planted(5, 8, 0)[1]
    return float((patient[nearest] == patient).float().mean())


def test_patient_level_finds_a_planted_patient_effect() -> None:
    with seeded(0):
        model = DilatedConvEncoder(2, 8, hidden_dims=8, depth=2)
    method = COMETMethod(model, lambdas=(1, 0, 0, 0))
    untrained = neighbour_accuracy(model.eval())
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    x, patient = planted(5, 8, 0)
    data = Batch(x=x, index=torch.arange(len(x)), ids={"patient": patient})
    for step in range(120):
        optimizer.zero_grad()
        losses(method, data, seed=step)["loss"].backward()
        optimizer.step()
    trained = neighbour_accuracy(model.eval())
    assert untrained < 0.6
    assert trained > 0.9
