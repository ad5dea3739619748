import csv

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from penstock.data import read_series, read_ts


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return to_file


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_whatever_parts_its_cells(write, delimiter, end):
    rows = [["x", "y"], ["1", "-2.5"], ["3e2", "4"]]
    series = read_series(write(end.join(delimiter.join(row) for row in rows) + end))
    assert_array_equal(series.values, [[1.0, -2.5], [300.0, 4.0]])
    assert series.names == ("x", "y") and series.values.dtype == np.float64


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 4).flatmap(
        lambda d: st.lists(st.lists(st.floats(allow_infinity=False), min_size=d, max_size=d), min_size=1, max_size=6)
    )
)
def test_what_the_csv_module_writes_comes_back_bit_for_bit(tmp_path, rows):
    path = tmp_path / "floats.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert_array_equal(read_series(path).values, rows)  # repr of a float is exact; NaN is written as nan


def test_a_large_table_agrees_with_loadtxt(tmp_path):
    path = tmp_path / "noise.txt"
    np.savetxt(path, np.random.default_rng(0).standard_normal((500, 3)), header="a b c")  # NumPy's header is a remark
    assert_array_equal(read_series(path).values, np.loadtxt(path))
    assert read_series(path).names == ("0", "1", "2")


def test_every_mark_of_a_missing_value_becomes_nan_and_keeps_its_place(write):
    marks = ["", "NA", "n/a", "NaN", "null", "None", "?"]
    series = read_series(write("t,x\n" + "".join(f"{k},{mark}\n" for k, mark in enumerate([*marks, "5"]))))
    assert_array_equal(series.values[:, 1], [np.nan] * 7 + [5.0])
    assert_array_equal(series.values[:, 0], range(8))
    assert "7 missing" in repr(series)


def test_a_header_is_seen_only_where_words_stand_alone(write):
    assert read_series(write("1,2\n3,4\n")).names == ("0", "1")
    assert read_series(write("NA,2\n3,4\n")).values.shape == (2, 2)
    assert read_series(write("NA,NA\n3,4\n")).values.shape == (2, 2)  # missing values are no names
    assert read_series(write(",x\n0,4\n")).names == ("0", "x")  # as a data frame with its index is written
    assert read_series(write("1700,1701\n3,4\n"), header=True).names == ("1700", "1701")
    with pytest.raises(ValueError, match="line 1, column '0'.*'a'"):
        read_series(write("a,2\n3,4\n"))  # it may be a header or a malformed cell: ask
    with pytest.raises(ValueError, match=r"line 1, column '0'.*'2001-01-01'"):
        read_series(write("2001-01-01,NA\n2001-01-02,4\n"))  # a day is no name of a column


def test_remarks_a_byte_order_mark_and_quotes_are_understood(write):
    text = '\ufeff# station 7\n\n"speed, m/s","x"\n# recalibrated\n"1.5", 2\n\n\n'
    series = read_series(write(text))
    assert series.names == ("speed, m/s", "x")
    assert_array_equal(series.values, [[1.5, 2.0]])


def test_a_decimal_comma_is_read_where_asked_for_and_never_guessed(write):
    path = write("a;b\n0,5;-1,25e1\n")
    assert_array_equal(read_series(path, decimal=",").values, [[0.5, -12.5]])
    assert_array_equal(read_series(write("0,5 2\n"), decimal=",").values, [[0.5, 2.0]])
    with pytest.raises(ValueError, match="decimal"):
        read_series(path)
    with pytest.raises(ValueError, match=r"'1\.000'"):
        read_series(write("1.000;2,5\n"), decimal=",")  # one or a thousand? nobody knows


def test_one_column_without_a_delimiter_is_a_series_of_one_column(write):
    assert_array_equal(read_series(write("number of spots\n5\n11\n")).values, [[5.0], [11.0]])
    assert read_series(write("number of spots\n5\n11\n")).names == ("number of spots",)


