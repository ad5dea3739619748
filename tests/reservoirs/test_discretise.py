"""Steps from continuous to discrete time: against SciPy, closed forms, and the eigenvalues of the explicit step."""

import numpy as np
import pytest
from scipy.signal import cont2discrete

from penstock.reservoirs import (
    backward_euler,
    bilinear,
    euler_limit,
    forward_euler,
    legs,
    legt,
    zero_order_hold,
)

STEPS = {
    "forward": (forward_euler, "euler"),
    "backward": (backward_euler, "backward_diff"),
    "bilinear": (bilinear, "bilinear"),
    "held": (zero_order_hold, "zoh"),
}
each_step = pytest.mark.parametrize(("discretise", "method"), list(STEPS.values()), ids=list(STEPS))


@each_step
def test_discretisations_equal_those_of_scipy(discretise, method):
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(6, 6)), rng.normal(size=(6, 2))
    expected = cont2discrete((A, B, np.eye(6), np.zeros((6, 2))), 0.3, method)
    A_d, B_d = discretise(A, B, 0.3)
    np.testing.assert_allclose(A_d, expected[0], atol=1e-13)
    np.testing.assert_allclose(B_d, expected[1], atol=1e-13)
    np.testing.assert_allclose(discretise(A, B[:, 1], 0.3)[1], expected[1][:, 1], atol=1e-13)
    alone, nothing = discretise(A, np.empty((6, 0)), 0.3)
    np.testing.assert_allclose(alone, expected[0], atol=1e-13)
    assert nothing.shape == (6, 0)


def test_a_hold_is_exact_where_the_matrix_cannot_be_inverted():
    A_d, B_d = zero_order_hold([[0.0, 1.0], [0.0, 0.0]], [0.0, 1.0], 0.5)  # free fall: x = t^2 / 2
    np.testing.assert_allclose(A_d, [[1, 0.5], [0, 1]], rtol=1e-15)
    np.testing.assert_allclose(B_d, [0.125, 0.5], rtol=1e-15)


def test_forward_euler_is_stable_up_to_its_limit():
    A = legt(7)[0]
    limit = euler_limit(A)
    radius = [np.abs(np.linalg.eigvals(np.eye(7) + share * limit * A)).max() for share in (0.99, 1.0, 1.01)]
    assert radius[0] < 1 < radius[2]
    assert abs(radius[1] - 1) < 1e-12
    assert euler_limit([[-4.0]]) == 0.5
    assert euler_limit([[0.1, 0.0], [0.0, -1.0]]) == 0


def test_steps_without_a_solution_are_refused():
    A, B = [[2.0, 0.0], [0.0, -1.0]], [0.0, 1.0]
    with pytest.raises(ValueError, match=r"dt must not be 1 over an eigenvalue of A, got 0\.5; take another"):
        backward_euler(A, B, 0.5)
    with pytest.raises(ValueError, match=r"dt must not be 2 over an eigenvalue of A, got 1; take another"):
        bilinear(A, B, 1.0)


@each_step
def test_bad_continuous_systems_are_refused(discretise, method):
    A, B = legs(3)
    for dt in (0, -0.1, np.inf):
        with pytest.raises(ValueError, match="dt must be"):
            discretise(A, B, dt)
    with pytest.raises(TypeError, match="dt must be a number"):
        discretise(A, B, None)
    with pytest.raises(ValueError, match="A must be square and not empty, got shape"):
        discretise(A[:2], B, 0.1)
    with pytest.raises(ValueError, match="B must have 3 rows to match A, got shape"):
        discretise(A, B[:2], 0.1)
    with pytest.raises(ValueError, match="B must be finite"):
        discretise(A, np.full((3, 1), np.nan), 0.1)
