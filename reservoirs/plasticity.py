"""Unsupervised adaptation of echo-state networks: intrinsic plasticity and local rules for the recurrent weights.

Every function passes once or several times over a series and returns a new network; the given one stays as it was.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import njit

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_fraction,
    as_inputs,
    as_int,
    as_non_negative_float,
    as_positive_float,
    as_state,
)
from penstock.matvec import add_matvec, affine, kernel_form
from penstock.progress import track
from penstock.reservoirs.esn import ESN
from penstock.scaling import scale_spectral_radius
from penstock.vmath import activate, activation_code, all_finite, sigmoid, tanh

__all__ = ["IntrinsicPlasticity", "bcm", "hebbian", "intrinsic_plasticity", "oja"]

TANH = activation_code(tanh)
_HEBB, _OJA, _BCM = range(3)


class IntrinsicPlasticity(NamedTuple):
    """Hold a network adapted by `intrinsic_plasticity` and how it got there.

    Attributes
    ----------
    system : ESN
        The adapted network, gains and biases folded into its arrays.
    gain, bias : array, shape (N,)
        a and b of every unit: y = f(a x_net + b).
    means, stds : array, shape (epochs, N)
        Mean and standard deviation of every unit's output y during each pass.
    """

    system: ESN
    gain: np.ndarray
    bias: np.ndarray
    means: np.ndarray
    stds: np.ndarray


def intrinsic_plasticity(
    esn, u, *, mean=None, std=None, learning_rate=5e-4, epochs=1, washout=100, x0=None, progress=True
):
    """Adapt gain and bias of every unit until its output has the wanted distribution.

    With x_net = W x_{t-1} + W_in u_t, the output is y = f(a x_net + b), a = 1 and b the network's bias at first. At
    every step b <- b + d and a <- a + eta / a + d x_net, the stochastic gradient of the Kullback-Leibler divergence
    between the law of y and the target, with

    - tanh, target N(mu, sigma²): d = -eta (-mu / sigma² + y (2 sigma² + 1 - y² + mu y) / sigma²);
    - sigmoid, exponential target of mean mu: d = eta (1 - (2 + 1 / mu) y + y² / mu).

    A leaky network keeps its leak: y is what the leak averages.

    Parameters
    ----------
    esn : ESN
        Network with activation `penstock.tanh` or `penstock.sigmoid`, which decides the target law.
    u : array, shape (T, m), or (T,) if m = 1, or int if m = 0
        Input series.
    mean : float, optional
        mu: between -1 and 1 for tanh (0 by default), between 0 and 1 for sigmoid (0.2 by default).
    std : float, optional
        sigma, for tanh only; 0.2 by default.
    learning_rate : float or array, shape (epochs,)
        eta, of all passes or of each; a small one at the end averages the noise of the rule away.
    epochs : int
        Passes over u, each from `x0`.
    washout : int
        Steps at the start of every pass during which nothing is adapted.
    x0 : array, shape (N,), optional
        State before every pass, zero by default; needed by a network without inputs.
    progress : bool
        Show a bar if it takes more than two seconds.

    Returns
    -------
    IntrinsicPlasticity
        The adapted network with its gains, biases and the moments of y in every pass.

    Raises
    ------
    ValueError, TypeError
        If the activation is another one or an argument lies outside its range.
    FloatingPointError
        If gains or states stop being finite.

    References
    ----------
    J. Triesch (2005), A gradient rule for the plasticity of a neuron's intrinsic excitability, ICANN. B. Schrauwen,
    M. Wardermann, D. Verstraeten, J. Steil, D. Stroobandt (2008), Improving reservoirs using intrinsic plasticity,
    Neurocomputing 71.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(-1, 1, 3000)
    >>> esn = ESN.random(50, seed=0)
    >>> adapted = intrinsic_plasticity(esn, u, std=0.2, epochs=5)
    >>> for network in (esn, adapted.system):
    ...     print(network.run(u).std(axis=0).mean().round(2))
    0.36
    0.2
    """
    code, mean, std = _check_target(esn, mean, std)
    u, x0, washout, epochs = check_passes(esn, u, x0, washout, epochs)
    etas = check_learning_rates(learning_rate, epochs)
    W, W_in, *_, keep, leak = float64_fields(esn)
    gain, bias = np.ones(esn.n_units), esn.bias.astype(np.float64)
    means, stds = np.empty((2, epochs, esn.n_units))
    for epoch in track(range(epochs), epochs, "intrinsic plasticity", progress):
        x, network = x0.copy(), (W, W_in, keep, leak, gain, bias)
        step = _adapt_gains(network, code, (mean, std, etas[epoch]), washout, u, x, means[epoch], stds[epoch])
        refuse_divergence("intrinsic plasticity", step, epoch, x, gain, bias)
    W, W_in = scale_rows(esn.W, gain), scale_rows(esn.W_in, gain)
    return IntrinsicPlasticity(replace(esn, W=W, W_in=W_in, bias=bias), gain, bias, means, stds)


def hebbian(esn, u, *, learning_rate=1e-3, epochs=1, washout=100, spectral_radius=None, x0=None, progress=True):
    """Adapt the recurrent weights by Hebb's rule: W_ij <- W_ij + eta x_{t,i} x_{t-1,j} on the links that exist.

    The weights grow without bound unless the activation is bounded; rescale them by `spectral_radius`.

    Parameters
    ----------
    esn : ESN
        Network; a link is a stored entry of a sparse W, a non-zero one of a dense W.
    u : array, shape (T, m), or (T,) if m = 1, or int if m = 0
        Input series.
    learning_rate : float or array, shape (epochs,)
        eta, of all passes or of each; a negative one makes the rule anti-Hebbian.
    epochs : int
        Passes over u, each from `x0`.
    washout : int
        Steps at the start of every pass during which nothing is adapted.
    spectral_radius : float, optional
        Rescale the adapted W to this spectral radius.
    x0 : array, shape (N,), optional
        State before every pass, zero by default; needed by a network without inputs.
    progress : bool
        Show a bar if it takes more than two seconds.

    Returns
    -------
    ESN
        With new recurrent weights.

    Raises
    ------
    ValueError, TypeError
        If an argument lies outside its range.
    FloatingPointError
        If the weights or states diverge: names the step and the unit.

    References
    ----------
    D. O. Hebb (1949), The organization of behavior, Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(-1, 1, 500)
    >>> esn = ESN.random(50, density=0.1, seed=0)
    >>> hebbian(esn, u, learning_rate=1e-4, spectral_radius=0.9).W.nnz == esn.W.nnz
    True
    """
    return _learn_locally("hebbian", _HEBB, esn, u, learning_rate, 0.0, epochs, washout, spectral_radius, x0, progress)


def oja(esn, u, *, learning_rate=1e-3, epochs=1, washout=100, spectral_radius=None, x0=None, progress=True):
    """Adapt the recurrent weights by Oja's rule: W_ij <- W_ij + eta y_i (x_j - y_i W_ij), y = x_t, x = x_{t-1}.

    The decay keeps the weights bounded: those of a linear unit turn into the first principal component, of length 1,
    of the states that reach it.

    Parameters
    ----------
    esn, u, epochs, washout, spectral_radius, x0, progress
        As in `hebbian`.
    learning_rate : float or array, shape (epochs,)
        eta, above 0, of all passes or of each; small against the inverse variance of the states.

    Returns
    -------
    ESN
        With new recurrent weights.

    Raises
    ------
    ValueError, TypeError
        If an argument lies outside its range.
    FloatingPointError
        If the weights or states diverge: names the step and the unit.

    References
    ----------
    E. Oja (1982), A simplified neuron model as a principal component analyzer, J. Math. Biol. 15.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(-1, 1, 500)
    >>> adapted = oja(ESN.random(50, seed=0), u, spectral_radius=0.9)
    >>> float(np.abs(np.linalg.eigvals(adapted.W)).max().round(6))
    0.9
    """
    return _learn_locally("oja", _OJA, esn, u, learning_rate, 0.0, epochs, washout, spectral_radius, x0, progress)


def bcm(
    esn,
    u,
    *,
    learning_rate=1e-3,
    threshold_rate=1e-2,
    epochs=1,
    washout=100,
    spectral_radius=None,
    x0=None,
    progress=True,
):
    """Adapt the recurrent weights by the rule of Bienenstock, Cooper and Munro with its sliding threshold.

    W_ij <- W_ij + eta y_i (y_i - theta_i) x_j with y = x_t, x = x_{t-1}, and theta_i <- theta_i + kappa (y_i² -
    theta_i), a running mean of y_i² that starts at 0: a unit becomes selective for some of the patterns that reach it.

    Parameters
    ----------
    esn, u, epochs, washout, spectral_radius, x0, progress
        As in `hebbian`.
    learning_rate : float or array, shape (epochs,)
        eta, above 0, of all passes or of each.
    threshold_rate : float
        kappa, in (0, 1]; the threshold must slide faster than the weights change, or they oscillate.

    Returns
    -------
    ESN
        With new recurrent weights.

    Raises
    ------
    ValueError, TypeError
        If an argument lies outside its range.
    FloatingPointError
        If the weights or states diverge: names the step and the unit.

    References
    ----------
    E. Bienenstock, L. Cooper, P. Munro (1982), J. Neurosci. 2. N. Intrator, L. Cooper (1992), Neural Networks 5, whose
    threshold, the mean of y², is used.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(-1, 1, 500)
    >>> bcm(ESN.random(50, density=0.1, seed=0), u, spectral_radius=0.9)
    ESN(n_units=50, n_inputs=1, leak=1.0, activation=tanh, W=sparse(250 non-zeros), float64)
    """
    kappa = as_fraction("threshold_rate", threshold_rate)
    return _learn_locally("bcm", _BCM, esn, u, learning_rate, kappa, epochs, washout, spectral_radius, x0, progress)


def _learn_locally(name, rule, esn, u, learning_rate, kappa, epochs, washout, radius, x0, progress):
    check_esn(esn)
    u, x0, washout, epochs = check_passes(esn, u, x0, washout, epochs)
    etas = check_learning_rates(learning_rate, epochs, negative=rule == _HEBB)
    if radius is not None:
        as_non_negative_float("spectral_radius", radius)
    _, *rest = float64_fields(esn)
    links, threshold = as_links(esn.W), np.zeros(esn.n_units)
    code = activation_code(esn.activation)
    for epoch in track(range(epochs), epochs, name, progress):
        x, network = x0.copy(), (*kernel_links(links), *rest)
        step = _learn(network, code, rule, (etas[epoch], kappa), threshold, washout, u, x)
        refuse_divergence(name, step, epoch, x, links.data)
    W = from_links(links, esn.W)
    return replace(esn, W=W if radius is None else scale_spectral_radius(W, radius))


def _check_target(esn, mean, std):
    """Return the code of the activation and its target's mean and standard deviation."""
    check_esn(esn)
    if esn.activation not in (tanh, sigmoid):
        raise ValueError(f"activation must be tanh or sigmoid for intrinsic plasticity, got {esn.activation.__name__}")
    low, default = (-1, 0.0) if esn.activation is tanh else (0, 0.2)
    mean = default if mean is None else as_finite_float("mean", mean)
    if not low < mean < 1:
        raise ValueError(f"mean must lie between {low} and 1 for {esn.activation.__name__}, got {mean}")
    if std is not None and esn.activation is sigmoid:
        raise ValueError(f"std must be left out for sigmoid, whose target law is exponential, got {std}")
    return activation_code(esn.activation), mean, as_positive_float("std", 0.2 if std is None else std)


