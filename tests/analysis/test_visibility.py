import time
from fractions import Fraction
from itertools import combinations, permutations
from math import factorial

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock.analysis import horizontal_visibility_graph, visibility, visibility_graph


def links(graph):
    pairs = [tuple(pair) for pair in graph.edges.tolist()]
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


def horizontal_by_definition(x):
    return {(i, j) for i, j in combinations(range(len(x)), 2) if all(x[k] < min(x[i], x[j]) for k in range(i + 1, j))}


def natural_by_definition(x, t):
    """Integers or fractions, so that collinear points are told exactly."""
    return {
        (i, j)
        for i, j in combinations(range(len(x)), 2)
        if all((x[k] - x[j]) * (t[j] - t[i]) < (x[i] - x[j]) * (t[j] - t[k]) for k in range(i + 1, j))
    }


tied = st.lists(st.integers(0, 5), min_size=2, max_size=25)


@given(tied)
@settings(deadline=None, max_examples=120)
def test_horizontal_links_follow_the_definition_with_ties(x):
    assert links(horizontal_visibility_graph(x)) == horizontal_by_definition(x)


@given(tied, st.data())
@settings(deadline=None, max_examples=120)
def test_natural_links_follow_the_definition_with_collinear_points_and_uneven_times(x, data):
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=len(x), max_size=len(x)))
    t = np.cumsum(gaps).tolist()
    # quotients of small integers are correctly rounded, hence equal as floats exactly when they are equal
    assert links(visibility_graph(x, t)) == natural_by_definition(x, t)
    assert links(visibility_graph(x)) == natural_by_definition(x, range(len(x)))


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=60))
@settings(deadline=None, max_examples=100)
def test_mirrored_series_have_mirrored_links(x):
    for make in (horizontal_visibility_graph, visibility_graph):
        mirrored = {(len(x) - 1 - j, len(x) - 1 - i) for i, j in links(make(x[::-1]))}
        assert links(make(x)) == mirrored


def test_popping_on_less_only_would_add_a_link_to_1_1_2():
    assert links(horizontal_visibility_graph([1, 1, 2])) == {(0, 1), (1, 2)}


@pytest.mark.parametrize("walk", [False, True])
def test_links_agree_with_ts2vg(walk):
    ts2vg = pytest.importorskip("ts2vg")
    x = np.random.default_rng(3).standard_normal(3000)
    x = np.cumsum(x) if walk else x
    for ours, theirs in (
        (horizontal_visibility_graph, ts2vg.HorizontalVG),
        (visibility_graph, ts2vg.NaturalVG),
    ):
        assert links(ours(x)) == {(min(e), max(e)) for e in theirs().build(x).edges}


def test_natural_links_agree_with_networkx():
    x = np.random.default_rng(4).standard_normal(150)
    assert nx.utils.graphs_equal(nx.Graph(nx.visibility_graph(x).edges), nx.Graph(visibility_graph(x).edges.tolist()))


def test_narrow_sights_of_a_long_series_are_real():
    # the longest links pass nearest above the values between; settled with fractions
    x = np.random.default_rng(0).standard_normal(20_000)
    edges = visibility_graph(x).edges
    longest = edges[np.argsort(edges[:, 0] - edges[:, 1])[:10]]
    for i, j in longest.tolist():
        a, b = Fraction(x[i]), Fraction(x[j])
        assert all(Fraction(x[k]) < b + (a - b) * Fraction(j - k, j - i) for k in range(i + 1, j))


@pytest.mark.parametrize("through", range(19))
def test_points_exactly_on_the_line_of_sight_block_it_at_any_distance(through):
    # 20^2 sees the whole parabola; the last value lies on the line through it and through^2
    x = [k * k for k in range(21)] + [400 + 20 + through]
    assert links(visibility_graph(x)) == natural_by_definition(x, range(22))


def test_natural_links_do_not_depend_on_the_origin_of_time():
    # ts2vg computes with absolute times, and so loses links of long series
    x, t = np.random.default_rng(0).standard_normal(5000), np.arange(5000.0)
    assert_array_equal(visibility_graph(x, t + 2.0**40).edges, visibility_graph(x, t).edges)


def test_mean_number_of_horizontal_links_over_all_orders_is_exact():
    # every value but the last maxima has a higher one to its right, and likewise to its left: 2 (T - H_T) links
    T = 7
    total = sum(horizontal_visibility_graph(order).n_edges for order in permutations(range(T)))
    harmonic = sum(Fraction(1, k) for k in range(1, T + 1))
    assert Fraction(total, factorial(T)) == 2 * (T - harmonic)


def test_independent_values_have_the_degree_law_of_luque():
    T = 200_000
    k, p = horizontal_visibility_graph(np.random.default_rng(1).standard_normal(T)).degree_distribution()
    low = (k >= 2) & (k < 10)  # but for the two ends, every node sees both its neighbours
    law = (2 / 3) ** (np.arange(2, 10) - 2.0) / 3
    # five standard errors of a fraction; degrees of neighbours are nearly independent
    assert np.abs(p[low] - law).max() < 5 * np.sqrt(0.25 / T)


@pytest.mark.parametrize("period", [2, 3, 5, 8])
def test_periodic_series_have_mean_degree_4_minus_2_over_the_period(period):
    pattern = np.random.default_rng(period).permutation(period).astype(float)
    degrees = horizontal_visibility_graph(np.tile(pattern, 20)).degrees
    assert_allclose(degrees[5 * period : 15 * period].mean(), 4 * (1 - 1 / (2 * period)), rtol=1e-15)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=40))
