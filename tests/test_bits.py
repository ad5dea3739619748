"""Same seed, same bits: in two processes, one of them with one thread and the other with two."""

import os
import subprocess
import sys

SCRIPT = """
import hashlib
import numpy as np
from penstock.analysis import fixed_points, information_processing_capacity, lyapunov_spectrum, memory_capacity
from penstock.data import lorenz96, narma
from penstock.reservoirs import ESN, DeepResESN, ResRMN
u = np.random.default_rng(0).uniform(-1, 1, (8, 120, 1))
esn = ESN.random(300, density=0.9, spectral_radius=1.0, leak=0.5, seed=1)
models = [ESN.random(300, seed=0), esn, DeepResESN.random(300, alpha=0.8, beta=0.2, seed=2),
          ResRMN.random(60, n_memory=40, seed=3)]
parts = [m.run(u) for m in models] + [m.run(u[0]) for m in models]
parts += [models[0].push(np.zeros(300), u[0, :3], np.eye(300))[1]]
parts += [memory_capacity(models[0], 400, n_steps=3000, seed=4, progress=False).per_delay]
parts += [narma(10, n_steps=2000, seed=5).targets, lorenz96(50, seed=6)]
v = np.random.default_rng(7).uniform(-1, 1, 200)
parts += [lyapunov_spectrum(models[0], v, 200, washout=0, progress=False).exponents]
wide = ESN.random(400, spectral_radius=0.8, seed=10)  # large enough for two threads to share every step
parts += [wide.run(v), wide.run(np.random.default_rng(11).uniform(-1, 1, 1000), chunks=8)]
small = ESN.random(40, spectral_radius=1.4, bias_scaling=0.1, seed=8)
parts += [information_processing_capacity(small, max_delays=[9, 5], n_steps=2000, seed=9, progress=False).capacity]
parts += [fixed_points(small, n_starts=40, progress=False).points]
for part in parts:
    print(hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest())
"""


def run(threads):
    counts = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    done = subprocess.run([sys.executable, "-c", SCRIPT], env={**os.environ, **counts}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_two_processes_give_the_same_bits_with_one_thread_or_two():
    one_thread = run(1)
    assert len(set(one_thread)) == 17
    assert run(2) == one_thread
