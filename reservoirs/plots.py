"""Figures of trained models; Matplotlib is imported on use."""

import numpy as np

__all__ = [
    "plot_conceptors",
    "plot_constrained_training",
    "plot_ensemble_scores",
    "plot_force_training",
    "plot_forecast",
    "plot_rates",
    "plot_training",
    "plot_wiring",
]


def plot_forecast(forecast, ax=None):
    """Draw a forecast (of several the first) over its truth, one colour for every channel; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(6, 3), layout="constrained")[1] if ax is None else ax
    first = (lambda array: array) if forecast.n_starts is None else (lambda array: array[0])
    series = first(forecast.series)
    steps = np.arange(1, len(series) + 1)
    for i, channel in enumerate(series.reshape(len(series), -1).T):
        name = "forecast" if series.ndim == 1 or series.shape[1] == 1 else f"forecast, channel {i}"
        ax.plot(steps, channel, color=f"C{i}", lw=1.5, label=name)
    if forecast.truth is not None:
        truth = ax.plot(steps, first(forecast.truth).reshape(len(series), -1), color="k", lw=0.8, ls="--")
        truth[0].set_label("truth")
        valid = int(np.atleast_1d(forecast.valid_steps())[0])
        if valid < len(series):
            ax.axvline(valid + 0.5, color="0.6", lw=1, label="relative error above 0.4")
    ax.set(xlabel="steps ahead", ylabel="value", xlim=(0, len(series) + 1))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small", ncols=3, frameon=False)
    return ax


def plot_force_training(training, ax=None):
    """Draw the size of error and weight change over the steps of FORCE training, logarithmic; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(6, 3), layout="constrained")[1] if ax is None else ax
    steps, error = training.update_steps, np.linalg.norm(training.error[training.update_steps], axis=1)
    change = np.linalg.norm(training.weight_change, axis=1)
    for values, name, color in ((error, "error ‖z − f‖", "C0"), (change, "weight change ‖ΔW‖ per update", "C1")):
        window = max(1, len(values) // 40)
        whole = len(values) // window * window
        ax.plot(steps, values, color=color, lw=0.5, alpha=0.3)
        middle, mean = (part[:whole].reshape(-1, window).mean(axis=1) for part in (steps, values**2))
        ax.plot(middle, np.sqrt(mean), color=color, lw=1.5, label=f"{name}, root mean square of {window}")
    ax.set(xlabel="step", ylabel="error, weight change", yscale="log", xlim=(0, len(training.target)))
    ax.legend(fontsize="small", frameon=False)
    return ax


def plot_conceptors(conceptors, ax=None):
    """Draw the singular values of conceptors, the largest first, with their quotas; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(5, 3), layout="constrained")[1] if ax is None else ax
    for number, conceptor in enumerate(conceptors):
        name = f"pattern {number}, " if len(conceptors) > 1 else ""
        values = conceptor.singular_values
        ax.plot(np.arange(1, len(values) + 1), values, lw=1.5, label=f"{name}quota {conceptor.quota:.2g}")
    ax.set(xlabel="number of the singular value", ylabel="singular value", ylim=(-0.03, 1.03))
    ax.set_xlim(1, max(2, conceptors[0].n_units))
    ax.legend(fontsize="small", frameon=False)
    return ax


def plot_ensemble_scores(scores, ax=None):
    """Draw the errors of an ensemble's members over the first setting, coloured by the second; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(5, 3), layout="constrained")[1] if ax is None else ax
    error = np.sqrt(np.mean(scores.nrmse**2, axis=1))
    names = [name for name in scores.settings if name != "network"]
    x = scores.settings[names[0]] if names else np.arange(len(error))
    color = scores.settings[names[1]] if len(names) > 1 else "C0"
    points = ax.scatter(x, error, c=color, s=12, alpha=0.7, lw=0)
    if len(names) > 1:
        ax.figure.colorbar(points, ax=ax, label=names[1].replace("_", " "))
    best = scores.best
    ax.plot(x[best], error[best], "o", ms=9, mfc="none", mec="k", label=f"best {error[best]:.3g}, member {best}")
    ax.set(xlabel=names[0].replace("_", " ") if names else "member", ylabel="error (NRMSE)", yscale="log")
    ax.legend(fontsize="small", frameon=False)
    return ax


def plot_constrained_training(result, ax=None):
    """Draw the loss and, on the right, the largest row sum with its bound over the steps; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(5, 3), layout="constrained")[1] if ax is None else ax
    (loss,) = ax.semilogy(np.arange(len(result.loss)), result.loss, lw=1.2, label="loss")
    ax.set(xlabel="training step", ylabel="mean square error", xlim=(0, len(result.loss)))
    right = ax.twinx()
    (sums,) = right.plot(result.largest_row_sum, color="C1", lw=1.2, label="largest row sum, right")
    lines = [loss, sums]
    if np.isfinite(result.bound):
        lines.append(right.axhline(result.bound, color="0.3", ls="--", lw=1, label=f"bound {result.bound:.3g}, right"))
    right.set(ylabel="largest row sum of |W|", ylim=(0, 1.25 * result.largest_row_sum.max()))
    right.legend(handles=lines, fontsize="small", loc="center right")
    return ax


def plot_rates(adaptation, ax=None):
    """Draw the mean rate of every unit over its target once inhibition is adapted; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(4, 4), layout="constrained")[1] if ax is None else ax
    label = f"{adaptation.reached.sum()} of {len(adaptation.rates)} units within {adaptation.tolerance:g}"
    ax.plot(adaptation.targets, adaptation.rates, "o", alpha=0.6, label=label)
    ax.plot([0, 1], [0, 1], color="0.3", linestyle="--", linewidth=1, label="rate = target")
    ax.set(xlabel="target rate (of 1)", ylabel="mean rate (of 1)", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(frameon=False)
    return ax


def plot_training(training, ax=None):
    """Draw training and validation errors against the iteration, with the one that was kept; return the axes."""
    from matplotlib import pyplot as plt

    ax = plt.subplots(figsize=(5, 3), layout="constrained")[1] if ax is None else ax
    iterations = np.arange(len(training.training_errors))
    ax.semilogy(iterations, training.training_errors, lw=1.5, label="training")
    ax.semilogy(iterations, training.validation_errors, lw=1.5, label="validation")
    ax.plot(training.best, training.validation_errors[training.best], "ko", ms=5, label=f"kept: {training.best}")
    ax.set(xlabel="iteration", ylabel="one-step RMSE (sd of the series)")
    ax.legend(fontsize="small")
    return ax


def plot_wiring(wiring, ax=None):
    """Draw the neurons of a wiring in columns and its synapses coloured by sign; return the axes.

    Straight lines all run to the right. Synapses within a column or back to the left are curved, those of a neuron to
    itself are loops; both carry an arrowhead.
    """
    from matplotlib import pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    ax = plt.subplots(figsize=(6, 4), layout="constrained")[1] if ax is None else ax
    graph = wiring.graph()
    columns, place = _columns(graph)
    edges = list(graph.edges(data="polarity"))
    start, end = (np.array([place[edge[k]] for edge in edges]).reshape(-1, 2) for k in (0, 1))
    paths, onward = _paths(start, end), start[:, 0] < end[:, 0]
    colors = np.array(["C0" if polarity > 0 else "C3" for *_, polarity in edges])
    opacity = float(np.clip(7 / np.sqrt(max(len(edges), 1)), 0.1, 0.6))
    ax.add_collection(LineCollection(paths, colors=colors, linewidths=0.8, alpha=opacity))
    if not onward.all():
        _arrowheads(ax, paths[~onward], color=colors[~onward], alpha=opacity)
    size = float(np.clip(1500 / max(map(len, columns.values())), 12, 110))
    ax.scatter(*np.array([place[neuron] for neuron in graph]).T, s=size, color="0.25", zorder=3)
    for column, (kind, neurons) in enumerate(columns.items()):
        ax.annotate(f"{len(neurons)} {kind}", (column, 0.53), ha="center", va="bottom", annotation_clip=False)
    ax.set(xlim=(-0.3, len(columns) - 0.7), ylim=(-0.55, 0.55))
    ax.set_axis_off()
    keys = [Line2D([], [], color=color, label=sign) for sign, color in (("excitatory", "C0"), ("inhibitory", "C3"))]
    ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False)
    return ax


