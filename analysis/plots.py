"""All drawing: each function takes a result, draws into the given or a new pair of axes, and returns them."""

import numpy as np

__all__ = [
    "plot_automaton",
    "plot_automaton_fidelity",
    "plot_block_entropies",
    "plot_capacity_profile",
    "plot_capacity_profiles",
    "plot_correlation_dimension",
    "plot_covariant_angles",
    "plot_degree_distribution",
    "plot_divergence",
    "plot_echo_state_index",
    "plot_edge_of_chaos",
    "plot_false_neighbours",
    "plot_fixed_points",
    "plot_lyapunov_spectrum",
    "plot_memory_curve",
    "plot_memory_over_scale",
    "plot_mutual_information",
    "plot_parallel_run",
    "plot_periodic_orbits",
    "plot_permutation_entropy",
    "plot_prediction_error",
    "plot_pruning_report",
    "plot_replica_growth",
    "plot_singular_values",
    "plot_sparsity_sweep",
    "plot_spectra",
    "plot_stability",
    "plot_step_memory",
    "plot_threshold_network",
    "plot_time_constants",
    "plot_topology_study",
    "plot_transition_matrix",
    "plot_valid_prediction_time",
    "plot_visibility_links",
]


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


def plot_degree_distribution(result, ax=None):
    """Draw P(k) on a logarithmic axis, and for horizontal visibility the law of independent values; return the axes."""
    ax = _axes(ax)
    k, p = result.degree_distribution()
    ax.plot(k, p, "o", markersize=4, label=f"{result.n_nodes} nodes, {result.n_edges} links")
    if getattr(result, "kind", "") == "horizontal":
        import numpy as np

        line = np.arange(2, max(k[-1], 3) + 1)
        law = (2 / 3) ** (line - 2.0) / 3
        ax.plot(line, law, color="0.3", linestyle="--", linewidth=1, label="independent: (1/3)(2/3)$^{k-2}$")
        ax.set_ylim(bottom=0.5 * p.min())
    ax.set(xlabel="degree k (links)", ylabel="fraction of nodes P(k)", yscale="log")
    ax.legend(frameon=False, loc="upper right", fontsize="small")
    return ax


def plot_visibility_links(result, ax=None):
    """Draw a series as bars and its lines of sight; return the axes."""
    from matplotlib.collections import LineCollection

    ax = _axes(ax)
    t, x, (i, j) = result.times, result.series, result.edges.T
    bottom = min(x.min(), 0.0)
    ax.vlines(t, bottom, x, color="0.6", linewidth=2, label="values")
    if result.kind == "horizontal":
        level = x[i].clip(max=x[j])
        lines = [[(t[a], y), (t[b], y)] for a, b, y in zip(i, j, level, strict=True)]
    else:
        lines = [[(t[a], x[a]), (t[b], x[b])] for a, b in zip(i, j, strict=True)]
    ax.add_collection(LineCollection(lines, linewidths=1, label=f"{len(i)} lines of sight"))
    ax.plot(t, x, ".", color="0.2")
    ax.set(xlabel="time", ylabel="value")
    ax.set_title(f"{result.kind} visibility", fontsize="medium")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.15), ncols=2)
    return ax


def plot_threshold_network(result, ax=None):
    """Draw the adjacency matrix of a network, its links coloured by their weights; return the axes."""
    ax = _axes(ax)
    i, j = result.edges.T
    rows, columns = [*i, *j], [*j, *i]
    points = ax.scatter(columns, rows, c=[*result.weights] * 2, marker="s", s=max(2e4 / result.n_nodes**2, 0.5))
    side = (-0.5, result.n_nodes - 0.5)
    ax.set(xlabel="node", ylabel="node", xlim=side, ylim=side[::-1], aspect="equal")
    ax.set_title(f"{result.n_nodes} nodes, {result.n_edges} links, threshold {result.threshold:.3g}", fontsize="medium")
    word = "correlation" if "correlation" in result.kind else "distance"
    if result.n_edges:
        ax.figure.colorbar(points, ax=ax, label=word)
    return ax


