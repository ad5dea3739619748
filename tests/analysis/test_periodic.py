"""Periodic orbits and exact cycles of piecewise-linear networks: closed forms, known counts, brute force."""

import itertools

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import penstock
from penstock import Map, SystemDefaults
from penstock.analysis import (
    fixed_points,
    periodic_orbits,
    piecewise_linear_cycles,
    search_piecewise_linear_cycles,
)
from penstock.reservoirs import ESN, PLRNN, ResESN, ShallowPLRNN

QUIET = {"progress": False}
H = (0.37298253, -0.97931491)
W = [[0, -0.64375], [0.52505308, 0]]

HENON = Map(
    lambda x, u: np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]),
    2,
    rule_jacobian=lambda x, u: np.array([[-2.8 * x[0], 1], [0.3, 0]]),
)


def logistic(r):
    return Map(lambda x, u: r * x * (1 - x), 1, rule_jacobian=lambda x, u: np.array([[r * (1 - 2 * x[0])]]))


class Pieces(SystemDefaults):
    """x' = A x + B relu(C x + d) + h, given by the method that the enumeration asks for."""

    def __init__(self, A, B, C, d, h):
        self.parts = tuple(np.asarray(part, float) for part in (A, B, C, d, h))
        self.n_units, self.n_inputs = len(self.parts[0]), 0

    def step(self, x, u):
        A, B, C, d, h = self.parts
        return A @ x + B @ np.maximum(C @ x + d, 0) + h

    def jacobian(self, x, u):
        A, B, C, d, _ = self.parts
        return A + (B * (C @ x + d > 0)) @ C

    def piecewise_linear(self, u):
        return self.parts


# Maps


@pytest.mark.parametrize("r", [3.2, 3.5])
def test_logistic_two_cycle_has_its_closed_form(r):
    found = periodic_orbits(logistic(r), 2, n_starts=100, **QUIET)
    root = np.sqrt((r + 1) * (r - 3))
    assert_allclose(np.sort(found.orbits[0, :, 0]), [(r + 1 - root) / (2 * r), (r + 1 + root) / (2 * r)], atol=1e-14)
    assert_allclose(found.multipliers, [[4 + 2 * r - r**2]], atol=1e-13)
    assert len(found) == 1 and found.stable[0] == (abs(4 + 2 * r - r**2) < 1) and found.n_shorter in (1, 2)


def test_logistic_four_cycle_at_3_5_attracts():
    found = periodic_orbits(logistic(3.5), 4, n_starts=100, **QUIET)
    limit = logistic(3.5).run(2000, x0=[0.3])[-4:, 0]  # contracts by 0.03 per turn: at rounding
    assert len(found) == 1 and found.stable.all()
    assert_allclose(np.sort(found.orbits[0, :, 0]), np.sort(limit), atol=1e-14)


def test_no_three_cycle_of_the_logistic_map_before_its_window():
    # the window opens at 1 + sqrt 8 = 3.8284 with one stable and one unstable orbit
    assert len(periodic_orbits(logistic(3.82), 3, n_starts=100, **QUIET)) == 0
    found = periodic_orbits(logistic(3.835), 3, n_starts=100, **QUIET)
    assert found.kinds.tolist() == ["stable", "unstable"]


def test_henon_two_cycle_has_its_closed_form():
    a, b = 1.4, 0.3
    found = periodic_orbits(HENON, 2, n_starts=100, **QUIET)
    # x1 + x2 = (1-b)/a and x1 x2 = ((1-b)^2 - a)/a^2 from eliminating y
    x = np.roots([1, -(1 - b) / a, ((1 - b) ** 2 - a) / a**2])
    assert_allclose(np.sort(found.orbits[0, :, 0]), np.sort(x), atol=1e-14)
    assert_allclose(found.orbits[0, :, 1], b * np.roll(found.orbits[0, :, 0], 1), atol=1e-14)
    assert_allclose(found.multipliers[0].prod(), b**2, rtol=1e-12)  # det J = -b at every step


# number of prime orbits of period 1, 2, … at a = 1.4, b = 0.3, both fixed points counted
HENON_COUNTS = [2, 1, 0, 1, 0, 2, 4, 7, 6, 10]


