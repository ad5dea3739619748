from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import pearsonr

from penstock.analysis import (
    correlation_network,
    cycle_boundaries,
    cycle_correlation_network,
    cycle_correlations,
    cycle_distance_network,
    cycle_distances,
    horizontal_visibility_graph,
    network_measures,
    networks,
    recurrence_network,
)


def test_cycles_are_cut_at_the_minima_and_noise_needs_prominence():
    t = np.arange(400)
    assert_array_equal(cycle_boundaries(-np.cos(2 * np.pi * t / 40)), np.arange(40, 400, 40))
    noisy = -np.cos(2 * np.pi * t / 40) + 0.05 * np.random.default_rng(0).standard_normal(400)
    assert len(cycle_boundaries(noisy)) > 30
    found = cycle_boundaries(noisy, prominence=1.0)
    assert np.abs(found - np.arange(40, 400, 40)).max() <= 5


def test_correlations_are_the_greatest_over_all_shifts():
    rng = np.random.default_rng(6)
    x, cuts = rng.standard_normal(60), np.array([2, 10, 22, 30, 37, 58])
    parts = [x[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    expected = np.eye(5)
    for i, j in combinations(range(5), 2):
        a, b = sorted((parts[i], parts[j]), key=len)
        shifts = range(len(b) - len(a) + 1)
        expected[i, j] = expected[j, i] = max(np.corrcoef(a, b[s : s + len(a)])[0, 1] for s in shifts)
    assert_allclose(cycle_correlations(x, cuts), expected, atol=1e-13)  # sums of twenty terms


def test_distances_are_the_least_over_all_shifts():
    rng = np.random.default_rng(7)
    x, cuts = rng.standard_normal((60, 3)), np.array([0, 9, 22, 30, 57])
    parts = [x[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    expected = np.zeros((4, 4))
    for i, j in combinations(range(4), 2):
        a, b = sorted((parts[i], parts[j]), key=len)
        shifts = range(len(b) - len(a) + 1)
        near = min(np.linalg.norm(a - b[s : s + len(a)], axis=1).mean() for s in shifts)
        expected[i, j] = expected[j, i] = near
    assert_allclose(cycle_distances(x, cuts), expected, atol=1e-13)


def test_a_constant_cycle_correlates_with_none():
    x = np.concatenate([np.full(7, 0.1), [1.0, 3.0, 2.0, 5.0]])
    assert cycle_correlations(x, [0, 7, 11])[0, 1] == 0


def test_alternating_shapes_make_two_cliques():
    saw, bump = np.linspace(0, 1, 12), np.sin(np.linspace(0, np.pi, 12))
    x, cuts = np.tile(np.concatenate([saw, bump]), 5), np.arange(0, 121, 12)
    for network in (
        cycle_correlation_network(x, 0.95, boundaries=cuts),
        cycle_distance_network(x, 0.1, boundaries=cuts),
    ):
        groups = sorted(sorted(part) for part in nx.connected_components(network.to_networkx()))
        assert groups == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
        assert network.n_edges == 20
        assert_array_equal(network.degrees, 4)
        assert_array_equal(network.boundaries, cuts)
        assert_array_equal(network.adjacency().toarray(), nx.to_numpy_array(network.to_networkx(), weight=None))


def test_correlation_networks_link_both_signs_and_know_their_chance():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((40, 60))
    x[:, 1], x[:, 2] = x[:, 0] + 0.1 * x[:, 1], -x[:, 0] + 0.1 * x[:, 2]
    network = correlation_network(x, 0.3)
    found = {tuple(e) for e in network.edges.tolist()}
    assert {(0, 1), (0, 2), (1, 2)} <= found
    assert network.weights[[e.tolist() == [0, 2] for e in network.edges]][0] < -0.9
    expected = {(i, j) for i, j in combinations(range(60), 2) if abs(pearsonr(x[:, i], x[:, j])[0]) > 0.3}
    assert found == expected
    # the p-value of scipy at a correlation equal to the threshold
    a = np.concatenate([[1.0, -1.0], np.zeros(38)])
    b = np.concatenate([[0.3, -0.3], [1.0, -1.0], np.zeros(36)])
    r, p = pearsonr(a, b)
    assert_allclose(correlation_network(x, r).chance, p, rtol=1e-10)


def test_recurrence_networks_link_all_points_within_the_radius():
    x = np.random.default_rng(9).standard_normal((70, 3))
    network = recurrence_network(x, 0.9)
    expected = {(i, j) for i, j in combinations(range(70), 2) if np.linalg.norm(x[i] - x[j]) <= 0.9}
    assert {tuple(e) for e in network.edges.tolist()} == expected
    assert network.weights.max() <= 0.9


# Measures


def disconnected():
    graph = nx.gnm_random_graph(40, 50, seed=3)
    graph.add_nodes_from([40, 41, 42])
    graph.add_edge(41, 42)
    return graph


@pytest.mark.parametrize("graph", [nx.karate_club_graph(), disconnected()], ids=["karate", "disconnected"])
def test_measures_agree_with_networkx(graph):
    ours = network_measures(graph)
    inside = graph.subgraph(max(nx.connected_components(graph), key=len))
    values = lambda measure: [measure[node] for node in graph]  # noqa: E731
    assert_array_equal(ours.degrees, [d for _, d in graph.degree])
    assert_allclose(ours.assortativity, nx.degree_pearson_correlation_coefficient(graph), rtol=1e-9)
    assert_allclose(ours.clustering, values(nx.clustering(graph)), rtol=1e-12)
    assert_allclose(ours.mean_clustering, nx.average_clustering(graph), rtol=1e-12)
    assert ours.mean_path_length == pytest.approx(nx.average_shortest_path_length(inside), rel=1e-12)
    assert (ours.diameter, ours.radius) == (nx.diameter(inside), nx.radius(inside))
    eccentricity = {}
    for part in nx.connected_components(graph):
        eccentricity |= nx.eccentricity(graph.subgraph(part))
    assert_array_equal(ours.eccentricity, values(eccentricity))
    assert_allclose(ours.closeness, values(nx.closeness_centrality(graph)), rtol=1e-12)
    assert_allclose(ours.betweenness, values(nx.betweenness_centrality(graph)), atol=1e-14)
    leading = nx.eigenvector_centrality(inside, max_iter=10_000, tol=1e-13, weight=None)
    # the power iteration of networkx stops at n tol
    assert_allclose(ours.eigenvector[ours.component], [leading[node] for node in graph if node in leading], atol=1e-9)
    assert ours.n_components == nx.number_connected_components(graph)
    assert_allclose([ours.degree_mean, ours.degree_variance], [ours.degrees.mean(), ours.degrees.var()])


def test_measures_of_stars_paths_and_complete_graphs_are_known():
    star = network_measures(nx.star_graph(9))
    assert (star.diameter, star.radius, star.betweenness[0], star.mean_clustering) == (2, 1, 1, 0)
    assert star.assortativity == pytest.approx(-1)
    assert_allclose(star.eigenvector, [0.5**0.5] + [1 / 18**0.5] * 9, atol=1e-12)
    path = network_measures(nx.path_graph(80))
    # mean distance of two of n points in a row is (n + 1) / 3
    assert (path.diameter, path.mean_path_length) == (79, pytest.approx(81 / 3))
    # leading eigenvector of a chain: sin(pi k / (n + 1)) of norm sqrt((n + 1) / 2); found iteratively
    assert_allclose(path.eigenvector, np.sin(np.pi * np.arange(1, 81) / 81) / 40.5**0.5, atol=1e-9)
    whole = network_measures(np.ones((6, 6)) - np.eye(6))
    assert (whole.mean_clustering, whole.transitivity, whole.mean_path_length) == (1, 1, 1)
    assert np.isnan(whole.assortativity)


def test_measures_take_our_networks_and_matrices_alike():
    graph = horizontal_visibility_graph(np.random.default_rng(0).standard_normal(60))
    results = [
        network_measures(g) for g in (graph, graph.to_networkx(), graph.adjacency(), graph.adjacency().toarray())
    ]
    for other in results[1:]:
        assert_array_equal(results[0].betweenness, other.betweenness)
        assert_array_equal(results[0].closeness, other.closeness)


def test_sampled_betweenness_repeats_with_its_seed():
    graph = nx.karate_club_graph()
    one, two, other = (network_measures(graph, betweenness_sources=8, seed=s).betweenness for s in (1, 1, 2))
    assert_array_equal(one, two)
    assert (one != other).any()


def test_kernels_compiled_and_plain_agree():
    x = np.random.default_rng(5).integers(0, 9, 200).astype(float)
    cuts = np.array([0, 9, 20, 31, 50])
    for kernel, data in ((networks._correlate_cycles, x), (networks._measure_cycles, x[:, None])):
        ours, plain = np.zeros((2, 4, 4))
        kernel(data, cuts, ours)
        getattr(kernel, "py_func", kernel)(data, cuts, plain)
        assert_allclose(ours, plain, atol=1e-14)  # sums of ten terms may be contracted


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cycle_correlations([1.0, 2.0, 3.0]), "boundaries must bound at least 2 cycles, got 0; the series"),
        (lambda: cycle_correlations(np.arange(9.0), [0, 2, 9]), "boundaries must increase by at least 3"),
        (lambda: cycle_correlations(np.arange(9.0), [0, 4, 10]), "boundaries must increase"),
        (lambda: cycle_correlation_network(np.arange(9.0), 1.0, boundaries=[0, 4, 9]), "threshold must lie in"),
        (lambda: cycle_distance_network(np.arange(9.0), -1.0, boundaries=[0, 4, 9]), "threshold must be at least 0"),
        (lambda: correlation_network(np.ones((5, 2)), 0.5), "channels must vary, got a constant channel 0"),
        (lambda: correlation_network(1e6 + 1e-10 * np.eye(5), 0.5), "channels must vary"),
        (lambda: correlation_network(np.eye(5), 1.0), "threshold must lie in"),
        (lambda: correlation_network(np.ones((2, 2)), 0.5), "channels must have shape"),
        (lambda: recurrence_network(np.eye(3), 0.0), "radius must be above 0"),
        (lambda: network_measures(nx.DiGraph([(0, 1)])), "graph must be undirected"),
        (lambda: network_measures(nx.Graph([(0, 0)])), "graph must have no self-loops"),
        (lambda: network_measures(nx.empty_graph(3)), "graph must have at least one link"),
        (lambda: network_measures(np.array([[0, 1], [0, 0]])), "graph must be a symmetric matrix"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises((ValueError, TypeError, MemoryError), match=message.replace("(", r"\(").replace("[", r"\[")):
        call()


def test_results_draw_themselves():
    import matplotlib.pyplot as plt

    x = np.random.default_rng(0).standard_normal(40)
    measures, network = network_measures(horizontal_visibility_graph(x)), recurrence_network(x, 0.3)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in (measures.plot(), network.plot()))
    assert "nodes" in repr(network) and "betweenness" in repr(measures)
    plt.close("all")
