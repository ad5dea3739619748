"""Values as exact text: what goes in comes out, bit by bit, and equal means equal."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from penstock import tanh, weights
from penstock.reservoirs import ESN
from penstock.sweep_values import Name, canonical, decode, encode, from_text, to_text

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple))
DTYPES = st.sampled_from(["<f8", ">f4", "<i2", ">i8", "|u1", "|b1", "<c16", "<U3", "|S2", "<f2"])
ARRAYS = DTYPES.flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=1, max_dims=3, min_side=0)))


def through_text(value, **options):
    return decode(from_text(to_text(encode(value, "x", **options))))


def bits(value):
    """A value as something that is equal only for the same type and bits, every NaN being one."""
    if isinstance(value, list | tuple):
        return type(value), [bits(part) for part in value]
    if isinstance(value, complex):
        return complex, bits(value.real), bits(value.imag)
    if isinstance(value, float):
        return float, "nan" if math.isnan(value) else value.hex()
    return type(value), value


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_values_come_back_with_type_and_bits(value):
    assert bits(through_text(value)) == bits(value)


@settings(deadline=None, max_examples=30)
@given(ARRAYS, st.booleans())
def test_arrays_come_back_with_their_bytes(array, transposed):
    array = array.T if transposed else array
    back = through_text(array, results=True)
    assert back.shape == array.shape and back.dtype == array.dtype.newbyteorder("<") and back.flags.writeable
    assert back.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(st.text(min_size=1, max_size=3), SCALARS, max_size=4))
def test_the_order_of_the_parameters_is_no_part_of_a_point(point):
    assert canonical(point) == canonical(dict(reversed(point.items())))


def test_unlike_values_have_unlike_texts():
    values = [1, 1.0, True, "1", (1,), [1], np.array([1]), np.array([1.0]), 0.0, -0.0, 0, False, None, "", 1j, 2**70]
    values += [math.nan, math.inf, -math.inf, "nan", Name("nan"), np.nextafter(1, 2), np.ones((1, 1), int), b"1"]
    assert len({canonical({"x": value}) for value in values}) == len(values)


def test_numbers_of_numpy_are_those_of_python():
    for ours, theirs in [(3, np.int8(3)), (0.1, np.float64(0.1)), (True, np.bool_(True)), (0.5, np.array(0.5))]:
        assert canonical({"x": ours}) == canonical({"x": theirs})
    assert through_text(np.float32(0.1)) == float(np.float32(0.1))


@pytest.mark.parametrize("name", ["penstock.weights.ring", "penstock.tanh", "penstock.reservoirs.ESN.random"])
def test_functions_are_stored_by_their_public_name_and_never_called(name):
    thing = {"penstock.weights.ring": weights.ring, "penstock.tanh": tanh}.get(name, ESN.random)
    back = through_text(thing)
    assert type(back) is Name and back == name
    assert encode(back, "x") == encode(thing, "x")


def test_functions_of_other_modules_go_by_module_and_name():
    assert encode(math.hypot, "x") == {"name": "math.hypot"}
    assert encode(np.ndarray, "x") == {"name": "numpy.ndarray"}


@pytest.mark.parametrize(
    "value", [lambda x: x, object(), {"a": 1}, {1}, np.array([object()]), np.longdouble(1), np.datetime64("2020-01-01")]
)
def test_what_has_no_exact_text_is_refused_by_name(value):
    with pytest.raises(TypeError, match="leak must be"):
        canonical({"leak": value})
    with pytest.raises(TypeError, match="score must be"):
        encode(value, "score", results=True)


def test_lists_are_no_results_and_long_arrays_no_values():
    with pytest.raises(TypeError, match=r"score must be .* numpy\.asarray"):
        encode([1, 2], "score", results=True)
    with pytest.raises(TypeError, match=r"mask must be an array of at most 65536 bytes, got 80000: .* inside"):
        canonical({"mask": np.zeros(10000)})


def test_nothing_but_exact_json_is_read():
    for text in ('{"a":NaN}', "[1,", "Infinity"):
        with pytest.raises(ValueError):
            from_text(text)
    with pytest.raises(ValueError, match="dtype"):
        decode({"array": "", "dtype": "|O8", "shape": [0]})
