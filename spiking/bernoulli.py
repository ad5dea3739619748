"""Positions of the successes of many Bernoulli trials, at the cost of the successes."""

import numpy as np

__all__ = ["successes"]


def successes(rng: np.random.Generator, n_trials: int, p: float) -> np.ndarray:
    """Return the sorted positions (int64) of the successes of `n_trials` independent trials of probability `p`.

    The gaps between successes are geometric: the work is that of the successes, and the law exact.
    """
    if p <= 0:
        return np.empty(0, np.int64)
    if p >= 1:
        return np.arange(n_trials)
    found, last = [], -1
    while last < n_trials:
        left = n_trials - 1 - last
        guess = int(left * p + 4 * np.sqrt(left * p * (1 - p))) + 8
        gaps = np.minimum(rng.geometric(p, guess), n_trials + 1)  # so that the sum cannot overflow
        found.append(last + np.cumsum(gaps))
        last = found[-1][-1]
    found[-1] = found[-1][: np.searchsorted(found[-1], n_trials)]
    return found[0] if len(found) == 1 else np.concatenate(found)
