"""What will happen, how likely, and when? A spiking reservoir learns it, by a local rule and by FORCE's least squares.

A cue starts every trial of a reservoir of Izhikevich neurons; outcome k follows it with probability p_k after T_k ms.
Linear readouts of the filtered spikes learn the outcomes smoothed in time, "when", in every row, and once more at the
times of the outcomes alone, "what", from traces replayed after the trial. Half-way, half of the outcomes move to
another time and the others change their probability. Three rules learn from the same spikes:

- the gated delta rule on eligibility traces, `EligibilityLMS`: error times attention times trace;
- recursive least squares as in FORCE, whose gain falls as 1 / rows;
- the same with forgetting, the fair comparison.

Above the outputs, learnt before the change, and their height at T_k against p_k. Below how the rules take the change,
and the angles between the weights of "what" and "when".

The question is that of Y. Yamada and Z. C. Chao (2025), arXiv 2510.14382. Their settings are not used here: network,
cue, rates, targets and schedule are this example's own, and so are its numbers.
"""

from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy

from penstock import LMS, RLS, EligibilityLMS
from penstock.analysis import principal_angles
from penstock.spiking import Exponential, Izhikevich, Network, OUCurrent, probability

N_UNITS, SEEDS = 300, range(4)
TRIAL, STEP, TAU = 800.0, 10.0, 50.0  # ms: length of a trial, between rows, of the filter of the spikes
WINDOW = 650.0  # ms after the cue for which attention lasts
LATENCIES = np.array([100.0, 200.0, 300.0, 400.0, 500.0])  # ms
PROBABILITIES = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
REPEATS = 4  # independent outcomes for every pair of them
WIDTH = 70.0  # ms, standard deviation of a smoothed event
N_BEFORE, N_AFTER, N_TEST = 150, 150, 20  # trials; those of the test are not learnt from
TRACE = 20.0 / STEP  # rows, of the eligibility traces
MEMORY = 25  # trials that recursive least squares with forgetting remembers

ROWS = int(TRIAL / STEP)
T = STEP * (1 + np.arange(ROWS))  # ms after the cue
OPEN = T <= WINDOW
RULES = {
    "three-factor": lambda: EligibilityLMS(0.03, tau=TRACE, fit_intercept=False),
    "RLS": lambda: RLS(1.0, fit_intercept=False),
    "RLS with forgetting": lambda: RLS(1.0, forgetting=1 - 1 / (MEMORY * OPEN.sum()), fit_intercept=False),
}
COLORS = {"three-factor": "C0", "RLS": "C3", "RLS with forgetting": "C1"}


class Outcomes(NamedTuple):
    """When and how likely the outcomes follow, (K,) each: before the change and after it."""

    latency: np.ndarray
    p: np.ndarray
    new_latency: np.ndarray
    new_p: np.ndarray


def outcomes():
    """Return every probability at every latency; of half of them the latency changes, of the others the probability."""
    latency, p = (np.tile(grid.ravel(), REPEATS) for grid in np.meshgrid(LATENCIES, PROBABILITIES))
    moves = np.arange(latency.size) % 2 == 0
    other = np.where(latency < 300.0, latency + 200.0, latency - 200.0)
    return Outcomes(latency, p, np.where(moves, other, latency), np.where(moves, p, 1.2 - p))


# Reservoir


class Cue:
    """Drive neurons by the same currents (mV/ms) in every trial: rows (ms of a trial, n)."""

    def __init__(self, rows):
        self.rows = rows

    def stream(self, n, dt, rng):
        """Return the stream of currents of `n` neurons."""
        return self

    def take(self, k0, k1):
        """Return the currents (k1 - k0, n) of the steps k0 to k1."""
        return self.rows[np.arange(k0, k1) % len(self.rows)]


def reservoir(seed, n=N_UNITS):
    """Return the network: 80 % excitatory neurons, heterogeneous; the cue is a current of another course in each."""
    rng = np.random.default_rng(seed)
    n_exc, r = 4 * n // 5, rng.random(n)
    exc, inh = np.split(r, [n_exc])
    net = Network(dt=1.0, seed=seed)
    groups = [
        net.add(Izhikevich(n_exc, c=-65 + 15 * exc**2, d=8 - 6 * exc**2, integrator="half"), name="E"),
        net.add(Izhikevich(n - n_exc, a=0.02 + 0.08 * inh, b=0.25 - 0.05 * inh, d=2.0, integrator="half"), name="I"),
    ]
    cue = np.split(cue_currents(rng, n), [n_exc], axis=1)
    for group, current, strength in zip(groups, cue, (0.4, -0.8), strict=True):
        for post in groups:
            weights = strength * np.sqrt(300.0 / n)
            for tau, share in ((5.0, 1.0), (100.0, 0.05)):  # the same charge per spike
                law = _uniform(weights * share)
                net.connect(
                    group, post, Exponential(tau, name=f"I_{tau:.0f}"), probability(0.05), weight=law, delay=1.0
                )
        net.stimulate(group, Cue(current))
        net.stimulate(group, OUCurrent(0.0, 1.0, 1e-3))  # white: every step draws anew
        net.record(group, "spikes")
    return net


