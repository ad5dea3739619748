import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import penstock.analysis.delays
import penstock.analysis.regression
from penstock import SystemDefaults
from penstock.analysis import ADJUSTED, memory_capacity
from penstock.analysis.delays import Delays
from penstock.analysis.sums import Sums

EPS = np.finfo(float).eps


class Mixture(SystemDefaults):
    """tanh of random mixtures of the last five inputs, all steps at once."""

    n_inputs = 1

    def __init__(self, n_units, block=None):
        self.n_units, self.block = n_units, block
        self.weights = np.random.default_rng(0).standard_normal((n_units, 5))
        self.bias = np.linspace(-1, 1, n_units)

    def _run(self, u, x0, out):
        past = np.concatenate([np.zeros(4), u[:, 0]])
        out[:] = np.tanh(np.lib.stride_tricks.sliding_window_view(past, 5) @ self.weights.T + self.bias)
        return False

    def blocks(self, u, size, x0=None):
        states = self.run(u, x0)
        return iter(np.split(states, range(self.block or size, len(u), self.block or size)))


def stored_rows(n_units, n_steps, discard, max_delay, seed=0):
    """The rows that a measurement sees: states, and the delayed inputs (rows, delays)."""
    u = np.random.default_rng(seed).uniform(-0.8, 0.8, (discard + n_steps, 1))
    X = Mixture(n_units).run(u)[discard:]
    return u, X, np.column_stack([u[discard - k : len(u) - k, 0] for k in range(max_delay + 1)])


def adjusted_total(X, Y):
    """Sum over the targets of adjusted R^2, by least squares."""
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    residual = Y - X @ np.linalg.lstsq(X, Y)[0]
    n, r = X.shape
    return (1 - (residual**2).sum(axis=0) / (Y**2).sum(axis=0) * (n - 1) / (n - r - 1)).sum()


def measured(u, n_units, n_steps, max_delay, **options):
    return memory_capacity(
        Mixture(n_units, **options),
        max_delay,
        n_steps=n_steps,
        washout=max_delay,
        protocol=ADJUSTED,
        input_law=lambda rng, size: u,
        seed=0,
        progress=False,
    )


# Products with all delays


@pytest.mark.parametrize("cost", [0.0, 1e9])
@pytest.mark.parametrize(
    ("n_units", "rows", "n_delays", "n_channels"), [(70, 311, 400, 1), (5, 90, 30, 2), (1, 1, 1, 1)]
)
def test_products_with_all_delays_equal_the_sums_one_by_one(monkeypatch, cost, n_units, rows, n_delays, n_channels):
    """By Fourier transforms (cost 0) and by a matrix product, of targets less their mean, added to what was there."""
    monkeypatch.setattr(penstock.analysis.delays, "TRANSFORM_COST", cost)
    rng = np.random.default_rng(0)
    first, start = 3, 7
    y = 3.0 + rng.standard_normal((first + n_delays + 2 * rows + start, n_channels))
    discard = first + n_delays - 1
    plan = SimpleNamespace(delays=first + np.arange(n_delays), discard=discard, edges=np.array([0, 2 * rows]))
    q = np.asfortranarray(rng.standard_normal((n_units, rows)))
    before = rng.standard_normal((n_units, n_delays * n_channels))
    cross = before.copy()
    Delays(y, plan).add_products(q, start, cross)
    for channel in range(n_channels):
        for j, delay in enumerate(plan.delays[::-1]):
            target = (y - y.mean(axis=0))[discard + start - delay :][:rows, channel]
            column = channel * n_delays + j
            # rounding of a transform of this length: a few units in the last place of the norms
            atol = 20 * EPS * (np.linalg.norm(q, axis=1).max() * np.linalg.norm(y) + np.abs(before).max())
            assert_allclose(cross[:, column], before[:, column] + q @ target, rtol=0, atol=atol)


def test_transforms_have_small_prime_factors_and_waste_at_most_an_eighth():
    for least in (*range(1, 400), 4000, 99_999):
        length = penstock.analysis.delays._fast_length(least)
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        assert rest == 1 and least <= length
        assert length <= 1.125 * least or least < 64


@pytest.mark.parametrize("cost", [0.0, 1e9])
def test_capacity_by_either_way_equals_least_squares(monkeypatch, cost):
    monkeypatch.setattr(penstock.analysis.delays, "TRANSFORM_COST", cost)
    u, X, Y = stored_rows(30, 2000, 100, 100)
    # condition numbers of these states are below 1e3: rounding of least squares
    assert measured(u, 30, 2000, 100).total == pytest.approx(adjusted_total(X, Y), abs=1e-9)


def test_blocks_of_states_of_any_size_give_the_same_bits():
    u, _, _ = stored_rows(30, 1500, 60, 60)
    whole = measured(u, 30, 1500, 60)
    for size in (1, 17, 1560):
        parts = measured(u, 30, 1500, 60, block=size)
        assert_array_equal(parts.per_delay, whole.per_delay)
        assert parts.standard_error == whole.standard_error


# Standard errors


