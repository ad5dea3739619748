"""Slow obvious twins of the kernels: plain loops over time, one line per term of the equation."""

import numpy as np


def esn_states(W, W_in, bias, leak, f, u, x0):
    """x_t = (1 - a) x_{t-1} + a f(W x_{t-1} + W_in u_t + b)."""
    x, states = np.array(x0, float), []
    for u_t in u:
        x = (1 - leak) * x + leak * f(W @ x + W_in @ u_t + bias)
        states.append(x)
    return np.array(states)


def residual_states(W, W_in, bias, skip, alpha, beta, f, u, x0):
    """x_t = alpha O x_{t-1} + beta f(W x_{t-1} + W_in u_t + b)."""
    x, states = np.array(x0, float), []
    for u_t in u:
        x = alpha * skip @ x + beta * f(W @ x + W_in @ u_t + bias)
        states.append(x)
    return np.array(states)


def esn_tangents(W, W_in, bias, leak, f, slope, u, x0, V):
    """V <- J V with J = (1 - a) I + a diag(f') W, columns."""
    x = np.array(x0, float)
    for u_t in u:
        z = W @ x + W_in @ u_t + bias
        V = (np.diag(np.broadcast_to(1 - leak, x.size)) + (leak * slope(z))[:, None] * W) @ V
        x = (1 - leak) * x + leak * f(z)
    return x, V


def residual_tangents(W, W_in, bias, skip, alpha, beta, f, slope, u, x0, V):
    """V <- J V with J = alpha O + beta diag(f') W, columns."""
    x = np.array(x0, float)
    for u_t in u:
        z = W @ x + W_in @ u_t + bias
        V = (alpha * skip + beta * slope(z)[:, None] * W) @ V
        x = alpha * skip @ x + beta * f(z)
    return x, V


ACTIVATIONS = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
}
