"""Stacks: the unit budget, the union of spectra, same-step memory."""

import numpy as np
import pytest

from penstock import Map, identity
from penstock.reservoirs import ESN, DeepESN, DeepResESN, EchoStateWarning, ResESN, ResRMN, Stack
from penstock.weights import ring

rng = np.random.default_rng(0)
U = rng.uniform(-1, 1, (30, 1))


def by_size(values):
    return np.sort_complex(np.round(values, 11))


def test_layers_run_in_the_same_time_step():
    first, second = ESN.random(8, leak=0.4, seed=0), ESN.random(6, n_inputs=8, seed=1)
    below = first.run(U)
    np.testing.assert_array_equal(Stack([first, second]).run(U), np.hstack([below, second.run(below)]))


def test_a_stack_of_pass_through_layers_adds_no_delay():
    through = ESN(np.zeros((1, 1)), np.eye(1), activation=identity)
    np.testing.assert_array_equal(Stack([through] * 3).run(U), np.hstack([U, U, U]))


def test_fed_input_reaches_every_layer():
    adder = ESN(np.zeros((1, 1)), np.ones((1, 2)), activation=identity)
    through = ESN(np.zeros((1, 1)), np.eye(1), activation=identity)
    states = Stack([through, adder, adder], feed_input=True).run(U)
    np.testing.assert_allclose(states, U * [1, 2, 3], rtol=1e-15)


def test_spectrum_is_the_union_of_the_layers():
    deep = DeepResESN.random(30, n_layers=3, alpha=0.7, beta=0.4, bias_scaling=0.3, seed=2)
    x, u = rng.uniform(-1, 1, 30), np.array([0.3])
    parts = [layer.jacobian(own, drive) for layer, own, drive in deep._walk(x, u)]
    union = np.concatenate([np.linalg.eigvals(part) for part in parts])
    np.testing.assert_allclose(by_size(np.linalg.eigvals(deep.jacobian(x, u))), by_size(union), atol=1e-10)


def test_unit_budget_goes_to_the_first_layer():
    deep = DeepESN.random(103, n_layers=5, seed=0)
    assert [layer.n_units for layer in deep.layers] == [23, 20, 20, 20, 20]
    assert [layer.n_inputs for layer in deep.layers] == [1, 23, 20, 20, 20]


def test_first_and_inter_layer_settings():
    deep = DeepResESN.random(
        30, n_layers=3, alpha=0.9, beta=0.1, input_scaling=2.0, inter_scaling=0.1, inter={"alpha": 0.5}, seed=0
    )
    assert [layer.alpha for layer in deep.layers] == [0.9, 0.5, 0.5]
    assert all(isinstance(layer, ResESN) and layer.beta == 0.1 for layer in deep.layers)
    assert np.abs(deep.layers[0].W_in).max() > 1.0 and np.abs(deep.layers[1].W_in).max() <= 0.1


def test_readout_sees_all_layers_or_the_last():
    assert DeepESN.random(30, n_layers=3, seed=0).observed == slice(None)
    last = DeepESN.random(30, n_layers=3, concat=False, seed=0)
    assert last.run(U)[:, last.observed].shape == (30, 10)
    np.testing.assert_array_equal(last.run(U)[:, last.observed], last.run(U)[:, 20:])


def test_readout_of_the_last_layer_respects_what_it_shows():
    nested = Stack([ESN.random(4, seed=0), ResRMN.random(3, n_memory=5, n_inputs=4, seed=1)], concat=False)
    assert nested.observed == slice(9, 12, 1)


def test_growing_memory_warns():
    with pytest.warns(EchoStateWarning, match=r"memory_radius 1\.2 is above 1"):
        ResRMN.random(5, n_memory=4, memory_radius=1.2, seed=0)


def test_layers_draw_from_their_own_streams():
    two, three = (DeepESN.random(30 * k, n_layers=k, seed=4) for k in (2, 3))
    np.testing.assert_array_equal(two.layers[1].W, three.layers[1].W)


