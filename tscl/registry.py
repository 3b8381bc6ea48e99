"""Named components: a class registers itself under a name and is built from that name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from tscl.errors import ConfigError, check_choice, nearest

T = TypeVar("T")


def python_values(value: Any) -> Any:
    """``value`` with NumPy's numbers, also those in lists and mappings, as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(python_values(item) for item in value)
    if type(value) is dict:
        return {key: python_values(item) for key, item in value.items()}
    return value


def constructor_arguments(local: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """The arguments of a constructor, from the ``locals()`` of its body, to build the same again.

    Args:
        local: ``locals()`` of an ``__init__`` that calls ``super().__init__``.
        **changed: values that stand in the place of those given, such as a list for a sequence.
    """
    names = inspect.signature(local["__class__"].__init__).parameters
    return {name: changed.get(name, local[name]) for name in names if name != "self"}


class Registry(Generic[T]):
    """Maps names to classes of one kind and builds them with checked keyword arguments.

    Args:
        kind: what the entries are ("encoder", "loss", ...); used in error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that files the class under ``name``."""

        def add(cls: type[T]) -> type[T]:
            known = self._entries.get(name)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise ConfigError(self.kind, name, "choose a name that is not taken")
            self._entries[name] = cls
            return cls

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> type[T]:
        """The class filed under ``name``; ConfigError with the nearest name otherwise."""
        check_choice(self.kind, name, self._entries, error=ConfigError)
        return self._entries[name]

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        """Keyword parameters the constructor of ``name`` accepts.

        One that hands ``**options`` on to its base class has those of that class too.
        """
        known: dict[str, inspect.Parameter] = {}
        for cls in self.get(name).__mro__:
            if "__init__" not in vars(cls):
                continue
            own = dict(inspect.signature(vars(cls)["__init__"]).parameters)
            handed_on = own.pop("options", None)
            known = {**{k: p for k, p in own.items() if k != "self"}, **known}
            if handed_on is None or handed_on.kind is not inspect.Parameter.VAR_KEYWORD:
                break
        return known

    def check(self, name: str, params: Mapping[str, Any]) -> None:
        """Raise ConfigError when ``params`` has a key the constructor does not know."""
        known = self.parameters(name)
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values()):
            return
        for key in params:
            if key not in known:
                raise ConfigError(f"{self.kind} {name}.{key}", params[key], nearest(key, known))

    def build(self, name: str, **params: Any) -> T:
        """Construct the class filed under ``name``, with NumPy's numbers as Python's own.

        Raises:
            ConfigError: unknown name or unknown parameter (with the nearest known one), or a
                parameter without default that is not given.
        """
        self.check(name, params)
        for key, parameter in self.parameters(name).items():
            variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if parameter.default is parameter.empty and not variable and key not in params:
                raise ConfigError(f"{self.kind} {name}.{key}", "no value", "it has no default")
        return self.get(name)(**python_values(params))
