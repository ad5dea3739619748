"""The space of a search, as Optuna's distributions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock.checks import as_finite_float
from penstock.sweep_tasks import as_name

__all__ = ["as_space", "import_optuna"]


def import_optuna():
    """Return the module optuna, or say how to install it."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError('search needs Optuna: pip install "penstock[optuna]"') from error
    return optuna


def as_space(space) -> dict[str, Any]:
    """Return {name: Optuna's distribution} of a space: pairs, lists of choices and distributions."""
    if not isinstance(space, Mapping):
        raise TypeError(f"space must be a dict of a range for each parameter, got {space!r}")
    if not space:
        raise ValueError("space must name at least one parameter, got none")
    names = [as_name("space", name, "trial") for name in space]
    return {name: _as_distribution(f"space[{name!r}]", space[name]) for name in names}


def _as_distribution(name, given):
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    if isinstance(given, BaseDistribution):
        return given
    if isinstance(given, list):
        return CategoricalDistribution(_as_choices(name, given))
    if not (isinstance(given, tuple) and len(given) == 2):
        raise TypeError(
            f"{name} must be a pair (low, high), a list of choices or a distribution of Optuna such as "
            f"optuna.distributions.IntDistribution(1, 9), got {given!r}"
        )
    low, high = (as_finite_float(f"{name}[{i}]", end) for i, end in enumerate(given))
    if not low < high:
        raise ValueError(f"{name} must be a pair (low, high) with low < high, got {given!r}")
    return FloatDistribution(low, high)


def _as_choices(name, given) -> list:
    choices = [choice.item() if isinstance(choice, np.generic) else choice for choice in given]
    if not choices:
        raise ValueError(f"{name} must have at least one choice, got none")
    for choice in choices:
        if not (choice is None or type(choice) in (bool, int, float, str)):
            raise TypeError(f"{name} must have numbers, strings, bools or None as choices, got {choice!r}")
        if isinstance(choice, float):
            as_finite_float(name, choice)
    if len(set(choices)) < len(choices):  # 1, 1.0 and True are one to Optuna
        raise ValueError(f"{name} must have choices that differ, got {given!r}")
    return choices
