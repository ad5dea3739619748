"""Damped oscillators by themselves, in the steps of `CoRNN`: when they are stable, and how far a force moves them.

z_t = (1 - alpha) z + f_t - beta y and y_t = y + z_t, with positions in units of dt² and velocities in units of dt:
alpha = dt epsilon is the damping of a step, beta = dt² gamma its stiffness. With q the delay by one step, position
answers to force by 1 / D, D = 1 - (2 - alpha - beta) q + (1 - alpha) q², and velocity by (1 - q) / D. All functions
take arrays (N,), one entry per oscillator.
"""

import numpy as np

__all__ = ["absolute_sums", "are_stable", "decays", "peak_gains"]


def are_stable(alpha, beta):
    """Return whether both multipliers lie inside the unit circle, by Jury's conditions on D; bool (N,)."""
    return (beta > 0) & (alpha > 0) & (alpha < 2) & (2 * alpha + beta < 4)


def decays(alpha, beta):
    """Return 1 - multiplier twice, complex (N,), that of the multiplier of larger modulus first.

    They are the roots of d² - (alpha + beta) d + beta; the smaller one follows from the product, free of cancellation.
    """
    half = (alpha + beta) / 2
    square = half * half - beta
    large = half + np.copysign(1, half) * np.sqrt(square.astype(complex))
    small = np.where(square < 0, large.conj(), beta / np.where(large == 0, 1, large))
    swap = np.abs(1 - large) > np.abs(1 - small)
    return np.where(swap, large, small), np.where(swap, small, large)


def absolute_sums(alpha, beta):
    """Return upper bounds of the sums of the moduli of both impulse responses; infinite if unstable.

    1 / D is two first-order lags in a row, so the sum is at most the product of theirs, the exact 1 / beta where both
    multipliers are real and positive; by partial fractions it is also their weighted difference, the sharper bound for
    oscillations. Velocity has the same two forms. Over the whole range of stable rates the bounds were found to be at
    most 2 and 3 times the sums.
    """
    with np.errstate(all="ignore"):  # fmin takes the form that holds, the last line the oscillators that are stable
        first, second = decays(alpha, beta)
        s, r = (_margin(decay, alpha) for decay in (first, second))
        gap = np.abs(first - second)
        position = np.fmin(1 / (s * r), ((1 - s) / s + (1 - r) / r) / gap)
        velocity = np.fmin((1 + np.abs(first) / s) / r, (np.abs(first) / s + np.abs(second) / r) / gap)
    return tuple(np.where(are_stable(alpha, beta), bound, np.inf) for bound in (position, velocity))


def _margin(decay, alpha):
    """Return 1 - |multiplier|; the modulus of a complex pair is sqrt(1 - alpha)."""
    real = np.minimum(decay.real, 2 - decay.real)
    return np.where(decay.imag == 0, real, alpha / (1 + np.sqrt(np.abs(1 - alpha))))


def peak_gains(alpha, beta):
    """Return the largest moduli of both transfer functions over all frequencies; infinite if unstable.

    With s = 1 - cos(angle) in [0, 2] they are 1 / sqrt(Q) and sqrt(2 s / Q), where
    Q = (beta - (2 - alpha) s)² + alpha² s (2 - s) = beta² + slope s + 4 (1 - alpha) s². Q is least at its vertex or an
    end, Q / s at beta / (2 sqrt(1 - alpha)) or at 2.
    """

    def root_of_Q(s):  # as it stands on the left, for on the right weak damping is lost to cancellation
        return np.hypot(beta - (2 - alpha) * s, alpha * np.sqrt(s * (2 - s)))

    with np.errstate(all="ignore"):
        convex, curve, slope = alpha < 1, 4 * (1 - alpha), 2 * (alpha**2 - beta * (2 - alpha))
        at_y = np.where(convex, np.clip(-slope / (2 * curve), 0, 2), 2.0)
        at_z = np.where(convex, np.clip(beta / np.sqrt(curve), 0, 2), 2.0)
        position = 1 / np.minimum(root_of_Q(0.0), root_of_Q(at_y))
        velocity = np.sqrt(2 * at_z) / root_of_Q(at_z)
    return tuple(np.where(are_stable(alpha, beta), gain, np.inf) for gain in (position, velocity))
