"""How much of the past does a reservoir remember? One figure, three answers; a table in the terminal.

1. Memory curves of nine reservoirs of 100 readable units, mean and spread over seeds.
2. Total memory capacity against the scale of the input: between its bounds, any value can be had.
3. The real yearly sunspot record: how well each reservoir recalls the past years and forecasts the next one.

Sources: Jaeger (2001); Ceni and Gallicchio (2024, ResESN and ES2N); Pinna, Ceni, Gallicchio (2025, arXiv 2508.21172 and
2508.09925); Ballarin, Grigoryeva, Ortega (2025, arXiv 2502.04832), whose input scales the second panel uses.
"""

import warnings
from functools import partial

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import ridge
from penstock.analysis import MC2, memory_capacity, memory_over_input_scale
from penstock.data import sunspots
from penstock.metrics import nrmse_std
from penstock.reservoirs import ES2N, ESN, DeepESN, DeepResESN, EchoStateWarning, ResESN, ResRMN
from penstock.scaling import scale_spectral_norm
from penstock.weights import eye, normal, orthogonal, ring, sparse

N_UNITS, SEEDS = 100, range(5)
FIT, CHOOSE, TEST = slice(30, 180), slice(180, 230), slice(230, 308)  # 1730-1879, 1880-1929, 1930-2007
WEAK = {"input_scaling": 0.25}

RESERVOIRS = {
    "ESN": partial(ESN.random, N_UNITS, input_scaling=0.1),
    "ESN, ring": partial(ESN.random, N_UNITS, input_scaling=0.1, weights=ring),
    "ES2N": partial(ES2N.random, N_UNITS, beta=0.05, **WEAK),
    "ResESN R": partial(ResESN.random, N_UNITS, alpha=0.95, beta=0.01, **WEAK),
    "ResESN C": partial(ResESN.random, N_UNITS, alpha=0.95, beta=1e-4, skip=ring, **WEAK),
    "ResESN I": partial(ResESN.random, N_UNITS, alpha=0.01, beta=1.1, skip=eye, **WEAK),
    "DeepESN": partial(DeepESN.random, N_UNITS, n_layers=5, input_scaling=0.1, inter_scaling=0.1),
    "DeepResESN": partial(DeepResESN.random, N_UNITS, n_layers=2, alpha=0.95, beta=0.01, inter_scaling=1.0, **WEAK),
    "ResRMN": partial(
        ResRMN.random,
        N_UNITS,
        n_memory=N_UNITS,
        memory_radius=0.99,
        memory_input_scaling=0.1,
        memory_scaling=0.1,
        alpha=0.95,
        beta=0.1,
        **WEAK,
    ),
}


def memory_curves():
    """Return {name: the MemoryCapacity of every seed}."""
    return {
        name: [memory_capacity(make(seed=seed), n_steps=6000, seed=100 + seed) for seed in SEEDS]
        for name, make in RESERVOIRS.items()
    }


def capacity_over_scale():
    """Return {kind of recurrent matrix: MemoryOverScale}, N = 30, largest singular value 0.95."""
    kinds = {"orthogonal": orthogonal, "normal": normal, "sparse": partial(sparse, density=0.1)}
    curves = {}
    for name, weights in kinds.items():
        esn = ESN.random(30, weights=weights, spectral_radius=0.95, scale=scale_spectral_norm, seed=1)
        W_in = np.random.default_rng(2).standard_normal((30, 1))
        curves[name] = memory_over_input_scale(
            ESN(esn.W, W_in), np.logspace(-2.04, 2.6, 17), protocol=MC2, seed=3, progress=False
        )
    return curves


def sunspot_errors(horizons):
    """Return {name: NRMSE (RMSE / standard deviation) on held-out years, (seeds, horizons)} and two references."""
    _, numbers = sunspots()
    series = (numbers - numbers.mean()) / (4 * numbers.std())
    targets = np.column_stack([np.roll(series, -h) for h in horizons])
    errors = {}
    for name, make in RESERVOIRS.items():
        systems = [make(seed=seed) for seed in SEEDS]
        errors[name] = np.array([_held_out(system.run(series)[:, system.observed], targets) for system in systems])
    nine_years = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(8), series]), 9)
    references = {
        "last year's number": nrmse_std(np.roll(series, -1)[TEST], series[TEST]),
        "linear, last 9 years": _held_out(nine_years, targets[:, :1])[0],
    }
    return errors, references


def _held_out(states, targets):
    """Error on the test years, target by target, of the ridge readout whose penalty did best on the years before."""
    states = states / states[FIT].std(axis=0)
    readouts = [ridge(states[FIT], targets[FIT], alpha) for alpha in 10.0 ** np.arange(-6, 5)]
    tried = np.array([[nrmse_std(*pair) for pair in _columns(targets, r(states), CHOOSE)] for r in readouts])
    scores = np.array([[nrmse_std(*pair) for pair in _columns(targets, r(states), TEST)] for r in readouts])
    return np.take_along_axis(scores, tried.argmin(axis=0)[None], axis=0)[0]


