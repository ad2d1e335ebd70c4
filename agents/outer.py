"""The outer loop's loss: the tracking error that the adapted policy would have, predicted from its torque errors.

Where the command is wrong by du, the arm's acceleration is wrong by d = (mobility) du, and with the law
a_cmd = qdd_ref + kd ed + kp e the joint error follows e'' + kd e' + kp e = d. So the loss of a lesson is that
filter's output, in rad: the figure that evaluation reports, differentiable through every lesson before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from .delta import DeltaLearner, Lesson, command_trace, head_increment
from .experience import Experience
from .network import Encoding, Reading


@dataclass(frozen=True)
class NoiseCfg:
    """Crude stand-ins for the chip during meta-training; 0 switches one off."""

    fixed_noise: float = 0.02
    """Standard deviation of the fixed layers' weights, as a share of the largest on their output line."""
    head_noise: float = 0.005
    """Standard deviation of what each write leaves in the head, as a share of the range in use."""
    feature_noise: float = 0.03
    """Standard deviation of the noise with which each feature is read at each step. In a lesson the same noise is in
    the error and in the activity, so their mean product shrinks the head: rates and features must be made for it."""
    innate_noise: float = 0.07
    """Standard deviation of the noise with which the innate command is read, as a share of its spread."""
    push_rad_s2: float = 6.0
    """Spread of a constant added to the wanted acceleration of half the bodies: a head that is right only on the path
    that was walked has a wrong loop gain off it, and a late body then swings."""

    def __post_init__(self) -> None:
        """Refuse what is no spread."""
        for name in self.__dataclass_fields__:
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")


def error_filter(n_steps: int, dt_s: float, kp_per_s2: float, kd_per_s: float) -> Tensor:
    """Return H with e = H d: the response of e'' + kd e' + kp e = d, shape (T, T), lower triangular."""
    step = torch.tensor(
        [
            [1.0 - 0.5 * dt_s**2 * kp_per_s2, dt_s - 0.5 * dt_s**2 * kd_per_s],
            [-dt_s * kp_per_s2, 1 - dt_s * kd_per_s],
        ]
    )
    state = torch.tensor([0.5 * dt_s**2, dt_s])
    response = torch.zeros(n_steps)
    for index in range(1, n_steps):
        response[index] = state[0]
        state = step @ state
    rows = torch.arange(n_steps)
    lag = rows[:, None] - rows[None, :]
    return torch.where(lag > 0, response[lag.clamp(min=0)], torch.zeros(()))


def noisy_fixed(learner: DeltaLearner, noise: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the fixed layers' parameters as one chip would hold them."""
    held = {}
    for name, value in learner.fixed.named_parameters():
        span = value.detach().abs().amax(dim=-1, keepdim=True)
        drawn = torch.randn(value.shape, generator=generator)
        held[name] = value + noise * span * drawn if noise > 0 and value.ndim == 2 else value
    return held


def read_all(learner: DeltaLearner, held: dict[str, Tensor], x: Tensor) -> Reading:
    """Read the fixed layers for inputs of any leading shape."""
    return Reading(*functional_call(learner.fixed, held, (x,)))


def read_noisily(
    learner: DeltaLearner, held: dict[str, Tensor], x: Tensor, noise: NoiseCfg, generator: torch.Generator
) -> Reading:
    """Read the fixed layers with the read noise of a chip; the constant feature has none, being an input line."""
    reading = read_all(learner, held, x)
    drawn = noise.feature_noise * torch.randn(reading.features.shape, generator=generator)
    drawn[..., -1] = 0.0
    spread = noise.innate_noise * reading.command.detach().std()
    command = reading.command + spread * torch.randn(reading.command.shape, generator=generator)
    return Reading(reading.features + drawn, command)


def store(head: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Return heads (B, J, D) as a write leaves them; the range in use is that of the whole batch."""
    if noise == 0:
        return head
    span = head.detach().abs().amax(dim=(0, 2))[:, None]
    return head + noise * span * torch.randn(head.shape, generator=generator)


def pushed(
    learner: Encoding, data: Experience, push_rad_s2: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return inputs and labels of wanted accelerations moved by a constant per body and episode.

    The command is affine in the acceleration, so the label moves by the inertia times the push.
    """
    n_bodies, n_episodes, _, n_joints = data.command.shape
    push = push_rad_s2 * torch.randn(n_bodies, n_episodes, 1, n_joints, generator=generator)
    push[: n_bodies // 2] = 0.0
    wanted = data.wanted.clone()
    wanted[..., -n_joints:] += push / learner.network.acceleration_scale_rad_s2
    shift = (data.inertia @ push[..., None])[..., 0]
    return wanted, data.label + shift


def tracking_error(command: Tensor, label: Tensor, mobility: Tensor, response: Tensor) -> Tensor:
    """Return the tracking error (B,) in rad that commands (B, T, J) would leave where `label` is right.

    Args:
        command: What would be issued, network units.
        label: What the true body needs.
        mobility: Acceleration that a command buys, (B, T, J, J).
        response: From accelerations to joint errors, (T, T).
    """
    wrong = (mobility @ (label - command)[..., None])[..., 0]  # (B, T, J) rad/s2
    error = response @ wrong
    return (error.square().sum(-1).mean(-1) + 1e-8).sqrt()


def predicted_rmse(
    learner: DeltaLearner,
    data: Experience,
    response: Tensor,
    noise: NoiseCfg,
    generator: torch.Generator,
    *,
    lessons: bool = True,
) -> Tensor:
    """Return the predicted tracking error (B, K) in rad, entry k after k lessons; without `lessons` none is taken."""
    held = noisy_fixed(learner, noise.fixed_noise, generator)
    wanted_input, label = pushed(learner, data, noise.push_rad_s2, generator)
    wanted = read_noisily(learner, held, wanted_input, noise, generator)
    measured = read_noisily(learner, held, data.measured, noise, generator)
    trace = command_trace(data.command, learner.trace)
    head = store(data.first_heads(learner.head), noise.head_noise, generator)
    n_episodes = data.command.shape[1]
    errors = []
    for k in range(n_episodes):
        command = wanted.command[:, k] + wanted.features[:, k] @ head.transpose(-1, -2)
        errors.append(tracking_error(command, label[:, k], data.mobility[:, k], response))
        if lessons and k < n_episodes - 1:
            features = measured.features[:, k]
            said = features @ head.transpose(-1, -2)
            lesson = Lesson(features, trace[:, k], measured.command[:, k], said)
            head = store(head + head_increment(lesson, learner.rate, learner.rule), noise.head_noise, generator)
    return torch.stack(errors, dim=1)
