import copy
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import esn_states
from numpy.testing import assert_allclose, assert_array_equal

from penstock import Ridge, identity
from penstock.metrics import nrmse_std
from penstock.reservoirs import ESN, DeepESN, Ensemble, ResESN
from penstock.reservoirs.ensemble_kernels import add_gram, add_grams, add_product, advance, advance_each
from penstock.scaling import spectral_radius
from penstock.threads import use_threads
from penstock.weights import sparse

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")

N, T, WASHOUT = 21, 150, 20
RNG = np.random.default_rng(0)
U = RNG.uniform(-1, 1, (T, 2))
Y = np.column_stack([np.roll(U[:, 0], 2) * U[:, 1], np.roll(U[:, 1], 1) + 0.3 * RNG.standard_normal(T)])
RADII, INPUTS = [0.5, 0.8, 1.0, 0.9, 0.2], [1.0, 0.3, 0.6, 0.1, 2.0]
BIASES, LEAKS = [0.0, 1.0, 0.5, 2.0, 0.1], [1.0, 0.3, 0.5, 0.9, 0.05]


def network(seed=1, **settings):
    return ESN.random(N, n_inputs=2, bias_scaling=1.0, seed=seed, **settings)


def varied(networks=None, **more):
    """Five settings of one network, or of each: more than one vector of them, and not a whole number."""
    given = {"spectral_radius": RADII, "input_scaling": INPUTS, "bias_scaling": BIASES, "leak": LEAKS}
    return Ensemble.over(network() if networks is None else networks, **given | more)


def regression(system, alpha, u=U, y=Y):
    """The readout by `Ridge` from stored states, and these."""
    states = system.run(u)
    return Ridge(alpha).fit(states[WASHOUT:], y[WASHOUT:]), states


# --- states


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_members_that_share_W_follow_their_own_equations(dtype, tolerance):
    esn = network(dtype=dtype)
    states = varied(esn).run(U)
    assert states.dtype == dtype
    W = np.asarray(esn.W, float) / 0.9  # drawn with radius 0.9
    for own, radius, inputs, bias, leak in zip(states, RADII, INPUTS, BIASES, LEAKS, strict=True):
        expected = esn_states(radius * W, inputs * esn.W_in, bias * esn.bias, leak, np.tanh, U, np.zeros(N))
        assert_allclose(own, expected, atol=tolerance)  # rounding of a contracting network


def test_networks_given_one_by_one_are_found_to_share_W_up_to_a_factor():
    base, other = network(), network(2)
    leak = RNG.uniform(0.1, 1, N)
    alike = [ESN(f * base.W, i * base.W_in, base.bias, leak) for f, i in ((1, 1), (-0.7, 0.2), (0.3, 1))]
    ensemble = Ensemble([alike[0], other, alike[1], alike[2]])
    assert "1 panels that share W, 1 by themselves" in repr(ensemble)
    x0 = RNG.uniform(-1, 1, (4, N))
    expected = [esn.run(U, x) for esn, x in zip((alike[0], other, *alike[1:]), x0, strict=True)]
    assert_allclose(ensemble.run(U, x0), expected, atol=1e-13)


def test_any_systems_of_one_size_make_an_ensemble():
    systems = [
        ResESN.random(N, n_inputs=2, alpha=0.5, beta=0.5, seed=0),
        ESN.random(N, n_inputs=2, weights=sparse, seed=1),
        network(activation=identity, spectral_radius=0.5),
    ]
    ensemble = Ensemble(systems)
    fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.1)
    for i, system in enumerate(systems):
        assert_array_equal(ensemble.run(U)[i], system.run(U))
        assert_allclose(fit.coef[i], regression(system, 0.1)[0].coef_, rtol=1e-8, atol=1e-10)