# --- what the adaptive rules share ----------------------------------------------------------------------------------


def check_esn(esn):
    """Refuse anything but an `ESN`, whose arrays the rules change."""
    if not isinstance(esn, ESN):
        raise TypeError(f"esn must be an ESN, got {esn!r}")


def check_passes(system, u, x0, washout, epochs):
    """Return one series (T, m) and a start, both float64, washout < T and the number of passes."""
    epochs, washout = as_int("epochs", epochs), as_int("washout", washout, minimum=0)
    if x0 is None and system.n_inputs == 0:
        raise ValueError("x0 must be given for a network without inputs, which may rest at zero for ever, got None")
    u = as_inputs(u, system.n_inputs)
    if u.ndim != 2:
        raise ValueError(f"u must be one series of shape (T, {system.n_inputs}), got {u.shape}")
    if len(u) <= washout:
        raise ValueError(f"washout must be below the {len(u)} steps of u, got {washout}")
    return u, as_state(x0, system.n_units, None), washout, epochs


def check_learning_rates(learning_rate, epochs, *, negative=False):
    """Return the learning rate of every pass."""
    rates = as_finite_array("learning_rate", learning_rate, ndim=(0, 1))
    if rates.ndim and rates.shape != (epochs,):
        raise ValueError(f"learning_rate must be a number or one for each of {epochs} epochs, got shape {rates.shape}")
    if not negative and not (rates > 0).all():
        raise ValueError(f"learning_rate must be above 0, got {rates.min()}")
    return np.broadcast_to(rates, epochs)


