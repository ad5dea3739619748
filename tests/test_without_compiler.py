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


def test_compiled_kernels_equal_plain_python(tmp_path):
    path = tmp_path / "plain.npz"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", SCRIPT, path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    u = np.random.default_rng(0).uniform(-1, 1, (3, 6, M))
    with np.load(path) as plain:
        for name, make in MODELS.items():
            system = make()
            pushed = system.push(np.zeros(system.n_units), u[0], np.eye(system.n_units))[1]
            for suffix, result in (("", system.run(u)), (" one", system.run(u[0])), (" pushed", pushed)):
                # six steps of maps that hardly expand, a few roundings each
                np.testing.assert_allclose(result, plain[name + suffix], atol=1e-13, err_msg=name + suffix)
