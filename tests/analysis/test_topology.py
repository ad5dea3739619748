from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import pearsonr, spearmanr

from penstock.analysis.topology import (
    Topology,
    layered_weights,
    orient_by_order,
    random_graph_study,
    topology_correlations,
    topology_measures,
)
from penstock.laws import Normal
from penstock.reservoirs import ESN
from penstock.weights import barabasi_albert


def random_topologies(count, seed=0):
    rng = np.random.default_rng(seed)
    return [topology_measures(nx.gnp_random_graph(int(rng.integers(8, 15)), 0.4, seed=i)) for i in range(count)]


def test_a_star_has_the_measures_that_follow_from_its_shape():
    n = 6  # a hub with 5 leaves, every link both ways
    t = topology_measures(nx.star_graph(n - 1))
    degrees = np.array([5, 1, 1, 1, 1, 1])
    closeness = np.array([1.0, *[5 / 9] * 5])  # leaves: one hub at 1, four leaves at 2
    assert (t.nodes, t.edges, t.sources, t.sinks, t.reciprocity, t.clustering) == (6, 10, 0, 0, 1.0, 0.0)
    assert_allclose(t.degree_variance, degrees.var())
    assert_allclose(t.closeness_variance, closeness.var())
    assert_allclose(t.betweenness_variance, np.array([1.0, 0, 0, 0, 0, 0]).var())  # all pairs of leaves pass the hub
    assert_allclose(t.edge_betweenness_variance, 0.0, atol=1e-30)
    assert (t.diameter, t.mean_path_length) == (2.0, (5 * 1 + 10 * 2) / 15)


def test_a_path_has_the_edge_betweenness_counted_by_hand():
    t = topology_measures(nx.path_graph(4))
    pairs = np.array([3, 4, 3]) / 6  # pairs of nodes that each link joins, of all 6
    assert_allclose(t.edge_betweenness_variance, pairs.var())
    assert t.diameter == 3 and t.mean_path_length == 10 / 6


def test_matrix_graph_and_system_agree_on_directions():
    graph = nx.DiGraph([(0, 1), (0, 2), (1, 2), (2, 1)])
    W = np.zeros((3, 3))
    for j, i in graph.edges:
        W[i, j] = 0.3
    np.fill_diagonal(W, 0.7)  # self-loops count for nothing
    for given in (graph, W, ESN(W, np.ones((3, 1)))):
        t = topology_measures(given)
        assert (t.edges, t.sources, t.sinks) == (4, 1, 0)
        assert t.reciprocity == 0.5


def test_orientation_leaves_no_cycle_and_makes_early_nodes_sources():
    graph = nx.gnp_random_graph(20, 0.2, seed=1)
    oriented = orient_by_order(graph)
    assert nx.is_directed_acyclic_graph(oriented) and oriented.number_of_edges() == graph.number_of_edges()
    first = {v for v in graph if all(w > v for w in graph[v])}
    assert {v for v in oriented if oriented.in_degree(v) == 0} == first
    W = nx.to_numpy_array(oriented)
    assert topology_measures(oriented).reciprocity == 0
    assert_allclose(np.linalg.matrix_power(W, 20), 0)  # nilpotent: without layers its spectral radius is 0


def test_layers_are_the_longest_paths_and_are_joined_within():
    graph = nx.barabasi_albert_graph(15, 2, seed=3)
    depth = [0] * 15
    for v in range(15):  # nodes in order: longest path from a source by dynamic programming
        depth[v] = max((depth[w] + 1 for w in graph[v] if w < v), default=0)
    expected = np.array(
        [[depth[i] == depth[j] or (j < i and graph.has_edge(i, j)) for j in range(15)] for i in range(15)]
    )
    W = layered_weights(graph, values=Normal(1.0), seed=0).toarray()
    assert ((W != 0) == expected).all()
    assert (W < 0).any() and (W > 0).any()
    assert (layered_weights(graph, seed=0) != layered_weights(graph, seed=0)).nnz == 0


