"""COMET: hierarchical contrast of observations, samples, trials and patients.

Wang et al., "Contrast Everything: A Hierarchical Contrastive Framework for Medical Time-Series",
NeurIPS 2023, arXiv 2310.14017.
The total is sum_l lambda_l L_l over the levels l (section 4.5). Each level compares two views of
the batch, made by the encoder's dropout and the level's latent mask. Levels with the same mask
share their two views; views that differ by output dropout alone share one pass of the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from tscl.augmentations.base import AugmentationSpec, build_augmentation
from tscl.encoders.base import EncoderLike
from tscl.errors import ConfigError, InputError, check_choice, nearest
from tscl.losses.series.comet import PairTerm, hierarchical_contrast
from tscl.losses.series.id_contrast import IdContrastLoss, check_ids, same_id
from tscl.losses.shared.tiled_pairs import TILE, Axis
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.comet_levels import Level, default_levels, read_levels
from tscl.methods.heads import draw_latent_mask, output_dims

PAPER_LEVELS = ("patient", "trial", "sample", "observation")
_LAMBDAS = (0.25, 0.25, 0.25, 0.25)


@METHODS.register("comet")
class COMETMethod(Method):
    """COMET around any encoder; observations are its embeddings, a step each or coarser ones.

    Args:
        encoder: the encoder to train.
        levels: list of :class:`Level` or of mappings with its fields; None takes the paper's four
            with ``lambdas`` and the options below.
        lambdas: weights of patient, trial, sample and observation level (without ``levels``).
        exclude: id column whose samples are not negatives of one another at the sample level,
            such as ``trial`` or ``patient`` (without ``levels``); None as in the paper.
        id_params: loss arguments of patient and trial level (without ``levels``).
        augmentations: name, mapping or module of :mod:`tscl.augmentations`, applied to every view
            of the levels that ask for it; without ``levels`` those are patient and trial. None:
            dropout makes the views.
        public_weights: give every id level that counts the weight 1, as the public code does.
        share_views: levels with one mask share two views, and an encoder with ``dropout_views``
            gives both views of an unmasked level in one pass; False makes two passes per level.
        sequential: finish the gradient of one set of views before the next is encoded, so that
            the activations of one set live at a time. Same result; not for float16 precision,
            whose loss scaling comes too late for it.
        micro_batch: encode so many samples at a time and encode them again during the backward
            pass, with the same draws, instead of keeping activations. None keeps them. For
            encoders that treat samples independently, hence without batch norm.
        tile: how many logits of a loss to hold at a time.

    Raises:
        ConfigError: a level or option that cannot be used.
        InputError: (``losses``) a batch without the id column a level needs.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> ids = {"patient": torch.arange(8) // 4, "trial": torch.arange(8) // 2}
        >>> batch = Batch(x, torch.arange(8), ids=ids)
        >>> method = COMETMethod(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss', 'observation', 'patient', 'sample', 'trial']
    """

    title = "COMET"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        levels: Sequence[Level | Mapping[str, Any]] | None = None,
        lambdas: Sequence[float] = _LAMBDAS,
        exclude: str | None = None,
        id_params: Mapping[str, Any] | None = None,
        augmentations: AugmentationSpec | None = None,
        public_weights: bool = False,
        share_views: bool = True,
        sequential: bool = True,
        micro_batch: int | None = None,
        tile: int = TILE,
    ) -> None:
        super().__init__(encoder)
        if micro_batch is not None and micro_batch < 1:
            raise ConfigError("micro_batch", micro_batch, "use 1 or more samples, or None")
        if micro_batch is not None and any(isinstance(m, _BatchNorm) for m in self.modules()):
            remedy = "the encoder's batch norm needs the whole batch: build it with norm='group'"
            raise ConfigError("micro_batch", micro_batch, remedy)
        if tile < 1:
            raise ConfigError("tile", tile, "hold at least one logit")
        if levels is None:
            levels = default_levels(
                lambdas, exclude=exclude, augment=augmentations is not None, id_params=id_params
            )
        elif exclude is not None or id_params is not None:
            raise ConfigError("levels", "with exclude or id_params", "set them on the levels")
        self.levels = read_levels(levels)
        self.needs = frozenset().union(*(level.needs for level in self.levels if level.weight > 0))
        self.instance_losses = nn.ModuleList(
            [
                nn.Identity() if level.over_series else level.build(output_dims(self.encoder))
                for level in self.levels
            ]
        )
        if augmentations is None and any(level.augment for level in self.levels):
            raise ConfigError("augment", True, "pass augmentations, or set augment to false")
        self.augmentations = None if augmentations is None else build_augmentation(augmentations)
        self.public_weights = public_weights
        self.share_views = share_views
        self.sequential = sequential
        self.micro_batch = micro_batch
        self.tile = tile

    @classmethod
    def check_params(cls, params: Mapping[str, Any]) -> None:
        """Read the levels and their weights."""
        levels, lambdas = params.get("levels"), params.get("lambdas", _LAMBDAS)
        name, value = ("lambdas", lambdas) if levels is None else ("levels", levels)
        try:
            read_levels(default_levels(lambdas) if levels is None else levels)
        except InputError as error:
            field = name if error.field in ("levels", "lambdas") else error.field
            raise ConfigError(field, value, error.remedy) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(name, value, f"a value of the wrong kind: {error}") from None

    @classmethod
    def keep_levels(cls, params: Mapping[str, Any], levels: Sequence[str]) -> dict[str, Any]:
        """``params`` with lambda zero for all of the paper's levels but ``levels``."""
        if "levels" in params:
            raise ConfigError("levels", list(levels), "method.params.levels lists its own")
        for name in levels:
            check_choice("levels", name, PAPER_LEVELS, error=ConfigError)
        lambdas = zip(PAPER_LEVELS, params.get("lambdas", _LAMBDAS), strict=True)
        kept = [float(weight) if name in levels else 0.0 for name, weight in lambdas]
        return {**params, "lambdas": kept}

    def weight(self, level: Level) -> float:
        """The factor of a level in the total."""
        if self.public_weights and level.loss == "id" and level.weight > 0:
            return 1.0
        return level.weight

    def view_groups(self) -> list[list[Level]]:
        """Levels that count, grouped by the two views they use."""
        groups: dict[object, list[Level]] = {}
        for level in self.levels:
            if level.weight > 0:
                key = (level.mask, level.augment) if self.share_views else level.name
                groups.setdefault(key, []).append(level)
        return list(groups.values())

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` and each level's unweighted term, named after the level."""
        for level in self.levels:
            needed = level.column if level.loss == "id" else level.exclude
            if level.weight > 0 and needed is not None:
                _ids(batch, needed, level)
        groups = self.view_groups()
        total: Tensor | None = None
        terms: dict[str, Tensor] = {}
        for number, group in enumerate(groups):
            views = self._views(batch.x, group[0], generator)
            part, values = self._group_loss(views, group, batch)
            del views
            if self.sequential and number + 1 < len(groups) and part.requires_grad:
                part = _settle(part, [p for p in self.parameters() if p.requires_grad])
            total = part if total is None else total + part
            terms.update(values)
        assert total is not None
        ordered = {level.name: terms[level.name] for level in self.levels if level.name in terms}
        return {"loss": total, **ordered}

    def _group_loss(
        self, views: tuple[Tensor, Tensor], group: list[Level], batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum and unweighted values of levels that share ``views``."""
        z1, z2 = views
        parts: list[Tensor] = []
        values: dict[str, Tensor] = {}
        pairs: dict[bool, list[Level]] = {}
        for level in group:
            if level.loss == "id":
                value = IdContrastLoss(**level.params)(z1, z2, _ids(batch, level.column, level))
                values[level.name] = value.detach()
                parts.append(self.weight(level) * value)
            elif not level.over_series:
                place = [other.name for other in self.levels].index(level.name)
                value = level.compare(self.instance_losses[place], z1, z2, batch)
                values[level.name] = value.detach()
                parts.append(self.weight(level) * value)
            else:
                pairs.setdefault(bool(level.params.get("hierarchical", True)), []).append(level)
        for hierarchical, levels in pairs.items():
            terms = [self._pair_term(level, batch) for level in levels]
            total, by_level = hierarchical_contrast(
                z1, z2, terms, hierarchical=hierarchical, tile=self.tile
            )
            parts.append(total)
            values.update({level.name: v for level, v in zip(levels, by_level, strict=True)})
        return torch.stack(parts).sum(), values

    def _pair_term(self, level: Level, batch: Batch) -> PairTerm:
        axis: Axis = "time" if level.loss == "observation" else "batch"
        exclude = None if level.exclude is None else same_id(_ids(batch, level.exclude, level))
        return PairTerm(axis, self.weight(level), exclude, level.params.get("temperature", 1.0))

    def _views(self, x: Tensor, level: Level, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two encoded views (B, T', D) for ``level``."""
        if self.share_views and level.mask == "all_true" and not level.augment:
            twice = getattr(self.encoder, "dropout_views", None)
            if twice is not None:
                first, second = self._encode(lambda part, _: tuple(twice(part, 2)), x, None)
                return first, second
        out: list[Tensor] = []
        for _ in range(2):
            seen = self.augmentations(x, generator) if level.augment and self.augmentations else x
            mask = None
            if level.mask != "all_true":
                mask = draw_latent_mask(self.encoder, level.mask, seen, generator)
            out += self._encode(lambda part, m: (self.encoder(part, m),), seen, mask)
        return out[0], out[1]

    def _encode(
        self,
        encode: Callable[[Tensor, Tensor | None], tuple[Tensor, ...]],
        x: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """All outputs of ``encode`` for the batch, in micro-batches when asked for."""
        if self.micro_batch is None or self.micro_batch >= len(x):
            return encode(x, mask)
        chunks = []
        for first in range(0, len(x), self.micro_batch):
            part = slice(first, first + self.micro_batch)
            inputs = (x[part], None if mask is None else mask[part])
            if torch.is_grad_enabled():
                out = checkpoint(encode, *inputs, use_reentrant=False, preserve_rng_state=True)
                chunks.append(cast(tuple[Tensor, ...], out))
            else:
                chunks.append(encode(*inputs))
        return tuple(torch.cat(pieces) for pieces in zip(*chunks, strict=True))


def _ids(batch: Batch, column: str, level: Level) -> Tensor:
    """The integer codes of ``column``, checked."""
    if column not in batch.ids:
        raise InputError(
            f"ids of level {level.name}", column, f"add the column; {nearest(column, batch.ids)}"
        )
    return check_ids(batch.ids[column], len(batch.x), f"ids[{column}]")


def _settle(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """``loss`` with its gradient computed now and its graph freed."""
    with torch.autocast(loss.device.type, enabled=False):
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    used = [(p, g) for p, g in zip(parameters, grads, strict=True) if g is not None]
    settled: Tensor = _Settled.apply(
        loss.detach(), tuple(g for _, g in used), *(p for p, _ in used)
    )
    return settled


class _Settled(torch.autograd.Function):
    """A number whose gradient with respect to the parameters is already known."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, grads: tuple[Tensor, ...], *_: Tensor) -> Tensor:
        ctx.save_for_backward(*grads)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(g * grad for g in ctx.saved_tensors))
