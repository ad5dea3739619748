"""Wirings: which neuron reaches which and with what sign, for the cells whose synapses are drawn one by one.

Four ways to draw one: neural circuit policies (`NCP`, `AutoNCP`), all to all (`fully_connected`) and at random
(`random_wiring`). With the same integer seed they give the synapses of the package ncps, except where its random wiring
draws every sensory polarity twice.
"""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_finite_float, as_int, as_matrix, seed_sequence
from penstock.reservoirs.esn import set_fields

__all__ = ["NCP", "AutoNCP", "Wiring", "fully_connected", "random_wiring"]

KINDS = ("inter", "command", "motor")
SIGNS = (-1, 1)
MOSTLY_EXCITATORY = (-1, 1, 1)


@dataclass(frozen=True, eq=False, repr=False)
class Wiring:
    """Hold the polarity of every synapse between neurons, and from sensory neurons (the inputs) to them.

    Parameters
    ----------
    adjacency : array or sparse, shape (n, n)
        1 where neuron j (column) excites neuron i (row), -1 where it inhibits it, 0 where there is no synapse. Kept as
        int8.
    sensory : array or sparse, shape (n, m)
        The same from input k (column) to neuron i (row).
    n_motor : int
        Number of motor neurons, whose states are the outputs: neurons 0 to n_motor - 1.
    layers : tuple of three arrays of int, optional
        Neurons of the inter, command and motor layer; together they are all neurons, each once, and the last are the
        motor neurons.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a polarity is none of -1, 0 and 1, the layers do not share out the neurons, or a motor
        neuron cannot be reached from any input along synapses. Without inputs (m = 0) the last is not asked.

    Examples
    --------
    >>> import numpy as np
    >>> chain = Wiring([[0, -1], [0, 0]], [[0], [1]], n_motor=1)  # the input excites 1, which inhibits 0
    >>> chain
    Wiring(n_units=2, n_inputs=1, n_motor=1, n_synapses=1, n_sensory_synapses=1)
    >>> list(chain.graph().edges(data="polarity"))
    [(1, 0, -1), ('sensory 0', 1, 1)]
    """

    adjacency: np.ndarray
    sensory: np.ndarray
    n_motor: int
    layers: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def __post_init__(self):
        adjacency = _as_polarities("adjacency", self.adjacency, (None, None))
        n = adjacency.shape[0]
        if n == 0 or adjacency.shape[1] != n:
            raise ValueError(f"adjacency must be a square matrix (n, n) of n > 0 neurons, got shape {adjacency.shape}")
        sensory = _as_polarities("sensory", self.sensory, (n, None))
        n_motor = _as_count("n_motor", self.n_motor, n, f"the {n} neurons")
        layers = None if self.layers is None else _as_layers(self.layers, n, n_motor)
        set_fields(self, adjacency=adjacency, sensory=sensory, n_motor=n_motor, layers=layers)
        lost = _unreachable(adjacency, sensory, n_motor)
        if lost.size:
            raise ValueError(
                f"adjacency and sensory must let every motor neuron be reached from an input, got no path of synapses "
                f"to motor neuron {_listed(lost)}: add synapses, or number the neurons that are reached first and "
                "lower n_motor"
            )

    @property
    def n_units(self) -> int:
        """Number of neurons n, sensory ones not counted."""
        return self.adjacency.shape[0]

    @property
    def n_inputs(self) -> int:
        """Number of sensory neurons m."""
        return self.sensory.shape[1]

    @property
    def n_synapses(self) -> int:
        """Number of synapses between neurons."""
        return int(np.count_nonzero(self.adjacency))

    @property
    def n_sensory_synapses(self) -> int:
        """Number of synapses from inputs to neurons."""
        return int(np.count_nonzero(self.sensory))

    def graph(self):
        """Return a `networkx.DiGraph` with nodes 0 … n - 1 and "sensory 0" … "sensory m-1".

        Nodes carry `kind`: "sensory", "inter", "command" or "motor"; edges run along the synapses and carry
        `polarity`, 1 or -1. Without layers all neurons but the motor ones are called "inter".
        """
        import networkx as nx

        kinds = np.full(self.n_units, "inter", object)
        kinds[: self.n_motor] = "motor"
        for kind, units in zip(KINDS, self.layers or (), strict=self.layers is not None):
            kinds[units] = kind
        graph = nx.DiGraph()
        graph.add_nodes_from((unit, {"kind": kind}) for unit, kind in enumerate(kinds))
        graph.add_nodes_from((f"sensory {k}" for k in range(self.n_inputs)), kind="sensory")
        for table, name in ((self.adjacency, int), (self.sensory, "sensory {}".format)):
            targets, sources = np.nonzero(table)
            for i, j in zip(targets.tolist(), sources.tolist(), strict=True):
                graph.add_edge(name(j), i, polarity=int(table[i, j]))
        return graph

    def draw(self, ax=None):
        """Draw the neurons in columns, sensory ones on the left, with their synapses; return the axes."""
        from penstock.reservoirs.plots import plot_wiring

        return plot_wiring(self, ax)

    def __repr__(self):
        names = ("n_units", "n_inputs", "n_motor", "n_synapses", "n_sensory_synapses")
        return f"Wiring({', '.join(f'{name}={getattr(self, name)}' for name in names)})"


