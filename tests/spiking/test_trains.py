import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import penstock
from penstock.reservoirs import ESN
from penstock.spiking import SpikeTrains

times_and_ids = st.lists(st.tuples(st.floats(0.0, 100.0), st.integers(0, 4)), max_size=30)


def trains_of(pairs, t_stop=100.0):
    return SpikeTrains([t for t, _ in pairs], [i for _, i in pairs], 5, t_stop=t_stop)


def poisson(n=6, rate=30.0, duration=400.0, seed=0, dt=None):
    rng = np.random.default_rng(seed)
    size = rng.poisson(n * rate * duration / 1000)
    times = rng.uniform(0, duration, size)
    if dt is not None:
        times = np.floor(times / dt) * dt
    return SpikeTrains(times, rng.integers(0, n, size), n, t_stop=duration, dt=dt)


def same(a, b):
    assert_array_equal(a.times, b.times)
    assert_array_equal(a.ids, b.ids)
    assert (a.n, a.t_start, a.t_stop, a.dt) == (b.n, b.t_start, b.t_stop, b.dt)


# --- the record -----------------------------------------------------------------------------------------------------


def test_spikes_are_sorted_by_time_then_unit():
    trains = SpikeTrains([5.0, 1.0, 5.0, 5.0], [2, 3, 0, 1], 4, t_stop=10.0)
    assert trains.times.tolist() == [1.0, 5.0, 5.0, 5.0]
    assert trains.ids.tolist() == [3, 0, 1, 2]
    assert SpikeTrains([1.0, 1.0, 2.0], [1, 0, 0], 2, t_stop=10.0).ids.tolist() == [0, 1, 0]


@given(times_and_ids)
@settings(deadline=None, max_examples=50)
def test_units_hold_their_own_times_in_order(pairs):
    trains = trains_of(pairs)
    assert len(trains) == 5 and trains.n_spikes == len(pairs)
    for unit, times in enumerate(trains):
        assert times.tolist() == sorted(t for t, i in pairs if i == unit)
        assert_array_equal(trains[unit], times)
    assert_array_equal(trains[-1], trains[4])


@pytest.mark.parametrize("times", [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])
def test_the_given_arrays_stay_as_they_are_and_writable(times):
    times, ids = np.array(times), np.array([0, 1, 0])
    trains = SpikeTrains(times, ids, 2, t_stop=10.0)
    times[:], ids[:] = 7.0, 1
    assert trains.times.tolist() == [1.0, 2.0, 3.0] and trains.spike_counts.tolist() == [2, 1]
    assert not trains.times.flags.writeable and not trains.ids.flags.writeable


