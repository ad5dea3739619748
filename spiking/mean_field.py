"""Firing rates in theory: leaky integrate-and-fire neurons under constant and noisy drive, alone and in populations."""

from typing import NamedTuple

import numpy as np
import scipy

from penstock.checks import as_finite_array
from penstock.spiking.first_passage import clip_bounds, scaled_passage_time, scaled_passage_variance

__all__ = ["MeanField", "lif_rate", "mean_field_rates", "siegert_cv", "siegert_rate"]

_ZETA_HALF = 1.4603545088095868  # |zeta(1/2)|
_GRID = _ZETA_HALF / np.sqrt(2 * np.pi)  # 0.5826: a walk seen in steps overshoots a threshold by this many steps' sd
_COLOUR = _ZETA_HALF / np.sqrt(2)  # 1.0326: the same constant for noise with a short memory
_NOISELESS = 1e-280  # mV; such noise shows in no digit, and dividing by less may overflow
_SETTLED = 1e-9  # of the largest rate
_SETTLING = 200.0  # pseudo-time within which the rates are followed


class MeanField(NamedTuple):
    """Hold self-consistent rates of K populations and the input statistics that they make.

    Attributes
    ----------
    rates : array, shape (K,)
        Firing rates in Hz.
    mu, sigma : array, shape (K,)
        Mean (mV) of the free membrane potential and its noise (mV; the standard deviation of the free potential is
        sigma / sqrt(2)).
    cv : array, shape (K,)
        Coefficient of variation of the inter-spike intervals by `siegert_cv`, whose input is white: Poisson sources. In
        a network that fires regularly, intervals are more regular than this (see `BrunelRates`).
    residual : float
        Largest difference (Hz) between a rate and what its input would make the neuron fire at.
    converged : bool
        Whether the residual is below 1e-9 of the largest rate.
    """

    rates: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    cv: np.ndarray
    residual: float
    converged: bool

    def plot(self, ax=None, *, names=None):
        """Draw the rate (Hz) and interval CV of every population, called by `names`; return the matplotlib axes."""
        from penstock.spiking.plots import plot_mean_field

        return plot_mean_field(self, ax, names=names)

    def __repr__(self):
        rows = zip(self.rates, self.mu, self.sigma, self.cv, strict=True)
        lines = [f"  {i:<4}{r:10.4g}{m:10.4g}{s:10.4g}{c:8.3f}" for i, (r, m, s, c) in enumerate(rows)]
        state = "converged" if self.converged else "not converged"
        header = f"  {'':<4}{'rate, Hz':>10}{'mu, mV':>10}{'sigma, mV':>10}{'CV':>8}"
        return "\n".join([f"MeanField: {state}, residual {self.residual:.2g} Hz", header, *lines])


def lif_rate(mu, *, tau_m, V_th, V_reset, t_ref):
    """Return the firing rate in Hz of a leaky integrate-and-fire neuron under constant drive.

        rate = 1 / (t_ref + tau_m ln((mu - V_reset) / (mu - V_th)))   if mu > V_th, else 0

    Parameters
    ----------
    mu : float or array
        Where the potential would settle without a threshold, in mV: ``E_L + tau_m / C_m * I`` for a current I.
    tau_m : float or array
        Membrane time constant in ms.
    V_th, V_reset : float or array
        Threshold and reset in mV, from the same zero as `mu`: absolute, or all relative to the leak potential.
    t_ref : float or array
        Refractory period in ms.

    Returns
    -------
    float or array
        Rate in Hz, an array if any argument is one; arrays are broadcast.

    Raises
    ------
    ValueError, TypeError
        If an argument is not finite, the shapes do not broadcast, V_reset is not below V_th, or a time is negative.

    Examples
    --------
    >>> round(lif_rate(22.5, tau_m=10.0, V_th=15.0, V_reset=0.0, t_ref=2.0), 6)
    77.005278
    """
    mu, tau_m, V_th, V_reset, t_ref = _neurons(mu=mu, tau_m=tau_m, V_th=V_th, V_reset=V_reset, t_ref=t_ref)
    return _plain(_constant_drive_rate(mu, tau_m, V_th, V_reset, t_ref))


