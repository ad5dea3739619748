"""Hyper-parameters by name, as scikit-learn's own estimators hold them."""

import numpy as np
import pytest
import sklearn.linear_model
from sklearn.base import clone as sklearn_clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from penstock.params import Parameters, clone, not_fitted


class Part(Parameters):
    def __init__(self, size, *, rate=0.5):
        self.size, self.rate = size, rate


class Whole(Parameters):
    def __init__(self, part=None, *, shape=(1, 2), kind=None):
        self.part, self.shape, self.kind = part, shape, kind


class Empty(Parameters):
    """Without a constructor."""


def test_nested_parameters_have_names_of_two_parts():
    whole = Whole(Part(3))
    assert whole.get_params(deep=False) == {"part": whole.part, "shape": (1, 2), "kind": None}
    assert whole.get_params() == {
        "part": whole.part, "part__size": 3, "part__rate": 0.5, "shape": (1, 2), "kind": None,
    }  # fmt: skip
    assert Whole(Whole(Part(3))).get_params()["part__part__size"] == 3


def test_set_params_sets_and_returns_self_and_a_new_part_comes_before_its_own():
    whole = Whole(Part(3))
    assert whole.set_params(shape=5, part__rate=0.1) is whole
    assert (whole.shape, whole.part.rate) == (5, 0.1)
    whole.set_params(part__rate=0.7, part=Part(9))
    assert (whole.part.size, whole.part.rate) == (9, 0.7)


def test_names_go_the_same_way_through_estimators_of_scikit_learn():
    ridge = sklearn.linear_model.Ridge()
    whole = Whole(Pipeline([("scale", StandardScaler()), ("ridge", ridge)]))
    assert whole.set_params(part__ridge__alpha=7.0).get_params()["part__ridge__alpha"] == 7.0
    outside = Pipeline([("whole", Whole(Part(3)))])
    assert outside.set_params(whole__part__rate=0.2).get_params()["whole__part__rate"] == 0.2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rat": 1}, "parameters of Whole are part, shape, kind, got 'rat'"),
        ({"part__rat": 1}, "parameters of Part are size, rate, got 'rat'"),
        ({"kind__rate": 1}, "kind of Whole has no parameters of its own, got None"),
    ],
)
def test_unknown_names_are_errors_that_list_the_known_ones(params, message):
    with pytest.raises(ValueError, match=message):
        Whole(Part(3)).set_params(**params)


@pytest.mark.parametrize("copy", [clone, sklearn_clone])
def test_clones_have_the_parameters_and_nothing_learned_and_share_nothing(copy):
    whole = Whole(Part(np.arange(3.0)), shape=[1], kind=Part)
    whole.weights_ = whole.part.weights_ = 1.0
    other = copy(whole)
    assert not hasattr(other, "weights_") and not hasattr(other.part, "weights_")
    assert other.kind is Part and other.shape == [1] and other.shape is not whole.shape
    other.part.size[:] = 7.0
    np.testing.assert_array_equal(whole.part.size, [0.0, 1.0, 2.0])


def test_clones_of_pipelines_are_unfitted_too():
    steps = [("scale", StandardScaler().fit([[0.0], [1.0]])), ("ridge", sklearn.linear_model.Ridge())]
    assert not hasattr(clone(Pipeline(steps)).steps[0][1], "mean_")


def test_nothing_to_set_is_no_parameter():
    assert Empty().get_params() == {} and repr(clone(Empty())) == "Empty()"


def test_what_differs_from_the_default_is_shown():
    assert repr(Whole()) == "Whole()"
    assert repr(Whole(Part(3, rate=0.5), kind=Part)) == "Whole(part=Part(3), kind=Part)"


def test_the_error_before_fit_is_known_to_scikit_learn():
    error = not_fitted(Part(3))
    assert isinstance(error, NotFittedError) and isinstance(error, AttributeError)
    assert str(error) == "this Part is not fitted yet; call fit first"
