"""Full fine-tuning: an encoder and a small head trained on labels.

The protocol of COMET (arXiv 2310.14017, section 5.1): the maximum over time of the
encoder's output, a two-layer head 320 -> 128 -> classes with batch normalisation, AdamW at
1e-4, batches of 128.
Trained from a fresh encoder the same class is the supervised baseline.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import AfterValidator, Field, StrictBool
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import EncoderLike
from tscl.encoders.new_input import with_new_input
from tscl.errors import InputError, NotFittedError, check_choice
from tscl.evaluation.metrics.labels import label_scores
from tscl.masking import MaskMode
from tscl.methods.heads import draw_latent_mask
from tscl.pooling import check_pooling, pool_time
from tscl.seeding import derive_seed, seeded
from tscl.training.settings import Section


def _pooling(value: str) -> str:
    check_pooling(value)
    return value


def _device(value: str | None) -> str | None:
    try:
        torch.device(value or "cpu")
    except RuntimeError:
        raise ValueError from None
    return value


Pooling = Annotated[str, AfterValidator(_pooling)]
"""How embeddings of all steps become one vector (:func:`tscl.pooling.pool_time`)."""


class FineTuneSettings(Section):
    """What a user may set of :class:`FineTuner`; its other arguments are the protocol's.

    Attributes: see :class:`FineTuner`.
    """

    kind: Literal["classes", "multilabel", "target"] = "classes"
    class_weight: Literal["balanced"] | None = None
    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=128, ge=2, description="2 or more, for batch normalisation")
    hidden: int = Field(default=128, ge=1)
    lr: float = Field(default=1e-4, gt=0, description="a positive learning rate, such as 1.0e-4")
    weight_decay: float = Field(default=0.01, ge=0, description="0 or a positive number")
    double_sigmoid: StrictBool = False
    logit_dropout: float = Field(default=0.0, ge=0, lt=1, description="a share in [0, 1)")
    latent_mask: MaskMode = "all_true"
    patience: int | None = Field(default=None, ge=1, description="at least 1 epoch, or None")
    pooling: Pooling = "max"
    device: Annotated[str | None, AfterValidator(_device)] = Field(
        default=None, description="the name of a device, such as cpu or cuda"
    )


def head_layers(width: int, hidden: int, n_classes: int) -> nn.Sequential:
    """The head: embeddings (B, width) to logits (B, n_classes).

    Args:
        width: D of the pooled embeddings.
        hidden: width of the hidden layer.
        n_classes: logits K.
    """
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, n_classes),
    )


class FineTuneNetwork(nn.Module):
    """Encoder, pooling over time, head; (B, T, C) to logits (B, n_classes).

    Args:
        encoder: (B, T, C) to (B, T', D), trained on.
        n_classes: logits K.
        hidden: width of the head's hidden layer.
        pooling: of :func:`tscl.pooling.pool_time`.
        logit_dropout: share of the logits dropped in training.
        latent_mask: mode of :func:`tscl.masking.draw_mask` in training.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_classes: int,
        hidden: int,
        pooling: str = "max",
        logit_dropout: float = 0.0,
        latent_mask: str = "all_true",
    ) -> None:
        super().__init__()
        self.encoder, self.pooling, self.latent_mask = encoder, pooling, latent_mask
        width = int(encoder.output_dims) * len(check_pooling(pooling))  # type: ignore[arg-type]
        self.head = head_layers(width, hidden, n_classes)
        if logit_dropout:
            self.head.append(nn.Dropout(logit_dropout))

    def embeddings(self, x: Tensor) -> Tensor:
        """Pooled embeddings (B, k D)."""
        out: Tensor
        if self.training and self.latent_mask != "all_true":
            out = self.encoder(x, draw_latent_mask(self.encoder, self.latent_mask, x, None))
        else:
            out = self.encoder(x)
        return pool_time(out, self.pooling)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        out: Tensor = self.head(self.embeddings(x))
        return out


