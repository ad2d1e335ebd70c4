"""Adaptive control: the regressor is exact, estimates find the truth, and arms follow better for it."""

import numpy as np
import pytest

from agents.baselines.controllers import ComputedTorque
from agents.baselines.regressor import Prior, Regressor, Sample, prior, unknowns
from agents.baselines.rls import Estimate, RecursiveLeastSquares, RlsCfg
from agents.baselines.slotine_li import SlotineLi, SlotineLiCfg, passive_columns
from agents.episodes import make_arms, run_trial
from tests.helpers import PLANAR, SCORBOT

ARMS = 12


@pytest.fixture(scope="module", params=[PLANAR, SCORBOT])
def arms(request):
    """A vector environment and bodies of the training split."""
    env = make_arms(request.param, ARMS, nthread=1)
    yield env, env.unwrapped.sample_tasks(ARMS, seed=1003)
    env.close()


def motion(n_joints, n_arms, n_samples=6, seed=0):
    rng = np.random.default_rng(seed)
    return Sample(*(size * rng.standard_normal((n_arms, n_samples, n_joints)) for size in (0.8, 1.5, 8.0)))


def test_columns_times_unknowns_are_the_inverse_dynamics(arms):
    env, tasks = arms
    at = motion(env.unwrapped.arm_cfg.n_joints, ARMS)
    found = np.einsum("nsjc,njc->nsj", Regressor(env, tasks)(at), unknowns(tasks))
    wanted = env.unwrapped.inverse_dynamics(*at, tasks)
    # friction saturates and the payload's radius grows with its cube root: the rest is exact
    assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.002 * np.abs(wanted).max()


def test_shared_bodies_give_what_bodies_of_each_arm_give(arms):
    env, _ = arms
    at = motion(env.unwrapped.arm_cfg.n_joints, ARMS)
    nominal = [type(task)(task.arm, {}) for task in env.unwrapped.sample_tasks(ARMS, seed=1)]
    np.testing.assert_allclose(Regressor(env)(at), Regressor(env, nominal)(at), atol=1e-12)


def test_columns_with_two_velocities_are_those_of_one_where_they_agree(arms):
    env, tasks = arms
    regressor, at = Regressor(env, tasks), motion(env.unwrapped.arm_cfg.n_joints, ARMS, n_samples=1)
    q, qd, qdd = (part[:, 0] for part in at)
    np.testing.assert_allclose(passive_columns(regressor, q, qd, qd, qdd), regressor(at)[:, 0], atol=1e-9)


def test_the_inertia_does_not_lose_or_make_energy(arms):
    """x^T (dM/dt - 2 C) x = 0 for every x, on which the proof of Slotine and Li rests."""
    env, tasks = arms
    n, h = env.unwrapped.arm_cfg.n_joints, 1e-5
    q, qd, x = (part[:, 0] for part in motion(n, ARMS, n_samples=1))
    regressor, theta, still = Regressor(env, tasks), unknowns(tasks), np.zeros_like(q)
    theta[..., -2:] = 0.0  # no friction, and no gravity: every second to fourth number of a mass
    theta[..., 1:-2].reshape(ARMS, n, -1, 4)[..., 1:] = 0.0
    theta[:] = theta[:, :1]  # one gain for all, else the inertia is not symmetric in units of commands
    units = np.asarray(env.unwrapped.arm_cfg.torque_max_nm)

    def torque(where, a, b, acceleration):
        return units * np.einsum("njc,njc->nj", passive_columns(regressor, where, a, b, acceleration), theta)

    inertia_rate = (torque(q + h * qd, still, still, x) - torque(q - h * qd, still, still, x)) / (2 * h)
    coriolis = torque(q, qd, x, still)
    scale = np.abs((x * inertia_rate).sum(-1)).max()
    np.testing.assert_allclose((x * (inertia_rate - 2 * coriolis)).sum(-1), 0.0, atol=1e-4 * scale)


