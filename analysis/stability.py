"""Does a system forget its start: certificates for every input, bounds at rest, measurements along one input."""

from dataclasses import dataclass

import numpy as np

from penstock.analysis.contraction import CERTIFIED, Certificate, certificates, published_norm, searches_quadratic
from penstock.analysis.lyapunov import lyapunov_spectrum
from penstock.checks import as_inputs, as_int, as_state, generators
from penstock.lure import LureBlock
from penstock.progress import track
from penstock.scaling import spectral_norm, spectral_radius
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = [
    "AlongInput",
    "LayerStability",
    "Stability",
    "effective_spectral_norm",
    "effective_spectral_radius",
    "stability",
]

ROUNDING = 1e-9  # by which a radius of 1 may come out larger


@dataclass(frozen=True, eq=False, repr=False)
class LayerStability:
    """Hold the bounds of one layer x' = A x + B f(C x + drive) with slopes of f between `slopes`.

    Attributes
    ----------
    at_rest : array, shape (n, n)
        The Jacobian A + f'(0) B C at rest: zero state, input and bias.
    radius_at_rest, norm_at_rest : float
        Its spectral radius, the effective spectral radius, and its largest singular value.
    rest_counts : bool
        Whether a radius at rest above 1 refutes the echo-state property for zero input and bias: f(0) = 0, and f has
        no kink there.
    norm_bound : float
        The published sufficient bound ‖A‖ + slope ‖B‖ ‖C‖: (1 - a) + a ‖W‖ of a leaky ESN, alpha + beta ‖W‖ of a
        ResESN. Below 1 the layer contracts.
    certificates : tuple of Certificate
        Norms with their rates: Euclidean (never above `norm_bound`), row sums, weighted row sums (spectral radius of
        the largest absolute values, rho(|W|) of an ESN without leak), scaled Euclidean (the least over diagonal
        scalings that was found) and quadratic form (circle criterion; absent if none was found).
    quadratic_searched : bool
        Whether a quadratic form was looked for: not in a layer of more than 200 units that is certified without, nor
        in one of more than `quadratic_up_to` units.
    """

    at_rest: np.ndarray
    radius_at_rest: float
    norm_at_rest: float
    rest_counts: bool
    norm_bound: float
    certificates: tuple[Certificate, ...]
    quadratic_searched: bool

    @property
    def n_units(self) -> int:
        """Units n of the layer."""
        return len(self.at_rest)

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of the Jacobian at rest, computed anew at every call; shape (n,)."""
        return np.linalg.eigvals(self.at_rest)

    @property
    def best(self) -> Certificate:
        """The certificate with the least rate."""
        return min(self.certificates, key=lambda one: one.rate)

    @property
    def certified(self) -> bool:
        """Whether the layer contracts for every input."""
        return self.best.rate < CERTIFIED

    @property
    def necessary_violated(self) -> bool:
        """Whether the origin is unstable without input and bias."""
        return self.rest_counts and self.radius_at_rest > 1 + ROUNDING

    def __repr__(self):
        return (
            f"LayerStability: {self.n_units} units, radius at rest {self.radius_at_rest:.4g}, "
            f"least rate {self.best.rate:.4g} ({self.best.kind})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class AlongInput:
    """Hold what was measured along one input: it holds for that input and decides nothing for others.

    Attributes
    ----------
    exponent, exponent_error : float
        Largest Lyapunov exponent, conditional on the input, and its standard error. Below 0 is necessary for the
        echo-state property under this input.
    mean_radius, radius_error : float
        Mean spectral radius of the Jacobian over sampled steps, and its standard error from treating them as
        independent. Radii do not multiply: below 1 at every step does not make the system forget.
    radii : array, shape (n_samples,)
        The sampled radii.
    n_steps, washout : int
        Steps of the run, and those discarded.
    doubts : tuple of str
        Why the exponent may not have converged.
    """

    exponent: float
    exponent_error: float
    mean_radius: float
    radius_error: float
    radii: np.ndarray
    n_steps: int
    washout: int
    doubts: tuple[str, ...]

    def __repr__(self):
        return "\n".join(
            [
                f"AlongInput: largest exponent {self.exponent:.4g} ± {self.exponent_error:.2g} per unit of time",
                f"  radius      {self.mean_radius:.4g} ± {self.radius_error:.2g} at {len(self.radii)} states",
                f"  length      {self.n_steps} steps, washout {self.washout}",
                *(f"  NOT CONVERGED: {doubt}" for doubt in self.doubts),
            ]
        )


@dataclass(frozen=True, eq=False, repr=False)
class Stability:
    """Hold the verdict on a system and the numbers behind it.

    Attributes
    ----------
    layers : tuple of LayerStability
        From the input up; empty for a system without Lur'e form, of which nothing can be certified.
    radius_at_rest : float
        Spectral radius of the Jacobian at zero state, input and bias, the largest of all layers; for a system without
        Lur'e form that at zero state and input, NaN if its rule is not defined there.
    rest_is_fixed : bool
        Whether the origin is a fixed point of this system, with its bias, under zero input.
    along_input : AlongInput or None
        What was measured along `u`, if it was given.
    at_rest : tuple of arrays, shape (n_l, n_l)
        The Jacobians at rest of the layers, or that of the whole; empty if the rule is not defined there.
    rest_counts : bool
        Whether a radius at rest above 1 refutes echo states in one of the layers: not where the origin moves without
        bias (sigmoid), or the rule has a kink there (relu).
    system : str
        Text of the system.
    seed : int or SeedSequence
        Seed of the frame and of the start of an autonomous system.
    """

    layers: tuple[LayerStability, ...]
    radius_at_rest: float
    rest_is_fixed: bool
    along_input: AlongInput | None
    at_rest: tuple[np.ndarray, ...]
    rest_counts: bool
    system: str
    seed: int | np.random.SeedSequence

    @property
    def certified(self) -> bool:
        """Whether the system provably contracts for every input, bias and start: every layer does."""
        return bool(self.layers) and all(layer.certified for layer in self.layers)

    @property
    def rate(self) -> float | None:
        """Largest of the layers' rates, None without Lur'e form.

        A stack has a norm in which it contracts at any rate above that: upper layers get small weights.
        """
        return max(layer.best.rate for layer in self.layers) if self.layers else None

    @property
    def necessary_violated(self) -> bool:
        """Whether the origin is unstable: no echo states for zero input and bias, nor for small ones.

        For other inputs it decides nothing: strong ones saturate the units, and published settings rely on that.
        """
        if self.layers:
            return any(layer.necessary_violated for layer in self.layers)
        return self.rest_counts and self.radius_at_rest > 1 + ROUNDING

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of the Jacobian at rest, all layers, computed anew at every call; shape (n,)."""
        return np.concatenate([np.linalg.eigvals(matrix) for matrix in self.at_rest] or [np.empty(0)])

    @property
    def undecided(self) -> bool:
        """Whether neither a certificate was found nor the origin is unstable."""
        return not (self.certified or self.necessary_violated)

    def plot(self, ax=None):
        """Draw the eigenvalues at rest with the unit circle and the sampled radius; return the matplotlib axes."""
        from penstock.analysis.plots import plot_stability

        return plot_stability(self, ax)

    def __repr__(self):
        lines = [f"Stability: {self._verdict()}"]
        if self.layers:
            lines.append("  layer  units  at rest   ‖at rest‖  published  rows      weighted  scaled    quadratic")
            lines += [_row(number, layer) for number, layer in enumerate(self.layers, start=1)]
        else:
            lines.append("  no Lur'e form: no certificate is possible, sampled quantities only")
            lines.append(f"  radius of the Jacobian at zero state and input {self.radius_at_rest:.4g}")
        if self.rest_is_fixed and not self.layers and not self.rest_counts:
            lines.append("  the rule has a kink at the origin, where that radius refutes nothing")
        if not self.rest_is_fixed:
            lines.append(
                "  with its bias the system leaves the origin under zero input: 'at rest' is not one of its states"
            )
        if self.along_input is not None:
            lines += _along(self.along_input, self.seed)
        if any(not layer.quadratic_searched and not layer.certified for layer in self.layers):
            lines.append("  no quadratic form was looked for in every layer: raise quadratic_up_to to decide more")
        first = self.system.splitlines()[0]
        return "\n".join([*lines, f"  system {first}"])

    def _verdict(self):
        if self.certified:
            kinds = ", ".join(dict.fromkeys(layer.best.kind for layer in self.layers))
            return f"certified, contracts for every input at rate {self.rate:.4g} per step ({kinds})"
        if self.necessary_violated:
            radius = f"radius {self.radius_at_rest:.4g} at rest"
            return f"necessary condition violated, no echo states for zero input and bias ({radius})"
        return "undecided, neither a certificate nor an unstable origin"


