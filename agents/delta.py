"""The delta learner: after each episode, one write of error times activity into the head.

The robot knows what it commanded and what acceleration that bought. Had it wanted exactly that acceleration, the
command would have been right: so the command is the label of the state with the *measured* acceleration in place
of the wanted one. The rule is the delta rule of Ortner, Petschenig et al. (Nat. Commun. 16, 2025, eq. 3) for a
linear head, with a learned rate for every weight (Meta-SGD, Li et al. 2017); a few of its steps are summed
digitally and written once. Nothing here sees the simulator's truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .checks import check_above_zero
from .network import FixedLayers, NetworkCfg, initialise


@dataclass(frozen=True)
class DeltaCfg:
    """The local rule."""

    steps: int = 10
    """Steps of the rule that are summed digitally before the one write."""
    error_clip: float = 3.0
    """Errors are clipped here, in network units: a collision with a limit must not rule a lesson."""
    rate: float = 0.3
    """Rate that the learned logarithms start from, per step."""
    lags: int = 3
    """Control steps over which the trace of past commands reaches: a body may act late, by 0 to 2 of them."""

    def __post_init__(self) -> None:
        """Refuse a rule that cannot learn."""
        check_above_zero(self, "steps", "error_clip", "rate", "lags")


class Lesson(NamedTuple):
    """What one episode teaches, read off the chip with measured accelerations."""

    features: Tensor  # (N, T, D)
    command: Tensor  # (N, T, J) trace of the issued commands, network units
    innate: Tensor  # (N, T, J) what the fixed layers say
    head: Tensor  # (N, T, J) what the head says


def head_increment(lesson: Lesson, rate: Tensor, cfg: DeltaCfg) -> Tensor:
    """Return the increment that one lesson asks of the head, shape (N, J, D).

    Each step moves the head by rate x mean over time of clipped error x feature; later steps correct the reading
    of the head by the sum so far, without another read of the chip.

    Args:
        lesson: Readings of N arms over T control steps.
        rate: Learned rate per weight, (J, D).
        cfg: Number of steps and the clip of the error.
    """
    n_steps = lesson.features.shape[-2]
    increment = torch.zeros_like(lesson.head.transpose(-1, -2) @ lesson.features)
    residual = lesson.command - lesson.innate - lesson.head  # (N, T, J)
    for _ in range(cfg.steps):
        error = residual - lesson.features @ increment.transpose(-1, -2)
        error = error.clamp(-cfg.error_clip, cfg.error_clip)
        increment = increment + rate * (error.transpose(-1, -2) @ lesson.features) / n_steps
    return increment


def command_trace(command: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of present and past commands, shape (..., T, J).

    The body's delay is hidden, so the command that bought an acceleration is known up to a few steps; before an
    episode nothing was commanded.

    Args:
        command: Issued commands, (..., T, J).
        weight: Weight of each lag, (lags,), the present first.
    """
    trace = weight[0] * command
    for lag in range(1, weight.shape[0]):
        late = torch.zeros_like(command)
        late[..., lag:, :] = command[..., :-lag, :]
        trace = trace + weight[lag] * late
    return trace


class DeltaLearner(nn.Module):
    """All that meta-training learns: fixed layers, the head's start, a rate for each of its weights, and a trace."""

    action_scale: Tensor

    def __init__(self, network: NetworkCfg, rule: DeltaCfg, action_scale: Tensor) -> None:
        """Build an untrained learner.

        Args:
            network: Sizes of the network.
            rule: The local rule.
            action_scale: Action that one network unit stands for, (J,): the spread of the nominal arm's commands.
        """
        super().__init__()
        self.network, self.rule = network, rule
        self.fixed = FixedLayers(network)
        self.head = nn.Parameter(torch.zeros(network.n_joints, network.n_features))
        self.log_rate = nn.Parameter(torch.zeros(network.n_joints, network.n_features))
        self.trace_logit = nn.Parameter(torch.zeros(rule.lags))
        self.register_buffer("action_scale", action_scale.clone().float())

    @property
    def rate(self) -> Tensor:
        """Learned rate per weight of the head, (J, D)."""
        return self.rule.rate * torch.exp(self.log_rate)

    @property
    def trace(self) -> Tensor:
        """Learned weight of each lag in the trace of commands, (lags,), summing to 1."""
        return torch.softmax(self.trace_logit, dim=0)

    def draw(self, generator: torch.Generator) -> None:
        """Start the fixed layers anew from `generator`."""
        initialise(self.fixed, generator)
