"""Excitatory and inhibitory units apart: networks under Dale's law whose inhibition sets the firing rates."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import njit

from penstock.checks import (
    as_finite_array,
    as_fraction,
    as_int,
    as_matrix,
    as_non_negative_float,
    as_positive_float,
    as_vector,
    float_type,
    seed_sequence,
)
from penstock.matvec import add_matvec, affine, kernel_form
from penstock.progress import track
from penstock.reservoirs.drawing import draw_input_weights
from penstock.reservoirs.esn import ESN, as_dtype, describe_matrix, set_fields, to_dense
from penstock.reservoirs.plasticity import (
    as_links,
    check_learning_rates,
    check_passes,
    from_links,
    kernel_links,
    refuse_divergence,
    scale_rows,
)
from penstock.system import SystemDefaults
from penstock.threads import one_blas_thread
from penstock.vmath import sigmoid

__all__ = [
    "EIReservoir",
    "InhibitionAdaptation",
    "InhibitionDesign",
    "adapt_inhibition",
    "adapt_inhibition_hebbian",
    "balance_inhibition",
    "design_inhibition",
]


@dataclass(frozen=True, eq=False, repr=False)
class EIReservoir(SystemDefaults):
    """Run a network of units that either excite or inhibit; the states are firing rates in (0, 1).

    r_t = sigmoid(c ((A^E - A^I) r_{t-1} + W_in u_t - theta)).

    Parameters
    ----------
    excitation, inhibition : array or sparse array, shape (N, N)
        A^E and A^I, at least 0; [i, j] from unit j to unit i. By Dale's law no unit j has entries in both. A link is
        a stored entry of a sparse matrix, a non-zero one of a dense matrix. float32 makes a float32 model.
    W_in : array or sparse array, shape (N, m)
        Input weights of either sign.
    gain : float
        c, above 0.
    threshold : float or array, shape (N,)
        theta.

    Attributes
    ----------
    esn : ESN
        The same network with W = c (A^E - A^I), c W_in, bias -c theta and the sigmoid; what runs and linearises it.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a weight is negative, or a unit both excites and inhibits.

    References
    ----------
    K. Srinivasan, D. Plenz, M. Girvan (2025), Boosting reservoir computing with brain-inspired adaptive dynamics,
    arXiv 2504.12480.

    Examples
    --------
    >>> import numpy as np
    >>> network = EIReservoir.random(100, seed=0)
    >>> network
    EIReservoir(n_units=100 (20 inhibitory), n_inputs=1, gain=10.0, I/E=1, sparse(5000 non-zeros), float64)
    >>> network.run(np.sin(np.arange(50.0))).shape
    (50, 100)
    """

    excitation: np.ndarray
    inhibition: np.ndarray
    W_in: np.ndarray
    gain: float = 10.0
    threshold: np.ndarray | float = 0.0

    def __post_init__(self):
        dtype = float_type(self.excitation)
        excitation = _check_weights("excitation", self.excitation, (None, None), dtype)
        n_units = excitation.shape[0]
        if excitation.shape[1] != n_units or n_units == 0:
            raise ValueError(f"excitation must be square and not empty, got shape {excitation.shape}")
        inhibition = _check_weights("inhibition", self.inhibition, (n_units, n_units), dtype)
        both = np.flatnonzero((excitation.sum(axis=0) > 0) & (inhibition.sum(axis=0) > 0))
        if both.size:
            raise ValueError(
                "excitation and inhibition must come from different units (Dale's law), got columns of "
                f"unit {both[0]} in both"
            )
        W_in = as_matrix("W_in", self.W_in, (n_units, None), dtype)
        threshold = as_finite_array("threshold", self.threshold, dtype, ndim=(0, 1))
        if threshold.ndim and threshold.shape != (n_units,):
            raise ValueError(f"threshold must be a number or have shape ({n_units},), got {threshold.shape}")
        theta = np.array(threshold) if threshold.ndim else float(threshold)
        set_fields(self, excitation=excitation, inhibition=inhibition, W_in=W_in, threshold=theta)
        set_fields(self, gain=as_positive_float("gain", self.gain))

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        excitatory_fraction=0.8,
        in_degree=None,
        ratio=1.0,
        spread=0.2,
        gain=10.0,
        threshold=0.0,
        input_scaling=0.25,
        input_fraction=0.3,
        dtype=np.float64,
        seed,
    ):
        """Return a network with random sparse weights; the excitatory units come first.

        Every unit has ``in_degree`` random inputs in all, a fixed number of each kind; those of either kind have the
        mean weight 1 / (their number), so that excitation and inhibition sum to about 1 in every row.

        Parameters
        ----------
        n_units, n_inputs : int
            Sizes N and m.
        excitatory_fraction : float
            Share of excitatory units, and of excitatory links of every unit.
        in_degree : int, optional
            Links into every unit; the paper's 50 by default, or N / 2 if that is less. Around rates of 1/2 the spectral
            radius is about c / 4 sqrt(6.25 / in_degree): fewer links ask for a lower gain.
        ratio : float
            Total inhibition over total excitation; see `balance_inhibition`.
        spread : float
            Weights are |N(1, spread²)| times their mean.
        gain, threshold
            As in the class.
        input_scaling : float or array, shape (m,)
            Input weights are uniform in ±input_scaling, for all channels or each.
        input_fraction : float
            Share of units that receive the input.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Excitation, inhibition, input weights and driven units come from independent streams.

        Raises
        ------
        ValueError, TypeError
            If an argument lies outside its range, or a kind would have no unit or no link.
        """
        n, dtype = as_int("n_units", n_units, minimum=2), as_dtype(dtype)
        degree = max(2, min(50, n // 2)) if in_degree is None else as_int("in_degree", in_degree, minimum=2)
        fraction, spread = (
            as_fraction("excitatory_fraction", excitatory_fraction),
            as_non_negative_float("spread", spread),
        )
        n_excitatory, n_links = (min(max(round(fraction * total), 1), total - 1) for total in (n, degree))
        if n_links > n_excitatory or degree - n_links > n - n_excitatory:
            raise ValueError(
                f"in_degree must be at most the units there are, {n_excitatory} excitatory and {n - n_excitatory} "
                f"inhibitory, got {n_links} and {degree - n_links}"
            )
        for_E, for_I, for_W_in, for_driven = seed_sequence(seed).spawn(4)
        excitation = _draw_links(n, range(n_excitatory), n_links, spread, for_E)
        inhibition = _draw_links(n, range(n_excitatory, n), degree - n_links, spread, for_I)
        W_in = draw_input_weights(n, n_inputs, input_scaling, for_W_in)
        share = as_fraction("input_fraction", input_fraction)
        driven = np.random.default_rng(for_driven).permutation(n) < max(1, round(share * n))
        drawn = cls(excitation.astype(dtype), inhibition, W_in * driven[:, None], gain, threshold)
        return balance_inhibition(drawn, ratio)

    @property
    def n_units(self):
        """Number of units N."""
        return self.excitation.shape[0]

    @property
    def n_inputs(self):
        """Number of input channels m."""
        return self.W_in.shape[1]

    @property
    def dtype(self):
        """Type of the states: that of the excitation."""
        return self.excitation.dtype

    @property
    def inhibitory(self):
        """Which units inhibit; boolean, shape (N,)."""
        return np.asarray(self.inhibition.sum(axis=0)).ravel() > 0

    @property
    def ratio(self):
        """Total inhibition over total excitation."""
        with np.errstate(divide="ignore", invalid="ignore"):  # infinite or NaN where nothing excites
            return float(self.inhibition.sum() / self.excitation.sum())

    @cached_property
    def esn(self):
        """The same network as an `ESN`."""
        W = self.gain * self.recurrent_matrix()
        return ESN(W, self.gain * self.W_in, -self.gain * self.threshold, activation=sigmoid)

    def recurrent_matrix(self):
        """Return A^E - A^I (N, N): an array, or a `csr_array` if both are sparse."""
        excitation, inhibition = self.excitation, self.inhibition
        if not (sp.issparse(excitation) and sp.issparse(inhibition)):
            excitation, inhibition = to_dense(excitation), to_dense(inhibition)
        return excitation - inhibition

    def with_recurrent(self, W):
        """Return the network with A^E the positive and A^I the negative weights of W; see the System."""
        W = as_matrix("W", W, (self.n_units, self.n_units), self.dtype)
        parts = (W.maximum(0), (-W).maximum(0)) if sp.issparse(W) else (np.maximum(W, 0), np.maximum(-W, 0))
        changed = replace(self, excitation=parts[0], inhibition=parts[1])
        return changed if self.start is None else changed.starting_at(self.start)

    def __repr__(self):
        n_inhibitory, links = int(self.inhibitory.sum()), self.esn.W
        return (
            f"EIReservoir(n_units={self.n_units} ({n_inhibitory} inhibitory), n_inputs={self.n_inputs}, "
            f"gain={self.gain}, I/E={self.ratio:.4g}, {describe_matrix(links)}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next rates: (n,), (m,) -> (n,)."""
        return self.esn.step(x, u)

    def jacobian(self, x, u):
        """Return d step / d x = c D (A^E - A^I), with D the slopes r (1 - r) at the next rates; shape (n, n)."""
        return self.esn.jacobian(x, u)

    def input_jacobian(self, x, u):
        """Return d step / d u = c D W_in; shape (n, m)."""
        return self.esn.input_jacobian(x, u)

    def close(self, W_out, offset=0.0):
        """Feed a linear readout back: an autonomous `ESN`, which need not obey Dale's law; see `ESN.close`."""
        return self.esn.close(W_out, offset)

    def lure_blocks(self):
        """Return the one layer as a `LureBlock`: A = 0, B = 1, C = c (A^E - A^I)."""
        return self.esn.lure_blocks()

    def _jacobians(self, X, U):
        return self.esn._jacobians(X, U)

    def _run(self, u, x0, out):
        return self.esn._run(u, x0, out)

    def _push(self, x, u, V, dU, tape):
        self.esn._push(x, u, V, dU, tape)


