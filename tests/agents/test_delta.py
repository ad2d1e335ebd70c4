import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.delta import DeltaCfg, DeltaLearner, Lesson, command_trace, head_increment
from agents.network import NetworkCfg


def lesson(features, command, innate=None, head=None):
    """Return a lesson of one arm; what the layers say is 0 unless given."""
    features, command = torch.tensor(features)[None], torch.tensor(command)[None]
    nothing = torch.zeros_like(command)
    parts = (nothing if part is None else torch.tensor(part)[None] for part in (innate, head))
    return Lesson(features, command, *parts)


def test_one_step_by_hand():
    # Two control steps, one joint, two features. Errors: 2 - .5 - .25 = 1.25 and -1 - 0 - 0 = -1.
    # Mean of error x feature: (1.25 x 1 - 1 x 0) / 2 = .625 and (1.25 x .5 - 1 x 1) / 2 = -.1875.
    one = lesson([[1.0, 0.5], [0.0, 1.0]], [[2.0], [-1.0]], [[0.5], [0.0]], [[0.25], [0.0]])
    found = head_increment(one, torch.tensor([[0.4, 2.0]]), DeltaCfg(steps=1))
    torch.testing.assert_close(found, torch.tensor([[[0.4 * 0.625, 2.0 * -0.1875]]]))


def test_two_steps_by_hand():
    # One sample, feature 1, error 1, rate .25: the first step takes .25, the second a quarter of the .75 left.
    found = head_increment(lesson([[1.0]], [[1.0]]), torch.tensor([[0.25]]), DeltaCfg(steps=2))
    assert found.item() == pytest.approx(0.25 + 0.25 * 0.75)


def test_the_error_is_clipped_at_every_step():
    # Error 10, clip 3, rate .5: 1.5 in the first step, and 8.5 left is still beyond the clip.
    found = head_increment(lesson([[1.0]], [[10.0]]), torch.tensor([[0.5]]), DeltaCfg(steps=2, error_clip=3.0))
    assert found.item() == pytest.approx(3.0)


@given(st.floats(0.05, 1.0), st.integers(1, 12), st.floats(-2.5, 2.5))
@settings(max_examples=30, deadline=None)
def test_a_sample_of_unit_length_keeps_a_power_of_its_error(rate, steps, error):
    """With one sample phi, |phi| = 1, each step of the delta rule leaves (1 - rate) of the error."""
    features = [[0.6, 0.8]]
    found = head_increment(lesson(features, [[error]]), torch.full((1, 2), rate), DeltaCfg(steps=steps))
    left = error - (found @ torch.tensor([0.6, 0.8])).item()
    assert left == pytest.approx(error * (1 - rate) ** steps, abs=1e-5)


def test_no_error_no_increment(seeded):
    features, head = torch.randn(3, 20, 4, generator=seeded()), torch.randn(3, 2, 4, generator=seeded(1))
    said, innate = features @ head.mT, torch.randn(3, 20, 2, generator=seeded(2))
    found = head_increment(Lesson(features, innate + said, innate, said), torch.ones(2, 4), DeltaCfg())
    assert found.abs().max() < 1e-6


def test_a_weight_without_rate_stays(seeded):
    features, command = torch.randn(1, 20, 3, generator=seeded()), torch.randn(1, 20, 2, generator=seeded(1))
    rate = torch.tensor([[0.1, 0.0, 0.1], [0.0, 0.1, 0.1]])
    found = head_increment(Lesson(features, command, 0 * command, 0 * command), rate, DeltaCfg())
    assert torch.equal(found[0] == 0, rate == 0)


def test_many_small_steps_reach_least_squares(seeded):
    """The rule's fixed point is the least-squares head, from any start that its features can say."""
    features = torch.randn(2, 50, 3, generator=seeded())
    command = torch.randn(2, 50, 2, generator=seeded(1))
    rule = DeltaCfg(steps=300, error_clip=100.0)
    found = head_increment(Lesson(features, command, 0 * command, 0 * command), torch.tensor(0.3), rule)
    best = torch.linalg.lstsq(features, command).solution.mT
    torch.testing.assert_close(found, best, atol=1e-4, rtol=1e-4)


def test_arms_do_not_mix(seeded):
    parts = [torch.randn(4, 10, n, generator=seeded(n)) for n in (3, 2, 1)]
    many = Lesson(parts[0], parts[1], 0 * parts[1], 0 * parts[1])
    together = head_increment(many, torch.tensor(0.2), DeltaCfg())
    alone = [head_increment(Lesson(*(part[k : k + 1] for part in many)), torch.tensor(0.2), DeltaCfg()) for k in (0, 3)]
    torch.testing.assert_close(together[[0, 3]], torch.cat(alone))


def test_command_trace_by_hand():
    command = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    # .5 of the present, .3 of the last, .2 of the one before; nothing was commanded before the first
    wanted = [0.5, 1.0 + 0.3, 2.0 + 0.6 + 0.2, 4.0 + 1.2 + 0.4]
    found = command_trace(command, torch.tensor([0.5, 0.3, 0.2]))
    torch.testing.assert_close(found, torch.tensor(wanted)[:, None])


def test_a_learner_starts_with_equal_lags_and_the_rules_rate():
    learner = DeltaLearner(NetworkCfg(2, (0, 1), 4, 3), DeltaCfg(rate=0.7, lags=4), torch.tensor([0.5, 0.25]))
    torch.testing.assert_close(learner.trace, torch.full((4,), 0.25))
    torch.testing.assert_close(learner.rate, torch.full((2, 3), 0.7))
    assert learner.action_scale.tolist() == [0.5, 0.25]
    with torch.no_grad():
        learner.trace_logit.copy_(torch.tensor([3.0, 1.0, -2.0, 0.0]))
    assert learner.trace.sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"error_clip": -1.0}, {"rate": float("nan")}, {"lags": 0}])
def test_impossible_rules_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be positive, got"):
        DeltaCfg(**wrong)