def one_by_one(total, X, Y):
    """The jackknife over ten blocks."""
    edges = np.linspace(0, len(X), 11).astype(int)
    rest = [np.delete(np.arange(len(X)), range(*ends)) for ends in zip(edges[:-1], edges[1:], strict=True)]
    return np.sqrt(9 * np.var([total(X[rows], Y[rows]) for rows in rest]))


def test_standard_error_is_the_jackknife_over_ten_blocks():
    u, X, Y = stored_rows(20, 1003, 40, 40)
    # the ridge of the replicates is 1e-6 of the power of a coordinate
    assert measured(u, 20, 1003, 40).standard_error == pytest.approx(one_by_one(adjusted_total, X, Y), rel=1e-3)


@pytest.fixture
def fitted_apart(monkeypatch):
    """Long blocks are fitted by themselves, however little they would take to store."""
    monkeypatch.setattr(penstock.analysis.regression, "KEPT_BYTES", 0)


def test_standard_error_of_long_blocks_is_that_of_the_mean_of_ten_fits(fitted_apart):
    """Of the delays 0..4 that are remembered; what chance explains of the others varies as 1/T, not as 1/sqrt(T)."""
    n_units, n_steps = 5, 5000
    u, X, Y = stored_rows(n_units, n_steps, 24, 24)
    blocks = list(zip(np.split(X, 10), np.split(Y, 10), strict=True))
    remembered = np.array([adjusted_total(x, y[:, :5]) for x, y in blocks])
    empty = np.array([adjusted_total(x, y[:, 5:]) for x, y in blocks])
    expected = np.std(remembered + empty / np.sqrt(10), ddof=1) / np.sqrt(10)
    # the ridge of the blocks is 1e-6 of the power of a coordinate
    assert measured(u, n_units, n_steps, 24).standard_error == pytest.approx(expected, rel=1e-3)
    shorter = measured(u[:-10], n_units, n_steps - 10, 24)  # blocks of 499 steps are left out one by one
    assert shorter.standard_error > 1.05 * expected


def test_long_blocks_whose_sums_take_little_are_left_out_one_by_one():
    u, X, Y = stored_rows(5, 5000, 24, 24)
    assert measured(u, 5, 5000, 24).standard_error == pytest.approx(one_by_one(adjusted_total, X, Y), rel=1e-3)


class Deaf(Mixture):
    """Units that know nothing of the input."""

    def _run(self, u, x0, out):
        out[:] = np.random.default_rng(1).standard_normal(out.shape)
        return False


@pytest.mark.parametrize("system", [Mixture(5), Deaf(5)], ids=["mixture", "deaf"])
@pytest.mark.parametrize("kept", [0, np.inf], ids=["fitted apart", "left out"])
def test_standard_errors_equal_the_spread_over_inputs(monkeypatch, system, kept):
    monkeypatch.setattr(penstock.analysis.regression, "KEPT_BYTES", kept)
    runs = [memory_capacity(system, 40, n_steps=5000, seed=seed, progress=False) for seed in range(20)]
    ratio = np.mean([run.standard_error for run in runs]) / np.std([run.total for run in runs], ddof=1)
    # the spread of 20 is known to 16 %; leaving blocks out errs by sqrt(2) where all is chance; ten fits, each of a
    # tenth of the steps, would err by sqrt(10) there
    assert 0.6 < ratio < (1.5 if kept == 0 else 2.1)


def test_single_precision_of_the_blocks_changes_the_error_alone_and_hardly(monkeypatch):
    u, _, _ = stored_rows(30, 1500, 60, 60)
    double = measured(u, 30, 1500, 60)
    monkeypatch.setattr(penstock.analysis.regression, "SINGLE", 1)
    single = measured(u, 30, 1500, 60)
    assert_array_equal(single.per_delay, double.per_delay)
    # 6e-8 of a total of 5 beside an error of .02
    assert single.standard_error == pytest.approx(double.standard_error, rel=1e-3)
    assert single.standard_error != double.standard_error


@pytest.mark.parametrize("kept", [0, np.inf], ids=["fitted apart", "left out"])
@pytest.mark.parametrize("single", [1, 1000])
def test_a_deficient_rank_leaves_a_sound_error(monkeypatch, single, kept):
    """Four units given twice."""
    monkeypatch.setattr(penstock.analysis.regression, "SINGLE", single)
    monkeypatch.setattr(penstock.analysis.regression, "KEPT_BYTES", kept)
    system = Mixture(12)
    plain = memory_capacity(system, 20, n_steps=16_000, seed=0, progress=False)
    system.weights = np.concatenate([system.weights, system.weights[:4]])
    system.bias = np.concatenate([system.bias, system.bias[:4]])
    system.n_units = 16
    twice = memory_capacity(system, 20, n_steps=16_000, seed=0, progress=False)
    assert twice.rank == 12
    assert twice.standard_error == pytest.approx(plain.standard_error, rel=1e-3)


class Changed(Mixture):
    """A mixture whose states (T, N) go through a function of them and of the step numbers (T, 1)."""

    def __init__(self, n_units, change):
        super().__init__(n_units)
        self.change = change

    def _run(self, u, x0, out):
        super()._run(u, x0, out)
        out[:] = self.change(out, np.arange(len(u))[:, None])
        return False