def orbits_by_signs(period, a=1.4, b=0.3):
    """Prime orbits by another algorithm, after O. Biham, W. Wenzel, Phys. Rev. Lett. 63 (1989), 819.

    x'' = a - x'^2 + b x in units in which every sequence of signs s_i has at most one orbit, the state of rest of
    dx_i / dt = s_i (a - x_i^2 + b x_{i-1} - x_{i+1}); sequences without an orbit diverge.
    """
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=period)))
    x = signs.copy()
    for _ in range(6000):
        step = 0.05 * signs * (a - x**2 + b * np.roll(x, 1, axis=1) - np.roll(x, -1, axis=1))
        x = np.clip(x + step, -10, 10)
    x = x[np.abs(step).max(axis=1) < 1e-6]
    prime = [y for y in x if all(np.abs(np.roll(y, k) - y).max() > 1e-3 for k in range(1, period))]
    return len({min(tuple(np.round(np.roll(y, k), 3) + 0.0) for k in range(period)) for y in prime})


@pytest.mark.parametrize("period", range(1, 11))
def test_counts_of_henon_orbits_agree_with_the_method_of_signs(period):
    assert orbits_by_signs(period) == HENON_COUNTS[period - 1]


@pytest.mark.parametrize("period", [1, 3, 4, 6])
def test_henon_has_as_many_orbits_as_counted(period):
    assert len(periodic_orbits(HENON, period, n_starts=200, **QUIET)) == HENON_COUNTS[period - 1]


@pytest.mark.slow
@pytest.mark.parametrize("period", [7, 8, 9, 10])
def test_henon_has_as_many_long_orbits_as_counted(period):
    found = periodic_orbits(HENON, period, n_starts=1000, **QUIET)
    assert len(found) == HENON_COUNTS[period - 1]
    assert (found.kinds == "saddle").all()


@pytest.mark.parametrize(("period", "count"), [(1, 1), (2, 2), (3, 5)])
def test_cat_map_has_as_many_orbits_as_its_determinants_say(period, count):
    A = np.array([[2.0, 1.0], [1.0, 1.0]])
    turns = [round(abs(np.linalg.det(np.linalg.matrix_power(A, k) - np.eye(2)))) for k in (1, 2, 3)]
    assert turns == [1, 5, 16]  # of F^k fixed points, hence (5 - 1) / 2 and (16 - 1) / 3 prime orbits
    origin = np.array([0.3137, 0.4219])  # so that no orbit touches the edge of the unit square
    cat = Map(lambda x, u: (A @ (x - origin) + origin) % 1, 2, rule_jacobian=lambda x, u: A)
    found = periodic_orbits(cat, period, n_starts=200, **QUIET)
    assert len(found) == count
    golden = (3 + np.sqrt(5)) / 2
    assert_allclose(np.abs(found.multipliers), [[golden**period, golden**-period]] * count, rtol=1e-10)


def test_period_one_gives_the_fixed_points():
    esn = ESN(2.0 * np.eye(2), np.zeros((2, 0)))
    found, points = periodic_orbits(esn, 1, n_starts=60, **QUIET), fixed_points(esn, n_starts=60, **QUIET)
    assert len(found) == len(points) == 9 and found.certified.all()
    assert_allclose(np.sort(found.orbits[:, 0], axis=0), np.sort(points.points, axis=0), atol=1e-13)


def test_flip_of_an_odd_network_is_a_certified_two_cycle():
    # x' = tanh(-2 x): x and -x with x = tanh(2 x)
    found = periodic_orbits(ESN(np.array([[-2.0]]), np.zeros((1, 0))), 2, n_starts=40, **QUIET)
    assert len(found) == 1 and found.certified.all() and found.stable.all()
    assert_allclose(np.sort(found.orbits[0, :, 0]), [-0.957504024077, 0.957504024077], atol=1e-11)
    assert_allclose(found.multipliers, [[0.1663720878**2]], rtol=1e-9)
    assert_allclose(found.exponents, [[np.log(0.1663720878)]], rtol=1e-9)


def test_periodic_drive_moves_the_orbit_with_it():
    # x' = x / 2 + u with u = (1, 0): x1 = x2/2 + 1 after the first step, x2 = x1/2 after the second
    found = periodic_orbits(Map(lambda x, u: 0.5 * x + u, 1, 1), 2, u=[[1.0], [0.0]], n_starts=20, **QUIET)
    assert_allclose(found.orbits, [[[2 / 3], [4 / 3]]], atol=1e-14)
    assert_allclose(found.multipliers, [[0.25]], atol=1e-14)


@settings(deadline=None, max_examples=5)
@given(r=st.floats(3.5, 4.0), period=st.integers(1, 5))
def test_every_orbit_closes_after_its_period_and_not_before(r, period):
    found = periodic_orbits(logistic(r), period, n_starts=40, **QUIET)
    for orbit, speed in zip(found.orbits[:, :, 0], found.speeds, strict=True):
        following = np.roll(orbit, -1)
        assert_allclose(r * orbit * (1 - orbit), following, atol=max(1e-12, 2 * speed))
        gaps = [np.abs(np.roll(orbit, -k) - orbit).max() for k in range(1, period)]
        assert all(gap > 1e-9 for gap in gaps)