# --- Neural circuit policies: functions, but spelt like the wirings' published names


def NCP(
    n_inter: int,
    n_command: int,
    n_motor: int,
    *,
    sensory_fanout: int,
    inter_fanout: int,
    recurrent_command_synapses: int,
    motor_fanin: int,
    n_inputs: int,
    seed: int | np.random.SeedSequence = 22222,
) -> Wiring:
    """Draw a neural circuit policy: inputs -> inter -> command -> motor neurons, with loops among command neurons.

    1. Every input reaches `sensory_fanout` inter neurons; an inter neuron left out gets synapses from as many inputs
       as the others have on average, at least one.
    2. Every inter neuron reaches `inter_fanout` command neurons; one left out is helped in the same way, with at most
       `n_command` synapses.
    3. `recurrent_command_synapses` times a source and a target are drawn among the command neurons. What is drawn again
       replaces the synapse that was there, so there may be fewer synapses than draws; a neuron may reach itself.
    4. Every motor neuron is reached by `motor_fanin` command neurons; a command neuron left out reaches as many motor
       neurons as the others on average, at least one.

    All polarities are -1 or 1 with equal probability. The state is ordered motor, command, inter.

    Parameters
    ----------
    n_inter, n_command, n_motor : int
        Number of neurons in every layer.
    sensory_fanout, inter_fanout, motor_fanin : int
        Synapses of every input and inter neuron onwards, of every motor neuron backwards: from 1 to the size of the
        layer they reach.
    recurrent_command_synapses : int
        Number of draws among the command neurons, 0 or more.
    n_inputs : int
        Number of sensory neurons.
    seed : int or SeedSequence
        An int below 2^32 gives the wiring of ncps with that seed.

    Raises
    ------
    ValueError, TypeError
        If a number is too small, or a fan-out or fan-in larger than the layer.

    References
    ----------
    M. Lechner, R. Hasani, A. Amini, T. A. Henzinger, D. Rus, R. Grosu (2020), Neural circuit policies enabling
    auditable autonomy, Nature Machine Intelligence 2.

    Examples
    --------
    >>> NCP(12, 6, 1, sensory_fanout=4, inter_fanout=3, recurrent_command_synapses=4, motor_fanin=6, n_inputs=8)
    Wiring(n_units=19, n_inputs=8, n_motor=1, n_synapses=46, n_sensory_synapses=34)
    """
    n_inter, n_command, n_motor = (
        as_int(name, size) for name, size in (("n_inter", n_inter), ("n_command", n_command), ("n_motor", n_motor))
    )
    n_inputs = as_int("n_inputs", n_inputs)
    sensory_fanout = _as_count("sensory_fanout", sensory_fanout, n_inter, f"the {n_inter} inter neurons")
    inter_fanout = _as_count("inter_fanout", inter_fanout, n_command, f"the {n_command} command neurons")
    motor_fanin = _as_count("motor_fanin", motor_fanin, n_command, f"the {n_command} command neurons")
    n_recurrent = as_int("recurrent_command_synapses", recurrent_command_synapses, minimum=0)
    rng = _legacy_generator(seed)

    n = n_motor + n_command + n_inter
    motor, command, inter = np.split(np.arange(n), [n_motor, n_motor + n_command])
    adjacency, sensory = np.zeros((n, n), np.int8), np.zeros((n, n_inputs), np.int8)
    _join(rng, sensory, np.arange(n_inputs), inter, fanout=sensory_fanout, most=n_inputs)
    _join(rng, adjacency, inter, command, fanout=inter_fanout, most=n_command)
    for _ in range(n_recurrent):
        source, target = rng.choice(command), rng.choice(command)
        adjacency[target, source] = rng.choice(SIGNS)
    _join(rng, adjacency.T, motor, command, fanout=motor_fanin, most=n_motor)  # backwards, from the motor neurons
    return Wiring(adjacency, sensory, n_motor, (inter, command, motor))


