"""Learning to tell what a teacher without labels measures: figures of crops, steps and events.

Pascual et al., "Learning Problem-agnostic Speech Representations from Multiple Self-supervised
Tasks", arXiv 1904.03416 (PASE). A network is trained to regress what a fixed procedure
computes of the signal, as encoders of speech learn hand-made features there and students the
outputs of a teacher (Hinton et al. 2015, arXiv 1503.02531; features: Romero et al. 2015, arXiv
1412.6550). The combination here, masked figures of a whole crop through one linear read-out that
stays part of the encoder beside figures and events of every step, is this library's own. It needs
no labels. It knows nothing of the signal either: the figures come with the batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.encoders.base import EncoderLike
from tscl.encoders.read_out import Output, ReadOutEncoder
from tscl.errors import InputError
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import ProjectionHead, check_batch, output_dims
from tscl.methods.instance_loss import LossSpec, build_loss, loss_inputs


@METHODS.register("knowledge_distillation")
class KnowledgeDistillation(Method):
    """Regression of known figures from embeddings, beside contrast if asked for.

    loss = sum over targets of weight * error, plus ``contrast_weight`` * contrast. The error of
    figures is the mean over all known ones of the smooth L1 distance; NaN is unknown. The error of
    events is the mean cross-entropy of whether one happens. Each target is read from
    ``batch.extra``, for each view: ``crops.NAME`` (B, V, K), ``steps.NAME`` (B, V, T', K) and
    ``events.NAME`` (B, V, T', K), such as :class:`tscl.training.recordings.RecordingSource` hands
    on. Every figure of crops is read by one linear layer from the pooled embedding, and figures and
    events of steps by linear layers from the embeddings of steps.

    Args:
        encoder: of steps, or a :class:`tscl.encoders.read_out.ReadOutEncoder`.
        crops: name to number of figures of a crop, K.
        steps: name to number of figures of a step.
        events: name to number of parts of a step in which an event can happen.
        weights: of targets by name; those not named have 1.
        augmentation: name, mapping or module, of every view; None leaves views as they are. It
            must keep what the figures say true.
        pooling: over time, names of :data:`tscl.pooling.POOLS` joined by ``+``.
        output: what the trained encoder gives, see
            :class:`tscl.encoders.read_out.ReadOutEncoder`.
        beta: distance from which on the error grows linearly, > 0.
        contrast: loss between views, a name of :data:`tscl.losses.LOSSES` or a module; None for
            no contrast, and then a single view will do.
        contrast_weight: of the contrast, >= 0.
        projection_dims: width of what is contrasted.
        hidden_dims: width inside the projection.
        ids: column of ``batch.ids`` that the contrast is given.

    Attributes:
        encoder: a ReadOutEncoder: the backbone, the pooling and the read-out.

    Raises:
        InputError: no target, a size or weight out of range, a weight of no target, or a
            ReadOutEncoder of another number of figures.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> method = KnowledgeDistillation(ENCODERS.build("resnet1d", input_dims=1), crops={"a": 2})
        >>> extra = {"crops.a": torch.zeros(4, 1, 2)}
        >>> batch = Batch(torch.randn(4, 200, 1), torch.arange(4), extra=extra)
        >>> sorted(method.losses(batch, "encoder", torch.Generator()))
        ['a', 'loss']
    """

    encoder: ReadOutEncoder

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        crops: Mapping[str, int],
        steps: Mapping[str, int] | None = None,
        events: Mapping[str, int] | None = None,
        weights: Mapping[str, float] | None = None,
        augmentation: AugmentationSpec | None = None,
        pooling: str = "mean+std+max",
        output: Output = "both",
        beta: float = 0.5,
        contrast: LossSpec | None = None,
        contrast_weight: float = 0.2,
        projection_dims: int = 64,
        hidden_dims: int = 256,
        ids: str | None = None,
    ) -> None:
        self.crops, self.steps, self.events = dict(crops), dict(steps or {}), dict(events or {})
        sizes = [*self.crops.items(), *self.steps.items(), *self.events.items()]
        if not self.crops or any(size < 1 for _, size in sizes):
            remedy = "name one or more figures of crops, and give each target a size of 1 or more"
            raise InputError("targets", sizes, remedy)
        self.weights = {**dict.fromkeys(dict(sizes), 1.0), **(weights or {})}
        if len(self.weights) != len(sizes) or min(self.weights.values()) < 0:
            remedy = f"give weights of 0 or more to targets of {[name for name, _ in sizes]}"
            raise InputError("weights", weights, f"{remedy}, each name once")
        for field, value in (("beta", beta), ("contrast_weight", contrast_weight)):
            if not 0 <= value < float("inf") or (field == "beta" and value == 0):
                raise InputError(field, value, "choose a finite value above 0")
        total = sum(self.crops.values())
        if not isinstance(encoder, ReadOutEncoder):
            assert isinstance(encoder, nn.Module)
            channels = int(encoder.input_dims)  # type: ignore[arg-type]
            encoder = ReadOutEncoder(channels, total, output, encoder, pooling=pooling)
        elif encoder.linear.out_features != total:
            remedy = f"build it for the {total} figures of crops"
            raise InputError("encoder.output_dims", encoder.linear.out_features, remedy)
        super().__init__(encoder)
        width = output_dims(encoder.backbone)
        parts = {**self.steps, **self.events}
        self.step_heads = nn.ModuleDict({n: nn.Linear(width, size) for n, size in parts.items()})
        self.augmentation = None if augmentation is None else build_augmentation(augmentation)
        self.beta, self.contrast_weight, self.ids = float(beta), float(contrast_weight), ids
        self.contrast = None if contrast is None else build_loss(contrast)
        if contrast is not None:
            self.projection = ProjectionHead(
                encoder.pooled_dims, hidden_dims, projection_dims, batch_norm=False
            )

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss``, the error of every target by name, and ``contrast`` where there is one.

        Raises:
            InputError: a target that is missing or has another shape, or contrast of one view.
        """
        check_batch(batch)
        views = batch.views or (batch.x,)
        if self.contrast is not None and len(views) < 2:
            raise InputError("batch.views", len(views), "contrast needs two views or more")
        x = torch.cat(views)
        if self.augmentation is not None:
            x = self.augmentation(x, generator)
        hidden = self.encoder.backbone(x)
        _, normed, figures = self.encoder.read(hidden)
        hidden = hidden.to(figures.dtype)
        terms: dict[str, Tensor] = {}
        with torch.autocast(x.device.type, enabled=False):
            columns = figures.split(list(self.crops.values()), dim=1)
            for name, read in zip(self.crops, columns, strict=True):
                terms[name] = self._distance(read, _target(batch, f"crops.{name}", read, views))
            for name in self.steps:
                read = self.step_heads[name](hidden)
                terms[name] = self._distance(read, _target(batch, f"steps.{name}", read, views))
            for name in self.events:
                read = self.step_heads[name](hidden)
                terms[name] = _cross_entropy(read, _target(batch, f"events.{name}", read, views))
            loss = torch.stack([self.weights[name] * error for name, error in terms.items()]).sum()
            if self.contrast is not None:
                z = self.projection(normed).chunk(len(views))
                given = (z[0], z[1]) if len(z) == 2 else (torch.stack(z),)
                known = loss_inputs(self.contrast, batch, self.ids)
                terms["contrast"] = self.contrast(*given, **known)
                loss = loss + self.contrast_weight * terms["contrast"]
        return {"loss": loss, **terms}

    def _distance(self, read: Tensor, target: Tensor) -> Tensor:
        """Mean smooth L1 distance over what is known; 0 where nothing is."""
        known = target.isfinite()
        distance = F.smooth_l1_loss(
            read, torch.where(known, target, 0.0), beta=self.beta, reduction="none"
        )
        return (distance * known).sum() / known.sum().clamp_min(1)


def _cross_entropy(read: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of events over what is known; 0 where nothing is."""
    known = target.isfinite()
    error = F.binary_cross_entropy_with_logits(
        read, torch.where(known, target, 0.0), reduction="none"
    )
    return (error * known).sum() / known.sum().clamp_min(1)


def _target(batch: Batch, name: str, read: Tensor, views: tuple[Tensor, ...]) -> Tensor:
    """A target of every view, first view first, in the shape of what is read.

    Raises:
        InputError: it is missing, or of another shape.
    """
    if name not in batch.extra:
        remedy = "let the source hand it on, or leave the target out"
        raise InputError("batch.extra", f"no {name!r}", remedy)
    target = batch.extra[name]
    wanted = (len(batch.x), len(views), *read.shape[1:])
    if tuple(target.shape) != wanted:
        raise InputError(f"batch.extra[{name}]", tuple(target.shape), f"give {wanted}")
    return target.transpose(0, 1).flatten(0, 1).to(read.dtype)