def balance_inhibition(reservoir, ratio):
    """Return the network with all inhibition scaled by one factor, to `ratio` times the total excitation.

    Parameters
    ----------
    reservoir : EIReservoir
        Network with at least one inhibitory link.
    ratio : float
        Sum of A^I over sum of A^E, at least 0; above 1 the network is over-inhibited.

    Returns
    -------
    EIReservoir

    Raises
    ------
    ValueError, TypeError
        If the ratio is negative or there is no inhibition to scale.

    Examples
    --------
    >>> balance_inhibition(EIReservoir.random(50, seed=0), 1.2).ratio.__round__(12)
    1.2
    """
    _check_reservoir(reservoir)
    ratio, total = as_non_negative_float("ratio", ratio), float(reservoir.inhibition.sum())
    if total == 0:
        raise ValueError("reservoir must have inhibitory weights to scale, got none above 0")
    return replace(reservoir, inhibition=reservoir.inhibition * (ratio * float(reservoir.excitation.sum()) / total))


class InhibitionDesign(NamedTuple):
    """Hold a network made by `design_inhibition`.

    Attributes
    ----------
    system : EIReservoir
        The network with scaled inhibition.
    factors : array, shape (N,)
        Omega_i, by which the inhibition of every unit was multiplied.
    exact : array of bool, shape (N,)
        Which units have the inhibition that their target asks for: not those without inhibitory links, nor those
        whose excitation is too weak for the target (factor cut off at 0). If all are, the targets are a fixed point.
    """

    system: EIReservoir
    factors: np.ndarray
    exact: np.ndarray


