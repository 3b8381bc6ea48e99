"""What encoders that shorten a series share: masks at a coarse rate, layers, how far they see.

Layers work on (B, C, 1, T) in channels-last memory, which is the memory of (B, T, C): series come
in and embeddings go out without a copy, and on a CPU these convolutions are about twice as quick
as those over (B, C, T). Weights keep their usual layout; the convolutions follow their input.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.convolution import check_dims, check_series
from tscl.errors import ConfigError, InputError, check_choice, is_whole

NORMS = ("batch", "group")


def mask_series(
    x: Tensor, mask: Tensor | None, input_dims: int, stride: int = 1
) -> tuple[Tensor, Tensor]:
    """Series with hidden and missing values at zero, and the latent steps to keep.

    Args:
        x: (B, T, C), NaN where a value is missing.
        mask: True where kept: (B, T) or (B, T, H) at the input's rate, (B, T'') or (B, T'', H) at
            the latent's, T'' = ceil(T / stride); None keeps all.
        input_dims: channels C the encoder was built for.
        stride: input steps a latent step stands for.

    Returns:
        The series as (B, C, 1, T) and what to multiply the latent with, (B, 1 or H, 1, T''): a
        latent step is kept when any of its input steps is kept and has a value.

    Raises:
        InputError: a series or mask of another shape.
    """
    check_series(x, input_dims)
    batch, length, _ = x.shape
    coarse = -(-length // stride)
    missing = x.isnan()
    keep = ~missing.all(dim=-1)
    x = torch.nan_to_num(x, nan=0.0, posinf=None, neginf=None)
    per_channel: Tensor | None = None
    if mask is not None:
        fits = mask.ndim in (2, 3) and len(mask) == batch and mask.shape[1] in (length, coarse)
        if not fits:
            remedy = f"pass (B, T) = {(batch, length)}"
            remedy += f" or {(batch, coarse)}, the latent's rate" if stride > 1 else ""
            raise InputError("mask", tuple(mask.shape), remedy)
        if mask.ndim == 3:
            per_channel = mask.transpose(1, 2)
            if mask.shape[1] != coarse:
                per_channel = _any_of(per_channel, stride)
            mask = mask.any(dim=-1)
        if mask.shape[1] != length:
            mask = mask.repeat_interleave(stride, dim=1)[:, :length]
        keep = keep & mask
        x = x * mask.unsqueeze(-1).to(x.dtype)
    kept = _any_of(keep.unsqueeze(1), stride)
    if per_channel is not None:
        kept = kept & per_channel
    return x.transpose(1, 2).unsqueeze(2), kept.unsqueeze(2)


def _any_of(keep: Tensor, stride: int) -> Tensor:
    """Whether any of ``stride`` steps is True, (B, H, T) to (B, H, T'')."""
    if stride == 1:
        return keep
    # a mean, since exporters hold the steps of a maximum with ceil_mode for fixed
    share = F.avg_pool2d(keep.float().unsqueeze(2), (1, stride), ceil_mode=True)
    return share.squeeze(2) > 0


def per_stage(name: str, value: int | Sequence[int], count: int) -> list[int]:
    """The setting of each stage as a list.

    Args:
        name: of the setting, for the error.
        value: one number for all stages, or one a stage.
        count: stages.

    Raises:
        InputError: a list of another length, or a number below 1.
    """
    numbers = [value] * count if is_whole(value) else list(value)  # type: ignore[arg-type]
    if len(numbers) != count:
        raise InputError(name, value, f"give one number, or {count}, one a stage")
    for number in numbers:
        check_dims(**{name: number})
    return [int(number) for number in numbers]


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes its running figures when a channel has a single value.

    Args:
        dims: channels.
        zero: start with a weight of zero, so that a residual branch starts as nothing.
    """

    def __init__(self, dims: int, zero: bool = False) -> None:
        self.zero = zero
        super().__init__(dims)

    def reset_parameters(self) -> None:
        """Weight one (or zero), bias zero, running figures of a standard normal."""
        super().reset_parameters()
        if self.zero:
            nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        out: Tensor = super().forward(x)
        return out


class GroupNorm(nn.GroupNorm):
    """Group normalisation over channels and time of each sample.

    Args:
        dims: channels.
        groups: most groups; lowered until they divide ``dims`` and have two channels each.
        zero: start with a weight of zero.
    """

    def __init__(self, dims: int, groups: int = 8, zero: bool = False) -> None:
        self.zero = zero
        most = min(groups, max(1, dims // 2))
        super().__init__(max(n for n in range(1, most + 1) if dims % n == 0), dims)

    def reset_parameters(self) -> None:
        """Weight one (or zero), bias zero."""
        super().reset_parameters()
        if self.zero:
            nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; a group with a single value becomes the bias."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def build_norm(norm: str, dims: int, groups: int = 8, zero: bool = False) -> nn.Module:
    """Normalisation of (B, dims, 1, T).

    Args:
        norm: ``batch`` or ``group``.
        dims: channels.
        groups: of the group normalisation.
        zero: begin with a weight of 0, so that a residual block begins as its shortcut.

    Raises:
        ConfigError: another name.
    """
    check_norm(norm)
    return BatchNorm(dims, zero) if norm == "batch" else GroupNorm(dims, groups, zero)


def check_norm(norm: str) -> None:
    """Raise ConfigError unless ``norm`` is one of :data:`NORMS`."""
    check_choice("norm", norm, NORMS, error=ConfigError)


def conv(
    in_dims: int, out_dims: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Convolution over time without bias, centred, of ceil(T / stride) steps.

    Args:
        in_dims: channels of the input (B, in_dims, 1, T).
        out_dims: channels of the output.
        kernel_size: steps, odd.
        stride: steps from one output to the next.
        groups: of channels that do not mix.

    Raises:
        InputError: an even kernel.
    """
    if kernel_size % 2 == 0:
        raise InputError("kernel_size", kernel_size, "choose an odd number")
    return nn.Conv2d(
        in_dims,
        out_dims,
        (1, kernel_size),
        (1, stride),
        (0, kernel_size // 2),
        groups=groups,
        bias=False,
    )


def average_pool(stride: int) -> nn.Module:
    """Mean of ``stride`` steps; the last mean is of those that are left."""
    return nn.AvgPool2d((1, stride), (1, stride), ceil_mode=True, count_include_pad=False)


class Reach:
    """How many input steps before and after its own an output depends on, layer by layer.

    Attributes:
        stride: input steps between outputs.
        before: input steps before the first of an output's own.
        after: input steps after the first of an output's own.
    """

    def __init__(self) -> None:
        self.stride, self.before, self.after = 1, 0, 0

    def layer(self, kernel_size: int, stride: int = 1, pool: int = 1) -> None:
        """Add a layer.

        Args:
            kernel_size: of a centred convolution.
            stride: of the layer.
            pool: steps of a mean beside the convolution, from the output's own on.
        """
        self.before += (kernel_size - 1) // 2 * self.stride
        self.after += max(kernel_size // 2, pool - 1) * self.stride
        self.stride *= stride

    @property
    def width(self) -> int:
        """Input steps an output depends on."""
        return self.before + self.after + 1


def embeddings(h: Tensor) -> Tensor:
    """(B, D, 1, T) to (B, T, D)."""
    return h.squeeze(2).transpose(1, 2).contiguous()
