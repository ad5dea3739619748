"""Populations of a network, and groups: the names for a population, or for some of its units, that users hold."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

__all__ = ["Group", "Population", "Receptor", "whole"]


@dataclass(frozen=True)
class Receptor:
    """A synapse on a population, and the name of its state there."""

    synapse: Any
    name: str


@dataclass(eq=False)
class Population:
    """What the network keeps of a population: its model, its states and the receptors that synapses gave it."""

    name: str
    model: Any
    network: Any
    seed: np.random.SeedSequence
    states: dict[str, np.ndarray] = field(default_factory=dict)
    initial: dict[str, np.ndarray] = field(default_factory=dict)
    receptors: list[Receptor] = field(default_factory=list)
    ready: np.ndarray = field(init=False)  # the first step in which each unit's potential moves again
    place: dict[str, int] = field(default_factory=dict)  # of each state in the flat array
    first: int = 0  # number of its first unit among all units
    homeostasis: Any = None  # ThresholdHomeostasis

    def __post_init__(self):
        self.ready = np.zeros(self.n)

    @property
    def n(self) -> int:
        """Number of units."""
        return self.model.n

    @property
    def is_source(self) -> bool:
        """Whether its units only emit spikes."""
        return not hasattr(self.model, "coefficients")

    @property
    def noisy(self) -> bool:
        """Whether its potentials need random numbers in every step."""
        return bool(np.any(getattr(self.model, "sigma", 0.0)))

    def write(self, name: str, values, units=slice(None), initial: bool = True) -> None:
        """Write values into a state, new or not, and into its initial values if they are that too."""
        for kept in (self.states, self.initial)[: 1 + initial]:
            kept.setdefault(name, np.zeros(self.n))[units] = values

    def receptor(self, synapse, dt: float) -> str:
        """Return the name of the state that spikes of `synapse` change, made if it is new."""
        if synapse.n_states == 0:
            return "v"
        for receptor in self.receptors:
            if receptor.synapse == synapse:
                return receptor.name + "_x" * (synapse.n_states == 2)
        name = synapse.name or self._free_name()
        new = [name, f"{name}_x"][: synapse.n_states]
        taken = [state for state in new if state in self.states or state in ("spikes", "rate")]
        if taken:
            raise ValueError(f"name of {synapse!r} must be new in {self.name!r}, got {taken[0]!r} again")
        if synapse.reversal is not None:
            self.model.coefficients(dt, True)  # a model that takes no conductances says so here
        self.receptors.append(Receptor(synapse, name))
        for state in new:
            self.write(state, 0.0)
        return new[-1]

    def _free_name(self):
        """Return "g", "g2", … by the number of the receptor, or the next one that nobody has taken."""
        names = (f"g{k}" if k > 1 else "g" for k in count(len(self.receptors) + 1))
        return next(name for name in names if not {name, f"{name}_x"} & self.states.keys())


class Group:
    """Name a population of a network, or some of its units: ``group[:100]`` is a group too.

    Networks make groups; users only pass them on.
    """

    def __init__(self, population: Population, units: np.ndarray):
        self.population, self.units = population, units

    def __len__(self):
        return self.units.size

    def __getitem__(self, index) -> "Group":
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            index = [index]
        try:
            units = self.units[index]
        except IndexError as error:
            raise IndexError(f"group {self.name!r} has {len(self)} units: {error}") from None
        if units.ndim != 1 or units.size == 0 or np.unique(units).size != units.size:
            raise ValueError(f"a part of group {self.name!r} must hold units, each once, got {index!r}")
        return Group(self.population, units)

    def __repr__(self):
        part = "" if len(self) == self.population.n else f" of {self.population.n}"
        return f"Group({self.name!r}, {type(self.model).__name__}, {len(self)}{part} units)"

    @property
    def name(self) -> str:
        """Name of the population."""
        return self.population.name

    @property
    def model(self):
        """The record of the population's neurons or of its source."""
        return self.population.model

    @property
    def start(self) -> int:
        """First unit of the group within its population."""
        return int(self.units[0])

    @property
    def whole(self) -> bool:
        """Whether the group is its whole population, in order."""
        return len(self) == self.population.n and self.is_range

    @property
    def is_range(self) -> bool:
        """Whether the units follow one another."""
        return bool(np.all(np.diff(self.units.astype(np.int64)) == 1))


def whole(population: Population) -> Group:
    """Return the group of all units of a population."""
    return Group(population, np.arange(population.n, dtype=np.uint32))
