"""penstock: reservoirs, spiking networks and liquid cells, with one dynamical-systems microscope for all."""

from penstock import metrics, scaling, weights
from penstock.adapters import Flow, Map
from penstock.adaptive import AdaptiveFlow
from penstock.closed_loop import ClosedLoop, PassThrough
from penstock.laws import Gamma, Normal, Signs, Uniform
from penstock.lure import LureBlock
from penstock.online import LMS, NLMS, RLS
from penstock.readout import Readout, ridge
from penstock.ridge_regression import Ridge
from penstock.store import load, save
from penstock.system import System, SystemDefaults, as_system
from penstock.three_factor import EligibilityLMS
from penstock.torch_cell import TorchCell
from penstock.vmath import exp, identity, relu, sigmoid, tanh

__all__ = [
    "LMS",
    "NLMS",
    "RLS",
    "AdaptiveFlow",
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
    "Signs",
    "System",
    "SystemDefaults",
    "TorchCell",
    "Uniform",
    "as_system",
    "exp",
    "identity",
    "load",
    "metrics",
    "relu",
    "ridge",
    "save",
    "scaling",
    "sigmoid",
    "tanh",
    "weights",
]

__version__ = "0.1.0"