def AutoNCP(
    n_units: int, n_motor: int, *, n_inputs: int, sparsity: float = 0.5, seed: int | np.random.SeedSequence = 22222
) -> Wiring:
    """Draw a neural circuit policy of a given size and sparsity: `NCP` with its seven numbers chosen by rule.

    Of the n_units - n_motor other neurons 40 % are command neurons, the rest inter neurons. With density d = 1 -
    sparsity every input reaches d n_inter inter neurons, every inter neuron d n_command command neurons, every motor
    neuron is reached by d n_command of them, and 2 d n_command synapses are drawn among them; all rounded down, at
    least 1.

    Parameters
    ----------
    n_units : int
        Number of neurons, motor neurons included.
    n_motor : int
        Number of motor neurons, below n_units - 2.
    n_inputs : int
        Number of sensory neurons.
    sparsity : float
        From 0.1 to 1; at 1 every fan-out and fan-in is 1.
    seed : int or SeedSequence
        An int below 2^32 gives the wiring of ncps with that seed.

    Raises
    ------
    ValueError, TypeError
        If there are too many motor neurons, or the sparsity lies outside [0.1, 1].

    References
    ----------
    M. Lechner et al. (2020), see `NCP`.

    Examples
    --------
    >>> wiring = AutoNCP(28, 4, n_inputs=2)
    >>> [len(layer) for layer in wiring.layers]  # inter, command, motor
    [15, 9, 4]
    >>> wiring.n_sensory_synapses  # 7 from each input, and one to each of 4 inter neurons left out
    18
    """
    n_units, n_motor = as_int("n_units", n_units), as_int("n_motor", n_motor)
    if n_motor >= n_units - 2:
        raise ValueError(f"n_motor must be below n_units - 2 = {n_units - 2}, got {n_motor}")
    sparsity = as_finite_float("sparsity", sparsity)
    if not 0.1 <= sparsity <= 1:
        raise ValueError(f"sparsity must lie in [0.1, 1], got {sparsity}")
    n_command = max(int(0.4 * (n_units - n_motor)), 1)
    n_inter = n_units - n_motor - n_command
    share = 1.0 - sparsity
    return NCP(
        n_inter,
        n_command,
        n_motor,
        sensory_fanout=max(int(share * n_inter), 1),
        inter_fanout=max(int(share * n_command), 1),
        recurrent_command_synapses=max(int(2 * share * n_command), 1),
        motor_fanin=max(int(share * n_command), 1),
        n_inputs=n_inputs,
        seed=seed,
    )


# --- Without layers


