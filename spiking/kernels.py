"""The compiled run of a spiking network: one loop over time steps that branches per population, never per neuron.

A network arrives flattened (`flat.py`): tables of integers say where each population, receptor, projection and
recorder finds its numbers in a few long arrays, so that nothing is compiled anew when a network changes. The columns
of these tables are named below; both sides use the names.

Neurons advance in tiles that stay in the first-level cache while synaptic sums, membrane and threshold pass over them.
"""

from typing import Any

import numpy as np
from numba import njit

from penstock.vmath import exp

__all__: list[str] = []

# one row per population
(KIND, SIZE, FIRST, V, Z, THETA, COEF, PER_NEURON, RECEPTOR_0, RECEPTOR_1, CONDUCTANCE) = range(11)
(CURRENT, CURRENT_WIDTH, CURRENT_HOLD, NOISE, INCLUSIVE, SLOPE, LOGGED, EVENTS, PAIR, SHIFT) = range(11, 21)
POPULATION_COLUMNS = 21
# one row per receptor; its numbers in `coef`: d_x, d_g (the parts lost in a step), k, reversal, then c_g and c_x (one
# each, or one per neuron)
STAGES, G, X, IS_CONDUCTANCE, NUMBERS, EFFECT_PER_NEURON, RECEPTOR_COLUMNS = range(7)
# one row per projection
(PRE, PRE_FROM, PRE_SIZE, POST_AT, POST_SIZE, POST_READY, POINTERS, SYNAPSES, WEIGHTS, ONE_WEIGHT) = range(10)
(DELAYS, N_DELAYS, SHORT_TERM, CONTIGUOUS, SINCE, PLASTIC, N_SYNAPSES, PROJECTION_COLUMNS) = range(10, 18)
# one row per rule for the weights of a projection, and one of its numbers: six for the spikes of sources, six for those
# of targets, then the others; a trace is a triple (step of the last change, fast, slow)
(RULE, OF, FIRST_LEARNS, DENDRITIC, NEAREST, PRE_TRACES, POST_TRACES, PER_TARGET) = range(8)
(ELIGIBILITY, LINKS, LINKED, TARGET, TARGET_FROM, FACTOR, INTERVAL, RULE_COLUMNS) = range(8, 16)
(AMOUNT, AMOUNT_3, MU, OFFSET, RATE, SLOW, SIDE) = range(7)
(W_MIN, W_MAX, GAIN, RATE_C, KEPT, WIDTH, RULE_NUMBERS) = range(2 * SIDE, 2 * SIDE + 7)
# one row per drive that kicks synaptic states or potentials, per recorder of states, per recorder of rates
KICK_AT, KICK_SIZE, KICK_READY, KICK_TABLE, KICK_COLUMNS = range(5)
STATE_AT, UNITS, N_UNITS, EVERY, ROWS_AT, RECORDER_COLUMNS = range(6)
COUNTED, COUNTED_FROM, COUNTED_SIZE, BIN, COUNTS_AT, RATE_COLUMNS = range(6)

SOURCE = -1  # kinds of populations
LIF_EXACT, LIF_CONDUCTANCE, LIF_EULER = 0, 1, 2
ADEX_EULER, ADEX_EXPONENTIAL = 5, 6
IZHIKEVICH_EULER, IZHIKEVICH_FIG1, IZHIKEVICH_HALF, IZHIKEVICH_2007 = 7, 8, 9, 10

STDP, THREE_FACTOR, LOCAL, SCALING = range(4)  # kinds of rules

TO_RANGE, TO_ALL = 1, 2  # contiguous projections: each source reaches one range of targets, or all of them

FINISHED, LOG_FULL, DIVERGED = 0, 1, 2  # how a call of `advance` ends

TILE = 1024
N_ROWS = 17  # of parameters that every population has
BLOCK = 64  # neurons tested together against their thresholds


_FLAGS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
# called by `advance` alone: without the ways in from Python and C everything compiles a fifth faster
_kernel = njit(**_FLAGS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True})


