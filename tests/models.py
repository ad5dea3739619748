"""One small instance of every model, for the tests that hold for all of them."""

from functools import partial

import numpy as np

import penstock
from penstock import Map
from penstock.reservoirs import ES2N, ESN, DeepESN, DeepResESN, EuSN, ResESN, ResRMN, Stack
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
}