@dataclass(eq=False, repr=False)
class FineTuner(ClassifierMixin, BaseEstimator):
    """Classifier that trains a copy of ``encoder`` with a two-layer head.

    Args:
        encoder: a torch module (B, T, C) -> (B, T, D) with ``output_dims``; it is copied in
            ``fit`` and never changed.
        n_classes: number of classes, also those missing from the labels seen; of labels of another
            ``kind`` the number of labels, or 1.
        kind: of the labels: ``classes``; ``multilabel``, (n, L) of 0, 1 and NaN, with the binary
            cross entropy of what is known; or ``target``, numbers, with the squared error.
        class_weight: ``balanced`` weighs the loss by 1 over the share of a class, or of a label's
            presence and absence; not of numbers.
        epochs: passes over the data; the paper uses 50 with all labels, 100 with 10 or 1 %.
        batch_size: samples a step.
        lr: AdamW's learning rate.
        weight_decay: AdamW's weight decay.
        hidden: width of the head.
        frozen: train the head only, on embeddings computed once with the encoder in eval mode.
        channels: ``match`` refuses series with other channels than the encoder's in number;
            ``new_input`` draws the encoder's input layer anew for the channels of the series and
            keeps all else (:func:`tscl.encoders.new_input.with_new_input`); not with ``frozen``.
        double_sigmoid: squash the logits by two sigmoids before the cross entropy, as the
            public code of COMET does; for two classes the loss then cannot fall below
            log(1 + exp(1/2 - sigmoid(1))) = 0.5843.
        logit_dropout: share of the logits dropped in training, as the public code does (.1).
        latent_mask: mask of the encoder's latent in training (:func:`tscl.masking.draw_mask`);
            ``binomial`` as the public code, ``all_true`` for none.
        patience: stop after this many epochs without a better validation F1; None never stops.
        pooling: how embeddings of all steps become one vector (:func:`tscl.pooling.pool_time`).
        seed: of head initialisation, order of samples and dropout.
        device: where to train; None keeps the encoder's own device.

    Attributes:
        network_: the trained network, weights of the best epoch.
        best_epoch_: epoch (from 1) of the highest macro F1 on the validation part (macro AUROC of
            several labels, R2 of numbers), the first of equals; the last epoch when ``fit`` got no
            validation part.
        history_: per epoch ``{"epoch", "loss", "valid_f1"}``, or ``valid_auroc``, ``valid_r2``.
        classes_: 0..n_classes-1.
    """

    lacks: ClassVar[tuple[str, ...]] = ()
    """Settings that a subclass has no use for."""

    encoder: EncoderLike
    n_classes: int
    _: KW_ONLY
    kind: str = "classes"
    class_weight: str | None = None
    epochs: int = 50
    batch_size: int = 128
    lr: float = 1e-4
    weight_decay: float = 0.01
    hidden: int = 128
    frozen: bool = False
    channels: str = "match"
    double_sigmoid: bool = False
    logit_dropout: float = 0.0
    latent_mask: str = "all_true"
    patience: int | None = None
    pooling: str = "max"
    seed: int = 0
    device: str | None = None
    _weight: Tensor | None = field(default=None, init=False)

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return [name for name in super()._get_param_names() if name not in cls.lacks]

    def fit(
        self, X: ArrayLike, y: ArrayLike, valid: tuple[ArrayLike, ArrayLike] | None = None
    ) -> FineTuner:
        """Train on labelled series, choosing the epoch on other patients.

        Args:
            X: (n, T, C) series.
            y: (n,) classes, or (n, L) labels of 0, 1 and NaN.
            valid: X and y of other patients, on which the epoch is chosen; None trains all epochs.

        Raises:
            InputError: shapes or labels that do not fit, infinite values, settings out of range.
        """
        self._check_settings()
        encoder = None if self.channels == "new_input" else self.encoder
        x, target = self._samples("X", X, encoder), self._labels("y", y)
        if len(x) != len(target):
            raise InputError("y", f"{len(target)} labels", f"give one a sample, {len(x)}")
        held = None
        if valid is not None:
            held = self._samples("valid X", valid[0], encoder), self._labels("valid y", valid[1])
            if len(held[0]) != len(held[1]):
                raise InputError("valid y", f"{len(held[1])} labels", f"give {len(held[0])}")
        self.classes_ = np.arange(self.n_classes)
        self._weight = self._balanced(target) if self.class_weight else None
        mean, spread = 0.0, 1.0
        if self.kind == "target":
            mean, spread = float(target.mean()), float(target.std()) or 1.0
            target = (target - mean) / spread
            held = None if held is None else (held[0], (held[1] - mean) / spread)
        with seeded(self.seed, "finetune"):
            encoder = copy.deepcopy(self.encoder)
            if not isinstance(encoder, nn.Module):
                raise InputError("encoder", type(encoder).__name__, "pass a torch module")
            if self.channels == "new_input":
                encoder = with_new_input(encoder, x.shape[2], self.seed)
            self.network_ = self._network(encoder)
            where = self.device or next((p.device for p in encoder.parameters()), "cpu")
            self._device = torch.device(where)
            self.network_.to(self._device).requires_grad_(True)
            self._train(x, target, held)
        if self.kind == "target":  # what it says is then in the numbers' own unit
            last = next(m for m in reversed(self.network_.head) if isinstance(m, nn.Linear))
            with torch.no_grad():
                last.weight.mul_(spread)
                last.bias.mul_(spread).add_(mean)
        self.network_.eval()
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, n_classes) of X (n, T, C), or numbers (n, 1).

        Raises:
            NotFittedError: before ``fit``.
        """
        if not hasattr(self, "network_"):
            raise NotFittedError("FineTuner: call fit before predict_proba")
        return self._proba(self.network_, self._samples("X", X, self.network_.encoder))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Most probable class (n,) of X (n, T, C); labels (n, L) at .5; numbers (n,)."""
        proba = self.predict_proba(X)
        if self.kind == "target":
            return proba[:, 0]
        several = self.kind == "multilabel"
        result: NDArray[Any] = (proba >= 0.5 if several else proba.argmax(axis=1)).astype(np.int64)
        return result

    # -- training ------------------------------------------------------------------------------

    def _train(
        self,
        x: Any,
        target: NDArray[Any],
        held: tuple[Any, NDArray[Any]] | None,
    ) -> None:
        network: nn.Module = self.network_
        valid_x = held[0] if held else None
        if self.frozen:
            self.network_.encoder.requires_grad_(False)
            x = self._embeddings(x)
            valid_x = self._embeddings(valid_x) if held else None
            network = self.network_.head
        trained = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=self.lr, weight_decay=self.weight_decay)
        order = np.random.default_rng(derive_seed(self.seed, "finetune order"))
        best, best_score, best_state = 0, -np.inf, None
        scored = {"classes": "f1", "multilabel": "auroc", "target": "r2"}[self.kind]
        self.history_: list[dict[str, float]] = []
        for epoch in range(1, self.epochs + 1):
            network.train()
            if len(x) == 1:
                _freeze_batch_norm(network)
            total = 0.0
            for rows in _batches(order.permutation(len(x)), self.batch_size):
                optimiser.zero_grad(set_to_none=True)
                loss = self._step_loss(network, self._batch(x, rows), target[rows])
                loss.backward()
                optimiser.step()
                total += loss.item() * len(rows)
            row = {"epoch": float(epoch), "loss": total / len(x)}
            row[f"valid_{scored}"] = float("nan")
            self.history_.append(row)
            if held is None:
                best = epoch
                continue
            score = label_scores(held[1], self._proba(network, valid_x))[scored]
            row[f"valid_{scored}"] = score
            if score > best_score or best_state is None:
                best, best_score = epoch, score if np.isfinite(score) else -np.inf
                state = network.state_dict()
                best_state = {name: value.detach().clone() for name, value in state.items()}
            elif self.patience is not None and epoch - best >= self.patience:
                break
        if best_state is not None:
            network.load_state_dict(best_state)
        self.best_epoch_ = best

    def _network(self, encoder: nn.Module) -> FineTuneNetwork:
        """What is trained; drawn under the estimator's seed."""
        return FineTuneNetwork(
            encoder,
            self.n_classes,
            self.hidden,
            self.pooling,
            self.logit_dropout,
            self.latent_mask,
        )

    def _step_loss(self, network: nn.Module, x: Tensor, target: NDArray[Any]) -> Tensor:
        """Loss of one batch, given to ``network`` (whole, or the head on embeddings)."""
        return self._loss(network(x), target)

    def _loss(self, logits: Tensor, target: NDArray[Any]) -> Tensor:
        """Cross entropy of the logits, applied once unless ``double_sigmoid``; or the squared
        error of numbers."""
        wanted = torch.from_numpy(target).to(logits.device)
        weight = None if self._weight is None else self._weight.to(logits)
        if self.kind == "classes":
            return F.cross_entropy(self._squash(logits), wanted, weight)
        if self.kind == "target":
            return F.mse_loss(logits[:, 0], wanted.to(logits))
        known = ~wanted.isnan()
        wanted = wanted.nan_to_num().to(logits)
        every = F.binary_cross_entropy_with_logits(
            logits, wanted, known.to(logits), pos_weight=weight, reduction="sum"
        )
        return every / known.sum().clamp_min(1)

    def _balanced(self, target: NDArray[Any]) -> Tensor:
        """Weight of every class; of several labels that of presence against absence."""
        if self.kind == "multilabel":
            here, gone = (target == 1).sum(axis=0), (target == 0).sum(axis=0)
            return torch.from_numpy(np.where(here * gone, gone / np.maximum(here, 1), 1.0))
        count = np.bincount(target, minlength=self.n_classes)
        present = max(1, int((count > 0).sum()))
        return torch.from_numpy(len(target) / (present * np.maximum(count, 1)))

    def _squash(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(torch.sigmoid(logits)) if self.double_sigmoid else logits

    @torch.no_grad()
    def _proba(self, network: nn.Module, x: Any) -> NDArray[np.float64]:
        """Probabilities with ``network`` (whole, or the head on embeddings) in eval mode."""
        network.eval()
        parts = [self._squash(network(self._batch(x, rows))) for rows in self._slices(len(x))]
        logits = torch.cat(parts).double()
        if self.kind != "target":
            logits = logits.sigmoid() if self.kind == "multilabel" else logits.softmax(dim=1)
        return logits.cpu().numpy()

    @torch.no_grad()
    def _embeddings(self, x: Any) -> NDArray[np.float32]:
        """Pooled embeddings (n, k D) with the encoder in eval mode."""
        self.network_.eval()
        parts = [self.network_.embeddings(self._batch(x, rows)) for rows in self._slices(len(x))]
        return torch.cat(parts).float().cpu().numpy()

    def _slices(self, n: int) -> list[NDArray[np.int64]]:
        return np.array_split(np.arange(n), range(256, n, 256))

    def _batch(self, x: Any, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.asarray(x[rows], dtype=np.float32)).to(self._device)

    # -- checks --------------------------------------------------------------------------------

    def _check_settings(self) -> None:
        for name in self.lacks:
            if getattr(self, name) != getattr(type(self), name):
                raise InputError(name, getattr(self, name), f"no setting of {type(self).__name__}")
        plain = self.kind == "classes"
        if self.n_classes < 1 + plain:
            raise InputError("n_classes", self.n_classes, "need at least 2 classes, or 1 label")
        if self.double_sigmoid and not plain:
            raise InputError("double_sigmoid", True, f"it is of classes, these are {self.kind}")
        check_choice("channels", self.channels, ("match", "new_input"))
        if self.channels == "new_input" and self.frozen:
            raise InputError("channels", self.channels, "a new input layer is trained: not frozen")
        if self.class_weight and self.kind == "target":
            raise InputError("class_weight", self.class_weight, "numbers have no classes")
        FineTuneSettings(**{name: getattr(self, name) for name in FineTuneSettings.model_fields})

    def _samples(self, name: str, X: Any, encoder: Any) -> Any:
        """``X``, of the channels of ``encoder``; kept as it is when it already is an array."""
        x = X if hasattr(X, "shape") and not isinstance(X, Tensor) else np.asarray(X)
        if len(x.shape) != 3 or 0 in x.shape:
            raise InputError(name, f"shape {x.shape}", "give (n_samples, n_timesteps, n_channels)")
        width = getattr(encoder, "input_dims", x.shape[2])
        if x.shape[2] != width:
            remedy = f"the encoder takes {width}; FineTuner(channels='new_input') takes any number"
            raise InputError(name, f"{x.shape[2]} channels", remedy)
        for rows in self._slices(len(x)):
            if np.isinf(np.asarray(x[rows], dtype=np.float32)).any():
                raise InputError(name, "infinite values", "give finite numbers, or NaN for gaps")
        return x

    def _labels(self, name: str, y: ArrayLike) -> NDArray[Any]:
        labels = np.asarray(y)
        if self.kind != "classes":
            n = len(labels) if labels.ndim else 0
            shape = (n, self.n_classes) if self.kind == "multilabel" else (n,)
            if labels.shape != shape or labels.dtype.kind not in "fiub":
                raise InputError(name, f"{labels.dtype} {labels.shape}", f"give numbers {shape}")
            values = labels.astype(np.float64)
            if self.kind == "target" and not np.isfinite(values).all():
                raise InputError(name, "unknown numbers", "leave samples without a label out")
            return values
        if labels.ndim != 1 or labels.dtype.kind not in "iub":
            raise InputError(name, f"{labels.dtype} {labels.shape}", "give (n,) integer codes")
        if labels.size and (labels.min() < 0 or labels.max() >= self.n_classes):
            wrong = f"{labels.min()}..{labels.max()}"
            raise InputError(name, wrong, f"give embeddings 0..{self.n_classes - 1}")
        return labels.astype(np.int64)


def _batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Consecutive parts of ``order``; a last part of one sample joins the one before it."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    yield from np.split(order, cuts)


def _freeze_batch_norm(network: nn.Module) -> None:
    """Let batch normalisation use its running figures: one sample has no variance."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
