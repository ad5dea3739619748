"""Synapses against matrix exponentials in 40 digits, closed forms, published peaks, SciPy's solver and plain loops."""

from math import e, exp, expm1, log, sqrt

import mpmath
import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from published import PSP_ALPHA, PSP_CUBA, PSP_EXCITATORY, PSP_EXPONENTIAL, PSP_INHIBITORY, SHORT_TERM

from penstock import Uniform
from penstock.spiking import LIF, Alpha, Delta, DoubleExponential, Exponential, Pulse, TsodyksMarkram
from penstock.spiking.connectors import all_to_all, one_to_one
from penstock.spiking.inputs import SpikeSource
from penstock.spiking.network import Network

OFFSETS = [0.0, *(sign * 10.0**-k for k in range(1, 15) for sign in (-1, 1))]


def exact_step(dt, tau_decay, tau_rise, tau_m, C_m):
    """exp(A dt) of x' = -x / tau_decay, g' = (x - g) / tau_rise, v' = -v / tau_m + g / C_m, in 40 digits."""
    with mpmath.workdps(40):
        dt, tau_decay, tau_rise, tau_m, C_m = (mpmath.mpf(number) for number in (dt, tau_decay, tau_rise, tau_m, C_m))
        A = mpmath.matrix([[-1 / tau_decay, 0, 0], [1 / tau_rise, -1 / tau_rise, 0], [0, 1 / C_m, -1 / tau_m]])
        return np.array((mpmath.expm(A * dt) - mpmath.eye(3)).tolist(), dtype=np.float64)


def step_of(synapse, dt, tau_m, C_m, euler=False):
    """The same matrix from the hooks of a synapse (its row of x is empty for one-state synapses)."""
    d_x, d_g, k = synapse.decay(dt, euler)
    c_x, c_g = synapse.effect(dt, tau_m, C_m)
    return np.array([[-d_x, 0, 0], [k, -d_g, 0], [c_x, c_g, expm1(-dt / tau_m)]])


def test_a_step_is_the_matrix_exponential_also_where_all_three_time_constants_are_equal():
    # relative to each entry; arguments of exp up to 100 carry an own rounding of 1e-14
    for dt, tau_m in ((0.001, 10.0), (0.1, 20.0), (10.0, 5.0)):
        for tau_rise, tau_decay in ((tau_m, tau_m), (0.1, tau_m), (tau_m, 200.0), (3.0, 3.0), (0.2, 7.0), (2.0, 0.1)):
            got = step_of(DoubleExponential(tau_rise, tau_decay), dt, tau_m, 250.0)
            assert_allclose(got, exact_step(dt, tau_decay, tau_rise, tau_m, 250.0), rtol=5e-14)


@pytest.mark.parametrize("dt", [0.1, 5.0])
def test_effects_pass_smoothly_through_equal_time_constants_of_synapse_and_membrane(dt):  # F9
    for offset in OFFSETS:
        tau = 10.0 * (1 + offset)
        want = exact_step(dt, tau, tau, 10.0, 250.0)
        assert_allclose(Exponential(tau).effect(dt, 10.0, 250.0)[1], want[2, 1], rtol=1e-14)
        assert_allclose(step_of(Alpha(tau), dt, 10.0, 250.0), want, rtol=1e-14)


@pytest.mark.parametrize("dt", [0.1, 5.0])
def test_double_exponential_passes_smoothly_through_equal_time_constants_of_rise_and_decay(dt):
    for offset in OFFSETS:
        tau = 10.0 * (1 + offset)
        got = step_of(DoubleExponential(tau, 10.0), dt, 20.0, 250.0)
        assert_allclose(got, exact_step(dt, 10.0, tau, 20.0, 250.0), rtol=1e-14)
        with mpmath.workdps(40):
            rise, decay = mpmath.mpf(tau), mpmath.mpf(10)
            peak = mpmath.e**-1 if offset == 0 else (decay / rise) ** (-rise / (decay - rise))  # of g, from x = 1
            assert_allclose(DoubleExponential(tau, 10.0).gain, float(1 / peak), rtol=1e-14)


def test_equal_time_constants_make_a_double_exponential_an_alpha_function():
    double, alpha = DoubleExponential(3.0, 3.0), Alpha(3.0)
    assert double.gain == alpha.gain == e
    assert double.decay(0.1) == alpha.decay(0.1)
    assert double.effect(0.1, 20.0, 200.0) == alpha.effect(0.1, 20.0, 200.0)


