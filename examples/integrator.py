"""How does a linear recurrent network learn to integrate? One eigenvalue leaves the crowd and walks to its place.

Task: white noise x_t in, the sum of lambda^k x_(t-k) out, with lambda = 0.9: a leaky integrator. The network
h_t = W h_(t-1) + w_in x_t, y_t = w_out h_t starts from small random weights; W and w_out follow the gradient of the
expected loss, which for white noise is a sum over delays, no sampling needed:

    L = sum_k (w_out W^k w_in - target_k)^2,    dL/dW = sum_(i,j) 2 e_(i+j+1) (W'^i w_out') (W^j w_in)'.

If w_in is held and the start is small, the network moves as if it had two numbers only, an eigenvalue and a gain: the
flow of L = c^2 / (1 - l^2) - 2 c l0 / (1 - l l0) + 1 / (1 - l0^2) with l0 = 0.9, drawn dashed (here as the finite sum
over the same delays). A damped oscillation as the target draws out a conjugate pair instead.

After B. Bordelon, J. Cotler, C. Pehlevan, J. Zavatone-Veth (2025), Dynamically learning to integrate in recurrent
neural networks; sizes, delays and the two-number flow with a held w_in are ours.

What to see: all eigenvalues but one (or two) stay where chance put them, and the trained network, handed to
`lyapunov_spectrum` as an ESN with linear units, has a leading exponent of ln 0.9 per step.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

from penstock import identity
from penstock.analysis import lyapunov_spectrum
from penstock.reservoirs import ESN

N_UNITS, N_DELAYS, RADIUS = 60, 60, 0.15
DECAY, OSCILLATION = 0.9, (0.88, 2 * np.pi / 12)  # eigenvalue; modulus and angle of the pair
TIMES = np.linspace(0, 1.5, 101)  # of the gradient flow


def start(n_units=N_UNITS, radius=RADIUS, gain=0.05, seed=0):
    """Return small W, w_in of length one and a small w_out along it."""
    rng = np.random.default_rng(seed)
    W = radius * rng.standard_normal((n_units, n_units)) / np.sqrt(n_units)
    w_in = rng.standard_normal(n_units)
    w_in /= np.linalg.norm(w_in)
    return W, w_in, gain * w_in


def response(W, w_in, w_out, n_delays=N_DELAYS):
    """Return W^k w_in and W'^k w_out of every delay k, (K, N) each, and the response w_out W^k w_in, (K,)."""
    forward, backward = [w_in], [w_out]
    for _ in range(n_delays - 1):
        forward.append(W @ forward[-1])
        backward.append(W.T @ backward[-1])
    return np.array(forward), np.array(backward), np.array(forward) @ w_out


def loss_gradient(W, w_in, w_out, target):
    """Return the loss and its derivatives by W and w_out."""
    forward, backward, y = response(W, w_in, w_out, len(target))
    error = y - target
    delays = np.arange(len(target))
    ahead = delays[:, None] + delays + 1
    hankel = np.where(ahead < len(target), 2 * error[np.minimum(ahead, len(target) - 1)], 0.0)
    return error @ error, backward.T @ hankel @ forward, 2 * error @ forward


def train(target, times=TIMES, seed=0):
    """Follow the gradient flow; return W and w_out at every time, and w_in."""
    W, w_in, w_out = start(seed=seed)
    n = w_in.size

    def flow(_, z):
        _, by_W, by_out = loss_gradient(z[n:].reshape(n, n), w_in, z[:n], target)
        return -np.concatenate([by_out, by_W.ravel()])

    z = solve_ivp(flow, (0, times[-1]), np.concatenate([w_out, W.ravel()]), "RK23", times, rtol=1e-4, atol=1e-7).y.T
    return z[:, n:].reshape(-1, n, n), z[:, :n], w_in


def two_numbers(target, eigenvalue, gain, times=TIMES):
    """Follow the gradient flow of one eigenvalue and one gain, whose response is gain * eigenvalue^k."""
    k = np.arange(len(target))

    def flow(_, z):
        error = z[1] * z[0] ** k - target
        by_eigenvalue = 2 * error[1:] @ (z[1] * k[1:] * z[0] ** (k[1:] - 1))
        return [-by_eigenvalue, -2 * error @ z[0] ** k]

    return solve_ivp(flow, (0, times[-1]), [eigenvalue, gain], "LSODA", times, rtol=1e-9, atol=1e-11).y


