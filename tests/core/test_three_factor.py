"""The gated delta rule on eligibility traces against LMS, its rule in plain loops and what it does in the mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock import LMS, RLS, EligibilityLMS
from penstock.params import clone

T = 90


def data(n=5, k=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((T, n)) @ rng.standard_normal((n, n)) / np.sqrt(n) + 0.5
    return X, X @ rng.standard_normal((n, k)) + rng.standard_normal((T, k)) - 1


def gates(seed=1):
    rng = np.random.default_rng(seed)
    return rng.random(T) * (rng.random(T) < 0.7)


def slow_rule(X, Y, gate, rate, tau, with_intercept=True):
    """The rule, one weight at a time; a missing target leaves its output, the trace goes on."""
    n, k = X.shape[1], Y.shape[1]
    W, trace, a = np.zeros((k, n + 1)), np.zeros(n + 1), np.exp(-1 / tau) if tau else 0.0
    for x, y, g in zip(X, Y, gate, strict=True):
        x = np.append(x, 1.0)
        for i in range(n + 1):
            trace[i] = a * trace[i] + (1 - a) * x[i]
        for j in range(k):
            error = y[j] - W[j, :n] @ x[:n] - W[j, n]
            for i in range(n + with_intercept):
                W[j, i] += 0 if np.isnan(error) else rate * g * error * trace[i]
    return W, trace


@pytest.mark.parametrize("with_intercept", [True, False])
@pytest.mark.parametrize("tau", [0.0, 0.3, 4.0])
def test_equals_its_rule_weight_by_weight(tau, with_intercept):
    X, Y = data()
    Y[np.random.default_rng(4).random(Y.shape) < 0.2] = np.nan
    readout = EligibilityLMS(0.02, tau, fit_intercept=with_intercept).fit(X, Y, gate=gates())
    W, trace = slow_rule(X, Y, gates(), 0.02, tau, with_intercept)
    # the same sums in another order, over 90 contracting steps
    assert_allclose(readout.coef_, W[:, :-1], rtol=1e-10, atol=1e-12)
    assert_allclose(readout.intercept_, W[:, -1], rtol=1e-10, atol=1e-12)
    assert_allclose(readout.trace_, trace, rtol=1e-12)


@pytest.mark.parametrize("with_intercept", [True, False])
def test_without_a_trace_and_with_the_gate_open_it_is_lms_bit_for_bit(with_intercept):
    X, Y = data()
    ours = EligibilityLMS(0.02, 0.0, fit_intercept=with_intercept).fit(X, Y)
    theirs = LMS(0.02, fit_intercept=with_intercept).fit(X, Y)
    assert_array_equal(ours.coef_, theirs.coef_)
    assert_array_equal(ours.intercept_, theirs.intercept_)
    assert_array_equal(
        EligibilityLMS(0.02, 0, fit_intercept=with_intercept).fit(X, Y, gate=np.ones(T)).coef_, ours.coef_
    )


def test_a_vanishing_trace_tends_to_lms():
    X, Y = data()
    lms = LMS(0.02).fit(X, Y).coef_
    # the trace keeps exp(-1 / tau) of the row before, exp(-10) = 5e-5 and exp(-30) = 1e-13
    for tau, left in ((0.1, 5e-5), (1 / 30, 1e-13)):
        assert 0 < abs(EligibilityLMS(0.02, tau).fit(X, Y).coef_ - lms).max() < 10 * left


def test_where_the_gate_is_shut_only_the_trace_changes():
    X, Y = data()
    readout = EligibilityLMS(0.02, 3.0).fit(X, Y)
    before, trace = readout.coef_.copy(), readout.trace_.copy()
    readout.partial_fit(X[:2], Y[:2], gate=np.zeros(2))
    assert_array_equal(readout.coef_, before)
    a = np.exp(-1 / 3.0)
    assert_allclose(readout.trace_[:-1], a**2 * trace[:-1] + (1 - a) * (a * X[0] + X[1]), rtol=1e-12)


def test_nothing_diverges_behind_a_shut_gate():
    X, Y = data()
    readout = EligibilityLMS(0.02, 3.0).fit(X, Y)
    before = readout.coef_.copy()
    assert_array_equal(readout.partial_fit(1e9 * X, Y, gate=np.zeros(T)).coef_, before)


def test_without_a_trace_rows_behind_a_shut_gate_might_as_well_not_be():
    X, Y = data()
    is_open = np.arange(T) % 3 > 0
    gated = EligibilityLMS(0.02, 0.0).fit(X, Y, gate=is_open)
    assert_array_equal(gated.coef_, EligibilityLMS(0.02, 0.0).fit(X[is_open], Y[is_open]).coef_)


def test_a_constant_gate_is_a_factor_of_the_learning_rate():
    X, Y = data()
    # a power of two scales without rounding
    slow, fast = EligibilityLMS(0.01, 2.0).fit(X, Y, gate=np.full(T, 2.0)), EligibilityLMS(0.02, 2.0).fit(X, Y)
    assert_array_equal(slow.coef_, fast.coef_)


def test_credit_reaches_back_exponentially():
    """By hand: state 1 in the first row only, an error of 1 in row m only: the weight is rate (1 - a) a^m."""
    a = np.exp(-1 / 4.0)
    for m in range(8):
        X, Y = np.zeros((m + 1, 1)), np.zeros((m + 1, 1))
        X[0], Y[m] = 1.0, 1.0
        readout = EligibilityLMS(0.1, 4.0, fit_intercept=False).fit(X, Y)
        assert_allclose(readout.coef_[0, 0], 0.1 * (1 - a) * a**m, rtol=1e-12)


# --- in the mean ----------------------------------------------------------------------------------------------------


def cycles(X, count):
    return np.tile(X, (count, 1))


def test_the_mean_over_outcomes_follows_the_linear_recursion_exactly():
    """Over all 2^4 outcomes of four trials, weighted by probability, E[w] obeys the rule with the expected target."""
    X, kernel, p = data(3, 1, seed=5)[0][:6], np.sin(np.arange(6))[:, None], 0.3
    mean = 0.0
    for outcome in np.ndindex(2, 2, 2, 2):
        Y = np.concatenate([kernel * happens for happens in outcome])
        probability = np.prod([p if happens else 1 - p for happens in outcome])
        mean += (
            probability * EligibilityLMS(0.05, 2.0).fit(cycles(X, 4), Y, gate=cycles(gates()[:6, None], 4)[:, 0]).coef_
        )
    W, _ = slow_rule(cycles(X, 4), cycles(p * kernel, 4), cycles(gates()[:6, None], 4)[:, 0], 0.05, 2.0)
    assert_allclose(mean, W[:, :-1], rtol=1e-12)


def test_it_rests_at_the_instrumental_variable_estimate_not_at_least_squares():
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((30, 3)), rng.standard_normal((30, 2))  # no line fits
    a, rate = np.exp(-1 / 1.5), 2e-4
    readout = EligibilityLMS(rate, 1.5, fit_intercept=False).fit(cycles(X, 20_000), cycles(Y, 20_000))
    trace = np.zeros((90, 3))
    for t in range(1, 90):
        trace[t] = a * trace[t - 1] + (1 - a) * X[t % 30]
    E = trace[-30:]  # after 60 rows periodic to exp(-40) = 4e-18
    estimate = np.linalg.solve(E.T @ X, E.T @ Y).T
    # within a cycle weights move by some rate * 30 * 0.3: that much off the rest of the mean
    assert_allclose(readout.coef_, estimate, atol=0.01)
    assert abs(estimate - np.linalg.lstsq(X, Y)[0].T).max() > 0.1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**20), st.integers(1, 40), st.floats(0.0, 30.0))
def test_a_low_pass_trace_never_pushes_a_weight_away(seed, length, tau):
    """Strictly positive real: sum of e_t x_t >= 0 for any series, so that one weight with target 0 shrinks or stays."""
    x = np.random.default_rng(seed).standard_normal((length, 1))
    readout = EligibilityLMS(1e-9, tau, fit_intercept=False).fit(np.append(x, [[0.0]], axis=0), np.append(x, [[0.0]]))
    assert readout.coef_[0, 0] >= 0  # to first order in the rate, rate * sum of e_t y_t with y = x


def trials(n_trials, p, seed, n=4):
    """The same states in every trial, orthonormal, and an event that happens with probability p, each column anew."""
    rng = np.random.default_rng(seed)
    X, kernel = np.linalg.qr(rng.standard_normal((n, n)))[0], np.array([0.0, 0.5, 1.0, 0.5])
    happens = rng.random((n_trials, 1, len(p))) < p
    return X, kernel, cycles(X, n_trials), (kernel[:, None] * happens).reshape(n_trials * n, -1)


def test_outputs_of_bernoulli_targets_are_the_probability_times_the_kernel():
    p, rate = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 80), 0.05
    X, kernel, states, Y = trials(300, p, seed=3)
    output = X @ EligibilityLMS(rate, 0.0, fit_intercept=False).fit(states, Y).coef_.T
    # 0.95^300 = 2e-7 is left of the start; the average of the events fluctuates by sqrt(rate / 2 p (1 - p) / 80)
    error = 5 * np.sqrt(rate / 2 * 0.25 / 80)
    for probability in np.unique(p):
        assert_allclose(output[:, p == probability].mean(axis=1), probability * kernel, atol=error)
    slope = np.polyfit(p, output[2], 1)[0]
    assert_allclose(slope, 1.0, atol=5 * np.sqrt(rate / 2 * 0.17 / (400 * p.var())))  # 0.17: mean of p (1 - p)
    spread = np.var(output[2] - p) / (rate / (2 - rate) * np.mean(p * (1 - p)))
    assert_allclose(spread, 1.0, atol=5 * np.sqrt(2 / 400))  # variance of an exponential average


@pytest.mark.parametrize("done", [0, 50, 2000])
def test_it_adapts_as_fast_after_many_trials_as_at_first_within_one_over_rate_times_power(done):
    X, kernel, _, _ = trials(1, np.ones(1), seed=4)
    X, rate = 2.0 * X, 0.02  # ‖x‖² = 4: the error of a trial shrinks by 1 - 0.08
    readout = EligibilityLMS(rate, 0.0, fit_intercept=False)
    readout.partial_fit(cycles(X, max(done, 1)), np.tile(0 * kernel, max(done, 1)))
    for trial in range(1, 40):
        readout.partial_fit(X, kernel)
        assert_allclose(readout.predict(X), kernel * (1 - 0.92**trial), atol=1e-12)
    assert_allclose(-1 / np.log(0.92), 1 / (rate * 4), rtol=0.05)  # trials: the time constant


@pytest.mark.parametrize("done", [20, 80])
def test_least_squares_adapts_the_slower_the_more_it_has_seen_unless_it_forgets(done):
    X, kernel, _, _ = trials(1, np.ones(1), seed=4)
    states, alpha = cycles(X, done), 1e-8
    still, forgetting = (RLS(alpha, forgetting=λ, fit_intercept=False) for λ in (1.0, 0.9 ** (1 / 4)))
    for readout in (still, forgetting):
        readout.partial_fit(states, np.zeros(4 * done))
    for trial in range(1, 31):
        for readout in (still, forgetting):
            readout.partial_fit(X, kernel)
        # the mean of all trials: gain 1 / n; penalty alpha of power n
        assert_allclose(still.predict(X), kernel * trial / (done + trial), atol=1e-8)
        # weights 0.9^age of n trials; rows of one trial see different λ, in the direction of their own only
        expected = (1 - 0.9**trial) / (1 - 0.9 ** (done + trial))
        assert_allclose(forgetting.predict(X), kernel * expected, atol=1e-6)


# --- what online readouts share ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, T - 1), max_size=4), st.sampled_from([0.0, 0.7, 5.0]), st.booleans())
def test_fit_equals_partial_fits_of_pieces_bit_for_bit(cuts, tau, gated):
    X, Y = data()
    readout, gate = EligibilityLMS(0.02, tau), gates() if gated else None
    whole, pieces, edges = clone(readout).fit(X, Y, gate=gate), clone(readout), [0, *sorted(set(cuts)), T]
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        pieces.partial_fit(X[a:b], Y[a:b], gate=gate[a:b] if gated else None)
    for name in ("coef_", "intercept_", "trace_", "largest_"):
        assert_array_equal(getattr(pieces, name), getattr(whole, name))


def test_a_reset_trace_begins_anew_and_a_fit_does_so_by_itself():
    X, Y = data()
    one, other = (EligibilityLMS(0.02, 5.0).fit(X, Y) for _ in range(2))
    assert_array_equal(one.reset_trace().trace_, np.zeros(6))
    one.partial_fit(X[:1], Y[:1])
    assert_allclose(one.trace_, (1 - np.exp(-0.2)) * np.append(X[0], 1.0), rtol=1e-12)
    assert abs(other.partial_fit(X[:1], Y[:1]).trace_ - one.trace_).max() > 0.1
    assert_array_equal(one.fit(X, Y).coef_, other.fit(X, Y).coef_)
    assert EligibilityLMS(0.1, 1.0).reset_trace().get_params()["tau"] == 1.0  # nothing to reset, no error


def test_divergence_is_an_error_that_names_row_and_bound_and_leaves_what_was_learnt():
    X = np.ones((60, 1))
    a = np.exp(-1 / 2.0)
    trace = 1 - a ** np.arange(1, 61)
    bound = 2 / trace.mean()  # one real eigenvalue
    readout = EligibilityLMS(0.5, 2.0, fit_intercept=False).fit(X, np.ones(60))
    before = {name: np.copy(value) for name, value in vars(readout).items() if name.endswith("_")}
    readout.set_params(learning_rate=20.0)
    message = rf"EligibilityLMS diverged at row \d+: learning_rate must lie well below {bound:.3g} for these X.*got 20"
    with pytest.raises(FloatingPointError, match=message):
        readout.fit(X, 2 * np.ones(60))
    for name, value in before.items():
        assert_array_equal(getattr(readout, name), value)


@pytest.mark.parametrize("readout", [LMS(0.1), EligibilityLMS(0.1, 1.0)])
def test_divergence_of_states_whose_squares_overflow_is_named_too(readout):
    X, Y = data()
    with pytest.raises(FloatingPointError, match=r"LMS diverged at row 1: learning_rate must lie well below.*got 0\.1"):
        readout.fit(1e160 * X, Y)


@pytest.mark.parametrize(
    ("readout", "error", "message"),
    [
        (EligibilityLMS(0.0, 1.0), ValueError, "learning_rate must be above 0, got 0"),
        (EligibilityLMS(None, 1.0), TypeError, "learning_rate must be a number, got None"),
        (EligibilityLMS(0.1, -1.0), ValueError, "tau must be at least 0, got -1"),
        (EligibilityLMS(0.1, np.nan), ValueError, "tau must be finite"),
        (EligibilityLMS(0.1, True), TypeError, "tau must be a number, got True"),
        (EligibilityLMS(0.1, "2"), TypeError, "tau must be a number, got '2'"),
        (EligibilityLMS(0.1, 1.0, fit_intercept=1), TypeError, "fit_intercept must be True or False, got 1"),
    ],
)
def test_bad_parameters_are_named_and_nothing_is_learnt(readout, error, message):
    with pytest.raises(error, match=message):
        readout.fit(*data())
    assert not hasattr(readout, "coef_")


@pytest.mark.parametrize(
    ("gate", "error", "message"),
    [
        (np.ones(T - 1), ValueError, rf"gate must have shape \({T},\) to match X, got \({T - 1},\)"),
        (np.ones((T, 1)), ValueError, "gate must have 1 dimensions"),
        (1.0, ValueError, "gate must have 1 dimensions"),
        (np.where(np.arange(T) == 4, -0.5, 1.0), ValueError, "gate must be at least 0, got -0.5"),
        (np.full(T, np.nan), ValueError, "gate must be finite, got nan at index"),
        (["open"] * T, TypeError, "gate must hold real numbers"),
    ],
)
def test_bad_gates_are_named_and_leave_what_was_learnt(gate, error, message):
    X, Y = data()
    readout = EligibilityLMS(0.02, 1.0).fit(X, Y)
    before = readout.coef_.copy()
    for learn in (readout.fit, readout.partial_fit):
        with pytest.raises(error, match=message):
            learn(X, Y, gate=gate)
    assert_array_equal(readout.coef_, before)


@pytest.mark.parametrize("name", ["trace_", "largest_", "intercept_"])
def test_what_was_learnt_in_wrong_shapes_never_reaches_a_kernel(name):
    X, Y = data()
    readout = EligibilityLMS(0.02, 3.0).fit(X, Y)
    setattr(readout, name, np.zeros(2))
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        readout.partial_fit(X, Y)