@pytest.mark.parametrize("synapse", [Alpha(2.0), DoubleExponential(2.0, 100.0), DoubleExponential(5.0, 4.0)])
def test_the_peak_of_a_current_is_its_weight(synapse):
    tau_rise, tau_decay = synapse.tau_rise, synapse.tau_decay
    if tau_rise == tau_decay:
        at = tau_decay
    else:
        at = tau_rise * tau_decay / (tau_decay - tau_rise) * log(tau_decay / tau_rise)
    current = [synapse.decay(t)[2] * synapse.gain for t in (0.999 * at, at, 1.001 * at)]
    assert_allclose(current[1], 1.0, rtol=1e-14)
    assert current[0] < current[1] > current[2]


TIME = st.floats(0.05, 500.0)


@given(dt=st.floats(1e-3, 20.0), tau_rise=TIME, tau_decay=TIME, tau_m=TIME)
@settings(deadline=None, max_examples=100)
def test_two_half_steps_are_one_step(dt, tau_rise, tau_decay, tau_m):
    # F10; rounding of exp at arguments up to 400, and of sums of numbers around 1 where nearly all is lost
    synapse = DoubleExponential(tau_rise, tau_decay)
    half, whole = step_of(synapse, dt / 2, tau_m, 250.0), step_of(synapse, dt, tau_m, 250.0)
    assert_allclose(
        half @ half + 2 * half, whole, rtol=1e-15 * (20 + 4 * dt / min(tau_rise, tau_decay, tau_m)), atol=1e-15
    )


@given(tau_rise=TIME, tau_decay=TIME, dt=st.floats(1e-3, 20.0))
@settings(deadline=None, max_examples=50)
def test_the_course_of_a_current_does_not_change_when_rise_and_decay_are_exchanged(tau_rise, tau_decay, dt):
    one, other = DoubleExponential(tau_rise, tau_decay), DoubleExponential(tau_decay, tau_rise)
    rtol = 1e-15 * (20 + 4 * dt / min(tau_rise, tau_decay))
    assert_allclose(one.gain * one.decay(dt)[2], other.gain * other.decay(dt)[2], rtol=rtol)


def test_effects_are_arrays_where_the_membrane_differs_between_neurons():
    tau_m, C_m = np.array([5.0, 10.0, 10.0, 30.0]), np.array([100.0, 250.0, 300.0, 250.0])
    for synapse in (Pulse(), Exponential(10.0), Alpha(10.0), DoubleExponential(1.0, 10.0)):
        for got in (synapse.effect(0.1, tau_m, C_m), synapse.effect(0.1, tau_m, 250.0), synapse.effect(0.1, 5.0, C_m)):
            assert np.shape(got[1]) == (4,)
        each = [synapse.effect(0.1, a, b) for a, b in zip(tau_m, C_m, strict=True)]
        for got, want in zip(synapse.effect(0.1, tau_m, C_m), zip(*each, strict=True), strict=True):
            assert_array_equal(np.broadcast_to(got, 4), want)


def test_a_pulse_holds_the_current_for_one_step():
    assert Pulse().decay(0.1) == (0.0, 1.0, 0.0)
    c_g = Pulse().effect(0.5, 10.0, 250.0)[1]
    assert_allclose(c_g, 10 / 250 * (1 - exp(-0.05)), rtol=1e-14)  # v' = -v / 10 + 1 / 250 for 0.5 ms


def test_euler_steps_of_synaptic_states_are_one_plus_the_matrix_of_the_equations():
    assert Exponential(5.0).decay(0.1, euler=True) == (0.0, 0.1 / 5, 0.0)
    assert DoubleExponential(2.0, 5.0).decay(0.1, euler=True) == (0.1 / 5, 0.1 / 2, 0.1 / 2)


@pytest.mark.parametrize(
    ("synapse", "dt"), [(Exponential(0.5), 0.6), (Alpha(0.5), 0.6), (DoubleExponential(0.5, 9.0), 0.6)], ids=repr
)
def test_Eulers_rule_is_refused_where_a_decay_would_change_sign(synapse, dt):
    assert synapse.decay(0.5, euler=True)[1] == 1.0
    with pytest.raises(ValueError, match=r"dt must be at most the time constants.*got dt=0.6 ms and .*0.5"):
        synapse.decay(dt, euler=True)
    assert 0.0 < synapse.decay(dt)[1] < 1.0


