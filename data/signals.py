"""Signals of the field: delay equations, flows, maps and one partial differential equation, each to a stated accuracy.

All functions are deterministic and return samples `dt` apart. The first `washout` samples are a transient and are
dropped; with ``washout=0`` the first sample is the initial state. A chaotic series is reproducible bit for bit on one
machine, but between machines only until rounding has grown to the size of the attractor.
"""

import math

import numpy as np
from numba import njit
from scipy.integrate import solve_ivp

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_int,
    as_non_negative_float,
    as_positive_float,
    seed_sequence,
)

__all__ = [
    "MSO_FREQUENCIES",
    "double_scroll",
    "henon",
    "kuramoto_sivashinsky",
    "logistic",
    "lorenz63",
    "lorenz96",
    "mackey_glass",
    "multiple_superimposed_oscillators",
    "rossler",
]

MSO_FREQUENCIES = (0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97)

_BOUND = 1e4  # a flow that gets this far has left its attractor for good


def mackey_glass(n_steps, *, tau=17.0, dt=1.0, beta=0.2, gamma=0.1, power=10.0, history=1.2, substeps=10, washout=1000):
    """Integrate the Mackey-Glass delay equation; return its samples, shape (n_steps,).

    x'(t) = beta x(t - tau) / (1 + x(t - tau)^power) - gamma x(t), with x(t) = history for t <= 0.

    Classical Runge-Kutta of order 4, with the delayed values from cubic Hermite interpolation. The internal step
    always divides `tau`, so that the kinks which the start sends through the solution at 0, tau, 2 tau, ... fall on
    step boundaries and the order holds for every `tau` and `dt`. With all defaults (internal step 0.1) the error
    is 1e-9 at most for 0 <= t <= 100 and 6e-9 at most up to t = 500, 16 times less for twice the substeps.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    tau : float
        Delay, above 0, in the same unit of time as `dt`. 17 is mildly chaotic, 30 strongly.
    dt : float
        Time between two samples.
    beta, gamma, power : float
        Production rate, decay rate and exponent of the equation, each above 0.
    history : float
        Constant value before time 0, at least 0. Different values give different stretches of the same attractor.
    substeps : int
        The internal step is the largest fraction of `tau` that is at most ``dt / substeps``.
    washout : int
        Number of samples dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    Mackey and Glass (1977), Science 197, 287.

    Examples
    --------
    The exact first sample, while the delayed value is still 1.2, is P/gamma + (1.2 - P/gamma) exp(-gamma):

    >>> mackey_glass(2, washout=0).round(6)
    array([1.2     , 1.117562])
    """
    n_steps, washout, substeps = _lengths(n_steps, washout, substeps)
    tau, dt = as_positive_float("tau", tau), as_positive_float("dt", dt)
    beta, gamma = as_positive_float("beta", beta), as_positive_float("gamma", gamma)
    power, history = as_positive_float("power", power), as_non_negative_float("history", history)
    # The small allowance keeps rounding in tau / dt from adding a step where dt / substeps divides tau.
    steps_per_delay = max(1, math.ceil(tau * substeps / dt - 1e-9))
    out = np.empty(n_steps)
    equation = (beta, gamma, power, history, tau / steps_per_delay, dt * steps_per_delay / tau)
    _mackey_glass_kernel(equation, np.full(steps_per_delay + 1, history), np.zeros(steps_per_delay + 1), washout, out)
    return _finite(out)


def lorenz63(n_steps, *, dt=0.02, sigma=10.0, rho=28.0, beta=8 / 3, x0=(1.0, 1.0, 1.0), washout=1000):
    """Integrate the Lorenz equations of 1963; return the samples of (x, y, z), shape (n_steps, 3).

    x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z.

    Runge-Kutta of order 8 (DOP853) at a tolerance of 1e-10: from the default start the error is below 2e-8 up to
    t = 10; the largest exponent, 0.906, brings it to the size of the attractor near t = 30.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    dt : float
        Time between two samples.
    sigma, rho, beta : float
        Prandtl number, scaled Rayleigh number and aspect parameter.
    x0 : array, shape (3,)
        Initial state.
    washout : int
        Number of samples dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or the trajectory runs away, past 1e4.

    References
    ----------
    Lorenz (1963), J. Atmos. Sci. 20, 130.

    Examples
    --------
    >>> lorenz63(3, dt=0.5, x0=(0.0, 0.0, 1.0), washout=0)[:, 2].round(6)  # on the z axis z = exp(-beta t)
    array([1.      , 0.263597, 0.069483])
    """
    sigma, rho, beta = as_finite_float("sigma", sigma), as_finite_float("rho", rho), as_finite_float("beta", beta)

    def rhs(time, state):
        x, y, z = state
        return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    return _integrate(rhs, _start(x0, 3), n_steps, dt, washout)