@settings(deadline=None, max_examples=100)
def test_horizontal_graph_is_invariant_under_increasing_maps(x):
    x = np.round(x, 3)  # so that the map keeps distinct values distinct
    assert links(horizontal_visibility_graph(x)) == links(horizontal_visibility_graph(np.exp(x) * 5 - 2))


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=40), st.integers(-5, 5), st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_natural_graph_is_invariant_under_affine_maps_and_contains_the_horizontal(x, tilt, scale):
    x = np.array(x)
    natural = links(visibility_graph(x))
    assert natural == links(visibility_graph(scale * x + tilt * np.arange(x.size)))
    assert links(horizontal_visibility_graph(x)) <= natural


def test_worst_series_take_time_in_proportion_to_their_links():
    t = np.arange(1, 200_001)
    well = np.log(t[:100_000]) - 12  # every point sees its neighbours and the peak alone, which sees all
    series = {
        "rising": (t, t.size - 1),
        "concave": (np.sqrt(t), t.size - 1),
        "falling": (-t, t.size - 1),
        "well": (np.concatenate([well[::-1], [0.0], well]), 4 * well.size - 2),
    }
    start = time.process_time()
    found = {name: visibility_graph(x).n_edges for name, (x, _) in series.items()}
    rising = horizontal_visibility_graph(t).n_edges, horizontal_visibility_graph(-t).n_edges
    # a method that is quadratic in any of them would need 4e10 steps
    assert time.process_time() - start < 5
    assert rising == (t.size - 1, t.size - 1)
    assert found == {name: n_links for name, (_, n_links) in series.items()}


def test_convex_series_are_complete_graphs():
    T = 400  # 79800 links: the room for links must grow
    assert visibility_graph(np.arange(T) ** 2).n_edges == T * (T - 1) // 2


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_other_number_types_give_the_same_graphs(dtype):
    x = np.random.default_rng(0).integers(-99, 99, 300)
    for make in (horizontal_visibility_graph, visibility_graph):
        assert links(make(x.astype(dtype))) == links(make(x.astype(float)))
        assert links(make(x + 1e6)) == links(make(x.astype(float)))  # exact in double precision


def test_constant_series_are_chains():
    for make in (horizontal_visibility_graph, visibility_graph):
        assert links(make(np.ones(50))) == {(k, k + 1) for k in range(49)}


def test_views_of_a_graph_agree():
    graph = visibility_graph(np.random.default_rng(2).standard_normal(80), np.linspace(0, 4, 80) ** 2)
    undirected, directed = graph.to_networkx(), graph.to_directed_networkx()
    assert_array_equal(graph.degrees, [d for _, d in undirected.degree])
    assert_array_equal(graph.in_degrees, [d for _, d in directed.in_degree])
    assert_array_equal(graph.out_degrees, [d for _, d in directed.out_degree])
    assert_array_equal(graph.adjacency().toarray(), nx.to_numpy_array(undirected))
    assert undirected.nodes[7] == {"value": graph.series[7], "time": graph.times[7]}
    assert graph.degree_distribution().probabilities.sum() == pytest.approx(1)
    assert "natural, 80 nodes" in repr(graph)
    assert "expected of independent" in repr(horizontal_visibility_graph([1, 2, 3]))


def test_kernels_compiled_and_plain_agree():
    x = np.random.default_rng(5).integers(0, 9, 200).astype(float)
    t = np.arange(200.0)

    def horizontal(kernel):
        indptr, indices = np.zeros(201, int), np.zeros(400, np.int32)
        kernel(x, indptr, indices, np.zeros(201, np.int32), np.zeros(201))
        return indptr, indices

    def natural(kernel):
        indptr, indices, slopes = np.zeros(201, int), np.zeros(4000, np.int32), np.zeros(4000)
        assert kernel(x, t, 0, indptr, indices, slopes) == 200
        return indptr, indices

    for run, kernel in ((horizontal, visibility._horizontal), (natural, visibility._natural)):
        for ours, plain in zip(run(kernel), run(getattr(kernel, "py_func", kernel)), strict=True):
            assert_array_equal(ours, plain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: horizontal_visibility_graph([1.0]), "series must have at least 2 values"),
        (lambda: horizontal_visibility_graph([1.0, np.nan]), "series must be finite"),
        (lambda: visibility_graph([[1.0, 2.0]]), "series must have 1 dim"),
        (lambda: visibility_graph([1.0, 2.0], [0.0, 0.0]), "times must be 2 strictly increasing"),
        (lambda: visibility_graph([1.0, 2.0], [0.0, 1.0, 2.0]), "times must be 2"),
        (lambda: visibility_graph(np.arange(99) ** 2, max_links=4000), "more than max_links = 4000"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises((ValueError, TypeError, MemoryError), match=message.replace("(", r"\(").replace("[", r"\[")):
        call()


def test_results_draw_themselves():
    import matplotlib.pyplot as plt

    x = np.random.default_rng(0).standard_normal(40)
    graph = horizontal_visibility_graph(x)
    axes = [graph.plot(), graph.plot_links(), visibility_graph(x).plot_links()]
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)
    plt.close("all")