@one_blas_thread
def design_inhibition(reservoir, rates, mean_input=0.0):
    """Scale the inhibition of every unit once, so that the target rates are a fixed point at the mean input.

    Omega_i = (sum_j A^E_ij rho_j + (W_in u)_i - theta_i - logit(rho_i) / c) / sum_j A^I_ij rho_j, cut off at 0.

    Parameters
    ----------
    reservoir : EIReservoir
        Network to scale.
    rates : float or array, shape (N,)
        Targets rho between 0 and 1, for all units or each, e.g. ``rng.beta(2, 2, size=n_units)``.
    mean_input : float or array, shape (m,)
        Mean of the input.

    Returns
    -------
    InhibitionDesign
        The network, the factors and which units they suit.

    Raises
    ------
    ValueError, TypeError
        If a target does not lie between 0 and 1 or a shape does not fit.

    References
    ----------
    Srinivasan, Plenz, Girvan (2025), arXiv 2504.12480; the sign is that of the fixed point.

    Examples
    --------
    >>> import numpy as np
    >>> network, factors, exact = design_inhibition(EIReservoir.random(50, seed=0), 0.4)
    >>> bool(exact.all()), network.step(np.full(50, 0.4), np.zeros(1)).round(12).tolist() == [0.4] * 50
    (True, True)
    """
    _check_reservoir(reservoir)
    targets = _check_rates(reservoir, rates)
    mean_input = as_vector("mean_input", mean_input, reservoir.n_inputs)
    drive = reservoir.W_in @ mean_input - reservoir.threshold
    wanted = reservoir.excitation @ targets + drive - np.log(targets / (1 - targets)) / reservoir.gain
    there = reservoir.inhibition @ targets
    linked = there > 0
    factors = np.where(linked, np.maximum(wanted, 0) / np.where(linked, there, 1.0), 1.0)
    system = replace(reservoir, inhibition=scale_rows(reservoir.inhibition, factors))
    return InhibitionDesign(system, factors, linked & (wanted >= 0))


