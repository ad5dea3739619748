"""Assemblies of stable networks: contracting modules, so coupled that the whole contracts like its slowest part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its parts load at first use
import scipy.sparse as sp
from numba import njit

from penstock.checks import as_finite_array, as_int, as_non_negative_float, as_positive_float, seed_sequence
from penstock.lure import LureBlock
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.reservoirs.certificates import AssemblyCertificate, certify, coupled_groups, module_of_unit, module_slices
from penstock.reservoirs.drawing import draw_bias, draw_input_weights
from penstock.reservoirs.esn import Weighted, check_rate_arrays, set_fields, to_dense
from penstock.reservoirs.modules import StableModule, stable_module, svd_module
from penstock.threads import one_blas_thread
from penstock.vmath import activate, activation_code, activation_slope, all_finite, relu, slopes, tanh

__all__ = ["Assembly"]


@dataclass(frozen=True, eq=False, repr=False)
class Assembly(Weighted):
    """Run modules tau x' = -x + W f(x) + W_in u + b that are coupled by L x and contract together.

    W is block diagonal. If every module contracts in a metric M_i, and L = B - M^-1 B^T M with any blocks B between
    modules, then M L + L^T M = 0 and the assembly contracts at the rate of its slowest module, in
    M = blockdiag(M_i), however strong the couplings are. One step of length dt keeps that:

        x_t = E [(1 - h) x_{t-1} + h (W f(x_{t-1}) + W_in u_t + b)],  h = 1 - exp(-dt / tau),  E = exp(dt L / tau),

    the modules by the exponential Euler rule, then the couplings exactly. Proof: d/ds ‖exp(s L) e‖_M^2 =
    e_s^T (M L + L^T M) e_s = 0, so E keeps all distances in M, and a step contracts exactly as the modules do without
    couplings. A module with g ‖M_i^1/2 W_i M_i^-1/2‖ = gamma < 1, g the largest slope of f, contracts by
    1 - h (1 - gamma) for every dt; by absolute values the factor is the spectral radius of (1 - h) I + h g |W_i|; a
    symmetric one with largest eigenvalue k of g W_i contracts by 1 - h (1 - k) in (2 k - g W_i)^-1 if its least one is
    not below -2 (1 - h) / h. `certificate` checks all of it for the matrices at hand. Explicit Euler does not inherit
    it: it stretches a rotation of frequency w by sqrt(1 + (w dt)^2) per step.

    The rule is first order in dt; a fixed point of the equation is one of the steps up to dt ‖L‖ / tau. Without W it is
    exact for zero input.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Block-diagonal weights of the modules.
    W_in : array or sparse array, shape (N, m)
        Input weights; m = 0 makes the assembly autonomous.
    L : array, shape (N, N)
        Couplings. Any are accepted, whatever `certificate` says of them; `Assembly.of` makes balanced ones.
    metric : array, shape (N, N)
        Symmetric positive definite M, block diagonal like W.
    sizes : sequence of int
        Units of every module; they sum to N.
    bias : float or array, shape (N,)
        Bias b.
    tau, dt : float
        Time constant and time step, in the same unit.
    activation : function
        One of `penstock.tanh`, `penstock.sigmoid`, `penstock.relu`, `penstock.identity`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, W or the metric connects modules, the metric is not positive definite, or exp(dt L / tau)
        overflows.

    References
    ----------
    L. Kozachkov, M. Ennis, J.-J. Slotine, RNNs of RNNs: recursive construction of stable assemblies of recurrent
    neural networks, NeurIPS 2022 (arXiv 2106.08928).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.readout import ridge
    >>> assembly = Assembly.random(24, n_modules=3, coupling_radius=20.0, seed=0)
    >>> assembly
    Assembly(n_units=24, n_inputs=1, modules=8+8+8, tau=1, dt=0.3, activation=tanh, float64)
    >>> assembly.certificate().verified
    True
    >>> u = np.random.default_rng(1).uniform(-1, 1, 2000)
    >>> states = assembly.run(u)
    >>> readout = ridge(states[100:1500], u[97:1497])  # the input three steps ago
    >>> bool(np.std(readout(states[1500:])[:, 0] - u[1497:1997]) < 0.1 * np.std(u))
    True
    """

    W: np.ndarray
    W_in: np.ndarray
    L: np.ndarray
    metric: np.ndarray
    sizes: Sequence[int]
    bias: np.ndarray | float = 0.0
    tau: float = 1.0
    dt: float = 0.3
    activation: Callable = tanh

    _no_recurrent_matrix = "modules W and couplings L hold the stability of each other"

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, self.activation)
        sizes = _check_sizes(self.sizes, W.shape[0])
        L, metric = (_check_square(name, getattr(self, name), W.shape[0]) for name in ("L", "metric"))
        apart = module_of_unit(sizes)[:, None] != module_of_unit(sizes)
        for name, matrix in (("W", to_dense(W)), ("metric", metric)):
            if matrix[apart].any():
                raise ValueError(
                    f"{name} must be block diagonal with blocks of {sizes} units, got weights between them"
                )
        _check_metric(metric)
        tau, dt = as_positive_float("tau", self.tau), as_positive_float("dt", self.dt)
        set_fields(self, W=W, W_in=W_in, L=L, metric=metric, sizes=sizes, bias=bias, tau=tau, dt=dt)
        if not np.isfinite(to_dense(self._propagator)).all():
            raise ValueError(
                f"L must have a finite exp(dt L / tau), got couplings of norm {np.linalg.norm(L):.3g}: "
                "balance them (Assembly.of) or shorten dt"
            )

    @classmethod
    @one_blas_thread
    def of(
        cls,
        modules,
        couplings: Mapping[tuple[int, int], np.ndarray] | None = None,
        *,
        W_in,
        feedforward: Mapping[tuple[int, int], np.ndarray] | None = None,
        bias=0.0,
        tau=1.0,
        dt=0.3,
        activation=tanh,
    ):
        """Couple modules so that what each proves of itself holds for the whole.

        Parameters
        ----------
        modules : sequence of StableModule or arrays (n_i, n_i)
            Modules with their metrics; `stable_module` looks for that of a plain matrix.
        couplings : mapping, optional
            ``{(i, j): B_ij}`` with B_ij (n_i, n_j) any matrix from module j to module i. Its return path
            -M_j^-1 B_ij^T M_i is added.
        W_in : array, shape (N, m)
            Input weights.
        feedforward : mapping, optional
            ``{(i, j): F_ij}``: couplings without a return path, which must close no circle of modules.
        bias, tau, dt, activation
            As in the class.

        Returns
        -------
        Assembly

        Raises
        ------
        ValueError, TypeError
            If a module is not certified, a block has the wrong shape or place, or `feedforward` closes a circle.

        Examples
        --------
        >>> import numpy as np
        >>> parts = [svd_module(4, seed=0), np.array([[0.0, 3.0], [0.1, 0.0]])]
        >>> certificate = Assembly.of(parts, {(1, 0): np.ones((2, 4))}, W_in=np.ones((6, 1))).certificate()
        >>> certificate.verified, certificate.conditions
        (True, ('singular value', 'absolute value'))
        """
        modules = _certified(modules, _largest_slope(activation))
        sizes = tuple(module.n_units for module in modules)
        L, places = _balanced(modules, couplings), module_slices(sizes)
        one_way = list(_blocks("feedforward", feedforward, sizes))
        for (i, j), F in one_way:
            L[places[i], places[j]] += F
        groups = coupled_groups(L, sizes)
        for (i, j), _ in one_way:
            if groups[i] == groups[j]:
                raise ValueError(f"feedforward must close no circle of modules, got {(i, j)}: use couplings for it")
        W = sp.block_diag([module.W for module in modules], format="csr")
        W = sp.csr_array(W) if W.nnz < 0.3 * len(L) ** 2 else W.toarray()
        metric = scipy.linalg.block_diag(*[module.metric for module in modules])
        return cls(W, W_in, L, metric, sizes, bias, tau, dt, activation)

    @classmethod
    @one_blas_thread
    def random(
        cls,
        n_units,
        *,
        n_modules=4,
        n_inputs=1,
        module=svd_module,
        coupling_radius=1.0,
        input_scaling=1.0,
        bias_scaling=0.0,
        tau=1.0,
        dt=0.3,
        activation=tanh,
        seed,
    ):
        """Return random modules with random couplings between all of them.

        Parameters
        ----------
        n_units, n_modules, n_inputs : int
            Units N in all, modules of as equal sizes as may be, and input channels m.
        module : function
            ``module(n, slope=…, seed=…)``: `svd_module`, `sparse_module`, `symmetric_module`, with
            `functools.partial` for their settings.
        coupling_radius : float
            Spectral radius of L: the fastest rotation, in radians per tau. The blocks B are uniform before scaling.
        input_scaling, bias_scaling : float
            Input weights and biases are uniform in ± these.
        tau, dt, activation
            As in the class.
        seed : int or SeedSequence
            Modules, couplings, W_in and bias come from independent streams.

        Returns
        -------
        Assembly

        Raises
        ------
        ValueError, TypeError
            If a setting lies outside its range.
        """
        n_units, n_modules = as_int("n_units", n_units), as_int("n_modules", n_modules)
        if n_modules > n_units:
            raise ValueError(f"n_modules must be at most n_units, got {n_modules} for {n_units} units")
        coupling_radius = as_non_negative_float("coupling_radius", coupling_radius)
        if not callable(module):
            raise TypeError(f"module must be a function such as svd_module, got {module!r}")
        slope = _largest_slope(activation)
        for_modules, for_B, for_W_in, for_bias = seed_sequence(seed).spawn(4)
        sizes = [len(part) for part in np.array_split(np.arange(n_units), n_modules)]
        seeds = for_modules.spawn(n_modules)
        modules = [module(n, slope=slope, seed=one) for n, one in zip(sizes, seeds, strict=True)]
        for n, one in zip(sizes, modules, strict=True):
            if not isinstance(one, StableModule) or one.n_units != n:
                raise TypeError(f"module must return a StableModule of {n} units, got {one!r}; see stable_module")
        rng = np.random.default_rng(for_B)
        couplings = {(i, j): rng.uniform(-1, 1, (sizes[i], sizes[j])) for i in range(n_modules) for j in range(i)}
        W_in = draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
        settings = {"bias": draw_bias(n_units, bias_scaling, for_bias), "tau": tau, "dt": dt, "activation": activation}
        drawn = _norm_in(scipy.linalg.block_diag(*[one.metric for one in modules]), _balanced(modules, couplings))
        couplings = {pair: coupling_radius / drawn * B for pair, B in couplings.items()}
        return cls.of(modules, couplings, W_in=W_in, **settings)

    def __repr__(self):
        return (
            f"Assembly(n_units={self.n_units}, n_inputs={self.n_inputs}, modules={'+'.join(map(str, self.sizes))}, "
            f"tau={self.tau:g}, dt={self.dt:g}, activation={self.activation.__name__}, {self.dtype})"
        )

    @property
    def coupling_radius(self) -> float:
        """Norm of L in the metric: its fastest rotation in radians per tau if the couplings are balanced."""
        return _norm_in(self.metric, self.L)

    @one_blas_thread
    def certificate(self) -> AssemblyCertificate:
        """Prove that the assembly contracts for every input, from its matrices alone, or say what fails.

        Each module's factor is bounded in its metric, and so is the growth by exp(dt L / tau); every bound is a matrix
        inequality whose Cholesky factor exists beyond rounding. Modules that are fed without a return path are weighted
        down until those couplings stretch distances by hardly anything. The matrices are those that `run` multiplies
        by, rounded to float32 where W is.

        Returns
        -------
        AssemblyCertificate
            With ``verified`` False, not an exception, where the proof fails.
        """
        keep, h = self.dtype.type(self._keep), self.dtype.type(1 - self._keep)  # as `run` rounds them
        return certify(
            np.asarray(to_dense(h * self.W), np.float64),
            self.L,
            np.asarray(to_dense(self._propagator), np.float64),
            self.metric,
            sizes=self.sizes,
            keep=float(keep),
            slope=_largest_slope(self.activation),
            dt=self.dt,
        )

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        h = 1 - self._keep
        inner = self._keep * x + h * (self.W @ self.activation(x) + self.W_in @ u + self.bias)
        return self._propagator @ inner

    def jacobian(self, x, u):
        """Return d step / d x = E ((1 - h) I + h W D), D the slopes at x; shape (n, n)."""
        x, _ = self._point(x, u)
        return self._jacobians(x[None], None)[0]

    def input_jacobian(self, x, u):
        """Return d step / d u = h E W_in; shape (n, m)."""
        return (1 - self._keep) * (self._propagator @ to_dense(self.W_in))

    def lure_blocks(self):
        """Return the one layer as a `LureBlock`: A = (1 - h) E, B = h E W, C = I."""
        A, B = self._linear_and_weighted
        return (LureBlock.of(self.activation, A, B, np.eye(self.n_units)),)

    def piecewise_linear(self, u):
        """Return (A, B, C, d, h) of a relu assembly: (1 - h) E, h E W, I, 0 and h E (W_in u + b); else None."""
        if self.activation is not relu:
            return None
        A, B = (np.asarray(matrix, np.float64) for matrix in self._linear_and_weighted)
        drive = np.asarray((1 - self._keep) * (self._propagator @ (self.W_in @ u + self.bias)), np.float64)
        return A, B, np.eye(self.n_units), np.zeros(self.n_units), drive

    @property
    def _keep(self):
        """1 - h: what is left of the state after dt."""
        return float(np.exp(-self.dt / self.tau))

    @cached_property
    def _propagator(self):
        """E = exp(dt L / tau)."""
        return _exponential(self.L, self.dt / self.tau, self.dtype)

    @cached_property
    def _linear_and_weighted(self):
        E = to_dense(self._propagator)
        return self._keep * E, (1 - self._keep) * (E @ to_dense(self.W))

    def _jacobians(self, X, U):
        A, B = self._linear_and_weighted
        return A + B * activation_slope(self.activation, self.activation(X))[:, None, :]

    @cached_property
    def _fields(self):
        h = self.dtype.type(1 - self._keep)
        arrays = kernel_form(h * self.W), kernel_form(h * self.W_in), h * self.bias
        return kernel_form(self._propagator), *arrays, self.dtype.type(self._keep)

    def _run(self, u, x0, out):
        code = activation_code(self.activation)
        if u.ndim == 2:
            return _run_series(self._fields, code, u, x0, out)
        kernel = _run_each if u.shape[0] < 3 else _run_batch
        return _run_together(kernel, self._fields, code, u, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, activation_code(self.activation), u, x, V, dU, tape)


@one_blas_thread
def _run_together(kernel, fields, code, u, x0, out):
    return kernel(fields, code, u, x0, out)


# --- checks and construction ----------------------------------------------------------------------------------------


def _check_sizes(sizes, n_units):
    if np.ndim(sizes) != 1:
        raise TypeError(f"sizes must be the numbers of units of the modules, got {sizes!r}")
    sizes = tuple(as_int("sizes", n) for n in sizes)
    if sum(sizes) != n_units:
        raise ValueError(f"sizes must sum to the {n_units} units of W, got {sizes}, which sum to {sum(sizes)}")
    return sizes


def _check_square(name, matrix, n_units):
    matrix = np.array(as_finite_array(name, to_dense(matrix), ndim=2))
    if matrix.shape != (n_units, n_units):
        raise ValueError(f"{name} must have shape ({n_units}, {n_units}) to match W, got {matrix.shape}")
    matrix.flags.writeable = False
    return matrix


def _check_metric(metric):
    if np.abs(metric - metric.T).max() > 1e-12 * np.abs(metric).max():
        raise ValueError("metric must be symmetric, got one that differs from its transpose")
    try:
        np.linalg.cholesky(metric)
    except np.linalg.LinAlgError:
        raise ValueError("metric must be positive definite, got one without a Cholesky factor") from None


@one_blas_thread
def _exponential(L, time, dtype):
    """Return exp(time L), as a sparse identity where there are no couplings."""
    if not L.any():
        return sp.eye_array(len(L), format="csr", dtype=dtype)
    with np.errstate(all="ignore"):
        return scipy.linalg.expm(time * L).astype(dtype)


def _largest_slope(activation) -> float:
    return LureBlock.of(activation, np.zeros((1, 1)), np.eye(1), np.eye(1)).slopes[1]


def _certified(modules, slope):
    given = list(modules) if isinstance(modules, Iterable) and not isinstance(modules, np.ndarray | str) else []
    if not given:
        raise ValueError(f"modules must be a sequence of modules, one at least, got {modules!r}")
    checked = []
    for k, module in enumerate(given):
        if not isinstance(module, StableModule):
            try:
                module = stable_module(module, slope=slope)
            except (TypeError, ValueError) as error:
                raise type(error)(f"modules[{k}]: {error}") from None
        if not module.certified or module.slope < slope:
            raise ValueError(
                f"modules[{k}] must contract by itself for slopes up to {slope:g}, got {module!r}; scale its weights "
                "down, or build the Assembly with a metric of your own"
            )
        checked.append(module)
    return checked


def _balanced(modules, couplings):
    """Return L = B - M^-1 B^T M, block by block."""
    sizes = [module.n_units for module in modules]
    L, places = np.zeros((sum(sizes), sum(sizes))), module_slices(sizes)
    for (i, j), B in _blocks("couplings", couplings, sizes):
        L[places[i], places[j]] += B
        L[places[j], places[i]] -= scipy.linalg.solve(modules[j].metric, B.T @ modules[i].metric, assume_a="pos")
    return L


def _norm_in(metric, L) -> float:
    """Return ‖L‖_M."""
    T = np.linalg.cholesky(metric).T
    return float(np.linalg.norm(scipy.linalg.solve_triangular(T, (T @ L).T, trans="T").T, 2))


def _blocks(name, blocks, sizes):
    """Yield the pairs and checked matrices of a mapping {(to, from): matrix}."""
    if blocks is not None and not isinstance(blocks, Mapping):
        raise TypeError(f"{name} must be a mapping {{(to, from): matrix}}, got {blocks!r}")
    for pair, matrix in (blocks or {}).items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"{name} must have pairs (to, from) of modules as keys, got {pair!r}")
        i, j = (as_int(f"{name} key", k, minimum=0) for k in pair)
        if i == j or max(i, j) >= len(sizes):
            raise ValueError(f"{name} must connect two of the {len(sizes)} modules, counted from 0, got {pair}")
        matrix = as_finite_array(f"{name}[{i}, {j}]", matrix, ndim=2)
        if matrix.shape != (sizes[i], sizes[j]):
            raise ValueError(f"{name}[{i}, {j}] must have shape ({sizes[i]}, {sizes[j]}), got {matrix.shape}")
        yield (i, j), matrix


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(assembly, code, u, x, out):
    """Run one series; return whether a state was not finite."""
    E, W, W_in, bias, keep = assembly
    y, z = np.empty_like(x), np.empty_like(x)
    for t in range(u.shape[0]):
        y[:] = x
        activate(code, y)
        affine(W_in, u[t], bias, z)
        add_matvec(W, y, z)
        for i in range(x.size):
            z[i] += keep * x[i]
            x[i] = 0
        add_matvec(E, z, x)
        out[t] = x
    return not all_finite(x)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_each(assembly, code, u, x, out):
    """Run the series of a batch one after the other."""
    diverged = False
    for b in range(u.shape[0]):
        diverged |= _run_series(assembly, code, u[b], x[b], out[b])
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch(assembly, code, u, X, out):
    """Run a batch with one product by E per step; X is (B, N)."""
    E, W, W_in, bias, keep = assembly
    Y, Z = np.empty_like(X), np.empty_like(X)
    for t in range(u.shape[1]):
        Y[:] = X
        activate(code, Y.reshape(Y.size))
        matmul_rows(W, Y, Z)
        for b in range(X.shape[0]):
            x, z = X[b], Z[b]
            for i in range(x.size):
                z[i] += bias[i] + keep * x[i]
            add_matvec(W_in, u[b, t], z)
        matmul_rows(E, Z, X)
        for b in range(X.shape[0]):
            out[b, t] = X[b]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(assembly, code, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: v <- E ((1 - h) v + h (W D v + W_in du)).

    The state is one more row, so that W and E are read once for all.
    """
    E, W, W_in, bias, keep = assembly
    k = V.shape[0]
    rows, inner = np.empty((k + 1, x.size), x.dtype), np.empty((k + 1, x.size), x.dtype)
    scaled, d = np.empty((k + 1, x.size), x.dtype), np.empty_like(x)
    rows[:k], rows[k] = V, x
    for t in range(u.shape[0]):
        y = scaled[k]
        y[:] = rows[k]
        activate(code, y)
        slopes(code, y, d)
        for r in range(k):
            for i in range(x.size):
                scaled[r, i] = d[i] * rows[r, i]
        matmul_rows(W, scaled, inner)
        for r in range(k + 1):
            z = inner[r]
            for i in range(x.size):
                z[i] += keep * rows[r, i]
            if r < k and dU.shape[0]:
                add_matvec(W_in, dU[t, r], z)
        add_matvec(W_in, u[t], inner[k])
        for i in range(x.size):
            inner[k, i] += bias[i]
        matmul_rows(E, inner, rows)
        if tape.shape[0]:
            tape[t] = rows[:k]
    V[:], x[:] = rows[:k], rows[k]
