"""The neuron models as Brian2 equations, statements and constants: plain text and numbers, no Brian2 needed.

All Brian2 variables are plain numbers in the units of this package (ms, mV, pA, nS, pF), so that states of both sides
compare without conversion. Constants of exact steps come from the equations by SciPy's matrix exponential, not from
the coefficient tables of the engine, so that the two sides share no algebra.
"""

from dataclasses import dataclass, field, fields

import numpy as np
import scipy

__all__: list[str] = []

_SYMBOLIC = 3  # linear equations that Brian2 solves symbolically in seconds; four take half a minute
_TOO_CLOSE = 0.01  # relative gap of time constants under which the symbolic solution loses digits (none left at 0)
_STILL = "dv/dt = 0*v/ms : 1 (unless refractory)"  # v is written by statements, and held while refractory
_DRIVE = "I_stim"


@dataclass
class Model:
    """One population in Brian2's terms; arrays in `constants` are per-neuron parameters."""

    equations: list[str]
    method: str
    threshold: str
    reset: str
    constants: dict[str, float | np.ndarray]
    statements: list[str] = field(default_factory=list)  # each step, after the equations

    def declare(self, *names):
        """Add states that only statements, synapses and the user change."""
        self.equations.extend(f"{name} : 1" for name in names)


def model_of(neurons, receptors, dt, *, inclusive, driven) -> Model:
    """Return the Brian2 model of a population.

    `receptors` is a list of (name of g, synapse); `driven` adds a current `I_stim` (pA) to be set in every step.
    """
    kind = type(neurons).__name__
    modulators = [(name, synapse) for name, synapse in receptors if not getattr(synapse, "acts", True)]
    receptors = [
        (name, synapse) for name, synapse in receptors if synapse.n_states and (name, synapse) not in modulators
    ]
    build = {
        "LIF": _leaky,
        "ALIF": _leaky,
        "AdEx": _adex,
        "Izhikevich": _izhikevich,
        "Izhikevich2007": _izhikevich_2007,
    }
    if kind not in build:
        raise ValueError(f"{kind} neurons cannot be carried over to Brian2; {', '.join(build)} can")
    model = build[kind](neurons, receptors, dt, "I_e" + (f" + {_DRIVE}" if driven else ""))
    if getattr(neurons, "integrator", None) == "euler" and kind in ("LIF", "ALIF"):
        _synapse_equations(model, modulators)
    else:
        _synapse_statements(model, modulators, dt)
    if inclusive:
        model.threshold = model.threshold.replace(">", ">=")
    if driven:
        model.declare(_DRIVE)
    model.constants |= {name: value for name, value in _parameters(neurons).items() if name not in model.constants}
    model.constants |= {f"{name}_E": s.reversal for name, s in receptors if s.reversal is not None}
    return model


def _parameters(neurons):
    values = {f.name: getattr(neurons, f.name) for f in fields(neurons)}
    return {
        name: value if np.ndim(value) else float(value)
        for name, value in values.items()
        if name not in ("n", "t_ref", "integrator", "soft_reset") and np.all(np.isfinite(value))
    }


def _currents(receptors):
    """Return the synaptic current as text: ' + g + ge*(ge_E - v)'."""
    return "".join(f" + {name}" if s.reversal is None else f" + {name}*({name}_E - v)" for name, s in receptors)


# ------------------------------------------------------------------------------------------------ LIF, ALIF
def _leaky(neurons, receptors, dt, constant_current):
    tired = type(neurons).__name__ == "ALIF"
    current = constant_current + _currents(receptors) + (" - w" if tired else "")
    leak = "(E_L - v)/(tau_m*ms)"
    equations = [f"dv/dt = {leak} + ({current})/(C_m*ms) : 1 (unless refractory)"]
    reset = "v -= V_th - V_reset" if neurons.soft_reset else "v = V_reset"
    if tired:
        equations += ["dw/dt = -w/(tau_w*ms) : 1", "dtheta/dt = -theta/(tau_theta*ms) : 1"]
        reset += "\nw += b\ntheta += beta"
    model = Model(equations, "exact", "v > V_th + theta" if tired else "v > V_th", reset, {})
    if neurons.integrator == "euler":
        model.method = "euler"
        _synapse_equations(model, receptors)
    elif any(s.reversal is not None for _, s in receptors):
        model.method = "exponential_euler"
        staged = [(name, s) for name, s in receptors if s.n_states == 2]
        _synapse_equations(model, [r for r in receptors if r not in staged])
        _synapse_statements(model, staged, dt)
    elif _is_symbolic(neurons, receptors, tired):
        _synapse_equations(model, receptors)
    else:
        _matrix_exponential(model, neurons, receptors, dt, driven=_DRIVE in constant_current, tired=tired)
    if np.any(np.asarray(neurons.sigma) > 0):
        model.constants["noise_step"] = neurons.sigma * np.sqrt((1 - np.exp(-2 * dt / neurons.tau_m)) / 2)
    return model