def test_columns_are_chosen_by_name_and_position_in_the_order_asked_for(write):
    path = write("day,x,y\n2001-01-01,1,2\n2001-01-02,3,4\n")
    series = read_series(path, columns=["y", 1])
    assert series.names == ("y", "x")
    assert_array_equal(series.values, [[2.0, 1.0], [4.0, 3.0]])
    assert_array_equal(read_series(path, columns="x").values, [[1.0], [3.0]])


@pytest.mark.parametrize("bad", ["abc", "1_000", "inf", "-Infinity", "1e999", "1.2.3", "0x10", "1 2", "$5"])
def test_a_malformed_cell_is_named_by_line_and_column(write, bad):
    with pytest.raises(ValueError, match=r"table\.csv, line 4, column 'y': .* finite number") as raised:
        read_series(write(f"# remark\nx,y\n1,2\n3,{bad}\n"))
    assert repr(bad) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2\n3,4\n5\n", "line 3: every row must have 2 cells, got 1"),
        ("1,2\n3,4,5\n6,7\n", "cell"),
        ("1\n\n3\n", "line 2: a row must not be empty; write NaN"),
        ("", "at least one row"),
        ("# only\n\n", "at least one row"),
        ("x,y\n", "header only"),
        ('1,"2\n3,4\n', "line 1"),
    ],
)
def test_a_table_that_is_none_is_explained(write, text, says):
    with pytest.raises(ValueError, match=says):
        read_series(write(text))


def test_arguments_out_of_range_are_named(write):
    path = write("x,x,y\n1,2,3\n")
    for columns, says in ((["z"], "'z': none"), (["x"], "2 of that name"), ([3], "got 3"), ([], "at least one")):
        with pytest.raises(ValueError, match=rf"columns must name.*{says}"):
            read_series(path, columns=columns)
    for columns in ([1.5], 1.5, True):
        with pytest.raises(TypeError, match="columns must be an integer"):
            read_series(path, columns=columns)
    assert_array_equal(read_series(path, columns=np.int64(2)).values, [[3.0]])
    for delimiter in ("", ", ", 5):
        with pytest.raises(ValueError, match=f"delimiter must be one character, got {delimiter!r}"):
            read_series(path, delimiter=delimiter)
    for decimal, delimiter in (("'", None), (",", ",")):
        with pytest.raises(ValueError, match="decimal must be"):
            read_series(path, decimal=decimal, delimiter=delimiter)
    with pytest.raises(FileNotFoundError):
        read_series(path.with_name("absent.csv"))


def test_text_in_another_encoding_is_read_when_it_is_named(write):
    path = write("größe\n1\n", encoding="latin-1")
    with pytest.raises(ValueError, match="text in utf-8"):
        read_series(path)
    assert read_series(path, encoding="latin-1").names == ("größe",)


def test_npy_files_come_back_as_steps_by_columns(tmp_path):
    table = np.arange(6.0).reshape(3, 2)
    table[1, 0] = np.nan
    for array in (table, table[:, 0], np.array([1, 2, 3], np.int16), np.array([True, False]), table.astype(">f4")):
        np.save(tmp_path / "a.npy", array)
        series = read_series(tmp_path / "a.npy")
        assert_array_equal(series.values, array.reshape(len(array), -1).astype(float))
        assert series.values.dtype == np.float64
    np.save(tmp_path / "a.npy", table)
    assert_array_equal(read_series(tmp_path / "a.npy", columns=[1, "0"]).values, table[:, ::-1])


def test_npz_arrays_stand_side_by_side_under_their_names(tmp_path):
    t, xy = np.arange(3.0), np.arange(6.0).reshape(3, 2)
    np.savez_compressed(tmp_path / "a.npz", t=t, position=xy, note=np.array("run 7"))
    series = read_series(tmp_path / "a.npz", columns=["position", "t"])
    assert series.names == ("position_0", "position_1", "t")
    assert_array_equal(series.values, np.column_stack([xy, t]))
    with pytest.raises(ValueError, match="array 'note' must hold real numbers"):
        read_series(tmp_path / "a.npz")


