"""The recurrent matrix of a system: which models have one, and that replacing it or losing units means what it says."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from models import MODELS
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Map, as_system
from penstock.reservoirs import ESN, LTC, PLRNN, CoRNN, EIReservoir, ResESN
from penstock.weights import eye

WITH_MATRIX = (
    "ESN dense|ESN no leak|ESN leaks|ESN sigmoid|ESN relu|ESN linear|ESN sparse|ESN per row|ESN ring|ESN permutation|"
    "ResESN R|ResESN C|ResESN I|ResESN sparse|ResESN relu|ES2N|EIReservoir|EIReservoir dense|RON sparse|PLRNN|"
    "PLRNN sparse|PLRNN almost linear|LTC dense|LTC NCP|SimpleLTC|SimpleLTC relu rk4|LinearMemory modes|ESN of waves"
).split("|")

# why the others have none, as a fragment of what they say
REASONS = {
    "EuSN": r"W - W\^T",
    "Stack": "every layer has its own",
    "CoRNN": "W_z",
    "LEM": r"shape \(63, 21\)",
    "GRU": r"shape \(63, 21\)",
    "PLRNN": "A and W",
    "ShallowPLRNN": "no field W",
    "NVAR": "no field W",
    "AdaptiveNVAR": "no field W",
    "Hybrid": "the system inside",
    "ClosedLoop": "the system inside",
    "PassThrough": "the system inside",
    "Conceptored": "the system inside",
    "Assembly": "couplings L",
    "CfC": "backbone",
    "LegendreMemory": "theory gives its W",
    "LegS": "no field W",
    "LMU": "units and memory",
}


def dense(W):
    return W.toarray() if sp.issparse(W) else np.asarray(W)


def states_of(system):
    """Twelve states by `step`, which other tests hold against the kernels of `run`; nothing need be compiled."""
    x, states = np.zeros(system.n_units), []
    for u in np.random.default_rng(4).uniform(-1, 1, (12, system.n_inputs)):
        x = system.step(x, u)
        states.append(x)
    return np.array(states)


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(WITH_MATRIX)))
def test_models_whose_recurrence_is_not_one_matrix_say_why(name):
    system = MODELS[name]()
    kind = type(system).__name__
    for ask in (system.recurrent_matrix, lambda: system.with_recurrent(np.eye(21)), lambda: system.keep_units([0])):
        with pytest.raises(TypeError, match=f"{kind} has no recurrent matrix.*{REASONS[kind]}"):
            ask()


@pytest.mark.parametrize("name", WITH_MATRIX)
def test_dense_and_sparse_matrices_make_the_same_system(name):
    system = MODELS[name]()
    W = dense(system.recurrent_matrix())
    fewer = np.where(np.random.default_rng(0).random(W.shape) < 0.5, W, 0)
    one, other = system.with_recurrent(fewer), system.with_recurrent(sp.csr_array(fewer))
    assert sp.issparse(other.recurrent_matrix()) or isinstance(system, EIReservoir)
    assert_array_equal(dense(one.recurrent_matrix()), fewer)
    assert_array_equal(dense(other.recurrent_matrix()), fewer)
    assert_array_equal(dense(system.recurrent_matrix()), W)  # the old one is as it was
    assert_allclose(states_of(one), states_of(other), rtol=0, atol=1e-13)  # orders of summation
    assert np.abs(states_of(one) - states_of(system)).max() > 1e-6 or name == "ESN ring"


@pytest.mark.parametrize("name", WITH_MATRIX)
def test_units_kept_do_what_they_did_without_synapses_from_the_others(name):
    system = MODELS[name]()
    W = dense(system.recurrent_matrix())
    n = len(W)
    units = np.flatnonzero(np.random.default_rng(1).random(n) < 0.6)
    orthogonal = dense(system.O) if hasattr(system, "O") else np.eye(n)
    if np.abs(orthogonal - np.eye(n)).max() > 0:
        with pytest.raises(ValueError, match="units do not make .* O must be orthogonal"):
            system.keep_units(units)
        return
    alone = np.zeros_like(W)
    alone[np.ix_(units, units)] = W[np.ix_(units, units)]
    smaller = system.keep_units(units)
    assert_array_equal(dense(smaller.recurrent_matrix()), W[np.ix_(units, units)])
    expected = states_of(system.with_recurrent(alone))[:, system.observed][:, units]
    assert_allclose(states_of(smaller)[:, smaller.observed], expected, rtol=0, atol=1e-13)


def test_every_model_of_the_list_is_decided():
    assert set(WITH_MATRIX) <= set(MODELS)
    assert {type(MODELS[name]()).__name__ for name in set(MODELS) - set(WITH_MATRIX)} == set(REASONS)


def test_a_replaced_matrix_is_the_one_of_the_equation():
    rng = np.random.default_rng(2)
    esn = ESN(rng.normal(size=(5, 5)), rng.normal(size=(5, 2)), rng.normal(size=5), leak=0.3)
    W, x, u = rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=2)
    expected = 0.7 * x + 0.3 * np.tanh(W @ x + esn.W_in @ u + esn.bias)
    assert_allclose(esn.with_recurrent(W).step(x, u), expected, rtol=1e-14)


def test_input_weights_lose_rows_only_though_they_are_square():
    rng = np.random.default_rng(3)
    W, W_in = rng.normal(size=(2, 4, 4))
    kept = ESN(W, W_in, np.arange(4.0), leak=[0.1, 0.2, 0.3, 0.4]).keep_units([1, 3])
    assert_array_equal(kept.W_in, W_in[[1, 3]])
    assert_array_equal(kept.W, W[np.ix_([1, 3], [1, 3])])
    assert kept.bias.tolist() == [1, 3] and kept.leak.tolist() == [0.2, 0.4]
    ltc = LTC.random(3, n_inputs=3, seed=0)
    ltc = replace(ltc, input_weight=[1.0, 2.0, 3.0])
    smaller = ltc.keep_units([0, 2])
    assert smaller.input_weight.tolist() == [1, 2, 3] and smaller.n_inputs == 3
    assert_array_equal(smaller.mu_in, ltc.mu_in[[0, 2]])
    assert_array_equal(smaller.sigma, ltc.sigma[np.ix_([0, 2], [0, 2])])


def test_the_linear_units_of_a_piecewise_linear_network_stay_linear():
    plrnn = PLRNN(np.zeros(4), np.arange(16.0).reshape(4, 4), n_linear=2)
    kept = plrnn.keep_units([1, 3])
    assert kept.n_linear == 1
    assert kept.step(np.array([-1.0, -1.0]), np.empty(0)).tolist() == [-5, -13]  # the second is rectified away


def test_type_and_start_stay():
    esn = ESN.random(6, dtype=np.float32, leak=0.5, seed=0).starting_at(np.arange(6.0))
    changed = esn.with_recurrent(np.eye(6))
    assert changed.dtype == np.float32 and changed.start.tolist() == [0, 1, 2, 3, 4, 5]
    kept = esn.keep_units([False, True, False, False, False, True])
    assert kept.dtype == np.float32 and kept.start.tolist() == [1, 5]
    pairs = CoRNN(np.eye(3), None, np.ones((3, 1)), gamma=1.0, epsilon=1.0, dt=0.1).starting_at(np.arange(6.0))
    assert pairs.keep_units([0, 2]).start.tolist() == [0, 2, 3, 5]  # positions, then velocities
    assert EIReservoir.random(8, seed=0).starting_at(np.ones(8)).with_recurrent(np.zeros((8, 8))).start.sum() == 8


def test_the_signs_of_a_matrix_become_excitation_and_inhibition():
    network = EIReservoir([[0, 2.0], [1, 0]], np.zeros((2, 2)), [[1.0], [1.0]])
    changed = network.with_recurrent([[3.0, -2.0], [0.0, -1.0]])
    assert changed.excitation.tolist() == [[3, 0], [0, 0]] and changed.inhibition.tolist() == [[0, 2], [0, 1]]
    with pytest.raises(ValueError, match="Dale"):
        network.with_recurrent([[1.0, 0.0], [-1.0, 0.0]])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_synapses_with_more_parameters_cannot_be_invented(form):
    ltc = LTC.random(4, seed=0).with_recurrent(np.triu(np.ones((4, 4))))
    with pytest.raises(ValueError, match="only where LTC has them now, since E, sigma, mu"):
        ltc.with_recurrent(form(np.ones((4, 4))))
    with pytest.raises(ValueError, match="conductances"):
        ltc.with_recurrent(form(-np.triu(np.ones((4, 4)))))


def test_a_class_of_ones_own_may_give_the_three():
    class Mine:
        n_units, n_inputs = 2, 0

        def __init__(self, W):
            self.W = W

        def step(self, x, u):
            return self.W @ x

        def recurrent_matrix(self):
            return self.W

        def with_recurrent(self, W):
            return Mine(W)

        def keep_units(self, units):
            return Mine(self.W[np.ix_(units, units)])

    system = as_system(Mine(np.eye(2)))
    assert system.with_recurrent(2 * np.eye(2)).recurrent_matrix().tolist() == [[2, 0], [0, 2]]
    assert system.keep_units([1]).recurrent_matrix().tolist() == [[1]]
    with pytest.raises(TypeError, match="Map has no recurrent matrix.*class of your own"):
        Map(lambda x, u: x, n_units=2).recurrent_matrix()


@pytest.mark.parametrize(
    ("units", "error", "words"),
    [
        ([], ValueError, "at least one"),
        ([0, 0], ValueError, "once"),
        ([5], ValueError, "0 … 4"),
        ([-1], ValueError, "0 … 4"),
        ([True, False], ValueError, r"mask of shape \(5,\)"),
        ([0.0, 1.0], TypeError, "unit numbers"),
        (None, TypeError, "unit numbers"),
        ("01", TypeError, "unit numbers"),
        ([[0, 1]], TypeError, "one-dimensional"),
        (1, TypeError, "one-dimensional"),
    ],
)
def test_bad_units_are_refused(units, error, words):
    with pytest.raises(error, match=f"units must.*{words}"):
        ESN.random(5, seed=0).keep_units(units)


@pytest.mark.parametrize(
    ("W", "error", "words"),
    [
        (np.eye(3), ValueError, r"shape \(4, 4\)"),
        (np.full((4, 4), np.nan), ValueError, "finite"),
        ("W", TypeError, "real numbers"),
        (None, TypeError, "real numbers"),
        (1j * np.eye(4), TypeError, "real numbers"),
    ],
)
def test_bad_matrices_are_refused(W, error, words):
    for system in (
        ESN.random(4, seed=0),
        EIReservoir.random(4, seed=0),
        CoRNN.random(4, seed=0).__class__(np.eye(4), None, np.ones((4, 1)), gamma=1.0, epsilon=1.0, dt=0.1),
        ResESN.random(4, skip=eye, seed=0),
    ):
        with pytest.raises(error, match=f"W must.*{words}"):
            system.with_recurrent(W)
