"""Plasticity: rules by which spikes, and modulators, change weights and thresholds while a network runs.

Rules are records. ``net.connect(…, plasticity=rule)`` gives one to the synapses of a projection; ``net.regulate`` gives
a slow regulation to a projection or a population. All of them act inside the compiled run.

Traces of spikes decay exponentially and are kept lazily: their value and the step of their last change. Those of
presynaptic spikes belong to a source and a delay (all its synapses of that delay see them arrive together), those of
postsynaptic spikes to a neuron.
"""

from dataclasses import KW_ONLY, dataclass
from math import exp, expm1

import numpy as np

from penstock.checks import as_finite_float, as_non_negative_float, as_positive_float
from penstock.spiking import kernels as K
from penstock.spiking.clock import steps_of
from penstock.spiking.synapses import Modulation

__all__ = [
    "InhibitorySTDP",
    "LocalLearning",
    "PairSTDP",
    "SynapticScaling",
    "ThreeFactor",
    "ThresholdHomeostasis",
    "TripletSTDP",
]


def _sides(arrival: dict, spike: dict) -> dict:
    """Return the numbers of the spikes of sources, and of targets, by the columns of the compiled run."""
    return arrival | {K.SIDE + column: value for column, value in spike.items()}


class _Bounded:
    """What rules for the weights of a projection share."""

    w_min: float
    w_max: float
    kind = K.STDP
    nearest = dendritic = False
    acts_first = False  # whether a spike acts with the weight that its own arrival has just changed

    def _check_bounds(self):
        for name in ("w_min", "w_max"):
            object.__setattr__(self, name, as_finite_float(name, getattr(self, name)))
        if not self.w_min < self.w_max:
            raise ValueError(f"w_min must be below w_max, got w_min={self.w_min:g} and w_max={self.w_max:g}")

    def _clean(self, check, *names):
        for name in names:
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def _clean_flags(self, *names):
        for name in names:
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")

    def check_weights(self, weights, where: str) -> None:
        """Raise unless all weights lie within the bounds."""
        outside = (weights < self.w_min) | (weights > self.w_max)
        if outside.any():
            raise ValueError(
                f"weights outside bounds: those of {where} must lie between w_min={self.w_min:g} and "
                f"w_max={self.w_max:g} of its {type(self).__name__}, got {weights[outside].flat[0]:g}"
            )

    def check_model(self, post) -> None:
        """Raise if the rule needs something that the postsynaptic population lacks."""

    def interval(self, dt: float) -> int:
        """Return the steps between two visits to all synapses; 0: there are none."""
        return 0


@dataclass(frozen=True)
class PairSTDP(_Bounded):
    """Change weights by the times between pairs of a presynaptic and a postsynaptic spike.

    With traces x' = -x / tau_plus of the spikes that arrive at the synapse, y' = -y / tau_minus of the spikes of its
    target, and the span s = w_max - w_min,

        a target's spike:   w += A_plus ((w_max - w) / s)^mu_plus x,       then y += 1
        an arrival:         w -= A_minus ((w - w_min) / s)^mu_minus y,     then x += 1

    and w is clipped to its bounds. mu = 0 is the additive rule with hard bounds, mu = 1 the multiplicative one with
    soft bounds. An arriving spike acts with the weight before its own change. In one step arrivals come before
    the targets' spikes.

    Parameters
    ----------
    A_plus, A_minus : float
        Change per pair without delay, in the unit of the weight; negative numbers turn the rule round.
    tau_plus, tau_minus : float
        Time constants of the traces (ms).
    w_min, w_max : float
        Bounds of the weights.
    mu_plus, mu_minus : float
        Exponents of the dependence on the weight, at least 0.
    nearest : bool
        Whether only the nearest spikes count: traces are set to 1 instead of raised by 1.
    dendritic : bool
        Whether the delay lies between soma and synapse: then a presynaptic spike counts at its emission, and a
        spike of the target at the end of the delay; those that meet there do not count as a pair. Otherwise the
        delay lies before the synapse: a presynaptic spike counts at its arrival, the target's at once. Either way
        it acts with the weight at its arrival; in NEST's ``stdp_synapse``, whose delays are dendritic too, with that
        at its emission.

    References
    ----------
    S. Song, K. Miller, L. Abbott (2000), Competitive Hebbian learning through spike-timing-dependent synaptic
    plasticity, Nature Neuroscience 3. R. Gütig, R. Aharonov, S. Rotter, H. Sompolinsky (2003), Learning input
    correlations through nonlinear temporally asymmetric Hebbian plasticity, J. Neuroscience 23 (exponents).
    A. Morrison, A. Aertsen, M. Diesmann (2007), Spike-timing-dependent plasticity in balanced random networks, Neural
    Computation 19 (dendritic delays).

    Examples
    --------
    >>> from penstock.spiking import PairSTDP
    >>> PairSTDP(0.1, 0.105, w_max=10.0).w_min
    0.0
    """

    A_plus: float
    A_minus: float
    _: KW_ONLY
    tau_plus: float = 20.0
    tau_minus: float = 20.0
    w_min: float = 0.0
    w_max: float
    mu_plus: float = 0.0
    mu_minus: float = 0.0
    nearest: bool = False
    dendritic: bool = False

    def __post_init__(self):
        self._clean(as_finite_float, "A_plus", "A_minus")
        self._clean(as_positive_float, "tau_plus", "tau_minus")
        self._clean(as_non_negative_float, "mu_plus", "mu_minus")
        self._clean_flags("nearest", "dendritic")
        self._check_bounds()

    def numbers(self, dt: float, modulation: Modulation | None = None) -> dict:
        """Return the numbers of one step of `dt` (ms) by the columns of the compiled run."""
        arrival = {K.AMOUNT: -self.A_minus, K.MU: self.mu_minus, K.RATE: dt / self.tau_plus}
        return _sides(arrival, {K.AMOUNT: self.A_plus, K.MU: self.mu_plus, K.RATE: dt / self.tau_minus})


