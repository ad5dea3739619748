"""The bridge to Brian2: the same network built there, and a comparison spike for spike. Brian2 is imported on use."""

import copy
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from penstock.spiking.brian_network import Builder, check
from penstock.spiking.clock import steps_of
from penstock.spiking.network import Network

__all__ = ["BrianComparison", "BrianNetwork", "FirstDifference", "compare_with_brian2", "to_brian2"]


@dataclass(frozen=True, eq=False, repr=False)
class BrianNetwork:
    """A network in Brian2: ``network.run(duration)`` runs it.

    Parameters
    ----------
    network : brian2.Network
        All objects below.
    groups : dict
        NeuronGroup or SpikeGeneratorGroup by population name.
    synapses : tuple
        One Synapses object per projection, None for a projection without synapses.
    spikes : dict
        SpikeMonitor by population name. With ``timing="nest"`` its times are one step earlier than here.
    """

    network: Any
    groups: dict[str, Any]
    synapses: tuple
    spikes: dict[str, Any]

    def __repr__(self):
        sizes = ", ".join(f"{name}: {len(group)}" for name, group in self.groups.items())
        n_synapses = sum(len(s) for s in self.synapses if s is not None)
        return f"BrianNetwork({sizes}; {n_synapses} synapses)"


class FirstDifference(NamedTuple):
    """The first spike that only one side has: step, time (ms, penstock's label), population, unit, and that side."""

    step: int
    time: float
    population: str
    unit: int
    side: str


@dataclass(frozen=True, eq=False, repr=False)
class BrianComparison:
    """Tell whether penstock and Brian2 produced the same spikes, and learned the same weights.

    Parameters
    ----------
    duration : float
        Model time compared (ms).
    n_spikes, n_spikes_brian2 : int
        Number of spikes on each side, sources included.
    first_difference : FirstDifference or None
        The earliest spike of one side alone.
    n_equal : int
        Number of spikes before that, the same on both sides.
    weight_difference : float or None
        The largest difference between the two sides of a weight at the end, in its unit, over all projections with
        plasticity or scaling; None if there are none.
    """

    duration: float
    n_spikes: int
    n_spikes_brian2: int
    first_difference: FirstDifference | None
    n_equal: int
    weight_difference: float | None = None

    @property
    def equal(self) -> bool:
        """Whether every spike of either side is one of the other, in the same step."""
        return self.first_difference is None

    def __repr__(self):
        learned = self.weight_difference
        weights = "" if learned is None else f"; learned weights differ by at most {learned:.1e}"
        if self.first_difference is None:
            return f"BrianComparison(equal: {self.n_spikes} spikes in {self.duration:g} ms{weights})"
        d = self.first_difference
        return (
            f"BrianComparison(different after {self.n_equal} equal spikes: at {d.time:g} ms (step {d.step}) "
            f"unit {d.unit} of {d.population!r} spikes in {d.side} only; "
            f"{self.n_spikes} spikes in penstock, {self.n_spikes_brian2} in Brian2, in {self.duration:g} ms{weights})"
        )


def to_brian2(net, duration: float | None = None) -> BrianNetwork:
    """Return the same network in Brian2, in its initial state.

    Neurons, synapses, delays, weights, rules of plasticity and initial states are carried over; random inputs and noise
    are drawn from the streams of `net` and replayed. Variables are plain numbers in ms, mV, pA, nS and pF. Where Brian2
    has the integrator its own is used (``exact``, ``exponential_euler``, ``euler``), elsewhere statements that run each
    step. ``timing="nest"`` becomes refractory periods longer by dt and thresholds ``>=``; spikes are then labelled one
    step earlier than here. Traces of pairs and triplets are driven by events; eligibilities, local learning and
    regulation are statements that run each step.

    Parameters
    ----------
    net : Network
        Left as it is. Its weights are the present ones, its states those before the first run.
    duration : float, optional
        Time for which inputs are drawn (ms); needed where the network has spike sources, drives or noise. In Brian2
        sources fall silent after it and drives keep their last value.

    Raises
    ------
    ImportError
        If Brian2 is not installed or cannot be imported; the message says what to do.
    ValueError
        If something cannot be carried over, or `duration` is missing.

    References
    ----------
    M. Stimberg, R. Brette, D. F. M. Goodman (2019), Brian 2, an intuitive and efficient neural simulator, eLife 8.

    Examples
    --------
    >>> from penstock.spiking import LIF, Network, to_brian2
    >>> net = Network(dt=0.1)
    >>> cells = net.add(LIF(10, I_e=500.0), name="cells")
    >>> to_brian2(net).groups["cells"]                                            # doctest: +SKIP
    NeuronGroup(clock=Clock(dt=100. * usecond, name='clock'), when=start, order=0, name='neurongroup')
    """
    steps = _steps(net, duration)
    check(net, steps)
    with _quiet():
        brian2 = _import_brian2()
        build = Builder(brian2, net, steps)
        for population in net.populations:
            build.add(population)
        for index, projection in enumerate(net.projections):
            build.connect(projection, index)
        build.kick()
        return BrianNetwork(*build.parts())


