"""The Legendre memory unit built from leaky integrate-and-fire populations (L2MU)."""

from dataclasses import KW_ONLY, dataclass

import numpy as np
import scipy

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_int,
    as_matrix,
    as_positive_float,
    generators,
)
from penstock.system import SystemDefaults

__all__ = ["L2MU"]


@dataclass(frozen=True, eq=False, repr=False)
class L2MU(SystemDefaults):
    """A Legendre memory unit in which every block is a spiking population.

    I_u = e_x u + e_h s_h + e_m s_m, I_m = A s_m + B s_u (for every memory dimension), I_h = W_x u + W_h s_h + W_m s_m;
    every block follows U_t = beta U_{t-1} + I_t - theta s_{t-1}, s_t = [U_t > theta].

    Encoding comes first: I_m and I_h use the new s_u and s_m, all else the spikes of the step before. The state holds
    the spikes of the hidden population, the observed part, then its potentials, then spikes and potentials of the
    memory (dimension after dimension) and of the encoding.

    Parameters
    ----------
    e_x : array, shape (d, m)
        From inputs to the d memory dimensions.
    e_h : array, shape (d, n)
        From the hidden population.
    e_m : array, shape (d, d * q)
        From the memory.
    W_x, W_h, W_m : array, shape (n, m), (n, n), (n, d * q)
        Into the hidden population.
    A, B : array, shape (q, q), (q,)
        Memory of every dimension in discrete time; those of a window of Legendre polynomials in `random`.
    beta_u, beta_m, beta_h : float
        Part of the potential that is left after a step, in [0, 1].
    theta_u, theta_m, theta_h : float
        Thresholds, positive.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is out of range. Derivatives are refused: spikes make the map jump.

    References
    ----------
    V. Fra, B. Leto, A. Pignata, E. Macii, G. Urgese (2024), Natively neuromorphic LMU architecture for encoding-free
    SNN-based HAR on commercial edge devices, arXiv 2407.04076. B. Leto, G. Urgese, E. Macii, V. Fra (2025), A LIF-based
    Legendre memory unit as neuromorphic state space model, NICE. Repository neuromorphic-polito/L2MU-Braille.

    Examples
    --------
    >>> unit = L2MU.random(50, n_inputs=12, memory_size=10, order=4, theta=7, seed=0)
    >>> unit.run(np.ones((20, 12)))[:, unit.observed].shape
    (20, 50)
    """

    e_x: np.ndarray
    e_h: np.ndarray
    e_m: np.ndarray
    _: KW_ONLY
    W_x: np.ndarray
    W_h: np.ndarray
    W_m: np.ndarray
    A: np.ndarray
    B: np.ndarray
    beta_u: float = 0.65
    beta_m: float = 0.35
    beta_h: float = 0.15
    theta_u: float = 0.1
    theta_m: float = 0.4
    theta_h: float = 0.75

    def __post_init__(self):
        e_x = as_finite_array("e_x", self.e_x, ndim=2)
        W_x = as_finite_array("W_x", self.W_x, ndim=2)
        B = as_finite_array("B", self.B, ndim=1)
        (d, m), n, q = e_x.shape, len(W_x), B.size
        shapes = {"W_x": (n, m), "e_h": (d, n), "e_m": (d, d * q), "W_h": (n, n), "W_m": (n, d * q), "A": (q, q)}
        arrays = {"e_x": e_x, "B": B}
        arrays |= {name: as_matrix(name, getattr(self, name), shape, np.float64) for name, shape in shapes.items()}
        for name, value in arrays.items():
            object.__setattr__(self, name, value)
        for block in "umh":
            beta = as_finite_float(f"beta_{block}", getattr(self, f"beta_{block}"))
            if not 0 <= beta <= 1:
                raise ValueError(f"beta_{block} must lie in [0, 1], got {beta}")
            object.__setattr__(self, f"beta_{block}", beta)
            object.__setattr__(
                self, f"theta_{block}", as_positive_float(f"theta_{block}", getattr(self, f"theta_{block}"))
            )

    @classmethod
    def random(
        cls,
        n_units: int,
        *,
        n_inputs: int = 1,
        memory_size: int = 1,
        order: int = 4,
        theta: float = 7.0,
        transposed: bool = False,
        seed,
        **blocks: float,
    ) -> "L2MU":
        """Return a unit with the initial weights of the published one.

        e_x and e_h are LeCun-uniform, e_m is 0, the W are Xavier-normal; A and B discretise by zero-order hold the
        memory of a sliding window.

        Parameters
        ----------
        n_units : int
            Hidden neurons n.
        n_inputs, memory_size, order : int
            Channels m, memory dimensions d, and polynomials q of each.
        theta : float
            Length of the window (steps).
        transposed : bool
            Whether the memory is iterated with the transpose of A, as the released code does and the published figures
            therefore have it; the memory then no longer holds Legendre coefficients.
        seed : int or SeedSequence
            Seed of the weights.
        **blocks : float
            ``beta_u``, ``theta_u`` and the like.
        """
        n, m = as_int("n_units", n_units), as_int("n_inputs", n_inputs)
        d, q = as_int("memory_size", memory_size), as_int("order", order)
        if not isinstance(transposed, bool | np.bool_):
            raise TypeError(f"transposed must be True or False, got {transposed!r}")
        rngs = generators(seed, 5)
        A, B = _window(q, as_positive_float("theta", theta))

        def lecun(rng, rows, columns):
            return rng.uniform(-1, 1, (rows, columns)) * np.sqrt(3 / columns)

        def xavier(rng, rows, columns):
            return rng.normal(0, np.sqrt(2 / (rows + columns)), (rows, columns))

        return cls(
            lecun(rngs[0], d, m),
            lecun(rngs[1], d, n),
            np.zeros((d, d * q)),
            W_x=xavier(rngs[2], n, m),
            W_h=xavier(rngs[3], n, n),
            W_m=xavier(rngs[4], n, d * q),
            A=A.T if transposed else A,
            B=B,
            **blocks,
        )

    def __repr__(self):
        memory = f"memory {len(self.e_x)} x {self.B.size}"
        return f"L2MU({self.n_hidden} hidden neurons, {memory}, n_inputs={self.n_inputs})"

    @property
    def n_hidden(self) -> int:
        """Hidden neurons, whose spikes are observed."""
        return len(self.W_x)

    @property
    def n_units(self) -> int:
        """Spikes and potentials of all populations."""
        return 2 * (self.n_hidden + len(self.e_x) * (self.B.size + 1))

    @property
    def n_inputs(self) -> int:
        """Channels of the input."""
        return self.W_x.shape[1]

    @property
    def observed(self) -> slice:
        """Spikes of the hidden population."""
        return slice(0, self.n_hidden)

    def step(self, x, u):
        """Return the next state of one unit (n_units,), or of many at once (B, n_units) with inputs (B, m)."""
        x, u = np.asarray(x, np.float64), np.asarray(u, np.float64)
        d, q = len(self.e_x), self.B.size
        ends = np.cumsum([self.n_hidden] * 2 + [d * q] * 2 + [d] * 2)
        s_h, v_h, s_m, v_m, s_u, v_u = np.split(x, ends[:-1], axis=-1)
        current = u @ self.e_x.T + s_h @ self.e_h.T + s_m @ self.e_m.T
        s_u, v_u = _fire(v_u, current, s_u, self.beta_u, self.theta_u)
        memory = s_m.reshape(*s_m.shape[:-1], d, q) @ self.A.T + s_u[..., None] * self.B
        s_m, v_m = _fire(v_m, memory.reshape(s_m.shape), s_m, self.beta_m, self.theta_m)
        current = u @ self.W_x.T + s_h @ self.W_h.T + s_m @ self.W_m.T
        s_h, v_h = _fire(v_h, current, s_h, self.beta_h, self.theta_h)
        return np.concatenate([s_h, v_h, s_m, v_m, s_u, v_u], axis=-1)

    def jacobian(self, x, u):
        """Refuse: the map jumps where a spike appears."""
        raise TypeError(
            "an L2MU has no Jacobian: its map jumps where a spike appears; penstock.analysis.replica_growth measures "
            "how perturbations of a given size grow"
        )

    def input_jacobian(self, x, u):
        """Refuse, as `jacobian` does."""
        self.jacobian(x, u)

    def _push(self, x, u, V, dU, tape):
        self.jacobian(x, u)

    def _run(self, u, x0, out):
        x = x0
        for t in range(u.shape[-2]):
            x = out[..., t, :] = self.step(x, u[..., t, :])
        return not np.isfinite(out).all()


def _fire(v, current, s, beta, theta):
    """Return spikes and potentials of a population after a step."""
    v = beta * v + current - theta * s
    return (v > theta).astype(np.float64), v


def _window(order, theta):
    """Return the memory of a sliding window of `theta` steps, by zero-order hold: A (q, q) and B (q,)."""
    i, j = np.ogrid[:order, :order]
    A = (2 * i + 1) / theta * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    B = ((2 * i + 1) * (-1.0) ** i / theta).astype(np.float64)
    held = scipy.linalg.expm(np.block([[A, B], [np.zeros((1, order + 1))]]))
    return held[:order, :order], held[:order, order]