def _uniform(mean):
    return lambda rng, size: 2 * mean * rng.random(size)


def cue_currents(rng, n):
    """Return the currents (mV/ms) of a trial: the last of 21 equal leaky stages, whose peak comes 30 to 650 ms late."""
    size, peak = rng.uniform(4.0, 12.0, n), rng.uniform(30.0, 650.0, n)
    s = np.arange(1.0, TRIAL + 1)[:, None] / peak
    return size * (s * np.exp(1 - s)) ** 20


def states(seed, n=N_UNITS, *, n_trials):
    """Return the filtered spikes of all trials, (n_trials, rows, n), of mean square 1 per row, and the spikes."""
    net = reservoir(seed, n)
    spikes = net.run(TRIAL * n_trials, progress=False).spikes
    X = np.hstack([spikes[group.name].filtered(TAU, every=STEP) for group in net.groups])
    return (X / np.sqrt((X**2).sum(axis=1).mean())).reshape(n_trials, ROWS, n), spikes


# Task and rules


def bump(latency):
    """Return the smoothed events (rows, K) of these latencies."""
    return np.exp(-0.5 * ((T[:, None] - latency) / WIDTH) ** 2)


def happenings(task, rng, n_before, n_after):
    """Return which outcomes happen in every trial, their latencies and their probabilities, (n_trials, K) each."""
    p = np.repeat([task.p, task.new_p], [n_before, n_after], axis=0)
    return rng.random(p.shape) < p, np.repeat([task.latency, task.new_latency], [n_before, n_after], axis=0), p


class Learnt(NamedTuple):
    """What a rule learnt of "when": weights (K, n) at the change and at the end, and the error of every trial."""

    before: np.ndarray
    after: np.ndarray
    errors: np.ndarray  # (n_trials,): rms over outcomes of output at T_k less p_k, before the trial is learnt


def learn_when(rule, task, X, rng, n_before):
    """Let a rule learn trial after trial, row after row while attention lasts."""
    happened, latencies, p = happenings(task, rng, n_before, len(X) - n_before)
    errors = np.zeros(len(X))
    for trial, (x, happens, latency) in enumerate(zip(X, happened, latencies, strict=True)):
        output = heights(x, rule.coef_, latency) if trial else 0.0
        errors[trial] = np.sqrt(np.mean((output - p[trial]) ** 2))
        if trial == n_before:
            before = rule.coef_.copy()
        target = bump(latency) * happens
        if isinstance(rule, EligibilityLMS):
            rule.partial_fit(x, target, gate=OPEN.astype(float))
        else:
            rule.partial_fit(x[OPEN], target[OPEN])
    return Learnt(before, rule.coef_.copy(), errors)


def learn_what(task, X, rng, rate=0.2):
    """Return weights (K, n) learnt after every trial, from the traces replayed at the times of the outcomes.

    At the time of outcome k the target of readout k is 1 if it happened; all other targets are 0.
    """
    readout, a = LMS(rate, fit_intercept=False), np.exp(-1 / TRACE)
    traces = scipy.signal.lfilter([1 - a], [1.0, -a], X, axis=1)
    times, (happened, _, _) = np.unique(task.latency), happenings(task, rng, len(X), 0)
    for trace, happens in zip(traces, happened, strict=True):
        readout.partial_fit(trace[_row(times)], (times[:, None] == task.latency) * happens)
    return readout.coef_


# Measures


def heights(x, W, latency):
    """Return the outputs of states x (rows, n) at the latency of each, (K,)."""
    return np.einsum("ki,ki->k", x[_row(latency)], W)


def _row(latency):
    """Return the row at each latency, where a smoothed event is largest."""
    return np.rint(latency / STEP).astype(int) - 1


class Report(NamedTuple):
    """Slopes of heights over probabilities, on trials that were not learnt from."""

    before: float
    moved: float  # after the change, of outcomes at their new latency
    left_behind: float  # of the same at the old one: 0 if all is unlearnt
    new_p: float  # over the new probabilities, of outcomes that changed theirs


