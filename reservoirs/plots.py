"""Figures of trained models; Matplotlib is imported on use."""

import numpy as np

__all__ = [
    "plot_conceptors",
    "plot_constrained_training",
    "plot_force_training",
    "plot_forecast",
    "plot_rates",
    "plot_training",
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