def _is_symbolic(neurons, receptors, tired):
    """Whether Brian2's exact integrator can solve the equations, and soon enough."""
    decaying = [s for _, s in receptors if _time_constants(s)]
    close = False
    for s in decaying:
        rise, decay = _time_constants(s)
        gaps = [np.min(np.abs(tau / np.asarray(neurons.tau_m) - 1)) for tau in (rise, decay)]
        gaps += [abs(rise / decay - 1)] if type(s).__name__ == "DoubleExponential" else []
        close |= min(gaps) < _TOO_CLOSE
    return 1 + 2 * tired + sum(s.n_states for s in decaying) <= _SYMBOLIC and not close


def _time_constants(synapse):
    """Return (rise, decay) of a synapse in ms, None if it has no decay of its own."""
    kind = type(synapse).__name__
    if kind == "Pulse":
        return None
    if kind in ("Exponential", "Alpha", "Modulation"):
        return synapse.tau, synapse.tau
    if kind == "DoubleExponential":
        return synapse.tau_rise, synapse.tau_decay
    raise ValueError(f"{kind} synapses cannot be carried over to Brian2")


def gain_of(synapse) -> float:
    """Return the jump of the first state per weight: such that the response peaks at the weight."""
    if synapse.n_states < 2:
        return 1.0
    rise, decay = _time_constants(synapse)
    excess = (decay - rise) / rise  # g peaks where it meets x, at t = decay log(1 + excess) / excess
    return float(np.exp(np.log1p(excess) / excess if excess else 1.0))


# ---------------------------------------------------------------------------------------------------- synapses
def _synapse_equations(model, receptors):
    """Let Brian2's own integrator carry the synapses."""
    for name, synapse in receptors:
        if _time_constants(synapse) is None:
            _pulse(model, name)
            continue
        rise, decay = _time_constants(synapse)
        model.constants[f"{name}_tau"] = rise
        if synapse.n_states == 1:
            model.equations.append(f"d{name}/dt = -{name}/({name}_tau*ms) : 1")
            continue
        second = f"{name}_tau" if rise == decay else f"{name}_x_tau"
        model.constants[second] = decay
        model.equations.append(f"d{name}/dt = ({name}_x - {name})/({name}_tau*ms) : 1")
        model.equations.append(f"d{name}_x/dt = -{name}_x/({second}*ms) : 1")


def _synapse_statements(model, receptors, dt):
    """Let the synapses decay exactly, by statements: they are parameters to Brian2's integrator of v."""
    for name, synapse in receptors:
        if _time_constants(synapse) is None:
            _pulse(model, name)
            continue
        rise, decay = _time_constants(synapse)
        step = scipy.linalg.expm(dt * np.array([[-1 / rise, 1 / rise], [0.0, -1 / decay]]))
        model.constants[f"{name}_left"] = float(step[0, 0])
        model.declare(name)
        if synapse.n_states == 1:
            model.statements.append(f"{name} = {name}_left*{name}")
            continue
        model.constants |= {f"{name}_from_x": float(step[0, 1]), f"{name}_x_left": float(step[1, 1])}
        model.declare(f"{name}_x")
        model.statements.append(f"{name} = {name}_left*{name} + {name}_from_x*{name}_x")
        model.statements.append(f"{name}_x = {name}_x_left*{name}_x")


def _pulse(model, name):
    model.declare(name)
    model.statements.append(f"{name} = 0")


def _matrix_exponential(model, neurons, receptors, dt, *, driven, tired):
    """Step v by the matrix exponential of all linear equations, where the symbolic solution fails or takes long."""
    sources = {name: 1.0 for name, _ in receptors} | ({_DRIVE: 1.0} if driven else {}) | ({"w": -1.0} if tired else {})
    names = ["v", *sources, *(f"{name}_x" for name, s in receptors if s.n_states == 2), "1"]
    at = {name: index for index, name in enumerate(names)}
    generator = np.zeros((neurons.n, len(names), len(names)))
    generator[:, 0, 0] = -1 / np.asarray(neurons.tau_m)
    generator[:, 0, at["1"]] = neurons.E_L / np.asarray(neurons.tau_m) + neurons.I_e / np.asarray(neurons.C_m)
    for name, sign in sources.items():
        generator[:, 0, at[name]] = sign / np.asarray(neurons.C_m)
    for name, synapse in receptors:
        if _time_constants(synapse) is not None:
            rise, decay = _time_constants(synapse)
            generator[:, at[name], at[name]] = -1 / rise
        if synapse.n_states == 2:
            generator[:, at[name], at[f"{name}_x"]] = 1 / rise
            generator[:, at[f"{name}_x"], at[f"{name}_x"]] = -1 / decay
    if tired:
        generator[:, at["w"], at["w"]] = -1 / np.asarray(neurons.tau_w)
    if (generator == generator[0]).all():
        generator = generator[:1]
    step = scipy.linalg.expm(generator * dt)[:, 0]
    weights = {name: f"v_from_{'rest' if name == '1' else name}" for name in names}
    for name, symbol in weights.items():
        row = step[:, at[name]]
        model.constants[symbol] = np.array(row) if row.size > 1 else float(row[0])
    terms = [symbol if name == "1" else f"{symbol}*{name}" for name, symbol in weights.items()]
    model.method, model.equations = "euler", [_STILL]
    model.statements.append(f"v = {' + '.join(terms)}")
    if tired:
        model.declare("w", "theta")
        for name, tau in (("w", neurons.tau_w), ("theta", neurons.tau_theta)):
            model.constants[f"{name}_left"] = np.exp(-dt / tau)
            model.statements.append(f"{name} = {name}_left*{name}")
    _synapse_statements(model, receptors, dt)