def siegert_rate(mu, sigma, *, tau_m, V_th, V_reset, t_ref, tau_syn=0.0, dt=None):
    """Return the firing rate in Hz of a leaky integrate-and-fire neuron under noisy drive (Siegert's formula).

    For ``tau_m dv = (mu - v) dt + sigma sqrt(tau_m) dW``,

        1 / rate = t_ref + tau_m sqrt(pi) integral_{(V_reset - mu) / sigma}^{(V_th - mu) / sigma} erfcx(-x) dx

    exact in continuous time, and computed to 1e-12 far below and far above threshold alike. Without noise it is
    `lif_rate`. Input spikes of rate nu that each move the potential by J count as ``mu = tau_m J nu`` and
    ``sigma^2 = tau_m J^2 nu`` (nu per ms) as long as J is much smaller than V_th - V_reset.

    Parameters
    ----------
    mu : float or array
        Mean of the free potential in mV, from the same zero as `V_th`.
    sigma : float or array
        Noise in mV, at least 0; the standard deviation of the free potential is ``sigma / sqrt(2)``.
    tau_m : float or array
        Membrane time constant in ms.
    V_th, V_reset : float or array
        Threshold and reset in mV, absolute or relative to the leak potential.
    t_ref : float or array
        Refractory period in ms.
    tau_syn : float or array, optional
        Time constant in ms of exponential synaptic currents, whose noise is then not white. Both limits of the integral
        rise by ``|zeta(1/2)| sqrt(tau_syn / (2 tau_m))``: the first order in sqrt(tau_syn / tau_m), for short times.
    dt : float, optional
        Time step in ms of a simulation that tests the threshold once per step. It misses some crossings, as if the
        threshold lay higher by ``0.5826 sigma sqrt(dt / tau_m)``. White noise only: it cannot be given with `tau_syn`.
        A `Network` with the timing "brian2" holds the potential for ``t_ref / dt - 1`` steps: give ``t_ref - dt`` to
        compare with it, but `t_ref` itself for the timing "nest", which holds it for ``t_ref / dt``.

    Returns
    -------
    float or array
        Rate in Hz, an array if any argument is one; arrays are broadcast.

    Raises
    ------
    ValueError, TypeError
        If an argument is not finite, the shapes do not broadcast, V_reset is not below V_th, or a time is negative.

    References
    ----------
    A. J. F. Siegert, Physical Review 81, 617 (1951). L. M. Ricciardi, Diffusion Processes and Related Topics in Biology
    (1977). N. Brunel, J. Comput. Neurosci. 8, 183 (2000). `tau_syn`: N. Fourcaud, N. Brunel, Neural Comput. 14, 2057
    (2002). `dt`: M. Broadie, P. Glasserman, S. Kou, Math. Finance 7, 325 (1997), for the constant.

    Examples
    --------
    >>> neuron = dict(tau_m=10.0, V_th=15.0, V_reset=0.0, t_ref=2.0)
    >>> round(siegert_rate(15.0, 1.5**0.5, **neuron), 6)
    27.109593
    >>> round(siegert_rate(15.0, 1.5**0.5, dt=0.1, **neuron), 3)
    26.347
    >>> siegert_rate([5.0, 15.0, 25.0], 2.0, **neuron).round(3).tolist()
    [0.0, 31.24, 90.239]
    """
    mu, sigma, tau_m, V_th, V_reset, t_ref, tau_syn = _neurons(
        mu=mu, sigma=sigma, tau_m=tau_m, V_th=V_th, V_reset=V_reset, t_ref=t_ref, tau_syn=tau_syn
    )
    return _plain(_rate(mu, sigma, tau_m, V_th, V_reset, t_ref, tau_syn, _time_step(dt, tau_syn)))


def siegert_cv(mu, sigma, *, tau_m, V_th, V_reset, t_ref, dt=None):
    """Return the coefficient of variation of the inter-spike intervals of the neuron of `siegert_rate`.

        CV^2 = 2 pi (rate tau_m)^2 integral_{y_reset}^{y_th} exp(x^2) integral_{-inf}^x exp(y^2) erfc(-y)^2 dy dx

    with the limits of `siegert_rate`, whose `rate` counts the refractory period. Rare spikes are a Poisson process,
    CV = 1; without noise the spikes are regular, CV = 0, or absent, CV = NaN.

    Parameters
    ----------
    mu, sigma, tau_m, V_th, V_reset, t_ref, dt
        As in `siegert_rate`. The noise is white.

    Returns
    -------
    float or array
        Coefficient of variation; above 1 only with a reset close to the threshold (bursts).

    Raises
    ------
    ValueError, TypeError
        As `siegert_rate`.

    References
    ----------
    N. Brunel, J. Comput. Neurosci. 8, 183 (2000), appendix.

    Examples
    --------
    >>> round(siegert_cv(15.0, 1.5**0.5, tau_m=10.0, V_th=15.0, V_reset=0.0, t_ref=2.0), 4)
    0.3007
    """
    mu, sigma, tau_m, V_th, V_reset, t_ref = _neurons(
        mu=mu, sigma=sigma, tau_m=tau_m, V_th=V_th, V_reset=V_reset, t_ref=t_ref
    )
    dt = _time_step(dt, 0.0)
    return _plain(_cv(mu, sigma, tau_m, V_th, V_reset, t_ref, dt))


