"""penstock: reservoirs, spiking networks and liquid cells, with one dynamical-systems microscope for all."""

from penstock import metrics, scaling, weights
from penstock.adapters import Flow, Map
from penstock.adaptive import AdaptiveFlow
from penstock.chunks import CertifiedRun, certified_run
from penstock.closed_loop import ClosedLoop, PassThrough
from penstock.hyper_search import Search, search
from penstock.laws import Gamma, Normal, Signs, Uniform
from penstock.lure import LureBlock
from penstock.online import LMS, NLMS, RLS
from penstock.readout import Readout, ridge
from penstock.ridge_regression import Ridge
from penstock.store import load, save
from penstock.sweep import load_sweep, sweep
from penstock.sweep_results import Sweep
from penstock.system import System, SystemDefaults, as_system
from penstock.threads import use_threads
from penstock.three_factor import EligibilityLMS
from penstock.torch_cell import TorchCell
from penstock.vmath import exp, identity, relu, sigmoid, tanh

__all__ = [
    "LMS",
    "NLMS",
    "RLS",
    "AdaptiveFlow",
    "CertifiedRun",
    "ClosedLoop",
    "EligibilityLMS",
    "Flow",
    "Gamma",
    "LureBlock",
    "Map",
    "Normal",
    "PassThrough",
    "Readout",
    "Ridge",
    "Search",
    "Signs",
    "Sweep",
    "System",
    "SystemDefaults",
    "TorchCell",
    "Uniform",
    "as_system",
    "certified_run",
    "exp",
    "identity",
    "load",
    "load_sweep",
    "metrics",
    "relu",
    "ridge",
    "save",
    "scaling",
    "search",
    "sigmoid",
    "sweep",
    "tanh",
    "use_threads",
    "weights",
]

__version__ = "0.1.0"
