"""A recipe for a system, so that searches over its hyper-parameters can draw it anew."""

import inspect
from typing import Any

from penstock.checks import as_int
from penstock.params import Parameters
from penstock.system import as_system

__all__ = ["Drawn"]


class Drawn(Parameters):
    """Hold a constructor and its settings; an estimator draws the system when it is fitted.

    Parameters
    ----------
    make : callable
        A constructor of systems such as `ESN.random`, `DeepResESN.random` or `NVAR`.
    **settings
        Its keyword arguments. ``n_inputs`` may be left out: it follows from the data.

    Raises
    ------
    TypeError
        If `make` does not take a setting.

    Examples
    --------
    >>> from penstock.reservoirs import ESN, Drawn
    >>> recipe = Drawn(ESN.random, n_units=50, leak=0.3, seed=0)
    >>> recipe.set_params(spectral_radius=1.1)
    Drawn(ESN.random, n_units=50, leak=0.3, seed=0, spectral_radius=1.1)
    >>> recipe.set_params(spectral_radius=0.8).draw(n_inputs=2).W_in.shape
    (50, 2)
    """

    def __init__(self, make, **settings):
        if not callable(make):
            raise TypeError(f"make must be a constructor of systems such as ESN.random, got {make!r}")
        self.make, self.settings = make, {}
        self.set_params(**settings)

    def get_params(self, deep=True) -> dict[str, Any]:
        """Return the constructor and its settings by name."""
        return {"make": self.make, **self.settings}

    def set_params(self, **params):
        """Set settings by name, new ones too; return self."""
        make = params.pop("make", self.make)
        accepted = inspect.signature(make).parameters
        unknown = [name for name in params if name not in accepted]
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            raise TypeError(f"settings of {_name(make)} are {', '.join(accepted)}, got {unknown[0]!r}")
        self.make, self.settings = make, {**self.settings, **params}
        return self

    def draw(self, n_inputs):
        """Return the system, with that many inputs."""
        n_inputs = as_int("n_inputs", n_inputs, minimum=0)
        given = "n_inputs" in inspect.signature(self.make).parameters and "n_inputs" not in self.settings
        channels = n_inputs - bool(self.settings.get("timed"))  # the last channel of a timed system is not data
        return as_system(self.make(**self.settings, **({"n_inputs": channels} if given else {})))

    def __repr__(self):
        settings = "".join(f", {name}={getattr(value, '__name__', value)!s}" for name, value in self.settings.items())
        return f"Drawn({_name(self.make)}{settings})"


def _name(make):
    return getattr(make, "__qualname__", repr(make))