def _columns(targets, outputs, years):
    return zip(targets[years].T, outputs[years].T, strict=True)


def draw(curves, scales, errors, references, horizons):
    """Draw the three panels."""
    figure, axes = plt.subplots(1, 3, figsize=(16, 5.6), layout="constrained")
    styles = {name: {"color": f"C{i}", "linestyle": "-" if i < 6 else "--"} for i, name in enumerate(RESERVOIRS)}
    for name, results in curves.items():
        curve = np.array([result.per_delay for result in results])
        middle, spread, delays = curve.mean(axis=0), curve.std(axis=0, ddof=1), results[0].delays
        axes[0].plot(delays, middle, label=name, linewidth=2, **styles[name])
        axes[0].fill_between(delays, middle - spread, middle + spread, color=styles[name]["color"], alpha=0.2, lw=0)
    axes[0].set(xlabel="delay k (steps)", ylabel="memory capacity MC$_k$", xlim=(0, 130), ylim=(-0.02, 1.02))
    axes[0].set_title(f"What {N_UNITS} units remember\n(mean ± sd over {len(SEEDS)} seeds)")
    draw_scales(axes[1], scales)
    draw_sunspots(axes[2], errors, references, horizons, styles)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=9)
    figure.savefig("memory_capacity.png", dpi=110)


def draw_scales(ax, scales):
    """Draw capacity against input scale between its bounds."""
    for name, curve in scales.items():
        ax.errorbar(curve.scales, curve.totals, curve.standard_errors, marker="o", label=name)
    for bound, text in ((30, "upper bound N = 30"), (1, "lower bound 1")):
        ax.axhline(bound, color="0.4", linestyle=":")
        ax.annotate(text, (0.02, bound), (0, 4), xycoords=("axes fraction", "data"), textcoords="offset points")
    ax.set(xscale="log", ylim=(0, 32.5), xlabel="input scale γ (two-valued input ±γ)", ylabel="memory capacity MC")
    ax.set_title("By its input scale alone a network\ntakes any value between the bounds")
    ax.legend(title="recurrent matrix", loc="upper right", bbox_to_anchor=(1, 0.92))


def draw_sunspots(ax, errors, references, horizons, styles):
    """Draw the recall of past years as curves and the forecast of the next as points beside them."""
    back = horizons <= 0
    places = np.linspace(-6, -2, len(errors))
    for place, (name, error) in zip(places, errors.items(), strict=True):
        middle, spread = error.mean(axis=0), error.std(axis=0, ddof=1)
        ax.plot(-horizons[back], middle[back], linewidth=2, **styles[name])
        low, high = np.maximum(middle - spread, 1e-5), middle + spread
        ax.fill_between(-horizons[back], low[back], high[back], color=styles[name]["color"], alpha=0.15, lw=0)
        ax.errorbar(place, middle[~back], spread[~back], marker="o", color=styles[name]["color"])
    for name, line in {"linear, last 9 years": ":", "last year's number": "-."}.items():
        ax.plot([-6.4, -1.6], [references[name]] * 2, color="0.3", linestyle=line)
        ax.annotate(name, (-1.4, references[name]), fontsize=9, va="center")
    ax.set(yscale="log", ylim=(2e-5, 1), xlabel="years back", xticks=[-4, 0, 5, 10, 15, 20])
    ax.set_xticklabels(["forecast\n1 year", "0", "5", "10", "15", "20"])
    ax.set_ylabel("NRMSE = RMSE / sd, held-out years 1930–2007")
    ax.set_title("Real yearly sunspot numbers:\nrecall of past years, forecast of the next")


def main():
    warnings.simplefilter("ignore", EchoStateWarning)  # published best settings may lie beyond the condition
    horizons = np.array([1, 0, *range(-1, -21, -1)])
    curves, scales = memory_curves(), capacity_over_scale()
    errors, references = sunspot_errors(horizons)
    print("Memory capacity: adjusted R², delays 0..199, inputs uniform in ±0.8; sunspots: NRMSE on 1930-2007")
    print(f"{'reservoir':<12}{'MC':>7}{'± sd seeds':>12}{'± SE':>7}{'recall 10 years':>18}{'forecast 1 year':>17}")
    for name, results in curves.items():
        totals = np.array([result.total for result in results])
        error = errors[name].mean(axis=0)
        print(
            f"{name:<12}{totals.mean():7.1f}{totals.std(ddof=1):12.1f}{results[0].standard_error:7.2f}"
            f"{error[horizons == -10][0]:18.2f}{error[horizons == 1][0]:17.2f}"
        )
    for name, error in references.items():
        print(f"{name:<38}{'':>18}{error:17.2f}")
    draw(curves, scales, errors, references, horizons)
    print("wrote memory_capacity.png")


if __name__ == "__main__":
    main()
