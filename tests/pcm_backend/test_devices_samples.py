"""Every published device model against samples of IBM's own code, over the whole range of targets and ages."""

import importlib.util
import math

import pytest
import torch

from pcm_backend import DEVICES
from tests.pcm_backend import aihwkit_oracle as oracle

N = 100_000
TABLE = oracle.published_samples()
WITH_AIHWKIT = pytest.mark.skipif(
    importlib.util.find_spec("aihwkit") is None, reason='needs aihwkit 1.2.0: pip install "phasearm[oracle]"'
)


def sd_tolerance(target):
    """5 % where the device is off: its distribution is cut at zero and has heavy tails."""
    return 0.05 if target == 0.0 else 0.025


def compare(name, targets, theirs, seeded, n_theirs=oracle.N_SAMPLES):
    device, generator, found = DEVICES[name], seeded(7), []
    for target in targets:
        mine = oracle.our_sample(device, torch.full((N,), target * device.g_max_us), generator)
        for what, values in mine.items():
            listed = oracle.disagreements(values, theirs[target][what], sd_tolerance(target), n_theirs)
            found += [f"target {target}, {what}: {each}" for each in listed]
    return found


def agree(mine, theirs):
    """Assert equality to the seven digits of a float32 of sums, powers and logarithms."""
    assert mine.keys() == theirs.keys()
    for what, values in mine.items():
        torch.testing.assert_close(
            values, theirs[what], rtol=1e-5, atol=1e-6, msg=lambda text, what=what: f"{what}: {text}"
        )


def test_the_table_holds_every_published_device_at_every_target_and_age():
    assert set(TABLE) == {"pcm_like", "state_independent", "hermes_1", "hermes_2"}
    wanted = {"programmed", "exponent", *oracle.AGES_S}
    assert all(
        tuple(rows) == oracle.TARGETS and all(set(row) == wanted for row in rows.values()) for rows in TABLE.values()
    )


@pytest.mark.parametrize("name", sorted(TABLE))
def test_formulas_are_those_of_aihwkit(name):
    theirs = oracle.published_formulas(name)
    agree(oracle.our_formulas(DEVICES[name], theirs.pop("target") * DEVICES[name].g_max_us), theirs)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_samples_are_those_of_aihwkit(name, seeded):
    found = compare(name, (0.0, 0.05, 0.5, 1.0), TABLE[name], seeded)
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TABLE))
def test_samples_are_those_of_aihwkit_at_every_target(name, seeded):
    found = compare(name, oracle.TARGETS, TABLE[name], seeded)
    assert not found, "\n".join(found)


@WITH_AIHWKIT
@pytest.mark.parametrize("name", sorted(TABLE))
def test_samples_are_those_of_an_installed_aihwkit(name, seeded):
    model = oracle.models()[name]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs = {
            target: {
                what: oracle.statistics(values)
                for what, values in oracle.sample(model, torch.full((N,), target * model.g_max)).items()
            }
            for target in (0.0, 0.1, 0.5, 1.0)
        }
    found = compare(name, theirs, theirs, seeded, n_theirs=N)
    assert not found, "\n".join(found)


@WITH_AIHWKIT
@pytest.mark.parametrize("name", sorted(TABLE))
def test_formulas_are_those_of_an_installed_aihwkit(name):
    goal = torch.linspace(0.0, DEVICES[name].g_max_us, 2001)
    agree(oracle.our_formulas(DEVICES[name], goal), oracle.formulas(oracle.models()[name], goal))


@pytest.mark.parametrize("name", sorted(TABLE))
@pytest.mark.parametrize("age", sorted(oracle.AGES_S))
def test_read_sigma_is_that_of_the_formula(name, age, seeded):
    # sigma = Q(g at programming) g(t) sqrt(ln((t + t0 + t_read) / (2 t_read))), from a quarter of the range upwards
    device, age_s = DEVICES[name], oracle.AGES_S[age]
    fit, ghat = device.fit, torch.tensor([[0.25], [0.6], [1.0]])
    many = torch.ones(N // 4)
    state = device.program(ghat * fit.g_max_us * many, seeded())._replace(
        g_us=ghat * fit.g_max_us * many, nu=0.05 * torch.ones(3, N // 4)
    )
    root = math.sqrt(math.log((age_s + fit.t0_s + fit.t_read_s) / (2 * fit.t_read_s)))
    drifted = ghat[:, 0] * fit.g_max_us * ((age_s + fit.t0_s) / fit.t0_s) ** -0.05
    reads = device.read(state, age_s, seeded(1))
    torch.testing.assert_close(reads.std(1), drifted * fit.read_noise(ghat[:, 0]) * root, rtol=0.02, atol=0)
    assert ((reads.mean(1) - drifted).abs() < 4.5 * reads.std(1) / math.sqrt(N // 4)).all()
