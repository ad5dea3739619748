"""Ensembles: many networks driven by one input, run, fitted and scored together, their states never stored."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import index

import numpy as np

from penstock.checks import as_finite_array, as_inputs, as_int
from penstock.progress import track
from penstock.readout import Readout
from penstock.reservoirs.ensemble_parts import Member, Panel, parts_of, with_shared_weights
from penstock.reservoirs.ensemble_readouts import fit_part, line_columns, rows_of, squared_errors
from penstock.reservoirs.esn import ESN, check_leak
from penstock.ridge_regression import _as_alphas
from penstock.scaling import spectral_radius as radius_of
from penstock.system import as_system
from penstock.threads import in_threads, one_blas_thread

__all__ = ["Ensemble", "EnsembleFit", "EnsembleScores"]


class Ensemble:
    """Run, fit and score many systems on the same input: seeds, hyper-parameters, replicas.

    Networks (`ESN`) whose dense W are equal up to a factor, whatever their inputs, biases and leaks, advance together
    by one matrix product per step: settings of a few networks, as `over` and `grid` make them, gain most. All others
    (networks of their own W, other models, liquids) run one by one, in their own kernels. Either kind is shared out
    over threads, whose number changes no bit. Members that share W with two others or more agree with themselves alone
    to rounding, since sums run in another order; their bits are the same in any such company.

    Parameters
    ----------
    members : sequence of System
        All with the same numbers of units, inputs and observed units and the same type.

    Attributes
    ----------
    settings : dict
        The arrays (R,) that `over` and `grid` were given, with ``"network"``, the number of the network; else empty.

    Raises
    ------
    ValueError, TypeError
        If there is no member, one is not a System, or sizes or types differ.

    Examples
    --------
    Two networks, each with six pairs of radius and leak; W is drawn, and its radius computed, once per network:

    >>> from penstock.data import narma
    >>> from penstock.reservoirs import ESN, Ensemble
    >>> networks = [ESN.random(50, input_scaling=0.5, seed=seed) for seed in range(2)]
    >>> ensemble = Ensemble.grid(networks, spectral_radius=[0.5, 0.7, 0.9], leak=[0.5, 1.0])
    >>> ensemble
    Ensemble(12 of ESN, n_units=50, n_inputs=1, float64, in 2 panels that share W)
    >>> task = narma(10, n_steps=1500, seed=0)
    >>> fit = ensemble.fit(task.inputs[:1000], task.targets[:1000], alpha=1e-6)
    >>> scores = fit.score(task.inputs[1000:], task.targets[1000:], x0=fit.last_states)
    >>> scores.nrmse.shape, scores.setting(scores.best)["leak"]
    ((12, 1), 1.0)
    """

    def __init__(self, members):
        if isinstance(members, str) or not isinstance(members, Iterable):
            raise TypeError(f"members must be a sequence of systems, got {members!r}")
        self._set([Member(system) for system in _as_systems(members)], {})

    @classmethod
    def over(cls, networks, *, spectral_radius=None, input_scaling=None, bias_scaling=None, leak=None):
        """Return every network with every one of some settings, whose numbers are given one beside the other.

        Parameters
        ----------
        networks : ESN or sequence of ESN
            Networks, seeds for example. Member ``i * S + j`` of the ensemble is network i with setting j of S.
        spectral_radius : float or array, shape (S,)
            Largest eigenvalue modulus of W. By default W stays as it is.
        input_scaling, bias_scaling : float or array, shape (S,)
            Factors of W_in and bias, 1 by default. Draw networks with scalings of 1 to give the scalings themselves.
        leak : float or array, shape (S,)
            Leak in (0, 1] of all units. By default that of the network.

        Raises
        ------
        ValueError, TypeError
            If arrays differ in length, a number is not allowed, or a network is not an ESN.
        """
        settings = _as_settings(
            {
                "spectral_radius": spectral_radius,
                "input_scaling": input_scaling,
                "bias_scaling": bias_scaling,
                "leak": leak,
            }
        )
        networks = _as_networks(networks)
        sizes = {name: len(values) for name, values in settings.items()}
        n_settings = max(sizes.values(), default=1)
        for name, size in sizes.items():
            if size not in (1, n_settings):
                raise ValueError(f"{name} must hold {n_settings} numbers like the longest setting, got {size}")
        settings = {name: np.broadcast_to(values, n_settings) for name, values in settings.items()}
        _check_settings(settings, networks)
        wanted = settings.get("spectral_radius")
        radii = [1.0] * len(networks) if wanted is None else [radius_of(esn.W) for esn in networks]
        members = [
            _varied(esn, radius, {name: float(values[j]) for name, values in settings.items()})
            for esn, radius in zip(networks, radii, strict=True)
            for j in range(n_settings)
        ]
        ensemble = cls.__new__(cls)
        columns = {name: np.tile(values, len(networks)) for name, values in settings.items()}
        ensemble._set(members, {"network": np.repeat(np.arange(len(networks)), n_settings), **columns})
        return ensemble

    @classmethod
    def grid(cls, networks, **settings):
        """Return every network with all combinations of the settings of `over`; the last one given varies fastest."""
        columns = _as_settings(settings)
        points = [values.ravel() for values in np.meshgrid(*columns.values(), indexing="ij")]
        return cls.over(networks, **dict(zip(columns, points, strict=True)))

    def _set(self, members, settings):
        if not members:
            raise ValueError("members must hold at least one system, got none")
        first = members[0].system
        for i, (system, *_) in enumerate(members):
            for name in ("n_units", "n_inputs", "dtype", "observed"):
                if getattr(system, name) != getattr(first, name):
                    raise ValueError(
                        f"members must all have {name} {getattr(first, name)} like the first, "
                        f"got {getattr(system, name)} in member {i}"
                    )
        self._members, self.settings = with_shared_weights(members), settings
        self._parts = list(parts_of(self._members))

    n_units = property(lambda self: self._members[0].system.n_units, doc="Units N of every member.")
    n_inputs = property(lambda self: self._members[0].system.n_inputs, doc="Input channels m.")
    dtype = property(lambda self: self._members[0].system.dtype, doc="Type of the states.")
    observed = property(lambda self: self._members[0].system.observed, doc="The units a readout sees.")

    def __len__(self):
        return len(self._members)

    def __getitem__(self, which):
        """Return a member, or for a slice or an array of numbers an ensemble of some."""
        if isinstance(which, slice | list | np.ndarray):
            chosen = np.arange(len(self))[which]
            part = Ensemble.__new__(Ensemble)
            columns = {name: values[chosen] for name, values in self.settings.items()}
            part._set([self._members[i] for i in chosen], columns)
            return part
        return self._members[index(which)].build()

    def __iter__(self):
        return (member.build() for member in self._members)

    def __repr__(self):
        kinds = ", ".join(sorted({type(member.system).__name__ for member in self._members}))
        panels = sum(isinstance(part, Panel) for part in self._parts)
        own = sum(len(part.numbers) for part in self._parts if not isinstance(part, Panel))
        how = [f"in {panels} panels that share W"] * (panels > 0) + [f"{own} by themselves"] * (own > 0)
        return (
            f"Ensemble({len(self)} of {kinds}, n_units={self.n_units}, n_inputs={self.n_inputs}, {self.dtype}, "
            f"{', '.join(how)})"
        )

    def run(self, u, x0=None, *, progress=True):
        """Return the states of all members, (R, T, N), on one series u (T, m); x0 is (N,) or (R, N), zero by default.

        Raises
        ------
        ValueError, TypeError
            If `u` or `x0` has the wrong shape or type, or is not finite.
        FloatingPointError
            If a state stops being finite: names the member.
        """
        u, starts = self._series(u), self._starts(x0)
        states = np.empty((len(self), len(u), self.n_units), self.dtype)

        def fill(part):
            x = part.start(starts)
            for start in range(0, len(u), part.n_rows):
                part.states(u[start : start + part.n_rows], x, states[:, start : start + part.n_rows])

        self._each(fill, "states", progress)
        wrong = np.flatnonzero(~np.isfinite(states[:, -1:]).all(axis=(1, 2)))
        if wrong.size:
            raise FloatingPointError(f"the state of member {wrong[0]} diverged; run it by itself to see where")
        return states

    @one_blas_thread
    def fit(self, u, y, *, washout=100, alpha=None, x0=None, progress=True) -> "EnsembleFit":
        """Fit a linear readout to every member, by ridge regression with an unpenalised constant; see `penstock.Ridge`.

        Minimises sum_t |y_t - W x_t - c|^2 + alpha |W|^2. The rows are summed into Gram matrices as they arise.

        Parameters
        ----------
        u : array, shape (T, m)
            One series of inputs.
        y : array, shape (T,) or (T, k)
            Targets.
        washout : int
            First steps that do not count.
        alpha : float or array, optional
            Penalty, at least 0, on the sum of squares; of several, or of 29 by default, the best by generalised
            cross-validation for every member and output, as in `Ridge`. One costs least, a Cholesky factorisation.
        x0 : array, shape (N,) or (R, N), optional
            Initial states, zero by default.
        progress : bool
            Whether to show a bar if it takes long.

        Returns
        -------
        EnsembleFit
            Members whose states are not finite have readouts of NaN and infinite errors.

        Raises
        ------
        ValueError, TypeError
            If shapes do not match, a number is not finite, alpha is negative, or a target is constant.
        """
        u = self._series(u)
        y = _as_targets(y, len(u))
        washout = as_int("washout", washout, minimum=0)
        if len(u) - washout < 2:
            raise ValueError(f"washout must leave 2 steps or more of {len(u)}, got {washout}")
        _check_varies(y[washout:])
        alphas, starts = _as_alphas(alpha), self._starts(x0)
        lines = self._each(lambda part: fit_part(part, u, y, washout, alphas, starts), "fit", progress)
        coef, intercept, chosen, error, last = (self._joined([line[i] for line in lines]) for i in range(5))
        return EnsembleFit(self, coef, intercept, chosen, error, last, washout)

    def _joined(self, parts):
        """Return what belongs to every part's members in the order of the members."""
        whole = np.empty((len(self), *parts[0].shape[1:]), parts[0].dtype)
        for part, values in zip(self._parts, parts, strict=True):
            whole[part.numbers] = values
        return whole

    def _each(self, function, what, progress):
        """Return function(part) of every part, computed in threads."""
        results = in_threads(function, [(part,) for part in self._parts])
        return list(track(results, len(self._parts), what, progress))

    def _series(self, u):
        u = as_inputs(u, self.n_inputs, self.dtype)
        if u.ndim != 2:
            raise ValueError(f"u must be one series of shape (T, {self.n_inputs}), got {u.shape}")
        return u

    def _starts(self, x0):
        """Return initial states (R, N)."""
        shape = (len(self), self.n_units)
        x0 = as_finite_array("x0", np.zeros(self.n_units) if x0 is None else x0, self.dtype)
        if x0.shape not in (shape, shape[1:]):
            raise ValueError(f"x0 must have shape ({self.n_units},) or {shape}, got {x0.shape}")
        return np.broadcast_to(x0, shape)


