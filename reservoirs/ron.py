"""Reservoirs of random oscillators (RON)."""

import numpy as np

from penstock.checks import as_finite_float, as_int, as_non_negative_float, as_positive_float, seed_sequence
from penstock.reservoirs.drawing import draw_bias, draw_input_weights, draw_recurrent
from penstock.reservoirs.esn import as_dtype
from penstock.reservoirs.oscillators import CoRNN, warn_if_unstable
from penstock.scaling import scale_spectral_radius
from penstock.weights import uniform

__all__ = ["RON"]


class RON:
    """Make a network of random oscillators: `RON.random` returns a `CoRNN` without W_z, each oscillator its own."""

    @staticmethod
    def random(
        n_units=256,
        *,
        n_inputs=1,
        gamma=2.7,
        gamma_range=2.7,
        epsilon=4.7,
        epsilon_range=4.7,
        dt=0.042,
        spectral_radius=0.99,
        input_scaling=1.0,
        bias_scaling=1.0,
        weights=uniform,
        density=None,
        scale=scale_spectral_radius,
        dtype=np.float64,
        seed,
    ):
        """Return a random oscillators network.

        z_t = z + dt (tanh(W y + W_in u_t + b) - gamma_i y - epsilon_i z), y_t = y + dt z_t; a readout sees y.

        Most released scripts start from ``dt=0.076, gamma=0.4, gamma_range=2.7, epsilon=8.0, epsilon_range=4.7``. That
        gives a third of the oscillators a negative stiffness, so that their positions grow by about a percent in a step
        whatever the input: bearable in series of a thousand steps at most. The defaults here are those of the authors'
        script for sequential MNIST instead, whose oscillators are all stable. For ``gamma=1, gamma_range=0,
        epsilon_range=0`` they scale W by ``partial(penstock.scaling.scale_leaky, leak=dt**2)``.

        Parameters
        ----------
        n_units, n_inputs : int
            Number N of oscillators, whose state has 2 N numbers, and of input channels m.
        gamma, gamma_range, epsilon, epsilon_range : float
            Centres and widths of the uniform laws of stiffness and damping; `epsilon_range` at most twice `epsilon`, so
            that no damping is negative.
        dt : float
            Time step.
        spectral_radius : float or None
            Spectral radius of W, which may exceed 1: the stiffness holds against it. None leaves W as drawn.
        input_scaling : float or array, shape (m,)
            Input weights are uniform in [0, input_scaling), none negative.
        bias_scaling : float
            Biases are uniform in ±bias_scaling; the authors take `input_scaling` for it.
        weights, density, scale, dtype
            As in `ESN.random`.
        seed : int or numpy.random.SeedSequence
            W, W_in, bias, gamma and epsilon come from independent streams.

        Returns
        -------
        CoRNN
            With ``W_z=None``.

        Raises
        ------
        ValueError, TypeError
            If an argument is of no use.

        Warns
        -----
        EchoStateWarning
            If an oscillator by itself is unstable.

        References
        ----------
        A. Ceni, A. Cossu, M. W. Stölzle, J. Liu, C. Della Santina, D. Bacciu, C. Gallicchio (2024), Random oscillators
        network for time series processing, AISTATS.

        Examples
        --------
        >>> import numpy as np
        >>> ron = RON.random(100, seed=0)
        >>> ron
        CoRNN(n_units=200, n_inputs=1, gamma=1.37…4.02, epsilon=2.43…7.02, dt=0.042, W=dense, W_z=None, float64)
        >>> bool((np.abs(ron.uncoupled_spectrum()) < 1).all())
        True
        """
        n_units, dtype = as_int("n_units", n_units), as_dtype(dtype)
        as_positive_float("dt", dt)
        for_W, for_W_in, for_bias, for_gamma, for_epsilon = seed_sequence(seed).spawn(5)
        stiffness = _draw_around("gamma", gamma, gamma_range, n_units, for_gamma)
        damping = _draw_around("epsilon", epsilon, epsilon_range, n_units, for_epsilon)
        if epsilon_range > 2 * epsilon:
            raise ValueError(f"epsilon_range must be at most 2 epsilon = {2 * epsilon:g}, got {epsilon_range}")
        W_in = np.abs(draw_input_weights(n_units, n_inputs, input_scaling, for_W_in))
        bias = draw_bias(n_units, bias_scaling, for_bias)
        W = draw_recurrent(n_units, spectral_radius, for_W, weights=weights, density=density, scale=scale)
        net = CoRNN(W.astype(dtype), None, W_in, bias, gamma=stiffness, epsilon=damping, dt=dt)
        warn_if_unstable(net)
        return net


def _draw_around(name, centre, width, size, seed):
    """Return a vector uniform in centre ± width / 2."""
    centre, width = as_finite_float(name, centre), as_non_negative_float(f"{name}_range", width)
    return centre + width * np.random.default_rng(seed).uniform(-0.5, 0.5, size)