def test_networks_share_W_only_with_their_own_activation_and_to_rounding():
    base = network(spectral_radius=0.5)
    near = np.array(base.W)
    near[3, 4] = near[3, 4] * (1 + 1e-6) + 1e-9
    linear = [ESN(base.W, base.W_in, base.bias, leak, identity) for leak in (0.2, 0.5, 1.0)]
    rate = [ESN(base.W, base.W_in, base.bias, leak) for leak in (0.2, 0.5, 1.0)]
    ensemble = Ensemble([*linear, *rate, ESN(near, base.W_in, base.bias, 0.7)])
    assert "2 panels that share W, 1 by themselves" in repr(ensemble)
    expected = [esn.run(U) for esn in [*linear, *rate]]
    assert_allclose(ensemble.run(U)[:6], expected, atol=1e-13)  # rounding of contracting networks


class Scratch:
    """A system that writes into an array of its own at every step, as a liquid does."""

    n_units, n_inputs = 30, 2

    def __init__(self):
        self.memory = np.empty(30)

    def step(self, x, u):
        self.memory[:] = 0.9 * x
        for i in range(30):
            self.memory[i] += (-1) ** i * u[i % 2]
        return self.memory.copy()


def test_a_system_given_twice_is_copied_where_threads_would_share_its_scratch():
    system, esn = Scratch(), network()
    x0 = np.outer([0.0, 1.0, -2.0, 3.0], np.ones(30))
    with use_threads(2):
        ensemble = Ensemble([system] * 4)
        states = ensemble.run(U, x0)
    assert len({id(member.memory) for member in (part.system._system for part in ensemble._parts)}) == 4
    decay = 0.9 ** np.arange(1, T + 1)[:, None]
    for own, start in zip(states, x0, strict=True):  # linear: the start decays on top of the run from zero
        assert_allclose(own - states[0], decay * start, atol=1e-13)
    assert Ensemble([esn, esn])[1] is esn


def test_no_steps_leave_no_states():
    ensemble = Ensemble([*varied(), network(2)])
    assert ensemble.run(U[:0]).shape == (6, 0, N)
    assert ensemble.fit(U, Y, alpha=0.1).predict(U[:0]).shape == (6, 0, 2)
    assert_allclose(ensemble.run(U[:1])[3], varied()[3].run(U[:1]), atol=1e-15)


def test_copies_run_to_the_same_bits():
    ensemble = varied()
    for other in (copy.deepcopy(ensemble), pickle.loads(pickle.dumps(ensemble))):
        assert repr(other) == repr(ensemble)
        assert_array_equal(other.run(U), ensemble.run(U))


def test_only_the_observed_units_of_a_stack_are_read():
    stacks = [DeepESN.random(8, n_layers=2, n_inputs=2, concat=False, seed=seed) for seed in range(2)]
    fit = Ensemble(stacks).fit(U, Y, washout=WASHOUT, alpha=0.1)
    states = stacks[1].run(U)[WASHOUT:, stacks[1].observed]
    assert fit.coef.shape == (2, 2, 4)
    assert_allclose(fit.coef[1], Ridge(0.1).fit(states, Y[WASHOUT:]).coef_, rtol=1e-8)
    assert fit.last_states.shape == (2, 8)


def test_a_member_is_the_network_that_its_setting_describes():
    esn = network()
    ensemble = varied([esn, network(2)])
    assert len(ensemble) == 10
    member = ensemble[6]
    assert ensemble.settings["network"][6] == 1
    assert spectral_radius(member.W) == pytest.approx(RADII[1], rel=1e-12)
    assert_allclose(member.W_in, INPUTS[1] * network(2).W_in, rtol=1e-15)
    assert member.leak == LEAKS[1]
    assert Ensemble([esn])[0] is esn


def test_a_grid_holds_all_combinations_and_the_last_varies_fastest():
    ensemble = Ensemble.grid([network(1), network(2)], spectral_radius=[0.5, 0.9], leak=[0.1, 0.2, 0.3])
    assert ensemble.settings["network"].tolist() == [0] * 6 + [1] * 6
    assert ensemble.settings["leak"].tolist() == [0.1, 0.2, 0.3] * 4
    assert ensemble.settings["spectral_radius"].tolist() == ([0.5] * 3 + [0.9] * 3) * 2
    assert len(Ensemble.grid([network(1), network(2)])) == 2


