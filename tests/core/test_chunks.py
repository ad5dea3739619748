"""Chunked runs against plain loops, and what happens where the past is not forgotten."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import MODELS
from naive import esn_states

import penstock.chunks
from penstock import Map, as_system, certified_run, use_threads
from penstock.reservoirs import ESN, LegS

STEPS = 3000


def drive(n_steps, n_inputs=1, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n_steps, n_inputs))


def network(n_units=60, spectral_radius=0.9, leak=1.0, **settings):
    return ESN.random(n_units, spectral_radius=spectral_radius, leak=leak, bias_scaling=0.1, seed=1, **settings)


def jumps(system, states, u, x0):
    """Distance of every state from the step out of the one before: the whole of what a run can have wrong."""
    before = np.concatenate([x0[None], states[:-1]])
    return np.array([np.abs(system.step(x, v) - y).max() for x, v, y in zip(before, u, states, strict=True)])


@settings(deadline=None, max_examples=15)
@given(
    n_chunks=st.integers(2, 40),
    n_steps=st.integers(1500, 2500),
    radius=st.floats(0.1, 0.9),
    leak=st.floats(0.5, 1.0),
    start=st.floats(-1, 1),
)
def test_chunks_end_where_a_plain_loop_ends(n_chunks, n_steps, radius, leak, start):
    esn, u = network(20, radius, leak), drive(n_steps)
    run = certified_run(esn, u, np.full(20, start), chunks=n_chunks)
    loop = esn_states(esn.W, esn.W_in, esn.bias, leak, np.tanh, u, np.full(20, start))
    assert np.abs(run.states - loop).max() < 1e-13  # rounding of two orders of summation, contracted
    assert run.overlap_error < 1e-14
    assert run.n_chunks in (1, n_chunks)


def test_forgetful_systems_are_run_in_chunks_with_few_steps_one_after_the_other():
    run = certified_run(network(), drive(STEPS), chunks=8)
    assert run.n_chunks == 8
    assert run.overlap > 0
    assert run.n_sequential < run.overlap + 8
    assert run.reason == ""


@pytest.mark.parametrize("overlap", [1, 5, 20])
def test_overlaps_that_are_too_short_are_lengthened(overlap):
    esn, u = network(), drive(STEPS)
    run = certified_run(esn, u, chunks=8, overlap=overlap)
    assert run.n_chunks == 8
    assert run.overlap_error <= 1e-12
    assert np.abs(run.states - esn.run(u)).max() < 2e-12  # radius 0.9: what is left at the meeting point decays


def test_a_looser_tolerance_is_kept_and_no_more():
    esn, u = network(), drive(STEPS)
    run = certified_run(esn, u, chunks=8, overlap=20, tolerance=1e-4)
    error = np.abs(run.states - esn.run(u)).max()
    assert 1e-9 < run.overlap_error <= 1e-4
    assert 1e-9 < error < 1e-3


def test_chaotic_networks_go_step_by_step():
    esn, u = network(100, 1.0, input_scaling=0.01), drive(STEPS)
    esn = ESN(3 * esn.W, esn.W_in)
    run = certified_run(esn, u, chunks=8)
    assert run.n_chunks == 1
    assert "does not forget" in run.reason
    np.testing.assert_array_equal(run.states, esn.run(u))


@pytest.mark.parametrize("overlap", [None, 64])
@pytest.mark.parametrize(
    "system",
    [
        Map(lambda x, u: x + u, n_units=1, n_inputs=1),  # keeps the sum of all inputs
        Map(lambda x, u: np.tanh(3 * x + 0.01 * u), n_units=1, n_inputs=1),  # two attractors: zero leads to the other
        LegS(4),  # counts its steps
    ],
    ids=["integrator", "two basins", "whole past"],
)
def test_systems_that_never_forget_keep_the_states_of_the_run(system, overlap):
    u, x0 = drive(800, seed=3), np.zeros(system.n_units)
    x0[0] = -0.3
    run = certified_run(system, u, x0, chunks=4, overlap=overlap)
    np.testing.assert_array_equal(run.states, system.run(u, x0))
    assert run.n_chunks < 3
    assert run.reason


def _logistic():
    """Contracts to a fixed point for u = 0, is chaotic for u = 1."""
    return Map(lambda x, u: 1 - (0.5 + 1.4 * u) * x * x, n_units=1, n_inputs=1)


def test_where_a_system_turns_chaotic_the_chunks_end():
    u = np.zeros((1600, 1))
    u[830:] = 1.0
    run = certified_run(_logistic(), u, chunks=8)
    assert 1 < run.n_chunks < 8
    assert "step" in run.reason
    np.testing.assert_allclose(run.states[:800], _logistic().run(u[:800]), rtol=0, atol=1e-12)
    assert jumps(_logistic(), run.states, u, np.zeros(1)).max() <= 1e-12


@settings(deadline=None, max_examples=25)
@given(
    switches=st.lists(st.integers(100, 1500), max_size=4),
    n_chunks=st.integers(2, 12),
    overlap=st.one_of(st.none(), st.integers(1, 150)),
)
def test_every_state_follows_from_the_one_before(switches, n_chunks, overlap):
    u = np.zeros((1600, 1))
    for switch in switches:
        u[switch:] = 1 - u[switch:]
    run = certified_run(_logistic(), u, chunks=n_chunks, overlap=overlap)
    jump = jumps(_logistic(), run.states, u, np.zeros(1))
    assert jump.max() <= 1e-12
    assert jump.max() <= run.overlap_error + 1e-15
    assert (jump > 1e-15).sum() < 3 * n_chunks


@pytest.mark.parametrize("name", ["GRU", "ResESN R", "ESN permutation", "SimpleLTC", "PLRNN"])
def test_other_models_run_in_chunks(name):
    system, u = MODELS[name](), drive(1500, 2, seed=4)
    run = certified_run(system, u, chunks=4)
    assert run.n_chunks == 4
    assert np.abs(run.states - system.run(u)).max() < 1e-12


def test_single_precision_is_certified_to_its_own_rounding():
    esn, u = network(dtype=np.float32), drive(STEPS).astype(np.float32)
    run = certified_run(esn, u, chunks=8)
    assert run.states.dtype == np.float32
    assert run.n_chunks == 8
    assert np.abs(run.states - esn.run(u)).max() < 1e-5


def test_auto_takes_chunks_for_large_dense_networks_and_not_for_small_ones():
    u = drive(6000)
    assert certified_run(network(250), u).n_chunks > 1
    small = certified_run(network(10), u)
    assert (small.n_chunks, small.reason) == (1, "chunks do not pay")
    np.testing.assert_array_equal(small.states, network(10).run(u))


def test_large_weights_serve_twice_as_many_chunks_of_a_long_run(monkeypatch):
    esn, u = network(250), drive(12_000)
    expected = esn.run(u)
    for gain, n_steps, n_chunks in ((2.5, 12_000, 16), (5.0, 6000, 8), (2.0, 12_000, 8)):
        monkeypatch.setattr(type(esn), "_batch_gain", gain)
        run = certified_run(esn, u[:n_steps])
        assert run.n_chunks == n_chunks
        assert np.abs(run.states - expected[:n_steps]).max() < 1e-12


def test_threads_and_blocks_change_no_bit():
    esn, u = network(250), drive(6000)
    with use_threads(1):
        alone = certified_run(esn, u).states
    with use_threads(2):
        np.testing.assert_array_equal(certified_run(esn, u).states, alone)
        np.testing.assert_array_equal(esn.run(u, chunks="auto"), alone)
    np.testing.assert_array_equal(np.concatenate(list(esn.blocks(u, 777, chunks="auto"))), alone)


def test_a_stream_in_many_parts_is_the_run(monkeypatch):
    monkeypatch.setattr(penstock.chunks, "STREAM_BYTES", 60 * 8 * 1000)
    esn, u, x0 = network(), drive(5300), np.full(60, 0.5)
    blocks = list(esn.blocks(u, 256, x0, chunks=5))
    assert max(map(len, blocks)) == 256
    assert not any(block.base is not None and len(block.base) > 1000 for block in blocks)
    assert np.abs(np.concatenate(blocks) - esn.run(u, x0)).max() < 1e-12


def test_a_stream_that_turns_chaotic_goes_on_step_by_step(monkeypatch):
    monkeypatch.setattr(penstock.chunks, "STREAM_BYTES", 8 * 600)
    u = np.zeros((3000, 1))
    u[1300:] = 1.0
    states = np.concatenate(list(_logistic().blocks(u, 100, chunks=4)))
    assert jumps(_logistic(), states, u, np.zeros(1)).max() <= 1e-12


def test_divergence_names_the_step_and_the_unit_as_in_a_run():
    system = Map(lambda x, u: x * (0.5 + u) + [0.0, 1.0], n_units=2, n_inputs=1)
    u = np.zeros((2000, 1))
    u[700:] = 1e300
    with np.errstate(over="ignore"):
        with pytest.raises(FloatingPointError) as plain:
            system.run(u, np.array([0.0, 1.0]))
        with pytest.raises(FloatingPointError) as chunked:
            system.run(u, np.array([0.0, 1.0]), chunks=4)
        assert str(chunked.value) == str(plain.value)
        with pytest.raises(FloatingPointError, match="unit 1 is"):
            list(system.blocks(u, 100, np.array([0.0, 1.0]), chunks=4))


def test_a_chunk_that_diverges_only_from_its_true_start_is_no_state():
    """From zero the first unit stays where no pulse is felt; from -0.3 it goes where the last chunk's is."""

    def rule(x, u):
        return np.array([np.tanh(3 * x[0]), np.inf if x[0] < 0 and u[0] > 0 else 0.0])

    system, u = Map(rule, n_units=2, n_inputs=1), np.zeros((800, 1))
    u[700] = 1.0
    with pytest.raises(FloatingPointError, match="unit 1 is inf at step 700"):
        certified_run(system, u, np.array([-0.3, 0.0]), chunks=2, overlap=64)