def mean_field_rates(
    in_degrees,
    weights,
    *,
    tau_m,
    V_th,
    V_reset,
    t_ref,
    E_L=0.0,
    C_m=None,
    tau_syn=0.0,
    I_e=0.0,
    external_in_degrees=0.0,
    external_weights=0.0,
    external_rates=0.0,
    initial=0.0,
    dt=None,
) -> MeanField:
    """Find the stationary rates of K populations of integrate-and-fire neurons that drive each other (`MeanField`).

    Every neuron of population i hears ``in_degrees[i, j]`` neurons of population j. Spikes of all of them are taken as
    independent Poisson processes, small and many:

        mu_i      = E_L + tau_m / C_m I_e + tau_m sum_j K_ij J_ij nu_j
        sigma_i^2 = tau_m sum_j K_ij J_ij^2 nu_j            (both sums with the external sources)
        nu_i      = siegert_rate(mu_i, sigma_i)

    J_ij is the jump of the potential that a spike makes or that its charge would make: the weight in mV for delta
    synapses (`tau_syn` = 0), ``weight tau_syn / C_m`` for exponential currents of peak weight in pA.
    Of several solutions the result is the one to which ``d nu / ds = siegert_rate - nu`` leads from `initial`.

    Parameters
    ----------
    in_degrees : array, shape (K, K)
        Synapses per neuron, row = target, column = source population; means, so not necessarily whole numbers.
    weights : array, shape (K, K)
        Mean weights, negative for inhibition: mV if `tau_syn` is 0, pA otherwise.
    tau_m, V_th, V_reset, t_ref : float or array (K,)
        Membrane time constant (ms), threshold and reset (mV), refractory period (ms).
    E_L : float or array (K,), optional
        Leak potential in mV.
    C_m : float or array (K,), optional
        Membrane capacitance in pF; needed if currents are.
    tau_syn : float or array (K,), optional
        Time constant (ms) of the exponential currents onto each population; 0 for delta synapses everywhere.
    I_e : float or array (K,), optional
        Constant current in pA.
    external_in_degrees, external_weights, external_rates : float or array (K,), optional
        Number of external Poisson sources per neuron, their weight (unit of `weights`) and the rate of each in Hz.
    initial : float or array (K,), optional
        Rates in Hz to start from.
    dt : float, optional
        Time step (ms) of a simulation to compare with, for delta synapses: see `siegert_rate`.

    Returns
    -------
    MeanField
        Rates (Hz), input statistics (mV), interval CV and whether the search converged.

    Raises
    ------
    ValueError, TypeError
        If a shape is wrong, a value is not finite, a time or in-degree is negative, or `C_m` is missing.

    References
    ----------
    N. Brunel, J. Comput. Neurosci. 8, 183 (2000). T. C. Potjans, M. Diesmann, Cereb. Cortex 24, 785 (2014).

    Examples
    --------
    Brunel's asynchronous irregular state (g = 5, external rate twice the threshold rate):

    >>> field = mean_field_rates([[1000, 250], [1000, 250]], [[0.1, -0.5], [0.1, -0.5]], tau_m=20.0, V_th=20.0,
    ...                          V_reset=10.0, t_ref=2.0, external_in_degrees=1000, external_weights=0.1,
    ...                          external_rates=20.0)
    >>> field.rates.round(2).tolist(), field.converged
    ([37.95, 37.95], True)
    """
    in_degrees, weights = _connectivity(in_degrees, weights)
    size = len(in_degrees)
    names = dict(tau_m=tau_m, V_th=V_th, V_reset=V_reset, t_ref=t_ref, tau_syn=tau_syn, E_L=E_L, I_e=I_e)
    external = dict(in_degrees=external_in_degrees, weights=external_weights, rates=external_rates)
    names |= {f"external_{name}": value for name, value in external.items()} | {"initial": initial}
    tau_m, V_th, V_reset, t_ref, tau_syn, E_L, I_e, K_ext, w_ext, nu_ext, initial = _neurons(size=size, **names)
    C_m = _capacitance(C_m, tau_syn, I_e, size)
    dt = _time_step(dt, tau_syn)
    per_weight = np.where(tau_syn > 0, tau_syn / C_m, 1.0)  # mV of jump per unit of weight
    J, J_ext = weights * per_weight[:, None], w_ext * per_weight
    drive = tau_m * 1e-3 * np.array([in_degrees.T * J.T, in_degrees.T * J.T**2])  # (2, source, target), ms to s
    offset = np.array([E_L + tau_m / C_m * I_e, np.zeros(size)])
    offset += tau_m * 1e-3 * K_ext * nu_ext * np.array([J_ext, J_ext**2])

    def inputs(nu):
        mu, variance = offset + nu @ drive
        return mu, np.sqrt(np.maximum(variance, 0.0))

    def excess(nu):
        mu, sigma = inputs(np.maximum(nu, 0.0))
        return _rate(mu, sigma, tau_m, V_th, V_reset, t_ref, tau_syn, dt) - nu

    nu = _settle(excess, initial)
    mu, sigma = inputs(nu)
    residual = float(np.abs(excess(nu)).max())
    cv = _cv(mu, sigma, tau_m, V_th, V_reset, t_ref, dt)
    return MeanField(nu, mu, sigma, cv, residual, residual <= _SETTLED * max(float(nu.max()), _SETTLED))


