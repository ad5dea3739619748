"""The bridge to ncps: the same states on both sides, in both directions."""

import builtins
import copy
from dataclasses import fields, is_dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from penstock import load
from penstock.reservoirs.liquid import LTC
from penstock.reservoirs.ncps import cfc_from_ncps, cfc_to_ncps, ltc_from_ncps, ltc_to_ncps, readout_from_ncps
from penstock.reservoirs.solvers import exponential_euler
from penstock.reservoirs.stack import Stack

pytestmark = pytest.mark.torch

M = 3


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("ncps")
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="module")
def nets(torch):
    import ncps.torch
    import ncps.wirings

    return SimpleNamespace(**vars(ncps.torch), wirings=ncps.wirings)


def wiring(nets, name):
    return {
        "full": lambda: nets.wirings.FullyConnected(8),
        "full-motor": lambda: nets.wirings.FullyConnected(8, 3, self_connections=False),
        "auto": lambda: nets.wirings.AutoNCP(16, 4, sparsity_level=0.5),
        "ncp": lambda: nets.wirings.NCP(6, 5, 2, 3, 2, 4, 3),
        "random": lambda: nets.wirings.Random(10, sparsity_level=0.6, output_dim=2),
    }[name]()


WIRINGS = ["full", "full-motor", "auto", "ncp", "random"]


