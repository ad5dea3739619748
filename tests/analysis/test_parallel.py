"""Newton's method over whole trajectories: against the sequential run, and against its own guarantees."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import penstock.analysis.parallel as parallel
from penstock import Map, identity
from penstock.analysis import associative_scan, lyapunov_spectrum, parallel_run, sequential_scan
from penstock.reservoirs import ESN, LTC
from penstock.system import as_system
from tests.models import MODELS

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")

U = np.random.default_rng(0).uniform(-0.5, 0.5, 300)


def esn(radius, n_units=20, **settings):
    return ESN.random(n_units, spectral_radius=radius, **{"input_scaling": 1.0, "seed": 0} | settings)


def run(system, u=U, **settings):
    return parallel_run(system, u, progress=False, **settings)


def recurrence(A, b):
    """The sum of products written out: d_t = sum_s A_t ... A_{s+1} b_s."""
    out = []
    for t in range(len(b)):
        total = np.zeros(b.shape[1])
        for s in range(t + 1):
            term = b[s]
            for r in range(s + 1, t + 1):
                term = A[r] @ term
            total = total + term
        out.append(total)
    return np.array(out).reshape(b.shape)


@given(n_steps=st.integers(0, 20), n=st.integers(1, 4), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_scans_solve_the_linear_recurrence(n_steps, n, seed):
    rng = np.random.default_rng(seed)
    A, b = rng.uniform(-1, 1, (n_steps, n, n)), rng.uniform(-1, 1, (n_steps, n))
    before = b.copy()
    expected = recurrence(A, b)
    scale = 1 + np.abs(expected).max(initial=0)  # sums of up to 20 products, in another order
    assert_allclose(sequential_scan(A, b), expected, atol=1e-12 * scale)
    assert_allclose(associative_scan(A, b), expected, atol=1e-12 * scale)
    diagonals = A[:, range(n), range(n)]
    expected = recurrence(np.array([np.diag(a) for a in diagonals]).reshape(n_steps, n, n), b)
    assert_allclose(sequential_scan(diagonals, b), expected, atol=1e-12 * scale)
    assert_allclose(associative_scan(diagonals, b), expected, atol=1e-12 * scale)
    assert_array_equal(b, before)


@pytest.mark.parametrize("scan", [sequential_scan, associative_scan])
def test_scans_take_lists_of_integers_and_refuse_what_does_not_fit(scan):
    assert_array_equal(scan([[2], [2], [2]], [[1], [1], [1]]), [[1], [3], [7]])
    assert_array_equal(scan([[[0.5]], [[0.5]]], [[1], [1]]), [[1], [1.5]])
    for A, b in ((np.ones((3, 2, 1)), np.ones((3, 2))), (np.ones((2, 2)), np.ones((3, 2))), (np.ones(3), np.ones(3))):
        with pytest.raises(ValueError, match=r"A must have shape \(T, n, n\) or \(T, n\) to match b"):
            scan(A, b)


def test_associative_scan_takes_two_rounds_per_doubling(monkeypatch):
    rounds = []
    monkeypatch.setattr(parallel, "_times", lambda A, x: rounds.append(len(x)) or A * x)
    associative_scan(np.ones((1024, 1)), np.ones((1024, 1)))
    assert len(rounds) == 2 * 10 and sum(rounds) < 2 * 1024


@pytest.mark.parametrize("radius, iterations", [(0.5, 4), (0.9, 6), (0.99, 8), (1.1, 15)])
def test_newton_finds_the_trajectory_in_the_published_number_of_iterations(radius, iterations):
    """The table has N = 50 and T = 1000 of one unknown seed; N = 20 and T = 300 need as many or a few less."""
    system = esn(radius)
    result = run(system)
    assert result.converged and result.n_settled == len(U)
    assert iterations - 3 <= result.n_iterations <= iterations + 1
    assert_allclose(result.states, system.run(U), atol=1e-13)  # roundings, not amplified


@pytest.mark.slow
@pytest.mark.parametrize("radius, full, quasi", [(0.5, 4, 32), (0.9, 6, 178), (0.99, 8, None), (1.1, 15, None)])
def test_table_of_iterations(radius, full, quasi):
    """N = 50, T = 1000, inputs U(-0.5, 0.5), tolerance 1e-10; seeds spread by one, quasi-DEER by a third."""
    u = np.random.default_rng(0).uniform(-0.5, 0.5, 1000)
    results = [run(esn(radius, 50, seed=seed), u) for seed in range(2)]
    assert all(result.converged and abs(result.n_iterations - full) <= 1 for result in results)
    if quasi:
        result = run(esn(radius, 50), u, diagonal=True, max_iterations=300)
        assert result.converged and abs(result.n_iterations / quasi - 1) < 0.35


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("radius", [0.9, 2.0])
def test_after_k_iterations_the_first_k_states_are_exact(radius, diagonal):
    system = esn(radius)
    exact = system.run(U)
    for k in (1, 3, 10):
        result = run(system, diagonal=diagonal, max_iterations=k)
        settled = result.n_settled
        assert settled >= k
        assert_allclose(result.states[:k], exact[:k], atol=1e-13)


@pytest.mark.parametrize("diagonal", [False, True])
def test_second_iterate_is_that_of_the_equation_written_out(diagonal):
    system, u = esn(0.9, 6), U[:12]
    X = np.zeros((12, 6))
    for _ in range(2):
        x, new = np.zeros(6), []
        for t, u_t in enumerate(u):
            before = X[t - 1] if t else np.zeros(6)
            J = (1 - np.tanh(system.W @ before + system.W_in[:, 0] * u_t) ** 2)[:, None] * system.W
            J = np.diag(np.diag(J)) if diagonal else J
            x = np.tanh(system.W @ before + system.W_in[:, 0] * u_t) + J @ (x - before)
            new.append(x)
        X, change = np.array(new), np.abs(np.array(new) - X)
    result = run(system, u, diagonal=diagonal, max_iterations=2)
    assert_allclose(result.states, X, atol=1e-14)
    assert_allclose(result.changes[1], (change / np.maximum(1, np.abs(X))).max(), rtol=1e-12)


def test_changes_of_large_states_are_relative():
    growing = Map(lambda x, u: 0.5 * x + np.sin(x) + u, n_units=1, n_inputs=1)
    result = run(growing, np.full(20, 1e6))
    assert result.changes[0] == 1 and result.converged  # from zeros all is new
    assert_allclose(result.states, growing.run(np.full(20, 1e6)), rtol=1e-13)


def test_settled_steps_are_those_that_hold_the_trajectory():
    system = esn(2.0)
    result = run(system, max_iterations=20)
    error = np.abs(result.states - system.run(U)).max(axis=1)
    assert 30 <= result.n_settled < 60  # Newton gains more than one step per iteration
    assert error[: result.n_settled].max() < 1e-12 and error[result.n_settled + 20 :].max() > 0.1


def test_as_many_iterations_as_steps_are_enough_even_for_chaos():
    system = esn(3.0, input_scaling=0.1)
    assert lyapunov_spectrum(system, np.resize(U, 2000), 1, progress=False).exponents[0] > 0.05
    u = U[:40]
    result = run(system, u, diagonal=True, tol=1e-12)
    assert result.converged and 30 <= result.n_iterations <= 41  # one more to see that nothing changes
    assert_allclose(
        result.states, system.run(u), atol=1e-10
    )  # roundings grow by a few tenths of an e-fold per step at most


def test_convergence_is_quadratic_at_the_end():
    changes = run(esn(0.9), tol=1e-14).changes
    small = changes[(changes < 1e-2) & (changes > 1e-15)]
    assert len(small) >= 2 and (small[1:] < 10 * small[:-1] ** 2 + 1e-15).all()


def test_iterations_grow_with_the_largest_exponent():
    """Networks of one radius differ in their exponents: it is these that count."""
    cases = [(0.3, 0), (2.0, 1), (1.2, 2), (2.4, 2)]
    counts, exponents = [], []
    for radius, seed in cases:
        system = esn(radius, 50, input_scaling=0.2, seed=seed)
        counts.append(run(system, U[:200]).n_iterations)
        exponents.append(lyapunov_spectrum(system, np.resize(U, 2000), 1, progress=False).exponents[0])
    assert (np.diff(exponents) > 0).all() and exponents[0] < -1 and exponents[1] < -0.1 and exponents[-1] > 0.1
    assert (np.diff(counts) > 0).all() and counts[0] <= 4 and counts[1] < 20 and counts[-1] == 100


def test_linear_system_needs_one_iteration_and_one_to_see_it():
    result = run(esn(0.9, activation=identity))
    assert result.n_iterations == 2 and result.converged
    assert_allclose(result.states, esn(0.9, activation=identity).run(U), atol=1e-12)


def test_diagonal_jacobians_make_both_methods_one():
    rng = np.random.default_rng(1)
    system = ESN(np.diag(rng.uniform(-0.9, 0.9, 6)), rng.uniform(-1, 1, (6, 1)), 0.1, 0.8)
    full, quasi = run(system), run(system, diagonal=True)
    assert_allclose(full.changes, quasi.changes, atol=1e-14)
    assert full.n_iterations < 10
    assert_allclose(quasi.states, system.run(U), atol=1e-13)


def test_both_scans_and_any_blocks_lead_to_the_same_states(monkeypatch):
    system = esn(0.9)
    whole = run(system)
    other = run(system, scan=associative_scan)
    assert_allclose(other.states, whole.states, atol=1e-13)
    assert_allclose(other.changes, whole.changes, rtol=1e-6, atol=1e-13)
    monkeypatch.setattr(parallel, "BLOCK_BYTES", 8 * 20**2 * 7)  # seven steps
    blocks = run(system)
    assert_allclose(blocks.states, whole.states, atol=1e-13)
    assert_allclose(blocks.changes, whole.changes, rtol=1e-6, atol=1e-13)


def test_start_and_autonomous_systems():
    x0 = np.linspace(-1, 1, 20)
    assert_allclose(run(esn(0.9), x0=x0).states, esn(0.9).run(U, x0), atol=1e-13)
    alone = esn(0.8, n_inputs=0)
    assert_allclose(run(alone, 50, x0=x0).states, alone.run(50, x0), atol=1e-13)


def assert_solved(system):
    """Newton's trajectory is that of the sequential run, whole state by whole state."""
    rng = np.random.default_rng(4)
    u = rng.uniform(0.1 if system.timed else -0.5, 0.5, (40, system.n_inputs)) if system.n_inputs else 40
    result = run(system, u)
    assert result.converged and result.states.shape == (40, system.n_units)
    assert_allclose(result.states, system.run(u), atol=1e-11)  # roundings of states of order 1


