"""Lateness found, lessons aligned by it, places looked ahead to: by hand, and against a body that is not late."""

import pytest
import torch

from agents.reward import Lesson
from agents.reward_echo import Answers
from agents.reward_lateness import aligned, late_steps, led, pending
from agents.reward_noise import HardwareCfg
from agents.reward_trials import gather_trials, replay
from tests.agents.toy_reach import ToyReach, ToySeen, toy_learner

CROSSED = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])


def ahead(**changes):
    """Return a toy learner that looks ahead, with a compass as if it had been trained."""
    learner = toy_learner(rate=2.0, **{"echoes": 2, "answers": 3, "looks_ahead": True} | changes)
    with torch.no_grad():
        learner.compass.normal_(generator=torch.Generator().manual_seed(4))
    return learner


def answer(late):
    """Return correlations of a body that answers so many steps late, (1, 2, 3, 2, 2)."""
    found = torch.zeros(1, 2, 3, 2, 2)
    found[:, :, 2 - late] = torch.eye(2)
    return found


class LateReach(ToyReach):
    """Points that act a number of steps late."""

    def __init__(self, n, late):
        """Build it."""
        super().__init__(n)
        self._waiting = [torch.zeros(n, 2).numpy()] * late

    def step(self, action):
        """Do what was told some steps before."""
        self._waiting.append(action)
        return super().step(self._waiting.pop(0))


@pytest.mark.parametrize("late", [0, 1, 2])
@pytest.mark.parametrize("wiring", [torch.eye(2), CROSSED])
def test_lateness_shows_however_the_motors_are_wired(late, wiring):
    command = torch.randn(5, 60, 2, generator=torch.Generator().manual_seed(late))
    step_qd = torch.nn.functional.pad(command @ wiring, (0, 0, late, 0))[:, :60]
    heard = Answers.nothing(5, 3, 2).heard(step_qd, command, 0.3 * command)
    assert late_steps(heard.correlation).tolist() == [late] * 5


def test_nobody_is_late_before_an_answer():
    assert late_steps(Answers.nothing(4, 3, 2).correlation).tolist() == [0] * 4


def test_series_are_aligned_by_hand():
    series = torch.arange(4.0).expand(2, 4)[..., None]
    shifted, there = aligned(series, torch.tensor([0, 2]))
    assert shifted[..., 0].tolist() == [[0, 1, 2, 3], [2, 3, 3, 3]]
    assert there[..., 0].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_a_late_body_is_taught_what_the_same_motions_teach_on_time():
    learner, late = ahead(), 2
    drawn = torch.Generator().manual_seed(3)
    sizes = (learner.network.n_sensed, learner.network.n_heard, 9, 2, 2)
    on_time = Lesson(*(torch.randn(1, 12, n, generator=drawn) for n in sizes), answer(0))
    moved = torch.cat([torch.randn(1, late, sizes[0], generator=drawn), on_time.sensed[:, :-late]], dim=1)
    behind = on_time._replace(sensed=moved, correlation=answer(late))
    torch.testing.assert_close(learner.signal(behind)[:, :-late], learner.signal(on_time)[:, :-late])
    assert (learner.signal(behind)[:, -late:] == 0.0).all()
    assert not torch.allclose(learner.signal(behind._replace(correlation=answer(0))), learner.signal(behind), atol=1e-2)


def test_echoes_are_kept_of_what_is_not_yet_done():
    # oldest first, joint by joint: 3, 2, 1 steps before
    assert pending(torch.tensor([0, 1, 3]), 3, 2)[:, 0].tolist() == [[0] * 6, [0, 0, 1] * 2, [1] * 6]


def test_places_are_led_along_the_last_motion():
    now = ToySeen(*(torch.full((2, 1, 2), value) for value in (1.0, 5.0, 7.0, 3.0, 9.0)))
    before = ToySeen(*(torch.full((2, 1, 2), value) for value in (0.5, 4.0, 7.0, 1.0, 8.0)))
    there = led(now, before, torch.tensor([0, 2]))
    assert there.q_rad[:, 0, 0].tolist() == [1.0, 2.0]
    assert there.tip_m[:, 0, 0].tolist() == [3.0, 7.0]
    assert (there.qd_rad_s == 5.0).all()
    assert (there.goal_m == 7.0).all()


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_trial_gone_through_again_looks_ahead_alike(late):
    learner, env = ahead(), LateReach(6, late)
    trials = gather_trials(env, learner, env.sample_tasks(6, 1), 3, HardwareCfg(), 1)
    assert (late_steps(trials.correlation[:, 0]) == 0).all()
    assert (late_steps(trials.correlation[:, 2]) == late).float().mean() > 0.8
    torch.testing.assert_close(replay(learner, trials).mean, trials.mean, rtol=1e-4, atol=1e-5)
