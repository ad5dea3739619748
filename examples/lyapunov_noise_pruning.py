"""Does it matter which synapses go? Lyapunov noise pruning against four other ways, on a rate and a spiking reservoir.

An echo-state network and a liquid of heterogeneous LIF neurons (HRSNN), untrained, are pruned to the same number of
synapses: by Lyapunov noise pruning (LNP) at keep = 0.5 and by the others to what that left. Ten networks of each kind;
mean ± standard error. Scores: memory capacity (MC), the error of a linear readout that foretells the x of Lorenz and
Roessler systems some steps ahead (NRMSE = RMSE / sd, held-out), and for the ESN how long a closed loop foretells it
(Lyapunov times). Parameters are synapses, input weights, and the weights of one linear readout of all units.
lambda_max is measured along inputs that the pruning has not seen: by tangents for the ESN, by replicas 0.01 apart for
the liquid. The others leave the weights as they are; "rescaled" gives back the spectral radius there was before.

LNP is an implementable reconstruction of Chakraborty et al. (ICLR 2024): the formulas of its steps are not confirmed,
all settings here are ours, and nothing is compared with the tables of that paper.
"""

import time
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import ridge
from penstock.analysis import (
    lyapunov_spectrum,
    memory_capacity,
    prune_activity,
    prune_lyapunov_noise,
    prune_magnitude,
    prune_noise,
    prune_random,
    replica_growth,
)
from penstock.data import lorenz63, rossler
from penstock.metrics import nrmse_std
from penstock.reservoirs import ESN, Forecaster
from penstock.scaling import scale_spectral_radius, spectral_radius
from penstock.spiking import CurrentInjection, Liquid, heterogeneous_liquid

N_UNITS, SEEDS, KEEP = 50, range(10), 0.5
SEEN, UNSEEN = np.random.default_rng(1).uniform(-0.8, 0.8, (2, 150))
LORENZ_EXPONENT, LORENZ_DT = 0.9056, 0.05
LOOSE = {"allow_disconnected": True}  # a network that falls into parts still computes
OFF = {  # which step each of these leaves out; what the first steps alone give, the whole run has on record
    "2, 3, 4": {"synapses": False},
    "1, 3, 4": {"nodes": 0},
    "1, 2, 4": {"delocalise": None},
}


# --- the two kinds of reservoirs ---


def esn(seed):
    sizes = {"spectral_radius": 0.9, "leak": 0.5, "input_scaling": 0.5, "bias_scaling": 0.2}
    return ESN.random(N_UNITS, density=0.2, **sizes, seed=seed)


def hrsnn(seed):
    net = heterogeneous_liquid(N_UNITS, reach=4.0, weight=30.0, seed=seed)
    return Liquid(net, CurrentInjection.random(net.groups[0], scale=150.0, seed=1000 + seed))


def with_membranes(liquid, tau):
    """Return the liquid with these membrane time constants (ms) at unchanged resistance, 0.1 GOhm."""
    net, first = liquid.network, 0
    for population in (p for p in net.populations if not p.is_source):
        own = tau[first : first + population.n]
        population.model, first = replace(population.model, tau_m=own, C_m=own / 0.1), first + population.n
    group = next(g for g in net.groups if g.name == liquid.encoder.group.name)
    encoder = CurrentInjection(group, liquid.encoder.W_in, liquid.encoder.bias)
    return Liquid(net, encoder, liquid.decoder, dt=liquid.dt)


# --- pruning to the same number of synapses ---


def pruned_systems(system, lyapunov, off, seed):
    """Return {name: system}; `lyapunov` are the settings of LNP for this kind, `off` the steps to be left out."""
    common = {"u": SEEN, "seed": seed, "n_evaluations": 7, "progress": False, **LOOSE, **lyapunov}
    whole = prune_lyapunov_noise(system, KEEP, **common)
    keep = whole.n_synapses / np.count_nonzero(_dense(system))
    radius = spectral_radius(system.recurrent_matrix())
    others = {
        "noise": prune_noise(system, keep, u=SEEN, seed=seed, **LOOSE),
        "magnitude": prune_magnitude(system, keep, **LOOSE),
        "activity": prune_activity(system, keep, u=SEEN, **LOOSE),
        "random": prune_random(system, keep, seed=seed, **LOOSE),
    }
    systems = {"unpruned": system, "LNP": whole.system} | {name: pruned.system for name, pruned in others.items()}
    for name in ("activity", "random"):
        W = scale_spectral_radius(systems[name].recurrent_matrix(), radius)
        systems[f"{name}, rescaled"] = systems[name].with_recurrent(W)
    for name, step in zip(("1", "1, 2", "1, 2, 3"), whole.steps[1:], strict=False):
        systems[f"LNP {name}"] = step.system
    for name, switches in off.items():
        systems[f"LNP {name}"] = prune_lyapunov_noise(system, KEEP, **common, **switches).system
    return systems