@dataclass(frozen=True)
class TripletSTDP(_Bounded):
    """Change weights by pairs and triplets of spikes.

    With two traces of the spikes that arrive (r1 of tau_plus, r2 of tau_x) and two of the target's (o1 of tau_minus,
    o2 of tau_y),

        a target's spike:   w += r1 (A2_plus + A3_plus o2),      then o1 += 1, o2 += 1
        an arrival:         w -= o1 (A2_minus + A3_minus r2),    then r1 += 1, r2 += 1

    and w is clipped to its bounds. An arriving spike acts with the weight before its own change.

    Parameters
    ----------
    A2_plus, A2_minus, A3_plus, A3_minus : float
        Changes per pair and per triplet, in the unit of the weight.
    tau_plus, tau_minus, tau_x, tau_y : float
        Time constants (ms).
    w_min, w_max : float
        Bounds of the weights.
    nearest : bool
        Whether traces are set to 1 instead of raised by 1.

    References
    ----------
    J.-P. Pfister, W. Gerstner (2006), Triplets of spikes in a model of spike timing-dependent plasticity,
    J. Neuroscience 26, 9673-9682.

    Examples
    --------
    >>> from penstock.spiking import TripletSTDP
    >>> visual_cortex = TripletSTDP(
    ...     5e-10, 7e-3, 6.2e-3, 2.3e-4, tau_plus=16.8, tau_minus=33.7, tau_x=101.0, tau_y=125.0, w_max=1.0
    ... )
    >>> visual_cortex.nearest
    False
    """

    A2_plus: float
    A2_minus: float
    A3_plus: float
    A3_minus: float
    _: KW_ONLY
    tau_plus: float
    tau_minus: float
    tau_x: float
    tau_y: float
    w_min: float = 0.0
    w_max: float
    nearest: bool = False

    def __post_init__(self):
        self._clean(as_finite_float, "A2_plus", "A2_minus", "A3_plus", "A3_minus")
        self._clean(as_positive_float, "tau_plus", "tau_minus", "tau_x", "tau_y")
        self._clean_flags("nearest")
        self._check_bounds()

    def numbers(self, dt: float, modulation: Modulation | None = None) -> dict:
        """Return the numbers of one step of `dt` (ms) by the columns of the compiled run."""
        arrival = {K.AMOUNT: -self.A2_minus, K.AMOUNT_3: -self.A3_minus}
        spike = {K.AMOUNT: self.A2_plus, K.AMOUNT_3: self.A3_plus}
        return _sides(
            arrival | {K.RATE: dt / self.tau_plus, K.SLOW: dt / self.tau_x},
            spike | {K.RATE: dt / self.tau_minus, K.SLOW: dt / self.tau_y},
        )


