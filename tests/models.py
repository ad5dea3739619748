"""One small instance of every model, for the tests that hold for all of them."""

from functools import partial

import numpy as np
from scipy.sparse import csr_array

import penstock
from penstock import Flow, Map, Readout, Uniform
from penstock.closed_loop import ClosedLoop, PassThrough
from penstock.reservoirs import (
    ES2N,
    ESN,
    GRU,
    LEM,
    LMU,
    LTC,
    NVAR,
    PLRNN,
    RON,
    AdaptiveNVAR,
    Assembly,
    AutoNCP,
    CfC,
    Conceptor,
    Conceptored,
    CoRNN,
    DeepESN,
    DeepResESN,
    EIReservoir,
    EuSN,
    Hybrid,
    LegendreMemory,
    LegS,
    LinearMemory,
    ResESN,
    ResRMN,
    ShallowPLRNN,
    SimpleLTC,
    Stack,
    WaveReservoir,
    no_gate,
    pure,
    silu,
    symmetric_module,
)
from penstock.reservoirs.solvers import exponential_midpoint, rk4
from penstock.weights import eye, permutation, ring, sparse

N, M = 21, 2

SHARED = {"n_inputs": M, "bias_scaling": 0.2, "seed": 3}


def _map_layer():
    mixing = np.random.default_rng(5).uniform(-0.3, 0.3, (9, 12))
    return Map(lambda x, u: np.tanh(0.5 * x + mixing @ u), n_units=9, n_inputs=12)


def _map_on(n_inputs):
    mixing = np.random.default_rng(6).uniform(-0.3, 0.3, (12, n_inputs))
    return Map(lambda x, u: np.tanh(0.5 * np.roll(x, 1) + mixing @ u), n_units=12, n_inputs=n_inputs)


def _memory_on(n_inputs):
    return ResRMN.random(5, n_memory=4, n_inputs=n_inputs, memory_radius=0.9, alpha=0.8, beta=0.2, seed=1)


def _uniform(*shapes, seed=7):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape) for shape in shapes]


def _excitatory_inhibitory():
    weights, W_in, threshold = _uniform((N, N), (N, M), N)
    inhibits = np.arange(N) % 4 == 0
    return EIReservoir(0.1 * abs(weights) * ~inhibits, 0.3 * abs(weights) * inhibits, W_in, 4.0, threshold)


def _gru(W_form=np.asarray, direct=False):
    W, W_in, bias, recurrent_bias, W_direct = _uniform((3 * N, N), (3 * N, M), 3 * N, N, (N, N))
    return GRU(W_form(0.3 * W), W_in, bias, recurrent_bias, 0.1 * W_direct if direct else None)


def _plrnn(n_linear=0, W_form=np.asarray, full=False):
    A, W, h, W_in, rest = _uniform(N, (N, N), N, (N, M), (N, N))
    return PLRNN(0.5 * A if not full else np.diag(0.5 * A) + 0.02 * rest, W_form(0.08 * W), h, W_in, n_linear)


def _shallow(clipped, W_form=np.asarray):
    A, W1, W2, h1, h2, W_in = _uniform(N, (N, 34), (34, N), N, 34, (N, M))
    return ShallowPLRNN(0.5 * A, W_form(0.1 * W1), 0.3 * W2, h1, h2, W_in, clipped)


def _hybrid_with_flow(n_outside):
    """A rotating flow of two variables, pushed by inputs from outside, as the model."""
    model = Flow(
        lambda x, u: np.stack([x[1], -np.sin(x[0])]) + (0.3 * u[0] if n_outside else 0.0),
        n_units=2,
        n_inputs=n_outside,
        dt=0.1,
    )
    return Hybrid(ESN.random(N, n_inputs=4 + n_outside, leak=0.5, bias_scaling=0.2, seed=3), model)


def _conceptored(system):
    states = np.random.default_rng(8).uniform(-1, 1, (15, system.n_units))
    return Conceptored(system, Conceptor.of(states, aperture=4.0))