def test_synapses_of_equal_numbers_are_equal_so_that_they_share_a_receptor():
    assert Exponential(5) == Exponential(np.float32(5.0)) and hash(Exponential(5)) == hash(Exponential(5.0))
    assert Exponential(5, reversal=-80) == Exponential(5.0, reversal=-80.0)
    assert len({Exponential(5), Exponential(6), Alpha(5), Exponential(5, reversal=0), Exponential(5, name="ge")}) == 5
    assert Delta() == Delta() and Pulse() == Pulse()


BAD_SYNAPSES = [
    (lambda: Exponential(0.0), ValueError, "tau must be above 0, got 0.0"),
    (lambda: Exponential(-5.0), ValueError, "tau must be above 0, got -5.0"),
    (lambda: Exponential(None), TypeError, "tau must be a number, got None"),
    (lambda: Exponential("5"), TypeError, "tau must be a number, got '5'"),
    (lambda: Exponential(True), TypeError, "tau must be a number, got True"),
    (lambda: Exponential(np.nan), ValueError, "tau must be finite"),
    (lambda: Exponential(np.ones(3)), TypeError, "tau must be a number"),
    (lambda: Exponential(5.0, reversal=np.inf), ValueError, "reversal must be finite"),
    (lambda: Exponential(5.0, reversal="E"), TypeError, "reversal must be a number"),
    (lambda: Exponential(5.0, name="g e"), ValueError, "name must be a word such as 'ge' or None, got 'g e'"),
    (lambda: Exponential(5.0, name=3), ValueError, "name must be a word"),
    (lambda: Pulse(name=""), ValueError, "name must be a word"),
    (lambda: Alpha(-1.0), ValueError, "tau must be above 0"),
    (lambda: DoubleExponential(0.0, 5.0), ValueError, "tau_rise must be above 0"),
    (lambda: DoubleExponential(1.0, np.inf), ValueError, "tau_decay must be finite"),
    (lambda: TsodyksMarkram(0.0, 100.0, 0.0), ValueError, r"U must lie in \(0, 1\], got 0.0"),
    (lambda: TsodyksMarkram([0.5, 1.5], 100.0, 0.0), ValueError, r"U must lie in \(0, 1\], got 1.5"),
    (lambda: TsodyksMarkram(np.nan, 100.0, 0.0), ValueError, "U must be finite"),
    (lambda: TsodyksMarkram(None, 100.0, 0.0), TypeError, "U must be a number, an array or a law, got None"),
    (lambda: TsodyksMarkram(True, 100.0, 0.0), TypeError, "U must be a number, an array or a law, got True"),
    (lambda: TsodyksMarkram([True, True], 1.0, 0.0), TypeError, "U must hold numbers, got booleans"),
    (lambda: TsodyksMarkram(0.5, Uniform, 0.0), TypeError, "tau_rec must be a number, an array or a law, got <class"),
    (lambda: TsodyksMarkram("0.5", 100.0, 0.0), TypeError, "U must hold real numbers"),
    (lambda: TsodyksMarkram(0.5, -100.0, 0.0), ValueError, "tau_rec must be at least 0 ms, got -100.0"),
    (lambda: TsodyksMarkram(0.5, 100.0, [[1.0]]), ValueError, "tau_fac must have 0 or 1 dimensions"),
    (
        lambda: TsodyksMarkram(0.5, 1.0, [1.0, 2.0]).draw(3, None),
        ValueError,
        r"tau_fac must .* shape \(3,\), got \(2,\)",
    ),
    (lambda: TsodyksMarkram(0.5, 1.0, Uniform(-2.0, -1.0)).draw(3, np.random.default_rng(0)), ValueError, "tau_fac"),
    (lambda: TsodyksMarkram(0.5, [1.0, 2.0], 1.0).responses([0.0]), ValueError, "responses needs numbers"),
    (lambda: TsodyksMarkram(0.5, 1.0, 1.0).responses([1.0, 0.0]), ValueError, "times must ascend"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD_SYNAPSES, ids=[str(i) for i in range(len(BAD_SYNAPSES))])
def test_bad_parameters_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ----------------------------------------------------------------------------------------------- short-term plasticity
@pytest.mark.parametrize("row", SHORT_TERM, ids=lambda row: f"U{row.U}")
def test_responses_to_regular_spikes_are_the_published_ones(row):  # F27
    got = TsodyksMarkram(row.U, row.tau_rec, row.tau_fac).responses(50.0 * np.arange(600))
    assert_array_equal(got[:4].round(6), row.first)
    assert_allclose(got[-1], row.limit, atol=6e-11)  # ten decimals


def test_a_synapse_that_recovers_at_once_and_is_not_facilitated_always_acts_with_U():
    assert_array_equal(TsodyksMarkram(0.3, 0.0, 0.0).responses([0.0, 1e-9, 5.0]), 0.3)


def test_parameters_are_drawn_per_synapse_in_the_order_U_recovery_facilitation():
    plastic = TsodyksMarkram(Uniform(0.2, 0.4), 100.0, Uniform(10.0, 20.0))
    U, tau_rec, tau_fac = plastic.draw(5, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    assert_array_equal(U, rng.uniform(0.2, 0.4, 5))
    assert_array_equal(tau_rec, 100.0)
    assert_array_equal(tau_fac, rng.uniform(10.0, 20.0, 5))
    values = np.linspace(0.1, 0.5, 5)
    assert_array_equal(TsodyksMarkram(values, 1.0, 0.0).draw(5, None)[0], values)


def test_short_term_parameters_are_copies_that_cannot_be_changed():
    values = np.array([0.1, 0.2])
    plastic = TsodyksMarkram(values, 1.0, 0.0)
    values[0] = 0.9
    assert plastic.U[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        plastic.U[0] = 0.5


# ------------------------------------------------------------------------------------------ potentials of one synapse
def one_synapse(synapse, weight, *, dt, duration, tau_m=20.0, C_m=200.0, timing="nest", delay=1, variable="v", **lif):
    """The course of `variable` from the arrival of a spike on: at 0, dt, 2 dt, … (ms) after it."""
    net = Network(dt=dt, timing=timing)
    source = net.add(SpikeSource(1, [0], [dt if timing == "nest" else 0.0]))
    settings = {"E_L": 0.0, "V_th": 1e6, "V_reset": -1.0, "t_ref": 0.0} | lif
    cell = net.add(LIF(1, tau_m=tau_m, C_m=C_m, **settings), name="cell")
    net.connect(source, cell, synapse, one_to_one(), weight=weight, delay=delay * dt)
    net.record(cell, variable, every=dt)
    n = round(duration / dt)  # the arrival ends step `delay`, in both conventions
    return net.run((n + 1 + delay) * dt, progress=False).states["cell", variable].values[delay:, 0]


def delta_psp(w, t, tau_m, C_m):
    return w * np.exp(-t / tau_m)


def exponential_psp(w, t, tau_m, C_m, tau):
    if tau == tau_m:
        return w / C_m * t * np.exp(-t / tau)
    return w * tau_m * tau / (C_m * (tau_m - tau)) * (np.exp(-t / tau_m) - np.exp(-t / tau))


def alpha_psp(w, t, tau_m, C_m, tau):
    if tau == tau_m:
        return w * e / C_m * t**2 / (2 * tau) * np.exp(-t / tau)
    rate = 1 / tau - 1 / tau_m
    return w * e / (tau * C_m) * ((np.exp(-t / tau_m) - np.exp(-t / tau)) / rate**2 - t * np.exp(-t / tau) / rate)


def double_psp(w, t, tau_m, C_m, tau_rise, tau_decay):
    peak = tau_rise * tau_decay / (tau_decay - tau_rise) * log(tau_decay / tau_rise)
    scale = 1 / (exp(-peak / tau_decay) - exp(-peak / tau_rise))
    slow, fast = (exponential_psp(w, t, tau_m, C_m, tau) for tau in (tau_decay, tau_rise))
    return scale * (slow - fast)


PSPS = {
    "delta": (Delta(), 1.5, delta_psp),
    "exponential": (Exponential(5.0), 16.2, lambda *a: exponential_psp(*a, 5.0)),
    "slower than the membrane": (Exponential(50.0), -16.2, lambda *a: exponential_psp(*a, 50.0)),
    "as slow as the membrane": (Exponential(20.0), 16.2, lambda *a: exponential_psp(*a, 20.0)),
    "alpha": (Alpha(2.0), 30.0, lambda *a: alpha_psp(*a, 2.0)),
    "alpha as slow as the membrane": (Alpha(20.0), 30.0, lambda *a: alpha_psp(*a, 20.0)),
    "double": (DoubleExponential(1.0, 7.0), 30.0, lambda *a: double_psp(*a, 1.0, 7.0)),
    "double as slow as the membrane": (DoubleExponential(3.0, 20.0), 30.0, lambda *a: double_psp(*a, 3.0, 20.0)),
}


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("dt", [0.1, 0.3, 2.0])
@pytest.mark.parametrize("name", PSPS)
def test_potentials_lie_on_the_closed_forms_at_every_step(name, dt, timing):  # F6, F8, F9
    synapse, weight, closed_form = PSPS[name]
    got = one_synapse(synapse, weight, dt=dt, duration=60.0, timing=timing)
    want = closed_form(weight, dt * np.arange(got.size), 20.0, 200.0)
    assert_allclose(got, want, atol=1e-12 * np.abs(want).max(), rtol=0)


@pytest.mark.parametrize("delay", [0, 1, 37])
@pytest.mark.parametrize("name", ["delta", "exponential", "alpha", "double"])
def test_a_delay_shifts_the_potential_and_changes_nothing_else(name, delay):
    synapse, weight, _ = PSPS[name]
    first = one_synapse(synapse, weight, dt=0.1, duration=10.0, timing="nest", delay=1)
    assert_array_equal(one_synapse(synapse, weight, dt=0.1, duration=10.0, timing="brian2", delay=delay), first)
    if delay:
        assert_array_equal(one_synapse(synapse, weight, dt=0.1, duration=10.0, timing="nest", delay=delay), first)


PEAKS = [  # tau_m, C_m, synapse, weight, published peak for that weight
    (10.0, 250.0, Exponential(0.5), 1.0, PSP_EXPONENTIAL),  # F6
    (20.0, 1.0, Alpha(0.5), 1.0, PSP_ALPHA),  # F8
    (20.0, 200.0, Exponential(5.0), 10.0, PSP_EXCITATORY),  # F7: 10 pA are 1 mV of the leak of 10 nS
    (20.0, 200.0, Exponential(10.0), 10.0, PSP_INHIBITORY),
    (20.0, 200.0, Exponential(5.0), 16.2, PSP_CUBA[0]),  # section 9.1: 1.62 mV and -9 mV
    (20.0, 200.0, Exponential(10.0), -90.0, PSP_CUBA[1]),
]


@pytest.mark.parametrize("case", PEAKS, ids=["F6", "F8", "F7 excitatory", "F7 inhibitory", "CUBA e", "CUBA i"])
def test_peaks_of_potentials_are_the_published_ones(case):
    tau_m, C_m, synapse, weight, (time, size) = case
    digits = max(len(str(number).split(".")[1]) for number in (abs(size),))
    trace = one_synapse(synapse, weight, dt=time / 64, duration=1.5 * time, tau_m=tau_m, C_m=C_m)
    assert np.argmax(np.abs(trace)) == 64
    assert_allclose(trace[64], size, atol=0.6 * 10.0**-digits, rtol=1e-10)  # all printed digits


def test_peaks_have_the_closed_forms_of_exponential_and_alpha_currents():
    tau_m, tau, C_m = 10.0, 0.5, 250.0
    time = tau_m * tau / (tau_m - tau) * log(tau_m / tau)
    trace = one_synapse(Exponential(tau), 1.0, dt=time / 16, duration=time, tau_m=tau_m, C_m=C_m)
    assert_allclose(trace[16], tau / C_m * (tau / tau_m) ** (tau / (tau_m - tau)), rtol=1e-12)
    assert_allclose(1 / trace[16] * 0.15, 87.8084935, rtol=1e-9)  # the weight that makes 0.15 mV
    a, tau_m, C_m = 40.0, 20.0, 1.0
    time = (-a * scipy.special.lambertw(-exp(-1 / a) / a, -1).real - 1) / (a * (1 / tau - 1 / tau_m))
    trace = one_synapse(Alpha(tau), 1.0, dt=time / 16, duration=2 * time, tau_m=tau_m, C_m=C_m)
    assert_allclose(trace[16], PSP_ALPHA.size, rtol=1e-10)
    assert_allclose(time, PSP_ALPHA.time, rtol=1e-10)
    trace = one_synapse(Exponential(20.0), 3.0, dt=2.5, duration=60.0, tau_m=20.0, C_m=200.0)  # F9: at tau, w tau / C e
    assert np.argmax(trace) == 8
    assert_allclose(trace[8], 3.0 * 20 / (200 * e), rtol=1e-13)


def test_potentials_do_not_depend_on_the_step():  # F10: 1e-13 over short runs, with a constant current on top
    def trace(dt):
        net = Network(dt=dt, timing="nest")
        source = net.add(SpikeSource(3, [0, 1, 2, 0, 1, 2], [1.0, 2.0, 3.0, 4.0, 4.0, 5.0]))
        cell = net.add(
            LIF(1, tau_m=10.0, C_m=250.0, E_L=0.0, V_reset=-1.0, V_th=1e6, I_e=300.0, t_ref=0.0), name="cell"
        )
        for i, synapse in enumerate((Exponential(2.0), Alpha(0.5), DoubleExponential(1.0, 8.0))):
            net.connect(source[i : i + 1], cell, synapse, all_to_all(), weight=400.0, delay=1.0)
        net.record(cell, "v", every=1.0)
        return net.run(12.0, progress=False).states["cell", "v"].values[:, 0]

    whole = trace(1.0)
    assert whole.max() > 8.0
    for halvings in range(1, 14):
        assert_allclose(trace(2.0**-halvings), whole, rtol=1e-13)


def test_time_constants_that_cross_the_membranes_give_potentials_that_cross_smoothly():  # F9, whole traces
    want = exponential_psp(10.0, 0.1 * np.arange(201), 10.0, 250.0, 10.0)
    for offset in [sign * 10.0**-k for k in (10, 8, 6, 4, 3) for sign in (-1, 1)]:
        got = one_synapse(Exponential(10.0 * (1 + offset)), 10.0, dt=0.1, duration=20.0, tau_m=10.0, C_m=250.0)
        assert np.abs(got - want).max() < (1.5 * abs(offset) + 1e-13) * want.max()  # |dV/dlog tau| is below V's peak


# ------------------------------------------------------------------------------------------------------- conductances
CONDUCTANCES = {
    "exponential": Exponential(5.0, reversal=0.0),
    "inhibition": Exponential(10.0, reversal=-80.0),
    "alpha": Alpha(2.0, reversal=0.0),
    "double": DoubleExponential(1.0, 7.0, reversal=0.0),
}


def conductance_reference(synapse, weight, times):
    """The potential by SciPy's solver, from the closed form of the conductance."""

    def g(t):
        if isinstance(synapse, Exponential):
            return weight * exp(-t / synapse.tau)
        if isinstance(synapse, Alpha):
            return weight * e * t / synapse.tau * exp(-t / synapse.tau)
        r, d = synapse.tau_rise, synapse.tau_decay
        peak = r * d / (d - r) * log(d / r)
        return weight * (exp(-t / d) - exp(-t / r)) / (exp(-peak / d) - exp(-peak / r))

    def slope(t, v):
        return (10.0 * (-60.0 - v) + g(t) * (synapse.reversal - v)) / 200.0

    solution = scipy.integrate.solve_ivp(slope, (0, times[-1]), [-60.0], t_eval=times, rtol=1e-11, atol=1e-11)
    return solution.y[0]


def conductance_error(synapse, dt, integrator):
    trace = one_synapse(synapse, 6.0, dt=dt, duration=30.0, E_L=-60.0, V_reset=-70.0, integrator=integrator)
    want = conductance_reference(synapse, 6.0, dt * np.arange(trace.size))
    return np.abs(trace - want).max() / np.abs(want + 60).max()


@pytest.mark.parametrize("integrator", ["exact", "euler"])  # with conductances, "exact" is exponential Euler
@pytest.mark.parametrize("name", CONDUCTANCES)
def test_conductances_converge_to_the_solution_of_scipy_with_first_order(name, integrator):
    errors = [conductance_error(CONDUCTANCES[name], dt, integrator) for dt in (0.1, 0.05, 0.025)]
    assert errors[-1] < 0.02
    assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.06)
    assert conductance_error(CONDUCTANCES[name], 0.001, integrator) < 1.1 * errors[-1] / 25


def test_conductances_themselves_are_exact():
    for name, synapse in CONDUCTANCES.items():
        coarse = one_synapse(synapse, 6.0, dt=0.5, duration=30.0, E_L=-60.0, V_reset=-70.0, variable="g")
        fine = one_synapse(synapse, 6.0, dt=0.125, duration=30.0, E_L=-60.0, V_reset=-70.0, variable="g")
        assert_allclose(coarse, fine[::4], rtol=1e-13, atol=1e-300, err_msg=name)


# ------------------------------------------------------------------------------------------------- Poisson input: F11
def poisson_statistics(synapse, weight, variable):
    """Mean and variance of a state under Poisson spikes of 1000 Hz, with their standard errors over neurons."""
    n, dt, duration, skip = 400, 0.1, 1000.0, 200
    counts = np.random.default_rng(11).random((round(duration / dt) - 1, n)) < dt  # 1 per ms, at most one per step
    steps, ids = np.nonzero(counts)
    net = Network(dt=dt, timing="nest")
    source = net.add(SpikeSource(n, ids, dt * (steps + 1)))
    cells = net.add(LIF(n, tau_m=10.0, C_m=250.0, E_L=0.0, V_th=1e6, V_reset=-1.0, t_ref=0.0), name="cells")
    net.connect(source, cells, synapse, one_to_one(), weight=weight, delay=dt)
    net.record(cells, variable, every=0.5)
    values = net.run(duration, progress=False).states["cells", variable].values[2 * skip :]
    means = values.mean(0)
    squares = ((values - means.mean()) ** 2).mean(0)
    return means.mean(), means.std() / sqrt(n), squares.mean(), squares.std() / sqrt(n)


NU, DT = 1.0, 0.1  # per ms, ms
THIN = 1 - NU * DT  # variance of the count of a step over its mean: a step holds at most one spike
CAMPBELL = {  # mean and variance of shot noise; a jump sampled on the grid counts half a step more
    "delta": (Delta(), 0.5, "v", 0.5 * 10 * (1 + DT / 20), 0.25 * 10 / 2 * (1 + DT / 10)),
    "exponential current": (Exponential(5.0), 30.0, "g", 30 * 5 * (1 + DT / 10), 900 * 5 / 2 * (1 + DT / 5)),
    "exponential": (Exponential(5.0), 30.0, "v", 30 * 10 / 250 * 5, (30 * 10 / 250) ** 2 * 5**2 / (2 * (5 + 10))),
    "alpha": (Alpha(2.0), 30.0, "v", 10 / 250 * 30 * 2 * e, None),
}


@pytest.mark.parametrize("name", CAMPBELL)
def test_poisson_input_has_the_mean_and_variance_of_campbells_theorem(name):
    synapse, weight, variable, mean, variance = CAMPBELL[name]
    got_mean, mean_error, got_variance, variance_error = poisson_statistics(synapse, weight, variable)
    assert mean_error < 0.003 * mean
    assert abs(got_mean - NU * mean) < 4 * mean_error
    if variance is not None:
        assert variance_error < 0.02 * variance
        assert abs(got_variance - THIN * NU * variance) < 4 * variance_error


# --------------------------------------------------------------------------------- short-term plasticity in a network
@pytest.mark.parametrize("row", SHORT_TERM, ids=lambda row: f"U{row.U}")
def test_currents_after_regular_spikes_of_20_Hz_are_the_published_ones(row):  # F27, in a network
    net = Network(dt=1.0, timing="nest")
    source = net.add(SpikeSource(1, np.zeros(400, int), 50.0 * np.arange(1, 401)))
    cell = net.add(LIF(1, V_th=1e6, t_ref=0.0), name="cell")
    rule = TsodyksMarkram(row.U, row.tau_rec, row.tau_fac)
    net.connect(source, cell, Pulse(name="i"), all_to_all(), weight=3.0, delay=1.0, short_term=rule)
    net.record(cell, "i", every=1.0)
    current = net.run(20_002.0, progress=False).states["cell", "i"].values[:, 0]
    assert np.count_nonzero(current) == 400
    got = current[50::50] / 3.0  # spikes at 50, 100, … arrive 1 ms later: the state after steps 51, 101, …
    assert_array_equal(got[:4].round(6), row.first)
    keep_rec, keep_fac = exp(-50 / row.tau_rec), exp(-50 / row.tau_fac) if row.tau_fac else 0.0
    u = row.U / (1 - (1 - row.U) * keep_fac)
    limit = u * (1 - keep_rec) / (1 - (1 - u) * keep_rec)
    assert_allclose(got[-1], limit, rtol=1e-9)
    assert_allclose(got[-1], row.limit, atol=6e-11)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_plastic_synapses_with_parameters_of_their_own_follow_a_plain_loop(timing):
    rng = np.random.default_rng(5)
    n_pre, n_post, dt, n_steps, shift = 4, 3, 0.5, 3000, int(timing == "nest")
    fired = rng.random((n_steps - 20, n_pre)) < 0.05
    U, tau_rec, tau_fac = rng.uniform(0.05, 0.9, 12), rng.uniform(0.0, 500.0, 12), rng.uniform(0.0, 500.0, 12)
    tau_fac[3] = tau_rec[5] = 0.0
    weight, delay = rng.uniform(-20.0, 50.0, 12), rng.integers(shift, 9, 12)
    net = Network(dt=dt, timing=timing)
    steps, ids = np.nonzero(fired)
    source = net.add(SpikeSource(n_pre, ids, dt * (steps + shift)))
    cells = net.add(LIF(n_post, V_th=1e6, t_ref=0.0), name="cells")
    rule = TsodyksMarkram(U, tau_rec, tau_fac)
    net.connect(source, cells, Exponential(4.0), all_to_all(), weight=weight, delay=dt * delay, short_term=rule)
    net.record(cells, "g")
    runs = [net.run(t, progress=False).states["cells", "g"].values for t in (100.0, 0.5, n_steps * dt - 100.5)]

    g, jumps = np.zeros(n_post), np.zeros((n_steps + 10, n_post))
    for s in range(12):
        R, u, last = 1.0, U[s], None
        for k in np.flatnonzero(fired[:, s // n_post]):
            if last is not None:
                passed = (k - last) * dt
                R = 1 + (R - R * u - 1) * (exp(-passed / tau_rec[s]) if tau_rec[s] else 0.0)
                u = U[s] + u * (1 - U[s]) * (exp(-passed / tau_fac[s]) if tau_fac[s] else 0.0)
            last = k
            jumps[k + delay[s], s % n_post] += R * u * weight[s]
    want = []
    for k in range(n_steps):
        g = g * exp(-dt / 4.0) + jumps[k]
        want.append(g)
    assert_allclose(np.concatenate(runs), want, atol=1e-12 * np.abs(want).max(), rtol=0)


def test_a_plastic_synapse_is_fresh_again_after_reset():
    net = Network(dt=0.5)
    source = net.add(SpikeSource(1, [0, 0, 0], [1.0, 6.0, 9.0]))
    cell = net.add(LIF(1, V_th=1e6, t_ref=0.0), name="cell")
    net.connect(source, cell, Exponential(4.0), all_to_all(), weight=3.0, short_term=TsodyksMarkram(0.5, 100.0, 50.0))
    net.record(cell, "g")
    first = net.run(20.0, progress=False).states["cell", "g"].values
    net.reset()
    assert_array_equal(net.run(20.0, progress=False).states["cell", "g"].values, first)


# ------------------------------------------------------------------------------------------------ delta, shared states
@pytest.mark.parametrize(("timing", "held"), [("brian2", 4), ("nest", 5)])
def test_jumps_are_lost_while_the_potential_is_held(timing, held):
    # a spike by the initial potential in step 0, t_ref of 5 steps: updates 1 to ref - 1 (brian2) or ref (nest) are held
    shift = int(timing == "nest")
    for k in range(9):
        net = Network(dt=0.1, timing=timing)
        source = net.add(SpikeSource(1, [0], [0.1 * (k + shift)]))
        cell = net.add(LIF(1, tau_m=10.0, E_L=0.0, V_th=10.0, V_reset=0.0, t_ref=0.5), name="cell", v=20.0)
        net.connect(source, cell, Delta(), all_to_all(), weight=5.0, delay=0.1)
        net.record(cell, "v")
        v = net.run(1.5, progress=False).states["cell", "v"].values[:, 0]
        arrival = k + 1
        want = np.where(np.arange(15) >= arrival, 5.0 * exp(0.01) ** (arrival - np.arange(15.0)), 0.0)
        assert_allclose(v, want if arrival > held else 0.0, rtol=1e-13, atol=1e-15)


def test_equal_synapses_share_one_state_and_others_get_names_in_order():
    net = Network(dt=0.1)
    source = net.add(SpikeSource(2, [0, 1], [0.0, 0.0]))
    cell = net.add(LIF(1, V_th=1e6), name="cell")
    for synapse in (Exponential(5.0), Exponential(5), Alpha(2.0), Exponential(5.0, name="slow"), Alpha(2.0)):
        net.connect(source, cell, synapse, all_to_all(), weight=1.0)
    net.run(0.1, progress=False)
    assert [net.get(cell, name)[0] for name in ("g", "g2", "slow")] == [4.0, 0.0, 2.0]
    assert_allclose(net.get(cell, "g2_x"), 4 * e, rtol=1e-15)