# --- readouts


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_readouts_are_those_of_ridge_on_stored_states(dtype):
    ensemble = varied([network(dtype=dtype), network(2, dtype=dtype)])
    states = ensemble.run(U)
    fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.03)
    for i, own in enumerate(states):  # the very states: those of float32 differ between kernels by 1e-7
        ridge = Ridge(0.03).fit(own[WASHOUT:], Y[WASHOUT:])
        assert_allclose(fit.coef[i], ridge.coef_, rtol=1e-8, atol=1e-9)
        assert_allclose(fit.intercept[i], ridge.intercept_, rtol=1e-8)
        errors = [nrmse_std(y, p) for y, p in zip(Y[WASHOUT:].T, ridge.predict(own[WASHOUT:]).T, strict=True)]
        assert_allclose(fit.training_error[i], errors, rtol=1e-8)
    assert_array_equal(fit.last_states, states[:, -1])


def test_penalties_are_chosen_as_ridge_chooses_them():
    ensemble = varied()
    fit, path = ensemble.fit(U, Y, washout=WASHOUT), ensemble.fit(U, Y, washout=WASHOUT, alpha=[1e-3, 1.0, 1e-1])
    for i, member in enumerate(ensemble):
        ridge = regression(member, None)[0]
        assert_allclose(fit.alpha[i], ridge.alpha_, rtol=1e-9)
        assert_allclose(fit.coef[i], ridge.coef_, rtol=1e-5, atol=1e-7)  # the smallest penalties amplify rounding
        assert_array_equal(path.alpha[i], regression(member, [1e-3, 1.0, 1e-1])[0].alpha_)


def test_without_a_penalty_directions_lost_in_rounding_are_left_out():
    esn = network()
    W, W_in, bias = np.array(esn.W), np.array(esn.W_in), np.array(esn.bias)
    W[1], W_in[1], bias[1] = W[0], W_in[0], bias[0]  # twins
    W[2], W_in[2] = 0, 0  # a constant
    ensemble = Ensemble.over(ESN(W, W_in, bias), leak=[0.3, 0.5, 1.0])
    fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.0)
    for i, member in enumerate(ensemble):
        ridge, states = regression(member, 0.0)
        assert_allclose(fit.predict(U)[i], ridge.predict(states), atol=1e-6)  # N eps times the condition, 1e8
        assert_allclose(fit.coef[i, :, 0], fit.coef[i, :, 1], atol=1e-6)  # the least weights share the twins' load


def test_errors_far_below_the_target_are_residuals_not_differences_of_sums():
    ensemble = varied()
    target = ensemble.run(U)[1] @ RNG.standard_normal(N)
    fit = ensemble.fit(U, target, washout=WASHOUT, alpha=1e-11)
    states = ensemble[1].run(U)
    explicit = nrmse_std(target[WASHOUT:], (states[WASHOUT:] @ fit.coef[1].T + fit.intercept[1])[:, 0])
    assert 1e-15 < explicit < 1e-7  # its square is below what sums of squares resolve
    assert_allclose(fit.training_error[1, 0], explicit, rtol=0.05)  # rounding of the states, which readouts multiply
    assert_allclose(fit.training_error[0, 0], nrmse_std(target[WASHOUT:], fit.predict(U)[0, WASHOUT:, 0]), rtol=1e-6)


@pytest.mark.parametrize("noise", [1e-5, 1e-6, 1e-7])
def test_small_errors_are_good_to_four_digits(noise):
    ensemble = varied()
    target = ensemble.run(U)[1] @ RNG.standard_normal(N) + noise * RNG.standard_normal(T)
    fit = ensemble.fit(U, target, washout=WASHOUT, alpha=1e-11)
    explicit = nrmse_std(target[WASHOUT:], fit.predict(U)[1, WASHOUT:, 0])
    assert_allclose(fit.training_error[1, 0], explicit, rtol=1e-4)  # the threshold of sums of squares, 1e4 roundings


