"""Rate-based reservoirs: every model is a record of arrays and a System."""

from penstock.reservoirs.drawing import EchoStateWarning
from penstock.reservoirs.esn import ESN
from penstock.reservoirs.residual import ES2N, EuSN, ResESN
from penstock.reservoirs.resrmn import ResRMN
from penstock.reservoirs.stack import DeepESN, DeepResESN, Stack

__all__ = ["ES2N", "ESN", "DeepESN", "DeepResESN", "EchoStateWarning", "EuSN", "ResESN", "ResRMN", "Stack"]