def report(task, learnt, x):
    """Return the `Report` of what was learnt, from the mean states x (rows, n) of test trials."""
    moved = task.latency != task.new_latency
    then, now = heights(x, learnt.before, task.latency), heights(x, learnt.after, task.new_latency)
    old = heights(x, learnt.after, task.latency)
    return Report(
        slope(task.p, then), slope(task.p[moved], now[moved]), slope(task.p[moved], old[moved]),
        slope(task.new_p[~moved], now[~moved]),
    )  # fmt: skip


def slope(p, heights):
    """Return the slope of the regression of heights over probabilities, with an intercept."""
    return float(np.polyfit(p, heights, 1)[0])


def cosines(A, B):
    """Return the cosines of the principal angles between the spans of the rows, largest first."""
    return np.cos(principal_angles(A.T, B.T))


def random_cosines(rng, d, states, n_draws=200):
    """Return cosines (2, n_draws, d) of pairs of random subspaces: of any direction, and of the states' covariance.

    The second draw d random combinations of all states, as untrained but state-driven Hebbian weights would be.
    """
    n = states.shape[1]
    root = np.linalg.qr(states, mode="r").T / np.sqrt(len(states))
    pairs = rng.standard_normal((n_draws, 2, d, n))
    return np.array([[cosines(*(pair @ M)) for pair in pairs] for M in (np.eye(n), root.T)])


# One seed


class Trained(NamedTuple):
    """All that one reservoir gives."""

    test: np.ndarray  # states of the test trials, (n_test, rows, n)
    rates: tuple  # of E and I (Hz)
    when: dict  # rule: Learnt
    cosines: np.ndarray  # of "what" and "when", both learnt by local rules
    random: np.ndarray  # (2, n_draws, d)


def experiment(seed, task, n=N_UNITS, *, n_before=N_BEFORE, n_after=N_AFTER):
    """Simulate one reservoir and let all rules learn from its trials; every rule sees the same outcomes."""
    draw, angles = (np.random.SeedSequence(seed, spawn_key=(k,)) for k in range(2))
    X, spikes = states(seed, n, n_trials=n_before + n_after + N_TEST)
    learnt, test = X[:-N_TEST], X[-N_TEST:]
    when = {
        name: learn_when(make(), task, learnt, np.random.default_rng(draw), n_before) for name, make in RULES.items()
    }
    what = learn_what(task, learnt[:n_before], np.random.default_rng(draw))
    sure = np.flatnonzero(task.p == 1.0)[: LATENCIES.size]  # one outcome per latency
    random = random_cosines(np.random.default_rng(angles), sure.size, learnt[:, OPEN].reshape(-1, n))
    between = cosines(what[sure], when["three-factor"].before[sure])
    return Trained(test, tuple(spikes[name].mean_rate for name in "EI"), when, between, random)


# Figure and table


def draw_outputs(ax, task, trained):
    """Draw outputs of one reservoir in the test trials, for five outcomes, over their expectations."""
    chosen = [5 * i + j for j, i in enumerate((1, 4, 2, 0, 3))]  # one per latency and per probability
    Y = trained.test @ trained.when["three-factor"].before[chosen].T
    for i, k in enumerate(chosen):
        middle, spread = Y[..., i].mean(axis=0), Y[..., i].std(axis=0, ddof=1)
        ax.plot(T, middle, color=f"C{i}", linewidth=2, label=f"{task.p[k]:.1f}")
        ax.fill_between(T, middle - spread, middle + spread, color=f"C{i}", alpha=0.2, linewidth=0)
        ax.plot(T, task.p[k] * bump(task.latency[k : k + 1]), "--", color="0.3", linewidth=1)
    ax.set(xlabel="time after the cue (ms)", ylabel="output", xlim=(0, WINDOW), ylim=(-0.2, 1.4))
    ax.set_title("Three-factor outputs: mean ± sd of 20 trials\n(dashed: probability × smoothed event)")
    ax.legend(title="probability", ncols=5, fontsize=9, columnspacing=1.0)


def draw_heights(ax, task, results, reports):
    """Draw heights over probabilities for all outcomes and seeds."""
    for i, latency in enumerate(LATENCIES):
        own = task.latency == latency
        y = [heights(r.test.mean(axis=0), r.when["three-factor"].before, task.latency)[own] for r in results]
        shift = 0.012 * (i - 2)
        ax.plot(np.tile(task.p[own] + shift, len(y)), np.ravel(y), ".", color=f"C{i}", label=f"{latency:.0f} ms")
    ax.plot([0, 1.05], [0, 1.05], "--", color="0.3", linewidth=1)
    middle, error = mean_and_error([r.before for r in reports["three-factor"]])
    ax.set(xlabel="probability of the outcome", ylabel="output at its latency", xlim=(0.1, 1.1), ylim=(-0.05, 1.6))
    ax.set_title(
        f"Height follows probability:\nslope {middle:.2f} ± {error:.2f} (standard error, {len(results)} networks)"
    )
    ax.legend(title="latency", loc="upper left", ncols=5, fontsize=8, columnspacing=0.8, handletextpad=0.1)


