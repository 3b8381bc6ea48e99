"""Views from the source, more than two of them, and the copies that follow the encoder slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch import nn

from data_loaders.container.recordings import Recordings
from tests.methods.test_baselines import Identity, loss_of
from tests.reference import baseline_losses as slow
from tscl.augmentations import Jitter
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.losses import LOSSES
from tscl.methods import BYOL, METHODS, MoCoV3, SimCLR
from tscl.methods.base import Batch
from tscl.methods.momentum import momentum_at
from tscl.pooling import pool_time
from tscl.seeding import seeded, torch_generator
from tscl.training.data import RandomSampler
from tscl.training.recordings import RecordingSource
from tscl.training.trainer import Trainer, TrainSettings


def crops(count=2, n=5, t=12, c=3):
    views = torch.randn(count, n, t, c, generator=torch_generator(8), dtype=torch.float64).unbind(0)
    ids = {"patient": torch.tensor([0, 1, 0, 2, 1])}
    return Batch(views[0], torch.arange(n), ids, views=views)


# SimCLR


@pytest.mark.parametrize("one_pass", [False, True])
def test_the_views_of_the_source_are_contrasted(one_pass):
    method = SimCLR(
        Identity(3),
        augmentation=None,
        projection_dims=0,
        one_pass=one_pass,
        loss_params={"temperature": 0.3},
    )
    data = crops()
    a, b = (view.amax(dim=1).numpy() for view in data.views)
    assert float(loss_of(method, data)) == pytest.approx(slow.ntxent(a, b, 0.3))


def test_views_of_the_source_are_augmented_each_by_its_own():
    data = crops(3)
    first, others = Jitter(0.5), Jitter(2.0)
    method = SimCLR(
        Identity(3),
        augmentation=first,
        augmentation2=others,
        projection_dims=0,
        loss="mv_infonce",
        pooling="mean+max",
    )
    generator = torch_generator(0)
    seen = [one(v, generator) for one, v in zip((first, others, others), data.views, strict=True)]
    z = torch.stack([pool_time(view, "mean+max") for view in seen])
    torch.testing.assert_close(loss_of(method, data), LOSSES.build("mv_infonce")(z))


@pytest.mark.parametrize("loss", ["mv_infonce", "mv_dhel", "cacr"])
def test_losses_of_many_views_are_given_all_of_them(loss):
    x = crops().x
    method = SimCLR(Identity(3), augmentation=Jitter(0.5), loss=loss, views=4, projection_dims=0)
    generator = torch_generator(0)
    z = torch.stack([Jitter(0.5)(x, generator).amax(dim=1) for _ in range(4)])
    found = loss_of(method, Batch(x, torch.arange(5)))
    torch.testing.assert_close(found, LOSSES.build(loss)(z))


@pytest.mark.parametrize("method", [SimCLR, BYOL, MoCoV3])
def test_views_that_do_not_fit_are_named(method):
    data = crops()
    for wrong in (data.x[:3], data.x[..., :1], data.x[..., 0]):
        with pytest.raises(InputError, match=r"batch\.views\[1\]"):
            loss_of(method(Identity(3).float()), Batch(data.x, data.index, views=(data.x, wrong)))
    with pytest.raises(InputError, match="views: got 1"):
        method(Identity(3), views=1)


# momentum copies


def bare(kind, **params):
    """A method whose projector and predictor are left out, and whose copy is twice the encoder."""
    method = kind(Identity(3), augmentation=None, **params)
    method.projector = method.target_projector = method.predictor = nn.Identity()
    return method.double()


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("ids", [None, "patient"])
def test_moco_v3_against_a_loop(count, ids):
    data = crops(count)
    z = [unit(view.amax(dim=1).numpy()) for view in data.views]
    patient = data.ids["patient"].tolist()
    total = 0.0
    for a in range(count):
        for b in range(count):
            if a == b:
                continue
            for i in range(5):
                others = [j for j in range(5) if j == i or ids is None or patient[i] != patient[j]]
                logits = np.array([z[a][i] @ z[b][j] / 0.3 for j in others])
                own = z[a][i] @ z[b][i] / 0.3
                total += 2 * 0.3 * (np.log(np.exp(logits).sum()) - own) / 5
    expected = 2 * total / (count * (count - 1))
    found = loss_of(bare(MoCoV3, temperature=0.3, ids=ids), data)
    assert float(found) == pytest.approx(expected, rel=1e-5)  # logits are single precision


@pytest.mark.parametrize("count", [2, 3])
def test_byol_against_a_loop(count):
    data = crops(count)
    z = [unit(view.amax(dim=1).numpy()) for view in data.views]
    distances = [
        np.square(z[a] - z[b]).sum(axis=1).mean()
        for a in range(count)
        for b in range(count)
        if a != b
    ]
    assert float(loss_of(bare(BYOL), data)) == pytest.approx(2 * np.mean(distances))


def small_method(kind, **params):
    with seeded(0, "method"):
        encoder = ENCODERS.build(
            "dilated", input_dims=3, output_dims=8, hidden_dims=4, depth=1, dropout=0.0
        )
        return kind(encoder, augmentation=None, projection_dims=4, hidden_dims=4, **params)


@pytest.mark.parametrize("kind", [BYOL, MoCoV3])
def test_the_copy_follows_and_is_not_trained(kind):
    method = small_method(kind, momentum=0.8)
    data = crops()
    data = Batch(data.x.float(), data.index, views=tuple(view.float() for view in data.views))
    trained = {id(p) for p in method.groups()["encoder"].parameters}
    copies = [*method.target_encoder.parameters(), *method.target_projector.parameters()]
    assert not trained & {id(p) for p in copies}
    expected = [p.double().clone() for p in copies]
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.5)
    for step in range(4):
        optimizer.zero_grad()
        loss_of(method, data).backward()
        optimizer.step()
        method.after_step(step)
        assert all(p.grad is None for p in copies)
        own = [*method.encoder.parameters(), *method.projector.parameters()]
        expected = [0.8 * e + 0.2 * p.double() for e, p in zip(expected, own, strict=True)]
    for mine, slowly in zip(copies, expected, strict=True):
        torch.testing.assert_close(mine.double(), slowly, rtol=1e-5, atol=1e-6)


def test_momentum_rises_to_one_along_half_a_cosine():
    assert momentum_at(7, 0.9, None) == 0.9
    assert momentum_at(0, 0.9, 10) == pytest.approx(0.9)
    assert momentum_at(5, 0.9, 10) == pytest.approx(0.95)
    assert momentum_at(2, 0.9, 10) == pytest.approx(1 - 0.1 * (math.cos(0.2 * math.pi) + 1) / 2)
    assert momentum_at(10, 0.9, 10) == momentum_at(99, 0.9, 10) == 1.0


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"momentum": 1.5}, "momentum: got 1.5"),
        ({"momentum_steps": 0}, "momentum_steps"),
        ({"pooling": "min"}, "pooling"),
    ],
)
def test_bad_settings_are_named(params, says):
    for kind in (BYOL, MoCoV3):
        with pytest.raises(InputError, match=says):
            small_method(kind, **params)
    with pytest.raises(InputError, match="temperature"):
        small_method(MoCoV3, temperature=0.0)


# a rhythm that only recordings as a whole share


def rhythms(n, seed):
    """A weak rhythm of one of two kinds throughout each recording, under noise and bursts."""
    rng = np.random.default_rng(seed)
    arrays = []
    for k in range(n):
        steps = int(rng.integers(240, 400))
        time = np.arange(steps)
        rate = (0.07, 0.1)[k % 2] * np.exp(0.05 * rng.standard_normal())
        x = 0.7 * np.sin(2 * np.pi * (rate * time + rng.random())) + rng.standard_normal(steps)
        for _ in range(steps // 40):
            centre, width = rng.random() * steps, rng.uniform(5, 15)
            wave = np.sin(2 * np.pi * (rng.uniform(0.02, 0.4) * time + rng.random()))
            height = 2 * rng.standard_normal()
            x += height * wave * np.exp(-0.5 * ((time - centre) / width) ** 2)
        arrays.append(x[:, None])
    return Recordings.from_arrays(arrays, 100.0, label=np.arange(n) % 2).standardize()


def encoder():
    with seeded(0, "encoder"):
        return ENCODERS.build(
            "dilated", input_dims=1, output_dims=32, hidden_dims=16, depth=3, dropout=0.0
        )


def auroc(network, train, test):
    """Of a linear probe with 60 labels, windows averaged by recording."""

    def embeddings(data):
        windows = data.windows(100)
        with torch.no_grad():
            z = pool_time(network.eval()(torch.from_numpy(np.asarray(windows))), "mean")
        return windows.average(z.numpy())

    few, rest = embeddings(train)[:60], embeddings(test)
    scaler = StandardScaler().fit(few)
    probe = LogisticRegression().fit(scaler.transform(few), train.label[:60])
    return roc_auc_score(test.label, probe.decision_function(scaler.transform(rest)))


@pytest.fixture(scope="module")
def train_and_test():
    return rhythms(192, 0), rhythms(128, 1)


@pytest.fixture(scope="module")
def untrained(train_and_test):
    return auroc(encoder(), *train_and_test)


@pytest.mark.parametrize(
    ("name", "views", "epochs", "params"),
    [
        ("simclr", 2, 30, {}),
        ("simclr", 3, 30, {"loss": "cacr"}),
        ("moco_v3", 2, 60, {"momentum": 0.9}),
        ("byol", 3, 60, {"momentum": 0.9}),
    ],
)
def test_crops_of_one_recording_teach_its_rhythm(
    train_and_test, untrained, name, views, epochs, params
):
    train, test = train_and_test
    source = RecordingSource(train, 100, views=views)
    with seeded(0, "method"):
        method = METHODS.build(
            name, encoder=encoder(), augmentation=None, pooling="mean", projection_dims=32,
            hidden_dims=64, **params,
        )  # fmt: skip
    settings = TrainSettings(max_epochs=epochs, lr=3e-3, seed=0)
    result = Trainer(settings).fit(method, source, RandomSampler(len(source), 64, drop_last=True))
    assert untrained < 0.85
    assert 1 - auroc(result.encoder, train, test) < 0.5 * (1 - untrained)
