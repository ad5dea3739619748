"""Brunel's sparse network of excitatory and inhibitory neurons (model A): the network and its mean-field theory."""

from typing import NamedTuple

import numpy as np
import scipy

from penstock.checks import as_finite_float, as_fraction, as_int, as_non_negative_float, as_positive_float
from penstock.laws import Uniform
from penstock.spiking.connectors import fixed_in_degree
from penstock.spiking.inputs import PoissonInput
from penstock.spiking.mean_field import siegert_cv, siegert_rate
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF
from penstock.spiking.synapses import Delta

__all__ = ["BrunelRates", "brunel", "brunel_rates"]

_TAU_M, _V_TH, _T_REF = 20.0, 20.0, 2.0  # ms, mV above rest, ms


class BrunelRates(NamedTuple):
    """Hold every stationary state of Brunel's network, S of them, by ascending rate.

    Attributes
    ----------
    rates : array, shape (S,)
        Firing rates of all neurons in Hz.
    mu, sigma : array, shape (S,)
        Mean (mV above rest) of the free potential and its noise (mV), as `siegert_rate` takes them.
    cv : array, shape (S,)
        Coefficient of variation of the inter-spike intervals, by `siegert_cv`, which takes the input as Poisson. The
        sources are as regular as the neurons themselves, though, and their sums lack slow fluctuations: the network
        with g = 5, eta = 2 has 0.40 where this says 0.68, at the same rate. Neurons outside of it that hear its spikes
        have 0.41 if each source is shifted by a time of its own, so that only its regularity is left, and 0.65 if the
        spikes of each are strewn anew.
    stable : array of bool, shape (S,)
        Whether a slow change of the rate dies out (the response rises more slowly than the rate). Fast oscillations
        may arise around such a state too.
    """

    rates: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    cv: np.ndarray
    stable: np.ndarray

    def __repr__(self):
        rows = zip(self.rates, self.mu, self.sigma, self.cv, self.stable, strict=True)
        lines = [
            f"  {r:8.4g} Hz, mu {m:.4g} mV, sigma {s:.4g} mV, CV {c:.3f}, {'stable' if fixed else 'unstable'}"
            for r, m, s, c, fixed in rows
        ]
        return "\n".join([f"BrunelRates: {len(lines)} stationary state{'s' * (len(lines) > 1)}", *lines])


def brunel(
    g: float,
    eta: float,
    seed: int,
    *,
    order: int = 2500,
    density: float = 0.1,
    J: float = 0.1,
    V_reset: float = 10.0,
    delay: float = 1.5,
    dt: float = 0.1,
    timing: str = "brian2",
) -> Network:
    """Return Brunel's network (model A): excitation, `g` times stronger inhibition, external drive `eta`.

    20 ms dv/dt = -v, threshold 20 mV, refractory for 2 ms; delta synapses of J (from excitatory neurons) and -g J (from
    inhibitory ones). Of the 4 `order` excitatory (group "E") and `order` inhibitory neurons ("I") every neuron hears
    the same numbers, C_E = 4 density order and C_I = density order, drawn without repetition, and C_E external Poisson
    sources (the same number, each neuron its own) of ``eta`` times the threshold rate ``20 mV / (J C_E 20 ms)``, the
    one that would lift the mean potential to the threshold. At the start v is uniform between reset and threshold.

    A smaller network with the same theory: lower `order` and raise `density`, so that their product and with it the
    in-degrees stay as they are. Its neurons share more of their input: at g = 5, eta = 2 an order of 500 (density 0.5)
    fires at 40.1 Hz, one of 2500 at 37.6 Hz.

    Parameters
    ----------
    g : float
        Strength of inhibition relative to excitation, at least 0; excitation and inhibition balance at g = 4.
    eta : float
        External rate relative to the threshold rate, at least 0.
    seed : int
        Seed of the network.
    order : int, optional
        Number of inhibitory neurons, a quarter of the excitatory ones.
    density : float, optional
        Fraction of all neurons that a neuron hears.
    J : float, optional
        Weight of excitatory synapses, internal and external, in mV.
    V_reset : float, optional
        Reset in mV above rest: 10 in the paper, 0 in NEST's example.
    delay : float, optional
        Delay of internal synapses in ms; external spikes act at once.
    dt : float, optional
        Time step (ms).
    timing : {"brian2", "nest"}, optional
        Order of operations in a step, see `Network`.

    Returns
    -------
    Network
        Groups "E" and "I"; nothing is recorded yet.

    Notes
    -----
    The paper's Fig. 8, (g, eta): (3, 2) synchronous regular, (6, 4) fast oscillations of irregular neurons, (5, 2)
    asynchronous irregular, (4.5, 0.9) slow oscillations of irregular neurons. 12,500 neurons have 15.6 million
    synapses. No neuron hears itself; scripts that allow it lower the rates, since a neuron's own spikes come back while
    it is refractory and are lost.

    References
    ----------
    N. Brunel, Dynamics of sparsely connected networks of excitatory and inhibitory spiking neurons, J. Comput.
    Neurosci. 8, 183 (2000).

    Examples
    --------
    >>> net = brunel(5.0, 2.0, 0, order=100, density=0.5)
    >>> [len(projection) for projection in net.projections]  # C_E = 200, C_I = 50
    [80000, 20000, 20000, 5000]
    """
    C_E, C_I, drive = _in_degrees_and_drive(g, eta, order, density, J, V_reset)
    net = Network(dt=dt, timing=timing, seed=as_int("seed", seed, minimum=0))

    def add(n, name):
        neurons = LIF(n, tau_m=_TAU_M, E_L=0.0, V_th=_V_TH, V_reset=V_reset, t_ref=_T_REF)
        return net.add(neurons, name=name, v=Uniform(V_reset, _V_TH))

    groups = add(4 * order, "E"), add(order, "I")
    for source, in_degree, weight in zip(groups, (C_E, C_I), (J, -g * J), strict=True):
        for target in groups:
            net.connect(source, target, Delta(), fixed_in_degree(in_degree), weight=weight, delay=delay)
    for target in groups:
        net.stimulate(target, PoissonInput(C_E, drive / C_E, J, Delta()))
    return net


