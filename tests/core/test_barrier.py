"""One series in several threads: the bits of one thread, whatever the others do, and nobody is left waiting."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp

from penstock import ClosedLoop, barrier, identity
from penstock.barrier import rows_of
from penstock.matvec import add_matvec, kernel_form
from penstock.readout import Readout
from penstock.reservoirs import ESN, ResESN
from penstock.threads import in_threads, use_threads
from penstock.weights import orthogonal, ring

N, T = 203, 12  # not a multiple of the sixteen rows of a tile


@pytest.fixture
def team(monkeypatch):
    """Let any series be shared, and the threads wait as long as it takes; return how many steps each try has done."""
    monkeypatch.setattr(barrier, "MIN_BYTES", 0)
    monkeypatch.setattr(barrier, "MIN_TRAFFIC", 0)
    monkeypatch.setattr(barrier, "_PATIENCE", 2**60)
    together, done = barrier._together, []

    def recorded(*args):
        done.append(together(*args))
        return done[-1]

    monkeypatch.setattr(barrier, "_together", recorded)
    return done


def drawn(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def an_esn(m=1, dtype=np.float64, W_in=None, **settings):
    W = 0.9 / np.sqrt(N) * drawn(0, N, N, dtype=dtype)
    return ESN(W.astype(dtype), drawn(1, N, m, dtype=dtype) if W_in is None else W_in, 0.1, 0.3, **settings)


def a_residual(skip):
    return ResESN.random(N, n_inputs=2, alpha=0.8, beta=0.3, skip=skip, spectral_radius=None, seed=3)


SYSTEMS = {
    "one input": an_esn,
    "many inputs, float32": lambda: an_esn(11, np.float32),
    "sparse inputs": lambda: an_esn(W_in=sp.random_array((N, 4), density=0.3, rng=np.random.default_rng(4))),
    "fed by its readout": lambda: ClosedLoop(an_esn(3), Readout(drawn(5, 1, N) / N, [0.1])),
    "dense residual": lambda: a_residual(orthogonal),
    "cyclic residual": lambda: a_residual(ring),
}


@pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")
@pytest.mark.parametrize("name", SYSTEMS)
def test_states_are_the_same_bits_in_one_two_or_three_threads(name, team):
    system = SYSTEMS[name]()
    u, x0 = drawn(6, T, system.n_inputs), 0.5 * drawn(7, system.n_units)
    with use_threads(1):
        alone = system.run(u, x0)
    assert not team
    for n_threads in (2, 3):
        with use_threads(n_threads):
            np.testing.assert_array_equal(system.run(u, x0), alone)
    assert team == [T, T]


def test_states_of_two_threads_equal_plain_numpy(team):
    esn, u, x = an_esn(3), drawn(6, T, 3), np.zeros(N)
    with use_threads(2):
        states = esn.run(u)
    assert team == [T]
    for t in range(T):
        x = 0.7 * x + 0.3 * np.tanh(esn.W @ x + esn.W_in @ u[t] + 0.1)
        np.testing.assert_allclose(states[t], x, atol=1e-13)  # sums of 203 in another order, in a map that contracts


@pytest.mark.parametrize("patience", [0, 30])
def test_states_are_the_same_bits_if_threads_do_not_keep_step(patience, team, monkeypatch):
    monkeypatch.setattr(barrier, "_PATIENCE", patience)
    esn, u = an_esn(), drawn(6, 4 * T, 1)
    with use_threads(1):
        alone = esn.run(u)
    for n_threads in (2, 3):
        with use_threads(n_threads):
            np.testing.assert_array_equal(esn.run(u), alone)
    if patience == 0:  # who comes first leaves
        assert min(team) < 4 * T


def test_states_are_the_same_bits_if_no_thread_can_be_started(team, monkeypatch):
    class NoThread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    esn, u = an_esn(), drawn(6, T, 1)
    with use_threads(1):
        alone = esn.run(u)
    monkeypatch.setattr(barrier, "Thread", NoThread)
    with use_threads(3):
        np.testing.assert_array_equal(esn.run(u), alone)
    assert set(team) == {0}


def run_with_a_fault_in(part, error, esn, u):
    """Run with a kernel that raises in one part of the team; return the outcome of every part, and the states."""
    out, outcomes = np.empty((len(u), N)), {}

    def faulty(*args):
        if args[-1][0].size and args[-1][1] == part:
            raise error
        outcomes[args[-1][1]] = kernel(*args)
        return outcomes[args[-1][1]]

    kernel, n_threads = esn_kernel(), threading.active_count()
    settings = 0, np.empty((0, N)), np.empty(0)
    try:
        with use_threads(3):
            barrier.run_in_step(faulty, esn._fields[0], esn._fields, settings, (u, np.zeros(N), out))
    finally:
        assert threading.active_count() == n_threads
    return outcomes, out


def esn_kernel():
    from penstock.reservoirs import esn

    return esn._run_series


def test_an_interruption_sends_the_other_threads_home(team):
    with pytest.raises(KeyboardInterrupt):  # with endless patience they would wait for ever
        run_with_a_fault_in(0, KeyboardInterrupt(), an_esn(), drawn(6, T, 1))
    assert team == []


def test_an_error_in_another_thread_is_told_and_the_rest_computed_alone(team, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda hook: told.append(hook.exc_type))
    esn, u = an_esn(), drawn(6, T, 1)
    with use_threads(1):
        alone = esn.run(u)
    _, out = run_with_a_fault_in(2, MemoryError(), esn, u)
    np.testing.assert_array_equal(out, alone)
    assert set(told) == {MemoryError}


class Forbidden(threading.Thread):
    def start(self):
        raise AssertionError("no thread was to be started")


def test_inside_other_threads_and_for_little_work_no_thread_is_started(team, monkeypatch):
    esn, u = an_esn(), drawn(6, T, 1)
    monkeypatch.setattr(barrier, "Thread", Forbidden)
    with use_threads(2):
        list(in_threads(esn.run, [(u,), (u,)]))
        with pytest.raises(AssertionError, match="no thread was"):
            esn.run(u)
        with monkeypatch.context() as patch:
            patch.setattr(barrier, "MIN_TRAFFIC", esn.W.nbytes * T + 1)
            esn.run(u)
        monkeypatch.setattr(barrier, "MIN_BYTES", esn.W.nbytes + 1)
        esn.run(u)
        esn.run(u[:0])


def test_divergence_is_told_alike(team):
    esn = ESN(1e9 / np.sqrt(N) * drawn(0, N, N), drawn(1, N, 1), activation=identity)
    messages = []
    for n_threads in (1, 2):
        with use_threads(n_threads), pytest.raises(FloatingPointError, match="diverged") as error:
            esn.run(np.ones(50))  # about (10^9)^50 overflows
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert team


def test_rows_of_any_matrix_act_as_in_the_whole():
    rng = np.random.default_rng(8)
    shuffled = sp.csr_array(np.eye(N)[rng.permutation(N)] * drawn(9, N, 1))
    forms = [drawn(0, N, 30), np.asfortranarray(drawn(0, N, 30)), kernel_form(shuffled), (drawn(2, N), 5), drawn(3, N)]
    for form in forms:
        x = drawn(4, form.shape[1] if getattr(form, "ndim", 0) == 2 else N)
        whole, parts = np.zeros(N), np.zeros(N)
        for z, cuts in ((whole, (0, N)), (parts, (0, 48, 64, N))):
            for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
                rows = rows_of(form, start, stop)
                if getattr(form, "ndim", 0) == 1:
                    z[start:stop] = rows
                else:
                    add_matvec(rows, x, z[start:stop])
        np.testing.assert_allclose(parts, whole, rtol=1e-12)
    assert rows_of(0.3, 0, 48) == 0.3
