"""All named firing patterns of Izhikevich's models in one figure: potential above, input below.

1. The twenty patterns of "Which model to use for cortical spiking neurons?" (2004), figure 1.
2. The eight cells of "Simple model of spiking neurons" (2003), figure 2.
3. Seven cell types of "Dynamical systems in neuroscience" (2007), chapter 8.

The table says how many spikes the same parameters fire with other schemes: the scheme belongs to the model.
"""

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from penstock.spiking import IZHIKEVICH_2003, IZHIKEVICH_2004, IZHIKEVICH_2007

COLUMNS = 4
PAPERS = {
    "Izhikevich 2004: twenty patterns (blue: potential, red: input)": IZHIKEVICH_2004,
    "Izhikevich 2003: eight cells": IZHIKEVICH_2003,
    "Izhikevich 2007: seven cells": IZHIKEVICH_2007,
}


def draw(traces):
    """Draw one panel per trace, a block of rows per paper."""
    rows = {paper: -(-len(block) // COLUMNS) for paper, block in traces.items()}
    figure = plt.figure(figsize=(12, 1.75 * sum(rows.values()) + 1.2), layout="constrained")
    blocks = figure.subfigures(len(rows), 1, height_ratios=[count + 0.25 for count in rows.values()])
    for part, (paper, block) in zip(blocks, traces.items(), strict=True):
        part.suptitle(paper, fontsize=17, fontweight="bold")
        axes = part.subplots(rows[paper], COLUMNS, squeeze=False).ravel()
        for ax, trace in zip(axes, block, strict=False):
            draw_panel(ax, trace)
        for ax in axes[len(block) :]:
            ax.axis("off")
        scale = {"transform": axes[0].get_yaxis_transform(), "clip_on": False}
        axes[0].plot([-0.01, -0.01], [-50, 0], color="k", linewidth=3, **scale)
        axes[0].text(-0.03, -25, "50 mV", fontsize=12, va="center", ha="right", rotation=90, **scale)
    figure.savefig("izhikevich_patterns.png", dpi=110)


def draw_panel(ax, trace):
    """Draw one trace without ticks, and say how long it is and what drives it."""
    trace.plot(ax)
    if trace.pattern.name == "subthreshold oscillation":  # too small to see otherwise
        after = trace.t > 55
        ax.plot(trace.t[after], 20 * (trace.v[after] - trace.v[after].mean()) - 10, color="0.5", linewidth=1)
        ax.text(0.97, 0.97, "20 times", transform=ax.transAxes, fontsize=11, color="0.4", va="top", ha="right")
    pattern, current = trace.pattern, trace.pattern.input
    ax.set_title(pattern.name, fontsize=14, pad=3)
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[], ylim=(-125, 55))
    unit = "pA" if pattern in IZHIKEVICH_2007.values() else "mV/ms"
    span = f"{current.max():g}" if current.min() == current.max() else f"{current.min():g} to {current.max():.3g}"
    ax.set_xlabel(f"{pattern.duration:g} ms, {span} {unit}", fontsize=12, labelpad=2)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def other_schemes(pattern):
    """Return the numbers of spikes with forward Euler, half-steps, and the figure's scheme at a tenth of the step."""
    others = [replace(pattern, neuron=replace(pattern.neuron, integrator=scheme)) for scheme in ("euler", "half")]
    return [run.run().spikes.size for run in (*others, replace(pattern, dt=pattern.dt / 10))]


def main():
    traces = {paper: [pattern.run() for pattern in presets.values()] for paper, presets in PAPERS.items()}
    print(f"{'':<32}{'dt (ms)':>8}{'spikes':>8}{'first (ms)':>12}{'Euler':>8}{'half':>6}{'dt/10':>7}")
    for paper, block in traces.items():
        print(paper)
        for trace in block:
            pattern, spikes = trace.pattern, trace.spikes
            first = f"{spikes[0]:.2f}" if spikes.size else "-"
            line = f"  {pattern.name:<30}{pattern.dt:8g}{spikes.size:8d}{first:>12}"
            if hasattr(pattern.neuron, "integrator"):
                euler, half, fine = other_schemes(pattern)
                line += f"{euler:8d}{half:6d}{fine:7d}"
            print(line)
    draw(traces)
    print("wrote izhikevich_patterns.png")


if __name__ == "__main__":
    main()
