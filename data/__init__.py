"""Signals, benchmark tasks and the small real record that ships with the package."""

from penstock.data.files import Table, read_series, read_ts
from penstock.data.real import sunspots
from penstock.data.sequences import (
    Sequences,
    adding,
    copy_memory,
    delayed_match,
    flip_flop,
    integration,
    n_back,
    parity,
    sequence_memory,
)
from penstock.data.signals import (
    MSO_FREQUENCIES,
    double_scroll,
    henon,
    kuramoto_sivashinsky,
    logistic,
    lorenz63,
    lorenz96,
    mackey_glass,
    multiple_superimposed_oscillators,
    rossler,
)
from penstock.data.tasks import Task, ct_xor, lorenz96_task, mackey_glass_task, narma, sin_mem
from penstock.data.vowels import LabelledSeries, japanese_vowels
from penstock.laws import Normal, Signs, Uniform

__all__ = [
    "MSO_FREQUENCIES",
    "LabelledSeries",
    "Normal",
    "Sequences",
    "Signs",
    "Table",
    "Task",
    "Uniform",
    "adding",
    "copy_memory",
    "ct_xor",
    "delayed_match",
    "double_scroll",
    "flip_flop",
    "henon",
    "integration",
    "japanese_vowels",
    "kuramoto_sivashinsky",
    "logistic",
    "lorenz63",
    "lorenz96",
    "lorenz96_task",
    "mackey_glass",
    "mackey_glass_task",
    "multiple_superimposed_oscillators",
    "n_back",
    "narma",
    "parity",
    "read_series",
    "read_ts",
    "rossler",
    "sequence_memory",
    "sin_mem",
    "sunspots",
]