@dataclass(frozen=True)
class InhibitorySTDP(_Bounded):
    """Let inhibition grow onto neurons that fire above a target rate, and shrink below it.

    With traces x of the spikes that arrive and y of the target's, both of time constant tau, and
    alpha = 2 target_rate tau,

        an arrival:         w += eta (y - alpha),    then x += 1
        a target's spike:   w += eta x,              then y += 1

    and w is clipped to its bounds. Weights are positive; what makes them inhibitory is the synapse (a reversal
    potential below rest). An arriving spike acts with the weight that its own arrival has changed.

    Parameters
    ----------
    eta : float
        Learning rate, in the unit of the weight.
    target_rate : float
        Rate of the targets at which changes balance (Hz).
    tau : float
        Time constant (ms).
    w_min, w_max : float
        Bounds of the weights.

    References
    ----------
    T. Vogels, H. Sprekeler, F. Zenke, C. Clopath, W. Gerstner (2011), Inhibitory plasticity balances excitation and
    inhibition in sensory pathways and memory networks, Science 334.

    Examples
    --------
    >>> from penstock.spiking import InhibitorySTDP
    >>> round(InhibitorySTDP(0.01, 3.0, w_max=100.0).alpha, 4)
    0.12
    """

    eta: float
    target_rate: float
    _: KW_ONLY
    tau: float = 20.0
    w_min: float = 0.0
    w_max: float
    acts_first = True

    def __post_init__(self):
        self._clean(as_finite_float, "eta")
        self._clean(as_non_negative_float, "target_rate")
        self._clean(as_positive_float, "tau")
        self._check_bounds()

    @property
    def alpha(self) -> float:
        """Trace of the target at which an arrival changes nothing, 2 target_rate tau."""
        return 2 * self.target_rate * self.tau / 1000.0

    def numbers(self, dt: float, modulation: Modulation | None = None) -> dict:
        """Return the numbers of one step of `dt` (ms) by the columns of the compiled run."""
        both = {K.AMOUNT: self.eta, K.RATE: dt / self.tau}
        return _sides(both | {K.OFFSET: self.alpha}, both)


@dataclass(frozen=True)
class ThreeFactor(_Bounded):
    """Let pairs of spikes mark synapses as eligible, and a third factor turn eligibility into weight.

        c' = -c / tau_c + the changes of the pair rule,        w' = learning_rate c d

    where d is a state of the target made by `Modulation`: it decays between the spikes of whoever gives the reward.
    Both are integrated exactly over each step. c has no bounds; w is clipped to those of the pair rule whenever the
    synapse is looked at: at its arrivals, its target's spikes and about every tau_c.

    Parameters
    ----------
    rule : PairSTDP
        Gives the jumps of the eligibility (``A_plus x`` and ``-A_minus y``) and the bounds of the weight; its exponents
        must be 0.
    factor : str
        Name of the state of the target, that of a `Modulation`.
    tau_c : float
        Time constant of the eligibility (ms).
    learning_rate : float
        Change of the weight per ms, eligibility and unit of the factor.

    References
    ----------
    E. Izhikevich (2007), Solving the distal reward problem through linkage of STDP and dopamine signaling, Cerebral
    Cortex 17. N. Frémaux, W. Gerstner (2016), Neuromodulated spike-timing-dependent plasticity, and theory of
    three-factor learning rules, Frontiers in Neural Circuits 9.

    Examples
    --------
    >>> from penstock.spiking import PairSTDP, ThreeFactor
    >>> ThreeFactor(PairSTDP(1.0, 1.5, w_max=4.0), tau_c=1000.0).w_max
    4.0
    """

    rule: PairSTDP
    factor: str = "dopamine"
    _: KW_ONLY
    tau_c: float = 1000.0
    learning_rate: float = 1.0
    kind = K.THREE_FACTOR

    def __post_init__(self):
        if not isinstance(self.rule, PairSTDP):
            raise TypeError(f"rule must be a PairSTDP, got {self.rule!r}")
        if self.rule.mu_plus or self.rule.mu_minus:
            raise ValueError(f"rule must be additive, with mu_plus=0 and mu_minus=0, got {self.rule!r}")
        _check_factor(self.factor)
        self._clean(as_positive_float, "tau_c")
        self._clean(as_finite_float, "learning_rate")

    @property
    def w_min(self) -> float:
        """Lower bound of the weights."""
        return self.rule.w_min

    @property
    def w_max(self) -> float:
        """Upper bound of the weights."""
        return self.rule.w_max

    @property
    def nearest(self) -> bool:
        """Whether only the nearest spikes count."""
        return self.rule.nearest

    @property
    def dendritic(self) -> bool:
        """Whether the delay lies between soma and synapse."""
        return self.rule.dendritic

    def numbers(self, dt: float, modulation: Modulation | None = None) -> dict:
        """Return the numbers of one step of `dt` (ms) by the columns of the compiled run."""
        rate = 1.0 / self.tau_c + (1.0 / modulation.tau if modulation else 0.0)
        # of a factor d at the beginning of a step, the integral of d exp(-s / tau) exp(-s / tau_c) over it
        return self.rule.numbers(dt) | {
            K.RATE_C: dt / self.tau_c,
            K.GAIN: -self.learning_rate * expm1(-rate * dt) / rate,
        }

    def interval(self, dt: float) -> int:
        """Return the steps between two times to which eligibilities are referred."""
        return max(1, round(self.tau_c / dt))


