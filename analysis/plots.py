"""All drawing: each function takes a result, draws into the given or a new pair of axes, and returns them."""

__all__ = ["plot_memory_curve", "plot_memory_over_scale"]


def plot_memory_curve(result, ax=None):
    """Draw MC_k over the delay k with its error band, the null level and the 5 % chance level; return the axes."""
    ax = _axes(ax)
    k, curve, error = result.delays, result.per_delay, result.delay_standard_error
    ax.fill_between(k, curve - error, curve + error, alpha=0.3, linewidth=0, label="± 1 standard error")
    ax.plot(k, curve, label=f"MC = {result.total:.4g} ± {result.standard_error:.2g}")
    ax.axhline(result.null_level, color="0.3", linestyle="--", linewidth=1, label="no memory: mean")
    ax.axhline(result.chance_level(0.05), color="0.3", linestyle=":", linewidth=1, label="no memory: 95 % below")
    ax.set(xlabel="delay k (steps)", ylabel="memory capacity MC_k", xlim=(k[0], max(k[-1], k[0] + 1)))
    ax.set_title(f"{result.n_units} units, {result.protocol.name}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_memory_over_scale(result, ax=None):
    """Draw total memory capacity over the input scale, logarithmic, with its bounds dashed; return the axes."""
    ax = _axes(ax)
    ax.errorbar(
        result.scales, result.totals, result.standard_errors, marker="o", capsize=2, label="MC ± 1 standard error"
    )
    lower, upper = result.bounds
    ax.axhline(upper, color="0.3", linestyle="--", linewidth=1, label=f"bounds {lower:g} and N = {upper:g}")
    ax.axhline(lower, color="0.3", linestyle="--", linewidth=1)
    ax.set(xscale="log", xlabel="input scale (factor on the inputs)", ylabel="memory capacity MC", ylim=(0, None))
    ax.set_title(f"{result.capacities[0].n_units} units, {result.capacities[0].protocol.name}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def _axes(ax):
    """Return `ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]
