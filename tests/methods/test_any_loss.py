"""Every registered loss over embeddings inside SimCLR and AutoTCL, by name and as an object."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tscl.encoders import DilatedConvEncoder
from tscl.errors import ConfigError, InputError
from tscl.losses import LOSSES, ContrastiveLoss, Extra
from tscl.methods import AutoTCLMethod, Method, SimCLR
from tscl.methods.base import Batch
from tscl.methods.instance_loss import batch_column, build_loss
from tscl.seeding import seeded, torch_generator

NAMES = [n for n in LOSSES.names() if issubclass(LOSSES.get(n), ContrastiveLoss)]
NEEDED: dict[str, dict[str, Any]] = {
    "byol": {"dims": 8},
    "hydra": {"n_classes": 2, "dims": 8},
    "simsiam": {"dims": 8},
}


def batch(n: int = 8) -> Batch:
    x = torch.randn(n, 16, 2, generator=torch_generator(0))
    index = torch.arange(n)
    return Batch(x=x, index=index, ids={"patient": index // 2}, labels=index % 2)


def make(kind: str, loss: str | nn.Module, **options: Any) -> Method:
    with seeded(0):
        encoder = DilatedConvEncoder(2, 8, hidden_dims=4, depth=2, dropout=0.0)
        if kind == "simclr":
            return SimCLR(encoder, loss=loss, projection_dims=8, **options)
        return AutoTCLMethod(encoder, loss=loss, aug_depth=1, aug_hidden=4, **options)


def value(method: Method) -> Tensor:
    with seeded(2, "dropout"):
        return method.losses(batch(), "encoder", torch_generator(1))["loss"]


@pytest.mark.parametrize("kind", ["simclr", "autotcl"])
@pytest.mark.parametrize("name", NAMES)
def test_name_and_object_are_the_same_loss_and_train_the_encoder(kind: str, name: str) -> None:
    params = NEEDED.get(name, {})
    if kind == "autotcl" and name == "infonce":
        params = {"temperature": 1.0, "symmetric": True}
    by_name = make(kind, name, loss_params={k: v for k, v in params.items() if k != "dims"})
    by_object = make(kind, LOSSES.build(name, **params))
    got = value(by_name)
    assert got.item() == value(by_object).item()
    got.backward()
    grads = [p.grad for p in by_name.encoder.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)
    assert any(g.abs().sum() > 0 for g in grads if g is not None)


@pytest.mark.parametrize("kind", ["simclr", "autotcl"])
def test_labels_and_ids_reach_the_loss(kind: str) -> None:
    class Spy(ContrastiveLoss):
        needs = ("labels", "index")

        def compute(self, views: Tensor, extra: Extra) -> Tensor:
            self.extra = extra
            return views.prod(0).sum()

    spy = Spy()
    value(make(kind, spy, ids="patient"))
    assert torch.equal(spy.extra["ids"], batch().ids["patient"])
    assert torch.equal(spy.extra["labels"], batch().index % 2)
    assert torch.equal(spy.extra["index"], batch().index)
    value(make(kind, spy, ids="index"))
    assert torch.equal(spy.extra["ids"], batch().index)
    with pytest.raises(InputError, match="did you mean 'patient'"):
        value(make(kind, spy, ids="patiant"))


def test_simclr_in_one_pass_is_the_same_without_dropout() -> None:
    two, one = (make("simclr", "ntxent", one_pass=flag, batch_norm=True) for flag in (False, True))
    assert value(one).item() == pytest.approx(value(two).item(), rel=1e-5)
    longer = {"name": "subsequence", "ratio": 0.5, "crop": True}
    apart = make("simclr", "ntxent", one_pass=True, augmentation2=longer)
    assert torch.isfinite(value(apart))


def test_columns_and_specifications_are_checked() -> None:
    data = batch()
    assert batch_column(data, "labels") is data.labels
    with pytest.raises(InputError, match="labels"):
        batch_column(Batch(x=data.x, index=data.index), "labels")
    with pytest.raises(ConfigError, match="loss"):
        build_loss(0.1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="infonce"):
        build_loss("infonec")
    with pytest.raises(ConfigError, match=r"hydra\.n_classes"):
        build_loss("hydra")
