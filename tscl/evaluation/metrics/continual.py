"""How much a model forgets while it learns task after task.

From the matrix a_ij of scores on task j after training on task i (i, j = 0 .. K-1), the usual
figures of continual learning, which the COCONUT paper (arXiv 2310.02699) reports in part:

    average score      A = mean_j a_{K-1, j}
    forgetting         F = mean_{j < K-1} ( max_{j <= i < K-1} a_ij - a_{K-1, j} )
    backward transfer  B = mean_{j < K-1} ( a_{K-1, j} - a_jj )
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tscl.errors import InputError


@dataclass(frozen=True)
class ContinualScores:
    """Summary of a run over tasks.

    Attributes:
        average: mean score over all tasks after the last.
        forgetting: mean loss from a task's best score to its last; negative when tasks improve.
        backward_transfer: mean change from the score right after a task to the last.
        per_task: forgetting of each task but the last.
    """

    average: float
    forgetting: float
    backward_transfer: float
    per_task: tuple[float, ...]


def forgetting(scores: ArrayLike) -> ContinualScores:
    """Figures of a (K, K) matrix, row i after task i, column j the score on task j.

    Entries above the diagonal (tasks not seen yet) are not used and may be NaN. One task has
    forgetting 0.

    Raises:
        InputError: a matrix that is not square, or a score missing on or below the diagonal.
    """
    a = np.asarray(scores, dtype=np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.shape[0] < 1:
        raise InputError("scores", f"shape {a.shape}", "give one row and one column a task")
    k = len(a)
    if not np.isfinite(a[np.tril_indices(k)]).all():
        raise InputError("scores", "missing", "score every task seen so far after each task")
    last = a[-1]
    per_task = tuple(float(a[j:-1, j].max() - last[j]) for j in range(k - 1))
    transfer = [float(last[j] - a[j, j]) for j in range(k - 1)]
    return ContinualScores(
        average=float(last.mean()),
        forgetting=float(np.mean(per_task)) if per_task else 0.0,
        backward_transfer=float(np.mean(transfer)) if transfer else 0.0,
        per_task=per_task,
    )