def plot_transition_matrix(result, ax=None):
    """Draw the matrix of transition probabilities, unseen transitions white; return the axes."""
    import numpy as np

    ax = _axes(ax)
    P = result.transition_matrix
    image = ax.imshow(np.where(P > 0, P, np.nan), vmin=0, vmax=1, interpolation="none")
    ax.set(xlabel="next symbol", ylabel="symbol")
    rate, top = result.entropy_rate, result.topological_entropy
    ax.set_title(f"entropy {rate:.3g} (Markov), {top:.3g} (topological)", fontsize="medium")
    ax.figure.colorbar(image, ax=ax, label="transition probability")
    return ax


def plot_block_entropies(result, ax=None):
    """Draw the entropy rate h_l over the word length l, hollow where there are too few samples; return the axes."""
    ax = _axes(ax)
    length, rates, good = result.lengths, result.rates, result.sampled
    ax.plot(length, rates, color="C0", linewidth=1)
    ax.plot(length[good], rates[good], "o", color="C0", label="$h_l = H_l - H_{l-1}$")
    if not good.all():
        ax.plot(length[~good], rates[~good], "o", color="C0", markerfacecolor="white", label="too few samples")
    ax.set(xlabel="word length l (symbols)", ylabel="entropy (nats per step)", ylim=(0, None))
    ax.set_title(f"{result.n_steps} steps, entropy rate {result.entropy_rate:.4g}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_permutation_entropy(result, ax=None):
    """Draw the frequency of every ordinal pattern beside that of independent values; return the axes."""
    ax = _axes(ax)
    p = result.counts / result.counts.sum()
    ax.bar(range(p.size), p, width=0.8 if p.size < 200 else 1.0, label=f"entropy {result.normalised:.3g} of maximum")
    ax.axhline(1 / p.size, color="0.3", linestyle="--", linewidth=1, label="independent values")
    ax.set(xlabel="ordinal pattern (lexicographic)", ylabel="frequency", ylim=(0, 1.3 * p.max()))
    ax.set_title(f"order {result.order}, delay {result.delay}, {result.n_missing} never seen", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_automaton(result, ax=None):
    """Draw the states of an automaton on a circle, filled where the output is not 0; return the axes."""
    import numpy as np

    ax = _axes(ax)
    S = result.n_states
    angles = np.pi - 2 * np.pi * np.arange(S) / S
    places = np.column_stack([np.cos(angles), np.sin(angles)]) * (S > 1)
    size = min(0.25, 1.5 / S)
    arrows: dict[tuple[int, int], list[str]] = {}
    for (state, symbol), target in np.ndenumerate(result.transitions):
        arrows.setdefault((state, int(target)), []).append(str(symbol))
    for (a, b), symbols in arrows.items():
        _draw_arrow(ax, places[a], places[b], size, ",".join(symbols), a == b)
    for state, place in enumerate(places):
        shade = "C0" if result.outputs[state] else "white"
        ax.add_patch(_circle(place, size, shade))
        ax.text(*place, str(result.outputs[state]), ha="center", va="center", zorder=4)
    away = angles[result.start] - 0.8  # beside the loop that the state may have
    aside = np.array([np.cos(away), np.sin(away)])
    tip, tail = places[result.start] + size * aside, places[result.start] + (size + 0.35) * aside
    ax.annotate("", tip, tail, arrowprops={"arrowstyle": "-|>", "color": "0.3"})
    ax.text(*(tail + 0.1 * aside), "start", ha="center", va="bottom" if aside[1] > 0 else "top", color="0.3")
    ax.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
    ax.set_title(f"{S} states, outputs in the circles", fontsize="medium")
    ax.axis("off")
    return ax


def _circle(place, size, shade):
    from matplotlib.patches import Circle

    return Circle(place, size, facecolor=shade, edgecolor="0.2", zorder=3)


def _draw_arrow(ax, start, end, size, label, loop):
    """Draw one bent arrow from circle to circle, or a loop outside its circle, with its label."""
    import numpy as np

    if loop:
        out = start / np.linalg.norm(start) if start.any() else np.array([-1.0, 0.0])
        side = np.array([-out[1], out[0]])
        tail, tip = start + size * (0.8 * out + 0.6 * side), start + size * (0.8 * out - 0.6 * side)
        bend, middle = -1.8, start + (2.1 * size + 0.15) * out
    else:
        along = (end - start) / np.linalg.norm(end - start)
        side = np.array([-along[1], along[0]])
        tail, tip = start + size * (along + 0.2 * side), end - size * (along - 0.2 * side)
        bend, middle = -0.2, (start + end) / 2 + (0.15 * np.linalg.norm(end - start) + 0.05) * side
    arrow = {"arrowstyle": "-|>", "color": "0.3", "connectionstyle": f"arc3,rad={bend}", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", tip, tail, arrowprops=arrow)
    ax.text(*middle, label, ha="center", va="center", zorder=5)


def plot_automaton_fidelity(result, ax=None):
    """Draw the fraction of equal outputs over the length of the string; return the axes."""
    ax = _axes(ax)
    steps = range(1, result.per_step.size + 1)
    label = f"mean {result.agreement:.3g} ± {result.standard_error:.2g}"
    ax.plot(steps, result.per_step, label=label)
    ax.axhline(result.by_chance, color="0.3", linestyle="--", linewidth=1, label="by chance")
    ax.set(xlabel="symbols read", ylabel="fraction of equal outputs", ylim=(0, 1.05))
    ax.set_title(f"{result.n_strings} random strings", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_lyapunov_spectrum(result, ax=None):
    """Draw the exponents with their errors, and beside it how the estimates settled; return the axes.

    `ax` may be a pair of axes, or a single one, which then shows the exponents alone.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 2, layout="constrained", figsize=(8, 3.6))[1]
    else:
        axes = ax
    pair = list(np.ravel(axes))
    unit = "nats / step" if result.dt == 1 else "nats / time"
    index = 1 + np.arange(len(result.exponents))
    finite = np.isfinite(result.exponents)
    pair[0].errorbar(
        index[finite],
        result.exponents[finite],
        result.standard_errors[finite],
        fmt="o" if len(index) <= 60 else ".",
        markersize=4 if len(index) <= 60 else 2,
        capsize=2,
        linewidth=1,
        label=f"{result.kind}, ± 1 standard error",
    )
    pair[0].axhline(0, color="0.3", linestyle="--", linewidth=1)
    pair[0].xaxis.get_major_locator().set_params(integer=True)
    pair[0].set(xlabel="index i", ylabel=f"exponent $\\lambda_i$ ({unit})")
    pair[0].legend(frameon=False)
    if len(pair) > 1:
        shown = np.unique(np.linspace(0, len(index) - 1, min(len(index), 6)).astype(int))
        for i in shown[finite[shown]]:
            pair[1].plot(result.trace_times, result.trace[:, i], linewidth=1, label=f"$\\lambda_{{{i + 1}}}$")
        time = "steps" if result.dt == 1 else "time"
        pair[1].set(xlabel=f"{time} after the washout", ylabel=f"running estimate ({unit})")
        pair[1].legend(frameon=False)
    return axes


def plot_covariant_angles(result, ax=None):
    """Draw the distribution of the angles between neighbouring covariant vectors; return the axes."""
    ax = _axes(ax)
    for i in range(min(result.vectors.shape[1], 7) - 1):
        ax.hist(result.angles(i, i + 1), bins=60, density=True, histtype="step", label=f"{i + 1} and {i + 2}")
    ax.set(xlabel="angle (rad)", ylabel="density (1/rad)", xlim=(0, np.pi / 2), ylim=(0, 1.35 * ax.get_ylim()[1]))
    doubt = "" if result.converged else ", not converged"
    ax.set_title(f"covariant vectors at {len(result.times)} times{doubt}", fontsize="medium")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, loc="upper center", ncols=3, fontsize="small", handlelength=1)
    return ax


def plot_replica_growth(result, ax=None):
    """Draw the growth rate of the distance of replicas in every block of the run, and its mean; return the axes."""
    ax = _axes(ax)
    span = result.n_steps * result.dt
    times = (0.5 + np.arange(len(result.finite_time))) * span / len(result.finite_time)
    ax.plot(times, result.finite_time, "o", markersize=4, label="each block")
    error = result.standard_error
    ax.axhspan(result.exponent - error, result.exponent + error, alpha=0.3, linewidth=0, label="± 1 standard error")
    ax.axhline(result.exponent, linewidth=1, label=f"{result.exponent:.4g}")
    unit = "nats / step" if result.dt == 1 else "nats / time"
    ax.set(xlabel=f"{'steps' if result.dt == 1 else 'time'} after the washout", ylabel=f"growth rate ({unit})")
    doubt = "" if result.converged else ", not converged"
    ax.set_title(f"replicas at distance {result.delta:.2g}{doubt}", fontsize="medium")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
    ax.legend(frameon=False, loc="upper center", ncols=2, fontsize="small")
    return ax


def plot_divergence(result, ax=None):
    """Draw the mean log distance of embedded neighbours over time and the line fitted to it; return the axes."""
    ax = _axes(ax)
    first, last = result.fit
    times, curve = result.times, result.divergence
    ax.plot(times, curve, ".-", markersize=4, linewidth=1, label="mean of neighbours")
    fitted = times[first : last + 1]
    line = curve[first : last + 1].mean() + result.exponent * (fitted - fitted.mean())
    ax.plot(fitted, line, linewidth=2, label=f"{result.exponent:.4g} ± {result.standard_error:.1g}, from data")
    ax.set(xlabel="steps" if result.dt == 1 else "time", ylabel="ln distance (nats)")
    doubt = "" if result.converged else ", not converged"
    ax.set_title(f"dimension {result.dimension}, delay {result.delay}{doubt}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_capacity_profile(result, ax=None):
    """Draw information processing capacity over the longest delay of its products, degrees stacked; return the axes."""
    ax = _axes(ax)
    delays = np.arange(result.by_degree_and_delay.shape[1])
    base = np.zeros(len(delays))
    for i, row in enumerate(result.by_degree_and_delay):
        label = f"degree {i + 1}: {result.by_degree[i]:.3g}"
        ax.bar(delays, row, bottom=base, width=0.9, color=_degree_colour(i), label=label)
        base += row
    seen = np.flatnonzero(base)
    ax.set(xlabel="longest delay of the product (steps)", ylabel="capacity", xlim=(-0.6, seen.max(initial=1) + 0.6))
    ax.set_title(f"total {result.total:.4g} ± {result.standard_error:.2g} of {result.bound:.4g}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_capacity_profiles(results, labels, ax=None):
    """Draw the information processing capacity of several systems: one bar each, degrees stacked; return the axes.

    Every bar has the standard error of its total, and a black line at what it cannot exceed, the rank.
    """
    if len(results) != len(labels):
        raise ValueError(f"labels must name each of the {len(results)} results, got {len(labels)}")
    ax = _axes(ax)
    degrees = max(len(result.by_degree) for result in results)
    heights = np.array([np.pad(result.by_degree, (0, degrees - len(result.by_degree))) for result in results])
    base, x = np.zeros(len(results)), np.arange(len(results))
    for i, row in enumerate(heights.T):
        ax.bar(x, row, bottom=base, width=0.7, color=_degree_colour(i), label=f"degree {i + 1}")
        base += row
    totals, errors = np.array([(result.total, result.standard_error) for result in results]).T
    ax.errorbar(x, totals, errors, fmt="none", ecolor="black", capsize=3)
    bounds = np.array([result.bound for result in results])
    ax.hlines(bounds, x - 0.4, x + 0.4, color="black", linewidth=1.5, label="rank")
    ax.set(ylabel="information processing capacity", ylim=(0, 1.08 * bounds.max()))
    ax.set_xticks(x, labels)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_singular_values(ranks, ax=None):
    """Draw the singular values of one or more `Rank`s, relative to the largest, with the threshold; return the axes."""
    ax = _axes(ax)
    for one in ranks:
        kind = f"last {one.shared_steps} steps shared" if one.shared_steps else "independent streams"
        values = one.singular_values / (one.singular_values.max(initial=0.0) or 1.0)
        ax.plot(1 + np.arange(len(values)), values, marker=".", label=f"{kind}: rank {one.rank}")
    ax.axhline(ranks[0].tol, color="0.3", linestyle="--", linewidth=1, label=f"threshold {ranks[0].tol:g}")
    ax.set(xlabel="index of the singular value", ylabel="singular value / largest", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False)
    return ax


def plot_step_memory(result, ax=None):
    """Draw the memory function of a step input with its exponential and power-law fits; return the axes."""
    ax = _axes(ax)
    t = np.arange(len(result.memory))
    ax.plot(t, np.where(result.memory > 0, result.memory, np.nan), label="M(t)")
    if len(result.fitted) >= 3:
        at, (rate, size, error), power = result.fitted, result.exponential, result.power_law
        curve = size * np.exp(-rate * at)
        ax.plot(at, curve, linestyle="--", label=f"exponential, rate {rate:.3g}, residual {error:.2g}")
        curve = power.prefactor * (at + 1.0) ** -power.rate
        ax.plot(at, curve, linestyle=":", label=f"power law, exponent {power.rate:.3g}, residual {power.residual:.2g}")
        ax.set_xlim(0, at[-1] + 1)
        positive = result.memory[: at[-1] + 1]
        ax.set_ylim(0.5 * positive[positive > 0].min(), 2 * positive.max())
    ax.set(xlabel="time t since the step (steps)", ylabel="memory function M(t)", yscale="log")
    ax.legend(frameon=False)
    return ax


def plot_stability(result, ax=None):
    """Draw the eigenvalues of the Jacobian at rest, the unit circle and the sampled mean radius; return the axes."""
    ax = _axes(ax)
    angle = np.linspace(0, 2 * np.pi, 400)
    ax.plot(np.cos(angle), np.sin(angle), color="0.3", linestyle="--", linewidth=1, label="unit circle")
    parts = [np.linalg.eigvals(matrix) for matrix in result.at_rest]
    for number, values in enumerate(parts, start=1):
        name = f"layer {number}\nat rest" if len(parts) > 1 else "at rest"
        radius = np.abs(values).max()
        ax.plot(values.real, values.imag, ".", markersize=4, label=f"{name}: {radius:.3g}")
    if result.along_input is not None:
        radius = result.along_input.mean_radius
        label = f"along the\ninput: {radius:.3g}"
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="C3", linewidth=1, label=label)
    ax.set(xlabel="real part of eigenvalue", ylabel="imaginary part", aspect="equal")
    verdict = "certified" if result.certified else "unstable at rest" if result.necessary_violated else "undecided"
    ax.set_title(f"{sum(map(len, parts))} units, {verdict}", fontsize="medium")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", handlelength=1)
    return ax


def plot_echo_state_index(result, ax=None):
    """Draw the distances between the runs over time, logarithmic, with the fitted decay; return the axes."""
    ax = _axes(ax)
    t = np.arange(result.n_steps)
    shown = np.where(result.distances > 0, result.distances, np.nan)
    for number, row in enumerate(shown):
        label = f"{result.n_starts} starts" if number == 0 else None
        ax.plot(t, row, color="C0", alpha=0.4, linewidth=0.8, label=label)
    start, stop = result.fitted
    if np.isfinite(result.decay_rate):
        ends = np.exp(np.log(result.distances[:, [start, stop - 1]]).mean(axis=0))
        word, unit = "decay" if result.converged else "growth", "step" if result.dt == 1 else "time"
        label = f"{word} {result.decay_rate:.3g} ± {result.decay_error:.1g} / {unit}"
        ax.plot([start, stop - 1], ends, color="C3", linestyle="--", label=label)
    ax.set(xlabel="time (steps)", ylabel="distance to the reference run", yscale="log")
    met = int(result.forgotten.sum())
    ax.set_title(f"echo-state index {result.index:.3g}, {met} of {result.n_starts} runs met", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_edge_of_chaos(result, ax=None):
    """Draw the largest exponent of every seed over the parameter, the mean and the crossing; return the axes."""
    ax = _axes(ax)
    for number, column in enumerate(result.exponents.T):
        label = f"{len(result.seeds)} seeds" if number == 0 else None
        ax.plot(result.values, column, color="C0", alpha=0.4, linewidth=0.8, label=label)
    ax.plot(result.values, result.exponents.mean(axis=1), color="C0", marker="o", markersize=4, label="mean")
    ax.axhline(0, color="0.3", linestyle="--", linewidth=1)
    if np.isfinite(result.crossing):
        ax.axvline(result.crossing, color="C3", linewidth=1, label=f"crossing {result.crossing:.3g}")
    ax.set(xlabel="parameter", ylabel="largest exponent (nats / time)")
    ax.set_title(f"{result.kind}, {int(result.doubtful.sum())} of {result.doubtful.size} in doubt", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def _degree_colour(i):
    """Return the same colour for a degree in every figure."""
    import matplotlib

    return matplotlib.colormaps["tab10"](i % 10)


def plot_fixed_points(result, trajectories=None, ax=None):
    """Draw points in two principal components: stable filled, others open with their leading direction."""
    ax = _axes(ax)
    project, labels, extent = _principal_plane(result.points, trajectories)
    _draw_trajectories(ax, project, trajectories)
    stable, samples = result.stable & result.isolated, ~result.isolated
    for i in np.flatnonzero(~stable & result.isolated & ~result.slow):
        ends = result.points[i] + 0.08 * extent * np.outer([-1, 1], result.directions[i])
        ax.plot(*project(ends).T, color="C3", linewidth=1, label="_")
    groups = [
        (result.isolated & ~stable, "none", "C3", "o", "slow" if result.slow else "unstable or saddle"),
        (stable, "k", "k", "o", "slow, stable" if result.slow else "stable"),
        (samples, "C0", "C0", "s", "continuum"),
    ]
    for rows, face, edge, marker, label in groups:
        if rows.any():
            at = project(result.points[rows]).T
            ax.scatter(
                *at, s=28, facecolors=face, edgecolors=edge, marker=marker, zorder=3, label=f"{label}: {rows.sum()}"
            )
    if len(result.inputs) > 1:
        _join_inputs(ax, project, result)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.margins(0.1)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _join_inputs(ax, project, result):
    """Ring every point in the colour of its input, by the first channel, with a scale beside the axes."""
    drive = result.inputs[:, 0]
    at = project(result.points).T
    rings = ax.scatter(*at, c=drive[result.input_index], s=110, marker="o", cmap="viridis", zorder=1)
    rings.set_clim(drive.min(), drive.max())
    ax.figure.colorbar(rings, ax=ax, label="input" if result.inputs.shape[1] == 1 else "input, channel 0")


def plot_periodic_orbits(result, trajectories=None, ax=None):
    """Draw closed orbits in two principal components, stable ones by full lines, others by dashed ones."""
    ax = _axes(ax)
    project, labels, _ = _principal_plane(result.orbits.reshape(-1, result.orbits.shape[2]), trajectories)
    _draw_trajectories(ax, project, trajectories)
    for i, orbit in enumerate(result.orbits):
        style = "-" if result.stable[i] else "--"
        modulus = abs(result.multipliers[i, 0])
        at = project(np.vstack([orbit, orbit[:1]])).T
        label = f"|multiplier| {modulus:.3g}" if len(result.orbits) <= 8 else "_"
        ax.plot(*at, style, color=f"C{i % 10}", marker="o", markersize=4, linewidth=1, label=label)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.set_title(f"{len(result)} orbits of period {result.period}", fontsize="medium")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _principal_plane(points, trajectories):
    """A projection onto two principal components of the trajectories, or of the points; axis labels; the extent."""
    n = points.shape[1]
    states = points if trajectories is None else np.asarray(trajectories).reshape(-1, n)
    if trajectories is None and len(points) < 2:
        states = np.vstack([np.zeros((1, n)), points])
    centre = states.mean(axis=0)
    _, sizes, rows = np.linalg.svd(states - centre, full_matrices=False)
    rows = np.vstack([rows, np.zeros((2, n))])[:2]
    share = np.append(sizes**2, [0.0, 0.0])[:2] / max(float((sizes**2).sum()), 1e-300)
    labels = [f"principal component {i + 1} ({100 * s:.0f} % of the variance)" for i, s in enumerate(share)]
    extent = float(np.ptp((states - centre) @ rows.T, axis=0).max()) or 1.0
    return (lambda X: (X - centre) @ rows.T), labels, extent


def _draw_trajectories(ax, project, trajectories):
    if trajectories is None:
        return
    trajectories = np.asarray(trajectories)
    for states in trajectories if trajectories.ndim == 3 else trajectories[None]:
        ax.plot(*project(states).T, color="0.75", linewidth=0.7, zorder=0, label="_")


def plot_mutual_information(result, ax=None):
    """Draw the mutual information over the delay with the chosen delay and the level of chance; return the axes."""
    ax = _axes(ax)
    ax.plot(range(len(result.information)), result.information, marker=".")
    name = "first minimum" if result.converged else "lowest value (no minimum)"
    ax.axvline(result.delay, color="C1", linewidth=1, label=f"{name}: {result.delay} steps")
    ax.axhline(result.null_level, color="0.3", linestyle="--", linewidth=1, label="independent values")
    ax.set(xlabel="delay k (steps)", ylabel="mutual information (nats)", ylim=(0, None))
    ax.legend(frameon=False)
    return ax


def plot_false_neighbours(result, ax=None):
    """Draw the fraction of false neighbours over the embedding dimension with the tolerance; return the axes."""
    ax = _axes(ax)
    ax.plot(range(1, len(result.fractions) + 1), 100 * result.fractions, marker="o")
    level = f"tolerance, met in dimension {result.dimension}" if result.converged else "tolerance, not met"
    ax.axhline(100 * result.tolerance, color="0.3", linestyle="--", linewidth=1, label=level)
    ax.set(xlabel="embedding dimension d", ylabel="false neighbours (%)", ylim=(0, None))
    ax.set_title(f"delay {result.delay} steps", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_correlation_dimension(result, ax=None):
    """Draw the local slope over the radius with the flat window, and C(r) on a second axis; return the axes."""
    ax = _axes(ax)
    middle = np.sqrt(result.radii[1:] * result.radii[:-1])
    ax.axvspan(*result.window, color="0.9", label="flat window")
    ax.errorbar(middle, result.slope, result.slope_error, marker=".", capsize=2, label="local slope ± 1 s.e.")
    ax.axhline(result.dimension, color="0.3", linestyle="--", linewidth=1,
               label=f"D = {result.dimension:.3g} ± {result.spread:.1g}")  # fmt: skip
    top = 1.6 * max(result.dimension, 1e-3)
    ax.set(xscale="log", xlabel="radius r (units of the points)", ylabel="local slope d ln C / d ln r", ylim=(0, top))
    ax.set_title(f"{result.n_points} points, Theiler window {result.theiler} steps", fontsize="medium")
    other = ax.twinx()
    (curve,) = other.loglog(result.radii, result.correlation, color="C1", linewidth=1, label="C(r), right")
    other.set_ylabel("fraction of pairs closer, C(r)")
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(handles=[*handles, curve], frameon=False, loc="lower right", fontsize="small")
    return ax


def plot_spectra(result, ax=None):
    """Draw the true and the generated power spectrum, averaged over the dimensions; return the axes."""
    ax = _axes(ax)
    f = result.frequencies[1:]
    ax.loglog(f, result.true_spectrum[1:].mean(axis=1), label="true")
    ax.loglog(f, result.generated_spectrum[1:].mean(axis=1), label="generated")
    ax.set(xlabel="frequency (cycles per unit of time)", ylabel="share of the power per bin")
    ax.set_title(f"Hellinger distance {result.value:.3g}, floor {result.floor:.2g}", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_prediction_error(result, ax=None):
    """Draw the mean square error over the steps ahead with the errors of no forecast; return the axes."""
    ax = _axes(ax)
    steps = range(1, result.n_steps + 1)
    ax.semilogy(steps, result.curve, marker=".", label=f"{result.n_starts} forecasts")
    ax.semilogy(steps, result.persistence, color="0.3", linestyle=":", linewidth=1, label="no change")
    ax.axhline(result.null_level, color="0.3", linestyle="--", linewidth=1, label="the mean")
    ax.set(xlabel="steps ahead", ylabel="mean square error (units of the data, squared)")
    ax.legend(frameon=False)
    return ax


def plot_valid_prediction_time(result, ax=None):
    """Draw the median relative error and its quartiles over time, with threshold and median; return the axes."""
    ax = _axes(ax)
    known = result.exponent is not None
    t = np.arange(1, result.error.shape[1] + 1) * result.dt * (result.exponent if known else 1.0)
    # an order statistic: no mean of a finite and an infinite error
    low, middle, high = np.percentile(result.error, [25, 50, 75], axis=0, method="lower")
    ax.fill_between(t, low, high, alpha=0.3, linewidth=0, label="quartiles")
    ax.plot(t, middle, label=f"median of {len(result.steps)}")
    ax.axhline(result.threshold, color="0.3", linestyle="--", linewidth=1, label=f"threshold {result.threshold:g}")
    ax.axvline(result.median, color="C1", linewidth=1, label=f"median valid time {result.median:.3g}")
    ax.set(xlabel="Lyapunov times" if known else "time (units of dt)", ylabel="relative error")
    ax.set(xlim=(0, t[-1]), ylim=(0, 3 * max(result.threshold, 0.5)))
    ax.legend(frameon=False)
    return ax


def plot_parallel_run(result, ax=None):
    """Draw the largest change of every iteration and the tolerance; return the axes."""
    ax = _axes(ax)
    steps = np.arange(1, result.n_iterations + 1)
    word = "converged" if result.converged else "not converged"
    drawn = np.maximum(result.changes, 1e-17)  # an iteration may change nothing at all
    ax.semilogy(steps, drawn, marker=".", label=f"{'quasi-' * result.diagonal}DEER, {word}")
    ax.axhline(result.tol, color="0.3", linestyle="--", linewidth=1, label=f"tolerance {result.tol:.1g}")
    ax.set(xlabel="iteration", ylabel="largest change, relative to max(1, |x|)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(f"{result.n_settled} of {len(result.states)} steps settled", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def plot_pruning_report(result, ax=None):
    """Draw the eigenvalues of W before and after pruning, and the two spectral radii; return the axes."""
    ax = _axes(ax)
    angle = np.linspace(0, 2 * np.pi, 200)
    for summary, word, marker, colour in ((result.before, "before", "o", "0.6"), (result.after, "after", ".", "C0")):
        radius, shape = summary.spectral_radius, f"{summary.n_units} units, {summary.n_synapses} synapses"
        points = summary.eigenvalues
        ax.plot(points.real, points.imag, marker, color=colour, markersize=4, label=f"{word}: {shape}")
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color=colour, linewidth=1)
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.locator_params(nbins=5)
    ax.set_title("eigenvalues of W and their radius", fontsize="medium")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.15), fontsize="small")
    return ax


def _axes(ax):
    """Return `ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def plot_sparsity_sweep(result, ax=None):
    """Draw scores over the share of synapses kept, and spectral radius and leading exponent below; return both axes."""
    pair = _pair(ax)
    shares = result.density
    whole = result.unpruned.mean()
    error = np.nan_to_num(result.standard_errors)
    pair[0].errorbar(shares, result.mean, error, marker="o", capsize=2, label="pruned ± 1 s.e.")
    pair[0].axhline(whole, color="0.3", linestyle="--", linewidth=1, label=f"unpruned: {whole:.4g}")
    pair[0].set(ylabel="score")
    pair[0].set_title(f"{len(result.seeds)} seeds", fontsize="medium")
    pair[0].legend(frameon=False)
    pair[-1].set(xlabel="share of the synapses kept")
    if len(pair) == 1:
        return pair[0]
    pair[1].plot(shares, result.spectral_radius.mean(axis=1), marker=".", color="C1", label="spectral radius")
    if np.isfinite(result.leading_exponent).any():
        exponents = result.leading_exponent.mean(axis=1)
        pair[1].plot(shares, exponents, marker=".", color="C2", label="leading exponent (1 / time)")
        pair[1].axhline(0, color="0.6", linewidth=0.8)
    pair[1].legend(frameon=False)
    return pair


def _pair(ax):
    """Return two new axes above one another, or the given one or two as a tuple."""
    if ax is not None:
        return tuple(np.atleast_1d(ax).ravel())
    import matplotlib.pyplot as plt

    return tuple(plt.subplots(2, 1, sharex=True, height_ratios=[2, 1], layout="constrained")[1])


def plot_topology_study(result, ax=None):
    """Draw Pearson's and Spearman's correlation of every statistic with the score, with errors; return the axes."""
    ax = _axes(ax)
    rows = np.arange(len(result.names))[::-1]
    for shift, name, values, errors in (
        (0.12, "Pearson", result.pearson, result.pearson_errors),
        (-0.12, "Spearman", result.spearman, result.spearman_errors),
    ):
        ax.errorbar(values, rows + shift, xerr=errors, fmt="o", capsize=2, label=f"{name} ± 1 s.e.")
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.set(xlabel="correlation with the score", xlim=(-1.05, 1.05), yticks=rows)
    ax.set_yticklabels([name.replace("_", " ") for name in result.names])
    held_out = result.r_squared_held_out
    ax.set_title(f"{len(result.scores)} networks; all together R² = {held_out:.2f} held out", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_time_constants(result, ax=None):
    """Draw the Lyapunov exponents before and after the choice of time constants, over their rank; return the axes."""
    ax = _axes(ax)
    for label, exponents in (("before", result.before), ("after", result.after)):
        ax.plot(np.arange(1, len(exponents) + 1), exponents, marker=".", label=label)
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set(xlabel="rank", ylabel="Lyapunov exponent (1 / time)")
    ax.set_title(f"Gamma of mean {result.mean:.3g} and shape {result.shape:.3g}", fontsize="medium")
    ax.legend(frameon=False)
    return ax
