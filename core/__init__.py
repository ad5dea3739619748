"""penstock: reservoirs, spiking networks and liquid cells, with one dynamical-systems microscope for all."""

from penstock import metrics, scaling, weights
from penstock.adapters import Flow, Map
from penstock.adaptive import AdaptiveFlow
from penstock.laws import Normal, Signs, Uniform
from penstock.lure import LureBlock
from penstock.readout import Readout, ridge
from penstock.system import System, SystemDefaults, as_system
from penstock.torch_cell import TorchCell
from penstock.vmath import exp, identity, relu, sigmoid, tanh

__all__ = [
    "AdaptiveFlow",
    "Flow",
    "LureBlock",
    "Map",
    "Normal",
    "Readout",
    "Signs",
    "System",
    "SystemDefaults",
    "TorchCell",
    "Uniform",
    "as_system",
    "exp",
    "identity",
    "metrics",
    "relu",
    "ridge",
    "scaling",
    "sigmoid",
    "tanh",
    "weights",
]

__version__ = "0.1.0"
