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


# --- Spiking: synapses --------------------------------------------------------------------------------------------
class ShortTerm(NamedTuple):
    """A synapse with use-dependent changes at regular input of 20 Hz: time constants in ms, responses u R."""

    U: float
    tau_rec: float
    tau_fac: float
    first: tuple[float, float, float, float]
    limit: float


# The rule of M. Tsodyks, K. Pawelzik, H. Markram (1998), Neural Computation 10; RECOMPUTED by hand.
SHORT_TERM = (
    ShortTerm(0.5, 800.0, 0.0, (0.5, 0.265147, 0.154835, 0.10302), 0.0571258565),
    ShortTerm(0.5, 1100.0, 50.0, (0.5, 0.309138, 0.151034, 0.08393), 0.0432228546),
    ShortTerm(0.05, 125.0, 1200.0, (0.05, 0.092359, 0.125512, 0.150302), 0.2625605628),
    ShortTerm(0.25, 700.0, 20.0, (0.25, 0.203617, 0.158125, 0.126401), 0.0579384451),
    ShortTerm(0.32, 144.0, 60.0, (0.32, 0.320823, 0.271483, 0.241181), 0.2169029889),
)


class Peak(NamedTuple):
    """The peak of a post-synaptic potential: time (ms) and mV per unit of weight."""

    time: float
    size: float


# Weight in pA, RECOMPUTED from the closed forms: (tau_m, tau_syn, C_m) = (10, 0.5, 250), (20, 0.5, 1).
PSP_EXPONENTIAL = Peak(1.5767011966, 0.0017082629934)
PSP_ALPHA = Peak(2.7565854768, 1.2088884104)
# Weight in mV of g in tau_m v' = g - v, tau_m = 20, tau_syn = 5 and 10.
PSP_EXCITATORY = Peak(9.241962407, 0.157490)
PSP_INHIBITORY = Peak(13.862944, 0.25)
# The two synapses of the current-based benchmark of R. Brette et al. (2007), of weights 1.62 and -9 mV.
PSP_CUBA = (Peak(9.2420, 0.25513), Peak(13.8629, -2.25))


class Regularity(NamedTuple):
    """Inter-spike intervals (ms) and their statistics, LvR with R = 5 ms."""

    intervals: tuple[float, ...]
    cv: float  # variance over n
    cv2: float
    lv: float
    lvr: float


# Test values of NeuralEnsemble/elephant, elephant/test/test_statistics.py; RECOMPUTED by hand for the short one.
REGULARITY = (
    Regularity((10, 20, 10, 30, 15), 0.4401949867, 0.75, 0.4375, 0.6793981481),
    Regularity(
        (
            *(1, 28, 4, 47, 5, 16, 2, 5, 21, 12, 4, 12, 59, 2, 4, 18, 33, 25, 2, 34, 4, 1, 1, 14, 8),
            *(1, 10, 1, 8, 20, 5, 1, 6, 5, 12, 2, 8, 8, 2, 8, 2, 10, 2, 1, 1, 2, 15, 3, 20, 6),
            *(11, 6, 18, 2, 5, 17, 4, 3, 13, 6, 1, 18, 1, 16, 12, 2, 52, 2, 5, 7, 6, 25, 6, 5, 3),
            *(15, 4, 3, 16, 3, 6, 5, 24, 21, 3, 3, 4, 8, 4, 11, 5, 7, 5, 6, 8, 11, 33, 10, 7, 4),
        ),
        1.0863308802,
        1.0022235296529176,
        0.971826029994,
        2.1845363464753134,
    ),
)


class Activity(NamedTuple):
    """Activity of a benchmark network; rates in Hz as (mean, standard deviation over networks)."""

    n_spikes: int  # of the reference graph in 1 s
    first_100_ms: int
    first_10_ms: int | None
    reference_rates: tuple[float, float]  # E, I over 1 s
    exc: tuple[float, float]  # from 200 ms on
    inh: tuple[float, float]
    cv: tuple[float, float]  # of the intervals, mean over neurons


# R. Brette et al. (2007), benchmarks 2 and 1 with Brian2's timing and no delay. RECOMPUTED, identical to Brian2 in its
# numpy, cython and C++ modes: graph of seed 1, initial state of seed 2. Rates of 10 networks over 2 s, 6 over 1 s.
CUBA = Activity(23_293, 2_452, 411, (5.869, 5.640), (5.61, 0.23), (5.60, 0.07), (0.606, 0.008))
COBA = Activity(78_629, 7_759, None, (19.801, 19.083), (20.1, 1.0), (19.9, 0.5), (1.62, 0.02))

# E. M. Izhikevich (2003), scheme of half-steps. RECOMPUTED, 20 networks of 5 s: E, I, and spikes per second of both.
IZHIKEVICH_2003 = ((7.32, 0.08), (6.71, 0.16), (7197, 70))

