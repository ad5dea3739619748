"""How long can a trained network foretell chaos? Closed loops on Mackey-Glass and Lorenz-63, 20 networks of each kind.

Every model is two lines: `Forecaster(system).fit(series)`, then `forecast(horizon)`. The forecast is valid as long as
its error stays below 0.4 standard deviations. Networks differ by their seed, forecasts by where they start.

Models: echo-state network (500 units for Mackey-Glass, all others 300), residual network (Ceni and Gallicchio 2024),
next-generation reservoir computing (Gauthier et al. 2021) and a network beside an imperfect model of the Lorenz
equations, beta 5 % too large (Pathak et al. 2018).
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from penstock import Flow
from penstock.data import lorenz63, mackey_glass
from penstock.reservoirs import ESN, NVAR, Drawn, Forecaster, Hybrid, ResESN
from penstock.weights import eye

SEEDS, STARTS, SYNCHRONISE = range(20), 5, 300
NETWORK = {"spectral_radius": 0.9, "input_scaling": 0.3, "bias_scaling": 0.3}
RESIDUAL = {"skip": eye, "alpha": 0.7, "beta": 0.2, **NETWORK}
LORENZ_EXPONENT, LORENZ_DT = 0.9056, 0.02


@njit
def wrong_lorenz(x, u):
    return 10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 1.05 * 8 / 3 * x[2]


IMPERFECT = Flow(wrong_lorenz, n_units=3, dt=LORENZ_DT)


def hybrid(seed):
    """Return a network that sees the present and the imperfect model's forecast, both in the units of Lorenz."""
    return Hybrid(ESN.random(300, n_inputs=6, spectral_radius=0.9, input_scaling=0.02, leak=0.5, seed=seed), IMPERFECT)


def mackey_glass_models(seed):
    return {
        "ESN": Forecaster().set_params(system__seed=seed),
        "ResESN": Forecaster(Drawn(ResESN.random, n_units=300, seed=seed, **RESIDUAL)),
        "NVAR": Forecaster(NVAR(1, n_delays=6, skip=4, orders=(1, 2, 3)), increments=True),
    }


def lorenz_models(seed):
    return {
        "ESN": Forecaster(Drawn(ESN.random, n_units=300, leak=0.5, seed=seed, **NETWORK)),
        "ResESN": Forecaster(Drawn(ResESN.random, n_units=300, seed=seed, **RESIDUAL)),
        "NVAR": Forecaster(NVAR(3), increments=True),
        "hybrid": Forecaster(hybrid(seed), standardise=False, increments=True),
    }


def valid_times(models, series, n_train, horizon):
    """Return {name: valid steps, (seeds, starts)} and the forecasts of the first network of every kind."""
    test = series[n_train - SYNCHRONISE :]
    begins = np.linspace(0, len(test) - SYNCHRONISE - horizon, STARTS).astype(int)
    warmups = np.stack([test[b : b + SYNCHRONISE] for b in begins])
    truths = np.stack([test[b + SYNCHRONISE : b + SYNCHRONISE + horizon] for b in begins])
    times, first = {}, {}
    for seed in SEEDS:
        for name, model in models(seed).items():
            if isinstance(model.system, NVAR) and seed > 0:
                continue  # there is nothing random in it
            forecast = model.fit(series[:n_train], progress=False).forecast(horizon, warmups, truth=truths)
            times.setdefault(name, []).append(forecast.valid_steps())
            first.setdefault(name, forecast)
    return {name: np.array(steps) for name, steps in times.items()}, first


def print_table(title, times, unit, name_of_unit):
    print(f"\n{title}\n{'':8}{'median':>8}{'quartiles':>16}{'worst':>8}   {name_of_unit}")
    for name, steps in times.items():
        low, median, high = np.percentile(steps * unit, [25, 50, 75])
        spread = f"{low:.4g} to {high:.4g}"
        print(f"{name:8}{median:8.4g}{spread:>16}{steps.min() * unit:8.4g}   {steps.size} forecasts")


def draw_forecasts(ax, first, xlabel, unit):
    for i, (name, forecast) in enumerate(first.items()):
        series, truth = (a[0].reshape(len(a[0]), -1)[:, 0] for a in (forecast.series, forecast.truth))
        steps, shift = np.arange(1, len(series) + 1) * unit, -i * 1.3 * np.ptp(truth)
        ax.plot(steps, series + shift, color=f"C{i}", lw=1.2)
        ax.plot(steps, truth + shift, color="k", lw=0.6, ls="--")
        ax.text(0, truth.max() + shift, name, color=f"C{i}", va="bottom")
    ax.margins(y=0.1)
    ax.set(xlabel=xlabel, yticks=[], ylabel="first channel (dashed: truth)")


def draw_times(ax, times, unit, ylabel):
    ax.boxplot([(steps * unit).ravel() for steps in times.values()], tick_labels=list(times), whis=(0, 100))
    ax.set(ylabel=ylabel, ylim=(0, None))


def main():
    u = mackey_glass(5000)
    times, first = valid_times(mackey_glass_models, u, 3000, 500)
    print_table("Mackey-Glass, 3000 steps of training", times, 1, "steps of 500")
    fig, axes = plt.subplots(2, 2, figsize=(9, 6.5), width_ratios=[2, 1], layout="constrained")
    draw_forecasts(axes[0, 0], first, "Mackey-Glass: steps ahead", 1)
    draw_times(axes[0, 1], times, 1, "valid steps of 500")

    per_step = LORENZ_EXPONENT * LORENZ_DT
    x = lorenz63(8000, dt=LORENZ_DT)
    times, first = valid_times(lorenz_models, x, 4000, 800)
    print_table("Lorenz-63, 4000 steps of 0.02", times, per_step, "Lyapunov times of 14.5")
    draw_forecasts(axes[1, 0], first, "Lorenz-63: Lyapunov times ahead", per_step)
    draw_times(axes[1, 1], times, per_step, "valid Lyapunov times")
    fig.savefig("forecast_chaos.png", dpi=110)


if __name__ == "__main__":
    main()
