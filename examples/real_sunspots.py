"""Does a reservoir forecast the yearly sunspot number better than a linear model? Real data, rolling origins.

From every year 1900 to 1994 on, each model is fitted to all years before and forecasts the next 15. Everything is
chosen on the years before 1900: the transformation, the order of the autoregression (AIC), the settings of the network.
The same `Forecaster` serves both: an autoregression AR(p) is a least-squares readout of the last p values.

References: the last number (persistence), the number of 11 years before (seasonal), the mean so far (climatology).
Record: yearly mean sunspot numbers 1700 to 2008, NOAA/NGDC. Autoregressions of it since G. U. Yule (1927), Phil. Trans.
R. Soc. A 226.

What to see: one and two years ahead both models beat the references; from three years on the number of 11 years before
is as good as either. The network does not beat the autoregression: what so few numbers tell of the next ones is mostly
linear. The mean of ten networks draws level with it. Errors of neighbouring origins share years and a cycle takes
eleven, so the error bars come from a bootstrap of blocks, and even these rest on nine cycles only.
"""

from itertools import product

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Ridge
from penstock.data import sunspots
from penstock.reservoirs import ESN, NVAR, Drawn, Forecaster

HORIZON, CYCLE, FIRST = 15, 11, 200  # years; index of 1900
CHOICE = range(100, FIRST - HORIZON + 1, 4)  # origins 1800, 1804, …, whose forecasts end before 1900
TEST = range(FIRST, 309 - HORIZON + 1)
SEEDS, MAX_ORDER = range(1, 11), 20
TRANSFORMS = {
    "none": (lambda numbers: numbers, lambda values: np.maximum(values, 0)),
    "square root": (np.sqrt, lambda values: np.maximum(values, 0) ** 2),
}
GRID = [
    {"spectral_radius": radius, "leak": leak, "input_scaling": scaling, "alpha": alpha}
    for radius, leak, scaling, alpha in product((0.5, 0.9), (0.5, 1.0), (0.1, 0.3, 1.0), (0.01, 0.1, 1.0))
]


def autoregression(order, washout=None):
    """Return AR(order), fitted by least squares."""
    return Forecaster(Drawn(NVAR, n_delays=order, orders=(1,)), Ridge(0.0), washout=washout or order)


def network(seed, *, alpha, **settings):
    """Return a forecaster over a network of 50 units."""
    system = Drawn(ESN.random, n_units=50, bias_scaling=0.5, seed=seed, **settings)
    return Forecaster(system, Ridge(alpha), washout=20)


def order_by_aic(series):
    """Return the order of the autoregression with the least AIC, all judged by the same years."""
    n_years, scores = len(series) - MAX_ORDER, []
    for order in range(1, MAX_ORDER + 1):
        residuals = series - autoregression(order, MAX_ORDER).fit(series).predict(series)
        scores.append(n_years * np.log(np.mean(residuals[MAX_ORDER:] ** 2)) + 2 * order)
    return 1 + int(np.argmin(scores))


def rolling(model, numbers, origins, transform):
    """Return the forecasts of a model refitted at every origin, (origins, years ahead)."""
    there, back = TRANSFORMS[transform]
    return np.array([back(model.fit(there(numbers[:origin])).forecast(HORIZON).series) for origin in origins])


def squared_errors(forecasts, numbers, origins):
    return (forecasts - [numbers[origin : origin + HORIZON] for origin in origins]) ** 2


def rmse(squared):
    return np.sqrt(squared.mean(axis=0))


def choose(numbers):
    """Return transformation, order and settings that did best in forecasts of years before 1900."""

    def error(model, transform):
        return rmse(squared_errors(rolling(model, numbers, CHOICE, transform), numbers, CHOICE)).mean()

    orders = {name: order_by_aic(there(numbers[:FIRST])) for name, (there, _) in TRANSFORMS.items()}
    errors = {name: error(autoregression(order), name) for name, order in orders.items()}
    transform = min(errors, key=errors.get)
    found = ", ".join(f"{name}: AR({orders[name]}) {errors[name]:.1f}" for name in orders)
    print(f"years before 1900, mean RMSE by transformation: {found}")
    tried = [error(network(0, **settings), transform) for settings in GRID]
    settings = GRID[int(np.argmin(tried))]
    print(f"network: {min(tried):.1f} with {', '.join(f'{key} {value}' for key, value in settings.items())}\n")
    return transform, orders[transform], settings