def brunel_rates(
    g: float,
    eta: float,
    *,
    order: int = 2500,
    density: float = 0.1,
    J: float = 0.1,
    V_reset: float = 10.0,
    dt: float | None = None,
) -> BrunelRates:
    """Return every stationary rate of Brunel's network in mean-field theory (`BrunelRates`).

        nu = siegert_rate(mu, sigma),   mu      = tau_m C_E J   ((1 - g / 4)    nu + nu_ext)
                                        sigma^2 = tau_m C_E J^2 ((1 + g^2 / 4) nu + nu_ext)

    Crossings of both sides are looked for on a grid of 4000 rates from 0 to one spike per refractory period, then
    refined. With weak inhibition (g < 4) there may be three, of which the middle one is unstable.

    Parameters
    ----------
    g, eta, order, density, J, V_reset
        As in `brunel`. The theory knows `order` and `density` by C_E = 4 density order alone.
    dt : float, optional
        Time step (ms) of a simulation to compare with, see `siegert_rate`. None: continuous time.

    Returns
    -------
    BrunelRates
        Rates (Hz), input statistics (mV), interval CV and stability of each state.

    References
    ----------
    N. Brunel, J. Comput. Neurosci. 8, 183 (2000). Regular sources: B. Dummer, S. Wieland, B. Lindner, Front. Comput.
    Neurosci. 8, 104 (2014).

    Examples
    --------
    >>> brunel_rates(5.0, 2.0)
    BrunelRates: 1 stationary state
         37.95 Hz, mu 21.03 mV, sigma 7.683 mV, CV 0.675, stable
    """
    C_E, C_I, drive = _in_degrees_and_drive(g, eta, order, density, J, V_reset)
    neuron = dict(tau_m=_TAU_M, V_th=_V_TH, V_reset=V_reset, t_ref=_T_REF, dt=dt)

    def inputs(nu):
        mu = _TAU_M * 1e-3 * J * ((C_E - g * C_I) * nu + drive)
        return mu, np.sqrt(_TAU_M * 1e-3 * J**2 * ((C_E + g**2 * C_I) * nu + drive))

    def excess(nu):
        return siegert_rate(*inputs(nu), **neuron) - nu

    rates, stable = _all_roots(excess, 1e3 / _T_REF)
    mu, sigma = inputs(rates)
    return BrunelRates(rates, mu, sigma, siegert_cv(mu, sigma, **neuron), stable)


def _in_degrees_and_drive(g, eta, order, density, J, V_reset):
    """C_E, C_I and the rate in Hz of all external sources of a neuron together."""
    as_non_negative_float("g", g)
    eta, J = as_non_negative_float("eta", eta), as_positive_float("J", J)
    order, density = as_int("order", order, minimum=2), as_fraction("density", density)
    if not as_finite_float("V_reset", V_reset) < _V_TH:
        raise ValueError(f"V_reset must be below the threshold of {_V_TH:g} mV, got {V_reset:g}")
    C_I = round(density * order)
    if not 1 <= C_I < order:
        raise ValueError(f"density must leave each neuron 1 to {order - 1} of {order} inhibitory sources, got {C_I}")
    return 4 * C_I, C_I, 1e3 * eta * _V_TH / (J * _TAU_M)


def _all_roots(excess, highest):
    """Return the zeros of a function on 0..highest, ascending, and whether it falls through each."""
    grid = np.unique(np.concatenate([[0.0], np.geomspace(1e-12, highest, 3000), np.linspace(0, highest, 1001)]))
    above = excess(grid) > 0
    roots = [
        scipy.optimize.brentq(excess, grid[k], grid[k + 1], xtol=1e-300, rtol=1e-14)
        for k in np.flatnonzero(above[1:] != above[:-1])
    ]
    falls = [bool(fall) for fall in above[:-1][above[1:] != above[:-1]]]
    if not above[0]:  # no drive, or one too weak for any number: rest is a state
        roots, falls = [0.0, *roots], [True, *falls]
    return np.array(roots), np.array(falls)
