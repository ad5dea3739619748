"""Tables, arrays and plots of a sweep against the formula that made it."""

import math
import sys

import numpy as np
import pytest

from penstock.sweep import load_sweep, sweep

pandas = pytest.importorskip("pandas")
xarray = pytest.importorskip("xarray")


def wave(a, b, n):
    if a == 2 and b == "q":
        raise ValueError("no wave")
    return {"level": a + len(b), "curve": np.arange(n) * a, "word": b * 2, "even": a % 2 == 0}


GRID = {"a": [3, 1, 2], "b": ["p", "q"], "n": [2, 4]}


@pytest.fixture(scope="module")
def result():
    with pytest.warns(UserWarning, match="4 of 24 tasks failed"):
        return sweep(wave, GRID, repeats=2, store=None, n_jobs=1, progress=False)


def noise(scale):
    """Values whose mean and standard error are known: 1, 2, 4 times the scale."""

    def draw(x, seed, drawn=iter([1.0, 2.0, 4.0] * 3)):  # noqa: B008
        return scale * x * next(drawn)

    return draw


def test_a_row_for_every_record_in_the_order_of_the_grid(result):
    table = result.to_pandas()
    assert list(table.columns) == [
        "a",
        "b",
        "n",
        "repeat",
        "seed",
        "level",
        "curve",
        "word",
        "even",
        "seconds",
        "status",
    ]
    assert len(table) == 24 and table["a"].tolist()[:8] == [3] * 8 and (table["status"] == "error").sum() == 4
    good = table[table["status"] == "ok"]
    assert (good["level"] == good["a"] + 1).all() and table["level"].isna().sum() == 4
    assert good["curve"].iloc[2].tolist() == [0, 3, 6, 9] and table["seed"].dtype == np.int64
    assert table.groupby("a")["level"].mean().to_dict() == {1: 2, 2: 3, 3: 4}


def test_an_array_over_the_grid_with_nan_for_what_is_missing(result):
    data = result.to_xarray()
    assert dict(data.sizes) == {"a": 3, "b": 2, "n": 2, "repeat": 2, "curve_0": 4}
    assert data["level"].sel(a=1, b="q", n=4).values.tolist() == [2, 2]
    assert np.isnan(data["level"].sel(a=2, b="q")).all() and int(data["level"].isnull().sum()) == 4
    assert data["curve"].sel(a=3, b="p", n=4, repeat=1).values.tolist() == [0, 3, 6, 9]
    assert np.isnan(data["curve"].sel(a=3, b="p", n=2, repeat=1).values[2:]).all()
    assert data["word"].sel(a=1, b="q", n=2, repeat=0).item() == "qq"
    assert data.attrs["function"].endswith("wave")


def test_complete_arrays_keep_their_type():
    data = sweep(lambda x: {"i": x, "r": np.float32([x])}, {"x": [1, 2]}, store=None, n_jobs=1).to_xarray()
    assert data["i"].dtype == np.int64 and data["r"].dtype == np.float32 and data["i"].values.tolist() == [[1], [2]]


def test_a_list_of_points_has_one_dimension():
    points = [{"a": 1, "b": 5}, {"a": 2, "b": 4}, {"a": 1, "b": 3}]
    found = sweep(lambda a, b: a * b, points, store=None, n_jobs=1)
    data = found.to_xarray()
    assert dict(data.sizes) == {"point": 3, "repeat": 1} and data["value"].values[:, 0].tolist() == [5, 8, 3]
    assert data["a"].values.tolist() == [1, 2, 1] and found.parameters == {"a": (1, 2), "b": (5, 4, 3)}
    assert found.mean("value").tolist() == [5, 8, 3] and found.select(a=1).mean("value").tolist() == [5, 3]


