"""Full fine-tuning: an encoder and a small head trained on labels.

The protocol of COMET (arXiv 2310.14017, section 5.1): the maximum over time of the
encoder's output, a two-layer head 320 -> 128 -> classes with batch normalisation, AdamW at
1e-4, batches of 128.
Trained from a fresh encoder the same class is the supervised baseline.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import AfterValidator, Field, StrictBool
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import EncoderLike
from tscl.errors import InputError, NotFittedError
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
    """The head: embeddings (B, width) to logits (B, n_classes)."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, n_classes),
    )


class FineTuneNetwork(nn.Module):
    """Encoder, pooling over time, head; (B, T, C) to logits (B, n_classes)."""

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


class FineTuner(ClassifierMixin, BaseEstimator):
    """Classifier that trains a copy of ``encoder`` with a two-layer head.

    Args:
        encoder: a torch module (B, T, C) -> (B, T, D) with ``output_dims``; it is copied in
            ``fit`` and never changed.
        n_classes: number of classes, also those missing from the labels seen.
        epochs: passes over the data; the paper uses 50 with all labels, 100 with 10 or 1 %.
        batch_size: samples a step.
        lr: AdamW's learning rate.
        weight_decay: AdamW's weight decay.
        hidden: width of the head.
        frozen: train the head only, on embeddings computed once with the encoder in eval mode.
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
        best_epoch_: epoch (from 1) of the highest macro F1 on the validation part, the first of
            equals; the last epoch when ``fit`` got no validation part.
        history_: per epoch ``{"epoch", "loss", "valid_f1"}``.
        classes_: 0..n_classes-1.
    """

    def __init__(
        self,
        encoder: EncoderLike,
        n_classes: int,
        *,
        epochs: int = 50,
        batch_size: int = 128,
        lr: float = 1e-4,
        weight_decay: float = 0.01,
        hidden: int = 128,
        frozen: bool = False,
        double_sigmoid: bool = False,
        logit_dropout: float = 0.0,
        latent_mask: str = "all_true",
        patience: int | None = None,
        pooling: str = "max",
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        self.encoder = encoder
        self.n_classes = n_classes
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.hidden = hidden
        self.frozen = frozen
        self.double_sigmoid = double_sigmoid
        self.logit_dropout = logit_dropout
        self.latent_mask = latent_mask
        self.patience = patience
        self.pooling = pooling
        self.seed = seed
        self.device = device

    def fit(
        self, X: ArrayLike, y: ArrayLike, valid: tuple[ArrayLike, ArrayLike] | None = None
    ) -> FineTuner:
        """Train on X (n, T, C) with embeddings y (n,), choosing the epoch on ``valid`` = (X, y).

        Raises:
            InputError: shapes or labels that do not fit, infinite values, settings out of range.
        """
        self._check_settings()
        x, target = self._samples("X", X), self._labels("y", y)
        if len(x) != len(target):
            raise InputError("y", f"{len(target)} labels", f"give one a sample, {len(x)}")
        held = None
        if valid is not None:
            held = self._samples("valid X", valid[0]), self._labels("valid y", valid[1])
            if len(held[0]) != len(held[1]):
                raise InputError("valid y", f"{len(held[1])} labels", f"give {len(held[0])}")
        self.classes_ = np.arange(self.n_classes)
        with seeded(self.seed, "finetune"):
            encoder = copy.deepcopy(self.encoder)
            if not isinstance(encoder, nn.Module):
                raise InputError("encoder", type(encoder).__name__, "pass a torch module")
            self.network_ = self._network(encoder)
            where = self.device or next((p.device for p in encoder.parameters()), "cpu")
            self._device = torch.device(where)
            self.network_.to(self._device).requires_grad_(True)
            self._train(x, target, held)
        self.network_.eval()
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Class probabilities (n, n_classes) of X (n, T, C).

        Raises:
            NotFittedError: before ``fit``.
        """
        if not hasattr(self, "network_"):
            raise NotFittedError("FineTuner: call fit before predict_proba")
        return self._proba(self.network_, self._samples("X", X))

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Most probable class (n,) of X (n, T, C)."""
        result: NDArray[np.int64] = self.predict_proba(X).argmax(axis=1).astype(np.int64)
        return result

    # -- training ------------------------------------------------------------------------------

    def _train(
        self,
        x: Any,
        target: NDArray[np.int64],
        held: tuple[Any, NDArray[np.int64]] | None,
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
        best, best_f1, best_state = 0, -1.0, None
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
            row = {"epoch": float(epoch), "loss": total / len(x), "valid_f1": float("nan")}
            self.history_.append(row)
            if held is None:
                best = epoch
                continue
            predicted = self._proba(network, valid_x).argmax(axis=1)
            row["valid_f1"] = float(f1_score(held[1], predicted, average="macro", zero_division=0))
            if row["valid_f1"] > best_f1:
                best, best_f1 = epoch, row["valid_f1"]
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

    def _step_loss(self, network: nn.Module, x: Tensor, target: NDArray[np.int64]) -> Tensor:
        """Loss of one batch, given to ``network`` (whole, or the head on embeddings)."""
        return self._loss(network(x), target)

    def _loss(self, logits: Tensor, target: NDArray[np.int64]) -> Tensor:
        """Cross entropy of the logits, applied once unless ``double_sigmoid``."""
        wanted = torch.from_numpy(target).to(logits.device)
        return F.cross_entropy(self._squash(logits), wanted)

    def _squash(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(torch.sigmoid(logits)) if self.double_sigmoid else logits

    @torch.no_grad()
    def _proba(self, network: nn.Module, x: Any) -> NDArray[np.float64]:
        """Probabilities with ``network`` (whole, or the head on embeddings) in eval mode."""
        network.eval()
        parts = [self._squash(network(self._batch(x, rows))) for rows in self._slices(len(x))]
        return torch.cat(parts).double().softmax(dim=1).cpu().numpy()

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
        if self.n_classes < 2:
            raise InputError("n_classes", self.n_classes, "need at least 2 classes")
        FineTuneSettings(**{name: getattr(self, name) for name in FineTuneSettings.model_fields})

    def _samples(self, name: str, X: Any) -> Any:
        """``X`` kept as it is when it already is an array on disk or in memory."""
        x = X if hasattr(X, "shape") and not isinstance(X, Tensor) else np.asarray(X)
        if len(x.shape) != 3 or 0 in x.shape:
            raise InputError(name, f"shape {x.shape}", "give (n_samples, n_timesteps, n_channels)")
        width = getattr(self.encoder, "input_dims", x.shape[2])
        if x.shape[2] != width:
            raise InputError(name, f"{x.shape[2]} channels", f"the encoder takes {width}")
        for rows in self._slices(len(x)):
            if np.isinf(np.asarray(x[rows], dtype=np.float32)).any():
                raise InputError(name, "infinite values", "give finite numbers, or NaN for gaps")
        return x

    def _labels(self, name: str, y: ArrayLike) -> NDArray[np.int64]:
        labels = np.asarray(y)
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
