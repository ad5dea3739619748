"""Questions one can ask of any System; each answer is a frozen result that can print and plot itself."""

from penstock.analysis.linear_memory import (
    ControllableModes,
    NoiseLimitedCapacity,
    controllability_rank,
    controllable_modes,
    linear_memory_curve,
    noise_limited_capacity,
)
from penstock.analysis.memory import (
    ADJUSTED,
    MC1,
    MC1B,
    MC2,
    MC3,
    MemoryCapacity,
    MemoryOverScale,
    Protocol,
    memory_capacity,
    memory_over_input_scale,
)

__all__ = [
    "ADJUSTED",
    "MC1",
    "MC1B",
    "MC2",
    "MC3",
    "ControllableModes",
    "MemoryCapacity",
    "MemoryOverScale",
    "NoiseLimitedCapacity",
    "Protocol",
    "controllability_rank",
    "controllable_modes",
    "linear_memory_curve",
    "memory_capacity",
    "memory_over_input_scale",
    "noise_limited_capacity",
]