def test_npz_arrays_of_several_lengths_must_be_chosen_from(tmp_path):
    np.savez(tmp_path / "a.npz", train=np.zeros(5), test=np.ones(2))
    with pytest.raises(ValueError, match="one length, got train 5, test 2; name those"):
        read_series(tmp_path / "a.npz")
    assert_array_equal(read_series(tmp_path / "a.npz", columns=["test"]).values, np.ones((2, 1)))


def test_nothing_is_ever_unpickled(tmp_path):
    opened = tmp_path / "opened"

    class Trap:
        def __reduce__(self):
            return opened.mkdir, ()

    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "b.npz", x=trap)
    trap.dump(tmp_path / "c.npy")  # a bare pickle under the name of an array
    for name in ("a.npy", "b.npz", "c.npy"):
        with pytest.raises(ValueError, match=f"{name} must be a whole file of np.save or np.savez"):
            read_series(tmp_path / name)
    assert not opened.exists()


def test_damaged_array_files_are_named(tmp_path):
    noise = np.random.default_rng(0).standard_normal(400)
    for name, save in (("a.npy", np.save), ("b.npz", np.savez), ("c.npz", np.savez_compressed)):
        save(tmp_path / name, noise)
        whole = (tmp_path / name).read_bytes()
        altered = whole[:800] + bytes(byte ^ 255 for byte in whole[800:900]) + whole[900:]
        for damaged in (whole[: len(whole) // 2], b"", b"not an array", altered):
            if name == "a.npy" and damaged is altered:
                continue  # an .npy file carries no checksum
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(ValueError, match=f"{name} must be a whole file"):
                read_series(tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros((2, 2, 2)), np.zeros(0), np.zeros(3, complex), np.array(["a"])])
def test_arrays_that_are_no_series_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match="must hold real numbers"):
        read_series(tmp_path / "a.npy")


def test_infinite_values_of_an_array_are_named_by_step(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1.0, 2.0], [3.0, -np.inf]]))
    with pytest.raises(ValueError, match="infinite value at step 1"):
        read_series(tmp_path / "a.npy")


TS = """#A remark: with a colon
@problemName Small
@timeStamps false
@classLabel true Rise fall
@data
1,2,3.5:-1,0,1e-3:Rise
7:?:fall
"""


def test_ts_series_are_steps_by_channels_with_their_labels_as_written(write):
    series, labels = read_ts(write(TS, "small.ts"))
    assert_array_equal(series[0], [[1.0, -1.0], [2.0, 0.0], [3.5, 1e-3]])
    assert_array_equal(series[1], [[7.0, np.nan]])
    assert labels.tolist() == ["Rise", "fall"] and series[0].flags.c_contiguous
    marked = read_ts(write("\ufeff@classLabel true\n@data\n1:a\n", "marked.ts"))  # a byte order mark is no text
    assert marked[1].tolist() == ["a"]


def test_ts_series_without_labels_have_empty_ones(write):
    series, labels = read_ts(write("@classLabel false\n@data\n1,2:3,4\n", "small.ts"))
    assert_array_equal(series[0], [[1.0, 3.0], [2.0, 4.0]])
    assert labels.tolist() == [""]


def test_ts_targets_of_a_regression_are_kept_as_text(write):
    assert read_ts(write("@targetlabel true\n@data\n1,2:0.5\n", "small.ts"))[1].tolist() == ["0.5"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("3.5", "x", r"small\.ts, line 6: a cell must be a finite number, got 'x'"),
        ("-1,0,1e-3", "-1,0", r"line 6: .* one length, got \[3, 2\]"),
        ("7:?:fall", "7:fall", "series 1 must have 2 channels, got 1"),
        ("7:?:fall", "fall", "line 7: channels must be there"),
        ("timeStamps false", "timeStamps true", "without time stamps"),
        ("@data\n", "", "must hold a line @data and series"),
        ("1,2,3.5:-1,0,1e-3:Rise\n7:?:fall\n", "", "must hold a line @data and series"),
    ],
)
def test_ts_files_that_are_malformed_are_explained(write, old, new, says):
    assert old in TS
    with pytest.raises(ValueError, match=says):
        read_ts(write(TS.replace(old, new), "small.ts"))