@pytest.mark.parametrize("name", ["ESN per row", "Stack of kinds", "LMU"])
def test_sparse_stacked_and_partly_observed_systems_are_solved(name):
    assert_solved(MODELS[name]())


@pytest.mark.slow
def test_irregularly_sampled_systems_are_solved():
    assert_solved(LTC.random(7, n_inputs=2, timed=True, seed=0))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name != "SimpleLTC relu rk4"])  # unbounded, runs away
def test_every_model_is_solved(name):
    assert_solved(MODELS[name]())


class SinglePrecision:
    """A float32 system that compiles nothing."""

    n_units, n_inputs, dtype = 5, 1, np.float32
    W = np.random.default_rng(5).uniform(-0.5, 0.5, (5, 5)).astype(np.float32)

    def step(self, x, u):
        return np.tanh(self.W @ x + u)


@pytest.mark.parametrize("diagonal", [False, True])
def test_float32_has_its_own_tolerance(diagonal):
    result = run(SinglePrecision(), U[:20], diagonal=diagonal)
    assert result.converged and result.tol == 1e-5 and result.states.dtype == np.float32
    assert_allclose(result.states, as_system(SinglePrecision()).run(U[:20]), atol=3e-5)


def test_overflow_of_the_linearised_run_is_reported_and_the_prefix_kept():
    """From zero states the Jacobian is W: radius 4 overflows after about 512 steps, 4^512 = 2^1024."""
    u = np.resize(U, 700)
    system = esn(4.0)
    result = run(system, u)
    assert not result.converged and np.isnan(result.changes[-1]) and "overflows from step 5" in result.reason
    assert result.n_settled >= 1 and result.n_iterations == 1
    finite = np.isfinite(result.states).all(axis=1)
    assert 500 < finite.sum() < 540 and finite[: finite.sum()].all()
    assert_array_equal(result.states[0], system.run(u[:1])[0])
    assert "NOT CONVERGED" in repr(result)
    assert "not converged" in result.plot().get_legend().texts[0].get_text()  # of a single NaN
    plt.close("all")


