"""A network laid out in the few long arrays that the compiled run works on.

Populations and projections keep views into these arrays, so that nothing is stored twice and a state set from Python is
the state of the next step.
"""

from typing import NamedTuple

import numpy as np

from penstock.spiking import kernels as K
from penstock.spiking.clock import steps_of_each
from penstock.spiking.plasticity import modulation_of

__all__ = ["Flat", "flatten"]

_ALIGN = 8  # doubles in a cache line


class Flat(NamedTuple):
    """The arguments of the kernel that last from run to run."""

    populations: np.ndarray
    receptors: np.ndarray
    projections: np.ndarray
    neurons: tuple  # state, ready, hold, coef
    synapses: tuple  # gains, pointers, targets, weights, delays, short_term, and what plasticity needs
    history: tuple  # ring of spiking neurons by step, their numbers by population


def flatten(populations, projections, *, dt: float, nest: bool, step: int, old: Flat | None) -> Flat:
    """Lay out populations and projections; spikes on their way in `old` stay on their way."""
    n_resources = sum(p.targets.size for p in projections if p.short_term is not None)
    tables = _lay_out_populations(populations, dt, nest, 6 * n_resources)
    state = tables[2][0]
    rows, synapses = _lay_out_projections(projections, populations, state[state.size - 6 * n_resources :])
    synapses += (_lay_out_rules(projections, populations, rows, dt),)
    n_slots = 1 + max([int(p.delay_steps[0]) for p in projections if p.delay_steps.size], default=0)
    n_neurons = sum(p.n for p in populations)
    history = np.zeros((n_slots, n_neurons), np.uint32), np.zeros((n_slots, len(populations)), np.int64)
    if old is not None:
        _carry(old.history, history, step)
    return Flat(tables[0], tables[1], rows, tables[2], synapses, history)


def _carry(old, new, step):
    """Copy the spikes of the last steps from one ring to another."""
    for k in range(max(0, step - min(old[0].shape[0], new[0].shape[0])), step):
        width, count = old[0].shape[1], old[1].shape[1]
        new[0][k % new[0].shape[0], :width] = old[0][k % old[0].shape[0]]
        new[1][k % new[1].shape[0], :count] = old[1][k % old[1].shape[0]]


def _lay_out_populations(populations, dt, nest, n_more):
    """Lay out the states, with room for `n_more` numbers behind them."""
    table = np.zeros((len(populations), K.POPULATION_COLUMNS), np.int64)
    table[:, [K.Z, K.THETA, K.CURRENT, K.NOISE, K.EVENTS, K.SHIFT]] = -1
    table[:, K.CURRENT_HOLD] = 1
    size = sum(_padded(a.size) for p in populations for a in p.states.values())
    state, coef = np.zeros(size + n_more), []
    receptors: list[np.ndarray] = []
    ready = np.zeros(sum(p.n for p in populations))  # steps, as numbers that compare fast with those beside them
    hold = np.zeros_like(ready)
    at_state = at_coef = first = 0
    for row, p in zip(table, populations, strict=True):
        row[K.KIND], row[K.SIZE], row[K.FIRST] = K.SOURCE, p.n, first
        p.first = first
        ready[first : first + p.n] = p.ready
        p.ready = ready[first : first + p.n]
        where = {}
        for name, values in p.states.items():
            where[name] = at_state
            state[at_state : at_state + p.n] = values
            p.states[name] = state[at_state : at_state + p.n]
            at_state += _padded(p.n)
        if not p.is_source:
            p.place = where
            hold[first : first + p.n] = steps_of_each(f"t_ref of {p.name!r}", p.model.t_ref, dt) + nest
            numbers, pair = _describe(row, p, where, dt, nest)
            row[K.COEF], row[K.RECEPTOR_0] = at_coef, len(receptors)
            coef.append(numbers)
            at_coef += numbers.size
            for receptor in p.receptors:
                numbers, line = _describe_receptor(receptor, p, row[K.KIND], where, dt)
                line[K.NUMBERS] = at_coef
                receptors.append(line)
                coef.append(numbers)
                at_coef += numbers.size
            row[K.RECEPTOR_1] = len(receptors)
            row[K.PAIR] = pair and _are_pair(row, receptors[row[K.RECEPTOR_0] :])
        first += p.n
    lines = np.array(receptors, np.int64).reshape(-1, K.RECEPTOR_COLUMNS)
    return table, lines, (state, ready, hold, np.concatenate([*coef, np.zeros(1)]))


def _are_pair(row, receptors) -> bool:
    """Whether the receptors are two exponential ones, for which LIF neurons have a pass of their own."""
    alike = [r[K.STAGES] == 1 and r[K.IS_CONDUCTANCE] == (row[K.KIND] == K.LIF_CONDUCTANCE) for r in receptors]
    return alike == [True, True] and not any(r[K.EFFECT_PER_NEURON] for r in receptors)


