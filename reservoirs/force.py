"""FORCE: train a readout online while its own output is fed back, so that errors are small from the start."""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_finite_array, as_fraction, as_int, as_positive_float, as_state, seed_sequence
from penstock.closed_loop import ClosedLoop
from penstock.online import ROUNDING, rls_step
from penstock.progress import track
from penstock.readout import Readout
from penstock.system import SystemDefaults, as_system
from penstock.threads import one_blas_thread

__all__ = ["ForceTraining", "force_train"]


@dataclass(frozen=True, eq=False, repr=False)
class ForceTraining:
    """Hold what FORCE has learned, how it went, and where the system stands.

    Attributes
    ----------
    readout : Readout
        Trained weights (k, n_observed), without an offset.
    outputs : array, shape (T, k)
        Outputs z_t at every step, each before the update of that step.
    target : array, shape (T, k)
        Targets f_t.
    weight_change : array, shape (n_updates, k)
        Length of the change of each output's weights at every update.
    update_steps : array of int, shape (n_updates,)
        The steps of the updates.
    state : array, shape (n,)
        Last state, from which the closed loop goes on.
    system : System
        The system that was trained, its feedback open.
    alpha, forgetting : float
        Initial penalty and forgetting factor.
    every, washout : int
        Steps between two updates, and before the first of them.
    """

    readout: Readout
    outputs: np.ndarray
    target: np.ndarray
    weight_change: np.ndarray
    update_steps: np.ndarray
    state: np.ndarray
    system: SystemDefaults
    alpha: float
    forgetting: float
    every: int
    washout: int

    @property
    def error(self) -> np.ndarray:
        """Output minus target at every step, (T, k)."""
        return self.outputs - self.target

    def closed_loop(self) -> ClosedLoop:
        """Return the trained system with its output fed back; it goes on from ``x0=result.state``."""
        return ClosedLoop(self.system, self.readout)

    def plot(self, ax=None):
        """Draw error and weight change over the steps, logarithmic; return the matplotlib axes."""
        from penstock.reservoirs.plots import plot_force_training

        return plot_force_training(self, ax)

    def __repr__(self):
        n_updates = len(self.update_steps)
        few = max(1, n_updates // 10)
        first, last = (np.sqrt((self.error[steps] ** 2).mean()) for steps in self._ends(few))
        start, end = (np.sqrt((rows**2).mean()) for rows in (self.weight_change[:few], self.weight_change[-few:]))
        lines = [
            f"ForceTraining: {self.target.shape[1]} outputs, {len(self.target)} steps, {n_updates} updates",
            f"  error         {first:.3g} -> {last:.3g} (root mean square before the first and last {few} updates)",
            f"  weight change {start:.3g} -> {end:.3g} (root mean square of the same updates)",
            f"  weights       length {np.linalg.norm(self.readout.W_out):.4g}",
            f"  settings      alpha={self.alpha:g}, every={self.every}, forgetting={self.forgetting:g}, "
            f"washout={self.washout}",
            f"  system        {self.system!r}",
        ]
        return "\n".join(lines)

    def _ends(self, few):
        return self.update_steps[:few], self.update_steps[-few:]


@one_blas_thread
def force_train(
    system,
    target,
    *,
    u=None,
    alpha=1.0,
    every=2,
    forgetting=1.0,
    washout=0,
    x0=None,
    W_out=None,
    seed=0,
    progress=True,
):
    """Train a linear readout by FORCE, with its output fed back into the last inputs of the system.

    x_t = F(x_{t-1}, [u_t, z_{t-1}]), z_t = W x_t. Every few steps W follows recursive least squares: with the error
    e_t = z_t - f_t before the update and k = P x_t,

        W <- W - e_t kᵀ / (λ + x_tᵀ k),   P <- (P - k kᵀ / (λ + x_tᵀ k)) / λ,   P(0) = I / alpha.

    The output as it was before the update is what is fed back. Errors so stay small from the first period on, and
    what remains to be learned is to hold the output without help. Whether the closed loop is stable is not guaranteed:
    run it.

    Parameters
    ----------
    system : System
        Any system with k inputs or more, the last k of which receive the outputs; chaotic ones learn best
        (``ESN.random(500, spectral_radius=1.5, leak=0.1, density=0.1, seed=…)``).
    target : array, shape (T,) or (T, k)
        What the outputs are to be, f_t.
    u : array, shape (T, m), optional
        Inputs from outside, the first channels of the system; (T,) if there is one.
    alpha : float
        Penalty at the start, above 0, which acts as the inverse of a learning rate: small ones learn at once, but
        may overshoot.
    every : int
        Steps between two updates.
    forgetting : float
        Forgetting factor λ in (0, 1] per update.
    washout : int
        Steps at the start of `target` before learning begins.
    x0 : array, shape (n,), optional
        Initial state. By default independent normal numbers of standard deviation 0.5 from `seed`: at the origin an
        odd network without bias would stay at rest, and learn nothing.
    W_out : array, shape (k, n_observed), optional
        Initial weights, zero by default.
    seed : int or SeedSequence
        Of the initial state.
    progress : bool
        Whether to show a progress bar after two seconds.

    Returns
    -------
    ForceTraining

    Raises
    ------
    ValueError, TypeError
        If a shape or number does not fit.
    FloatingPointError
        If the state or the weights diverge: names the step.

    References
    ----------
    D. Sussillo, L. F. Abbott (2009), Generating coherent patterns of activity from chaotic neural networks, Neuron 63,
    figure 1A and equations 1-5.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.reservoirs import ESN, force_train
    >>> esn = ESN.random(100, spectral_radius=0.95, leak=0.3, seed=0)
    >>> result = force_train(esn, np.sin(np.arange(2000) / 10), progress=False)
    >>> generated = result.readout(result.closed_loop().run(500, x0=result.state))
    >>> bool(abs(generated.std() - np.sqrt(0.5)) < 0.05)
    True
    """
    system = as_system(system)
    target, u = _check_series(system, target, u)
    W, x = _check_start(system, target.shape[1], W_out, x0, seed)
    alpha, forgetting = as_positive_float("alpha", alpha), as_fraction("forgetting", forgetting)
    every, washout = as_int("every", every), as_int("washout", washout, minimum=0)
    if washout + every > len(target):
        raise ValueError(f"target must be longer than washout + every = {washout + every} steps, got {len(target)}")
    update_steps = np.arange(washout + every - 1, len(target), every)
    outputs, change = np.empty_like(target), np.empty((len(update_steps), target.shape[1]))
    teacher, z = _Teacher(W, alpha, forgetting), W @ x[system.observed]
    drive, new = np.empty((1, system.n_inputs), system.dtype), np.empty((1, system.n_units), system.dtype)
    m = u.shape[1]
    for t in track(range(len(target)), len(target), "FORCE", progress):
        drive[0, :m], drive[0, m:] = u[t], z
        if system._run(drive, x, new):
            raise FloatingPointError(f"the state diverged at step {t}; raise alpha or lower the feedback weights")
        x[:] = new[0]
        seen = x[system.observed].astype(np.float64, copy=False)
        outputs[t] = z = W @ seen
        number, rest = divmod(t + 1 - washout - every, every)
        if rest == 0 and number >= 0:
            change[number] = teacher.learn(seen, target[t] - z, t)
    return ForceTraining(
        Readout(W, np.zeros(len(W))),
        outputs,
        target,
        change,
        update_steps,
        x,
        system,
        alpha,
        forgetting,
        every,
        washout,
    )


class _Teacher:
    """Recursive least squares without an offset, which changes W in place."""

    def __init__(self, W, alpha, forgetting):
        n = W.shape[1]
        self.W, self.forgetting, self.shrink, self.largest = W, forgetting, 1.0, 0.0
        self.P, self.pending, self.z = np.eye(n) / alpha, np.zeros(n), np.empty(n)

    def learn(self, x, errors, t):
        """Learn from the errors f - W x, (k,), of step t; return the length of the change of each row of W."""
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is noticed below
            self.largest = max(self.largest, float(x @ x), 1e-300)
            limit = ROUNDING * (1 - self.forgetting) * len(x) / self.largest
            before = self.W.copy()
            used = rls_step(self.W, self.P, self.pending, self.shrink, x, errors, self.z, 1.0, self.forgetting, limit)
            change = np.sqrt(((self.W - before) ** 2).sum(axis=1))
        if used == 0 or not np.isfinite(change).all():
            raise FloatingPointError(f"the weights diverged at step {t}; raise alpha")
        self.shrink = 1 / used
        return change


def _check_series(system, target, u):
    """Return the target (T, k) and the inputs from outside (T, m)."""
    target = as_finite_array("target", target, ndim=(1, 2))
    target = target[:, None] if target.ndim == 1 else target
    k, m = target.shape[1], system.n_inputs - target.shape[1]
    if k == 0 or m < 0:
        raise ValueError(
            f"target must have 1 to {system.n_inputs} channels, which enter the last inputs of system, got {k}"
        )
    if u is None:
        if m:
            raise ValueError(f"u must be given, shape ({len(target)}, {m}): system has {m} more inputs than outputs")
        return target, np.empty((len(target), 0))
    u = as_finite_array("u", u, ndim=(1, 2))
    u = u[:, None] if u.ndim == 1 else u
    if u.shape != (len(target), m):
        raise ValueError(
            f"u must have shape ({len(target)}, {m}): as many steps as target, and the {system.n_inputs} inputs of "
            f"system less its {k} outputs, got {u.shape}"
        )
    return target, u


def _check_start(system, k, W_out, x0, seed):
    """Return fresh initial weights (k, n_observed) and an initial state (n,)."""
    n_observed = len(range(*system.observed.indices(system.n_units)))
    W = np.array(np.zeros((k, n_observed)) if W_out is None else as_finite_array("W_out", W_out, ndim=2))
    if W.shape != (k, n_observed):
        raise ValueError(f"W_out must have shape ({k}, {n_observed}), got {W.shape}")
    if x0 is None:
        x0 = 0.5 * np.random.default_rng(seed_sequence(seed)).standard_normal(system.n_units)
    return W, as_state(x0, system.n_units, None, system.dtype)