def test_orbits_are_repeatable_and_given_starts_are_used():
    one, two = (periodic_orbits(HENON, 6, n_starts=100, seed=3, **QUIET) for _ in range(2))
    assert np.array_equal(one.orbits, two.orbits)
    again = periodic_orbits(HENON, 6, x0=one.orbits[0] + 1e-4, **QUIET)
    assert len(again) == 1 and again.starts.total == 1
    gaps = [np.abs(np.roll(again.orbits[0], k, axis=0) - one.orbits[0]).max() for k in range(6)]
    assert min(gaps) < 1e-13


def test_nothing_found_says_so_and_a_plot_closes_its_orbits():
    empty = periodic_orbits(Map(lambda x, u: x + 1, 1), 2, n_starts=20, **QUIET)
    assert "no orbit of period 2" in repr(empty) and empty.orbits.shape == (0, 2, 1)
    ax = periodic_orbits(HENON, 4, n_starts=200, **QUIET).plot(HENON.run(200, x0=[0.1, 0.1]))
    line = ax.lines[-1].get_xydata()
    assert len(line) == 5 and np.array_equal(line[0], line[-1]) and "principal component" in ax.get_xlabel()
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"period": 0}, ValueError, "period must be at least 1"),
        ({"period": 2, "u": 1.0}, ValueError, "u must be None"),
        ({"period": 2, "n_starts": 0}, ValueError, "n_starts must be at least 1"),
        ({"period": 2, "x0": [[0.1]]}, ValueError, "x0 must have shape"),
        ({"period": 2, "tol": -1.0}, ValueError, "tol must be above 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, fragment):
    with pytest.raises(error, match=fragment):
        periodic_orbits(logistic(3.5), **arguments)


def test_bad_periodic_input_is_named():
    with pytest.raises(ValueError, match=r"one period \(3, 1\)"):
        periodic_orbits(Map(lambda x, u: 0.5 * x + u, 1, 1), 3, u=[[1.0], [0.0]])


# Piecewise-linear networks


REFERENCE = [
    # A, W, fixed point, eigenvalues: analysis.md 8, from SCYFI's own tests, checked twice
    ([-0.0222311, 0.96461297], W, (0.364871, -22.260649), (0.964613, -0.022231)),
    ([0.7, -0.7], [[0, -0.14375], [0.52505308, 0]], (1.243275, -0.192076), (0.7, -0.7)),
]


@pytest.mark.parametrize(("A", "weights", "point", "eigenvalues"), REFERENCE)
def test_reference_networks_have_one_fixed_point_and_no_short_cycles(A, weights, point, eigenvalues):
    plrnn = PLRNN(A, weights, H)
    found = piecewise_linear_cycles(plrnn, 1, **QUIET)
    assert found.complete and found.certified.all() and found.stable.all()
    assert_allclose(found.orbits, [[point]], atol=5e-7)  # digits printed
    assert_allclose(np.sort(found.multipliers.real[0]), np.sort(eigenvalues), atol=5e-7)
    assert [len(piecewise_linear_cycles(plrnn, k, **QUIET)) for k in (2, 3)] == [0, 0]


def test_reference_network_has_two_16_cycles_and_no_15_cycle():
    plrnn = PLRNN([0.8377689, 0.96461297], W, H)
    found = search_piecewise_linear_cycles(plrnn, 16, **QUIET)
    assert len(found) == 2 and found.kinds.tolist() == ["stable", "saddle"] and found.certified.all()
    assert len(search_piecewise_linear_cycles(plrnn, 15, **QUIET)) == 0
    for orbit in found.orbits:
        following = np.array([plrnn.step(x, np.empty(0)) for x in orbit])
        assert_allclose(following, np.roll(orbit, -1, axis=0), atol=1e-12)
    assert "16" in repr(found) and not found.complete


def test_stable_16_cycle_is_where_the_network_settles():
    plrnn = PLRNN([0.8377689, 0.96461297], W, H)
    found = search_piecewise_linear_cycles(plrnn, 16, **QUIET)
    end = plrnn.run(3000, x0=[1.0, 1.0])[-16:]  # multiplier 0.52 per turn
    gaps = [np.abs(np.roll(end, k, axis=0) - found.orbits[0]).max() for k in range(16)]
    assert min(gaps) < 1e-10


def brute_force(system, period):
    """Every cycle from every region sequence, one at a time, prime ones only, each once."""
    A, B, C, d, h = system.parts
    cycles = []
    for regions in itertools.product(itertools.product([0, 1], repeat=len(d)), repeat=period):
        F, c = np.eye(len(A)), np.zeros(len(A))
        for on in regions:
            M = A + B @ np.diag(on) @ C
            F, c = M @ F, M @ c + B @ (np.array(on) * d) + h
        orbit = [np.linalg.solve(np.eye(len(A)) - F, c)]
        for _ in range(period - 1):
            orbit.append(system.step(orbit[-1], None))
        visited = [tuple((C @ x + d > 0).astype(int)) for x in orbit]
        shorter = any(np.allclose(np.roll(orbit, k, axis=0), orbit, atol=1e-9) for k in range(1, period))
        if visited == list(regions) and not shorter:
            known = any(np.allclose(np.roll(orbit, k, axis=0), one, atol=1e-9) for one in cycles for k in range(period))
            if not known:
                cycles.append(np.array(orbit))
    return cycles


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), period=st.integers(1, 3))
def test_enumeration_agrees_with_brute_force(seed, period):
    rng = np.random.default_rng(seed)
    system = Pieces(*(1.5 * rng.standard_normal(shape) for shape in ((2, 2), (2, 3), (3, 2), 3, 2)))
    found, expected = piecewise_linear_cycles(system, period, **QUIET), brute_force(system, period)
    assert len(found) == len(expected)
    for orbit in found.orbits:
        close = [np.allclose(np.roll(orbit, k, axis=0), one, atol=1e-7) for one in expected for k in range(period)]
        assert any(close)


