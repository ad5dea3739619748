"""Measured series: the small public-domain record that ships with the package."""

from importlib.resources import files

import numpy as np

__all__ = ["sunspots"]


def sunspots() -> tuple[np.ndarray, np.ndarray]:
    """Return the yearly mean sunspot numbers 1700 to 2008 as (years, numbers), both of shape (309,).

    Returns
    -------
    years : array of int, shape (309,)
        Calendar years.
    numbers : array of float, shape (309,)
        Yearly means of the international (Wolf) sunspot number as it was before the revision of 2015.

    Notes
    -----
    Source: NOAA/NGDC, through statsmodels, declared public domain; see the README beside the file.

    Examples
    --------
    >>> years, numbers = sunspots()
    >>> int(years[numbers.argmax()]), float(numbers.max())
    (1957, 190.2)
    """
    with files("penstock.data").joinpath("sunspots.csv").open(encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, 0].astype(np.int64), table[:, 1].copy()
