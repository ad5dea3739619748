"""Batches: the same bits in one thread or several, parts that are large enough, one compiled kernel for any inputs."""

import numpy as np
import pytest

from penstock.reservoirs import ESN, GRU, LEM, ResESN, esn
from penstock.threads import use_threads


@pytest.fixture(autouse=True)
def any_work_pays(monkeypatch):
    monkeypatch.setattr(esn, "ENOUGH_WORK", 0)


@pytest.mark.parametrize("n_series", [2, 3, 8, 12, 16, 27, 40])
def test_states_of_a_batch_are_the_same_bits_in_one_two_or_three_threads(n_series):
    rng = np.random.default_rng(n_series)
    u = rng.uniform(-1, 1, (n_series, 6, 1))
    models = [
        ESN.random(37, seed=1),
        ESN.random(37, density=0.2, seed=1),
        ResESN.random(37, alpha=0.5, beta=0.5, seed=2),
        ESN.random(37, dtype=np.float32, seed=1),
        GRU(rng.normal(0, 0.3, (63, 21)), rng.normal(0, 0.3, (63, 1))),
        LEM.random(21, seed=1),
    ]
    for model in models:
        states = []
        for n_threads in (1, 2, 3):
            with use_threads(n_threads):
                states.append(model.run(u))
        np.testing.assert_array_equal(states[1], states[0])
        np.testing.assert_array_equal(states[2], states[0])


def test_a_series_has_the_same_bits_in_every_dense_batch():
    u, model = np.random.default_rng(0).uniform(-1, 1, (40, 6, 1)), ESN.random(37, seed=1)
    whole = model.run(u)
    for start, stop in ((0, 13), (3, 19), (5, 40)):
        np.testing.assert_array_equal(model.run(u[start:stop]), whole[start:stop])


@pytest.mark.parametrize("n_parts", [1, 2, 3, 8])
def test_parts_hold_every_series_once_and_enough_of_them(n_parts):
    for n_series in range(1, 50):
        for step, least in ((1, 1), (1, 13), (4, 4), (4, 8), (8, 16)):
            if n_series % step == 0:
                cuts = esn._cuts(n_series, step, least, n_parts)
                sizes = np.diff(cuts)
                assert cuts[0] == 0 and sizes.sum() == n_series
                assert not (sizes % step).any()
                assert sizes.size == min(n_parts, max(1, n_series // least))
                assert sizes.size == 1 or sizes.min() >= least
                assert sizes.max() - sizes.min() <= step


def test_chunks_of_a_long_series_are_shared_out_unless_weights_come_from_memory(monkeypatch):
    model, u = ESN.random(37, seed=1), np.zeros((8, 6, 1))
    parts = []
    monkeypatch.setattr(esn, "in_threads", lambda kernel, some: parts.append(len(some)) or [False])
    with use_threads(2):
        model.run(u)
        monkeypatch.setattr(esn, "IN_CACHE", 0)
        model.run(u), model.run(np.zeros((16, 6, 1)))
    assert parts == [2, 1, 2]


def test_one_input_and_several_share_the_compiled_kernels():
    kernels = esn._run_batch_dense, esn._run_each, esn._push_series
    for m in (1, 2, 3):
        model, u = ESN.random(8, n_inputs=m, seed=0), np.zeros((4, 3, m))
        model.run(u), model.run(u[:2]), model.push(np.zeros(8), u[0], np.eye(8))
        if m == 1:
            compiled = [len(kernel.signatures) for kernel in kernels]
    assert [len(kernel.signatures) for kernel in kernels] == compiled