def draw_errors(ax, results):
    """Draw the errors of all rules trial by trial."""
    for name, color in COLORS.items():
        errors = np.mean([r.when[name].errors for r in results], axis=0)
        ax.plot(1 + np.arange(errors.size), errors, color=color, label=name)
    ax.axvline(N_BEFORE + 0.5, color="0.3", linestyle=":")
    ax.annotate("times or\nprobabilities\nchange", (N_BEFORE - 4, 0.42), ha="right", va="top", fontsize=9)
    ax.set(xlabel="trial", ylabel="rms error of the height", ylim=(0, 0.65), xlim=(0, N_BEFORE + N_AFTER))
    ax.set_title("Without forgetting, least squares\ndoes not learn anew")
    ax.legend(loc="upper left", bbox_to_anchor=(0.08, 1.0), fontsize=9)


def draw_cosines(ax, results):
    """Draw the cosines between "what" and "when" over those of random subspaces."""
    random, d = np.concatenate([r.random for r in results], axis=1), len(results[0].cosines)
    index = 1 + np.arange(d)
    labels = "random subspaces (95 %)", "random, in the states' covariance (95 %)"
    for sample, label, color in zip(random, labels, ("0.5", "C2"), strict=True):
        low, high = np.quantile(sample, [0.025, 0.975], axis=0)
        ax.fill_between(index, low, high, color=color, alpha=0.35, linewidth=0, label=label)
    ax.axhline(np.sqrt(d / N_UNITS), color="0.3", linestyle=":", label=r"$\sqrt{d/N}$")
    for result in results:
        ax.plot(index, result.cosines, "o-", color="C0", markersize=4, linewidth=1)
    ax.plot([], [], "o-", color="C0", label="learnt")
    ax.set(xlabel="principal angle", ylabel="cosine", xticks=index, ylim=(0, 1.45), yticks=np.linspace(0, 1, 6))
    ax.set_title("Weights of what and when:\nfar from orthogonal here")
    ax.legend(loc="upper right", fontsize=9)


def mean_and_error(values):
    """Return the mean over seeds and its standard error."""
    return np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))


def main():
    """Run all seeds, print the slopes and angles and draw the figure."""
    task = outcomes()
    results = [experiment(seed, task) for seed in SEEDS]
    reports = {name: [report(task, r.when[name], r.test.mean(axis=0)) for r in results] for name in RULES}
    rates = np.mean([r.rates for r in results], axis=0)
    print(f"{len(results)} reservoirs of {N_UNITS} neurons, E {rates[0]:.1f} Hz, I {rates[1]:.1f} Hz")
    print(
        f"slope of the output at T_k over p_k of {task.p.size} outcomes, ± standard error over reservoirs, test trials"
    )
    print(f"{'':22s}{'before':>14s}{'new time':>14s}{'old time':>14s}{'new probability':>17s}")
    for name, rows in reports.items():
        cells = ["{:.2f} ± {:.2f}".format(*mean_and_error(column)) for column in zip(*rows, strict=True)]
        print(f"{name:22s}{cells[0]:>14s}{cells[1]:>14s}{cells[2]:>14s}{cells[3]:>17s}")
    print(f"{'wanted':22s}{'1':>14s}{'1':>14s}{'0':>14s}{'1':>17s}")
    print("cosines of the principal angles between the weights of what and when")
    random = np.median(np.concatenate([r.random for r in results], axis=1), axis=1)
    rows = np.mean([r.cosines for r in results], axis=0), *random
    for name, values in zip(("learnt, mean", "random, median", "random, as states"), rows, strict=True):
        print(f"{name:22s}" + "".join(f"{value:7.2f}" for value in values))
    figure, axes = plt.subplots(2, 2, figsize=(11, 8.6), layout="constrained")
    draw_outputs(axes[0, 0], task, results[0])
    draw_heights(axes[0, 1], task, results, reports)
    draw_errors(axes[1, 0], results)
    draw_cosines(axes[1, 1], results)
    figure.savefig(__file__.replace(".py", ".png"), dpi=110)


if __name__ == "__main__":
    main()