def float64_fields(esn):
    """Return W, W_in, bias, 1 - leak and leak for the kernels: small changes would be lost in float32."""
    leak = np.full(esn.n_units, esn.leak, np.float64)
    W, W_in = (kernel_form(matrix.astype(np.float64)) for matrix in (esn.W, esn.W_in))
    return W, W_in, esn.bias.astype(np.float64), 1 - leak, leak


def as_links(matrix):
    """Return the links of a matrix, stored or non-zero entries, as a writable float64 CSR array."""
    return sp.csr_array(matrix, dtype=np.float64, copy=True)


def kernel_links(links):
    """Return the CSR triplet of links, whose values a kernel may change in place."""
    return links.data, links.indices.astype(np.uint32), links.indptr.astype(np.uint32)


def from_links(links, like):
    """Return links as a matrix of the kind and type of `like`."""
    return (links if sp.issparse(like) else links.toarray()).astype(like.dtype)


def scale_rows(matrix, factors):
    """Return a matrix with every row multiplied by its factor; of a sparse one, stored zeros stay."""
    if not sp.issparse(matrix):
        return (factors[:, None] * matrix).astype(matrix.dtype)
    data = matrix.data * np.repeat(factors, np.diff(matrix.indptr))
    return sp.csr_array((data.astype(matrix.dtype), matrix.indices, matrix.indptr), shape=matrix.shape)