def rossler(n_steps, *, dt=0.1, a=0.2, b=0.2, c=5.7, x0=(-0.1, 0.0, 0.02), washout=1000):
    """Integrate the Rössler equations; return the samples of (x, y, z), shape (n_steps, 3).

    x' = -y - z, y' = x + a y, z' = b + z (x - c). DOP853 at a tolerance of 1e-10.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    dt : float
        Time between two samples.
    a, b, c : float
        Parameters of the equations.
    x0 : array, shape (3,)
        Initial state.
    washout : int
        Number of samples dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or the trajectory runs away, past 1e4.

    References
    ----------
    Rössler (1976), Phys. Lett. A 57, 397.

    Examples
    --------
    >>> bool(rossler(5000)[:, 0].max() > 10)
    True
    """
    a, b, c = as_finite_float("a", a), as_finite_float("b", b), as_finite_float("c", c)

    def rhs(time, state):
        x, y, z = state
        return -y - z, x + a * y, b + z * (x - c)

    return _integrate(rhs, _start(x0, 3), n_steps, dt, washout)


def double_scroll(
    n_steps,
    *,
    dt=0.25,
    r1=1.2,
    r2=3.44,
    r4=0.193,
    alpha=11.6,
    i_r=2.25e-5,
    x0=(0.37926545, 0.058339, -0.08167691),
    washout=1000,
):
    """Integrate the double-scroll circuit; return the samples of (V1, V2, I), shape (n_steps, 3).

    V1' = V1 / r1 - g, V2' = g - I, I' = V2 - r4 I, with g = dV / r2 + 2 i_r sinh(alpha dV) and dV = V1 - V2.

    A circuit of two capacitors, a coil and a pair of diodes, in units without dimension. DOP853 at a tolerance of
    1e-10: from the default start the error is below 1e-8 up to t = 10 and below 5e-7 up to t = 50; the largest
    exponent is 0.128, a Lyapunov time 7.81. All equations are odd: with (V1, V2, I) the mirrored
    trajectory is a solution too, which products of an even number of values cannot express.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    dt : float
        Time between two samples.
    r1, r2, r4 : float
        Resistances, the first two not 0.
    alpha, i_r : float
        Steepness of the diodes and their reverse current.
    x0 : array, shape (3,)
        Initial state.
    washout : int
        Number of samples dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or the trajectory runs away.

    References
    ----------
    Gauthier, Bollt, Griffith and Barbosa (2021), Nature Communications 12, 5564, whose parameters, sampling and start
    are the defaults.

    Examples
    --------
    >>> double_scroll(2, washout=0).round(3).tolist()
    [[0.379, 0.058, -0.082], [0.44, 0.1, -0.058]]
    """
    r1, r2, r4 = as_finite_float("r1", r1), as_finite_float("r2", r2), as_finite_float("r4", r4)
    alpha, i_r = as_finite_float("alpha", alpha), as_finite_float("i_r", i_r)
    for name, value in (("r1", r1), ("r2", r2)):
        if value == 0:
            raise ValueError(f"{name} must not be 0, got {value}")

    def rhs(time, state):
        v1, v2, current = state
        difference = v1 - v2
        through = difference / r2 + 2 * i_r * np.sinh(alpha * difference)
        return v1 / r1 - through, through - current, v2 - r4 * current

    return _integrate(rhs, _start(x0, 3), n_steps, dt, washout)