def test_a_system_that_is_not_finite_at_an_iterate_is_reported():
    system = Map(lambda x, u: np.where(np.abs(x) > 0.1, 1 / (x - x), x + u), n_units=1, n_inputs=1)
    with np.errstate(all="ignore"):
        result = run(system, np.full(9, 0.2))
    assert not result.converged and "not finite" in result.reason and result.n_iterations == 2


def test_exhausted_iterations_are_reported():
    result = run(esn(0.9), max_iterations=2)
    assert not result.converged and result.reason == "max_iterations=2 reached"
    assert 2 <= result.n_settled < len(U)


def test_plot_shows_every_iteration_and_the_tolerance():
    result = run(esn(0.9))
    ax = result.plot()
    changes, tolerance = ax.lines
    assert_array_equal(changes.get_xdata(), np.arange(1, result.n_iterations + 1))
    assert tolerance.get_ydata()[0] == 1e-10 and ax.get_xlabel() == "iteration"
    assert "converged" in ax.get_legend().texts[0].get_text()
    last = run(esn(0.9), np.zeros(5)).plot().lines[0].get_ydata()  # nothing changes at all, and still it is seen
    assert last[0] > 0
    plt.close("all")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"u": np.zeros((2, 9, 1))}, r"u must be one series of at least one step, shape \(T, 1\), got \(2, 9, 1\)"),
        ({"u": np.zeros(0)}, "u must be one series of at least one step"),
        ({"u": np.array([np.nan])}, "u must be finite"),
        ({"x0": np.zeros(3)}, r"x0 must have shape \(20,\)"),
        ({"tol": 0.0}, "tol must be above 0"),
        ({"tol": np.inf}, "tol must be finite"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
    ],
)
def test_useless_values_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        run(esn(0.5), **settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"diagonal": 1}, "diagonal must be True or False, got 1"),
        ({"diagonal": "yes"}, "diagonal must be True or False"),
        ({"scan": "sequential"}, "scan must be a function"),
        ({"tol": "small"}, "tol must be a number"),
        ({"max_iterations": 3.0}, "max_iterations must be an integer"),
        ({"u": "wave"}, "u must hold real numbers"),
    ],
)
def test_values_of_the_wrong_type_are_refused(settings, message):
    with pytest.raises(TypeError, match=message):
        run(esn(0.5), **settings)


def test_what_is_no_system_is_refused():
    with pytest.raises(TypeError, match="needs n_units, n_inputs and step"):
        run(object())
