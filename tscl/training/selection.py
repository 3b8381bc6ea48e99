"""Which epoch's encoder is kept, and when waiting for a better one ends."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from tscl.training.history import History


class Selection:
    """Scores of the monitor (lower is better) and the weights of the best one.

    Args:
        patience: scores without improvement before :attr:`exhausted`; 0 waits for ever.
        min_delta: an improvement is larger than this.
    """

    def __init__(self, patience: int = 0, min_delta: float = 0.0) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.monitored = History()
        self.best_epoch: int | None = None
        self.best_score = math.inf
        self.best_weights: dict[str, Tensor] | None = None

    def record(self, epoch: int, score: float, encoder: nn.Module) -> None:
        """Take the score of ``encoder`` after ``epoch``, with its weights when it is the best."""
        self.monitored.append({"epoch": epoch, "score": score})
        if score < self.best_score - self.min_delta:
            self.best_epoch, self.best_score = epoch, score
            self.best_weights = {k: v.detach().clone() for k, v in encoder.state_dict().items()}

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` scores brought no improvement."""
        best = self.best_epoch
        if not self.patience or best is None:
            return False
        return sum(1 for row in self.monitored if row["epoch"] > best) >= self.patience

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        best = {
            "epoch": self.best_epoch,
            "score": self.best_score,
            "weights": self.best_weights or {},
        }
        return {"monitored": self.monitored.state(), "best": best}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state`."""
        best = state["best"]
        self.monitored = History.restored(state["monitored"])
        self.best_epoch, self.best_score = best["epoch"], float(best["score"])
        self.best_weights = best["weights"] or None