def block_bootstrap(squared, n_draws=2000, seed=0):
    """Return RMSE of origins drawn in blocks as long as a forecast, (draws, years ahead)."""
    n = len(squared)
    starts = np.random.default_rng(seed).integers(0, n, (n_draws, -(-n // HORIZON)))
    drawn = ((starts[:, :, None] + np.arange(HORIZON)) % n).reshape(n_draws, -1)[:, :n]
    return np.sqrt(squared[drawn].mean(axis=1))


def draw(squared, years, numbers, ensemble, linear):
    """Draw error against years ahead, and the forecasts from the middle origin."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    ahead = np.arange(1, HORIZON + 1)
    styles = ["0.4", ":"], ["0.4", "--"], ["0.4", "-."], ["C0", "-"], ["C1", "-"], ["C3", "--"]
    for (name, errors), (color, line) in zip(squared.items(), styles, strict=True):
        left.plot(ahead, rmse(errors), label=name, color=color, linestyle=line, linewidth=2)
        if line == "-":
            spread = block_bootstrap(errors).std(axis=0)
            left.fill_between(ahead, rmse(errors) - spread, rmse(errors) + spread, color=color, alpha=0.2, lw=0)
    left.set(xlabel="years ahead", ylabel="RMSE (sunspot number)", ylim=(0, 118))
    left.set_title("Origins 1900–1994 (bands: ± SE)")
    left.legend(frameon=False, ncols=2, loc="upper left")
    middle = len(TEST) // 2
    origin = TEST[middle]
    past, coming = years[origin - 25 : origin + HORIZON], years[origin : origin + HORIZON]
    right.plot(past, numbers[origin - 25 : origin + HORIZON], "k.-", label="measured")
    right.plot(coming, ensemble[0, middle], color="C1", linewidth=0.8, label=f"network, {len(SEEDS)} seeds")
    right.plot(coming, ensemble[1:, middle].T, color="C1", linewidth=0.8)
    right.plot(coming, linear[middle], color="C0", linewidth=2, label="autoregression")
    right.axvline(coming[0] - 0.5, color="0.4", linestyle=":")
    right.set(xlabel="year", ylabel="sunspot number", title=f"Forecast from {coming[0]} on, the middle origin")
    right.legend(frameon=False, loc="upper left")
    figure.savefig("real_sunspots.png", dpi=130)


def main():
    years, numbers = sunspots()
    transform, order, settings = choose(numbers)
    linear = rolling(autoregression(order), numbers, TEST, transform)
    ensemble = np.array([rolling(network(seed, **settings), numbers, TEST, transform) for seed in SEEDS])
    forecasts = {
        "persistence": np.array([np.full(HORIZON, numbers[origin - 1]) for origin in TEST]),
        "11 years before": np.array([np.tile(numbers[origin - CYCLE : origin], 2)[:HORIZON] for origin in TEST]),
        "mean so far": np.array([np.full(HORIZON, numbers[:origin].mean()) for origin in TEST]),
        f"AR({order})": linear,
        "network": ensemble,  # errors of single networks, then averaged
        "mean of networks": ensemble.mean(axis=0),
    }
    squared = {name: squared_errors(values, numbers, TEST) for name, values in forecasts.items()}
    squared["network"] = squared["network"].mean(axis=0)
    shown = [1, 2, 3, 5, 8, 11, 15]
    print("RMSE ± bootstrap SE, origins 1900-1994" + "".join(f"{h:>12}" for h in shown) + "  years ahead")

    def row(name, values, draws):
        cells = [f"{values[h - 1]:7.1f} ±{draws[:, h - 1].std():4.1f}" for h in shown]
        print(f"{name:<38}" + "".join(cells))

    for name, errors in squared.items():
        row(name, rmse(errors), block_bootstrap(errors))
    pair = squared["network"], squared[f"AR({order})"]
    row("network - AR, same origins", np.subtract(*map(rmse, pair)), np.subtract(*map(block_bootstrap, pair)))
    draw(squared, years, numbers, ensemble, linear)
    print("wrote real_sunspots.png")


if __name__ == "__main__":
    main()
