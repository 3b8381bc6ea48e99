"""Fine-tuning with contrast (Core-tuning), and for the area under the ROC curve (MW loss).

Core-tuning (arXiv 2102.06605) adds a focal supervised contrast over samples and hard mixtures to
the cross entropy, which is taken on the same mixtures; see :mod:`tscl.losses.focal_supcon`. The MW
loss (arXiv 2510.00137) ranks every diseased sample above every healthy one, whatever their shares;
see :mod:`tscl.losses.mann_whitney`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.errors import InputError, check_choice, nearest
from tscl.evaluation.clinical.finetune import FineTuneNetwork, FineTuner
from tscl.losses.focal_supcon import core_contrast, hard_pairs
from tscl.losses.mann_whitney import one_against_rest
from tscl.pooling import check_pooling
from tscl.seeding import numpy_generator

ONLY_PLAIN = ("kind", "class_weight", "logit_dropout", "latent_mask", "double_sigmoid")
"""Settings of :class:`FineTuner` that the losses here have no use for."""


class _CoreNetwork(FineTuneNetwork):
    """A fine-tuned network with a projection for the contrast beside its head."""

    def __init__(
        self,
        encoder: nn.Module,
        n_classes: int,
        hidden: int,
        projection_dims: int,
        pooling: str = "max",
    ) -> None:
        super().__init__(encoder, n_classes, hidden, pooling)
        dims = int(encoder.output_dims) * len(check_pooling(pooling))  # type: ignore[arg-type]
        self.contrastor = nn.Sequential(
            nn.Linear(dims, dims), nn.ReLU(), nn.Linear(dims, projection_dims)
        )


@dataclass(eq=False, repr=False)
class CoreTuner(FineTuner):
    """:class:`FineTuner` trained with Core-tuning's loss.

    Args:
        contrast_weight: eta >= 0, factor of the contrast; 0 leaves mixup of embeddings.
        beta: a > 0 of the mixtures' Beta(a, a).
        temperature: > 0 of the contrast.
        projection_dims: dimensions the contrast sees.

    All other arguments are those of :class:`FineTuner` but for :data:`ONLY_PLAIN` and ``frozen``:
    the contrast trains the encoder.
    """

    lacks: ClassVar[tuple[str, ...]] = (*ONLY_PLAIN, "frozen")

    _: KW_ONLY
    contrast_weight: float = 0.1
    beta: float = 1.0
    temperature: float = 0.07
    projection_dims: int = 64

    def _check_settings(self) -> None:
        super()._check_settings()
        if not self.contrast_weight >= 0:
            raise InputError("contrast_weight", self.contrast_weight, "use 0 or more")
        for name in ("beta", "temperature", "projection_dims"):
            if not getattr(self, name) > 0:
                raise InputError(name, getattr(self, name), "choose a value above 0")
        self._steps = 0

    def _network(self, encoder: nn.Module) -> FineTuneNetwork:
        return _CoreNetwork(
            encoder, self.n_classes, self.hidden, self.projection_dims, self.pooling
        )

    def _step_loss(self, network: nn.Module, x: Tensor, target: NDArray[np.int64]) -> Tensor:
        assert isinstance(network, _CoreNetwork)
        embeddings = network.embeddings(x)
        wanted = torch.from_numpy(target).to(embeddings.device)
        draws = numpy_generator(self.seed, "core tuning", self._steps)
        self._steps += 1
        share = torch.as_tensor(draws.beta(self.beta, self.beta, (2, len(embeddings)))).to(
            embeddings
        )
        pick = torch.as_tensor(draws.random(len(embeddings))).to(embeddings)
        mixed = hard_pairs(embeddings, wanted, self.n_classes, share, pick)
        labels = F.one_hot(wanted, self.n_classes).to(embeddings.dtype)
        logits = network.head(torch.cat((embeddings, mixed.features)))
        loss = F.cross_entropy(logits, torch.cat((labels, mixed.labels)))
        if self.contrast_weight:
            together = network.contrastor(torch.cat((embeddings, mixed.features)))
            first, second = together.split((len(embeddings), len(mixed.features)))
            loss = loss + self.contrast_weight * core_contrast(
                first, labels, second, mixed.labels, self.temperature
            )
        return loss


@dataclass(eq=False, repr=False)
class RankTuner(FineTuner):
    """:class:`FineTuner` trained for the area under the ROC curve, for imbalanced labels.

    The loss is ``rank_weight`` times the MW loss (one class against the rest) plus the cross
    entropy times ``1 - rank_weight``. A share of cross entropy keeps probabilities calibrated:
    with ``rank_weight=1`` only their order means something. In a batch of one class the MW loss is
    0.

    Args:
        rank_weight: in [0, 1].
        temperature: > 0 of the MW loss.

    All other arguments are those of :class:`FineTuner` but for :data:`ONLY_PLAIN`.
    """

    lacks: ClassVar[tuple[str, ...]] = ONLY_PLAIN

    _: KW_ONLY
    rank_weight: float = 0.9
    temperature: float = 1.0

    def _check_settings(self) -> None:
        super()._check_settings()
        if not 0 <= self.rank_weight <= 1:
            raise InputError("rank_weight", self.rank_weight, "choose a share in [0, 1]")
        if not self.temperature > 0:
            raise InputError("temperature", self.temperature, "choose a value above 0")

    def _loss(self, logits: Tensor, target: NDArray[np.int64]) -> Tensor:
        wanted = torch.from_numpy(target).to(logits.device)
        ranked: Any = one_against_rest(logits, wanted, self.temperature)
        plain = F.cross_entropy(logits, wanted)
        out: Tensor = self.rank_weight * ranked + (1 - self.rank_weight) * plain
        return out


TUNERS: dict[str, type[FineTuner]] = {"plain": FineTuner, "core": CoreTuner, "rank": RankTuner}
"""Fine-tuning by name: with cross entropy, with contrast, for the area under the ROC curve."""
FIXED = ("encoder", "n_classes", "seed", "frozen", "channels", "kind", "class_weight")


def build_tuner(
    encoder: nn.Module | None, n_classes: int, *, name: str = "plain", **settings: Any
) -> FineTuner:
    """The fine-tuner of :data:`TUNERS` called ``name``.

    Args:
        encoder: see :class:`FineTuner`.
        n_classes: likewise.
        name: how to train.
        settings: its other arguments.

    Raises:
        InputError: an unknown name, or a setting that it does not have or cannot be.
    """
    check_choice("name", name, TUNERS)
    known = TUNERS[name]._get_param_names()
    for key, value in settings.items():
        if key == "kind" and key not in known:
            raise InputError("name", name, f"it learns classes, these are {value}; take plain")
        if key == "class_weight" and key not in known:
            raise InputError("name", name, "it has no class weights; take plain, or leave them out")
        if key not in known:
            remedy = nearest(key, [setting for setting in known if setting not in FIXED])
            raise InputError(key, value, f"no setting of {name}; {remedy}")
    tuner = TUNERS[name](encoder, n_classes, **settings)
    tuner._check_settings()
    return tuner


def check_tuning(
    settings: dict[str, Any],
    protocols: Collection[str] = (),
    labels: Mapping[str, Any] | None = None,
) -> None:
    """Raise InputError for settings of :func:`build_tuner` that cannot be, before any training.

    Args:
        settings: without ``n_classes`` and what else the evaluation gives.
        protocols: of the evaluation.
        labels: what fine-tuning has to know of the labels: ``kind``, ``class_weight``.
    """
    for key in FIXED:
        if key in settings:
            raise InputError(key, settings[key], "it is given by the evaluation; leave it out")
    build_tuner(None, 2, **settings, **(labels or {}))
    if settings.get("name") == "core" and "head" in protocols:
        raise InputError("name", "core", "its contrast trains the encoder: leave head out")
