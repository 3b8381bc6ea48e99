"""Order of time: permutation of segments (index form)."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws, check_count, wide
from tscl.seeding import rand


@AUGMENTATIONS.register("permutation")
class Permutation(Augmentation):
    """The series is cut into segments that are put together in random order (form ``index``).

    v_t = x at pi(t), pi a permutation of the steps, the same for all channels (Um et al. 2017,
    arXiv 1706.00527; TS-TCC's strong view, arXiv 2106.14112, section 3.1).

    Args:
        max_segments: the number of segments is uniform in 1..max_segments per sample (never more
            than there are steps); 1 changes nothing.
        p: probability per sample.
        equal: cut into segments of equal length (up to one step); False cuts at random steps.

    Example:
        >>> x = torch.arange(6.0).view(1, 6, 1)
        >>> generator = torch.Generator().manual_seed(0)
        >>> sorted(Permutation(max_segments=3)(x, generator).flatten().tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """

    form = "index"

    def __init__(self, max_segments: int = 5, p: float = 1.0, equal: bool = True) -> None:
        super().__init__(p)
        self.max_segments = check_count("max_segments", max_segments)
        self.equal = equal

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The permutation pi, (B, T) integers."""
        n, length, _ = x.shape
        like = wide(x)
        most = min(self.max_segments, length)
        count = (rand((n, 1), generator, like) * most).long().clamp_max(most - 1) + 1
        keys = rand((n, most), generator, like)
        if self.equal:
            steps = torch.arange(length, device=x.device).expand(n, length)
            segment = steps * count // length
        else:
            rank = rand((n, length - 1), generator, like).argsort(dim=1).argsort(dim=1)
            first = torch.zeros(n, 1, dtype=torch.long, device=x.device)
            segment = torch.cat((first, (rank < count - 1).long()), dim=1).cumsum(dim=1)
        # Sorting the steps by their segment's key, stably, keeps each segment's inner order.
        return {"order": keys.gather(1, segment).argsort(dim=1, stable=True)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Take the steps in the drawn order."""
        return x.gather(1, draws["order"].unsqueeze(-1).expand_as(x))