@dataclass(frozen=True)
class LocalLearning(_Bounded):
    """Learn by the spikes that arrive, the target's distance from threshold and a modulator: all local to a synapse.

    In every step, after all deliveries and before resets,

        e <- exp(-dt / tau_e) e + x psi,    psi = max(0, 1 - |v - V_th| / width),    w <- w + eta M e

    with the trace x' = -x / tau_pre of the spikes that have arrived, the potential v and the threshold of the target
    (with its adaptation), and M a state of the target made by `Modulation`. w is clipped to its bounds. All synapses
    change in all steps, which costs time accordingly. A spike acts with the weight of the step before.

    Parameters
    ----------
    eta : float
        Learning rate: change of the weight per step, eligibility and unit of the modulator.
    factor : str
        Name of the state M of the target, that of a `Modulation`.
    tau_pre, tau_e : float
        Time constants of the presynaptic trace and of the eligibility (ms).
    width : float
        Distance from threshold at which psi, the stand-in for the derivative of spiking, ends (mV).
    w_min, w_max : float
        Bounds of the weights.

    References
    ----------
    G. Bellec et al. (2020), A solution to the learning dilemma for recurrent networks of spiking neurons, Nature
    Communications 11, 3625. A. Tang, X. Xie (2026), arXiv 2605.00402 (structured networks, broadcast modulators).

    Examples
    --------
    >>> from penstock.spiking import LocalLearning
    >>> LocalLearning(0.01, "error", tau_pre=20.0, tau_e=50.0, width=5.0, w_min=-1.0, w_max=1.0).factor
    'error'
    """

    eta: float
    factor: str
    _: KW_ONLY
    tau_pre: float
    tau_e: float
    width: float
    w_min: float = 0.0
    w_max: float
    kind = K.LOCAL

    def __post_init__(self):
        self._clean(as_finite_float, "eta")
        self._clean(as_positive_float, "tau_pre", "tau_e", "width")
        _check_factor(self.factor)
        self._check_bounds()

    def check_model(self, post) -> None:
        """Raise unless the targets have a threshold."""
        if not hasattr(post.model, "V_th"):
            raise ValueError(
                f"LocalLearning needs targets with a threshold V_th (LIF, ALIF), got {post.name!r}: {post.model!r}"
            )

    def numbers(self, dt: float, modulation: Modulation | None = None) -> dict:
        """Return the numbers of one step of `dt` (ms) by the columns of the compiled run."""
        return {K.RATE: dt / self.tau_pre, K.GAIN: self.eta, K.KEPT: exp(-dt / self.tau_e), K.WIDTH: self.width}


@dataclass(frozen=True)
class SynapticScaling:
    """Scale all weights onto a neuron by one number, towards a target rate.

    Every `every` ms, with r the rate of the neuron over that time, w <- w exp(eta (1 - r / target_rate)): the ratios of
    the weights onto a neuron stay as they are, and none changes its sign. Where the projection has a plasticity too,
    weights are then clipped to its bounds.

    Parameters
    ----------
    target_rate : float
        Rate at which nothing changes (Hz).
    every : float
        Time between two changes (ms), counted from the beginning of the network's time.
    eta : float
        Relative change per time for a silent neuron.

    References
    ----------
    G. Turrigiano et al. (1998), Activity-dependent scaling of quantal amplitude in neocortical neurons, Nature 391.
    M. van Rossum, G. Bi, G. Turrigiano (2000), Stable Hebbian learning from spike timing-dependent plasticity,
    J. Neuroscience 20 (the rate of change proportional to the weight).

    Examples
    --------
    >>> from penstock.spiking import SynapticScaling
    >>> SynapticScaling(5.0, every=1000.0, eta=0.05)
    SynapticScaling(target_rate=5.0, every=1000.0, eta=0.05)
    """

    target_rate: float
    _: KW_ONLY
    every: float = 1000.0
    eta: float = 0.1
    kind = K.SCALING

    def __post_init__(self):
        for name in ("target_rate", "every", "eta"):
            object.__setattr__(self, name, as_positive_float(name, getattr(self, name)))

    def numbers(self, dt: float, modulation: Modulation | None = None) -> dict:
        """Return the numbers of one step of `dt` (ms): the compiled run only counts spikes."""
        return {}

    def interval(self, dt: float) -> int:
        """Return the steps between two changes."""
        return steps_of("every", self.every, dt, 1)