@dataclass(frozen=True, eq=False, repr=False)
class EnsembleFit:
    """The readouts of an ensemble's members.

    Attributes
    ----------
    ensemble : Ensemble
        The R members.
    coef : array, shape (R, k, n_observed)
        Weights.
    intercept : array, shape (R, k)
        Constants.
    alpha : array, shape (R, k)
        Penalties.
    training_error : array, shape (R, k)
        Root mean square error relative to the standard deviation of the target, in training.
    last_states : array, shape (R, N)
        Where training ended: ``x0`` of what follows.
    washout : int
        Steps that did not count.
    """

    ensemble: Ensemble
    coef: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    training_error: np.ndarray
    last_states: np.ndarray
    washout: int

    def readout(self, member) -> Readout:
        """Return the readout of one member, by its number."""
        return Readout(self.coef[index(member)], self.intercept[index(member)])

    @one_blas_thread
    def predict(self, u, *, x0=None, progress=True):
        """Return the outputs of all members, (R, T, k), on a series u (T, m), from states x0 (R, N) or from zero."""
        u, starts = self.ensemble._series(u), self.ensemble._starts(x0)
        outputs = np.empty((len(self.ensemble), len(u), self.coef.shape[1]))

        def fill(part):
            coef, intercept = self.coef[part.numbers], self.intercept[part.numbers]
            for start, rows in rows_of(part, u, np.empty((len(u), 0)), part.start(starts)):
                outputs[part.numbers, start : start + rows.shape[1]] = rows @ line_columns(
                    coef, intercept, rows.shape[2]
                )

        self.ensemble._each(fill, "outputs", progress)
        return outputs

    @one_blas_thread
    def score(self, u, y, *, washout=None, x0=None, progress=True) -> "EnsembleScores":
        """Return the errors of all members on another series, or on the rest of the same from ``x0=last_states``.

        sqrt(mean (p - y)^2 / var y) for every output, of explicit residuals: they cost less than a Gram matrix.

        Parameters
        ----------
        u, y : array, shapes (T, m) and (T,) or (T, k)
            Inputs and targets.
        washout : int, optional
            First steps that do not count: by default those of the fit, or none if `x0` is given.
        x0 : array, shape (R, N), optional
            Initial states, zero by default.
        progress : bool
            Whether to show a bar if it takes long.

        Raises
        ------
        ValueError, TypeError
            If shapes do not match, a number is not finite, or a target is constant.
        """
        u, starts = self.ensemble._series(u), self.ensemble._starts(x0)
        y = _as_targets(y, len(u), self.coef.shape[1])
        default = self.washout if x0 is None else 0
        washout = default if washout is None else as_int("washout", washout, minimum=0)
        if len(u) - washout < 2:
            raise ValueError(f"washout must leave 2 steps or more of {len(u)}, got {washout}")
        _check_varies(y[washout:])
        squares = self.ensemble._each(
            lambda part: squared_errors(
                part, u, y, washout, part.start(starts), self.coef[part.numbers], self.intercept[part.numbers]
            ),
            "scores",
            progress,
        )
        nrmse = np.sqrt(self.ensemble._joined(squares) / ((len(u) - washout) * y[washout:].var(axis=0)))
        return EnsembleScores(nrmse, self.ensemble.settings)

    def __repr__(self):
        error = self.training_error[np.isfinite(self.training_error)]
        spread = f"{error.min():.3g}…{error.max():.3g}" if error.size else "none finite"
        return f"EnsembleFit({len(self.coef)} members, n_outputs={self.coef.shape[1]}, training NRMSE {spread})"


