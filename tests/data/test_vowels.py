import sys
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from penstock import Ridge
from penstock.data import japanese_vowels
from penstock.reservoirs import ESN, Classifier, Drawn


def needs_aeon(test):
    """Run with the slow tests, where aeon is installed: the recordings are inside that package."""
    return pytest.mark.slow(pytest.mark.skipif(find_spec("aeon") is None, reason="needs aeon")(test))


@pytest.fixture
def no_aeon(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "aeon", raising=False)


def pretend(tmp_path, monkeypatch, files):
    folder = tmp_path / "aeon" / "datasets" / "data" / "JapaneseVowels"
    folder.mkdir(parents=True)
    (tmp_path / "aeon" / "__init__.py").write_text("raise RuntimeError('aeon must not be imported')")
    for part, text in files.items():
        (folder / f"JapaneseVowels_{part}.ts").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])


def test_without_aeon_the_message_says_what_to_install_and_why(no_aeon):
    with pytest.raises(ImportError, match="not shipped.*terms.*not installed: pip install --no-deps aeon"):
        japanese_vowels()


def test_an_aeon_without_the_files_is_told_from_none(no_aeon, tmp_path, monkeypatch):
    pretend(tmp_path, monkeypatch, {"TRAIN": "@classLabel true 1\n@data\n1,2:1\n"})
    with pytest.raises(ImportError, match="the installed aeon lacks them"):
        japanese_vowels()


def test_the_files_are_read_from_an_aeon_that_cannot_be_imported(no_aeon, tmp_path, monkeypatch):
    header = "@classLabel true 1 9\n@data\n"
    pretend(tmp_path, monkeypatch, {"TRAIN": header + "1,2:3,4:9\n5:6:1\n", "TEST": header + "7,8,9:7,8,9:1\n"})
    vowels = japanese_vowels()
    assert_array_equal(vowels.train_series[0], [[1.0, 3.0], [2.0, 4.0]])
    assert vowels.train_labels.tolist() == ["9", "1"] and vowels.test_labels.tolist() == ["1"]
    assert repr(vowels) == "LabelledSeries(2 to train, 1 to test; 2 channels, 1 to 3 steps, 2 labels)"
    assert "aeon" not in sys.modules


@needs_aeon
def test_vowels_have_the_counts_of_their_description():
    vowels = japanese_vowels()
    assert (len(vowels.train_series), len(vowels.test_series)) == (270, 370)
    lengths = [len(series) for series in vowels.train_series + vowels.test_series]
    assert (min(lengths), max(lengths), sum(lengths)) == (7, 29, 9961)
    assert {series.shape[1] for series in vowels.train_series + vowels.test_series} == {12}
    # utterances per speaker, from the files size_ae.train and size_ae.test of the UCI repository
    speakers, counts = np.unique(vowels.train_labels, return_counts=True)
    assert speakers.tolist() == list("123456789") and counts.tolist() == [30] * 9
    assert np.unique(vowels.test_labels, return_counts=True)[1].tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


@needs_aeon
def test_vowels_have_the_first_frame_of_the_original_file():
    # first line of ae.train, UCI repository
    first = [1.860936, -0.207383, 0.261557, -0.214562, -0.171253, -0.118167]
    assert_array_equal(japanese_vowels().train_series[0][0, :6], first)


@needs_aeon
def test_vowels_are_those_of_aeons_own_loader():
    datasets = pytest.importorskip("aeon.datasets", exc_type=ImportError)  # its imports need more than the files do
    vowels = japanese_vowels()
    for split, series, labels in (("train", *vowels[:2]), ("test", *vowels[2:])):
        theirs, their_labels = datasets.load_japanese_vowels(split=split)
        assert labels.tolist() == their_labels.tolist()
        for ours, other in zip(series, theirs, strict=True):
            assert_array_equal(ours, other.T)


@needs_aeon
def test_reading_twice_gives_fresh_arrays():
    japanese_vowels().train_series[0][:] = 0.0
    assert japanese_vowels().train_series[0].any()


@needs_aeon
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_reservoir_names_the_speaker_in_ninety_eight_of_a_hundred_utterances(seed):
    train, labels, test, wanted = japanese_vowels()
    # settings chosen by cross-validation on the training utterances (examples/classify_vowels.py); plain reservoirs
    # reach 0.984 to 0.992 with settings like these, and one utterance in 370 is 0.003
    system = Drawn(
        ESN.random, n_units=200, spectral_radius=0.2, input_scaling=0.1, leak=1.0, bias_scaling=0.5, seed=seed
    )
    model = Classifier(system, Ridge(leave_one_out=True)).fit(train, labels)
    assert model.classes_.tolist() == list("123456789")
    assert model.score(test, wanted) >= 0.98
