"""The parts of a Brian2 network, built from one of ours. Brian2 itself is handed in."""

import copy

import numpy as np

from penstock.spiking.brian_learning import NAMES, learning_of
from penstock.spiking.brian_models import gain_of, model_of

__all__: list[str] = []

# names with a meaning of their own, in Brian2 or in the equations and statements made here
_TAKEN = set("I_now I_stim N b_now drive dt g_all gain hold i j last lastspike left noise not_refractory spent".split())
_TAKEN |= set("step t t_in_timesteps tau_fac tau_rec u_inf use v_inf v_mid v_new w_new xi".split()) | NAMES
_LONG_AGO = -1e15  # ms, the last spike of a synapse that has not seen any
_SHORTEST = 1e-280  # ms, in place of a time constant of 0


class Builder:
    """The objects of a Brian2 network, made one after the other on a clock of their own."""

    def __init__(self, brian2, net, steps):
        self.brian2, self.net, self.steps = brian2, net, steps
        self.clock = brian2.Clock(dt=net.dt * brian2.ms)
        self.groups, self.synapses, self.monitors = {}, [], {}
        starting = copy.copy(net)  # fresh streams, without touching those of the network
        starting._start_streams()
        self.streams = starting._streams
        if steps is not None:
            self._check_memory()
        self.models = {p.name: self._model(p) for p in net.populations if not p.is_source}

    def _check_memory(self):
        """Refuse inputs that would not fit in memory once they are tabulated, here and in Brian2."""
        width = sum(p.n for p in self.net.populations if p.noisy)
        for drive in self.net.drives:
            whole = self._stream(drive).take(0, 0).shape[1] if drive.target.whole else drive.target.population.n
            width += whole
        what = f"the input of {self.steps * self.net.dt:g} ms, which Brian2 replays,"
        self.net._check_memory(2 * 8 * self.steps * width, what)

    def add(self, population):
        make = self._source if population.is_source else self._neurons
        group = make(population)
        self.groups[population.name] = group
        self.monitors[population.name] = self.brian2.SpikeMonitor(group)

    def _stream(self, giver):
        """Return the random numbers of a population or drive, from their beginning."""
        return self.streams[giver.seed.spawn_key]

    def _source(self, population):
        times, ids = self._stream(population).take(0, self.steps)
        return self.brian2.SpikeGeneratorGroup(
            population.n, ids.astype(np.int64), times * self.net.dt * self.brian2.ms, clock=self.clock, sorted=True
        )

    def _currents(self, population):
        return [d for d in self.net.drives if d.target.population is population and d.state_name is None]

    def _model(self, population):
        """Return the equations of a population, refusing what they cannot say."""
        nest, inclusive = self.net.timing == "nest", population.model.inclusive
        model = model_of(
            population.model,
            [(r.name, r.synapse) for r in population.receptors],
            self.net.dt,
            inclusive=nest if inclusive is None else inclusive,
            driven=bool(self._currents(population)),
        )
        self._check_names(population, model)
        if population.homeostasis is not None:
            _drift(model, population.homeostasis, self.net.dt)
        if population.noisy:
            model.statements.append("v += noise_step*noise(t, i)" if population.n > 1 else "v += noise_step*noise(t)")
        held = np.rint(np.asarray(population.model.t_ref) / self.net.dt)
        if not held.any():  # then no potential is ever held
            model.equations = [line.replace(" (unless refractory)", "") for line in model.equations]
        elif not held.all() and getattr(population.model, "soft_reset", False) and _jumps(self.net, population):
            raise ValueError(
                f"{population.name!r} cannot be carried over: soft resets, Delta synapses and t_ref=0 in only "
                "some neurons; Brian2 loses jumps of the step of a spike for all neurons or for none"
            )
        else:  # Brian2 holds v one step less than NEST
            model.constants["hold"] = (held + nest) * self.net.dt
        return model

    def _neurons(self, population):
        model = self.models[population.name]
        each = {name: value for name, value in model.constants.items() if np.ndim(value)}
        namespace = {name: value for name, value in model.constants.items() if name not in each}
        if population.noisy:
            draws = self._stream(population).standard_normal((self.steps, population.n))
            namespace["noise"] = self._timed(draws)
        tables = [self._table(d) for d in self._currents(population)]
        if tables:
            namespace["drive"] = self._timed(sum(tables))
        group = self.brian2.NeuronGroup(
            population.n,
            "\n".join([*model.equations, *(f"{name} : 1 (constant)" for name in each)]),
            method=model.method,
            threshold=model.threshold,
            reset=model.reset,
            refractory="hold*ms" if "hold" in model.constants else False,
            namespace=namespace,
            clock=self.clock,
        )
        for name, value in (each | population.initial).items():
            setattr(group, name, value)
        if tables:
            group.run_regularly(f"I_stim = {_call('drive', namespace)}", when="start", clock=self.clock)
        if model.statements:
            group.run_regularly("\n".join(model.statements), when="groups", order=1, clock=self.clock)
        return group

    def _check_names(self, population, model):
        own = self.brian2.core.namespace
        taken = _TAKEN | {*model.constants, *own.DEFAULT_FUNCTIONS, *own.DEFAULT_CONSTANTS, *own.DEFAULT_UNITS}
        for receptor in population.receptors:
            if receptor.name in taken:
                raise ValueError(
                    f"the synaptic state {receptor.name!r} of {population.name!r} cannot be carried over: the name has "
                    "another meaning in Brian2 or in the neuron model; give the synapse another one"
                )

    def connect(self, projection, index):
        if not len(projection):
            self.synapses.append(None)
            return
        pre, post, weights, delays = projection.edges()
        values = {"weight": weights}
        equations, code = [], f"{projection.state_name}_post += gain*weight"
        if projection.short_term is not None:
            equations, code, values = _short_term(projection, values, self.net.dt)
        learning = learning_of(projection, code, self.net.dt)
        learns = projection.plasticity is not None or projection.scaling is not None
        same = np.ptp(delays) == 0
        synapses = self.brian2.Synapses(
            self.groups[projection.pre.name],
            self.groups[projection.post.name],
            "\n".join(["weight : 1" if learns else "weight : 1 (constant)", *equations, *learning.equations]),
            on_pre={name: pathway.code for name, pathway in learning.on_pre.items()},
            on_post={name: pathway.code for name, pathway in learning.on_post.items()},
            namespace={"gain": gain_of(projection.synapse)} | learning.constants,
            clock=self.clock,
            delay={name: delays[0] * self.brian2.ms for name in learning.delayed} if same else None,
        )
        synapses.connect(i=pre + projection.pre.start, j=post + projection.post.start)
        for name, value in values.items():
            setattr(synapses, name, value)
        for name, pathway in (learning.on_pre | learning.on_post).items():
            if pathway.delayed and not same:
                getattr(synapses, name).delay = delays * self.brian2.ms
            # as here: sums of several projections are rounded in one order
            getattr(synapses, name).order = index if pathway.order is None else pathway.order
        for statement, slot, order in learning.statements:
            synapses.run_regularly(statement, when=slot, order=order, clock=self.clock)
        self.synapses.append(synapses)

    def kick(self):
        """Replay the inputs that arrive as spikes without synapses, after all synapses of the step."""
        kicks = [d for d in self.net.drives if d.state_name is not None]
        for index, drive in enumerate(kicks):
            population = drive.target.population
            table = self._table(drive) * gain_of(drive.source.synapse)
            group = self.groups[population.name]
            group.namespace[f"kick_{index}"] = self._timed(table)
            group.run_regularly(
                f"{drive.state_name} += {_call(f'kick_{index}', group.namespace)}",
                when="synapses",
                order=len(self.net.projections) + index,
                clock=self.clock,
            )

    def _table(self, drive):
        """Return what a drive gives to the whole population in each step, (steps, 1) or (steps, n)."""
        values = self._stream(drive).take(0, self.steps)
        if drive.target.whole:
            return values
        table = np.zeros((self.steps, drive.target.population.n))
        table[:, drive.target.units] = values
        return table

    def _timed(self, table):
        values = table if table.shape[1] > 1 else table[:, 0]
        return self.brian2.TimedArray(values, dt=self.net.dt * self.brian2.ms)

    def parts(self):
        """Return the network, its groups, synapses and spike monitors."""
        parts = [*self.groups.values(), *[s for s in self.synapses if s is not None], *self.monitors.values()]
        return self.brian2.Network(parts), self.groups, tuple(self.synapses), self.monitors