# T. C. Potjans, M. Diesmann (2014): rates in Hz of L23E, L23I, .. L6I in the repository INM-6/microcircuit-PD14-model.
PD14_RATES = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
PD14_N_NEURONS, PD14_N_SYNAPSES, PD14_IN_DEGREE = 77_169, 2.989e8, 3873
# The same in the script of genn-team/genn, and of older ones for NEST and PyNN: what they compensate scaling with.
PD14_RATES_GENN = (0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523)
# nest/nest-simulator, pynest/examples/Potjans_2014/reference_data: a tenth of neurons and in-degrees, one second after
# 500 ms; number of spikes to 1 %, from the sizes of spike_recorder-7718-0.dat .. -7725-0.dat.
PD14_TENTH_NEST = (0.436, 2.018, 3.936, 4.957, 5.719, 7.614, 0.831, 6.895)
# RECOMPUTED with Brian2 on the synapses of scale 0.1, seed 1: rates over 4 s after 500 ms.
PD14_TENTH_BRIAN2 = (0.477, 2.122, 3.953, 5.011, 6.744, 7.750, 0.857, 7.015)


# --- Spiking: firing patterns -------------------------------------------------------------------------------------

# First samples at or above 0 mV (ms), by OpenSourceBrain/IzhikevichModel: MATLAB/results/.test.2003.mep.
FIGURE_CROSSINGS_2004 = {
    "tonic spiking": (13.0, 17.0, 31.25, 59.0, 86.75),
    "tonic bursting": (
        *(24.75, 26.5, 28.0, 29.75, 31.75, 34.0, 36.0, 38.75, 41.5, 45.5, 79.75, 82.0, 84.5, 87.5, 91.25, 98.5),
        *(132.75, 134.75, 137.25, 140.25, 144.0, 151.0, 185.25, 187.5, 190.0, 193.0, 196.75, 204.25),
    ),
}
FIGURE_CROSSINGS_2003 = {
    "RS": (18.25, 24.0, 54.25, 87.5, 120.75),
    "IB": (18.5, 21.0, 24.75, 58.25, 87.5, 117.25, 146.75),
    "CH": (18.75, 20.75, 22.5, 24.75, 27.25, 30.25, 34.25, 81.75, 84.25, 87.0, 90.5, 137.25, 139.75, 142.5, 146.0),
    "FS": (18.75, 23.75, 31.25, 40.25, 48.75, 58.0, 67.25, 77.0, 86.25, 95.5, 105.0, 114.0, 123.25, 131.75, 141.0),
    "TC": (39.25, 53.25, 82.75, 120.25),
    "TC burst": (51.0, 55.75, 61.75, 68.75, 79.5),
    "RZ": (62.75, 67.25),
    "LTS": (
        *(27.75, 31.25, 35.5, 41.25, 50.0, 63.5, 77.75, 92.75, 107.5, 122.25, 136.5, 151.5, 166.25, 180.5),
        *(195.5, 210.5, 225.25, 240.25),
    ),
}

# The same repository, MATLAB/results/.test.2007.mep: regular spiking cell at 100 pA, step 0.0025 ms.
CELL_CROSSINGS_2007 = (47.0325, 120.4975, 196.6175, 272.6525, 348.6875, 424.7225, 500.76)

# RECOMPUTED: times (ms) of the samples above 30 mV in the scripts of the two figures; the dots leave some out.
FIGURE_SPIKES_2004 = {
    "tonic spiking": (5, (13.0, 17.0, 31.5, 59.25, 86.75)),
    "tonic bursting": (28, (25.0, 26.5, 28.25, 30.0, 32.0, 34.0, 36.25, 38.75, ..., 197.0, 204.5)),
    "mixed mode": (6, (20.0, 22.75, 27.25, 67.0, 99.25, 131.5)),
    "class 1 excitable": (10, (84.5, 125.0, 155.75, 181.0, 203.5, 223.75, 242.0, 259.25, 275.5, 290.5)),
    "spike latency": (1, (26.6,)),
    "resonator": (1, (338.0,)),
    "rebound spike": (1, (68.0,)),
    "threshold variability": (1, (93.25,)),
    "depolarising after-potential": (1, (11.3,)),
    "inhibition-induced spiking": (3, (94.5, 166.0, 236.0)),
}
FIGURE_SPIKES_2003 = {
    "RS": (5, (18.25, 24.25, 54.5, 87.75, 121.0)),
    "CH": (15, (19.0, 20.75, 22.75, 25.0, 27.5, 30.5, 34.5, 82.0, ..., 146.25)),
    "TC": (4, (39.5, 53.5, 83.0, 120.25)),
    "RZ": (2, (62.75, 67.5)),
}

