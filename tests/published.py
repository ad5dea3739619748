"""Numbers to reproduce, with their source and the conditions they hold under; tests import them, nothing runs here.

Sources
-------
CODE
    A. Ceni, C. Gallicchio (2024), Residual echo state networks, Neurocomputing 597, 127966: best configurations in
    the authors' repository andreaceni/ResESN, file best_configurations_for_ResESN_variants.sh.
RECOMPUTED
    Means of an independent implementation in float64. The spread stated for NARMA30 is that over networks on one fixed
    series: with a series per network it is four times larger.
"""

from typing import NamedTuple


class Configuration(NamedTuple):
    """Settings of a residual network, in the notation of the paper."""

    omega_x: float  # input scaling
    omega_b: float  # bias scaling
    rho: float  # spectral radius asked of the fast scaling
    alpha: float  # weight of the linear branch
    beta: float  # weight of the nonlinear branch


class Target(NamedTuple):
    """A mean with the standard deviation over networks on one series, None if not stated."""

    mean: float
    spread: float | None
    rounding: float  # half a unit of the last digit stated
    n_networks: int


# CODE. N = 100; skip matrix R random orthogonal, C cyclic, I identity. NARMA30 and SinMem10 at lag 1, ctXOR5 at lag 0.
# ctXOR5-I reads alpha 0, beta 0.4 in the file, but the code ignores beta if alpha is 0: a plain network, beta 1.
RESESN_BEST = {
    ("narma30", "R"): Configuration(0.25, 0.25, 0.9, 0.9, 0.2),
    ("narma30", "C"): Configuration(0.25, 0.5, 0.8, 0.9, 0.4),
    ("narma30", "I"): Configuration(0.25, 0.25, 0.9, 0.1, 1.0),
    ("sin_mem10", "R"): Configuration(2.0, 0.0, 0.6, 0.6, 1e-4),
    ("sin_mem10", "C"): Configuration(2.0, 0.0, 0.5, 0.6, 1e-4),
    ("sin_mem10", "I"): Configuration(0.5, 0.0, 0.9, 0.01, 0.95),
    ("ct_xor5", "R"): Configuration(0.25, 2.0, 0.5, 0.4, 0.4),
    ("ct_xor5", "C"): Configuration(0.25, 2.0, 0.7, 0.4, 0.2),
    ("ct_xor5", "I"): Configuration(0.25, 0.5, 0.5, 0.0, 1.0),
}

# RECOMPUTED. Test error of variant R, root mean square error / root mean square of the target, by (task, lag).
RESESN_R_NRMSE_RMS = {
    ("narma30", 1): Target(0.1028, 6e-4, 5e-5, 20),
    ("sin_mem10", 1): Target(1.8e-3, 4e-4, 5e-5, 20),
    ("sin_mem10", 0): Target(2.9e-3, None, 5e-5, 20),
}

# RECOMPUTED, by (topology, N). NARMA10 by the textbook rule, input U(0, 0.5), no bias, 2000 steps fitted and 2000
# tested: mean square error / variance, best of a 4 x 4 grid of input weight v and radius r, mean of 3 seeds. The grid,
# the lag, the signs of the input weights and the spread over seeds are not stated. Topologies: dense random, simple
# cycle and delay line; A. Rodan, P. Tino (2011), IEEE Trans. Neural Netw. 22, print values of this order for SCR.
NARMA10_NMSE = {
    ("ESN", 50): 0.145,
    ("ESN", 100): 0.095,
    ("ESN", 200): 0.045,
    ("SCR", 50): 0.141,
    ("SCR", 100): 0.111,
    ("SCR", 200): 0.059,
    ("DLR", 50): 0.142,
    ("DLR", 100): 0.128,
    ("DLR", 200): 0.063,
}
NARMA10_N_SEEDS = 3

# RECOMPUTED. The same error for every N and topology without bias, if the input is made symmetric, 2 u - 0.5.
NARMA10_ODD_FLOOR = 0.15


class Spectrum(NamedTuple):
    """Lyapunov exponents in nats per unit of time, and the Kaplan-Yorke dimension."""

    exponents: tuple[float, ...]
    dimension: float


class Extent(NamedTuple):
    """Ranges of the leading exponent and of the Kaplan-Yorke dimension that the literature states."""

    leading: tuple[float, float]
    dimension: tuple[float, float]


# J. C. Sprott (2003), Chaos and Time-Series Analysis, and his web tables: sigma = 10, rho = 28, beta = 8/3.
LORENZ63 = Spectrum((0.9056, 0.0, -14.5723), 2.06215)

# N = 40, F = 8: 1.67 to 1.69 and 27.1 (E. N. Lorenz, K. A. Emanuel 1998 and later); recomputed 1.683 and 27.22.
LORENZ96 = Extent((1.67, 1.69), (27.1, 27.2))


class NextGeneration(NamedTuple):
    """Settings of a next-generation reservoir: data by SciPy's RK23 at its default tolerances, trials end to end."""

    start: tuple[float, float, float]
    dt: float
    n_delays: int
    skip: int
    orders: tuple[int, ...]
    constant: bool
    alpha: float  # on all weights, that of the constant included
    first: int  # steps before the first trial
    n_train: int
    n_test: int  # the last known value included
    n_trials: int


# D. J. Gauthier et al. (2021), Nature Communications 12, 5564: scripts of quantinfo/ng-rc-paper-code. One Lyapunov time
# is 1.104 of the Lorenz system and 7.8125 of the double scroll; z is inferred for 45 units of time.
NGRC_LORENZ = NextGeneration(
    (17.67715816276679, 12.931379185960404, 43.91404334248268), 0.025, 2, 1, (1, 2), True, 2.5e-6, 200, 400, 44, 10
)
NGRC_DOUBLE_SCROLL = NextGeneration(
    (0.37926545, 0.058339, -0.08167691), 0.25, 2, 1, (1, 3), False, 1e-3, 4, 400, 31, 10
)
NGRC_INFER_Z = NGRC_LORENZ._replace(dt=0.05, n_delays=4, skip=5, alpha=0.05, first=100, n_test=900)

# RECOMPUTED with the authors' script, mean and standard error over its 10 trials: training and test error in the form
# of `nrmse_total_variance`, with the variance of the whole series.
NGRC_LORENZ_TRAIN = (1.046e-4, 0.034e-4)
NGRC_LORENZ_TEST = (2.11e-3, 0.44e-3)
