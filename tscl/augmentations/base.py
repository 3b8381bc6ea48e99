"""What an augmentation is: a thin module that draws numbers and hands them to a pure function.

To add an augmentation, write a subclass of :class:`Augmentation`, decorate it with
``@AUGMENTATIONS.register("name")`` and export it from ``tscl/augmentations/__init__.py``::

    @AUGMENTATIONS.register("drift")
    class Drift(Augmentation):
        form = "additive"

        def __init__(self, slope: float = 0.1, p: float = 1.0) -> None:
            super().__init__(p)
            self.slope = slope

        def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
            return {"slope": self.slope * randn((x.shape[0], 1, 1), generator, x)}

        def transform(self, x: Tensor, draws: Draws) -> Tensor:
            steps = torch.linspace(0, 1, x.shape[1], dtype=x.dtype, device=x.device)
            return x + draws["slope"] * steps[:, None]

The contract suite in ``tests/augmentations/test_contract.py`` then runs on it.

Every augmentation is an instance of AutoTCL's unified form (arXiv 2402.10434, section 3), in
which a view is an operator applied to the series plus noise, ``v = A x + e``. ``form`` says which
part an augmentation draws: see :data:`Form`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tscl.errors import ConfigError, InputError
from tscl.registry import Registry
from tscl.seeding import rand

Form = Literal["factor", "additive", "index", "linear", "composite"]
"""``factor``: v = f * x, f drawn per step, A diagonal. ``additive``: v = x + e, A the identity.
``index``: v at t is x at a drawn position (interpolated linearly between two steps), A has one or
two entries a row. ``linear``: A is any matrix that does not depend on x. ``composite``: several."""

Draws = Mapping[str, Tensor]


class Augmentation(nn.Module, ABC):
    """Base class: ``augmentation(x, generator=None)`` gives a view of the shape of ``x``.

    Args:
        p: probability, per sample, that the augmentation is applied; other samples pass as
            they are.

    Shape:
        x: (B, T, C) float, possibly with NaN. Returns (B, T, C) unless the class says otherwise.
        Forms ``factor`` and ``additive`` keep NaN exactly where it was; ``index`` forms carry it
        along with the steps that it belongs to.

    Raises:
        InputError: ``x`` is not a 3-D float tensor, or ``p`` is not in [0, 1].
    """

    form: ClassVar[Form]

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        self.p = check_fraction("p", p)

    @abstractmethod
    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """All random numbers for ``x``: functions of its shape and the generator only."""

    @abstractmethod
    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """The view of ``x`` for given ``draws``; deterministic."""

    def view(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """The view of every sample, before ``p``: draw, then transform."""
        return self.transform(x, self.draw(x, generator))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw, apply, and keep the samples that were not chosen by ``p``."""
        if x.ndim != 3 or x.shape[1] < 1 or not torch.is_floating_point(x):
            raise InputError(
                "x", (tuple(x.shape), x.dtype), "pass a float (n_samples, n_timesteps, n_channels)"
            )
        if self.p == 0.0:
            return x
        view = self.view(x, generator)
        if self.p == 1.0:
            return view
        if view.shape != x.shape:
            raise InputError("p", self.p, "an augmentation that changes the length needs p = 1")
        chosen = rand((x.shape[0], 1, 1), generator, wide(x)) < self.p
        return torch.where(chosen, view, x)

    def extra_repr(self) -> str:
        """Constructor numbers, for ``print(augmentation)``."""
        shown = {k: v for k, v in vars(self).items() if isinstance(v, int | float | str)}
        return ", ".join(f"{k}={v}" for k, v in shown.items() if k != "training" and k[0] != "_")


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")

AugmentationSpec = str | Mapping[str, Any] | nn.Module


def build_augmentation(spec: AugmentationSpec) -> nn.Module:
    """An augmentation from a name, a mapping ``{"name": ..., **parameters}`` or a module itself.

    Raises:
        ConfigError: unknown name or parameter, or something else than these three.
    """
    if isinstance(spec, nn.Module):
        return spec
    if isinstance(spec, str):
        return AUGMENTATIONS.build(spec)
    if isinstance(spec, Mapping) and "name" in spec:
        parameters = {k: v for k, v in spec.items() if k != "name"}
        return AUGMENTATIONS.build(str(spec["name"]), **parameters)
    raise ConfigError("augmentation", spec, "pass a name, a mapping with a name, or a module")


def build_augmentations(specs: Sequence[AugmentationSpec]) -> nn.ModuleList:
    """A non-empty list of augmentations from specifications."""
    if isinstance(specs, str | Mapping) or len(specs) == 0:
        raise ConfigError("augmentations", specs, "pass a list with at least one augmentation")
    return nn.ModuleList(build_augmentation(spec) for spec in specs)


def wide(x: Tensor) -> Tensor:
    """``x`` in at least single precision, where positions and thresholds are exact enough."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_fraction(name: str, value: float) -> float:
    """``value`` when it lies in [0, 1], else InputError."""
    if not 0.0 <= value <= 1.0:
        raise InputError(name, value, "choose a value in [0, 1]")
    return float(value)


def check_sigma(name: str, value: float) -> float:
    """``value`` when it is finite and not negative, else InputError."""
    if not 0.0 <= value < float("inf"):
        raise InputError(name, value, "choose a finite value of at least 0")
    return float(value)


def check_count(name: str, value: int, least: int = 1) -> int:
    """``value`` when it is a whole number and large enough.

    Args:
        name: of the setting, for the error.
        value: what was given.
        least: the smallest that is allowed.
    """
    if int(value) != value or value < least:
        raise InputError(name, value, f"choose an integer of at least {least}")
    return int(value)


def check_rate(rate: float) -> float:
    """A sampling rate in Hz when it is finite and above 0, else InputError."""
    if not 0.0 < rate < float("inf"):
        raise InputError("rate", rate, "give the sampling rate in Hz, above 0")
    return float(rate)
