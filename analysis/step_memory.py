"""Memory function of a step input: how fast a system forgets that something changed."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from penstock.analysis.regression import count_observed
from penstock.checks import as_finite_array, as_int
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["DecayFit", "StepMemory", "step_memory"]

FLOOR = 1e-13  # of the outputs: smaller differences are their rounding


class DecayFit(NamedTuple):
    """A straight line through ln M, against t for an exponential, against ln(t + 1) for a power law.

    ``M = prefactor exp(-rate t)`` or ``M = prefactor (t + 1)^-rate``; `residual` is the root mean square of ln M minus
    the line, NaN with the others if fewer than three values can be fitted.
    """

    rate: float
    prefactor: float
    residual: float


@dataclass(frozen=True, repr=False, eq=False)
class StepMemory:
    """Hold the memory function of a step input and the two laws of decay fitted to it.

    Attributes
    ----------
    memory : array, shape (T - 1,)
        M(t) = ‖y_{t+1} - y_t‖ for t = 0, 1, ...; the step arrives with y_0.
    exponential, power_law : DecayFit
        Rate per step, and exponent. The smaller residual tells the better law.
    fitted : array of int
        The t of the fit: those above the rounding of the outputs, less the first ones if asked.
    drift : float
        ‖y_{-1} - y_{-2}‖, the change in the last step at rest, before the step input: 0 if the system had settled.
        Without washout, how far one step at zero input leads from zero.
    settled : bool
        Whether the drift is below 1e-6 of the largest M. If not, M is not the answer to the step alone.
    amplitude : array, shape (m,)
        Size of the step in every input channel.
    washout : int
        Steps at zero input before it.
    """

    memory: np.ndarray
    exponential: DecayFit
    power_law: DecayFit
    fitted: np.ndarray
    drift: float
    settled: bool
    amplitude: np.ndarray
    washout: int

    def plot(self, ax=None):
        """Draw the memory function with both fits, logarithmic; return the matplotlib axes."""
        from penstock.analysis.plots import plot_step_memory

        return plot_step_memory(self, ax)

    def __repr__(self):
        return "\n".join(
            [
                f"StepMemory: M(0) = {self.memory[0]:.4g}, M({len(self.memory) - 1}) = {self.memory[-1]:.2g}",
                f"  exponential rate {self.exponential.rate:.4g} per step, residual {self.exponential.residual:.2g} in "
                "ln M",
                f"  power law   exponent {self.power_law.rate:.4g}, residual {self.power_law.residual:.2g} in ln M",
                f"  fitted      {len(self.fitted)} of {len(self.memory)} values"
                + (f", t = {self.fitted[0]}..{self.fitted[-1]}" if len(self.fitted) else ""),
                f"  input       step of {self.amplitude.tolist()} after {self.washout} steps at zero: "
                + (
                    "settled"
                    if self.settled
                    else f"NOT settled, the system still moved by {self.drift:.2g} per step; M is not the step's alone"
                ),
            ]
        )


@one_blas_thread
def step_memory(
    system: System,
    *,
    amplitude=1.0,
    n_steps: int = 1024,
    readout=None,
    fit_from: int = 0,
    washout: int = 500,
) -> StepMemory:
    """Measure the memory function of a step input, M(t) = ‖y_{t+1} - y_t‖, and how it decays.

    The system rests at zero input; from then on the input is `amplitude`. In a linear system ``x' = A x + C u``,
    ``y = c . x``, M(t) is ``|c A^{t+1} C u|``, the impulse response. An exponential decay is all that a nonlinear
    network can approximate in a stable way (the curse of memory); a power law needs a memory built for it.

    Parameters
    ----------
    system : System
        Any system with inputs.
    amplitude : float or array, shape (m,), optional
        Size of the step. Of a nonlinear system M depends on it.
    n_steps : int, optional
        Steps with the input on, at least 2.
    readout : array, shape (N,) or (n_outputs, N), optional
        Output weights, y = readout @ x; by default y is the observed state, N units.
    fit_from : int, optional
        First t of the fits, where the slow part of the decay has taken over.
    washout : int, optional
        Steps at zero input before; the start is zero. A system without bias rests there from the first.

    Returns
    -------
    StepMemory

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    S. Wang, Z. Li, Q. Li, Inverse approximation theory for nonlinear recurrent neural networks, ICLR (2024).

    Examples
    --------
    A leaky unit forgets exponentially, with the rate -ln 0.8:

    >>> from penstock import Map
    >>> result = step_memory(Map(lambda x, u: 0.8 * x + u, n_units=1, n_inputs=1), n_steps=50)
    >>> round(result.exponential.rate, 6), round(float(-np.log(0.8)), 6)
    (0.223144, 0.223144)
    """
    system = as_system(system)
    n_observed = count_observed(system, "for a step")
    n_steps, washout = as_int("n_steps", n_steps, minimum=2), as_int("washout", washout, minimum=0)
    fit_from = as_int("fit_from", fit_from, minimum=0)
    if fit_from > n_steps - 2:
        raise ValueError(f"fit_from must be at most n_steps - 2 = {n_steps - 2}, got {fit_from}")
    amplitude = np.atleast_1d(as_finite_array("amplitude", amplitude, ndim=(0, 1)))
    if amplitude.shape not in {(1,), (system.n_inputs,)}:
        raise ValueError(f"amplitude must be a number or have shape ({system.n_inputs},), got {amplitude.shape}")
    if not amplitude.any():
        raise ValueError("amplitude must not be 0")
    amplitude = np.broadcast_to(amplitude, system.n_inputs).copy()
    weights = _check_readout(readout, n_observed)
    u = np.zeros((washout + n_steps, system.n_inputs))
    u[washout:] = amplitude
    states = np.concatenate([np.zeros((1, system.n_units)), system.run(u)])
    still = np.concatenate([states[max(washout - 1, 0)][None], states[[washout]]])
    if washout == 0:  # does it rest at zero?
        still[1] = system.step(states[0], np.zeros(system.n_inputs))
    y, rest = (_outputs(x[:, system.observed], weights) for x in (states[washout:], still))
    drift = float(np.linalg.norm(rest[1] - rest[0]))
    return _make_result(y, drift, fit_from, amplitude, washout, system.dtype)


def _check_readout(readout, n_units) -> np.ndarray | None:
    if readout is None:
        return None
    weights = np.atleast_2d(as_finite_array("readout", readout, ndim=(1, 2)))
    if weights.shape[1] != n_units:
        raise ValueError(f"readout must have shape ({n_units},) or (n_outputs, {n_units}), got {np.shape(readout)}")
    return weights


def _outputs(states, weights) -> np.ndarray:
    return states.astype(np.float64) if weights is None else states @ weights.T


def _make_result(y, drift, fit_from, amplitude, washout, dtype) -> StepMemory:
    """Take the outputs from the last step at rest on: y[1] is the first that the step input reaches."""
    memory = np.linalg.norm(np.diff(y[1:], axis=0), axis=1)
    floor = np.linalg.norm(y, axis=1).max() * FLOOR * np.finfo(dtype).eps / np.finfo(np.float64).eps
    above = memory > floor
    t = np.arange(fit_from, fit_from + int(np.logical_and.accumulate(above[fit_from:]).sum()))
    return StepMemory(
        memory=memory,
        exponential=_fit(t, memory[t]),
        power_law=_fit(np.log(t + 1), memory[t]),
        fitted=t,
        drift=drift,
        settled=drift <= 1e-6 * memory.max(initial=0.0),
        amplitude=amplitude,
        washout=washout,
    )


def _fit(x, memory) -> DecayFit:
    if len(memory) < 3:
        return DecayFit(np.nan, np.nan, np.nan)
    y = np.log(memory)
    slope = (x - x.mean()) @ (y - y.mean()) / ((x - x.mean()) ** 2).sum()
    start = y.mean() - slope * x.mean()
    residual = np.sqrt(np.mean((y - start - slope * x) ** 2))
    return DecayFit(float(-slope), float(np.exp(start)), float(residual))
