"""Rate-based reservoirs: every model is a record of arrays and a System."""

from penstock.reservoirs.drawing import EchoStateWarning
from penstock.reservoirs.esn import ESN
from penstock.reservoirs.hopfield import ModernHopfield
from penstock.reservoirs.piecewise import PLRNN, ShallowPLRNN
from penstock.reservoirs.residual import ES2N, EuSN, ResESN
from penstock.reservoirs.resrmn import ResRMN
from penstock.reservoirs.rnn import GRU, rnn_from_torch
from penstock.reservoirs.stack import DeepESN, DeepResESN, Stack

__all__ = [
    "ES2N",
    "ESN",
    "GRU",
    "PLRNN",
    "DeepESN",
    "DeepResESN",
    "EchoStateWarning",
    "EuSN",
    "ModernHopfield",
    "ResESN",
    "ResRMN",
    "ShallowPLRNN",
    "Stack",
    "rnn_from_torch",
]