def _call(name, namespace):
    """Return the text that reads a tabulated input in a step: one value for all neurons or one for each."""
    return f"{name}(t, i)" if namespace[name].values.ndim == 2 else f"{name}(t)"


def _drift(model, rule, dt):
    """Let thresholds drift, and rise with each spike."""
    model.declare("shift")
    model.constants |= {"shift_rise": rule.eta, "shift_drift": rule.eta * rule.target_rate * dt / 1000.0}
    model.threshold = model.threshold.replace("V_th", "V_th + shift")
    model.statements.append("shift -= shift_drift")
    model.reset += "\nshift += shift_rise"


def _short_term(projection, values, dt):
    """Return equations, statements and values of Tsodyks-Markram synapses, driven by events."""
    U, rec, fac = projection.short_term[:3]
    values = values | {"use": U, "tau_rec": np.maximum(dt / rec, _SHORTEST), "tau_fac": np.maximum(dt / fac, _SHORTEST)}
    equations = [f"{name} : 1 (constant)" for name in values if name != "weight"]
    equations += ["left : 1", "spent : 1", "last : 1"]
    code = [
        "left = 1 + (left - left*spent - 1)*exp(-(t/ms - last)/tau_rec)",
        "spent = use + spent*(1 - use)*exp(-(t/ms - last)/tau_fac)",
        "last = t/ms",
        f"{projection.state_name}_post += gain*weight*spent*left",
    ]
    return equations, "\n".join(code), values | {"last": _LONG_AGO}


# -------------------------------------------------------------------------------------------------- checks
def _jumps(net, population=None):
    """Return the projections and drives that make potentials jump, of one population or of all."""
    parts = [(p.post, p.state_name, p) for p in net.projections]
    parts += [(d.target, d.state_name, d.source) for d in net.drives]
    return [part for group, state, part in parts if state == "v" and population in (None, group.population)]


def check(net, steps):
    """Refuse what has no counterpart, before anything is built."""
    jumps = _jumps(net)
    if net.timing == "nest" and jumps:
        raise ValueError(
            f'{jumps[0]!r} cannot be carried over with timing="nest": Delta synapses act before the threshold there, '
            'in Brian2 after it; take timing="brian2"'
        )
    replayed = [p.name for p in net.populations if p.is_source or p.noisy] + [repr(d.source) for d in net.drives]
    if steps is None and replayed:
        raise ValueError(f"duration must be given, to draw the input for: {', '.join(replayed)}")