def draw_eigenvalues(ax, matrices, end, wanted, title):
    """Draw the eigenvalues of every stage of training, later ones darker."""
    ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.7"))
    for share, W in zip(np.linspace(0, 1, len(matrices)), matrices, strict=True):
        values = np.linalg.eigvals(W)
        dots = ax.scatter(values.real, values.imag, s=9, c=np.full(values.size, share * end), cmap="viridis_r",
                          vmin=0, vmax=end, linewidths=0)  # fmt: skip
    plt.colorbar(dots, ax=ax, shrink=0.7, label="training time")
    ax.scatter(wanted.real, wanted.imag, s=90, facecolors="none", edgecolors="C3", label="asked for")
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal", xlim=(-0.4, 1.15), ylim=(-0.75, 0.75))
    ax.set_title(title, fontsize="medium")
    ax.legend(frameon=False, loc="lower left")


def main():
    """Train on both targets, print what the exponents say, draw the figure."""
    k = np.arange(N_DELAYS)
    integrator, oscillator = DECAY**k, OSCILLATION[0] ** k * np.cos(OSCILLATION[1] * k)
    matrices, outs, w_in = train(integrator)
    paired, pair_outs, _ = train(oscillator, 4 * TIMES)
    outlier = np.array([np.abs(np.linalg.eigvals(W)).max() for W in matrices])
    losses = [loss_gradient(W, w_in, w, integrator)[0] for W, w in zip(matrices, outs, strict=True)]
    eigenvalue, gain = two_numbers(integrator, 0.0, outs[0] @ w_in)
    flow_losses = ((gain[:, None] * eigenvalue[:, None] ** k - integrator) ** 2).sum(axis=1)

    network = ESN(matrices[-1], w_in[:, None], activation=identity)
    spectrum = lyapunov_spectrum(network, np.zeros(600), 3, washout=100)
    print(f"leading exponents {np.round(spectrum.exponents, 4)} per step; ln {DECAY} = {np.log(DECAY):.4f}")
    print(f"eigenvalue {outlier[-1]:.4f}, the two-number flow {eigenvalue[-1]:.4f}, asked for {DECAY}")
    pair = paired[-1]
    values = np.linalg.eigvals(pair)
    print(f"oscillation: largest eigenvalue {values[np.abs(values).argmax()]:.4f}, final loss "
          f"{loss_gradient(pair, w_in, pair_outs[-1], oscillator)[0]:.2g}")  # fmt: skip

    figure, axes = plt.subplots(2, 2, figsize=(9.5, 7), layout="constrained")
    draw_eigenvalues(axes[0, 0], matrices[::2], TIMES[-1], np.array([DECAY]), "learning to integrate")
    wanted = OSCILLATION[0] * np.exp(1j * OSCILLATION[1] * np.array([1, -1]))
    draw_eigenvalues(axes[0, 1], paired[::2], 4 * TIMES[-1], wanted, "learning a damped oscillation")
    ax = axes[1, 0]
    ax.plot(TIMES, outlier, label=f"largest |eigenvalue|, {N_UNITS} units")
    ax.plot(TIMES, eigenvalue, "k--", label="two-number flow")
    ax.plot(TIMES, np.array(losses) / losses[0], color="C1", label="loss / first loss")
    ax.plot(TIMES, flow_losses / flow_losses[0], "k:", label="loss of the two-number flow")
    ax.set(xlabel="training time (gradient flow)", ylim=(0, 1.05), ylabel="eigenvalue, relative loss")
    ax.legend(frameon=False, fontsize="small", handlelength=1.5, loc="center right")
    ax = axes[1, 1]
    x = np.zeros(160)
    x[[10, 40, 45, 100]] = 1, 1, 1, -2
    states = network.run(x)
    truth = np.array([x[: t + 1] @ DECAY ** np.arange(t, -1, -1) for t in range(len(x))])
    ax.plot(truth, color="0.75", linewidth=4, label="leaky integral of the input")
    ax.plot(states @ outs[-1], color="C0", label="trained network")
    ax.vlines(np.flatnonzero(x), 0, x[x != 0], color="C3", linewidth=1, label="input")
    ax.set(xlabel="time (steps)", ylabel="output")
    ax.legend(frameon=False)
    figure.savefig("integrator.png", dpi=150)
    print("wrote integrator.png")


if __name__ == "__main__":
    main()