def _columns(graph):
    """Return {kind: its neurons} from left to right, and {neuron: (x, y)}."""
    columns: dict[str, list] = {kind: [] for kind in ("sensory", "inter", "command", "motor")}
    for neuron, kind in graph.nodes(data="kind"):
        columns[kind].append(neuron)
    columns = {kind: neurons for kind, neurons in columns.items() if neurons}
    place = {
        neuron: (x, 0.5 - (row + 0.5) / len(neurons))
        for x, neurons in enumerate(columns.values())
        for row, neuron in enumerate(neurons)
    }
    return columns, place


def _paths(start, end):
    """Return the cubic Bezier curves (S, 17, 2) from `start` to `end` (S, 2)."""
    across = end - start
    back, itself = across[:, :1] <= 0, (across == 0).all(axis=1, keepdims=True)
    bend = across[:, ::-1] * (0.3, -0.1) * back
    first = start + across / 3 + bend + np.array([0.15, 0.06]) * itself
    second = end - across / 3 + bend + np.array([0.15, -0.06]) * itself
    t = np.linspace(0, 1, 17)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(weight * point[:, None] for weight, point in zip(weights, (start, first, second, end), strict=True))


def _arrowheads(ax, paths, **look):
    """Draw heads of 0.07 inches in the middle of paths (S, 17, 2), all as one collection: thousands take no time."""
    on = paths[:, 9] - paths[:, 7]
    shape = {"headwidth": 5, "headlength": 7, "headaxislength": 7, "width": 0.01, "units": "inches", "pivot": "mid"}
    length = {"angles": "xy", "scale_units": "inches", "scale": 1 / 0.07}
    ax.quiver(*paths[:, 8].T, *(on / np.hypot(*on.T)[:, None]).T, **shape, **length, **look)