@dataclass(frozen=True, eq=False, repr=False)
class EnsembleScores:
    """Errors of an ensemble's members.

    Attributes
    ----------
    nrmse : array, shape (R, k)
        Root mean square error relative to the standard deviation of the target; infinite for a member that diverged.
    settings : dict
        Those of the ensemble, arrays (R,).
    """

    nrmse: np.ndarray
    settings: dict = field(default_factory=dict)

    @property
    def best(self) -> int:
        """Number of the member with the least error, the root mean square over its outputs."""
        return int(np.argmin(np.mean(self.nrmse**2, axis=1)))

    def setting(self, member) -> dict:
        """Return the setting of a member by its number."""
        return {name: values[index(member)].item() for name, values in self.settings.items()}

    def plot(self, ax=None):
        """Draw the errors, over the settings if there are any; return the axes."""
        from penstock.reservoirs.plots import plot_ensemble_scores

        return plot_ensemble_scores(self, ax)

    def __repr__(self):
        best = self.best
        where = "".join(f", {name}={value:.4g}" for name, value in self.setting(best).items())
        return (
            f"EnsembleScores({len(self.nrmse)} members, NRMSE {np.nanmedian(self.nrmse):.3g} in the median, "
            f"best {np.sqrt(np.mean(self.nrmse[best] ** 2)):.3g} of member {best}{where})"
        )


