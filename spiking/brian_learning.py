"""The rules of plasticity as Brian2 equations and statements: plain text and numbers, no Brian2 needed.

Traces decay there with the events of each synapse; here a source or a neuron has one for all its synapses, and an
eligibility is multiplied by the integral of its third factor. The two sides share the order of events, not the algebra.
"""

from dataclasses import dataclass, field
from math import exp

import numpy as np

__all__: list[str] = []

# names that have a meaning in the text below; constants are called "rule_…"
NAMES = {"closeness", "counted", "due", "eligibility", "fired_slow", "arrived_slow", "fired", "arrived", "weight"}

_BOUND = "weight = clip(weight, rule_w_min, rule_w_max)"
_LAST = 1_000_000  # order within the slot of synapses, after all deliveries


@dataclass
class Pathway:
    """What happens at a synapse when a spike of its source or its target has travelled, or at once."""

    code: str
    delayed: bool
    order: int | None = None  # None: that of the projection


@dataclass
class Learning:
    """What a rule makes of a Synapses object: pathways by name, statements with the slot and order of each step."""

    equations: list[str] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)
    on_pre: dict[str, Pathway] = field(default_factory=dict)
    on_post: dict[str, Pathway] = field(default_factory=dict)
    statements: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def delayed(self) -> list[str]:
        """Names of the pathways that take the delay."""
        return [name for name, pathway in (self.on_pre | self.on_post).items() if pathway.delayed]


def learning_of(projection, transmit: str, dt: float) -> Learning:
    """Return what the rules of a projection add to `transmit`, the statements by which a spike acts."""
    rule = projection.plasticity
    if rule is None:
        learning = Learning(on_pre={"pre": Pathway(transmit, True)})
    else:
        kind = type(rule).__name__
        build = {
            "PairSTDP": _pair,
            "TripletSTDP": _triplet,
            "InhibitorySTDP": _inhibitory,
            "ThreeFactor": _three_factor,
            "LocalLearning": _local,
        }
        if kind not in build:
            raise ValueError(
                f"{projection!r} cannot be carried over to Brian2: {kind} has no counterpart; {', '.join(build)} have"
            )
        learning = build[kind](rule, projection, transmit, dt)
        learning.constants |= {"rule_w_min": rule.w_min, "rule_w_max": rule.w_max}
    if projection.scaling is not None:
        _scale(learning, projection, dt)
    return learning


def _named(rule, *names):
    return {f"rule_{name}": getattr(rule, name) for name in names}


def _traces(names):
    return [f"d{name}/dt = -{name}/(rule_{name}_tau*ms) : 1 (event-driven)" for name in names]


# ------------------------------------------------------------------------------------- rules of pairs and triplets
def _around(rule, transmit, constants, changes, taus):
    """Return a rule from its changes at (an arrival, a target's spike) and the time constants of its traces."""
    nearest = getattr(rule, "nearest", False)
    raised = {
        side: "\n".join(f"{name} = 1" if nearest else f"{name} += 1" for name in taus if name.startswith(side))
        for side in ("arrived", "fired")
    }
    at_pre, at_post = changes
    learning = Learning(_traces(taus), constants | {f"rule_{name}_tau": tau for name, tau in taus.items()})
    if rule.dendritic:  # a pair that meets at the synapse in one step is none: all changes come before all traces
        learning.on_pre = {
            "pre": Pathway(transmit, True),
            "left": Pathway(at_pre, False, _LAST + 1),
            "left_trace": Pathway(raised["arrived"], False, _LAST + 2),
        }
        learning.on_post = {
            "post": Pathway(at_post, True, _LAST),
            "post_trace": Pathway(raised["fired"], True, _LAST + 2),
        }
    else:
        acts = [at_pre, transmit] if rule.acts_first else [transmit, at_pre]
        learning.on_pre = {"pre": Pathway("\n".join([*acts, raised["arrived"]]), True)}
        learning.on_post = {"post": Pathway(f"{at_post}\n{raised['fired']}", False, _LAST)}
    return learning


def _pair(rule, projection, transmit, dt):
    constants = _named(rule, "A_plus", "A_minus", "mu_plus", "mu_minus") | {"rule_span": rule.w_max - rule.w_min}
    up = "*((rule_w_max - weight)/rule_span)**rule_mu_plus" if rule.mu_plus else ""
    down = "*((weight - rule_w_min)/rule_span)**rule_mu_minus" if rule.mu_minus else ""
    changes = (
        f"weight -= rule_A_minus*fired{down}\n{_BOUND}",
        f"weight += rule_A_plus*arrived{up}\n{_BOUND}",
    )
    return _around(rule, transmit, constants, changes, {"arrived": rule.tau_plus, "fired": rule.tau_minus})


