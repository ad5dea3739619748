"""Trajectory length and principal components: curves of known length, and what must not change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe

from penstock import identity
from penstock.analysis import principal_components, trajectory_length
from penstock.reservoirs import ESN


def circle(n_steps, radius=1.0):
    t = np.linspace(0, 2 * np.pi, n_steps)
    return radius * np.column_stack([np.sin(t), np.cos(t)])


def walk(seed, n_steps=40, n_units=6):
    return np.random.default_rng(seed).standard_normal((n_steps, n_units)).cumsum(axis=0)


@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_circle_has_the_length_of_its_chords_and_nears_the_circumference(radius):
    chords = 2 * radius * 99 * np.sin(np.pi / 99)  # the 100 samples of the published input
    assert trajectory_length(circle(100, radius)) == pytest.approx(chords, rel=1e-13)
    assert trajectory_length(circle(2001, radius)) == pytest.approx(2 * np.pi * radius, rel=1e-6)  # pi^2 / 6 n^2


def test_ellipse_has_the_length_of_the_elliptic_integral():
    t = np.linspace(0, 2 * np.pi, 4001)
    ellipse = np.column_stack([3 * np.cos(t), np.sin(t)])
    assert trajectory_length(ellipse) == pytest.approx(4 * 3 * ellipe(1 - 1 / 9), rel=1e-6)


def test_line_has_its_length_in_any_number_of_components():
    line = np.linspace(0, 1, 11)[:, None] * np.array([2.0, 3.0, 6.0]) + 5
    for k in (1, 2, 3, None):
        assert trajectory_length(line, k) == pytest.approx(7, rel=1e-14)


def test_one_unit_travels_its_total_variation():
    assert trajectory_length([0.0, 2.0, -1.0, 0.5], 1) == pytest.approx(2 + 3 + 1.5, rel=1e-15)
    assert trajectory_length([0.0, 2.0, -1.0, 0.5], None) == pytest.approx(6.5, rel=1e-15)


def test_plane_of_a_helix_sees_the_circle_or_the_rise():
    """Flat helices have the circle as their plane; none of its length is in the third component."""
    t = np.linspace(0, 20 * np.pi, 8001)
    helix = np.column_stack([np.cos(t), np.sin(t), 1e-3 * t])
    assert trajectory_length(helix) == pytest.approx(20 * np.pi, rel=1e-5)
    assert trajectory_length(helix, None) == pytest.approx(
        20 * np.pi * np.hypot(1, 1e-3), rel=1e-5
    )  # chords of 800 to a turn


@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=25)
def test_rotation_shift_order_of_units_and_time_do_not_matter_and_scale_multiplies(seed, scale):
    states, rng = walk(seed), np.random.default_rng(seed + 1)
    rotation, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    length = trajectory_length(states)
    for other in (states @ rotation, states + rng.standard_normal(6), states[:, rng.permutation(6)], states[::-1]):
        assert trajectory_length(other) == pytest.approx(length, rel=1e-9)  # close singular values turn a little
    assert trajectory_length(scale * states) == pytest.approx(scale * length, rel=1e-9)


@given(seed=st.integers(0, 999))
@settings(deadline=None, max_examples=25)
def test_length_grows_with_the_components_up_to_that_in_all_units(seed):
    states = walk(seed)
    lengths = [trajectory_length(states, k) for k in range(1, 7)]
    assert (np.diff(lengths) > 0).all()
    whole = np.sqrt((np.diff(states, axis=0) ** 2).sum(axis=1)).sum()
    assert lengths[-1] == pytest.approx(whole, rel=1e-12)
    assert trajectory_length(states, None) == pytest.approx(whole, rel=1e-14)


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    states = walk(3)
    expected = PCA(3, svd_solver="full").fit_transform(states)
    found = principal_components(states, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-13)
    assert (found.max(axis=0) >= -found.min(axis=0)).all()


def test_trajectories_of_a_batch_are_measured_each_in_its_own_components():
    batch = np.stack([walk(seed) for seed in range(3)])
    lengths = trajectory_length(batch)
    assert lengths.tolist() == [trajectory_length(one) for one in batch]


def test_fewer_steps_than_components_leave_the_rest_zero():
    states = np.random.default_rng(0).standard_normal((3, 8))
    found = principal_components(states, 5)
    assert found.shape == (3, 5) and np.abs(found[:, 3:]).max() == 0
    assert trajectory_length(states, 5) == pytest.approx(trajectory_length(states, None), rel=1e-13)


def test_resting_states_have_no_length():
    assert trajectory_length(np.ones((5, 3))) == 0


def test_linear_reservoir_of_one_rotation_keeps_the_length_of_a_circle():
    """Left alone, a rotation by 2 pi / 50 runs through 100 chords of its circle."""
    a = 2 * np.pi / 50
    W = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    states = ESN(W, np.empty((2, 0)), activation=identity).run(101, x0=[0.6, 0.8])
    assert trajectory_length(states) == pytest.approx(100 * 2 * np.sin(a / 2), rel=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "states", "k"),
    [
        (ValueError, "states must hold at least two points in time", np.ones((1, 3)), 2),
        (ValueError, "states must be finite, got nan", np.full((4, 3), np.nan), 2),
        (ValueError, "states must have 1 or 2 or 3 dimensions", np.ones((2, 2, 2, 2)), 2),
        (TypeError, "states must hold real numbers", None, 2),
        (TypeError, "states must hold real numbers", "circle", 2),
        (ValueError, "n_components must be at most the number of units 3, got 4", np.ones((5, 3)), 4),
        (ValueError, "n_components must be at least 1, got 0", np.ones((5, 3)), 0),
        (TypeError, "n_components must be an integer", np.ones((5, 3)), 1.0),
        (TypeError, "n_components must be an integer", np.ones((5, 3)), True),
    ],
    ids=["one point", "nan", "4-D", "none", "text", "too many", "zero", "float", "bool"],
)
def test_bad_input_is_refused(error, message, states, k):
    with pytest.raises(error, match=message):
        trajectory_length(states, k)


def test_components_need_one_trajectory_and_a_number():
    with pytest.raises(ValueError, match=r"states must be one trajectory of shape \(T, n\), got \(2, 5, 3\)"):
        principal_components(np.ones((2, 5, 3)))
    with pytest.raises(TypeError, match="n_components must be an integer, got None"):
        principal_components(np.ones((5, 3)), None)