# --- what users give ------------------------------------------------------------------------------------------------


def _as_systems(members):
    """Yield systems; one that was given before is copied, as threads must not share what liquids write into."""
    seen = set()
    for member in members:
        repeated = id(member) in seen and not isinstance(member, ESN)
        seen.add(id(member))
        yield as_system(copy.deepcopy(member) if repeated else member)


def _as_networks(networks) -> list[ESN]:
    networks = [networks] if isinstance(networks, ESN) else networks
    if isinstance(networks, str) or not isinstance(networks, Iterable):
        raise TypeError(f"networks must be an ESN or a sequence of them, got {networks!r}")
    networks = list(networks)
    if not networks:
        raise ValueError("networks must hold at least one ESN, got none")
    for esn in networks:
        if not isinstance(esn, ESN):
            raise TypeError(f"networks must be ESNs, got {esn!r}; give other systems to Ensemble(members)")
    return networks


def _as_settings(given) -> dict:
    """Return those that are not None as arrays (S,)."""
    settings = {name: as_finite_array(name, value, ndim=(0, 1)) for name, value in given.items() if value is not None}
    for name, values in settings.items():
        if values.size == 0:
            raise ValueError(f"{name} must hold at least one number, got none")
    return {name: np.atleast_1d(values) for name, values in settings.items()}


def _check_settings(settings, networks) -> None:
    for name in ("spectral_radius", "input_scaling", "bias_scaling"):
        if name in settings and settings[name].min() < 0:
            raise ValueError(f"{name} must be at least 0, got {settings[name].min()}")
    for leak in settings.get("leak", ()):
        check_leak(float(leak), 1, np.float64)
    if "bias_scaling" in settings:
        for i, esn in enumerate(networks):
            if not esn.bias.any():
                raise ValueError(
                    f"bias_scaling multiplies the bias, and that of network {i} is 0; draw it with bias_scaling=1"
                )


def _varied(esn, radius, setting) -> Member:
    if "spectral_radius" in setting and radius == 0:
        raise ValueError("spectral_radius must not be given for a network whose W has spectral radius 0")
    return Member(
        esn,
        radius=setting["spectral_radius"] / radius if "spectral_radius" in setting else 1.0,
        inputs=setting.get("input_scaling", 1.0),
        biases=setting.get("bias_scaling", 1.0),
        leak=setting.get("leak"),
    )


def _as_targets(y, n_steps, n_outputs=None):
    """Return targets (T, k)."""
    y = as_finite_array("y", y, ndim=(1, 2))
    y = y[:, None] if y.ndim == 1 else y
    if len(y) != n_steps or y.shape[1] != (n_outputs or max(1, y.shape[1])):
        raise ValueError(f"y must have shape ({n_steps},) or ({n_steps}, {n_outputs or 'k'}) to match, got {y.shape}")
    return y


def _check_varies(y) -> None:
    constant = np.flatnonzero(np.ptp(y, axis=0) == 0)
    if constant.size:
        raise ValueError(f"y must vary in every output after the washout, got output {constant[0]} constant")
