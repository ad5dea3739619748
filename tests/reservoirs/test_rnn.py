"""Gated networks given as arrays, and networks read from PyTorch: the same states, Jacobians and tangents."""

import naive
import numpy as np
import pytest

from penstock import Readout, relu, tanh
from penstock.reservoirs import ESN, GRU, Stack, rnn_from_torch
from penstock.system import numerical_jacobian


def draw(*shapes, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-scale, scale, shape) for shape in shapes]


def make(n=6, m=2, scale=0.8):
    return GRU(*draw((3 * n, n), (3 * n, m), 3 * n, n, scale=scale))


# --- GRU ------------------------------------------------------------------------------------------------------------


def test_states_equal_the_equation_written_out():
    gru = make()
    u, x0 = draw((40, 2), 6, seed=1)
    twin = naive.gru_states(gru.W, gru.W_in, gru.bias, gru.recurrent_bias, u, x0)
    np.testing.assert_allclose(gru.run(u, x0), twin, atol=1e-14)  # bounded states, a few roundings per step


def test_an_update_gate_at_one_keeps_the_state():
    n = 5
    gru = GRU(*draw((3 * n, n), (3 * n, 1)), np.repeat([0.0, 800.0, 0.0], n))
    x0 = np.linspace(-0.9, 0.9, n)
    np.testing.assert_array_equal(gru.run(np.ones(20), x0)[-1], x0)
    np.testing.assert_array_equal(gru.jacobian(x0, 1.0), np.eye(n))


def test_with_the_gates_open_it_is_an_echo_state_network():
    n = 7
    W, W_in, bias = draw((n, n), (n, 2), n)
    closed = np.zeros((2 * n, n))  # r = 1 and z = 0 to rounding: the sigmoid of ±800
    gru = GRU(np.concatenate([closed, W]), np.concatenate([closed[:, :2], W_in]), np.repeat([800.0, -800.0, 0.0], n),
              bias)  # fmt: skip
    u, x0 = draw((30, 2), n, seed=2)
    # the same products and tanh; the state bias goes in at another place
    np.testing.assert_allclose(gru.run(u, x0), ESN(W, W_in, bias).run(u, x0), atol=1e-13)


def test_states_stay_in_the_unit_cube():
    gru = make(8, 1, scale=4.0)
    assert np.abs(gru.run(np.random.default_rng(0).normal(0, 10, 500))).max() <= 1  # a convex mixture of x and tanh


@pytest.mark.parametrize("direct", [False, True])
def test_closed_loop_equals_stepwise_feedback(direct):
    gru = make()
    if direct:
        gru = GRU(gru.W, gru.W_in, gru.bias, gru.recurrent_bias, draw((6, 6), seed=9)[0])
    W_out, offset, x0 = draw((2, 6), 2, 6, seed=3)
    closed = gru.close(W_out, offset)
    assert (closed.n_inputs, closed.n_units) == (0, 6)
    x, states = x0, []
    for _ in range(25):
        x = gru.step(x, W_out @ x + offset)
        states.append(x)
    np.testing.assert_allclose(closed.run(25, x0), states, atol=1e-12)  # 25 steps that may expand a little
    by_rule = gru.jacobian(x0, W_out @ x0 + offset) + gru.input_jacobian(x0, W_out @ x0 + offset) @ W_out
    np.testing.assert_allclose(closed.jacobian(x0, []), by_rule, atol=1e-14)
    np.testing.assert_array_equal(gru.close(Readout(W_out, offset)).run(5, x0), closed.run(5, x0))
    batch = np.empty((4, 25, 0))
    np.testing.assert_allclose(closed.run(batch, x0)[3], states, atol=1e-12)


def test_float32_in_is_float32_out():
    gru = make(12)
    single = GRU(*(np.float32(part) for part in (gru.W, gru.W_in, gru.bias, gru.recurrent_bias)))
    u, x0 = draw((20, 2), 12, seed=1)
    assert single.run(u).dtype == single.push(x0, u, np.eye(12))[1].dtype == np.float32
    np.testing.assert_allclose(single.run(u), gru.run(u), atol=2e-5)  # 20 steps with roundings of a few 1e-7
    np.testing.assert_allclose(single.push(x0, u[:3], np.eye(12))[1], gru.push(x0, u[:3], np.eye(12))[1], atol=2e-5)


def test_gru_refuses_bad_arrays():
    W, W_in = draw((18, 6), (18, 2))
    with pytest.raises(ValueError, match=r"W must have shape \(3 N, N\).*got \(6, 6\)"):
        GRU(W[:6], W_in)
    with pytest.raises(ValueError, match=r"W_in must have shape \(18, any\), got \(6, 2\)"):
        GRU(W, W_in[:6])
    with pytest.raises(ValueError, match=r"bias must be a number or have shape \(18,\), got \(6,\)"):
        GRU(W, W_in, np.zeros(6))
    with pytest.raises(ValueError, match=r"recurrent_bias must be a number or have shape \(6,\), got \(18,\)"):
        GRU(W, W_in, 0.0, np.zeros(18))
    with pytest.raises(ValueError, match=r"W_direct must have shape \(6, 6\), got \(18, 6\)"):
        GRU(W, W_in, W_direct=W)
    with pytest.raises(ValueError, match="W must be finite"):
        GRU(W * np.nan, W_in)
    with pytest.raises(ValueError, match=r"W_out must have shape \(2, 6\), got \(1, 6\)"):
        GRU(W, W_in).close(np.zeros(6))


