"""Device models against numbers worked out by hand, closed forms, and published samples."""

import math

import pytest
import torch

from pcm_backend import DEVICES

N = 100_000
YEAR_S = 365 * 86400.0


def _fit(ghat):
    return DEVICES["hermes_2"].fit, torch.tensor([ghat])


@pytest.mark.parametrize(
    ("ghat", "sigma_us"),
    [
        (0.0, 0.16603),
        (0.1, 0.55772),  # .16603 + .47181 - .08481 + .00469
        (0.5, 0.99101),  # .16603 + 2.35903 - 2.12025 + .58620
        (1.0, 1.09270),  # the sum of the four coefficients
    ],
)
def test_hermes_2_programming_error(ghat, sigma_us):
    fit, x = _fit(ghat)
    assert float(fit.programming_sigma_us(x)) == pytest.approx(sigma_us, abs=2e-5)


@pytest.mark.parametrize(
    ("ghat", "mean", "spread"),
    [
        (1e-7, 0.13, 0.04),  # both cut
        (0.05, 0.09773, 0.02935),  # .0387 x 2.99573 - .0182; .0117 x 2.99573 - .0057
        (0.5, 0.0564, 0.0090),  # .0736 - .0063 - .0109; .0073 + .00465 - .00295
        (1.0, 0.0174, 0.0048),  # .0736 - .0126 - .0436; .0073 + .0093 - .0118
    ],
)
def test_hermes_2_drift_exponent(ghat, mean, spread):
    fit, x = _fit(ghat)
    assert [float(each) for each in fit.drift_exponent(x)] == pytest.approx([mean, spread], abs=2e-5)


@pytest.mark.parametrize(
    ("ghat", "q"),
    [(1e-7, 0.04), (0.05, 0.02815), (0.5, 0.0167125), (1.0, 0.0123)],  # .0123 + .01055 - .007 + .0008625 at .5
)
def test_hermes_2_read_noise(ghat, q):
    fit, x = _fit(ghat)
    assert float(fit.read_noise(x)) == pytest.approx(q, abs=2e-5)


def test_read_sigma_of_a_full_device_by_hand(seeded):
    # ln(300 / 1.024e-6) = 19.4956, its root 4.4154, times Q(1) = .0123 and 20.7 uS: 1.1242 uS
    device = DEVICES["hermes_2"]
    state = device.program(torch.full((N,), device.g_max_us), seeded())._replace(
        g_us=torch.full((N,), device.g_max_us), nu=torch.zeros(N)
    )
    reads = device.read(state, 0.0, seeded(1))
    assert float(reads.std()) == pytest.approx(1.1242, rel=0.01)
    assert float(reads.mean()) == pytest.approx(20.7, abs=4.5 * 1.1242 / math.sqrt(N))


def test_one_year_of_drift_by_hand(seeded):
    # (31536000 + 300) / 300 = 105121, ln 11.5629; exponent .0174: e^-.20119 = .81775
    device = DEVICES["hermes_2"]
    state = device.program(torch.full((4,), 20.7), seeded())._replace(
        g_us=torch.full((4,), 20.7), nu=torch.full((4,), 0.0174)
    )
    assert device.conductance(state, YEAR_S).tolist() == pytest.approx([20.7 * 0.81775] * 4, rel=1e-4)


def _rectified(mean, sigma):
    """Mean and deviation of a normal number cut at zero: the closed form."""
    z = mean / sigma
    upper = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    edge = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    first = mean * upper + sigma * edge
    return first, math.sqrt((mean**2 + sigma**2) * upper + mean * sigma * edge - first**2)


def _folded(mean, sigma):
    """Mean and deviation of the magnitude of a normal number: the closed form."""
    z = mean / sigma
    first = sigma * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + mean * math.erf(z / math.sqrt(2))
    return first, math.sqrt(mean**2 + sigma**2 - first**2)


