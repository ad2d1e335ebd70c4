"""MJX steps the arms as the batch does, within the rounding of its numbers."""

import sys
from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest

from envs.models import ARMS
from envs.tasks import Task

needs_mjx = pytest.mark.skipif(
    find_spec("jax") is None or find_spec("mujoco.mjx") is None, reason="the extra [mjx] is not installed"
)
WORLDS = [f"{arm.capitalize()}{world}" for arm in sorted(ARMS) for world in ("Track", "Reach")]
BANDS = ("in_range", "mild", "hard")
N_ARMS = 13


def pair(world):
    """Return the batch and MJX with a body that only viscosity slows, and four of each band."""
    arms = [gym.make_vec(f"envs:PhaseArm/{world}-v0", num_envs=N_ARMS, physics=name) for name in ("batch", "mjx")]
    arms = [env.unwrapped for env in arms]
    tasks = [task for band in BANDS for task in arms[0].sample_tasks(4, band=band, seed=0)]
    tasks.append(Task(tasks[0].arm, {"viscous_nms": tasks[0].params["viscous_nms"]}))
    assert {task.params["action_delay_steps"] for task in tasks} == {0, 1, 2}
    for env in arms:
        env.reset(seed=3, options={"task": tasks})
    return arms


def gaps(arms, n_steps, seed=0):
    """Return how far the two are apart after each of n random steps; episodes have to end together.

    Joints of all arms, rad, of the arms that were in no limit so far, and rewards.
    """
    rng, found, free = np.random.default_rng(seed), [], np.ones(N_ARMS, dtype=bool)
    cfg = arms[0].arm_cfg
    for _ in range(n_steps):
        action = rng.uniform(-0.4, 0.4, arms[0].action_space.shape).astype(np.float32)
        (_, reward, _, over, _), (_, other, _, ended, _) = (env.step(action) for env in arms)
        np.testing.assert_array_equal(over, ended)
        apart = np.abs(arms[0]._qpos - arms[1]._qpos).max(axis=1)
        free &= ((arms[0]._qpos > cfg.q_min_rad) & (arms[0]._qpos < cfg.q_max_rad)).all(axis=1)
        found.append((apart.max(), apart[free].max(initial=0.0), np.abs(reward - other).max()))
    return np.array(found).T


# Nearly every arm runs into a limit here, where small differences grow. Measured over these episodes: 6e-7 at most, and
# the batch with its solver stopped later is 8e-8 from itself (docs/mjx.md). Before a limit it is 5e-13.
TOLERANCE_RAD, FREE_TOLERANCE_RAD = 1e-5, 1e-11


@needs_mjx
@pytest.mark.parametrize("world", WORLDS)
def test_whole_episodes_are_those_of_the_batch(world):
    arms = pair(world)
    if world.endswith("Reach"):
        assert any(task.params["motor_swap"] >= 0 for task in arms[0].tasks)
        assert any(sum(task.params["motor_reversed"]) for task in arms[0].tasks)
    horizon = 100 if world.endswith("Track") else 50
    apart, apart_free, rewards = gaps(arms, horizon + 10)  # and into the next episode
    assert apart.max() < TOLERANCE_RAD
    assert apart_free.max() < FREE_TOLERANCE_RAD
    assert rewards.max() < 10 * TOLERANCE_RAD
    assert apart[horizon - 1] == 0.0  # every arm has just begun again, at the same place


@needs_mjx
def test_arms_reset_by_a_mask_forget_the_commands_on_their_way():
    arms = pair("PlanarTrack")
    gaps(arms, 20)
    mask = np.arange(N_ARMS) % 2 == 0
    for env in arms:
        env.reset(seed=8, options={"reset_mask": mask})
    assert gaps(arms, 20, seed=1)[0].max() < TOLERANCE_RAD


@needs_mjx
def test_a_gram_of_payload_is_outside_the_tolerance():
    arms = pair("PlanarTrack")
    for env, payload_kg in zip(arms, (0.5, 0.501), strict=True):
        env.reset(seed=3, options={"task": Task("planar", {"payload_kg": payload_kg})})
    assert gaps(arms, 25)[0].max() > 10 * TOLERANCE_RAD


@needs_mjx
def test_one_arm_is_taken_out_as_it_stands():
    arms = pair("ScorbotReach")
    gaps(arms, 4)
    one, other = (env.get_data(2) for env in arms)
    np.testing.assert_allclose(one.site_xpos, other.site_xpos, atol=TOLERANCE_RAD)  # a place, m
    assert one.time == pytest.approx(other.time)


def test_unknown_physics_is_named():
    with pytest.raises(ValueError, match=r"'bullet'.*'batch', 'mjx'"):
        gym.make_vec("envs:PhaseArm/PlanarTrack-v0", num_envs=1, physics="bullet")


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"pip install 'phasearm\[mjx\]'"):
        gym.make_vec("envs:PhaseArm/PlanarTrack-v0", num_envs=1, physics="mjx")
