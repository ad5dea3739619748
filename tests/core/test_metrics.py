import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from sklearn.metrics import r2_score

from penstock.metrics import nrmse_rms, nrmse_std, nrmse_total_variance, r2

ALL = [nrmse_rms, nrmse_std, nrmse_total_variance, r2]


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, 3)) * [1, 10, 0.1] + [5, 0, -2]
    return y, y + rng.normal(size=(40, 3)) * [0.1, 2, 0.05]


def test_nrmse_rms_is_its_formula(pair):
    y, p = (a.tolist() for a in pair)
    error = sum((p[t][j] - y[t][j]) ** 2 for t in range(40) for j in range(3)) / 120
    power = sum(y[t][j] ** 2 for t in range(40) for j in range(3)) / 120
    assert_allclose(nrmse_rms(*pair), math.sqrt(error) / math.sqrt(power), rtol=1e-14)


def test_nrmse_rms_differs_from_the_published_code_by_its_guard_only(pair):
    y, p = pair
    published = np.sqrt(np.mean((p - y) ** 2)) / (np.sqrt(np.mean(y**2)) + 1e-9)
    assert_allclose(nrmse_rms(y, p), published, rtol=1e-9)


def test_nrmse_std_is_its_formula_in_every_column(pair):
    ratios = []
    for y, p in zip(*(a.T.tolist() for a in pair), strict=True):
        mean = sum(y) / 40
        variance = sum((v - mean) ** 2 for v in y) / 40
        ratios.append(sum((q - v) ** 2 for v, q in zip(y, p, strict=True)) / 40 / variance)
        assert_allclose(nrmse_std(y, p), math.sqrt(ratios[-1]), rtol=1e-12)
    assert_allclose(nrmse_std(*pair), math.sqrt(sum(ratios) / 3), rtol=1e-12)


def test_nrmse_total_variance_is_its_formula(pair):
    y, p = pair
    total = sum(float(np.var(y[:, j])) for j in range(3))
    error = sum(float(np.mean((p[:, j] - y[:, j]) ** 2)) for j in range(3)) / 3  # the mean divides by d as well
    assert_allclose(nrmse_total_variance(y, p), math.sqrt(error / total), rtol=1e-12)


def test_r2_is_that_of_scikit_learn(pair):
    assert_allclose(r2(*pair), r2_score(*pair), rtol=1e-12)
    assert_allclose(r2(pair[0][:, 1], pair[1][:, 1]), r2_score(pair[0][:, 1], pair[1][:, 1]), rtol=1e-12)


def test_values_known_by_hand():
    y, p = [1.0, 3.0], [2.0, 2.0]  # errors 1 and 1, mean square 5, variance 1
    assert_allclose([nrmse_rms(y, p), nrmse_std(y, p), nrmse_total_variance(y, p), r2(y, p)], [math.sqrt(0.2), 1, 1, 0])


def test_the_target_comes_first():
    y, p = [1.0, 3.0, 5.0], [1.0, 2.0, 3.0]
    assert_allclose([nrmse_rms(y, p), nrmse_rms(p, y)], [math.sqrt(5 / 35), math.sqrt(5 / 14)])
    assert_allclose([nrmse_std(y, p), nrmse_std(p, y)], [math.sqrt(5 / 8), math.sqrt(5 / 2)])


def test_the_two_nrmse_of_narma30_differ_by_the_published_factor():
    y = 0.32 + 0.092 * np.sqrt(2) * np.sin(2 * np.pi * np.arange(1000) / 100)  # mean and deviation of that target
    p = y + 0.03
    assert_allclose(nrmse_std(y, p) / nrmse_rms(y, p), 3.6, atol=0.05)  # .377 / .103 = 3.66 in the published pair


@pytest.mark.parametrize("metric", ALL)
def test_a_perfect_prediction(metric, pair):
    assert metric(pair[0], pair[0].copy()) == (1.0 if metric is r2 else 0.0)


def test_the_mean_as_prediction_scores_one_and_zero(pair):
    y = pair[0]
    mean = np.broadcast_to(y.mean(axis=0), y.shape)
    assert_allclose([nrmse_std(y, mean), r2(y, mean)], [1, 0], atol=1e-14)
    assert_allclose(nrmse_total_variance(y, mean), 1 / math.sqrt(3), rtol=1e-14)