@dataclass(frozen=True, eq=False, repr=False)
class InhibitionAdaptation:
    """Hold a network adapted by `adapt_inhibition` or `adapt_inhibition_hebbian` and the rates it reached.

    Attributes
    ----------
    system : EIReservoir
        The adapted network.
    targets, rates : array, shape (N,)
        Wanted rates, and mean rates of the adapted network, its weights fixed, on the series it was adapted to.
    errors : array, shape (epochs,)
        Mean over units of \\|mean rate - target\\| during each pass.
    tolerance : float
        Largest \\|rate - target\\| that counts as reached.
    """

    system: EIReservoir
    targets: np.ndarray
    rates: np.ndarray
    errors: np.ndarray
    tolerance: float

    @property
    def reached(self):
        """Which units fire at their target rate; boolean, shape (N,)."""
        return np.abs(self.rates - self.targets) <= self.tolerance

    @property
    def converged(self):
        """Whether all units do."""
        return bool(self.reached.all())

    def __repr__(self):
        off = np.abs(self.rates - self.targets)
        state = "converged" if self.converged else "NOT converged"
        return (
            f"InhibitionAdaptation({state}: {self.reached.sum()} of {off.size} units within {self.tolerance:g} of "
            f"their targets, mean error {off.mean():.2g}, largest {off.max():.2g}, after {len(self.errors)} passes, "
            f"I/E={self.system.ratio:.4g})"
        )

    def plot(self, ax=None):
        """Draw the rates reached over the targets; return the axes."""
        from penstock.reservoirs.plots import plot_rates

        return plot_rates(self, ax)


def adapt_inhibition(
    reservoir, u, rates, *, learning_rate=1e-2, epochs=1, washout=100, x0=None, tolerance=0.02, progress=True
):
    """Adapt the inhibition of every unit by its own rate alone: A^I_ij <- A^I_ij + delta (r_i - rho_i), at least 0.

    The rule acts at every step on all inhibitory links that exist: a unit above its target draws more inhibition.

    Parameters
    ----------
    reservoir : EIReservoir
        Network to adapt.
    u : array, shape (T, m), or (T,) if m = 1, or int if m = 0
        Input series.
    rates : float or array, shape (N,)
        Targets rho between 0 and 1, for all units or each, e.g. ``rng.beta(2, 2, size=n_units)``.
    learning_rate : float or array, shape (epochs,)
        delta, of all passes or of each: 1e-2, then 1e-3 in the paper.
    epochs : int
        Passes over u, each from `x0`.
    washout : int
        Steps at the start of every pass during which nothing is adapted or measured.
    x0 : array, shape (N,), optional
        Rates before every pass, zero by default; needed by a network without inputs.
    tolerance : float
        Largest distance of a mean rate from its target that counts as reached.
    progress : bool
        Show a bar if it takes more than two seconds.

    Returns
    -------
    InhibitionAdaptation
        The adapted network, its mean rates and whether they are the targets. Units without inhibitory links, and
        those too weakly excited, cannot get there.

    Raises
    ------
    ValueError, TypeError
        If a target does not lie between 0 and 1 or an argument outside its range.
    FloatingPointError
        If the weights overflow.

    References
    ----------
    K. Srinivasan, D. Plenz, M. Girvan (2025), Boosting reservoir computing with brain-inspired adaptive dynamics,
    arXiv 2504.12480.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(-1, 1, 3000)
    >>> adapt_inhibition(EIReservoir.random(50, seed=0), u, 0.3, learning_rate=[1e-2, 1e-3], epochs=2).converged
    True
    """
    return _adapt_inhibition(reservoir, u, rates, learning_rate, epochs, washout, x0, tolerance, progress, False)


def adapt_inhibition_hebbian(
    reservoir, u, rates, *, learning_rate=1e-2, epochs=1, washout=100, x0=None, tolerance=0.02, progress=True
):
    """Adapt every inhibitory link by both its ends: A^I_ij <- A^I_ij + eta (r_{t,i} - rho_i) r_{t-1,j}, at least 0.

    Only links whose inhibitory unit was active change, so that inhibition comes to follow the excitation it meets.

    Parameters
    ----------
    reservoir, u, rates, epochs, washout, x0, tolerance, progress
        As in `adapt_inhibition`.
    learning_rate : float or array, shape (epochs,)
        eta, of all passes or of each.

    Returns
    -------
    InhibitionAdaptation
        The adapted network, its mean rates and whether they are the targets.

    Raises
    ------
    ValueError, TypeError
        If a target does not lie between 0 and 1 or an argument outside its range.
    FloatingPointError
        If the weights overflow.

    References
    ----------
    T. Vogels, H. Sprekeler, F. Zenke, C. Clopath, W. Gerstner (2011), Inhibitory plasticity balances excitation and
    inhibition in sensory pathways and memory networks, Science 334: the same product for spikes.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.random.default_rng(0).uniform(-1, 1, 3000)
    >>> targets = np.random.default_rng(1).beta(2, 2, 50)
    >>> reservoir = EIReservoir.random(50, seed=0)
    >>> adapted = adapt_inhibition_hebbian(reservoir, u, targets, learning_rate=[0.03, 0.01, 0.003], epochs=3)
    >>> bool(adapted.reached.sum() > 40)
    True
    """
    return _adapt_inhibition(reservoir, u, rates, learning_rate, epochs, washout, x0, tolerance, progress, True)