def _padded(n: int) -> int:
    return -(-n // _ALIGN) * _ALIGN


def _describe(row, p, where, dt, nest):
    """Fill the row of a population of neurons; return its numbers, and whether all share those of a plain LIF step."""
    model = p.model
    conductance = any(r.synapse.reversal is not None for r in p.receptors)
    kind = model.kind
    row[K.KIND] = K.LIF_CONDUCTANCE if kind == K.LIF_EXACT and conductance else kind
    row[K.CONDUCTANCE] = conductance
    row[K.V] = where["v"]
    row[K.Z] = where[model.variables[1]] if len(model.variables) > 1 else -1
    row[K.THETA] = where.get("theta", -1)
    row[K.INCLUSIVE] = nest if model.inclusive is None else model.inclusive
    row[K.SLOPE] = "theta" in where or kind == K.IZHIKEVICH_2007
    coef = model.coefficients(dt, conductance)
    if p.homeostasis is not None:
        row[K.SHIFT] = where["shift"]
        coef = _with_shift(coef, p, dt)
    row[K.PER_NEURON] = coef.ndim == 2
    rows = coef.reshape(len(coef), -1)
    plain = row[K.KIND] in (K.LIF_EXACT, K.LIF_CONDUCTANCE) and row[K.THETA] < 0
    return _in_tiles(rows), plain and bool((rows[3:6] == rows[3:6, :1]).all())


def _with_shift(coef, p, dt):
    """Return the rows of neurons whose thresholds move: 13 V_th, 14 drift of a step, 15 rise at a spike."""
    rows = np.zeros((16, p.n))
    rows[: len(coef)] = coef.reshape(len(coef), -1)
    rows[13], rows[15] = rows[0], p.homeostasis.eta
    rows[14] = p.homeostasis.eta * p.homeostasis.target_rate * dt / 1000.0
    return rows


def _in_tiles(rows):
    """Return rows (rows, n or 1) tile after tile, (tiles, N_ROWS, TILE) flattened, the last one filled up."""
    tiles = -(-rows.shape[1] // K.TILE)
    full = np.zeros((K.N_ROWS, tiles * K.TILE))
    full[: len(rows), : rows.shape[1]] = rows
    if rows.shape[1] == 1:
        full[: len(rows)] = rows
    return full.reshape(K.N_ROWS, tiles, K.TILE).transpose(1, 0, 2).ravel()


def _describe_receptor(receptor, p, kind, where, dt):
    synapse = receptor.synapse
    line = np.zeros(K.RECEPTOR_COLUMNS, np.int64)
    line[K.STAGES], line[K.G] = synapse.n_states, where[receptor.name]
    line[K.X] = where.get(f"{receptor.name}_x", -1)
    line[K.IS_CONDUCTANCE] = synapse.reversal is not None
    d_x, d_g, k = synapse.decay(dt, euler=kind == K.LIF_EULER)
    frozen = 0.0, float(getattr(synapse, "acts", True))  # currents held over the step; modulators are none
    c_x, c_g = synapse.effect(dt, *p.model.membrane) if kind == K.LIF_EXACT else frozen
    line[K.EFFECT_PER_NEURON] = np.ndim(c_x) > 0 or np.ndim(c_g) > 0
    n = p.n if line[K.EFFECT_PER_NEURON] else 1
    effects = [np.broadcast_to(np.asarray(c, np.float64), n) for c in (c_g, c_x)]
    reversal = 0.0 if synapse.reversal is None else synapse.reversal
    return np.concatenate([[d_x, d_g, k, reversal], *effects]), line


def _lay_out_projections(projections, populations, resources):
    """Lay out the synapses; what short-term plasticity remembers lies in `resources`, the end of the states."""
    table = np.zeros((len(projections), K.PROJECTION_COLUMNS), np.int64)
    gains = np.array([p.synapse.gain for p in projections], np.float64)
    pointers = np.empty(sum(p.pointers.size for p in projections), np.uint32)
    targets = np.empty(sum(p.targets.size for p in projections), np.uint32)
    weights = np.empty(sum(p.given_weights.size for p in projections) + 1)  # one more: an empty projection reads it
    delays = np.concatenate([np.zeros(0, np.int64), *[p.delay_steps for p in projections]])
    short_term = resources.reshape(6, -1)
    at = dict.fromkeys(("pointers", "targets", "weights", "delays", "short_term"), 0)
    weights[-1] = 0.0
    for row, p in zip(table, projections, strict=True):
        post = p.post.population
        state_name = p.state_name
        row[K.PRE] = populations.index(p.pre.population)
        row[K.PRE_FROM], row[K.PRE_SIZE] = p.pre.start, len(p.pre)
        row[K.POST_AT], row[K.POST_SIZE] = post.place[state_name] + p.post.start, len(p.post)
        row[K.POST_READY] = post.first + p.post.start if state_name == "v" else -1
        row[K.POINTERS], row[K.SYNAPSES], row[K.WEIGHTS] = at["pointers"], at["targets"], at["weights"]
        row[K.DELAYS], row[K.N_DELAYS] = at["delays"], p.delay_steps.size
        row[K.ONE_WEIGHT] = p.given_weights.size == 1 and p.targets.size != 1
        row[K.CONTIGUOUS], row[K.SINCE] = _contiguous(p), p.since
        row[K.SHORT_TERM] = at["short_term"] if p.short_term is not None else -1
        row[K.PLASTIC], row[K.N_SYNAPSES] = -1, p.targets.size
        p.pointers = _move(p.pointers, pointers, at, "pointers")
        p.targets = _move(p.targets, targets, at, "targets")
        p.given_weights = _move(p.given_weights, weights, at, "weights")
        at["delays"] += p.delay_steps.size
        if p.short_term is not None:
            a, b = at["short_term"], at["short_term"] + p.targets.size
            short_term[:, a:b] = p.short_term
            p.short_term = short_term[:, a:b]
            at["short_term"] = b
    return table, (gains, pointers, targets, weights, delays, short_term)


def _contiguous(p) -> int:
    """Say whether each source with a weight for every synapse reaches one range of targets, or all of them."""
    sizes = np.diff(p.pointers.astype(np.int64))
    if p.delay_steps.size != 1 or p.short_term is not None or p.given_weights.size == 1 or p.state_name == "v":
        return 0
    if p.targets.size < 8 * sizes.size:
        return 0
    first, last = p.pointers[:-1][sizes > 0], p.pointers[1:][sizes > 0] - 1
    if np.any(p.targets[last] - p.targets[first] + 1 != sizes[sizes > 0]):
        return 0
    apart = np.diff(p.targets.astype(np.int64)) == 1
    apart[first[1:] - 1] = True
    if not apart.all():
        return 0
    return K.TO_ALL if p.plasticity is None and p.targets.size == sizes.size * len(p.post) else K.TO_RANGE


def _lay_out_rules(projections, populations, rows, dt):
    """Lay out the rules that change weights, and what synapses remember for them."""
    plastic = [p for p in projections if p.plasticity is not None]
    remembered = [a for p in plastic for a in p.learning.arrays[:4]] + [p.counts for p in projections if p.scaling]
    learned = np.empty(sum(a.size for a in remembered))
    links = tuple(
        np.empty(sum(getattr(p.learning, name).size for p in plastic), np.uint32)
        for name in ("pointers", "synapses", "traces")
    )
    at = dict.fromkeys(("learned", "pointers", "synapses", "traces"), 0)
    rules: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    for q, p in enumerate(projections):
        given = [rule for rule in (p.plasticity, p.scaling) if rule is not None]
        for rule in given:
            line = np.zeros(K.RULE_COLUMNS, np.int64)
            line[K.RULE], line[K.OF] = rule.kind, q
            line[K.TARGET], line[K.TARGET_FROM] = populations.index(p.post.population), p.post.start
            line[K.INTERVAL] = rule.interval(dt)
            modulation = modulation_of(p)
            if rule is p.scaling:
                line[K.PER_TARGET] = at["learned"]
                p.counts = _move(p.counts, learned, at, "learned")
            else:
                rows[q, K.PLASTIC] = len(rules)
                line[K.FIRST_LEARNS], line[K.DENDRITIC], line[K.NEAREST] = rule.acts_first, rule.dendritic, rule.nearest
                line[K.LINKS], line[K.LINKED] = at["pointers"], at["synapses"]
                if modulation is not None:
                    line[K.FACTOR] = p.post.population.place[rule.factor] + p.post.start
                _move_learning(p.learning, line, learned, links, at)
            rules.append(line)
            numbers.append(_numbers(rule, rule.numbers(dt, modulation)))
    longest = max([int(np.diff(p.pointers.astype(np.int64)).max(initial=0)) for p in plastic], default=0)
    table = np.array(rules, np.int64).reshape(-1, K.RULE_COLUMNS)
    return table, np.array(numbers, np.float64).reshape(-1, K.RULE_NUMBERS), learned, links, np.empty(longest)


def _numbers(rule, values):
    """Return the numbers of a rule as a row."""
    line = np.zeros(K.RULE_NUMBERS)
    line[list(values)] = list(values.values())
    line[[K.W_MIN, K.W_MAX]] = getattr(rule, "w_min", -np.inf), getattr(rule, "w_max", np.inf)
    return line


def _move_learning(learning, line, learned, links, at):
    columns = {"pre": K.PRE_TRACES, "post": K.POST_TRACES, "per_target": K.PER_TARGET, "eligibility": K.ELIGIBILITY}
    for name, column in columns.items():
        values = getattr(learning, name)
        line[column] = at["learned"]
        setattr(learning, name, _move(values.ravel(), learned, at, "learned").reshape(values.shape))
    for name, into in zip(("pointers", "synapses", "traces"), links, strict=True):
        setattr(learning, name, _move(getattr(learning, name), into, at, name))


def _move(values, into, at, name):
    """Copy an array into the long one and return the view that replaces it."""
    a, b = at[name], at[name] + values.size
    into[a:b] = values
    at[name] = b
    return into[a:b]