def test_an_estimate_by_hand():
    # one number, prior 1 +- 2, noise 1: a command 7 with the column 2 is 5 more than the 2 that were expected.
    # gain 2 x 4 / (2 x 4 x 2 + 1) = 8 / 17; mean 1 + 8 / 17 x 5 = 3.352941; variance 4 - 8 / 17 x 8 = .235294
    estimate = Estimate(RlsCfg(noise=1.0, clip=100.0, delays=1), Prior(np.ones((1, 1)), np.full((1, 1, 1), 4.0)), 1)
    estimate.update(np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 7.0))
    assert estimate.mean.item() == pytest.approx(3.352941, abs=1e-6)
    assert estimate.covariance.item() == pytest.approx(0.235294, abs=1e-6)


def test_forgetting_widens_what_is_known():
    # as by hand above, and half of the information is kept: the variance .235294 is doubled, the mean is as it was
    estimate = Estimate(
        RlsCfg(noise=1.0, clip=100.0, delays=1, forgetting=0.5), Prior(np.ones((1, 1)), np.full((1, 1, 1), 4.0)), 1
    )
    estimate.update(np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 7.0))
    assert estimate.mean.item() == pytest.approx(3.352941, abs=1e-6)
    assert estimate.covariance.item() == pytest.approx(0.470588, abs=1e-6)


def test_the_delay_that_predicts_is_believed():
    rng = np.random.default_rng(0)
    estimate = Estimate(RlsCfg(noise=0.05), Prior(np.zeros((1, 2)), np.eye(2)[None]), 2)
    truth, issued = np.array([0.5, -0.3]), rng.standard_normal((40, 2, 1))
    for step in range(2, 40):
        columns = rng.standard_normal((2, 1, 2))
        now = columns @ truth  # what drove the step: arm 0 acts two steps late, arm 1 at once
        issued[step, 1], issued[step - 2, 0] = now[1], now[0]
        estimate.update(columns, np.stack([issued[step], issued[step - 1], issued[step - 2]]))
    assert estimate.surprise.argmin(axis=0).tolist() == [2, 0]
    np.testing.assert_allclose(estimate.best()[:, 0], [truth, truth], atol=0.05)


@pytest.mark.parametrize(("kind", "share"), [(RecursiveLeastSquares, 0.1), (SlotineLi, 0.5)])
def test_adaptive_control_beats_the_nominal_model_and_keeps_what_it_learned(kind, share):
    env = make_arms(PLANAR, ARMS, nthread=1)
    tasks = env.unwrapped.sample_tasks(ARMS, seed=1003)
    errors = {}
    for name, controller in (("nominal", ComputedTorque(env)), ("adaptive", kind(env, tasks))):
        episodes, _ = run_trial(env, controller, tasks, range(ARMS), 3)
        errors[name] = [episode.error.mean() for episode in episodes]
    env.close()
    assert errors["adaptive"][0] < 0.8 * errors["nominal"][0]  # it adapts within the first episode
    assert errors["adaptive"][2] < share * errors["nominal"][2]
    assert errors["adaptive"][2] < 0.8 * errors["adaptive"][0]


def test_the_prior_is_of_training_bodies():
    env = make_arms(PLANAR, 1, nthread=1)
    known, bodies = prior(env, n_bodies=400), unknowns(env.unwrapped.sample_tasks(300, split="train", seed=9))
    inside = np.abs(bodies - known.mean) < 4 * np.sqrt(np.diagonal(known.covariance, axis1=1, axis2=2)) + 1e-9
    assert inside.mean() > 0.98
    env.close()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RlsCfg(noise=0.0), "noise must be positive, got 0.0"),
        (lambda: RlsCfg(lengths="some"), "unknown lengths 'some'; choose from \\['true', 'nominal'\\]"),  # type: ignore
        (lambda: RlsCfg(forgetting=1.5), "forgetting must be above 0 and at most 1, got 1.5"),
        (lambda: SlotineLiCfg(adaptation=-1.0), "adaptation must be positive, got -1.0"),
    ],
)
def test_impossible_settings_are_named(make, text):
    with pytest.raises(ValueError, match=text):
        make()
