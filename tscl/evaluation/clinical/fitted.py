"""A fitted classifier in a folder: encoder, pooling and head as safetensors and JSON, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge, RidgeClassifierCV
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from data_loaders.container.fields import label_kind
from data_loaders.container.recordings import Recordings
from tscl.disk import new_folder, sha256_of
from tscl.errors import CheckpointError, InputError, check_choice
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.evaluation.clinical.finetune import FineTuner
from tscl.evaluation.clinical.finetune_recordings import RecordingNetwork
from tscl.evaluation.clinical.recording_features import RecordingFeatures
from tscl.evaluation.metrics.labels import SCORES
from tscl.evaluation.probes.any_label import LabelProbes, Nearest
from tscl.evaluation.recordings import embed_recordings
from tscl.pooling import check_pooling, pool_time
from tscl.saving.encoder import check_folder, load_encoder, save_encoder
from tscl.saving.tensors import (
    load_module,
    load_tensors,
    read_json,
    save_tensors,
    sha256_of_json,
    write_json,
)

CARD, WEIGHTS = "classifier.json", "classifier.safetensors"
FORMAT = 1
FEATURES = "features."
"""What the names of arrays of fitted features begin with."""


class Neighbours(nn.Module):
    """Neighbours as a head, (B, D) to logits (B, n_outputs), of numbers to the numbers.

    Args:
        nearest: the labelled embeddings and how many vote.
    """

    def __init__(self, nearest: Nearest) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.from_numpy(nearest.train), requires_grad=False)
        self.register_buffer("y", torch.from_numpy(nearest.y))
        self.nearest, self.kind = nearest, label_kind(nearest.y)
        self.n_outputs, self.n_neighbors = nearest.n_outputs, nearest.n_neighbors

    def forward(self, z: Tensor) -> Tensor:
        """Logits in float64."""
        result = torch.from_numpy(self.nearest.predict(z.detach().cpu().numpy()))
        if self.kind == "target":
            return result
        return result.log() if self.kind == "classes" else result.logit()


LAYERS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "linear": (nn.Linear, ("in_features", "out_features")),
    "batch_norm": (nn.BatchNorm1d, ("num_features",)),
    "relu": (nn.ReLU, ()),
    "log_sigmoid": (nn.LogSigmoid, ()),
    "neighbours": (Neighbours, ("n_outputs", "n_neighbors")),
}
"""What a head is made of, by the name in its card: the layer, and its sizes, which follow it."""
_MOST = 1 << 16


class FittedClassifier(nn.Module):
    """Encoder, pooling over time and head: series (B, T, C) to probabilities or numbers (B, K).

    Args:
        encoder: a registered encoder, :class:`BandPower`, or fitted features of recordings.
        head: of layers in :data:`LAYERS`, from pooled embeddings to logits (B, K).
        classes: names of the K classes or labels, or of the number.
        pooling: see :func:`tscl.pooling.pool_time`.
        kind: of the labels, as in :class:`FineTuner`: ``classes`` take the softmax of the head's
            output, ``multilabel`` its sigmoid, ``target`` takes it as it is.
        squash: put two sigmoids between logits and softmax, see :class:`FineTuner`.
        card: what is known about it, JSON values: ``preprocessing`` says how new recordings are
            prepared; ``whole``, ``window`` and ``bf16`` are those of
            :func:`tscl.evaluation.recordings.embed_recordings`, ``average`` is ``embeddings`` or
            ``probabilities``, which are averaged over the windows of a recording.
    """

    def __init__(
        self,
        encoder: nn.Module | BandPower | RecordingFeatures,
        head: nn.Sequential,
        classes: tuple[str, ...],
        *,
        pooling: str = "max",
        kind: str = "classes",
        squash: bool = False,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_pooling(pooling)
        check_choice("kind", kind, SCORES)
        self.encoder, self.head, self.classes = encoder, head, classes
        self.pooling, self.kind, self.squash = pooling, kind, squash
        self.card = dict(card or {})

    @classmethod
    def of(
        cls,
        encoder: Any,
        model: Pipeline | LabelProbes | Nearest | FineTuner | RecordingNetwork,
        classes: tuple[str, ...],
        **options: Any,
    ) -> FittedClassifier:
        """What was fitted: a probe on embeddings, or a network of its own.

        Args:
            encoder: that gave the probe's embeddings; a network that was trained on labels brings
                its own.
            model: the probe or the network.
            classes: names of the K outputs, in order.
            **options: further arguments of the class.
        """
        if isinstance(model, Nearest):
            head = Neighbours(model)
            return cls(encoder, nn.Sequential(head), classes, kind=head.kind, **options)
        if isinstance(model, FineTuner):
            own = model.network_
            options |= {"squash": model.double_sigmoid, "pooling": model.pooling}
            options["kind"] = model.kind
            used = (layer for layer in own.head if not isinstance(layer, nn.Dropout))
            return cls(own.encoder, nn.Sequential(*used), classes, **options).eval()
        if isinstance(model, RecordingNetwork):
            whole: Any = model.encoder
            options["kind"] = model.kind
            return cls(whole, nn.Sequential(model.norm, model.linear), classes, **options)
        if isinstance(model, LabelProbes):
            options["kind"] = "multilabel"
        elif isinstance(model[-1], Ridge):
            options["kind"] = "target"
        return cls(encoder, linear_head(model, len(classes)), classes, **options)

    @property
    def is_network(self) -> bool:
        """Whether it is a network from end to end, with gradients, that can be exported."""
        return isinstance(self.encoder, nn.Module) and not isinstance(self.head[0], Neighbours)

    @property
    def classify(self) -> Classify:
        """What follows the encoder."""
        return Classify(self.head, self.pooling, self.squash, self.kind)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities, or numbers, (B, K) of prepared series (B, T, C)."""
        assert isinstance(self.encoder, nn.Module)
        result: Tensor = self.classify(self.encoder(x))
        return result

    @torch.no_grad()
    def predict_proba(self, data: Recordings | NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities, or numbers, (n, K) of prepared samples (n, T, C) or whole recordings."""
        if isinstance(data, Recordings):
            return self._of_recordings(data)
        if isinstance(self.encoder, RecordingFeatures):
            raise InputError("data", type(data).__name__, "give whole recordings, as Recordings")
        if isinstance(self.encoder, BandPower):
            z = self.encoder.transform(data)
        else:
            z = pooled_embeddings(self.encoder, data, pooling=self.pooling)
        return self.classify.probabilities(torch.from_numpy(z)).double().numpy()

    def _of_recordings(self, data: Recordings) -> NDArray[np.float64]:
        how: dict[str, Any] = {
            key: self.card[key] for key in ("whole", "window", "bf16") if key in self.card
        }
        if self.card.get("average") == "probabilities":
            z = embed_recordings(_Windows(self), data, **how).astype(np.float64)
            if self.kind == "classes":
                z /= z.sum(axis=1, keepdims=True)
            return z
        encoder: Any = self.encoder
        if isinstance(encoder, RecordingFeatures):
            pooled = encoder.transform(data)
        else:
            pooled = embed_recordings(encoder, data, pooling=self.pooling, **how)
        return self.classify.probabilities(torch.from_numpy(pooled)).double().numpy()

    def save(self, folder: Path) -> Path:
        """Write the encoder's files, ``classifier.safetensors`` and ``classifier.json``."""
        with new_folder(folder) as work:
            power: dict[str, Any] | None = None
            features: dict[str, Any] | None = None
            tensors = dict(self.head.state_dict())
            if isinstance(self.encoder, BandPower):
                power = self.encoder.get_params()
            elif isinstance(self.encoder, RecordingFeatures):
                features = {"kind": self.encoder.kind, "length": self.encoder.length}
                for name, values in self.encoder.arrays.items():
                    tensors[f"{FEATURES}{name}"] = torch.from_numpy(np.asarray(values))
            else:
                save_encoder(work, self.encoder, self.card)
            save_tensors(work / WEIGHTS, tensors)
            head = {
                "format": FORMAT,
                "classes": list(self.classes),
                "pooling": self.pooling,
                "kind": self.kind,
                "squash": self.squash,
                "band_power": power,
                "features": features,
                "head": [_described(layer) for layer in self.head],
                "double": next(self.head.parameters()).dtype == torch.float64,
                "sha256": sha256_of(work / WEIGHTS),
                "card": self.card,
            }
            write_json(work / CARD, head | {"card_sha256": sha256_of_json(head)})
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> FittedClassifier:
        """Read what :meth:`save` wrote; nothing in the folder is executed.

        Raises:
            CheckpointError: a missing, damaged or foreign file, or a pickle among them.
        """
        folder = Path(folder)
        check_folder(folder, CARD)
        card = read_json(folder / CARD)
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise CheckpointError(CARD, folder, f"this version reads format {FORMAT}")
        signed = card.pop("card_sha256", None)
        if signed != sha256_of_json(card):
            raise CheckpointError(CARD, folder, "damaged or changed by hand")
        if not (folder / WEIGHTS).is_file() or sha256_of(folder / WEIGHTS) != card["sha256"]:
            raise CheckpointError(WEIGHTS, folder, "missing, damaged or cut short")
        try:
            tensors = load_tensors(folder / WEIGHTS)
            fitted = {
                name.removeprefix(FEATURES): tensors.pop(name).numpy()
                for name in list(tensors)
                if name.startswith(FEATURES)
            }
            head = nn.Sequential(*(_built(layer, tensors) for layer in card["head"]))
            head = head.double() if card["double"] else head
            load_module(head, tensors, "classifier weights")
            encoder: Any
            if card["band_power"] is not None:
                encoder = BandPower(**card["band_power"])
            elif card.get("features") is not None:
                encoder = RecordingFeatures(arrays=fitted, **card["features"])
            else:
                encoder = load_encoder(folder)[0]
            return cls(
                encoder,
                head,
                tuple(map(str, card["classes"])),
                pooling=card["pooling"],
                kind=card.get("kind", "classes"),
                squash=bool(card["squash"]),
                card=card["card"],
            ).eval()
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(CARD, folder, f"cannot be read: {error!r}") from error


class Classify(nn.Module):
    """What follows an encoder: pooling over time, head and softmax, (B, T, D) to (B, K).

    Args:
        head: (B, k D) pooled embeddings to (B, K) logits.
        pooling: as of :class:`FittedClassifier`.
        squash: as of :class:`FittedClassifier`.
        kind: as of :class:`FittedClassifier`.
    """

    def __init__(
        self, head: nn.Module, pooling: str, squash: bool = False, kind: str = "classes"
    ) -> None:
        super().__init__()
        self.head, self.pooling, self.squash, self.kind = head, pooling, squash, kind

    def forward(self, z: Tensor) -> Tensor:
        """Probabilities (B, K) of embeddings of every step."""
        pooled = pool_time(z.float(), self.pooling)
        return self.probabilities(pooled)

    def probabilities(self, pooled: Tensor) -> Tensor:
        """Probabilities (B, K) of pooled embeddings."""
        logits: Tensor = self.head(pooled.to(next(self.head.parameters()).dtype))
        if self.kind != "classes":
            return logits.sigmoid() if self.kind == "multilabel" else logits
        if self.squash:
            logits = torch.sigmoid(torch.sigmoid(logits))
        return logits.softmax(dim=1)


class _Windows(nn.Module):
    """A classifier as an encoder that gives probabilities, one vector a window."""

    def __init__(self, classifier: FittedClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, K) of series (B, T, C)."""
        out: Tensor = self.classifier(x).float().unsqueeze(1)
        return out


def linear_head(model: Pipeline | LabelProbes, n_classes: int) -> nn.Sequential:
    """Standardisation and linear model as one linear layer in float64, (B, D) to (B, K).

    A class that the labels lacked gets the logit minus infinity, which is the probability 0.

    Args:
        model: fitted scaler and logistic regression, a model a class (``one_vs_rest``), a
            constant classifier, a ridge regression or a ridge classifier; or a model a label.
        n_classes: K.
    """
    weight, bias = _label_rows(model) if isinstance(model, LabelProbes) else _rows(model, n_classes)
    layer = nn.Linear(weight.shape[1], n_classes, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    head = nn.Sequential(layer)
    if not isinstance(model, LabelProbes) and len(getattr(model[-1], "estimators_", [])) > 1:
        head.append(nn.LogSigmoid())  # the softmax of log sigmoids is sigmoids scaled to sum 1
    return head.requires_grad_(False)


def _rows(model: Pipeline, n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (K, D) and biases (K,) of embeddings that are not standardised."""
    scaler, last = model[0], model[-1]
    weight = np.zeros((n_classes, len(scaler.mean_)))
    if isinstance(last, Ridge):
        weight[0] = np.ravel(last.coef_) / scaler.scale_
        return weight, np.ravel(last.intercept_) - weight @ scaler.mean_
    bias = np.full(n_classes, -np.inf)
    bias[last.classes_] = 0.0
    models = getattr(last, "estimators_", [last])
    if hasattr(models[0], "coef_"):
        rows = last.classes_[1:] if len(last.classes_) == 2 else last.classes_
        weight[rows] = np.concatenate([fitted.coef_ for fitted in models]) / scaler.scale_
        offset = np.concatenate([fitted.intercept_ for fitted in models])
        bias[rows] = offset - weight[rows] @ scaler.mean_
        if isinstance(last, RidgeClassifierCV) and len(last.classes_) == 2:
            weight[last.classes_[0]], bias[last.classes_[0]] = -weight[rows[0]], -bias[rows[0]]
    return weight, bias


def _label_rows(probes: LabelProbes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A row a label: its logit of being there; infinite of a label of one value."""
    weights, biases = zip(*(_rows(probe, 2) for probe in probes.models), strict=True)
    weight, bias = np.stack(weights), np.stack(biases)
    return weight[:, 1] - weight[:, 0], bias[:, 1] - bias[:, 0]


def _described(layer: nn.Module) -> list[Any]:
    """A layer's name and sizes."""
    for name, (kind, sizes) in LAYERS.items():
        if isinstance(layer, kind):
            return [name, *(getattr(layer, size) for size in sizes)]
    raise InputError("head", type(layer).__name__, f"use layers of {', '.join(LAYERS)}")


def _built(described: list[Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    name, *sizes = described
    if name == "neighbours":  # its sizes are those of its file
        n_outputs, n_neighbors = map(int, sizes)
        z, y = tensors["0.embeddings"].numpy(), tensors["0.y"].numpy()
        return Neighbours(Nearest(z, y, n_outputs, n_neighbors))
    if not all(isinstance(size, int) and 0 < size <= _MOST for size in sizes):
        raise ValueError(f"sizes {sizes}")
    with torch.random.fork_rng(devices=[]):
        layer: nn.Module = LAYERS[name][0](*sizes)
    return layer
