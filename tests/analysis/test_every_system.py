"""Every analysis takes every system: an object that has only `step` gets the answers of the model it imitates."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from penstock import Map
from penstock.analysis import (
    automaton_fidelity,
    covariant_vectors,
    echo_state_index,
    edge_of_chaos,
    extract_automaton,
    fixed_points,
    generalisation_rank,
    information_processing_capacity,
    kernel_rank,
    lyapunov_spectrum,
    memory_capacity,
    parallel_run,
    periodic_orbits,
    prediction_error,
    replica_growth,
    separation,
    slow_points,
    stability,
    step_memory,
)
from penstock.reservoirs import ESN

N = 6
RNG = np.random.default_rng(0)
ESN_ = ESN(0.6 * RNG.standard_normal((N, N)), RNG.standard_normal((N, 1)), 0.1 * RNG.standard_normal(N), 0.7)
U = np.random.default_rng(1).uniform(-1, 1, 600)
BITS = [-1.0, 1.0]


class OnlyStep:
    """What a user writes who writes as little as possible."""

    n_units, n_inputs = N, 1

    def step(self, x, u):
        return 0.3 * x + 0.7 * np.tanh(ESN_.W @ x + ESN_.W_in @ u + ESN_.bias)


class NoStep:
    n_units, n_inputs = N, 1


QUIET = {"progress": False}
QUESTIONS = {
    "memory_capacity": lambda s: memory_capacity(s, 10, n_steps=600, seed=0, **QUIET).total,
    "information_processing_capacity": lambda s: (
        information_processing_capacity(s, max_delays=[8, 4], n_steps=1500, seed=0, **QUIET).total
    ),
    "kernel_rank": lambda s: kernel_rank(s, n_streams=10, n_steps=20, seed=0, **QUIET).singular_values,
    "generalisation_rank": lambda s: (
        generalisation_rank(s, n_streams=10, n_steps=20, shared_steps=5, seed=0, **QUIET).singular_values
    ),
    "separation": lambda s: separation(s, n_streams=10, n_steps=20, shared_steps=5, seed=0, **QUIET).kernel.rank,
    "step_memory": lambda s: step_memory(s, n_steps=50).memory,
    "lyapunov_spectrum": lambda s: lyapunov_spectrum(s, U, washout=100, **QUIET).exponents,
    "covariant_vectors": lambda s: covariant_vectors(s, U, 2, washout=150, **QUIET).exponents,
    "replica_growth": lambda s: replica_growth(s, U, seed=0, **QUIET).exponent,
    "fixed_points": lambda s: fixed_points(s, n_starts=20, **QUIET).points,
    "slow_points": lambda s: len(slow_points(s, n_starts=20, **QUIET)),
    "periodic_orbits": lambda s: len(periodic_orbits(s, 2, n_starts=20, **QUIET)),
    "parallel_run": lambda s: parallel_run(s, U[:60], **QUIET).states,
    "stability": lambda s: stability(s, U, **QUIET).along_input.exponent,
    "echo_state_index": lambda s: echo_state_index(s, U, seed=0, **QUIET).index,
    "edge_of_chaos": lambda s: edge_of_chaos(lambda value, seed: s, [1.0, 2.0], U[:300], seeds=[0], **QUIET).exponents,
    "extract_automaton": lambda s: (
        extract_automaton(s, BITS, 5, readout=np.eye(1, N), tolerance=0.1, **QUIET).automaton.n_states
    ),
    "automaton_fidelity": lambda s: (
        automaton_fidelity(
            extract_automaton(s, BITS, 5, readout=np.eye(1, N), tolerance=0.1, **QUIET).automaton,
            s,
            BITS,
            readout=np.eye(1, N),
            seed=0,
        ).agreement
    ),
    "prediction_error": lambda s: prediction_error(s, ESN_.run(U[:60]) + 0.01, n_steps=3, u=U[:60], **QUIET).value,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_object_with_only_a_step_gets_the_answer_of_the_model_it_imitates(question):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        # the complex step and the vector tanh (2 ulp) differ by roundings, which 600 steps do not amplify
        assert_allclose(QUESTIONS[question](OnlyStep()), QUESTIONS[question](ESN_), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_map_of_the_same_rule_gets_the_same_answer(question):
    system = Map(lambda x, u: OnlyStep().step(x, u), n_units=N, n_inputs=1)
    assert_allclose(QUESTIONS[question](system), QUESTIONS[question](ESN_), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_object_without_a_step_is_refused_by_name(question):
    with pytest.raises(TypeError, match="`step`"):
        QUESTIONS[question](NoStep())