@pytest.mark.parametrize("name", ["hermes_1", "hermes_2", "pcm_like"])
@pytest.mark.parametrize("ghat", [0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
def test_programmed_statistics_follow_the_fit(name, ghat, seeded):
    device = DEVICES[name]
    target = torch.full((N,), ghat * device.g_max_us)
    state = device.program(target, seeded())
    mean, std = _rectified(float(target[0]), float(device.fit.programming_sigma_us(torch.tensor([ghat]))))
    assert abs(float(state.g_us.mean()) - mean) < 4.5 * std / math.sqrt(N)
    assert float(state.g_us.std()) == pytest.approx(std, rel=0.025)
    nu_mean, nu_std = _folded(*(float(x) for x in device.fit.drift_exponent(torch.tensor([max(ghat, 1e-7)]))))
    assert abs(float(state.nu.mean()) - nu_mean) < 4.5 * nu_std / math.sqrt(N)
    assert float(state.nu.std()) == pytest.approx(nu_std, rel=0.025)


# IBM's own model sampled 40,000 times for each target: (age s, mean uS, deviation uS)
SAMPLES = {
    0.05: [(20, 1.187, 0.463), (3600, 0.875, 0.390), (86400, 0.710, 0.360), (YEAR_S, 0.498, 0.329)],
    0.25: [(20, 6.049, 0.864), (3600, 4.860, 0.784), (86400, 4.166, 0.760), (YEAR_S, 3.148, 0.732)],
    0.5: [(20, 12.079, 1.164), (3600, 9.694, 1.056), (86400, 8.316, 1.028), (YEAR_S, 6.259, 0.991)],
    1.0: [(20, 24.161, 1.366), (3600, 19.389, 1.410), (86400, 16.618, 1.512), (YEAR_S, 12.502, 1.644)],
}


@pytest.mark.parametrize("ghat", sorted(SAMPLES))
def test_pcm_like_agrees_with_published_samples(ghat, seeded):
    device = DEVICES["pcm_like"]
    state = device.program(torch.full((N,), ghat * 25.0), seeded())
    for age_s, mean, std in SAMPLES[ghat]:
        reads = device.read(state, age_s, seeded(1))
        error = std * math.sqrt(1 / N + 1 / 40_000)
        assert abs(float(reads.mean()) - mean) < 4.5 * error + 5e-4  # the table's last digit
        assert float(reads.std()) == pytest.approx(std, rel=0.025)


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_moments_in_closed_form_are_those_of_reads(name, seeded):
    device = DEVICES[name]
    g_us = torch.tensor([0.02, 0.2, 2.0, device.g_max_us])
    state = device.program(g_us, seeded())._replace(g_us=g_us)
    mean, variance = device.read_moments(state, YEAR_S)
    many = type(state)(*(None if each is None else each.expand(N, 4) for each in state))
    reads = device.read(many, YEAR_S, seeded(1))
    assert (
        (reads.mean(0) - mean).abs() <= 4.5 * variance.sqrt() / math.sqrt(N) + 1e-5
    ).all()  # + 1e-5: sums in float32
    torch.testing.assert_close(reads.std(0), variance.sqrt(), rtol=0.03, atol=1e-6)


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_drift_never_raises_a_conductance_and_reads_change_nothing(name, seeded):
    device = DEVICES[name]
    state = device.program(torch.linspace(0, device.g_max_us, 64), seeded())
    kept = [each for each in state if each is not None]
    before = [each.clone() for each in kept]
    curve = torch.stack([device.conductance(state, age) for age in (0.0, 1.0, 3600.0, YEAR_S)])
    assert (curve.diff(dim=0) <= 0).all()
    device.read(state, 5.0, seeded())
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))


def test_age_may_be_a_tensor_with_one_age_a_device(seeded):
    device = DEVICES["hermes_2"]
    state = device.program(torch.full((2,), 10.0), seeded())
    ages = torch.tensor([0.0, YEAR_S], dtype=torch.float64)
    each = [device.conductance(state, float(age))[i] for i, age in enumerate(ages)]
    assert torch.equal(device.conductance(state, ages), torch.stack(each))


@pytest.mark.parametrize("age_s", [-3.0, torch.tensor([5.0, -3.0], dtype=torch.float64), math.nan])
def test_an_age_that_is_none_is_named(age_s, seeded):
    device = DEVICES["hermes_2"]
    state = device.program(torch.ones(2), seeded())
    said = r"age_s must be zero or more, got (-3|nan)"
    with pytest.raises(ValueError, match=said):
        device.conductance(state, age_s)
    with pytest.raises(ValueError, match=said):
        device.read(state, age_s, seeded())


@pytest.mark.parametrize(("target", "said"), [(-0.5, "-0.5 to 1"), (20.8, "1 to 20.8"), (math.nan, "nan")])
def test_a_target_out_of_range_is_named(target, said, seeded):
    with pytest.raises(ValueError, match=rf"0 to 20\.7 uS, got values from .*{said}"):
        DEVICES["hermes_2"].program(torch.tensor([1.0, target]), seeded())
