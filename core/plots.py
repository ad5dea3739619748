"""Drawing of what core returns: each function draws a result into the given or a new pair of axes, and returns them."""

import numpy as np

from penstock.sweep_results import shown

__all__ = ["plot_search", "plot_sweep"]

LONGEST_AXIS = 12
"""Labels along an axis of a map."""


def plot_sweep(result, value, ax=None):
    """Draw the mean of a result over one parameter with standard errors, or over two as a map; return the axes."""
    varying = [name for name, values in result.parameters.items() if len(values) > 1] or list(result.parameters)[:1]
    if len(varying) > 2:
        example = f"select({varying[0]}={result.parameters[varying[0]][0]!r})"
        raise ValueError(
            f"a plot shows at most two parameters, and {', '.join(varying)} vary: choose first, by {example}"
        )
    mean, error = result.mean(value), result.standard_error(value)
    if isinstance(result.grid, dict):
        sides = [len(result.parameters[name]) for name in varying]
        mean, error = mean.reshape(sides), error.reshape(sides)
        x = [result.parameters[name] for name in varying]
    else:
        x = [[point[name] for point in result.grid] for name in varying]
    ax = _axes(ax)
    draw = _draw_curve if len(varying) == 1 else _draw_map if isinstance(result.grid, dict) else _draw_points
    draw(ax, x, mean, error, value)
    fixed = {name: values[0] for name, values in result.parameters.items() if name not in varying}
    repeats = [f"{result.repeats} repeats"] if result.repeats > 1 else []
    ax.set(xlabel=varying[0], ylabel=varying[1] if len(varying) == 2 else value)
    ax.set_title(", ".join([*(f"{name} = {shown(v)}" for name, v in fixed.items()), *repeats]), fontsize="medium")
    return ax


def plot_search(result, ax=None):
    """Draw the value of every trial of a search, the best so far, and which trials failed; return the axes."""
    ax = _axes(ax)
    number, values = np.arange(len(result)), result.values
    failed = np.isnan(values)
    ax.plot(number[~failed], values[~failed], "o", markersize=3, color="0.6", label="trial")
    ax.step(number, result.best_values, where="post", label="best so far")
    if failed.any():
        at = np.zeros(failed.sum())  # in units of the axes' height: a failed trial has no value
        ax.plot(number[failed], at, "x", color="C3", transform=ax.get_xaxis_transform(), clip_on=False, label="failed")
    ax.set(xlabel="trial", ylabel=result.value)
    ax.legend(frameon=False, fontsize="small")
    return ax


def _draw_curve(ax, x, mean, error, value):
    """Draw over numbers in their order, over anything else at equal distances."""
    (values,) = x
    numbers = _are_numbers(values)
    at = np.asarray(values, float) if numbers else np.arange(len(values))
    order = np.argsort(at, kind="stable")
    bars = np.where(np.isnan(error), 0, error)[order]
    line = "-" if numbers else ""
    ax.errorbar(at[order], mean[order], yerr=bars, fmt=f"o{line}", markersize=4, capsize=2, label="mean ± 1 s.e.")
    if not numbers:
        ax.set_xticks(at, [shown(v) for v in values])
    if bars.any():
        ax.legend(frameon=False, fontsize="small")


def _draw_map(ax, x, mean, error, value):
    """Draw a cell of equal size for every pair of values, white where there is no result."""
    orders = [np.argsort(np.asarray(v, float), kind="stable") if _are_numbers(v) else np.arange(len(v)) for v in x]
    image = ax.pcolormesh(mean[np.ix_(*orders)].T, rasterized=True)
    for axis, values, order in zip((ax.xaxis, ax.yaxis), x, orders, strict=True):
        step = -(-len(values) // LONGEST_AXIS)
        axis.set_ticks(np.arange(0, len(values), step) + 0.5, [shown(values[i]) for i in order[::step]])
    ax.figure.colorbar(image, ax=ax, label=value)


def _draw_points(ax, x, mean, error, value):
    """Draw a point in its colour for every pair of values."""
    if not all(map(_are_numbers, x)):
        raise ValueError("a plot of a list of points over two parameters must have numbers as their values")
    image = ax.scatter(*x, c=mean)
    ax.figure.colorbar(image, ax=ax, label=value)


def _are_numbers(values):
    return all(type(value) in (int, float) and np.isfinite(value) for value in values)


def _axes(ax):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(layout="constrained")
    return ax