@njit(**_FLAGS)
def advance(clock, populations, receptors, projections, drives, recorders, neurons, synapses, history, log, ends):
    """Advance the network through steps t_from to t_to of a chunk that begins at step k_start; return how it ended.

    `ends` receives (steps of the chunk done, spikes logged, population and 1 + unit of a divergence).
    """
    k_start, t_from, t_to, nest = clock
    kicks, table, event_pointers, event_ids = drives
    state_recorders, recorded_units, rows, rate_recorders, counts = recorders
    state, ready, hold, coef = neurons
    gains, pointers, targets, weights, delays, short_term, plastic = synapses
    rules, numbers, learned, _, _ = plastic
    ring, spiked = history
    log_ids, log_steps = log
    n_slots = ring.shape[0]
    scratch = np.empty((3, TILE))
    ends[:] = 0
    ends[0] = t_from
    for t in range(t_from, t_to):
        k = k_start + t
        slot = k % n_slots
        if ends[1] + ring.shape[1] > log_ids.size:
            return LOG_FULL
        for r in range(rules.shape[0]):
            if rules[r, RULE] == THREE_FACTOR:
                _accumulate(k, rules[r], numbers[r], projections[rules[r, OF], POST_SIZE], state, learned)
        for p in range(populations.shape[0]):
            row = populations[p]
            ids = ring[slot, row[FIRST] : row[FIRST] + row[SIZE]]
            spiked[slot, p] = 0
            if row[KIND] == SOURCE:
                spiked[slot, p] = _emit(ids, event_pointers, event_ids, row[EVENTS] + t)
            else:
                for a in range(0, row[SIZE], TILE):
                    b = min(a + TILE, row[SIZE])
                    _integrate(k, t, a, b, row, receptors, state, ready, coef, table, scratch)
                    if not nest:
                        spiked[slot, p] = _test(k, a, b, row, state, ready, hold, coef, ids, spiked[slot, p], ends)
            if ends[3] > 0:
                ends[2] = p
                return DIVERGED
        for q in range(projections.shape[0]):
            _deliver(
                k, projections[q], gains[q], state, ready, pointers, targets, weights, delays, short_term, ring, spiked,
                populations, plastic,
            )  # fmt: skip
        for q in range(kicks.shape[0]):
            _kick(k, kicks[q], table[kicks[q, KICK_TABLE] + t * kicks[q, KICK_SIZE] :], state, ready)
        for r in range(rules.shape[0]):
            if rules[r, RULE] == LOCAL:
                row = populations[rules[r, TARGET]]
                _learn_locally(
                    k, rules[r], numbers[r], projections[rules[r, OF]], row, state, coef, learned, pointers, targets,
                    weights,
                )  # fmt: skip
        for p in range(populations.shape[0]):
            row = populations[p]
            ids = ring[slot, row[FIRST] : row[FIRST] + row[SIZE]]
            if row[KIND] != SOURCE:
                if nest:
                    for a in range(0, row[SIZE], TILE):
                        b = min(a + TILE, row[SIZE])
                        spiked[slot, p] = _test(k, a, b, row, state, ready, hold, coef, ids, spiked[slot, p], ends)
                    if ends[3] > 0:
                        ends[2] = p
                        return DIVERGED
                _reset(ids[: spiked[slot, p]], row, state, coef)
            if row[LOGGED]:
                for s in range(spiked[slot, p]):
                    log_ids[ends[1]] = row[FIRST] + ids[s]
                    log_steps[ends[1]] = k
                    ends[1] += 1
        for r in range(rules.shape[0]):
            if rules[r, RULE] != LOCAL:
                _learn_from_spikes(
                    k, r, projections[rules[r, OF]], pointers, targets, weights, delays, ring, spiked, populations,
                    plastic,
                )  # fmt: skip
        for q in range(state_recorders.shape[0]):
            _sample(k, k_start, state_recorders[q], recorded_units, state, rows)
        for q in range(rate_recorders.shape[0]):
            row = rate_recorders[q]
            at = row[COUNTS_AT] + k // row[BIN] - k_start // row[BIN]
            ids = ring[slot, populations[row[COUNTED], FIRST] :]
            for s in range(spiked[slot, row[COUNTED]]):
                counts[at] += row[COUNTED_FROM] <= ids[s] < row[COUNTED_FROM] + row[COUNTED_SIZE]
        ends[0] += 1
    return FINISHED


@_kernel
def _emit(ids, event_pointers, event_ids, at):
    first, last = event_pointers[at], event_pointers[at + 1]
    for e in range(last - first):
        ids[e] = event_ids[first + e]
    return last - first


