"""How models draw their arrays: each part from its own random stream, so that W does not depend on n_inputs."""

import inspect
import warnings
from functools import partial

import numpy as np

from penstock.checks import as_finite_array, as_fraction, as_int, as_matrix, as_non_negative_float
from penstock.scaling import scale_spectral_radius, spectral_radius
from penstock.weights import sparse, uniform

__all__ = ["EchoStateWarning", "draw_input_weights", "draw_matrix", "draw_recurrent", "warn_at_origin"]


class EchoStateWarning(UserWarning):
    """The linearisation at the origin is unstable, so the echo-state property cannot hold for small inputs."""


def draw_matrix(name, maker, n_units, seed):
    """Return a matrix of shape (n_units, n_units) from a function of `penstock.weights`, or a given matrix."""
    if isinstance(maker, str) or maker is None:
        raise TypeError(f"{name} must be a function of penstock.weights or a matrix, got {maker!r}")
    if callable(maker):
        try:
            random = "seed" in inspect.signature(maker).parameters
            maker = maker(n_units, seed=seed) if random else maker(n_units)
        except TypeError as error:
            raise TypeError(
                f"{name} must work as {name}(n_units), its settings given by functools.partial: {error}"
            ) from error
    return as_matrix(name, maker, (n_units, n_units), np.float64)


def draw_recurrent(n_units, radius, seed, *, weights=uniform, density=None, scale=scale_spectral_radius):
    """Return recurrent weights with the given spectral radius; `radius=None` leaves them as drawn."""
    if density is not None:
        if weights is not uniform:
            raise ValueError("density goes with the default weights only; use functools.partial(sparse, density=…)")
        if as_fraction("density", density) < 1:
            weights = partial(sparse, density=density)
    if radius is not None:
        as_non_negative_float("spectral_radius", radius)
        if not callable(scale):
            raise TypeError(f"scale must be a function (W, spectral_radius) of penstock.scaling, got {scale!r}")
    W = draw_matrix("weights", weights, n_units, seed)
    return W if radius is None else as_matrix("scale(W, spectral_radius)", scale(W, radius), W.shape, np.float64)


def draw_input_weights(n_units, n_inputs, scaling, seed, name="input_scaling"):
    """Return input weights (n_units, n_inputs), uniform in ±scaling; a new channel leaves the others as they are."""
    n_inputs = as_int("n_inputs", n_inputs, minimum=0)
    scaling = as_finite_array(name, scaling, ndim=(0, 1))
    if (scaling < 0).any() or (scaling.ndim and scaling.shape != (n_inputs,)):
        raise ValueError(f"{name} must be a number of at least 0, or {n_inputs} of them, got {scaling.tolist()}")
    return np.random.default_rng(seed).uniform(-1, 1, (n_inputs, n_units)).T * scaling


def draw_bias(n_units, bias_scaling, seed):
    """Return a bias (n_units,), uniform in ±bias_scaling."""
    return as_non_negative_float("bias_scaling", bias_scaling) * np.random.default_rng(seed).uniform(-1, 1, n_units)


def warn_at_origin(what, linear_part):
    """Warn if the Jacobian at the origin has a spectral radius above 1."""
    radius = spectral_radius(linear_part)
    if radius > 1 + 1e-9:
        warnings.warn(
            f"{what} has spectral radius {radius:.4g} at the origin (zero state, input and bias), above 1: "
            "the echo-state property cannot hold for small inputs",
            EchoStateWarning,
            stacklevel=3,
        )
