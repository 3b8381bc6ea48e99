"""Checks of a clinical configuration's free parameters, before data are read or anything trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tscl.errors import ConfigError, InputError, nearest

if TYPE_CHECKING:
    from tscl.config_clinical import ClinicalConfig, SplitSection

_DEALING = ("stratify", "allow_missing")
SPLIT_PARAMS: dict[str, tuple[str, ...]] = {
    "group": ("fractions", "column", *_DEALING),
    "kfold": ("n_splits", "valid", "column", *_DEALING),
    "leave_one_out": ("valid", *_DEALING),
    "fixed": ("ids", "column"),
    "official": ("valid", "test_fold", "valid_fold"),
}
"""What ``split.params`` may hold, by ``split.kind``."""
_WHOLE = {
    "group": "{kind: group, params: {fractions: {train: 0.6, valid: 0.2, test: 0.2}}}",
    "kfold": "{kind: kfold, params: {n_splits: 3}}",
    "leave_one_out": "{kind: leave_one_out, params: {valid: 0.2}}",
    "fixed": "{kind: fixed, params: {ids: {valid: [a, b], test: [c, d]}}}",
    "official": "{kind: official, params: {}}",
}
_PARTS = ("train", "valid", "test")


def under(key: str, check: Callable[..., Any], *given: Any) -> None:
    """Run ``check(*given)``; what it finds wrong is named below the configuration's ``key``."""
    try:
        check(*given)
    except InputError as error:
        raise ConfigError(f"{key}.{error.field}", error.value, error.remedy) from None


def check_split_params(section: SplitSection) -> None:
    """Names and values of ``split.params`` for the section's kind, and ``split.folds``.

    Raises:
        ConfigError: names the key and what is known; a whole split is shown where the parameters
            are those of another kind.
    """
    kind, params = section.kind, section.params
    known = SPLIT_PARAMS[kind]
    whole = f"-s 'split={_WHOLE[kind]}'"
    for key, value in params.items():
        if key not in known:
            remedy = f"{kind} does not take it; {nearest(str(key), known)}"
            other = any(key in names for names in SPLIT_PARAMS.values())
            remedy += f"; another kind needs the whole split: {whole}" if other else ""
            raise ConfigError(f"split.params.{key}", value, remedy)
        if key in _DEALING and not isinstance(value, bool):
            raise ConfigError(f"split.params.{key}", value, "give true or false")
    if section.folds is not None and not section.folds:
        raise ConfigError("split.folds", [], "choose at least one, or leave it out for all")
    if kind == "group" and params.get("fractions") is not None:
        from data_loaders.split_checks import check_fractions

        under("split.params", check_fractions, params["fractions"])
        _part_names("split.params.fractions", params["fractions"], ("train", "test"))
    elif kind == "kfold":
        _check_kfold(params)
    elif kind == "leave_one_out":
        valid = params.get("valid", 0.2)
        number = isinstance(valid, int | float) and not isinstance(valid, bool)
        if not number or not 0 <= valid < 1:
            remedy = "give a share from 0 up to, not including, 1"
            raise ConfigError("split.params.valid", valid, remedy)
    elif kind == "fixed":
        ids = params.get("ids")
        if not isinstance(ids, Mapping) or not ids:
            raise ConfigError("split.params.ids", ids, f"list the ids of each part: {whole}")
        _part_names("split.params.ids", ids, ("test",))
        for name, listed in ids.items():
            if not isinstance(listed, list | tuple) or not listed:
                raise ConfigError(f"split.params.ids.{name}", listed, "give a list of ids")
    elif kind == "official" and not isinstance(params.get("valid"), list | tuple | None):
        raise ConfigError("split.params.valid", params["valid"], "give a list of records")


def _check_kfold(params: Mapping[str, Any]) -> None:
    valid, n_splits = params.get("valid", True), params.get("n_splits", 5)
    if not isinstance(valid, bool):
        raise ConfigError("split.params.valid", valid, "give true or false")
    whole = isinstance(n_splits, int) and not isinstance(n_splits, bool)
    if not whole or n_splits < 2 + valid:
        remedy = "train, valid and test need 3 or more (valid: false needs 2)" if valid else ""
        raise ConfigError("split.params.n_splits", n_splits, remedy or "give 2 or more")


def _part_names(key: str, parts: Mapping[Any, Any], needed: tuple[str, ...]) -> None:
    for name in parts:
        if name not in _PARTS:
            raise ConfigError(f"{key}.{name}", parts[name], nearest(str(name), _PARTS))
    for name in needed:
        if name not in parts:
            raise ConfigError(key, dict(parts), f"give the part {name!r}")


def check_probing(config: ClinicalConfig) -> None:
    """The curve and the choice of an epoch need patients that validate.

    Raises:
        ConfigError: ``train.probe`` or ``train.select`` with a split that has none.
    """
    params, kind = config.split.params, config.split.kind
    has, key = True, "split.params.valid"
    if kind == "group":
        has, key = "valid" in (params.get("fractions") or _PARTS), "split.params.fractions.valid"
    elif kind == "kfold":
        has = bool(params.get("valid", True))
    elif kind == "leave_one_out":
        has = params.get("valid", 0.2) > 0
    elif kind == "fixed":
        has, key = "valid" in params["ids"], "split.params.ids.valid"
    if not has:
        refuse_probing(config, f"give {key}")


def refuse_probing(config: ClinicalConfig, instead: str) -> None:
    """Raise for what needs a validation part; nothing where the run does not ask for one."""
    train = config.train
    if train.probe:
        remedy = f"probing needs a valid part: {instead}, or set train.probe to false"
        raise ConfigError("train.probe", train.probe, remedy)
    if train.select == "validation":
        remedy = f"choosing an epoch needs a valid part: {instead}, or set train.select to last"
        raise ConfigError("train.select", train.select, remedy)


def check_level_weights(key: str, method: str, params: Mapping[str, Any]) -> None:
    """Levels of COMET and their weights; other methods have none.

    Raises:
        ConfigError: names the argument below ``key``.
    """
    from tscl.methods.levels import default_levels, read_levels

    if method != "comet":
        return
    levels, lambdas = params.get("levels"), params.get("lambdas", (0.25,) * 4)
    name, value = ("lambdas", lambdas) if levels is None else ("levels", levels)
    try:
        if levels is None:
            levels = default_levels(lambdas)
        read_levels(levels)
    except InputError as error:
        field = name if error.field in ("levels", "lambdas") else error.field
        raise ConfigError(f"{key}.{field}", value, error.remedy) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{key}.{name}", value, f"a value of the wrong kind: {error}") from None