# ---------------------------------------------------------------------------------------------------- integration
@_kernel
def _integrate(k, t, a, b, row, receptors, state, ready, coef, table, scratch):
    """One step of the neurons a to b of a population: synaptic sums first, then the membrane."""
    c = _tile(coef, row, a)
    if row[SHIFT] >= 0:
        _shift(state[row[SHIFT] + a : row[SHIFT] + b], c, c[13 * TILE :], c[14 * TILE :])
    if row[PAIR] and row[NOISE] < 0 and (row[CURRENT] < 0 or row[CURRENT_WIDTH] == 1):
        current = table[row[CURRENT] + t // row[CURRENT_HOLD]] if row[CURRENT] >= 0 else 0.0
        _integrate_pair(k, a, b, row, receptors, state, ready, coef, c, current)
        return
    n, kind = row[SIZE], row[KIND]
    v = state[row[V] + a : row[V] + b]
    free = ready[row[FIRST] + a : row[FIRST] + b]
    acc, g_sum, ge_sum = scratch[0, : b - a], scratch[1, : b - a], scratch[2, : b - a]
    exact = kind == LIF_EXACT
    _begin(acc, exact, c[5 * TILE :])
    if row[CURRENT] >= 0:
        _add_current(acc, exact, c[4 * TILE :], table, row[CURRENT], row[CURRENT_WIDTH], t // row[CURRENT_HOLD], a)
    if row[NOISE] >= 0:
        _add_products(acc, table[row[NOISE] + t * n + a : row[NOISE] + t * n + b], c[6 * TILE :])
    if not exact:
        g_sum[:] = 0.0
        ge_sum[:] = 0.0
    for r in range(row[RECEPTOR_0], row[RECEPTOR_1]):
        _sum_receptor(receptors[r], n, a, b, state, coef, acc, g_sum, ge_sum)
    if row[THETA] >= 0:
        w, theta = state[row[Z] + a : row[Z] + b], state[row[THETA] + a : row[THETA] + b]
        _adapt(acc, w, theta, exact, c[8 * TILE :], c[9 * TILE :], c[11 * TILE :])
    if exact:
        _lif_exact(k, v, acc, free, c[3 * TILE :])
    elif kind <= LIF_EULER:
        _lif_frozen(k, kind, v, acc, g_sum, ge_sum, free, c[3 * TILE :], c[4 * TILE :], c[5 * TILE :])
    else:
        if row[CONDUCTANCE]:
            if kind == ADEX_EXPONENTIAL:
                _add_multiple(acc, ge_sum, 1.0)
            else:
                _add_ohmic(acc, g_sum, ge_sum, v)
        _two_variables(k, kind, v, state[row[Z] + a : row[Z] + b], acc, g_sum, free, c)


@_kernel
def _shift(shift, threshold, base, drift):
    """Let the shift of thresholds drift, and the thresholds follow."""
    for i in range(shift.size):
        shift[i] -= drift[i]
        threshold[i] = base[i] + shift[i]


@_kernel
def _tile(coef, row, a):
    """Return the parameters of the tile that begins at neuron a: row j begins at j * TILE.

    Their distances are constants, without which the compiler makes no vector loops. Where all neurons share their
    parameters all tiles read one.
    """
    at = row[COEF] + (a * N_ROWS if row[PER_NEURON] else 0)
    return coef[at : at + N_ROWS * TILE]


@_kernel
def _integrate_pair(k, a, b, row, receptors, state, ready, coef, c, current):
    """LIF neurons with two exponential synapses and shared parameters in one pass, twice as fast as the general way."""
    one, two = receptors[row[RECEPTOR_0]], receptors[row[RECEPTOR_0] + 1]
    v, free = state[row[V] + a : row[V] + b], ready[row[FIRST] + a : row[FIRST] + b]
    g1, g2 = state[one[G] + a : one[G] + b], state[two[G] + a : two[G] + b]
    n1, n2 = coef[one[NUMBERS] : one[NUMBERS] + 5], coef[two[NUMBERS] : two[NUMBERS] + 5]
    if row[KIND] == LIF_EXACT:
        c0 = c[5 * TILE] + c[4 * TILE] * current
        _pair_exact(k, v, g1, g2, free, c[3 * TILE], c0, n1[4], n2[4], n1[1], n2[1])
    else:
        drive = c[4 * TILE] + current
        _pair_conductance(k, v, g1, g2, free, c[3 * TILE], drive, c[5 * TILE], n1[3], n2[3], n1[1], n2[1])


# Refractory potentials are held by an increment times zero: a select would become a masked store, ten times slower.
@_kernel
def _pair_exact(k, v, g1, g2, free, d_m, c0, c1, c2, d1, d2):
    for i in range(v.size):
        moves = 1.0 if free[i] <= k else 0.0
        v[i] += moves * (c0 + c1 * g1[i] + c2 * g2[i] - v[i] * d_m)
        g1[i] -= g1[i] * d1
        g2[i] -= g2[i] * d2


@_kernel
def _pair_conductance(k, v, g1, g2, free, g_l, drive, h_c, r1, r2, d1, d2):
    for i in range(v.size):
        total = g_l + (g1[i] + g2[i])
        rest = (drive + (r1 * g1[i] + r2 * g2[i])) / total
        moves = 1.0 if free[i] <= k else 0.0
        v[i] += moves * ((rest - v[i]) * (1.0 - exp(-total * h_c)))
        g1[i] -= g1[i] * d1
        g2[i] -= g2[i] * d2


@_kernel
def _begin(acc, exact, c0):
    for i in range(acc.size):
        acc[i] = c0[i] if exact else 0.0


@_kernel
def _add_current(acc, exact, c, table, at, width, t, a):
    if width == 1:
        current = table[at + t]
        for i in range(acc.size):
            acc[i] += (c[i] if exact else 1.0) * current
    else:
        current_each = table[at + t * width + a : at + t * width + a + acc.size]
        for i in range(acc.size):
            acc[i] += (c[i] if exact else 1.0) * current_each[i]


@_kernel
def _sum_receptor(row, n, a, b, state, coef, acc, g_sum, ge_sum):
    """Add what a receptor gives in this step and carry its states to the next."""
    g = state[row[G] + a : row[G] + b]
    c = row[NUMBERS]
    d_x, d_g, k_x, reversal = coef[c], coef[c + 1], coef[c + 2], coef[c + 3]
    if row[IS_CONDUCTANCE]:
        _add_conductance(g_sum, ge_sum, g, reversal)
    elif row[EFFECT_PER_NEURON]:
        _add_products(acc, g, coef[c + 4 + a : c + 4 + b])
    else:
        _add_multiple(acc, g, coef[c + 4])
    if row[STAGES] == 1:
        _decay(g, d_g)
    else:
        x = state[row[X] + a : row[X] + b]
        if row[EFFECT_PER_NEURON]:
            _add_products(acc, x, coef[c + 4 + n + a : c + 4 + n + b])
        elif not row[IS_CONDUCTANCE]:
            _add_multiple(acc, x, coef[c + 5])
        _decay_cascade(x, g, d_x, d_g, k_x)


@_kernel
def _add_multiple(acc, g, c):
    for i in range(g.size):
        acc[i] += c * g[i]


@_kernel
def _add_products(acc, g, c):
    for i in range(g.size):
        acc[i] += c[i] * g[i]


@_kernel
def _add_conductance(g_sum, ge_sum, g, reversal):
    for i in range(g.size):
        g_sum[i] += g[i]
        ge_sum[i] += reversal * g[i]


@_kernel
def _add_ohmic(current, g_sum, ge_sum, v):
    for i in range(v.size):
        current[i] += ge_sum[i] - g_sum[i] * v[i]


@_kernel
def _decay(g, d_g):
    for i in range(g.size):
        g[i] -= g[i] * d_g


@_kernel
def _decay_cascade(x, g, d_x, d_g, k_x):
    for i in range(g.size):
        g[i] += k_x * x[i] - d_g * g[i]
        x[i] -= d_x * x[i]


@_kernel
def _adapt(acc, w, theta, exact, d_w, c_w, d_theta):
    """Adaptation of a LIF neuron: the current w enters with a minus sign, both variables decay."""
    for i in range(w.size):
        acc[i] -= (c_w[i] if exact else 1.0) * w[i]
        w[i] -= d_w[i] * w[i]
        theta[i] -= d_theta[i] * theta[i]


@_kernel
def _lif_exact(k, v, acc, free, d_m):
    for i in range(v.size):
        moves = 1.0 if free[i] <= k else 0.0
        v[i] += moves * (acc[i] - v[i] * d_m[i])


@_kernel
def _lif_frozen(k, kind, v, acc, g_sum, ge_sum, free, g_l, drive, h_c):
    if kind == LIF_CONDUCTANCE:
        for i in range(v.size):
            total = g_l[i] + g_sum[i]
            rest = (drive[i] + acc[i] + ge_sum[i]) / total
            moves = 1.0 if free[i] <= k else 0.0
            v[i] += moves * ((rest - v[i]) * (1.0 - exp(-total * h_c[i])))
    else:
        for i in range(v.size):
            moves = 1.0 if free[i] <= k else 0.0
            slope = drive[i] + acc[i] + ge_sum[i] - (g_l[i] + g_sum[i]) * v[i]
            v[i] += moves * (h_c[i] * slope)


@_kernel
def _two_variables(k, kind, v, z, current, g_sum, free, c):
    if kind == ADEX_EULER:
        _adex_euler(k, v, z, current, free, c)
    elif kind == ADEX_EXPONENTIAL:
        _adex_exponential(k, v, z, current, g_sum, free, c)
    elif kind <= IZHIKEVICH_FIG1:
        _izhikevich_euler(k, v, z, current, free, c, kind == IZHIKEVICH_FIG1)
    elif kind == IZHIKEVICH_HALF:
        _izhikevich_half(k, v, z, current, free, c)
    else:
        _izhikevich_2007(k, v, z, current, free, c)


@_kernel
def _adex_euler(k, v, w, current, free, c):
    for i in range(v.size):
        h_c = c[3 * TILE + i]
        g_l = c[4 * TILE + i]
        e_l = c[5 * TILE + i]
        v_t = c[6 * TILE + i]
        delta = c[7 * TILE + i]
        a = c[8 * TILE + i]
        h_w = c[9 * TILE + i]
        i_e = c[11 * TILE + i]
        old = v[i]
        leak = old - e_l
        spike = delta * exp((old - v_t) / delta)
        moves = 1.0 if free[i] <= k else 0.0
        v[i] = old + moves * (h_c * (g_l * (spike - leak) - w[i] + current[i] + i_e))
        w[i] += h_w * (a * leak - w[i])


@_kernel
def _adex_exponential(k, v, w, current, g_sum, free, c):
    for i in range(v.size):
        h_c = c[3 * TILE + i]
        g_l = c[4 * TILE + i]
        e_l = c[5 * TILE + i]
        v_t = c[6 * TILE + i]
        delta = c[7 * TILE + i]
        a = c[8 * TILE + i]
        d_w = c[9 * TILE + i]
        i_e = c[11 * TILE + i]
        old = v[i]
        total = g_l + g_sum[i]
        spike = delta * exp((old - v_t) / delta)
        rest = (g_l * (e_l + spike) - w[i] + current[i] + i_e) / total
        moves = 1.0 if free[i] <= k else 0.0
        v[i] = old + moves * ((rest - old) * (1.0 - exp(-total * h_c)))
        w[i] += d_w * (a * (old - e_l) - w[i])


@_kernel
def _izhikevich_euler(k, v, u, current, free, c, later):
    """One step of both variables; u follows the new potential (`later`) or the old one."""
    h = c[11 * TILE]
    for i in range(v.size):
        a = c[3 * TILE + i]
        b = c[4 * TILE + i]
        p1 = c[6 * TILE + i]
        p0 = c[7 * TILE + i]
        v_u = c[8 * TILE + i]
        u_leak = c[9 * TILE + i]
        old = v[i]
        slope = 0.04 * old * old + p1 * old + p0 - u[i] + current[i]
        moves = 1.0 if free[i] <= k else 0.0
        new = old + moves * (h * slope)
        u[i] += h * (a * (b * ((new if later else old) - v_u) - u_leak * u[i]))
        v[i] = new


@_kernel
def _izhikevich_half(k, v, u, current, free, c):
    h = c[11 * TILE]
    for i in range(v.size):
        a = c[3 * TILE + i]
        b = c[4 * TILE + i]
        p1 = c[6 * TILE + i]
        p0 = c[7 * TILE + i]
        v_u = c[8 * TILE + i]
        u_leak = c[9 * TILE + i]
        old = v[i]
        drive = p0 - u[i] + current[i]
        moves = 1.0 if free[i] <= k else 0.0
        half = old + moves * (0.5 * h * (0.04 * old * old + p1 * old + drive))
        new = half + moves * (0.5 * h * (0.04 * half * half + p1 * half + drive))
        u[i] += h * (a * (b * (new - v_u) - u_leak * u[i]))
        v[i] = new


@_kernel
def _izhikevich_2007(k, v, u, current, free, c):
    for i in range(v.size):
        h_c = c[3 * TILE + i]
        k_v = c[4 * TILE + i]
        v_r = c[5 * TILE + i]
        v_t = c[6 * TILE + i]
        h_a = c[7 * TILE + i]
        b = c[8 * TILE + i]
        b_above = c[12 * TILE + i]
        v_switch = c[13 * TILE + i]
        cubic = c[14 * TILE + i]
        v_cubic = c[15 * TILE + i]
        i_e = c[16 * TILE + i]
        old = v[i]
        slope = k_v * (old - v_r) * (old - v_t) - u[i] + (current[i] + i_e)
        moves = 1.0 if free[i] <= k else 0.0
        new = old + moves * (h_c * slope)
        recovery = (b_above if new > v_switch else b) * (old - v_r)
        above = old - v_cubic
        recovery += cubic * above * above * above if new >= v_cubic else 0.0
        u[i] += h_a * (recovery - u[i])
        v[i] = new


# ------------------------------------------------------------------------------------------------ threshold, reset
@_kernel
def _test(k, a, b, row, state, ready, hold, coef, ids, count, ends):
    """Append the neurons of a to b that spike in step k to `ids`; return the number of spikes so far."""
    v = state[row[V] + a : row[V] + b]
    second = row[THETA] if row[THETA] >= 0 else row[Z]
    z = state[second + a : second + b] if row[SLOPE] else v
    free, wait = ready[row[FIRST] + a : row[FIRST] + b], hold[row[FIRST] + a : row[FIRST] + b]
    c = _tile(coef, row, a)
    threshold, slope = c[:TILE], c[TILE : 2 * TILE]
    for start in range(0, v.size, BLOCK):
        stop = min(start + BLOCK, v.size)
        if row[SLOPE]:
            found = _any_above_sloped(v[start:stop], z[start:stop], threshold[start:], slope[start:])
        elif row[PER_NEURON]:
            found = _any_above_each(v[start:stop], threshold[start:])
        else:
            found = _any_above(v[start:stop], threshold[0])
        if found:
            for i in range(start, stop):
                level = threshold[i] + (slope[i] * z[i] if row[SLOPE] else 0.0)
                spikes = v[i] >= level if row[INCLUSIVE] else v[i] > level
                if spikes and free[i] <= k and v[i] < np.inf:
                    ids[count] = a + i
                    free[i] = k + wait[i]
                    count += 1
                elif not np.isfinite(v[i]) or not np.isfinite(level):
                    ends[3] = a + i + 1
    return count


@_kernel
def _any_above(v, threshold):
    """Whether some potential is not below the threshold; not-a-number counts."""
    found = 0
    for i in range(v.size):
        found += 0 if v[i] < threshold else 1
    return found > 0


@_kernel
def _any_above_each(v, threshold):
    found = 0
    for i in range(v.size):
        found += 0 if v[i] < threshold[i] else 1
    return found > 0


@_kernel
def _any_above_sloped(v, z, threshold, slope):
    found = 0
    for i in range(v.size):
        found += 0 if v[i] < threshold[i] + slope[i] * z[i] else 1
    return found > 0


@_kernel
def _reset(ids, row, state, coef):
    kind, c = row[KIND], row[COEF]
    for s in range(ids.size):
        i = np.int64(ids[s])
        at = c + (i // TILE * N_ROWS * TILE + i % TILE if row[PER_NEURON] else 0)
        v, z = row[V] + i, row[Z] + i
        if row[SHIFT] >= 0:
            state[row[SHIFT] + i] += coef[at + 15 * TILE]
        if kind <= LIF_EULER:
            drop = coef[at + 7 * TILE]
            state[v] = state[v] - drop if drop > 0.0 else coef[at + 2 * TILE]
            if row[THETA] >= 0:
                state[z] += coef[at + 10 * TILE]
                state[row[THETA] + i] += coef[at + 12 * TILE]
        elif kind <= ADEX_EXPONENTIAL:
            state[v] = coef[at + 2 * TILE]
            state[z] += coef[at + 10 * TILE]
        elif kind <= IZHIKEVICH_HALF:
            state[v] = coef[at + 2 * TILE]
            state[z] += coef[at + 5 * TILE]
        else:
            state[v] = coef[at + 2 * TILE] + coef[at + 10 * TILE] * state[z]
            state[z] = min(state[z] + coef[at + 9 * TILE], coef[at + 11 * TILE])


# -------------------------------------------------------------------------------------------------------- delivery
@_kernel
def _deliver(
    k, row, gain, state, ready, pointers, targets, weights, delays, short_term, ring, spiked, populations, plastic
):  # fmt: skip
    """Deliver the spikes of a projection that arrive in step k, the oldest first, so that sums have one order."""
    n_delays = row[N_DELAYS]
    first = populations[row[PRE], FIRST]
    post = state[row[POST_AT] : row[POST_AT] + row[POST_SIZE]]
    for j in range(n_delays):
        emitted = k - delays[row[DELAYS] + j]
        if emitted < row[SINCE]:
            continue
        slot = emitted % ring.shape[0]
        for s in range(spiked[slot, row[PRE]]):
            source = np.int64(ring[slot, first + s]) - row[PRE_FROM]
            if source < 0 or source >= row[PRE_SIZE]:
                continue
            if row[CONTIGUOUS] == TO_ALL:
                first_weight = row[WEIGHTS] + source * post.size
                _add_multiple(post, weights[first_weight : first_weight + post.size], gain)
                continue
            at = row[POINTERS] + source * n_delays + j
            a, b = np.int64(pointers[at]), np.int64(pointers[at + 1])
            to = targets[row[SYNAPSES] + a : row[SYNAPSES] + b]
            one = gain * weights[row[WEIGHTS]]
            w = weights[row[WEIGHTS] + a : row[WEIGHTS] + b] if not row[ONE_WEIGHT] else weights[:0]
            if row[PLASTIC] >= 0:
                w = _learn_at_arrival(k, row, source * n_delays + j, a, to, weights, plastic)
            if row[SHORT_TERM] >= 0:
                q = short_term[:, row[SHORT_TERM] + a : row[SHORT_TERM] + b]
                _deliver_short_term(emitted, gain, w, one, to, q, post, k, ready, row[POST_READY])
            elif row[POST_READY] >= 0:
                free = ready[row[POST_READY] : row[POST_READY] + row[POST_SIZE]]
                for e in range(to.size):
                    if free[to[e]] <= k:
                        post[to[e]] += gain * w[e] if w.size else one
            elif row[ONE_WEIGHT]:
                for e in range(to.size):
                    post[to[e]] += one
            elif row[CONTIGUOUS]:
                _add_multiple(post[to[0] : to[0] + to.size], w, gain)
            else:
                for e in range(to.size):
                    post[to[e]] += gain * w[e]


@_kernel
def _deliver_short_term(emitted, gain, w, one, to, q, post, k, ready, at_ready):
    """Tsodyks-Markram: resources R and use u since the last spike of each synapse, then the response R u w."""
    for e in range(to.size):
        since = emitted - q[5, e]
        if q[5, e] >= 0.0:
            r, u = q[3, e], q[4, e]
            q[3, e] = 1.0 + (r - r * u - 1.0) * np.exp(-since * q[1, e])
            q[4, e] = q[0, e] + u * (1.0 - q[0, e]) * np.exp(-since * q[2, e])
        else:
            q[3, e], q[4, e] = 1.0, q[0, e]
        q[5, e] = emitted
        if at_ready < 0 or ready[at_ready + to[e]] <= k:
            post[to[e]] += q[3, e] * q[4, e] * (gain * w[e] if w.size else one)


@_kernel
def _kick(k, row, amounts, state, ready):
    post = state[row[KICK_AT] : row[KICK_AT] + row[KICK_SIZE]]
    if row[KICK_READY] < 0:
        for i in range(post.size):
            post[i] += amounts[i]
    else:
        free = ready[row[KICK_READY] : row[KICK_READY] + row[KICK_SIZE]]
        for i in range(post.size):
            post[i] += amounts[i] if free[i] <= k else 0.0


# ------------------------------------------------------------------------------------------------------ plasticity
@_kernel
def _learn(k, rule, n, side, own, rows, lane, n_lanes, synapses, first, base, target, weights, learned):
    """Learn from one spike of a source (side 0) or of a target (1); its own trace, row `own`, decays but is not raised.

    Synapse e, of number first + e or synapses[e], changes by the trace n_lanes * rows[e] + lane of the other side.
    """
    at = rule[PRE_TRACES + side] + 3 * own
    mine, others = SIDE * side, SIDE * (1 - side)
    learned[at + 1] *= exp((learned[at] - k) * n[mine + RATE])
    learned[at + 2] *= exp((learned[at] - k) * n[mine + SLOW])
    learned[at] = k
    amount = n[mine + AMOUNT] + n[mine + AMOUNT_3] * learned[at + 2]
    mu, offset, rate = n[mine + MU], n[mine + OFFSET], n[others + RATE]
    low, high = n[W_MIN], n[W_MAX]
    eligible = rule[RULE] == THREE_FACTOR
    if eligible:
        amount *= exp((k % rule[INTERVAL] + 1) * n[RATE_C])
    traces, stride = np.uint64(rule[POST_TRACES - side] + 3 * lane), np.uint64(3 * n_lanes)
    marks, so_far = np.uint64(rule[ELIGIBILITY]), np.uint64(rule[PER_TARGET])
    for e in range(rows.size):
        t = traces + stride * rows[e]
        trace = learned[t + np.uint64(1)] * exp((learned[t] - k) * rate) - offset
        s = np.uint64(synapses[e]) if side else np.uint64(first + e)
        w = weights[np.uint64(base) + s]
        if eligible:
            m, i = marks + np.uint64(2) * s, so_far + (np.uint64(target) if side else np.uint64(rows[e]))
            w += learned[m] * (learned[i] - learned[m + np.uint64(1)])
            learned[m] += amount * trace
            learned[m + np.uint64(1)] = learned[i]
        else:
            part = (high - w if side else w - low) / (high - low)
            w += amount * trace * (1.0 if mu == 0.0 else part if mu == 1.0 else part**mu)
        weights[np.uint64(base) + s] = min(max(w, low), high)


@_kernel
def _raise(at, nearest, learned):
    """Let a trace see a spike."""
    learned[at + 1] = 1.0 if nearest else learned[at + 1] + 1.0
    learned[at + 2] = 1.0 if nearest else learned[at + 2] + 1.0


@_kernel
def _learn_at_arrival(k, row, group, first, to, weights, plastic):
    """Learn from a spike that arrives at the synapses of a source and delay; return the weights with which it acts."""
    rules, numbers, learned, _, before = plastic
    rule, n = rules[row[PLASTIC]], numbers[row[PLASTIC]]
    w = weights[row[WEIGHTS] + first : row[WEIGHTS] + first + to.size]
    if rule[RULE] == THREE_FACTOR:  # bring the weights up to date
        for e in range(to.size):
            m, now = rule[ELIGIBILITY] + 2 * (first + e), learned[rule[PER_TARGET] + np.int64(to[e])]
            w[e] = min(max(w[e] + learned[m] * (now - learned[m + 1]), n[W_MIN]), n[W_MAX])
            learned[m + 1] = now
    if rule[DENDRITIC]:
        return w
    for e in range(to.size):
        before[e] = w[e]
    seen = to[:0] if rule[RULE] == LOCAL else to
    side, lane, n_lanes = np.int64(0), np.int64(0), np.int64(1)  # for literals `_learn` would be compiled once more
    _learn(k, rule, n, side, group, seen, lane, n_lanes, to, first, row[WEIGHTS], group, weights, learned)
    _raise(rule[PRE_TRACES] + 3 * group, rule[NEAREST], learned)
    return w if rule[FIRST_LEARNS] else before[: to.size]


@_kernel
def _learn_from_spikes(k, r, row, pointers, targets, weights, delays, ring, spiked, populations, plastic):
    """Learn from the spikes of step k: those of the targets, and if delays are dendritic those of the sources.

    Three turns: weights by the targets' spikes, everything by the sources', the traces of the targets.
    """
    rules, numbers, learned, links, _ = plastic
    rule, n = rules[r], numbers[r]
    in_pointers, in_synapses, in_traces = links
    n_lags = row[N_DELAYS] if rule[DENDRITIC] else 1
    for turn in range(3):
        of_source = turn == 1
        if (of_source and not rule[DENDRITIC]) or (rule[RULE] == SCALING and turn < 2):
            continue
        p = row[PRE] if of_source else rule[TARGET]
        start, size = (row[PRE_FROM], row[PRE_SIZE]) if of_source else (rule[TARGET_FROM], row[POST_SIZE])
        for j in range(n_lags):
            lag = delays[row[DELAYS] + j] if rule[DENDRITIC] and not of_source else 0
            slot = (k - lag) % ring.shape[0]
            for s in range(spiked[slot, p] if k - lag >= row[SINCE] else 0):
                i = np.int64(ring[slot, populations[p, FIRST] + s]) - start
                if i < 0 or i >= size:
                    continue
                own = i * n_lags + j
                if turn == 2:
                    if rule[RULE] == SCALING:
                        learned[rule[PER_TARGET] + i] += 1.0
                    else:
                        _raise(rule[POST_TRACES] + 3 * own, rule[NEAREST], learned)
                    continue
                if of_source:
                    a = np.int64(pointers[row[POINTERS] + own])
                    b = np.int64(pointers[row[POINTERS] + own + 1])
                    rows = synapses = targets[row[SYNAPSES] + a : row[SYNAPSES] + b]
                else:
                    a = rule[LINKED] + np.int64(in_pointers[rule[LINKS] + own])
                    b = rule[LINKED] + np.int64(in_pointers[rule[LINKS] + own + 1])
                    rows, synapses = in_traces[a:b], in_synapses[a:b]
                side, own, lane, n_lanes = (0, i, j, n_lags) if of_source else (1, own, 0, 1)
                _learn(k, rule, n, side, own, rows, lane, n_lanes, synapses, a, row[WEIGHTS], i, weights, learned)
                if of_source and j == n_lags - 1:
                    _raise(rule[PRE_TRACES] + 3 * i, rule[NEAREST], learned)


@_kernel
def _accumulate(k, rule, n, size, state, learned):
    """Integrate the third factor over a step, times exp(-t / tau_c) from the last multiple of the interval."""
    part = n[GAIN] * exp(-(k % rule[INTERVAL]) * n[RATE_C])
    for i in range(size):
        learned[rule[PER_TARGET] + i] += part * state[rule[FACTOR] + i]


@_kernel
def _learn_locally(k, rule, n, row, post, state, coef, learned, pointers, targets, weights):
    """One step of local learning: the closeness of targets to threshold, then eligibilities and weights."""
    size, start = row[POST_SIZE], rule[TARGET_FROM]
    psi = learned[rule[PER_TARGET] : rule[PER_TARGET] + size]
    modulator = state[rule[FACTOR] : rule[FACTOR] + size]
    for i in range(size):
        u = start + i
        at = post[COEF] + (u // TILE * N_ROWS * TILE if post[PER_NEURON] else 0) + u % TILE
        level = coef[at]
        if post[SLOPE]:
            level += coef[at + TILE] * state[post[THETA] + u]
        psi[i] = max(0.0, 1.0 - abs(state[post[V] + u] - level) / n[WIDTH])
    gain, kept, low, high = n[GAIN], n[KEPT], n[W_MIN], n[W_MAX]
    for group in range(row[PRE_SIZE] * row[N_DELAYS]):
        at = rule[PRE_TRACES] + 3 * group
        x = learned[at + 1] * exp((learned[at] - k) * n[RATE])
        a = np.int64(pointers[row[POINTERS] + group])
        b = np.int64(pointers[row[POINTERS] + group + 1])
        to = targets[row[SYNAPSES] + a : row[SYNAPSES] + b]
        w = weights[row[WEIGHTS] + a : row[WEIGHTS] + b]
        e = learned[rule[ELIGIBILITY] + a : rule[ELIGIBILITY] + b]
        for s in range(to.size):
            e[s] = kept * e[s] + x * psi[to[s]]
            w[s] = min(max(w[s] + gain * modulator[to[s]] * e[s], low), high)


# ------------------------------------------------------------------------------------------------------- recording
@_kernel
def _sample(k, k_start, row, units, state, rows):
    every = row[EVERY]
    if (k + 1) % every == 0:
        at = row[ROWS_AT] + ((k + 1) // every - k_start // every - 1) * row[N_UNITS]
        for i in range(row[N_UNITS]):
            rows[at + i] = state[row[STATE_AT] + units[row[UNITS] + i]]
