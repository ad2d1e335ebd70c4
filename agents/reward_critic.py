"""The critic of the outer loop: it alone may see the true body, and it is thrown away after meta-training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .reward import RewardLearner
from .reward_sense import RewardCfg, earlier, encode
from .reward_trials import Trials

PLACES = 16  # observations at which the critic asks what a head would do
WIRING = ("motor_reversed", "motor_swap")


class Truth(NamedTuple):
    """What the simulator knows of B bodies."""

    dynamics: Tensor  # (B, P) every varied number but the wiring
    wiring: Tensor  # (B, J, J) what each joint receives of each command: 0, 1 or -1


def truth_of(tasks: Sequence[Any], n_joints: int) -> Truth:
    """Return the hidden bodies of tasks, as numbers."""
    rows = [_dynamics(task.params) for task in tasks]
    wiring = np.zeros((len(tasks), n_joints, n_joints), dtype=np.float32)
    for matrix, task in zip(wiring, tasks, strict=True):
        sign = 1.0 - 2.0 * np.asarray(task.params.get("motor_reversed", np.zeros(n_joints)))
        driven, swap = list(range(n_joints)), int(task.params.get("motor_swap", -1))
        if swap >= 0:
            driven[swap], driven[swap + 1] = swap + 1, swap
        for command, joint in enumerate(driven):
            matrix[joint, command] = sign[joint]
    return Truth(torch.tensor(rows, dtype=torch.float32), torch.from_numpy(wiring))


def _dynamics(params: Any) -> list[float]:
    """Return a body's numbers, the direction of gravity as the two parts of its lean."""
    plain = {name: value for name, value in params.items() if name not in WIRING}
    lean, heading = plain.pop("gravity_tilt_rad"), plain.pop("gravity_heading_rad")
    numbers = [lean * float(np.cos(heading)), lean * float(np.sin(heading))]
    return numbers + [number for value in plain.values() for number in np.atleast_1d(value).tolist()]


class Critic(nn.Module):
    """Value of being at a step of a trial: of the state, the body, the time, and what the head does on this body.

    Commands are told as the joints receive them, so that the critic need not learn what wiring means.
    """

    centre: Tensor
    width: Tensor
    value_centre: Tensor
    value_width: Tensor
    places: Tensor

    def __init__(self, cfg: RewardCfg, known: Truth, n_episodes: int, hidden: int = 128) -> None:
        """Build it.

        Args:
            cfg: The policy's sizes.
            known: Bodies whose mean and spread the numbers are scaled by.
            n_episodes: Episodes of a trial.
            hidden: Width of the first layer; the second has half of it.
        """
        super().__init__()
        n_inputs = cfg.n_encoded + 2 * cfg.n_joints + known.dynamics.shape[1] + 1 + n_episodes
        n_inputs += cfg.n_joints * PLACES
        layers = (nn.Linear(n_inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden // 2), nn.Tanh())
        self.layers = nn.Sequential(*layers, nn.Linear(hidden // 2, 1))
        self.register_buffer("centre", known.dynamics.mean(0))
        self.register_buffer("width", known.dynamics.std(0).clamp(min=1e-3))
        self.register_buffer("places", torch.zeros(PLACES, cfg.n_encoded))
        self.register_buffer("value_centre", torch.zeros(()))
        self.register_buffer("value_width", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return values of inputs (..., n), in reward."""
        return self.layers(x)[..., 0] * self.value_width + self.value_centre

    def look_at(self, inputs: Tensor) -> None:
        """Keep the encoded observations (PLACES, n_inputs) at which it asks what a head would do."""
        self.places.copy_(inputs)

    def fit_scale(self, returns: Tensor, share: float) -> None:
        """Move the scale of values towards that of some returns by a share of the way."""
        self.value_centre.lerp_(returns.mean(), share)
        self.value_width.lerp_(returns.std().clamp(min=1e-3), share)


def critic_inputs(critic: Critic, learner: RewardLearner, unpack: Any, trials: Trials, truth: Truth) -> Tensor:
    """Return the critic's inputs at every step of trials and after each episode's last, (B, K, T + 1, n)."""
    parts = unpack(trials.seen)
    n_trials, n_episodes, n_times = trials.seen.shape[:3]
    shape = (n_trials, n_episodes, n_times, -1)
    mean = torch.cat([trials.mean, trials.mean[:, :, -1:]], dim=2)
    wiring = truth.wiring[:, None, None]
    before = (wiring @ (parts.prev_action / learner.action_scale)[..., None])[..., 0]
    meant = (wiring @ mean[..., None])[..., 0]
    silent = critic.places.new_zeros(PLACES, learner.network.n_heard)
    there = learner.fixed(torch.cat([critic.places, silent], dim=-1)).features.T
    held = learner.mean(truth.wiring[:, None] @ trials.head @ there).flatten(2)[:, :, None] / 2.0
    body = ((truth.dynamics - critic.centre) / critic.width)[:, None, None]
    time = torch.linspace(0.0, 1.0, n_times)[None, None, :, None].expand(n_trials, n_episodes, -1, -1)
    number = torch.eye(n_episodes)[None, :, None].expand(shape)
    here = (encode(learner.network, parts, earlier(parts.qd_rad_s)), before.clamp(-3.0, 3.0) / 2.0, meant / 2.0)
    return torch.cat([*here, body.expand(shape), time, number, held.expand(shape)], dim=-1)
