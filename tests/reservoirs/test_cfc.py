"""Closed-form continuous-time cells against ncps, a plain twin of their equations, and exact limits."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import erf, expit
from scipy.stats import norm

import penstock
from penstock.reservoirs import (
    AutoNCP,
    CfC,
    Stack,
    Wiring,
    elapsed_inputs,
    fully_connected,
    gelu,
    lecun_tanh,
    no_gate,
    pure,
    silu,
    with_gate,
)
from penstock.reservoirs.heads import backbone_slope
from penstock.system import numerical_jacobian

N, M = 7, 3
MODES = {"default": with_gate, "no_gate": no_gate, "pure": pure}
BACKBONES = {"lecun_tanh": lecun_tanh, "tanh": penstock.tanh, "relu": penstock.relu, "silu": silu, "gelu": gelu}
each_mode = pytest.mark.parametrize("mode", MODES)


def series(*shape, timed=False, seed=0):
    rng = np.random.default_rng(seed)
    u = rng.uniform(-1, 1, (*shape, M))
    return np.concatenate([u, rng.uniform(0.1, 3, (*shape, 1))], axis=-1) if timed else u


def cell(mode="default", **settings):
    settings = {"n_inputs": M, "backbone_units": 11, "recurrent_scaling": 2.0, "seed": 4} | settings
    cfc = CfC.random(N, mode=MODES[mode], **settings)
    if mode == "pure":
        w_tau, A = np.random.default_rng(5).uniform(-1, 1, (2, N))
        cfc = replace(cfc, w_tau=w_tau, A=A)
    return cfc


# --- the equations written a second time, with concatenated vectors and scipy's functions ----------------------------

TWINS = {
    lecun_tanh: lambda z: 1.7159 * np.tanh(0.666 * z),
    penstock.tanh: np.tanh,
    penstock.relu: lambda z: np.maximum(z, 0),
    silu: lambda z: z * expit(z),
    gelu: lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
}


def twin(cfc, u, x):
    """The states of one series by the published equations."""
    states = []
    for row in u:
        data, t = (row[:-1], row[-1]) if cfc.timed else (row, cfc.dt)
        h = x[:N]
        if cfc.memory is not None:
            W, W_in, b = cfc.memory
            candidate, entry, forget, leave = (np.hstack([W_in, W]) @ np.hstack([data, h]) + b).reshape(4, N)
            c = expit(forget + 1) * x[N:] + expit(entry) * np.tanh(candidate)
            h = expit(leave) * np.tanh(c)
        z = np.hstack([cfc.W_in, cfc.W]) @ np.hstack([data, h]) + cfc.bias
        for W, b in cfc.layers:
            z = W @ TWINS[cfc.activation](z) + b
        heads = z.reshape(-1, N)
        if cfc.mode is pure:
            h = cfc.A - cfc.A * np.exp(-t * (abs(cfc.w_tau) + abs(heads[0]))) * heads[0]
        else:
            f, g, gate = np.tanh(heads[0]), np.tanh(heads[1]), expit(heads[2] * t + heads[3])
            h = f * (1 - gate) + gate * g if cfc.mode is with_gate else f + gate * g
        x = h if cfc.memory is None else np.hstack([h, c])
        states.append(x)
    return np.array(states)


@each_mode
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("memory", [False, True])
def test_states_of_every_kind_are_those_of_the_equations(mode, memory, timed):
    for n_layers, activation in ((0, lecun_tanh), (2, lecun_tanh), *product((1,), BACKBONES.values())):
        cfc = cell(mode, backbone_layers=n_layers, activation=activation, memory=memory, timed=timed, dt=1.7)
        u, x0 = series(15, timed=timed), 0.5 * series(cfc.n_units, seed=1)[:, 0]
        wanted = twin(cfc, u, x0)
        np.testing.assert_allclose(cfc.run(u, x0), wanted, atol=1e-13)  # maps that expand little, 15 steps
        np.testing.assert_allclose(cfc.step(x0, u[0]), wanted[0], atol=1e-15)


@pytest.mark.slow
@each_mode
@pytest.mark.parametrize("memory", [False, True])
def test_states_in_float32_are_those_of_the_equations_to_its_rounding(mode, memory):
    for activation in BACKBONES.values():
        cfc = cell(mode, activation=activation, memory=memory, timed=True)
        u, x0 = series(15, timed=True), 0.5 * series(cfc.n_units, seed=1)[:, 0]
        states = replace(cfc, W=cfc.W.astype(np.float32)).run(u, x0)
        assert states.dtype == np.float32
        np.testing.assert_allclose(states, twin(cfc, u, x0), atol=2e-5)  # rounding of 1e-7, which the steps may amplify


@each_mode
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("memory", [False, True])
def test_jacobians_are_the_complex_step_of_step(mode, memory, timed):
    for n_layers, activation in ((0, lecun_tanh), (1, silu), (2, gelu), (2, lecun_tanh)):
        cfc = cell(mode, backbone_layers=n_layers, activation=activation, memory=memory, timed=timed, dt=1.7)
        x, u = 0.5 * series(cfc.n_units, seed=1)[:, 0], series(6, timed=timed)
        by_state = numerical_jacobian(partial(lambda cfc, v, x: cfc.step(x, v), cfc, u[0]), x)
        by_input = numerical_jacobian(partial(cfc.step, x), u[0])
        np.testing.assert_allclose(cfc.jacobian(x, u[0]), by_state, atol=1e-14)
        np.testing.assert_allclose(cfc.input_jacobian(x, u[0]), by_input, atol=1e-14)
        V = basis = series(cfc.n_units, seed=2)
        y = x
        for u_t in u:
            V, y = cfc.jacobian(y, u_t) @ V, cfc.step(y, u_t)
        pushed_x, pushed = cfc.push(x, u, basis)
        np.testing.assert_allclose(pushed, V, atol=1e-13 * max(1, abs(V).max()))
        np.testing.assert_allclose(pushed_x, y, atol=1e-13)


@each_mode
@pytest.mark.parametrize("memory", [False, True])
def test_one_unit_without_data_and_no_steps_are_cells_too(mode, memory):
    settings = {"n_inputs": 0, "backbone_units": 1, "memory": memory, "seed": 0}
    regular, timed = (CfC.random(1, mode=MODES[mode], timed=timed, **settings) for timed in (False, True))
    for cfc, u, none in ((regular, 4, 0), (timed, np.ones((4, 1)), np.ones((0, 1)))):
        x = np.zeros(1 + memory)
        states, wanted = cfc.run(u), []
        for _ in range(4):
            x = cfc.step(x, np.ones(int(cfc.timed)))
            wanted.append(x)
        np.testing.assert_allclose(states, wanted, atol=1e-15)
        assert cfc.run(none).shape == (0, 1 + memory)
    np.testing.assert_allclose(regular.run(4), timed.run(np.ones((4, 1))), atol=1e-15)


@pytest.mark.parametrize("activation", BACKBONES)
def test_slopes_of_the_activations_are_their_derivatives(activation):
    z = np.linspace(-4, 4, 9) + 0.1
    f = BACKBONES[activation]
    np.testing.assert_allclose(f(z), TWINS[f](z), atol=1e-15)
    np.testing.assert_allclose(backbone_slope(f, z), np.imag(f(z + 1e-20j)) / 1e-20, atol=1e-14)


def test_gelu_is_right_to_all_digits_far_below_zero():
    assert gelu(-8.0) == pytest.approx(-8 * norm.cdf(-8), rel=1e-14)


@pytest.mark.parametrize("mode", ["default", "pure"])
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("n_series", [16, 60])  # in groups of few rows, and by BLAS
def test_every_series_of_a_batch_runs_as_if_alone(mode, memory, n_series):
    cfc, u = cell(mode, memory=memory, timed=True), series(n_series, 6, timed=True)
    x0 = 0.5 * series(n_series, cfc.n_units, seed=1)[..., 0]
    np.testing.assert_allclose(cfc.run(u, x0), [twin(cfc, *one) for one in zip(u, x0, strict=True)], atol=1e-13)


# --- bounds and limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "bound"), [("default", 1.0), ("no_gate", 2.0)])
def test_gates_bound_the_states_whatever_inputs_and_times(mode, bound):
    cfc = cell(mode, timed=True, recurrent_scaling=1.0)
    u = series(400, timed=True)
    assert abs(cfc.run(u)).max() < bound
    u[:, :M] *= 1e3
    u[:, M] = np.geomspace(1e-6, 1e6, 400)
    assert abs(cfc.run(u)).max() <= bound  # the heads saturate: rounded to the bound itself


@pytest.mark.parametrize("t", [1e6, -1e6])
def test_late_gates_are_switches_by_the_sign_of_their_slope(t):
    f, g, a, b = np.random.default_rng(0).standard_normal((4, 500))
    on = a * t > 0
    np.testing.assert_allclose(with_gate(f, g, a, b, t), np.where(on, np.tanh(g), np.tanh(f)), atol=1e-15)
    np.testing.assert_allclose(no_gate(f, g, a, b, t), np.tanh(f) + on * np.tanh(g), atol=1e-15)


def test_a_timed_cell_saturates_in_the_same_way():
    cfc = cell(timed=True, backbone_layers=0)
    x, u = 0.5 * series(N, seed=1)[:, 0], series(1, timed=True)
    u[0, -1] = 1e7
    f, g, a, _ = (cfc.W @ x + cfc.W_in @ u[0, :-1] + cfc.bias).reshape(4, N)
    np.testing.assert_allclose(cfc.run(u, x)[0], np.tanh(np.where(a > 0, g, f)), atol=1e-14)


def test_pure_starts_at_the_wrong_state_and_ends_at_the_wrong_one():
    f, w_tau, A = np.random.default_rng(0).standard_normal((3, 50))
    np.testing.assert_allclose(pure(f, 0.0, w_tau, A), A * (1 - f), atol=1e-15)
    np.testing.assert_allclose(pure(f, 1e7, w_tau, A), A)


@pytest.mark.parametrize("drive", [np.ones_like, lambda t: 1.0 * (t > 2.5), np.sin], ids=["constant", "step", "sine"])
def test_the_closed_form_is_half_a_unit_away_from_the_equation_it_approximates(drive):
    """The laws of x0, w_tau and f are this test's: the reference, which finds 0.55, 0.51 and 0.51, names that of A."""
    rng, t = np.random.default_rng(0), np.linspace(0, 5, 51)
    A, x0, slope, offset, w_tau = rng.standard_normal((5, 200))
    w_tau = abs(w_tau)

    def f(t):
        return expit(slope * drive(np.asarray(t)) + offset)

    def field(t, x):
        return -(w_tau + f(t)) * x + A * f(t)

    exact = solve_ivp(field, (0, 5), x0, t_eval=t, rtol=1e-6, atol=1e-8, max_step=0.1).y.T
    late = np.array([(x0 - A) * np.exp(-(w_tau + f(s)) * s) * (1 - f(s)) + A for s in t])  # f(-I) = 1 - f(I)
    assert 0.4 < abs(late - exact).mean() < 0.6
    assert abs(late - exact).mean() > 0.8 * exact.std()