# -------------------------------------------------------------------------------------- AdEx, Izhikevich's models
def _adex(neurons, receptors, dt, constant_current):
    current = constant_current + _currents(receptors)
    spike = "g_L*Delta_T*exp((v - V_T)/Delta_T)"
    model = Model([], "euler", "v > V_cut", "v = V_reset\nw += b", {})
    if neurons.integrator == "euler":
        membrane = f"dv/dt = (g_L*(E_L - v) + {spike} - w + {current})/(C_m*ms) : 1 (unless refractory)"
        model.equations += [membrane, "dw/dt = (a*(v - E_L) - w)/(tau_w*ms) : 1"]
    else:
        total = "g_L" + "".join(f" + {name}" for name, s in receptors if s.reversal is not None)
        pulled = "".join(f" + {name}" + (f"*{name}_E" if s.reversal is not None else "") for name, s in receptors)
        model.equations += [_STILL, "w : 1"]
        model.constants |= {"step": dt, "w_left": np.exp(-dt / neurons.tau_w)}
        model.statements += [
            f"g_all = {total}",
            f"v_inf = (g_L*E_L + {spike} - w + {constant_current}{pulled})/g_all",
            "w_new = a*(v - E_L) + (w - a*(v - E_L))*w_left",
            "v = v_inf + (v - v_inf)*exp(-step*g_all/C_m)",
            "w = w_new",
        ]
    _synapse_statements(model, receptors, dt)
    return model


def _izhikevich(neurons, receptors, dt, constant_current):
    current = constant_current + _currents(receptors)
    slope, recovery = "0.04*{v}**2 + p1*{v} + p0 - u + {I}", "a*(b*(v - v_u) - u_leak*u)"
    model = Model([], "euler", "v > v_peak", "v = c\nu += d", {})
    if neurons.integrator == "euler":
        model.equations += [
            f"dv/dt = ({slope.format(v='v', I=current)})/ms : 1 (unless refractory)",
            f"du/dt = {recovery}/ms : 1",
        ]
    else:  # u sees the new v: no integrator does this
        model.equations += [_STILL, "u : 1"]
        model.constants["step"] = dt
        model.statements.append(f"I_now = {current}")
        if neurons.integrator == "fig1":
            model.statements.append(f"v = v + step*({slope.format(v='v', I='I_now')})")
        else:
            model.statements.append(f"v_mid = v + 0.5*step*({slope.format(v='v', I='I_now')})")
            model.statements.append(f"v = v_mid + 0.5*step*({slope.format(v='v_mid', I='I_now')})")
        model.statements.append(f"u = u + step*{recovery}")
    _synapse_statements(model, receptors, dt)
    return model


def _izhikevich_2007(neurons, receptors, dt, constant_current):
    slope = f"k*(v - vr)*(v - vt) - u + {constant_current}{_currents(receptors)}"
    capped, switched = np.isfinite(neurons.u_max), np.isfinite(neurons.v_switch)
    after = "v = c + c_slope*u\n" + ("u = clip(u + d, -1e300, u_max)" if capped else "u += d")
    model = Model([], "euler", "v > v_peak + peak_slope*u", after, {})
    if not switched and not np.any(neurons.cubic):
        model.equations += [
            f"dv/dt = ({slope})/(C*ms) : 1 (unless refractory)",
            "du/dt = a*(b*(v - vr) - u)/ms : 1",
        ]
    else:  # the conditions of the recovery test the new v
        model.equations += [_STILL, "u : 1"]
        model.constants["step"] = dt
        model.statements += [
            f"v_new = v + step/C*({slope})",
            "b_now = b" + (" + (b_above - b)*int(v_new > v_switch)" if switched else ""),
            "u_inf = b_now*(v - vr) + cubic*(v - v_cubic)**3*int(v_new >= v_cubic)",
            "u = u + step*a*(u_inf - u)",
            "v = v_new",
        ]
    _synapse_statements(model, receptors, dt)
    return model