def fully_connected(
    n_units: int,
    *,
    n_inputs: int,
    n_motor: int | None = None,
    self_connections: bool = True,
    seed: int | np.random.SeedSequence,
) -> Wiring:
    """Join every neuron with every neuron, and every input with every neuron; two of three synapses excite.

    Parameters
    ----------
    n_units : int
        Number of neurons.
    n_inputs : int
        Number of sensory neurons; 0 makes a wiring without inputs.
    n_motor : int, optional
        Number of motor neurons; all neurons if not given.
    self_connections : bool
        Whether neurons reach themselves.
    seed : int or SeedSequence
        Of the polarities, 1 with probability 2/3. The same int gives the wiring of ncps.

    Raises
    ------
    ValueError, TypeError
        If a number is out of range or of the wrong type.

    Examples
    --------
    >>> fully_connected(5, n_inputs=2, self_connections=False, seed=0)
    Wiring(n_units=5, n_inputs=2, n_motor=5, n_synapses=20, n_sensory_synapses=10)
    """
    n, n_inputs, n_motor = _sizes(n_units, n_inputs, n_motor)
    if not isinstance(self_connections, bool | np.bool_):
        raise TypeError(f"self_connections must be True or False, got {self_connections!r}")
    rng = np.random.default_rng(seed_sequence(seed))
    joined = np.ones((n, n), bool) if self_connections else ~np.eye(n, dtype=bool)
    from_row = np.zeros((n, n), np.int8)
    from_row[joined] = rng.choice(MOSTLY_EXCITATORY, np.count_nonzero(joined))
    return Wiring(from_row.T, rng.choice(MOSTLY_EXCITATORY, (n_inputs, n)).T, n_motor)


def random_wiring(
    n_units: int,
    *,
    n_inputs: int,
    n_motor: int | None = None,
    sparsity: float,
    seed: int | np.random.SeedSequence,
) -> Wiring:
    """Draw a random wiring with an exact number of synapses at distinct places; two of three excite.

    round(n_units^2 (1 - sparsity)) synapses between neurons, and round(n_inputs n_units (1 - sparsity)) from inputs. At
    high sparsity some neurons get no synapse at all. If one of them is a motor neuron the wiring is refused.

    Parameters
    ----------
    n_units : int
        Number of neurons.
    n_inputs : int
        Number of sensory neurons; 0 makes a wiring without inputs.
    n_motor : int, optional
        Number of motor neurons; all neurons if not given.
    sparsity : float
        Fraction of the places without a synapse, from 0 to below 1.
    seed : int or SeedSequence
        Of places and polarities. The same int gives the synapses of ncps and their polarities, but for those of the
        sensory synapses: ncps draws these twice and keeps the second.

    Raises
    ------
    ValueError, TypeError
        If the sparsity lies outside [0, 1), or a motor neuron cannot be reached from any input.

    Examples
    --------
    >>> random_wiring(20, n_inputs=2, n_motor=3, sparsity=0.75, seed=0)
    Wiring(n_units=20, n_inputs=2, n_motor=3, n_synapses=100, n_sensory_synapses=10)
    """
    n, n_inputs, n_motor = _sizes(n_units, n_inputs, n_motor)
    sparsity = as_finite_float("sparsity", sparsity)
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must lie in [0, 1), got {sparsity}")
    rng = np.random.default_rng(seed_sequence(seed))
    adjacency, sensory = (_scatter(rng, n, n_sources, sparsity) for n_sources in (n, n_inputs))
    lost = _unreachable(adjacency, sensory, n_motor)
    if lost.size:
        raise ValueError(
            f"sparsity must leave a path of synapses from an input to every motor neuron, got {sparsity}, which with "
            f"this seed leaves none to {lost.size} of {n_motor}, motor neuron {_listed(lost)}: take a lower sparsity, "
            "a smaller n_motor or another seed"
        )
    return Wiring(adjacency, sensory, n_motor)


# --- Draws