def lorenz96(n_steps, *, n_variables=40, forcing=8.0, dt=0.01, x0=None, seed=None, washout=1000):
    """Integrate the Lorenz equations of 1996 on a ring; return the samples, shape (n_steps, n_variables).

    x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + forcing, indices modulo n_variables. DOP853 at a tolerance of 1e-10.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    n_variables : int
        Number of variables on the ring, at least 4.
    forcing : float
        Forcing F; the uniform state x_i = F is a fixed point, 8 gives chaos.
    dt : float
        Time between two samples.
    x0 : array, shape (n_variables,) or (B, n_variables), optional
        Initial state; a batch of B of them gives B trajectories, shape (B, n_steps, n_variables).
    seed : int, optional
        Draws x0 from the uniform law on [forcing - 0.5, forcing + 0.5). Give either `x0` or `seed`.
    washout : int
        Number of samples dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or if both or neither of `x0` and `seed` are given.

    References
    ----------
    Lorenz (1996), Predictability: a problem partly solved; Lorenz and Emanuel (1998), J. Atmos. Sci. 55, 399.

    Examples
    --------
    >>> lorenz96(100, seed=0).shape
    (100, 40)
    """
    n_variables, forcing = as_int("n_variables", n_variables, minimum=4), as_finite_float("forcing", forcing)
    if (x0 is None) == (seed is None):
        raise ValueError(f"give either x0 or seed, got x0={x0!r} and seed={seed!r}")
    if x0 is None:
        x0 = np.random.default_rng(seed_sequence(seed)).uniform(forcing - 0.5, forcing + 0.5, n_variables)
    x0 = as_finite_array("x0", x0, ndim=(1, 2))
    if x0.shape[-1] != n_variables:
        raise ValueError(f"x0 must have shape ({n_variables},) or (B, {n_variables}), got {x0.shape}")

    after, before, second_before = (np.arange(n_variables) + shift for shift in (1 - n_variables, -1, -2))

    def rhs(time, flat):
        x = flat.reshape(x0.shape)
        return ((x[..., after] - x[..., second_before]) * x[..., before] - x + forcing).ravel()

    samples = _integrate(rhs, x0.ravel(), n_steps, dt, washout).reshape(-1, *x0.shape)
    return samples if x0.ndim == 1 else np.ascontiguousarray(samples.swapaxes(0, 1))


def henon(n_steps, *, a=1.4, b=0.3, x0=(0.0, 0.0), washout=1000):
    """Iterate the Hénon map; return the states (x, y), shape (n_steps, 2).

    x' = 1 - a x^2 + y, y' = b x.

    Parameters
    ----------
    n_steps : int
        Number of states.
    a, b : float
        Parameters of the map; its Jacobian has determinant -b everywhere.
    x0 : array, shape (2,)
        Initial state.
    washout : int
        Number of states dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or the orbit does not stay finite.

    References
    ----------
    Hénon (1976), Commun. Math. Phys. 50, 69.

    Examples
    --------
    >>> henon(3, washout=0).round(3).tolist()
    [[0.0, 0.0], [1.0, 0.0], [-0.4, 0.3]]
    """
    n_steps, washout, _ = _lengths(n_steps, washout)
    a, b = as_finite_float("a", a), as_finite_float("b", b)
    x, y = _start(x0, 2).tolist()
    out = np.empty((n_steps, 2))
    for step in range(-washout, n_steps):
        if step >= 0:
            out[step] = x, y
        x, y = 1.0 - a * x * x + y, b * x
    return _finite(out)


def logistic(n_steps, *, r=4.0, x0=0.1, washout=1000):
    """Iterate the logistic map x' = r x (1 - x); return the states, shape (n_steps,).

    Parameters
    ----------
    n_steps : int
        Number of states.
    r : float
        Growth rate in [0, 4]; at 4 the exact solution is sin^2(2^t arcsin(sqrt(x0))), at 3.9 it is chaotic as well.
    x0 : float
        Initial state in [0, 1].
    washout : int
        Number of states dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    May (1976), Nature 261, 459.

    Examples
    --------
    >>> logistic(4, washout=0).round(4)
    array([0.1   , 0.36  , 0.9216, 0.289 ])
    """
    n_steps, washout, _ = _lengths(n_steps, washout)
    r, x = as_non_negative_float("r", r), as_non_negative_float("x0", x0)
    if r > 4 or x > 1:
        raise ValueError(f"r must lie in [0, 4] and x0 in [0, 1], got r={r} and x0={x}")
    out = np.empty(n_steps)
    for step in range(-washout, n_steps):
        if step >= 0:
            out[step] = x
        x = r * x * (1.0 - x)
    return out


