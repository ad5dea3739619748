from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock.analysis.pruning import prune_magnitude, prune_random
from penstock.analysis.sparsity import sparsity_sweep
from penstock.reservoirs import ESN

KEEPS = [1.0, 0.5, 0.25]


def draw(seed):
    return ESN.random(20, spectral_radius=0.9, seed=seed)


def count(esn):
    return np.count_nonzero(esn.recurrent_matrix().toarray() if hasattr(esn.W, "nnz") else esn.W)


def largest(esn):
    return abs(esn.W).max()


def test_counts_are_the_shares_asked_for():
    sweep = sparsity_sweep(draw, prune_magnitude, KEEPS, count, seeds=range(3))
    assert_array_equal(sweep.scores, [[400] * 3, [200] * 3, [100] * 3])
    assert_array_equal(sweep.synapses, sweep.scores)
    assert_array_equal(sweep.unpruned, [400] * 3)
    assert_array_equal(sweep.density, KEEPS)
    assert_array_equal(sweep.units, np.full((3, 3), 20))
    assert_array_equal(sweep.standard_errors, [0, 0, 0])


def test_scores_are_those_of_pruning_by_hand():
    esn = ESN.random(20, spectral_radius=0.9, seed=5)
    seeds = (3, 8)
    sweep = sparsity_sweep(esn, prune_random, KEEPS, lambda s: abs(s.W).sum(), seeds=seeds, leading_exponent=largest)
    for column, seed in enumerate(seeds):
        for row, keep in enumerate(KEEPS):
            pruned = prune_random(esn, keep, seed=np.random.SeedSequence(seed).spawn(2)[1]).system
            W = pruned.W.toarray() if hasattr(pruned.W, "nnz") else pruned.W
            assert_allclose(sweep.scores[row, column], np.abs(W).sum())
            assert_allclose(sweep.spectral_radius[row, column], np.abs(np.linalg.eigvals(W)).max())
            assert sweep.leading_exponent[row, column] == np.abs(W).max()
    assert_allclose(sweep.mean, sweep.scores.sum(axis=1) / 2)
    spread = np.abs(sweep.scores[:, 0] - sweep.scores[:, 1])
    assert_allclose(sweep.standard_errors, spread / 2)  # of two values a, b: |a - b| / 2


def test_a_drawn_system_is_the_same_for_every_share_and_another_for_every_seed():
    whole = sparsity_sweep(draw, prune_magnitude, [1.0, 0.9, 0.5], largest, seeds=range(4))
    assert (whole.scores == whole.unpruned).all()  # the largest weight stays
    assert len(set(whole.unpruned)) == 4
    again = sparsity_sweep(draw, prune_magnitude, [0.5], largest, seeds=[2])
    assert again.unpruned[0] == whole.unpruned[2]


def test_settings_given_by_partial_and_pruners_without_seed_are_called_alike():
    loose = partial(prune_random, allow_disconnected=True)
    sweep = sparsity_sweep(draw, loose, [0.02], count, seeds=[0])
    assert sweep.scores[0, 0] == 8 and np.isnan(sweep.standard_errors[0]) and np.isnan(sweep.leading_exponent[0, 0])


def test_a_failing_pruner_says_where():
    with pytest.raises(ValueError, match="at least one synapse") as failed:
        sparsity_sweep(draw, prune_magnitude, [0.5, 1e-3], count, seeds=[4])
    assert failed.value.__notes__ == ["while pruning to keep = 0.001 with seed 4"]


def test_the_plot_and_the_text_show_the_means():
    sweep = sparsity_sweep(draw, prune_random, KEEPS, largest, seeds=range(3), leading_exponent=count)
    score, below = sweep.plot()
    assert_allclose(score.lines[0].get_xydata(), np.column_stack([sweep.density, sweep.mean]))
    assert "kept" in below.get_xlabel() and "3 seeds" in repr(sweep)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"keeps": []}, ValueError, "keeps must be shares in"),
        ({"keeps": [0.0]}, ValueError, "keeps must be shares in"),
        ({"keeps": [1.5]}, ValueError, "keeps must be shares in"),
        ({"keeps": [np.nan]}, ValueError, "keeps must be finite"),
        ({"keeps": 0.5}, ValueError, "keeps must have 1 dimensions"),
        ({"pruner": None}, TypeError, "pruner must be a function"),
        ({"score": "MC"}, TypeError, "score must be a function"),
        ({"leading_exponent": 3}, TypeError, "leading_exponent must be a function"),
        ({"seeds": 5}, TypeError, "seeds must be several integers"),
        ({"seeds": []}, ValueError, "seeds must hold at least one"),
        ({"seeds": [True]}, TypeError, "every one of seeds must be an integer"),
        ({"seeds": [-1]}, ValueError, "every one of seeds must be at least 0"),
        ({"system": None}, TypeError, "system must be a System or a function"),
        ({"system": len}, TypeError, "len"),
        ({"system": ESN}, TypeError, "got the class ESN"),
        ({"system": lambda seed: None}, TypeError, "system must be a System"),
        ({"score": lambda esn: None}, TypeError, r"score\(system\) must return a number, got None"),
        ({"score": lambda esn: [1.0]}, TypeError, r"score\(system\) must return a number"),
        ({"leading_exponent": lambda esn: "0"}, TypeError, r"leading_exponent\(system\) must return a number"),
        ({"pruner": lambda esn, keep: esn}, TypeError, "pruner must return a Pruned"),
    ],
)
def test_arguments_of_no_use_are_refused(change, kind, message):
    given = {"system": draw, "pruner": prune_magnitude, "keeps": [0.5], "score": count, "seeds": [0]} | change
    with pytest.raises(kind, match=message):
        sparsity_sweep(
            given.pop("system"),
            given.pop("pruner"),
            given.pop("keeps"),
            given.pop("score"),
            seeds=given.pop("seeds"),
            **given,
        )