def test_penalties_are_chosen_around_the_mean_even_if_the_first_target_that_counts_is_far_off():
    ensemble, y = varied(), Y.copy()
    y[WASHOUT] = 30.0
    fit = ensemble.fit(U, y, washout=WASHOUT)
    for i, member in enumerate(ensemble):
        assert_allclose(fit.alpha[i], regression(member, None, y=y)[0].alpha_, rtol=1e-9)


def test_an_output_of_steps_that_do_not_count_changes_nothing():
    y = Y.copy()
    y[:WASHOUT] = 1e6
    ensemble = varied()
    fit, other = (ensemble.fit(U, target, washout=WASHOUT, alpha=1.0) for target in (Y, y))
    assert_array_equal(fit.coef, other.coef)


def test_scores_on_what_follows_continue_the_run():
    ensemble = varied()
    fit = ensemble.fit(U[:100], Y[:100], washout=WASHOUT, alpha=0.1)
    scores = fit.score(U[100:], Y[100:], x0=fit.last_states)
    outputs = fit.predict(U[100:], x0=fit.last_states)
    assert outputs.shape == (5, 50, 2)
    for i, member in enumerate(ensemble):
        states = member.run(U)
        ridge = Ridge(0.1).fit(states[WASHOUT:100], Y[WASHOUT:100])
        predicted = ridge.predict(states[100:])
        assert_allclose(outputs[i], predicted, atol=1e-9)
        assert_allclose(fit.readout(i)(states[100:]), predicted, atol=1e-9)
        expected = [nrmse_std(y, p) for y, p in zip(Y[100:].T, predicted.T, strict=True)]
        assert_allclose(scores.nrmse[i], expected, rtol=1e-8)
    assert scores.best == np.argmin((scores.nrmse**2).mean(axis=1))
    assert scores.setting(3) == {
        "network": 0,
        "spectral_radius": 0.9,
        "input_scaling": 0.1,
        "bias_scaling": 2.0,
        "leak": 0.9,
    }


def test_scores_from_zero_leave_out_the_washout():
    ensemble = varied()
    fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.1)
    scores = fit.score(U, Y)
    assert_allclose(scores.nrmse, fit.training_error, rtol=1e-8)
    assert (fit.score(U, Y, washout=0).nrmse != scores.nrmse).all()


def test_a_member_that_diverges_leaves_the_others_alone():
    esn = network(activation=identity, spectral_radius=0.9)
    ensemble = Ensemble.over(esn, spectral_radius=[0.5, 1e9, 0.7, 0.9])
    with np.errstate(all="ignore"):
        fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.1)
    assert np.isnan(fit.coef[1]).all()
    assert np.isinf(fit.training_error[1]).all()
    calm = Ensemble.over(esn, spectral_radius=[0.5, 0.6, 0.7, 0.9]).fit(U, Y, washout=WASHOUT, alpha=0.1)
    assert_array_equal(fit.coef[[0, 2, 3]], calm.coef[[0, 2, 3]])
    assert np.isinf(fit.score(U, Y).nrmse[1]).all()
    assert fit.score(U, Y).best != 1
    with pytest.raises(FloatingPointError, match="member 1 diverged"):
        ensemble.run(U)


