import hashlib
import re
from importlib.resources import files

import numpy as np
from numpy.testing import assert_array_equal

from penstock.data import sunspots


def test_sunspots_are_yearly_from_1700_to_2008():
    years, numbers = sunspots()
    assert_array_equal(years, np.arange(1700, 2009))
    assert numbers.shape == (309,) and numbers.dtype == np.float64 and years.dtype == np.int64


def test_sunspots_have_their_known_values():
    record = dict(zip(*(column.tolist() for column in sunspots()), strict=True))
    assert (record[1700], record[1957], record[2008]) == (5.0, 190.2, 2.9)
    assert record[1816] == 45.8 and record[1989] == 157.6  # two more of the yearly means as published by NOAA/NGDC
    assert min(record.values()) == 0.0 and max(record.values()) == 190.2


def test_sunspots_have_the_cycle_of_about_eleven_years():
    numbers = sunspots()[1] - sunspots()[1].mean()
    power = np.abs(np.fft.rfft(numbers)) ** 2
    assert 10 < 309 / power.argmax() < 12


def test_sunspots_file_has_the_checksum_of_the_readme():
    folder = files("penstock.data")
    data = folder.joinpath("sunspots.csv").read_bytes().replace(b"\r\n", b"\n")  # a checkout may convert line ends
    (stated,) = re.findall(r"`([0-9a-f]{64})`", folder.joinpath("README.md").read_text(encoding="utf-8"))
    assert hashlib.sha256(data).hexdigest() == stated
    assert data.startswith(b"year,sunspot_number\n1700,5\n")


def test_sunspots_are_fresh_arrays():
    sunspots()[1][:] = 0.0
    assert sunspots()[1][0] == 5.0
