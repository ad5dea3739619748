"""With Numba's compiler switched off every kernel is ordinary Python, and gives the same states."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import MODELS, M

pytestmark = pytest.mark.filterwarnings("ignore::penstock.reservoirs.EchoStateWarning")

SCRIPT = """
import sys, warnings
import numpy as np
from models import M, MODELS
warnings.simplefilter("ignore")
u = np.random.default_rng(0).uniform(-1, 1, (3, 6, M))
results = {}
for name, make in MODELS.items():
    system = make()
    results[name] = system.run(u)
    results[name + " one"] = system.run(u[0])
    results[name + " pushed"] = system.push(np.zeros(system.n_units), u[0], np.eye(system.n_units))[1]
np.savez(sys.argv[1], **results)
"""

SPIKING = """
import sys
import numpy as np
from penstock.laws import Uniform
from penstock.spiking import *

results = {}
models = [LIF(20, t_ref=1.0, sigma=2.0), LIF(20, tau_m=np.linspace(8, 20, 20)), LIF(20, integrator="euler"),
          ALIF(20, beta=1.0, b=10.0), AdEx(20), AdEx(20, integrator="exponential_euler"), Izhikevich(20),
          Izhikevich(20, integrator="fig1"), Izhikevich(20, integrator="half", I_e=6.0), Izhikevich2007(20, I_e=100.0)]
for timing in ("brian2", "nest"):
    net = Network(timing=timing, seed=3)
    source = net.add(PoissonGroup(20, rate=200.0), name="source")
    for i, model in enumerate(models):
        cells = net.add(model, name=f"{i}", v=Uniform(-65, -55))
        reversal = None if i in (0, 3) else 0.0
        for synapse, high in ((Exponential(3.0), 30.0), (Alpha(2.0, reversal=reversal), 2.0)):
            net.connect(source, cells, synapse, probability(0.5), weight=Uniform(1, high), delay=Uniform(0.1, 2.0))
        rule = TsodyksMarkram(0.5, 100.0, 20.0)
        net.connect(cells, cells, Delta(), probability(0.1), weight=0.3, delay=0.3, short_term=rule)
        net.stimulate(cells, OUCurrent(3.0, 2.0, 5.0))
        net.stimulate(cells[5:], StepCurrent([1.0, 3.0], [100.0 if i < 6 or i == 9 else 10.0, 0.0]))
        net.record(cells, "spikes")
        net.record(cells, "v", every=0.5)
    recording = net.run(6.0)
    for name, trains in recording.spikes.items():
        results[timing + name + " times"], results[timing + name + " units"] = trains.times, trains.ids
    for name, samples in recording.states.items():
        results[timing + name[0] + " v"] = samples.values
np.savez(sys.argv[1], **results)
"""


WIDE = """
import sys
import numpy as np
from penstock.reservoirs import ESN, Ensemble

networks = [ESN.random(6, leak=0.5 + 0.1 * seed, seed=seed) for seed in range(3)]
u = np.random.default_rng(0).uniform(-1, 1, (40, 1))
results = {}
panels = Ensemble.grid(networks, leak=[0.3, 0.5, 0.7, 0.8, 1.0])
for name, ensemble in (("panels", panels), ("group", Ensemble(networks))):
    fit = ensemble.fit(u, u**2 + u, washout=5, alpha=0.1, progress=False)
    results[name] = ensemble.run(u, progress=False)
    results[name + " coef"], results[name + " errors"] = fit.coef, fit.score(u, u**3, progress=False).nrmse
np.savez(sys.argv[1], **results)
"""


def run_plainly(script, path):
    """Run a script without the compiler; return what it saved."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", script, path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_compiled_spiking_networks_equal_plain_python(tmp_path, monkeypatch):
    run_plainly(SPIKING, tmp_path / "plain.npz")
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "compiled.npz")])
    exec(SPIKING, {})
    with np.load(tmp_path / "plain.npz") as slow, np.load(tmp_path / "compiled.npz") as fast:
        assert sum(slow[name].size for name in slow if name.endswith("times")) > 500
        for name in slow:
            # sixty steps, with the exponential of the kernels good to one rounding
            np.testing.assert_allclose(fast[name], slow[name], rtol=1e-11, atol=1e-11, err_msg=name)


def test_compiled_ensembles_equal_plain_python(tmp_path, monkeypatch):
    run_plainly(WIDE, tmp_path / "plain.npz")
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "compiled.npz")])
    exec(WIDE, {})
    with np.load(tmp_path / "plain.npz") as slow, np.load(tmp_path / "compiled.npz") as fast:
        for name in slow:
            np.testing.assert_allclose(fast[name], slow[name], rtol=1e-11, atol=1e-11, err_msg=name)


def test_compiled_kernels_equal_plain_python(tmp_path):
    path = tmp_path / "plain.npz"
    run_plainly(SCRIPT, path)
    u = np.random.default_rng(0).uniform(-1, 1, (3, 6, M))
    with np.load(path) as plain:
        for name, make in MODELS.items():
            system = make()
            pushed = system.push(np.zeros(system.n_units), u[0], np.eye(system.n_units))[1]
            for suffix, result in (("", system.run(u)), (" one", system.run(u[0])), (" pushed", pushed)):
                # six steps of maps that hardly expand, a few roundings each
                np.testing.assert_allclose(result, plain[name + suffix], atol=1e-13, err_msg=name + suffix)