def _dense(system):
    W = system.recurrent_matrix()
    return W.toarray() if hasattr(W, "nnz") else W


# --- scores ---


def scores(system, data, closed_loop):
    """Return the numbers of one line of the table."""
    lorenz, seconds = _foretell(system, *data["Lorenz"])
    roessler, _ = _foretell(system, *data["Rössler"])
    return {
        "MC": memory_capacity(system, n_steps=700, max_delay=30, seed=7).total,
        "Lorenz": lorenz,
        "Rössler": roessler,
        "valid": _valid_time(system, data["series"]) if closed_loop else np.nan,
        "lambda": _leading_exponent(system),
        "synapses": np.count_nonzero(_dense(system)),
        "units": system.recurrent_matrix().shape[0],
        "parameters": _parameters(system),
        "us/step": 1e6 * seconds / len(data["Lorenz"][0]),
    }


def _foretell(system, u, target):
    """Error of the ridge readout on the last third of the series, and the CPU time of the run."""
    begun = time.process_time()
    states = system.run(u)[:, system.observed]
    seconds = time.process_time() - begun
    fit, test = slice(50, 2 * len(u) // 3), slice(2 * len(u) // 3, None)
    readout = ridge(states[fit], target[fit], 1e-4 * states[fit].var() * len(states[fit]))
    return nrmse_std(target[test], readout(states[test])[:, 0]), seconds


def _parameters(system):
    """Synapses, input weights, and the weights of a readout with its offset."""
    W_in = system.encoder.W_in if isinstance(system, Liquid) else system.W_in
    return np.count_nonzero(_dense(system)) + np.count_nonzero(W_in) + system.recurrent_matrix().shape[0] + 1


def _valid_time(system, series):
    """Lyapunov times of Lorenz until the error of a closed loop exceeds 0.4 sd, mean over five starts."""
    model = Forecaster(system).fit(series[:1200], progress=False)
    begins = range(1200, 1850, 160)
    warmups = np.stack([series[b - 100 : b] for b in begins])
    try:
        forecast = model.forecast(120, warmups, truth=np.stack([series[b : b + 120] for b in begins]))
    except FloatingPointError:
        return 0.0
    return forecast.valid_steps().mean() * LORENZ_DT * LORENZ_EXPONENT


def _leading_exponent(system):
    """Leading exponent per step along inputs that no pruning has seen."""
    if isinstance(system, Liquid):
        growth = replica_growth(system, UNSEEN, delta=0.01, n_replicas=1, interval=3, progress=False)
        return growth.exponent * system.dt
    return lyapunov_spectrum(system, UNSEEN, 1, progress=False).exponents[0]


def tasks(n_steps):
    """Return inputs and targets: x of Lorenz 5 steps of 0.05 ahead, of Roessler 10 steps of 0.2 ahead."""
    x, y = lorenz63(2000, dt=LORENZ_DT)[:, 0] / 20, rossler(n_steps + 10, dt=0.2)[:, 0] / 12
    return {"series": x, "Lorenz": (x[:n_steps], x[5 : n_steps + 5]), "Rössler": (y[:n_steps], y[10:])}


# --- report ---

KINDS = {
    "ESN": (esn, {}, OFF, True),
    "HRSNN": (hrsnn, {"with_time_constants": with_membranes, "mean_bounds": (5.0, 60.0)}, {}, False),
}
COLUMNS = {"MC": ".2f", "Lorenz": ".3f", "Rössler": ".3f", "valid": ".2f", "lambda": ".3f"}


def measure(make, lyapunov, off, closed_loop):
    """Return {name of the pruning: {score: (seeds,)}}."""
    data, table = tasks(700), {}
    for seed in SEEDS:
        for name, system in pruned_systems(make(seed), lyapunov, off, seed).items():
            line = scores(system, data, closed_loop)
            for score, value in line.items():
                table.setdefault(name, {}).setdefault(score, []).append(value)
    return {name: {score: np.array(v) for score, v in line.items()} for name, line in table.items()}


def error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def print_table(kind, table):
    print(f"\n{kind}: {len(SEEDS)} networks, mean ± standard error; lambda_max per step, [largest of all]")
    print(f"{'':20}{'MC':>14}{'Lorenz':>16}{'Rössler':>16}{'valid (1/λ)':>14}{'lambda_max':>24}"
          f"{'synapses':>10}{'units':>7}{'parameters':>12}{'µs/step':>9}")  # fmt: skip
    for name, line in table.items():
        cells = [f"{line[s].mean():{f}} ± {error(line[s]):{f}}" for s, f in COLUMNS.items()]
        cells[3] = "-" if np.isnan(line["valid"]).any() else cells[3]  # a closed loop of spikes is no forecaster
        cells[4] += f" [{line['lambda'].max():.3f}]"
        sizes = f"{line['synapses'].mean():10.0f}{line['units'].mean():7.0f}{line['parameters'].mean():12.0f}"
        sizes += f"{np.median(line['us/step']):9.1f}"
        print(f"{name:20}{cells[0]:>14}{cells[1]:>16}{cells[2]:>16}{cells[3]:>14}{cells[4]:>24}{sizes}")


def print_verdict(kind, table):
    """Say by how much LNP is better than activity pruning, network by network, in standard errors."""
    lnp = table["LNP"]
    for other in ("activity", "activity, rescaled"):
        gains = {"MC": lnp["MC"] - table[other]["MC"]}
        gains |= {task: table[other][task] - lnp[task] for task in ("Lorenz", "Rössler")}
        text = ", ".join(f"{task} {g.mean():+.3f} ± {error(g):.3f}" for task, g in gains.items())
        print(f"{kind}: LNP better than {other} by {text}")
    print(f"{kind}: lambda_max <= 0 after LNP in {(lnp['lambda'] <= 0).sum()} of {len(SEEDS)} networks")


def draw(results):
    sizes = [len(table) for table in results.values()]
    figure, axes = plt.subplots(2, 4, figsize=(15, 8), layout="constrained", sharey="row", height_ratios=sizes)
    for row, (kind, table) in zip(axes, results.items(), strict=True):
        names = list(table)
        places = np.arange(len(names))[::-1]
        colours = ["k" if n == "unpruned" else "C3" if n == "LNP" else "C1" if "LNP" in n else "C0" for n in names]
        for ax, score, label in zip(
            row,
            ("MC", "Lorenz", "Rössler", "lambda"),
            ("memory capacity", "Lorenz, error 5 steps ahead", "Rössler, error 10 steps ahead", "λ_max per step"),
            strict=True,
        ):
            for place, name, colour in zip(places, names, colours, strict=True):
                values = table[name][score]
                ax.errorbar(values.mean(), place, xerr=error(values), fmt="o", color=colour, capsize=3)
                ax.plot(values, np.full(len(values), place), "|", color=colour, alpha=0.35)
            ax.axvline(table["unpruned"][score].mean(), color="0.6", lw=0.8, ls="--")
            if score == "Lorenz" and kind == "ESN":  # one network of two ablations is far off
                ax.set(xscale="log", xticks=(0.5, 1, 2, 5), xticklabels=("0.5", "1", "2", "5"))
                ax.minorticks_off()
            ax.set_xlabel(label + (" (NRMSE)" if "error" in label else ""), fontsize=12)
            ax.axhline(sum(n.startswith("LNP ") for n in names) - 0.5, color="0.8", lw=0.8)
        row[-1].axvline(0, color="k", lw=0.8)
        row[0].set_yticks(places, [n.replace("LNP ", "LNP: ") for n in names], fontsize=11)
        row[0].set_title(f"{kind}: {table['LNP']['synapses'].mean():.0f} of "
                         f"{table['unpruned']['synapses'].mean():.0f} synapses", loc="left", fontsize=13)  # fmt: skip
    figure.suptitle(f"{len(SEEDS)} networks each: points are means ± standard error, ticks single networks")
    figure.savefig("lyapunov_noise_pruning.png", dpi=100)


def main():
    results = {}
    for kind, settings in KINDS.items():
        results[kind] = measure(*settings)
        print_table(kind, results[kind])
        print_verdict(kind, results[kind])
    draw(results)
    print("wrote lyapunov_noise_pruning.png")


if __name__ == "__main__":
    main()