def test_the_study_s_graphs_have_the_size_it_says():
    n = 50  # barabasi-albert with n // 10 links per new node: m (n - m) links
    t = topology_measures(nx.barabasi_albert_graph(n, n // 10, seed=0))
    assert t.edges == 2 * 5 * 45
    t = topology_measures(nx.connected_watts_strogatz_graph(n, n // 5, 1.0, seed=0))
    assert t.edges == n * 10 and t.clustering < 0.35  # 2/3 on the ring; fully rewired, near 10 / 49


def test_correlations_equal_scipy_s():
    topologies = random_topologies(25)
    scores = np.random.default_rng(1).normal(size=25) + [t.nodes for t in topologies]
    study = topology_correlations(topologies, scores)
    for k, name in enumerate(study.names):
        values = [getattr(t, name) for t in topologies]
        if np.ptp(values) == 0:
            assert np.isnan(study.pearson[k]) and np.isnan(study.spearman[k])
            continue
        assert_allclose(study.pearson[k], pearsonr(values, scores).statistic, atol=1e-12)
        assert_allclose(study.spearman[k], spearmanr(values, scores).statistic, atol=1e-12)
    assert np.isnan(study.pearson[study.names.index("reciprocity")])  # every link goes both ways


def test_standard_errors_are_the_spread_of_repeated_studies():
    rng, errors, found = np.random.default_rng(2), [], []
    rest = Topology(*[1.0] * 12)
    for _ in range(200):
        x = rng.normal(size=40)
        study = topology_correlations([rest._replace(nodes=v) for v in x], 0.6 * x + 0.8 * rng.normal(size=40))
        found.append([study.pearson[0], study.spearman[0]])
        errors.append([study.pearson_errors[0], study.spearman_errors[0]])
    assert_allclose(np.mean(errors, axis=0), np.std(found, axis=0), rtol=0.15)  # 200 draws: 5 % statistical


def test_r_squared_equals_a_refit_without_every_network():
    topologies = random_topologies(30, seed=5)
    X = np.array(topologies)[:, [0, 1, 4]]  # only these vary
    fixed = topologies[0]
    topologies = [fixed._replace(nodes=a, edges=b, degree_variance=c) for a, b, c in X]
    y = np.random.default_rng(3).normal(size=30) + X[:, 0]
    design = np.column_stack([np.ones(30), X])

    def predict(rows, at):
        return design[at] @ np.linalg.lstsq(design[rows], y[rows], rcond=None)[0]

    everyone = np.arange(30)
    inside = 1 - ((y - predict(everyone, everyone)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    others = [np.delete(everyone, i) for i in everyone]
    missed = sum((y[i] - predict(rows, i)) ** 2 for i, rows in zip(everyone, others, strict=True))
    null = sum((y[i] - y[rows].mean()) ** 2 for i, rows in zip(everyone, others, strict=True))
    study = topology_correlations(topologies, y)
    assert_allclose([study.r_squared, study.r_squared_held_out], [inside, 1 - missed / null], rtol=1e-9)


def test_a_score_that_is_a_statistic_is_found_and_the_seed_repeats_it():
    def draw(seed):
        return ESN.random(int(np.random.default_rng(seed).integers(8, 20)), weights=barabasi_albert, seed=seed)

    def score(esn):
        return -2.0 * esn.n_units

    first, second = (random_graph_study(draw, score, n_graphs=12, seed=4) for _ in range(2))
    assert_allclose(first.pearson[:2], -1)  # edges = 2 (n - 2) too
    assert (first.statistics == second.statistics).all() and (first.scores == second.scores).all()
    assert "nodes" in repr(first)
    assert len(first.plot().get_yticklabels()) == len(first.names)


@pytest.mark.parametrize(
    ("network", "kind", "message"),
    [
        (None, TypeError, "network must hold real numbers"),
        ("ring", TypeError, "network must hold real numbers"),
        (ESN, TypeError, "got the class ESN"),
        (np.ones((2, 3)), ValueError, "network must be a square matrix"),
        (np.eye(3), ValueError, "network must have an edge between two nodes, got 3 nodes and none"),
        (np.full((2, 2), np.nan), ValueError, "network must be finite"),
    ],
)
def test_networks_of_no_use_are_refused(network, kind, message):
    with pytest.raises(kind, match=message):
        topology_measures(network)


def test_studies_of_no_use_are_refused():
    topologies = random_topologies(5)
    for scores, message in (([1.0] * 5, "scores must differ"), ([1.0, 2.0], "one for each"), ([np.nan] * 5, "finite")):
        with pytest.raises(ValueError, match=message):
            topology_correlations(topologies, scores)
    with pytest.raises(TypeError, match="topologies must be results"):
        topology_correlations([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="n_graphs must be at least 4"):
        random_graph_study(len, len, n_graphs=2, seed=0)
    with pytest.raises(TypeError, match="score must be a function"):
        random_graph_study(len, None, seed=0)
    with pytest.raises(TypeError, match="seed must be"):
        random_graph_study(len, len, seed=None)
    with pytest.raises(ValueError, match=r"score\(system\) must be finite"):
        random_graph_study(lambda seed: ESN.random(5, seed=seed), lambda esn: np.nan, n_graphs=4, seed=0)
    with pytest.raises(TypeError, match="undirected networkx graph"):
        orient_by_order(nx.DiGraph())
    with pytest.raises(ValueError, match="graph must have at least one node"):
        layered_weights(nx.Graph(), seed=0)
    with pytest.raises(TypeError, match="values must be a law"):
        layered_weights(nx.path_graph(3), values=0.5, seed=0)
    with pytest.raises(ValueError, match=r"values\(rng, size\) must return shape \(5,\)"):
        layered_weights(nx.path_graph(3), values=lambda rng, size: np.ones(2), seed=0)


def test_links_are_counted_as_networkx_counts_them():
    graph = nx.gnp_random_graph(12, 0.3, seed=7, directed=True)
    t = topology_measures(graph)
    assert_allclose(t.reciprocity, nx.overall_reciprocity(graph))
    joined = sum(graph.has_edge(a, b) or graph.has_edge(b, a) for a, b in combinations(graph, 2))
    assert_allclose(t.degree_variance, np.var([d for _, d in graph.to_undirected().degree]))
    assert graph.to_undirected().number_of_edges() == joined