def test_a_start_from_zero_that_has_no_solution_is_no_error():
    def rule(x, u):
        if abs(x[0]) < 0.1:
            raise FloatingPointError("the solver gave up")
        return 0.5 * x + u

    class Picky:
        n_units, n_inputs, step = 1, 1, staticmethod(rule)

    u = drive(800) ** 2 + 0.5
    for overlap in (None, 64):
        run = certified_run(Picky(), u, np.ones(1), chunks=4, overlap=overlap)
        assert run.n_chunks == 1
        assert jumps(as_system(Picky()), run.states, u, np.ones(1)).max() == 0


def test_every_unit_is_certified_by_its_own_scale():
    """A slow unit far below the other, in size, is not forgotten where the other is."""
    tiny = Map(lambda x, u: np.array([np.tanh(0.5 * x[0] + u[0]), x[1] + 1e-16 * u[0]]), n_units=2, n_inputs=1)
    u = drive(3000) + 1
    for overlap in (None, 64):
        run = certified_run(tiny, u, chunks=8, overlap=overlap)
        np.testing.assert_allclose(run.states[:, 1], 1e-16 * np.cumsum(u), rtol=1e-12)  # a sum of 3000 rounds to 1e-13
        assert "step" in run.reason or "forget" in run.reason


def test_what_grows_later_excuses_no_error_before():
    leaky, u = Map(lambda x, u: 0.9 * x + u, n_units=1, n_inputs=1), drive(1600)
    u[800:] *= 1e9
    run = certified_run(leaky, u, chunks=4, overlap=64)  # 0.9^64 = 1e-3 is left of the start
    assert run.n_chunks == 4
    assert np.abs(run.states - leaky.run(u))[:800].max() < 2e-11  # states up to 10, and what is left decays