def _row(number, layer):
    by_kind = {one.kind: f"{one.rate:.4g}" for one in layer.certificates}
    kinds = ("row sums", "weighted row sums", "scaled Euclidean norm", "quadratic form")
    columns = [f"{x:.4g}" for x in (layer.radius_at_rest, layer.norm_at_rest, layer.norm_bound)]
    columns += [by_kind.get(kind, "-") for kind in kinds]
    if not layer.quadratic_searched:
        columns[-1] = "not tried"
    widths = (8, 9, 9, 8, 8, 8, 9)
    cells = "  ".join(f"{text:<{width}}" for text, width in zip(columns, widths, strict=True))
    return f"  {number:<5}  {layer.n_units:<5}  {cells}".rstrip()


def _along(found, seed):
    lines = [
        f"  along this input only ({found.n_steps} steps, washout {found.washout}, seed {seed}):",
        f"    largest exponent {found.exponent:.4g} ± {found.exponent_error:.2g} per unit of time",
        f"    mean radius of the Jacobian {found.mean_radius:.4g} ± {found.radius_error:.2g} "
        f"over {len(found.radii)} states",
    ]
    return lines + [f"    doubt: {doubt}" for doubt in found.doubts]


@one_blas_thread
def stability(
    system: System,
    u=None,
    *,
    n_steps: int | None = None,
    washout: int | None = None,
    x0=None,
    n_samples: int = 50,
    quadratic_up_to: int = 500,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> Stability:
    """Judge the echo-state property: proofs for every input, the condition at rest, and measurements along `u`.

    Layers x' = A x + B f(C x + drive) have the Jacobians A + B D C, D diagonal with the slopes of f. A layer is
    certified if a norm is found in which all of them have at most the norm rate < 1, and a stack if all its layers
    are; then it forgets its start under every input. The circle criterion, the sharpest of the norms tried, gives for
    an ESN without leak at most the numerical radius of W, between rho(W) and ‖W‖. Nothing is refused: published best
    settings are unstable at rest and live by their inputs.

    Norms that cost a few decompositions are tried first. Scalings and rates are optimised up to 200 units; beyond, the
    search for a quadratic form is coarse, and stops short once another norm is certified.

    Parameters
    ----------
    system : System
        Any system; certificates need its `lure_blocks()`.
    u : array, shape (T, m), optional
        An input along which the largest exponent and the radius of the Jacobian are measured as well.
    n_steps : int, optional
        The same for a system without inputs: steps to run after the washout.
    washout : int, optional
        Steps discarded, by default a tenth.
    x0 : array, shape (n,), optional
        Start of the run, as in `lyapunov_spectrum`.
    n_samples : int
        States at which the radius of the Jacobian is taken.
    quadratic_up_to : int
        Units of a layer up to which a quadratic form is looked for. One try takes about a second at 500 units and
        grows as their cube.
    seed : int or SeedSequence
        Of the tangent, and of the start of an autonomous system.
    progress : bool
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    Stability
        Verdict and bounds by layer.

    Raises
    ------
    ValueError, TypeError
        If an argument is of no use.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    H. Jaeger, GMD Report 148 (2001). M. Buehner, P. Young, A tighter bound for the echo state property, IEEE TNN 17
    (2006). I. Yildiz, H. Jaeger, S. Kiebel, Re-visiting the echo state property, Neural Networks 35 (2012).

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> result = stability(ESN.random(20, spectral_radius=0.6, seed=1))
    >>> result.layers[0].norm_bound > 1, result.certified, result.necessary_violated
    (True, True, False)
    """
    system = as_system(system)
    n_samples = as_int("n_samples", n_samples)
    quadratic_up_to = as_int("quadratic_up_to", quadratic_up_to, minimum=0)
    inputs = _check_course(system, u, n_steps, washout)
    if inputs is None and x0 is not None:
        raise ValueError("x0 must be None without a run: give u, or n_steps to a system without inputs")
    settings = {"n_steps": n_steps, "washout": washout, "x0": x0, "seed": seed, "progress": progress}
    along_input = None if inputs is None else _measure(system, u, inputs, n_samples, settings)
    blocks = system.lure_blocks()
    zeros = np.zeros(system.n_units, system.dtype), np.zeros(system.n_inputs, system.dtype)
    with np.errstate(all="ignore"):  # a rule need not be defined at the origin
        moved = np.abs(system.step(*zeros)).max()
    defined = bool(blocks) or bool(np.isfinite(moved))
    at_rest = () if blocks or not defined else (system.jacobian(*zeros),)
    layers = tuple(_judge(block, quadratic_up_to, number, progress) for number, block in enumerate(blocks, start=1))
    radii = [layer.radius_at_rest for layer in layers] or [spectral_radius(matrix) for matrix in at_rest]
    return Stability(
        layers=layers,
        radius_at_rest=max(radii, default=np.nan),
        rest_is_fixed=bool(moved <= 1e-12),
        along_input=along_input,
        at_rest=tuple(layer.at_rest for layer in layers) or at_rest,
        rest_counts=any(layer.rest_counts for layer in layers)
        or bool(at_rest and moved <= 1e-12 and _is_smooth(system, *zeros, at_rest[0])),
        system=repr(system),
        seed=seed,
    )


def _is_smooth(system, x, u, jacobian) -> bool:
    """Whether steps to both sides of x are opposite, as the Jacobian has it: not so at a kink or a jump."""
    reach = float(np.sqrt(np.finfo(system.dtype).eps))
    here = system.step(x, u)
    for v in np.random.default_rng(0).standard_normal((4, len(x))):
        ahead, back = (np.asarray(system.step(x + h * v, u)) - here for h in (reach, -reach))
        linear = reach * jacobian @ v
        if not max(np.abs(ahead - linear).max(), np.abs(back + linear).max()) <= 0.05 * np.abs(linear).max() + 1e-12:
            return False
    return True


@one_blas_thread
def effective_spectral_radius(system: System) -> float:
    """Return the spectral radius of the Jacobian at rest: the largest eigenvalue modulus, not a singular value.

    rho((1 - a) I + a W) of a leaky ESN with tanh, rho(alpha O + beta W) of a ResESN; the largest of the layers of a
    stack. Input and bias are zero; without Lur'e form the Jacobian at zero state and input is taken.

    Parameters
    ----------
    system : System
        Any system.

    Returns
    -------
    float

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> leaky = ESN([[0.0, 4.0], [0.0, 0.0]], [[1.0], [1.0]], leak=0.5)
    >>> effective_spectral_radius(leaky)
    0.5
    """
    return max(map(spectral_radius, _at_rest(system)))


@one_blas_thread
def effective_spectral_norm(system: System) -> float:
    """Return the largest singular value of the Jacobian at rest, the largest of the layers of a stack.

    The matrix is that of `effective_spectral_radius`; the norm is never below the radius.

    Parameters
    ----------
    system : System
        Any system.

    Returns
    -------
    float

    Examples
    --------
    >>> from penstock.reservoirs import ESN
    >>> round(effective_spectral_norm(ESN([[0.0, 4.0], [0.0, 0.0]], [[1.0], [1.0]])), 12)
    4.0
    """
    return max(map(spectral_norm, _at_rest(system)))


def _at_rest(system):
    system = as_system(system)
    zeros = np.zeros(system.n_units), np.zeros(system.n_inputs)
    return [block.at_rest for block in system.lure_blocks()] or [system.jacobian(*zeros)]


def _judge(block: LureBlock, quadratic_up_to, number, progress) -> LayerStability:
    at_rest = block.at_rest
    smooth = np.isfinite(block.curvature) or block.slopes[0] == block.slopes[1]
    found = tuple(track(certificates(block, quadratic_up_to), 5, f"certificates of layer {number}", progress))
    return LayerStability(
        at_rest=at_rest,
        radius_at_rest=spectral_radius(at_rest),
        norm_at_rest=spectral_norm(at_rest),
        rest_counts=bool(block.value_at_rest == 0 and smooth),
        norm_bound=published_norm(block),
        certificates=found,
        quadratic_searched=searches_quadratic(len(at_rest), min(one.rate for one in found[:4]), quadratic_up_to),
    )


def _check_course(system, u, n_steps, washout):
    """Return checked inputs, None if nothing is to be run."""
    if u is None and n_steps is None:
        return None
    if system.n_inputs == 0 and u is not None:
        raise ValueError("u must be None for a system without inputs; say how long by n_steps")
    if system.n_inputs and u is None:
        raise ValueError(f"u must be inputs of shape (T, {system.n_inputs}) of this driven system, not n_steps alone")
    if system.n_inputs and n_steps is not None:
        raise ValueError(f"n_steps must be None for a driven system, which runs to the end of u, got {n_steps}")
    steps = as_int("n_steps", n_steps) if u is None else None
    washout = None if washout is None else as_int("washout", washout, minimum=0)
    if steps is not None:
        steps += max(100, steps // 10) if washout is None else washout
    inputs = as_inputs(steps if u is None else u, system.n_inputs, system.dtype)
    if inputs.ndim != 2:
        raise ValueError(f"u must be one series of shape (T, {system.n_inputs}), got {inputs.shape}")
    return inputs


def _measure(system, u, inputs, n_samples, settings) -> AlongInput:
    spectrum = lyapunov_spectrum(system, u, 1, **settings)
    x0, progress = settings["x0"], settings["progress"]
    if x0 is None and system.n_inputs == 0:  # the start of the spectrum
        drawn = generators(settings["seed"], 1)[0].uniform(0, 0.1, system.n_units)
        x0 = drawn if system.start is None else system.start
    x0 = as_state(x0, system.n_units, None, system.dtype)
    first = max(spectrum.washout, 1)
    times = np.unique(np.linspace(first, len(inputs) - 1, n_samples).astype(int))
    states = np.concatenate(list(_states_at(system, inputs, x0, times - 1)))
    points = zip(states, inputs[times], strict=True)
    radii = np.array(
        [spectral_radius(system.jacobian(x, u_t)) for x, u_t in track(points, len(times), "radii", progress)]
    )
    return AlongInput(
        exponent=float(spectrum.exponents[0]),
        exponent_error=float(spectrum.standard_errors[0]),
        mean_radius=float(radii.mean()),
        radius_error=float(radii.std(ddof=1) / np.sqrt(len(radii))) if len(radii) > 1 else np.inf,
        radii=radii,
        n_steps=spectrum.n_steps,
        washout=spectrum.washout,
        doubts=tuple(spectrum.doubts),
    )


def _states_at(system, inputs, x0, times):
    """Yield the states after the given steps, without storing the others."""
    start = 0
    for block in system.blocks(inputs, 1000, x0):
        own = times[(times >= start) & (times < start + len(block))] - start
        yield block[own]
        start += len(block)