MODELS = {
    "ESN dense": lambda: ESN.random(N, leak=0.3, **SHARED),
    "ESN no leak": lambda: ESN.random(N, **SHARED),
    "ESN leaks": lambda: ESN.random(N, leak=np.linspace(0.1, 1, N), **SHARED),
    "ESN sigmoid": lambda: ESN.random(N, activation=penstock.sigmoid, **SHARED),
    "ESN relu": lambda: ESN.random(N, activation=penstock.relu, **SHARED),
    "ESN linear": lambda: ESN.random(N, activation=penstock.identity, **SHARED),
    "ESN sparse": lambda: ESN.random(N, density=0.3, leak=0.3, **SHARED),
    "ESN per row": lambda: ESN.random(N, weights=partial(sparse, per_row=9), **SHARED),
    "ESN ring": lambda: ESN.random(N, weights=ring, **SHARED),
    "ESN permutation": lambda: ESN.random(N, weights=permutation, leak=0.5, **SHARED),
    "ResESN R": lambda: ResESN.random(N, alpha=0.8, beta=0.2, **SHARED),
    "ResESN C": lambda: ResESN.random(N, alpha=0.8, beta=0.2, skip=ring, **SHARED),
    "ResESN I": lambda: ResESN.random(N, alpha=0.8, beta=0.2, skip=eye, **SHARED),
    "ResESN sparse": lambda: ResESN.random(N, alpha=0.8, beta=0.2, skip=permutation, density=0.3, **SHARED),
    "ResESN relu": lambda: ResESN.random(N, alpha=0.5, beta=0.3, activation=penstock.relu, **SHARED),
    "ES2N": lambda: ES2N.random(N, beta=0.2, **SHARED),
    "EuSN": lambda: EuSN.random(N, eps=0.1, **SHARED),
    "EuSN sparse": lambda: EuSN.random(N, eps=0.1, density=0.3, **SHARED),
    "DeepESN": lambda: DeepESN.random(N, n_layers=3, leak=0.5, **SHARED),
    "DeepResESN": lambda: DeepResESN.random(N, n_layers=2, alpha=0.8, beta=0.2, concat=False, **SHARED),
    "Stack of kinds": lambda: Stack([ESN.random(12, leak=0.5, **SHARED), _map_layer()]),
    "Map below ESN": lambda: Stack([_map_on(M), ESN.random(9, n_inputs=12, seed=1)]),
    "Stack below ResRMN": lambda: Stack([ESN.random(6, **SHARED), _memory_on(6)]),
    "fed stack below fed stack": lambda: Stack([_memory_on(M), _memory_on(9 + M)], feed_input=True),
    "ResRMN": lambda: ResRMN.random(11, n_memory=10, memory_radius=0.9, alpha=0.8, beta=0.2, **SHARED),
    "EIReservoir": lambda: EIReservoir.random(N, n_inputs=M, input_fraction=1.0, gain=4.0, threshold=0.1, seed=3),
    "EIReservoir dense": _excitatory_inhibitory,
    "CoRNN": lambda: CoRNN(*_uniform((N, N), (N, N), (N, M), N), gamma=_uniform(N)[0] + 1.5, epsilon=4.0, dt=0.1),
    "RON sparse": lambda: RON.random(N, density=0.3, dt=0.2, **SHARED),
    "LEM": lambda: LEM(*_uniform((3 * N, N), (N, N), (4 * N, M), 4 * N), dt=0.7),
    "GRU": _gru,
    "GRU sparse": lambda: _gru(csr_array),
    "GRU direct": lambda: _gru(direct=True),
    "PLRNN": _plrnn,
    "PLRNN sparse": lambda: _plrnn(W_form=csr_array),
    "PLRNN full A": lambda: _plrnn(full=True),
    "PLRNN almost linear": lambda: _plrnn(n_linear=17),
    "ShallowPLRNN": lambda: _shallow(False),
    "ShallowPLRNN clipped": lambda: _shallow(True),
    "ShallowPLRNN sparse": lambda: _shallow(True, csr_array),
    "NVAR": lambda: NVAR(M),
    "NVAR skips": lambda: NVAR(M, n_delays=3, skip=2, orders=(1, 3)),
    "NVAR cubic only": lambda: NVAR(M, n_delays=1, orders=(3,)),
    "AdaptiveNVAR": lambda: AdaptiveNVAR.random(M, n_delays=3, skip=2, n_hidden=7, n_features=5, seed=3),
    "Hybrid flow": lambda: _hybrid_with_flow(0),
    "Hybrid rule": lambda: Hybrid(
        ESN.random(N, **(SHARED | {"n_inputs": 3})), lambda U: np.sin(U[:, :1] * U[:, 1:]), n_inputs=M
    ),
    "closed on one channel": lambda: ClosedLoop(
        ESN.random(N, leak=0.3, **{**SHARED, "n_inputs": M + 1}), Readout(_uniform((1, N))[0] / N, 0.1)
    ),
    "inputs kept": lambda: PassThrough(ESN.random(N, leak=0.3, **SHARED), M),
    "Assembly": lambda: Assembly.random(N, coupling_radius=5.0, **SHARED),
    "Assembly symmetric": lambda: Assembly.random(
        N, n_modules=2, module=symmetric_module, activation=penstock.sigmoid, coupling_radius=5.0, **SHARED
    ),
    "Assembly of seven": lambda: Assembly.random(N, n_modules=7, coupling_radius=50.0, **SHARED),
    "Assembly of one": lambda: Assembly.random(N, n_modules=1, **SHARED),
    "LTC dense": lambda: LTC.random(N, n_inputs=M, seed=3),
    "LTC NCP": lambda: LTC.random(
        AutoNCP(N, 4, n_inputs=M), unfolds=2, dt=0.4, solver=exponential_midpoint, sigma=Uniform(1.0, 2.0), seed=3
    ),
    "CfC": lambda: CfC.random(N, n_inputs=M, backbone_units=17, backbone_layers=2, dt=1.5, seed=3),
    "CfC pure with memory": lambda: CfC.random(9, n_inputs=M, mode=pure, memory=True, activation=silu, seed=3),
    "CfC wired": lambda: CfC.wired(AutoNCP(N, 4, n_inputs=M), mode=no_gate, seed=3),
    "SimpleLTC": lambda: SimpleLTC.random(N, **SHARED),
    "SimpleLTC relu rk4": lambda: SimpleLTC.random(N, activation=penstock.relu, solver=rk4, unfolds=2, **SHARED),
    "Stack of GRUs": lambda: Stack([_gru(), GRU(*_uniform((27, 9), (27, N)))]),
    "PLRNN below ShallowPLRNN": lambda: Stack(
        [_plrnn(), ShallowPLRNN(*_uniform(9, (9, 5), (5, 9), 9, 5), W_in=0.1 * _uniform((9, N))[0], clipped=True)]
    ),
    "Conceptored ESN": lambda: _conceptored(ESN.random(N, leak=0.3, **SHARED)),
    "Conceptored Stack": lambda: _conceptored(Stack([ESN.random(12, leak=0.5, **SHARED), _map_layer()])),
    "LegendreMemory": lambda: LegendreMemory.of(10, 15.0, n_inputs=M),
    "LegS": lambda: LegS(10, n_inputs=M),
    "LegS held": lambda: LegS(10, n_inputs=M, alpha=None),
    "LMU": lambda: LMU.random(11, order=5, theta=9.0, n_inputs=M, n_memories=2, bias_scaling=0.2, seed=3),
    "LinearMemory modes": lambda: LinearMemory.diagonal(
        [0.9, 0.8j, -0.5, 0.6 - 0.7j], [[1, 2], [1j, 2], [0.5, 1], [1 - 1j, 0.3]]
    ),
    "ESN of waves": lambda: WaveReservoir.travelling(
        N, n_inputs=M, speed=[0.4, 1.0], decay=[0.7, 0.9], closed=False, bias=0.1, activation=penstock.tanh
    ),
}