# --- read from PyTorch ----------------------------------------------------------------------------------------------


def torch_of(kind, *args, **settings):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch, getattr(torch.nn, kind)(*args, dtype=torch.float64, **settings).requires_grad_(False)


CELLS = [
    ("RNNCell", {}),
    ("RNNCell", {"nonlinearity": "relu"}),
    ("RNNCell", {"bias": False}),
    ("GRUCell", {}),
    ("GRUCell", {"bias": False}),
]


@pytest.mark.torch
@pytest.mark.parametrize("kind, settings", CELLS, ids=str)
def test_cells_equal_torch_in_states_jacobians_and_tangents(kind, settings):
    torch, cell = torch_of(kind, 3, 9, **settings)
    system = rnn_from_torch(cell)
    assert isinstance(system, GRU if kind == "GRUCell" else ESN)
    u, x0, basis = draw((30, 3), 9, (9, 4), seed=1)
    x, V, states = torch.tensor(x0), torch.tensor(basis), []
    for u_t in torch.tensor(u):
        J, by_input = torch.autograd.functional.jacobian(lambda x, u: cell(u, x), (x, u_t))
        np.testing.assert_allclose(system.jacobian(x.numpy(), u_t.numpy()), J, atol=1e-14)
        np.testing.assert_allclose(system.input_jacobian(x.numpy(), u_t.numpy()), by_input, atol=1e-14)
        x, V = cell(u_t, x), J @ V
        states.append(x.numpy())
    # contracting cells of order 1: a few roundings per step
    np.testing.assert_allclose(system.run(u, x0), states, atol=1e-13)
    np.testing.assert_allclose(system.push(x0, u, basis)[1], V, rtol=1e-11, atol=1e-14)


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["RNN", "GRU"])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_layers_equal_torch(kind, n_layers):
    torch, net = torch_of(kind, 2, 8, num_layers=n_layers, batch_first=True)
    system = rnn_from_torch(net)
    u = draw((5, 20, 2), seed=1)[0]
    states, _ = net(torch.tensor(u))
    assert isinstance(system, Stack) == (n_layers == 3)
    np.testing.assert_allclose(system.run(u)[..., system.observed], states, atol=1e-13)


@pytest.mark.torch
def test_float32_weights_are_widened_or_kept():
    torch, cell = torch_of("GRUCell", 2, 5)
    cell = cell.float()
    wide, single = rnn_from_torch(cell), rnn_from_torch(cell, dtype=np.float32)
    assert (wide.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(wide.W, cell.weight_hh.double())
    u = draw((30, 2), seed=1)[0]
    x = torch.zeros(5)
    for u_t in torch.tensor(u, dtype=torch.float32):
        x = cell(u_t, x)
    np.testing.assert_allclose(single.run(u)[-1], x, atol=1e-5)  # contracting, roundings of a few 1e-7 per step


@pytest.mark.torch
def test_training_on_leaves_the_system_as_it_is():
    torch, cell = torch_of("GRUCell", 2, 5)
    system, u = rnn_from_torch(cell), draw((5, 2))[0]
    before = system.run(u)
    with torch.no_grad():
        cell.weight_hh.mul_(3)
        cell.bias_hh.add_(1)
    np.testing.assert_array_equal(system.run(u), before)
    assert system.W.max() < cell.weight_hh.max()


@pytest.mark.torch
def test_what_is_not_such_a_network_is_refused():
    torch, lstm = torch_of("LSTM", 2, 5)
    with pytest.raises(TypeError, match=r"module must be a torch.nn.RNNCell.*got LSTM; .*penstock.TorchCell"):
        rnn_from_torch(lstm)
    with pytest.raises(TypeError, match="module must be .*got Linear"):
        rnn_from_torch(torch.nn.Linear(5, 5))
    with pytest.raises(TypeError, match="module must be .*got dict"):
        rnn_from_torch({})
    with pytest.raises(ValueError, match="module must run in one direction"):
        rnn_from_torch(torch.nn.GRU(2, 5, bidirectional=True))
    dropping = torch.nn.GRU(2, 5, num_layers=2, dropout=0.1)
    with pytest.raises(ValueError, match=r"dropout=0.1 in training: call its `eval` method first"):
        rnn_from_torch(dropping)
    assert rnn_from_torch(dropping.eval()).n_units == 10
    with pytest.raises(ValueError, match="dtype must be float64 or float32"):
        rnn_from_torch(torch.nn.GRU(2, 5), dtype=np.int64)


@pytest.mark.torch
def test_a_plain_rnn_is_an_esn_without_leak():
    _, cell = torch_of("RNNCell", 2, 5, nonlinearity="relu")
    system = rnn_from_torch(cell)
    assert (system.leak, system.activation) == (1.0, relu)
    np.testing.assert_array_equal(system.bias, cell.bias_hh + cell.bias_ih)
    assert rnn_from_torch(torch_of("RNNCell", 2, 5)[1]).activation is tanh


def test_jacobians_of_a_closed_gru_equal_the_complex_step():
    closed = make().close(*draw((2, 6), 2, seed=5))
    x = draw(6, seed=6)[0]
    np.testing.assert_allclose(closed.jacobian(x, []), numerical_jacobian(lambda x: closed.step(x, []), x), atol=1e-14)
    pushed = closed.push(x, 1, np.eye(6))[1]
    np.testing.assert_allclose(pushed, closed.jacobian(x, []), atol=1e-14)
