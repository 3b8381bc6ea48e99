"""What a level of COMET is, and how a list of levels is read from a configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from torch import Tensor, nn

from tscl.errors import ConfigError, InputError, nearest
from tscl.losses.base import LOSSES, ContrastiveLoss, is_instance_loss
from tscl.losses.series.id_contrast import IdContrastLoss
from tscl.losses.shared.settings import floor_setting, positive_setting
from tscl.masking import MASK_MODES
from tscl.methods.base import Batch
from tscl.methods.instance_loss import batch_column, build_loss, needs, needs_labels
from tscl.pooling import check_pooling, pool_time

LevelLoss = Literal["observation", "sample", "id"]
_PARAMS: dict[str, tuple[str, ...]] = {
    "observation": ("temperature", "hierarchical"),
    "sample": ("temperature", "hierarchical"),
    "id": ("temperature", "normalize", "pairs", "own_pair", "pool"),
}


@dataclass(frozen=True)
class Level:
    """One level of contrast.

    Attributes:
        name: name of its term in the log.
        loss: ``observation``, ``sample``, ``id`` (samples that share ``id_column`` attract), or
            a loss over (B, D) embeddings, by name (:data:`tscl.losses.LOSSES`) or as a module,
            which compares the embeddings pooled over time.
        id_column: key of ``Batch.ids`` for ``id``; None takes ``name``. A loss over embeddings is
            given the column as ``labels`` and as ``ids`` (``index`` and ``labels`` name those
            parts of the batch); None takes ``name`` if it needs labels, and no column otherwise.
        mask: latent mask of its two views (:data:`tscl.masking.MASK_MODES`); with ``all_true``
            views differ by the encoder's dropout (and by augmentations).
        weight: lambda, finite and >= 0; a level of weight 0 is not computed.
        exclude: for ``sample``: key of ``Batch.ids``; samples that share it are not negatives of
            one another.
        augment: pass the series through the method's augmentations before encoding a view.
        params: arguments of the loss: ``temperature`` and ``hierarchical`` for ``observation``
            and ``sample``; those of :class:`tscl.losses.IdContrastLoss` for ``id``; those of the
            loss given by name.
        pooling: over time, for a loss over embeddings (:func:`tscl.pooling.pool_time`).

    Raises:
        ConfigError: an entry that cannot be used, with the nearest known one.
    """

    name: str
    loss: LevelLoss | str | ContrastiveLoss
    id_column: str | None = None
    mask: str = "all_true"
    weight: float = 1.0
    exclude: str | None = None
    augment: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = "max"

    def __post_init__(self) -> None:
        where = f"level {self.name}"
        if not self.name or self.name == "loss":
            raise ConfigError("level name", self.name, "choose a name other than 'loss'")
        if not self.over_series and not is_instance_loss(self.loss):
            known = [*get_args(LevelLoss), *(n for n in LOSSES.names() if is_instance_loss(n))]
            raise ConfigError(f"{where}.loss", self.loss, nearest(str(self.loss), known))
        if self.mask not in MASK_MODES or self.mask == "channel":
            masks = [m for m in MASK_MODES if m != "channel"]
            raise ConfigError(f"{where}.mask", self.mask, nearest(str(self.mask), masks))
        number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not (number and math.isfinite(self.weight) and self.weight >= 0):
            raise ConfigError(f"{where}.weight", self.weight, "choose a finite weight >= 0")
        if self.exclude is not None and self.loss != "sample":
            raise ConfigError(f"{where}.exclude", self.exclude, "only the sample loss has it")
        if self.id_column is not None and self.loss in ("observation", "sample"):
            raise ConfigError(f"{where}.id_column", self.id_column, "only the id loss has it")
        check_pooling(self.pooling, f"{where}.pooling")
        if not self.over_series:
            self.build()
            return
        if not isinstance(self.params, Mapping):
            raise ConfigError(f"{where}.params", self.params, "give a mapping of names to values")
        allowed = _PARAMS[str(self.loss)]
        for key in self.params:
            if key not in allowed:
                raise ConfigError(f"{where}.params.{key}", self.params[key], nearest(key, allowed))
        try:
            positive_setting(f"{where}.params.temperature", self.params.get("temperature", 1.0))
        except InputError as error:
            raise ConfigError(error.field, error.value, error.remedy) from None
        if self.loss == "id":
            IdContrastLoss(**self.params)

    @property
    def over_series(self) -> bool:
        """Whether the loss compares (B, T, D) embeddings; else embeddings pooled to (B, D)."""
        return isinstance(self.loss, str) and self.loss in _PARAMS

    @property
    def column(self) -> str:
        """Key of ``Batch.ids`` of an ``id`` level."""
        return self.id_column or self.name

    @property
    def needs(self) -> frozenset[str]:
        """The column of a batch that is read, if any; see ``Method.needs``."""
        column: str | None = self.column
        if self.over_series:
            column = column if self.loss == "id" else self.exclude
        elif self.id_column is None and not needs_labels(self.build()):
            column = None
        return frozenset() if column in (None, "index") else frozenset({column})

    def build(self, dims: int = 1) -> nn.Module:
        """The loss over embeddings of ``dims`` dimensions."""
        return build_loss(self.loss, self.params, dims)

    def compare(self, loss: nn.Module, z1: Tensor, z2: Tensor, batch: Batch) -> Tensor:
        """``loss`` of two views pooled over time.

        Args:
            loss: built by :meth:`build`.
            z1: (B, T, D).
            z2: (B, T, D).
            batch: holds the ids and labels.
        """
        codes: Tensor | None = None
        if self.id_column is not None or needs_labels(loss):
            codes = batch_column(batch, self.column)
        index = batch.index if "index" in needs(loss) else None
        a, b = (pool_time(z, self.pooling) for z in (z1, z2))
        columns = {"labels": codes, "ids": codes, "index": index}
        value: Tensor = loss(a, b, **{name: c for name, c in columns.items() if c is not None})
        return value

    @classmethod
    def read(cls, entry: Level | Mapping[str, Any]) -> Level:
        """A level from itself or from a mapping such as one of a YAML list."""
        if isinstance(entry, Level):
            return entry
        if not isinstance(entry, Mapping):
            raise ConfigError("levels", entry, "give a list of mappings with name and loss")
        known = {f.name for f in fields(cls)}
        for key in entry:
            if key not in known:
                raise ConfigError(f"levels.{key}", entry[key], nearest(str(key), known))
        for key in ("name", "loss"):
            if key not in entry:
                raise ConfigError("levels", dict(entry), f"add {key!r}")
        return cls(**entry)


def default_levels(
    lambdas: Sequence[float] = (0.25, 0.25, 0.25, 0.25),
    *,
    exclude: str | None = None,
    augment: bool = False,
    id_params: Mapping[str, Any] | None = None,
) -> list[Level]:
    """The four levels of the paper: patient, trial, sample, observation.

    Args:
        lambdas: their weights in this order.
        exclude: see :attr:`Level.exclude`, for the sample level.
        augment: whether patient and trial level augment their views.
        id_params: loss arguments of patient and trial level.
    """
    if isinstance(lambdas, str) or not isinstance(lambdas, Sequence) or len(lambdas) != 4:
        raise ConfigError("lambdas", lambdas, "give four: patient, trial, sample, observation")
    patient, trial, sample, observation = (_lambda(v) for v in lambdas)
    ids = dict(id_params or {})
    return [
        Level("patient", "id", "patient", weight=patient, augment=augment, params=ids),
        Level("trial", "id", "trial", weight=trial, augment=augment, params=ids),
        Level("sample", "sample", mask="continuous", weight=sample, exclude=exclude),
        Level("observation", "observation", mask="continuous", weight=observation),
    ]


def _lambda(value: object) -> float:
    try:
        return floor_setting("lambdas", value)
    except InputError as error:
        raise ConfigError(error.field, error.value, error.remedy) from None


def read_levels(entries: Sequence[Level | Mapping[str, Any]]) -> list[Level]:
    """Check a list of levels: at least one that counts, and names that differ."""
    levels = [Level.read(entry) for entry in entries]
    names = [level.name for level in levels]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("levels", name, "give every level a name of its own")
    if not any(level.weight > 0 for level in levels):
        raise ConfigError("levels", names, "at least one level needs a weight above 0")
    return levels
