"""Memory capacity of the models themselves: exact curves, bounds, and the published numbers under their protocol."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from penstock import Map, identity
from penstock.analysis import ADJUSTED, MC1, linear_memory_curve, memory_capacity
from penstock.reservoirs import ES2N, ESN, DeepESN, DeepResESN, ResESN, ResRMN
from penstock.scaling import scale_fast
from penstock.weights import aperiodic_signs, delay_line, normal, ring

measure = partial(memory_capacity, seed=1, progress=False)


def test_delay_line_remembers_its_length_exactly():
    line = ESN(delay_line(20), np.eye(20)[:, :1], activation=identity)
    curve = measure(line, max_delay=40, n_steps=4000).per_delay
    np.testing.assert_allclose(curve[:20], 1.0, atol=1e-12)
    assert np.abs(curve[20:]).max() < 5 * np.sqrt(2 * 20) / 4000  # five standard errors of a delay without memory


def test_linear_ring_follows_its_closed_form():
    scr = ESN(0.9 * ring(20), aperiodic_signs(20)[:, None], activation=identity)
    result = measure(scr, max_delay=99, n_steps=20_000)
    exact = (1 - 0.9**40) * 0.9 ** (40 * (np.arange(100) // 20))
    np.testing.assert_allclose(linear_memory_curve(scr.W, scr.W_in)[:100], exact, atol=1e-12)
    assert np.abs(result.per_delay - exact).max() < 5 * result.delay_standard_error.max()
    assert abs(result.total - exact.sum()) < 3 * result.standard_error


def test_without_recurrence_only_the_present_is_known():
    result = measure(ESN(np.zeros((30, 30)), np.linspace(0.1, 2, 30)[:, None]), n_steps=6000)
    np.testing.assert_allclose(result.per_delay[0], 1.0, atol=1e-6)
    past = result.per_delay[1:]
    assert abs(past.sum()) < 3 * np.sqrt(len(past) * 2 * result.rank) / 6000


@pytest.mark.parametrize(
    "system",
    [
        DeepESN.random(40, n_layers=2, seed=0),
        DeepResESN.random(40, n_layers=2, concat=False, seed=0),
        ResRMN.random(20, n_memory=30, memory_radius=0.9, seed=0),
        ES2N.random(30, n_inputs=2, seed=0),
        Map(lambda x, u: np.tanh(0.8 * np.roll(x, 1) + 0.3 * u), n_units=15, n_inputs=1),
    ],
    ids=["DeepESN", "DeepResESN", "ResRMN", "ES2N", "Map"],
)
def test_any_system_lies_between_its_bounds(system):
    result = measure(system, n_steps=4000)
    n_read = len(range(*system.observed.indices(system.n_units)))
    assert result.n_units == n_read
    assert 0.75 - 3 * result.standard_error < result.total < n_read + 3 * result.standard_error


def test_float32_states_remember_as_much():
    esn = ESN.random(40, input_scaling=0.5, seed=0)
    single = measure(replace(esn, W=esn.W.astype(np.float32)), max_delay=20, n_steps=4000)
    double = measure(esn, max_delay=20, n_steps=4000)
    # directions below the rounding of float32 are lost: they belong to the longest delays
    assert double.total - 0.5 < single.total < double.total + 0.05


def gaussian(model, **settings):
    return partial(
        model.random, 100, weights=normal, scale=partial(scale_fast, std=1.0), spectral_radius=0.9, **settings
    )


# Mean and standard deviation over ten seeds, recomputed with an independent implementation
MC1_TARGETS = {
    "ESN, input 0.1": (gaussian(ESN, input_scaling=0.1), 32.3, 1.3),
    "ESN, input 0.25": (gaussian(ESN, input_scaling=0.25), 25.2, 1.0),
    "ESN, input 1": (gaussian(ESN, input_scaling=1.0), 13.4, 0.6),
    "leaky ESN": (gaussian(ESN, input_scaling=0.25, leak=0.5), 16.3, 0.9),
    "ResESN R": (gaussian(ResESN, input_scaling=0.25, alpha=0.95, beta=0.01), 97.4, 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MC1_TARGETS))
@pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")
def test_memory_under_the_published_protocol(name):
    make, mean, spread = MC1_TARGETS[name]
    totals = [memory_capacity(make(seed=s), protocol=MC1, seed=s, progress=False).total for s in range(10)]
    assert abs(np.mean(totals) - mean) < 3 * spread * np.sqrt(1 / 10 + 1 / 10)


def test_default_protocol_counts_the_present():
    assert ADJUSTED.first_delay == 0 and MC1.first_delay == 1
