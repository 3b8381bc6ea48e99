"""Class-incremental toy: replay forgets less than training on one task after the other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tscl.encoders import ENCODERS
from tscl.evaluation.metrics.continual import ContinualScores, forgetting
from tscl.methods import Coconut
from tscl.methods.base import Batch
from tscl.seeding import seeded, torch_generator

TASKS = ((0, 1), (2, 3), (4, 5))


def waves(n: int, classes: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Noisy waves whose frequency is the class, at a random phase."""
    generator = torch_generator(seed, "waves")
    y = torch.tensor(classes).repeat_interleave(n)
    phase = torch.rand(len(y), 1, generator=generator) * 2 * torch.pi
    angle = (1 + y[:, None]) * torch.arange(24) / 24 * 2 * torch.pi + phase
    x = torch.stack((angle.sin(), angle.cos()), dim=-1)
    return x + 0.9 * torch.randn(x.shape, generator=generator), y


def run(replay: bool, seed: int) -> ContinualScores:
    with seeded(seed):
        encoder = ENCODERS.build("dilated", input_dims=2, output_dims=8, hidden_dims=8, depth=1)
        method = Coconut(encoder, capacity=24, replay=16, projection_dims=8)
        optimiser = torch.optim.Adam(list(method.groups()["encoder"].parameters), lr=5e-3)
        scores = np.full((len(TASKS), len(TASKS)), np.nan)
        for i, classes in enumerate(TASKS):
            x, y = waves(16, classes, i)
            for step in range(40):
                optimiser.zero_grad()
                batch = Batch(x, torch.arange(len(x)), {}, y)
                loss = method.losses(batch, "encoder", torch_generator(seed, "step", i, step))
                loss["loss"].backward()
                optimiser.step()
            if replay:
                method.end_task(x, y, torch_generator(seed, "memory", i))
            for j in range(i + 1):
                scores[i, j] = accuracy(method.eval(), TASKS[j], j)
            method.train()
    return forgetting(scores)


@torch.no_grad()
def accuracy(method: Coconut, classes: tuple[int, ...], task: int) -> float:
    """Nearest class mean, on unseen waves of the task."""
    (x, y), (new_x, new_y) = waves(16, classes, task), waves(40, classes, 100 + task)
    z, new_z = (method.encoder(part).amax(dim=1) for part in (x, new_x))
    means = torch.stack([z[y == k].mean(dim=0) for k in classes])
    guess = torch.cdist(new_z, means).argmin(dim=1) + classes[0]
    return float((guess == new_y).float().mean())


def test_replay_forgets_less() -> None:
    pairs = [(run(True, seed).forgetting, run(False, seed).forgetting) for seed in (0, 1)]
    with_replay, without = np.mean(pairs, axis=0)
    assert with_replay < without - 0.03