def test_means_and_standard_errors_are_those_of_the_repeats():
    found = sweep(noise(2.0), {"x": [1, 10]}, repeats=3, store=None, n_jobs=1)
    np.testing.assert_allclose(found.mean("value"), [14 / 3, 140 / 3], rtol=1e-15)
    error = np.std([2, 4, 8], ddof=1) / math.sqrt(3)
    np.testing.assert_allclose(found.standard_error("value"), [error, 10 * error], rtol=1e-14)
    single = sweep(noise(1.0), {"x": [1]}, store=None, n_jobs=1)
    assert np.isnan(single.standard_error("value")).all()


def test_selecting_drops_the_parameter_and_keeps_its_records(result):
    part = result.select(b="p", n=2)
    assert part.parameters == {"a": (3, 1, 2)} and len(part) == 6 and part.missing == 0 and not part.failures
    assert part.mean("level").tolist() == [4, 2, 3]
    for bad, fragment in [
        ({"c": 1}, "select takes a, b, n, got 'c'"),
        ({"a": 9}, "a must be one of 3, 1, 2, got 9"),
        ({"a": 1, "b": "p", "n": 2}, "at least one parameter"),
    ]:
        with pytest.raises(ValueError, match=fragment):
            result.select(**bad)
    assert result.select(a=1.0).mean("level").tolist() == result.select(a=1).mean("level").tolist()


def test_the_repr_says_what_there_is(result, tmp_path):
    text = repr(result)
    for fragment in ("wave: a 3 x b 2 x n 2 x repeats 2", "20 done, 4 failed, 0 missing", "level: 3 ± "):
        assert fragment in text
    sweep(noise(1.0), {"x": [1]}, store=tmp_path, n_jobs=1)
    assert str(tmp_path) in repr(load_sweep(tmp_path)) and "value: 1" in repr(load_sweep(tmp_path))


def test_numbers_beyond_floats_have_a_repr():
    found = sweep(lambda x: {"big": 10**400, "far": 1e300 * x}, {"x": [1, -1]}, store=None, n_jobs=1)
    assert "2 done" in repr(found) and "big" not in repr(found) and "far: 0 ± inf" in repr(found)


def test_one_parameter_is_drawn_as_a_curve_with_error_bars_in_the_order_of_its_values():
    found = sweep(noise(1.0), {"x": [10, 1]}, repeats=3, store=None, n_jobs=1)
    ax = found.plot("value")
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xydata(), [[1, 7 / 3], [10, 70 / 3]])
    assert ax.get_xlabel() == "x" and ax.get_ylabel() == "value"
    bars = ax.collections[0].get_segments()
    error = np.std([1, 2, 4], ddof=1) / math.sqrt(3)
    np.testing.assert_allclose([bar[1, 1] - bar[0, 1] for bar in bars], [2 * error, 20 * error])


def test_two_parameters_are_drawn_as_a_map_of_the_means(result):
    ax = result.select(n=2).plot("level")
    mesh = ax.collections[0]
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), [[2, 3, 4], [2, np.nan, 4]])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "3"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b") and ax.figure.axes[1].get_ylabel() == "level"


def test_points_over_two_parameters_are_drawn_in_colour():
    points = [{"a": 1, "b": 5}, {"a": 2, "b": 4}, {"a": 1, "b": 3}]
    ax = sweep(lambda a, b: a * b, points, store=None, n_jobs=1).plot()
    assert ax.collections[0].get_offsets().tolist() == [[1, 5], [2, 4], [1, 3]]
    assert ax.collections[0].get_array().tolist() == [5, 8, 3]


def test_what_cannot_be_drawn_says_why(result):
    with pytest.raises(ValueError, match=r"a, b, n vary: .*select\(a=3\)"):
        result.plot("level")
    with pytest.raises(ValueError, match=r"value must be one of 'level', 'curve', 'word', 'even', got None"):
        result.plot()
    for name in ("curve", "word"):
        with pytest.raises(ValueError, match=f"value must be a result that is one real number, got '{name}'"):
            result.select(n=2).plot(name)


def test_without_pandas_and_xarray_the_remedy_is_told(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"penstock\[tables\]"):
        result.to_pandas()
    with pytest.raises(ImportError, match=r"penstock\[tables\]"):
        result.to_xarray()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
