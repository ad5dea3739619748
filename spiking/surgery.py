"""Networks with some of their synapses or neurons taken out, as pruning needs them."""

import copy
from dataclasses import fields, replace

import numpy as np
import scipy.sparse as sp

from penstock.spiking.group import Group
from penstock.spiking.synapses import Modulation

__all__ = ["connection_matrix", "with_connections", "with_neurons"]


def connection_matrix(net) -> sp.csr_array:
    """Return the weights between all neurons, (N, N) by target and source, parallel synapses added up.

    Weights are those of the synapses, whatever their units; behind a reversal potential below the initial potential of
    the target they count as negative.
    """
    n = sum(p.n for p in net.populations if not p.is_source)
    entries = [(post, pre, w) for _, pre, post, w in _synapses(net)]
    if not entries:
        return sp.csr_array((n, n))
    post, pre, w = (np.concatenate(part) for part in zip(*entries, strict=True))
    W = sp.coo_array((w, (post, pre)), shape=(n, n)).tocsr()
    W.sort_indices()
    return W


def with_connections(net, W):
    """Return a copy of the network whose weights between neurons are W (N, N).

    Synapses whose entry is 0 are gone; others are scaled to it. Entries without a synapse become one, of the first
    projection between the two populations that has weights of the same sign, with its most frequent delay.
    """
    new, old = _entries(sp.csr_array(W)), _entries(connection_matrix(net))
    twin = copy.deepcopy(net)
    missing = np.setdiff1d(new[0], old[0])
    for p, pre, post, _ in _synapses(twin):
        key = post * W.shape[1] + pre
        before, after = _values(old, key), _values(new, key)
        keep = (after != 0) & (p.weights != 0)  # a synapse of weight 0 is none
        cancelled = np.flatnonzero(keep & (before == 0))
        if cancelled.size:
            i, j = divmod(int(key[cancelled[0]]), W.shape[1])
            raise ValueError(f"W[{i}, {j}] must stay 0: synapses of opposite sign cancel there, got a weight")
        weights = p.weights * np.divide(after, before, out=np.zeros_like(before), where=before != 0)
        added, missing = _accepted(twin, p, missing, new)
        _rearrange(p, keep, weights, added)
    if missing.size:
        i, j = divmod(int(missing[0]), W.shape[1])
        raise ValueError(f"W[{i}, {j}] must be 0: no projection has synapses of its sign between these populations")
    twin._changed()
    twin.reset()
    return twin


def with_neurons(net, kept):
    """Return a copy of the network with the neurons `kept` only, numbered through all populations of neurons."""
    twin = copy.deepcopy(net)
    if twin.drives:
        drive = twin.drives[0]
        raise ValueError(
            f"network must have no inputs of its own for neurons to be taken out, got {drive.source!r} into "
            f"{drive.target.name!r}; give a constant current as I_e"
        )
    twin.reset()
    first, gone = 0, []
    for p in twin.populations:
        if p.is_source:
            p.kept = np.arange(p.n)
            continue
        p.kept = kept[(kept >= first) & (kept < first + p.n)] - first
        first += p.n
        if not p.kept.size:
            gone.append(p)
    for q in twin.projections:
        _cut_projection(q)
    for p in twin.populations:
        if not p.is_source and p.kept.size:
            p.model = _part(p.model, p.kept)
            for states in (p.states, p.initial):
                states.update({name: values[p.kept].copy() for name, values in states.items()})
            p.ready = p.ready[p.kept].copy()
        del p.kept
    twin.populations = [p for p in twin.populations if p not in gone]
    twin.projections = [q for q in twin.projections if len(q.pre) and len(q.post)]
    twin._changed()
    twin._old = None
    return twin


def _synapses(net):
    """Yield every projection between neurons with source, target (numbers among all neurons) and signed weights."""
    first, at = {}, 0
    for p in net.populations:
        if not p.is_source:
            first[id(p)] = at
            at += p.n
    for q in net.projections:
        post = q.post.population
        if q.pre.population.is_source or isinstance(q.synapse, Modulation):
            continue
        pre_units, post_units, w, _ = q.edges()
        pre_units = pre_units + q.pre.start + first[id(q.pre.population)]
        yield q, pre_units, post_units + q.post.start + first[id(post)], _sign(q) * w