@pytest.mark.parametrize("metric", ALL)
def test_one_column_may_be_one_dimensional(metric, pair):
    y, p = pair[0][:, 0], pair[1][:, 0]
    value = metric(y, p)
    assert type(value) is float
    assert value == metric(y[:, None], p[:, None]) == metric(y.tolist(), p.tolist())


finite = st.floats(-100, 100, allow_subnormal=False)
pairs = st.integers(1, 3).flatmap(lambda d: st.tuples(*[arrays(float, (12, d), elements=finite)] * 2))
scales = st.floats(1e-6, 1e6).flatmap(lambda c: st.sampled_from([c, -c]))


@pytest.mark.parametrize("metric", ALL)
@given(pair=pairs, scale=scales)
def test_scaling_both_changes_nothing(metric, pair, scale):
    # A varying ramp keeps every column's spread above 1e-3 of its size, so that cancellation costs at most 1e-9.
    y = pair[0] + 1e3 * np.arange(12.0)[:, None]
    p = pair[1]
    assert_allclose(metric(scale * y, scale * p), metric(y, p), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("metric", [nrmse_std, nrmse_total_variance, r2])
@given(pair=pairs, shift=st.floats(-1e3, 1e3))
def test_shifting_both_changes_nothing_where_the_mean_is_taken_out(metric, pair, shift):
    y = pair[0] + 1e3 * np.arange(12.0)[:, None]
    p = pair[1]
    assert_allclose(metric(y + shift, p + shift), metric(y, p), rtol=1e-9, atol=1e-12)


@given(pair=pairs, scale=scales)
def test_a_columns_unit_does_not_matter_to_nrmse_std(pair, scale):
    y = pair[0] + 1e3 * np.arange(12.0)[:, None]
    units = np.ones(y.shape[1])
    units[0] = scale
    assert_allclose(nrmse_std(units * y, units * pair[1]), nrmse_std(y, pair[1]), rtol=1e-9)


@given(pair=pairs)
def test_r2_and_nrmse_std_are_two_forms_of_one_number(pair):
    y = pair[0] + 1e3 * np.arange(12.0)[:, None]
    assert_allclose(1 - r2(y, pair[1]), nrmse_std(y, pair[1]) ** 2, rtol=1e-9)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("target", "prediction", "error", "match"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], ValueError, r"prediction must have the shape of target \(2,\), got \(3,\)"),
        ([1.0, 2.0], [[1.0], [2.0]], ValueError, r"prediction must have the shape of target \(2,\), got \(2, 1\)"),
        (np.ones((2, 2, 2)), np.ones((2, 2, 2)), ValueError, "target must have 1 or 2 dimensions"),
        (3.0, 3.0, ValueError, "target must have 1 or 2 dimensions"),
        ([], [], ValueError, "target must hold at least one value"),
        ([1.0, np.nan], [1.0, 2.0], ValueError, "target must be finite, got nan at index"),
        ([1.0, 2.0], [1.0, np.inf], ValueError, "prediction must be finite"),
        (["a", "b"], [1.0, 2.0], TypeError, "target must hold real numbers"),
    ],
)
def test_unfit_arrays_are_refused(metric, target, prediction, error, match):
    with pytest.raises(error, match=match):
        metric(target, prediction)


@pytest.mark.parametrize("metric", [nrmse_std, r2])
def test_a_constant_column_is_refused_and_named(metric):
    y = np.column_stack((np.arange(5.0), np.full(5, 0.1)))
    with pytest.raises(ValueError, match="target must vary in every column, got column 1 constant at 0"):
        metric(y, y)


def test_targets_without_scale_are_refused():
    with pytest.raises(ValueError, match="target must not be zero throughout"):
        nrmse_rms([0.0, 0.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="target must vary in at least one column"):
        nrmse_total_variance(np.full((4, 2), 0.1), np.zeros((4, 2)))
    one_constant = np.column_stack((np.arange(4.0), np.ones(4)))
    assert_allclose(nrmse_total_variance(one_constant, one_constant + 1), math.sqrt(1 / 1.25))  # 1 is enough
