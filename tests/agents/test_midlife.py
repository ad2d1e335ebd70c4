import numpy as np
import pytest

from agents.baselines.controllers import ComputedTorque
from agents.episodes import make_arms, run_trial
from agents.midlife import Leg, Relay, run_life, there_and_back

ENV = "envs:PhaseArm/PlanarTrack-v0"


@pytest.fixture(scope="module")
def arms():
    env = make_arms(ENV, 4)
    yield env
    env.close()


@pytest.fixture(scope="module")
def tasks(arms):
    return arms.unwrapped.sample_tasks(2, band="hard", split="train", seed=1)


class Recorder(ComputedTorque):
    """The nominal controller; notes what it is called with."""

    def __init__(self, env):
        super().__init__(env)
        self.calls = []

    def begin(self):
        super().begin()
        self.calls.append("begin")

    def learn(self, episode):
        self.calls.append("learn")
        return len(self.calls)


def test_each_body_is_met_as_both():
    legs = there_and_back(["a", "b", "c"], 4)
    assert legs == [Leg(["a", "b", "c"], 4), Leg(["b", "c", "a"], 4), Leg(["a", "b", "c"], 4)]
    with pytest.raises(ValueError, match="at least 2"):
        there_and_back(["a"], 4)
    with pytest.raises(ValueError, match="at least 1 episode, got 0"):
        there_and_back(["a", "b"], 0)


def test_a_life_of_one_leg_is_a_trial(arms, tasks):
    ours, _ = run_life(arms, ComputedTorque(arms), [Leg(tasks, 2)], [5, 6], n_chips=2)
    theirs, _ = run_trial(arms, ComputedTorque(arms), tasks * 2, [5, 6] * 2, 2)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.observation, other.observation)


def test_bodies_change_between_legs_and_nothing_else_does(arms, tasks):
    """In each leg the episode is bitwise that of an arm that had this body all along."""
    legs = there_and_back(tasks, 1)
    life, _ = run_life(arms, ComputedTorque(arms), legs, [5, 6], n_chips=2)
    for number, leg in enumerate(legs):
        always, _ = run_trial(arms, ComputedTorque(arms), [*leg.tasks] * 2, [5, 6] * 2, 3)
        np.testing.assert_array_equal(life[number].action, always[number].action)
        np.testing.assert_array_equal(life[number].rmse_rad, always[number].rmse_rad)
    assert not np.allclose(life[0].rmse_rad, life[1].rmse_rad)


def test_a_lesson_between_each_two_episodes(arms, tasks):
    recorder = Recorder(arms)
    _, lessons = run_life(arms, recorder, there_and_back(tasks, 1), [5, 6], n_chips=2)
    assert recorder.calls == ["begin", "learn", "begin", "learn", "begin"]
    assert lessons == [2, 4]


def test_a_relay_is_told_every_body(arms, tasks):
    """The oracle of each leg in turn acts as the oracle of that body."""
    legs = there_and_back(tasks, 1)
    oracles = [ComputedTorque(arms, list(leg.tasks) * 2) for leg in legs]
    life, _ = run_life(arms, Relay(oracles, legs), legs, [5, 6], n_chips=2)
    for number, leg in enumerate(legs):
        bodies = list(leg.tasks) * 2
        always, _ = run_trial(arms, ComputedTorque(arms, bodies), bodies, [5, 6] * 2, 3)
        np.testing.assert_array_equal(life[number].rmse_rad, always[number].rmse_rad)
    with pytest.raises(ValueError, match="2 controllers for 3 legs"):
        Relay(oracles[:2], legs)
