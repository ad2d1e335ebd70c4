"""What the reward learner hears of its own commands: by hand, by symmetry, and that it tells late bodies apart."""

import pytest
import torch

from agents.reward import Lesson
from agents.reward_calibration import working_range
from agents.reward_echo import Answers, as_joints, echoes, lateness
from agents.reward_noise import HardwareCfg
from agents.reward_sense import RewardCfg
from agents.reward_trials import gather_trials, replay
from tests.agents.toy_reach import ToyReach, toy_learner

STRAIGHT = torch.eye(2)[None]


def listening(**changes):
    """Return a toy learner that hears, with a compass as if it had been trained."""
    learner = toy_learner(rate=2.0, **{"echoes": 2, "answers": 3} | changes)
    with torch.no_grad():
        learner.compass.normal_(generator=torch.Generator().manual_seed(4))
    return learner


def toy_trials(learner, seed=1):
    env = ToyReach(6)
    return gather_trials(env, learner, env.sample_tasks(6, seed), 3, HardwareCfg(), seed)


def test_echoes_are_of_the_steps_before():
    command = torch.tensor([[[1.0, 0.0], [0.0, -2.0], [3.0, 3.0]]])
    expected = torch.tensor([[0, 0, 0, 0], [0, 0.5, 0, 0], [0.5, 0, 0, -1.0]])  # joint 0 two, one steps before; joint 1
    torch.testing.assert_close(echoes(command, STRAIGHT, 2)[0], torch.tanh(expected))


def test_a_body_wired_otherwise_is_heard_alike():
    command = torch.randn(1, 7, 2, generator=torch.Generator().manual_seed(0))
    crossed = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])  # command 0 moves joint 1, command 1 joint 0 the wrong way
    other = command @ crossed.transpose(1, 2)  # what has to be issued for the same joints to get the same
    torch.testing.assert_close(as_joints(other, crossed), as_joints(command, STRAIGHT))
    step_qd = torch.randn(1, 7, 2, generator=torch.Generator().manual_seed(1))
    heard = [
        lateness(Answers.nothing(1, 3, 2).heard(step_qd, issued, 0.5 * issued).correlation, wiring)
        for issued, wiring in ((command, STRAIGHT), (other, crossed))
    ]
    torch.testing.assert_close(*heard)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_the_lag_of_the_answer_shows_how_late_a_body_is(late):
    command = torch.randn(5, 60, 2, generator=torch.Generator().manual_seed(late))
    step_qd = torch.nn.functional.pad(command, (0, 0, late, 0))[:, :60]
    told = lateness(
        Answers.nothing(5, 3, 2).heard(step_qd, command, 0.3 * command).correlation, STRAIGHT.expand(5, 2, 2)
    )
    in_whole, random = told.unflatten(1, (2, 3)).unbind(1)
    assert (in_whole.argmax(-1) == 2 - late).all()  # the oldest lag comes first
    assert (random.argmax(-1) == 2 - late).all()
    assert (in_whole.amax(-1) > 0.5).all()


def test_nothing_is_heard_before_the_first_lesson_and_something_after():
    learner = listening()
    heard = working_range(learner, toy_trials(learner))["inputs"][:, learner.network.n_encoded :]
    assert heard.shape[1] == learner.network.n_heard == 2 * 2 + 2 * 3
    first = heard.shape[0] // 3
    assert (heard[: first // 6] == 0).all()
    assert heard.abs().amax() > 0.1


@pytest.mark.parametrize("changes", [{}, {"echoes": 0}, {"answers": 0}, {"answers_teach": True}, {"answers_kept": 0.5}])
def test_a_trial_gone_through_again_hears_the_same(changes):
    learner = listening(**changes)
    trials = toy_trials(learner)
    torch.testing.assert_close(replay(learner, trials).mean, trials.mean, rtol=1e-4, atol=1e-5)


def test_answers_of_old_fade():
    command = torch.randn(1, 40, 2, generator=torch.Generator().manual_seed(0))
    before, after = (Answers.nothing(1, 3, 2).heard(sign * command, command, 0.3 * command) for sign in (1.0, -1.0))
    torch.testing.assert_close(before.heard(-command, command, 0.3 * command, 0.0).correlation, after.correlation)
    mixed = before.heard(-command, command, 0.3 * command, 0.5).correlation[0, 0, -1]
    torch.testing.assert_close(mixed, after.correlation[0, 0, -1] / 3.0)


def test_a_joint_that_hardly_moves_is_heard_as_well_as_others():
    command = torch.randn(1, 40, 2, generator=torch.Generator().manual_seed(0))
    heard = [
        Answers.nothing(1, 3, 2).heard(command * torch.tensor([1.0, weak]), command, 0.3 * command).correlation
        for weak in (1.0, 0.01)
    ]
    torch.testing.assert_close(*heard)


def test_what_answers_teach_follows_the_wiring():
    learner = toy_learner(echoes=2, answers=3, looks_ahead=True, answers_teach=True)
    cfg, drawn = learner.network, torch.Generator().manual_seed(0)
    series = [torch.randn(3, 5, n, generator=drawn) for n in (cfg.n_sensed, cfg.n_heard, 9)]
    correlation = torch.randn(3, 2, 3, 2, 2, generator=drawn)
    nothing = torch.zeros(3, 5, 2)
    lesson = Lesson(*series, nothing, nothing, correlation)
    signal = learner.signal(lesson)
    assert signal.abs().max() > 0.05  # of answers alone: nothing was issued
    other = lesson._replace(correlation=correlation.flip(-1) * torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(learner.signal(other), signal.flip(-1) * torch.tensor([-1.0, 1.0]))


def test_the_compass_is_learned_through_what_later_episodes_hear():
    learner = listening(looks_ahead=True, answers_teach=True)
    replay(learner, toy_trials(learner)).mean[:, 2].square().sum().backward()
    assert learner.compass.grad is not None
    assert learner.compass.grad.abs().max() > 1e-6


@pytest.mark.parametrize("name", ["looks_ahead", "answers_teach"])
def test_what_goes_by_answers_needs_some(name):
    with pytest.raises(ValueError, match=f"{name} needs answers"):
        RewardCfg(2, 2, (0, 1), **{name: 1})


def test_a_share_of_answers_is_refused_beyond_one():
    with pytest.raises(ValueError, match=r"answers_kept must be 0 to 1, got 1\.5"):
        RewardCfg(2, 2, (0, 1), answers_kept=1.5)