def test_ring_memory_stores_the_whole_input():
    net = ResRMN.random(5, n_memory=12, seed=0)
    memory, V_x = net.layers[0], net.layers[0].W_in[:, 0]
    u = rng.standard_normal(12)
    exact = sum(np.roll(V_x, 11 - t) * u[t] for t in range(12))
    np.testing.assert_allclose(memory.run(u)[-1], exact, atol=1e-14)


def test_reservoir_sees_the_memory_of_the_same_step():
    net = ResRMN.random(6, n_memory=4, alpha=0.6, beta=0.3, bias_scaling=0.1, seed=0)
    ring_weights, reservoir = net.layers[0].W.toarray(), net.layers[1]
    W_m, W_x = reservoir.W_in[:, :4], reservoir.W_in[:, 4]
    m, h = np.zeros(4), np.zeros(6)
    for u_t, state in zip(U[:, 0], net.run(U), strict=True):
        m = ring_weights @ m + net.layers[0].W_in[:, 0] * u_t
        h = 0.6 * reservoir.O @ h + 0.3 * np.tanh(reservoir.W @ h + W_m @ m + W_x * u_t + reservoir.bias)
        np.testing.assert_allclose(state, np.concatenate([m, h]), atol=1e-13)


def test_memory_spectrum_is_the_roots_of_unity_and_the_reservoir():
    net = ResRMN.random(10, n_memory=9, alpha=0.9, beta=0.5, seed=1)
    x, u = rng.uniform(-1, 1, 19), np.array([0.5])
    own, drive = net.layers[1], np.concatenate([net.layers[0].step(x[:9], u), u])
    union = np.concatenate([np.exp(2j * np.pi * np.arange(9) / 9), np.linalg.eigvals(own.jacobian(x[9:], drive))])
    np.testing.assert_allclose(by_size(np.linalg.eigvals(net.jacobian(x, u))), by_size(union), atol=1e-10)


def test_push_of_long_input_is_cut_into_chunks(monkeypatch):
    deep = DeepResESN.random(12, n_layers=3, alpha=0.8, beta=0.2, skip=ring, seed=0)
    whole = deep.push(np.zeros(12), U, np.eye(12))
    monkeypatch.setattr("penstock.reservoirs.stack._TAPE_ELEMENTS", 12 * 12 * 4)
    for one, other in zip(deep.push(np.zeros(12), U, np.eye(12)), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Stack([]), ValueError, "layers must hold at least one system"),
        (lambda: Stack([ESN.random(4, seed=0)] * 2), ValueError, "layer 2 must have n_inputs=4 to match, got 1"),
        (
            lambda: Stack([ESN.random(4, seed=0), ESN.random(3, n_inputs=4, dtype=np.float32, seed=0)]),
            ValueError,
            "layer 2 must have dtype float64 like the first, got float32",
        ),
        (lambda: Stack([ESN.random(4, seed=0), "ESN"]), TypeError, "layer 2 must be a penstock system, got 'ESN'"),
        (
            lambda: Stack([Map(lambda x, u: x, 2, n, dt=dt) for n, dt in ((1, 0.1), (2, 0.7))]),
            ValueError,
            "layer 2 must have dt 0.1 like the first, got 0.7",
        ),
        (lambda: DeepESN.random(30, inter={"seed": 3}, seed=0), ValueError, "inter must be a dict of settings other"),
        (lambda: DeepESN.random(30, inter="x", seed=0), ValueError, "inter must be a dict of settings other"),
        (lambda: ResRMN.random(5, n_memory=3, memory_scaling=None, seed=0), TypeError, "memory_scaling must hold real"),
        (lambda: DeepESN.random(3, n_layers=5, seed=0), ValueError, "n_layers must be at most n_units=3, got 5"),
        (lambda: DeepESN.random(30, n_layers=0, seed=0), ValueError, "n_layers must be at least 1, got 0"),
        (lambda: ResRMN.random(5, n_memory=0, seed=0), ValueError, "n_memory must be at least 1, got 0"),
        (lambda: DeepESN.random(30, seed=0, leek=0.1), TypeError, "leek"),
    ],
)
def test_bad_settings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