def _triplet(rule, projection, transmit, dt):
    changes = (
        f"weight -= fired*(rule_A2_minus + rule_A3_minus*arrived_slow)\n{_BOUND}",
        f"weight += arrived*(rule_A2_plus + rule_A3_plus*fired_slow)\n{_BOUND}",
    )
    taus = {
        "arrived": rule.tau_plus, "arrived_slow": rule.tau_x, "fired": rule.tau_minus, "fired_slow": rule.tau_y,
    }  # fmt: skip
    constants = _named(rule, "A2_plus", "A2_minus", "A3_plus", "A3_minus")
    return _around(rule, transmit, constants, changes, taus)


def _inhibitory(rule, projection, transmit, dt):
    changes = (
        f"weight += rule_eta*(fired - rule_alpha)\n{_BOUND}",
        f"weight += rule_eta*arrived\n{_BOUND}",
    )
    taus = {"arrived": rule.tau, "fired": rule.tau}
    return _around(rule, transmit, _named(rule, "eta", "alpha"), changes, taus)


# ------------------------------------------------------------------------------------------------ three-factor rules
def _three_factor(rule, projection, transmit, dt):
    """Return the pair rule of eligibilities; in each step the weight gains the exact integral over the last one."""
    pair, factor = rule.rule, f"{rule.factor}_post"
    changes = (
        f"{_BOUND}\neligibility -= rule_A_minus*fired",
        f"{_BOUND}\neligibility += rule_A_plus*arrived",
    )
    taus = {"arrived": pair.tau_plus, "fired": pair.tau_minus}
    learning = _around(pair, f"{_BOUND}\n{transmit}", _named(pair, "A_plus", "A_minus"), changes, taus)
    rate = 1 / rule.tau_c + 1 / _decay_of(projection)
    learning.equations.append("eligibility : 1")
    learning.constants |= {
        "rule_gain": rule.learning_rate * (1 - exp(-rate * dt)) / rate,
        "rule_left": exp(-dt / rule.tau_c),
        "rule_every": max(1, round(rule.tau_c / dt)),
    }
    step = [
        f"weight = weight + rule_gain*eligibility*{factor}",
        "eligibility = rule_left*eligibility",
        "due = int(t_in_timesteps % rule_every == 0)",
        "weight = due*clip(weight, rule_w_min, rule_w_max) + (1 - due)*weight",
    ]
    learning.statements.append(("\n".join(step), "start", 0))
    return learning


def _decay_of(projection):
    """Return the time constant of the third factor (ms)."""
    factor = projection.plasticity.factor
    receptors = projection.post.population.receptors
    return next(r.synapse.tau for r in receptors if r.name == factor)


def _local(rule, projection, transmit, dt):
    """Return local learning, all of it by statements: after all deliveries of a step, before the resets."""
    post = projection.post.population
    level = "V_th_post" if np.ndim(post.model.V_th) else "rule_V_th"
    level += "".join(f" + {name}_post" for name in ("theta", "shift") if name in post.states)
    constants = _named(rule, "eta", "width") | {
        "rule_left": exp(-dt / rule.tau_pre),
        "rule_kept": exp(-dt / rule.tau_e),
    }
    if not np.ndim(post.model.V_th):
        constants["rule_V_th"] = post.model.V_th
    step = [
        f"closeness = clip(1 - abs(v_post - ({level}))/rule_width, 0, 1)",
        "eligibility = rule_kept*eligibility + arrived*closeness",
        f"weight = clip(weight + rule_eta*{rule.factor}_post*eligibility, rule_w_min, rule_w_max)",
    ]
    return Learning(
        ["arrived : 1", "eligibility : 1"],
        constants,
        {"pre": Pathway(f"{transmit}\narrived += 1", True)},
        {},
        [("arrived = rule_left*arrived", "start", 0), ("\n".join(step), "synapses", _LAST)],
    )


# ----------------------------------------------------------------------------------------------------------- scaling
def _scale(learning, projection, dt):
    """Add a SynapticScaling: each synapse counts the spikes of its target."""
    rule, bounded = projection.scaling, projection.plasticity is not None
    every = round(rule.every / dt)
    learning.equations.append("counted : 1")
    learning.constants |= {"scale_eta": rule.eta, "scale_every": every}
    learning.constants["scale_count"] = rule.target_rate * every * dt / 1000.0
    learning.on_post["counting"] = Pathway("counted += 1", False, _LAST + 3)
    step = [
        "due = int((t_in_timesteps + 1) % scale_every == 0)",
        "weight = weight*exp(due*scale_eta*(1 - counted/scale_count))",
        "counted = (1 - due)*counted",
    ]
    learning.statements.append(("\n".join([*step, *([_BOUND] * bounded)]), "end", 0))
