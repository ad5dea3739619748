"""Durations as whole steps, or an error that says which durations would do."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from penstock.spiking.clock import steps_of, steps_of_each


@pytest.mark.parametrize("dt", [0.1, 0.025, 0.3, 1 / 3, 0.7, 1.0, 2.5])
def test_every_decimal_multiple_of_the_step_is_found(dt):
    """0.1 + 0.2 is not 0.3: the number of steps must come from the nearest whole number, not from a floor."""
    k = np.arange(100_000)
    assert_array_equal(steps_of_each("delay", k * dt, dt), k)
    assert_array_equal(steps_of_each("delay", np.cumsum(np.full(2000, dt)), dt), np.arange(1, 2001))


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**7), st.integers(1, 10**4))
def test_a_duration_written_in_decimals_has_the_steps_of_exact_arithmetic(steps, thousandths):
    dt = float(f"{thousandths / 1000:.3f}")
    exact = Fraction(thousandths, 1000) * steps
    assert steps_of("duration", float(exact), dt) == steps


def test_an_hour_in_steps_of_a_tenth():
    assert steps_of("duration", 3_600_000.0, 0.1) == 36_000_000


@pytest.mark.parametrize(
    ("value", "dt", "words"),
    [
        (1.55, 0.1, ("delay", "1.55 ms", "dt=0.1 ms", "1.5 or 1.6 ms")),
        (0.05, 0.1, ("0.05 ms", "0 or 0.1 ms")),
        (2.0, 0.3, ("2 ms", "dt=0.3 ms", "1.8 or 2.1 ms")),
    ],
)
def test_a_duration_off_the_grid_is_named_with_its_neighbours(value, dt, words):
    with pytest.raises(ValueError, match="delay must be a whole number of steps") as error:
        steps_of("delay", value, dt)
    assert all(word in str(error.value) for word in words)


def test_of_several_durations_the_first_wrong_one_is_named():
    with pytest.raises(ValueError, match="got 1.25 ms; take 1.2 or 1.3 ms"):
        steps_of_each("t_ref", [1.0, 1.25, 3.01], 0.1)


def test_a_duration_below_the_least_one_is_named():
    with pytest.raises(ValueError, match="delay must be at least 0 ms, got -0.15 ms"):
        steps_of("delay", -0.15, 0.1)
    with pytest.raises(ValueError, match="got 0.14 ms; take 0.1 or 0.2 ms"):
        steps_of("delay", 0.14, 0.1, minimum=1)
    with pytest.raises(ValueError, match="delay must be at least 0 ms, got -1 ms"):
        steps_of("delay", -1, 0.1)
    with pytest.raises(ValueError, match=r"delay must be at least 0.1 ms, got 0 ms"):
        steps_of_each("delay", [0.2, 0.0], 0.1, minimum=1)


@pytest.mark.parametrize("value", [None, "1", True, np.nan, np.inf, [1.0], 1j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises((TypeError, ValueError), match="duration"):
        steps_of("duration", value, 0.1)


@pytest.mark.parametrize("value", [None, "1", True, np.array([True, False]), [np.nan], [[1.0], [1.0, 2.0]]])
def test_arrays_of_other_things_are_refused(value):
    with pytest.raises((TypeError, ValueError), match="delay"):
        steps_of_each("delay", value, 0.1)


@pytest.mark.parametrize("value", [1e12, 1e300])
def test_more_steps_than_a_clock_can_count_are_refused(value):
    with pytest.raises(ValueError, match="duration must"):
        steps_of("duration", value, 0.1)