def _join(rng, table, sources, targets, *, fanout, most):
    """Let every source reach `fanout` targets, then join each target left out with the mean number of sources."""
    for source in sources:
        chosen = rng.choice(targets, fanout, replace=False)
        table[chosen, source] = rng.choice(SIGNS, fanout)
    fanin = min(max(len(sources) * fanout // len(targets), 1), most)
    for target in targets[~table[np.ix_(targets, sources)].any(axis=1)]:
        chosen = rng.choice(sources, fanin, replace=False)
        table[target, chosen] = rng.choice(SIGNS, fanin)


def _scatter(rng, n_units, n_sources, sparsity):
    """Draw the polarities (n_units, n_sources) of a share 1 - sparsity of the places, counted source by source."""
    places = n_units * n_sources
    from_row = np.zeros(places, np.int8)
    if places:
        count = round(places * (1 - sparsity))
        chosen = rng.choice(places, count, replace=False)
        from_row[chosen] = rng.choice(MOSTLY_EXCITATORY, count)
    return from_row.reshape(n_sources, n_units).T


def _legacy_generator(seed):
    """Return a generator of the kind with which these wirings were published."""
    if isinstance(seed, np.random.SeedSequence):
        return np.random.RandomState(np.random.MT19937(seed_sequence(seed)))
    seed_sequence(seed)  # raises for anything but a seed
    if seed >= 2**32:
        raise ValueError(f"seed must be below 2^32, or a SeedSequence, got {seed}")
    return np.random.RandomState(int(seed))


# --- Checks


def _unreachable(adjacency, sensory, n_motor):
    """Return the motor neurons that no path of synapses joins with an input, none of them if there are no inputs."""
    if sensory.shape[1] == 0:
        return np.empty(0, np.intp)
    reached = sensory.any(axis=1)
    front = np.flatnonzero(reached)
    while front.size:
        front = np.flatnonzero(adjacency[:, front].any(axis=1) & ~reached)
        reached[front] = True
    return np.flatnonzero(~reached[:n_motor])


def _listed(units):
    return ", ".join(map(str, units[:10])) + (f" and {units.size - 10} more" if units.size > 10 else "")


def _sizes(n_units, n_inputs, n_motor):
    n = as_int("n_units", n_units)
    n_motor = n if n_motor is None else _as_count("n_motor", n_motor, n, f"the {n} neurons")
    return n, as_int("n_inputs", n_inputs, minimum=0), n_motor


def _as_count(name, value, most, layer):
    value = as_int(name, value)
    if value > most:
        raise ValueError(f"{name} must be at most {most}, {layer}, got {value}")
    return value


def _as_polarities(name, value, shape):
    matrix = as_matrix(name, value, shape, np.float64)
    table = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    odd = np.argwhere(~np.isin(table, (-1, 0, 1)))
    if odd.size:
        i, j = odd[0].tolist()
        raise ValueError(f"{name} must hold polarities -1, 0 and 1, got {table[i, j]:g} at index {(i, j)}")
    table = table.astype(np.int8)
    table.flags.writeable = False
    return table


def _as_layers(layers, n, n_motor):
    try:
        parts = tuple(np.array(part) for part in layers)
    except (TypeError, ValueError):
        raise TypeError(f"layers must be three arrays of neurons (inter, command, motor), got {layers!r}") from None
    if len(parts) != 3 or any(part.ndim != 1 or part.dtype.kind not in "iu" for part in parts):
        raise ValueError(f"layers must be three 1-D arrays of integers (inter, command, motor), got {layers!r}")
    if not np.array_equal(np.sort(np.concatenate(parts)), np.arange(n)):
        raise ValueError(f"layers must hold each of the neurons 0 to {n - 1} once, got {layers!r}")
    if not np.array_equal(np.sort(parts[2]), np.arange(n_motor)):
        raise ValueError(f"layers[2] must hold the motor neurons 0 to {n_motor - 1}, got {parts[2]}")
    parts = tuple(part.astype(np.intp) for part in parts)
    for part in parts:
        part.flags.writeable = False
    return parts
