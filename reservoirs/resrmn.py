"""Residual reservoir memory networks: a linear ring that stores the input beside a residual reservoir."""

import warnings
from dataclasses import replace

import numpy as np

from penstock.checks import as_finite_float, as_int, seed_sequence
from penstock.reservoirs.drawing import EchoStateWarning, draw_input_weights
from penstock.reservoirs.esn import ESN, as_dtype
from penstock.reservoirs.residual import ResESN
from penstock.reservoirs.stack import Stack
from penstock.vmath import identity
from penstock.weights import ring

__all__ = ["ResRMN"]


class ResRMN:
    """Make a residual reservoir memory network: `ResRMN.random` returns a `Stack` of a linear ring and a `ResESN`."""

    @staticmethod
    def random(
        n_units,
        *,
        n_memory,
        n_inputs=1,
        memory_input_scaling=1.0,
        memory_scaling=1.0,
        input_scaling=1.0,
        memory_radius=1.0,
        seed,
        dtype=np.float64,
        **reservoir,
    ):
        """Return a residual reservoir beside a linear memory.

        m_t = r C m_{t-1} + V_x u_t and h_t = alpha O h_{t-1} + beta tanh(W h_{t-1} + W_m m_t + W_x u_t + b), with C
        the cyclic shift. The reservoir sees the memory of the same step; a readout sees h only. The Jacobian's
        spectrum is the union of the N_m roots of r^{N_m} and of that of the reservoir.

        Parameters
        ----------
        n_units, n_memory, n_inputs : int
            Sizes of h, m and u. The ring keeps the last `n_memory` inputs apart.
        memory_input_scaling, memory_scaling, input_scaling : float
            Half-widths of the uniform laws of V_x, W_m and W_x.
        memory_radius : float
            Weight r of the ring; 1 (the paper's) never forgets, so a long run needs r < 1.
        seed : int or numpy.random.SeedSequence
            Every matrix from its own stream.
        **reservoir
            Other settings of `ResESN.random`: alpha, beta, skip, spectral_radius, bias_scaling, …

        Returns
        -------
        Stack
            With ``layers = (memory, reservoir)``, ``concat=False`` and ``feed_input=True``.

        Raises
        ------
        ValueError, TypeError
            If a size is not a positive integer or a scaling not finite.

        References
        ----------
        M. Pinna, A. Ceni, C. Gallicchio (2025), Residual reservoir memory networks, arXiv 2508.09925.

        Examples
        --------
        >>> import numpy as np
        >>> net = ResRMN.random(50, n_memory=30, alpha=0.9, beta=0.1, memory_radius=0.99, seed=0)
        >>> net.n_units, net.run(np.ones(5))[:, net.observed].shape
        (80, (5, 50))
        """
        n_memory, n_inputs = as_int("n_memory", n_memory), as_int("n_inputs", n_inputs)
        for_V, for_W, for_reservoir = seed_sequence(seed).spawn(3)
        V_x = draw_input_weights(n_memory, n_inputs, memory_input_scaling, for_V, "memory_input_scaling")
        W_m = draw_input_weights(as_int("n_units", n_units), n_memory, memory_scaling, for_W, "memory_scaling")
        if abs(as_finite_float("memory_radius", memory_radius)) > 1:
            warnings.warn(f"memory_radius {memory_radius} is above 1: the memory grows", EchoStateWarning, stacklevel=2)
        memory = ESN(ring(n_memory, memory_radius).astype(as_dtype(dtype)), V_x, activation=identity)
        plain = ResESN.random(
            n_units, n_inputs=n_inputs, input_scaling=input_scaling, seed=for_reservoir, dtype=dtype, **reservoir
        )
        return Stack((memory, replace(plain, W_in=np.hstack([W_m, plain.W_in]))), concat=False, feed_input=True)