def _adapt_inhibition(reservoir, u, rates, learning_rate, epochs, washout, x0, tolerance, progress, hebbian):
    _check_reservoir(reservoir)
    targets, tolerance = _check_rates(reservoir, rates), as_positive_float("tolerance", tolerance)
    u, x0, washout, epochs = check_passes(reservoir, u, x0, washout, epochs)
    deltas = check_learning_rates(learning_rate, epochs)
    links, gain = as_links(reservoir.inhibition), reservoir.gain
    excitation, W_in = (kernel_form(part.astype(np.float64)) for part in (reservoir.excitation, reservoir.W_in))
    fields = (excitation, W_in, np.full(reservoir.n_units, -reservoir.threshold, np.float64), gain, targets)
    errors, mean_rates = np.empty(epochs), np.empty(reservoir.n_units)
    for epoch in track(range(epochs), epochs, "adapting inhibition", progress):
        _adapt(fields, kernel_links(links), hebbian, deltas[epoch], washout, u, x0.copy(), mean_rates)
        refuse_divergence("adapting inhibition", -1, epoch, x0, links.data)
        errors[epoch] = np.abs(mean_rates - targets).mean()
    system = replace(reservoir, inhibition=from_links(links, reservoir.inhibition))
    return InhibitionAdaptation(system, targets, _mean_rates(system, u, x0, washout), errors, tolerance)


def _mean_rates(system, u, x0, washout):
    total, start = np.zeros(system.n_units), 0
    for states in system.blocks(u, 2048, x0):
        total += states[max(washout - start, 0) :].sum(axis=0, dtype=np.float64)
        start += len(states)
    return total / (len(u) - washout)


def _check_reservoir(reservoir):
    if not isinstance(reservoir, EIReservoir):
        raise TypeError(f"reservoir must be an EIReservoir, got {reservoir!r}")


def _check_weights(name, value, shape, dtype):
    """Return a clean matrix without negative entries."""
    matrix = as_matrix(name, value, shape, dtype)
    least = (matrix.data if sp.issparse(matrix) else matrix).min(initial=0.0)
    if least < 0:
        raise ValueError(f"{name} must be at least 0 everywhere, got {least}")
    return matrix


def _check_rates(reservoir, rates):
    """Return target rates (N,) between 0 and 1."""
    targets = as_vector("rates", rates, reservoir.n_units)
    if not ((targets > 0) & (targets < 1)).all():
        raise ValueError(f"rates must lie between 0 and 1, got {targets.min()} to {targets.max()}")
    return targets


def _draw_links(n_units, sources, degree, spread, seed):
    """Return a CSR array in which every row has `degree` links from random `sources`, of mean weight 1 / degree."""
    rng = np.random.default_rng(seed)
    columns = np.concatenate([np.sort(rng.choice(sources, degree, replace=False)) for _ in range(n_units)])
    weights = np.abs(1 + spread * rng.standard_normal(columns.size)) / degree
    return sp.csr_array((weights, columns, degree * np.arange(n_units + 1)), shape=(n_units, n_units))


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _adapt(fields, links, hebbian, delta, washout, u, r, means):
    """Pass over u changing the inhibitory weights in place; write the mean rates."""
    excitation, W_in, bias, gain, targets = fields
    weights, indices, indptr = links
    z = np.empty_like(r)
    means[:] = 0.0
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, z)
        add_matvec(excitation, r, z)
        for i in range(r.size):
            inhibition = 0.0
            for k in range(indptr[i], indptr[i + 1]):
                inhibition += weights[k] * r[indices[k]]
            z[i] = sigmoid(gain * (z[i] - inhibition))
            if t < washout:
                continue
            means[i] += z[i]
            change = delta * (z[i] - targets[i])
            for k in range(indptr[i], indptr[i + 1]):
                weights[k] = max(weights[k] + (change * r[indices[k]] if hebbian else change), 0.0)
        r[:] = z
    means /= u.shape[0] - washout
