"""Siegert's formula against numbers of other programs, mpmath, direct simulation and its limits; populations too."""

import mpmath
import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from published import PD14, PD14_MEAN_FIELD_DC, PD14_MEAN_FIELD_POISSON

from penstock.spiking import LIF, Network, cv, lif_rate, mean_field_rates, siegert_cv, siegert_rate

NEURON = dict(tau_m=10.0, V_th=15.0, V_reset=0.0, t_ref=2.0)
BRUNEL = dict(tau_m=20.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
NAMES = ("mu", "sigma", "tau_m", "V_th", "V_reset", "t_ref")


def exact_rate(mu, sigma, tau_m, V_th, V_reset, t_ref):
    """Siegert's formula by adaptive quadrature with 20 digits."""
    with mpmath.workdps(20):
        low, high = ((mpmath.mpf(V) - mpmath.mpf(mu)) / mpmath.mpf(sigma) for V in (V_reset, V_th))
        breaks = {low, high, *(mpmath.mpf(x) for x in (-1000, -100, -30, -10, -3, -1, 0, 1, 3, 10) if low < x < high)}
        if high > 1:  # nearly all of the integral lies within a few 1 / high of the upper end
            breaks |= {high - k / high for k in (1, 5, 20, 50) if high - k / high > low}
        integral = mpmath.quad(lambda x: mpmath.exp(x**2) * mpmath.erfc(-x), sorted(breaks))
        return 1000 / (t_ref + tau_m * mpmath.sqrt(mpmath.pi) * integral)


# Constant drive


def test_constant_drive_gives_the_closed_form_rates():
    assert_allclose(lif_rate(22.5, **NEURON), 77.005278, atol=5e-7)
    assert_allclose(lif_rate(1.2, tau_m=10.0, V_th=1.0, V_reset=0.0, t_ref=0.0), 1e3 / (10 * np.log(6)), rtol=1e-14)
    assert_allclose(1e3 / lif_rate(1.2, tau_m=10.0, V_th=1.0, V_reset=0.0, t_ref=0.0), 17.917595, atol=5e-7)


def test_constant_drive_at_or_below_threshold_gives_no_spikes():
    assert lif_rate([-1e9, 0.0, 14.9, 15.0], **NEURON).tolist() == [0.0] * 4
    assert lif_rate(np.nextafter(15.0, 16.0), **NEURON) > 0


def test_a_very_strong_drive_is_limited_by_refractoriness_alone():
    assert lif_rate(1e300, **NEURON) == siegert_rate(1e300, 1.0, **NEURON) == siegert_rate(0.0, 1e300, **NEURON) == 500


# Siegert's formula


def test_siegert_gives_the_numbers_stored_by_nest():
    assert_allclose(siegert_rate(15.0, 1.5**0.5, **NEURON), 27.1095934379, rtol=1e-11)
    assert_allclose(siegert_rate(22.5, 0.015, **NEURON), 77.00533048, rtol=1e-10)


@settings(deadline=None, max_examples=15)
@given(
    st.floats(-1000, 1000).map(lambda x: round(x, 3)),
    st.floats(-2, 3),
    st.floats(1, 50),
    st.floats(-5, 2),
    st.sampled_from([0.0, 2.0]),
)
def test_siegert_agrees_with_twenty_digits_at_any_drive(mu, log_sigma, tau_m, log_width, t_ref):
    arguments = dict(zip(NAMES, (mu, 10**log_sigma, tau_m, 15.0, 15.0 - 10**log_width, t_ref), strict=True))
    y_th = (15.0 - mu) / arguments["sigma"]
    got = siegert_rate(**arguments)
    if y_th > 26:  # rates below 1e-290 Hz, where float64 ends
        assert 0 <= got < 1e-280
        return
    exact = exact_rate(**arguments)
    # the rounding of the arguments themselves: exp(y^2) makes 2 y^2 of it, a narrow range 1 / width
    rounding = 2.2e-16 * (2 * max(y_th, 0) ** 2 + 15 / 10**log_width)
    assert abs(float(got / exact - 1)) < 1e-12 + 4 * rounding


def test_the_formula_covers_thirty_decades_of_rates():
    """From 1e-12 Hz to 400 Hz and beyond, at fixed points of that range."""
    for mu in (-60.0, -10.0, 4.0, 10.0, 15.0, 30.0, 50.0, 200.0, 1000.0):
        assert_allclose(siegert_rate(mu, 3.0, **NEURON), float(exact_rate(mu, 3.0, **NEURON)), rtol=1e-12)
    assert siegert_rate(-10.0, 3.0, **NEURON) < 1e-25 and siegert_rate(1000.0, 3.0, **NEURON) > 400


@pytest.mark.parametrize("mu", [15.5, 22.5, 100.0, 1e6])
def test_without_noise_siegert_is_the_constant_drive_rate(mu):
    exact = lif_rate(mu, **NEURON)
    assert siegert_rate(mu, 0.0, **NEURON) == exact
    # the first correction is of order (sigma / (mu - V_th))^2
    for sigma in (1e-8, 1e-30, 1e-200, 5e-324):
        assert_allclose(siegert_rate(mu, sigma, **NEURON), exact, rtol=1e-13)


def test_without_noise_nothing_fires_below_threshold():
    assert siegert_rate([-1e300, 0.0, 14.999], [[0.0], [1e-5], [1e-200]], **NEURON).max() < 1e-40


@settings(deadline=None, max_examples=40)
@given(st.floats(-50, 50), st.floats(0.05, 20), st.floats(0.01, 5))
def test_siegert_grows_with_the_drive_and_shrinks_with_the_threshold(mu, sigma, step):
    base = siegert_rate(mu, sigma, **NEURON)
    for more in (siegert_rate(mu + step, sigma, **NEURON), siegert_rate(mu, sigma, **NEURON | {"V_th": 15 - step})):
        assert more > base or more == base == 0
    assert siegert_rate(mu, sigma, **NEURON | {"t_ref": 2 + step}) <= base


@settings(deadline=None, max_examples=40)
@given(st.floats(-50, 50), st.floats(0.05, 20), st.floats(-70, 70))
def test_only_differences_of_potentials_matter(mu, sigma, shift):
    moved = siegert_rate(mu + shift, sigma, tau_m=10.0, V_th=15.0 + shift, V_reset=shift, t_ref=2.0)
    # y moves by up to 1e-14 / sigma, which exp(y^2) takes 2 y times
    assert_allclose(
        moved, siegert_rate(mu, sigma, **NEURON), rtol=1e-12 + 1e-13 * (15 - mu) ** 2 / sigma**2, atol=1e-290
    )


def test_arrays_broadcast_and_numbers_stay_numbers():
    grid = siegert_rate(np.linspace(5, 25, 5)[:, None], [1.0, 2.0, 4.0], **NEURON)
    assert grid.shape == (5, 3) and isinstance(siegert_rate(5, 1, **NEURON), float)
    assert grid[2, 1] == siegert_rate(15.0, 2.0, **NEURON)
    assert siegert_cv(np.full((2, 3), 15.0), 1.0, **NEURON).shape == (2, 3)


# Corrections


def test_grid_correction_gives_the_monte_carlo_rate():
    """Exact Ornstein-Uhlenbeck steps of 0.1 ms gave 26.341 Hz and a CV of 0.309; uncorrected theory says 27.11."""
    corrected = siegert_rate(15.0, 1.5**0.5, dt=0.1, **NEURON)
    assert_allclose(corrected, 26.347, atol=5e-4)
    assert_allclose(corrected, 26.341, rtol=1e-3)
    assert_allclose(siegert_cv(15.0, 1.5**0.5, dt=0.1, **NEURON), 0.3101, atol=5e-5)


@pytest.mark.parametrize("mu", [-5.0, 14.0, 40.0])
def test_grid_correction_lifts_the_threshold(mu):
    shift = -mpmath.zeta(0.5) / mpmath.sqrt(2 * mpmath.pi)
    lifted = NEURON | {"V_th": 15 + float(shift) * 1.2 * np.sqrt(0.05 / 10)}
    assert_allclose(siegert_rate(mu, 1.2, dt=0.05, **NEURON), siegert_rate(mu, 1.2, **lifted), rtol=1e-11)


def test_coloured_noise_lifts_both_limits():
    shift = 1.3 * np.sqrt(0.5 / 10) * 2.0652531522 / 2
    lifted = NEURON | {"V_th": 15 + shift, "V_reset": shift}
    assert_allclose(siegert_rate(14.0, 1.3, tau_syn=0.5, **NEURON), siegert_rate(14.0, 1.3, **lifted), rtol=1e-9)


# Variability


def test_interval_cv_matches_the_reference():
    assert_allclose(siegert_cv(15.0, 1.5**0.5, **NEURON), 0.3007, atol=5e-5)


@pytest.mark.parametrize("mu, sigma, V_reset", [(10.0, 8.0, 9.0), (20.0, 2.0, 10.0), (40.0, 3.0, 0.0)])
def test_interval_cv_is_the_double_integral(mu, sigma, V_reset):
    def integrand(y, x):  # exp(x^2) exp(y^2) erfc(-y)^2, which vanishes 20 / (1 + |x|) below x
        return np.exp(x**2 - y**2) * scipy.special.erfcx(-y) ** 2

    limits = (V_reset - mu) / sigma, (15.0 - mu) / sigma
    integral, _ = scipy.integrate.dblquad(integrand, *limits, lambda x: x - 20 / (1 + abs(x)), lambda x: x)
    rate = float(exact_rate(mu, sigma, **NEURON | {"V_reset": V_reset})) / 1e3
    expected = np.sqrt(2 * np.pi * integral) * rate * 10.0
    assert_allclose(siegert_cv(mu, sigma, **NEURON | {"V_reset": V_reset}), expected, rtol=1e-7)  # of this quadrature


def test_rare_spikes_are_a_poisson_process():
    assert_allclose(siegert_cv([-1e6, -300.0, -20.0, 0.0], 1.0, **NEURON), 1.0, rtol=1e-12)


def test_weak_noise_makes_cv_proportional_to_it():
    """CV = rate tau sigma sqrt((1/(mu - V_th)^2 - 1/(mu - V_reset)^2) / 2), by linear noise around the free course."""
    sigma = np.array([1e-4, 1e-6, 1e-8, 1e-40])
    slope = lif_rate(22.5, **NEURON) * 1e-3 * 10 * np.sqrt((1 / 7.5**2 - 1 / 22.5**2) / 2)
    assert_allclose(siegert_cv(22.5, sigma, **NEURON), slope * sigma, rtol=1e-8)
    assert siegert_cv(22.5, 0.0, **NEURON) == 0 and np.isnan(siegert_cv(15.0, 0.0, **NEURON))


@pytest.mark.slow
def test_a_simulated_noisy_population_fires_as_corrected_theory_says():
    """1 % and four standard errors, over neurons; without the correction the theory is 3 % off."""
    for mu, sigma in ((15.0, 1.5**0.5), (12.0, 4.0)):
        net = Network(dt=0.1, seed=5)
        cells = net.add(LIF(400, E_L=mu, C_m=1.0, sigma=sigma, **NEURON), name="cells", v=0.0)
        net.record(cells, "spikes")
        trains = net.run(5200.0, progress=False).spikes["cells"].between(200.0, 5200.0)
        # refractory for 20 steps: potential held for 19, so that an interval is one step shorter than 2 ms + passage
        expected = siegert_rate(mu, sigma, dt=0.1, **NEURON | {"t_ref": 1.9})
        rates = trains.spike_counts / 5.0
        assert rates.std(ddof=1) / 20 < 0.004 * expected
        assert_allclose(rates.mean(), expected, rtol=0.01)
        assert_allclose(np.nanmean(cv(trains)), siegert_cv(mu, sigma, dt=0.1, **NEURON), rtol=0.03)


# Populations


def brunel_field(V_reset, **more):
    g = 5.0
    settings = (
        BRUNEL | dict(external_in_degrees=1000, external_weights=0.1, external_rates=20.0, V_reset=V_reset) | more
    )
    return mean_field_rates([[1000, 250]] * 2, [[0.1, -0.1 * g]] * 2, **settings)


@pytest.mark.parametrize("V_reset, rate", [(0.0, 32.03), (10.0, 37.95)])
def test_brunel_network_has_its_mean_field_rate_in_both_populations(V_reset, rate):
    field = brunel_field(V_reset)
    assert field.converged and field.residual < 1e-9
    assert_allclose(field.rates, rate, atol=5e-3)
    assert_allclose(field.mu, 20e-3 * 1000 * 0.1 * (20 - 0.25 * field.rates), rtol=1e-12)
    assert_allclose(field.sigma**2, 20e-3 * 1000 * 0.01 * (20 + 7.25 * field.rates), rtol=1e-12)
    assert_allclose(field.cv, siegert_cv(field.mu, field.sigma, **BRUNEL | {"V_reset": V_reset}), rtol=1e-12)


@pytest.mark.parametrize("poisson, rates", [(True, PD14_MEAN_FIELD_POISSON), (False, PD14_MEAN_FIELD_DC)])
def test_microcircuit_has_the_mean_field_rates_of_the_reference(poisson, rates):
    N, p, K_ext = (np.array(PD14[name]) for name in ("sizes", "probabilities", "external_in_degrees"))
    K = np.log(1 - p) / np.log(1 - 1 / np.outer(N, N)) / N[:, None]
    w = 87.8085 * np.tile([1.0, -4.0], (8, 4))
    w[0, 2] *= 2
    neuron = dict(tau_m=10.0, tau_syn=0.5, C_m=250.0, E_L=-65.0, V_reset=-65.0, V_th=-50.0, t_ref=2.0)
    drive = dict(external_in_degrees=K_ext, external_weights=87.8085, external_rates=8.0)
    field = mean_field_rates(K, w, **neuron, **(drive if poisson else dict(I_e=87.8085 * K_ext * 8e-3 * 0.5)))
    assert field.converged
    assert_allclose(field.rates, rates, atol=6e-4)  # printed with three decimals


def test_weights_in_pA_of_short_currents_are_jumps_of_their_charge():
    """In the limit of short currents the charge tau_syn w / C_m is all that counts."""
    tau_syn, C_m = 1e-12, 200.0
    drive = dict(external_in_degrees=1000, external_weights=0.1 * C_m / tau_syn, external_rates=20.0)
    weights = np.array([[0.1, -0.5]] * 2) * C_m / tau_syn
    currents = mean_field_rates([[1000, 250]] * 2, weights, C_m=C_m, tau_syn=tau_syn, **drive, **BRUNEL)
    assert_allclose(currents.rates, brunel_field(10.0).rates, rtol=1e-5)  # sqrt(tau_syn / tau_m) = 2e-7 of colour


def test_unconnected_populations_fire_as_single_neurons():
    E_L = np.array([5.0, 15.0, 30.0])
    field = mean_field_rates(np.zeros((3, 3)), np.zeros((3, 3)), E_L=E_L, **NEURON)
    assert_allclose(field.rates, lif_rate(E_L, **NEURON), rtol=1e-12)
    field = mean_field_rates(
        [[0.0]], [[0.0]], I_e=375.0, C_m=250.0, E_L=7.5, **NEURON
    )  # 375 pA * 10 ms / 250 pF = 15 mV
    assert_allclose(field.rates, 77.005278, rtol=1e-8)


def test_start_decides_between_two_states_of_strong_excitation():
    def rate(initial):
        drive = dict(external_in_degrees=1000, external_weights=0.1, external_rates=5.0, initial=initial)
        field = mean_field_rates([[1000, 250]] * 2, [[0.1, -0.3]] * 2, **BRUNEL, **drive)
        assert field.converged
        return field.rates[0]

    assert rate(0.0) < 1e-6
    assert_allclose(rate(400.0), 293.84, atol=0.01)
    unstable = 17.34  # where the response crosses the diagonal from below
    assert rate(unstable - 1.0) < 1e-6 and rate(unstable + 1.0) > 290


def test_a_field_is_read_as_a_table_a_row_per_population():
    field = mean_field_rates(np.zeros((2, 2)), np.zeros((2, 2)), E_L=[7.5, 22.5], **NEURON)
    head, names, first, second = repr(field).splitlines()
    assert head.startswith("MeanField: converged") and names.split() == "rate, Hz mu, mV sigma, mV CV".split()
    assert first.split() == ["0", "0", "7.5", "0", "nan"] and second.split() == ["1", "77.01", "22.5", "0", "0.000"]


# What is refused


@pytest.mark.parametrize("function", [lif_rate, siegert_rate, siegert_cv])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [None, "15", np.nan, np.inf, True, [1.0, np.nan], object()])
def test_what_is_no_finite_number_is_refused(function, name, value):
    arguments = dict(mu=15.0, sigma=1.0, **NEURON)
    if function is lif_rate:
        arguments.pop("sigma")
    if name in arguments:
        with pytest.raises((ValueError, TypeError), match=name):
            function(**arguments | {name: value})


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(sigma=-1.0), "sigma must be at least 0"),
        (dict(tau_m=0.0), "tau_m must be above 0 ms"),
        (dict(t_ref=-0.1), "t_ref must be at least 0"),
        (dict(tau_syn=-1.0), "tau_syn must be at least 0"),
        (dict(V_reset=15.0), "V_reset must be below V_th, got V_reset=15 and V_th=15"),
        (dict(mu=[1.0, 2.0], sigma=[1.0, 2.0, 3.0]), r"broadcast, got mu \(2,\), sigma \(3,\)"),
        (dict(dt=0.0), "dt must be"),
        (dict(dt=[0.1, 0.2]), "dt must be"),
        (dict(dt=0.1, tau_syn=0.5), "dt must be None if tau_syn"),
    ],
)
def test_values_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        siegert_rate(**dict(mu=15.0, sigma=1.0, **NEURON) | wrong)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(in_degrees=[[1.0, 2.0]]), r"in_degrees must have shape \(K, K\)"),
        (dict(in_degrees=[[-1.0, 2.0], [0, 0]]), "in_degrees must be at least 0"),
        (dict(weights=[[1.0]]), r"weights must have the shape \(2, 2\)"),
        (dict(weights=None), "weights"),
        (dict(E_L=[1.0, 2.0, 3.0]), r"E_L must be a number or have shape \(2,\)"),
        (dict(external_rates=-1.0), "external_rates must be at least 0"),
        (dict(initial=[-1.0, 0.0]), "initial must be at least 0"),
        (dict(initial="rest"), "initial"),
        (dict(tau_syn=0.5), "C_m must be given"),
        (dict(I_e=10.0), "C_m must be given"),
        (dict(tau_syn=[0.0, 0.5], C_m=1.0), "tau_syn must be above 0 for all"),
        (dict(tau_syn=0.5, C_m=0.0), "C_m must be above 0"),
        (dict(tau_syn=0.5, C_m=1.0, dt=0.1), "dt must be None"),
        (dict(V_th=0.0), "V_reset must be below V_th"),
    ],
)
def test_populations_that_do_not_fit_are_refused(wrong, message):
    arguments = dict(in_degrees=np.ones((2, 2)), weights=np.ones((2, 2)), **NEURON)
    with pytest.raises((ValueError, TypeError), match=message):
        mean_field_rates(**arguments | wrong)
