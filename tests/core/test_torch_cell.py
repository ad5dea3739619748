"""TorchCell against PyTorch's own loops and automatic differentiation, and against hand-written cells."""

import subprocess
import sys

import numpy as np
import pytest

import penstock
from penstock import Readout, System, TorchCell
from penstock.system import SystemDefaults

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

N, M = 6, 2
KINDS = ["RNNCell", "GRUCell", "LSTMCell"]


def cell_of(kind, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return getattr(torch.nn, kind)(M, N, dtype=dtype)


def step_of(cell, u, x):
    """One step with the state of an LSTM as [h, c]."""
    if isinstance(cell, torch.nn.LSTMCell):
        return torch.cat(cell(u, (x[..., :N], x[..., N:])), -1)
    return cell(u, x)


def draw(*shapes, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape) for shape in shapes]


class Swish(torch.nn.Module):
    """A cell of one's own, with parameters, whose result is a view that is not contiguous."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.W = torch.nn.Linear(N + M, N, dtype=torch.float64)

    def forward(self, u, x):
        return torch.nn.functional.silu(self.W(torch.cat([x, u], -1))).T.contiguous().T


@pytest.mark.parametrize("kind", KINDS)
def test_states_equal_a_torch_loop(kind):
    cell = cell_of(kind)
    system = TorchCell(cell)
    assert isinstance(system, System)
    (u, x0) = draw((5, 12, M), (5, system.n_units))
    x, states = torch.tensor(x0), []
    with torch.no_grad():
        for t in range(12):
            x = step_of(cell, torch.tensor(u[:, t]), x)
            states.append(x.numpy())
    states = np.stack(states, axis=1)
    np.testing.assert_allclose(system.run(u, x0), states, atol=1e-15)
    # one by one the products are summed in another order
    np.testing.assert_allclose(system.run(u[3], x0[3]), states[3], atol=1e-14)
    np.testing.assert_allclose(np.concatenate(list(system.blocks(u, 5, x0)), axis=1), states, atol=1e-15)
    np.testing.assert_allclose(system.step(x0[0], u[0, 0]), states[0, 0], atol=1e-15)
    np.testing.assert_array_equal(system.run(u), system.run(u))


@pytest.mark.parametrize("kind", KINDS)
def test_jacobians_equal_autograd_row_by_row(kind):
    cell = cell_of(kind)
    system = TorchCell(cell)
    x, u = draw(system.n_units, M)
    state, drive = (torch.tensor(part, requires_grad=True) for part in (x, u))
    rows = [torch.autograd.grad(new, (state, drive), retain_graph=True) for new in step_of(cell, drive, state)]
    np.testing.assert_allclose(system.jacobian(x, u), [row[0] for row in rows], atol=1e-15)
    np.testing.assert_allclose(system.input_jacobian(x, u), [row[1] for row in rows], atol=1e-15)


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_jacobians_equal_central_differences(kind):
    system = TorchCell(Swish(), N, M) if kind == "own" else TorchCell(cell_of(kind))
    x, u = draw(system.n_units, M)
    # truncation 1e-12, rounding 1e-16 / 1e-6
    np.testing.assert_allclose(system.jacobian(x, u), SystemDefaults.jacobian(system, x, u), atol=1e-8)
    np.testing.assert_allclose(system.input_jacobian(x, u), SystemDefaults.input_jacobian(system, x, u), atol=1e-8)


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_batched_jacobians_equal_single_ones(kind):
    system = TorchCell(Swish(), N, M) if kind == "own" else TorchCell(cell_of(kind))
    X, U = draw((7, system.n_units), (7, M))
    single = [system.jacobian(x, u) for x, u in zip(X, U, strict=True)]
    np.testing.assert_allclose(system.jacobians(X, U), single, atol=1e-14)
    shared = [system.jacobian(x, U[0]) for x in X]
    np.testing.assert_allclose(system.jacobians(X, U[0]), shared, atol=1e-14)


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_push_multiplies_the_jacobians(kind):
    system = TorchCell(Swish(), N, M) if kind == "own" else TorchCell(cell_of(kind))
    u, x0, basis = draw((6, M), system.n_units, (system.n_units, 3))
    x, V = x0, basis
    for u_t in u:
        V, x = system.jacobian(x, u_t) @ V, system.step(x, u_t)
    pushed_x, pushed = system.push(x0, u, basis)
    np.testing.assert_allclose(pushed, V, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(pushed_x, x, atol=1e-14)


def test_push_carries_tangents_of_the_inputs_and_keeps_the_tape():
    system = TorchCell(cell_of("GRUCell"))
    u, x, V, dU = draw((4, M), N, (3, N), (4, 3, M))
    tape, expected = np.empty((4, 3, N)), V
    kept, state = V.copy(), x.copy()
    system._push(state, u, kept, dU, tape)
    for t in range(4):
        expected = expected @ system.jacobian(x, u[t]).T + dU[t] @ system.input_jacobian(x, u[t]).T
        x = system.step(x, u[t])
        np.testing.assert_allclose(tape[t], expected, atol=1e-14)
    np.testing.assert_allclose(kept, expected, atol=1e-14)


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_closed_loop_equals_stepwise_feedback(kind):
    system = TorchCell(Swish(), N, M) if kind == "own" else TorchCell(cell_of(kind))
    assert system.observed == (slice(0, N) if kind == "LSTMCell" else slice(None))
    W_out, offset, x0 = draw((M, N), M, system.n_units)
    closed = system.close(W_out, offset)
    assert (closed.n_inputs, closed.n_units) == (0, system.n_units)
    x, states = x0, []
    for _ in range(10):
        x = system.step(x, W_out @ x[system.observed] + offset)
        states.append(x)
    np.testing.assert_allclose(closed.run(10, x0), states, atol=1e-13)
    feedback = np.zeros((M, system.n_units))
    feedback[:, system.observed] = W_out
    u = W_out @ x0[system.observed] + offset
    by_rule = system.jacobian(x0, u) + system.input_jacobian(x0, u) @ feedback
    np.testing.assert_allclose(closed.jacobian(x0, []), by_rule, atol=1e-14)
    np.testing.assert_allclose(closed.push(x0, 1, np.eye(len(x0)))[1], by_rule, atol=1e-14)
    assert closed.input_jacobian(x0, []).shape == (len(x0), 0)
    np.testing.assert_array_equal(system.close(Readout(W_out, offset)).run(4, x0), closed.run(4, x0))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_a_layer_is_read_as_its_cell(kind):
    torch.manual_seed(1)
    net = getattr(torch.nn, kind)(M, N, batch_first=True, dtype=torch.float64)
    system = TorchCell(net)
    assert type(system.module).__name__ == f"{kind}Cell"
    (u,) = draw((3, 15, M))
    with torch.no_grad():
        np.testing.assert_allclose(system.run(u)[..., system.observed], net(torch.tensor(u))[0], atol=1e-14)


def test_the_relu_layer_keeps_its_activation_and_its_missing_bias():
    net = torch.nn.RNN(M, N, nonlinearity="relu", bias=False, dtype=torch.float64)
    (u,) = draw((15, M))
    with torch.no_grad():
        np.testing.assert_allclose(TorchCell(net).run(u), net(torch.tensor(u))[0], atol=1e-14)


def test_a_function_that_closes_over_a_trained_cell():
    cell = cell_of("GRUCell")
    system = TorchCell(lambda u, x: cell(u, x), N, M)
    u, x = draw((9, M), N)
    same = TorchCell(cell)
    np.testing.assert_array_equal(system.run(u), same.run(u))
    np.testing.assert_array_equal(system.jacobian(x, u[0]), same.jacobian(x, u[0]))
    np.testing.assert_array_equal(system.push(x, u, np.eye(N))[1], same.push(x, u, np.eye(N))[1])


def test_an_autonomous_function():
    system = TorchCell(lambda u, x: 4 * x * (1 - x), 1, 0)
    np.testing.assert_allclose(system.run(3, x0=[0.3])[:, 0], [0.84, 0.5376, 0.99434496], atol=1e-15)
    np.testing.assert_allclose(system.jacobian([0.3], []), [[1.6]], atol=1e-15)


def test_training_on_leaves_the_system_as_it_is():
    cell = cell_of("GRUCell")
    system, (u,) = TorchCell(cell), draw((5, M))
    before = system.run(u)
    with torch.no_grad():
        cell.weight_hh.mul_(2)
    np.testing.assert_array_equal(system.run(u), before)
    assert cell.weight_hh.requires_grad and not system.module.weight_hh.requires_grad


def test_float32_in_is_float32_out_unless_float64_is_asked_for():
    cell = cell_of("GRUCell", dtype=torch.float32)
    single, double = TorchCell(cell), TorchCell(cell, dtype="float64")
    u, x = draw((9, M), N)
    assert single.run(u).dtype == single.jacobian(x, u[0]).dtype == single.dtype == np.float32
    assert double.run(u).dtype == np.float64 and cell.weight_hh.dtype == torch.float32
    np.testing.assert_allclose(single.run(u), double.run(u), atol=1e-5)  # contracting; roundings of a few 1e-7
    np.testing.assert_allclose(single.push(x, u, np.eye(N))[1], double.push(x, u, np.eye(N))[1], atol=1e-5)
    loop = single.close(np.ones((M, N)))
    assert loop.dtype == loop.run(4).dtype == np.float32


def test_chance_and_learning_on_the_run_are_refused():
    dropout = torch.nn.Sequential(torch.nn.Linear(N, N), torch.nn.Dropout(0.01)).double()

    class Cell(torch.nn.Module):
        def __init__(self, part):
            super().__init__()
            self.part = part

        def forward(self, u, x):
            return torch.tanh(self.part(x)) + u.sum(-1, keepdim=True)

    with pytest.raises(ValueError, match=r"got a training Dropout.*at part.1: call its `eval` method"):
        TorchCell(Cell(dropout), N, M)
    assert TorchCell(Cell(dropout).eval(), N, M).run(np.ones((3, M))).shape == (3, N)
    with pytest.raises(ValueError, match="evaluation mode, got a training BatchNorm1d"):
        TorchCell(Cell(torch.nn.BatchNorm1d(N).double()), N, M)
    with pytest.raises(ValueError, match="deterministic, but two calls"):
        TorchCell(lambda u, x: torch.nn.functional.dropout(x, 0.5), N, M)
    with pytest.raises(ValueError, match="rows of a batch alike"):
        TorchCell(lambda u, x: x - x.mean(0), N, M)


def surrogate(u, x):
    """A threshold whose derivative PyTorch is told to be that of tanh."""
    soft = torch.tanh(x)
    return soft + ((x > 0).double() - soft).detach()


@pytest.mark.parametrize("rule", [surrogate, lambda u, x: torch.tanh(2 * x.detach()), lambda u, x: x * x.detach()])
def test_a_derivative_that_is_not_that_of_the_step_is_refused(rule):
    system = TorchCell(rule, N, 0)
    assert system.run(3, x0=np.full(N, 0.5)).shape == (3, N)
    for derive in (
        lambda: system.jacobian(np.zeros(N), []),
        lambda: system.jacobians(np.zeros((2, N)), []),
        lambda: system.push(np.zeros(N), 2, np.eye(N)),
    ):
        with pytest.raises(
            ValueError, match="module must be differentiable by PyTorch, but its derivative contradicts"
        ):
            derive()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kinks_are_no_contradiction_and_constants_have_derivative_zero(dtype):
    torch.manual_seed(0)
    cell = TorchCell(torch.nn.RNNCell(1, 300, nonlinearity="relu"), dtype=dtype)
    assert cell.jacobian(np.ones(300), 1.0).shape == (300, 300)
    constant = TorchCell(lambda u, x: torch.zeros_like(x), N, 0)
    np.testing.assert_array_equal(constant.push(np.zeros(N), 2, np.eye(N))[1], np.zeros((N, N)))


def test_bad_modules_are_refused():
    with pytest.raises(TypeError, match="module must be a torch cell or a function"):
        TorchCell(np.eye(3))
    with pytest.raises(TypeError, match="module must be a torch cell or a function.*GRUCell"):
        TorchCell(torch.nn.GRUCell)
    with pytest.raises(ValueError, match="n_units must be given: <lambda> does not tell"):
        TorchCell(lambda u, x: x)
    with pytest.raises(ValueError, match="n_inputs must be given"):
        TorchCell(lambda u, x: x, 3)
    with pytest.raises(TypeError, match=r"module must be one cell, got GRU.*rnn_from_torch"):
        TorchCell(torch.nn.GRU(M, N, num_layers=2))
    with pytest.raises(TypeError, match="module must be one cell"):
        TorchCell(torch.nn.LSTM(M, N, bidirectional=True))
    with pytest.raises(ValueError, match=r"must take u of shape \(B, 3\) and x of shape \(B, 6\)"):
        TorchCell(cell_of("GRUCell"), n_inputs=3)
    single = cell_of("GRUCell", dtype=torch.float32)
    with pytest.raises(ValueError, match=r"must take u .* both float64"):
        TorchCell(lambda u, x: single(u, x), N, M)
    with pytest.raises(ValueError, match=r"must return shape \(B, 6\) of torch.float64, got \(3, 3\)"):
        TorchCell(lambda u, x: x[:, :3], N, M)
    with pytest.raises(ValueError, match=r"must return shape \(B, 6\) of torch.float64, got tuple"):
        TorchCell(lambda u, x: (x, x), N, M)
    with pytest.raises(ValueError, match="dtype must be float64 or float32, got int64"):
        TorchCell(cell_of("GRUCell"), dtype="int64")
    with pytest.raises(ValueError, match="module must hold float64 or float32 parameters.*float16"):
        TorchCell(cell_of("GRUCell", dtype=torch.float16))
    with pytest.raises(ValueError, match="dt must be above 0"):
        TorchCell(cell_of("GRUCell"), dt=0)


def test_bad_arguments_are_refused():
    system = TorchCell(cell_of("LSTMCell"))
    with pytest.raises(ValueError, match=rf"u must have shape \(T, {M}\)"):
        system.run(np.ones((4, 3)))
    with pytest.raises(ValueError, match="x0 must have shape"):
        system.run(np.ones((4, M)), x0=np.zeros(N))
    with pytest.raises(ValueError, match=rf"W_out must have shape \({M}, {N}\), got \(2, 12\)"):
        system.close(np.ones((M, 2 * N)))
    with pytest.raises(ValueError, match=rf"offset must be a number or have shape \({M},\)"):
        system.close(np.ones((M, N)), np.ones(3))
    with pytest.raises(ValueError, match=r"X must have shape \(B, 12\), got \(4, 6\)"):
        system.jacobians(np.ones((4, 6)), np.ones(M))
    with pytest.raises(ValueError, match=r"U must have shape \(4, 2\) or \(2,\), got \(3, 2\)"):
        system.jacobians(np.ones((4, 12)), np.ones((3, M)))


def test_divergence_names_step_and_unit():
    system = TorchCell(lambda u, x: 3 * x + u, 1, 1)
    with pytest.raises(FloatingPointError, match=r"unit 0 is inf at step 6\d\d;"):
        system.run(np.ones(900))


def test_repr_names_the_module():
    assert repr(TorchCell(cell_of("GRUCell"))) == "TorchCell(GRUCell, n_units=6, n_inputs=2, dt=1.0, float64)"
    assert repr(TorchCell(cell_of("GRUCell")).close(np.ones((M, N)))).startswith("TorchCell(closed GRUCell, n_units=6")


def python(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_penstock_does_not_import_torch():
    assert python("import sys, penstock, penstock.reservoirs; print('torch' in sys.modules)") == "False\n"
    assert penstock.TorchCell is TorchCell


def test_without_torch_the_error_says_how_to_install_it():
    script = "import sys; sys.modules['torch'] = None; import penstock\ntry: penstock.TorchCell(abs, 1, 1)\n"
    assert 'pip install "penstock[torch]"' in python(script + "except ImportError as error: print(error)")