# --- masks and wirings ----------------------------------------------------------------------------------------------


@each_mode
def test_masked_weights_leave_no_trace_in_the_jacobian(mode):
    cfc = cell(mode, backbone_layers=0)
    mask = np.random.default_rng(0).uniform(size=(N, N + M)) < 0.5
    whole = np.tile(mask, (len(cfc.W) // N, 1))
    cfc = replace(cfc, W=cfc.W * whole[:, :N], W_in=cfc.W_in * whole[:, N:])
    x, u = 0.3 * series(N, seed=1)[:, 0], series(1)[0]
    J, J_in = cfc.jacobian(x, u), cfc.input_jacobian(x, u)
    np.testing.assert_array_equal(J[~mask[:, :N]], 0)
    np.testing.assert_array_equal(J_in[~mask[:, N:]], 0)
    assert (J[mask[:, :N]] != 0).all() and (J_in[mask[:, N:]] != 0).all()
    np.testing.assert_array_equal(cfc.push(x, u[None], np.eye(N))[1][~mask[:, :N]], 0)


@each_mode
@pytest.mark.parametrize("timed", [False, True])
def test_a_wired_stack_has_the_synapses_of_the_wiring_and_no_others(mode, timed):
    wiring = AutoNCP(14, 3, n_inputs=M)
    stack = CfC.wired(wiring, mode=MODES[mode], timed=timed, seed=0)
    x, u = 0.3 * series(14, seed=1)[:, 0], series(1, timed=timed)[0]
    order = np.concatenate(wiring.layers)
    J_in = stack.layers[0].input_jacobian(x[: len(wiring.layers[0])], u)[:, :M]
    np.testing.assert_array_equal(J_in != 0, wiring.sensory[wiring.layers[0]] != 0)
    start = 0
    for units in wiring.layers:
        own, start = slice(start, start + len(units)), start + len(units)
        drawn = wiring.adjacency[np.ix_(units, units)] != 0
        np.testing.assert_array_equal(stack.jacobian(x, u)[own, own] != 0, drawn)
        assert drawn.any() == (units is wiring.layers[1])  # command neurons alone have synapses among themselves
    below = wiring.adjacency[np.ix_(wiring.layers[1], wiring.layers[0])] != 0
    first = stack.layers[1].input_jacobian(np.zeros(len(below)), np.concatenate([x[: below.shape[1]], u][: 1 + timed]))
    np.testing.assert_array_equal(first[:, : below.shape[1]] != 0, below)
    assert len(order) == stack.n_units and stack.n_inputs == M + timed and stack.timed == timed


@each_mode
def test_the_released_form_fills_recurrence_and_time_gates_alone(mode):
    wiring = AutoNCP(14, 3, n_inputs=M)
    drawn, released = (
        CfC.wired(wiring, mode=MODES[mode], as_released=as_released, seed=0) for as_released in (False, True)
    )
    for sparse, full in zip(drawn.layers, released.layers, strict=True):
        assert full.W.all() and not sparse.W.all()
        candidates = slice(0, 2 * full.n_units)
        np.testing.assert_array_equal(full.W_in[candidates], sparse.W_in[candidates])
        assert full.W_in[candidates.stop :].all()


def test_a_timed_wired_stack_equals_one_cell_after_the_other():
    stack, u = CfC.wired(AutoNCP(14, 3, n_inputs=M), timed=True, seed=0), series(3, 8, timed=True)
    plain = CfC.wired(AutoNCP(14, 3, n_inputs=M), dt=0.7, seed=0)
    u[..., -1] = 0.7
    np.testing.assert_allclose(stack.run(u), plain.run(u[..., :-1]), atol=1e-14)


def test_a_wiring_without_layers_is_a_stack_of_one():
    stack = CfC.wired(fully_connected(6, n_inputs=M, seed=0), seed=0)
    assert isinstance(stack, Stack) and len(stack.layers) == 1 and stack.layers[0].W.all()


# --- as a model -----------------------------------------------------------------------------------------------------


def test_random_weights_have_the_published_laws():
    cfc = CfC.random(60, n_inputs=40, backbone_units=80, backbone_layers=2, memory=True, seed=0)
    (W2, b2), (heads, _) = cfc.layers
    # Xavier: limit sqrt(6 / (fan in + fan out)); thousands of draws come within 1 % of it
    for weights, limit in (
        (np.hstack([cfc.W_in, cfc.W]), np.sqrt(6 / (100 + 80))),
        (W2, np.sqrt(6 / 160)),
        (heads, np.sqrt(6 / (80 + 60))),
        (cfc.memory[1], np.sqrt(6 / (4 * 60 + 40))),
        (cfc.bias[:, None], 1 / np.sqrt(100)),
        (b2[:, None], 1 / np.sqrt(80)),
        (cfc.memory[2][:, None], 0.1),
    ):
        assert 0.95 * limit < abs(weights).max() <= limit
        assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.2)
    np.testing.assert_allclose(cfc.memory[0].T @ cfc.memory[0], np.eye(60), atol=1e-13)
    assert cfc.n_units == 120 and cfc.observed == slice(0, 60)
    late = CfC.random(5, mode=pure, seed=0)
    np.testing.assert_array_equal([late.w_tau, late.A], [np.zeros(5), np.ones(5)])


def test_scalings_multiply_their_weights_alone():
    plain, scaled = (
        CfC.random(5, n_inputs=2, recurrent_scaling=r, input_scaling=s, seed=1) for r, s in ((1, 1), (3, [2, 0]))
    )
    np.testing.assert_allclose(scaled.W, 3 * plain.W)
    np.testing.assert_allclose(scaled.W_in, plain.W_in * [2, 0])
    np.testing.assert_array_equal(scaled.bias, plain.bias)


@pytest.mark.parametrize("memory", [False, True])
def test_a_closed_loop_is_the_open_one_fed_its_readout(memory):
    cfc = cell(memory=memory)
    W_out, offset = 0.3 * series(M, N, seed=3)[..., 0], np.array([0.1, -0.2, 0.3])
    x, closed = 0.3 * series(cfc.n_units, seed=1)[:, 0], cfc.close(W_out, offset)
    y = x
    for _ in range(5):
        y = cfc.step(y, W_out @ y[:N] + offset)
    np.testing.assert_allclose(closed.run(5, x0=x)[-1], y, atol=1e-13)


def test_equal_time_stamps_are_a_regular_step():
    timed, regular = cell(timed=True), cell(dt=0.5)
    u = series(10)
    np.testing.assert_allclose(timed.run(elapsed_inputs(u, 0.5 * np.arange(10))), regular.run(u), atol=1e-14)


def test_a_replaced_field_counts_after_a_run():
    cfc, u = cell(), series(5)
    cfc.run(u)
    for changes in ({"dt": 0.3}, {"mode": no_gate}, {"activation": penstock.tanh}, {"bias": 0.5}):
        other = replace(cfc, **changes)
        np.testing.assert_allclose(other.run(u), twin(other, u, np.zeros(N)), atol=1e-13)


# --- bad input ------------------------------------------------------------------------------------------------------

W, W_IN, TOP = np.zeros((8, 2)), np.zeros((8, 1)), (np.zeros((8, 8)), np.zeros(8))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"W": np.zeros(4)}, ValueError, "W must have shape"),
        ({"W": np.zeros((8, 0))}, ValueError, "W must have at least one column"),
        ({"W": np.full((8, 2), np.nan)}, ValueError, "W must be finite"),
        ({"W": None}, TypeError, "W must hold real numbers"),
        ({"W": np.zeros((6, 2))}, ValueError, "W_in must have shape \\(6, any\\)"),
        (
            {"W": np.zeros((6, 2)), "W_in": np.zeros((6, 1))},
            ValueError,
            "without layers on top, must have 8 rows, 4 per",
        ),
        ({"mode": pure}, ValueError, "must have 2 rows, 1 per unit for pure, got 8"),
        ({"mode": "default"}, ValueError, "mode must be one of penstock.reservoirs.with_gate"),
        ({"activation": "tanh"}, ValueError, "activation must be one of penstock.tanh"),
        ({"activation": penstock.sigmoid}, ValueError, "activation must be one of"),
        ({"W_in": None}, TypeError, "W_in must hold real numbers"),
        ({"bias": np.zeros(3)}, ValueError, "bias must be a number or have shape \\(8,\\)"),
        ({"bias": np.inf}, ValueError, "bias must be finite"),
        ({"layers": None}, TypeError, "layers must be a sequence of pairs"),
        ({"layers": [np.zeros((8, 8))]}, TypeError, r"layers\[0\] must be a pair"),
        ({"layers": [TOP, (np.zeros((8, 5)), 0.0)]}, ValueError, r"weights of layers\[1\] must have shape \(any, 8\)"),
        ({"layers": [(np.zeros((8, 8)), np.zeros(7))]}, ValueError, r"bias of layers\[0\] must be a number or"),
        ({"layers": [(np.zeros((6, 8)), 0.0)]}, ValueError, "the last layer must have 8 rows"),
        ({"w_tau": 1.0}, ValueError, "w_tau must be None for the mode with_gate"),
        ({"A": np.ones(2)}, ValueError, "A must be None for the mode with_gate"),
        ({"memory": True}, TypeError, "memory must be None or the three arrays"),
        ({"memory": (W, W_IN)}, TypeError, "memory must be None or the three arrays"),
        ({"memory": (W[:4], W_IN, 0.0)}, ValueError, r"memory W must have shape \(8, 2\)"),
        ({"memory": (W, np.zeros((8, 2)), 0.0)}, ValueError, r"memory W_in must have shape \(8, 1\)"),
        ({"memory": (W, W_IN, np.nan)}, ValueError, "memory bias must be finite"),
        ({"dt": 0.0}, ValueError, "dt must be above 0"),
        ({"dt": None}, TypeError, "dt must be a number"),
        ({"timed": 1}, TypeError, "timed must be True or False"),
    ],
)
def test_bad_arrays_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        CfC(**({"W": W, "W_in": W_IN} | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_units": 0}, ValueError, "n_units must be at least 1"),
        ({"n_units": 2.5}, TypeError, "n_units must be an integer"),
        ({"n_inputs": -1}, ValueError, "n_inputs must be at least 0"),
        ({"backbone_units": 0}, ValueError, "backbone_units must be at least 1"),
        ({"backbone_layers": -1}, ValueError, "backbone_layers must be at least 0"),
        ({"mode": "pure"}, ValueError, "mode must be one of"),
        ({"activation": np.tanh}, ValueError, "activation must be one of"),
        ({"memory": "lstm"}, TypeError, "memory must be True or False"),
        ({"recurrent_scaling": -1.0}, ValueError, "recurrent_scaling must be at least 0"),
        ({"input_scaling": [1.0, 2.0]}, ValueError, "input_scaling must be a number of at least 0, or 1 of them"),
        ({"dt": 0}, ValueError, "dt must be above 0"),
        ({"dtype": int}, ValueError, "dtype must be float64 or float32"),
        ({"seed": None}, TypeError, "seed must be a non-negative integer"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        CfC.random(**({"n_units": 3, "seed": 0} | changes))


@pytest.mark.parametrize("wiring", [None, 12, np.eye(3)], ids=str)
def test_what_is_no_wiring_is_refused(wiring):
    with pytest.raises(TypeError, match=r"wiring must be a penstock\.reservoirs\.Wiring"):
        CfC.wired(wiring, seed=0)


def test_a_setting_that_is_no_flag_is_refused():
    with pytest.raises(TypeError, match="as_released must be True or False, got 'no'"):
        CfC.wired(AutoNCP(14, 3, n_inputs=M), as_released="no", seed=0)


def test_synapses_that_jump_over_a_layer_are_refused():
    good = AutoNCP(14, 3, n_inputs=M)
    adjacency = good.adjacency.copy()
    adjacency[good.layers[2][0], good.layers[0][0]] = 1
    with pytest.raises(ValueError, match="wiring must lead from the inputs .* got 1 other synapses"):
        CfC.wired(Wiring(adjacency, good.sensory, 3, good.layers), seed=0)


@pytest.mark.parametrize("t", [0.0, -1.0])
def test_time_does_not_run_backwards(t):
    u = series(4, timed=True)
    u[2, -1] = t
    with pytest.raises(ValueError, match="u must hold positive elapsed times in its last channel, got .* at step 2"):
        cell(timed=True).run(u)


def test_the_readout_of_a_closed_loop_must_fit():
    with pytest.raises(ValueError, match=rf"W_out must have shape \({M}, {N}\)"):
        cell().close(np.zeros((M, N + 1)))
    with pytest.raises(ValueError, match="system must step regularly"):
        cell(timed=True).close(np.zeros((M + 1, N)))


# --- ncps -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ncps():
    return pytest.importorskip("ncps.torch")


def arrays(module, dtype):
    return {name: value.detach().numpy().astype(dtype) for name, value in module.state_dict().items()}


def from_torch(module, mode, activation=lecun_tanh, lstm=None, dtype=np.float64, extra=0, **settings):
    """The cell of an ncps cell, read here by hand so that the bridge is not its own judge."""
    part, m = arrays(module, dtype), module.input_size
    mask = part.get("sparsity_mask", 1.0)
    heads = ["ff1"] if mode == "pure" else ["ff1", "ff2", "time_a", "time_b"]
    numbers = sorted({int(name.split(".")[1]) for name in part if name.startswith("backbone.")})
    dense = [(part[f"backbone.{k}.weight"], part[f"backbone.{k}.bias"]) for k in numbers]
    weights = [part[f"{h}.weight"] * (mask if h.startswith("ff") else 1.0) for h in heads]
    dense.append((np.concatenate(weights), np.concatenate([part[f"{h}.bias"] for h in heads])))
    (first, bias), *layers = dense
    late = {"w_tau": part["w_tau"][0], "A": part["A"][0]} if mode == "pure" else {}
    if lstm is not None:
        own = arrays(lstm, dtype)
        late["memory"] = own["recurrent_map.weight"], own["input_map.weight"], own["input_map.bias"]
    W_in = np.hstack([first[:, :m], np.zeros((len(first), extra), dtype)])
    settings |= {"mode": MODES[mode], "activation": activation, "layers": tuple(layers)}
    return CfC(first[:, m:], W_in, bias, **late, **settings)


@pytest.mark.torch
@each_mode
@pytest.mark.parametrize("memory", [False, True])
def test_states_are_those_of_ncps(ncps, mode, memory):
    import torch

    torch.manual_seed(0)
    kinds = [(0, "lecun_tanh"), (2, "lecun_tanh"), *product((1,), BACKBONES)]
    for number, (n_layers, activation) in enumerate(kinds):
        timed = number % 2 == 1
        shape = {"backbone_layers": n_layers, "backbone_units": 9, "activation": activation}
        layer = ncps.CfC(M, N, mode=mode, mixed_memory=memory, **shape)
        u = series(2, 8, timed=timed).astype(np.float32)
        for dtype, kind, tolerance in ((np.float32, torch.float32, 1e-6), (np.float64, torch.float64, 1e-12)):
            layer = layer.to(kind)
            cfc = from_torch(
                layer.rnn_cell, mode, BACKBONES[activation], layer.lstm if memory else None, dtype, timed=timed
            )
            with torch.no_grad():
                wanted = [
                    layer(
                        torch.tensor(one[None, :, :M], dtype=kind),
                        (torch.zeros((1, N), dtype=kind),) * 2 if memory else torch.zeros((1, N), dtype=kind),
                        torch.tensor(one[None, :, M], dtype=kind) if timed else None,
                    )[0][0].numpy()
                    for one in u
                ]
            np.testing.assert_allclose(cfc.run(u.astype(dtype))[..., cfc.observed], wanted, atol=tolerance)


@pytest.mark.torch
@each_mode
@pytest.mark.parametrize("timed", [False, True])
def test_the_wired_cell_of_ncps_is_a_stack(ncps, mode, timed):
    import torch
    from ncps.wirings import AutoNCP as Published

    torch.manual_seed(0)
    module = ncps.WiredCfCCell(M, Published(14, 3), mode).double()
    sizes = module.layer_sizes
    layers = [
        from_torch(part, mode, extra=M if timed and i else 0, timed=timed) for i, part in enumerate(module._layers)
    ]
    stack, u, x = Stack(layers, feed_input=timed), series(12, timed=timed), torch.zeros((1, 14), dtype=torch.float64)
    for states, row in zip(stack.run(u), u, strict=True):
        with torch.no_grad():
            _, x = module(torch.tensor(row[None, :M]), x, float(row[M]) if timed else 1.0)
        np.testing.assert_allclose(states, x[0].numpy(), atol=1e-12)
    ours = CfC.wired(AutoNCP(14, 3, n_inputs=M), mode=MODES[mode], as_released=True, timed=timed, seed=0)
    assert [layer.n_units for layer in ours.layers] == sizes
    for own, theirs in zip(ours.layers, layers, strict=True):  # the released form: the same synapses
        np.testing.assert_array_equal(own.W != 0, theirs.W != 0)
        np.testing.assert_array_equal(own.W_in != 0, theirs.W_in != 0)
