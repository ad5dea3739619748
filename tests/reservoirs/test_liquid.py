"""Liquid time-constant networks: the equations synapse by synapse, bounds, coefficients, irregular sampling."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import ltc_states
from sklearn.model_selection import GridSearchCV, KFold

from penstock import Uniform
from penstock.analysis import fixed_points, lyapunov_spectrum, memory_capacity
from penstock.reservoirs import (
    LTC,
    AutoNCP,
    Drawn,
    Forecaster,
    Regressor,
    Stack,
    elapsed_inputs,
    exponential_euler,
    exponential_midpoint,
    fused,
    random_wiring,
    rk4,
)
from penstock.reservoirs.esn import to_dense
from penstock.system import numerical_jacobian

ARRAYS = ("W", "W_in", "E", "E_in", "sigma", "sigma_in", "mu", "mu_in", "C_m", "g_leak", "v_leak")
SYNAPTIC = ("W", "E", "sigma", "mu")
each_solver = pytest.mark.parametrize("solver", [fused, exponential_euler, exponential_midpoint, rk4])


def network(n=9, m=2, **settings):
    return LTC.random(n, n_inputs=m, seed=5, **settings)


def policy(**settings):
    return LTC.random(AutoNCP(14, 3, n_inputs=2), seed=5, **settings)


def mapped(ltc):
    return replace(ltc, input_weight=[1.5, -0.5], input_bias=[0.2, 0.1])


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def one_unit(**settings):
    """A unit of capacity 2 and leak 0.5 to 0.3, with one synapse from the input and none upon itself."""
    fields = {"W": [[0.0]], "W_in": [[1.0]], "E": 0.0, "E_in": -1.0, "sigma": 1.0, "sigma_in": 4.0, "mu": 0.0}
    return LTC(**(fields | {"mu_in": 0.5, "C_m": 2.0, "g_leak": 0.5, "v_leak": 0.3} | settings))


# --- the equations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [network, policy])
def test_fused_states_equal_a_loop_over_synapses(make):
    ltc = mapped(make(dt=0.7, unfolds=3))
    u, x0 = inputs(12, 2), inputs(ltc.n_units, seed=1)
    naive = ltc_states(ltc, u, np.full(12, 0.7), x0)
    np.testing.assert_allclose(ltc.run(u, x0), naive, atol=1e-14)  # a dozen roundings of numbers below 1


@pytest.mark.parametrize("make", [network, policy])
def test_elapsed_times_replace_dt(make):
    ltc = make(timed=True)
    assert ltc.n_inputs == 3
    u, gaps, x0 = inputs(10, 2), np.random.default_rng(2).exponential(size=10), inputs(ltc.n_units, seed=1)
    drive = np.column_stack([u, gaps])
    np.testing.assert_allclose(ltc.run(drive, x0), ltc_states(ltc, u, gaps, x0), atol=1e-14)
    regular = replace(ltc, timed=False, dt=0.4)
    np.testing.assert_array_equal(ltc.run(np.column_stack([u, np.full(10, 0.4)])), regular.run(u))


def test_a_unit_without_synapses_upon_it_relaxes_exponentially():
    """At a held input the conductance is constant: G = 0.5 + s, and v nears (0.15 - s) / G at the rate G / 2."""
    s = 1 / (1 + np.exp(-4 * (0.9 - 0.5)))
    G, rest = 0.5 + s, (0.15 - s) / (0.5 + s)
    times = 0.3 * np.arange(1, 8)
    exact = rest + (0.8 - rest) * np.exp(-G * times / 2)
    for solver in (exponential_euler, exponential_midpoint):
        states = one_unit(dt=0.3, unfolds=2, solver=solver).run(np.full(7, 0.9), [0.8])[:, 0]
        np.testing.assert_allclose(states, exact, rtol=1e-14)
    implicit = one_unit(dt=0.3, unfolds=1).run(np.full(7, 0.9), [0.8])[:, 0]
    np.testing.assert_allclose(implicit, rest + (0.8 - rest) / (1 + 0.3 * G / 2) ** np.arange(1, 8), rtol=1e-14)


@each_solver
def test_two_halves_of_a_step_are_the_step(solver):
    ltc = network(solver=solver, unfolds=6, dt=1.0)
    u, x0 = inputs(8, 2), inputs(9, seed=1)
    halves = replace(ltc, unfolds=3, dt=0.5).run(np.repeat(u, 2, axis=0), x0)
    np.testing.assert_array_equal(ltc.run(u, x0), halves[1::2])


def test_networks_without_inputs_run_and_rest_where_the_flow_does():
    ltc = network(m=0)
    v = ltc.run(4000)[-1]
    D, B, v_inf, _, _ = ltc.linearize(v, [])
    np.testing.assert_allclose(v, v_inf, atol=1e-12)
    np.testing.assert_allclose(B - D * v, 0, atol=1e-11)


# --- layouts --------------------------------------------------------------------------------------------------------


@each_solver
def test_a_sparse_network_is_the_dense_one_whose_other_conductances_are_zero(solver):
    sparse = policy(solver=solver)
    assert sp.issparse(sparse.W)
    dense = replace(sparse, **{name: getattr(sparse, name).toarray() for name in SYNAPTIC})
    u, x0, basis = inputs(6, 2), inputs(14, seed=1), inputs(14, 3, seed=2)
    np.testing.assert_allclose(sparse.run(u, x0), dense.run(u, x0), atol=1e-14)
    for ours, theirs in zip(sparse.push(x0, u, basis), dense.push(x0, u, basis), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)


def test_pruned_conductances_keep_the_parameters_of_the_synapses_left():
    ltc = network(n=21)
    left = ltc.W * (inputs(21, 21, seed=3) > 0.2)
    as_array, as_csr = replace(ltc, W=left), replace(ltc, W=sp.csr_array(left))
    np.testing.assert_allclose(as_csr.run(inputs(20, 2)), as_array.run(inputs(20, 2)), atol=1e-14)
    assert as_csr.mu.nnz == np.count_nonzero(left)
    again = replace(as_csr, W=sp.csr_array(left * (inputs(21, 21, seed=4) > 0)))  # patterns cover the smaller one
    np.testing.assert_allclose(
        again.run(inputs(20, 2)), replace(ltc, W=again.W.toarray()).run(inputs(20, 2)), atol=1e-14
    )


def test_numbers_stand_for_all_synapses():
    ltc = network()
    numbers = {"E": -0.5, "sigma": 4.0, "mu": 0.6}
    full = replace(ltc, **{name: np.full((9, 9), value) for name, value in numbers.items()})
    np.testing.assert_array_equal(replace(ltc, **numbers).run(inputs(9, 2)), full.run(inputs(9, 2)))


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8])
def test_blocks_of_four_units_leave_none_out(size):
    ltc = network(n=size, m=size)
    u, x0 = inputs(4, size), inputs(size, seed=1)
    np.testing.assert_allclose(ltc.run(u, x0), ltc_states(ltc, u, np.ones(4), x0), atol=1e-14)


def test_large_dense_networks_are_summed_in_pieces():
    ltc = network(n=300, unfolds=1)  # more than one piece of 32768 parameters
    u, x0 = inputs(2, 2), inputs(300, seed=1)
    states = ltc.run(np.stack([u, -u]), x0)
    np.testing.assert_allclose(states[0], [ltc.step(x0, u[0]), ltc.step(ltc.step(x0, u[0]), u[1])], atol=1e-14)
    np.testing.assert_array_equal(states[1], ltc.run(-u, x0))


def test_permuted_units_have_permuted_states():
    ltc, order = network(), np.random.default_rng(0).permutation(9)
    both = {name: getattr(ltc, name)[np.ix_(order, order)] for name in SYNAPTIC}
    one = {name: getattr(ltc, name)[order] for name in ARRAYS if name not in SYNAPTIC}
    states = replace(ltc, **both, **one).run(inputs(30, 2))
    np.testing.assert_allclose(states, ltc.run(inputs(30, 2))[:, order], atol=1e-13)


@each_solver
def test_float32_follows_float64(solver):
    for make in (network, policy):
        single, double = make(dtype=np.float32, solver=solver), make(solver=solver)
        u = inputs(40, 2)
        states = single.run(u)
        assert states.dtype == np.float32
        np.testing.assert_allclose(states, double.run(u), atol=2e-6)  # contracting states; parameters rounded by 6e-8
        x = np.linspace(-0.5, 0.5, single.n_units)
        np.testing.assert_allclose(single.jacobian(x, u[0]), double.jacobian(x, u[0]), atol=2e-6)


# --- bounds ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    solver=st.sampled_from([fused, exponential_euler, exponential_midpoint]),
    dt=st.floats(-6, 6).map(lambda power: 10.0**power),
    size=st.floats(0, 1e3),
    seed=st.integers(0, 50),
    sparse=st.booleans(),
)
def test_states_stay_between_leak_and_reversal_potentials(solver, dt, size, seed, sparse):
    wiring = AutoNCP(14, 3, n_inputs=2, seed=seed) if sparse else 7
    ltc = LTC.random(wiring, n_inputs=2, solver=solver, dt=dt, unfolds=2, W=Uniform(0, 100), seed=seed)
    low, high = ltc.state_bounds()
    start = low + (high - low) * np.random.default_rng(seed).random(ltc.n_units)
    states = ltc.run(size * inputs(20, 2, seed=seed), start)
    slack = 1e-14 * max(1, np.abs([low, high]).max())  # of rounding
    assert (states >= low - slack).all() and (states <= high + slack).all()


def test_state_bounds_are_those_of_the_synapses_there_are():
    for E in (-3.0, 0.0, 3.0):  # of the recurrent synapse, which does not conduct
        np.testing.assert_array_equal(one_unit(E=E).state_bounds(), [[-1.0], [0.3]])
    low, high = one_unit(W=[[0.1]], E=2.0).state_bounds()
    np.testing.assert_array_equal([low, high], [[-1.0], [2.0]])


def test_time_constants_lie_between_all_synapses_open_and_all_closed():
    ltc = network()
    shortest, longest = ltc.time_constant_bounds()
    np.testing.assert_allclose(longest, ltc.C_m / ltc.g_leak, rtol=1e-15)
    np.testing.assert_allclose(shortest, ltc.C_m / (ltc.g_leak + ltc.W.sum(1) + ltc.W_in.sum(1)), rtol=1e-15)
    for v, u in zip(inputs(20, 9), 3 * inputs(20, 2, seed=1), strict=True):
        tau = ltc.linearize(v, u).tau
        assert (tau >= shortest).all() and (tau <= longest).all()
    np.testing.assert_allclose(ltc.linearize(np.full(9, 1e3), [1e3, 1e3]).tau, shortest, rtol=1e-12)
    np.testing.assert_allclose(ltc.linearize(np.full(9, -1e3), [-1e3, -1e3]).tau, longest, rtol=1e-12)


def test_a_unit_onto_which_nothing_conducts_rests_where_it_is():
    unit = one_unit(W_in=[[0.0]], g_leak=0.0)
    D, B, v_inf, tau, jacobian = unit.linearize([0.2], [1.0])
    assert (D, B, v_inf, tau, jacobian) == (0, 0, 0.2, np.inf, 0)
    assert unit.time_constant_bounds() == (np.inf, np.inf)
    for solver in (fused, exponential_euler, exponential_midpoint, rk4):
        np.testing.assert_allclose(replace(unit, solver=solver).run(np.ones(3), [0.2]), 0.2, rtol=1e-15)


@pytest.mark.parametrize("solver", [fused, exponential_euler])
def test_times_of_any_size_leave_the_state_where_it_was_or_bring_it_to_rest(solver):
    """Times below the smallest normal number change nothing; huge ones end in v_inf."""
    ltc = network(m=1, timed=True, solver=solver, unfolds=1)
    x0 = np.full(9, 0.4)
    np.testing.assert_allclose(ltc.run([[0.5, 2e-310]], x0)[0], x0, rtol=1e-15)
    np.testing.assert_allclose(ltc.jacobian(x0, [0.5, 2e-310]), np.eye(9), atol=1e-15)
    np.testing.assert_allclose(ltc.run([[0.5, 1.7e308]], x0)[0], ltc.linearize(x0, [0.5, 1.0]).v_inf, rtol=1e-14)


# --- derivatives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [network, policy])
def test_linearised_coefficients_give_the_flow_and_its_jacobian(make):
    ltc = mapped(make())
    v, u = inputs(ltc.n_units), inputs(2, seed=1)
    D, B, v_inf, tau, jacobian = ltc.linearize(v, u)
    h = 1e-7  # a fused step of almost no time
    flow = (ltc_states(replace(ltc, unfolds=1), u[None], [h], v)[0] - v) / h
    np.testing.assert_allclose(B - D * v, flow, atol=1e-5)  # of order h, and roundings of 1e-16 / h
    np.testing.assert_allclose([v_inf * D, tau * D], [B, np.ones_like(B)], rtol=1e-14)
    central = numerical_jacobian(lambda x: (lambda at: at[1] - at[0] * x)(ltc._coefficients(u)(x)), v)
    np.testing.assert_allclose(jacobian, central, atol=1e-13)


@each_solver
@pytest.mark.parametrize("make", [network, policy])
def test_input_tangents_and_time_derivatives_equal_numerical_ones(make, solver):
    ltc = mapped(make(timed=True, solver=solver, unfolds=2))
    x, u = inputs(ltc.n_units), np.append(inputs(2, seed=1), 0.8)
    by_input = numerical_jacobian(lambda u: ltc.step(x, u), u)
    np.testing.assert_allclose(ltc.input_jacobian(x, u), by_input, atol=1e-14)
    np.testing.assert_allclose(ltc.jacobian(x, u), numerical_jacobian(lambda x: ltc.step(x, u), x), atol=1e-14)


@each_solver
def test_exponents_sum_to_the_mean_log_determinant(solver):
    ltc, u = network(n=5, solver=solver, unfolds=2), inputs(400, 2)
    states = ltc.run(u)
    logs = [np.linalg.slogdet(ltc.jacobian(x, v))[1] for x, v in zip(states[99:-1], u[100:], strict=True)]
    spectrum = lyapunov_spectrum(ltc, u, washout=100, progress=False)
    np.testing.assert_allclose(spectrum.exponents.sum(), np.mean(logs), rtol=1e-10)


# --- drawing, time stamps, estimators -------------------------------------------------------------------------------


def test_drawn_parameters_follow_their_laws_and_the_wiring():
    ltc = network(n=60, m=5)
    ranges = {"W": (0.001, 1), "sigma": (3, 8), "mu": (0.3, 0.8), "C_m": (0.4, 0.6), "g_leak": (0.001, 1)}
    for name, (low, high) in (ranges | {"v_leak": (-0.2, 0.2), "W_in": (0.001, 1)}).items():
        values = getattr(ltc, name)
        assert values.min() >= low and values.max() <= high
        # the mean of n uniform numbers has the standard error (high - low) / sqrt(12 n)
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * values.size)
    assert set(np.unique(ltc.E)) == {-1.0, 1.0}
    assert abs((ltc.E == 1).mean() - 2 / 3) < 4 * np.sqrt(2 / 9 / 3600)  # the published share of excitation
    wiring = AutoNCP(14, 3, n_inputs=2)
    np.testing.assert_array_equal(policy().E.toarray(), wiring.adjacency)
    np.testing.assert_array_equal(to_dense(policy().W_in) > 0, wiring.sensory != 0)


def test_data_channels_do_not_change_the_recurrent_weights():
    np.testing.assert_array_equal(network(m=1).W, network(m=3).W)
    wiring = random_wiring(20, n_inputs=2, n_motor=1, sparsity=0.7, seed=1)
    assert LTC.random(wiring, seed=0).W.nnz == wiring.n_synapses


def test_laws_may_be_numbers():
    ltc = LTC.random(4, C_m=0.5, W=0.1, sigma=5, seed=0)
    assert (ltc.C_m == 0.5).all() and (ltc.W == 0.1).all() and (ltc.sigma_in == 5).all()


@pytest.mark.parametrize(
    ("error", "message", "wiring", "settings"),
    [
        (TypeError, "wiring must be a number of units or a Wiring, got 'a'", "a", {}),
        (TypeError, "wiring must be a number of units or a Wiring, got 2.5", 2.5, {}),
        (TypeError, "wiring must be an integer, got True", True, {}),
        (ValueError, "wiring must be at least 1", 0, {}),
        (ValueError, "n_inputs must be 2, those of wiring", AutoNCP(14, 3, n_inputs=2), {"n_inputs": 3}),
        (TypeError, "sigma must hold real numbers", 4, {"sigma": None}),
        (ValueError, "W must be a number, or a law whose values have shape", 4, {"W": lambda rng, size: np.ones(3)}),
        (ValueError, "g_leak must not be negative", 4, {"g_leak": Uniform(-2, -1)}),
        (TypeError, "seed must be", 4, {"seed": None}),
    ],
    ids=["text", "float", "bool", "zero", "n_inputs", "no law", "short law", "negative", "seed"],
)
def test_bad_draws_are_refused(error, message, wiring, settings):
    with pytest.raises(error, match=message):
        LTC.random(wiring, **{"seed": 0, **settings})


def test_recipes_and_searches_draw_timed_networks():
    """`Drawn` takes the channel of times off the inputs that it asks for."""
    gaps = np.random.default_rng(0).uniform(0.2, 2.0, 120)
    X = elapsed_inputs(np.sin(np.cumsum(gaps)), np.cumsum(gaps))
    wiring = AutoNCP(14, 3, n_inputs=1)
    search = GridSearchCV(
        Regressor(Drawn(LTC.random, wiring=wiring, timed=True, seed=0), washout=10),
        {"system__unfolds": [1, 2], "system__wiring": [wiring, 12]},
        cv=KFold(2),
    )
    best = search.fit(X, X[:, 0]).best_estimator_
    assert best.system_.timed and best.system_.n_inputs == 2
    np.testing.assert_array_equal([best.inputs_.center[1], best.inputs_.scale[1]], [0.0, 1.0])
    with pytest.raises(ValueError, match="n_inputs must be 3, those of wiring"):
        Regressor(Drawn(LTC.random, wiring=AutoNCP(14, 3, n_inputs=3), timed=True, seed=0)).fit(X, X[:, 0])


@pytest.mark.parametrize("lower_timed", [False, True])
def test_stacks_pass_elapsed_times_to_the_layers_that_see_the_input(lower_timed):
    lower = network(n=4, m=1 if lower_timed else 2, timed=lower_timed)
    upper = LTC.random(3, n_inputs=5, timed=True, seed=1)
    stack = Stack([lower, upper], feed_input=True)
    assert stack.timed and stack.n_inputs == 2
    u, gaps = inputs(12, 1), np.random.default_rng(2).exponential(size=12)
    drive = np.column_stack([u, gaps])
    below = lower.run(drive)
    np.testing.assert_array_equal(stack.run(drive)[:, 4:], upper.run(np.column_stack([below, drive])))
    x = inputs(7, seed=3)
    by_input = numerical_jacobian(lambda u: stack.step(x, u), drive[0])
    np.testing.assert_allclose(stack.input_jacobian(x, drive[0]), by_input, atol=1e-14)
    with pytest.raises(ValueError, match="layer 2 must not be timed, or feed_input be True"):
        Stack([lower, LTC.random(3, n_inputs=3, timed=True, seed=1)])


def test_pushed_tangents_of_the_time_are_those_of_its_derivative():
    ltc, x = network(m=1, timed=True), inputs(9, seed=1)
    u, V, dU = np.array([[0.5, 0.8]]), np.zeros((1, 9)), np.array([[[0.0, 1.0]]])
    ltc._push(x.copy(), u, V, dU, np.empty((0, 1, 9)))
    h = 1e-6
    central = (ltc.step(x, u[0] + [0, h]) - ltc.step(x, u[0] - [0, h])) / (2 * h)
    np.testing.assert_allclose(V[0], central, atol=1e-9)  # differences lose digits


def test_a_step_with_integer_inputs_takes_dt_as_it_is():
    ltc = network(m=1, dt=0.4)
    np.testing.assert_allclose(ltc.step(np.zeros(9), [1]), ltc.run([1.0])[0], atol=1e-15)


def test_time_stamps_become_elapsed_times():
    u, times = inputs(4, 2), [1.0, 1.5, 4.5, 4.75]
    np.testing.assert_array_equal(elapsed_inputs(u, times)[:, 2], [0.5, 0.5, 3.0, 0.25])
    np.testing.assert_array_equal(elapsed_inputs(u, times)[:, :2], u)
    both = elapsed_inputs(np.stack([u, u]), [times, 2 * np.array(times)])
    np.testing.assert_array_equal(both[1, :, 2], 2 * both[0, :, 2])
    np.testing.assert_array_equal(elapsed_inputs(np.stack([u, u]), times)[1, :, 2], both[0, :, 2])


@pytest.mark.parametrize(
    ("u", "times", "message"),
    [
        (np.zeros(3), [0, 1, 1], "times must increase strictly, got 1.0 and then 1.0 at 2"),
        (np.zeros(3), [0, 2, 1], "times must increase strictly, got 2.0 and then 1.0 at 2"),
        (np.zeros((2, 3, 1)), [[0, 1, 2], [0, 1, -1]], "times must increase strictly, got 1.0 and then -1.0 at 2"),
        (np.zeros(3), [0, 1], r"times must have shape \(3,\)"),
        (np.zeros(1), [0], "times must hold at least two"),
        (np.zeros(3), [0, np.nan, 1], "times must be finite"),
    ],
)
def test_time_stamps_must_increase(u, times, message):
    with pytest.raises(ValueError, match=message):
        elapsed_inputs(u, times)


@pytest.mark.parametrize("gap", [0.0, -1.0])
def test_elapsed_times_must_be_positive(gap):
    drive = np.column_stack([inputs(5, 2), [1, 1, gap, 1, 1]])
    message = f"u must hold positive elapsed times in its last channel, got {gap} at step 2"
    with pytest.raises(ValueError, match=message):
        network(timed=True).run(drive)
    with pytest.raises(ValueError, match=message):
        network(timed=True).push(np.zeros(9), drive, np.eye(9))


def test_estimators_leave_elapsed_times_as_they_are():
    """A readout of one unit that only leaks knows how much time went by: exp of -time / tau is its state."""
    gaps = np.random.default_rng(0).uniform(0.5, 2.0, 300)
    drive = elapsed_inputs(np.zeros(300), np.cumsum(gaps))
    leaky = one_unit(W_in=[[0.0]], timed=True, solver=exponential_euler)
    x = 0.3 * (1 - np.exp(-np.cumsum(drive[:, 1]) / 4))
    fitted = Regressor(leaky, washout=0).fit(drive[:200], x[:200])
    np.testing.assert_allclose(fitted.predict(drive[:200]), x[:200], atol=1e-9)
    with pytest.raises(ValueError, match="must not be timed where outputs are fed back"):
        Forecaster(leaky, washout=0).fit(inputs(50, 2))
    with pytest.raises(ValueError, match="system must step regularly"):
        leaky.close(np.ones((1, 1)))


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W": [[-0.1]]}, "W must not hold negative conductances, got -0.1"),
        ({"W": np.ones((2, 3))}, "W must be square"),
        ({"W": [[np.nan]]}, "W must be finite"),
        ({"W_in": [[-1.0]]}, "W_in must not hold negative"),
        ({"W_in": np.ones((2, 1))}, "W_in must have shape"),
        ({"C_m": 0.0}, "C_m must be positive, got 0.0 at unit 0"),
        ({"C_m": -0.5}, "C_m must be positive, got -0.5"),
        ({"g_leak": -1e-3}, "g_leak must not be negative, got -0.001"),
        ({"v_leak": np.ones(2)}, "v_leak must be a number or have shape"),
        ({"E": np.ones((2, 2))}, "E must have shape"),
        ({"mu": np.inf}, "mu must be finite"),
        ({"dt": 0.0}, "dt must be"),
        ({"dt": -1.0}, "dt must be"),
        ({"unfolds": 0}, "unfolds must be"),
        ({"solver": np.tanh}, "solver must be one of penstock.reservoirs.fused"),
        ({"input_weight": np.ones(2)}, "input_weight must be a number or have shape"),
    ],
)
def test_bad_fields_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        one_unit(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timed": 1}, "timed must be True or False"),
        ({"dt": "fast"}, "dt must be"),
        ({"unfolds": 2.5}, "unfolds must be"),
        ({"C_m": None}, "C_m must"),
        ({"W": [["a"]]}, "W must hold real numbers"),
    ],
)
def test_bad_types_are_refused(changes, message):
    with pytest.raises(TypeError, match=message):
        one_unit(**changes)


def test_a_synapse_without_parameters_is_named():
    ltc = policy()
    hole = ltc.mu.copy()
    hole.data[hole.indptr[3]] = np.nan
    hole = sp.csr_array(
        (hole.data[~np.isnan(hole.data)], np.argwhere(~np.isnan(hole.toarray()) & (ltc.W.toarray() > 0)).T)
    )
    hole.resize(14, 14)
    row, column = 3, ltc.W.indices[ltc.W.indptr[3]]
    with pytest.raises(
        ValueError, match=rf"mu must hold a value for every synapse of W, got none at \({row}, {column}\)"
    ):
        replace(ltc, mu=hole)


def test_rk4_that_overflows_names_step_and_unit():
    ltc = network(solver=rk4, unfolds=1, dt=1e3, W=Uniform(50, 100))
    with pytest.raises(FloatingPointError, match="unit .* at step"):
        ltc.run(inputs(2000, 2))


def test_fixed_points_of_a_timed_network_are_those_at_its_elapsed_time():
    ltc = network(n=5, timed=True)
    found = fixed_points(ltc, u=[0.2, -0.4, 3.0], n_starts=30, seed=0, progress=False)
    regular = replace(ltc, timed=False, dt=3.0).run(np.tile([0.2, -0.4], (300, 1)))[-1]
    np.testing.assert_allclose(found.points[0], regular, atol=1e-11)
    with pytest.raises(ValueError, match="replace.system, timed=False"):
        memory_capacity(ltc, seed=0, progress=False)