def trained(torch, module, seed=0, double=False):
    """The module with all parameters moved, as training would, the constrained ones upwards."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        if value.requires_grad:
            away = 0.3 * torch.randn(value.shape, generator=generator)
            constrained = name.split(".")[-1] in ("w", "sensory_w", "cm", "gleak")
            value.data += away.abs() if constrained else away
    module.eval()
    return module.double() if double else module


def ltc_cell(torch, nets, name="full", *, seed=0, double=False, **options):
    torch.manual_seed(seed)
    return trained(torch, nets.LTCCell(wiring(nets, name), in_features=M, **options), seed, double)


def inputs(seed, batch, steps, m=M, scale=1.5):
    """Inputs and irregular elapsed times: (B, T, m), (B, T)."""
    rng = np.random.default_rng(seed)
    return scale * rng.standard_normal((batch, steps, m)), rng.exponential(1.0, (batch, steps)) + 0.01


def theirs(torch, cell, u, elapsed, x0=None):
    """Outputs and states of the cell of ncps, step by step; elapsed (B, T), or None for its default."""
    kind = next(iter(cell.parameters())).dtype
    n = getattr(cell, "state_size", None) or cell.hidden_size
    x = torch.zeros(len(u), n, dtype=kind) if x0 is None else torch.tensor(x0, dtype=kind)
    outputs, states = [], []
    with torch.no_grad():
        for t in range(u.shape[1]):
            time = 1.0 if elapsed is None else torch.tensor(elapsed[:, t, None], dtype=kind)
            y, x = cell(torch.tensor(u[:, t], dtype=kind), x, time)
            outputs.append(y.numpy()), states.append(x.numpy())
    return np.stack(outputs, 1), np.stack(states, 1)


def timed_inputs(u, elapsed):
    return np.concatenate([u, elapsed[..., None]], axis=-1)


def single(u):
    """The inputs as float32 sees them."""
    return u.astype(np.float32).astype(np.float64)


def assert_same(a, b):
    """Equal bits, types and patterns, field by field."""
    assert type(a) is type(b)
    if is_dataclass(a):
        a, b = (tuple(getattr(one, field.name) for field in fields(one)) for one in (a, b))
    elif sp.issparse(a):
        a, b = ((one.data, one.indices, one.indptr) for one in (a, b))
    if isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        assert_array_equal(a, b)


# LTC: from ncps


@pytest.mark.parametrize("name", WIRINGS)
def test_ltc_states_and_outputs_are_those_of_ncps_at_irregular_times(torch, nets, name):
    cell = ltc_cell(torch, nets, name, seed=1)
    u, elapsed = map(single, inputs(2, 5, 20))
    y, x = theirs(torch, cell, u, elapsed)
    ltc = ltc_from_ncps(cell, timed=True)
    states = ltc.run(timed_inputs(u, elapsed))
    assert_allclose(states, x, atol=1e-6, rtol=0)  # the mark; float32 rounds at 6e-8
    assert_allclose(readout_from_ncps(cell)(states), y, atol=2e-6, rtol=0)  # states times weights up to 2


@pytest.mark.parametrize(
    ("unfolds", "implicit", "mapping"),
    [(1, False, "affine"), (2, True, "linear"), (6, False, None), (6, True, "affine")],
)
def test_ltc_equals_a_double_module_to_rounding(torch, nets, unfolds, implicit, mapping):
    options = {"implicit_param_constraints": implicit, "input_mapping": mapping, "output_mapping": mapping}
    cell = ltc_cell(torch, nets, "auto", seed=unfolds, double=True, ode_unfolds=unfolds, **options)
    u, elapsed = inputs(3, 5, 30)
    y, x = theirs(torch, cell, u, elapsed)
    ltc = ltc_from_ncps(cell, timed=True)
    states = ltc.run(timed_inputs(u, elapsed))
    assert_allclose(states, x, atol=1e-12, rtol=0)  # the mark, epsilon included
    assert_allclose(readout_from_ncps(cell)(states), y, atol=1e-12, rtol=0)
    assert ltc.unfolds == unfolds


def test_float32_error_does_not_grow_over_200_steps(torch, nets):
    cell = ltc_cell(torch, nets, "auto", seed=4)
    u, elapsed = map(single, inputs(5, 2, 200))
    error = np.abs(ltc_from_ncps(cell, timed=True).run(timed_inputs(u, elapsed)) - theirs(torch, cell, u, elapsed)[1])
    assert error.max() < 1e-6
    assert error[:, 100:].max() < 4 * error[:, :100].max()  # a contracting cell forgets its rounding


def test_steps_without_times_are_those_of_the_default_and_of_a_given_elapsed_time(torch, nets):
    cell = ltc_cell(torch, nets, "random", double=True)
    u, _ = inputs(6, 2, 15)
    assert_allclose(ltc_from_ncps(cell).run(u), theirs(torch, cell, u, None)[1], atol=1e-12)
    half = theirs(torch, cell, u, np.full((2, 15), 0.5))[1]
    assert_allclose(ltc_from_ncps(cell, dt=0.5).run(u), half, atol=1e-12)


def test_a_large_epsilon_is_part_of_the_equation(torch, nets):
    cell = ltc_cell(torch, nets, "auto", double=True, epsilon=0.1)
    u, elapsed = inputs(7, 2, 15)
    x = theirs(torch, cell, u, elapsed)[1]
    assert_allclose(ltc_from_ncps(cell, timed=True).run(timed_inputs(u, elapsed)), x, atol=1e-12)
    cell._epsilon = 0.0  # and its effect is no rounding
    assert np.abs(theirs(torch, cell, u, elapsed)[1] - x).max() > 1e-3


def test_the_layer_is_read_like_its_cell_and_runs_whole_series(torch, nets):
    torch.manual_seed(1)
    layer = trained(torch, nets.LTC(M, wiring(nets, "auto"), implicit_param_constraints=True), double=True)
    u, elapsed = inputs(8, 1, 25)
    with torch.no_grad():
        y, last = layer(torch.tensor(u), timespans=torch.tensor(elapsed))
    ltc = ltc_from_ncps(layer, timed=True)
    states = ltc.run(timed_inputs(u, elapsed))
    assert_allclose(states[:, -1], last.numpy(), atol=1e-12)
    assert_allclose(readout_from_ncps(layer)(states), y.numpy(), atol=1e-12)


def test_timespans_of_a_batch_of_n_series_mean_units_to_a_layer_of_ncps(torch, nets):
    """The trap that the documentation names: elapsed[i] goes to unit i of every series; with other sizes it fails."""
    torch.manual_seed(2)
    layer = trained(torch, nets.LTC(M, nets.wirings.FullyConnected(5)), double=True)
    u, elapsed = inputs(9, 5, 1)
    with torch.no_grad():
        _, last = layer(torch.tensor(u), timespans=torch.tensor(elapsed))
        with pytest.raises(RuntimeError, match="size of tensor"):
            layer(torch.tensor(u[:4]), timespans=torch.tensor(elapsed[:4]))
    states = ltc_from_ncps(layer, timed=True).run(timed_inputs(u, elapsed))[:, 0]
    assert np.abs(states - last.numpy()).max() > 1e-3
    ltc = ltc_from_ncps(layer, dt=1.0)
    wrong = replace(ltc, C_m=ltc.C_m / elapsed[:, 0]).run(u)[:, 0]
    assert_allclose(wrong, last.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", WIRINGS)
def test_imported_synapses_are_those_of_the_wiring(torch, nets, name):
    cell = ltc_cell(torch, nets, name)
    ltc = ltc_from_ncps(cell)
    W = ltc.W.toarray() if sp.issparse(ltc.W) else ltc.W
    assert_array_equal(W != 0, cell._wiring.adjacency_matrix.T != 0)
    count = np.abs(cell._wiring.adjacency_matrix).sum()
    assert sp.issparse(ltc.W) == (count < ltc.n_units**2 / 2)
    if sp.issparse(ltc.W):
        assert ltc.W.nnz == ltc.E.nnz == count


def test_softplus_holds_for_implicit_constraints(torch, nets):
    cell = ltc_cell(torch, nets, implicit_param_constraints=True)
    softplus = torch.nn.functional.softplus(cell.cm.double()).detach().numpy()
    assert_allclose(ltc_from_ncps(cell).C_m, softplus, rtol=1e-15)


def test_an_ltc_without_inputs_is_read(torch, nets):
    ltc = LTC.random(4, n_inputs=0, seed=0)
    assert_allclose(ltc_from_ncps(ltc_to_ncps(ltc)).run(9), ltc.run(9), atol=1e-14)


@pytest.mark.parametrize("kind", ["ltc", "ltc-sparse", "plain", "wired", "mixed"])
def test_training_the_module_further_leaves_the_system_as_it_is(torch, nets, kind):
    if kind.startswith("ltc"):
        read, module = ltc_from_ncps, ltc_cell(torch, nets, "auto" if "sparse" in kind else "full", double=True)
    else:
        read, module = cfc_from_ncps, cfc_layer(torch, nets, **OPTIONS[kind])
    u = inputs(20, 1, 5)[0][0]
    system, readout = read(module), readout_from_ncps(module)
    like, same = read(copy.deepcopy(module)).run(u), readout.W_out.copy()
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(1.5)  # in place, as an optimiser does: the arrays must be copies
    assert_array_equal(system.run(u), like)
    assert_array_equal(readout.W_out, same)
    assert np.abs(read(module).run(u) - like).max() > 1e-3


@pytest.mark.parametrize("kind", ["ltc", "wired", "mixed"])
def test_imported_systems_survive_a_file(torch, nets, kind, tmp_path):
    if kind == "ltc":
        system = ltc_from_ncps(ltc_cell(torch, nets, "auto"), timed=True)
    else:
        system = cfc_from_ncps(cfc_layer(torch, nets, **OPTIONS[kind]), timed=True)
    system.save(tmp_path / "system")
    assert_same(load(tmp_path / "system"), system)


# LTC: to ncps


def drawn_ltc(dtype=np.float32, **options):
    return LTC.random(7, n_inputs=M, seed=3, dtype=dtype, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["full-motor", "auto"])
def test_to_ncps_and_back_returns_the_same_bits_and_states(torch, nets, name, dtype):
    ltc = ltc_from_ncps(ltc_cell(torch, nets, name, seed=5), dtype=dtype, timed=True)
    layer = ltc_to_ncps(ltc, n_motor=2)
    assert_same(ltc_from_ncps(layer, dtype=dtype, timed=True), ltc)
    u, elapsed = map(single, inputs(10, 3, 20))
    y, x = theirs(torch, layer.rnn_cell, u, elapsed)
    states = ltc.run(timed_inputs(u, elapsed))
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    assert_allclose(states, x, atol=tolerance)
    assert_allclose(y, states[..., :2], atol=tolerance)  # the output map is the identity


def test_a_drawn_ltc_becomes_a_layer_that_can_be_trained(torch, nets):
    ltc = drawn_ltc()
    layer = ltc_to_ncps(ltc)
    u = torch.tensor(single(inputs(11, 2, 10)[0]), dtype=torch.float32)
    y, _ = layer(u)
    assert_allclose(y.detach().numpy(), ltc.run(u.numpy()), atol=1e-6)
    (y**2).mean().backward()
    assert all(value.grad.abs().sum() > 0 for value in (layer.rnn_cell.w, layer.rnn_cell.cm, layer.rnn_cell.input_w))


@pytest.mark.parametrize("name", ["full-motor", "auto"])
def test_masked_synapses_get_no_gradient_in_the_exported_layer(torch, nets, name):
    layer = ltc_to_ncps(ltc_from_ncps(ltc_cell(torch, nets, name)))
    layer(torch.randn(2, 5, M, dtype=torch.float64))[0].sum().backward()
    absent = layer.rnn_cell.sparsity_mask == 0
    assert absent.any() and (layer.rnn_cell.w.grad[absent] == 0).all()


def test_what_ncps_cannot_hold_is_refused(torch, nets):
    for bad, words in (
        ({"solver": exponential_euler}, "solver fused, got exponential_euler"),
        ({"dt": 0.5}, "dt=1, got 0.5"),
    ):
        with pytest.raises(ValueError, match=words):
            ltc_to_ncps(drawn_ltc(**bad))
    with pytest.raises(ValueError, match="n_motor must be at most n_units = 7"):
        ltc_to_ncps(drawn_ltc(), n_motor=8)
    with pytest.raises(TypeError, match="ltc must be an LTC"):
        ltc_to_ncps(None)
    half = drawn_ltc(dt=0.5)
    same = replace(half, C_m=half.C_m / 0.5, dt=1.0)  # the remedy that the message gives
    u = inputs(12, 1, 20)[0]
    assert_allclose(half.run(u), same.run(u), rtol=1e-5)


def test_without_ncps_the_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("ncps"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    ltc = drawn_ltc()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match="pip install ncps torch"):
        ltc_to_ncps(ltc)


# CfC


MODES = ["default", "no_gate", "pure"]


def cfc_layer(torch, nets, units=6, *, seed=0, double=True, **options):
    torch.manual_seed(seed)
    units = wiring(nets, units) if isinstance(units, str) else units
    return trained(torch, nets.CfC(M, units, **options), seed, double)


def cfc_forward(torch, layer, u, elapsed):
    """Outputs and the last state of a layer, series by series: its timespans are right for a batch of one."""
    outputs, last = [], []
    rest = torch.zeros(1, layer.state_size, dtype=torch.float64)  # its own are float32, which its LSTM refuses
    with torch.no_grad():
        for one, times in zip(u, elapsed, strict=True):
            start = (rest, rest) if layer.use_mixed else rest
            y, h = layer(torch.tensor(one)[None], start, timespans=torch.tensor(times)[None])
            outputs.append(y[0].numpy())
            last.append(torch.cat(h, -1)[0].numpy() if isinstance(h, tuple) else h[0].numpy())
    return np.stack(outputs), np.stack(last)


OPTIONS = {
    "plain": {"backbone_layers": 0},
    "backbone": {"backbone_units": 9, "activation": "silu"},
    "deep": {"backbone_units": 7, "backbone_layers": 3, "activation": "tanh", "proj_size": 2, "backbone_dropout": 0.2},
    "mixed": {"backbone_units": 5, "activation": "relu", "mixed_memory": True, "proj_size": 2},
    "gelu": {"backbone_units": 5, "activation": "gelu"},
    "wired": {"units": "ncp"},
    "one-layer": {"units": "full", "proj_size": 2},
    "wired-out": {"units": "auto", "proj_size": 3},
}


@pytest.mark.parametrize("kind", list(OPTIONS))
@pytest.mark.parametrize("mode", MODES)
def test_cfc_layer_of_every_kind_has_the_states_and_outputs_of_ncps(torch, nets, kind, mode):
    layer = cfc_layer(torch, nets, mode=mode, seed=2, **OPTIONS[kind])
    u, elapsed = inputs(13, 3, 20)
    y, last = cfc_forward(torch, layer, u, elapsed)
    cfc = cfc_from_ncps(layer, timed=True)
    states = cfc.run(timed_inputs(u, elapsed))
    assert_allclose(states[:, -1], last, atol=1e-12)  # double modules: rounding
    assert_allclose(readout_from_ncps(layer)(states[..., cfc.observed]), y, atol=1e-12)
    assert isinstance(cfc, Stack) == (kind in ("wired", "wired-out"))


def test_cfc_without_times_takes_steps_of_one_and_of_dt(torch, nets):
    for kind in ("backbone", "wired"):
        layer = cfc_layer(torch, nets, **OPTIONS[kind])
        u, _ = inputs(14, 2, 10)
        for dt in (1.0, 0.3):
            last = cfc_forward(torch, layer, u, np.full((2, 10), dt))[1]
            assert_allclose(cfc_from_ncps(layer, dt=dt).run(u)[:, -1], last, atol=1e-12)


def test_cfc_in_float32_stays_within_a_millionth_over_200_steps(torch, nets):
    layer = cfc_layer(torch, nets, double=False, backbone_units=16)
    u, elapsed = map(single, inputs(15, 2, 200))
    _, x = theirs(torch, layer.rnn_cell, u, elapsed)
    assert_allclose(cfc_from_ncps(layer, timed=True).run(timed_inputs(u, elapsed)), x, atol=2e-6)


@pytest.mark.parametrize("kind", ["plain", "backbone", "deep", "mixed"])
@pytest.mark.parametrize("mode", MODES)
def test_cfc_to_ncps_and_back_returns_the_same_bits_and_states(torch, nets, kind, mode):
    cfc = cfc_from_ncps(cfc_layer(torch, nets, mode=mode, seed=3, **OPTIONS[kind]), timed=True)
    layer = cfc_to_ncps(cfc)
    assert_same(cfc_from_ncps(layer, timed=True), cfc)
    u, elapsed = inputs(16, 2, 10)
    assert_allclose(cfc.run(timed_inputs(u, elapsed))[:, -1], cfc_forward(torch, layer, u, elapsed)[1], atol=1e-12)


def test_cfc_that_ncps_cannot_hold_is_refused(torch, nets):
    cfc = cfc_from_ncps(cfc_layer(torch, nets, backbone_units=5, backbone_layers=2))
    with pytest.raises(ValueError, match="dt=1, got 0.5"):
        cfc_to_ncps(replace(cfc, dt=0.5))
    first, heads = cfc.layers
    narrow = replace(cfc, layers=((first[0][:4], first[1][:4]), (heads[0][:, :4], heads[1])))
    with pytest.raises(ValueError, match=r"one width, got \[4, 5\]"):
        cfc_to_ncps(narrow)
    with pytest.raises(TypeError, match="cfc must be a CfC"):
        cfc_to_ncps(drawn_ltc())


# Mismatched modules


def test_other_modules_are_refused_by_name(torch, nets):
    ltc, cfc = nets.LTC(M, 4), nets.CfC(M, 4)
    for read, module, words in (
        (ltc_from_ncps, cfc, "got CfCCell; CfC.from_ncps reads it"),
        (ltc_from_ncps, nets.CfC(M, wiring(nets, "ncp")), "got WiredCfCCell; CfC.from_ncps reads it"),
        (cfc_from_ncps, ltc, "got LTCCell; LTC.from_ncps reads it"),
        (ltc_from_ncps, torch.nn.RNN(M, 4), "got RNN"),
        (cfc_from_ncps, torch.nn.GRU(M, 4), "got GRU"),
        (readout_from_ncps, torch.nn.Linear(M, 4), "got Linear"),
    ):
        with pytest.raises(TypeError, match=words):
            read(module)


@pytest.mark.parametrize("read", [ltc_from_ncps, cfc_from_ncps, readout_from_ncps], ids=["ltc", "cfc", "readout"])
def test_other_objects_are_refused(nets, read):
    for thing in (None, 3, "LTC", np.eye(3)):
        with pytest.raises(TypeError, match=f"must be an? .*, got {type(thing).__name__}"):
            read(thing)
    for kind in (nets.LTC, nets.CfC):
        with pytest.raises(TypeError, match=f"got the class {kind.__name__}"):
            read(kind)


def test_a_backbone_that_a_cfc_cannot_have_is_refused(torch, nets):
    nn = torch.nn
    for parts, error, words in (
        ((nn.Linear(7, 5),), ValueError, r"one activation after each of its 1 backbone layers, got \[\]"),
        ((nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 5), nn.ReLU()), ValueError, r"got \['tanh', 'relu'\]"),
        ((nn.Linear(7, 5), nn.GELU(approximate="tanh")), TypeError, r"got GELU\(approximate='tanh'\) in it"),
        ((nn.Linear(7, 5), nn.Sigmoid()), TypeError, r"got Sigmoid\(\) in it"),
        ((nn.Linear(7, 5), nn.Tanh(), nn.Linear(4, 5), nn.Tanh()), ValueError, "backbone.2 of 5 columns, got 4"),
    ):
        cell = nets.CfCCell(M, 4, backbone_units=5)
        cell.backbone = nn.Sequential(*parts)
        with pytest.raises(error, match=words):
            cfc_from_ncps(cell)


def test_a_memory_that_is_not_of_ncps_is_refused(torch, nets):
    layer = nets.CfC(M, 4, mixed_memory=True)
    layer.lstm = torch.nn.LSTMCell(M, 4)
    with pytest.raises(TypeError, match="mixed memory of ncps, got LSTMCell"):
        cfc_from_ncps(layer)


@pytest.mark.parametrize("name", ["w", "sensory_w", "cm", "gleak"])
def test_negative_parameters_are_named_with_the_remedy(torch, nets, name):
    cell = ltc_cell(torch, nets)
    getattr(cell, name).data.view(-1)[3] = -0.2
    with pytest.raises(ValueError, match=rf"cell must have {name} of at least 0, got -0.2\d* at .*weight_constraints"):
        ltc_from_ncps(cell)
    cell.apply_weight_constraints()
    if name == "cm":
        with pytest.raises(ValueError, match="cm above 0, got 0 at 3"):
            ltc_from_ncps(cell)
    else:
        u, elapsed = map(single, inputs(17, 1, 10))
        states = ltc_from_ncps(cell, timed=True).run(timed_inputs(u, elapsed))
        assert_allclose(states, theirs(torch, cell, u, elapsed)[1], atol=1e-6)


def test_negative_weights_of_masked_synapses_do_not_matter(torch, nets):
    cell = ltc_cell(torch, nets, "auto")
    cell.w.data[cell.sparsity_mask == 0] = -1.0
    assert ltc_from_ncps(cell).W.data.min() > 0


@pytest.mark.parametrize(
    ("name", "shape"),
    [("w", (8, 7)), ("sensory_mu", (2, 8)), ("vleak", (7,)), ("input_w", (2,)), ("sparsity_mask", (7, 8))],
)
def test_tensors_that_do_not_fit_are_named(torch, nets, name, shape):
    cell = ltc_cell(torch, nets)
    setattr(cell, name, torch.nn.Parameter(torch.ones(shape)))
    with pytest.raises(ValueError, match=f"cell must have {name} of shape"):
        ltc_from_ncps(cell)


def test_parameters_that_are_not_finite_are_named(torch, nets):
    cell = ltc_cell(torch, nets)
    cell.mu.data[0, 1] = torch.nan
    with pytest.raises(ValueError, match="cell must have a finite mu"):
        ltc_from_ncps(cell)
    cell = cfc_layer(torch, nets).rnn_cell
    cell.time_a.bias.data[0] = torch.inf
    with pytest.raises(ValueError, match="cell must have a finite time_a.bias"):
        cfc_from_ncps(cell)


def test_cfc_tensors_that_do_not_fit_are_named(torch, nets):
    cell = cfc_layer(torch, nets, backbone_units=5).rnn_cell
    cell.ff2 = torch.nn.Linear(4, 6)
    with pytest.raises(ValueError, match=r"cell must have ff2.weight of shape \(6, 5\)"):
        cfc_from_ncps(cell)
    cell = cfc_layer(torch, nets, backbone_units=5).rnn_cell
    cell.input_size = 2
    with pytest.raises(ValueError, match="must read 2 inputs and 6 units, got a first layer of 9 columns"):
        cfc_from_ncps(cell)


def test_dropout_in_training_is_refused_and_accepted_in_evaluation(torch, nets):
    layer = cfc_layer(torch, nets, backbone_units=5, backbone_layers=2, backbone_dropout=0.3)
    cfc_from_ncps(layer)
    with pytest.raises(ValueError, match=r"drop units, got dropout 0.3 in training: call its `eval` method"):
        cfc_from_ncps(layer.train())


def test_mixed_memory_is_refused_where_it_cannot_be_expressed(torch, nets):
    with pytest.raises(ValueError, match="an LTC with mixed_memory=True"):
        ltc_from_ncps(nets.LTC(M, 4, mixed_memory=True))
    with pytest.raises(ValueError, match="a wired CfC with mixed_memory=True"):
        cfc_from_ncps(nets.CfC(M, wiring(nets, "ncp"), mixed_memory=True))


@pytest.mark.parametrize("read", [ltc_from_ncps, partial(cfc_from_ncps, timed=False)], ids=["ltc", "cfc"])
def test_dtype_must_be_a_float_type(read):
    for bad in (np.int64, "float16", None):
        with pytest.raises(ValueError, match="dtype must be float64 or float32"):
            read(None, dtype=bad)
