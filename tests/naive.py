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


def gru_states(W, W_in, bias, recurrent_bias, u, x0):
    """One gate and one unit at a time: the reset gate after the recurrent product, z = 1 keeps."""
    n = len(x0)
    sigmoid = ACTIVATIONS["sigmoid"][0]
    x, states = np.array(x0, float), []
    for u_t in u:
        new = np.empty(n)
        for i in range(n):
            reset, update, candidate = i, n + i, 2 * n + i
            r = sigmoid(W[reset] @ x + W_in[reset] @ u_t + bias[reset])
            z = sigmoid(W[update] @ x + W_in[update] @ u_t + bias[update])
            c = np.tanh(W_in[candidate] @ u_t + bias[candidate] + r * (W[candidate] @ x + recurrent_bias[i]))
            new[i] = (1 - z) * c + z * x[i]
        x = new
        states.append(x)
    return np.array(states)


def plrnn_states(A, W, h, W_in, n_linear, u, x0):
    """z_t = A z_{t-1} + W phi(z_{t-1}) + h + W_in u_t, one weight at a time."""
    n = len(x0)
    z, states = np.array(x0, float), []
    for u_t in u:
        phi = [z[j] if j < n_linear else max(z[j], 0.0) for j in range(n)]
        z = np.array([A[i] * z[i] + sum(W[i, j] * phi[j] for j in range(n)) + h[i] + W_in[i] @ u_t for i in range(n)])
        states.append(z)
    return np.array(states)


def shallow_plrnn_states(A, W1, W2, h1, h2, W_in, clipped, u, x0):
    """z_t = A z_{t-1} + W1 g(W2 z_{t-1}) + h1 + W_in u_t, with g(a) = relu(a + h2), or that minus relu(a)."""
    z, states = np.array(x0, float), []
    for u_t in u:
        hidden = [max(w @ z + b, 0.0) - (max(w @ z, 0.0) if clipped else 0.0) for w, b in zip(W2, h2, strict=True)]
        z = A * z + W1 @ hidden + h1 + W_in @ u_t
        states.append(z)
    return np.array(states)