# RECOMPUTED with Brian2 2.10.1, its equations with units and its Euler scheme, step 0.1 ms: spike times (ms) of the
# neurons of R. Brette, W. Gerstner (2005) under 1 nA from 20 to 120 ms, parameters of brian-team/brian2,
# examples/frompapers/Brette_Gerstner_2005.py.
ADEX_SPIKES_2005 = {
    "regular spiking": (31.8, 45.5, 61.4, 80.1, 102.1),
    "bursting": (32.0, 33.1, 37.9, 78.8, 80.2, 118.8, 120.4),
    "fast spiking": (31.8, 43.8, 55.8, 67.9, 80.1, 92.3, 104.6, 117.0),
}

# RECOMPUTED: number of spikes with the figure's scheme, Euler, half-steps, and the figure's scheme at a 25th of dt.
SCHEME_COUNTS = {
    "spike latency": (1, 1, 0, 1),
    "depolarising after-potential": (1, 4, 1, 7),
    "inhibition-induced spiking": (3, 4, 3, 4),
    "tonic bursting": (28, 29, 29, 29),
    "CH": (15, 13, 15, 17),
}

# RECOMPUTED: currents (pA) and numbers of spikes at steps of 0.0025 ms and of 0.25 ms.
CELL_COUNTS_2007 = {
    "RS": ((60.0, 70.0, 85.0, 100.0), (2, 3, 5, 7), (2, 3, 5, 7)),
    "IB": ((290.0, 370.0, 500.0, 550.0), (0, 3, 8, 10), (0, 3, 8, 9)),
    "CH": ((200.0, 300.0, 400.0, 600.0), (6, 9, 13, 23), (5, 9, 12, 22)),
    "LTS": ((100.0, 125.0, 200.0, 300.0), (1, 4, 10, 22), (1, 4, 9, 21)),
    "FS": ((73.2, 100.0, 200.0, 400.0), (2, 5, 8, 16), (2, 4, 8, 13)),
    "TC": ((50.0, 100.0, 150.0), (3, 11, 17), (3, 11, 17)),
    "RTN": ((50.0, 70.0, 110.0), (4, 6, 11), (4, 6, 11)),
}

# --- Spiking: polychronization (Izhikevich 2006) ------------------------------------------------------------------
# RECOMPUTED: mean rates (Hz) of excitatory and inhibitory neurons, three networks of 600 s; middles of their ranges.
POLYCHRONIZATION_RATES = {"second 1": (4.585, 16.35), "seconds 2-10": (2.75, 10.3), "around 60 s": (4.36, 32.9)}

# --- Spiking: mean field ------------------------------------------------------------------------------------------
# Potjans and Diesmann's microcircuit, populations 2/3E, 2/3I, 4E, 4I, 5E, 5I, 6E, 6I: INM-6/microcircuit-PD14-model,
# PyNEST/src/microcircuit/network_params.py. Connection probabilities have a target per row, a source per column.
PD14 = {
    "sizes": [20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948],
    "external_in_degrees": [1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100],
    "probabilities": [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0, 0.0042, 0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ],
}

# RECOMPUTED. Rates (Hz) of these populations in mean-field theory with coloured noise, under Poisson and DC drive.
PD14_MEAN_FIELD_POISSON = [0.754, 2.794, 4.441, 5.823, 7.153, 8.470, 1.159, 7.756]
PD14_MEAN_FIELD_DC = [0.687, 2.660, 4.244, 5.625, 7.266, 8.216, 1.185, 7.526]

# --- Wirings ------------------------------------------------------------------------------------------------------
# ncps 1.0.1, ncps.wirings: AutoNCP(8, 2, 0.5) built for 2 inputs, seed 22222; a row per receiving neuron, here.
NCPS_AUTONCP_8_2 = [
    [0, 0, 0, -1, 0, 0, 0, 0],
    [0, 0, -1, 0, 0, 0, 0, 0],
    [0, 0, 0, 1, -1, -1, 0, 0],
    [0, 0, -1, 0, 0, 0, -1, 1],
    *[[0] * 8] * 4,
]
NCPS_AUTONCP_8_2_SENSORY = [*[[0, 0]] * 4, [-1, 0], [0, 1], [0, 1], [-1, 0]]
# The same for other arguments (n_units, n_motor, sparsity, n_inputs), seed 22222: numbers of synapses between neurons
# and from inputs, then the sums of their polarities.
NCPS_AUTONCP = {
    (28, 4, 0.5, 4): (86, 28, 10, -6),
    (19, 1, 0.5, 32): (46, 160, -2, 0),
    (64, 8, 0.8, 3): (179, 36, 15, 2),
    (128, 16, 0.9, 1): (354, 68, -10, 14),
    (10, 3, 0.1, 5): (11, 20, 1, -4),
    (12, 2, 1.0, 6): (12, 9, 2, -1),
}