# The formulas


def _rate(mu, sigma, tau_m, V_th, V_reset, t_ref, tau_syn, dt):
    with np.errstate(over="ignore", under="ignore"):
        y_reset, y_th, width = _bounds(mu, sigma, tau_m, V_th, V_reset, tau_syn, dt)
        noisy, _ = _noisy_rate(y_reset, y_th, width, tau_m, t_ref)
    return np.where(sigma > _NOISELESS, noisy, _constant_drive_rate(mu, tau_m, V_th, V_reset, t_ref))


def _cv(mu, sigma, tau_m, V_th, V_reset, t_ref, dt):
    with np.errstate(over="ignore", under="ignore"):
        y_reset, y_th, width = _bounds(mu, sigma, tau_m, V_th, V_reset, 0.0, dt)
        _, scaled = _noisy_rate(y_reset, y_th, width, tau_m, t_ref)
        cv = scaled * tau_m * np.sqrt(2 * np.pi * _scaled_variance(y_reset, y_th, width))
    return np.where(sigma > _NOISELESS, cv, np.where(mu > V_th, 0.0, np.nan))


def _constant_drive_rate(mu, tau_m, V_th, V_reset, t_ref):
    above = mu > V_th
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        interval = t_ref + tau_m * np.log1p((V_th - V_reset) / np.where(above, mu - V_th, 1.0))
        return np.where(above, 1e3 / interval, 0.0)


def _bounds(mu, sigma, tau_m, V_th, V_reset, tau_syn, dt):
    """Reset and threshold as seen from the mean in units of the noise, and their difference, exact if it is small."""
    sigma = np.where(sigma > _NOISELESS, sigma, 1.0)
    colour, grid = _COLOUR * np.sqrt(tau_syn / tau_m), _GRID * np.sqrt(dt / tau_m)
    width = (V_th - V_reset) / sigma + grid
    y_reset, y_th = clip_bounds((V_reset - mu) / sigma + colour, (V_th - mu) / sigma + colour + grid)
    return y_reset, y_th, width


def _noisy_rate(y_reset, y_th, width, tau_m, t_ref):
    """The rate in Hz, and exp(max(y_th, 0)^2) times the rate per ms, which does not vanish."""
    below, above = scaled_passage_time(y_reset, y_th, width)
    rarity = np.exp(-(np.maximum(y_th, 0.0) ** 2))
    scaled = 1.0 / (rarity * (t_ref + tau_m * np.sqrt(np.pi) * below) + tau_m * np.sqrt(np.pi) * above)
    return 1e3 * rarity * scaled, scaled


