import numpy as np
import pytest
import torch

from agents.baselines.controllers import Blend, ComputedTorque
from agents.delta import DeltaCfg, DeltaLearner
from agents.episodes import Episode, check_family, check_seed, make_arms, run_trial
from agents.experience import command_spread, gather, truth
from agents.methods import DELTA
from agents.network import NetworkCfg, encode
from agents.policy import hindsight
from tests.helpers import PLANAR, SCORBOT

SCALE = np.array([0.3, 0.2])


@pytest.fixture(scope="module")
def arms():
    env = make_arms(PLANAR, 4, nthread=1)
    yield env
    env.close()


@pytest.fixture(scope="module")
def tasks(arms):
    return arms.unwrapped.sample_tasks(4, split="train", seed=8)


@pytest.fixture
def learner(arms, seeded):
    learner = DeltaLearner(NetworkCfg(2, (0, 1), 6, 4), DeltaCfg(), torch.tensor(SCALE).float())
    learner.draw(seeded())
    return learner.requires_grad_(False)


@pytest.fixture
def states():
    """Positions, velocities and accelerations (4, 10, 2); joints move fast enough for friction to slide."""
    rng = np.random.default_rng(0)
    speed = rng.uniform(0.8, 2.0, (4, 10, 2)) * rng.choice([-1, 1], (4, 10, 2))
    return rng.uniform(-1, 1, (4, 10, 2)), speed, rng.uniform(-8, 8, (4, 10, 2))


def test_label_is_the_clipped_inverse_dynamics(arms, tasks, states):
    label, _ = truth(arms, tasks, *states, SCALE)
    wanted = np.clip(arms.unwrapped.inverse_dynamics(*states, tasks), -1, 1) / SCALE
    np.testing.assert_allclose(label, wanted, rtol=1e-6)
    far, _ = truth(arms, tasks, states[0], states[1], states[2] + 1e5, SCALE)
    assert np.abs(far * SCALE).max() == pytest.approx(1.0)


def test_inertia_times_push_is_the_difference(arms, tasks, states):
    q, qd, qdd = states
    _, inertia = truth(arms, tasks, q, qd, qdd, SCALE, stride=1)
    push = np.random.default_rng(1).uniform(-3, 3, qdd.shape)
    world = arms.unwrapped
    difference = (world.inverse_dynamics(q, qd, qdd + push, tasks) - world.inverse_dynamics(q, qd, qdd, tasks)) / SCALE
    np.testing.assert_allclose((inertia @ push[..., None])[..., 0], difference, rtol=1e-4, atol=1e-5)


def test_inertia_is_held_between_strides(arms, tasks, states):
    _, every = truth(arms, tasks, *states, SCALE, stride=1)
    _, third = truth(arms, tasks, *states, SCALE, stride=3)
    assert third.shape == every.shape == (4, 10, 2, 2)
    np.testing.assert_array_equal(third, every[:, [0, 0, 0, 3, 3, 3, 6, 6, 6, 9]])


def test_gathered_fields_belong_together(arms, tasks, learner):
    data = gather(arms, learner, DELTA.policy, tasks, 2, warm=False, seed=3)
    assert data.command.shape == data.label.shape == (4, 2, 100, 2)
    assert data.wanted.shape == data.measured.shape == (4, 2, 100, learner.network.n_inputs)
    assert data.rmse_rad.shape == (4, 2)
    assert all(field.dtype == torch.float32 and field.isfinite().all() for field in data if field is not None)
    torch.testing.assert_close(data.inertia @ data.mobility, torch.eye(2).expand(4, 2, 100, 2, 2), atol=1e-3, rtol=0)
    assert (data.command * learner.action_scale).abs().max() <= 1 + 1e-6
    assert torch.equal(data.wanted[..., :-2], data.measured[..., :-2])  # the same states, other accelerations
    assert torch.equal(data[[2]].label, data.label[2:3])


def test_equal_seeds_gather_equal_experience(arms, tasks, learner):
    one, again, other = (gather(arms, learner, DELTA.policy, tasks, 2, warm=True, seed=seed) for seed in (3, 3, 4))
    both = zip(tuple.__iter__(one), tuple.__iter__(again), strict=True)
    assert all(torch.equal(a, b) for a, b in both if a is not None)
    assert one.added is None
    assert one[[2]].added is None
    assert not torch.equal(one.command, other.command)


def test_bodies_of_the_test_split_are_not_gathered(arms, learner):
    held_out = arms.unwrapped.sample_tasks(4, split="test", seed=8)
    with pytest.raises(ValueError, match="belongs to split 'test', not 'train'"):
        gather(arms, learner, DELTA.policy, held_out, 1, warm=True, seed=0)


def test_hindsight_by_hand(arms, learner):
    """Two steps of .02 s in which the first joint gains .1 and .3 rad/s: accelerations of 5 and 15 rad/s2."""
    seen = np.zeros((1, 3, 12), dtype=np.float32)
    seen[0, :, 0], seen[0, :, 2] = [0.5, 0.6, 0.7], [1.0, 1.1, 1.4]  # positions, velocities
    x = hindsight(
        learner, arms.unwrapped.arm_cfg, Episode(seen, np.zeros((1, 2, 2)), np.zeros((1, 2)), np.zeros(1), np.zeros(1))
    )
    q, qd, qdd = (torch.tensor([[[a, 0.0], [b, 0.0]]]) for a, b in ((0.5, 0.6), (1.0, 1.1), (5.0, 15.0)))
    torch.testing.assert_close(x, encode(learner.network, q, qd, qdd), atol=1e-5, rtol=0)


def test_the_oracle_tracks_and_a_blend_lies_between(arms, tasks):
    def errors(controller):
        episodes, lessons = run_trial(arms, controller, tasks, range(4), 2)
        assert lessons == [None]
        return np.stack([episode.rmse_rad for episode in episodes])

    nominal, oracle = errors(ComputedTorque(arms)), errors(ComputedTorque(arms, tasks))
    assert (oracle < nominal).all()
    share = np.array([[0.0], [0.0], [1.0], [1.0]])
    blend = errors(Blend(ComputedTorque(arms), ComputedTorque(arms, tasks), share))
    np.testing.assert_allclose(blend, np.where(share[:, 0] == 1, oracle, nominal), rtol=1e-6)


def test_an_integral_starts_anew_with_each_episode(arms, tasks):
    controller = ComputedTorque(arms, integral_per_s3=300.0)
    observation = np.zeros((4, 12), dtype=np.float32)
    observation[:, 4] = 0.2  # the reference of the first joint is .2 rad away
    controller.begin()
    first, second = controller.act(observation), controller.act(observation)
    controller.begin()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(controller.act(observation), first)


def test_unit_of_commands_is_the_spread_of_ideal_ones(arms, tasks):
    scale = command_spread(arms, tasks, seed=0)
    assert scale.shape == (2,)
    assert (scale > 0.01).all()
    assert (scale < 1).all()
    assert torch.equal(scale, command_spread(arms, tasks, seed=0))


def test_families_and_seeds_are_checked():
    assert [check_family(env) for env in (PLANAR, SCORBOT)] == [PLANAR, SCORBOT]
    for env in ("PhaseArm/PlanarTrack-v0", "Pendulum-v1", ""):
        with pytest.raises(ValueError, match=rf"unknown env '{env}'; choose from \['envs:.*'{SCORBOT}'\]"):
            make_arms(env, 1)
    assert check_seed(2**32 - 1) == 2**32 - 1
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=f"seed must be 0 to 4294967295, got {seed}"):
            check_seed(seed)
