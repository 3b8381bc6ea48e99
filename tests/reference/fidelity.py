"""The table of docs/fidelity.md that is measured: what the library computes, beside plain loops.

python -m tests.reference.fidelity      # writes the table anew between its marks
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.encoders import test_published as networks
from tests.methods import test_baselines as baselines
from tests.reference import autotcl, baseline_losses, comet, contrastive_losses
from tests.reference.cost_encoder import PlainCoST
from tscl.augmentations.parametric import hard_concrete
from tscl.encoders import CoSTEncoder
from tscl.losses import (
    MMD,
    HierarchicalContrastiveLoss,
    IdContrastLoss,
    InfoNCE,
    LocalInfoNCE,
    MixupContrast,
    MoCo,
    NTXent,
    ObservationLoss,
    SampleLoss,
)
from tscl.methods import CLOCS, TFC
from tscl.methods.base import Batch
from tscl.methods.ts_tcc import prediction_loss
from tscl.seeding import randint, seeded, torch_generator

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"
MARKS = ("<!-- measured -->", "<!-- end measured -->")
HEAD = "| part | item | form | largest difference |\n| --- | --- | --- | ---: |"
FORMS = ("paper", "public code")
IDS = [0, 0, 1, 1, 2, 0]


def draw(*shape: int, seed: int) -> Tensor:
    """Float64 values of a fixed seed."""
    return torch.randn(*shape, generator=torch_generator(seed), dtype=torch.float64)


def losses(seed: int) -> Iterator[tuple[str, str, str, Any, Any]]:
    """Rows (part, item, form, ours, plain) of one draw."""
    a, b = draw(6, 4, seed=seed), draw(6, 4, seed=seed + 100)
    x, y = draw(6, 19, 4, seed=seed + 200), draw(6, 19, 4, seed=seed + 300)
    p, q, u, v = a.numpy(), b.numpy(), x.numpy(), y.numpy()
    for form, both in zip(FORMS, (True, False), strict=True):
        ours = InfoNCE(1.0, symmetric=both)(a, b)
        yield "AutoTCL", "global InfoNCE", form, ours, autotcl.infonce(p, q, 1.0, both)
    begin = int(randint(0, 19 - 4 * 4 + 1, (1,), torch_generator(seed))[0])
    for form, which, part in zip(FORMS, ("all", "first"), (u, u[:1]), strict=True):
        equal = form == "public code"
        loss = LocalInfoNCE(4, 1.0, instances=which, equal_negatives=equal)  # type: ignore[arg-type]
        plain = autotcl.local_infonce(part, begin, 4, 1.0, equal)
        yield "AutoTCL", "local InfoNCE", form, loss(x, torch_generator(seed)), plain
    yield "AutoTCL", "discrepancy (MMD)", "both", MMD()(a, b), autotcl.mmd(p, q)
    noise = torch.rand(9, generator=torch_generator(seed), dtype=torch.float64)
    for form, logits in zip(FORMS, (x[0, :9, 0], torch.sigmoid(x[0, :9, 0])), strict=True):
        ours = hard_concrete(logits, noise, temperature=1.0, gamma=-0.05, zeta=1.0)
        pairs = zip(logits.tolist(), noise.tolist(), strict=True)
        plain = [autotcl.gate(w, n, 1.0, -0.05, 1.0) for w, n in pairs]
        yield "AutoTCL", "gate of h", form, ours, plain
    for half, form in ((1.0, "public code"), (0.5, "paper")):
        ours = HierarchicalContrastiveLoss(half)(x, y)
        part = "end to end" if half == 1.0 else "TS2Vec"
        plain = baseline_losses.ts2vec_hierarchical(u, v, half, 0)
        yield part, "hierarchical loss", form if half == 1.0 else "both", ours, plain
    for name, ours, one in (
        ("observation level", ObservationLoss()(x, y), comet.observation),
        ("sample level", SampleLoss()(x, y), comet.sample),
    ):
        yield "COMET", name, "both", ours, comet.hierarchical(one, u, v)
    for form, normalize, pairs in zip(FORMS, ("embedding", "time"), ("all", "public"), strict=True):
        loss = IdContrastLoss(normalize=normalize, pairs=pairs)  # type: ignore[arg-type]
        plain = comet.id_contrast(u, v, IDS, 0.1, normalize, pairs)
        yield "COMET", "patient and trial level", form, loss(x, y, torch.tensor(IDS)), plain
    yield "SimCLR, TF-C", "NT-Xent", "paper", NTXent(0.2)(a, b), baseline_losses.ntxent(p, q, 0.2)
    method: Any = TFC(baselines.Identity(4), polynomial=True, projection_dims=4)
    plain = baseline_losses.polynomial(p, q, 0.2)
    yield "SimCLR, TF-C", "polynomial NT-Xent", "public code", method.contrast(a, b), plain
    method = CLOCS(baselines.Identity(4), segments=2)
    batch = Batch(x[:, :18], torch.arange(6), {"patient": torch.tensor(IDS)})
    halves = (x[:, :9].amax(dim=1).numpy(), x[:, 9:18].amax(dim=1).numpy())
    plain = baseline_losses.clocs(*halves, IDS, 0.1)
    yield "CLOCS", "equations 1 and 2", "paper", baselines.loss_of(method, batch), plain
    mixed, weight = (a + b) / 2, torch.full((6,), 0.5, dtype=torch.float64)
    ours = MixupContrast(0.5)(mixed, a, b, weight)
    plain = baseline_losses.mixup(mixed.numpy(), p, q, weight.tolist(), 0.5)
    yield "Mixing-up", "equation 2", "both", ours, plain
    plain = baseline_losses.tcc_prediction(u, v)
    yield "TS-TCC", "equation 2", "paper", prediction_loss(x, y), plain
    queue = MoCo(1.0, queue_size=6).double()
    queue(torch.stack([b, a]))
    held = queue.queue.numpy().copy()
    ours = queue(torch.stack([a, b]))
    yield "end to end", "MoCo", "paper", ours, contrastive_losses.moco(p, q, held, 1.0)


def encoders(seed: int) -> Iterator[tuple[str, str, str, Any, Any]]:
    """Rows of the networks, with weights large enough to show."""
    x = draw(2, 29, 7, seed=seed)
    with seeded(seed):
        cost = CoSTEncoder(7, 12, hidden_dims=8, depth=3, dropout=0.0, causal=False).double()
        yield "AutoTCL", "encoder `cost`", "public code", cost(x), PlainCoST(cost).double()(x)
    plain: dict[str, tuple[Callable[[Any, Tensor], Tensor], dict[str, int], int]] = {
        "lstm": (networks.plain_lstm, {"depth": 2}, 29),
        "tcn": (networks.plain_tcn, {"depth": 3}, 29),
        "informer": (networks.plain_informer, {"depth": 2, "heads": 2}, 9),
    }
    for name, (function, params, steps) in plain.items():
        network: nn.Module = networks.build(name, output_dims=12, hidden_dims=8, **params)
        network = network.double().eval()
        for i, tensor in enumerate(network.parameters()):
            tensor.copy_(draw(*tensor.shape, seed=seed + i) / 3)
        count = f"network `{name}`, {networks.COUNTS[name]:,} parameters at full size"
        ours = network(x[:, :steps])
        yield "end to end", count, "public code", ours, function(network, x[:, :steps])


@torch.no_grad()
def measure() -> dict[tuple[str, str, str], float]:
    """(part, item, form) -> largest difference over ten draws, values being about 1."""
    result: dict[tuple[str, str, str], float] = {}
    for seed in range(10):
        for part, item, form, ours, plain in (*losses(seed), *encoders(seed)):
            expected = torch.as_tensor(plain, dtype=torch.float64)
            difference = float((ours.double() - expected).abs().max())
            key = (part, item, form)
            result[key] = max(result.get(key, 0.0), difference)
    return dict(sorted(result.items(), key=lambda row: row[0][0].lower()))


def table(rows: dict[tuple[str, str, str], float]) -> str:
    """The Markdown between the marks."""
    lines = [f"| {' | '.join(key)} | {value:.0e} |" for key, value in rows.items()]
    return "\n".join([HEAD, *lines])


def rewrite(text: str, rows: dict[tuple[str, str, str], float]) -> str:
    """The page with the table measured anew."""
    begin, end = map(re.escape, MARKS)
    block = f"{MARKS[0]}\n{table(rows)}\n{MARKS[1]}"
    return re.sub(f"{begin}.*{end}", lambda _: block, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(rewrite(PAGE.read_text(), measure()))
