"""Rate-based reservoirs: every model is a record of arrays and a System."""

from penstock.reservoirs.adaptive_nvar import AdaptiveNVAR, AdaptiveTraining, train_adaptive_nvar
from penstock.reservoirs.assembly import Assembly
from penstock.reservoirs.certificates import AssemblyCertificate
from penstock.reservoirs.cfc import CfC
from penstock.reservoirs.classifier import Classifier, last_state, mean_state
from penstock.reservoirs.conceptors import Conceptor, Conceptored, LoadedPatterns, load_patterns
from penstock.reservoirs.constrained import ConstrainedTraining, train_constrained
from penstock.reservoirs.discretise import backward_euler, bilinear, euler_limit, forward_euler, zero_order_hold
from penstock.reservoirs.drawing import EchoStateWarning
from penstock.reservoirs.drawn import Drawn
from penstock.reservoirs.elapsed import elapsed_inputs
from penstock.reservoirs.ensemble import Ensemble, EnsembleFit, EnsembleScores
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
from penstock.reservoirs.gated import SimpleLTC
from penstock.reservoirs.heads import gelu, lecun_tanh, no_gate, pure, silu, with_gate
from penstock.reservoirs.hippo import HiPPO, LagT, LegT, WarpedLegS, lagt, legs, legt
from penstock.reservoirs.hopfield import ModernHopfield
from penstock.reservoirs.hybrid import Hybrid
from penstock.reservoirs.legendre import LMU, LegendreMemory, lmu
from penstock.reservoirs.lem import LEM
from penstock.reservoirs.linear import LinearMemory
from penstock.reservoirs.liquid import LTC, LiquidCoefficients
from penstock.reservoirs.modes import modal_readout
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
from penstock.reservoirs.ncps import readout_from_ncps
from penstock.reservoirs.nvar import NVAR
from penstock.reservoirs.oscillators import CoRNN
from penstock.reservoirs.piecewise import PLRNN, ShallowPLRNN
from penstock.reservoirs.plasticity import IntrinsicPlasticity, bcm, hebbian, intrinsic_plasticity, oja
from penstock.reservoirs.rates import DirectRate, ExpRate, InverseSquareRate, SoftplusRate
from penstock.reservoirs.regressor import Regressor
from penstock.reservoirs.residual import ES2N, EuSN, ResESN
from penstock.reservoirs.resrmn import ResRMN
from penstock.reservoirs.rnn import GRU, rnn_from_torch
from penstock.reservoirs.ron import RON
from penstock.reservoirs.solvers import exponential_euler, exponential_midpoint, fused, rk4
from penstock.reservoirs.stack import DeepESN, DeepResESN, Stack
from penstock.reservoirs.waves import WaveReservoir, wave_matrix, wave_spectrum
from penstock.reservoirs.whole_past import LegS
from penstock.reservoirs.wiring import NCP, AutoNCP, Wiring, fully_connected, random_wiring

__all__ = [
    "ES2N",
    "ESN",
    "GRU",
    "LEM",
    "LMU",
    "LTC",
    "NCP",
    "NVAR",
    "PLRNN",
    "RON",
    "AdaptiveNVAR",
    "AdaptiveTraining",
    "Assembly",
    "AssemblyCertificate",
    "AutoNCP",
    "CfC",
    "Classifier",
    "CoRNN",
    "Conceptor",
    "Conceptored",
    "ConstrainedTraining",
    "DeepESN",
    "DeepResESN",
    "DirectRate",
    "Drawn",
    "EIReservoir",
    "EchoStateWarning",
    "Ensemble",
    "EnsembleFit",
    "EnsembleScores",
    "EuSN",
    "ExpRate",
    "ForceTraining",
    "Forecast",
    "Forecaster",
    "HiPPO",
    "Hybrid",
    "InhibitionAdaptation",
    "InhibitionDesign",
    "IntrinsicPlasticity",
    "InverseSquareRate",
    "LagT",
    "LegS",
    "LegT",
    "LegendreMemory",
    "LinearMemory",
    "LiquidCoefficients",
    "LoadedPatterns",
    "ModernHopfield",
    "Regressor",
    "ResESN",
    "ResRMN",
    "ShallowPLRNN",
    "SimpleLTC",
    "SoftplusRate",
    "StableModule",
    "Stack",
    "WarpedLegS",
    "WaveReservoir",
    "Wiring",
    "absolute_value_metric",
    "adapt_inhibition",
    "adapt_inhibition_hebbian",
    "backward_euler",
    "balance_inhibition",
    "bcm",
    "bilinear",
    "design_inhibition",
    "elapsed_inputs",
    "euler_limit",
    "exponential_euler",
    "exponential_midpoint",
    "force_train",
    "forward_euler",
    "fully_connected",
    "fused",
    "gelu",
    "hebbian",
    "intrinsic_plasticity",
    "lagt",
    "last_state",
    "lecun_tanh",
    "legs",
    "legt",
    "lmu",
    "load_patterns",
    "mean_state",
    "modal_readout",
    "no_gate",
    "oja",
    "pure",
    "random_wiring",
    "readout_from_ncps",
    "rk4",
    "rnn_from_torch",
    "silu",
    "singular_value_metric",
    "sparse_module",
    "stable_module",
    "svd_module",
    "symmetric_metric",
    "symmetric_module",
    "train_adaptive_nvar",
    "train_constrained",
    "wave_matrix",
    "wave_spectrum",
    "with_gate",
    "zero_order_hold",
]
