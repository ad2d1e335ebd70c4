"""Learners behind Meta-World's calls: in its order they do what they do in ours."""

import numpy as np
import pytest

from agents.baselines.controllers import ComputedTorque
from agents.episodes import make_arms, run_trial
from agents.policy import DeltaPolicy, SoftwareSubstrate
from agents.protocol import ControllerAgent, Timestep
from agents.shipped import load_shipped, shipped_path
from tests.helpers import PLANAR

ARMS = 3


@pytest.fixture
def arms():
    world = make_arms(PLANAR, ARMS)
    yield world
    world.close()


def delta(world):
    """Return a way to the shipped learner in software, which has met no body."""
    shipped = load_shipped(shipped_path(PLANAR), PLANAR)
    return lambda: DeltaPolicy(shipped.learner, SoftwareSubstrate(shipped.learner, ARMS), world.unwrapped.arm_cfg)


def metalearning_evaluation(world, agent, tasks, lessons, *, whole):
    """Call an agent in the order of Meta-World's `metalearning_evaluation`, an episode a lesson, one that counts.

    Meta-World's own steps (`whole=False`) do not say what a step led to. Returns the error of each episode, (N,).
    """
    world.unwrapped.set_tasks(tasks)
    observation, _ = world.reset(seed=[*range(ARMS)])
    agent.init()
    errors = []
    for number in range(lessons + 1):
        teaches, done = number < lessons, np.zeros(ARMS, dtype=bool)
        if not teaches:
            agent.reset(np.ones(ARMS, dtype=bool))
        while not done.all():
            action, more = agent.adapt_action(observation) if teaches else (agent.eval_action(observation), {})
            after, reward, terminated, done, info = world.step(action)
            led_to = np.stack(list(info["final_obs"])) if done.all() else after
            if teaches:
                step = Timestep(observation, action, reward, terminated, done, more, led_to)
                agent.step(step if whole else step._replace(next_observation=None))
            else:
                agent.reset(done)
            observation = after
        errors.append(info["final_info"]["rmse_rad"])
        if teaches:
            agent.adapt()
    return errors


def test_in_metaworlds_order_a_learner_does_what_it_does_in_ours(arms):
    tasks = arms.unwrapped.sample_tasks(ARMS, split="test", seed=1000)
    theirs = metalearning_evaluation(arms, ControllerAgent(delta(arms)), tasks, 2, whole=True)
    ours, _ = run_trial(arms, delta(arms)(), tasks, [*range(ARMS)], 3)
    np.testing.assert_array_equal(theirs, [episode.error for episode in ours])
    assert ours[2].error.mean() < 0.5 * ours[0].error.mean()


def test_without_the_last_observation_a_lesson_is_a_step_shorter_and_teaches_almost_the_same(arms):
    tasks = arms.unwrapped.sample_tasks(ARMS, split="test", seed=1000)
    whole = metalearning_evaluation(arms, ControllerAgent(delta(arms)), tasks, 2, whole=True)
    short = metalearning_evaluation(arms, ControllerAgent(delta(arms)), tasks, 2, whole=False)
    np.testing.assert_array_equal(short[0], whole[0])  # before the first lesson
    assert not np.array_equal(short[2], whole[2])
    np.testing.assert_allclose(short[2], whole[2], rtol=0.25)


def test_init_forgets_every_lesson(arms):
    tasks, agent = arms.unwrapped.sample_tasks(ARMS, split="test", seed=1000), ControllerAgent(delta(arms))
    first = metalearning_evaluation(arms, agent, tasks, 1, whole=True)
    np.testing.assert_array_equal(metalearning_evaluation(arms, agent, tasks, 1, whole=True), first)


class Counter:
    """A controller that counts what is asked of it."""

    def __init__(self):
        self.calls, self.taught = [], []

    def begin(self):
        self.calls.append("begin")

    def act(self, observation):
        self.calls.append("act")
        return np.full((len(observation), 2), 2.0)

    def learn(self, episode):
        self.calls.append("learn")
        self.taught.append(episode)


def note(agent, step, *, end, n_arms=2):
    """Let an agent act, and note a step whose observation is its number."""
    seen, flags = np.full((n_arms, 3), float(step)), np.full(n_arms, end)
    action, more = agent.adapt_action(seen)
    agent.step(Timestep(seen, action, np.full(n_arms, 10.0 * step), np.zeros(n_arms, bool), flags, more, seen + 1))


def test_every_episode_noted_before_adapt_is_one_lesson():
    counter = Counter()
    agent = ControllerAgent(lambda: counter)
    for end in (False, True, False, True):
        note(agent, len(counter.calls), end=end)
    agent.adapt()
    agent.adapt()  # nothing new was noted
    assert counter.calls == ["begin", "act", "act", "begin", "act", "act", "learn", "learn"]
    first = counter.taught[0]
    np.testing.assert_array_equal(first.observation[0, :, 0], [0, 2, 3])  # the numbers of the steps, then the last
    np.testing.assert_array_equal(first.reward[0], [0, 20])
    np.testing.assert_array_equal(first.action, np.ones((2, 2, 2)))  # clipped
    np.testing.assert_array_equal(first.episode_return, [20, 20])
    assert np.isnan(first.error).all()


def test_reset_begins_an_episode_where_all_arms_are_meant_and_only_there():
    counter = Counter()
    agent = ControllerAgent(lambda: counter)
    agent.reset(np.zeros(2, dtype=bool))
    assert counter.calls == []
    agent.reset(np.ones(2, dtype=bool))
    assert counter.calls == ["begin"]
    with pytest.raises(ValueError, match="1 of 2"):
        agent.reset(np.array([True, False]))


def test_baselines_are_agents_too(arms):
    tasks = arms.unwrapped.sample_tasks(ARMS, split="test", seed=1000)
    agent = ControllerAgent(lambda: ComputedTorque(arms, tasks))
    assert np.max(metalearning_evaluation(arms, agent, tasks, 1, whole=True)) < 0.05
