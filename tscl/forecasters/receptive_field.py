"""Which past steps a forecast depends on: gradient and occlusion.

The empirical receptive field of arXiv 2306.12086, section 5.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import check_choice


def receptive_field(
    network: nn.Module,
    past: Tensor,
    past_marks: Tensor | None = None,
    future_marks: Tensor | None = None,
    *,
    how: Literal["gradient", "occlusion"] = "gradient",
) -> Tensor:
    """Influence of each past step on each forecast step, (H, L), rows summing to 1.

    Args:
        network: called as ``network(past, past_marks, future_marks)``.
        past: (B, L, C).
        past_marks: its covariates.
        future_marks: those of the horizon.
        how: ``gradient``: mean absolute derivative of a forecast step's sum over variables with
            respect to the step's values; ``occlusion``: mean absolute change of the forecast when
            the step is replaced by the average of its neighbours (its mean over the window at the
            ends).

    Raises:
        InputError: unknown ``how``.
    """
    check_choice("how", how, ("gradient", "occlusion"))
    was = network.training
    network.eval()
    rows: list[Tensor] = []
    try:
        if how == "gradient":
            x = past.detach().clone().requires_grad_(True)
            forecast = network(x, past_marks, future_marks).sum(dim=(0, 2))
            for i, value in enumerate(forecast):
                grad = torch.autograd.grad(value, x, retain_graph=i + 1 < len(forecast))[0]
                rows.append(grad.abs().mean(dim=(0, 2)))
            effect = torch.stack(rows)
        else:
            with torch.no_grad():
                base = network(past, past_marks, future_marks)
                for step in range(past.shape[1]):
                    changed = past.clone()
                    inside = 0 < step < past.shape[1] - 1
                    near = past[:, [step - 1, step + 1]] if inside else past
                    changed[:, step] = near.mean(dim=1)
                    forecast = network(changed, past_marks, future_marks)
                    rows.append((forecast - base).abs().mean(dim=(0, 2)))
            effect = torch.stack(rows, dim=1)
    finally:
        network.train(was)
    total: Tensor = effect / effect.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return total
