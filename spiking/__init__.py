"""Spiking populations in compiled loops: neurons, synapses, networks, spike trains, mean-field theory, Brian2 beside.

Units: ms, mV, pA, nS, pF, Hz. Laws for weights, delays and initial values: ``from penstock import Normal, Uniform``.
Surrogate slopes, delay kernels and the like, for training elsewhere: `penstock.spiking.surrogates`.
"""

from penstock.spiking.brian import BrianComparison, BrianNetwork, FirstDifference, compare_with_brian2, to_brian2
from penstock.spiking.brunel_model import BrunelRates, brunel, brunel_rates
from penstock.spiking.canonical import (
    izhikevich_2003,
    vogels_abbott_coba,
    vogels_abbott_cuba,
    vogels_abbott_edges,
)
from penstock.spiking.columns import GridPositions, grid_positions, heterogeneous_liquid, maass_column
from penstock.spiking.connectors import (
    Edges,
    all_to_all,
    distance_dependent,
    fixed_in_degree,
    fixed_out_degree,
    fixed_total,
    from_edges,
    from_graph,
    from_matrix,
    one_to_one,
    probability,
    small_world,
)
from penstock.spiking.decoders import FilteredSpikes
from penstock.spiking.encoders import (
    CurrentInjection,
    Latency,
    PoissonRates,
    PopulationRates,
    SpikesIn,
    StepForward,
)
from penstock.spiking.event_izhikevich import EventIzhikevich
from penstock.spiking.event_lif import EventLIF
from penstock.spiking.event_networks import event_driven
from penstock.spiking.force import ForceNetwork, Theta
from penstock.spiking.force_results import SpikingForce
from penstock.spiking.inputs import (
    ArrayCurrent,
    OUCurrent,
    PoissonGroup,
    PoissonInput,
    RampCurrent,
    SpikeSource,
    StepCurrent,
)
from penstock.spiking.l2mu import L2MU
from penstock.spiking.liquid import Liquid
from penstock.spiking.mean_field import MeanField, lif_rate, mean_field_rates, siegert_cv, siegert_rate
from penstock.spiking.microcircuit import potjans_diesmann
from penstock.spiking.network import Group, Network, Projection
from penstock.spiking.neurons import ALIF, LIF, AdEx, Izhikevich, Izhikevich2007
from penstock.spiking.nir import from_nir, to_nir
from penstock.spiking.plasticity import (
    InhibitorySTDP,
    LocalLearning,
    PairSTDP,
    SynapticScaling,
    ThreeFactor,
    ThresholdHomeostasis,
    TripletSTDP,
)
from penstock.spiking.population_statistics import (
    PowerSpectrum,
    StatisticsComparison,
    compare_statistics,
    count_correlation,
    power_spectrum,
    synchrony,
)
from penstock.spiking.presets import (
    ADEX_2005,
    ADEX_2008,
    IZHIKEVICH_2003,
    IZHIKEVICH_2004,
    IZHIKEVICH_2007,
    FiringPattern,
    Presets,
    Trace,
)
from penstock.spiking.recording import Rate, Recording, States
from penstock.spiking.synapses import Alpha, Delta, DoubleExponential, Exponential, Modulation, Pulse, TsodyksMarkram
from penstock.spiking.train_distances import (
    van_rossum_distance,
    van_rossum_distances,
    victor_purpura_distance,
    victor_purpura_distances,
)
from penstock.spiking.train_statistics import cv, cv2, fano_factor, firing_rates, isi, lv, lvr
from penstock.spiking.trains import SpikeTrains

__all__ = [
    "ADEX_2005",
    "ADEX_2008",
    "ALIF",
    "IZHIKEVICH_2003",
    "IZHIKEVICH_2004",
    "IZHIKEVICH_2007",
    "L2MU",
    "LIF",
    "AdEx",
    "Alpha",
    "ArrayCurrent",
    "BrianComparison",
    "BrianNetwork",
    "BrunelRates",
    "CurrentInjection",
    "Delta",
    "DoubleExponential",
    "Edges",
    "EventIzhikevich",
    "EventLIF",
    "Exponential",
    "FilteredSpikes",
    "FiringPattern",
    "FirstDifference",
    "ForceNetwork",
    "GridPositions",
    "Group",
    "InhibitorySTDP",
    "Izhikevich",
    "Izhikevich2007",
    "Latency",
    "Liquid",
    "LocalLearning",
    "MeanField",
    "Modulation",
    "Network",
    "OUCurrent",
    "PairSTDP",
    "PoissonGroup",
    "PoissonInput",
    "PoissonRates",
    "PopulationRates",
    "PowerSpectrum",
    "Presets",
    "Projection",
    "Pulse",
    "RampCurrent",
    "Rate",
    "Recording",
    "SpikeSource",
    "SpikeTrains",
    "SpikesIn",
    "SpikingForce",
    "States",
    "StatisticsComparison",
    "StepCurrent",
    "StepForward",
    "SynapticScaling",
    "Theta",
    "ThreeFactor",
    "ThresholdHomeostasis",
    "Trace",
    "TripletSTDP",
    "TsodyksMarkram",
    "all_to_all",
    "brunel",
    "brunel_rates",
    "compare_statistics",
    "compare_with_brian2",
    "count_correlation",
    "cv",
    "cv2",
    "distance_dependent",
    "event_driven",
    "fano_factor",
    "firing_rates",
    "fixed_in_degree",
    "fixed_out_degree",
    "fixed_total",
    "from_edges",
    "from_graph",
    "from_matrix",
    "from_nir",
    "grid_positions",
    "heterogeneous_liquid",
    "isi",
    "izhikevich_2003",
    "lif_rate",
    "lv",
    "lvr",
    "maass_column",
    "mean_field_rates",
    "one_to_one",
    "potjans_diesmann",
    "power_spectrum",
    "probability",
    "siegert_cv",
    "siegert_rate",
    "small_world",
    "synchrony",
    "to_brian2",
    "to_nir",
    "van_rossum_distance",
    "van_rossum_distances",
    "victor_purpura_distance",
    "victor_purpura_distances",
    "vogels_abbott_coba",
    "vogels_abbott_cuba",
    "vogels_abbott_edges",
]
