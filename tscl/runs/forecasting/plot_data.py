"""What a run keeps of its embeddings and masks, so that runs can be compared without their data.

``plots.safetensors`` holds small arrays, ``plots.json`` says what they are. Embeddings are kept as
the first two principal components of at most :data:`POINTS` of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from tscl.errors import CheckpointError
from tscl.saving.tensors import load_tensors, read_json, save_tensors, write_json

POINTS = 1500
ARRAYS, FACTS = "plots.safetensors", "plots.json"


@dataclass
class PlotData:
    """Arrays to draw and what they are.

    Attributes:
        arrays: by name; times are nanoseconds since 1970 (int64).
        facts: JSON values: under ``embeddings`` and ``masks`` one entry a method.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=lambda: {"embeddings": {}, "masks": {}})

    def add_embedding(
        self, method: str, embeddings: ArrayLike, marks: Mapping[str, NDArray[Any]], **facts: Any
    ) -> None:
        """Keep two principal components of standardised embeddings.

        Nothing is kept of fewer than three embeddings or of embeddings that are not finite.

        Args:
            method: name the embedding is kept under.
            embeddings: (n, D), D >= 2.
            marks: what points are coloured by, (n,) each.
            **facts: about the embedding, JSON values.
        """
        values = np.asarray(embeddings, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] < 2 or len(values) < 3:
            return
        if not np.isfinite(values).all():
            return
        some = np.unique(np.linspace(0, len(values) - 1, POINTS).astype(int))
        scaled = StandardScaler().fit_transform(values[some])
        pca = PCA(2, random_state=0).fit(scaled)
        self.arrays[f"embedding.{method}.points"] = pca.transform(scaled).astype(np.float32)
        for name, mark in marks.items():
            self.arrays[f"embedding.{method}.{name}"] = np.asarray(mark)[some]
        shares = [float(v) for v in pca.explained_variance_ratio_]
        self.facts["embeddings"][method] = {"shares": shares, "marks": list(marks), **facts}

    def add_mask(
        self, method: str, times: ArrayLike, signal: ArrayLike, openness: ArrayLike, unit: str
    ) -> None:
        """Keep what a learned mask does to a signal.

        Args:
            method: name the mask is kept under.
            times: (T,) of the steps.
            signal: (T,) values.
            openness: (T,) probability that the mask keeps each step.
            unit: of the signal.
        """
        values = {"time": np.asarray(times).astype("datetime64[ns]").astype(np.int64)}
        values["signal"] = np.asarray(signal, dtype=np.float32)
        values["openness"] = np.asarray(openness, dtype=np.float32)
        self.arrays |= {f"mask.{method}.{name}": value for name, value in values.items()}
        self.facts["masks"][method] = {"unit": unit}

    def embedding(self, method: str) -> dict[str, NDArray[Any]]:
        """``points`` (n, 2) and the marks (n,) of a method."""
        return self._of(f"embedding.{method}.")

    def mask(self, method: str) -> dict[str, NDArray[Any]]:
        """``time``, ``signal`` and ``openness`` of a method, (T,) each."""
        arrays = self._of(f"mask.{method}.")
        return arrays | {"time": arrays["time"].astype("datetime64[ns]")}

    def _of(self, prefix: str) -> dict[str, NDArray[Any]]:
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}

    def save(self, folder: Path) -> None:
        """Write both files into a run folder."""
        tensors = {k: torch.from_numpy(np.array(v)) for k, v in self.arrays.items()}
        save_tensors(folder / ARRAYS, tensors)
        write_json(folder / FACTS, self.facts)

    @classmethod
    def load(cls, folder: Path) -> PlotData | None:
        """What a run folder keeps; None when it keeps nothing.

        Raises:
            CheckpointError: damaged files, or files that do not belong together.
        """
        if not (folder / FACTS).is_file():
            return None
        facts = read_json(folder / FACTS)
        arrays = {k: v.numpy() for k, v in load_tensors(folder / ARRAYS).items()}
        result = cls(arrays, facts)
        for method in facts["embeddings"]:
            if "points" not in result.embedding(method):
                raise CheckpointError(ARRAYS, method, "does not fit plots.json; evaluate again")
        return result