def refuse_divergence(name, step, epoch, x, *learned):
    """Raise if a kernel stopped at a step, or what it learned is not finite."""
    if step >= 0:
        unit = int(np.argmin(np.isfinite(x)))
        raise FloatingPointError(
            f"{name} diverged: unit {unit} is {x[unit]} at step {step} of epoch {epoch}; "
            "lower learning_rate, or use a bounded activation"
        )
    if not all(np.isfinite(part).all() for part in learned):
        raise FloatingPointError(f"{name} diverged in epoch {epoch}: what it adapts is not finite; lower learning_rate")


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _adapt_gains(network, code, target, washout, u, x, means, stds):
    """Pass over u adapting gain and bias in place; return the step at which x is not finite, -1 if none."""
    W, W_in, keep, leak, gain, bias = network
    mean, std, eta = target
    variance = std * std
    net, y, zero = np.empty_like(x), np.empty_like(x), np.zeros_like(x)
    means[:], stds[:] = 0.0, 0.0
    for t in range(u.shape[0]):
        affine(W_in, u[t], zero, net)
        add_matvec(W, x, net)
        for i in range(x.size):
            y[i] = gain[i] * net[i] + bias[i]
        activate(code, y)
        for i in range(x.size):
            x[i] = keep[i] * x[i] + leak[i] * y[i]
        if not all_finite(x):
            return t
        if t < washout:
            continue
        for i in range(x.size):
            if code == TANH:
                force = (mean - y[i] * (2.0 * variance + 1.0 - y[i] * y[i] + mean * y[i])) / variance
            else:
                force = 1.0 - (2.0 + 1.0 / mean) * y[i] + y[i] * y[i] / mean
            bias[i] += eta * force
            gain[i] += eta * (1.0 / gain[i] + force * net[i])
            before = y[i] - means[i]
            means[i] += before / (t - washout + 1)
            stds[i] += before * (y[i] - means[i])
    for i in range(x.size):
        stds[i] = np.sqrt(stds[i] / (u.shape[0] - washout))
    return -1


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(network, code, rule, rates, threshold, washout, u, x):
    """Pass over u changing the recurrent weights in place; return the step at which x is not finite, -1 if none."""
    weights, indices, indptr, W_in, bias, keep, leak = network
    eta, kappa = rates
    z = np.empty_like(x)
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, z)
        add_matvec((weights, indices, indptr), x, z)
        activate(code, z)
        for i in range(x.size):
            z[i] = keep[i] * x[i] + leak[i] * z[i]
        if t >= washout:
            for i in range(x.size):
                y = z[i]
                growth = eta * y * (y - threshold[i]) if rule == _BCM else eta * y
                decay = eta * y * y if rule == _OJA else 0.0
                for k in range(indptr[i], indptr[i + 1]):
                    weights[k] += growth * x[indices[k]] - decay * weights[k]
        for i in range(x.size):
            threshold[i] += kappa * (z[i] * z[i] - threshold[i])
            x[i] = z[i]
        if not all_finite(x):
            return t
    return -1
