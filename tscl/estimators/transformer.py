"""Contrastive pretraining as a scikit-learn transformer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import nn
from torch.nn.functional import normalize

from data_loaders.container.standardize import channel_figures, standardize_groups
from tscl.encoders import ENCODERS
from tscl.encoders.base import evaluating
from tscl.errors import ConfigError, DataError, InputError, check_choice
from tscl.estimators.inputs import (
    Float32,
    RandomState,
    as_panel,
    draw_seed,
    encode_by_length,
    kept_on_error,
    read_paired,
    read_panel,
    read_weights,
    require_fitted,
)
from tscl.estimators.labels import pair_ids, say_missing, supervision
from tscl.estimators.pretraining import (
    PretrainingSettings,
    build_method,
    pretrain,
    with_loss,
)
from tscl.estimators.saved import (
    EncoderByName,
    check_figures,
    input_facts,
    read_card,
    readable,
    restore_inputs,
)
from tscl.inference.encode import encode, encode_causal
from tscl.inference.streaming import StreamingEncoder
from tscl.methods import Method
from tscl.methods.instance_loss import instance_losses
from tscl.methods.paired import Paired
from tscl.pooling import check_pooling, pool_multiscale
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.seeding import seeded

SCALES = ("train", "sample", "none")


class ContrastiveTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, EncoderByName, PretrainingSettings
):
    """Series in, embeddings out: any registered method and encoder, trained in ``fit``.

    ``X`` is (n_samples, n_timesteps, n_channels), NaN where a value is missing; trailing steps
    without any value are padding and do not enter a sample's embedding. A 2-D ``X`` is one
    univariate series a row, so that the estimator fits scikit-learn's tools.

    Args:
        method, encoder, loss, pooling, scale and the others: see
            :class:`tscl.estimators.pretraining.PretrainingSettings`.

    Attributes:
        encoder_: the trained encoder. method_: the whole method (None after ``load``, and
            in copies when its layers are weight-normalised, as in ``tcn``).
        history_: a row a training step. n_features_in_: columns of 2-D or channels of 3-D input.
        part_widths_: dimensions of the parts a loss splits embeddings in, such as
            ``{"common": 8, "salient": 8}``; empty without.
        n_channels_in_: channels. mean_, scale_: (C,) of ``scale="train"``, else None.

    Examples:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(8, 40, 2))
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> model = ContrastiveTransformer("simclr", encoder_params=small, max_epochs=1)
        >>> model.fit_transform(X).shape
        (8, 4)
    """

    fitted_by: ClassVar[str] = "encoder_"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        patient: ArrayLike | None = None,
        trial: ArrayLike | None = None,
        background: Any = None,
        paired: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on ``X``; an estimator that was fitted stays as it was when this fails.

        Args:
            X: (n, T, C), or (n, T) for univariate series.
            y: (n,) classes or targets; read by supervised objectives only.
            patient: (n,) ids for methods that contrast patients, such as ``comet``; their batches
                hold whole trials.
            trial: (n,) ids likewise; by default every sample is one.
            background: label in ``y`` of the samples that lack what the others have, such as
                ``"healthy"``, for an objective that tells them apart (``sepclr``). With a loss over
                parts take ``pooling="mean"``, since under an encoder's dropout the maximum of
                values below zero is zero.
            paired: (n, D) vectors or (n, T, C) series that belong to the series, such as vectors of
                their reports, for ``method="paired"``; see :meth:`similarity`.
            sample_weight: (n,) how often a series is drawn, in proportion to the largest, such as
                the quality of its signal (:func:`data_loaders.ecg_quality`); one of weight 0 is
                left out (:class:`tscl.training.data.WeightedSampler`).
            resume: go on from what is in ``checkpoints``.

        Raises:
            DataError: input that cannot be trained on. InputError: labels or ids missing that the
                method needs. ConfigError: an unknown name or parameter.
        """
        with kept_on_error(self):
            values = self._read_series(X, reset=True)
            weights = read_weights(sample_weight, len(values))
            self._fit(values, y, patient, trial, background, resume, paired, weights)
        return self

    def _fit(
        self,
        values: Float32,
        y: ArrayLike | None,
        patient: Any = None,
        trial: Any = None,
        background: Any = None,
        resume: bool = False,
        paired: Any = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        check_pooling(self.pooling)
        check_choice("scale", self.scale, SCALES, error=ConfigError)
        say_missing(values)
        self._measure(values if weights is None else values[weights > 0])
        seed = draw_seed(self.random_state)
        arguments, extra = self._arguments(), {}
        if paired is not None:
            extra["paired"] = pair = read_paired(paired, len(values), self.method)
            if pair.ndim == 2:
                arguments = {"dims": pair.shape[1], **arguments}
            elif isinstance(self.encoder, str):
                given = {"input_dims": pair.shape[2], **(self.encoder_params or {})}
                with seeded(seed, "second"):
                    arguments.setdefault("second", ENCODERS.build(self.encoder, **given))
        method = build_method(
            self.method,
            arguments,
            self.encoder,
            self.encoder_params,
            channels=values.shape[2],
            seed=seed,
        )
        labels, ids = None, pair_ids(patient, trial, len(values))
        losses = instance_losses(method)
        if "labels" in method.needs:
            needs = {need for loss in losses for need in loss.needs}
            labels, column = supervision(y, len(values), needs, background)
            ids |= column
        result = pretrain(
            method,
            self.scaled(values),
            self._train_settings(seed),
            batch_size=self.batch_size,
            max_train_length=self.max_train_length,
            labels=labels,
            ids=ids,
            extra=extra,
            weights=weights,
            channel_dropout=self.channel_dropout,
            checkpoints=None if self.checkpoints is None else Path(self.checkpoints),
            resume=resume,
            verbose=self.verbose,
            title=self.method,
        )
        self.method_: Method | None = method
        self.encoder_ = result.encoder
        self.history_ = result.history
        widths = [loss.part_widths(self._n_features_out) for loss in losses]
        self.part_widths_: dict[str, int] = next((width for width in widths if width), {})

    def _arguments(self) -> dict[str, Any]:
        """Arguments of the method."""
        return with_loss(self.method, self.method_params, self.loss, self.loss_params, self.pooling)

    def _read_series(self, X: Any, *, reset: bool) -> Float32:
        """``X`` as (n, T, C); sets the channels, or checks them."""
        return read_panel(self, X, reset=reset)

    @property
    def _n_features_out(self) -> int:
        """Width of the pooled embeddings."""
        dims: int = self.encoder_.output_dims  # type: ignore[assignment]
        return dims * len(check_pooling(self.pooling))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns of ``transform``: those of its parts, or the class's name."""
        if not getattr(self, "part_widths_", None):
            return np.asarray(super().get_feature_names_out(input_features), dtype=object)
        parts = self.part_widths_.items()
        return np.array([f"{name}{i}" for name, width in parts for i in range(width)], dtype=object)

    def parts(self, X: Any) -> dict[str, Float32]:
        """``transform`` in the parts its loss splits it in, such as SepCLR's common and salient.

        Empty for a loss without parts.
        """
        embeddings = np.asarray(self.transform(X))
        ends = np.cumsum([0, *self.part_widths_.values()])
        spans = zip(self.part_widths_, ends, ends[1:], strict=False)
        return {name: embeddings[:, start:stop] for name, start, stop in spans}

    def similarity(self, X: Any, paired: ArrayLike) -> NDArray[np.float32]:
        """Cosine of each series with each candidate of the other modality, (n, m), in [-1, 1].

        The candidate of the greatest one is a label without training on labels (zero-shot). Of a
        model trained with ``paired`` in this process; saving keeps the encoder of the series only.

        Args:
            X: see ``fit``.
            paired: (m, D) vectors or (m, T, C) series.
        """
        require_fitted(self, "encoder_")
        if not isinstance(self.method_, Paired):
            raise InputError("method", self.method, "fit with method='paired' in this process")
        values = self.scaled(self._read_series(X, reset=False))
        candidates = torch.from_numpy(read_paired(paired, None, self.method))
        with torch.no_grad(), evaluating(self.method_):
            series = [self.method_.project(part) for part in torch.from_numpy(values).split(256)]
            other = self.method_.project_other(candidates)
        return np.asarray(normalize(torch.cat(series)) @ normalize(other).T)

    def transform(self, X: Any) -> Float32:
        """Embeddings pooled over time, (n_samples, k D) float32, k the number of poolings named.

        Raises:
            UnfittedEstimatorError, DataError: see ``fit``.
        """
        require_fitted(self, "encoder_")
        return self.pool(self._read_series(X, reset=False))

    def pool(self, values: Float32) -> Float32:
        """``transform`` of checked series (n, T, C) float32 in the unit of ``fit``'s ``X``."""
        return encode_by_length(
            self.scaled(values),
            lambda part: encode(self.encoder_, part, pooling=self.pooling),  # type: ignore[arg-type]
        )

    def encode(
        self, X: Any, *, pooling: str | None = None, causal: bool = False, **options: Any
    ) -> Float32:
        """Embeddings (n, T, D) float32 of every step, or (n, k D) with k poolings named.

        Steps after a sample's end are NaN.

        Args:
            X: see ``fit``.
            pooling: None, over time (:func:`tscl.pooling.pool_time`), or ``multiscale``, (n, T, kD)
                of series that all last to the end (:func:`tscl.pooling.pool_multiscale`).
            causal: embeddings that know the past only; a centred encoder then sees ``window``
                steps of the past (:func:`tscl.inference.encode_causal`).
            options: further arguments of :func:`tscl.inference.encode`; ``out`` only for series
                that all last to the end.
        """
        require_fitted(self, "encoder_")
        values = self.scaled(self._read_series(X, reset=False))
        multiscale = pooling == "multiscale"
        padded = bool(np.isnan(values[:, -1]).all(axis=1).any())
        if padded and options.get("out") is not None:
            raise InputError("out", "padded series", "leave it out: parts are put together first")
        if multiscale and (padded or causal or "out" in options):
            remedy = "use it without causal and out, on series of one length: it sees both sides"
            raise InputError("pooling", pooling, remedy)

        def embed(part: Float32) -> Float32:
            if causal:
                return encode_causal(self.encoder_, part, **options).embeddings  # type: ignore[arg-type]
            name = None if multiscale else pooling
            return encode(self.encoder_, part, pooling=name, **options)  # type: ignore[arg-type]

        if multiscale:
            return pool_multiscale(torch.from_numpy(embed(values))).numpy()
        return encode_by_length(values, embed)

    def stream(self) -> StreamingEncoder:
        """An encoder of live samples in the unit of ``fit``'s ``X``, scaled like them.

        Raises:
            InputError: ``scale="sample"``, which needs the whole series, or an encoder that sees
                the future.
        """
        require_fitted(self, "encoder_")
        if self.scale == "sample":
            raise InputError("scale", self.scale, "a stream needs scale='train' or 'none'")
        return StreamingEncoder(self.encoder_, mean=self.mean_, scale=self.scale_)  # type: ignore[arg-type]

    def _measure(self, values: Float32) -> None:
        self.mean_: NDArray[np.float64] | None = None
        self.scale_: NDArray[np.float64] | None = None
        if self.scale == "train":
            self.mean_, self.scale_, count = channel_figures(values)
            if not count.all():
                channel = f"channel {int(np.argmin(count))}"
                raise DataError("X", f"{channel} holds no value", "leave the channel out")

    def scaled(self, values: Float32) -> Float32:
        """Series (n, T, C) float32 as the encoder sees them.

        Raises:
            DataError: other channels than in ``fit``.
        """
        if values.shape[2] != self.n_channels_in_:
            raise DataError("X", values.shape, f"fitted on {self.n_channels_in_} channels")
        if self.scale == "train":
            assert self.mean_ is not None
            assert self.scale_ is not None
            return np.asarray((values - self.mean_) / self.scale_, np.float32)
        return standardize_groups(values, None) if self.scale == "sample" else values

    def _state(self) -> dict[str, Any]:
        return {
            **input_facts(self),
            "n_channels_in_": int(self.n_channels_in_),
            "mean_": None if self.mean_ is None else self.mean_.tolist(),
            "scale_": None if self.scale_ is None else self.scale_.tolist(),
            "part_widths_": self.part_widths_,
        }

    def _from_state(self, state: dict[str, Any]) -> None:
        restore_inputs(self, state, int(state["n_channels_in_"]))
        for name in ("mean_", "scale_"):
            value = state[name]
            array = None if value is None else np.asarray(value, np.float64)
            if array is not None and array.shape != (self.n_channels_in_,):
                raise ValueError(f"{name} of shape {array.shape}")
            if (array is None) == (self.scale == "train"):
                raise ValueError(f"{name} does not go with scale={self.scale!r}")
            if array is not None:
                check_figures(name, array)
            setattr(self, name, array)

        self.part_widths_ = {str(k): int(v) for k, v in state.get("part_widths_", {}).items()}

    def _write_files(self, work: Path) -> dict[str, Any]:
        save_encoder(work, self.encoder_)
        return {"state": self._state()}

    @classmethod
    def _read_files(cls, folder: Path, card: dict[str, Any]) -> Self:
        encoder, _ = load_encoder(folder)
        with readable(folder):
            model = cls(**card["params"])
            check_pooling(model.pooling)
            check_choice("scale", model.scale, SCALES, error=ConfigError)
            model._from_state(card["state"])
            widths = model.part_widths_.values()
            if widths and sum(widths) != encoder.output_dims * len(check_pooling(model.pooling)):
                raise ValueError(f"parts of {sum(widths)} dimensions")
            if encoder.input_dims != model.n_channels_in_:
                raise ValueError(f"encoder of {encoder.input_dims} channels")
        model.encoder_, model.method_, model.history_ = encoder, None, []
        return model


@dataclass(eq=False, repr=False)
class Representation(ContrastiveTransformer):
    """The general estimator for series that are already scaled, a 2-D ``X`` being one series.

    ``X`` is (n_samples, n_timesteps, n_channels), or (n_timesteps, n_channels) of one series, or a
    data frame of one (:func:`tscl.estimators.inputs.as_panel`).

    Args:
        method: see :class:`ContrastiveTransformer`, as are the others.
        scale: as there, but nothing is scaled by default.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> model = Representation("ts2vec", encoder_params=small, max_train_length=50)
        >>> model.fit(X).encode(X).shape
        (1, 200, 4)
    """

    method: str = "autotcl"
    scale: str = "none"

    def _read_series(self, X: Any, *, reset: bool) -> Float32:
        values = as_panel(X, allow_constant=not reset)
        if reset:
            self.n_features_in_ = self.n_channels_in_ = values.shape[2]
        elif values.shape[2] != self.n_channels_in_:
            raise DataError("X", values.shape, f"fitted on {self.n_channels_in_} channels")
        return values


class AutoTCL(Representation):
    """AutoTCL (arXiv 2402.10434) as an estimator; see :class:`Representation`.

    Args:
        encoder: name or module, as of :class:`ContrastiveTransformer`; so are those not listed.
        encoder_params: arguments of a named encoder.
        augmentation: arguments of the method that concern the augmentation network, such as
            ``{"aug_dim": 16, "reg_weight": 0.1, "meta_lr": 1e-3}``.
        loss: global contrastive loss, by name or module.
        method_params: further arguments of :class:`tscl.methods.autotcl.AutoTCLMethod`.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(8, 40, 2))
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> AutoTCL(encoder_params=small, max_epochs=1).fit_transform(X).shape
        (8, 4)
    """

    def __init__(
        self,
        encoder: str | nn.Module = "dilated",
        augmentation: dict[str, Any] | None = None,
        loss: str | nn.Module = "infonce",
        *,
        encoder_params: dict[str, Any] | None = None,
        method_params: dict[str, Any] | None = None,
        max_epochs: int = 20,
        max_steps: int | None = None,
        batch_size: int = 32,
        lr: float = 1e-3,
        averaging: str = "swa",
        max_train_length: int = 256,
        pooling: str = "max",
        checkpoints: str | Path | None = None,
        device: str = "cpu",
        verbose: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(
            "autotcl",
            method_params=method_params,
            encoder=encoder,
            encoder_params=encoder_params,
            loss=loss,
            max_epochs=max_epochs,
            max_steps=max_steps,
            batch_size=batch_size,
            lr=lr,
            averaging=averaging,
            max_train_length=max_train_length,
            pooling=pooling,
            checkpoints=checkpoints,
            device=device,
            verbose=verbose,
            random_state=random_state,
        )
        self.augmentation = augmentation

    def _arguments(self) -> dict[str, Any]:
        return {"loss": self.loss, **(self.augmentation or {}), **(self.method_params or {})}


def load_transformer(folder: str | Path) -> ContrastiveTransformer:
    """A saved :class:`ContrastiveTransformer`, :class:`Representation` or :class:`AutoTCL`.

    Raises:
        CheckpointError: a missing, damaged or foreign file.
    """
    kind = read_card(Path(folder))["kind"]
    own = (loader for loader in (Representation, AutoTCL) if loader.__name__ == kind)
    return next(own, ContrastiveTransformer).load(folder)