def _scaled_variance(y_reset, y_th, width):
    """The double integral times exp(-2 max(y_th, 0)^2)."""
    flat = [np.ravel(bound) for bound in np.broadcast_arrays(y_reset, y_th, width)]
    below, above = scaled_passage_variance(*flat)
    return (np.exp(-2 * np.maximum(flat[1], 0.0) ** 2) * below + above).reshape(np.shape(y_th))


def _settle(excess, initial):
    """Follow the rates from `initial` for a while, then let a root finder end the way."""
    path = scipy.integrate.solve_ivp(lambda _, nu: excess(nu), (0, _SETTLING), initial, method="LSODA", atol=1e-9)
    start = np.maximum(path.y[:, -1], 0.0)
    found = np.maximum(scipy.optimize.root(excess, start, tol=1e-13).x, 0.0)
    return min(found, start, key=lambda nu: np.abs(excess(nu)).max())


# Checks


def _neurons(size=None, **parameters):
    """Return the parameters as arrays of one shape, the one of size K if populations are meant."""
    arrays = {name: _numbers(name, value) for name, value in parameters.items()}
    try:
        arrays |= dict(zip(arrays, np.broadcast_arrays(*arrays.values()), strict=True)) if size is None else {}
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items() if array.ndim)
        raise ValueError(f"the arguments must have shapes that broadcast, got {shapes}") from None
    if size is not None:
        arrays = {name: _per_population(name, array, size) for name, array in arrays.items()}
    _check_ranges(arrays)
    return arrays.values()


def _numbers(name, value):
    array = as_finite_array(name, value)
    if np.asarray(value).dtype == bool:
        raise TypeError(f"{name} must hold numbers, got {value!r}")
    return array


def _per_population(name, array, size):
    if array.shape not in ((), (size,)):
        raise ValueError(f"{name} must be a number or have shape ({size},), got {array.shape}")
    return np.broadcast_to(array, size)


def _check_ranges(arrays):
    non_negative = "sigma", "t_ref", "tau_syn", "external_in_degrees", "external_rates", "initial"
    for name, array in arrays.items():
        if name == "tau_m" and (array <= 0).any():
            raise ValueError(f"tau_m must be above 0 ms, got {array.min():g}")
        if name in non_negative and (array < 0).any():
            raise ValueError(f"{name} must be at least 0, got {array.min():g}")
    wrong = arrays["V_reset"] >= arrays["V_th"]
    if wrong.any():
        reset, threshold = arrays["V_reset"][wrong].flat[0], arrays["V_th"][wrong].flat[0]
        raise ValueError(f"V_reset must be below V_th, got V_reset={reset:g} and V_th={threshold:g} mV")


def _time_step(dt, tau_syn) -> float:
    if dt is None:
        return 0.0
    dt = float(_numbers("dt", dt)) if np.ndim(dt) == 0 else -1.0
    if dt <= 0:
        raise ValueError("dt must be None or one number above 0 ms")
    if np.any(tau_syn > 0):
        raise ValueError("dt must be None if tau_syn is above 0: the grid correction holds for white noise only")
    return dt


def _connectivity(in_degrees, weights):
    in_degrees, weights = _numbers("in_degrees", in_degrees), _numbers("weights", weights)
    if in_degrees.ndim != 2 or in_degrees.shape[0] != in_degrees.shape[1] or not in_degrees.size:
        raise ValueError(f"in_degrees must have shape (K, K), target by source, got {in_degrees.shape}")
    if weights.shape != in_degrees.shape:
        raise ValueError(f"weights must have the shape {in_degrees.shape} of in_degrees, got {weights.shape}")
    if in_degrees.min() < 0:
        raise ValueError(f"in_degrees must be at least 0, got {in_degrees.min():g}")
    return in_degrees, weights


def _capacitance(C_m, tau_syn, I_e, size):
    if (tau_syn > 0).any() and not (tau_syn > 0).all():
        raise ValueError("tau_syn must be above 0 for all populations or 0 for all, so that weights have one unit")
    if C_m is None:
        if (tau_syn > 0).any() or I_e.any():
            raise ValueError("C_m must be given in pF if tau_syn or I_e is, got None")
        return np.ones(size)
    C_m = _per_population("C_m", _numbers("C_m", C_m), size)
    if (C_m <= 0).any():
        raise ValueError(f"C_m must be above 0 pF, got {C_m.min():g}")
    return C_m


def _plain(array):
    """A float for a number, an array for an array."""
    return array if np.ndim(array) else float(array)