@pytest.mark.parametrize("single", [1, 1000])
def test_a_unit_that_wakes_up_and_is_far_larger_leaves_the_error_of_the_others(monkeypatch, single):
    """Still where the coordinates are built, its power there is 1e10 times that of any other unit."""
    monkeypatch.setattr(penstock.analysis.regression, "SINGLE", single)
    monkeypatch.setattr(penstock.analysis.regression, "KEPT_BYTES", np.inf)

    def late(x, t):
        return np.where((t > 400) & (np.arange(8) == 7), 1e5, 1.0) * np.where((t < 400) & (np.arange(8) == 7), 0, x)

    u, _, Y = stored_rows(8, 3000, 40, 40)
    X = Changed(8, late).run(u)[40:]
    result = memory_capacity(
        Changed(8, late), 40, n_steps=3000, washout=40, input_law=lambda rng, size: u, seed=0, progress=False
    )
    assert result.rank == 8
    # the ridge is 1e-6 of the power of each coordinate
    assert result.standard_error == pytest.approx(one_by_one(adjusted_total, X, Y), rel=5e-3)


def test_directions_that_single_precision_does_not_resolve_are_left_out_of_the_error(monkeypatch):
    """Two units all but still, alike to one part in 1e5: their difference is a direction of its own in the total."""

    def twins(x, t):
        x = x.copy()
        x[:, 6:] *= 1e-4
        x[:, 7] = x[:, 6] + 1e-5 * x[:, 7]
        return x

    double = memory_capacity(Changed(8, twins), 20, n_steps=3000, seed=0, progress=False)
    monkeypatch.setattr(penstock.analysis.regression, "SINGLE", 1)
    single = memory_capacity(Changed(8, twins), 20, n_steps=3000, seed=0, progress=False)
    assert double.rank == single.rank == 8 and single.total == double.total
    # seven regressors or eight
    assert single.standard_error == pytest.approx(double.standard_error, rel=0.3)


def test_a_gram_matrix_that_rounding_left_indefinite_is_regressed_with_a_ridge():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 20)) @ rng.standard_normal((20, 40))
    Y = X[:, :3] + rng.standard_normal((500, 3))
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    gram = X.T @ X
    gram -= 1e-7 * np.trace(gram) / 40 * np.eye(40)
    sums = Sums(500, np.zeros(40), np.asfortranarray(np.triu(gram)), X.T @ Y, np.zeros(3), (Y**2).sum(axis=0))
    r2 = penstock.analysis.regression._explained(sums)
    residual = Y - X @ np.linalg.lstsq(X, Y, rcond=1e-10)[0]
    # the ridge that makes it definite is at most 1e-3 of the largest moment
    assert_allclose(r2, 1 - (residual**2).sum(axis=0) / (Y**2).sum(axis=0), atol=2e-3)


def test_a_unit_awake_in_one_block_leaves_a_sound_error_in_single_precision(monkeypatch):
    def blink(x, t):
        return np.where((np.arange(8) == 7) & ((t < 1000) | (t > 1200)), 0.0, x)

    double = memory_capacity(Changed(8, blink), 20, n_steps=3000, seed=0, progress=False)
    monkeypatch.setattr(penstock.analysis.regression, "SINGLE", 1)
    single = memory_capacity(Changed(8, blink), 20, n_steps=3000, seed=0, progress=False)
    # what is left of its power where it is left out is the rounding of a difference, for which the ridge is
    assert double.rank == single.rank == 8
    assert single.standard_error == pytest.approx(double.standard_error, rel=1e-2)


def test_coordinates_are_deviations_so_that_large_means_cost_no_digits():
    """States in multiples of 2^-30 stay exact beside 2^20."""

    def rounded(x, t):
        return np.round(x * 2.0**30) / 2.0**30

    plain = memory_capacity(Changed(20, rounded), 20, n_steps=3000, seed=0, progress=False)
    shifted = Changed(20, lambda x, t: rounded(x, t) + 2.0**20)
    far = memory_capacity(shifted, 20, n_steps=3000, seed=0, progress=False)
    # squares of 2^20 would leave 2e-4 of each sum
    assert_allclose(far.per_delay, plain.per_delay, rtol=0, atol=1e-9)


# Memory


def test_memory_is_that_of_two_sets_of_sums_whatever_the_length(fitted_apart):
    n_units, n_delays = 100, 400
    peaks = []
    for n_steps in (100_000, 150_000):
        tracemalloc.start()
        memory_capacity(Slices(n_units), n_delays - 1, n_steps=n_steps, seed=0, progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    sums = 8 * (n_units**2 + n_units * n_delays)
    # sums of a block and of all, copies at the end, blocks of states, inputs, targets and their running sums
    assert peaks[0] < 4 * sums + 2**23 + 8 * 8 * 100_000
    assert (peaks[1] - peaks[0]) / 50_000 < 80


class Slices(Mixture):
    """The same, without the states in one piece."""

    blocks = SystemDefaults.blocks
