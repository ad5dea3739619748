"""The Japanese Vowels: utterances of nine speakers, read from where the package aeon keeps them."""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penstock.data.files import read_ts

__all__ = ["LabelledSeries", "japanese_vowels"]


class LabelledSeries(NamedTuple):
    """Series of unequal length with one label each, parted into those to train and those to test with.

    Attributes
    ----------
    train_series, test_series : list of arrays, shapes (T_i, d)
        The series.
    train_labels, test_labels : array of str, shape (n,)
        The label of each.
    """

    train_series: list[np.ndarray]
    train_labels: np.ndarray
    test_series: list[np.ndarray]
    test_labels: np.ndarray

    def __repr__(self):
        lengths = [len(series) for series in self.train_series + self.test_series]
        return (
            f"LabelledSeries({len(self.train_series)} to train, {len(self.test_series)} to test; "
            f"{self.train_series[0].shape[1]} channels, {min(lengths)} to {max(lengths)} steps, "
            f"{len(set(self.train_labels))} labels)"
        )


def japanese_vowels() -> LabelledSeries:
    """Return the Japanese Vowels, 270 utterances to train and 370 to test with, as `LabelledSeries`.

    Nine men say the vowels /ae/; 12 coefficients of the linear-prediction cepstrum per frame of 25.6 ms, one frame
    every 6.4 ms, 7 to 29 frames long. The label, "1" to "9", is the speaker: 30 utterances of each to train with, 24
    to 88 to test with, in the order of the files.

    The recordings are not shipped here, as the terms of passing them on are not settled. They come out of the files
    inside the optional package aeon, which is looked up and not imported: it need not be able to run, so that
    ``pip install --no-deps aeon`` is enough and keeps its pins on other packages out of your environment.

    Returns
    -------
    LabelledSeries

    Raises
    ------
    ImportError
        If aeon is not installed, or does not hold the files.

    References
    ----------
    Kudo, Toyama and Shimbo (1999), Multidimensional curve classification using passing-through regions, Pattern
    Recognition Letters 20. Data: UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47.

    Examples
    --------
    >>> vowels = japanese_vowels()  # doctest: +SKIP
    >>> vowels  # doctest: +SKIP
    LabelledSeries(270 to train, 370 to test; 12 channels, 7 to 29 steps, 9 labels)
    """
    folder = _folder()
    return LabelledSeries(*read_ts(folder / "JapaneseVowels_TRAIN.ts"), *read_ts(folder / "JapaneseVowels_TEST.ts"))


def _folder():
    """Return the folder of the files inside aeon."""
    spec = find_spec("aeon")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place, "datasets", "data", "JapaneseVowels")
        if (folder / "JapaneseVowels_TRAIN.ts").is_file() and (folder / "JapaneseVowels_TEST.ts").is_file():
            return folder
    state = "aeon is not installed" if spec is None else "the installed aeon lacks them (1.6 has them)"
    raise ImportError(
        "the Japanese Vowels are not shipped with penstock, as the terms of passing them on are not settled; they are "
        f"read from the files inside the package aeon, and {state}: pip install --no-deps aeon"
    )