# --- bits


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bits_depend_neither_on_threads_nor_on_the_company(dtype):
    networks = [network(seed, dtype=dtype) for seed in range(2)]
    settings = np.linspace(0.1, 0.9, 37)
    ensemble = Ensemble.over(networks, spectral_radius=settings, leak=settings[::-1])
    results = []
    for n_threads in (1, 2):
        with use_threads(n_threads):
            fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.1)
            results.append([fit.coef, fit.intercept, fit.training_error, fit.score(U, Y).nrmse, ensemble.run(U[:40])])
    for one, two in zip(*results, strict=True):
        assert_array_equal(one, two)
    some = [3, 70, 36, 5, 40, 44]
    part = ensemble[some].fit(U, Y, washout=WASHOUT, alpha=0.1)
    assert_array_equal(part.coef, results[0][0][some])
    assert_array_equal(part.score(U, Y).nrmse, results[0][3][some])
    assert_array_equal(ensemble[some].run(U[:40]), results[0][4][some])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_networks_of_their_own_have_the_bits_of_a_run_alone_in_any_company(dtype):
    networks = [network(seed, dtype=dtype, leak=0.1 + 0.04 * seed) for seed in range(19)]
    plain = ESN(networks[0].W, np.ascontiguousarray(networks[1].W_in), leak=0.5, activation=identity)
    sparse_one = ESN.random(N, n_inputs=2, density=0.2, dtype=dtype, seed=0)
    ensemble = Ensemble([*networks, plain, sparse_one])
    for esn, states in zip(ensemble, ensemble.run(U), strict=True):
        assert_array_equal(states, esn.run(U))
    start = np.random.default_rng(1).uniform(-1, 1, (len(ensemble), N)).astype(dtype)
    fit = ensemble.fit(U, Y, washout=WASHOUT, alpha=0.1, x0=start)
    some = [17, 3, 19, 20, 0]
    part = ensemble[some].fit(U, Y, washout=WASHOUT, alpha=0.1, x0=start[some])
    assert_array_equal(part.coef, fit.coef[some])
    assert_array_equal(part.last_states, fit.last_states[some])
    assert_array_equal(part.score(U, Y).nrmse, fit.score(U, Y).nrmse[some])
    for i in some:
        states = ensemble[i].run(U, start[i])[WASHOUT:]
        expected = Ridge(0.1).fit(states, Y[WASHOUT:]).predict(states)
        assert_allclose(states @ fit.coef[i].T + fit.intercept[i], expected, atol=1e-9)


# --- kernels


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 80), st.integers(0, 10**6))
def test_gram_matrices_of_whole_numbers_are_exact(bands, n_members, n_rows, seed):
    rows = np.random.default_rng(seed).integers(-9, 9, (n_members, n_rows, 4 * bands)).astype(float)
    G = np.ones((n_members, 4 * bands, 4 * bands))
    add_grams(rows, G)
    expected = np.einsum("pti,ptj->pij", rows, rows) + 1
    assert_array_equal(np.triu(G), np.triu(expected))


def test_kernels_without_a_compiler_give_the_same_states():
    rng = np.random.default_rng(3)
    W, n, lanes = np.zeros((8, 7)), 7, 8
    W[:n] = 0.3 * rng.standard_normal((n, n))
    W_in = rng.standard_normal((2, n * lanes))
    panel = (W, W_in, *rng.uniform(0, 1, (4, n * lanes)))
    results = []
    for kernel in (advance, advance.py_func):
        X, Z, rows = np.zeros((n, lanes)), np.zeros((8, lanes)), np.zeros((5, 30, 12))
        kernel(panel, 0, U[:30], X, Z, np.full((n, lanes), 0.25), rows)
        results.append((X, Z, rows))
    for one, other in zip(*results, strict=True):
        assert_allclose(one, other, atol=1e-13)
    assert_allclose(results[0][2][:, -1, 1:8], results[0][0].T[:5] - 0.25, atol=0)
    weights = rng.uniform(-0.4, 0.4, (3, n, n)), rng.standard_normal((3, 2, n))
    results = []
    for kernel in (advance_each, advance_each.py_func):
        X, rows = np.zeros((3, n)), np.zeros((3, 30, 12))
        kernel((*weights, *np.full((3, 3, n), 0.5)), 0, U[:30], X, np.full((3, n), 0.25), rows)
        results.append((X, rows))
    for one, other in zip(*results, strict=True):
        assert_allclose(one, other, atol=1e-13)
    assert_allclose(results[0][1][:, -1, 1:8], results[0][0] - 0.25, atol=0)
    A, G, Z = rng.standard_normal((6, 8)), np.zeros((8, 8)), np.zeros((8, 3))
    add_gram(A, G)
    add_product(A.T, np.ones((6, 3)), Z)
    assert_allclose(G.sum(axis=0), A.T @ A.sum(axis=1))
    assert_allclose(Z[:, 0], A.sum(axis=0))


