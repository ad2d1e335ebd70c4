import dataclasses

import numpy as np
import pytest
import torch
from scipy import signal

from agents.delta import DeltaCfg, DeltaLearner
from agents.experience import Experience
from agents.network import NetworkCfg
from agents.outer import NoiseCfg, error_filter, predicted_rmse, pushed

KP, KD = 100.0, 20.0
NONE = dict.fromkeys((field.name for field in dataclasses.fields(NoiseCfg)), 0.0)
QUIET = NoiseCfg(**NONE)
FLOOR = 1e-4  # the root of what keeps the loss smooth at zero, rad


def walked(disturbance, dt_s):
    """Return e of e'' + kd e' + kp e = d where, as on the arm, commands hold for a control step."""
    e, rate, path = 0.0, 0.0, []
    for d in disturbance:
        path.append(e)
        acceleration = d - KD * rate - KP * e
        e, rate = e + dt_s * rate + 0.5 * dt_s**2 * acceleration, rate + dt_s * acceleration
    return np.array(path)


def test_filter_is_the_walk_of_held_commands(seeded):
    disturbance = torch.randn(100, generator=seeded()).double()
    found = error_filter(100, 0.02, KP, KD).double() @ disturbance
    np.testing.assert_allclose(found, walked(disturbance.numpy(), 0.02), atol=1e-6)


def test_filter_tends_to_the_differential_equation():
    """Scipy's solution of the continuous system is the limit of short steps."""
    time_s = np.arange(2000) * 0.001
    disturbance = np.sin(5 * time_s) + (time_s > 0.7)
    _, exact, _ = signal.lsim(([1.0], [1.0, KD, KP]), disturbance, time_s)
    found = error_filter(2000, 0.001, KP, KD).double().numpy() @ disturbance
    assert np.abs(found - exact).max() < 0.01 * np.abs(exact).max()
    coarse = error_filter(100, 0.02, KP, KD).double().numpy() @ disturbance[::20]
    assert np.abs(coarse - exact[::20]).max() < 0.15 * np.abs(exact).max()


def test_filter_sees_nothing_of_the_future_and_holds_what_lasts():
    response = error_filter(400, 0.02, KP, KD)
    assert torch.equal(response, response.tril(-1))
    assert response[-1].sum().item() == pytest.approx(1 / KP, rel=1e-3)  # a constant 1 rad/s2 ends at 1 / kp


@pytest.fixture
def learner(seeded):
    learner = DeltaLearner(NetworkCfg(2, (0, 1), 8, 5), DeltaCfg(rate=0.2), torch.ones(2))
    learner.draw(seeded())
    with torch.no_grad():
        learner.trace_logit.copy_(torch.tensor([60.0, 0.0, 0.0]))  # a body without delay: the present command counts
    return learner.requires_grad_(False)


def experience(learner, generator, head, n_bodies=3, n_episodes=4, n_steps=60):
    """Return episodes of bodies whose right command a head (B, J, D) says, commanded rightly, and heads unchanged."""
    x = 2 * torch.rand(n_bodies, n_episodes, n_steps, learner.network.n_inputs, generator=generator) - 1
    reading = learner.fixed(x)
    right = reading.command + reading.features @ head[:, None].mT
    spread = torch.randn(n_bodies, n_episodes, n_steps, 2, 2, generator=generator)
    inertia = spread @ spread.mT + torch.eye(2)
    mobility = torch.linalg.inv(inertia)
    return Experience(x, x, right, right, inertia, mobility, torch.zeros(n_bodies, n_episodes))


def predict(learner, data, seeded, noise=QUIET):
    return predicted_rmse(learner, data, error_filter(data.command.shape[2], 0.02, KP, KD), noise, seeded(9))


def test_a_right_command_misses_nothing(learner, seeded):
    data = experience(learner, seeded(1), learner.head.expand(3, -1, -1))
    torch.testing.assert_close(predict(learner, data, seeded), torch.full((3, 4), FLOOR), atol=1e-6, rtol=0)


def test_a_wrong_command_is_filtered_through_the_mobility(learner, seeded):
    data = experience(learner, seeded(1), learner.head.expand(3, -1, -1), n_episodes=1)
    wrong = torch.randn(data.label.shape, generator=seeded(2))
    found = predict(learner, data._replace(label=data.label + wrong), seeded)
    pushes = torch.einsum("bktij,bktj->bkti", data.mobility, wrong)[:, 0].double().numpy()  # rad/s2
    errors = np.array([[walked(body[:, joint], 0.02) for joint in range(2)] for body in pushes])  # (B, J, T)
    np.testing.assert_allclose(found[:, 0], np.sqrt((errors**2).sum(1).mean(-1) + FLOOR**2), rtol=1e-4)


def test_lessons_predict_smaller_errors(learner, seeded):
    data = experience(learner, seeded(1), torch.randn(3, 2, 5, generator=seeded(3)))
    errors = predict(learner, data, seeded)
    assert (errors[:, 1:] < errors[:, :-1]).all()
    assert (errors[:, -1] < 0.5 * errors[:, 0]).all()


def test_a_taught_head_begins_where_it_was_left(learner, seeded):
    added = torch.randn(3, 2, 5, generator=seeded(6))
    data = experience(learner, seeded(1), learner.head + added)
    right = data._replace(added=added)
    torch.testing.assert_close(predict(learner, right, seeded), torch.full((3, 4), FLOOR), atol=1e-6, rtol=0)
    assert predict(learner, data, seeded)[:, 0].min() > 10 * FLOOR  # without it the heads are wrong
    torch.testing.assert_close(right[[2, 0]].added, added[[2, 0]])


def test_gradients_reach_everything_that_is_learned(learner, seeded):
    data = experience(learner, seeded(1), torch.randn(3, 2, 5, generator=seeded(3)))
    learner.requires_grad_(True)
    predict(learner, data, seeded, NoiseCfg()).sum().backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert name == "trace_logit" or parameter.grad.abs().max() > 0, name


def test_noise_of_the_chip_costs(learner, seeded):
    learner.head.copy_(torch.randn(2, 5, generator=seeded(5)))
    data = experience(learner, seeded(1), learner.head.expand(3, -1, -1))
    for kind in set(NONE) - {"push_rad_s2"}:  # a push is no noise: a right command stays right
        some, more = (predict(learner, data, seeded, NoiseCfg(**{**NONE, kind: size})) for size in (0.1, 0.4))
        assert (some > FLOOR).all(), kind
        assert (more > some).all(), kind


def test_pushes_move_label_by_inertia_and_input_by_scale(learner, seeded):
    data = experience(learner, seeded(1), learner.head.expand(3, -1, -1), n_bodies=3)
    wanted, label = pushed(learner, data, 6.0, seeded(4))
    moved = (wanted - data.wanted)[..., -2:] * learner.network.acceleration_scale_rad_s2  # rad/s2
    torch.testing.assert_close(label - data.label, (data.inertia @ moved[..., None])[..., 0], atol=1e-3, rtol=1e-4)
    assert torch.equal(wanted[..., :-2], data.wanted[..., :-2])
    assert torch.equal(wanted[:1], data.wanted[:1])  # the first half of three bodies is one
    torch.testing.assert_close(moved, moved[:, :, :1].expand_as(moved), atol=1e-4, rtol=0)  # constant in an episode
    assert (moved[1:, :, 0].abs() > 0).all()


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_impossible_noise_is_named(value):
    with pytest.raises(ValueError, match="head_noise must be 0 or more and finite, got"):
        NoiseCfg(head_noise=value)