def test_fixed_points_1e_3_apart_are_both_reported():
    # x' = -1/2 + |x| has one root on each side only for slopes beyond 1; here 2 relu(x) - e: x = -e and x = e
    e = 5e-4
    found = piecewise_linear_cycles(Pieces([[0]], [[2]], [[1]], [0], [-e]), 1, **QUIET)
    assert_allclose(np.sort(found.orbits[:, 0, 0]), [-e, e], atol=1e-18)
    assert found.kinds.tolist() == ["stable", "unstable"] and found.certified.all()


def test_tent_map_has_as_many_cycles_as_necklaces():
    # x' = 2 x on [0, 1/2], 2 - 2 x beyond: 2^k fixed points of F^k, all unstable, so (2, 1, 2, 3, 6, 9) prime orbits
    tent = Pieces([[2]], [[-4]], [[1]], [-0.5], [0])
    found = [piecewise_linear_cycles(tent, k, **QUIET) for k in range(1, 7)]
    assert [len(one) for one in found] == [2, 1, 2, 3, 6, 9]
    assert all((np.abs(np.abs(one.multipliers) - 2.0**k) < 1e-9).all() for k, one in enumerate(found, start=1))
    assert_allclose(np.sort(found[1].orbits[0, :, 0]), [0.4, 0.8], atol=1e-15)


def test_a_point_on_the_border_of_two_regions_counts_once():
    # x' = relu(x)/2 + x/4: the fixed point 0 lies on the border and solves both pieces
    found = piecewise_linear_cycles(Pieces([[0.25]], [[0.5]], [[1]], [0], [0]), 1, **QUIET)
    assert_allclose(found.orbits, [[[0]]])
    assert not found.certified.any()


def test_a_singular_piece_is_owned_up_to():
    # x' = x + relu(x): all x < 0 are fixed
    found = piecewise_linear_cycles(Pieces([[1]], [[1]], [[1]], [0], [0]), 1, **QUIET)
    assert not found.complete and "proved" not in repr(found)


def test_only_rectified_units_count_in_an_almost_linear_network():
    rng = np.random.default_rng(3)
    plrnn = PLRNN(0.5 * np.ones(6), 0.3 * rng.standard_normal((6, 6)), rng.standard_normal(6), n_linear=4)
    found = piecewise_linear_cycles(plrnn, 1, **QUIET)
    assert found.starts.total == 4 and found.regions.shape == (len(found), 1, 2)
    points = fixed_points(plrnn, n_starts=100, **QUIET)
    assert len(points) == len(found) and points.certified.all()
    assert_allclose(np.sort(found.orbits[:, 0], axis=0), np.sort(points.points, axis=0), atol=1e-12)


def test_search_finds_what_enumeration_finds():
    rng = np.random.default_rng(8)
    system = Pieces(*(s * rng.standard_normal(n) for s, n in ((0.5, (3, 3)), (1, (3, 3)), (1, (3, 3)), (1, 3), (1, 3))))
    for period in (1, 2):
        exact, searched = (
            f(system, period, **QUIET) for f in (piecewise_linear_cycles, search_piecewise_linear_cycles)
        )
        assert len(exact) == len(searched)
        assert_allclose(np.sort(np.abs(exact.multipliers[:, 0])), np.sort(np.abs(searched.multipliers[:, 0])))