# --- what users get wrong


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least one system"),
        (None, "members must be a sequence"),
        ("esn", "members must be a sequence"),
        ([ESN], "system must be a System"),
        ([network(), ESN.random(5, n_inputs=2, seed=0)], "n_units 21 like the first, got 5 in member 1"),
        ([network(), network(dtype=np.float32)], "dtype"),
    ],
)
def test_bad_members_are_refused(members, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Ensemble(members)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"leak": [0.5, 0.0]}, "leak must lie"),
        ({"leak": [0.5, 0.1], "spectral_radius": [1, 2, 3]}, "leak must hold 3 numbers"),
        ({"spectral_radius": -1.0}, "spectral_radius must be at least 0"),
        ({"input_scaling": np.nan}, "input_scaling must be finite"),
        ({"input_scaling": "2"}, "input_scaling must hold real numbers"),
        ({"spectral_radius": []}, "spectral_radius must hold at least one number"),
        ({"leak": [None, 0.5]}, "leak must hold real numbers"),
        ({"leak": [[0.5]]}, "leak must have 0 or 1 dimensions"),
    ],
)
def test_bad_settings_are_refused(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Ensemble.over(network(), **given)


def test_settings_that_would_do_nothing_are_refused():
    with pytest.raises(ValueError, match="bias_scaling multiplies the bias"):
        Ensemble.over(ESN.random(5, seed=0), bias_scaling=2.0)
    with pytest.raises(ValueError, match="spectral radius 0"):
        Ensemble.over(ESN(np.zeros((5, 5)), np.ones((5, 1))), spectral_radius=0.5)
    with pytest.raises(TypeError, match="networks must be ESNs"):
        Ensemble.over([ResESN.random(5, alpha=0.5, beta=0.5, seed=0)], leak=0.5)
    with pytest.raises(ValueError, match="networks must hold at least one ESN"):
        Ensemble.over([], leak=0.5)
    with pytest.raises(ValueError, match="leak must hold at least one number"):
        Ensemble.grid(network(), spectral_radius=[0.5], leak=[])
    with pytest.raises(TypeError, match="'leek'"):
        Ensemble.grid(network(), leek=[0.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u": U[:, :1]}, "u must have shape"),
        ({"u": U[None]}, "u must be one series"),
        ({"y": Y[:-1]}, "y must have shape"),
        ({"y": np.where(Y > 0, Y, np.nan)}, "y must be finite"),
        ({"y": np.ones(T)}, "y must vary"),
        ({"washout": T - 1}, "washout must leave 2"),
        ({"washout": -1}, "washout must be at least 0"),
        ({"washout": True}, "washout must be an integer"),
        ({"alpha": -1.0}, "alpha must be at least 0"),
        ({"alpha": "big"}, "alpha must hold real numbers"),
        ({"x0": np.zeros(3)}, "x0 must have shape"),
        ({"u": None}, "u must hold real numbers"),
        ({"u": U[:0], "y": Y[:0]}, "washout must leave 2"),
        ({"alpha": []}, "alpha must hold at least one"),
    ],
)
def test_bad_data_are_refused(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        varied().fit(**{"u": U, "y": Y, "washout": 5} | change)


def test_targets_of_another_width_are_not_scored():
    fit = varied().fit(U, Y, washout=5, alpha=1.0)
    with pytest.raises(ValueError, match="y must have shape"):
        fit.score(U, Y[:, :1])


def test_results_describe_and_draw_themselves():
    fit = varied().fit(U, Y[:, 0], washout=WASHOUT, alpha=0.1)
    scores = fit.score(U, Y[:, 0])
    assert "5 members, n_outputs=1" in repr(fit)
    assert f"of member {scores.best}, network=0, spectral_radius={RADII[scores.best]:.4g}" in repr(scores)
    ax = scores.plot()
    assert ax.get_xlabel() == "spectral radius"
    assert_allclose(ax.collections[0].get_offsets()[:, 1], scores.nrmse[:, 0])
    plt.close("all")