def compare_with_brian2(net, duration: float, progress: bool = True) -> BrianComparison:
    """Run the network here and in Brian2 from its initial state; report the first spike that differs, if any does.

    Of plastic projections the learned weights are compared too.

    Brian2 runs on its numpy target, without a compiler. Neither `net` nor Brian2's preferences, clock and random
    numbers are changed.

    Parameters
    ----------
    net : Network
        Left as it is: a copy is run.
    duration : float
        Model time (ms).
    progress : bool
        Show progress bars of long runs.

    Raises
    ------
    ImportError, ValueError
        As `to_brian2`.
    RuntimeError
        If Brian2 is set to a stand-alone device.

    Notes
    -----
    The two sides round differently in the last bits. Spikes on a grid hide that: over a second, benchmark networks of
    4000 neurons give the same tens of thousands of spikes. They differ where a potential meets its threshold exactly,
    and where neurons enlarge small differences by themselves: `Izhikevich2007` cells of the fast-spiking kind, driven
    hard in steps of 0.1 ms, make 10 mV of 1e-13 mV in 50 ms. Then the first difference comes at a time that a smaller
    change of the initial state would move as well.

    Examples
    --------
    >>> from penstock.spiking import LIF, Network, compare_with_brian2
    >>> net = Network(dt=0.1)
    >>> cells = net.add(LIF(10, I_e=500.0), name="cells")
    >>> compare_with_brian2(net, 100.0)                                           # doctest: +SKIP
    BrianComparison(equal: 60 spikes in 100 ms)
    """
    if duration is None:
        raise TypeError("duration must be a time in ms, got None")
    steps = _steps(net, duration)
    check(net, steps)
    with _quiet(), _numpy_target(_import_brian2()):
        built = to_brian2(net, duration)
        theirs = _run_brian2(built, net, duration, progress)
    ours, twin = _run_copy(net, duration, progress)
    return replace(_compare(ours, theirs, net, steps), weight_difference=_weight_difference(twin, built))


def _steps(net, duration):
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {net!r}")
    return None if duration is None else steps_of("duration", duration, net.dt, 1)


# ------------------------------------------------------------------------------------------------- two runs
def _run_copy(net, duration, progress):
    """Return steps and numbers of all spikes of a copy of the network, counted through all populations; and it."""
    twin = copy.deepcopy(net)
    twin.reset()
    twin.recorders = []
    for group in twin.groups:
        twin.record(group, "spikes")
    spikes = twin.run(duration, progress=progress).spikes
    shift = twin.timing == "nest"
    counted = [
        (np.rint(spikes[p.name].times / twin.dt).astype(np.int64) - shift, spikes[p.name].ids) for p in twin.populations
    ]
    return counted, twin


def _run_brian2(built, net, duration, progress):
    from tqdm.auto import tqdm

    brian2 = _import_brian2()
    with tqdm(total=float(duration), desc="Brian2", delay=2.0, leave=False, disable=not progress) as bar:

        def report(elapsed, completed, start, total):
            bar.update(completed * float(duration) - bar.n)

        options = {"report": report, "report_period": 1 * brian2.second} if progress else {}
        built.network.run(duration * brian2.ms, namespace={}, **options)
    monitors = [built.spikes[p.name] for p in net.populations]
    return [(np.rint(np.asarray(m.t / brian2.ms) / net.dt).astype(np.int64), np.asarray(m.i)) for m in monitors]


def _weight_difference(net, built):
    """Return the largest difference of the weights that are learned, None if none are."""
    largest = [
        np.abs(projection.weights - _within(projection.plasticity, np.asarray(synapses.weight[:]))).max()
        for projection, synapses in zip(net.projections, built.synapses, strict=True)
        if synapses is not None and (projection.plasticity is not None or projection.scaling is not None)
    ]
    return float(max(largest)) if largest else None


def _within(rule, weights):
    """Return weights within the bounds of a rule: in Brian2 those of three factors are held there at events only."""
    return weights if rule is None else np.clip(weights, rule.w_min, rule.w_max)


def _compare(ours, theirs, net, steps):
    """Compare two lists of (steps, units), one entry per population."""
    firsts = np.cumsum([0, *[p.n for p in net.populations]])
    a, b = (
        np.concatenate([at * firsts[-1] + first + ids for (at, ids), first in zip(side, firsts, strict=False)])
        for side in (ours, theirs)
    )
    different = np.setxor1d(a, b)
    if not different.size:
        return BrianComparison(steps * net.dt, a.size, b.size, None, a.size)
    step, unit = divmod(int(different[0]), int(firsts[-1]))
    index = int(np.searchsorted(firsts, unit, side="right")) - 1
    label = step + (net.timing == "nest")
    side = "penstock" if different[0] in a else "Brian2"
    where = FirstDifference(
        label, round(label * net.dt, 9), net.populations[index].name, unit - int(firsts[index]), side
    )
    return BrianComparison(steps * net.dt, a.size, b.size, where, int((a < different[0]).sum()))


# --------------------------------------------------------------------------------------------- Brian2 itself
def _import_brian2():
    try:
        import brian2

        return brian2
    except ModuleNotFoundError as error:
        if error.name == "brian2":
            raise ImportError('Brian2 is not installed; pip install "penstock[brian]"') from error
        reason: Exception = error
    except Exception as error:  # Brian2 2.9 with NumPy 2.4 fails with an AttributeError in the middle of its import
        reason = error
    try:
        number = version("brian2")
    except PackageNotFoundError:
        number = "(of unknown version)"
    raise ImportError(
        f"Brian2 {number} is installed but cannot be imported with NumPy {np.__version__} "
        f'({type(reason).__name__}: {reason}); pip install "penstock[brian]" takes versions that fit '
        "(Brian2 2.9 needs numpy<2.4)"
    ) from reason


@contextmanager
def _quiet():
    """Keep the deprecation warnings of Brian2's own dependencies from the user, who can do nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", SyntaxWarning)
        yield


@contextmanager
def _numpy_target(brian2):
    """Run Brian2 without a compiler, and give its preferences back."""
    if type(brian2.get_device()).__name__ != "RuntimeDevice":
        raise RuntimeError("Brian2 is set to write stand-alone code; brian2.set_device('runtime') first")
    before = brian2.prefs["codegen.target"]
    brian2.prefs["codegen.target"] = "numpy"
    try:
        yield
    finally:
        brian2.prefs["codegen.target"] = before