def test_piecewise_errors_are_named():
    with pytest.raises(TypeError, match=r"system must be piecewise linear.*piecewise_linear\(u\)"):
        piecewise_linear_cycles(ESN.random(5, n_inputs=1, seed=0), 1)
    with pytest.raises(TypeError, match="system must be piecewise linear"):
        piecewise_linear_cycles(Map(lambda x, u: x / 2, 1), 1)
    big = PLRNN(np.full(30, 0.5), np.zeros((30, 30)), np.ones(30))
    with pytest.raises(ValueError, match=r"max_sequences must be at least 2\^30.*search_piecewise_linear_cycles"):
        piecewise_linear_cycles(big, 1)
    with pytest.raises(ValueError, match="u must be one frozen input"):
        piecewise_linear_cycles(PLRNN([0.5], [[0.1]], 0.0, [[1.0]]), 1, u=[[0.0], [1.0]])
    with pytest.raises(ValueError, match="n_starts must be at least 1"):
        search_piecewise_linear_cycles(big, 1, n_starts=0)


def test_residual_relu_network_without_bias_is_read_from_its_lure_form():
    W = np.array([[0.5, -1.0], [1.0, 0.3]])
    residual = ResESN(W, np.zeros((2, 0)), np.eye(2), 0.5, 0.5, activation=penstock.relu)
    assert residual.piecewise_linear(np.empty(0)) is None
    assert_allclose(piecewise_linear_cycles(residual, 1, **QUIET).orbits, [[[0, 0]]], atol=1e-15)


def shallow(seed, clipped=False, n_hidden=4):
    rng = np.random.default_rng(seed)
    W1, W2, h1, h2 = (rng.standard_normal(shape) for shape in ((2, n_hidden), (n_hidden, 2), 2, n_hidden))
    return ShallowPLRNN([0.3, -0.2], 0.8 * W1, W2, h1, h2, rng.standard_normal((2, 1)), clipped)


def relu_esn(seed, leak=0.6):
    rng = np.random.default_rng(seed)
    weights, W_in, bias = (rng.standard_normal(shape) for shape in ((4, 4), (4, 1), 4))
    return ESN(weights, W_in, bias, leak, penstock.relu)


@pytest.mark.parametrize(
    "make", [shallow, lambda seed: shallow(seed, clipped=True), relu_esn], ids=["shallow", "clipped", "relu ESN"]
)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_enumeration_and_search_find_the_same_points_of_shallow_and_relu_networks(make, seed):
    system = make(seed)
    exact = piecewise_linear_cycles(system, 1, u=0.4, **QUIET)
    found = fixed_points(system, u=0.4, n_starts=200, seed=1, **QUIET)
    assert exact.complete and len(exact) == len(found) and found.certified.all()
    for orbit in exact.orbits[:, 0]:
        assert np.linalg.norm(found.points - orbit, axis=1).min() < 1e-10  # conditions up to 1e4 times rounding


@pytest.mark.parametrize("make", [shallow, relu_esn], ids=["shallow", "relu ESN"])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_cycles_of_shallow_and_relu_networks_agree_with_brute_force(make, seed):
    system = make(seed)
    form = Pieces(*system.piecewise_linear(np.array([0.4])))
    found, expected = piecewise_linear_cycles(system, 2, u=0.4, **QUIET), brute_force(form, 2)
    assert len(found) == len(expected)
    for orbit in found.orbits:
        assert any(np.allclose(np.roll(orbit, k, axis=0), one, atol=1e-9) for one in expected for k in range(2))


def test_relu_units_with_closed_forms():
    # x = w relu-unit with bias: x' = (1 - a) x + a relu(w x + b): x = b / (1 - w) where that is positive, 0 if b < 0
    for w, b, expected in ((0.5, 1.0, [2.0]), (2.0, -1.0, [0.0, 1.0]), (2.0, 1.0, [])):
        unit = ESN([[w]], np.zeros((1, 0)), b, 0.3, penstock.relu)
        found = piecewise_linear_cycles(unit, 1, **QUIET)
        assert_allclose(np.sort(found.orbits.ravel()), expected, atol=1e-15)
        slopes = [1 + 0.3 * (w - 1) if x > 0 else 0.7 for x in found.orbits.ravel()]
        assert_allclose(found.multipliers[:, 0], slopes, atol=1e-15)
