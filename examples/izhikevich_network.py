"""The thousand randomly coupled neurons of Izhikevich (2003): spikes, rhythms, and what the numerical scheme does.

Above the spikes of one second and the population rate, in bins of a millisecond. Below left the spectrum of the rate
over five networks of five seconds each: a peak around 10 Hz and a weaker one in the gamma range, above the flat level
of independent trains. Below right the mean rates by numerical scheme: the equations are the same, the networks are not,
so that no rate of this model means anything without its scheme and step.

E. M. Izhikevich (2003), Simple model of spiking neurons, IEEE Trans. Neural Netw. 14, 1569.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy

from penstock.spiking import izhikevich_2003

SCHEMES = {"half": "two half-steps (the paper's)", "euler": "Euler", "fig1": "Euler, u from the new v"}
SEEDS, DURATION, SHOWN = range(5), 5000.0, 1000.0  # ms
COLORS = {"E": "C0", "I": "C3"}


def simulate(seed, scheme="half"):
    """Return the spikes of both populations."""
    net = izhikevich_2003(seed, integrator=scheme)
    for group in net.groups:
        net.record(group, "spikes")
    return net.run(DURATION, progress=False).spikes


def population_rate(spikes):
    """Return spikes per neuron and second of all 1000 neurons in bins of 1 ms (Hz)."""
    return sum(trains.counts(1.0).sum(axis=1) for trains in spikes.values())


def spectrum(runs):
    """Return frequencies (Hz), the mean spectrum of the population rates (Hz^2 / Hz), and that of Poisson trains."""
    rates = [population_rate(spikes) for spikes in runs]
    pieces = [
        scipy.signal.welch(r - r.mean(), fs=1000.0, nperseg=1000, detrend=False, scaling="density") for r in rates
    ]
    power = np.mean([p for _, p in pieces], axis=0) / 2  # SciPy gives both sides in one
    return pieces[0][0], power, np.mean(rates) / 1000


def mean_rates(runs):
    """Return mean and spread over networks of the rates of E and I (Hz)."""
    rates = np.array([[spikes[name].mean_rate for name in "EI"] for spikes in runs])
    return rates.mean(axis=0), rates.std(axis=0, ddof=1)


def draw(runs, rates):
    """Draw the figure and save it beside this file."""
    figure = plt.figure(figsize=(11, 9), layout="constrained")
    axes = figure.subplot_mosaic([["spikes"] * 2, ["rate"] * 2, ["spectrum", "schemes"]], height_ratios=[3, 1.3, 2.4])
    for name, below in (("E", 0), ("I", 800)):
        shown = runs["half"][0][name].between(0.0, SHOWN)
        axes["spikes"].plot(shown.times, shown.ids + below, ".", markersize=2, color=COLORS[name])
    axes["spikes"].set(ylabel="neuron (red: inhibitory)", xlim=(0, SHOWN), ylim=(0, 1000), xticklabels=[])
    axes["spikes"].set_title("1000 neurons, all coupled, noise from the thalamus")
    axes["rate"].plot(np.arange(SHOWN) + 0.5, population_rate(runs["half"][0])[: int(SHOWN)], color="0.3", linewidth=1)
    axes["rate"].set(xlabel="time (ms)", ylabel="rate (Hz)", xlim=(0, SHOWN))
    frequencies, power, level = spectrum(runs["half"])
    chosen = (frequencies >= 2) & (frequencies <= 100)
    axes["spectrum"].semilogy(frequencies[chosen], power[chosen], color="0.3", label="5 networks, 5 s each")
    axes["spectrum"].axhline(level, color="C1", linestyle="--", label="independent trains")
    axes["spectrum"].set(xlabel="frequency (Hz)", ylabel="power of the rate (Hz²/Hz)")
    axes["spectrum"].legend()
    for offset, (name, label) in zip((-0.2, 0.2), (("E", "excitatory"), ("I", "inhibitory")), strict=True):
        means = [rates[scheme][0]["EI".index(name)] for scheme in SCHEMES]
        spreads = [rates[scheme][1]["EI".index(name)] for scheme in SCHEMES]
        at = np.arange(len(SCHEMES)) + offset
        axes["schemes"].bar(at, means, 0.38, yerr=spreads, color=COLORS[name], capsize=3, label=label)
    axes["schemes"].set_xticks(range(len(SCHEMES)), ["two\nhalf-steps", "Euler", "Euler,\nnew v in u"])
    axes["schemes"].set(ylabel="mean rate (Hz)", title="The scheme is part of the model (dt = 1 ms)")
    axes["schemes"].legend()
    figure.savefig(__file__.replace(".py", ".png"), dpi=110)
    return frequencies[chosen][np.argmax(power[chosen])]


def main():
    """Run all schemes, print their rates and draw the figure."""
    runs = {scheme: [simulate(seed, scheme) for seed in SEEDS] for scheme in SCHEMES}
    rates = {scheme: mean_rates(networks) for scheme, networks in runs.items()}
    print("scheme, dt = 1 ms              E (Hz)         I (Hz)       ± spread over five networks")
    for scheme, text in SCHEMES.items():
        (e, i), (e_spread, i_spread) = rates[scheme]
        print(f"{text:30s} {e:5.2f} ± {e_spread:.2f}   {i:5.2f} ± {i_spread:.2f}")
    print("reference value, half-steps     7.32 ± 0.08    6.71 ± 0.16")
    print(f"largest spectral peak (2 to 100 Hz): {draw(runs, rates):.0f} Hz")


if __name__ == "__main__":
    main()
