"""The Lur'e form of every model that has it, against the model's own Jacobian and the activations themselves."""

import numpy as np
import pytest
from models import MODELS, M

from penstock import LureBlock, identity, relu, sigmoid, tanh
from penstock.lure import SLOPES_AT_REST
from penstock.reservoirs import ESN, ResRMN
from penstock.vmath import ACTIVATIONS, activation_slope

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")


def slopes_from(block, jacobian):
    """The D of J = A + B D C, by least squares: linear in D, n^2 equations for p unknowns."""
    each = np.einsum("ik,kj->ijk", block.B, block.C).reshape(jacobian.size, -1)
    return np.linalg.lstsq(each, (jacobian - block.A).ravel(), rcond=None)[0]


@pytest.mark.parametrize("name", list(MODELS))
def test_blocks_with_slopes_between_the_bounds_are_the_jacobian(name):
    system = MODELS[name]()
    blocks = system.lure_blocks()
    if not blocks:
        pytest.skip("no Lur'e form")
    rng, start = np.random.default_rng(1), 0
    whole = system.jacobian(rng.uniform(-1, 1, system.n_units), rng.uniform(-1, 1, M))
    for block in blocks:
        part = slice(start, start + len(block.A))
        own = whole[part, part]
        d = slopes_from(block, own)
        # the least squares of a few dozen unknowns, and sums of as many products of order 1
        np.testing.assert_allclose(block.A + block.B @ np.diag(d) @ block.C, own, atol=1e-12)
        seen = np.abs(block.B).max(axis=0) * np.abs(block.C).max(axis=1) > 0
        assert (block.slopes[0] - 1e-12 <= d[seen]).all() and (d[seen] <= block.slopes[1] + 1e-12).all()
        start = part.stop
    assert start == system.n_units


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith(("ESN", "ResESN", "ES2N", "EuSN"))])
def test_own_slopes_give_the_jacobian_and_rest_is_what_the_warning_looks_at(name):
    system = MODELS[name]()
    rng = np.random.default_rng(2)
    x, u = rng.uniform(-1, 1, system.n_units), rng.uniform(-1, 1, M)
    (block,) = system.lure_blocks()
    z = block.C @ x + system.W_in @ u + system.bias
    D = np.diag(activation_slope(system.activation, system.activation(z)))
    # sums of at most 21 products of order 1
    np.testing.assert_allclose(block.A + block.B @ D @ block.C, system.jacobian(x, u), atol=1e-14)
    np.testing.assert_allclose(block.A @ x + block.B @ system.activation(z), system.step(x, u), atol=1e-14)
    warned = system._linear_part()
    warned = warned.toarray() if hasattr(warned, "toarray") else warned
    np.testing.assert_allclose(block.at_rest, warned, atol=1e-14)


@pytest.mark.parametrize("name", ["Stack of kinds", "Map below ESN"])
def test_a_stack_with_a_layer_without_the_form_has_none(name):
    assert MODELS[name]().lure_blocks() == ()


def test_the_blocks_of_a_stack_are_those_of_its_layers():
    stack = MODELS["Stack below ResRMN"]()
    own = [block for layer in stack.layers for block in layer.lure_blocks()]
    assert len(own) == 3 == len(stack.lure_blocks())
    for one, other in zip(stack.lure_blocks(), own, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_curvature_and_value_are_those_of_the_activation(activation):
    block = LureBlock.of(activation, np.eye(1), np.eye(1), np.eye(1))
    z = np.linspace(-6, 6, 120_001)
    y = activation(z)
    first = np.gradient(y, z)
    assert block.slopes[0] <= first.min() + 1e-10 and first.max() <= block.slopes[1] + 1e-10  # rounding / 1e-4
    # the extremes are reached: at 0, or within 1e-4 in the tails, where tanh' (6) = 2.5e-5 and sigmoid' (6) = 2.5e-3
    np.testing.assert_allclose([first.min(), first.max()], block.slopes, atol=3e-3)
    assert block.value_at_rest == activation(np.zeros(1))[0]
    assert block.slope_at_rest == SLOPES_AT_REST[ACTIVATIONS.index(activation)]
    if activation is not relu:
        assert block.slope_at_rest == activation_slope(activation, activation(np.zeros(1)))[0]
        second = np.abs(np.gradient(first, z))[2:-2].max()
        # central differences twice over h = 1e-4: error of order h^2, one-sided rounding 1e-16 / h^2
        np.testing.assert_allclose(second, block.curvature, atol=1e-6)
    else:
        assert block.curvature == np.inf


def test_closed_forms_of_the_curvatures():
    # tanh'' = -2 tanh (1 - tanh^2) is extreme at tanh = 1/sqrt 3; sigmoid(x) = (1 + tanh(x/2))/2
    of = {f: LureBlock.of(f, *[np.eye(1)] * 3).curvature for f in (tanh, sigmoid, identity)}
    np.testing.assert_allclose(of[tanh], 2 / np.sqrt(3) * (1 - 1 / 3), rtol=1e-15)
    np.testing.assert_allclose(of[sigmoid], of[tanh] / 8, rtol=1e-15)
    assert of[identity] == 0


def test_float32_models_have_float64_blocks():
    (block,) = ESN.random(5, leak=0.3, dtype=np.float32, seed=0).lure_blocks()
    assert block.A.dtype == block.B.dtype == block.C.dtype == np.float64


def test_the_linear_memory_of_a_residual_memory_network_is_exact():
    memory, _ = ResRMN.random(5, n_memory=4, memory_radius=0.9, alpha=0.8, beta=0.2, seed=1).lure_blocks()
    assert memory.slopes == (1.0, 1.0) and memory.curvature == 0
    # eigenvalues of a ring: the roots of 0.9^4
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(memory.at_rest)), 0.9, rtol=1e-12)


def test_unknown_activations_are_named():
    with pytest.raises(ValueError, match="activation must be one of"):
        LureBlock.of(np.sin, np.eye(1), np.eye(1), np.eye(1))
