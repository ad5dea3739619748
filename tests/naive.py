"""Slow obvious twins of the kernels: plain loops over time, one line per term of the equation."""

import math

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


def adapt_inhibition_naively(network, u, targets, deltas, washout, start, hebbian):
    """A^I_ij += delta (r_i - rho_i), times the previous r_j if `hebbian`, on existing links, never below 0."""
    A_E, A_I = network.excitation, np.array(network.inhibition)
    links, n, errors = np.argwhere(A_I > 0), len(start), []
    for delta in deltas:
        r, rates = np.array(start), []
        for t, u_t in enumerate(u):
            drive = A_E @ r - A_I @ r + network.W_in @ u_t - network.threshold
            new = np.array([1 / (1 + np.exp(-network.gain * drive[i])) for i in range(n)])
            if t >= washout:
                for i, j in links:
                    A_I[i, j] = max(0.0, A_I[i, j] + delta * (new[i] - targets[i]) * (r[j] if hebbian else 1.0))
                rates.append(new)
            r = new
        errors.append(np.abs(np.mean(rates, axis=0) - targets).mean())
    return A_I, np.array(errors)


def adapt_gains_naively(activation, W, W_in, bias, leak, u, start, mean, std, eta, epochs, washout):
    """y = f(a net + b); b += d, a += eta / a + d net, with d by the law that suits the activation."""
    f, var = ACTIVATIONS[activation][0], std**2
    a, b, outputs = np.ones(len(start)), np.array(bias, float), []
    for _ in range(epochs):
        x, seen = np.array(start), []
        for t, u_t in enumerate(u):
            net = W @ x + W_in @ u_t
            y = f(a * net + b)
            x = (1 - leak) * x + leak * y
            if t >= washout:
                normal = -eta * (-mean / var + (y / var) * (2 * var + 1 - y**2 + mean * y))
                exponential = eta * (1 - (2 + 1 / mean) * y + y**2 / mean)
                d = normal if activation == "tanh" else exponential
                a, b = a + eta / a + d * net, b + d
                seen.append(y)
        outputs.append(seen)
    return a, b, np.array(outputs)


def learn_locally_naively(rule, activation, W, W_in, bias, leak, u, start, eta, kappa, epochs, washout):
    """Hebb: eta y x; Oja: eta y (x - y w); BCM: eta y (y - theta) x, theta a running mean of y². On existing links."""
    f, links, n = ACTIVATIONS[activation][0], W != 0, len(start)
    W, theta = np.array(W, float), np.zeros(n)
    for _ in range(epochs):
        x = np.array(start)
        for t, u_t in enumerate(u):
            y = (1 - leak) * x + leak * f(W @ x + W_in @ u_t + bias)
            if t >= washout:
                for i in range(n):
                    change = {
                        "hebbian": eta * y[i] * x,
                        "oja": eta * y[i] * (x - y[i] * W[i]),
                        "bcm": eta * y[i] * (y[i] - theta[i]) * x,
                    }[rule]
                    W[i] += np.where(links[i], change, 0.0)
            theta = theta + kappa * (y**2 - theta)
            x = y
    return W


def nvar_features(u, n_delays, skip, orders):
    """All different products of p of the values u_t, u_{t-s}, …, for every p of orders; before the series lies zero."""
    n_taps = n_delays * u.shape[1]
    products = {1: [(i,) for i in range(n_taps)]}
    for p in range(2, max(orders) + 1):
        products[p] = [(*left, i) for left in products[p - 1] for i in range(left[-1], n_taps)]
    rows = []
    for t in range(len(u)):
        taps = [float(value) for k in range(n_delays) for value in (u[t - k * skip] if t >= k * skip else 0 * u[0])]
        rows.append([math.prod([taps[i] for i in chosen]) for p in orders for chosen in products[p]])
    return np.array(rows)


def next_generation_forecast(series, settings, first):
    """Train on the increments and forecast, as the scripts of next-generation reservoir computing do.

    Return the predictions of the training steps, and the forecast, whose first value is the last known one.
    """
    s, d = settings, series.shape[1]
    before = (s.n_delays - 1) * s.skip
    rows = nvar_features(series[first - 1 - before : first + s.n_train], s.n_delays, s.skip, s.orders)[before:-1]
    constant = [1.0] if s.constant else []
    X = np.array([[*constant, *row] for row in rows])
    steps = series[first : first + s.n_train] - series[first - 1 : first + s.n_train - 1]
    W = steps.T @ X @ np.linalg.pinv(X.T @ X + s.alpha * np.eye(X.shape[1]))
    values = list(series[first + s.n_train - (s.n_delays - 1) * s.skip - 1 : first + s.n_train])
    known = len(values)
    while len(values) < known + s.n_test - 1:
        row = nvar_features(np.array(values[-known:]), s.n_delays, s.skip, s.orders)[-1]
        values.append(values[-1] + W @ [*constant, *row])
    return series[first - 1 : first + s.n_train - 1] + X @ W.T, np.array(values[known - 1 :]).reshape(-1, d)


def ltc_states(ltc, u, elapsed, x0):
    """The fused step of a liquid network, one synapse after the other."""

    def dense(matrix):
        return matrix.toarray() if hasattr(matrix, "toarray") else matrix

    def s(v, steepness, midpoint):
        return 1 / (1 + math.exp(-steepness * (v - midpoint)))

    W, E, sigma, mu = map(dense, (ltc.W, ltc.E, ltc.sigma, ltc.mu))
    W_in, E_in, sigma_in, mu_in = map(dense, (ltc.W_in, ltc.E_in, ltc.sigma_in, ltc.mu_in))
    v, states = np.array(x0, float), []
    for u_t, time in zip(u, elapsed, strict=True):
        for _ in range(ltc.unfolds):
            new = np.empty_like(v)
            for i in range(v.size):
                c = ltc.C_m[i] * ltc.unfolds / time
                num, den = c * v[i] + ltc.g_leak[i] * ltc.v_leak[i], c + ltc.g_leak[i]
                for j in range(v.size):
                    a = W[i, j] * s(v[j], sigma[i, j], mu[i, j])
                    num, den = num + a * E[i, j], den + a
                for k in range(u_t.size):
                    a = W_in[i, k] * s(ltc.input_weight[k] * u_t[k] + ltc.input_bias[k], sigma_in[i, k], mu_in[i, k])
                    num, den = num + a * E_in[i, k], den + a
                new[i] = num / den
            v = new
        states.append(v)
    return np.array(states)