@pytest.mark.parametrize("n", [3, 300, 70_000])
def test_a_unit_is_found_among_many(n):
    """Numbers of units take one, two and four bytes."""
    ids = np.array([n - 1, 0, n // 2, n - 1])
    trains = SpikeTrains([1.0, 2.0, 3.0, 4.0], ids, n, t_stop=5.0)
    assert trains[n - 1].tolist() == [1.0, 4.0] and trains[n // 2].tolist() == [3.0] and trains[0].tolist() == [2.0]


def test_units_may_be_given_one_by_one():
    trains = SpikeTrains.from_units([[5.0, 1.0], (), np.array([2.0])], t_start=1.0, t_stop=6.0, dt=0.5)
    same(trains, SpikeTrains([1.0, 2.0, 5.0], [0, 2, 0], 3, t_start=1.0, t_stop=6.0, dt=0.5))
    whole = poisson(n=4)
    same(SpikeTrains.from_units(whole, t_stop=400.0), whole)


@pytest.mark.parametrize(
    "times, message",
    [
        (None, "times must be one array per unit"),
        ("12", "times must be one array per unit"),
        ([], "n must be at least 1"),
        ([1.0, 2.0], r"times\[0\] must have 1 dimension"),
        ([[1.0], [np.nan]], r"times\[1\] must be finite"),
        ([[1.0], ["x"]], r"times\[1\]"),
        ([[1.0], [11.0]], r"times must lie in \[0, 10\] ms, got 11"),
    ],
)
def test_units_that_are_no_times_are_refused(times, message):
    with pytest.raises((ValueError, TypeError), match=message):
        SpikeTrains.from_units(times, t_stop=10.0)


def test_joined_trains_have_a_grid_only_if_both_have_the_same():
    later = SpikeTrains([450.0], [0], 6, t_start=400.0, t_stop=500.0, dt=0.1)
    assert poisson(dt=0.1).join(later).dt == 0.1 and poisson(dt=0.5).join(later).dt is None


def test_the_order_of_the_given_spikes_does_not_matter():
    pairs = [(3.0, 1), (3.0, 0), (9.0, 2), (1.0, 4), (3.0, 3)]
    same(trains_of(pairs), trains_of(pairs[::-1]))


def test_the_record_shares_no_memory_and_is_read_only():
    times, ids = np.array([1.0, 2.0]), np.array([0, 1])
    trains = SpikeTrains(times, ids, 2, t_stop=3.0)
    times[0], ids[0] = 2.5, 1
    assert trains[0].tolist() == [1.0]
    for array in (trains.times, trains.ids, trains[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_repr_tells_units_spikes_rate_and_window():
    trains = SpikeTrains([105.0, 110.0, 115.0], [0, 1, 1], 3, t_start=100.0, t_stop=150.0)
    assert repr(trains) == "SpikeTrains(n=3, 3 spikes, mean rate 20 Hz, 100 to 150 ms)"
    assert trains.mean_rate == pytest.approx(3 / 3 / 0.05)


def test_no_spikes_are_trains_too():
    trains = SpikeTrains([], [], 2, t_stop=10.0)
    assert trains.n_spikes == 0 and trains.mean_rate == 0 and trains[1].size == 0
    assert not trains.counts(5.0).any() and not trains.filtered(3.0).any() and not trains.rate(2.0).any()
    assert not trains.smoothed(np.cos, 3.0).any()


def test_both_ends_of_the_window_belong_to_it_up_to_rounding():
    # 3 * 0.1 is the next number above 0.3
    trains = SpikeTrains([0.0, 3 * 0.1], [0, 0], 1, t_stop=0.3, dt=0.1)
    assert trains.counts(0.1).ravel().tolist() == [1, 0, 1]
    assert SpikeTrains([3 * 0.1], [0], 1, t_stop=0.3).n_spikes == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(times=[1.0, np.nan]), "times must be finite, got nan at index"),
        (dict(times=[1.0, np.inf]), "times must be finite"),
        (dict(times=None), "times must hold real numbers"),
        (dict(times="ab"), "times must hold real numbers"),
        (dict(times=[[1.0, 2.0]]), "times must have 1 dim"),
        (dict(times=[1.0]), "ids must have one unit per time"),
        (dict(times=[1.0, 11.0]), r"times must lie in \[0, 10\] ms, got 11"),
        (dict(times=[-1.0, 1.0]), r"times must lie in \[0, 10\] ms, got -1"),
        (dict(ids=[0, 3]), r"ids must lie in 0..2 for n = 3 units, got 3"),
        (dict(ids=[0, -1]), "ids must lie in 0..2"),
        (dict(ids=[0.0, 1.0]), "ids must be integers"),
        (dict(ids=[True, False]), "ids must be integers"),
        (dict(ids=None), "ids must be integers"),
        (dict(ids=[[0, 1]]), "ids must have 1 dimension"),
        (dict(n=0), "n must be at least 1"),
        (dict(n=2.0), "n must be an integer"),
        (dict(n=True), "n must be an integer"),
        (dict(t_stop=0.0), "t_stop must be above t_start = 0 ms, got 0"),
        (dict(t_stop=np.nan), "t_stop must be finite"),
        (dict(t_start="0"), "t_start must be a number"),
        (dict(dt=0.0), "dt must be above 0"),
        (dict(dt=True), "dt must be a number"),
    ],
)
def test_bad_spikes_are_refused_by_name(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        SpikeTrains(**{**dict(times=[1.0, 2.0], ids=[0, 1], n=3, t_stop=10.0), **arguments})


@pytest.mark.parametrize(("unit", "kind"), [(3, IndexError), (-4, IndexError), (1.0, TypeError), ([0, 1], TypeError)])
def test_bad_units_are_refused(unit, kind):
    with pytest.raises(kind, match=r"unit|select"):
        SpikeTrains([], [], 3, t_stop=1.0)[unit]


# --- parts ----------------------------------------------------------------------------------------------------------


@given(times_and_ids, st.floats(1.0, 99.0))
@settings(deadline=None, max_examples=50)
def test_two_windows_that_share_an_edge_make_the_whole_again(pairs, edge):
    trains = trains_of(pairs)
    before, after = trains.between(0, edge), trains.between(edge, 100)
    assert before.n_spikes + after.n_spikes == trains.n_spikes
    same(before.join(after), trains)


def test_a_spike_on_the_edge_belongs_to_the_later_window_and_one_at_the_end_to_the_last():
    trains = SpikeTrains([3 * 0.1, 1.0], [0, 0], 1, t_stop=1.0, dt=0.1)
    assert trains.between(0, 0.3).n_spikes == 0
    assert trains.between(0.3, 1.0).n_spikes == 2
    assert trains.between(3 * 0.1, 0.9).n_spikes == 1


def test_windows_keep_time_and_number_of_units():
    part = SpikeTrains([15.0, 25.0], [0, 2], 3, t_start=10.0, t_stop=30.0).between(20, 30)
    assert repr(part) == "SpikeTrains(n=3, 1 spikes, mean rate 33.33 Hz, 20 to 30 ms)"


@pytest.mark.parametrize(("t0", "t1"), [(-1, 5), (5, 5), (6, 5), (0, 11)])
def test_windows_outside_are_refused(t0, t1):
    with pytest.raises(ValueError, match=r"t0 and t1 must satisfy 0 <= t0 < t1 <= 10 ms"):
        SpikeTrains([], [], 1, t_stop=10.0).between(t0, t1)


def test_selected_units_are_numbered_in_the_order_asked_for():
    trains = poisson()
    part = trains.select([4, 0, 5])
    assert len(part) == 3 and (part.t_start, part.t_stop) == (trains.t_start, trains.t_stop)
    for new, old in enumerate([4, 0, 5]):
        assert_array_equal(part[new], trains[old])
    same(trains.select(slice(1, None, 2)), trains.select([1, 3, 5]))
    same(trains.select(np.arange(6) % 2 == 1), trains.select([1, 3, 5]))


@pytest.mark.parametrize("ids", [[0, 0], [], [6], [-1], [0.5], None, "a", [True, False], [[0]]])
def test_bad_selections_are_refused(ids):
    with pytest.raises((ValueError, TypeError), match="ids"):
        poisson().select(ids)


def test_only_the_next_run_of_the_same_units_is_joined():
    trains = poisson()
    with pytest.raises(ValueError, match="later must begin at t_stop = 400 ms, got t_start = 0 ms"):
        trains.join(trains)
    with pytest.raises(ValueError, match="later must have n = 6 units, got 2"):
        trains.join(SpikeTrains([], [], 2, t_start=400.0, t_stop=500.0))
    with pytest.raises(TypeError, match="later must be SpikeTrains"):
        trains.join([1.0])


# --- signals --------------------------------------------------------------------------------------------------------


@given(times_and_ids, st.sampled_from([0.7, 1.0, 7.0, 33.0, 100.0]))
@settings(deadline=None, max_examples=50)
def test_counts_are_those_of_numpy_histograms(pairs, width):
    trains = trains_of(pairs)
    counts = trains.counts(width)
    edges = np.arange(int(100 / width + 1e-9) + 1) * width  # numpy also closes the last bin, even where it ends early
    used = [(t, i) for t, i in pairs if t < edges[-1] or edges[-1] > 100 - 1e-9]
    for unit in range(5):
        assert_array_equal(counts[:, unit], np.histogram([t for t, i in used if i == unit], edges)[0])
    assert_allclose(trains.rate(width), counts.sum(axis=1) / (5 * width / 1000), rtol=1e-13)


def test_every_step_of_a_grid_falls_into_its_own_bin():
    steps = np.arange(10_000)
    trains = SpikeTrains(steps * 0.1, np.zeros(10_000, int), 1, t_stop=1000.0, dt=0.1)
    assert (trains.counts(0.1) == 1).all()
    assert (trains.counts(1.0) == 10).all()
    assert (SpikeTrains(steps * 0.1, np.zeros(10_000, int), 1, t_stop=1000.0).counts(0.1) == 1).all()


def test_a_rest_shorter_than_a_bin_is_left_out():
    trains = SpikeTrains([1.0, 9.5, 10.0], [0, 0, 0], 1, t_stop=10.0)
    assert trains.counts(3.0).ravel().tolist() == [1, 0, 0]


@pytest.mark.parametrize("width", [0.0, -1.0, 11.0, np.nan, None, "1", True])
def test_bad_bins_are_refused(width):
    trains = SpikeTrains([], [], 1, t_stop=10.0)
    for method, name in ((trains.counts, "bin"), (trains.rate, "bin")):
        with pytest.raises((ValueError, TypeError), match=name):
            method(width)
    with pytest.raises((ValueError, TypeError), match="every"):
        trains.filtered(1.0, every=width)


def brute_force(trains, kernel, every):
    rows = trains.t_start + every * np.arange(1, int(trains.duration / every + 1e-9) + 1)
    return np.array([[kernel(t - trains[i]).sum() for i in range(trains.n)] for t in rows])


@pytest.mark.parametrize("every", [0.5, 1.0, 7.0])
def test_filtered_trains_are_the_sum_of_decaying_spikes(every):
    trains = poisson().between(50, 400)
    expected = brute_force(trains, lambda lag: np.where(lag >= 0, np.exp(-np.maximum(lag, 0) / 20), 0), every)
    assert_allclose(trains.filtered(20.0, every=every), expected, rtol=1e-12, atol=1e-13)  # rounding of the recursion


def test_a_spike_at_the_sample_counts_whole_and_one_at_the_start_has_decayed():
    x = SpikeTrains([0.0, 2.0, 3.0], [0, 1, 1], 2, t_stop=3.0).filtered(4.0)
    assert_allclose(x[:, 0], np.exp(-np.arange(1, 4) / 4), rtol=1e-15)
    assert_allclose(x[:, 1], [0, 1, 1 + np.exp(-0.25)], rtol=1e-15)


def test_two_runs_filter_like_one():
    trains = poisson(dt=0.1)
    whole, before, after = trains.filtered(15.0), trains.between(0, 200), trains.between(200, 400)
    decay = np.exp(-np.arange(1, 201) / 15)[:, None]
    # a spike at the shared edge is the later run's and has its full weight there
    edge = np.array([(times == 200).sum() for times in after])
    assert_allclose(after.filtered(15.0) + decay * before.filtered(15.0)[-1], whole[200:], rtol=1e-12, atol=1e-13)
    assert_allclose(before.filtered(15.0)[-1] + edge, whole[199], rtol=1e-12)


def test_a_given_kernel_looks_back_and_ahead():
    trains = poisson()
    gauss = lambda lag: np.where(np.abs(lag) <= 30, np.exp(-(lag**2) / 50), 0)  # noqa: E731
    assert_allclose(trains.smoothed(gauss, (-30, 30), every=2.0), brute_force(trains, gauss, 2.0), rtol=0, atol=1e-12)
    box = lambda lag: ((lag >= 0) & (lag <= 10)) * 1.0  # noqa: E731
    assert_allclose(trains.smoothed(np.ones_like, 10.0), brute_force(trains, box, 1.0))


def test_a_long_exponential_kernel_is_the_exact_filter():
    trains = poisson()
    assert_allclose(
        trains.smoothed(lambda lag: np.exp(-lag / 5), 200.0), trains.filtered(5.0), rtol=0, atol=1e-12
    )  # exp(-40) is cut off


def test_bad_kernels_are_refused():
    trains = poisson()
    with pytest.raises(TypeError, match="kernel must be a function"):
        trains.smoothed(3.0, 10.0)
    for support in ((5, 5), (3, 1), -1.0, (1, 2, 3), 0.0):
        with pytest.raises(ValueError, match="support must be"):
            trains.smoothed(np.exp, support)
    with pytest.raises(ValueError, match=r"kernel\(lags\) must be finite"):
        trains.smoothed(lambda lag: lag * np.nan, 10.0)
    for tau in (0.0, -1.0, np.nan, None, "5", True):
        with pytest.raises((ValueError, TypeError), match="tau"):
            trains.filtered(tau)


# --- files and other tools ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [None, 0.1])
def test_saved_trains_come_back_the_same_to_the_last_bit(tmp_path, dt):
    trains = poisson(dt=dt).between(0.5, 399.25) if dt is None else poisson(dt=dt)
    trains.save(tmp_path / "run.npz")
    same(SpikeTrains.load(tmp_path / "run.npz"), trains)
    with np.load(tmp_path / "run.npz", allow_pickle=False) as arrays:
        assert_array_equal(arrays["times"], trains.times)
        assert_array_equal(arrays["ids"], trains.ids)


def test_a_failed_save_leaves_the_older_file(tmp_path, monkeypatch):
    poisson(seed=1).save(tmp_path / "run.npz")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        poisson(seed=2).save(tmp_path / "run.npz")
    same(SpikeTrains.load(tmp_path / "run.npz"), poisson(seed=1))
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        SpikeTrains.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", times=np.arange(3.0))
    with pytest.raises(ValueError, match="cannot load .*was not written by penstock"):
        SpikeTrains.load(tmp_path / "other.npz")
    (tmp_path / "text").write_text("spikes")
    with pytest.raises(ValueError, match="cannot load"):
        SpikeTrains.load(tmp_path / "text")
    penstock.save(ESN.random(5, seed=0), tmp_path / "esn")
    with pytest.raises(ValueError, match="holds a ESN, not SpikeTrains"):
        SpikeTrains.load(tmp_path / "esn")


def test_altered_files_are_refused(tmp_path):
    poisson().save(tmp_path / "run.npz")
    data = bytearray((tmp_path / "run.npz").read_bytes())
    data[400] ^= 1  # within the times
    (tmp_path / "run.npz").write_bytes(data)
    with pytest.raises(ValueError, match="cannot load"):
        SpikeTrains.load(tmp_path / "run.npz")


def test_neo_gets_every_unit_with_its_window_in_ms(monkeypatch):
    made = []
    fake = SimpleNamespace(SpikeTrain=lambda times, **window: made.append((times.tolist(), window)))
    monkeypatch.setitem(sys.modules, "neo", fake)
    SpikeTrains([4.0, 2.0, 3 * 0.1], [0, 0, 2], 3, t_start=0.3, t_stop=5.0).to_neo()
    window = dict(t_start=0.3, t_stop=5.0, units="ms")
    assert made == [([2.0, 4.0], window), ([], window), ([3 * 0.1], window)]


def test_without_neo_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(ImportError, match="pip install neo"):
        poisson().to_neo()