def test_a_burst_that_is_not_forgotten_spoils_its_own_part_of_a_stream_only(monkeypatch):
    monkeypatch.setattr(penstock.chunks, "STREAM_BYTES", 8 * 800)
    runs, fill = [], penstock.chunks._fill

    def recorded(*args):
        runs.append(fill(*args))
        return runs[-1]

    monkeypatch.setattr(penstock.chunks, "_fill", recorded)
    u = np.zeros((3200, 1))
    u[1050:1590] = 1.0
    states = np.concatenate(list(_logistic().blocks(u, 800, chunks=4)))
    assert jumps(_logistic(), states, u, np.zeros(1)).max() <= 1e-12
    assert [run.n_chunks for run in runs] == [4, 3, 4, 4]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"chunks": 0}, ValueError, "chunks must be at least 1"),
        ({"chunks": 51}, ValueError, "chunks must be at most the number of steps, 50, got 51"),
        ({"chunks": "many"}, ValueError, "chunks must be a number or \"auto\", got 'many'"),
        ({"chunks": 2.5}, TypeError, "chunks"),
        ({"chunks": True}, TypeError, "chunks"),
        ({"overlap": 0}, ValueError, "overlap must be at least 1"),
        ({"tolerance": 0.0}, ValueError, "tolerance must lie in"),
        ({"tolerance": np.nan}, ValueError, "tolerance"),
        ({"u": np.zeros((2, 50, 1))}, ValueError, "u must be one series"),
        ({"u": np.full(50, np.nan)}, ValueError, "u must be finite"),
        ({"x0": np.zeros(3)}, ValueError, "x0 must have shape"),
    ],
)
def test_bad_arguments_are_named(settings, error, message):
    settings = {"u": drive(50), **settings}
    with pytest.raises(error, match=message):
        certified_run(network(), **settings)


def test_a_batch_is_refused_by_run_and_no_steps_are_no_error():
    esn = network()
    with pytest.raises(ValueError, match="u must be one series"):
        esn.run(np.zeros((2, 50, 1)), chunks=2)
    with pytest.raises(ValueError, match="chunks must be a number"):
        esn.blocks(np.zeros(50), 10, chunks="many")  # at once, not when the first block is asked for
    with pytest.raises(TypeError, match="system must be a System, got the class ESN"):
        certified_run(ESN, np.zeros(50))
    assert certified_run(esn, drive(50), chunks=25).reason == "chunks of 2 steps are too short"
    assert certified_run(esn, np.zeros((0, 1))).states.shape == (0, 60)
    assert certified_run(esn, drive(1), chunks=1).n_sequential == 1


def test_the_repr_tells_the_certificate():
    assert "8 chunks, overlap" in repr(certified_run(network(), drive(STEPS), chunks=8))
    assert "step by step: chunks do not pay" in repr(certified_run(network(), drive(50)))
