"""The compiled run of a spiking network: one loop over time steps that branches per population, never per neuron.

A network arrives flattened (`flat.py`): tables of integers say where each population, receptor, projection and
recorder finds its numbers in a few long arrays, so that nothing is compiled anew when a network changes. The columns
of these tables are named below; both sides use the names.

Neurons advance in tiles that stay in the first-level cache while synaptic sums, membrane and threshold pass over them.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload
from numba.np.unsafe.ndarray import to_fixed_tuple

from penstock.vmath import exp

__all__: list[str] = []

# one row per population
(KIND, SIZE, FIRST, V, Z, THETA, COEF, ROWS, PER_NEURON, RECEPTOR_0, RECEPTOR_1, CONDUCTANCE) = range(12)
(CURRENT, CURRENT_WIDTH, NOISE, INCLUSIVE, SLOPE, LOGGED, EVENTS, PAIR, SHARED, POPULATION_COLUMNS) = range(12, 22)
# one row per receptor; its numbers in `coef`: d_x, d_g (the parts lost in a step), k, reversal, then c_g and c_x (one
# each, or one per neuron)
STAGES, G, X, IS_CONDUCTANCE, NUMBERS, EFFECT_PER_NEURON, RECEPTOR_COLUMNS = range(7)
# one row per projection
(PRE, PRE_FROM, PRE_SIZE, POST_AT, POST_SIZE, POST_READY, POINTERS, SYNAPSES, WEIGHTS, ONE_WEIGHT) = range(10)
(DELAYS, N_DELAYS, SHORT_TERM, CONTIGUOUS, SINCE, PROJECTION_COLUMNS) = range(10, 16)
# one row per drive that kicks synaptic states or potentials, per recorder of states, per recorder of rates
KICK_AT, KICK_SIZE, KICK_READY, KICK_TABLE, KICK_COLUMNS = range(5)
STATE_AT, UNITS, N_UNITS, EVERY, ROWS_AT, RECORDER_COLUMNS = range(6)
COUNTED, COUNTED_FROM, COUNTED_SIZE, BIN, COUNTS_AT, RATE_COLUMNS = range(6)

SOURCE = -1  # kinds of populations
LIF_EXACT, LIF_CONDUCTANCE, LIF_EULER = 0, 1, 2
ADEX_EULER, ADEX_EXPONENTIAL = 5, 6
IZHIKEVICH_EULER, IZHIKEVICH_FIG1, IZHIKEVICH_HALF, IZHIKEVICH_2007 = 7, 8, 9, 10

TO_RANGE, TO_ALL = 1, 2  # contiguous projections: each source reaches one range of targets, or all of them

FINISHED, LOG_FULL, DIVERGED = 0, 1, 2  # how a call of `advance` ends

TILE = 1024
N_ROWS = 17  # of parameters that every population has at least
BLOCK = 64  # neurons tested together against their thresholds


def _at(c, i):
    """Return element i of an array, or the number itself: kernels take parameters of either form."""
    return c[i] if isinstance(c, np.ndarray) else c


@overload(_at)
def _at_in_kernels(c, i):
    if isinstance(c, types.Array):
        return lambda c, i: c[i]
    return lambda c, i: c


# The parameters of a population are rows: one number each if all neurons share them, (rows,), else tile after tile
# (1, rows * TILE). Their distances within a tile are constants, without which the compiler makes no vector loops.
def _row(c, j, m):
    """Return row j of the parameters of a tile of m neurons: an array, or the one number all share."""
    return c[0, j * TILE : j * TILE + m] if c.ndim == 2 else c[j]


@overload(_row)
def _row_in_kernels(c, j, m):
    if c.ndim == 2:
        return lambda c, j, m: c[0, j * TILE : j * TILE + m]
    return lambda c, j, m: c[j]


def _table(c):
    """Return the parameters for `_of`: as they are, or as a tuple of numbers that stay in registers."""
    return c if c.ndim == 2 else tuple(c[:N_ROWS])


@overload(_table)
def _table_in_kernels(c):
    if c.ndim == 2:
        return lambda c: c
    return lambda c: to_fixed_tuple(c, N_ROWS)


def _of(c, j, i):
    """Return parameter j of neuron i of the tile."""
    return c[0, j * TILE + i] if isinstance(c, np.ndarray) else c[j]


@overload(_of)
def _of_in_kernels(c, j, i):
    if isinstance(c, types.Array):
        return lambda c, j, i: c[0, j * TILE + i]
    return lambda c, j, i: c[j]


_kernel = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def advance(clock, populations, receptors, projections, drives, recorders, neurons, synapses, history, log, ends):
    """Advance the network through steps t_from to t_to of a chunk that begins at step k_start; return how it ended.

    `ends` receives (steps of the chunk done, spikes logged, population and 1 + unit of a divergence).
    """
    k_start, t_from, t_to, nest = clock
    kicks, table, event_pointers, event_ids = drives
    state_recorders, recorded_units, rows, rate_recorders, counts = recorders
    state, ready, hold, coef = neurons
    gains, pointers, targets, weights, delays, short_term = synapses
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
                populations,
            )  # fmt: skip
        for q in range(kicks.shape[0]):
            _kick(k, kicks[q], table[kicks[q, KICK_TABLE] + t * kicks[q, KICK_SIZE] :], state, ready)
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
    c = coef[row[SHARED] : row[SHARED] + row[ROWS]]
    if row[PAIR] and row[NOISE] < 0 and (row[CURRENT] < 0 or row[CURRENT_WIDTH] == 1):
        current = table[row[CURRENT] + t] if row[CURRENT] >= 0 else 0.0
        _integrate_pair(k, a, b, row, receptors, state, ready, coef, c, current)
    elif row[SHARED] < 0:
        _integrate_with(_tile(coef, row, a), k, t, a, b, row, receptors, state, ready, coef, table, scratch)
    else:
        _integrate_with(c, k, t, a, b, row, receptors, state, ready, coef, table, scratch)


@_kernel
def _tile(coef, row, a):
    """Return the parameters of the tile of a population that begins at neuron a."""
    size = row[ROWS] * TILE
    return coef[row[COEF] + a // TILE * size : row[COEF] + (a // TILE + 1) * size].reshape(1, size)


@_kernel
def _integrate_pair(k, a, b, row, receptors, state, ready, coef, c, current):
    """LIF neurons with two exponential synapses and shared parameters in one pass, twice as fast as the general way."""
    one, two = receptors[row[RECEPTOR_0]], receptors[row[RECEPTOR_0] + 1]
    v, free = state[row[V] + a : row[V] + b], ready[row[FIRST] + a : row[FIRST] + b]
    g1, g2 = state[one[G] + a : one[G] + b], state[two[G] + a : two[G] + b]
    n1, n2 = coef[one[NUMBERS] : one[NUMBERS] + 5], coef[two[NUMBERS] : two[NUMBERS] + 5]
    if row[KIND] == LIF_EXACT:
        _pair_exact(k, v, g1, g2, free, c[3], c[5] + c[4] * current, n1[4], n2[4], n1[1], n2[1])
    else:
        _pair_conductance(k, v, g1, g2, free, c[3], c[4] + current, c[5], n1[3], n2[3], n1[1], n2[1])


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
def _integrate_with(c, k, t, a, b, row, receptors, state, ready, coef, table, scratch):
    n, kind = row[SIZE], row[KIND]
    v = state[row[V] + a : row[V] + b]
    free = ready[row[FIRST] + a : row[FIRST] + b]
    acc, g_sum, ge_sum = scratch[0, : b - a], scratch[1, : b - a], scratch[2, : b - a]
    exact = kind == LIF_EXACT
    _begin(acc, exact, _row(c, 5, b - a))
    if row[CURRENT] >= 0:
        _add_current(acc, exact, _row(c, 4, b - a), table, row[CURRENT], row[CURRENT_WIDTH], t, a)
    if row[NOISE] >= 0:
        _add_effect(acc, table[row[NOISE] + t * n + a : row[NOISE] + t * n + b], _row(c, 6, b - a))
    if not exact:
        g_sum[:] = 0.0
        ge_sum[:] = 0.0
    for r in range(row[RECEPTOR_0], row[RECEPTOR_1]):
        _sum_receptor(receptors[r], n, a, b, state, coef, acc, g_sum, ge_sum)
    if row[THETA] >= 0:
        w, theta = state[row[Z] + a : row[Z] + b], state[row[THETA] + a : row[THETA] + b]
        _adapt(acc, w, theta, exact, _row(c, 8, b - a), _row(c, 9, b - a), _row(c, 11, b - a))
    if exact:
        _lif_exact(k, v, acc, free, _row(c, 3, b - a))
    elif kind <= LIF_EULER:
        _lif_frozen(k, kind, v, acc, g_sum, ge_sum, free, _row(c, 3, b - a), _row(c, 4, b - a), _row(c, 5, b - a))
    else:
        if row[CONDUCTANCE]:
            if kind == ADEX_EXPONENTIAL:
                _add_effect(acc, ge_sum, 1.0)
            else:
                _add_ohmic(acc, g_sum, ge_sum, v)
        _two_variables(k, kind, v, state[row[Z] + a : row[Z] + b], acc, g_sum, free, _table(c))


@_kernel
def _begin(acc, exact, c0):
    for i in range(acc.size):
        acc[i] = _at(c0, i) if exact else 0.0


@_kernel
def _add_current(acc, exact, c, table, at, width, t, a):
    if width == 1:
        current = table[at + t]
        for i in range(acc.size):
            acc[i] += (_at(c, i) if exact else 1.0) * current
    else:
        current_each = table[at + t * width + a : at + t * width + a + acc.size]
        for i in range(acc.size):
            acc[i] += (_at(c, i) if exact else 1.0) * current_each[i]


@_kernel
def _sum_receptor(row, n, a, b, state, coef, acc, g_sum, ge_sum):
    """Add what a receptor gives in this step and carry its states to the next."""
    g = state[row[G] + a : row[G] + b]
    c = row[NUMBERS]
    d_x, d_g, k_x, reversal = coef[c], coef[c + 1], coef[c + 2], coef[c + 3]
    if row[IS_CONDUCTANCE]:
        _add_conductance(g_sum, ge_sum, g, reversal)
    elif row[EFFECT_PER_NEURON]:
        _add_effect(acc, g, coef[c + 4 + a : c + 4 + b])
    else:
        _add_effect(acc, g, coef[c + 4])
    if row[STAGES] == 1:
        _decay(g, d_g)
    else:
        x = state[row[X] + a : row[X] + b]
        if row[EFFECT_PER_NEURON]:
            _add_effect(acc, x, coef[c + 4 + n + a : c + 4 + n + b])
        elif not row[IS_CONDUCTANCE]:
            _add_effect(acc, x, coef[c + 5])
        _decay_cascade(x, g, d_x, d_g, k_x)


@_kernel
def _add_effect(acc, g, c):
    for i in range(g.size):
        acc[i] += _at(c, i) * g[i]


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
        acc[i] -= (_at(c_w, i) if exact else 1.0) * w[i]
        w[i] -= _at(d_w, i) * w[i]
        theta[i] -= _at(d_theta, i) * theta[i]


@_kernel
def _lif_exact(k, v, acc, free, d_m):
    for i in range(v.size):
        moves = 1.0 if free[i] <= k else 0.0
        v[i] += moves * (acc[i] - v[i] * _at(d_m, i))


@_kernel
def _lif_frozen(k, kind, v, acc, g_sum, ge_sum, free, g_l, drive, h_c):
    if kind == LIF_CONDUCTANCE:
        for i in range(v.size):
            total = _at(g_l, i) + g_sum[i]
            rest = (_at(drive, i) + acc[i] + ge_sum[i]) / total
            moves = 1.0 if free[i] <= k else 0.0
            v[i] += moves * ((rest - v[i]) * (1.0 - exp(-total * _at(h_c, i))))
    else:
        for i in range(v.size):
            moves = 1.0 if free[i] <= k else 0.0
            slope = _at(drive, i) + acc[i] + ge_sum[i] - (_at(g_l, i) + g_sum[i]) * v[i]
            v[i] += moves * (_at(h_c, i) * slope)


@_kernel
def _two_variables(k, kind, v, z, current, g_sum, free, c):
    if kind == ADEX_EULER:
        _adex_euler(k, v, z, current, free, c)
    elif kind == ADEX_EXPONENTIAL:
        _adex_exponential(k, v, z, current, g_sum, free, c)
    elif kind == IZHIKEVICH_EULER:
        _izhikevich_euler(k, v, z, current, free, c)
    elif kind == IZHIKEVICH_FIG1:
        _izhikevich_fig1(k, v, z, current, free, c)
    elif kind == IZHIKEVICH_HALF:
        _izhikevich_half(k, v, z, current, free, c)
    else:
        _izhikevich_2007(k, v, z, current, free, c)


@_kernel
def _adex_euler(k, v, w, current, free, c):
    for i in range(v.size):
        h_c = _of(c, 3, i)
        g_l = _of(c, 4, i)
        e_l = _of(c, 5, i)
        v_t = _of(c, 6, i)
        delta = _of(c, 7, i)
        a = _of(c, 8, i)
        h_w = _of(c, 9, i)
        i_e = _of(c, 11, i)
        old = v[i]
        leak = old - e_l
        spike = delta * exp((old - v_t) / delta)
        moves = 1.0 if free[i] <= k else 0.0
        v[i] = old + moves * (h_c * (g_l * (spike - leak) - w[i] + current[i] + i_e))
        w[i] += h_w * (a * leak - w[i])


@_kernel
def _adex_exponential(k, v, w, current, g_sum, free, c):
    for i in range(v.size):
        h_c = _of(c, 3, i)
        g_l = _of(c, 4, i)
        e_l = _of(c, 5, i)
        v_t = _of(c, 6, i)
        delta = _of(c, 7, i)
        a = _of(c, 8, i)
        d_w = _of(c, 9, i)
        i_e = _of(c, 11, i)
        old = v[i]
        total = g_l + g_sum[i]
        spike = delta * exp((old - v_t) / delta)
        rest = (g_l * (e_l + spike) - w[i] + current[i] + i_e) / total
        moves = 1.0 if free[i] <= k else 0.0
        v[i] = old + moves * ((rest - old) * (1.0 - exp(-total * h_c)))
        w[i] += d_w * (a * (old - e_l) - w[i])


@_kernel
def _izhikevich_euler(k, v, u, current, free, c):
    for i in range(v.size):
        a = _of(c, 3, i)
        b = _of(c, 4, i)
        p1 = _of(c, 6, i)
        p0 = _of(c, 7, i)
        v_u = _of(c, 8, i)
        u_leak = _of(c, 9, i)
        i_e = _of(c, 10, i)
        h = _of(c, 11, i)
        old = v[i]
        slope = 0.04 * old * old + p1 * old + p0 - u[i] + (current[i] + i_e)
        moves = 1.0 if free[i] <= k else 0.0
        v[i] = old + moves * (h * slope)
        u[i] += h * (a * (b * (old - v_u) - u_leak * u[i]))


@_kernel
def _izhikevich_fig1(k, v, u, current, free, c):
    for i in range(v.size):
        a = _of(c, 3, i)
        b = _of(c, 4, i)
        p1 = _of(c, 6, i)
        p0 = _of(c, 7, i)
        v_u = _of(c, 8, i)
        u_leak = _of(c, 9, i)
        i_e = _of(c, 10, i)
        h = _of(c, 11, i)
        old = v[i]
        slope = 0.04 * old * old + p1 * old + p0 - u[i] + (current[i] + i_e)
        moves = 1.0 if free[i] <= k else 0.0
        new = old + moves * (h * slope)
        u[i] += h * (a * (b * (new - v_u) - u_leak * u[i]))
        v[i] = new


@_kernel
def _izhikevich_half(k, v, u, current, free, c):
    for i in range(v.size):
        a = _of(c, 3, i)
        b = _of(c, 4, i)
        p1 = _of(c, 6, i)
        p0 = _of(c, 7, i)
        v_u = _of(c, 8, i)
        u_leak = _of(c, 9, i)
        i_e = _of(c, 10, i)
        h = _of(c, 11, i)
        old = v[i]
        drive = p0 - u[i] + (current[i] + i_e)
        moves = 1.0 if free[i] <= k else 0.0
        half = old + moves * (0.5 * h * (0.04 * old * old + p1 * old + drive))
        new = half + moves * (0.5 * h * (0.04 * half * half + p1 * half + drive))
        u[i] += h * (a * (b * (new - v_u) - u_leak * u[i]))
        v[i] = new


@_kernel
def _izhikevich_2007(k, v, u, current, free, c):
    for i in range(v.size):
        h_c = _of(c, 3, i)
        k_v = _of(c, 4, i)
        v_r = _of(c, 5, i)
        v_t = _of(c, 6, i)
        h_a = _of(c, 7, i)
        b = _of(c, 8, i)
        b_above = _of(c, 12, i)
        v_switch = _of(c, 13, i)
        cubic = _of(c, 14, i)
        v_cubic = _of(c, 15, i)
        i_e = _of(c, 16, i)
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
    first, c = row[FIRST], row[COEF]
    v = state[row[V] + a : row[V] + b]
    second = row[THETA] if row[THETA] >= 0 else row[Z]
    z = state[second + a : second + b] if row[SLOPE] else v
    free, wait = ready[first + a : first + b], hold[first + a : first + b]
    if row[PER_NEURON]:
        each = _tile(coef, row, a)
        threshold, slope = _row(each, 0, b - a), _row(each, 1, b - a)
        return _append_spikes(k, a, v, z, threshold, slope, row[SLOPE], row[INCLUSIVE], free, wait, ids, count, ends)
    return _append_spikes(k, a, v, z, coef[c], coef[c + 1], row[SLOPE], row[INCLUSIVE], free, wait, ids, count, ends)


@_kernel
def _append_spikes(k, a, v, z, threshold, slope, sloped, inclusive, free, wait, ids, count, ends):
    for start in range(0, v.size, BLOCK):
        stop = min(start + BLOCK, v.size)
        if sloped:
            found = _any_above_sloped(v[start:stop], z[start:stop], threshold, slope, start)
        else:
            found = _any_above(v[start:stop], threshold, start)
        if found:
            for i in range(start, stop):
                level = _at(threshold, i) + (_at(slope, i) * z[i] if sloped else 0.0)
                spikes = v[i] >= level if inclusive else v[i] > level
                if spikes and free[i] <= k and v[i] < np.inf:
                    ids[count] = a + i
                    free[i] = k + wait[i]
                    count += 1
                elif not np.isfinite(v[i]) or not np.isfinite(level):
                    ends[3] = a + i + 1
    return count


@_kernel
def _any_above(v, threshold, start):
    """Whether some potential is not below its threshold; not-a-number counts."""
    found = 0
    for i in range(v.size):
        found += 0 if v[i] < _at(threshold, start + i) else 1
    return found > 0


@_kernel
def _any_above_sloped(v, z, threshold, slope, start):
    found = 0
    for i in range(v.size):
        found += 0 if v[i] < _at(threshold, start + i) + _at(slope, start + i) * z[i] else 1
    return found > 0


@_kernel
def _reset(ids, row, state, coef):
    kind, c = row[KIND], row[COEF]
    stride = TILE if row[PER_NEURON] else 1
    for s in range(ids.size):
        i = np.int64(ids[s])
        at = c + i // TILE * row[ROWS] * TILE + i % TILE if row[PER_NEURON] else c
        v, z = row[V] + i, row[Z] + i
        if kind <= LIF_EULER:
            drop = coef[at + 7 * stride]
            state[v] = state[v] - drop if drop > 0.0 else coef[at + 2 * stride]
            if row[THETA] >= 0:
                state[z] += coef[at + 10 * stride]
                state[row[THETA] + i] += coef[at + 12 * stride]
        elif kind <= ADEX_EXPONENTIAL:
            state[v] = coef[at + 2 * stride]
            state[z] += coef[at + 10 * stride]
        elif kind <= IZHIKEVICH_HALF:
            state[v] = coef[at + 2 * stride]
            state[z] += coef[at + 5 * stride]
        else:
            state[v] = coef[at + 2 * stride] + coef[at + 10 * stride] * state[z]
            state[z] = min(state[z] + coef[at + 9 * stride], coef[at + 11 * stride])


# -------------------------------------------------------------------------------------------------------- delivery
@_kernel
def _deliver(
    k, row, gain, state, ready, pointers, targets, weights, delays, short_term, ring, spiked, populations
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
                _add_effect(post, weights[first_weight : first_weight + post.size], gain)
                continue
            at = row[POINTERS] + source * n_delays + j
            a, b = np.int64(pointers[at]), np.int64(pointers[at + 1])
            to = targets[row[SYNAPSES] + a : row[SYNAPSES] + b]
            one = gain * weights[row[WEIGHTS]]
            w = weights[row[WEIGHTS] + a : row[WEIGHTS] + b] if not row[ONE_WEIGHT] else weights[:0]
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
                _add_effect(post[to[0] : to[0] + to.size], w, gain)
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


# ------------------------------------------------------------------------------------------------------- recording
@_kernel
def _sample(k, k_start, row, units, state, rows):
    every = row[EVERY]
    if (k + 1) % every == 0:
        at = row[ROWS_AT] + ((k + 1) // every - k_start // every - 1) * row[N_UNITS]
        for i in range(row[N_UNITS]):
            rows[at + i] = state[row[STATE_AT] + units[row[UNITS] + i]]