def _sign(q) -> float:
    """Return -1 for synapses that draw the potential below where it begins, else 1."""
    reversal = q.synapse.reversal
    return 1.0 if reversal is None or reversal > q.post.population.initial["v"].mean() else -1.0


def _entries(W):
    """Return the entries of a sparse matrix that are not 0: row * N + column, ascending, and values."""
    W = W.tocoo()
    key = W.row.astype(np.int64) * W.shape[1] + W.col
    order = np.argsort(key)
    order = order[W.data[order] != 0]
    return key[order], W.data[order]


def _values(entries, key):
    """Return the entries at `key`, 0 where there is none."""
    keys, values = entries
    if not keys.size:
        return np.zeros(key.shape)
    at = np.minimum(np.searchsorted(keys, key), keys.size - 1)
    return np.where(keys[at] == key, values[at], 0.0)


def _accepted(net, q, missing, new):
    """Return the new synapses (pre, post, weight) that projection q takes, and those that are still missing."""
    first = np.cumsum([0] + [p.n for p in net.populations if not p.is_source])
    cells = [p for p in net.populations if not p.is_source]
    post, pre = np.divmod(missing, first[-1])
    pre = pre - first[cells.index(q.pre.population)] - q.pre.start
    post = post - first[cells.index(q.post.population)] - q.post.start
    value = _sign(q) * _values(new, missing)
    fits = (pre >= 0) & (pre < len(q.pre)) & (post >= 0) & (post < len(q.post))
    fits &= np.isin(np.sign(value), np.sign(q.weights))
    return (pre[fits], post[fits], value[fits]), missing[~fits]


def _rearrange(q, keep, weights, added):
    """Give a projection the synapses `keep` with these weights, and the added ones."""
    sizes = np.diff(q.pointers.astype(np.int64))
    group = np.repeat(np.arange(sizes.size), sizes)
    if added[0].size:
        n_delays = q.delay_steps.size
        usual = np.bincount(group % n_delays, minlength=n_delays).argmax()
        new = added[0] * n_delays + usual
    else:
        new = np.zeros(0, np.int64)
    group, targets = np.append(group[keep], new), np.append(q.targets[keep], added[1].astype(np.uint32))
    order = np.lexsort((targets, group)) if new.size else np.arange(group.size)
    q.given_weights = np.append(weights[keep], added[2])[order]
    q.targets = targets[order].astype(np.uint32)
    if q.short_term is not None:
        more = np.repeat(np.median(q.short_term, axis=1)[:, None], new.size, axis=1) if new.size else np.zeros((6, 0))
        q.short_term = np.concatenate([q.short_term[:, keep], more], axis=1)[:, order]
    counts = np.bincount(group, minlength=sizes.size)
    q.pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)


def _cut_projection(q):
    """Cut a projection down to the kept units of its two populations."""
    parts, numbers = [], []
    for group in (q.pre, q.post):
        inside = group.population.kept[
            (group.population.kept >= group.start) & (group.population.kept < group.start + len(group))
        ]
        at = np.searchsorted(group.population.kept, inside)
        number = np.full(len(group), -1)
        number[inside - group.start] = np.arange(inside.size)
        parts.append(Group(group.population, at.astype(np.uint32)))
        numbers.append(number)
    sizes = np.diff(q.pointers.astype(np.int64))
    group = np.repeat(np.arange(sizes.size), sizes)
    n_delays = max(q.delay_steps.size, 1)
    keep = (numbers[0][group // n_delays] >= 0) & (numbers[1][q.targets] >= 0)
    counts = np.bincount(group[keep], minlength=sizes.size).reshape(-1, n_delays)[numbers[0] >= 0].ravel()
    if q.given_weights.size == q.targets.size:
        q.given_weights = q.given_weights[keep]
    q.targets = numbers[1][q.targets[keep]].astype(np.uint32)
    if q.short_term is not None:
        q.short_term = q.short_term[:, keep].copy()
    q.pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
    q.pre, q.post = parts


def _part(model, units):
    """Return the record of some of the neurons."""
    each = {f.name: getattr(model, f.name) for f in fields(model) if np.ndim(getattr(model, f.name)) == 1}
    return replace(model, n=units.size, **{name: value[units] for name, value in each.items()})