def kuramoto_sivashinsky(n_steps, *, length=22.0, n_points=64, dt=0.25, substeps=2, x0=None, washout=1000):
    """Integrate the Kuramoto-Sivashinsky equation on a ring; return u(x_j, t), shape (n_steps, n_points).

    u_t = -u u_x - u_xx - u_xxxx on [0, length), x_j = j length / n_points, by Fourier series in space and
    exponential time differencing of order 4 (ETDRK4) in time. The mean of u is conserved. With all defaults but no
    washout the error is 1e-4 at most up to t = 10 and 3e-3 at most up to t = 100, of values up to 3; four times the
    substeps divide it by about 150.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    length : float
        Period in space; 22 is the smallest one commonly studied as chaotic. Modes with 2 pi m < length grow.
    n_points : int
        Number of grid points, at least 2 length / pi, that is, four for the shortest growing wave.
    dt : float
        Time between two samples.
    substeps : int
        Number of internal steps per sample.
    x0 : array, shape (n_points,), optional
        Initial profile; by default two waves, cos(q) + cos(2 q + 1) / 2 with q = 2 pi x / length, chosen because no
        reflection maps them onto themselves: a symmetric profile would stay symmetric for ever.
    washout : int
        Number of samples dropped at the start.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or the solution does not stay finite (steps too large).

    References
    ----------
    Kassam and Trefethen (2005), SIAM J. Sci. Comput. 26, 1214; Cvitanović, Davidchack and Siminos (2010),
    SIAM J. Appl. Dyn. Syst. 9, 1, for length 22.

    Examples
    --------
    >>> u = kuramoto_sivashinsky(200)
    >>> u.shape, bool(abs(u.mean(axis=1)).max() < 1e-12)
    ((200, 64), True)
    """
    n_steps, washout, substeps = _lengths(n_steps, washout, substeps)
    length, dt = as_positive_float("length", length), as_positive_float("dt", dt)
    n_points = as_int("n_points", n_points, minimum=math.ceil(2 * length / math.pi))
    q = 2 * np.pi * np.arange(n_points) / n_points
    u = np.cos(q) + 0.5 * np.cos(2 * q + 1) if x0 is None else _start(x0, n_points)
    wave = 2 * np.pi / length * np.arange(n_points // 2 + 1)
    tables = _etdrk4_tables(dt / substeps, wave**2 - wave**4)
    out, mode = np.empty((n_steps, n_points)), np.fft.rfft(u)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(-washout, n_steps):
            if step >= 0:
                out[step] = np.fft.irfft(mode, n_points)
            for _ in range(substeps):
                mode = _etdrk4_step(mode, tables, -0.5j * wave, n_points)
    return _finite(out)


def multiple_superimposed_oscillators(n_steps, frequencies=MSO_FREQUENCIES, *, dt=1.0):
    """Add up sines of the given angular frequencies; return the sum, shape (n_steps,).

    y_t = sum_i sin(frequencies_i t dt), t = 0, 1, ... The task "MSO k" takes ``frequencies=MSO_FREQUENCIES[:k]``.

    Parameters
    ----------
    n_steps : int
        Number of samples.
    frequencies : sequence of float
        Angular frequencies in radians per unit of time, the usual eight by default.
    dt : float
        Time between two samples.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or there is no frequency.

    References
    ----------
    Wierstra, Gomez and Schmidhuber (2005), GECCO, 1795; Koryakin, Lohmann and Butz (2012), Neural Networks 36, 35.

    Examples
    --------
    >>> multiple_superimposed_oscillators(3, MSO_FREQUENCIES[:2]).round(4)
    array([0.    , 0.5047, 0.9721])
    """
    n_steps, dt = as_int("n_steps", n_steps), as_positive_float("dt", dt)
    frequencies = as_finite_array("frequencies", frequencies, ndim=1)
    if frequencies.size == 0:
        raise ValueError("frequencies must hold at least one number, got none")
    return np.sin(np.multiply.outer(dt * np.arange(n_steps), frequencies)).sum(axis=1)


def _lengths(n_steps, washout, substeps=1):
    return as_int("n_steps", n_steps), as_int("washout", washout, minimum=0), as_int("substeps", substeps)


def _start(x0, size):
    x0 = as_finite_array("x0", x0, ndim=1)
    if x0.shape != (size,):
        raise ValueError(f"x0 must have shape ({size},), got {x0.shape}")
    return x0


def _finite(samples):
    if not np.isfinite(samples).all():
        raise ValueError(
            "the parameters and x0 must give a bounded solution, got one that runs away; "
            "start nearer the attractor, or take the published parameters or a smaller step"
        )
    return samples


def _integrate(rhs, x0, n_steps, dt, washout):
    """Sample the solution of x' = rhs(t, x) at (washout + k) dt; return (n_steps, n)."""
    n_steps, washout, _ = _lengths(n_steps, washout)
    dt = as_positive_float("dt", dt)
    times = dt * np.arange(washout, washout + n_steps)

    def inside(time, state):
        return _BOUND - np.abs(state).max()

    # Without an end a runaway would keep the adaptive steps shrinking for ever.
    inside.terminal = True  # type: ignore[attr-defined]
    span, tolerance = (0.0, max(times[-1], dt)), 1e-10
    with np.errstate(over="ignore", invalid="ignore"):
        solution = solve_ivp(
            rhs, span, x0, method="DOP853", t_eval=times, events=inside, rtol=tolerance, atol=tolerance
        )
    return _finite(np.ascontiguousarray(solution.y.T) if solution.status == 0 else np.full(1, np.nan))


def _etdrk4_tables(h, linear):
    """Return exp(z), exp(z / 2) and the four weights of ETDRK4 for z = h linear.

    The weights are differences of nearly equal numbers near z = 0. As means over a circle around z they are accurate
    for every z (Kassam and Trefethen 2005, eq. 2.5); the 32 nodes leave no error above rounding.
    """
    nodes = np.exp(1j * np.pi * (np.arange(1, 33) - 0.5) / 32)  # upper half: the lower one gives the conjugates
    z = h * linear[:, None] + nodes
    e = np.exp(z)
    weights = (
        (np.exp(z / 2) - 1) / z,
        (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
        (2 + z + e * (z - 2)) / z**3,
        (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
    )
    return np.exp(h * linear), np.exp(h * linear / 2), *(h * w.real.mean(axis=1) for w in weights)


def _etdrk4_step(mode, tables, minus_half_derivative, n_points):
    whole, half, q, first, middle, last = tables

    def advection(m):
        return minus_half_derivative * np.fft.rfft(np.fft.irfft(m, n_points) ** 2)

    n1 = advection(mode)
    a = half * mode + q * n1
    n2 = advection(a)
    n3 = advection(half * mode + q * n2)
    n4 = advection(half * a + q * (2 * n3 - n1))
    return whole * mode + first * n1 + 2 * middle * (n2 + n3) + last * n4


@njit(cache=True, nogil=True, error_model="numpy")
def _mackey_glass_kernel(equation, values, slopes, skip, out):
    """Fill `out`; `values` and `slopes` are rings of x and x' at the last steps_per_delay + 1 steps."""
    beta, gamma, power, history, h, steps_per_sample = equation
    size = values.size
    x = history
    produced = beta * history / (1.0 + history**power)
    slope = produced - gamma * x  # from the right: x' jumps at t = 0
    sample = 0
    step = 0
    while sample < out.size:
        values[step % size], slopes[step % size] = x, slope
        old, new = (step + 1) % size, (step + 2) % size  # one delay before the step's two ends
        # Up to t = tau the delayed value is the history, whose slope is 0 also at t = 0, seen from the left.
        middle = history
        if step >= size - 1:
            middle = 0.5 * (values[old] + values[new]) + 0.125 * h * (slopes[old] - slopes[new])
        produced_middle = beta * middle / (1.0 + middle**power)
        produced = beta * values[new] / (1.0 + values[new] ** power)
        k2 = produced_middle - gamma * (x + 0.5 * h * slope)
        k3 = produced_middle - gamma * (x + 0.5 * h * k2)
        k4 = produced - gamma * (x + h * k3)
        x_next = x + h / 6.0 * (slope + 2.0 * k2 + 2.0 * k3 + k4)
        slope_next = produced - gamma * x_next
        while sample < out.size and (skip + sample) * steps_per_sample <= step + 1:
            s = (skip + sample) * steps_per_sample - step
            rise = x_next - x
            bend = (1.0 - s) * (h * slope - rise) + s * (rise - h * slope_next)
            out[sample] = x + s * (rise + (1.0 - s) * bend)
            sample += 1
        x, slope = x_next, slope_next
        step += 1