@dataclass(frozen=True)
class ThresholdHomeostasis:
    """Let thresholds drift until every neuron fires at a target rate.

    The threshold becomes V_th + shift (plus the adaptation of an ALIF), with shift' = -eta target_rate and
    shift += eta at each spike: over any time, the rate differs from the target by exactly (gain of shift) / (eta time).

    Parameters
    ----------
    target_rate : float
        Rate of every neuron (Hz).
    eta : float
        Rise of the threshold at a spike (mV).

    References
    ----------
    P. Diehl, M. Cook (2015), Unsupervised learning of digit recognition using spike-timing-dependent plasticity,
    Frontiers in Computational Neuroscience 9 (with a decay of the shift in place of the drift).

    Examples
    --------
    >>> from penstock.spiking import ThresholdHomeostasis
    >>> ThresholdHomeostasis(10.0, eta=0.05)
    ThresholdHomeostasis(target_rate=10.0, eta=0.05)
    """

    target_rate: float
    _: KW_ONLY
    eta: float

    def __post_init__(self):
        for name in ("target_rate", "eta"):
            object.__setattr__(self, name, as_positive_float(name, getattr(self, name)))


def modulation_of(projection) -> Modulation | None:
    """Return the modulation that the rule of a projection reads; raise if there is none where it needs one."""
    rule, post = projection.plasticity, projection.post.population
    if not hasattr(rule, "factor"):
        return None
    for receptor in post.receptors:
        if receptor.name == rule.factor and isinstance(receptor.synapse, Modulation):
            return receptor.synapse
    raise ValueError(
        f"{type(rule).__name__} of {projection.name} needs the state {rule.factor!r} of {post.name!r} made by a "
        f"modulation: net.connect(…, {post.name!r}, Modulation(tau, name={rule.factor!r}), …); "
        f"its states are {', '.join(map(repr, post.states))}"
    )


def visit(projections, step: int, dt: float) -> None:
    """Do what plasticity does after whole intervals, counted in steps from the beginning of the network's time."""
    for p in projections:
        if p.plasticity is not None and p.plasticity.kind == K.THREE_FACTOR:
            if step % p.plasticity.interval(dt) == 0:
                _refer_anew(p, exp(-p.plasticity.interval(dt) * dt / p.plasticity.tau_c))
        if p.scaling is not None and step % p.scaling.interval(dt) == 0:
            _scale(p, p.scaling.target_rate * p.scaling.every / 1000.0)


def next_visit(projections, step: int, dt: float) -> float:
    """Return the first step after `step` at which `visit` has something to do, infinity if there is none."""
    rules = [r for p in projections for r in (p.plasticity, p.scaling) if r is not None and r.interval(dt)]
    return min([(step // r.interval(dt) + 1) * r.interval(dt) for r in rules], default=float("inf"))


def _refer_anew(p, left: float) -> None:
    """Bring all weights up to date and refer eligibilities to the present, so that no number grows out of bounds."""
    p.given_weights[:] = p.weights
    p.learning.eligibility *= [left, 0.0]
    p.learning.per_target[:] = 0.0


def _scale(p, expected: float) -> None:
    """Scale the weights onto each target by one number, according to its spikes since the last time."""
    scaled = p.weights * np.exp(p.scaling.eta * (1.0 - p.counts / expected))[p.targets]
    if p.plasticity is not None:
        np.clip(scaled, p.plasticity.w_min, p.plasticity.w_max, out=scaled)
    p.weights = scaled
    p.counts[:] = 0.0


def _check_factor(factor):
    if not isinstance(factor, str) or not factor.isidentifier():
        raise ValueError(f"factor must be the name of a state such as 'dopamine', got {factor!r}")
