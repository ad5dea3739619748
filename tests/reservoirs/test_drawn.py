"""The recipe that draws systems anew."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone as sklearn_clone

from penstock.params import clone
from penstock.reservoirs import ESN, NVAR, DeepESN, Drawn, Regressor


def test_a_recipe_draws_what_its_constructor_draws():
    recipe = Drawn(ESN.random, n_units=20, leak=0.3, seed=4)
    direct = ESN.random(20, n_inputs=3, leak=0.3, seed=4)
    for drawn in (recipe.draw(3), clone(recipe).draw(3), sklearn_clone(recipe).draw(3), recipe.draw(3)):
        assert_array_equal(drawn.W, direct.W)
        assert_array_equal(drawn.W_in, direct.W_in)
        assert drawn.leak == 0.3


def test_inputs_given_stay_and_data_that_do_not_fit_are_named():
    recipe = Drawn(ESN.random, n_units=5, n_inputs=2, seed=0)
    assert recipe.draw(7).n_inputs == 2
    with pytest.raises(ValueError, match=r"system must have n_inputs=1 \(1 inputs\), got 2"):
        Regressor(recipe).fit(np.sin(np.arange(200.0)), np.cos(np.arange(200.0)))


@pytest.mark.parametrize(
    ("make", "settings"), [(NVAR, {"n_delays": 2}), (DeepESN.random, {"n_units": 12, "n_layers": 3, "seed": 0})]
)
def test_any_constructor_will_do(make, settings):
    drawn, direct = Drawn(make, **settings).draw(3), make(n_inputs=3, **settings)
    u = np.random.default_rng(0).uniform(-1, 1, (9, 3))
    assert_array_equal(drawn.run(u), direct.run(u))


def test_a_function_of_ones_own_without_n_inputs_will_do():
    assert Drawn(lambda size: ESN.random(size, seed=0), size=7).draw(1).n_units == 7


def test_settings_are_parameters():
    recipe = Drawn(ESN.random, n_units=20, seed=0)
    assert recipe.get_params() == {"make": ESN.random, "n_units": 20, "seed": 0}
    copy = clone(recipe).set_params(n_units=10, leak=0.5)
    assert copy.draw(1).n_units == 10 and recipe.draw(1).n_units == 20
    model = Regressor(recipe)
    assert model.get_params()["system__n_units"] == 20
    assert model.set_params(system__n_units=8).system.draw(1).n_units == 8


def test_a_seed_sequence_draws_the_same_again():
    recipe = Drawn(ESN.random, n_units=9, seed=np.random.SeedSequence(3))
    assert_array_equal(recipe.draw(1).W, recipe.draw(1).W)
    assert_array_equal(recipe.draw(1).W, clone(recipe).draw(1).W)


def test_it_travels_to_other_processes():
    recipe = Drawn(ESN.random, n_units=9, seed=3)
    assert_array_equal(pickle.loads(pickle.dumps(recipe)).draw(1).W, recipe.draw(1).W)


def test_it_says_what_it_draws():
    assert repr(Drawn(ESN.random, n_units=9, activation=np.tanh)) == "Drawn(ESN.random, n_units=9, activation=tanh)"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Drawn(3), "make must be a constructor of systems such as ESN.random, got 3"),
        (lambda: Drawn(ESN.random, units=3), "settings of ESN.random are n_units.*got 'units'"),
        (lambda: Drawn(ESN.random).set_params(units=3), "got 'units'"),
        (lambda: Drawn(ESN.random, seed=0).draw(1), "n_units"),
        (lambda: Drawn(ESN.random, n_units=3, seed=0).draw(-1), "n_inputs must be at least 0"),
        (lambda: Drawn(lambda: 3).draw(1), "system must be a System, got 3"),
    ],
)
def test_bad_recipes_are_named(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


def test_a_setting_that_fails_leaves_the_others():
    recipe = Drawn(ESN.random, n_units=3, seed=0)
    with pytest.raises(TypeError):
        recipe.set_params(leak=0.5, units=4)
    assert recipe.settings == {"n_units": 3, "seed": 0}
