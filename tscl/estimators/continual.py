"""Pretraining site after site: rehearsal of what was seen before, and forgetting of patients."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from data_loaders.container.fields import as_ids
from tscl.errors import InputError
from tscl.estimators.inputs import draw_seed, kept_on_error, read_weights, require_fitted
from tscl.estimators.labels import check_labelled
from tscl.estimators.pretraining import build_method, pretrain
from tscl.estimators.transformer import ContrastiveTransformer
from tscl.methods.coconut import Coconut
from tscl.privacy.membership import MembershipAttack, membership_inference
from tscl.privacy.unlearning import forget
from tscl.seeding import derive_seed, torch_generator


@dataclass(frozen=True)
class ForgetResult:
    """What forgetting changed.

    Attributes:
        before, after: attack that tells the forgotten patients' series from series never seen; an
            AUC of .5 after is what forgetting aims at.
        removed: series of theirs that went from the memory.
    """

    before: MembershipAttack
    after: MembershipAttack
    removed: int


@dataclass(eq=False, repr=False)
class ContinualTransformer(ContrastiveTransformer):
    """A :class:`ContrastiveTransformer` that learns labelled sites one after the other (COCONUT).

    ``partial_fit`` takes a site; series kept from earlier ones are rehearsed, so that their classes
    stay apart (arXiv 2310.02699). How much is lost is
    :func:`tscl.evaluation.metrics.continual.forgetting`. Channels are scaled by the figures of the
    first site. A saved model keeps the encoder only and learns no further sites.

    Args:
        method: ``coconut``; ``method_params`` are its arguments, such as ``{"capacity": 500}``.
        averaging: as of :class:`ContrastiveTransformer`, but none by default: the next site goes
            on from the weights themselves.

    Attributes:
        classes_: labels of all sites in the order they came. sites_: how many were learned.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(16, 40, 1))
        >>> y = np.repeat(["a", "b"], 8)
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> model = ContinualTransformer(encoder_params=small, max_epochs=1).partial_fit(X, y)
        >>> model.partial_fit(X, np.repeat(["b", "c"], 8)).classes_
        ['a', 'b', 'c']
    """

    method: str = "coconut"
    averaging: str = "none"

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        **ids: Any,
    ) -> Self:
        """Learn the first site anew; see :meth:`partial_fit`."""
        if ids:
            raise InputError(next(iter(ids)), "given", "sites have labels only: partial_fit(X, y)")
        with kept_on_error(self):
            for name in ("encoder_", "classes_", "sites_"):
                if hasattr(self, name):
                    delattr(self, name)
            return self.partial_fit(X, y, sample_weight=sample_weight)

    def partial_fit(
        self, X: Any, y: ArrayLike | None = None, *, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn a further site; a model that was fitted stays as it was when this fails.

        Args:
            X: (n, T, C), T as in the first site.
            y: (n,) classes, of earlier sites or new.
            sample_weight: (n,) weights of the series, as of ``fit`` of the base class.

        Raises:
            DataError, InputError: as of ``fit`` of the base class; also a model that was loaded,
                another method than ``coconut``, or series longer than ``max_train_length``.
        """
        with kept_on_error(self):
            return self._learn(X, y, sample_weight)

    def _learn(self, X: Any, y: Any, sample_weight: Any) -> Self:
        first = not hasattr(self, "encoder_")
        values = self._read_series(X, reset=first)
        weights = read_weights(sample_weight, len(values))
        rows = np.arange(len(values)) if weights is None else np.flatnonzero(weights)
        if values.shape[1] > self.max_train_length:
            remedy = f"series of {values.shape[1]} steps are rehearsed whole: set it as high"
            raise InputError("max_train_length", self.max_train_length, remedy)
        if first:
            self._measure(values[rows])
            self.classes_: list[Any] = []
            self.sites_ = 0
        seed = draw_seed(self.random_state)
        method = self._next_method(first, values.shape[2], seed)
        codes = self._site_codes(y, len(values))[rows]
        series = self.scaled(values[rows])
        site = derive_seed(seed, "site", self.sites_) % 2**31
        result = pretrain(
            method,
            series,
            self._train_settings(site),
            batch_size=self.batch_size,
            max_train_length=self.max_train_length,
            labels=codes,
            weights=None if weights is None else weights[rows],
            channel_dropout=self.channel_dropout,
            verbose=self.verbose,
            title=f"site {self.sites_ + 1}",
        )
        generator = torch_generator(site, "memory")
        method.end_task(torch.from_numpy(series), torch.from_numpy(codes), generator)
        self.method_, self.encoder_, self.history_ = method, result.encoder, result.history
        self.part_widths_, self.sites_ = {}, self.sites_ + 1
        return self

    def _next_method(self, first: bool, channels: int, seed: int) -> Coconut:
        if first:
            method = build_method(
                self.method,
                self._arguments(),
                self.encoder,
                self.encoder_params,
                channels=channels,
                seed=seed,
            )
        else:
            if self.method_ is None:
                raise InputError("method_", None, "a loaded model learns no sites; fit it anew")
            method = copy.deepcopy(self.method_)
        if not isinstance(method, Coconut) or method.by != "labels":
            raise InputError("method", self.method, "sites are learned by coconut, by labels")
        return method

    def _site_codes(self, y: Any, n: int) -> NDArray[np.int64]:
        """Codes (n,) of the labels; new ones take the next numbers."""
        if y is None:
            raise InputError("y", None, "rehearsal keeps classes apart; pass labels")
        check_labelled(y)
        labels = np.asarray(y).tolist()
        if len(labels) != n:
            raise InputError("y", f"{len(labels)} labels", f"give one a series, {n}")
        new = sorted(set(labels) - set(self.classes_))
        self.classes_ = [*self.classes_, *new]
        place = {label: code for code, label in enumerate(self.classes_)}
        return np.array([place[label] for label in labels], np.int64)

    def forget(
        self,
        X: Any,
        patient: ArrayLike,
        patients: Sequence[Any],
        *,
        others: Any,
        **settings: Any,
    ) -> ForgetResult:
        """Unlearn patients and test whether an attack still finds their series.

        Their series leave the memory too. Approximate unlearning is no proof of deletion.

        Args:
            X: (n, T, C) series the model learned from, of all patients.
            patient: (n,) their patients.
            patients: who shall be forgotten.
            others: (m, T, C) series never seen, of the same kind of patients, for the attack.
            settings: of :func:`tscl.privacy.unlearning.forget`.

        Raises:
            InputError: unknown patients or nobody left.
        """
        require_fitted(self, "encoder_")
        values = self.scaled(self._read_series(X, reset=False))
        unseen = self.scaled(self._read_series(others, reset=False))
        ids = as_ids("patient", patient, len(values))
        gone = np.isin(ids, np.asarray(patients))
        seed = draw_seed(self.random_state)
        done = forget(self.encoder_, (values, ids), patients, seed=seed, **settings)
        before, after = (
            membership_inference(encoder, values[gone], unseen, seed=seed)
            for encoder in (self.encoder_, done.encoder)
        )
        removed = 0
        if isinstance(self.method_, Coconut):
            method = copy.deepcopy(self.method_)
            removed = method.memory.remove(torch.from_numpy(values[gone]))
            for module in (method.encoder, method.teacher_encoder):
                module.load_state_dict(done.encoder.state_dict())
            self.method_ = method
        self.encoder_ = done.encoder
        return ForgetResult(before, after, removed)
