"""Rate-based reservoirs: every model is a record of arrays and a System."""

from penstock.reservoirs.adaptive_nvar import AdaptiveNVAR, AdaptiveTraining, train_adaptive_nvar
from penstock.reservoirs.assembly import Assembly
from penstock.reservoirs.certificates import AssemblyCertificate
from penstock.reservoirs.classifier import Classifier, last_state, mean_state
from penstock.reservoirs.conceptors import Conceptor, Conceptored, LoadedPatterns, load_patterns
from penstock.reservoirs.constrained import ConstrainedTraining, train_constrained
from penstock.reservoirs.drawing import EchoStateWarning
from penstock.reservoirs.drawn import Drawn
from penstock.reservoirs.esn import ESN
from penstock.reservoirs.excitation import (
    EIReservoir,
    InhibitionAdaptation,
    InhibitionDesign,
    adapt_inhibition,
    adapt_inhibition_hebbian,
    balance_inhibition,
    design_inhibition,
)
from penstock.reservoirs.force import ForceTraining, force_train
from penstock.reservoirs.forecast import Forecast
from penstock.reservoirs.forecaster import Forecaster
from penstock.reservoirs.hopfield import ModernHopfield
from penstock.reservoirs.hybrid import Hybrid
from penstock.reservoirs.modules import (
    StableModule,
    absolute_value_metric,
    singular_value_metric,
    sparse_module,
    stable_module,
    svd_module,
    symmetric_metric,
    symmetric_module,
)
from penstock.reservoirs.nvar import NVAR
from penstock.reservoirs.piecewise import PLRNN, ShallowPLRNN
from penstock.reservoirs.plasticity import IntrinsicPlasticity, bcm, hebbian, intrinsic_plasticity, oja
from penstock.reservoirs.regressor import Regressor
from penstock.reservoirs.residual import ES2N, EuSN, ResESN
from penstock.reservoirs.resrmn import ResRMN
from penstock.reservoirs.rnn import GRU, rnn_from_torch
from penstock.reservoirs.stack import DeepESN, DeepResESN, Stack

__all__ = [
    "ES2N",
    "ESN",
    "GRU",
    "NVAR",
    "PLRNN",
    "AdaptiveNVAR",
    "AdaptiveTraining",
    "Assembly",
    "AssemblyCertificate",
    "Classifier",
    "Conceptor",
    "Conceptored",
    "ConstrainedTraining",
    "DeepESN",
    "DeepResESN",
    "Drawn",
    "EIReservoir",
    "EchoStateWarning",
    "EuSN",
    "ForceTraining",
    "Forecast",
    "Forecaster",
    "Hybrid",
    "InhibitionAdaptation",
    "InhibitionDesign",
    "IntrinsicPlasticity",
    "LoadedPatterns",
    "ModernHopfield",
    "Regressor",
    "ResESN",
    "ResRMN",
    "ShallowPLRNN",
    "StableModule",
    "Stack",
    "absolute_value_metric",
    "adapt_inhibition",
    "adapt_inhibition_hebbian",
    "balance_inhibition",
    "bcm",
    "design_inhibition",
    "force_train",
    "hebbian",
    "intrinsic_plasticity",
    "last_state",
    "load_patterns",
    "mean_state",
    "oja",
    "rnn_from_torch",
    "singular_value_metric",
    "sparse_module",
    "stable_module",
    "svd_module",
    "symmetric_metric",
    "symmetric_module",
    "train_adaptive_nvar",
    "train_constrained",
]
